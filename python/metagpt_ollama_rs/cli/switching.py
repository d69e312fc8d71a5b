"""What `install`, `uninstall` and `status` have in common: which MetaGPT is meant, and how a refusal is told."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING, Any

from .command import CliError, say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from ..switch.files import Change
    from ..switch.installation import Installation

__all__ = ["add_python", "find", "refusals", "tell"]


def add_python(parser: argparse.ArgumentParser) -> None:
    """Declares `--python`."""
    parser.add_argument(
        "--python", metavar="PATH", help="the interpreter that has MetaGPT (default: the one that runs this command)"
    )


def find(arguments: argparse.Namespace) -> Installation:
    """The installation that is meant. Raises CliError where there is none."""
    from ..switch.installation import NotFoundError
    from ..switch.installation import find as find_installation

    try:
        return find_installation(arguments.python)
    except NotFoundError as error:
        raise CliError(str(error), hint=error.hint) from error


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Turns what `switch.files` raises into CliError; a diff goes to stderr before it."""
    from ..switch.files import RefusedError

    try:
        with _uninterrupted():
            yield
    except RefusedError as error:
        if error.diff:
            say(error.diff.rstrip("\n"))
        raise CliError(str(error), hint=error.hint) from error
    except OSError as error:
        raise CliError(
            f"nothing was changed: {error.filename}: {error.strerror}",
            hint="run this as the owner of that MetaGPT, or leave its files alone and use `metagpt-ollama run`",
        ) from error


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Lets signals that would end the process wait for the moment it takes until the files are whole."""
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


def tell(installation: Installation, changes: list[Change]) -> None:
    """What was done."""
    say(str(installation))
    for change in changes:
        say(f"  {change.relative}: {change.done}")
