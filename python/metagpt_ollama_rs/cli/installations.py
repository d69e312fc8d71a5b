"""What the commands about an installed MetaGPT have in common: the option `--python`, and how refusals are reported."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING, Any

from .console import CliError, print_message

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from ..switch.files import Change
    from ..switch.installation import Installation

__all__ = ["add_python_argument", "find_installation", "print_changes", "refusals_as_errors"]


def add_python_argument(parser: argparse.ArgumentParser) -> None:
    """Declares `--python`."""
    parser.add_argument(
        "--python", metavar="PATH", help="the interpreter that has MetaGPT (default: the one that runs this command)"
    )


def find_installation(arguments: argparse.Namespace) -> Installation:
    """The MetaGPT of the interpreter that `--python` names, or of this one. Raises `CliError` where there is none."""
    from ..switch import installation

    try:
        return installation.find(arguments.python)
    except installation.MetaGPTMissingError as error:
        raise CliError(str(error), hint=error.hint) from error


@contextlib.contextmanager
def refusals_as_errors() -> Iterator[None]:
    """Turns what `switch.files` raises in this block into `CliError`, and prints the diff, if it has one, before.

    Signals that would end the process are delayed until the block has ended.
    """
    from ..switch.files import RefusedError

    try:
        with _signals_deferred():
            yield
    except RefusedError as error:
        if error.diff:
            print_message(error.diff.rstrip("\n"))
        raise CliError(str(error), hint=error.hint) from error
    except OSError as error:
        raise CliError(
            f"nothing was changed: {error.filename}: {error.strerror}",
            hint="run this as the owner of that MetaGPT, or leave its files alone and use `metagpt-ollama run`",
        ) from error


@contextlib.contextmanager
def _signals_deferred() -> Iterator[None]:
    """Delays signals that would end the process until the end of the block, when all files are in place."""
    waiting: list[int] = []
    before: dict[int, Any] = {}
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, lambda number, _frame: waiting.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in waiting:
            signal.raise_signal(number)


def print_changes(installation: Installation, changes: list[Change]) -> None:
    """Prints, on stderr, what was done with each file."""
    print_message(str(installation))
    for change in changes:
        print_message(f"  {change.relative}: {change.done}")
