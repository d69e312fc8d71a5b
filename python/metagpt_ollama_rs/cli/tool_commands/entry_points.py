"""`metagpt-ollama tool entry-points`: where the programs of a project are started."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from .. import tool_arguments, tool_output
from ..console import DONE

if TYPE_CHECKING:
    import argparse

NAME = "entry-points"
SUMMARY = "Find where the programs of a project are started, by syntax first."
POSITION = 65
CALLS = "CodeUnderstandingTool.find_entry_points"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the folder, and how the model is asked."""
    parser.add_argument("root", nargs="?", default=".", metavar="ROOT", help="the project's folder (default: this one)")
    tool_arguments.add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints a line for each; as JSON those that syntax tells."""
    from ...slc import CodeUnderstandingTool

    if arguments.json:
        points = CodeUnderstandingTool.list_entry_points(arguments.root)
        found = [dataclasses.asdict(point) for point in points]
        tool_output.print_json({"tool": NAME, "entry_points": found})
        return DONE
    return tool_output.print_answer(arguments, CodeUnderstandingTool.find_entry_points, arguments.root)
