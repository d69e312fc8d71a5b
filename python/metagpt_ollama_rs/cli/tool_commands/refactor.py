"""`metagpt-ollama tool refactor`: code, changed as an instruction says."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from .. import tool_arguments, tool_inputs, tool_output
from ..console import UsageError

if TYPE_CHECKING:
    import argparse

NAME = "refactor"
SUMMARY = "Change code as an instruction says (prints it; `batch apply` writes files)."
POSITION = 20
CALLS = "CodeGenerationTool.refactor_code"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the file, the instruction, and how the model is asked."""
    tool_arguments.add_file_argument(parser, nargs=None)
    parser.add_argument("instruction", metavar="INSTRUCTION", help="what to change, such as 'use pathlib'")
    parser.add_argument("--diff", action="store_true", help="a unified diff in the place of the changed code")
    tool_arguments.add_raw_argument(parser)
    tool_arguments.add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the changed code, or what changes."""
    from ...slc import CodeGenerationTool

    if arguments.diff and arguments.raw:
        raise UsageError("--raw gives no code to make a --diff of", hint="metagpt-ollama tool refactor --help")
    code = tool_inputs.read_file(arguments.file, arguments.encoding)
    instruction = tool_inputs.read_words([arguments.instruction], arguments.encoding, "instruction")

    def changed(**options: Any) -> str:
        text = CodeGenerationTool.refactor_code(code.text, instruction, raw=arguments.raw, **options)
        return _diff_of_code(code, text) if arguments.diff else text

    return tool_output.print_answer(arguments, changed)


def _diff_of_code(before: tool_inputs.InputText, after: str) -> str:
    """A unified diff. Line ends are no difference: a model writes one kind only."""
    lines = difflib.unified_diff(
        before.text.splitlines(), after.splitlines(), f"a/{before.name}", f"b/{before.name}", lineterm=""
    )
    return "\n".join(lines)
