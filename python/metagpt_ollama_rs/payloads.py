"""Arguments of the clients' methods as the JSON objects that go over the wire (docs/wire.md#1-requests).

What the caller left at None is not sent, so that the server's own default holds; ``stream`` is added by the clients.
Bytes count as the text that they are in UTF-8, wherever a text is wanted; those that nothing here
looks at are turned into it by the core, as are surrogates. What Ollama would refuse, or ignore in silence, though it is
easily seen here, is a ConfigurationError that names the place. Images wait in a payload to be
read (`images.encode_images`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Union

from metagpt_ollama_rs.errors import ConfigurationError
from metagpt_ollama_rs.images import BYTES, unread_images
from metagpt_ollama_rs.model_files import file_table
from metagpt_ollama_rs.record import Record
from metagpt_ollama_rs.record_dumps import plain_fields
from metagpt_ollama_rs.spelling import near_miss
from metagpt_ollama_rs.systemone_types import SystemOneRequest

if TYPE_CHECKING:
    from datetime import timedelta

    Text = Union[str, bytes, bytearray, memoryview]
    KeepAlive = Union[float, str, timedelta, None]


_MESSAGE = ("role", "content", "thinking", "images", "tool_calls", "tool_name", "tool_call_id")
# Fields of requests and of messages that are one text.
_TEXTS = frozenset(
    ("prompt", "suffix", "system", "template", "role", "content", "thinking", "tool_name", "tool_call_id")
)

_warned: set[str] = set()


def require_text(value: Any, where: str, *, hint: str = "give a text (str)") -> str:
    """A text, or what bytes are in UTF-8. Raises ConfigurationError, which names ``where``, for anything else."""
    if isinstance(value, str):
        return value
    if not isinstance(value, BYTES):
        raise ConfigurationError(f"{where} is a {type(value).__name__}, not a text", hint=hint)
    try:
        return bytes(value).decode()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{where} is bytes that are not UTF-8: {error.reason}", hint=hint) from None


def plain_text(value: Any, where: str) -> str:
    """A text without surrogates, such as the environment's undecodable bytes leave: the core takes none here."""
    return require_text(value, where).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def header_pairs(headers: Any) -> list[tuple[str, str]]:
    """Headers as the core takes them. Those that are None are left out."""
    items = headers.items() if hasattr(headers, "items") else headers
    try:
        pairs = [(name, value) for name, value in items if value is not None]
    except (TypeError, ValueError):
        raise ConfigurationError(
            f"headers is a {type(headers).__name__}", hint='headers are a dict such as {"X-Team": "a"}'
        ) from None
    return [(plain_text(name, "a header's name"), plain_text(value, f"headers[{name!r:.60}]")) for name, value in pairs]


def chat_payload(model: Any, messages: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The payload of ``/api/chat``.

    >>> chat_payload("llama3.2", [{"role": "user", "content": b"Hi"}], {"think": True, "format": None})
    {'model': 'llama3.2', 'messages': [{'role': 'user', 'content': 'Hi'}], 'think': True}
    """
    payload: dict[str, Any] = {"model": require_text(model, "model"), "messages": _messages(messages)}
    _fill(payload, fields)
    if "tools" in payload:
        from metagpt_ollama_rs.tools import sent_tools

        payload["tools"] = sent_tools(payload["tools"])
    return payload


def generate_payload(model: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The payload of ``/api/generate``.

    >>> generate_payload("llama3.2", {"prompt": "Hi", "suffix": None, "options": {"stop": "."}})
    {'model': 'llama3.2', 'prompt': 'Hi', 'options': {'stop': ['.']}}
    """
    payload = _fill({"model": require_text(model, "model")}, fields)
    if "images" in payload:
        payload["images"] = unread_images(payload["images"], "images")
    return payload


def embed_payload(
    model: Any, input: Any, truncate: bool | None, options: Any, keep_alive: Any, dimensions: int | None
) -> dict[str, Any]:
    """The payload of ``/api/embed``.

    >>> embed_payload("nomic-embed-text", ("one text", "another"), True, None, None, None)
    {'model': 'nomic-embed-text', 'input': ['one text', 'another'], 'truncate': True}
    """
    fields = {"truncate": truncate, "options": options, "keep_alive": keep_alive, "dimensions": dimensions}
    return _fill({"model": require_text(model, "model"), "input": _texts_to_embed(input)}, fields)


def embeddings_payload(model: Any, prompt: Any, options: Any, keep_alive: Any) -> dict[str, Any]:
    """The payload of ``/api/embeddings``."""
    fields = {"prompt": prompt, "options": options, "keep_alive": keep_alive}
    several = "embeddings() takes one text; embed() takes several"
    return _fill({"model": require_text(model, "model")}, fields, hint=several)


def systemone_payload(model: Any, state: Any, questions: Any, keep_alive: Any) -> dict[str, Any]:
    """The payload of ``/v1/systemone``. Raises what `SystemOneRequest` does for questions that are none.

    >>> questions = {"broken": {"type": "noul", "instructions": "Is it broken?"}}
    >>> systemone_payload("m", "The cup fell.", questions, None)["questions"]
    {'broken': {'type': 'noul', 'instructions': 'Is it broken?'}}
    """
    request = SystemOneRequest(model=require_text(model, "model"), state=state, questions=questions)
    return _fill(request.model_dump(exclude_none=True), {"keep_alive": keep_alive})


def create_payload(model: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The payload of ``/api/create``, whose keys ``fields`` has. Files wait in it to be sent (`model_files`).

    >>> create_payload("mario", {"from": "llama3.2", "system": "You are Mario.", "quantize": None})
    {'model': 'mario', 'from': 'llama3.2', 'system': 'You are Mario.'}
    """
    payload = {name: value for name, value in fields.items() if value is not None}
    for where in ("files", "adapters"):
        if where in payload:
            payload[where] = file_table(payload[where], where)
    if "parameters" in payload:
        payload["parameters"] = _options(payload["parameters"], "parameters")
    if "messages" in payload:
        payload["messages"] = _messages(payload["messages"])
    return {"model": require_text(model, "model"), **payload}


def raw_body(payload: Any) -> Any:
    """What a raw method sends: bytes of any kind as they are, anything else as JSON.

    >>> raw_body(bytearray(b"x")), raw_body({"model": "m"})
    (b'x', {'model': 'm'})
    """
    return bytes(payload) if isinstance(payload, BYTES) else payload


def streamed(payload: Mapping[str, Any] | bytes | bytearray | memoryview) -> Mapping[str, Any] | bytes:
    """``payload`` with ``"stream": true``; bytes are sent as they are."""
    return bytes(payload) if isinstance(payload, BYTES) else {**payload, "stream": True}


def model_payload(model: Any, **fields: Any) -> dict[str, Any]:
    """The payload of an endpoint that wants the name of a model and little else.

    >>> model_payload(b"llama3.2", insecure=False)
    {'model': 'llama3.2', 'insecure': False}
    """
    return {"model": require_text(model, "model"), **fields}


def copy_payload(source: Any, destination: Any) -> dict[str, Any]:
    """The payload of ``/api/copy``."""
    return {"source": require_text(source, "source"), "destination": require_text(destination, "destination")}


def _fill(payload: dict[str, Any], fields: Mapping[str, Any], hint: str = "give a text (str)") -> dict[str, Any]:
    """``payload`` with what is not None of ``fields``, each in its form; ``hint`` is for one that is no text."""
    for name, value in fields.items():
        if value is None:
            continue
        if name == "options":
            value = _options(value, name)
        elif name == "keep_alive":
            value = _keep_alive(value)
        elif name in _TEXTS and type(value) is not str:
            value = require_text(value, name, hint=hint)
        elif name == "format" and not isinstance(value, (str, dict)):
            from metagpt_ollama_rs.tools import answer_format

            value = answer_format(value)
        payload[name] = value
    return payload


def _texts_to_embed(given: Any) -> str | list[str]:
    if isinstance(given, (str, *BYTES)):
        return require_text(given, "input")
    # A set has no order by which its vectors could be told apart, and of a dict only the keys would be embedded.
    if not isinstance(given, list) and (
        isinstance(given, (Mapping, set, frozenset)) or not isinstance(given, Iterable)
    ):
        raise ConfigurationError(f"input is a {type(given).__name__}", hint="embed takes a text or a list of texts")
    texts = list(given)
    if set(map(type, texts)) <= {str}:
        return texts
    return [
        require_text(text, f"input[{index}]", hint="each input is a text (str)") for index, text in enumerate(texts)
    ]


def _messages(messages: Any) -> list[dict[str, Any]]:
    if messages is None:
        return []
    # What a list and a dict are is seen at once; asking abstract classes takes as long as all else here together.
    if type(messages) is not list and (
        isinstance(messages, (str, *BYTES, Mapping)) or not isinstance(messages, Iterable)
    ):
        raise ConfigurationError(
            f"messages is a {type(messages).__name__}, not a list of messages",
            hint='write [{"role": "user", "content": "Hello"}]',
        )
    return [_message(message, index) for index, message in enumerate(messages)]


def _message(message: Any, index: int) -> dict[str, Any]:
    plain = type(message) is dict
    record = message if plain else _message_dict(message) if hasattr(message, "model_dump") else plain_fields(message)
    if not plain and not isinstance(record, Mapping):
        raise ConfigurationError(
            f"messages[{index}] is a {type(message).__name__}",
            hint='a message is a dict such as {"role": "user", "content": "Hello"}',
        )
    fields = {
        name: value if name in _TEXTS and isinstance(value, str) else _field(name, value, f"messages[{index}]")
        for name, value in record.items()
        if value is not None
    }
    if not fields.get("role"):
        raise ConfigurationError(
            f"messages[{index}] has no role", hint='write "role": "user" into it, or system, assistant or tool'
        )
    return fields


def _message_dict(message: Any) -> dict[str, Any]:
    """A message that is an object, as a dict. A dump would read the files of its images."""
    if isinstance(message, Record):
        return dict(message)
    images = getattr(message, "images", None)
    if not images:
        return message.model_dump(exclude_none=True)  # type: ignore[no-any-return]
    return {**message.model_dump(exclude_none=True, exclude={"images"}), "images": images}


def _field(name: Any, value: Any, where: str) -> Any:
    """The value of a message's field that is not plainly a text."""
    if name in _TEXTS:
        hint = "images go into `images` of the message; a tool's result is text, such as JSON"
        return require_text(value, f"{where}.{name}", hint=hint)
    if name == "images":
        return unread_images(value, f"{where}.images")
    if name == "tool_calls":
        from metagpt_ollama_rs.tools import sent_calls

        return sent_calls(value, f"{where}.tool_calls")
    close = near_miss(name, _MESSAGE) if isinstance(name, str) else None
    if close:
        raise ConfigurationError(f"{where} has no field {name!r:.60}", hint=f"did you mean {close}?")
    return value


def _keep_alive(value: Any) -> Any:
    from metagpt_ollama_rs.model_options import parse_keep_alive

    value = require_text(value, "keep_alive") if isinstance(value, BYTES) else value
    try:
        return parse_keep_alive(value)
    except ValueError as error:
        raise ConfigurationError(f"keep_alive must be {error}, not {value!r:.60}") from None


def _options(options: Any, where: str) -> dict[str, Any]:
    """Options as they are sent. Types are left to the server: it refuses a wrong one and names it, while a name that it
    does not know is ignored in silence."""
    from metagpt_ollama_rs.model_options import KNOWN_OPTIONS

    record = plain_fields(options)
    if not isinstance(record, Mapping):
        raise ConfigurationError(
            f"{where} is a {type(options).__name__}", hint='options are a dict such as {"num_predict": 200}'
        )
    found = dict(record)
    if not found.keys() <= KNOWN_OPTIONS:
        for name in found:
            if isinstance(name, str) and name not in KNOWN_OPTIONS and name not in _warned:
                _check_option_name(name, where)
    if isinstance(found.get("stop"), (str, *BYTES)):
        # Ollama refuses a plain text here.
        found["stop"] = [found["stop"]]
    return found


def _check_option_name(name: str, where: str) -> None:
    """Raises ConfigurationError for an option that is a misspelt known one, and warns once of any other that is not
    known: a newer server may know it."""
    import logging

    from metagpt_ollama_rs.model_options import KNOWN_OPTIONS, OTHER_NAMES

    close = near_miss(name, sorted(KNOWN_OPTIONS))
    if close:
        raise ConfigurationError(
            f"{where}.{name:.60} is not an option of Ollama, which would ignore it", hint=f"did you mean {close}?"
        )
    _warned.add(name)
    logging.getLogger(__name__).warning(
        "%s.%.60s is not a known option of Ollama: it is sent, and ignored by a server that does not know it%s",
        where,
        name,
        f". hint: Ollama has {OTHER_NAMES[name]}" if name in OTHER_NAMES else "",
    )


__all__ = [
    "chat_payload",
    "copy_payload",
    "create_payload",
    "embed_payload",
    "embeddings_payload",
    "generate_payload",
    "header_pairs",
    "model_payload",
    "plain_text",
    "raw_body",
    "require_text",
    "streamed",
    "systemone_payload",
]
