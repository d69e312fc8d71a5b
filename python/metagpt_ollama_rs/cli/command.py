"""What every command has in common: what its module offers, exit codes, messages.

Data goes to stdout, messages to stderr. Exit codes: 0 done; 1 something the user can put right, told with a `hint:`;
2 something unexpected, wrong arguments included.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import argparse

DONE = 0
FIXABLE = 1
UNEXPECTED = 2


class Command(Protocol):
    """What a command's module offers."""

    NAME: str
    SUMMARY: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declares the command's arguments."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Does the work and gives the exit code. Raises CliError for what the user can put right."""


class CliError(Exception):
    """Something the user can put right: one line, and a hint that says how."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def say(message: str) -> None:
    """A message for people, on stderr."""
    print(message, file=sys.stderr, flush=True)


def show_error(message: str, hint: str | None) -> None:
    """An error for people, on stderr, and what to do about it."""
    say(f"{_paint('error:', '1;31')} {message}")
    if hint:
        say(f"{_paint('hint:', '1;36')} {hint}")


def _paint(text: str, code: str) -> str:
    """`text` in colour where stderr is a terminal and nobody asked for none."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not sys.stderr.isatty():
        return text
    return f"\033[{code}m{text}\033[0m"
