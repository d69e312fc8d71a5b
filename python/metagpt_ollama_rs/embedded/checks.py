"""What a request may contain, and how Ollama refuses the rest."""

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

# Nothing that makes sense nests deeper, and whatever walks through a value may call itself that often.
_DEPTH = 100

# Longer numbers are beyond a float64.
_DIGITS = 310

# One escape of JSON: two halves of a surrogate pair, a half alone, or another one.
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)

# llama.cpp's numbers of tokens.
_TOKEN_LIMIT = 1 << 31

# Far beyond any answer, and counted up in a fraction of a second.
_MOST_ITEMS = 100_000

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")

# Go counts nanoseconds in 64 bits.
_LONGEST = (1 << 63) / 1e9

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
    if "\\u" in text:
        # Half a pair is no character, and Go reads it as none.
        text = _ESCAPE.sub(lambda found: r"\ufffd" if found["half"] else found[0], text)
    try:
        # What follows the first value is ignored.
        value, _ = _DECODER.raw_decode(text)
    except json.JSONDecodeError as error:
        raise Refusal(400, _go_syntax_error(text, error)) from None
    except RecursionError:
        raise Refusal(400, _TOO_DEEP) from None
    if not isinstance(value, dict):
        raise Refusal(400, f"json: cannot unmarshal {kind(value)} into Go value of type api.{request_name}")
    _refuse_depth(value)
    return _typed(value, request_name, FIELDS[request_name])


def _typed(value: dict[str, Any], owner: str, types: dict[str, str]) -> dict[str, Any]:
    fields = {name: item for name, item in value.items() if item is not None}
    for name, wanted in types.items():
        item = fields.get(name)
        if item is None:
            continue
        if kind(item) != _KINDS.get(wanted, "array"):
            raise Refusal(400, _go_type_error(kind(item), f"{owner}.{name}", wanted))
        if wanted == "int" and not isinstance(item, int):
            raise Refusal(400, _go_type_error(f"number {item}", f"{owner}.{name}", wanted))
    return fields


def _refuse_depth(value: Any) -> None:
    level = [value]
    for _ in range(_DEPTH):
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
    return int(text) if len(text) < _DIGITS else int(_float(text))


def _constant(text: str) -> Any:
    raise Refusal(400, f"invalid character '{text.lstrip('-')[0]}' looking for beginning of value")


_DECODER = json.JSONDecoder(parse_float=_float, parse_int=_int, parse_constant=_constant)

_TOO_DEEP = "invalid character '[' exceeded max depth"


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
    """Role and text of each message."""
    checked = []
    for message in given:
        if not isinstance(message, dict):
            raise Refusal(400, _go_type_error(kind(message), "ChatRequest.messages", "api.Message"))
        fields = _typed(message, "ChatRequest.messages", _MESSAGE)
        images(fields.get("images", []), "ChatRequest.messages")
        checked.append({"role": fields.get("role", "").lower(), "content": fields.get("content", "")})
    return checked


def images(given: list[Any], owner: str) -> None:
    """Refuses what is not bare standard base64."""
    for image in given:
        if not isinstance(image, str):
            raise Refusal(400, _go_type_error(kind(image), f"{owner}.images", "api.ImageData"))
        # Go passes over line ends.
        text = image.replace("\r", "").replace("\n", "")
        try:
            base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise Refusal(400, f"illegal base64 data at input byte {_bad_base64(text)}") from None


def no_vision(*, late: bool) -> Refusal:
    """The refusal of images, in the words of the runner of a model without vision."""
    message = "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"
    return Refusal(500, _runner_error(500, message, "server_error"), late=late)


def is_boundless(schema: Any) -> bool:
    """Whether `schema` has counts so high that the runner, which counts them up, would be there for nobody else."""
    if isinstance(schema, list):
        return any(map(is_boundless, schema))
    if not isinstance(schema, dict):
        return False
    counts = [schema.get(name) for name in ("minItems", "maxItems", "minProperties", "maxProperties")]
    too_many = any(isinstance(count, (int, float)) and count > _MOST_ITEMS for count in counts)
    return too_many or any(map(is_boundless, schema.values()))


def no_grammar() -> Refusal:
    """The refusal of a `format` of which no grammar can be made."""
    message = "failed to parse grammar: the schema in format cannot be obeyed"
    return Refusal(400, _runner_error(400, message, "invalid_request_error"), late=True)


def tokens(given: list[Any]) -> list[int]:
    """The token ids of `context`."""
    for token in given:
        if kind(token) != "number" or not isinstance(token, int):
            found = f"number {token}" if kind(token) == "number" else kind(token)
            raise Refusal(400, _go_type_error(found, "GenerateRequest.context", "int"))
        if not 0 <= token < _TOKEN_LIMIT:
            raise Refusal(400, f"context: {token} is the number of no token")
    return given


def _runner_error(code: int, message: str, kind_: str) -> str:
    return json.dumps({"error": {"code": code, "message": message, "type": kind_}}, separators=(",", ":"))


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
    if not rest or total > _LONGEST:
        raise Refusal(400, f'time: invalid duration "{text}"')
    return sign * total


def _go_type_error(found: str, field: str, wanted: str) -> str:
    return f"json: cannot unmarshal {found} into Go struct field {field} of type {wanted}"


def _go_syntax_error(text: str, error: json.JSONDecodeError) -> str:
    # Go points at what follows the backslash.
    rest = text[error.pos + error.msg.startswith("Invalid \\escape") :]
    context = next((words for start, words in _CONTEXTS if error.msg.startswith(start)), None)
    if context is None:
        rest = rest.lstrip(" \t\r\n")
        context = "looking for beginning of value"
    if not rest or error.msg.startswith("Unterminated string"):
        return "unexpected EOF"
    quoted = "'\\''" if rest[0] == "'" else "'" + json.dumps(rest[0])[1:-1].replace('\\"', '"') + "'"
    return f"invalid character {quoted} {context}"


# Python's complaints in Go's words.
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
