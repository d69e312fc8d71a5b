"""The optional libraries of the tools, imported when they are needed; a missing one is an error with what to install.

``pip install 'metagpt-ollama-rs[slc]'`` brings them all. MetaGPT's environment has all but ``pathspec``.

>>> optional_module("json").dumps([1])
'[1]'
>>> try:
...     optional_module("no_such_library")
... except MissingLibraryError as error:
...     print(error)
This needs the library no_such_library, which is not installed.
hint: pip install 'metagpt-ollama-rs[slc]'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from metagpt_ollama_rs.errors import ConfigurationError

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["INSTALL_SLC", "MissingLibraryError", "optional_module"]

INSTALL_SLC = "pip install 'metagpt-ollama-rs[slc]'"


class MissingLibraryError(ConfigurationError, ImportError):
    """An optional library is not installed. ``name`` is that of the module, as every ImportError has it.

    >>> error = MissingLibraryError("yaml")
    >>> error.name, error.hint
    ('yaml', "pip install 'metagpt-ollama-rs[slc]'")
    """

    def __init__(self, name: str = "", **attributes: Any) -> None:
        super().__init__(f"This needs the library {name}, which is not installed.", hint=INSTALL_SLC, **attributes)
        self.name = name

    def __reduce__(self) -> tuple[Any, ...]:
        return (MissingLibraryError, (self.name,))


def optional_module(name: str) -> ModuleType:
    """The module of this name, such as ``yaml`` or ``pygments.lexers``, imported.

    Raises MissingLibraryError where its library is not installed. An ImportError of another kind (a library that is
    there and broken) comes out as it is.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        library = name.partition(".")[0]
        if (error.name or "").partition(".")[0] != library:
            raise
        raise MissingLibraryError(library) from error
