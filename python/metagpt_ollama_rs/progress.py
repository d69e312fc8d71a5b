"""Progress of a pull, a push or a create: reports that go to a callback, and their total.

A server reports each layer of a model by itself, many times a second::

    {"status": "pulling f535f83ec568", "digest": "sha256:f535…", "total": 270885728, "completed": 52428800}

``on_progress`` of the clients' methods is called with each of these as a `ProgressResponse`, and `ProgressTotal` adds
them up::

    total = ProgressTotal()
    client.pull("llama3.2", on_progress=lambda report: print(f"\\r{total.add(report)}", end=""))
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

from metagpt_ollama_rs.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from metagpt_ollama_rs._core import BlockingStream, Stream
    from metagpt_ollama_rs.responses import ProgressResponse

    OnProgress = Callable[[ProgressResponse], object]

__all__ = ["ProgressTotal", "check_on_progress", "report_progress", "report_progress_blocking"]

# The speed is that of the last so many seconds: older ones say nothing of how long the rest will take.
_WINDOW = 10.0
_UNITS = ("B", "kB", "MB", "GB", "TB")


class ProgressTotal:
    """The reports of one transfer, added up over all layers.

    Attributes:
        status: the last status in the server's words, such as ``pulling f535f83ec568``; ``success`` at the end.
        completed, total: bytes, of the layers that the server has named so far.
        fraction: from 0 to 1; None while there is no total.
        bytes_per_second: the speed of the last ten seconds; what was on the disk before does not count. None while
            nothing was transferred.
        seconds_left: at that speed; None while that is not known.

    Args:
        clock: tells the time in seconds.

    >>> seconds = iter(range(3))
    >>> total = ProgressTotal(clock=lambda: next(seconds))
    >>> for completed in (None, 20_000_000, 60_000_000):
    ...     report = {"status": "pulling a1", "digest": "sha256:a1", "total": 120_000_000, "completed": completed}
    ...     print(total.add(report))
    pulling a1: 0 %, 0 B of 120 MB
    pulling a1: 17 %, 20 MB of 120 MB, 20 MB/s, 5 s left
    pulling a1: 50 %, 60 MB of 120 MB, 30 MB/s, 2 s left
    >>> total.completed, total.fraction
    (60000000, 0.5)
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.status = ""
        self._clock = clock
        # Of each layer: how much of it is there, and how large it is.
        self._layers: dict[str, tuple[int, int]] = {}
        self._transferred = 0
        # How much had been transferred when; at least one is older than the window.
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, report: ProgressResponse | Any) -> ProgressTotal:
        """Adds ``report`` (or a dict as the server sends it), and returns this object."""
        self.status = report.get("status") or self.status
        digest = report.get("digest")
        if digest:
            completed, total = report.get("completed") or 0, report.get("total") or 0
            before, size = self._layers.get(digest, (completed, total))
            # A transfer that goes on after a break may begin with a smaller number.
            completed = max(before, completed)
            self._layers[digest] = (completed, max(size, total))
            self._transferred += completed - before
            self._note_sample()
        return self

    def _note_sample(self) -> None:
        now = self._clock()
        self._samples.append((now, self._transferred))
        while len(self._samples) > 2 and self._samples[1][0] <= now - _WINDOW:
            self._samples.popleft()

    @property
    def completed(self) -> int:
        return sum(completed for completed, _ in self._layers.values())

    @property
    def total(self) -> int:
        return sum(total for _, total in self._layers.values())

    @property
    def fraction(self) -> float | None:
        return self.completed / self.total if self.total else None

    @property
    def bytes_per_second(self) -> float | None:
        if len(self._samples) < 2 or not self._transferred:
            return None
        (since, before), (now, transferred) = self._samples[0], self._samples[-1]
        return (transferred - before) / (now - since) if now > since else None

    @property
    def seconds_left(self) -> float | None:
        speed = self.bytes_per_second
        return (self.total - self.completed) / speed if speed else None

    def __str__(self) -> str:
        if self.fraction is None:
            return self.status
        parts = [
            f"{self.fraction:.0%}".replace("%", " %"),
            f"{_bytes_text(self.completed)} of {_bytes_text(self.total)}",
        ]
        if self.completed < self.total:
            speed, left = self.bytes_per_second, self.seconds_left
            parts += [f"{_bytes_text(speed)}/s"] if speed is not None else []
            parts += [_remaining(left)] if left is not None else []
        return f"{self.status}: {', '.join(parts)}"

    def __repr__(self) -> str:
        return f"<ProgressTotal {self}>"


def _bytes_text(size: float) -> str:
    """
    >>> [_bytes_text(size) for size in (0, 999, 1500, 4_661_211_808)]
    ['0 B', '999 B', '1.5 kB', '4.7 GB']
    """
    unit = 0
    while size >= 999.5 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    digits = 1 if unit and size < 9.95 else 0
    return f"{size:.{digits}f} {_UNITS[unit]}"


def _remaining(seconds: float) -> str:
    """
    >>> [_remaining(seconds) for seconds in (5, 119.6, 7300)]
    ['5 s left', '2 min left', '2 h 2 min left']
    """
    if seconds < 60:
        return f"{seconds:.0f} s left"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min left" if hours else f"{minutes} min left"


def check_on_progress(on_progress: OnProgress, stream: bool) -> None:
    """Raises ConfigurationError for a callback that is none, or beside an iterator over the same reports."""
    if not callable(on_progress):
        raise ConfigurationError(f"on_progress must be a function of one report, and is {on_progress!r:.60}")
    if stream:
        raise ConfigurationError(
            "on_progress and stream=True are two ways to read the same reports",
            hint="leave out one of them",
        )


def report_progress_blocking(
    stream: BlockingStream[ProgressResponse], on_progress: OnProgress
) -> ProgressResponse | None:
    """Calls ``on_progress`` with each report of ``stream``, and returns the last one. What it raises ends the transfer,
    and comes out."""
    report = None
    with stream:
        for report in stream:
            result = on_progress(report)
            if hasattr(result, "__await__"):
                if hasattr(result, "close"):
                    result.close()
                raise ConfigurationError(
                    "on_progress of Client must be an ordinary function; AsyncClient awaits others"
                )
    return report


async def report_progress(stream: Stream[ProgressResponse], on_progress: OnProgress) -> ProgressResponse | None:
    """As `report_progress_blocking`; awaits what the callback returns, if that can be awaited."""
    report = None
    async with stream:
        async for report in stream:
            result: Any = on_progress(report)
            if hasattr(result, "__await__"):
                await result
    return report
