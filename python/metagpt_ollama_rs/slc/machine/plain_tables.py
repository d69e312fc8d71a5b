"""Tables as plain text, for people and for models: columns of equal width, separated by two blanks."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["aligned_rows"]


def aligned_rows(rows: Iterable[Sequence[str]]) -> list[str]:
    """Each row as a line. Control characters, which the name of a folder may have, are written as escapes.

    >>> aligned_rows([("six", "1.16.0"), ("typing-extensions", "4.12.2", "editable")])
    ['six                1.16.0', 'typing-extensions  4.12.2  editable']
    """
    shown = ([cell if cell.isprintable() else repr(cell)[1:-1] for cell in row] for row in rows)
    filled = list(zip_longest(*shown, fillvalue=""))
    widths = [max(map(len, column)) for column in filled]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in zip(*filled)]
