"""Throttled streams: tokens that trickle in, as from a real model. The price of being woken up for each of them."""

from __future__ import annotations

import asyncio

from benches import script
from benches.cases import Case, Size, Work
from benches.peers import PEERS, Peer

TITLE = "throttled"
UNIT = "token"


def cases(size: Size) -> list[Case]:
    streams, lines, rate = {Size.FULL: (256, 100, 20), Size.QUICK: (256, 40, 20), Size.SMOKE: (8, 5, 50)}[size]
    return [
        Case(
            name=f"{streams} streams, {rate} tokens/s each",
            peers=tuple(PEERS),
            parameters={"streams": streams, "lines": lines, "rate": rate},
        )
    ]


async def run(peer: Peer, *, streams: int, lines: int, rate: int) -> Work:
    model = f"paced-{lines}-{rate}"
    texts = await asyncio.gather(*(peer.stream(model) for _ in range(streams)))
    return Work(units=streams * lines, got=list(texts), expected=script.answer(model))
