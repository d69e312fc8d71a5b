"""`EnvManagerTool`: what this machine has for Python and for models, and the care of virtual environments.

    print(EnvManagerTool.describe())
    EnvManagerTool.create(".venv")
    print(EnvManagerTool.install(".venv", ["requests>=2"]))               # says what would be installed
    print(EnvManagerTool.install(".venv", ["requests>=2"], apply=True))   # installs it

Each method returns text, and has a twin with `_report` behind its name, which returns the same as a dataclass whose
`str` is that text. No model is asked. Programs are run with argument lists, never by a shell.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Callable, Optional

from metagpt_ollama_rs.errors import ConfigurationError
from metagpt_ollama_rs.slc.machine.hardware import GraphicsReport, Machine, describe_machine, find_graphics_cards
from metagpt_ollama_rs.slc.machine.installers import CreateReport, InstallReport, create_environment, install_packages
from metagpt_ollama_rs.slc.machine.interpreters import Interpreter, find_interpreters
from metagpt_ollama_rs.slc.machine.ollama_status import OllamaStatus, describe_ollama
from metagpt_ollama_rs.slc.machine.plain_tables import aligned_rows
from metagpt_ollama_rs.slc.machine.python_environments import (
    AskedEnvironment,
    NearEnvironment,
    ask_environment,
    find_environments,
)
from metagpt_ollama_rs.slc.machine.requirement_checks import CheckReport, check_requirements
from metagpt_ollama_rs.slc.machine.requirement_lists import check_allowed, read_requirements
from metagpt_ollama_rs.values import ByteSize

__all__ = ["EnvManagerTool", "MachineReport", "PackagesReport"]


@dataclass(frozen=True)
class MachineReport:
    """What `EnvManagerTool.describe` says.

    >>> report = EnvManagerTool.describe_report()
    >>> "running" in report.interpreters[0].sources + report.interpreters[-1].sources or len(report.interpreters) > 1
    True
    """

    interpreters: tuple[Interpreter, ...]
    environments: tuple[NearEnvironment, ...]
    graphics: GraphicsReport
    machine: Machine
    ollama: OllamaStatus

    def __str__(self) -> str:
        parts = [
            ("Python interpreters", aligned_rows(map(_interpreter_row, self.interpreters))),
            ("Virtual environments", aligned_rows(map(_environment_row, self.environments)) or ["none near here"]),
            ("Graphics cards", _graphics_lines(self.graphics)),
            ("Processor and memory", _machine_lines(self.machine)),
            ("Ollama", _ollama_lines(self.ollama)),
        ]
        return "\n\n".join("\n".join([title, *(f"  {line}" for line in lines)]) for title, lines in parts)


@dataclass(frozen=True)
class PackagesReport:
    """What `EnvManagerTool.list_packages` says.

    >>> report = EnvManagerTool.list_packages_report()
    >>> "metagpt-ollama-rs" in [package.name for package in report.environment.packages]
    True
    """

    environment: AskedEnvironment

    def __str__(self) -> str:
        packages = self.environment.packages
        inside = os.path.join(os.path.realpath(self.environment.path), "")
        rows = []
        for package in packages:
            remarks = [
                package.editable and f"editable: {package.source or package.location}",
                not package.editable and package.source and f"from {package.source}",
                not package.editable and not package.location.startswith(inside) and f"in {package.location}",
                package.shadowed and f"hides {', '.join(package.shadowed)}",
            ]
            rows.append((package.name, package.version, _joined("; ", remarks)))
        count = f"{len(packages)} package{'s' if len(packages) != 1 else ''}"
        broken = [f"broken, without a name or version: {folder}" for folder in self.environment.unreadable]
        return "\n".join([f"{self.environment}, {count}", *aligned_rows(rows), *broken])


class EnvManagerTool:
    """Describes this machine, and lists, checks, makes and fills virtual environments.

    An environment is named by the path of its folder or of its interpreter; None is the one that runs this program.

    >>> print(EnvManagerTool.check(None, "metagpt-ollama-rs; python_version < '3'").splitlines()[1])
    1 requirement: 1 not needed
    """

    @staticmethod
    def describe() -> str:
        """Describe this machine: interpreters, virtual environments, graphics cards, memory, Ollama and its models.

        Nothing is changed, and no model is asked. Takes a few seconds at most.

        Returns:
            The description, in sections. What cannot be found or reached is said there.
        """
        return str(EnvManagerTool.describe_report())

    @staticmethod
    def describe_report() -> MachineReport:
        """The same as `describe`, with the values in fields.

        Returns:
            The description; `str` of it is the text.
        """
        with ThreadPoolExecutor(3) as threads:
            # Each of these may have to wait for programs or a server that do not answer.
            interpreters = threads.submit(find_interpreters)
            graphics = threads.submit(find_graphics_cards)
            ollama = threads.submit(describe_ollama)
            return MachineReport(
                tuple(interpreters.result()),
                tuple(find_environments()),
                graphics.result(),
                describe_machine(),
                ollama.result(),
            )

    @staticmethod
    def list_packages(env: str | os.PathLike[str] | None = None) -> str:
        """List the packages that are installed in an environment. It needs no pip.

        Args:
            env: the path of the environment or of its python; None for the current one.

        Returns:
            A line for each package: its normalized name, its version, and where it is if that is not usual.

        Raises:
            ConfigurationError: the path is no environment, or its interpreter is gone or too old (before 3.8).
            ProgramError: its interpreter does not answer.
        """
        return str(EnvManagerTool.list_packages_report(env))

    @staticmethod
    def list_packages_report(env: str | os.PathLike[str] | None = None) -> PackagesReport:
        """The same as `list_packages`, with the values in fields.

        Args:
            env: the path of the environment or of its python; None for the current one.

        Returns:
            The packages; `str` of it is the text.
        """
        return PackagesReport(ask_environment(env))

    @staticmethod
    def check(
        env: str | os.PathLike[str] | None,
        requirements: str | os.PathLike[str] | Iterable[str],
        *,
        allow_includes: bool = False,
    ) -> str:
        """Check whether an environment meets requirements, and whether its packages fit together. Nothing is changed.

        Args:
            env: the path of the environment or of its python; None for the current one.
            requirements: requirements such as "requests[socks]>=2", or the text of a requirements file, or its
                Path.
            allow_includes: whether `-r` and `-c` in such a text may read the files that they name.

        Returns:
            Which requirements are met, missing, too old or too new, and the conflicts of installed packages.

        Raises:
            ConfigurationError: a requirement cannot be parsed, or the path is no environment.
            ProgramError: its interpreter does not answer.
        """
        return str(EnvManagerTool.check_report(env, requirements, allow_includes=allow_includes))

    @staticmethod
    def check_report(
        env: str | os.PathLike[str] | None,
        requirements: str | os.PathLike[str] | Iterable[str],
        *,
        allow_includes: bool = False,
    ) -> CheckReport:
        """The same as `check`, with the values in fields.

        Args:
            env: the path of the environment or of its python; None for the current one.
            requirements: as `check` takes them.
            allow_includes: whether `-r` and `-c` may read the files that they name.

        Returns:
            What became of each; `ok` says whether all is well; `str` of it is the text.
        """
        _check_flags(allow_includes=allow_includes)
        lines = read_requirements(requirements, includes=allow_includes)
        return check_requirements(ask_environment(env), lines)

    @staticmethod
    def create(env: str | os.PathLike[str], *, python: Optional[str] = None, timeout: float = 300) -> str:
        """Create a virtual environment, by uv if that is present (then without pip), else by venv.

        An environment that is there is left as it is. What there is after a failure is removed.

        Args:
            env: the path of the folder to make.
            python: the interpreter to use: a path, or a version such as "3.11"; None for the running one.
            timeout: how long it may take, in seconds.

        Returns:
            What was made, and by which command.

        Raises:
            ConfigurationError: the folder has something else in it, or there is no such interpreter.
            ProgramError: the command failed; it has its output.
        """
        return str(EnvManagerTool.create_report(env, python=python, timeout=timeout))

    @staticmethod
    def create_report(
        env: str | os.PathLike[str], *, python: Optional[str] = None, timeout: float = 300
    ) -> CreateReport:
        """The same as `create`, with the values in fields.

        Args:
            env: the path of the folder to make.
            python: the interpreter to use; None for the running one.
            timeout: how long it may take, in seconds.

        Returns:
            What was made; `str` of it is the text.
        """
        _check_seconds(timeout)
        return create_environment(env, python, timeout)

    @staticmethod
    def install(
        env: str | os.PathLike[str] | None,
        requirements: str | os.PathLike[str] | Iterable[str],
        apply: bool = False,
        *,
        allow_urls: bool = False,
        allow_options: bool | Collection[str] = False,
        allow_current: bool = False,
        installer: Optional[str] = None,
        timeout: float = 600,
        on_text: Callable[[str], object] | None = None,
    ) -> str:
        """Install packages into an environment, or, without `apply`, show the command and what it would do.

        A dry run asks the package index, and may build packages that have no wheel. Which index that is says the
        user's configuration of uv or pip.

        Args:
            env: the path of the environment or of its python; None for the current one.
            requirements: requirements such as "requests>=2", or the text of a requirements file.
            apply: whether to install. By default nothing is changed.
            allow_urls: whether requirements may be URLs and paths.
            allow_options: the installer's options that may stand among the requirements, such as ["--pre"], or
                True for all of them.
            allow_current: whether the environment that runs this program may be changed.
            installer (str): "uv" or "pip"; None for uv where it is present.
            timeout: how long the installer may take, in seconds.
            on_text: is called with each piece of what the installer writes while it installs.

        Returns:
            The command as an argument list, and the packages that change.

        Raises:
            ConfigurationError: a requirement is none or not allowed, or the environment is not to be changed.
            ProgramError: the installer failed; it has its exit code and its output.
        """
        report = EnvManagerTool.install_report(
            env,
            requirements,
            apply,
            allow_urls=allow_urls,
            allow_options=allow_options,
            allow_current=allow_current,
            installer=installer,
            timeout=timeout,
            on_text=on_text,
        )
        return str(report)

    @staticmethod
    def install_report(
        env: str | os.PathLike[str] | None,
        requirements: str | os.PathLike[str] | Iterable[str],
        apply: bool = False,
        *,
        allow_urls: bool = False,
        allow_options: bool | Collection[str] = False,
        allow_current: bool = False,
        installer: Optional[str] = None,
        timeout: float = 600,
        on_text: Callable[[str], object] | None = None,
    ) -> InstallReport:
        """The same as `install`, with the values in fields.

        Args:
            env: the path of the environment or of its python; None for the current one.
            requirements: as `install` takes them.
            apply: whether to install.
            allow_urls: whether requirements may be URLs and paths.
            allow_options: the installer's options that may stand among the requirements, or True.
            allow_current: whether the environment that runs this program may be changed.
            installer (str): "uv" or "pip"; None for uv where it is present.
            timeout: how long the installer may take, in seconds.
            on_text: is called with each piece of what the installer writes while it installs.

        Returns:
            The command and the changes; `str` of it is the text.
        """
        _check_seconds(timeout)
        _check_flags(apply=apply, allow_urls=allow_urls, allow_current=allow_current)
        if not isinstance(allow_options, (bool, Iterable)) or isinstance(allow_options, (str, bytes)):
            raise ConfigurationError(f"allow_options must be a list of options, or True, and is {allow_options!r:.60}")
        lines = read_requirements(requirements)
        check_allowed(lines, urls=allow_urls, options=allow_options)
        return install_packages(
            ask_environment(env),
            lines,
            apply=apply,
            current=allow_current,
            installer=installer,
            seconds=timeout,
            on_text=on_text,
        )


def _check_flags(**flags: Any) -> None:
    """A model or a configuration may give the text "false", which is true to Python."""
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise ConfigurationError(f"{name} must be True or False, and is {value!r:.60}")


def _check_seconds(timeout: Any) -> None:
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0:
        raise ConfigurationError(f"timeout must be a positive number of seconds, and is {timeout!r:.60}")


def _interpreter_row(interpreter: Interpreter) -> tuple[str, ...]:
    sources = f"({', '.join(interpreter.sources)})"
    if interpreter.problem:
        return ("-", "", interpreter.path, f"{sources}: {interpreter.problem}")
    return (interpreter.version or "", interpreter.implementation or "", interpreter.path, sources)


def _environment_row(environment: NearEnvironment) -> tuple[str, ...]:
    remarks = [environment.current and "current", environment.problem and f"broken: {environment.problem}"]
    kind = "conda" if environment.kind == "conda" else "venv"
    return (environment.version or "-", kind, environment.path, _joined("; ", remarks))


def _graphics_lines(report: GraphicsReport) -> list[str]:
    lines = []
    for card in report.cards:
        used = card.used is not None and card.total and f"{_size(card.used)} of {_size(card.total)} in use"
        parts = [
            used or (card.total and _size(card.total)),
            card.load is not None and f"{card.load} % busy",
            card.driver and f"driver {card.driver}",
        ]
        lines.append(": ".join([card.name, _joined(", ", parts)]).removesuffix(": "))
    if not lines and not report.problems:
        lines.append("none found: there is no nvidia-smi and no rocm-smi, and this is no Apple silicon")
    return [*lines, *report.problems]


def _machine_lines(machine: Machine) -> list[str]:
    name = f", {machine.processor}" if machine.processor else ""
    free = f", {_size(machine.available)} available" if machine.available is not None else ""
    memory = f"{_size(machine.memory)} of memory{free}" if machine.memory else "the size of the memory is not known"
    return [machine.system, f"{machine.processors} processor{'s' if machine.processors != 1 else ''}{name}", memory]


def _ollama_lines(status: OllamaStatus) -> list[str]:
    lines = [f"{status.url or 'no address'}: " + (f"version {status.version}" if status.version else "not reachable")]
    if status.problem:
        lines += [status.problem, *([f"hint: {status.hint}"] if status.hint else [])]
    if status.version is None:
        return lines
    if not status.problem:
        there = "" if status.has_model else f" (not installed: ollama pull {status.model})"
        lines.append(f"configured model: {status.model}{there}")
    lines += ["installed:"] if status.installed else ["no models installed"]
    rows = [
        (model.name, _size(model.size) if model.size else "cloud", model.parameters or "", model.quantization or "")
        for model in status.installed
    ]
    lines += [f"  {row}" for row in aligned_rows(rows)]
    lines += ["in memory:"] if status.loaded else ["no model in memory"]
    for model in status.loaded:
        parts = [
            model.size and _size(model.size),
            model.gpu_share is not None and f"{model.gpu_share} % on the GPU",
            model.context_length and f"context {model.context_length}",
            model.expires_at and f"until {model.expires_at:%Y-%m-%d %H:%M:%S %Z}".rstrip(),
        ]
        lines.append(f"  {model.name}: {_joined(', ', parts)}")
    return lines


def _joined(separator: str, parts: Iterable[object]) -> str:
    """The parts that say something, as one text."""
    return separator.join(str(part) for part in parts if part)


def _size(count: int) -> str:
    return ByteSize(count).human_readable(separator=" ")
