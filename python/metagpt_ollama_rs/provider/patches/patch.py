"""What the patches share: whether one is switched on, and how a function of MetaGPT is replaced.

>>> import types
>>> module = types.ModuleType("metagpt.example")
>>> exec("def size(): return 2048", module.__dict__)
>>> replace_function(module, "size", lambda stock: lambda: stock() * 2)
>>> module.size()
4096
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ...patch_names import known_names, parse_unpatched
from ...switch.environment import UNPATCHED_VARIABLE
from ..warnings_once import warn_once

__all__ = ["Patch", "is_metagpts_own", "is_switched_on", "replace_function"]

_OPAQUE_DECORATORS = ("metagpt.utils.common", "metagpt.exp_pool.decorator")
# An attribute of a function that replaces one: the names of the patches' functions that have wrapped it.
_MARK = "_metagpt_ollama_rs_patched_by"
# Another one: the function that it replaces. A wrapper of user code copies it with all attributes and wraps another.
_REPLACED = "_metagpt_ollama_rs_replaced"


@dataclass(frozen=True)
class Patch:
    """One change of one module of MetaGPT. Several may have the same ``name`` and are switched off together.

    ``apply`` is called with the module once it is imported, and again whenever the providers register; it must not
    change what it has changed already, which `replace_function` sees to.
    """

    name: str
    module: str
    apply: Callable[[ModuleType], None]


def is_switched_on(name: str, llm: Any = None) -> bool:
    """Whether the patch ``name`` is to act: for the LLM object ``llm``, or, without one, in this process.

    False for an LLM object that is not one of this package.
    """
    if name in _unpatched_by_environment():
        return False
    if llm is None:
        return True
    unpatched = getattr(llm, "unpatched", None)
    return isinstance(unpatched, frozenset) and name not in unpatched


def replace_function(owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
    """Puts ``wrap(stock)`` in the place of the function ``stock`` that ``owner``, a module or a class, has as ``name``.

    A function that is not of MetaGPT's own module (user code has put it there) stays as it is, one that user code has
    wrapped included, and so does an owner without one. Several patches may replace one function, each once: the later
    one's ``stock`` is the earlier one's function. Copies that modules of MetaGPT have made with ``from … import`` are
    replaced, too.
    """
    stock = vars(owner).get(name)
    kind = type(stock) if isinstance(stock, (staticmethod, classmethod)) else None
    function = stock.__func__ if kind is not None and stock is not None else stock
    patched_by: frozenset[str] = getattr(function, _MARK, frozenset())
    patching = f"{wrap.__module__}.{wrap.__qualname__}"
    if function is None or patching in patched_by or not _is_of(owner, function):
        return
    replacement = functools.wraps(function)(wrap(function))
    setattr(replacement, _MARK, patched_by | {patching})
    setattr(replacement, _REPLACED, function)
    setattr(owner, name, kind(replacement) if kind is not None else replacement)
    if isinstance(owner, ModuleType):
        for module in list(sys.modules.values()):
            if getattr(module, "__name__", "").startswith("metagpt.") and vars(module).get(name) is function:
                setattr(module, name, replacement)


def is_metagpts_own(owner: Any, name: str) -> bool:
    """Whether the function ``name`` of ``owner``, a module or a class, is as MetaGPT has it, and not user code's."""
    function = vars(owner).get(name)
    return function is None or _is_of(owner, function)


def _is_of(owner: Any, function: Any) -> bool:
    """Whether ``function`` is defined in the module that ``owner`` is, or is defined in, and nobody but MetaGPT and
    this package has wrapped it."""
    while hasattr(function, "__wrapped__"):
        is_ours = getattr(function, _REPLACED, None) is function.__wrapped__
        # MetaGPT's decorators are its own and those of tenacity.
        if not is_ours and not _defined_in(function).startswith(("metagpt.", "tenacity")):
            return False
        function = function.__wrapped__
    home = owner.__name__ if isinstance(owner, ModuleType) else owner.__module__
    found = _defined_in(function)
    # Those of `metagpt.utils.common` and `exp_cache` do not say what they wrap.
    opaque = found in _OPAQUE_DECORATORS and ".<locals>." in function.__qualname__
    return bool(found == home or opaque)


def _defined_in(function: Any) -> str:
    """The name of the module whose globals ``function`` has; that of `functools.wraps` is the wrapped function's."""
    # A method passes the attribute on, so that the function of a class method is what counts.
    return str(getattr(function, "__globals__", {}).get("__name__", ""))


def _unpatched_by_environment() -> frozenset[str]:
    value = os.environ.get(UNPATCHED_VARIABLE, "")
    try:
        return parse_unpatched(value)
    except ValueError as error:
        text = f"{UNPATCHED_VARIABLE} must be {error}; only the names that patches have count"
        warn_once((UNPATCHED_VARIABLE, value), text)
        return known_names(value)
