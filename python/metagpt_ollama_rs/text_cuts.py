"""Where a text may be cut: after a sentence, between words, and never within a character.

>>> first_part("One sentence. Another one that is long.", lambda text: len(text) <= 20)
'One sentence. '
>>> "".join(parts("abcdefgh", lambda text: len(text) <= 3))
'abcdefgh'

Standard library only.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Callable

__all__ = ["first_part", "last_part", "parts"]

# After these a text is cut rather than elsewhere, the best first: a line, a sentence, a clause, a word.
_ENDS = tuple(
    re.compile(pattern) for pattern in (r"\n", r"[.!?][\"')\]]*\s+|[。！？][”’」』）]*", r"[,;:]\s+|[，；：、]", r"\s+")
)
# What joins two characters to one, as in flags and families.
_JOINERS = "\u200d"
# Longer rows of accents are no characters of any language, and may be cut.
_LONGEST_CHARACTER = 64
# The first place to cut that is looked for is in the last part of what fits, so that the parts do not get small.
_SEARCHED = 0.5

Fits = Callable[[str], bool]


def parts(text: str, fits: Fits) -> Iterator[str]:
    """``text`` in parts that fit, none of them empty; a single character that does not fit is a part, too."""
    start = 0
    while start < len(text):
        part = first_part(text, fits, start) or text[start : _boundary_after(text, start + 1)]
        yield part
        start += len(part)


def first_part(text: str, fits: Fits, start: int = 0) -> str:
    """The longest part of ``text`` from ``start`` on that fits, up to the end of a sentence or word if there is one;
    may be empty.

    ``fits`` must hold for every beginning of a text for which it holds.
    """
    length = _longest(len(text) - start, lambda length: fits(text[start : start + length]))
    if start + length == len(text):
        return text[start:]
    place = _boundary_before(text, start + length, start)
    least = start + int(length * _SEARCHED)
    for end in _ENDS:
        places = [found.end() for found in end.finditer(text, least, place)]
        if places and places[-1] > start:
            return text[start : places[-1]]
    return text[start:place]


def last_part(text: str, fits: Fits) -> str:
    """The longest end of ``text`` that fits, from the beginning of a sentence or word if there is one; may be empty."""
    length = _longest(len(text), lambda length: fits(text[len(text) - length :]))
    if length == len(text):
        return text
    start = _boundary_after(text, len(text) - length)
    most = start + int((len(text) - start) * _SEARCHED)
    for end in _ENDS:
        found = end.search(text, start, most)
        if found is not None:
            return text[found.end() :]
    return text[start:]


def _longest(size: int, fits: Callable[[int], bool]) -> int:
    """The largest length up to ``size`` that fits, found in few steps; 0 if none does."""
    most = 1
    while most < size and fits(most):
        most *= 2
    least, most = (most // 2 if most > 1 else 0), min(most, size) + 1
    while most - least > 1:
        middle = (least + most) // 2
        if fits(middle):
            least = middle
        else:
            most = middle
    return least


def _is_boundary(text: str, place: int) -> bool:
    """Whether a character ends before ``place``: not within a pair of surrogates, CR LF, or before an accent."""
    if not 0 < place < len(text):
        return True
    before, after = text[place - 1], text[place]
    if "\ud800" <= before <= "\udbff" and "\udc00" <= after <= "\udfff":
        return False
    if (before == "\r" and after == "\n") or before in _JOINERS or after in _JOINERS:
        return False
    # Accents, the selectors of emoji and the colours of skin belong to what stands before them.
    return not (unicodedata.combining(after) or "\ufe00" <= after <= "\ufe0f" or "\U0001f3fb" <= after <= "\U0001f3ff")


def _boundary_before(text: str, place: int, start: int = 0) -> int:
    for candidate in range(place, max(start, place - _LONGEST_CHARACTER), -1):
        if _is_boundary(text, candidate):
            return candidate
    return start if place - start < _LONGEST_CHARACTER else place


def _boundary_after(text: str, place: int) -> int:
    for candidate in range(place, min(len(text), place + _LONGEST_CHARACTER)):
        if _is_boundary(text, candidate):
            return candidate
    return min(len(text), place + _LONGEST_CHARACTER)
