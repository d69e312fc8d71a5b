"""`metagpt-ollama status`: which provider MetaGPT uses, by its files and by importing it in a fresh process, and which
configuration it would read here.

Exits with 0 when all is as it should be, switched over or not at all, and whatever kind of model `llm:` is about; with
1 when something is wrong, which it names: MetaGPT does not start without a configuration, for one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Optional

from . import switching
from .command import DONE, FIXABLE, say

if TYPE_CHECKING:
    import argparse

    from ..switch.files import File
    from ..switch.installation import Installation

NAME = "status"
SUMMARY = "Tell which Ollama provider an installed MetaGPT uses, and prove it."

_STATES = {
    "original": "MetaGPT's own",
    "switched": "switched over",
    "by hand": "switched over, by hand",
    "other": "not the file of a known release",
    "missing": "missing",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    switching.add_python(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Prints the state on stdout and what is wrong with it, if anything, on stderr."""
    from ..switch import files, installation

    found = switching.find(arguments)
    with switching.refusals():
        read = files.read(found.folder)
    proof = installation.prove(found)
    configuration = installation.read_configuration(found)
    state, wrong, hint = _judge(read, proof, found)
    if wrong is None:
        wrong, hint = _judge_configuration(configuration)
    if arguments.json:
        print(json.dumps(_as_object(found, read, proof, configuration, state, wrong, hint)))
    else:
        print(_as_text(found, read, proof, configuration))
    if wrong is None:
        return DONE
    if not arguments.json:
        say(f"wrong: {wrong}")
        say(f"hint: {hint}")
    return FIXABLE


def _judge(read: list[File], proof: dict[str, Any], found: Installation) -> tuple[str, Optional[str], Optional[str]]:
    """The state in a word; what is wrong with it, or None; what to do about that."""
    from ..switch.files import State, overwritten

    states = {file.state for file in read}
    switched = states <= {State.SWITCHED, State.BY_HAND}
    again = "metagpt-ollama install"
    if any(overwritten(file) for file in read):
        return (
            "overwritten",
            "MetaGPT was upgraded or installed anew after `metagpt-ollama install`, which undid it",
            f"{again}, or metagpt-ollama uninstall to forget it",
        )
    if State.OTHER in states or State.MISSING in states:
        return "unknown", "a file is not the one of a known release", f"{again} shows how it differs"
    if proof["error"] is not None:
        return "broken", f"MetaGPT cannot be imported: {proof['error']}", _mend(found)
    if not switched and states != {State.ORIGINAL}:
        return "partly switched", "only one of the two files is switched over", again
    if switched and found.package_error is not None:
        gone = f"the files are switched over, but {found.python} cannot import metagpt_ollama_rs"
        return "broken", f"{gone}: MetaGPT falls back to its own provider", _mend(found)
    if switched and not proof["ours"]:
        other = f"the files are switched over, but MetaGPT makes {proof['provider']}"
        return "broken", other, "something registers another provider: look at what MetaGPT imports"
    return ("switched" if switched else "original"), None, None


def _mend(found: Installation) -> str:
    if found.package_error is not None:
        return f"{found.python} -m pip install metagpt-ollama-rs, or metagpt-ollama uninstall"
    return f'{found.python} -c "import metagpt.provider" shows where'


def _judge_configuration(configuration: dict[str, Any]) -> tuple[Optional[str], Optional[str]]:
    """What is wrong with the configuration, or None, and what to do about it. More than this is the doctor's."""
    if configuration["error"] is not None:
        return f"MetaGPT cannot read its configuration: {configuration['error']}", "correct the file"
    if not configuration["read"]:
        missing = f"MetaGPT has no configuration here: {_neither(configuration)}"
        return missing, "`metagpt --init-config` writes the second one; the README shows what its llm: section needs"
    if configuration["llm"] is None:
        where = " and ".join(configuration["read"])
        return f"{where} says nothing about llm:, which MetaGPT needs", "the README shows what that section needs"
    return None, None


def _neither(configuration: dict[str, Any]) -> str:
    return "neither " + " nor ".join(configuration["searched"]) + " is there"


def _as_object(
    found: Installation,
    read: list[File],
    proof: dict[str, Any],
    configuration: dict[str, Any],
    state: str,
    wrong: Optional[str],
    hint: Optional[str],
) -> dict[str, Any]:
    return {
        "state": state,
        "metagpt": {"version": found.version, "folder": str(found.folder), "python": found.python},
        "files": [
            {"file": file.relative, "state": file.state.value, "backup": file.backup is not None} for file in read
        ],
        "provider": {key: proof[key] for key in ("provider", "ours", "version", "empty_key", "error")},
        "configuration": {**configuration, "ollama": _is_ollama(configuration)},
        "wrong": wrong,
        "hint": hint,
    }


def _is_ollama(configuration: dict[str, Any]) -> bool:
    """Whether `llm:` names one of the four Ollama types, as MetaGPT reads it: exactly as they are written."""
    from ..switch.edits import OLLAMA_TYPES

    return configuration["llm"] is not None and configuration["llm"]["api_type"] in OLLAMA_TYPES


def _as_text(found: Installation, read: list[File], proof: dict[str, Any], configuration: dict[str, Any]) -> str:
    from ..switch.files import State
    from ..switch.releases import RELEASES

    lines = [("MetaGPT", f"{found.version or 'version unknown'}, {found.folder}"), ("Python", found.python)]
    for file in read:
        release = ""
        if file.state is State.ORIGINAL and file.release is not None:
            release = f" (as in {RELEASES[file.release].title})"
        backup = f"; the original is {file.backup_path.name}" if file.backup is not None else ""
        lines.append((file.relative, f"{_STATES[file.state.value]}{release}{backup}"))
    if proof["error"] is None:
        whose = f"metagpt_ollama_rs {proof['version']}" if proof["ours"] else "MetaGPT's own"
        lines.append(("provider when imported", f"{whose} ({proof['provider']})"))
        lines.append(('api_key: ""', "accepted" if proof["empty_key"] else "refused by MetaGPT"))
    else:
        lines.append(("provider when imported", "none: the import fails"))
    lines += _configuration_lines(configuration)
    width = max(len(label) for label, _ in lines)
    return "\n".join(f"{label.ljust(width)}  {text}" for label, text in lines)


def _configuration_lines(configuration: dict[str, Any]) -> list[tuple[str, str]]:
    files = ", then ".join(configuration["read"]) or f"none: {_neither(configuration)}"
    lines = [("configuration", files if configuration["error"] is None else configuration["error"])]
    llm = configuration["llm"]
    if llm is not None:
        kind = f"api_type {llm['api_type']}" if llm["api_type"] else "no api_type, which means openai"
        about = [kind, f"model {llm['model']}" if llm["model"] else "no model"]
        if llm["base_url"]:
            about.append(llm["base_url"])
        whose = "Ollama's" if _is_ollama(configuration) else "not Ollama's: no Ollama provider is asked"
        where = f" ({llm['file']})" if len(configuration["read"]) > 1 else ""
        lines.append(("its llm:", f"{whose}; {', '.join(about)}{where}"))
    return lines
