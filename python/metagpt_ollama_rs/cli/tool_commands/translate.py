"""`metagpt-ollama tool translate`: code in another programming language, or with its comments in another human one.

    $ metagpt-ollama tool translate main.py --to rust > main.rs
    $ metagpt-ollama tool translate main.py --comments-to en > main_en.py

Of the second the code is the same, token by token, or there is an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import tool_arguments, tool_inputs, tool_output
from ..console import UsageError

if TYPE_CHECKING:
    import argparse

NAME = "translate"
SUMMARY = "Translate code into another programming language, or its comments into another human one."
POSITION = 70
CALLS = "MultiLanguageTool.translate_code, MultiLanguageTool.translate_comments"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the file, the languages, and how the model is asked."""
    tool_arguments.add_file_argument(parser)
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--to", metavar="LANGUAGE", help="a programming language, such as rust, js or C++")
    target.add_argument("--comments-to", metavar="LANGUAGE", help="a human language, such as en, zh or German")
    parser.add_argument(
        "--from",
        dest="source",
        metavar="LANGUAGE",
        help="the programming language that the code is in (default: detected)",
    )
    tool_arguments.add_raw_argument(parser)
    tool_arguments.add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the translated code."""
    from ...slc import MultiLanguageTool

    if arguments.raw and arguments.comments_to is not None:
        raise UsageError("--raw is for --to only", hint="metagpt-ollama tool translate --help")
    code = tool_inputs.read_file(arguments.file, arguments.encoding)
    source = arguments.source or MultiLanguageTool.detect_language(code.text, code.file_name)
    if source == "text":
        # Not known: what the method itself says of that is for it to say.
        source = None
    if arguments.to is not None:
        return tool_output.print_answer(
            arguments, MultiLanguageTool.translate_code, code.text, arguments.to, source, raw=arguments.raw
        )
    # The model answers with the comments alone, as JSON.
    return tool_output.print_answer(
        arguments, MultiLanguageTool.translate_comments, code.text, arguments.comments_to, source, streamed=False
    )
