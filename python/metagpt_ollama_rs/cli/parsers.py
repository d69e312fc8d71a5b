"""The parser of a command's arguments: argparse's, with errors as this command line reports them.

    parser = CommandParser(prog="metagpt-ollama")
    hello = parser.add_subparsers(dest="command").add_parser("hello")
    hello.declare = lambda parser: parser.add_argument("who")

Standard library only.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Callable

from .console import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

__all__ = ["CommandParser"]


class CommandParser(argparse.ArgumentParser):
    """Raises `UsageError` for wrong arguments, and knows its arguments only when it is to parse some.

    `declare` is called with the parser before that: of all commands' parsers, one parses.

    >>> parser = CommandParser(prog="hello")
    >>> parser.declare = lambda parser: parser.add_argument("who")
    >>> parser.parse_args(["Ann"]).who
    'Ann'
    >>> try:
    ...     parser.parse_args(["Ann", "--loud"])
    ... except UsageError as error:
    ...     print(error, error.hint, sep="; ")
    unrecognized arguments: --loud; hello --help
    """

    declare: Callable[[CommandParser], None] | None = None

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """All arguments have to be known here, so that the error names the command that does not know one."""
        if self.declare is not None:
            declare, self.declare = self.declare, None
            declare(self)
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return parsed, unknown

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"{self.prog} --help")
