"""The LLM objects of this package that are alive in this process, for code of MetaGPT that knows a model's name only.

MetaGPT counts and cuts by the name, as in ``count_output_tokens(text, "llama3.2")``. With the LLM object of that model
this package can say what MetaGPT cannot: the server, the settings, the size of the context. Objects are kept weakly.
Standard library only, no I/O.
"""

from __future__ import annotations

import itertools
import weakref
from typing import Any, Optional

__all__ = ["LiveLLM", "llm_of_model"]

_count = itertools.count()
# By the order in which they were made.
_llms: weakref.WeakValueDictionary[int, LiveLLM] = weakref.WeakValueDictionary()


class LiveLLM:
    """A base of this package's LLM classes, which makes `llm_of_model` find their objects.

    Copies and unpickled objects are made without ``__init__``, but not without ``__new__``.
    """

    model: Optional[str]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        made = super().__new__(cls)
        _llms[next(_count)] = made
        return made


def llm_of_model(name: Optional[str]) -> Optional[Any]:
    """The LLM object of this package that was made last among those whose model is ``name`` at this moment, or None.

    >>> llm_of_model("a model that nothing uses") is None
    True
    """
    if not name:
        return None
    # `valuerefs` is one step, so that another thread may make objects meanwhile; a dict keeps the order.
    for reference in reversed(_llms.valuerefs()):
        llm = reference()
        if llm is not None and getattr(llm, "model", None) == name:
            return llm
    return None
