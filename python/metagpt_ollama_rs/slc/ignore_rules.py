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
        self._specs: dict[tuple[str, ...], Any] = {}

    def add(self, folder: Sequence[str], data: bytes) -> None:
        """Adds the ``.gitignore`` of the folder whose path below the root has these parts. What is wrong in it is left
        out, as git leaves it out."""
        pathspec = optional_module("pathspec")
        lines = data.decode("utf-8-sig", "surrogateescape").split("\n")
        patterns: list[Any] = []
        for line in lines:
            try:
                patterns += pathspec.GitIgnoreSpec.from_lines([line.rstrip("\r")]).patterns
            except ValueError:
                continue
        self._specs[tuple(folder)] = pathspec.GitIgnoreSpec(patterns)

    def ignores(self, parts: Sequence[str], *, is_folder: bool) -> bool:
        """Whether what has this path is left out; what the folders above it say is for the caller to ask."""
        for depth in range(len(parts) - 1, -1, -1):
            spec = self._specs.get(tuple(parts[:depth]))
            if spec is not None:
                included = spec.check_file("/".join(parts[depth:]) + "/" * is_folder).include
                if included is not None:
                    return bool(included)
        return False
