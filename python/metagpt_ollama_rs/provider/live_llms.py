"""The LLM objects of this package that are alive in this process, for code of MetaGPT that knows a model's name only.

MetaGPT counts and cuts by the name, as in ``count_output_tokens(text, "llama3.2")``. With the LLM object of that model
this package can say what MetaGPT cannot: the server, the settings, the size of the context. Objects are kept weakly.
Standard library only, no I/O.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterable
from typing import Any, Optional

__all__ = ["LiveLLM", "llm_of_model"]

_count = itertools.count()
# By the order in which they were made.
_llms: dict[int, weakref.ref[LiveLLM]] = {}


class LiveLLM:
    """A base of this package's LLM classes, which makes `llm_of_model` find their objects.

    Copies and unpickled objects are made without ``__init__``, but not without ``__new__``.
    """

    model: Optional[str]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        made = super().__new__(cls)
        number = next(_count)
        _llms[number] = weakref.ref(made, lambda _: _llms.pop(number, None))
        return made


def llm_of_model(name: Optional[str]) -> Optional[Any]:
    """The LLM object of this package that was made last among those whose model is ``name`` at this moment, or None.

    >>> llm_of_model("a model that nothing uses") is None
    True
    """
    if not name:
        return None
    try:
        return _first_of(name, reversed(_llms.values()))
    except RuntimeError:
        # Objects were made or deleted meanwhile, by this thread's garbage collection or another thread.
        return _first_of(name, reversed(list(_llms.values())))


def _first_of(name: str, references: Iterable[weakref.ref[LiveLLM]]) -> Optional[Any]:
    for reference in references:
        llm = reference()
        if llm is not None and getattr(llm, "model", None) == name:
            return llm
    return None
