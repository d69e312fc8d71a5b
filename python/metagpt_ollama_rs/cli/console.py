"""How the commands report to the user: exit codes, messages on stderr, errors with a hint.

Data goes to stdout, messages go to stderr, for example:

    error: metagpt: no such program
    hint: a script needs its interpreter: python script.py

Standard library only; every command's module imports this one, and this one imports none of them.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

__all__ = [
    "DONE",
    "FIXABLE",
    "INTERRUPTED",
    "UNEXPECTED",
    "CliError",
    "UsageError",
    "colored",
    "print_error",
    "print_json_error",
    "print_message",
]

# Exit codes: all went well; something that the user can put right; anything else, wrong arguments included.
DONE = 0
FIXABLE = 1
UNEXPECTED = 2
# Ctrl-C has ended the command. By the convention of shells: 128 and the number of SIGINT.
INTERRUPTED = 130


class CliError(Exception):
    """Something that the user can put right, as one line; `hint` says how. A command that raises it exits with 1.

    >>> CliError("model.gguf cannot be read", hint="check --gguf").hint
    'check --gguf'
    """

    exit_code = FIXABLE

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(CliError):
    """Wrong arguments. The command exits with 2, as is the custom.

    >>> UsageError("invalid choice: 'sevre'", hint="metagpt-ollama --help").exit_code
    2
    """

    exit_code = UNEXPECTED


def print_message(message: str) -> None:
    """Prints a message for people on stderr."""
    print(message, file=sys.stderr, flush=True)


def print_error(message: str, hint: str | None) -> None:
    """Prints an error for people on stderr, and below it what to do about it, if `hint` says so."""
    print_message(f"{colored('error:', '1;31')} {message}")
    if hint:
        print_message(f"{colored('hint:', '1;36')} {hint}")


def print_json_error(error: BaseException, message: str, hint: str | None, exit_code: int) -> None:
    """Prints an error for programs on stdout, as a JSON object. What arrived of an answer before it is `partial`:

    {"error": {"type": "InterruptedStreamError", "message": "…", "hint": "…", "exit_code": 1, "partial": "def f("}}
    """
    cause = error.__cause__ or error
    described = {"type": type(cause).__name__, "message": message, "hint": hint or "", "exit_code": exit_code}
    if partial := getattr(cause, "partial", ""):
        described["partial"] = partial
    print(json.dumps({"error": described}), flush=True)


def colored(text: str, code: str, stream: TextIO | None = None) -> str:
    """`text` in the colour of the ANSI code `code`, where the stream it is for (stderr, if None) is a terminal and the
    user did not ask for none."""
    stream = stream or sys.stderr
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return text
    return f"\033[{code}m{text}\033[0m"
