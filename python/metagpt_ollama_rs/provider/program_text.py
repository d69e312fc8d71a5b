"""Finds the program in an answer that was to be a program in a fence, and that a small model has written otherwise.

Nothing of the program is changed or made up: what is left out is what stands around it.

>>> find_program_text("First:\\n```bash\\npip install rich\\n```\\nThen:\\n```python\\nimport rich\\n```")
FoundProgram(text='import rich', repairs=('other block',))
>>> find_program_text("Here is the code you asked for:\\n\\nprint(1)", python=True)
FoundProgram(text='print(1)', repairs=('prose',))

No I/O here.
"""

from __future__ import annotations

import ast
import re
import textwrap
from typing import NamedTuple, Optional

__all__ = ["FoundProgram", "find_program_text"]

# Blocks of these languages tell what to do with the program, where there is another block.
_SHELLS = frozenset({"bash", "sh", "shell", "zsh", "console", "cmd", "bat", "powershell", "terminal", "text", "txt"})
_OPENING = re.compile(r"^(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})[ \t]*(?P<language>[\w+#.-]*)[^`\n]*$", re.MULTILINE)
# A sentence, which no line of a program is: it begins with a letter, has three words, and ends as sentences do.
_SENTENCE = re.compile(r"^[^\W\d_][^=(){}\[\]]*\s[^=(){}\[\]]*\s[^=(){}\[\]]*[.:!?]$")


class FoundProgram(NamedTuple):
    """The program, and how it had to be found, in words that are always the same: `fence` (another one than was asked
    for), `other block`, `unfinished fence`, `indentation`, `prose`."""

    text: str
    repairs: tuple[str, ...]


class _FencedBlock(NamedTuple):
    language: str
    text: str
    repairs: tuple[str, ...]


def find_program_text(text: str, *, python: bool = False, cut: bool = False) -> Optional[FoundProgram]:
    """The program in ``text``; None where it stands in no fence and cannot be told from other text.

    ``python`` says that the program is in Python: then one without a fence is found, too, by what Python's parser says.
    ``cut`` says that the answer has ended at its token limit: then a fence without an end has no whole program.
    """
    blocks = _blocks(text)
    if cut and blocks and "unfinished fence" in blocks[-1].repairs:
        return None
    if not blocks:
        return _without_prose(text) if python else None
    programs = [block for block in blocks if block.language.lower() not in _SHELLS] or blocks
    chosen = next((block for block in programs if python and block.language.lower() in ("python", "py")), programs[0])
    skipped = ("other block",) if chosen is not blocks[0] else ()
    return FoundProgram(chosen.text, (*skipped, *chosen.repairs))


def _blocks(text: str) -> list[_FencedBlock]:
    blocks = []
    place = 0
    while (opening := _OPENING.search(text, place)) is not None:
        start = opening.end() + 1
        fence = re.escape(opening["fence"])
        closing = re.compile(rf"^[ \t]*{fence}[`~]*[ \t]*$", re.MULTILINE).search(text, start)
        inside = text[start : closing.start()] if closing else text[start:]
        repairs = [] if opening["fence"].startswith("`") else ["fence"]
        if closing is None:
            repairs.append("unfinished fence")
        body = inside.rstrip("\n")
        if opening["indent"]:
            body = textwrap.dedent(body)
            repairs.append("indentation")
        if body.strip():
            blocks.append(_FencedBlock(opening["language"], body.rstrip(), tuple(repairs)))
        place = closing.end() if closing else len(text)
    return blocks


def _without_prose(text: str) -> Optional[FoundProgram]:
    """A program in Python without a fence: lines at the beginning and the end that are sentences are left out, as few
    as possible, until Python's parser takes the rest."""
    if _is_python(text):
        return FoundProgram(text, ())
    lines = text.split("\n")
    starts = [0, *_after_sentences(lines)]
    ends = [len(lines), *(len(lines) - count for count in _after_sentences(lines[::-1]))]
    for start in starts:
        for end in ends:
            program = "\n".join(lines[start:end]).strip("\n")
            if start < end and program.strip() and _is_python(program):
                return FoundProgram(program, ("prose",))
    return None


def _after_sentences(lines: list[str]) -> list[int]:
    """How many lines at the beginning are sentences or blank: every number of them that ends with a sentence."""
    counts = []
    for number, line in enumerate(lines, 1):
        if _SENTENCE.match(line.strip()):
            counts.append(number)
        elif line.strip():
            break
    return counts


def _is_python(text: str) -> bool:
    try:
        return bool(ast.parse(text).body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
