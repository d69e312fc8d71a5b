"""`metagpt-ollama tool ask`: a question, with a file beside it if there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import tool_arguments, tool_inputs, tool_output

if TYPE_CHECKING:
    import argparse

NAME = "ask"
SUMMARY = "Answer a question, about a file if one is given."
POSITION = 80
CALLS = "SmartQATool.smart_qa"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the question, and how the model is asked."""
    tool_arguments.add_words_argument(parser, "question", "the question")
    tool_arguments.add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the answer."""
    from ...slc import SmartQATool

    question = tool_inputs.read_words(arguments.question, arguments.encoding, "question", arguments.file)
    return tool_output.print_answer(arguments, SmartQATool.smart_qa, question)
