"""Arguments of the clients' methods as the JSON objects that go over the wire (ollama-wire.md 2.1, 3.1, 4).

What the caller left at None is not sent, so that the server's own default holds. ``stream`` always is: its default
differs by endpoint.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping, Sequence
from typing import Any, Callable

from metagpt_ollama_rs.errors import ConfigurationError

_CHAT = ("tools", "think", "logprobs", "top_logprobs", "format", "options", "keep_alive", "truncate")
_GENERATE = (
    "system",
    "template",
    "context",
    "think",
    "logprobs",
    "top_logprobs",
    "raw",
    "format",
    "images",
    "options",
    "keep_alive",
    "truncate",
    "width",
    "height",
    "steps",
)


def chat_payload(model: str, messages: Sequence[Any] | None, stream: bool, **fields: Any) -> dict[str, Any]:
    """The payload of ``/api/chat``. Raises TypeError for a field that the endpoint does not have."""
    payload: dict[str, Any] = {
        "model": model,
        "messages": [_message(message, index) for index, message in enumerate(messages or ())],
        "stream": stream,
    }
    _add(payload, "chat", _CHAT, fields)
    if "tools" in payload:
        payload["tools"] = [_tool(tool) for tool in payload["tools"]]
    return payload


def generate_payload(model: str, prompt: str | None, suffix: str | None, stream: bool, **fields: Any) -> dict[str, Any]:
    """The payload of ``/api/generate``. Raises TypeError for a field that the endpoint does not have."""
    payload: dict[str, Any] = {"model": model, "stream": stream}
    _add(payload, "generate", ("prompt", "suffix", *_GENERATE), {"prompt": prompt, "suffix": suffix, **fields})
    if "images" in payload:
        payload["images"] = [image_text(image, f"images[{i}]") for i, image in enumerate(payload["images"])]
    return payload


def embed_payload(
    model: str, input: Any, truncate: bool | None, options: Any, keep_alive: Any, dimensions: int | None
) -> dict[str, Any]:
    """The payload of ``/api/embed``."""
    texts = input if isinstance(input, str) else list(input)
    fields = {"truncate": truncate, "options": options, "keep_alive": keep_alive, "dimensions": dimensions}
    return _add({"model": model, "input": texts}, "embed", tuple(fields), fields)


def embeddings_payload(model: str, prompt: str | None, options: Any, keep_alive: Any) -> dict[str, Any]:
    """The payload of ``/api/embeddings``."""
    fields = {"prompt": prompt, "options": options, "keep_alive": keep_alive}
    return _add({"model": model}, "embeddings", tuple(fields), fields)


def create_payload(model: str, stream: bool, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The payload of ``/api/create``; ``from_`` stands for the key ``from``."""
    rest = {name.rstrip("_"): value for name, value in fields.items() if value is not None}
    return {"model": model, "stream": stream, **rest}


def _add(payload: dict[str, Any], endpoint: str, known: tuple[str, ...], fields: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in fields.items():
        if name not in known:
            raise TypeError(f"{endpoint}() has no argument {name!r}; it has {', '.join(known)}")
        if value is not None:
            payload[name] = value
    return payload


def _message(message: Any, index: int) -> dict[str, Any]:
    record = message.model_dump(exclude_none=True) if hasattr(message, "model_dump") else message
    if not isinstance(record, Mapping):
        raise ConfigurationError(
            f"messages[{index}] is a {type(message).__name__}",
            hint='a message is a dict such as {"role": "user", "content": "Hello"}',
        )
    fields = {name: value for name, value in record.items() if value is not None}
    if fields.get("images"):
        fields["images"] = [
            image_text(image, f"messages[{index}].images[{i}]") for i, image in enumerate(fields["images"])
        ]
    return fields


def image_text(image: Any, where: str) -> str:
    """Bare base64 text of an image given as bytes, a path, base64 text, a data URI, or an object with ``value``.

    Raises ConfigurationError, which names ``where``, for text that is neither a file nor base64.
    """
    image = getattr(image, "value", image)
    if isinstance(image, (bytes, bytearray, memoryview)):
        return base64.b64encode(image).decode()
    if isinstance(image, os.PathLike):
        with open(image, "rb") as file:
            return base64.b64encode(file.read()).decode()
    if not isinstance(image, str):
        raise ConfigurationError(f"{where} is a {type(image).__name__}", hint="give bytes, a path or base64 text")
    text = image.strip()
    if text.startswith("data:") and "," in text:
        text = text.split(",", 1)[1]
    elif len(text) < 4096 and os.path.isfile(text):
        with open(text, "rb") as file:
            return base64.b64encode(file.read()).decode()
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ConfigurationError(
            f"{where} is neither a file nor base64 text: {text[:60]!r}", hint="give bytes, a path or base64 text"
        ) from None
    return text


def _tool(tool: Any) -> Any:
    if callable(tool) and not hasattr(tool, "model_dump"):
        return function_tool(tool)
    return tool


_JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", list: "array", dict: "object"}


def function_tool(function: Callable[..., Any]) -> dict[str, Any]:
    """The tool description of a Python function, from its annotations and its Google style docstring."""
    import inspect
    import typing

    text = inspect.getdoc(function) or ""
    hints = typing.get_type_hints(function)
    described = _arguments(text)
    properties: dict[str, Any] = {}
    required = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name == "self" or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        hint = hints.get(name, str)
        origin = typing.get_origin(hint) or hint
        members = [
            _JSON_TYPES.get(typing.get_origin(member) or member, "string")
            for member in typing.get_args(hint)
            if member is not type(None)
        ]
        optional = type(None) in typing.get_args(hint)
        kind = members[0] if optional and len(members) == 1 else _JSON_TYPES.get(origin, "string")
        properties[name] = {"type": kind, "description": described.get(name, "")}
        if parameter.default is parameter.empty and not optional:
            required.append(name)
    return {
        "type": "function",
        "function": {
            "name": function.__name__,
            "description": text.split("\n\n", 1)[0].strip(),
            "parameters": {"type": "object", "required": required, "properties": properties},
        },
    }


def _arguments(docstring: str) -> dict[str, str]:
    described: dict[str, str] = {}
    inside = False
    for line in docstring.splitlines():
        text = line.strip()
        if text in ("Args:", "Arguments:", "Parameters:"):
            inside = True
        elif inside and not line.startswith((" ", "\t")) and text:
            break
        elif inside and ":" in text:
            name, description = text.split(":", 1)
            described[name.split("(", 1)[0].strip()] = description.strip()
    return described


__all__ = [
    "chat_payload",
    "create_payload",
    "embed_payload",
    "embeddings_payload",
    "function_tool",
    "generate_payload",
    "image_text",
]
