"""How the commands report to the user: exit codes, messages on stderr, errors with a hint.

Data goes to stdout, messages go to stderr, for example:

    error: metagpt: no such program
    hint: a script needs its interpreter: python script.py

Standard library only; every command's module imports this one, and this one imports none of them.
"""

from __future__ import annotations

import os
import sys

__all__ = ["DONE", "FIXABLE", "UNEXPECTED", "CliError", "print_error", "print_message"]

# Exit codes: all went well; something that the user can put right; anything else, wrong arguments included.
DONE = 0
FIXABLE = 1
UNEXPECTED = 2


class CliError(Exception):
    """Something that the user can put right, as one line; `hint` says how. A command that raises it exits with 1.

    >>> CliError("model.gguf cannot be read", hint="check --gguf").hint
    'check --gguf'
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def print_message(message: str) -> None:
    """Prints a message for people on stderr."""
    print(message, file=sys.stderr, flush=True)


def print_error(message: str, hint: str | None) -> None:
    """Prints an error for people on stderr, and below it what to do about it, if `hint` says so."""
    print_message(f"{_colored('error:', '1;31')} {message}")
    if hint:
        print_message(f"{_colored('hint:', '1;36')} {hint}")


def _colored(text: str, code: str) -> str:
    """`text` in the colour of the ANSI code `code`, where stderr is a terminal and the user did not ask for none."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not sys.stderr.isatty():
        return text
    return f"\033[{code}m{text}\033[0m"
