"""The nouns that the families, the worker and the coordinator share."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

from benches.peers import BASELINE


class Size(enum.Enum):
    """How much is run: `FULL` for numbers to publish, `QUICK` within two minutes, `SMOKE` only to see that it works."""

    FULL = 5
    QUICK = 3
    SMOKE = 1

    @property
    def rounds(self) -> int:
        return self.value


@dataclasses.dataclass(frozen=True)
class Case:
    """One row group of the table: what each of `peers` does, and whose time the ratios are taken against."""

    name: str
    peers: tuple[str, ...]
    parameters: dict[str, Any]
    baseline: str = BASELINE


@dataclasses.dataclass(frozen=True)
class Work:
    """What a run did: units of work, and every text that came out beside the one that should have."""

    units: int
    got: list[str]
    expected: str

    def check(self) -> None:
        """Raises AssertionError for an answer that is not the server's."""
        for number, text in enumerate(self.got):
            if text != self.expected:
                raise AssertionError(f"answer {number} is {text[:80]!r}…, not {self.expected[:80]!r}…")


@dataclasses.dataclass(frozen=True)
class Sample:
    """One measured run: units of work, CPU seconds (user and system) and seconds of wall time."""

    units: int
    cpu: float
    wall: float
