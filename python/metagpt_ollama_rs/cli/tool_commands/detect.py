"""`metagpt-ollama tool detect`: which programming language code is in, without asking a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import tool_arguments, tool_inputs, tool_output
from ..console import DONE

if TYPE_CHECKING:
    import argparse

NAME = "detect"
SUMMARY = "Tell which programming language code is in, without a model."
POSITION = 75
CALLS = "MultiLanguageTool.detect_language"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the files."""
    tool_arguments.add_file_argument(parser, nargs="*")
    tool_arguments.add_json_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the language, with the file's name where there are several."""
    from ...slc import MultiLanguageTool

    files = [tool_inputs.read_file(file, arguments.encoding) for file in dict.fromkeys(arguments.file or [None])]
    languages = {code.name: MultiLanguageTool.detect_language(code.text, code.file_name) for code in files}
    if arguments.json:
        rows = [{"path": name, "language": language} for name, language in languages.items()]
        tool_output.print_json({"tool": NAME, "files": rows})
        return DONE
    for name, language in languages.items():
        tool_output.print_text(f"{name}: {language}" if len(files) > 1 else language)
    return DONE
