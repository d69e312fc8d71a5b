r"""Unified diffs that `git apply` and `patch -p1` accept: of bytes, with git's headers, renamed files included.

print(content_diff("a.txt", b"one\ntwo", b"one\n2").decode())

diff --git a/a.txt b/a.txt
--- a/a.txt
+++ b/a.txt
@@ -1,2 +1,2 @@
 one
-two
\ No newline at end of file
+2
\ No newline at end of file
"""

from __future__ import annotations

import difflib
import re
from itertools import groupby, islice, takewhile
from operator import eq
from typing import TYPE_CHECKING, Any

from metagpt_ollama_rs.slc.files.rooted_folder import shown_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    # What happens, the old lines from where to where, and the new lines.
    Opcode = tuple[str, int, int, int, int]

__all__ = ["content_diff", "count_lines", "line_opcodes", "rename_diff"]

# Difflib is asked about so many pairs of an old and a new line.
_MOST_PAIRS = 4_000_000
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


def content_diff(path: str, before: bytes, after: bytes) -> bytes:
    """What changes in the file at ``path``, b"" if nothing does. Lines end at ``\\n`` only, as they do for `patch`."""
    # Latin-1 has one character for each byte, and difflib compares texts only.
    old_lines, new_lines = (_LINE.findall(data.decode("latin-1")) for data in (before, after))
    hunks = list(_hunks(old_lines, new_lines))
    if not hunks:
        return b""
    old, new = shown_path(f"a/{path}"), shown_path(f"b/{path}")
    # A name with spaces ends at a tab, which a quoted one does not need.
    head = f"diff --git {old} {new}\n--- {old}{_tab(old)}\n+++ {new}{_tab(new)}\n"
    whole = (line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in hunks)
    return head.encode() + "".join(whole).encode("latin-1")


def rename_diff(path: str, new_path: str) -> bytes:
    """The new name of a file.

    >>> print(rename_diff("a b", "c").decode())
    diff --git a/a b b/c
    similarity index 100%
    rename from a b
    rename to c
    <BLANKLINE>
    """
    old, new = shown_path(f"a/{path}"), shown_path(f"b/{new_path}")
    return (
        f"diff --git {old} {new}\nsimilarity index 100%\n"
        f"rename from {shown_path(path)}\nrename to {shown_path(new_path)}\n"
    ).encode()


def count_lines(diff: bytes) -> tuple[int, int]:
    """How many lines a diff of one file adds and takes away.

    >>> count_lines(content_diff("a.txt", b"one\\ntwo", b"one\\n2"))
    (1, 1)
    """
    lines = diff.split(b"\n")[3:]
    return sum(line.startswith(b"+") for line in lines), sum(line.startswith(b"-") for line in lines)


def line_opcodes(old: Sequence[str], new: Sequence[str]) -> list[Opcode]:
    """How ``new`` is made of ``old``, as `difflib.SequenceMatcher.get_opcodes` says it.

    Difflib's time grows with the square of the lines that differ, so it is asked where these are few. Where they are
    many, the lines are compared in pairs if there are as many of both, and otherwise all replaced.

    >>> line_opcodes(["a", "b"], ["a", "c", "b"])
    [('equal', 0, 1, 0, 1), ('insert', 1, 1, 1, 2), ('equal', 1, 2, 2, 3)]
    """
    start = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, new)))
    most = min(len(old), len(new)) - start
    end = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(islice(reversed(old), most), reversed(new))))
    old_middle, new_middle = old[start : len(old) - end], new[start : len(new) - end]
    if len(old_middle) * len(new_middle) <= _MOST_PAIRS:
        middle = difflib.SequenceMatcher(None, old_middle, new_middle).get_opcodes()
    elif len(old_middle) == len(new_middle):
        middle, at = [], 0
        for same, pairs in groupby(map(eq, old_middle, new_middle)):
            count = sum(1 for _ in pairs)
            middle.append(("equal" if same else "replace", at, at + count, at, at + count))
            at += count
    else:
        middle = [("replace", 0, len(old_middle), 0, len(new_middle))]
    before = [("equal", 0, start, 0, start)] if start else []
    after = [("equal", len(old) - end, len(old), len(new) - end, len(new))] if end else []
    return [*before, *((tag, a + start, b + start, c + start, d + start) for tag, a, b, c, d in middle), *after]


class _LineMatcher(difflib.SequenceMatcher):  # type: ignore[type-arg]
    """Groups the opcodes of `line_opcodes`."""

    def __init__(self, old: Sequence[str], new: Sequence[str]) -> None:
        super().__init__()
        self._lines = old, new

    def get_opcodes(self) -> Any:
        return line_opcodes(*self._lines)


def _hunks(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    for group in _LineMatcher(old, new).get_grouped_opcodes():
        first, last = group[0], group[-1]
        yield f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@\n"
        for tag, old_start, old_end, new_start, new_end in group:
            if tag == "equal":
                yield from (f" {line}" for line in old[old_start:old_end])
                continue
            yield from (f"-{line}" for line in old[old_start:old_end])
            yield from (f"+{line}" for line in new[new_start:new_end])


def _range(start: int, end: int) -> str:
    """Lines count from 1; an empty range is named by the line before it."""
    count = end - start
    return str(start + 1) if count == 1 else f"{start + bool(count)},{count}"


def _tab(name: str) -> str:
    return "\t" if " " in name and not name.startswith('"') else ""
