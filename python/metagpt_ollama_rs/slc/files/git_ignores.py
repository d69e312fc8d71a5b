"""Which files of a project git would ignore, without running git: `ignore_rules` with the files that git reads.

    rules = GitIgnores("/repository/src")           # .git/info/exclude, /repository/.gitignore
    rules.enter(())                                 # /repository/src/.gitignore
    rules.ignores(("main.log",), is_folder=False)   # True, if one of them says *.log

The user's global file (``core.excludesFile``) is not read, and files that git tracks although they are ignored are
taken for ignored.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from metagpt_ollama_rs.slc.files.ignore_rules import IgnoreRules

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["GitIgnores"]

# Longer files of patterns are no files of patterns.
_MOST_BYTES = 1 << 20


class GitIgnores:
    """What is ignored below ``root``, a folder inside a repository or outside of one.

    What the folders above it say counts, too, up to the top of the repository; but not where they ignore ``root``
    itself, because whoever names a folder wants to see what is in it. Raises MissingLibraryError without pathspec.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, ".gitignore").write_text("*.log\\n!keep.log\\n")
    ...     rules = GitIgnores(folder)
    ...     rules.enter(())
    >>> rules.ignores(("a.log",), is_folder=False), rules.ignores(("sub", "keep.log"), is_folder=False)
    (True, False)
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        root = Path(root).resolve()
        top = next((folder for folder in (root, *root.parents) if os.path.lexists(folder / ".git")), root)
        self._exclude = _patterns(_git_folder(top) / "info" / "exclude")
        self._top, self._above = top, root.relative_to(top).parts
        self._rules = IgnoreRules()
        for depth in range(len(self._above)):
            self._add(self._above[:depth])
            if self._rules.ignores(self._above[: depth + 1], is_folder=True):
                self._top, self._above, self._rules, self._exclude = root, (), IgnoreRules(), b""
                break

    def enter(self, parts: Sequence[str], data: Optional[bytes] = None) -> None:
        """Reads the ``.gitignore`` of the folder whose path below the root has these parts, unless its ``data`` is
        given."""
        self._add((*self._above, *parts), data)

    def ignores(self, parts: Sequence[str], *, is_folder: bool) -> bool:
        """Whether what has this path below the root is ignored. All folders above it must have been entered."""
        return self._rules.ignores((*self._above, *parts), is_folder=is_folder)

    def _add(self, parts: tuple[str, ...], data: Optional[bytes] = None) -> None:
        if data is None:
            data = _patterns(self._top.joinpath(*parts, ".gitignore"))
        if not parts:
            # The weakest of all: what stands in a later line wins.
            data = self._exclude + b"\n" + data.removeprefix(b"\xef\xbb\xbf")
        if data.strip():
            self._rules.add(parts, data)


def _patterns(file: Path) -> bytes:
    """What is in a file of patterns, b"" where there is none that can be read. Like git, this follows no link to it."""
    try:
        if file.is_symlink() or not file.is_file() or file.stat().st_size > _MOST_BYTES:
            return b""
        return file.read_bytes()
    except OSError:
        return b""


def _git_folder(top: Path) -> Path:
    """Where ``info`` is: in a worktree or a submodule, ``.git`` is a file that leads there."""
    git = top / ".git"
    try:
        if git.is_file():
            git = top / git.read_text(encoding="utf-8").partition("gitdir:")[2].strip()
            shared = git / "commondir"
            if shared.is_file():
                return git / shared.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError):
        return git
    return git
