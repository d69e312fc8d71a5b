"""How the tools of `metagpt-ollama tool` print: an answer as it comes on a terminal, its result elsewhere, or JSON.

    print_answer(arguments, SmartQATool.smart_qa, "Why?")

On a terminal the model's words are shown as they arrive. Elsewhere stdout gets the finished result only, such as the
code in an answer, so that `… > file` is right. With `--json` it is

    {"tool": "ask", "model": "qwen2.5:7b", "text": "…"}
"""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any, Callable

from .console import DONE, colored, print_message
from .tool_arguments import model_name, model_options

if TYPE_CHECKING:
    import argparse

__all__ = ["StreamedAnswer", "for_terminal", "heading", "print_answer", "print_diff", "print_json", "print_text"]

# All control characters but tabs and line ends: a terminal acts on them, whoever wrote them.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|\r(?!\n)")


class StreamedAnswer:
    """Shows the pieces of an answer on a terminal as they come.

    It is called with each piece; `end` puts the cursor at the start of a line, whatever has come.

    >>> answer = StreamedAnswer()
    >>> for piece in ("It de", "pends."):
    ...     answer(piece)
    It depends.
    >>> answer.text
    'It depends.'
    """

    def __init__(self) -> None:
        self.text = ""

    def __call__(self, piece: str) -> None:
        self.text += piece
        sys.stdout.write(for_terminal(piece))
        sys.stdout.flush()

    def end(self) -> None:
        """Ends the line that is begun."""
        if self.text and not self.text.endswith("\n"):
            sys.stdout.write("\n")
        sys.stdout.flush()


def print_answer(
    arguments: argparse.Namespace, method: Callable[..., str], *values: Any, streamed: bool = True, **named: Any
) -> int:
    """Prints the text that a method of `slc` returns when it is given these values, and its options from the command
    line; returns the exit code. `streamed` says that the model's words are for people while they come."""
    options = model_options(arguments)
    if arguments.json:
        text = method(*values, **named, **options)
        print_json({"tool": arguments.tool, "model": model_name(arguments), "text": text})
    elif not (streamed and sys.stdout.isatty()):
        print_text(method(*values, **named, **options))
    else:
        shown = StreamedAnswer()
        try:
            text = method(*values, **named, **options, on_text=shown)
        finally:
            shown.end()
        said = shown.text.strip()
        if text.startswith(said) and said:
            # What the tool itself says below the model's words.
            further = text[len(said) :].strip("\n")
            if further:
                print_text(f"\n{further}")
        elif text.strip() not in said:
            # The result took more than one answer, or is none.
            print_message("The result:")
            print_text(text)
    return DONE


def print_text(text: str) -> None:
    """Prints a text with a line end."""
    shown = for_terminal(text) if sys.stdout.isatty() else text
    print(shown, end="" if shown.endswith("\n") else "\n", flush=True)


def print_diff(diff: str) -> None:
    """Prints a unified diff for people, in colours where stdout is a terminal that has them."""
    for line in diff.rstrip("\n").split("\n"):
        print(_colored_line(for_terminal(line) if sys.stdout.isatty() else line))
    sys.stdout.flush()


def _colored_line(line: str) -> str:
    code = "1" if line.startswith(("+++ ", "--- ", "diff ")) else {"+": "32", "-": "31", "@": "36"}.get(line[:1])
    return colored(line, code, sys.stdout) if code else line


def heading(name: str, *, first: bool) -> str:
    """The line above what is printed of one of several files.

    >>> heading("a.py", first=True)
    '== a.py'
    """
    return f"{'' if first else chr(10)}== {name}"


def print_json(value: Any) -> None:
    """Prints a value as JSON on one line; what JSON does not have, such as a time, as its text."""
    print(json.dumps(value, default=str), flush=True)


def for_terminal(text: str) -> str:
    """The text with its control characters spelled out.

    >>> print(for_terminal("a\\x1b[2Jb"))
    a\\x1b[2Jb
    """
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
