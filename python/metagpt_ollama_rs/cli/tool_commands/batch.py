"""`metagpt-ollama tool batch`: many files below one folder, found, read, changed, renamed; a dry run unless `--apply`.

    $ metagpt-ollama tool batch replace . "**/*.py" old_name new_name            # a diff; nothing is written
    $ metagpt-ollama tool batch replace . "**/*.py" old_name new_name --apply
    $ metagpt-ollama tool batch undo .

Diffs go to stdout, so that they can be given to `git apply`; what is said of them goes to stderr.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Any

from .. import tool_arguments, tool_output
from ..console import DONE, FIXABLE, CliError, print_message

if TYPE_CHECKING:
    import argparse

    from ...slc import BatchFileTool
    from ...slc.batch_files import BatchPlan, BatchReport
    from ..parsers import CommandParser

NAME = "batch"
SUMMARY = "Find, read, replace, rename in many files, or have the model change them; with a dry run and undo."
POSITION = 90
CALLS = "BatchFileTool"

_PATTERN = "which files, such as '**/*.py': below ROOT; ** is any number of folders (quote it)"


def add_arguments(parser: CommandParser) -> None:
    """Declares what can be done, each with a parser of its own."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)

    def add_action(name: str, summary: str) -> CommandParser:
        action: CommandParser = actions.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        action.add_argument("root", metavar="ROOT", help="the folder; nothing outside of it is read or written")
        return action

    find = add_action("find", "List the files that a pattern matches.")
    find.add_argument("pattern", nargs="?", default="**/*", metavar="PATTERN", help=_PATTERN)
    read = add_action("read", "Print files.")
    read.add_argument("paths", nargs="+", metavar="PATH", help="below ROOT")
    replace = add_action("replace", "Replace a text in many files.")
    replace.add_argument("pattern", metavar="PATTERN", help=_PATTERN)
    replace.add_argument("old", metavar="OLD", help="the text, or with --regex a regular expression of Python's")
    replace.add_argument("new", metavar="NEW", help=r"what takes its place; with --regex \1 and \g<name> are groups")
    rename = add_action("rename", "Rename many files.")
    rename.add_argument("pattern", metavar="PATTERN", help=_PATTERN)
    rename.add_argument(
        "old", metavar="OLD", help="the text in the names to replace; without NEW a template such as '{stem}.md'"
    )
    rename.add_argument("new", nargs="?", metavar="NEW", help="what takes its place")
    apply = add_action("apply", "Have the model change files as an instruction says.")
    apply.add_argument("pattern", metavar="PATTERN", help=_PATTERN)
    apply.add_argument("instruction", metavar="INSTRUCTION", help="such as 'translate the comments into English'")
    apply.add_argument(
        "--at-once", type=tool_arguments.whole_number_above_zero, default=4, metavar="N", help="requests (default: 4)"
    )
    undo = add_action("undo", "Put files back as they were before a batch.")
    undo.add_argument(
        "--batch", type=tool_arguments.whole_number_above_zero, metavar="N", help="its number (default: the newest)"
    )
    undo.add_argument("--force", action="store_true", help="also files that were changed after the batch")

    for action in (replace, rename):
        action.add_argument("--regex", action="store_true", help="OLD is a regular expression")
    for action in (replace, rename, apply):
        action.add_argument("--apply", action="store_true", help="write; without it nothing is written")
    for action in (find, replace, rename, apply):
        action.add_argument("--hidden", action="store_true", help="also names that begin with a dot")
        action.add_argument("--ignored", action="store_true", help="also what .gitignore names")
    for action in (read, replace, apply):
        tool_arguments.add_encoding_argument(action)
    for action in (find, read, replace, rename, undo):
        tool_arguments.add_json_argument(action)
    tool_arguments.add_model_arguments(apply)


def run(arguments: argparse.Namespace) -> int:
    """Does it, and prints what was found, what changes or what was put back."""
    from ...slc import BatchFileTool

    given = {name: getattr(arguments, name) for name in ("hidden", "ignored", "encoding") if hasattr(arguments, name)}
    tool = BatchFileTool(arguments.root, **given)
    if arguments.action == "find":
        return _print_paths(arguments, tool.find(arguments.pattern))
    if arguments.action == "read":
        return _print_files(arguments, {path: _read(tool, path) for path in dict.fromkeys(arguments.paths)})
    if arguments.action == "undo":
        return _undo(arguments, tool)
    plan = _planned(arguments, tool)
    if not arguments.apply:
        return _print_report(arguments, plan)
    return _print_report(arguments, plan.apply())


def _read(tool: BatchFileTool, path: str) -> str:
    from ...slc.files.file_texts import NotTextError

    try:
        return tool.read(path)
    except NotTextError as error:
        raise CliError(error.message, hint=tool_arguments.as_arguments(error.hint) or None) from error


def _planned(arguments: argparse.Namespace, tool: BatchFileTool) -> BatchPlan:
    if arguments.action == "replace":
        return tool.plan_replace(arguments.pattern, arguments.old, arguments.new, regex=arguments.regex)
    if arguments.action == "rename":
        return tool.plan_rename(arguments.pattern, arguments.old, arguments.new, regex=arguments.regex)
    options = tool_arguments.model_options(arguments)
    return tool.plan_prompt(arguments.pattern, arguments.instruction, at_once=arguments.at_once, **options)


def _print_paths(arguments: argparse.Namespace, paths: list[str]) -> int:
    if arguments.json:
        _print_object(arguments, files=paths)
    elif paths:
        tool_output.print_text("\n".join(paths))
    return DONE


def _print_files(arguments: argparse.Namespace, texts: dict[str, str]) -> int:
    if arguments.json:
        _print_object(arguments, files=[{"path": path, "text": text} for path, text in texts.items()])
        return DONE
    for index, (path, text) in enumerate(texts.items()):
        if len(texts) > 1:
            tool_output.print_text(tool_output.heading(path, first=index == 0))
        tool_output.print_text(text)
    return DONE


def _undo(arguments: argparse.Namespace, tool: BatchFileTool) -> int:
    undone = tool.undo_report(arguments.batch, force=arguments.force)
    if arguments.json:
        _print_object(arguments, **dataclasses.asdict(undone))
    else:
        tool_output.print_text(tool_arguments.as_arguments(str(undone)))
    return FIXABLE if undone.problems else DONE


def _print_report(arguments: argparse.Namespace, report: BatchReport) -> int:
    """Prints what changes; returns 1 if the model, or a new name, was of no use for a file."""
    if arguments.json:
        _print_object(
            arguments,
            applied=report.number is not None,
            batch=report.number,
            looked_at=report.looked_at,
            changes=[{"path": each.path, "new_path": each.new_path, "diff": each.diff} for each in report.changes],
            problems=[dataclasses.asdict(problem) for problem in report.problems],
        )
    else:
        if report.changes and sys.stdout.isatty():
            tool_output.print_diff(report.diff)
        elif report.changes:
            # The bytes of the files, whatever their encoding.
            sys.stdout.flush()
            sys.stdout.buffer.write(report.patch)
            sys.stdout.buffer.flush()
        said = str(report)[len(report.diff) :].strip("\n")
        print_message(tool_arguments.as_arguments(said))
    return FIXABLE if report.problems and arguments.action != "replace" else DONE


def _print_object(arguments: argparse.Namespace, **values: Any) -> None:
    tool_output.print_json({"tool": NAME, "action": arguments.action, **values})
