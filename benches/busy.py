"""Streams and short requests while another thread of the process computes in Python, as an application does that works
on what it has received. The price of the GIL: each return to the event loop may cost a switch interval (5 ms)."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

from benches import short, throttled
from benches.cases import ONE_LANE, Case, Figure, Size, Work
from benches.peers import Peer

TITLE = "beside a busy thread"
UNIT = "token or request"
COLUMNS = ("cpu", "p50", "p99", "ratio")
FIGURES = (Figure("busy", "Beside a thread that burns Python, p50 to p99", ("p50_us", "p99_us")),)
WHAT = {"tokens": throttled, "requests": short}


def cases(size: Size) -> list[Case]:
    lines, single, many = {Size.FULL: (200, 40, 192), Size.QUICK: (40, 8, 64), Size.SMOKE: (4, 2, 4)}[size]
    plan: list[tuple[str, str, dict[str, Any]]] = [
        ("16 streams, a token per 4 ms", "tokens", {"streams": 16, "lines": lines, "rate": 250}),
        ("short requests, 1 at a time", "requests", {"requests": single, "at_once": 1}),
        ("short requests, 64 at a time", "requests", {"requests": many, "at_once": min(many, 64)}),
    ]
    rounds = 1 if size is Size.QUICK else None
    return [
        Case(name=name, parameters={"what": what, **parameters}, entrants=ONE_LANE, rounds=rounds)
        for name, what, parameters in plan
    ]


class Burner(threading.Thread):
    """Computes until `stop` is called; `cpu` is then the CPU time that it took, in seconds."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.stopped = False
        self.cpu = 0.0

    def run(self) -> None:
        number = 1
        while not self.stopped:
            number = number * 48271 % 2147483647
        self.cpu = time.thread_time()


@contextlib.contextmanager
def burning() -> Iterator[Burner]:
    burner = Burner()
    burner.start()
    try:
        yield burner
    finally:
        burner.stopped = True
        burner.join()


async def prepare(peer: Peer, *, what: str, **parameters: Any) -> None:
    await WHAT[what].prepare(peer, **parameters)


async def run(peer: Peer, *, what: str, **parameters: Any) -> Work:
    with burning() as burner:
        work = await WHAT[what].run(peer, **parameters)
    return Work(units=work.units, verify=work.verify, aside=burner.cpu)
