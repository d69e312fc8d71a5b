"""`EntryPoint`: one place where a program of a project is started."""

from __future__ import annotations

import re
from dataclasses import dataclass

from metagpt_ollama_rs.slc.projects.project_files import shown

__all__ = ["EntryPoint", "line_of"]

# The longest line that is shown, in characters.
_LONGEST = 500


@dataclass(frozen=True, order=True)
class EntryPoint:
    """Where a program is started.

    Attributes:
        path: the file, relative to the project's root, with slashes.
        line: the number of the line, from 1 on.
        kind: what it is there, such as ``main guard``, ``console script`` or ``dockerfile cmd``.
        name: of the function, the command or the program.
        run: the command that starts it from the project's root, or "".

    >>> print(EntryPoint("app/main.py", 12, "main guard", "main", "python app/main.py"))
    app/main.py:12: main guard: main (python app/main.py)
    """

    path: str
    line: int
    kind: str
    name: str
    run: str = ""

    def __str__(self) -> str:
        text = f"{self.path}:{self.line}: {self.kind}: {self.name}" + (f" ({self.run})" if self.run else "")
        return shown(text, _LONGEST)


def line_of(text: str, pattern: str, behind: str = "") -> int:
    """The number of the first line that begins with what the regular expression ``pattern`` matches, behind the first
    that begins with ``behind``; 1 if there is none.

    >>> line_of("[a]\\nname = 1\\n[b]\\nname = 2\\n", "name", r"\\[b\\]")
    4
    """
    lines = text.split("\n")
    start = next((index for index, line in enumerate(lines) if behind and re.match(rf"\s*{behind}", line)), 0)
    found = (index for index in range(start, len(lines)) if re.match(rf"\s*{pattern}", lines[index]))
    return next(found, start) + 1
