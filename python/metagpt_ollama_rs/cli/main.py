"""The frame of all commands: arguments, exit codes, errors.

Data goes to stdout, messages to stderr. Exit codes: 0 done; 1 something the user can put right, told with a `hint:`;
2 something unexpected, wrong arguments included. A command is a module with `NAME`, `SUMMARY`, `add_arguments(parser)`
and `run(arguments) -> int`, and is listed in `COMMANDS`; its modules are imported only when it is asked for.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import TYPE_CHECKING, Protocol, cast

from ..switch.environment import TRACEBACK_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

DONE = 0
FIXABLE = 1
UNEXPECTED = 2

COMMANDS = ("install", "uninstall", "status", "run", "serve")


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line `arguments` (by default the process's own) and gives the exit code."""
    parser = _parser()
    try:
        parsed = parser.parse_args(arguments)
        if parsed.command is None:
            parser.print_help(sys.stderr)
            return UNEXPECTED
        return _command(parsed.command).run(parsed)
    except CliError as error:
        show_error(str(error), error.hint)
        return FIXABLE
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has enough. The interpreter must not complain when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        told = os.environ.get(TRACEBACK_VARIABLE)
        show_error(
            f"unexpected: {type(error).__name__}: {error}", None if told else f"{TRACEBACK_VARIABLE}=1 shows where"
        )
        if told:
            raise
        return UNEXPECTED


class _Parser(argparse.ArgumentParser):
    """Argparse with this command's manners: `error:` first, then a `hint:`."""

    def error(self, message: str) -> NoReturn:
        show_error(message, f"{self.prog} --help")
        raise SystemExit(UNEXPECTED)


class _Version(argparse.Action):
    """Prints the version; a class of its own so that the package's core is imported only when asked."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from metagpt_ollama_rs import __version__

        print(f"metagpt-ollama {__version__}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="metagpt-ollama", description="Ollama for MetaGPT: helpers around the provider.")
    parser.add_argument("-V", "--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name in COMMANDS:
        command = _command(name)
        one = commands.add_parser(name, help=command.SUMMARY, description=command.SUMMARY)
        command.add_arguments(one)
    return parser


def _command(name: str) -> Command:
    return cast("Command", importlib.import_module(f"{__package__}.{name}"))


def _paint(text: str, code: str) -> str:
    """`text` in colour where stderr is a terminal and nobody asked for none."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not sys.stderr.isatty():
        return text
    return f"\033[{code}m{text}\033[0m"
