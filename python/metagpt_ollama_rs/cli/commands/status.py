"""`metagpt-ollama status`: which provider MetaGPT uses, by its files and by importing it in a fresh process, and which
configuration it would read here.

Exits with 0 when the files are all switched over or all MetaGPT's own, whichever provider `llm:` is about; a module of
tools that is the user's is as good as one that is switched over. Exits with 1 when something is wrong, and says what:
that MetaGPT has no configuration, without which it does not start, for one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Optional

from .. import installations
from ..console import DONE, FIXABLE, print_message

if TYPE_CHECKING:
    import argparse

    from ...switch.files import File
    from ...switch.installation import Installation

NAME = "status"
SUMMARY = "Tell which Ollama provider an installed MetaGPT uses, and prove it."
POSITION = 30

_STATES = {
    "original": "MetaGPT's own",
    "switched": "switched over",
    "by hand": "switched over, by hand",
    "other": "not the file of a known release",
    "missing": "missing",
}
# What differs for the module of tools, which MetaGPT does not have, and for its list, which may be any text.
_STATES_OF_SLC = {**_STATES, "other": "not this package's", "missing": "not there"}
_STATES_OF_TOOL_LIST = {
    **_STATES,
    "original": "does not list slc",
    "switched": "lists slc",
    "by hand": "lists slc, by hand",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares `--python` and `--json`."""
    installations.add_python_argument(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Prints the state on stdout and what is wrong with it, if anything, on stderr; returns 1 if something is."""
    from ...switch import files, installation

    found = installations.find_installation(arguments)
    with installations.refusals_as_errors():
        read = files.read(found.folder)
    probed = installation.probe(found)
    configuration = installation.read_configuration(found)
    state, wrong, hint = _diagnose_files(read, probed, found)
    if wrong is None:
        wrong, hint = _diagnose_configuration(configuration)
    if arguments.json:
        print(json.dumps(_as_json_object(found, read, probed, configuration, state, wrong, hint)))
    else:
        print(_as_text(found, read, probed, configuration))
    if wrong is None:
        return DONE
    if not arguments.json:
        print_message(f"wrong: {wrong}")
        print_message(f"hint: {hint}")
    return FIXABLE


def _diagnose_files(
    read: list[File], probed: dict[str, Any], found: Installation
) -> tuple[str, Optional[str], Optional[str]]:
    """The state of the files in one word; what is wrong with it, or None; what to do about that, or None.

    For example ``("partly switched", "only one of the two files is switched over", "metagpt-ollama install")``.
    """
    from ...switch.files import State, is_overwritten, waiting_for_install, waiting_for_uninstall
    from ...switch.releases import FILES, TOOL_FILES

    of_provider = [file for file in read if file.relative in FILES]
    states = {file.state for file in of_provider}
    switched = states <= {State.SWITCHED, State.BY_HAND}
    again = "metagpt-ollama install"
    if any(is_overwritten(file) for file in of_provider):
        return (
            "overwritten",
            "MetaGPT was upgraded or installed anew after `metagpt-ollama install`, which undid it",
            f"{again}, or metagpt-ollama uninstall to forget it",
        )
    if State.OTHER in states or State.MISSING in states:
        return "unknown", "a file is not the one of a known release", f"{again} shows how it differs"
    if probed["error"] is not None:
        return "broken", f"MetaGPT cannot be imported: {probed['error']}", _repair_hint(found)
    if not switched and states != {State.ORIGINAL}:
        return "partly switched", "only one of the two files is switched over", again
    if switched and waiting_for_install(read):
        return "partly switched", "the provider is switched over, but MetaGPT does not list the tools", again
    if not switched and waiting_for_uninstall(read):
        return "partly switched", "only the tools are switched over", f"{again}, or metagpt-ollama uninstall"
    if switched and found.package_error is not None:
        gone = f"the files are switched over, but {found.python} cannot import metagpt_ollama_rs"
        return "broken", f"{gone}: MetaGPT falls back to its own provider", _repair_hint(found)
    if switched and not probed["ours"]:
        other = f"the files are switched over, but MetaGPT makes {probed['provider']}"
        return "broken", other, "something registers another provider: look at what MetaGPT imports"
    listed = all(file.state in (State.SWITCHED, State.BY_HAND) for file in read if file.relative in TOOL_FILES)
    if listed and not probed["tools"]:
        none = f"MetaGPT lists the tools, but registers none: {probed['tools_error'] or 'their import fails'}"
        return "broken", none, f'{found.python} -c "import metagpt.tools.libs.slc" shows where'
    return ("switched" if switched else "original"), None, None


def _repair_hint(found: Installation) -> str:
    """What to do about a MetaGPT that cannot be imported, or that cannot import this package."""
    if found.package_error is not None:
        return f"{found.python} -m pip install metagpt-ollama-rs, or metagpt-ollama uninstall"
    return f'{found.python} -c "import metagpt.provider" shows where'


def _diagnose_configuration(configuration: dict[str, Any]) -> tuple[Optional[str], Optional[str]]:
    """What is wrong with the configuration, or None, and what to do about it, or None.

    No setting is checked: whether the server, the model and the key are right shows at the first call.
    """
    if configuration["error"] is not None:
        return f"MetaGPT cannot read its configuration: {configuration['error']}", "correct the file"
    if not configuration["read"]:
        missing = f"MetaGPT has no configuration here: {_missing_files(configuration)}"
        return missing, "`metagpt --init-config` writes the second one; the README shows what its llm: section needs"
    if configuration["llm"] is None:
        where = " and ".join(configuration["read"])
        return f"{where} says nothing about llm:, which MetaGPT needs", "the README shows what that section needs"
    return None, None


def _missing_files(configuration: dict[str, Any]) -> str:
    return "neither " + " nor ".join(configuration["searched"]) + " is there"


def _as_json_object(
    found: Installation,
    read: list[File],
    probed: dict[str, Any],
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
        "provider": {key: probed[key] for key in ("provider", "ours", "version", "empty_key", "error")},
        "tools": {"registered": probed["tools"], "error": probed["tools_error"]},
        "configuration": {**configuration, "ollama": _is_ollama(configuration)},
        "wrong": wrong,
        "hint": hint,
    }


def _is_ollama(configuration: dict[str, Any]) -> bool:
    """Whether `llm:` names one of the four Ollama types. MetaGPT compares their exact spelling, and so does this."""
    from ...switch.edits import OLLAMA_TYPES

    return configuration["llm"] is not None and configuration["llm"]["api_type"] in OLLAMA_TYPES


def _as_text(found: Installation, read: list[File], probed: dict[str, Any], configuration: dict[str, Any]) -> str:
    from ...switch.files import State
    from ...switch.releases import RELEASES, SLC, TOOL_LIST

    lines = [("MetaGPT", f"{found.version or 'version unknown'}, {found.folder}"), ("Python", found.python)]
    for file in read:
        release = ""
        if file.state is State.ORIGINAL and file.release is not None:
            release = f" (as in {RELEASES[file.release].title})"
        backup = f"; the original is {file.backup_path.name}" if file.backup is not None else ""
        states = {SLC: _STATES_OF_SLC, TOOL_LIST: _STATES_OF_TOOL_LIST}.get(file.relative, _STATES)
        lines.append((file.relative, f"{states[file.state.value]}{release}{backup}"))
    if probed["error"] is None:
        whose = f"metagpt_ollama_rs {probed['version']}" if probed["ours"] else "MetaGPT's own"
        lines.append(("provider when imported", f"{whose} ({probed['provider']})"))
        lines.append(('api_key: ""', "accepted" if probed["empty_key"] else "refused by MetaGPT"))
        lines.append(("tools registered", ", ".join(probed["tools"]) or probed["tools_error"] or "none"))
    else:
        lines.append(("provider when imported", "none: the import fails"))
    lines += _configuration_lines(configuration)
    width = max(len(label) for label, _ in lines)
    return "\n".join(f"{label.ljust(width)}  {text}" for label, text in lines)


def _configuration_lines(configuration: dict[str, Any]) -> list[tuple[str, str]]:
    files = ", then ".join(configuration["read"]) or f"none: {_missing_files(configuration)}"
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
