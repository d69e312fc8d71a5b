"""Finds out, at the time of a call, what a user's code has replaced.

People adapt MetaGPT's provider by patching: a name in the module, a method on a class or on one object. Nothing tells
a patched object from its looks, so each check compares with the function that this package (or MetaGPT) defined, by
identity; a subclass that overrides a method counts as a patch too. No I/O.
"""

from __future__ import annotations

import sys
from typing import Any

from metagpt.provider import general_api_base

__all__ = ["STOCK_AREQUEST", "is_unpatched", "patched_or_stock"]

_NAMESPACES = ("metagpt.provider.ollama_api", "metagpt_ollama_rs.provider", "metagpt_ollama_rs.provider.llms")


def patched_or_stock(name: str, stock: Any) -> Any:
    """The value of a module-level name of ``ollama_api.py``: a patched one wherever it was patched, else ``stock``."""
    for namespace in _NAMESPACES:
        module = sys.modules.get(namespace)
        found = vars(module).get(name, stock) if module is not None else stock
        if found is not stock:
            return found
    return stock


def is_unpatched(owner: object, name: str, *stock: object) -> bool:
    """True when ``owner.name`` is a method made of one of the functions ``stock``."""
    function = getattr(getattr(owner, name, None), "__func__", None)
    return any(function is candidate for candidate in stock)


def _stock_arequest() -> object:
    # A patch made before this import must not pass for MetaGPT's own function: that one has its code in MetaGPT's file.
    found = general_api_base.APIRequestor.arequest
    code = getattr(found, "__code__", None)
    return found if getattr(code, "co_filename", None) == general_api_base.__file__ else object()


STOCK_AREQUEST = _stock_arequest()
