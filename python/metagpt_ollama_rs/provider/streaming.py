"""What the compatible path needs to read a stream in Python: closing it early, and looking for repetition meanwhile.

The fast path does both in Rust. No I/O, nothing of MetaGPT.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import AsyncGenerator, AsyncIterator, TypeVar

__all__ = ["REPETITION_LOOK", "RepetitionMonitor", "aclosing"]

_T = TypeVar("_T")

# The number of new characters after which an answer is looked at again for repetition.
REPETITION_LOOK = 4096


class RepetitionMonitor:
    """Collects an answer that comes in pieces, and calls ``refuse_repetition(text, thinking)`` with all of it from time
    to time and at the end. That function raises where the answer repeats itself without an end.

    >>> monitor = RepetitionMonitor(lambda text, thinking: print(text, "|", thinking))
    >>> monitor.feed("Hel", "hm", ended=False)
    >>> monitor.feed("lo", "", ended=True)
    Hello | hm
    """

    def __init__(self, refuse_repetition: Callable[[str, str], None]) -> None:
        self._refuse_repetition = refuse_repetition
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._new_characters = 0

    def feed(self, text: str, thinking: str, *, ended: bool) -> None:
        """Adds a piece of the text and of the thinking; ``ended`` says that no more will come."""
        self._text.append(text)
        self._thinking.append(thinking)
        self._new_characters += len(text) + len(thinking)
        if ended or self._new_characters >= REPETITION_LOOK:
            self._new_characters = 0
            self._refuse_repetition("".join(self._text), "".join(self._thinking))


@contextlib.asynccontextmanager
async def aclosing(generator: AsyncGenerator[_T, None]) -> AsyncIterator[AsyncGenerator[_T, None]]:
    """Closes ``generator`` when the block ends, as ``contextlib.aclosing`` of Python 3.10 does.

    The generator of a stream that is left early then closes its connection at once, and the server stops writing.
    """
    try:
        yield generator
    finally:
        await generator.aclose()
