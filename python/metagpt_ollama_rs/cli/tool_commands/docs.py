"""`metagpt-ollama tool docs`: the documentation of code, in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import tool_arguments, tool_inputs, tool_output

if TYPE_CHECKING:
    import argparse

NAME = "docs"
SUMMARY = "Write the documentation of code, in Markdown."
POSITION = 55
CALLS = "CodeUnderstandingTool.generate_docs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the file, and how the model is asked."""
    tool_arguments.add_file_argument(parser)
    tool_arguments.add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the Markdown."""
    from ...slc import CodeUnderstandingTool

    code = tool_inputs.read_file(arguments.file, arguments.encoding)
    return tool_output.print_answer(arguments, CodeUnderstandingTool.generate_docs, code.text)
