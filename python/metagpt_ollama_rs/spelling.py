"""Which known name a misspelt one was meant to be: of options, of arguments and of models. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["near_miss", "refuse_unknown", "unknown_argument"]


def near_miss(name: str, known: Iterable[str]) -> str | None:
    """The one of ``known`` that ``name`` is a slip of the keyboard away from, or None.

    Case, hyphens and camel case do not count. ``top_n`` is no misspelt ``top_k``: where a single letter is a whole
    part of a name, another letter is another name.

    >>> near_miss("temperture", ["temperature", "top_p"])
    'temperature'
    >>> near_miss("top_n", ["top_k", "top_p"])
    """
    word = _normalized(name)
    allowed = 1 if len(word) < 6 else 2 if len(word) < 12 else 3
    best, least = None, allowed + 1
    for candidate in known:
        other = _normalized(candidate)
        if word.replace("_", "") == other.replace("_", ""):
            return candidate
        if abs(len(word) - len(other)) < least and not _differ_in_a_letter(word, other):
            distance = _distance(word, other)
            if distance < least:
                best, least = candidate, distance
    return best


def unknown_argument(called: str, name: str, known: Iterable[str], hint: str = "") -> TypeError:
    """The error for an argument that ``called`` does not have; ``hint`` is what it says at its end."""
    names = list(known)
    close = near_miss(name, names)
    meant = f"; did you mean {close!r}?" if close else ""
    return TypeError(f"{called}() has no argument {name!r}{meant}; it has {', '.join(names)}{hint}")


def refuse_unknown(called: str, function: Callable[..., Any], unknown: Mapping[str, object]) -> None:
    """Raises TypeError for the first of ``unknown``, the arguments of ``function`` that it does not have."""
    if unknown:
        import inspect

        known = inspect.signature(function).parameters.values()
        names = [parameter.name for parameter in known if parameter.kind is not parameter.VAR_KEYWORD]
        raise unknown_argument(called, next(iter(unknown)), names[1:])


def _normalized(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(" ", "_")


def _differ_in_a_letter(word: str, other: str) -> bool:
    parts, others = word.split("_"), other.split("_")
    different = [pair for pair in zip(parts, others) if pair[0] != pair[1]]
    return len(parts) == len(others) and len(different) == 1 and all(len(part) == 1 for part in different[0])


def _distance(word: str, other: str) -> int:
    """How many letters were left out, added, replaced or swapped with their neighbour."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(word, 1):
        before, above, row = row, before, [i]
        for j, its in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != its))
            if above and j > 1 and letter == other[j - 2] and word[i - 2] == its:
                cost = min(cost, above[j - 2] + 1)
            row.append(cost)
    return row[-1]
