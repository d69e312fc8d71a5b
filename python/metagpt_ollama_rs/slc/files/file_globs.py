"""Patterns of paths: ``*``, ``?`` and ``[…]`` within a name, ``**`` for any number of folders.

    glob = PathGlob("lib/**/*.py")
    glob.matches(("lib", "a.py")), glob.matches(("lib", "b", "c.py"))       # True, True
    glob.may_match_below(("docs",))                                         # False: not worth looking into

Upper and lower case differ, and braces are ordinary characters. A name that begins with a dot is matched by what begins
with a dot, or where hidden files are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from metagpt_ollama_rs.slc.files.rooted_folder import path_parts

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PathGlob"]

_ANY = "**"


@dataclass(frozen=True)
class PathGlob:
    """A pattern. Raises PathRefusedError for one that is absolute, empty, or has ``..``.

    >>> [PathGlob(pattern).matches((".ci", "a.yml")) for pattern in ("**/*.yml", ".ci/*.yml", "**")]
    [False, True, False]
    >>> PathGlob("**", hidden=True).matches((".ci", "a.yml"))
    True
    """

    pattern: str
    hidden: bool = False
    _parts: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        parts = path_parts(self.pattern)
        # `**` at the end means all files below, and several in a row mean the same as one.
        parts = (*parts, "*") if parts[-1] == _ANY else parts
        several = [part for part, before in zip(parts, ("", *parts)) if (part, before) != (_ANY, _ANY)]
        object.__setattr__(self, "_parts", tuple(several))

    def matches(self, parts: Sequence[str]) -> bool:
        """Whether the file with this path is meant. A path is meant by itself, too, whatever signs are in it."""
        return tuple(parts) == path_parts(self.pattern) or len(self._parts) in self._after(parts)

    def may_match_below(self, parts: Sequence[str]) -> bool:
        """Whether a file in the folder with this path, or below it, can be meant."""
        literal = path_parts(self.pattern)
        return tuple(parts) == literal[: len(parts)] or any(at < len(self._parts) for at in self._after(parts))

    def _after(self, parts: Sequence[str]) -> set[int]:
        """How many parts of the pattern may have been used up by ``parts``: each possible number."""
        states = self._with_skipped({0})
        for name in parts:
            found = set()
            for at in states:
                if at == len(self._parts):
                    continue
                wanted = self._parts[at]
                if name.startswith(".") and not (self.hidden or wanted.startswith(".")):
                    continue
                if wanted == _ANY:
                    found.add(at)
                elif fnmatchcase(name, wanted):
                    found.add(at + 1)
            states = self._with_skipped(found)
        return states

    def _with_skipped(self, states: set[int]) -> set[int]:
        """Adds the places behind each `**`, which may stand for no folder at all."""
        return states | {at + 1 for at in states if at < len(self._parts) and self._parts[at] == _ANY}
