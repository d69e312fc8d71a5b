"""`metagpt-ollama tool env`: what this machine has for Python and for models; virtual environments.

    $ metagpt-ollama tool env describe
    $ metagpt-ollama tool env create .venv
    $ metagpt-ollama tool env install .venv "requests>=2"            # says what would be installed
    $ metagpt-ollama tool env install .venv "requests>=2" --apply

ENV is the path of an environment or of its interpreter, and `current` the one that runs this command.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import tool_arguments, tool_output
from ..console import DONE, FIXABLE, UsageError

if TYPE_CHECKING:
    import argparse

    from ..parsers import CommandParser

NAME = "env"
SUMMARY = "Describe interpreters, GPU and Ollama; make environments, check and install packages."
POSITION = 100
CALLS = "EnvManagerTool"

_CURRENT = "current"


def add_arguments(parser: CommandParser) -> None:
    """Declares what can be done, each with a parser of its own."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)

    def add_action(name: str, summary: str) -> CommandParser:
        action: CommandParser = actions.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        tool_arguments.add_json_argument(action)
        return action

    env = "the path of an environment or of its python; 'current' for the one that runs this"
    describe = add_action(
        "describe", "Describe interpreters, environments, graphics cards, memory, Ollama, its models."
    )
    tool_arguments.add_server_arguments(describe)
    packages = add_action("list", "List the packages of an environment.")
    packages.add_argument("env", nargs="?", default=_CURRENT, metavar="ENV", help=f"{env} (the default)")
    check = add_action("check", "Tell whether an environment meets requirements; exits with 1 if not.")
    create = add_action("create", "Make a virtual environment, by uv where it is present.")
    create.add_argument("env", metavar="ENV", help="the folder to make")
    create.add_argument("--python", metavar="PYTHON", help="its interpreter: a path, or a version such as 3.11")
    install = add_action("install", "Install packages; without --apply only tell what would be installed.")
    for action in (check, install):
        action.add_argument("env", metavar="ENV", help=env)
        action.add_argument("requirements", nargs="*", metavar="REQUIREMENT", help="such as 'requests>=2'")
        action.add_argument("-r", "--file", type=Path, metavar="FILE", help="a requirements file")
    check.add_argument("--allow-includes", action="store_true", help="-r and -c in that file may name others")
    install.add_argument("--apply", action="store_true", help="install; without it nothing is changed")
    install.add_argument("--allow-urls", action="store_true", help="requirements may be URLs and paths")
    install.add_argument(
        "--allow-option",
        action="append",
        default=[],
        metavar="OPTION",
        help="an option of the installer's that may stand in FILE: --allow-option=--pre; as often as needed",
    )
    install.add_argument("--allow-current", action="store_true", help="the environment that runs this may be changed")
    install.add_argument("--installer", choices=("uv", "pip"), help="default: uv where it is present")


def run(arguments: argparse.Namespace) -> int:
    """Does it, and prints the report."""
    from ...slc import EnvManagerTool

    if arguments.action == "describe":
        tool_arguments.take_configuration(arguments)
        return _print_environment_report(arguments, EnvManagerTool.describe_report())
    if arguments.action == "create":
        return _print_environment_report(
            arguments, EnvManagerTool.create_report(arguments.env, python=arguments.python)
        )
    env = None if arguments.env == _CURRENT else arguments.env
    if arguments.action == "list":
        return _print_environment_report(arguments, EnvManagerTool.list_packages_report(env))
    if arguments.action == "check":
        checked = EnvManagerTool.check_report(env, _requirements(arguments), allow_includes=arguments.allow_includes)
        _print_environment_report(arguments, checked, ok=checked.ok)
        return DONE if checked.ok else FIXABLE
    installed = EnvManagerTool.install_report(
        env,
        _requirements(arguments),
        arguments.apply,
        allow_urls=arguments.allow_urls,
        allow_options=arguments.allow_option,
        allow_current=arguments.allow_current,
        installer=arguments.installer,
        # Large packages take minutes, which a person would rather not look at in silence.
        on_text=_show_progress if sys.stderr.isatty() else None,
    )
    return _print_environment_report(arguments, installed)


def _show_progress(text: str) -> None:
    """Shows what the installer writes, on stderr."""
    sys.stderr.write(tool_output.for_terminal(text.replace("\r\n", "\n")))
    sys.stderr.flush()


def _requirements(arguments: argparse.Namespace) -> list[str] | Path:
    """Those of the command line, or the file."""
    if bool(arguments.requirements) == (arguments.file is not None):
        raise UsageError(
            "give requirements, or a file of them by -r", hint=f"metagpt-ollama tool env {arguments.action} --help"
        )
    given: list[str] | Path = arguments.requirements or arguments.file
    return given


def _print_environment_report(arguments: argparse.Namespace, report: Any, **further: Any) -> int:
    if arguments.json:
        values = {**dataclasses.asdict(report), **further}
        tool_output.print_json({"tool": NAME, "action": arguments.action, **values})
    else:
        tool_output.print_text(tool_arguments.as_arguments(str(report)))
    return DONE
