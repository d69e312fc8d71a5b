"""Ollama's options: one table of their names, types, defaults and names in llama.cpp.

>>> values = parse({"num_predict": 10, "stop": ["###"]})
>>> request = for_runner(values, context_length=4096)
>>> request["n_predict"], request["stop"], request["temperature"]
(10, ['###'], 0.8)
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .checks import Refusal


class _Option(NamedTuple):
    """One row: the type as Ollama names it in errors, the default, and the name in a request to llama.cpp or None."""

    type_name: str
    default: Any
    runner: str | None


_OPTIONS = {
    "num_ctx": _Option("integer", None, None),
    "num_batch": _Option("integer", None, None),
    "num_gpu": _Option("integer", None, None),
    "main_gpu": _Option("integer", None, None),
    "use_mmap": _Option("boolean", None, None),
    "num_thread": _Option("integer", None, None),
    "draft_num_predict": _Option("integer", None, None),
    "num_keep": _Option("integer", 4, "n_keep"),
    "seed": _Option("integer", -1, "seed"),
    "num_predict": _Option("integer", -1, "n_predict"),
    "top_k": _Option("integer", 40, "top_k"),
    "top_p": _Option("float32", 0.9, "top_p"),
    "min_p": _Option("float32", 0.0, "min_p"),
    "typical_p": _Option("float32", 1.0, "typical_p"),
    "repeat_last_n": _Option("integer", 64, "repeat_last_n"),
    "repeat_penalty": _Option("float32", 1.0, "repeat_penalty"),
    "presence_penalty": _Option("float32", 0.0, "presence_penalty"),
    "frequency_penalty": _Option("float32", 0.0, "frequency_penalty"),
    "temperature": _Option("float32", 0.8, "temperature"),
    "stop": _Option("array", (), "stop"),
}


_MAX_INT32 = (1 << 31) - 1
_MAX_FLOAT32 = 3.4e38


def parse(given: dict[str, Any]) -> dict[str, Any]:
    """`given` with the defaults filled in. Unknown names are ignored, as Ollama does.

    Raises `Refusal` (status 500) for a value of the wrong type.
    """
    values = {name: option.default for name, option in _OPTIONS.items()}
    for name, value in given.items():
        option = _OPTIONS.get(name)
        if option is not None and value is not None:
            values[name] = _check_type(name, option.type_name, value)
    return values


def for_runner(values: dict[str, Any], context_length: int) -> dict[str, Any]:
    """The sampling part of a request to llama.cpp's `/completion`."""
    request = {option.runner: values[name] for name, option in _OPTIONS.items() if option.runner is not None}
    most = 10 * context_length
    if not 0 <= values["num_predict"] <= most:
        request["n_predict"] = most
    if values["repeat_last_n"] == -1:
        request["repeat_last_n"] = context_length
    # llama.cpp takes a seed of more than 32 bits modulo 2**32, and finds an empty stop word in every text.
    request["seed"] = values["seed"] % (1 << 32)
    request["stop"] = [word for word in values["stop"] if word]
    return {key: value for key, value in request.items() if key is not None}


def schema_for_runner(schema: dict[str, Any]) -> dict[str, Any]:
    """`schema` with two rules that Ollama's runner adds by itself and xllamacpp's does not.

    Objects have no properties but those listed, unless the schema says otherwise, and white space is bounded. Without
    these a small model may write on until its last token.

    >>> schema_for_runner({"type": "object", "properties": {"a": {}}})["additionalProperties"]
    False
    """
    return {**_close_objects(schema), "x-guidance": {"whitespace_pattern": r"( |\n[ \t]{0,20})?"}}


def _close_objects(part: Any) -> Any:
    if isinstance(part, list):
        return [_close_objects(item) for item in part]
    if not isinstance(part, dict):
        return part
    closed = {
        key: value if key in ("enum", "const", "default") else _close_objects(value) for key, value in part.items()
    }
    if isinstance(closed.get("properties"), dict):
        closed.setdefault("additionalProperties", False)
    return closed


def _check_type(name: str, type_name: str, value: Any) -> Any:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if type_name == "integer" and number:
        return int(value) if name == "seed" else max(min(int(value), _MAX_INT32), -_MAX_INT32)
    if type_name == "float32" and number and abs(value) <= _MAX_FLOAT32:
        return float(value)
    if type_name == "boolean" and isinstance(value, bool):
        return value
    if type_name == "array" and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise Refusal(500, f'option "{name}" must be of type {type_name}')
