"""`metagpt-ollama tool summarize`: what a file or a project is about."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .. import tool_arguments, tool_inputs, tool_output

if TYPE_CHECKING:
    import argparse

NAME = "summarize"
SUMMARY = "Summarize a file, or a folder with all its files."
POSITION = 60
CALLS = "CodeUnderstandingTool.summarize_file, CodeUnderstandingTool.summarize_project"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the file or folder, and how the model is asked."""
    parser.add_argument("path", nargs="?", metavar="PATH", help="a file or a folder; - (or nothing) reads stdin")
    tool_arguments.add_encoding_argument(parser)
    parser.add_argument(
        "--at-once",
        type=tool_arguments.whole_number_above_zero,
        default=4,
        metavar="N",
        help="how many files or pieces the model is asked for at the same time (default: 4)",
    )
    tool_arguments.add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the summary."""
    from ...slc import CodeUnderstandingTool

    if arguments.path is not None and os.path.isdir(arguments.path):
        return tool_output.print_answer(
            arguments, CodeUnderstandingTool.summarize_project, arguments.path, at_once=arguments.at_once
        )
    read = tool_inputs.read_file(arguments.path, arguments.encoding)
    with tempfile.TemporaryDirectory() as folder:
        # The text as it was decoded here, under a name that the model may be told.
        file = Path(folder, Path(read.name).name.strip("<>"))
        file.write_bytes(read.text.encode())
        return tool_output.print_answer(
            arguments, CodeUnderstandingTool.summarize_file, file, at_once=arguments.at_once
        )
