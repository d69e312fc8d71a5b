"""The command line: reads the arguments, runs the command, turns what it raises into a message and an exit code.

A command is a module of this package that offers what `command.Command` declares, and is listed in `COMMANDS`. What a
command needs beyond the standard library is imported only when it runs.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import TYPE_CHECKING, cast

from ..switch.environment import TRACEBACK_VARIABLE
from .command import DONE, FIXABLE, UNEXPECTED, CliError, show_error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from .command import Command

COMMANDS = ("install", "uninstall", "status", "run", "serve")


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
