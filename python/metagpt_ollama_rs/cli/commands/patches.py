"""`metagpt-ollama patches`: what is changed in MetaGPT itself, a line for each patch, and which of them are off here.

    costs         on   tokens are counted without prices, and in the context's sums
    token_counts  off  tokens are estimated locally … (off by METAGPT_OLLAMA_UNPATCHED)

Off is what METAGPT_OLLAMA_UNPATCHED names, and what `unpatched` names in the `llm:` section that MetaGPT would read
here. Nothing is imported from MetaGPT; without one the list is shown for the environment alone. Exits with 1 when one
of the two names something that is no patch, or cannot be read, and says what.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Optional

from .. import installations
from ..console import DONE, FIXABLE, CliError, print_message

if TYPE_CHECKING:
    import argparse

NAME = "patches"
SUMMARY = "List what is changed in MetaGPT itself, and what of it is switched off here."
POSITION = 35

_SETTING = "llm.extra_fields.unpatched"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares `--python` and `--json`."""
    installations.add_python_argument(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Prints the patches on stdout and what is wrong with the names that switch them off, if anything, on stderr;
    returns 1 if something is."""
    from ...patch_names import PATCH_NAMES, known_names
    from ...switch.environment import UNPATCHED_VARIABLE

    llm, note, wrong = _read_llm_section(arguments)
    value = os.environ.get(UNPATCHED_VARIABLE, "")
    by_environment, wrong_there = _read_names(value, UNPATCHED_VARIABLE)
    if wrong_there:
        # A misspelt name in the variable is only warned of; in the configuration it is an error.
        by_environment = known_names(value)
    wrong += wrong_there
    by_file: frozenset[str] = frozenset()
    if llm is not None:
        by_file, wrong_there = _names_in(llm)
        wrong += wrong_there
    rows = []
    for name, does in sorted(PATCH_NAMES.items()):
        off_by = [UNPATCHED_VARIABLE] if name in by_environment else []
        if llm is not None and name in by_file:
            off_by.append(f"{_SETTING} in {llm['file']}")
        rows.append({"name": name, "does": does, "off_by": off_by})
    if arguments.json:
        print(json.dumps({"patches": rows, "note": note, "wrong": wrong}))
        return FIXABLE if wrong else DONE
    print(_table_of(rows))
    if note is not None:
        print_message(note)
    for line in wrong:
        print_message(f"wrong: {line}")
    return FIXABLE if wrong else DONE


def _read_llm_section(arguments: argparse.Namespace) -> tuple[Optional[dict[str, Any]], Optional[str], list[str]]:
    """The `llm:` section that MetaGPT would read here, if it is Ollama's, or None; why it is None, if that is no fault;
    and what is wrong, if it is one."""
    from ...switch import installation
    from ...switch.edits import OLLAMA_TYPES

    alone = "only the environment was looked at"
    try:
        found = installations.find_installation(arguments)
    except CliError as error:
        if arguments.python is not None:
            raise
        return None, f"{alone}: {error}", []
    configuration = installation.read_configuration(found)
    if configuration["error"] is not None:
        return None, None, [f"MetaGPT cannot read its configuration: {configuration['error']}"]
    llm = configuration["llm"]
    if llm is None:
        return None, f"{alone}: MetaGPT has no llm: section here (`metagpt-ollama status` says where it looks)", []
    if llm["api_type"] not in OLLAMA_TYPES:
        return None, f"{alone}: the llm: section in {llm['file']} is not Ollama's", []
    return llm, None, []


def _names_in(llm: dict[str, Any]) -> tuple[frozenset[str], list[str]]:
    """The patches that the `llm:` section switches off, and what is wrong with what it says."""
    from ...patch_names import ENVIRONMENT_ONLY, PATCH_NAMES
    from ...spelling import near_miss
    from ...switch.environment import UNPATCHED_VARIABLE

    names, wrong = _read_names(llm["unpatched"] or "", f"{llm['file']}: {_SETTING}")
    for name in llm["extra_fields"]:
        if name != "unpatched" and near_miss(name, ["unpatched"]):
            wrong.append(f"{llm['file']}: llm.extra_fields.{name} is not a setting; did you mean unpatched?")
    for name in sorted(names & ENVIRONMENT_ONLY) if len(names) < len(PATCH_NAMES) else ():
        wrong.append(f"{llm['file']}: {_SETTING} names {name}, which only {UNPATCHED_VARIABLE} switches off")
    return names - ENVIRONMENT_ONLY, wrong


def _read_names(value: str, where: str) -> tuple[frozenset[str], list[str]]:
    """The names of patches in `value`, and what is wrong with them there, in `where`: then none of them is taken."""
    from ...patch_names import parse_unpatched

    try:
        return parse_unpatched(value), []
    except ValueError as error:
        return frozenset(), [f"{where} must be {error}"]


def _table_of(rows: list[dict[str, Any]]) -> str:
    width = max(len(row["name"]) for row in rows)
    lines = []
    for row in rows:
        state = "off" if row["off_by"] else "on "
        by = f" (off by {' and '.join(row['off_by'])})" if row["off_by"] else ""
        lines.append(f"{row['name'].ljust(width)}  {state}  {row['does']}{by}")
    return "\n".join(lines)
