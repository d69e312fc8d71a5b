"""Bursts: whole answers as fast as the socket takes them, on 1, 16 and 256 streams at once. The price of a token."""

from __future__ import annotations

import asyncio

from benches import script
from benches.cases import Case, Size, Work
from benches.peers import PEERS, Peer

TITLE = "bursts"
UNIT = "token"


def cases(size: Size) -> list[Case]:
    # Few streams are repeated, so that each sample is long beside the clock's grain.
    plan = {
        Size.FULL: [(1, 1000, 40), (16, 1000, 4), (256, 1000, 1)],
        Size.QUICK: [(1, 1000, 20), (16, 1000, 2), (256, 400, 1)],
        Size.SMOKE: [(1, 40, 1), (16, 20, 1)],
    }[size]
    return [
        Case(name=f"{streams} stream{'s' * (streams > 1)}", peers=tuple(PEERS),
             parameters={"streams": streams, "lines": lines, "repeats": repeats})
        for streams, lines, repeats in plan
    ]  # fmt: skip


async def run(peer: Peer, *, streams: int, lines: int, repeats: int) -> Work:
    model = f"burst-{lines}"
    texts: list[str] = []
    for _ in range(repeats):
        texts += await asyncio.gather(*(peer.stream(model) for _ in range(streams)))
    return Work(units=streams * lines * repeats, got=texts, expected=script.answer(model))
