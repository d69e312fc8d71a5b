"""Compares requirements with what an environment has installed, without a network. Nothing is run here.

    check_requirements(ask_environment(".venv"), read_requirements(["requests[socks]>=2", "tomli; os_name == 'nt'"]))

Markers are decided by the values that the environment's own interpreter gave, extras by the metadata of its packages.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metagpt_ollama_rs.slc.extras import optional_module
from metagpt_ollama_rs.slc.machine.plain_tables import aligned_rows
from metagpt_ollama_rs.slc.machine.requirement_lists import requirement_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from packaging.requirements import Requirement
    from packaging.specifiers import Specifier
    from packaging.version import Version

    from metagpt_ollama_rs.slc.machine.python_environments import AskedEnvironment, Package
    from metagpt_ollama_rs.slc.machine.requirement_lists import RequirementLine

__all__ = ["CheckReport", "CheckedRequirement", "Conflict", "check_requirements"]

MET = "met"
MISSING = "missing"
TOO_OLD = "too old"
TOO_NEW = "too new"
# A version that is left out (`!=`), or the one of another source than the URL that is required.
OTHER = "another one"
# Its marker does not hold in this environment, or it is a constraint of a package that is not installed.
NOT_NEEDED = "not needed"
# A URL or path without a name, a version that does not follow the standard, an extra that there is not.
UNKNOWN = "unknown"


@dataclass(frozen=True)
class CheckedRequirement:
    """What became of one requirement.

    Attributes:
        requirement: as it was parsed, such as "requests[socks]>=2".
        status: "met", "missing", "too old", "too new", "another one", "not needed" or "unknown".
        installed: the version that is installed, or None.
        where: its place, such as "line 3", or "requests[socks]" for what the extra of another one asks for.
        note: what else is to be said, or "".

    >>> CheckedRequirement("six>=2", "too old", "1.16.0", "line 1").ok
    False
    """

    requirement: str
    status: str
    installed: str | None
    where: str
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing has to be installed for it."""
        return self.status in (MET, NOT_NEEDED)


@dataclass(frozen=True)
class Conflict:
    """A requirement of an installed package that does not hold; `installed` is a version, or None.

    >>> print(Conflict("b", "1.0", "a>=2", "1.5"))
    b 1.0 needs a>=2, and a 1.5 is installed
    """

    package: str
    version: str
    requirement: str
    installed: str | None

    def __str__(self) -> str:
        name = optional_module("packaging.requirements").Requirement(self.requirement).name
        what = f"and {name} {self.installed} is installed" if self.installed else "which is not installed"
        return f"{self.package} {self.version} needs {self.requirement}, {what}"


@dataclass(frozen=True)
class CheckReport:
    """Which requirements an environment meets, and which of its packages do not fit together.

    `ignored` are the options of a requirements file, which do not matter here, each with its place.

    >>> report = CheckReport("/w/.venv: CPython 3.11.7", (CheckedRequirement("six>=1", "met", "1.16.0", "line 1"),))
    >>> print(report)
    /w/.venv: CPython 3.11.7
    1 requirement: 1 met
    met  six>=1  1.16.0
    no conflicts between installed packages
    """

    environment: str
    requirements: tuple[CheckedRequirement, ...]
    conflicts: tuple[Conflict, ...] = ()
    ignored: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether all requirements are met and nothing conflicts."""
        return not self.conflicts and all(requirement.ok for requirement in self.requirements)

    def __str__(self) -> str:
        counts = Counter(requirement.status for requirement in self.requirements)
        total = f"{len(self.requirements)} requirement{'s' if len(self.requirements) != 1 else ''}"
        summary = ", ".join(f"{count} {status}" for status, count in counts.items())
        lines = [self.environment, f"{total}: {summary}" if summary else total]
        lines += aligned_rows(
            (each.status, each.requirement, each.installed or "-", each.note) for each in self.requirements
        )
        lines += [f"ignored: {each}" for each in self.ignored]
        if self.conflicts:
            lines += ["conflicts between installed packages:", *(f"  {conflict}" for conflict in self.conflicts)]
        else:
            lines.append("no conflicts between installed packages")
        return "\n".join(lines)


def check_requirements(environment: AskedEnvironment, lines: Iterable[RequirementLine]) -> CheckReport:
    """Looks up each requirement, and those that its extras bring, and then whether all that is installed fits."""
    lines = list(lines)
    checker = _Checker(environment)
    for line in lines:
        if line.requirement:
            checker.check(line.requirement, line.where, line.constraint)
        elif line.address:
            note = "the name of the package is not known before it is fetched"
            checker.checked.append(CheckedRequirement(line.address, UNKNOWN, None, line.where, note))
    ignored = (f"{' '.join(line.options)} ({line.where})" for line in lines if line.options)
    return CheckReport(str(environment), tuple(checker.checked), tuple(checker.conflicts()), tuple(ignored))


class _Checker:
    """Looks requirements up in the packages of one environment."""

    def __init__(self, environment: AskedEnvironment) -> None:
        self.checked: list[CheckedRequirement] = []
        self._markers = environment.markers
        self._packages = {package.name: package for package in environment.packages}
        self._requirements = optional_module("packaging.requirements")
        self._utils = optional_module("packaging.utils")
        # Extras may ask for each other in a circle.
        self._extras_seen: set[tuple[str, str]] = set()

    def check(self, requirement: Requirement, where: str, constraint: bool) -> None:
        package = self._packages.get(self._utils.canonicalize_name(requirement.name))
        status, note = self._compare(requirement, package)
        holds = self._holds(requirement)
        if holds is None:
            status, note = UNKNOWN, "its marker cannot be decided"
        elif not holds:
            status, note = NOT_NEEDED, "its marker does not hold here"
        elif constraint and package is None:
            status, note = NOT_NEEDED, "a constraint of a package that is not installed"
        elif package is not None and package.shadowed:
            note = "; ".join(filter(None, [note, f"later on the path there is {', '.join(package.shadowed)}, too"]))
        unknown = self._unknown_extras(requirement, package) if package is not None and status == MET else []
        if package is not None and unknown:
            status, note = UNKNOWN, f"{package.name} {package.version} has no extra {', '.join(unknown)}"
        version = package.version if package else None
        self.checked.append(CheckedRequirement(requirement_text(requirement), status, version, where, note))
        if package is not None and holds and status != NOT_NEEDED:
            self._check_extras(requirement, package)

    def conflicts(self) -> Iterator[Conflict]:
        """The requirements of installed packages that do not hold, without those of their extras."""
        for package in self._packages.values():
            for requirement in self._requirements_of(package):
                needed = self._packages.get(self._utils.canonicalize_name(requirement.name))
                if self._holds(requirement) and self._compare(requirement, needed)[0] not in (MET, UNKNOWN):
                    requirement.marker = None
                    version = needed.version if needed else None
                    yield Conflict(package.name, package.version, str(requirement), version)

    def _check_extras(self, requirement: Requirement, package: Package) -> None:
        for extra in sorted(requirement.extras):
            name = self._utils.canonicalize_name(extra)
            asking = f"{package.name}[{name}]"
            if (package.name, name) not in self._extras_seen:
                self._extras_seen.add((package.name, name))
                for needed in self._requirements_of(package):
                    # What is needed without the extra, too, is for `conflicts`.
                    if self._holds(needed, extra) and self._holds(needed) is False:
                        needed.marker = None
                        self.check(needed, asking, constraint=False)

    def _unknown_extras(self, requirement: Requirement, package: Package) -> list[str]:
        known = {self._utils.canonicalize_name(extra) for extra in package.extras}
        return sorted(extra for extra in requirement.extras if self._utils.canonicalize_name(extra) not in known)

    def _requirements_of(self, package: Package) -> Iterator[Requirement]:
        for text in package.requires:
            try:
                yield self._requirements.Requirement(text)
            except self._requirements.InvalidRequirement:
                # Old packages may have what the standard no longer allows, and installers pass over it, too.
                continue

    def _holds(self, requirement: Requirement, extra: str = "") -> bool | None:
        """Whether the marker of a requirement holds; None if `packaging` cannot decide it."""
        try:
            return requirement.marker is None or requirement.marker.evaluate({**self._markers, "extra": extra})
        except ValueError:
            # Such as `platform_release >= "20"` on a system whose release is no version, before packaging 25.
            return None

    def _compare(self, requirement: Requirement, package: Package | None) -> tuple[str, str]:
        """The status of a requirement whose marker holds, and a note."""
        if package is None:
            return MISSING, ""
        if requirement.url and requirement.url != package.source:
            return OTHER, f"installed from {package.source or 'a package index'}"
        versions = optional_module("packaging.version")
        try:
            version = versions.Version(package.version)
        except versions.InvalidVersion:
            exact = any(str(each) == f"==={package.version}" for each in requirement.specifier)
            known = exact or not str(requirement.specifier)
            return (MET, "") if known else (UNKNOWN, "its version does not follow the standard")
        failed = [each for each in requirement.specifier if not each.contains(version, prereleases=True)]
        return (_direction(failed[0], version), "") if failed else (MET, "")


def _direction(specifier: Specifier, version: Version) -> str:
    """In which direction a version fails."""
    if specifier.operator in (">=", ">", "~=", "=="):
        # `1.2.*` begins at 1.2; `~=1.2` and `==1.2` have an upper end as well.
        bound = type(version)(specifier.version.removesuffix(".*"))
        if version < bound or (specifier.operator == ">" and version == bound):
            return TOO_OLD
        return TOO_OLD if specifier.operator in (">=", ">") else TOO_NEW
    return TOO_NEW if specifier.operator in ("<=", "<") else OTHER
