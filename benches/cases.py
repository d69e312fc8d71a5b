"""The types that the families, the worker and the coordinator share: a case, its entrants, a run's work, a sample."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from typing import Any

from benches.peers import BASELINE, PEERS


class Size(enum.Enum):
    """How much is run: `FULL` for numbers to publish, `QUICK` within two minutes, `SMOKE` only to see that it works.
    The value is the number of rounds."""

    FULL = 5
    QUICK = 3
    SMOKE = 1


@dataclasses.dataclass(frozen=True)
class Entrant:
    """A row of a case: its name in the table, the peer whose process runs it, and parameters of its own."""

    name: str
    peer: str
    parameters: dict[str, Any] = dataclasses.field(default_factory=dict)


def entrants(*names: str) -> tuple[Entrant, ...]:
    """Peers that enter under their own names."""
    return tuple(Entrant(name, name) for name in names)


CLIENTS = entrants(*(name for name in PEERS if PEERS[name].talks))
# The clients without this package's general lane, for cases that compare clients and not lanes.
ONE_LANE = tuple(entrant for entrant in CLIENTS if "lane" not in entrant.name)


@dataclasses.dataclass(frozen=True)
class Case:
    """One table of the report: what each entrant does, and the `baseline` to whose time the ratios are taken. `rounds`
    replaces the number of rounds of the `Size`."""

    name: str
    parameters: dict[str, Any]
    entrants: tuple[Entrant, ...] = CLIENTS
    baseline: str = BASELINE
    rounds: int | None = None


@dataclasses.dataclass(frozen=True)
class Work:
    """What a run has done.

    `verify` raises AssertionError for an answer that is not the server's, and returns latencies in seconds, if any were
    taken; it is called after the clocks have stopped. `aside` is the CPU time, in seconds, of the run that is not the
    entrant's. `measures` go into the sample as they are.
    """

    units: int
    verify: Callable[[], list[float]]
    aside: float = 0.0
    measures: dict[str, float] = dataclasses.field(default_factory=dict)


def equal(got: list[Any], expected: Any) -> list[float]:
    """The usual `verify`: each answer is the expected one, and there are no latencies."""
    for number, answer in enumerate(got):
        if answer != expected:
            raise AssertionError(f"answer {number} is {str(answer)[:80]!r}…, not {str(expected)[:80]!r}…")
    return []


@dataclasses.dataclass(frozen=True)
class Sample:
    """One measured run: units of work, seconds of CPU time (user and system), seconds of wall time, and other
    `measures`: `p50_us` and `p99_us` of latencies in microseconds, or those of a family."""

    units: int
    cpu: float
    wall: float
    measures: dict[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure of a family: bars of a number (`cpu_us`), or with two names the range between them (p50 to p99)."""

    name: str
    title: str
    keys: tuple[str, ...]
    unit: str = "µs"
