"""What a process holds, measured between two rounds of calls, and whether it has grown over the rounds.

Nothing is under way between two rounds, so that counts are comparable. Memory is noisy all the same, so the growth is
the median slope of all pairs of rounds (Theil and Sen), over the whole run.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import statistics
from dataclasses import dataclass

# What a count may vary by from the first rounds to the last ones: connections that are kept for the next request.
SLACK = 6
# The first part of a run, in which caches, arenas and pools fill, and is not looked at.
WARM_UP = 0.25
# A run of fewer seconds is all warm-up.
SHORT = 120


def resident() -> int:
    """The resident memory of this process, in bytes, without what its allocator keeps for later."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    with open("/proc/self/statm") as pages:
        return int(pages.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


def thread_names() -> list[str]:
    """The names of this process's threads as the system has them, at most 15 bytes of each."""
    names = []
    for task in os.listdir("/proc/self/task"):
        # The thread may have ended by now.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/self/task/{task}/comm") as name:
            names.append(name.read().strip())
    return sorted(names)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def sockets() -> int:
    """How many of the descriptors are sockets."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        # The folder's own descriptor is closed by now, and other threads may have closed theirs.
        with contextlib.suppress(FileNotFoundError):
            count += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
    return count


@dataclass(frozen=True)
class Measure:
    """A quantity: `name` in the report, its `unit`, and the `growth` over a run that is accepted; of memory, that or
    this `share` of itself, whichever is more."""

    name: str
    unit: str
    growth: float
    share: float = 0.0


MEASURES = (
    Measure("memory", "MB", 6_000_000, share=0.05),
    Measure("threads", "", SLACK),
    Measure("descriptors", "", SLACK),
    Measure("connections", "", SLACK),
    Measure("server's connections", "", SLACK),
    Measure("server's threads", "", SLACK),
    Measure("server's descriptors", "", SLACK),
    Measure("server's memory", "MB", 10_000_000, share=0.1),
)


def after_warm_up(values: list[float]) -> list[float]:
    return values[int(len(values) * WARM_UP) :]


def growth(values: list[float]) -> float:
    """By how much a quantity has grown from the end of the warm-up to the end.

    >>> growth([9, 9, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    8.0
    >>> growth([5, 5, 5, 5, 5, 5, 90, 5, 5, 5, 5, 5])
    0.0
    """
    values = after_warm_up(values)
    slopes = [
        (later - value) / (m - n) for n, value in enumerate(values) for m, later in enumerate(values[n + 1 :], n + 1)
    ]
    return statistics.median(slopes) * (len(values) - 1) if slopes else 0.0


def accepted(measure: Measure, values: list[float], seconds: float) -> float:
    """The growth that is no complaint. Heaps of both processes fill for the first minute, whatever is called."""
    limit = max(measure.growth, measure.share * statistics.median(values))
    return limit * 4 if measure.unit and seconds < SHORT else limit


def complaints(samples: list[dict[str, float]], seconds: float) -> list[str]:
    """What has grown, a sentence each."""
    found = []
    for measure in MEASURES:
        values = [sample[measure.name] for sample in samples]
        grown = growth(values)
        if grown > accepted(measure, values, seconds):
            found.append(f"{measure.name} grew by {shown(measure, grown)} in {len(samples)} rounds")
    return found


def shown(measure: Measure, value: float) -> str:
    return f"{value / 1e6:,.1f} MB" if measure.unit == "MB" else f"{value:,.0f}"
