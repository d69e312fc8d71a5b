"""Finds the program in an answer that was to be a program in a fence, and that a small model has written otherwise.

Nothing of the program is changed or made up: what is left out is what stands around it.

>>> first_installs = "First:\\n```bash\\npip install rich\\n```\\nThen:\\n```python\\nimport rich\\n```"
>>> find_program_text(first_installs, file_name="main.py")
FoundProgram(text='import rich', repairs=('other block',))
>>> find_program_text("Here is the code you asked for:\\n\\nprint(1)", python=True)
FoundProgram(text='print(1)', repairs=('prose',))

The first block is the program, as for MetaGPT, but for a block that plainly is none: commands that install or run
something where the file is no shell script, or another language's block where the program is in Python and another
block says that it has it. An answer is read once, from line to line, whatever is in it. No I/O here.
"""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import PurePosixPath
from typing import NamedTuple, Optional

__all__ = [
    "PARSE_ERRORS",
    "SHELLS",
    "FoundProgram",
    "find_program_text",
    "has_only_commands",
    "is_sentence",
    "parses_as_python",
    "without_prose",
]

# What Python's parser raises for a text that is no program, or one that it cannot hold.
PARSE_ERRORS = (SyntaxError, ValueError, RecursionError, MemoryError)

# Blocks of these languages may tell what to do with the program.
SHELLS = frozenset({"bash", "sh", "shell", "zsh", "console", "cmd", "bat", "powershell", "terminal", "text", "txt"})
# Files that commands may stand in, and files of text, in which a line of tildes is a rule or underlines a heading.
_SCRIPTS = frozenset({".sh", ".bash", ".zsh", ".fish", ".ksh", ".csh", ".bat", ".cmd", ".ps1", ".command"})
_TEXTS = frozenset({".rst", ".md", ".markdown", ".txt", ".adoc"})
# The beginning of a command that installs or runs something, after the prompt of a shell or a notebook.
_COMMAND = re.compile(
    r"(?:[$>!%][ ]?)?(?:sudo )?(?:pip3?|python3?|py|uv|poetry|conda|mamba|npm|npx|yarn|pnpm|node|apt|apt-get|brew|"
    r"cargo|go|git|cd|mkdir|touch|source|docker|pytest|flask|uvicorn|streamlit|java|javac|mvn|gradle)(?: |$)"
)
_PYTHON = frozenset({"python", "py", "python3"})
_HAN = re.compile(r"[\u3400-\u9fff]")
# How many lines of prose, at the beginning and at the end, are left out in as many ways as there are.
_MOST_TRIED = 12


class FoundProgram(NamedTuple):
    r"""The program, and how it had to be found, in words that are always the same: `fence` (another one than was asked
    for), `other block`, `unfinished fence`, `indentation`, `prose`.

    >>> find_program_text("~~~python\nprint(1)\n~~~")
    FoundProgram(text='print(1)', repairs=('fence',))
    """

    text: str
    repairs: tuple[str, ...]


class _FencedBlock(NamedTuple):
    language: str
    text: str
    repairs: tuple[str, ...]


class _Fence(NamedTuple):
    """An opening line: its indentation, its three or more backticks or tildes, and the word after them or ""."""

    indent: str
    marks: str
    language: str


def find_program_text(
    text: str, *, python: bool = False, file_name: str = "", cut: bool = False
) -> Optional[FoundProgram]:
    """The program in ``text``; None where it stands in no fence and cannot be told from other text.

    ``file_name`` is the file that the program is for, "" where that is not known. ``python`` says that the program is
    in Python, as the name of a Python file does: then one without a fence is found, too, by what Python's parser says.
    ``cut`` says that the answer has ended at its token limit: then a fence without an end has no whole program.
    """
    suffix = PurePosixPath(file_name).suffix.lower()
    python = python or suffix == ".py"
    if python and not text.lstrip().startswith("~~~") and parses_as_python(text):
        return FoundProgram(text, ())
    blocks = _blocks(text, tildes=suffix not in _TEXTS)
    if blocks and "unfinished fence" in blocks[-1].repairs and (cut or "```" in blocks[-1].text):
        # MetaGPT ends a block at the next backticks, wherever in a line they stand.
        return None
    if not blocks:
        return without_prose(text) if python else None
    chosen = _choose_block(blocks, python, is_script=not suffix or suffix in _SCRIPTS or suffix in _TEXTS)
    skipped = ("other block",) if chosen is not blocks[0] else ()
    return FoundProgram(chosen.text, (*skipped, *chosen.repairs))


def _choose_block(blocks: list[_FencedBlock], python: bool, is_script: bool) -> _FencedBlock:
    """The first block that can be the program; the first one of all if none can. ``is_script`` says that the file may
    be a shell's, so that commands are no reason against a block."""
    commands_are_none = python or not is_script
    has_python = any(block.language in _PYTHON for block in blocks)
    for block in blocks:
        if commands_are_none and block.language in SHELLS and has_only_commands(block.text):
            continue
        if (
            python
            and has_python
            and block.language
            and block.language not in _PYTHON
            and not _can_be_python(block.text)
        ):
            continue
        return block
    return blocks[0]


def has_only_commands(text: str) -> bool:
    """Whether all lines, comments aside, are commands that install or run something."""
    lines = [line.strip() for line in text.split("\n")]
    return all(_COMMAND.match(line) for line in lines if line and not line.startswith("#"))


def _can_be_python(text: str) -> bool:
    """Whether ``text`` is a program in Python that does something, whatever language its fence names: data, as JSON
    has, and ``flask==3.0`` do nothing."""
    try:
        body = ast.parse(text).body
    except PARSE_ERRORS:
        return False
    return any(
        not isinstance(each, ast.Expr) or any(isinstance(part, ast.Call) for part in ast.walk(each)) for each in body
    )


def _blocks(text: str, *, tildes: bool) -> list[_FencedBlock]:
    """The blocks between fences of backticks; without any, and where ``tildes`` are allowed, those between tildes."""
    lines = text.split("\n")
    found = _blocks_between(lines, "`")
    return found if found or not tildes or "```" in text else _blocks_between(lines, "~")


def _blocks_between(lines: list[str], mark: str) -> list[_FencedBlock]:
    blocks = []
    number = 0
    while number < len(lines):
        fence = _opening(lines, number, mark)
        number += 1
        if fence is None:
            continue
        start = number
        while number < len(lines) and not _closes(lines[number], fence):
            number += 1
        is_closed = number < len(lines)
        if mark == "~" and not fence.language and not is_closed:
            # A line of tildes is a fence by its language or by its end.
            number = start
            continue
        block = _block_of(fence, "\n".join(lines[start:number]), is_closed)
        if block.text.strip():
            blocks.append(block)
        number += 1
    return blocks


def _opening(lines: list[str], number: int, mark: str) -> Optional[_Fence]:
    line = lines[number].rstrip()
    marked = line.lstrip(" \t")
    rest = marked.lstrip(mark)
    count = len(marked) - len(rest)
    if count < 3 or "`" in rest:
        return None
    words = rest.split(maxsplit=1)
    if mark == "~" and not words and (count != 3 or _is_underline(lines, number)):
        return None
    language = re.match(r"[\w+#.-]*", words[0])[0] if words else ""  # type: ignore[index]
    return _Fence(line[: len(line) - len(marked)], mark * count, language.lower())


def _is_underline(lines: list[str], number: int) -> bool:
    """Whether the tildes stand beneath a text that is about as long, as a heading of reStructuredText."""
    above = lines[number - 1].strip() if number else ""
    return bool(above) and len(above) <= 2 * len(lines[number].strip())


def _closes(line: str, fence: _Fence) -> bool:
    marks = line.strip()
    return marks.startswith(fence.marks) and not marks.strip(fence.marks[0])


def _block_of(fence: _Fence, inside: str, is_closed: bool) -> _FencedBlock:
    repairs = [] if fence.marks.startswith("`") else ["fence"]
    if not is_closed:
        repairs.append("unfinished fence")
    body = inside.rstrip("\n")
    if fence.indent:
        body = textwrap.dedent(body)
        repairs.append("indentation")
    return _FencedBlock(fence.language, body.rstrip(), tuple(repairs))


def without_prose(text: str) -> Optional[FoundProgram]:
    """A program in Python without a fence: lines at the beginning and the end that are sentences are left out, as few
    as possible, until Python's parser takes the rest."""
    lines = text.split("\n")
    starts = [0, *_after_sentences(lines)]
    ends = [len(lines), *(len(lines) - count for count in _after_sentences(lines[::-1]))]
    for start in starts:
        for end in ends:
            program = "\n".join(lines[start:end]).strip("\n")
            if start < end and program.strip() and parses_as_python(program):
                return FoundProgram(program, ("prose",))
    return None


def _after_sentences(lines: list[str]) -> list[int]:
    """How many lines at the beginning are sentences or blank: the first numbers of them that end with a sentence, and
    the last one."""
    counts = []
    for number, line in enumerate(lines, 1):
        if is_sentence(line.strip()):
            counts.append(number)
        elif line.strip():
            break
    return counts if len(counts) <= _MOST_TRIED else [*counts[: _MOST_TRIED - 1], counts[-1]]


def is_sentence(line: str) -> bool:
    """Whether ``line`` is what no line of a program is: it begins with a letter, has three words (or four Chinese
    characters) and none of the signs of programs, and ends as sentences do; or it is set in bold, as a heading."""
    if line.startswith("**") and "**" in line[3:]:
        return True
    if not line[:1].isalpha() or line[-1] not in ".:!?。：！？" or set("=(){}[]") & set(line):
        return False
    return len(line.split()) >= 3 or len(_HAN.findall(line)) >= 4


def parses_as_python(text: str) -> bool:
    """Whether Python's parser takes ``text``, and finds more than comments in it."""
    try:
        return bool(ast.parse(text).body)
    except PARSE_ERRORS:
        return False
