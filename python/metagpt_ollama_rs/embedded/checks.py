"""What a request may contain, and how Ollama refuses the rest.

>>> parse_body(b'{"model": "m", "stream": null, "other": 1}', "ChatRequest")
{'model': 'm', 'other': 1}
>>> parse_body(b"[]", "ChatRequest")
Traceback (most recent call last):
metagpt_ollama_rs.embedded.checks.Refusal: json: cannot unmarshal array into Go value of type api.ChatRequest
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

# Fields of each request and their Go types; what is not listed is ignored, as Ollama ignores it.
_OPTIONS = "map[string]interface {}"
FIELDS: dict[str, dict[str, str]] = {
    "ChatRequest": {
        "model": "string",
        "messages": "[]api.Message",
        "stream": "bool",
        "options": _OPTIONS,
        "tools": "api.Tools",
        "truncate": "bool",
        "shift": "bool",
        "logprobs": "bool",
        "top_logprobs": "int",
    },
    "GenerateRequest": {
        "model": "string",
        "prompt": "string",
        "suffix": "string",
        "system": "string",
        "template": "string",
        "context": "[]int",
        "stream": "bool",
        "raw": "bool",
        "images": "[]api.ImageData",
        "options": _OPTIONS,
        "truncate": "bool",
        "shift": "bool",
        "logprobs": "bool",
        "top_logprobs": "int",
    },
    "EmbedRequest": {"model": "string", "truncate": "bool", "dimensions": "int", "options": _OPTIONS},
    "EmbeddingRequest": {"model": "string", "prompt": "string", "options": _OPTIONS},
    "ShowRequest": {"model": "string", "name": "string", "verbose": "bool", "system": "string", "options": _OPTIONS},
}

_MESSAGE = {
    "role": "string",
    "content": "string",
    "thinking": "string",
    "images": "[]api.ImageData",
    "tool_calls": "[]api.ToolCall",
    "tool_name": "string",
    "tool_call_id": "string",
}

# The JSON kind of each Go type; all others are arrays.
_KINDS = {"string": "string", "bool": "bool", "int": "number", _OPTIONS: "object"}

# Requests that make sense are not nested deeper, and functions that walk through a value may recurse that deep.
_MAX_DEPTH = 100

# Numbers of more digits are too large for a float64.
_MAX_DIGITS = 310

# One escape in a JSON string: a surrogate pair, half of a pair alone, or any other escape.
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)

# Token ids are smaller than this in llama.cpp.
_TOKEN_LIMIT = 1 << 31

# No answer has so many items, and llama.cpp counts up to this number in a fraction of a second.
_MAX_ITEMS = 100_000

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")

# Go counts nanoseconds in 64 bits.
_MAX_DURATION_SECONDS = (1 << 63) / 1e9

FOREVER = float("inf")

BUSY = "server busy, please try again.  maximum pending requests exceeded"


class Refusal(Exception):
    """The answer `{"error": text}` with the HTTP status `status`, raised where a request is refused.

    `late` says that Ollama finds this out only when generation starts: its answer then is a chunked body.

    >>> try:
    ...     parse_body(b"", "chat")
    ... except Refusal as refusal:
    ...     print(refusal.status, refusal.text)
    400 missing request body
    """

    def __init__(self, status: int, text: str, *, late: bool = False) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.late = late


def parse_body(body: bytes, request_name: str) -> dict[str, Any]:
    """The JSON object in `body`, its fields checked against `FIELDS[request_name]`, without fields that are null."""
    text = body.decode("utf-8", "replace").lstrip(" \t\r\n")
    if not text:
        raise Refusal(400, "missing request body")
    if "\\u" in text:
        # Half of a surrogate pair is no character; Go reads U+FFFD in its place.
        text = _ESCAPE.sub(lambda found: r"\ufffd" if found["half"] else found[0], text)
    try:
        # Ollama ignores what follows the first value.
        value, _ = _DECODER.raw_decode(text)
    except json.JSONDecodeError as error:
        raise Refusal(400, _go_syntax_error(text, error)) from None
    except RecursionError:
        raise Refusal(400, _TOO_DEEP) from None
    if not isinstance(value, dict):
        raise Refusal(400, f"json: cannot unmarshal {json_kind(value)} into Go value of type api.{request_name}")
    _check_depth(value)
    return _check_fields(value, request_name, FIELDS[request_name])


def _check_fields(value: dict[str, Any], owner: str, types: dict[str, str]) -> dict[str, Any]:
    fields = {name: item for name, item in value.items() if item is not None}
    for name, wanted in types.items():
        item = fields.get(name)
        if item is None:
            continue
        if json_kind(item) != _KINDS.get(wanted, "array"):
            raise Refusal(400, _go_type_error(json_kind(item), f"{owner}.{name}", wanted))
        if wanted == "int" and not isinstance(item, int):
            raise Refusal(400, _go_type_error(f"number {item}", f"{owner}.{name}", wanted))
    return fields


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(_MAX_DEPTH):
        parts = (part.values() if isinstance(part, dict) else part for part in level)
        level = [item for part in parts for item in part if isinstance(item, (dict, list))]
        if not level:
            return
    raise Refusal(400, _TOO_DEEP)


def _float(text: str) -> float:
    value = float(text)
    if value in (FOREVER, -FOREVER):
        raise Refusal(400, f"json: cannot unmarshal number {text[:20]} into Go value of type float64")
    return value


def _int(text: str) -> int:
    return int(text) if len(text) < _MAX_DIGITS else int(_float(text))


def _constant(text: str) -> Any:
    raise Refusal(400, f"invalid character '{text.lstrip('-')[0]}' looking for beginning of value")


_DECODER = json.JSONDecoder(parse_float=_float, parse_int=_int, parse_constant=_constant)

_TOO_DEEP = "invalid character '[' exceeded max depth"


def json_kind(value: Any) -> str:
    """What Go calls the JSON type of `value`, such as `number`."""
    if isinstance(value, str):
        return "string"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, list):
        return "array"
    return "null" if value is None else "object"


def messages(value: list[Any]) -> list[dict[str, str]]:
    """The role, in lower case, and the text of each message. Raises `Refusal` for a field of the wrong type."""
    checked = []
    for message in value:
        if not isinstance(message, dict):
            raise Refusal(400, _go_type_error(json_kind(message), "ChatRequest.messages", "api.Message"))
        fields = _check_fields(message, "ChatRequest.messages", _MESSAGE)
        images(fields.get("images", []), "ChatRequest.messages")
        checked.append({"role": fields.get("role", "").lower(), "content": fields.get("content", "")})
    return checked


def images(value: list[Any], owner: str) -> None:
    """Raises `Refusal` for an image that is not standard base64 without a prefix."""
    for image in value:
        if not isinstance(image, str):
            raise Refusal(400, _go_type_error(json_kind(image), f"{owner}.images", "api.ImageData"))
        # Go's base64 decoder skips line ends.
        text = image.replace("\r", "").replace("\n", "")
        try:
            base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise Refusal(400, f"illegal base64 data at input byte {_bad_base64(text)}") from None


def vision_refusal(*, late: bool) -> Refusal:
    """The refusal of images, in the words of the runner of a model without vision."""
    message = "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"
    return Refusal(500, _runner_error(500, message, "server_error"), late=late)


def has_huge_counts(schema: Any) -> bool:
    """Whether `schema` has counts so high that the runner, which counts up to them, could not answer others."""
    if isinstance(schema, list):
        return any(map(has_huge_counts, schema))
    if not isinstance(schema, dict):
        return False
    counts = [schema.get(name) for name in ("minItems", "maxItems", "minProperties", "maxProperties")]
    too_many = any(isinstance(count, (int, float)) and count > _MAX_ITEMS for count in counts)
    return too_many or any(map(has_huge_counts, schema.values()))


def grammar_refusal() -> Refusal:
    """The refusal of a `format` of which no grammar can be made."""
    message = "failed to parse grammar: the schema in format cannot be obeyed"
    return Refusal(400, _runner_error(400, message, "invalid_request_error"), late=True)


def context_tokens(value: list[Any]) -> list[int]:
    """The token ids of `context`."""
    for token in value:
        if json_kind(token) != "number" or not isinstance(token, int):
            found = f"number {token}" if json_kind(token) == "number" else json_kind(token)
            raise Refusal(400, _go_type_error(found, "GenerateRequest.context", "int"))
        if not 0 <= token < _TOKEN_LIMIT:
            raise Refusal(400, f"context: {token} is the number of no token")
    return value


def _runner_error(code: int, message: str, error_type: str) -> str:
    return json.dumps({"error": {"code": code, "message": message, "type": error_type}}, separators=(",", ":"))


def think(value: Any, model_name: str) -> None:
    """Raises `Refusal` for a request to think, which no model here can, and for a value that Ollama does not know."""
    if value is None or value is False:
        return
    if value is True or value in ("low", "medium", "high", "max"):
        raise Refusal(400, f'"{model_name}" does not support thinking')
    raise Refusal(400, f"invalid think value: {value!r} (must be true, false, or a level)")


def requested_schema(value: Any) -> dict[str, Any] | None:
    """The JSON schema that `format` asks for, None for free text."""
    if value is None or value == "":
        return None
    if value == "json":
        return {"type": "object"}
    if isinstance(value, dict):
        return value
    quoted = json.dumps(json.dumps(value, separators=(",", ":")))
    raise Refusal(500, f'invalid format: {quoted}; expected "json" or a valid JSON Schema object', late=True)


def keep_alive(value: Any) -> float | None:
    """Seconds for which the model stays loaded after the request; None where it does not say, else 0 to `FOREVER`.

    >>> keep_alive("1h30m"), keep_alive(-1), keep_alive(None)
    (5400.0, inf, None)
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise Refusal(400, f"Unsupported type: {json_kind(value)}")
    seconds = _duration(value) if isinstance(value, str) else float(value)
    return FOREVER if seconds < 0 else seconds


def top_logprobs(fields: dict[str, Any]) -> int:
    """How many alternatives each token gets, 0 when the request wants no probabilities."""
    count: int = fields.get("top_logprobs", 0)
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
            problem = "missing unit in" if re.fullmatch(r"[0-9]+(\.[0-9]*)?", rest[position:]) else "invalid"
            raise Refusal(400, f'time: {problem} duration "{text}"')
        total += float(match[1]) * _UNITS[match[2]]
        position = match.end()
    if not rest or total > _MAX_DURATION_SECONDS:
        raise Refusal(400, f'time: invalid duration "{text}"')
    return sign * total


def _go_type_error(found: str, field: str, wanted: str) -> str:
    return f"json: cannot unmarshal {found} into Go struct field {field} of type {wanted}"


def _go_syntax_error(text: str, error: json.JSONDecodeError) -> str:
    # Go's messages name the character behind the backslash.
    rest = text[error.pos + error.msg.startswith("Invalid \\escape") :]
    context = next((words for start, words in _CONTEXTS if error.msg.startswith(start)), None)
    if context is None:
        rest = rest.lstrip(" \t\r\n")
        context = "looking for beginning of value"
    if not rest or error.msg.startswith("Unterminated string"):
        return "unexpected EOF"
    quoted = "'\\''" if rest[0] == "'" else "'" + json.dumps(rest[0])[1:-1].replace('\\"', '"') + "'"
    return f"invalid character {quoted} {context}"


# By the beginning of a message of Python's JSON decoder: how Go's decoder says it.
_CONTEXTS = (
    ("Expecting property name", "looking for beginning of object key string"),
    ("Expecting ':'", "after object key"),
    ("Expecting ','", "after object key:value pair or array element"),
    ("Invalid control character", "in string literal"),
    ("Invalid \\escape", "in string escape code"),
    ("Invalid \\uXXXX", "in \\u hexadecimal character escape"),
)


def _bad_base64(text: str) -> int:
    allowed = re.match(r"[A-Za-z0-9+/]*={0,2}", text)
    return allowed.end() if allowed is not None and allowed.end() < len(text) else len(text)
