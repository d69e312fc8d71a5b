"""Post-import hooks: call a function with a module once that module is imported, which may be never.

The provider patches modules of MetaGPT in this way, and the tools of `slc` enter MetaGPT's registry. To import the
modules for that purpose would cost seconds, or fail where an extra of MetaGPT is not installed. Standard library only.

A module may also be half imported when the hook is added: with ``install``, ``metagpt.context`` imports the provider in
its first lines, and defines its class in the last ones. Python marks such a module in its spec (``_initializing``)
until it has run all of it.
"""

from __future__ import annotations

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Callable, Optional

__all__ = ["when_imported"]

Action = Callable[[ModuleType], None]


def when_imported(name: str, action: Action) -> None:
    """Calls ``action`` with the module ``name``: now if it is imported already, otherwise right after its import.

    What ``action`` raises is raised by the import. A second hook with the same ``name`` and ``action`` is not added.

    >>> when_imported("json", lambda module: print(module.__name__))
    json
    """
    module = sys.modules.get(name)
    if module is not None:
        spec = getattr(module, "__spec__", None)
        if spec is not None and getattr(spec, "_initializing", False):
            _watch_until_imported(spec, action)
        else:
            action(module)
    elif not any(isinstance(finder, _Finder) and finder.waits_for(name, action) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder(name, action))


class _WatchedSpec(ModuleSpec):
    """The spec of a module that is being imported: calls the hooks when Python says that it has run the module."""

    actions: list[Action]

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "_initializing" and not value:
            self.__class__ = ModuleSpec  # type: ignore[assignment]
            for action in self.__dict__.pop("actions"):
                # Acts at once, or waits for the next try if the import has failed.
                when_imported(self.name, action)


def _watch_until_imported(spec: ModuleSpec, action: Action) -> None:
    if not isinstance(spec, _WatchedSpec):
        spec.__class__ = _WatchedSpec
        vars(spec)["actions"] = []
    if action not in vars(spec)["actions"]:
        vars(spec)["actions"].append(action)


class _Finder(MetaPathFinder):
    """Finds the module ``name`` as the other finders do, and gives it a loader that calls the hook."""

    def __init__(self, name: str, action: Action) -> None:
        self._name, self._action = name, action
        self._searching = False

    def waits_for(self, name: str, action: Action) -> bool:
        """Whether this finder has the hook ``action`` for the module ``name``."""
        return (self._name, self._action) == (name, action)

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Optional[ModuleSpec]:
        if fullname != self._name or self._searching:
            return None
        # The other finders know where the module is. This one is asked again meanwhile, and then finds nothing.
        self._searching = True
        try:
            spec = find_spec(fullname)
        finally:
            self._searching = False
        if spec is None or spec.loader is None:
            return None
        spec.loader = _Loader(spec.loader, self, self._action)
        return spec


class _Loader(Loader):
    """Wraps the module's own loader, and calls the hook once that loader has run the module."""

    def __init__(self, loader: Any, finder: _Finder, action: Action) -> None:
        self._loader, self._finder, self._action = loader, finder, action

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> Optional[ModuleType]:
        made: Optional[ModuleType] = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        self._action(module)
