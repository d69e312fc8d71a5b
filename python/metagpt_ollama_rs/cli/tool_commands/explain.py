"""`metagpt-ollama tool explain`: what code does, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import tool_arguments, tool_inputs, tool_output

if TYPE_CHECKING:
    import argparse

NAME = "explain"
SUMMARY = "Explain what code does."
POSITION = 50
CALLS = "CodeUnderstandingTool.explain_code"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the file, and how the model is asked."""
    tool_arguments.add_file_argument(parser)
    tool_arguments.add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the explanation."""
    from ...slc import CodeUnderstandingTool

    code = tool_inputs.read_file(arguments.file, arguments.encoding)
    return tool_output.print_answer(arguments, CodeUnderstandingTool.explain_code, code.text)
