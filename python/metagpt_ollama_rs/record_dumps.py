"""Records as plain objects: ``model_dump`` and ``model_dump_json`` with the arguments that pydantic's have.

``Dump(mode="json", exclude_none=True)`` is one way to do it, and ``Dump(…).of(record, include, exclude)`` does it. What
is selected is a set of names, or a dict of what is selected of each, such as ``{"message": {"content"}}``; of a list
the keys are places, and ``"__all__"`` stands for every one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from metagpt_ollama_rs.values import duration_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Dump", "plain_fields"]


_PLAIN = frozenset((str, int, bool))


class Dump:
    """How records are dumped; the arguments are pydantic's.

    >>> from metagpt_ollama_rs import Message
    >>> Dump(exclude_none=True).of(Message(role="user", content="Hi"), None, {"content"})
    {'role': 'user'}
    """

    def __init__(
        self,
        mode: str = "python",
        by_alias: bool | None = None,
        exclude_unset: bool = False,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        fallback: Callable[[Any], Any] | None = None,
        is_text: bool = False,
    ) -> None:
        self.json = mode == "json"
        self.by_alias = bool(by_alias)
        self.exclude_unset = exclude_unset
        self.exclude_defaults = exclude_defaults
        self.exclude_none = exclude_none
        self._fallback = fallback
        # In JSON text there are no infinities.
        self._is_text = is_text
        self._plainly = not (by_alias or exclude_unset or exclude_defaults)

    def of(self, record: Any, include: Any, exclude: Any) -> dict[str, Any]:
        """The fields of ``record`` that are wanted."""
        found: dict[str, Any] = {}
        if self._plainly and include is None and exclude is None:
            without_none = self.exclude_none
            for name, value in record._pairs().items():
                if value is not None:
                    found[name] = value if type(value) in _PLAIN else self.value(value)
                elif not without_none:
                    found[name] = None
            return found
        fields = type(record).model_fields if self.exclude_defaults else {}
        for name, key, value, is_set in record._entries():
            if (self.exclude_unset and not is_set) or (self.exclude_none and value is None):
                continue
            if name in fields and not fields[name].required and value == fields[name].default:
                continue
            wanted, within, without = _selected(name, include, exclude)
            if wanted:
                found[key if self.by_alias else name] = self.value(value, within, without)
        return found

    def value(self, value: Any, include: Any = None, exclude: Any = None) -> Any:
        """A copy of ``value``, and in JSON's types if those are wanted."""
        if value is None or type(value) in _PLAIN:
            return value
        if isinstance(value, float):
            return None if self._is_text and not math.isfinite(value) else value
        if hasattr(value, "_entries"):
            return value._dump(self, include, exclude)
        if isinstance(value, Mapping):
            return self._table(value, include, exclude)
        if isinstance(value, (list, tuple, set, frozenset)):
            return self._row(value, include, exclude)
        if hasattr(value, "model_dump") and not isinstance(value, type):
            return value.model_dump(
                mode="json" if self.json else "python",
                include=include,
                exclude=exclude,
                by_alias=self.by_alias,
                exclude_unset=self.exclude_unset,
                exclude_defaults=self.exclude_defaults,
                exclude_none=self.exclude_none,
            )
        return self._plain(value) if self.json else _copied(value)

    def _table(self, value: Mapping[Any, Any], include: Any, exclude: Any) -> dict[Any, Any]:
        found = {}
        for key, item in value.items():
            wanted, within, without = _selected(key, include, exclude)
            if wanted:
                name = key if isinstance(key, str) or not self.json else self._key(key)
                found[name] = self.value(item, within, without)
        return found

    def _row(self, value: Iterable[Any], include: Any, exclude: Any) -> Any:
        items = list(value)
        found = []
        for index, item in enumerate(items):
            wanted, within, without = _selected(index, include, exclude, len(items))
            if wanted:
                found.append(self.value(item, within, without))
        return found if self.json or isinstance(value, list) else type(value)(found)  # type: ignore[call-arg]

    def _key(self, key: Any) -> str:
        """A key of a dict as JSON has it, which knows texts only."""
        import enum

        if isinstance(key, enum.Enum):
            return self._key(key.value)
        if isinstance(key, bool):
            return "true" if key else "false"
        return str(key if key is None or isinstance(key, (str, int, float)) else self._plain(key))

    def _plain(self, value: Any) -> Any:
        """A value of a class that JSON does not have, as pydantic writes it. Raises TypeError for one of any other."""
        import datetime
        import enum
        import numbers
        import os
        import uuid

        if isinstance(value, enum.Enum):
            return self.value(value.value)
        if isinstance(value, (str, int)):
            return str(value) if isinstance(value, str) else int(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return bytes(value).decode()
        if isinstance(value, (datetime.datetime, datetime.time)):
            text = value.isoformat()
            return f"{text[:-6]}Z" if text.endswith("+00:00") else text
        if isinstance(value, datetime.date):
            return value.isoformat()
        if isinstance(value, datetime.timedelta):
            return duration_text(value)
        if isinstance(value, (numbers.Number, uuid.UUID)):
            return str(value)
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
            return {name: self.value(getattr(value, name)) for name in value.__dataclass_fields__}
        if hasattr(value, "__iter__"):
            return [self.value(item) for item in value]
        if self._fallback is not None:
            return self.value(self._fallback(value))
        raise TypeError(f"a {type(value).__name__} has no form in JSON")


def plain_fields(value: Any) -> Any:
    """The fields of a record, a pydantic model or a dataclass that are not None, as a dict; anything else as it is.

    >>> from metagpt_ollama_rs import Options
    >>> plain_fields(Options(seed=1)), plain_fields({"seed": 1})
    ({'seed': 1}, {'seed': 1})
    """
    if isinstance(value, (dict, type)):
        return value
    if hasattr(value, "model_dump"):
        return value.model_dump(exclude_none=True)
    if hasattr(value, "__dataclass_fields__"):
        fields = {name: getattr(value, name) for name in value.__dataclass_fields__}
        return {name: item for name, item in fields.items() if item is not None}
    return value


def _copied(value: Any) -> Any:
    import copy

    return copy.deepcopy(value) if isinstance(value, bytearray) else value


def _selected(key: Any, include: Any, exclude: Any, length: int | None = None) -> tuple[bool, Any, Any]:
    """Whether ``key`` is wanted, and what of the value there is included and excluded."""
    within = without = None
    if exclude is not None:
        found = _found(key, exclude, length)
        if found is True or found is ...:
            return False, None, None
        without = None if found is False else found
    if include is not None:
        found = _found(key, include, length)
        if found is False:
            return False, None, None
        within = None if found is True or found is ... else found
    return True, within, without


def _found(key: Any, selection: Any, length: int | None) -> Any:
    """What ``selection`` says of ``key``: True for all of it, False for nothing, or a selection of its parts."""
    keys = [key] if length is None else [key, key - length, "__all__"]
    if length is None:
        keys.append("__all__")
    if not isinstance(selection, Mapping):
        return any(name in selection for name in keys)
    return next((selection[name] for name in keys if name in selection), False)
