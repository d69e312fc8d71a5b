"""`metagpt-ollama tool generate`: code that meets a requirement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import tool_arguments, tool_inputs, tool_output

if TYPE_CHECKING:
    import argparse

NAME = "generate"
SUMMARY = "Write code that meets a requirement."
POSITION = 10
CALLS = "CodeGenerationTool.generate_code"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the requirement, and how the model is asked."""
    tool_arguments.add_words_argument(parser, "requirement", "what the code is to do")
    tool_arguments.add_raw_argument(parser)
    tool_arguments.add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the code."""
    from ...slc import CodeGenerationTool

    requirement = tool_inputs.read_words(arguments.requirement, arguments.encoding, "requirement", arguments.file)
    return tool_output.print_answer(arguments, CodeGenerationTool.generate_code, requirement, raw=arguments.raw)
