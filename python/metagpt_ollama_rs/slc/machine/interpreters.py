"""The Python interpreters of this machine: the running one, those on PATH, pyenv's and uv's, each once.

    [Interpreter(path="/usr/bin/python3.11", version="3.11.2", implementation="CPython", sources=("PATH",), …), …]

Each is asked for its version, with a time limit; one that does not answer (a dangling link, a launcher without a Python
behind it) is listed with the reason.
"""

from __future__ import annotations

import json
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from metagpt_ollama_rs.errors import ConfigurationError
from metagpt_ollama_rs.slc.machine.programs import ProgramError, find_executable, last_line, run_program

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["INTERPRETER_NAME", "Interpreter", "choose_interpreter", "find_interpreters"]

# How long an interpreter may take to tell its version, in seconds.
_PATIENCE = 5.0
# The names of files that are asked: an interpreter is not found by starting whatever there is.
INTERPRETER_NAME = re.compile(r"(python|pypy)(\d(\.\d+)?)?t?(\.exe)?")
# Also for Python 2, so without `-I`, and without what lies in the working folder.
_QUESTION = """\
import sys
sys.path[:] = [entry for entry in sys.path if entry]
import json, platform
print(json.dumps([sys.executable, platform.python_version(), platform.python_implementation()]))
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python interpreter.

    Attributes:
        path: where it was found first, links not followed.
        version: such as "3.11.7", or None if it does not answer.
        implementation: such as "CPython", or None.
        sources: how it was found: "running", "PATH", "pyenv", "uv".
        problem: why there is no version, or None.

    >>> Interpreter("/usr/bin/python3", "3.11.2", "CPython", ("PATH",)).problem is None
    True
    """

    path: str
    version: str | None = None
    implementation: str | None = None
    sources: tuple[str, ...] = ()
    problem: str | None = None


def find_interpreters() -> list[Interpreter]:
    """All interpreters, the newest first, then those that do not answer."""
    by_file: dict[str, tuple[str, list[str]]] = {}
    for path, source in _interpreter_paths():
        # Of several names of one file the first one is kept: it is the one that the user types.
        _, sources = by_file.setdefault(os.path.realpath(path), (path, []))
        if source not in sources:
            sources.append(source)
    with ThreadPoolExecutor(8) as threads:
        asked = list(threads.map(lambda found: _ask_version(found[0], tuple(found[1])), by_file.values()))
    return sorted(_without_launchers(asked), key=_newest_first)


def choose_interpreter(python: str | os.PathLike[str] | None) -> str:
    """The path of the interpreter that the user means: None for the running one, a path, or a version such as "3.11".

    Raises ConfigurationError where there is none.
    """
    if python is None and sys.executable:
        return _base_of_this()
    if not isinstance(python, (str, os.PathLike, type(None))):
        # A number 3.10 would be 3.1.
        raise ConfigurationError(f'python must be a text, such as "3.11", and is {python!r:.60}')
    wanted = os.fspath(python or "")
    named = re.fullmatch(r"python(\d(?:\.\d+)?)", wanted)
    if named and _is_launcher(find_executable(wanted) or os.devnull):
        # pyenv's `python3.9` starts nothing unless that version is switched on.
        wanted = named[1]
    if not re.fullmatch(r"\d+(\.\d+){0,2}", wanted):
        by_name = find_executable(wanted) if INTERPRETER_NAME.fullmatch(wanted) else None
        path = by_name or os.path.abspath(os.path.expanduser(wanted))
        if os.path.isfile(path) and os.access(path, os.X_OK) and INTERPRETER_NAME.fullmatch(os.path.basename(path)):
            return path
        raise ConfigurationError(
            f"{wanted!r:.200} is no Python interpreter",
            hint="python is the path of an interpreter, or a version such as 3.11",
        )
    # Other implementations have the versions of CPython, too, and are chosen by their paths.
    found = [each for each in find_interpreters() if each.version]
    found.sort(key=lambda each: each.implementation != "CPython")
    for interpreter in found:
        if f"{interpreter.version}.".startswith(f"{wanted}."):
            return interpreter.path
    versions = ", ".join(dict.fromkeys(each.version or "" for each in found))
    raise ConfigurationError(f"there is no Python {wanted} here", hint=f"choose one of {versions}, or install it")


def _interpreter_paths() -> Iterator[tuple[str, str]]:
    """Paths of interpreters, each with how it was found."""
    if sys.executable:
        yield _base_of_this(), "running"
    # Where nobody knows the home of this user, `~` stays, which leads nowhere.
    home = Path(os.path.expanduser("~"))
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv")
    shims = os.path.realpath(pyenv / "shims")
    for folder in dict.fromkeys(os.environ.get("PATH", "").split(os.pathsep)):
        # A relative folder is the working folder's, whose programs are not to be run by their names alone. pyenv's
        # shims stand for what its folder has.
        if os.path.isabs(folder) and os.path.realpath(folder) != shims:
            for name in _names(folder):
                path = os.path.join(folder, name)
                if os.access(path, os.X_OK) or not os.path.exists(path):
                    yield path, "PATH"
    for version in _names(pyenv / "versions", any_name=True):
        python = pyenv / "versions" / version / "bin" / "python"
        if os.path.lexists(python):
            yield str(python), "pyenv"
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    managed = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python")
    for version in _names(managed, any_name=True):
        for name in _names(managed / version / "bin"):
            yield str(managed / version / "bin" / name), "uv"


def _names(folder: str | Path, *, any_name: bool = False) -> list[str]:
    """The names in a folder, without hidden ones: of interpreters, or any."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    return [name for name in names if (any_name and not name.startswith(".")) or INTERPRETER_NAME.fullmatch(name)]


def _base_of_this() -> str:
    """The running interpreter; in a virtual environment the one that it was made of."""
    if sys.prefix == sys.base_prefix:
        return sys.executable
    base = str(getattr(sys, "_base_executable", None) or sys.executable)
    # Some releases of Python do not tell.
    return os.path.realpath(base) if base == sys.executable else base


def _ask_version(path: str, sources: tuple[str, ...]) -> Interpreter:
    try:
        done = run_program([path, "-E", "-s", "-c", _QUESTION], seconds=_PATIENCE)
        executable, version, implementation = map(str, json.loads(last_line(done.stdout)))
        return Interpreter(executable if _is_launcher(path) else path, version, implementation, sources)
    except ProgramError as error:
        return Interpreter(path, sources=sources, problem=error.message)
    except (RecursionError, TypeError, ValueError):
        said = last_line(done.stderr) or "it does not say its version"
        return Interpreter(path, sources=sources, problem=f"exit code {done.exit_code}: {said:.200}")


def _is_launcher(path: str) -> bool:
    """Whether a file is a script that starts an interpreter elsewhere, as those of asdf and others are."""
    try:
        with open(path, "rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def _without_launchers(found: Iterable[Interpreter]) -> list[Interpreter]:
    """The same without those that turned out to start one of the others."""
    kept: dict[str, Interpreter] = {}
    for interpreter in found:
        kept.setdefault(os.path.realpath(interpreter.path), interpreter)
    return list(kept.values())


def _newest_first(interpreter: Interpreter) -> tuple[bool, list[int], str]:
    numbers = re.findall(r"\d+", interpreter.version or "")[:3]
    return (interpreter.version is None, [-int(number) for number in numbers], interpreter.path)
