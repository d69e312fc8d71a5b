"""`metagpt-ollama run -- COMMAND …`: a command whose MetaGPT uses this provider, with no file changed."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Optional

from ..console import DONE, CliError, print_error, print_message

if TYPE_CHECKING:
    from ...switch.running import RunResult

NAME = "run"
SUMMARY = "Run a command that starts Python with this provider (or client, as `ollama`), without changing a file."
POSITION = 40

_DESCRIPTION = """\
Runs COMMAND (`metagpt "..."`, `python script.py`, anything that starts Python) with this provider in the place of
MetaGPT's own, in every Python process below it, without changing a file. At the end a summary for each model goes to
stderr, and after it the error that ended the run, if one did, with its hint; its traceback is in a file that is named.
Exits with the command's status; with 1 when a provider error ended the run though the command exits with 0, as MetaGPT
does. With --as-ollama a command without MetaGPT keeps its status and its tracebacks. Processes started with python -I,
-E or -S, or with a fresh environment (sudo, env -i), are not reached.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `run` and the command line behind them."""
    parser.set_defaults(parser=parser)
    parser.usage = "metagpt-ollama run [options] -- COMMAND [ARGUMENT ...]"
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--structured",
        action="store_true",
        help="let the server hold every answer that MetaGPT parses as JSON to its schema, also of models that are to "
        "think; for LLMs whose extra_fields say nothing about `structured`",
    )
    parser.add_argument(
        "--as-ollama",
        action="store_true",
        help="give metagpt_ollama_rs.ollama_compat to whatever imports `ollama`, installed or not",
    )
    parser.add_argument(
        "--traceback", action="store_true", help="show tracebacks where they arise, and no file of them at the end"
    )
    parser.add_argument("command_line", nargs=argparse.REMAINDER, metavar="COMMAND", help="what to run")


def run(arguments: argparse.Namespace) -> int:
    """Runs the command, prints the summary on stderr and returns the exit status of the command."""
    from ...switch import running
    from ...switch.environment import AS_OLLAMA_VARIABLE, STRUCTURED_VARIABLE, TRACEBACK_VARIABLE

    command: list[str] = arguments.command_line
    if command and command[0] == "--":
        command = command[1:]
    if not command:
        arguments.parser.error("no command to run")
    program = running.find_program(command[0])
    if program is None:
        raise CliError(f"{command[0]}: no such program", hint="a script needs its interpreter: python script.py")
    environment = {}
    if arguments.structured:
        environment[STRUCTURED_VARIABLE] = "true"
    if arguments.as_ollama:
        environment[AS_OLLAMA_VARIABLE] = "1"
    if arguments.traceback:
        environment[TRACEBACK_VARIABLE] = "1"
    try:
        result = running.run([program, *command[1:]], environment)
    except OSError as error:
        raise CliError(f"{program} cannot be started: {error.strerror}", hint="is it for this machine?") from error
    return _print_summary(command, result, as_ollama=arguments.as_ollama)


def _print_summary(command: list[str], result: RunResult, *, as_ollama: bool) -> int:
    """Prints the totals of the calls and the error that ended the run, if one did; returns the exit status."""
    from ...switch import summary

    if result.calls is None:
        print_message("metagpt-ollama: no summary, since METAGPT_OLLAMA_STATS sends the calls to a socket")
    else:
        rows = summary.totals(result.calls)
        if rows:
            print_message(summary.table(rows))
        elif result.switched:
            print_message(
                "metagpt-ollama: no call was made to Ollama (`metagpt-ollama status` says which configuration is read)"
            )
        elif result.stood_in:
            what = "no call to Ollama named a model" if result.calls else "no call was made to Ollama"
            print_message(f"metagpt-ollama: {what}")
        else:
            what = "imported neither ollama nor" if as_ollama else "did not import"
            print_message(f"metagpt-ollama: nothing was switched over: the command {what} MetaGPT's providers")
    if result.tracebacks is not None:
        print_message(f"metagpt-ollama: the tracebacks are in {result.tracebacks}")
    reason = summary.ended_by(result.calls or [])
    last = result.errors[-1] if result.errors else None
    ended = reason is not None or (result.status != DONE and last is not None and last.get("uncaught"))
    if last is not None and not ended and result.calls is not None:
        print_message(f"metagpt-ollama: the run went on after its last error: {_message_of(last)}")
        return result.status
    # A program that catches the errors of `ollama` knows its own status; MetaGPT stops and exits with 0.
    if result.status == DONE and reason is not None and (result.switched or not result.stood_in):
        what = f"{command[0]} exited with 0, but a provider error ended its run: {_message_of(last) or reason}"
        raise CliError(what, hint=last["hint"] if last else "what MetaGPT printed above has the details")
    if last is not None:
        print_error(str(last["error"]), last["hint"])
    return result.status


def _message_of(error: Optional[dict[str, Any]]) -> str:
    return str(error["error"]) if error else ""
