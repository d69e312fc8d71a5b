"""What a docstring says of a function and of each of its arguments: Google's, NumPy's and Sphinx's ways of writing it.

The description is all that stands before the first section on arguments, results or errors. Other sections
(``Example:``, ``Note:``) belong to it, because they tell a model how to use the function. No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Container

__all__ = ["parse_docstring"]

_ARGUMENTS = (
    "args",
    "arguments",
    "attributes",
    "keyword args",
    "keyword arguments",
    "other parameters",
    "parameters",
    "params",
)
_OUTCOMES = ("return", "returns", "yield", "yields", "raise", "raises")

_GOOGLE = re.compile(r"\*{0,2}(\w+)\s*(?:\(.*?\))?\s*:(?:\s+|$)(.*)")
# The same without a space after the colon, which counts for the name of an argument only.
_GOOGLE_DENSE = re.compile(r"\*{0,2}(\w+)\s*(?:\(.*?\))?\s*:(.*)")
_NUMPY = re.compile(r"(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?$")
_SPHINX = re.compile(r"[:@](\w+)\b([^:]*):\s*(.*)")


def parse_docstring(docstring: str, arguments: Container[str]) -> tuple[str, dict[str, str]]:
    """The description, and the text on each argument that has one. ``docstring`` is as ``inspect.getdoc`` gives it.

    >>> parse_docstring("Adds.\\n\\nArgs:\\n    a: the first number.", {"a"})
    ('Adds.', {'a': 'the first number.'})
    """
    lines = docstring.splitlines()
    description: list[str] = []
    found: dict[str, list[str]] = {}
    begun = False
    at = 0
    while at < len(lines):
        title = lines[at].strip()
        section, colon, rest = title.lower().partition(":")
        section = section.rstrip()
        below = lines[at + 1].strip() if at + 1 < len(lines) else ""
        numpy = bool(title) and len(below) > 2 and set(below) <= {"-", "="}
        field = _SPHINX.match(title)
        if (section in _ARGUMENTS and (numpy or colon) and not rest) or (section in _OUTCOMES and (numpy or colon)):
            begun = True
            block, at = _block(lines, at + 1 + numpy, _indent(lines[at]), numpy, arguments)
            if section in _ARGUMENTS:
                _read_block(block, _NUMPY if numpy else _GOOGLE, arguments, found)
        elif field and field[1] in ("param", "parameter", "arg", "argument", "key", "keyword"):
            begun = True
            name = field[2].split()[-1:] or [""]
            text = found.setdefault(name[0].lstrip("*"), [])
            text.append(field[3])
            at += 1
            while at < len(lines) and lines[at].strip() and not _SPHINX.match(lines[at].strip()):
                text.append(lines[at].strip())
                at += 1
        elif field and field[1] in (*_OUTCOMES, "rtype", "type"):
            begun = True
            at += 1
        else:
            if not begun:
                description.append(lines[at].rstrip())
            at += 1
    texts = {name: " ".join(filter(None, text)) for name, text in found.items() if name in arguments}
    return "\n".join(description).strip(), texts


def _block(lines: list[str], start: int, margin: int, numpy: bool, arguments: Container[str]) -> tuple[list[str], int]:
    """The lines of a section from ``start`` on, and where the next begins. ``margin`` is its title's indentation."""
    end = start
    while end < len(lines):
        line = lines[end]
        if line.strip() and _indent(line) <= margin:
            if numpy:
                below = lines[end + 1].strip() if end + 1 < len(lines) else ""
                if len(below) > 2 and set(below) <= {"-", "="}:
                    break
            else:
                entry = _GOOGLE.match(line.strip())
                if not (entry and entry[1] in arguments):
                    break
        end += 1
    return lines[start:end], end


def _read_block(
    block: list[str], entry: re.Pattern[str], arguments: Container[str], found: dict[str, list[str]]
) -> None:
    margin: int | None = None
    current: list[str] = []
    for line in block:
        text = line.strip()
        if not text:
            continue
        if margin is None or _indent(line) <= margin:
            match = entry.match(text)
            if entry is _GOOGLE and match is None:
                dense = _GOOGLE_DENSE.match(text)
                match = dense if dense and dense[1] in arguments else None
            if match:
                margin = _indent(line)
                current = []
                for name in match[1].split(","):
                    found[name.strip().lstrip("*")] = current
                if entry is _GOOGLE:
                    current.append(match[2])
                continue
        current.append(text)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
