"""Puts `ollama_compat` in the place of the package ``ollama`` for one process; nothing is written to disk.

``sys.modules`` gets the modules under the names of ollama-python, and a finder answers for its version::

    from metagpt_ollama_rs import ollama_compat

    ollama_compat.install()
    import ollama                    # this is ollama_compat
    import langchain_ollama          # and it is what this gets

A process that is started by this one is another process: ``metagpt-ollama run --as-ollama`` reaches those below it, too
(`switch/child/sitecustomize.py`). With multiprocessing's ``spawn``, a call of ``install`` at the top of the main module
does it, because that module is run there as well.
"""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any, Optional

from metagpt_ollama_rs.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.metadata import Distribution, DistributionFinder

__all__ = ["API_VERSION", "VersionFinder", "install", "uninstall"]

# The version of ollama-python whose names and behaviour these are.
API_VERSION = "0.6.3"

# The modules of ollama-python, and how the names of ours end that stand for them.
_MODULES = {"ollama": "", "ollama._types": "._types", "ollama._client": "._client", "ollama._utils": "._utils"}

# What `install` has taken out of ``sys.modules``.
_replaced: dict[str, Optional[ModuleType]] = {}


def install(*, replace: bool = False) -> None:
    """Makes every later ``import ollama`` of this process give `metagpt_ollama_rs.ollama_compat`.

    Call it before anything imports ``ollama``. If that has happened, modules hold names of the real package, and would
    go on with them: this raises ConfigurationError, which names them. With ``replace`` the later imports get this
    package all the same, and those modules keep what they have. A second call changes nothing.

    ``importlib.metadata.version("ollama")`` gives the version of ollama-python's API that this package has, whether the
    real one is installed or not.
    """
    ours = _our_modules()
    real = {
        name: module
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] == "ollama" and module is not ours.get(name)
    }
    if real.get("ollama") is not None and not replace:
        users = _users_of(set(real.values()))
        listed = ", ".join(users[:10]) + (", …" if len(users) > 10 else "")
        raise ConfigurationError(
            "ollama has been imported already" + (f", by {listed}" if users else ""),
            hint="call install() before the first import of it, or install(replace=True) for later imports only",
        )
    for name, module in real.items():
        _replaced[name] = module
        del sys.modules[name]
    sys.modules.update(ours)
    if not any(isinstance(finder, VersionFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, VersionFinder())


def uninstall() -> None:
    """Undoes `install`: later imports give the real package. Modules keep the names that they have imported."""
    for name, module in _our_modules().items():
        if sys.modules.get(name) is module:
            del sys.modules[name]
    sys.modules.update({name: module for name, module in _replaced.items() if module is not None})
    _replaced.clear()
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, VersionFinder)]


def _our_modules() -> dict[str, ModuleType]:
    """Our modules, under the names of ollama-python's."""
    own = {name: f"{__package__}{ending}" for name, ending in _MODULES.items()}
    return {name: sys.modules[ours] for name, ours in own.items()}


def _users_of(modules: set[Any]) -> list[str]:
    """The names of the modules that have one of ``modules``, or something that is defined there."""
    names = {module.__name__ for module in modules if module is not None}
    found = []
    for name, module in sorted(sys.modules.items()):
        if name.partition(".")[0] == "ollama" or not isinstance(module, ModuleType):
            continue
        held = list(vars(module).values())
        if any(value in modules if isinstance(value, ModuleType) else _module_of(value) in names for value in held):
            found.append(name)
    return found


def _module_of(value: Any) -> Optional[str]:
    # Only of classes and functions: any other object may run code when it is asked for an attribute.
    return value.__module__ if isinstance(value, (type, type(install))) else None


class VersionFinder(MetaPathFinder):
    """Finds no module, but the metadata of a distribution named ``ollama``, as ``importlib.metadata`` asks for it.

    >>> import importlib.metadata
    >>> [found.version for found in VersionFinder().find_distributions(importlib.metadata.DistributionFinder.Context())]
    []
    """

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        return None

    def find_distributions(self, context: DistributionFinder.Context) -> Iterator[Distribution]:
        # Without a name all distributions are asked for, and this one is none that is installed.
        if (getattr(context, "name", None) or "").lower() == "ollama":
            yield _distribution()


def _distribution() -> Distribution:
    from importlib.metadata import Distribution

    class StandInDistribution(Distribution):
        """The metadata of the package whose API this is."""

        def read_text(self, filename: str) -> Optional[str]:
            if filename not in ("METADATA", "PKG-INFO", ""):
                return None
            return (
                f"Metadata-Version: 2.1\nName: ollama\nVersion: {API_VERSION}\n"
                "Summary: metagpt_ollama_rs standing in for ollama\n\n"
            )

        def locate_file(self, path: Any) -> Any:
            from pathlib import Path

            return Path(__file__).parent / path

    return StandInDistribution()
