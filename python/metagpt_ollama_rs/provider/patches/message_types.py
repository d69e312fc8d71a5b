"""Patches how messages that hold the fields of an ``ActionNode`` are written, so that all types of fields come back.

MetaGPT makes the class of such fields at run time, and writes it as ``{"Name": "(<class 'str'>, Ellipsis)"}``. It knows
three types: texts, lists of texts and lists of these. Numbers, truth values and dicts are dropped with a warning, and a
field that may be None, or an enumeration, is a KeyError, so that a team with such a message cannot be written at all.
Here all types are written, as expressions that MetaGPT itself reads:

>>> str(field_type({"type": "array", "items": {"type": "integer"}})), str(field_type({"type": "number"}))
('(list[int], Ellipsis)', '(float, Ellipsis)')

What has no simple type (enumerations, models in models) comes back as the data that it was written as.
"""

from __future__ import annotations

import contextlib
import typing
from collections.abc import Iterator
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from .patch import replace_function
from .which_llm import default_llm

__all__ = ["FieldType", "all_field_types", "field_type", "patch_field_types"]

_SIMPLE = {"string": str, "integer": int, "number": float, "boolean": bool, "object": dict}
_TYPING = "__import__('typing')"


_all_types: ContextVar[bool] = ContextVar("metagpt_ollama_rs_all_field_types", default=False)


@contextlib.contextmanager
def all_field_types() -> Iterator[None]:
    """Says that the messages that are written in this block are those of a team with this package's LLM objects."""
    token = _all_types.set(True)
    try:
        yield
    finally:
        _all_types.reset(token)


class FieldType(tuple[Any, ...]):
    """The type of a field in the form of pydantic's ``create_model``, such as ``(int, ...)``, and as the expression
    that MetaGPT writes and evaluates.

    >>> str(FieldType(int, "int"))
    '(int, Ellipsis)'
    """

    expression: str

    def __new__(cls, of_type: Any, expression: str) -> FieldType:
        made = super().__new__(cls, (of_type, ...))
        made.expression = expression
        return made

    def __str__(self) -> str:
        return f"({self.expression}, Ellipsis)"

    def __reduce__(self) -> Any:
        return (tuple, (tuple(self),))


def field_type(schema: dict[str, Any]) -> FieldType:
    """The type of a field with this JSON schema; ``Any`` where the schema is more than a simple type."""
    kind = schema.get("type")
    if kind in _SIMPLE:
        return FieldType(_SIMPLE[kind], _SIMPLE[kind].__name__)
    if kind == "array":
        inner = field_type(schema.get("items") or {})
        return FieldType(list[inner[0]], f"list[{inner.expression}]")  # type: ignore[valid-type]
    choices = [choice for choice in schema.get("anyOf", ()) if choice.get("type") != "null"]
    if len(choices) == 1:
        inner = field_type(choices[0])
        return FieldType(typing.Optional[inner[0]], f"{_TYPING}.Optional[{inner.expression}]")
    return FieldType(Any, f"{_TYPING}.Any")


def patch_field_types(module: ModuleType) -> None:
    """Makes `metagpt.utils.serialize` write the types of all fields: in `all_field_types`, and where MetaGPT's default
    configuration is Ollama's, because it is not told whose message it writes."""
    replace_function(module, "actionoutout_schema_to_mapping", _wrap_schema_to_mapping)


def _wrap_schema_to_mapping(stock: Any) -> Any:
    def schema_to_mapping(schema: dict[str, Any]) -> Any:
        if not _all_types.get() and default_llm("recovery") is None:
            return stock(schema)
        return {name: field_type(field) for name, field in schema["properties"].items()}

    return schema_to_mapping
