"""`metagpt-ollama tool review`: what a reviewer would say of code, as prose, as findings, or as a SARIF log.

    $ metagpt-ollama tool review main.py
    $ metagpt-ollama tool review --format lines --fail-on error lib/*.py
    lib/main.py:3: error: `total` is used before it is set.

A file that cannot be read is an error before the model is asked about the first one.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .. import tool_arguments, tool_inputs, tool_output
from ..console import DONE, FIXABLE, UsageError, print_message

if TYPE_CHECKING:
    import argparse

    from ...slc.findings import Findings
    from ..tool_inputs import InputText

NAME = "review"
SUMMARY = "Review code: prose, findings with their lines, or SARIF for editors and CI."
POSITION = 40
CALLS = "SmartQATool.code_review, SmartQATool.code_review_findings"

_FORMATS = ("text", "lines", "json", "sarif")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the files, the form of the result, and how the model is asked."""
    tool_arguments.add_file_argument(parser, nargs="*")
    parser.add_argument(
        "--format",
        choices=_FORMATS,
        help="text: prose (the default); lines: FILE:LINE: SEVERITY: TEXT (the default with --fail-on); json (or "
        "--json): the findings as JSON; sarif: a SARIF 2.1.0 log",
    )
    parser.add_argument(
        "--fail-on",
        choices=("error", "warning", "info"),
        metavar="SEVERITY",
        help="exit with 1 if there is a finding of this severity (error, warning, info) or a worse one",
    )
    tool_arguments.add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the review; returns 1 if `--fail-on` says so."""
    form = arguments.format or ("json" if arguments.json else "lines" if arguments.fail_on else "text")
    if arguments.json and form != "json":
        raise UsageError(f"--json and --format {form} exclude each other", hint="metagpt-ollama tool review --help")
    if form == "text" and arguments.fail_on:
        raise UsageError("--fail-on needs findings, not prose", hint="metagpt-ollama tool review --format lines")
    # Errors are JSON from here on, too.
    arguments.json = form == "json"
    files = [tool_inputs.read_file(file, arguments.encoding) for file in dict.fromkeys(arguments.file or [None])]
    if form == "text":
        return _print_prose(arguments, files)
    return _print_findings(arguments, files, form)


def _print_prose(arguments: argparse.Namespace, files: list[InputText]) -> int:
    from ...slc import SmartQATool

    for index, code in enumerate(files):
        if len(files) > 1:
            tool_output.print_text(tool_output.heading(code.name, first=index == 0))
        tool_output.print_answer(arguments, SmartQATool.code_review, code.text)
    return DONE


def _print_findings(arguments: argparse.Namespace, files: list[InputText], form: str) -> int:
    from ...slc import SmartQATool
    from ...slc.findings import SEVERITIES
    from ...slc.sarif import sarif_log

    options = tool_arguments.model_options(arguments)
    found: dict[str, Findings] = {}
    for number, code in enumerate(files, 1):
        if len(files) > 1 and sys.stderr.isatty():
            print_message(f"[{number}/{len(files)}] {code.name}")
        found[code.name] = SmartQATool.code_review_findings(code.text, **options)
        if form == "lines":
            _print_lines(code.name, found[code.name])
    if form == "json":
        reviewed = [
            {"path": name, "findings": [each.as_dict() for each in findings], "dropped": findings.dropped}
            for name, findings in found.items()
        ]
        tool_output.print_json({"tool": NAME, "model": tool_arguments.model_name(arguments), "files": reviewed})
    elif form == "sarif":
        tool_output.print_json(sarif_log(found, {code.name: code.text for code in files}))
    if arguments.fail_on is None:
        return DONE
    bad = SEVERITIES[: SEVERITIES.index(arguments.fail_on) + 1]
    return FIXABLE if any(each.severity in bad for findings in found.values() for each in findings) else DONE


def _print_lines(name: str, findings: Findings) -> None:
    for each in findings:
        tool_output.print_text(f"{name}:{each.line}: {each.severity}: {' '.join(each.text.split())}")
    if findings.dropped:
        print_message(f"{name}: {findings.dropped} more, of lines that do not exist")
