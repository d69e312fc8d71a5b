"""Short requests, not streamed, one after another and 64 at once. The price of a request, and how long it takes."""

from __future__ import annotations

import asyncio
import time

from benches import script
from benches.cases import Case, Figure, Size, Work, equal
from benches.peers import Peer

TITLE = "short requests"
UNIT = "request"
COLUMNS = ("cpu", "rate", "p50", "p99", "ratio")
FIGURES = (Figure("short", "CPU per short request", ("cpu_us",)),)
MODEL = "short-12"


def cases(size: Size) -> list[Case]:
    requests = {Size.FULL: 640, Size.QUICK: 128, Size.SMOKE: 8}[size]
    return [
        Case(name=f"{at_once} at a time", parameters={"requests": requests, "at_once": at_once})
        for at_once in (1, 64 if size is not Size.SMOKE else 4)
    ]


async def prepare(peer: Peer, **_: int) -> None:
    script.whole(MODEL)


async def run(peer: Peer, *, requests: int, at_once: int) -> Work:
    texts: list[str] = []
    taken: list[float] = []

    async def ask() -> None:
        began = time.perf_counter()
        texts.append(await peer.once(MODEL))
        taken.append(time.perf_counter() - began)

    for _ in range(requests // at_once):
        if at_once == 1:
            await ask()
        else:
            await asyncio.gather(*(ask() for _ in range(at_once)))
    return Work(units=len(texts), verify=lambda: equal(texts, script.answer(MODEL)) or taken)
