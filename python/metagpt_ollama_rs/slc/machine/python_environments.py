"""Python environments: those near the working folder, and the one that a user names.

`find_environments` reads what lies in the folders and runs nothing, because a project that was only downloaded may have
an environment in it, too. `ask_environment` starts the interpreter of the environment that it is given.
"""

from __future__ import annotations

import glob
import json
import os
import re
import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metagpt_ollama_rs.errors import ConfigurationError
from metagpt_ollama_rs.slc.machine.interpreters import INTERPRETER_NAME
from metagpt_ollama_rs.slc.machine.programs import last_line, run_program

if TYPE_CHECKING:
    from typing import Union

    # The path of an environment, or of its interpreter; None is the environment of the running interpreter.
    EnvironmentLike = Union[str, os.PathLike[str], None]

__all__ = [
    "AskedEnvironment",
    "NearEnvironment",
    "Package",
    "ask_environment",
    "environment_kind",
    "find_environments",
    "interpreter_of",
    "is_current",
    "normalized_package_name",
    "plain_path",
]

# How long an interpreter may take to list its packages, in seconds: disks can be slow.
_PATIENCE = 30.0
# What environments in parent folders are called. In the working folder itself they may have any name.
_USUAL_NAMES = (".venv", "venv")


@dataclass(frozen=True)
class NearEnvironment:
    """An environment that was found.

    Attributes:
        path: its folder.
        kind: "venv" or "conda".
        version: that of its Python, such as "3.11.7", or None if it does not say.
        current: whether it is the running interpreter's, or the one that the shell has activated.
        problem: why it cannot be used, or None.

    >>> NearEnvironment("/w/.venv", "venv", "3.11.7", current=True).problem is None
    True
    """

    path: str
    kind: str
    version: str | None = None
    current: bool = False
    problem: str | None = None


@dataclass(frozen=True)
class Package:
    """An installed package.

    Attributes:
        name: normalized, such as "typing-extensions".
        version: such as "4.12.2".
        location: the folder from which it is imported.
        editable: whether it is imported from the folder where it is worked on.
        source: the URL that it was installed from, where that was not the package index, or None.
        requires: its requirements as they stand in its metadata.
        extras: the extras that it has.
        shadowed: the versions of the same name that come later on the path and so are not imported.

    >>> Package("typing-extensions", "4.12.2", "/w/.venv/lib/python3.11/site-packages").editable
    False
    """

    name: str
    version: str
    location: str
    editable: bool = False
    source: str | None = None
    requires: tuple[str, ...] = field(default=(), repr=False)
    extras: tuple[str, ...] = field(default=(), repr=False)
    shadowed: tuple[str, ...] = ()


@dataclass(frozen=True)
class AskedEnvironment:
    """What an environment's own interpreter has said.

    Attributes:
        path: the environment's folder (`sys.prefix`).
        python: the interpreter, as a program can be started by.
        version: such as "3.11.7".
        implementation: such as "CPython".
        markers: the values by which markers of requirements are decided there.
        site_packages: the folder that packages are installed to.
        writable: whether this user may write there.
        externally_managed: what it says to those who want to change it (PEP 668), or None.
        packages: sorted by name.
        unreadable: folders of packages that have no name or version.

    >>> environment = ask_environment(None)
    >>> is_current(environment), environment.packages[0].name.islower()
    (True, True)
    """

    path: str
    python: str
    version: str
    implementation: str
    markers: dict[str, str] = field(repr=False)
    site_packages: str = field(repr=False)
    writable: bool
    externally_managed: str | None = field(repr=False)
    packages: tuple[Package, ...] = field(repr=False)
    unreadable: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.path}: {self.implementation} {self.version}"


def find_environments() -> list[NearEnvironment]:
    """The current ones, those in the working folder, the usual ones in its parents, and conda's."""
    active = [os.environ.get(name) for name in ("VIRTUAL_ENV", "CONDA_PREFIX")]
    current = [path for path in (sys.prefix, *active) if path]
    found: dict[str, NearEnvironment] = {}
    for path in (*current, *_near_folders(), *_conda_environments()):
        real = os.path.realpath(path)
        kind = environment_kind(path)
        if kind and real not in found:
            is_one_of = any(os.path.realpath(each) == real for each in current)
            found[real] = NearEnvironment(path, kind, _stated_version(path, kind), is_one_of, _problem(path))
    return list(found.values())


def environment_kind(path: str | os.PathLike[str]) -> str | None:
    """ "venv" or "conda" for the folder of an environment, None for anything else.

    >>> environment_kind("/no/such/folder") is None
    True
    """
    if os.path.isfile(os.path.join(path, "pyvenv.cfg")):
        return "venv"
    return "conda" if os.path.isdir(os.path.join(path, "conda-meta")) else None


def interpreter_of(path: str | os.PathLike[str]) -> str | None:
    """The interpreter in the folder of an environment, whether or not it can be started, or None."""
    names = ("bin/python", "bin/python3", "Scripts/python.exe", "python.exe")
    return next((file for name in names if os.path.lexists(file := os.path.join(path, *name.split("/")))), None)


def ask_environment(env: EnvironmentLike) -> AskedEnvironment:
    """Asks the interpreter of an environment what it is and which packages it has.

    Args:
        env: the path of the environment or of its interpreter, or None for the running one.

    Raises:
        ConfigurationError: it is no environment, or its interpreter is gone or too old.
        ProgramError: its interpreter does not answer.
    """
    python = _named_interpreter(env)
    spec = find_spec("metagpt_ollama_rs.slc.machine.environment_probe")
    text = Path(str(spec and spec.origin)).read_text(encoding="utf-8")
    done = run_program([python, "-I", "-c", text], seconds=_PATIENCE)
    try:
        # An environment may have code that prints something at the start or at the end.
        lines = [line for line in done.stdout.splitlines() if line.startswith('{"python": ')]
        answer = json.loads(lines[-1] if lines else "")
        environment = AskedEnvironment(
            path=answer["prefix"],
            python=python,
            version=answer["version"],
            implementation=answer["implementation"],
            markers=answer["markers"],
            site_packages=answer["site_packages"],
            writable=answer["writable"],
            externally_managed=answer["externally_managed"],
            packages=_read_packages(answer["packages"]),
            unreadable=tuple(answer["unreadable"]),
        )
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"the interpreter {python} does not describe its environment: exit code {done.exit_code}"
            f" ({last_line(done.stderr) or 'it said nothing'})",
            hint="it must be Python 3.8 or newer, and start: try it with --version",
        ) from error
    if env is not None and os.path.isdir(plain_path(env, "env")) and not os.path.samefile(env, environment.path):
        # A folder with a link to another environment's interpreter in it.
        raise ConfigurationError(
            f"{_no_environment(plain_path(env, 'env'))}: its Python belongs to {environment.path}",
            hint=f"give {environment.path}, if that is meant",
        )
    return environment


def is_current(environment: AskedEnvironment) -> bool:
    """Whether it is the environment of the running interpreter."""
    return os.path.realpath(environment.path) == os.path.realpath(sys.prefix)


def normalized_package_name(name: str) -> str:
    """The one spelling of a package's name, as `packaging.utils` has it, which need not be installed.

    >>> normalized_package_name("Typing.Extensions")
    'typing-extensions'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def plain_path(path: str | os.PathLike[str], name: str) -> str:
    """An absolute path, with ``~`` expanded, links not followed: that of an environment's python leads out of it.

    Raises ConfigurationError for what is no path; ``name`` is what the caller calls it.
    """
    text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    if not isinstance(text, str) or not text.strip() or not text.isprintable():
        raise ConfigurationError(f"{name} must be a path, and is {path!r:.200}")
    return os.path.abspath(os.path.expanduser(text))


def _named_interpreter(env: EnvironmentLike) -> str:
    if env is None:
        if not sys.executable:
            raise ConfigurationError("this program does not know its interpreter", hint="give the path of one")
        return sys.executable
    path = plain_path(env, "env")
    if os.path.isdir(path):
        python = interpreter_of(path)
        problem = _problem(path) if environment_kind(path) or python else _no_environment(path)
    else:
        python = path
        named = INTERPRETER_NAME.fullmatch(os.path.basename(path))
        problem = None if named and os.access(path, os.X_OK) else _no_environment(path)
        if os.path.islink(path) and not os.path.exists(path):
            problem = f"{path} leads to {os.path.realpath(path)}, which does not exist"
    if problem or python is None:
        below = [each for each in _USUAL_NAMES if environment_kind(os.path.join(path, each))]
        hint = f"did you mean {os.path.join(path, below[0])}?" if below else "give the folder of one, or its python"
        raise ConfigurationError(problem or f"{path} has no Python", hint=hint)
    return python


def _no_environment(path: str) -> str:
    if not os.path.lexists(path):
        return f"{path} does not exist"
    return f"{path} is no Python environment and no interpreter"


def _problem(path: str) -> str | None:
    """Why an environment cannot be used, as far as its folder shows, or None."""
    python = interpreter_of(path)
    if python is None:
        return f"{path} has no Python"
    if not os.path.exists(python):
        return f"the interpreter that {path} was made of is gone: {os.path.realpath(python)} does not exist"
    if not os.access(python, os.X_OK):
        return f"{python} cannot be run"
    return None


def _stated_version(path: str, kind: str) -> str | None:
    """The version of Python that an environment's files tell."""
    if kind == "conda":
        names = (os.path.basename(each) for each in glob.glob(os.path.join(glob.escape(path), "conda-meta", "*.json")))
        found = (re.match(r"python-(\d[\w.]*)-", name) for name in names)
    else:
        try:
            lines = Path(path, "pyvenv.cfg").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return None
        found = (re.match(r"version(?:_info)?\s*=\s*(\d+\.\d+(?:\.\d+)?)", line) for line in lines)
    return next((match[1] for match in found if match), None)


def _near_folders() -> list[str]:
    """The folders that may be environments near the working folder, which may be in one itself."""
    try:
        here = Path.cwd()
    except OSError:  # It was removed.
        return []
    above = [folder for parent in here.parents for folder in (parent, *(parent / name for name in _USUAL_NAMES))]
    return [str(folder) for folder in (here, *sorted(_children(here)), *above)]


def _children(folder: Path) -> list[Path]:
    try:
        return [child for child in folder.iterdir() if child.is_dir()]
    except OSError:
        return []


def _conda_environments() -> list[str]:
    """The environments that conda and its relatives have noted in the user's list, and those of the active conda."""
    found = []
    program = os.environ.get("CONDA_EXE", "")
    if os.path.isabs(program):
        root = Path(program).parent.parent
        found += [str(root), *sorted(map(str, _children(root / "envs")))]
    try:
        listed = Path(os.path.expanduser("~"), ".conda", "environments.txt")
        noted = listed.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return found
    return [*found, *(line.strip() for line in noted.splitlines() if os.path.isabs(line.strip()))]


def _read_packages(answers: list[dict[str, Any]]) -> tuple[Package, ...]:
    """The packages, the first of each name with the versions of those behind it."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for answer in answers:
        by_name.setdefault(normalized_package_name(answer["name"]), []).append(answer)
    return tuple(
        Package(
            name=name,
            version=first["version"],
            location=first["location"],
            editable=first["editable"],
            source=first["source"],
            requires=tuple(first["requires"]),
            extras=tuple(first["extras"]),
            shadowed=tuple(other["version"] for other in others),
        )
        for name, (first, *others) in sorted(by_name.items())
    )
