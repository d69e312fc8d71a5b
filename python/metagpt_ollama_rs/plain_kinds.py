"""The kinds of values whose parts are none of our classes: texts, numbers, times, literals, and unions of kinds.

A value is taken as pydantic takes it in its lax mode: ``"7"`` counts as an integer and ``1`` as a number, while a
number does not count as a text.

>>> problems = []
>>> PLAIN_KINDS[int].check("7", ("seed",), problems), PLAIN_KINDS[str].check(7, ("role",), problems), problems
(7, None, [(('role',), 'string_type', 'Input should be a valid string', 7)])
"""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Union

from metagpt_ollama_rs.values import BYTE_SIZE, ByteSize, parse_byte_size, parse_time

if typing.TYPE_CHECKING:
    from metagpt_ollama_rs.errors import Problem

    Problems = list[Problem]
    Place = tuple[Union[str, int], ...]

    class SchemaPage(typing.Protocol):
        """A JSON Schema that is being written."""

        def refer(self, cls: Any) -> dict[str, Any]: ...


__all__ = ["LATE_KINDS", "PLAIN_KINDS", "TEXT", "ModelName"]


class ValueKind:
    """What one annotation allows. ``|`` works as on types."""

    def is_exact(self, value: Any) -> bool:
        """Whether ``value`` is of this kind without being converted."""
        raise NotImplementedError

    def check(self, value: Any, place: Place, problems: Problems, strict: bool = False) -> Any:
        """``value`` as a field has it; what is wrong with it is added to ``problems``."""
        raise NotImplementedError

    def hint(self) -> Any:
        """The same as a type of `typing`."""
        raise NotImplementedError

    def describe(self, page: SchemaPage) -> dict[str, Any]:
        """Its JSON Schema. Those of classes go into the definitions of ``page``."""
        raise NotImplementedError

    def label(self) -> str:
        """A word for it in the places of problems."""
        return type(self).__name__.lower()

    def __or__(self, other: Any) -> ValueKind:
        return Choice([self, Nothing() if other is None else other])


class Plain(ValueKind):
    """A kind whose values have no parts.

    Args:
        name: pydantic's word for it.
        types: the classes whose instances are of this kind as they are.
        schema: its JSON Schema.
        read: makes a value of another class one of this kind, or raises ValueError. A `_Refused` says why.
        hint: makes the type of `typing`.
    """

    def __init__(
        self,
        name: str,
        types: tuple[type, ...],
        schema: dict[str, Any],
        read: Callable[[Any], Any],
        hint: Callable[[], Any] | None = None,
    ) -> None:
        self._name = name
        self._types = types
        self._schema = schema
        self._read = read
        self._hint = hint or (lambda: types[0])

    def is_exact(self, value: Any) -> bool:
        return isinstance(value, self._types) and (type(value) is not bool or bool in self._types)

    def check(self, value: Any, place: Place, problems: Problems, strict: bool = False) -> Any:
        if type(value) in self._types:
            return value
        try:
            if strict and not (self.is_exact(value) or (float in self._types and type(value) is int)):
                raise _Refused(f"{self._name}_type")
            return self._read(value)
        except (ValueError, TypeError, ArithmeticError) as error:
            code = error.code if isinstance(error, _Refused) else f"{self._name}_parsing"
            problems.append((place, code, f"Input should be a valid {_WORDS.get(self._name, self._name)}", value))
            return None

    def hint(self) -> Any:
        return self._hint()

    def describe(self, page: SchemaPage) -> dict[str, Any]:
        return dict(self._schema)

    def label(self) -> str:
        return "str" if self._name == "string" else self._name


class _Refused(ValueError):
    """A value of a class that the kind does not take; ``code`` is pydantic's word for the problem."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


_WORDS = {
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "byte_size": "number of bytes",
    "path": "path for <class 'pathlib.Path'>",
}
# As in Python, though in ASCII, and with zeros after the point.
_WHOLE_NUMBER = re.compile(r"([+-]?[0-9]+(?:_[0-9]+)*)(?:\.0+)?")
_TRUE = ("1", "on", "t", "true", "y", "yes")
_FALSE = ("0", "f", "false", "n", "no", "off")


def _read_str(value: Any) -> str:
    import enum

    if isinstance(value, (bytes, bytearray)):
        return value.decode()
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, str):
        return str(value)
    raise _Refused("string_type")


def _read_int(value: Any) -> int:
    import decimal
    import operator

    if isinstance(value, (str, bytes, bytearray)):
        text = value if isinstance(value, str) else value.decode()
        found = _WHOLE_NUMBER.fullmatch(text.strip())
        if found is None:
            raise ValueError(text)
        return int(found[1])
    if isinstance(value, (float, decimal.Decimal)):
        if value == int(value):
            return int(value)
        raise _Refused("int_from_float")
    if hasattr(value, "__index__"):
        return operator.index(value)
    raise _Refused("int_type")


def _read_float(value: Any) -> float:
    if isinstance(value, (str, bytes, bytearray)) or hasattr(value, "__float__") or hasattr(value, "__index__"):
        return float(value)
    raise _Refused("float_type")


def _read_bool(value: Any) -> bool:
    if isinstance(value, (bytes, bytearray)):
        value = value.decode()
    if isinstance(value, str):
        value = value.lower()
    if isinstance(value, (str, int, float)):
        for answer, words in ((True, (1, *_TRUE)), (False, (0, *_FALSE))):
            if value in words:
                return answer
        raise ValueError(value)
    raise _Refused("bool_type")


def _read_bytes(value: Any) -> bytes:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, str):
        return value.encode()
    raise _Refused("bytes_type")


def _read_path(value: Any) -> Any:
    import os
    from pathlib import Path

    if isinstance(value, str):
        return Path(_read_str(value))
    if isinstance(value, os.PathLike):
        return Path(value)
    raise _Refused("path_type")


def _read_datetime(value: Any) -> Any:
    from datetime import date, datetime, timezone

    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    if isinstance(value, (bytes, bytearray)):
        value = value.decode()
    try:
        seconds = None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        seconds = None
    if seconds is not None:
        # Numbers of more than eleven digits are milliseconds.
        return datetime.fromtimestamp(seconds / 1000 if abs(seconds) > 2e10 else seconds, timezone.utc)
    if isinstance(value, str):
        return parse_time(value)
    raise _Refused("datetime_type")


def _read_byte_size(value: Any) -> ByteSize:
    if isinstance(value, str):
        return parse_byte_size(value)
    number = _read_int(value)
    if number < 0:
        raise ValueError(value)
    return ByteSize(number)


def _path_class() -> Any:
    from pathlib import Path

    return Path


def _datetime_class() -> Any:
    from datetime import datetime

    return datetime


class Anything(ValueKind):
    def is_exact(self, value: Any) -> bool:
        return True

    def check(self, value: Any, place: Place, problems: Problems, strict: bool = False) -> Any:
        return value

    def hint(self) -> Any:
        return Any

    def describe(self, page: SchemaPage) -> dict[str, Any]:
        return {}

    def label(self) -> str:
        return "any"


class Nothing(ValueKind):
    def is_exact(self, value: Any) -> bool:
        return value is None

    def check(self, value: Any, place: Place, problems: Problems, strict: bool = False) -> Any:
        if value is not None:
            problems.append((place, "none_required", "Input should be None", value))

    def hint(self) -> Any:
        return None

    def describe(self, page: SchemaPage) -> dict[str, Any]:
        return {"type": "null"}


class Literals(ValueKind):
    """Some texts."""

    def __init__(self, values: Iterable[Any]) -> None:
        self.values = tuple(values)

    def is_exact(self, value: Any) -> bool:
        return any(type(value) is type(known) and value == known for known in self.values)

    def check(self, value: Any, place: Place, problems: Problems, strict: bool = False) -> Any:
        if not self.is_exact(value):
            words = [repr(known) for known in self.values]
            listed = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
            problems.append((place, "literal_error", f"Input should be {listed}", value))
        return value

    def hint(self) -> Any:
        return typing.Literal[self.values]

    def describe(self, page: SchemaPage) -> dict[str, Any]:
        only = {"const": self.values[0]} if len(self.values) == 1 else {"enum": list(self.values)}
        return {**only, "type": "string"}

    def label(self) -> str:
        return f"literal[{','.join(map(repr, self.values))}]"


class MinLength:
    """Says of an annotated text how long it is at least."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return {**handler(source), "min_length": self.length}


# The name of a model: a text that is not empty.
ModelName = Annotated[str, MinLength(1)]


class LongText(ValueKind):
    """A text that is so long at least."""

    def __init__(self, length: int) -> None:
        self._length = length

    def is_exact(self, value: Any) -> bool:
        return TEXT.is_exact(value)

    def check(self, value: Any, place: Place, problems: Problems, strict: bool = False) -> Any:
        value = TEXT.check(value, place, problems, strict)
        if value is not None and len(value) < self._length:
            text = f"String should have at least {self._length} character{'s' if self._length > 1 else ''}"
            problems.append((place, "string_too_short", text, value))
        return value

    def hint(self) -> Any:
        return Annotated[str, MinLength(self._length)]

    def describe(self, page: SchemaPage) -> dict[str, Any]:
        return {"minLength": self._length, "type": "string"}


class Choice(ValueKind):
    """One of several kinds."""

    def __init__(self, kinds: Iterable[ValueKind]) -> None:
        self.kinds: list[ValueKind] = []
        for kind in kinds:
            self.kinds.extend(kind.kinds if type(kind) is Choice else [kind])
        self._some = [kind for kind in self.kinds if not isinstance(kind, Nothing)]
        self._admits_none = len(self._some) < len(self.kinds)

    def is_exact(self, value: Any) -> bool:
        return any(kind.is_exact(value) for kind in self.kinds)

    def check(self, value: Any, place: Place, problems: Problems, strict: bool = False) -> Any:
        if value is None and self._admits_none:
            return None
        if len(self._some) == 1:
            return self._some[0].check(value, place, problems, strict)
        # What needs no conversion goes first; each group is in the order of the annotation.
        tried: Problems = []
        for kind in sorted(self._some, key=lambda kind: not kind.is_exact(value)):
            wrong: Problems = []
            found = kind.check(value, (*place, kind.label()), wrong, strict)
            if not wrong:
                return found
            tried += wrong
        problems += tried
        return None

    def hint(self) -> Any:
        return Union[tuple(kind.hint() for kind in self.kinds)]

    def describe(self, page: SchemaPage) -> dict[str, Any]:
        parts = [kind.describe(page) for kind in self.kinds]
        return {"anyOf": [part for each in parts for part in (each["anyOf"] if set(each) == {"anyOf"} else [each])]}

    def label(self) -> str:
        return f"union[{','.join(kind.label() for kind in self.kinds)}]"


TEXT = Plain("string", (str,), {"type": "string"}, _read_str)
_BYTE_SIZE = {"anyOf": [{"pattern": BYTE_SIZE, "type": "string"}, {"minimum": 0, "type": "integer"}]}
PLAIN_KINDS: dict[Any, ValueKind] = {
    None: Nothing(),
    type(None): Nothing(),
    Any: Anything(),
    object: Anything(),
    str: TEXT,
    int: Plain("int", (int,), {"type": "integer"}, _read_int),
    float: Plain("float", (float,), {"type": "number"}, _read_float),
    bool: Plain("bool", (bool,), {"type": "boolean"}, _read_bool),
    bytes: Plain("bytes", (bytes,), {"format": "binary", "type": "string"}, _read_bytes),
    ByteSize: Plain("byte_size", (ByteSize,), _BYTE_SIZE, _read_byte_size),
}
LATE_KINDS = {
    ("pathlib", "Path"): Plain("path", (), {"format": "path", "type": "string"}, _read_path, _path_class),
    ("datetime", "datetime"): Plain(
        "datetime", (), {"format": "date-time", "type": "string"}, _read_datetime, _datetime_class
    ),
}
