"""The frame of all commands: it reads the arguments, runs one command, and turns what it raises into an exit code.

The commands are the modules of the folder `commands`; nothing lists them a second time. Exit codes and messages are
described in `console`.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
from typing import TYPE_CHECKING, Protocol, cast

from ..switch.environment import TRACEBACK_VARIABLE
from . import commands
from .console import DONE, FIXABLE, UNEXPECTED, CliError, print_error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

# The exit code of a program that Ctrl-C has ended, by the convention of shells: 128 and the number of SIGINT.
_INTERRUPTED = 130

# The names of all commands, in the order of the alphabet.
COMMANDS = tuple(sorted(module.name for module in pkgutil.iter_modules(commands.__path__)))


class Command(Protocol):
    """What the module of a command has. `POSITION` orders the list of `--help`, the lowest number first.

    >>> from metagpt_ollama_rs.cli.commands import status
    >>> command: Command = status
    >>> command.NAME, command.POSITION > 0
    ('status', True)
    """

    NAME: str
    SUMMARY: str
    POSITION: int

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declares the command's arguments on a parser of its own."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Does the work and returns the exit code. Raises `CliError` for what the user can put right."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line `arguments`, by default that of the process, and returns the exit code."""
    parser = _parser()
    try:
        parsed = parser.parse_args(arguments)
        if parsed.command is None:
            parser.print_help(sys.stderr)
            return UNEXPECTED
        return _command(parsed.command).run(parsed)
    except CliError as error:
        print_error(str(error), error.hint)
        return FIXABLE
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The program that reads stdout has closed it. The interpreter must not complain when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        wants_traceback = os.environ.get(TRACEBACK_VARIABLE)
        hint = None if wants_traceback else f"{TRACEBACK_VARIABLE}=1 shows where"
        print_error(f"unexpected: {type(error).__name__}: {error}", hint)
        if wants_traceback:
            raise
        return UNEXPECTED


class _Parser(argparse.ArgumentParser):
    """Reports wrong arguments as every other error is reported: a line `error:`, then a line `hint:`."""

    def error(self, message: str) -> NoReturn:
        print_error(message, f"{self.prog} --help")
        raise SystemExit(UNEXPECTED)


class _Version(argparse.Action):
    """Prints the version, which is imported only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from metagpt_ollama_rs import __version__

        print(f"metagpt-ollama {__version__}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="metagpt-ollama", description="Ollama for MetaGPT: helpers around the provider.")
    parser.add_argument("-V", "--version", action=_Version, nargs=0, help="show the version and exit")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name in sorted(COMMANDS, key=lambda name: _command(name).POSITION):
        command = _command(name)
        subparser = subparsers.add_parser(name, help=command.SUMMARY, description=command.SUMMARY)
        command.add_arguments(subparser)
    return parser


def _command(name: str) -> Command:
    """The module of the command `name`."""
    return cast("Command", importlib.import_module(f"{commands.__name__}.{name}"))
