"""Throttled streams: tokens that arrive one by one, as from a real model. The price of waking up for each of them, and
the time between its sending and its arrival in the user's code."""

from __future__ import annotations

import asyncio
import collections
import time
from typing import Any

from benches import script
from benches.cases import Case, Figure, Size, Work
from benches.peers import Peer

TITLE = "throttled"
UNIT = "token"
COLUMNS = ("cpu", "p50", "p99", "ratio")
FIGURES = (
    Figure("throttled", "CPU per token that trickles in", ("cpu_us",)),
    Figure("latency", "From the server's send to the user's hands, p50 to p99", ("p50_us", "p99_us")),
)


def cases(size: Size) -> list[Case]:
    seconds = {Size.FULL: 1.5, Size.QUICK: 0.3, Size.SMOKE: 0.02}[size]
    plan = [(1, 1000), (16, 250), (256, 20)] if size is not Size.SMOKE else [(1, 1000), (8, 250)]
    return [
        Case(
            name=f"{streams} stream{'s' * (streams > 1)}, {rate:,} tokens/s each",
            parameters={"streams": streams, "lines": max(2, int(seconds * rate)), "rate": rate},
            rounds=2 if size is Size.QUICK else None,
        )
        for streams, rate in plan
    ]


async def prepare(peer: Peer, *, lines: int, rate: int, **_: int) -> None:
    peer.prepare(f"paced-{lines}-{rate}")


async def run(peer: Peer, *, streams: int, lines: int, rate: int) -> Work:
    arrivals: list[tuple[int, Any]] = []
    clock = time.monotonic_ns

    def receive(piece: Any) -> None:
        arrivals.append((clock(), piece))

    await asyncio.gather(*(peer.follow(f"paced-{lines}-{rate}", receive) for _ in range(streams)))
    return Work(units=streams * lines, verify=lambda: delays(arrivals, streams, lines))


def delays(arrivals: list[tuple[int, Any]], streams: int, lines: int) -> list[float]:
    """Seconds from sending to arrival of each token. Raises AssertionError unless each line came once per stream."""
    stamps = [(when, *stamp) for when, piece in arrivals for stamp in script.STAMP.findall(piece)]
    found = collections.Counter(int(number) for _, number, _ in stamps)
    if found != dict.fromkeys(range(lines), streams):
        raise AssertionError(f"{found.total()} tokens arrived of {streams * lines}, or not the ones that were sent")
    return [(when - int(sent)) / 1e9 for when, _, sent in stamps]
