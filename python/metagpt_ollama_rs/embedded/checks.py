"""What a request may contain, and how Ollama refuses the rest."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

# Fields of each request and their Go kinds; what is not listed is ignored, as Ollama ignores it.
FIELDS: dict[str, dict[str, str]] = {
    "ChatRequest": {
        "model": "string",
        "messages": "array",
        "stream": "bool",
        "options": "object",
        "tools": "array",
        "truncate": "bool",
        "shift": "bool",
        "logprobs": "bool",
        "top_logprobs": "number",
    },
    "GenerateRequest": {
        "model": "string",
        "prompt": "string",
        "suffix": "string",
        "system": "string",
        "template": "string",
        "context": "array",
        "stream": "bool",
        "raw": "bool",
        "images": "array",
        "options": "object",
        "truncate": "bool",
        "shift": "bool",
        "logprobs": "bool",
        "top_logprobs": "number",
    },
    "EmbedRequest": {"model": "string", "truncate": "bool", "dimensions": "number", "options": "object"},
    "EmbeddingRequest": {"model": "string", "prompt": "string", "options": "object"},
    "ShowRequest": {"model": "string", "name": "string", "verbose": "bool", "system": "string", "options": "object"},
}

_GO_TYPES = {
    "string": "string",
    "bool": "bool",
    "number": "int",
    "array": "[]interface {}",
    "object": "map[string]interface {}",
}

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")

FOREVER = float("inf")

BUSY = "server busy, please try again.  maximum pending requests exceeded"


class Refusal(Exception):
    """An answer `{"error": text}` under `status`.

    `late` marks what is found out only when generation starts: a streaming request gets it as a chunked body.
    """

    def __init__(self, status: int, text: str, *, late: bool = False) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.late = late


def parse_body(body: bytes, request_name: str) -> dict[str, Any]:
    """The JSON object in `body`, its fields checked against `FIELDS[request_name]`; null fields are left out."""
    text = body.decode("utf-8", "replace").lstrip(" \t\r\n")
    if not text:
        raise Refusal(400, "missing request body")
    try:
        # What follows the first value is ignored.
        value, _ = json.JSONDecoder().raw_decode(text)
    except json.JSONDecodeError as error:
        raise Refusal(400, _go_syntax_error(text, error)) from None
    if not isinstance(value, dict):
        raise Refusal(400, f"json: cannot unmarshal {kind(value)} into Go value of type api.{request_name}")
    fields = {name: item for name, item in value.items() if item is not None}
    for name, wanted in FIELDS[request_name].items():
        if name in fields and kind(fields[name]) != wanted:
            raise Refusal(400, _go_type_error(kind(fields[name]), f"{request_name}.{name}", _GO_TYPES[wanted]))
    return fields


def kind(value: Any) -> str:
    """Go's name for the JSON kind of `value`."""
    if isinstance(value, str):
        return "string"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, list):
        return "array"
    return "null" if value is None else "object"


def messages(given: list[Any]) -> list[dict[str, str]]:
    """Role and text of each message. Images are checked and dropped: no model here sees."""
    checked = []
    for message in given:
        if not isinstance(message, dict):
            raise Refusal(400, _go_type_error(kind(message), "ChatRequest.messages", "api.Message"))
        for name in ("role", "content"):
            if message.get(name) is not None and not isinstance(message[name], str):
                raise Refusal(400, _go_type_error(kind(message[name]), f"ChatRequest.messages.{name}", "string"))
        images(message.get("images") or [])
        checked.append({"role": str(message.get("role") or "").lower(), "content": message.get("content") or ""})
    return checked


def images(given: list[Any]) -> None:
    """Refuses what is not bare standard base64."""
    for image in given:
        if not isinstance(image, str):
            raise Refusal(400, _go_type_error(kind(image), "ChatRequest.messages.images", "api.ImageData"))
        try:
            base64.b64decode(image, validate=True)
        except (binascii.Error, ValueError):
            raise Refusal(400, f"illegal base64 data at input byte {_bad_base64(image)}") from None


def think(given: Any, model_name: str) -> None:
    """Refuses thinking: no model here can, and other values than Ollama's are none."""
    if given is None or given is False:
        return
    if given is True or given in ("low", "medium", "high", "max"):
        raise Refusal(400, f'"{model_name}" does not support thinking')
    raise Refusal(400, f"invalid think value: {given!r} (must be true, false, or a level)")


def answer_format(given: Any) -> dict[str, Any] | None:
    """The JSON schema that `format` asks for, None for free text."""
    if given is None or given == "":
        return None
    if given == "json":
        return {"type": "object"}
    if isinstance(given, dict):
        return given
    quoted = json.dumps(json.dumps(given, separators=(",", ":")))
    raise Refusal(500, f'invalid format: {quoted}; expected "json" or a valid JSON Schema object', late=True)


def keep_alive(given: Any) -> float | None:
    """Seconds that the model stays after the request: None unset, 0 unload, `FOREVER` never."""
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, (int, float, str)):
        raise Refusal(400, f"Unsupported type: {kind(given)}")
    seconds = _duration(given) if isinstance(given, str) else float(given)
    return FOREVER if seconds < 0 else seconds


def top_logprobs(fields: dict[str, Any]) -> int:
    """How many alternatives to give per token, 0 when no probabilities were asked for."""
    count = int(fields.get("top_logprobs", 0))
    if not 0 <= count <= 20:
        raise Refusal(400, "top_logprobs must be between 0 and 20")
    return max(count, 1) if fields.get("logprobs") else 0


def _duration(text: str) -> float:
    sign, rest = (-1.0, text[1:]) if text[:1] == "-" else (1.0, text[1:] if text[:1] == "+" else text)
    if rest == "0":
        return 0.0
    total = 0.0
    position = 0
    while position < len(rest):
        match = _DURATION.match(rest, position)
        if match is None:
            problem = "missing unit in" if re.fullmatch(r"\d+(\.\d*)?", rest[position:]) else "invalid"
            raise Refusal(400, f'time: {problem} duration "{text}"')
        total += float(match[1]) * _UNITS[match[2]]
        position = match.end()
    if not rest:
        raise Refusal(400, f'time: invalid duration "{text}"')
    return sign * total


def _go_type_error(found: str, field: str, wanted: str) -> str:
    return f"json: cannot unmarshal {found} into Go struct field {field} of type {wanted}"


def _go_syntax_error(text: str, error: json.JSONDecodeError) -> str:
    position = error.pos
    rest = text[position:].lstrip(" \t\r\n")
    if not rest or error.msg.startswith("Unterminated string"):
        return "unexpected EOF"
    return f"invalid character '{rest[0]}' looking for beginning of value"


def _bad_base64(text: str) -> int:
    allowed = re.match(r"[A-Za-z0-9+/]*={0,2}", text)
    return allowed.end() if allowed is not None and allowed.end() < len(text) else len(text)
