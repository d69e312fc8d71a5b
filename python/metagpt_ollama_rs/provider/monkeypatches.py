"""Finds out, at the time of a call, which parts of MetaGPT's provider user code has replaced.

People adapt that provider by monkeypatching: a name in its module, a method of a class or of one object. So each check
compares what is there, by identity, with the function that this package (or MetaGPT) has defined, its stock. A subclass
that overrides a method counts as a patch, too. No I/O.

>>> class Answer:
...     def text(self): ...
>>> stock = Answer.text
>>> is_unpatched(Answer(), "text", stock)
True
>>> Answer.text = lambda self: "mine"
>>> is_unpatched(Answer(), "text", stock)
False
"""

from __future__ import annotations

import sys
from typing import Any

from metagpt.provider import general_api_base

__all__ = ["STOCK_AREQUEST", "is_unpatched", "patched_or_stock"]

# The modules in which user code patches the names of ``ollama_api.py``.
_NAMESPACES = ("metagpt.provider.ollama_api", "metagpt_ollama_rs.provider", "metagpt_ollama_rs.provider.llms")


def patched_or_stock(name: str, stock: Any) -> Any:
    """The value of a module-level name of ``ollama_api.py``: what user code has put in its place, else ``stock``."""
    for namespace in _NAMESPACES:
        module = sys.modules.get(namespace)
        found = vars(module).get(name, stock) if module is not None else stock
        if found is not stock:
            return found
    return stock


def is_unpatched(owner: object, name: str, *stock: object) -> bool:
    """Whether the method ``owner.name`` is one of the functions ``stock``, bound to its object."""
    function = getattr(getattr(owner, name, None), "__func__", None)
    return any(function is candidate for candidate in stock)


def _stock_arequest() -> object:
    # User code may have patched it before this import. MetaGPT's own function has its code in MetaGPT's file.
    found = general_api_base.APIRequestor.arequest
    code = getattr(found, "__code__", None)
    return found if getattr(code, "co_filename", None) == general_api_base.__file__ else object()


STOCK_AREQUEST = _stock_arequest()
