"""`metagpt-ollama tool list`: the tools, with what each calls in `metagpt_ollama_rs.slc`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import tool_arguments, tool_commands, tool_output
from ..console import DONE

if TYPE_CHECKING:
    import argparse

NAME = "list"
SUMMARY = "List the tools."
POSITION = 0
CALLS = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares `--json`."""
    tool_arguments.add_json_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints a line for each tool, or a list of objects."""
    tools = [tool for tool in tool_commands.all_tools() if tool.CALLS]
    if arguments.json:
        tool_output.print_json([{"name": tool.NAME, "does": tool.SUMMARY, "calls": tool.CALLS} for tool in tools])
        return DONE
    width = max(len(tool.NAME) for tool in tools)
    tool_output.print_text("\n".join(f"{tool.NAME.ljust(width)}  {tool.SUMMARY}" for tool in tools))
    return DONE
