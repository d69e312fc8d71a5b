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
from .console import DONE, INTERRUPTED, UNEXPECTED, CliError, print_error, print_json_error
from .parsers import CommandParser

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    given = sys.argv[1:] if arguments is None else list(arguments)
    parsed: argparse.Namespace | None = None
    try:
        parser = _parser()
        parsed = parser.parse_args(given)
        if parsed.command is None:
            parser.print_help(sys.stderr)
            return UNEXPECTED
        return _command(parsed.command).run(parsed)
    except CliError as error:
        _report(error, str(error), error.hint, error.exit_code, given, parsed)
        return error.exit_code
    except KeyboardInterrupt as error:
        if _wants_json(given, parsed):
            print_json_error(error, "interrupted", None, INTERRUPTED)
        return INTERRUPTED
    except BrokenPipeError:
        # The program that reads stdout has closed it. The interpreter must not complain when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        wants_traceback = os.environ.get(TRACEBACK_VARIABLE)
        hint = None if wants_traceback else f"{TRACEBACK_VARIABLE}=1 shows where"
        _report(error, f"unexpected: {type(error).__name__}: {error}", hint, UNEXPECTED, given, parsed)
        if wants_traceback:
            raise
        return UNEXPECTED


def _report(
    error: Exception,
    message: str,
    hint: str | None,
    exit_code: int,
    given: list[str],
    parsed: argparse.Namespace | None,
) -> None:
    if _wants_json(given, parsed):
        print_json_error(error, message, hint, exit_code)
    else:
        print_error(message, hint)


def _wants_json(given: list[str], parsed: argparse.Namespace | None) -> bool:
    """Whether errors, too, are to be JSON on stdout: of the command `tool` alone. `parsed` is None if the arguments
    `given` are wrong."""
    if parsed is not None:
        return parsed.command == "tool" and getattr(parsed, "json", False)
    options = given[: given.index("--")] if "--" in given else given
    return options[:1] == ["tool"] and "--json" in options


class _Version(argparse.Action):
    """Prints the version, which is imported only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from metagpt_ollama_rs import __version__

        print(f"metagpt-ollama {__version__}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="metagpt-ollama", description="Ollama for MetaGPT: helpers around the provider.")
    parser.add_argument("-V", "--version", action=_Version, nargs=0, help="show the version and exit")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name in sorted(COMMANDS, key=lambda name: _command(name).POSITION):
        command = _command(name)
        subparser = subparsers.add_parser(name, help=command.SUMMARY, description=command.SUMMARY)
        subparser.declare = command.add_arguments
    return parser


def _command(name: str) -> Command:
    """The module of the command `name`."""
    return cast("Command", importlib.import_module(f"{commands.__name__}.{name}"))
