"""Texts that are too long for a model, cut where code and prose have their borders.

    pieces = cut_text("shop.py", text, lambda piece: len(piece) < 4000)
    # [Piece(first=1, last=88, text="import …"), Piece(first=89, last=140, text="class Order: …"), …]

Python is cut before a statement of the module, else before one of a class or a function, as `ast` finds them. Other
texts are cut before a paragraph that is not indented, else at a blank line. Where a piece that fits has no such border
in its second half, it ends with a line; a line that does not fit by itself is cut between its words. No I/O.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, NamedTuple

from metagpt_ollama_rs.program_text import PARSE_ERRORS
from metagpt_ollama_rs.text_cuts import parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Piece", "cut_text"]

# A border that is looked for is in the last part of what fits, so that the pieces do not get small.
_SEARCHED = 0.5


class Piece(NamedTuple):
    """A part of a text, with the numbers of its first and last line, from 1 on.

    >>> cut_text("a.txt", "one\\n\\ntwo\\n", lambda piece: len(piece) < 6)
    [Piece(first=1, last=2, text='one\\n\\n'), Piece(first=3, last=3, text='two\\n')]
    """

    first: int
    last: int
    text: str


def cut_text(name: str, text: str, fits: Callable[[str], bool], first: int = 1) -> list[Piece]:
    """The pieces of ``text``, the content of a file ``name``, each of which fits; together they are the text.

    ``fits`` must hold for every beginning of a text for which it holds. ``first`` is the number of the first line. A
    single character that does not fit is a piece, too.
    """
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    lines = lines if lines[-1] else lines[:-1]
    levels = _python_borders(text, lines) if name.endswith((".py", ".pyi")) else []
    levels = levels or _paragraph_borders(lines)
    pieces, start = [], 0
    while start < len(lines):
        end = _fitting_lines(lines, start, fits)
        if end == start:
            pieces += [Piece(first + start, first + start, part) for part in parts(lines[start], fits)]
            end = start + 1
        else:
            end = end if end == len(lines) else _border_before(levels, start, end)
            pieces.append(Piece(first + start, first + end - 1, "".join(lines[start:end])))
        start = end
    return pieces


def _fitting_lines(lines: list[str], start: int, fits: Callable[[str], bool]) -> int:
    """Behind which line the longest piece from ``start`` on ends that fits; ``start`` if not even one line does."""
    least, most = start, start + 1
    while most <= len(lines) and fits("".join(lines[start:most])):
        least, most = most, most + (most - start)
    most = min(most, len(lines) + 1)
    while most - least > 1:
        middle = (least + most) // 2
        if fits("".join(lines[start:middle])):
            least = middle
        else:
            most = middle
    return least


def _border_before(levels: list[set[int]], start: int, end: int) -> int:
    """The last of the best borders in the second half of the lines from ``start`` to ``end``, or ``end``."""
    for borders in levels:
        for line in range(end, start + int((end - start) * _SEARCHED), -1):
            if line in borders:
                return line
    return end


def _python_borders(text: str, lines: list[str]) -> list[set[int]]:
    """Before which lines, from 0 on, statements begin: those of the module, those of what is in it, and so on. Comments
    and decorators belong to what stands below them. Empty if the text is no Python."""
    try:
        tree = ast.parse(text)
    except PARSE_ERRORS:
        return []
    levels: list[set[int]] = []
    bodies: list[ast.AST] = [tree]
    while bodies:
        statements = [node for body in bodies for node in ast.iter_child_nodes(body) if isinstance(node, ast.stmt)]
        begin = (min([node.lineno, *_decorator_lines(node)]) - 1 for node in statements)
        levels.append({_with_comments(lines, line) for line in begin})
        bodies = list(statements)
    return levels


def _decorator_lines(node: ast.stmt) -> Iterator[int]:
    return (decorator.lineno for decorator in getattr(node, "decorator_list", ()))


def _with_comments(lines: list[str], line: int) -> int:
    while line > 0 and lines[line - 1].lstrip().startswith("#"):
        line -= 1
    return line


def _paragraph_borders(lines: list[str]) -> list[set[int]]:
    """Before which lines a paragraph begins: those that are not indented, then all."""
    begin = {
        index for index, (before, line) in enumerate(zip(lines, lines[1:]), 1) if line.strip() and not before.strip()
    }
    return [{index for index in begin if not lines[index][0].isspace()}, begin]
