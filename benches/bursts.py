"""Bursts: whole answers as fast as the socket takes them, on 1, 16 and 256 streams at once. The price of a token."""

from __future__ import annotations

import asyncio

from benches import script
from benches.cases import Case, Figure, Size, Work, equal
from benches.peers import Peer

TITLE = "bursts"
UNIT = "token"
COLUMNS = ("cpu", "rate", "ratio")
FIGURES = (Figure("bursts", "CPU per token of a burst", ("cpu_us",)),)


def cases(size: Size) -> list[Case]:
    # Cases of few streams are repeated, so that a sample takes much longer than the clock's resolution.
    plan = {
        Size.FULL: [(1, 1000, 40), (16, 1000, 4), (256, 1000, 1)],
        Size.QUICK: [(1, 1000, 10), (16, 1000, 1), (256, 50, 1)],
        Size.SMOKE: [(1, 40, 1), (16, 20, 1)],
    }[size]
    return [
        Case(name=f"{streams} stream{'s' * (streams > 1)}",
             parameters={"streams": streams, "lines": lines, "repeats": repeats})
        for streams, lines, repeats in plan
    ]  # fmt: skip


async def prepare(peer: Peer, *, lines: int, **_: int) -> None:
    peer.prepare(f"burst-{lines}")


async def run(peer: Peer, *, streams: int, lines: int, repeats: int) -> Work:
    model = f"burst-{lines}"
    texts: list[str] = []
    for _ in range(repeats):
        texts += await asyncio.gather(*(peer.stream(model) for _ in range(streams)))
    return Work(units=streams * lines * repeats, verify=lambda: equal(texts, script.answer(model)))
