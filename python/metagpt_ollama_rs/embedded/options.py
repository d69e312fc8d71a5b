"""Ollama's options: names, types, defaults, and what llama.cpp calls them. One table; the rest reads it."""

from __future__ import annotations

from typing import Any, NamedTuple

from .checks import Refusal


class _Option(NamedTuple):
    kind: str
    default: Any
    runner: str | None


_TABLE = {
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


_INT32 = (1 << 31) - 1
_FLOAT32 = 3.4e38


def parse(given: dict[str, Any]) -> dict[str, Any]:
    """`given` with the defaults filled in. Unknown names are ignored, as Ollama does; a wrong type is a Refusal."""
    values = {name: option.default for name, option in _TABLE.items()}
    for name, value in given.items():
        option = _TABLE.get(name)
        if option is not None and value is not None:
            values[name] = _typed(name, option.kind, value)
    return values


def for_runner(values: dict[str, Any], context_length: int) -> dict[str, Any]:
    """The sampling part of a request to llama.cpp's `/completion`."""
    request = {option.runner: values[name] for name, option in _TABLE.items() if option.runner is not None}
    most = 10 * context_length
    if not 0 <= values["num_predict"] <= most:
        request["n_predict"] = most
    if values["repeat_last_n"] == -1:
        request["repeat_last_n"] = context_length
    # llama.cpp takes what is larger than 32 bits modulo, and finds an empty word everywhere.
    request["seed"] = values["seed"] % (1 << 32)
    request["stop"] = [word for word in values["stop"] if word]
    return {key: value for key, value in request.items() if key is not None}


def schema_for_runner(schema: dict[str, Any]) -> dict[str, Any]:
    """`schema` with the two habits of Ollama's runner that xllamacpp's does not share.

    Objects have no properties but those listed, unless the schema says otherwise, and white space is bounded: without
    either a small model may go on until its last token.
    """
    return {**_closed(schema), "x-guidance": {"whitespace_pattern": r"( |\n[ \t]{0,20})?"}}


def _closed(part: Any) -> Any:
    if isinstance(part, list):
        return [_closed(item) for item in part]
    if not isinstance(part, dict):
        return part
    closed = {key: value if key in ("enum", "const", "default") else _closed(value) for key, value in part.items()}
    if isinstance(closed.get("properties"), dict):
        closed.setdefault("additionalProperties", False)
    return closed


def _typed(name: str, kind: str, value: Any) -> Any:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "integer" and number:
        return int(value) if name == "seed" else max(min(int(value), _INT32), -_INT32)
    if kind == "float32" and number and abs(value) <= _FLOAT32:
        return float(value)
    if kind == "boolean" and isinstance(value, bool):
        return value
    if kind == "array" and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise Refusal(500, f'option "{name}" must be of type {kind}')
