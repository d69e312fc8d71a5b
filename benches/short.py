"""Short requests, not streamed, one after another and 64 at once. The price of a request."""

from __future__ import annotations

import asyncio

from benches import script
from benches.cases import Case, Size, Work
from benches.peers import PEERS, Peer

TITLE = "short requests"
UNIT = "request"
MODEL = "short-12"


def cases(size: Size) -> list[Case]:
    requests = {Size.FULL: 640, Size.QUICK: 256, Size.SMOKE: 8}[size]
    return [
        Case(name=f"{at_once} at a time", peers=tuple(PEERS), parameters={"requests": requests, "at_once": at_once})
        for at_once in (1, 64 if size is not Size.SMOKE else 4)
    ]


async def run(peer: Peer, *, requests: int, at_once: int) -> Work:
    texts: list[str] = []
    for _ in range(requests // at_once):
        if at_once == 1:
            texts.append(await peer.once(MODEL))
        else:
            texts += await asyncio.gather(*(peer.once(MODEL) for _ in range(at_once)))
    return Work(units=len(texts), got=texts, expected=script.answer(MODEL))
