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

from metagpt_ollama_rs.slc.rooted_folder import shown_path

__all__ = ["content_diff", "count_lines", "rename_diff"]

_LINE = re.compile(r"[^\n]*\n|[^\n]+")


def content_diff(path: str, before: bytes, after: bytes) -> bytes:
    """What changes in the file at ``path``, b"" if nothing does. Lines end at ``\\n`` only, as they do for `patch`."""
    # Latin-1 has one character for each byte, and difflib compares texts only.
    old_lines, new_lines = (_LINE.findall(data.decode("latin-1")) for data in (before, after))
    hunks = list(difflib.unified_diff(old_lines, new_lines))[2:]
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


def _tab(name: str) -> str:
    return "\t" if " " in name and not name.startswith('"') else ""
