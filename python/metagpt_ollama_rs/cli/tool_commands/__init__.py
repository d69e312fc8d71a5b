"""The tools of `metagpt-ollama tool`, one module each: a module that is put into this folder is a tool.

It has what `cli.main.Command` declares, and `CALLS`, what it calls in `metagpt_ollama_rs.slc`. For example, the whole
of a tool `metagpt-ollama tool shout`:

    NAME = "shout"
    SUMMARY = "Say it loud."
    POSITION = 90
    CALLS = "SmartQATool.smart_qa"

    def add_arguments(parser):
        tool_arguments.add_words_argument(parser, "question", "the question")
        tool_arguments.add_model_arguments(parser)

    def run(arguments):
        from ...slc import SmartQATool

        question = tool_inputs.read_words(arguments.question, arguments.encoding, "question", arguments.file)
        return tool_output.print_answer(arguments, SmartQATool.smart_qa, question.upper())

Nothing of `slc` is imported before `run`. Arguments that several tools have are declared by `tool_arguments`, what they
read comes from `tool_inputs`, what they print goes through `tool_output`.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    import argparse


class ToolCommand(Protocol):
    """What the module of a tool has. `POSITION` orders the lists, the lowest number first.

    >>> tool_named("ask").CALLS
    'SmartQATool.smart_qa'
    """

    NAME: str
    SUMMARY: str
    POSITION: int
    CALLS: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declares the tool's arguments on a parser of its own."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Does the work and returns the exit code. Raises `CliError` for what the user can put right."""


def all_tools() -> list[ToolCommand]:
    """The tools, in the order of their `POSITION`."""
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(map(tool_named, names), key=lambda tool: tool.POSITION)


def tool_named(name: str) -> ToolCommand:
    """The module of a tool, by its name on the command line."""
    return cast("ToolCommand", importlib.import_module(f"{__name__}.{name.replace('-', '_')}"))
