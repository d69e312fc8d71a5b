"""What the ``.gitignore`` files of a project leave out, folder by folder, as git reads them.

    rules = IgnoreRules()
    rules.add((), b"*.log")
    rules.add(("docs",), b"!keep.log")
    rules.ignores(("docs", "keep.log"), is_folder=False)    # False: the nearer file decides
    rules.ignores(("other.log",), is_folder=False)          # True

The patterns are read by pathspec. As in git, nothing below an ignored folder can be taken in again: whoever walks a
project does not enter it. It knows neither which files git tracks nor what a user's own settings ignore.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metagpt_ollama_rs.slc.extras import optional_module

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["IgnoreRules"]


class IgnoreRules:
    """The rules of the files that were added.

    Raises MissingLibraryError, when a file is added, where pathspec is not installed.

    >>> rules = IgnoreRules()
    >>> rules.add((), b"build/")
    >>> rules.ignores(("build",), is_folder=True), rules.ignores(("build",), is_folder=False)
    (True, False)
    """

    def __init__(self) -> None:
        self._patterns: dict[tuple[str, ...], list[Any]] = {}

    def add(self, folder: Sequence[str], data: bytes) -> None:
        """Adds the ``.gitignore`` of the folder whose path below the root has these parts. What is wrong in it is left
        out, as git leaves it out."""
        pathspec = optional_module("pathspec")
        lines = data.decode("utf-8-sig", "surrogateescape").split("\n")
        patterns: list[Any] = []
        for line in lines:
            if line.rstrip().endswith("/**"):
                # What is in the folder; pathspec would take the folder itself for a part of it.
                line = line.rstrip() + "/*"
            try:
                patterns += pathspec.GitIgnoreSpec.from_lines([line.rstrip("\r")]).patterns
            except ValueError:
                continue
        # The last one that matches decides.
        self._patterns[tuple(folder)] = [pattern for pattern in reversed(patterns) if pattern.include is not None]

    def ignores(self, parts: Sequence[str], *, is_folder: bool) -> bool:
        """Whether what has this path is left out; what the folders above it say is for the caller to ask."""
        for depth in range(len(parts) - 1, -1, -1):
            path = "/".join(parts[depth:]) + "/" * is_folder
            for pattern in self._patterns.get(tuple(parts[:depth]), ()):
                if _matches_itself(pattern, path):
                    return bool(pattern.include)
        return False


def _matches_itself(pattern: Any, path: str) -> bool:
    """Whether a pattern matches ``path`` itself. To pathspec it matches what is in a folder that it matches, too; its
    group ``ps_d`` is the slash behind that folder."""
    for found in pattern.regex.finditer(path):
        slash = found.end("ps_d") if "ps_d" in pattern.regex.groupindex else -1
        if slash in (-1, len(path)):
            return True
    return False
