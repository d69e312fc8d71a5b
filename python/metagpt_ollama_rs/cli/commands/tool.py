"""`metagpt-ollama tool`: the tools of `metagpt_ollama_rs.slc` for those who don't write Python.

    $ metagpt-ollama tool list
    $ metagpt-ollama tool generate "a function that parses ISO dates" > dates.py
    $ git diff | metagpt-ollama tool ask "What does this change?" --file -
    $ metagpt-ollama tool review --format sarif --fail-on error src/*.py > review.sarif

Each tool is a module of the folder `cli/tool_commands`. With `--json` stdout has one JSON value and nothing else,
errors included (`console.print_json_error`).
"""

from __future__ import annotations

import codecs
import contextlib
import sys
from typing import TYPE_CHECKING

from .. import tool_arguments, tool_commands, tool_output
from ..console import DONE, CliError
from ..parsers import CommandParser

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

NAME = "tool"
SUMMARY = "Write, review, explain, translate code with a model; change many files; see to environments."
POSITION = 45


# The tool that is none of `slc`'s.
_LIST = "list"

# The name under which codecs know `_printable`.
_PRINTABLE = "metagpt-ollama-printable"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the tools, each with a parser of its own."""
    parser.description = f"{SUMMARY} `metagpt-ollama tool TOOL --help` tells more of each; docs/tools.md is the guide."
    subparsers = parser.add_subparsers(
        dest="tool", metavar="TOOL", title="tools", required=True, parser_class=CommandParser
    )
    tool_arguments.add_json_argument(
        subparsers.add_parser(_LIST, help="List the tools.", description="List the tools.")
    )
    for tool in tool_commands.all_tools():
        # No abbreviations: `--app` must not come to mean `--apply`.
        subparser = subparsers.add_parser(tool.NAME, help=tool.SUMMARY, description=tool.SUMMARY, allow_abbrev=False)
        subparser.declare = tool.add_arguments


def run(arguments: argparse.Namespace) -> int:
    """Runs the tool and returns its exit code."""
    if sys.stdout is None:
        raise CliError("stdout is closed: there is nowhere to print to")
    codecs.register_error(_PRINTABLE, _printable)
    for stream in (sys.stdout, sys.stderr):
        # A character that the terminal's encoding does not have is no reason to lose an answer.
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace" if stream.isatty() else _PRINTABLE)  # type: ignore[union-attr]
    with _errors_for_the_user():
        if arguments.tool == _LIST:
            return _list_tools(as_json=arguments.json)
        return tool_commands.tool_named(arguments.tool).run(arguments)


def _printable(error: UnicodeError) -> tuple[str | bytes, int]:
    """What is written for a character that an encoding does not have: of a file name that is not in the encoding of the
    system the byte that it stands for, so that other programs find the file; else its number, as `\\u4e2d`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    code = ord(error.object[error.start])
    if 0xDC80 <= code <= 0xDCFF:
        return bytes([code - 0xDC00]), error.start + 1
    return error.object[error.start].encode("ascii", "backslashreplace").decode(), error.start + 1


def _list_tools(*, as_json: bool) -> int:
    tools = tool_commands.all_tools()
    if as_json:
        tool_output.print_json([{"name": tool.NAME, "does": tool.SUMMARY, "calls": tool.CALLS} for tool in tools])
        return DONE
    width = max(len(tool.NAME) for tool in tools)
    tool_output.print_text("\n".join(f"{tool.NAME.ljust(width)}  {tool.SUMMARY}" for tool in tools))
    return DONE


@contextlib.contextmanager
def _errors_for_the_user() -> Iterator[None]:
    """Makes a `CliError` of what the package and the operating system raise."""
    from metagpt_ollama_rs.errors import OllamaError

    try:
        yield
    except BrokenPipeError:
        raise
    except OllamaError as error:
        where = f" [{error.url}]" if error.url and error.url not in error.message else ""
        raise CliError(
            tool_arguments.as_arguments(f"{error.message}{where}"), hint=tool_arguments.as_arguments(error.hint) or None
        ) from error
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise CliError(f"{where}{error.strerror or error}") from error
