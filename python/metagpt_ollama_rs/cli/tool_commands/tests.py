"""`metagpt-ollama tool tests`: unit tests for code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import tool_arguments, tool_inputs, tool_output

if TYPE_CHECKING:
    import argparse

NAME = "tests"
SUMMARY = "Write unit tests for code."
POSITION = 30
CALLS = "CodeGenerationTool.generate_tests"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the file, and how the model is asked."""
    tool_arguments.add_file_argument(parser)
    tool_arguments.add_raw_argument(parser)
    tool_arguments.add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the tests."""
    from ...slc import CodeGenerationTool

    code = tool_inputs.read_file(arguments.file, arguments.encoding)
    return tool_output.print_answer(arguments, CodeGenerationTool.generate_tests, code.text, raw=arguments.raw)
