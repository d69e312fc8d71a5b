"""What an event says of a call, by the names of OpenTelemetry's semantic conventions for generative AI.

The conventions are those of ``https://opentelemetry.io/schemas/gen-ai/1.42.0`` (repository
``open-telemetry/semantic-conventions-genai``, in which they live since release 1.42 of the general conventions; the
package ``opentelemetry-semantic-conventions`` has the same names in its release 0.66b2). They are in development there,
so names may still change. A chat that was streamed with ``options={"temperature": 0.2, "num_predict": 100}`` has::

    gen_ai.operation.name  chat            gen_ai.request.temperature  0.2
    gen_ai.provider.name   ollama          gen_ai.request.max_tokens   100
    gen_ai.request.model   llama3.2        gen_ai.request.stream       True
    server.address         127.0.0.1       server.port                 11434

and at its end::

    gen_ai.response.model           llama3.2    gen_ai.usage.input_tokens              26
    gen_ai.response.finish_reasons  ["stop"]    gen_ai.usage.output_tokens             10
    error.type                      (below)     gen_ai.response.time_to_first_chunk    0.42

``error.type`` is the name of the class of the exception (`errors`), or ``closed`` where nobody waited for the end.
What the request does not set and the server does not say is left out. No attribute has anything of a prompt or an
answer. ``gen_ai.system`` is the name of ``gen_ai.provider.name`` up to release 1.36, for backends that know no other.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from metagpt_ollama_rs.endpoints import Endpoint

    Attributes = dict[str, Any]

__all__ = ["request_attributes", "result_attributes"]

PROVIDER = "ollama"

# Where a number of the request stands in Ollama's options, or in the request itself at the endpoints with OpenAI's API.
_NUMBERS = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
}
_LENGTHS = ("num_predict", "max_tokens", "max_completion_tokens", "max_output_tokens")


def request_attributes(endpoint: Endpoint, payload: Any, host: str, model: str, streamed: bool) -> Attributes:
    """The attributes that are known when the request ``payload`` is sent to ``endpoint`` of ``host``."""
    attributes: Attributes = {
        "gen_ai.operation.name": endpoint.operation,
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.system": PROVIDER,
        **_server(host),
    }
    if model:
        attributes["gen_ai.request.model"] = model
    if streamed:
        attributes["gen_ai.request.stream"] = True
    # The payload of a request that goes out as it is are bytes.
    if hasattr(payload, "get"):
        attributes.update(_settings(payload))
    return attributes


def result_attributes(record: Mapping[str, Any], done_reason: str | None, model: str | None) -> Attributes:
    """The attributes that are known at the end of the call with the ``record`` of `stats.records`."""
    attributes: Attributes = {
        "gen_ai.response.model": model,
        "gen_ai.response.finish_reasons": [done_reason] if done_reason else None,
        "gen_ai.response.time_to_first_chunk": record["first_token_seconds"],
        "gen_ai.usage.input_tokens": record["prompt_tokens"],
        "gen_ai.usage.output_tokens": record["answer_tokens"],
        "gen_ai.usage.cache_read.input_tokens": record["cached_tokens"],
        "http.request.resend_count": record["retries"] or None,
        "http.response.status_code": record["status"],
    }
    return {name: value for name, value in attributes.items() if value is not None}


@functools.lru_cache(maxsize=64)
def _server(host: str) -> Attributes:
    """The attributes of a server with a base URL.

    >>> _server("http://[::1]:11434/ollama")
    {'server.address': '::1', 'server.port': 11434}
    >>> _server("unix:///run/ollama.sock")
    {'server.address': '/run/ollama.sock'}
    """
    parts = urlsplit(host)
    if parts.scheme not in ("http", "https"):
        return {"server.address": parts.path or host}
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {"server.address": parts.hostname or "", "server.port": port}


def _settings(payload: Any) -> Attributes:
    """The attributes of what a request sets: its options, its format, the width of its vectors.

    >>> _settings({"options": {"top_k": 40, "stop": "END", "num_ctx": 4096}, "format": "json"})
    {'gen_ai.request.top_k': 40.0, 'gen_ai.request.stop_sequences': ['END'], 'gen_ai.output.type': 'json'}
    """
    options = payload.get("options")
    options = options if hasattr(options, "get") else {}

    def setting(name: str) -> Any:
        value = options.get(name)
        return payload.get(name) if value is None else value

    found: Attributes = {}
    for name, attribute in _NUMBERS.items():
        if _is_number(value := setting(name)):
            found[attribute] = float(value)
    if _is_number(seed := setting("seed")):
        found["gen_ai.request.seed"] = int(seed)
    for name in _LENGTHS:
        # Ollama takes -1 for no limit.
        if _is_number(length := setting(name)) and length >= 0:
            found["gen_ai.request.max_tokens"] = int(length)
            break
    stop = setting("stop")
    texts = [stop] if isinstance(stop, str) else stop if isinstance(stop, (list, tuple)) else ()
    if texts:
        found["gen_ai.request.stop_sequences"] = [str(text) for text in texts]
    if output_type := _output_type(payload):
        found["gen_ai.output.type"] = output_type
    if _is_number(choices := payload.get("n")) and choices != 1:
        found["gen_ai.request.choice.count"] = int(choices)
    if _is_number(dimensions := payload.get("dimensions")):
        found["gen_ai.embeddings.dimension.count"] = int(dimensions)
    return found


def _output_type(payload: Any) -> str | None:
    """``json`` or ``text``, where a request asks for one of them: by Ollama's ``format``, or OpenAI's object."""
    if payload.get("format"):
        return "json"
    wanted = payload.get("response_format")
    kind = wanted.get("type") if hasattr(wanted, "get") else None
    return {"json_object": "json", "json_schema": "json", "text": "text"}.get(str(kind))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
