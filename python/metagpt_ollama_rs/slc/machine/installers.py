"""Makes environments and installs packages, with uv where it is present, else with venv and pip.

Each command is an argument list. Requirements are those that `requirement_lists` parsed, written anew, and stand behind
``--``, so that none of them is an option by accident. Which index is asked is the user's own configuration of pip or uv
(``PIP_INDEX_URL`` and the like).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Callable

from metagpt_ollama_rs.errors import ConfigurationError
from metagpt_ollama_rs.slc.machine.interpreters import choose_interpreter
from metagpt_ollama_rs.slc.machine.programs import (
    ProgramError,
    find_executable,
    last_line,
    run_program,
    shown_arguments,
)
from metagpt_ollama_rs.slc.machine.python_environments import (
    AskedEnvironment,
    ask_environment,
    environment_kind,
    is_current,
    normalized_package_name,
    plain_path,
)
from metagpt_ollama_rs.slc.machine.requirement_checks import check_requirements
from metagpt_ollama_rs.slc.machine.requirement_lists import option_arguments, requirement_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from metagpt_ollama_rs.slc.machine.requirement_lists import RequirementLine

__all__ = ["CreateReport", "InstallReport", "PackageChange", "create_environment", "install_packages"]

# An installer that is told to end gets so many seconds to undo what it began.
_GRACE = 10.0
_UV_MANNERS = ("--no-progress", "--color", "never")
_PIP_MANNERS = ("--no-input", "--disable-pip-version-check", "--no-color", "--progress-bar", "off")
# What pip and uv say with which exit code does not matter; these words of theirs do.
_HINTS = (
    (
        r"No matching distribution|not found in\s+the\s+package\s+registry|there is no version",
        "check the name and the versions",
    ),
    (r"ResolutionImpossible|No solution found|unsatisfiable", "the requirements contradict each other: loosen one"),
    (r"ensurepip", "install your system's package for venv (python3-venv), or uv"),
    (
        r"[Cc]onnection|[Nn]ame resolution|dns error|[Tt]imed out|error sending request",
        "is the package index reachable?",
    ),
    (r"[Pp]ermission denied", "this user may not write there"),
)


@dataclass(frozen=True)
class CreateReport:
    """A virtual environment that was made, or was there.

    `arguments` is the command that made it, empty where nothing was done.

    >>> print(CreateReport("/w/.venv", "/w/.venv: CPython 3.11.7", ()))
    /w/.venv: CPython 3.11.7
    it exists already, and is left as it is
    """

    path: str
    environment: str
    arguments: tuple[str, ...]

    @property
    def created(self) -> bool:
        """Whether it was made by this call."""
        return bool(self.arguments)

    def __str__(self) -> str:
        if not self.created:
            return f"{self.environment}\nit exists already, and is left as it is"
        return f"{self.environment}\nmade by {shown_arguments(self.arguments)}"


@dataclass(frozen=True)
class PackageChange:
    """A package that is installed, removed or replaced; None is no version.

    >>> print(PackageChange("six", "1.15.0", "1.16.0"))
    six 1.15.0 -> 1.16.0
    """

    name: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.name} {self.after}"
        return f"{self.name} {self.before} -> {self.after or 'removed'}"


@dataclass(frozen=True)
class InstallReport:
    """What an installation did, or would do.

    Attributes:
        environment: which one, with its version of Python.
        arguments: the command that installs; empty where nothing is required.
        applied: whether it was run.
        changes: the packages that changed. Without `applied` what a dry run of the installer said, where it can do one.
        unmet: after an installation the requirements that still do not hold.
        problem: why it cannot be said what would change, or None.
        refusal: why an installation would be refused, or None.

    >>> print(InstallReport("/w/.venv: CPython 3.11.7", ("uv", "pip", "install", "--", "six"), False,
    ...                     (PackageChange("six", None, "1.16.0"),)))
    /w/.venv: CPython 3.11.7
    dry run: nothing was changed, apply=True runs it
    command: ["uv", "pip", "install", "--", "six"]
    would change:
      six 1.16.0
    """

    environment: str
    arguments: tuple[str, ...]
    applied: bool
    changes: tuple[PackageChange, ...] = ()
    unmet: tuple[str, ...] = ()
    problem: str | None = None
    refusal: str | None = None

    def __str__(self) -> str:
        lines = [self.environment]
        if not self.arguments:
            return "\n".join([*lines, "nothing is required, so there is nothing to install"])
        if not self.applied:
            lines.append("dry run: nothing was changed, apply=True runs it")
        lines.append(f"command: {shown_arguments(self.arguments)}")
        if self.refusal:
            lines.append(f"apply=True would be refused: {self.refusal}")
        if self.problem:
            lines.append(f"not known what would change: {self.problem}")
        elif self.changes:
            lines.append("changed:" if self.applied else "would change:")
            lines += [f"  {change}" for change in self.changes]
        else:
            lines.append("no package changed" if self.applied else "no package would change")
        if self.unmet:
            lines.append(f"still not met: {', '.join(self.unmet)}")
        return "\n".join(lines)


def create_environment(
    env: str | os.PathLike[str], python: str | os.PathLike[str] | None, seconds: float
) -> CreateReport:
    """Makes a virtual environment; what there is of it after a failure is removed.

    Raises ConfigurationError for a folder that has something else in it, and ProgramError if the command fails.
    """
    path = plain_path(env, "env")
    if os.pathsep in path:
        raise ConfigurationError(f"{path} has a {os.pathsep!r} in it, which PATH cannot have")
    if environment_kind(path):
        return CreateReport(path, str(ask_environment(path)), ())
    there = os.path.lexists(path)
    _check_empty(path)
    interpreter = choose_interpreter(python)
    uv = find_executable("uv")
    arguments = (
        [uv, "venv", *_UV_MANNERS, "--no-project", "--python", interpreter, "--", path]
        if uv
        else [interpreter, "-I", "-m", "venv", "--", path]
    )
    with _removed_on_failure(path, there):
        done = run_program(arguments, seconds=seconds, grace=_GRACE)
        if done.exit_code != 0:
            raise _failure(arguments, done.exit_code, f"{done.stdout}\n{done.stderr}")
        return CreateReport(path, str(ask_environment(path)), tuple(arguments))


def install_packages(
    environment: AskedEnvironment,
    lines: Sequence[RequirementLine],
    *,
    apply: bool,
    current: bool,
    installer: str | None,
    seconds: float,
    on_text: Callable[[str], object] | None,
) -> InstallReport:
    """Installs what was parsed and allowed, or says what would be installed.

    Raises ConfigurationError where the environment is not to be changed, and ProgramError if the installer fails.
    """
    if not lines:
        return InstallReport(str(environment), (), applied=False)
    options = [argument for line in lines for argument in option_arguments(line)]
    wanted = [
        requirement_text(line.requirement) if line.requirement else line.address
        for line in lines
        if line.requirement or line.address
    ]
    command = _install_command(environment, installer)
    rest = [*options, *(["--", *wanted] if wanted else [])]
    arguments = [*command, *rest]
    # uv would take an index from the `uv.toml` or `pyproject.toml` of the working folder, which may be anybody's. Paths
    # that are allowed expressly may be relative to that folder.
    folder = None if options or any(line.address for line in lines) else os.path.abspath(os.sep)
    refusal = _change_refusal(environment, current, options)
    if not apply:
        changes, problem = _dry_run(environment, command, rest, seconds, folder)
        return InstallReport(str(environment), tuple(arguments), False, changes, problem=problem, refusal=refusal)
    if refusal:
        raise ConfigurationError(refusal, hint="make one with EnvManagerTool.create, and install there")
    done = run_program(arguments, seconds=seconds, grace=_GRACE, on_text=on_text, folder=folder)
    if done.exit_code != 0:
        raise _failure(arguments, done.exit_code, f"{done.stdout}\n{done.stderr}")
    after = ask_environment(environment.python)
    checked = check_requirements(after, [line for line in lines if line.requirement]).requirements
    unmet = tuple(each.requirement for each in checked if not each.ok)
    return InstallReport(str(environment), tuple(arguments), True, _differences(environment, after), unmet)


def _install_command(environment: AskedEnvironment, installer: str | None) -> list[str]:
    """The command without options and requirements."""
    if installer not in (None, "uv", "pip"):
        raise ConfigurationError(f"installer must be uv or pip, and is {installer!r:.60}")
    uv = find_executable("uv") if installer in (None, "uv") else None
    if uv:
        return [uv, "pip", "install", *_UV_MANNERS, "--python", environment.python]
    if installer != "uv":
        if _version_of("pip", environment):
            return [environment.python, "-I", "-m", "pip", "install", *_PIP_MANNERS]
        # From release 22.3 on, pip installs into other environments.
        own = ask_environment(None)
        if _version_of("pip", own) >= (22, 3):
            return [own.python, "-I", "-m", "pip", "--python", environment.python, "install", *_PIP_MANNERS]
    raise ConfigurationError(
        f"there is no {installer or 'uv, and no pip'} for {environment.path}",
        hint=f"install uv, or pip by {shown_arguments([environment.python, '-m', 'ensurepip'])}",
    )


def _version_of(name: str, environment: AskedEnvironment) -> tuple[int, ...]:
    """The first two numbers of the version of a package; () if it is not there."""
    versions = (package.version for package in environment.packages if package.name == name)
    return tuple(int(number) for number in re.findall(r"\d+", next(versions, ""))[:2])


def _change_refusal(environment: AskedEnvironment, current: bool, options: Sequence[str]) -> str | None:
    """Why an environment is not to be changed, or None."""
    if is_current(environment) and not current:
        return (
            f"{environment.path} is the environment that runs this program; allow_current=True changes it all the same"
        )
    if environment.externally_managed and "--break-system-packages" not in options:
        return f"{environment.path} belongs to the system's package manager (PEP 668)"
    if not environment.writable:
        return f"this user may not write to {environment.site_packages}"
    return None


def _dry_run(
    environment: AskedEnvironment, command: Sequence[str], rest: Sequence[str], seconds: float, folder: str | None
) -> tuple[tuple[PackageChange, ...], str | None]:
    """What would change, or why that is not known."""
    with_uv = command[1] == "pip"
    pip = _version_of("pip", environment) or _version_of("pip", ask_environment(None))
    if not with_uv and pip < (22, 2):
        return (), f"pip {'.'.join(map(str, pip))} cannot do a dry run (22.2 and later can)"
    arguments = [*command, "--dry-run", *([] if with_uv else ["--quiet", "--report", "-"]), *rest]
    try:
        done = run_program(arguments, seconds=seconds, grace=_GRACE, folder=folder)
        if done.exit_code != 0:
            raise _failure(arguments, done.exit_code, done.stderr)
        if with_uv:
            found = _read_uv(done.stderr)
            known = found or "Would make no changes" in done.stderr
            return found, None if known else f"uv does not say it: {done.stderr.strip()[:1000]}"
        before = {package.name: package.version for package in environment.packages}
        after = [each["metadata"] for each in json.loads(done.stdout)["install"]]
        changes = [(normalized_package_name(each["name"]), each["version"]) for each in after]
        return tuple(PackageChange(name, before.get(name), version) for name, version in changes), None
    except ProgramError as error:
        return (), str(error)
    except (KeyError, TypeError, ValueError):
        return (), f"the report of the installer cannot be read: {done.stdout:.200}"


def _read_uv(text: str) -> tuple[PackageChange, ...]:
    """The changes in uv's lines ` + six==1.16.0`, ` - six==1.15.0`."""
    versions: dict[str, dict[str, str]] = {}
    for sign, name, version in re.findall(r"^ ([-+]) ([\w.-]+)(?:==(\S+)| @ \S+)?.*$", text, re.MULTILINE):
        versions.setdefault(normalized_package_name(name), {})[sign] = version or "(of a URL)"
    return tuple(PackageChange(name, each.get("-"), each.get("+")) for name, each in versions.items())


def _differences(before: AskedEnvironment, after: AskedEnvironment) -> tuple[PackageChange, ...]:
    old, new = ({package.name: package.version for package in each.packages} for each in (before, after))
    return tuple(
        PackageChange(name, old.get(name), new.get(name))
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    )


def _failure(arguments: Sequence[str], exit_code: int, output: str) -> ProgramError:
    what = os.path.basename(arguments[0])
    hint = next((hint for pattern, hint in _HINTS if re.search(pattern, output)), "")
    hint = hint or f"the command was {shown_arguments(arguments)}"
    message = f"{what} ended with exit code {exit_code}: {last_line(output) or 'it said nothing'}"
    return ProgramError(message, arguments=arguments, exit_code=exit_code, output=output, hint=hint)


def _check_empty(path: str) -> None:
    """Refuses what is there and is no empty folder."""
    hint = "give the path of a folder that does not exist"
    if os.path.lexists(path) and not os.path.isdir(path):
        raise ConfigurationError(f"{path} is no folder", hint=hint)
    if os.path.isdir(path) and os.listdir(path):
        raise ConfigurationError(f"{path} has files in it and is no environment", hint=hint)


@contextlib.contextmanager
def _removed_on_failure(path: str, there: bool) -> Iterator[None]:
    """Makes the folder, unless it was there; removes after a failure what the block put into it, and what was made."""
    made: list[Path] = []
    ours = False
    try:
        for folder in (*reversed(Path(path).parents), Path(path)):
            # Of two calls at the same time one makes the folder itself, and the other fails.
            if (str(folder) == path and not there) or not folder.is_dir():
                folder.mkdir()
                made.append(folder)
        _check_empty(path)
        ours = True
        yield
    except BaseException as error:
        for child in Path(path).iterdir() if ours else ():
            if child.is_dir() and not child.is_symlink():
                shutil.rmtree(child, ignore_errors=True)
            else:
                child.unlink()
        for folder in reversed(made):
            with contextlib.suppress(OSError):
                folder.rmdir()
        if isinstance(error, OSError):
            reason = f"{error.filename} cannot be made: {error.strerror}"
            raise ConfigurationError(reason, hint="give the path of a folder that this user may make") from error
        raise
