"""Copies, deep copies and pickles of LLM objects, which MetaGPT makes of roles, actions and teams with an LLM inside.

A copy is an LLM object that works, with the settings, the model, the last reply and the changes that user code has made
to the object (a replaced ``decode``, a message object of its own). It can be made at any moment, also while the object
asks: what is under way stays with the original. As with MetaGPT's own class, ``copy.copy`` shares the configuration and
the cost manager; a deep copy and a pickle have their own, unless a larger copy holds both and so keeps them together.

What belongs to a process or an event loop (sockets, locks, tasks) is never copied, and some other values cannot be: a
deep copy shares such an attribute, a pickle leaves it out and warns of it by its name. The object that is made of that
pickle has in its place what the class gives every object.

>>> import pickle
>>> from metagpt.configs.llm_config import LLMConfig
>>> from metagpt_ollama_rs.provider import OllamaLLM
>>> llm = OllamaLLM(LLMConfig(api_type="ollama", model="llama3.2"))
>>> pickle.loads(pickle.dumps(llm)).model
'llama3.2'
"""

from __future__ import annotations

import copy
import pickle
import threading
from types import MethodType
from typing import Any

from metagpt.logs import logger

__all__ = ["Copyable", "CopyableLLM"]

# The modules of types whose objects belong to a process, a thread or an event loop.
_LIVE = frozenset({"_asyncio", "_contextvars", "_socket", "_ssl", "_thread", "asyncio", "socket", "ssl", "threading"})
# What copying and pickling raise for values that cannot be copied: mostly TypeError, but each type chooses.
_FAILURES = (pickle.PicklingError, copy.Error, TypeError, ValueError, AttributeError, RuntimeError, OSError)


class _Probed(threading.local):
    """The objects whose attributes this thread is trying to pickle, by their `id`."""

    def __init__(self) -> None:
        self.ids: set[int] = set()


_probed = _Probed()


class Copyable:
    """A base of classes whose objects can be copied and pickled whatever user code has put into them."""

    # Attributes that an object makes anew when it needs them, and those that it cannot be without.
    _caches: frozenset[str] = frozenset()
    _needed: frozenset[str] = frozenset()

    def __copy__(self) -> Any:
        made = self.__class__.__new__(self.__class__)
        for name, value in self._attributes().items():
            made.__dict__[name] = MethodType(value.__func__, made) if _is_method_of(self, value) else value
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        made = self.__class__.__new__(self.__class__)
        memo[id(self)] = made
        for name, value in self._attributes().items():
            made.__dict__[name] = _deep_copy_or_itself(value, memo)
        return made

    def __reduce_ex__(self, protocol: Any) -> Any:
        if id(self) in _probed.ids:
            # An attribute that is being tried refers back to this object.
            return (object, ())
        # A bound method would be looked up in the new object by its name, where the class may have another one.
        methods = {name: value.__func__ for name, value in self._attributes().items() if _is_method_of(self, value)}
        attributes = {name: value for name, value in self._attributes().items() if name not in methods}
        _probed.ids.add(id(self))
        try:
            for kept in (attributes, methods):
                for name in [name for name, value in kept.items() if name not in self._needed and _is_lost(value)]:
                    logger.warning(f"a pickle of {type(self).__name__} is without its {name}, which cannot be pickled")
                    del kept[name]
        finally:
            _probed.ids.discard(id(self))
        return (_new_object, (self.__class__,), (attributes, methods))

    def __setstate__(self, state: tuple[dict[str, Any], dict[str, Any]]) -> None:
        attributes, methods = state
        self.__dict__.update(attributes)
        self.__dict__.update({name: MethodType(function, self) for name, function in methods.items()})

    def _attributes(self) -> dict[str, Any]:
        # A copy of the dict first, because another thread may set an attribute meanwhile.
        return {name: value for name, value in self.__dict__.copy().items() if name not in self._caches}


class CopyableLLM(Copyable):
    """`Copyable` for the LLM classes, whose objects need a configuration, a requestor and a message object."""

    _caches = frozenset({"_settings_cache"})
    _needed = frozenset({"config"})
    _own_message: Any
    ollama_message: Any

    def _make_requestor(self) -> Any:
        raise NotImplementedError

    def _make_message(self) -> None:
        raise NotImplementedError

    def __copy__(self) -> Any:
        made = super().__copy__()
        own = self._own_message
        if own is not None and self.ollama_message is own.message:
            # A message object has the model and the settings of the calls of one LLM object.
            made._own_message = copy.copy(own)
            made._own_message.message = made.ollama_message = copy.copy(own.message)
        return made

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        if "client" not in self.__dict__:
            self.client = self._make_requestor()
        if "ollama_message" not in self.__dict__:
            self._make_message()


def _new_object(cls: type[Copyable]) -> Copyable:
    return cls.__new__(cls)


def _is_method_of(owner: object, value: Any) -> bool:
    return isinstance(value, MethodType) and value.__self__ is owner


def _is_live(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] in _LIVE


def _deep_copy_or_itself(value: Any, memo: dict[int, Any]) -> Any:
    if _is_live(value):
        return value
    try:
        return copy.deepcopy(value, memo)
    except _FAILURES:
        return value


def _is_lost(value: Any) -> bool:
    """Whether ``value`` cannot be part of a pickle. Functions of a module can, lambdas and inner functions cannot."""
    if _is_live(value):
        return True
    try:
        pickle.loads(pickle.dumps(value))
    except _FAILURES:
        return True
    return False
