r"""Response lines as Ollama writes them: the same order of keys, the same escapes.

Each function gives the lines of one answer, newline included, ready for `Reply.ndjson`. Times and counts are fixed, so
that two runs give the same bytes. For example:

>>> chat_lines("Hello world", model="smollm2")[0]
b'{"model":"smollm2","created_at":"2026-08-21T17:00:05.104512Z","message":{"role":"assistant","content":"Hello"},"done":false}\n'
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .. import _core
from ..serving.format import Float32, dumps, timestamp

MODEL = "scripted"

# 2026-08-21 17:00:05.104512 UTC; each line is 20 ms after the one before.
_BEGIN = 1_787_331_605_104_512_000
_STEP = 20_000_000

# The counters and durations (nanoseconds) of a last line, in Ollama's order. Each answer has an
# `eval_count` of its own.
COUNTERS: Mapping[str, int] = {
    "total_duration": 184203911,
    "load_duration": 9120377,
    "prompt_eval_count": 31,
    "prompt_eval_duration": 120114000,
    "eval_count": 0,
    "eval_duration": 47880000,
}

_TOKEN = re.compile(r"\s*\S+|\s+")


def tokens(text: str | Iterable[str]) -> list[str]:
    """`text` cut into words that keep the space before them; a list of pieces stays as it is.

    >>> tokens("Hello world ")
    ['Hello', ' world', ' ']
    """
    return _TOKEN.findall(text) if isinstance(text, str) else list(text)


def created_at(position: int) -> str:
    """The time on line number `position`, counted from 0."""
    return timestamp(_BEGIN + position * _STEP)


def counters(eval_count: int, changes: Mapping[str, int | None] | None = None) -> dict[str, int]:
    """The counters of a last line, in Ollama's order; a change to None or 0 leaves one out, as Ollama does."""
    values: dict[str, int | None] = dict(COUNTERS)
    values["eval_count"] = eval_count
    values.update(changes or {})
    return {name: value for name in _core.COUNTERS if (value := values.get(name))}


def chat_lines(
    content: str | Iterable[str] = "",
    *,
    model: str = MODEL,
    thinking: str | Iterable[str] = "",
    tool_calls: Sequence[Mapping[str, Any]] = (),
    done_reason: str | None = "stop",
    counts: Mapping[str, int | None] | None = None,
) -> list[bytes]:
    """The lines of a streamed `/api/chat` answer: a line per word of `thinking`, then of `content`, then the last line.

    `tool_calls` (each `{"id", "function": {"index", "name", "arguments"}}`, see `tool_call`) stand on the last line.
    `done_reason` None makes an answer that never says `done: true`. `counts` changes counters of the last line.
    """
    messages: list[dict[str, Any]] = [{"content": "", "thinking": piece} for piece in tokens(thinking)]
    messages += [{"content": piece} for piece in tokens(content)]
    lines = [
        dumps({"model": model, "created_at": created_at(n), "message": {"role": "assistant", **fields}, "done": False})
        + b"\n"
        for n, fields in enumerate(messages)
    ]
    if done_reason is not None:
        message: dict[str, Any] = {"role": "assistant", "content": ""}
        if tool_calls:
            message["tool_calls"] = list(tool_calls)
        lines.append(_last_chat(model, len(lines), message, done_reason, counts) + b"\n")
    return lines


def chat_object(
    content: str | Iterable[str] = "",
    *,
    model: str = MODEL,
    thinking: str | Iterable[str] = "",
    tool_calls: Sequence[Mapping[str, Any]] = (),
    done_reason: str = "stop",
    counts: Mapping[str, int | None] | None = None,
) -> bytes:
    """The body of a whole (not streamed) `/api/chat` answer."""
    words = tokens(content)
    thoughts = tokens(thinking)
    message: dict[str, Any] = {"role": "assistant", "content": "".join(words)}
    if thoughts:
        message["thinking"] = "".join(thoughts)
    if tool_calls:
        message["tool_calls"] = list(tool_calls)
    return _last_chat(model, len(words) + len(thoughts), message, done_reason, counts)


def _last_chat(
    model: str, position: int, message: Mapping[str, Any], done_reason: str, counts: Mapping[str, int | None] | None
) -> bytes:
    return dumps(
        {
            "model": model,
            "created_at": created_at(position),
            "message": message,
            "done": True,
            "done_reason": done_reason,
            **counters(position + 1, counts),
        }
    )


def tool_call(
    name: str, arguments: Mapping[str, Any], *, index: int = 0, call_id: str = "call_k3v9x0aa"
) -> dict[str, Any]:
    """One tool call as it stands in a message.

    >>> tool_call("add", {"a": 1})
    {'id': 'call_k3v9x0aa', 'function': {'index': 0, 'name': 'add', 'arguments': {'a': 1}}}
    """
    return {"id": call_id, "function": {"index": index, "name": name, "arguments": dict(arguments)}}


def generate_lines(
    text: str | Iterable[str] = "",
    *,
    model: str = MODEL,
    thinking: str | Iterable[str] = "",
    context: Sequence[int] | None = (1, 2, 3),
    done_reason: str | None = "stop",
    counts: Mapping[str, int | None] | None = None,
) -> list[bytes]:
    """The lines of a streamed `/api/generate` answer; `context` None leaves the token ids out, as `raw` does."""
    fields: list[dict[str, Any]] = [{"response": "", "thinking": piece} for piece in tokens(thinking)]
    fields += [{"response": piece} for piece in tokens(text)]
    lines = [
        dumps({"model": model, "created_at": created_at(n), **field, "done": False}) + b"\n"
        for n, field in enumerate(fields)
    ]
    if done_reason is not None:
        lines.append(_last_generate(model, len(lines), {"response": ""}, context, done_reason, counts) + b"\n")
    return lines


def generate_object(
    text: str | Iterable[str] = "",
    *,
    model: str = MODEL,
    thinking: str | Iterable[str] = "",
    context: Sequence[int] | None = (1, 2, 3),
    done_reason: str = "stop",
    counts: Mapping[str, int | None] | None = None,
) -> bytes:
    """The body of a whole (not streamed) `/api/generate` answer."""
    words = tokens(text)
    thoughts = tokens(thinking)
    fields: dict[str, Any] = {"response": "".join(words)}
    if thoughts:
        fields["thinking"] = "".join(thoughts)
    return _last_generate(model, len(words) + len(thoughts), fields, context, done_reason, counts)


def _last_generate(
    model: str,
    position: int,
    fields: Mapping[str, Any],
    context: Sequence[int] | None,
    done_reason: str,
    counts: Mapping[str, int | None] | None,
) -> bytes:
    ids = {} if context is None else {"context": list(context)}
    return dumps(
        {
            "model": model,
            "created_at": created_at(position),
            **fields,
            "done": True,
            "done_reason": done_reason,
            **ids,
            **counters(position + 1, counts),
        }
    )


def embed_object(
    vectors: Sequence[Sequence[float]], *, model: str = MODEL, prompt_eval_count: int | None = 17
) -> bytes:
    """The body of an `/api/embed` answer: float32 values, and `prompt_eval_count` unless it is None or 0."""
    body: dict[str, Any] = {
        "model": model,
        "embeddings": [[Float32(value) for value in vector] for vector in vectors],
        "total_duration": 21877340,
        "load_duration": 1442010,
    }
    if prompt_eval_count:
        body["prompt_eval_count"] = prompt_eval_count
    return dumps(body)


def embeddings_object(vector: Sequence[float]) -> bytes:
    """The body of an answer of the older `/api/embeddings`."""
    return dumps({"embedding": list(vector)})


def error_line(text: str) -> bytes:
    r"""The line by which a server reports an error in the middle of a stream.

    >>> error_line("out of memory")
    b'{"error":"out of memory"}\n'
    """
    return dumps({"error": text}) + b"\n"


def vector(text: str, dimensions: int = 8) -> list[float]:
    """A made-up unit vector for `text`: the same text gives the same vector, another text another one."""
    state = 2166136261
    raw = []
    for position in range(dimensions):
        for byte in f"{position}:{text}".encode("utf-8", "surrogatepass"):
            state = ((state ^ byte) * 16777619) & 0xFFFFFFFF
        raw.append(state / 0x80000000 - 1.0)
    norm = sum(value * value for value in raw) ** 0.5 or 1.0
    return [value / norm for value in raw]


def openai_frames(
    content: str | Iterable[str] = "",
    *,
    model: str = MODEL,
    finish_reason: str = "stop",
    usage: bool = True,
) -> list[dict[str, Any]]:
    """The JSON frames of a streamed `/v1/chat/completions` answer, for `Reply.sse`."""
    base = {
        "id": "chatcmpl-417",
        "object": "chat.completion.chunk",
        "created": _BEGIN // 1_000_000_000,
        "model": model,
        "system_fingerprint": "fp_ollama",
    }
    words = tokens(content)
    frames: list[dict[str, Any]] = []
    for position, piece in enumerate(words):
        delta = {"role": "assistant", "content": piece} if position == 0 else {"content": piece}
        frames.append({**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    frames.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": finish_reason}]})
    if usage:
        made = len(words) + 1
        counts = {"prompt_tokens": 31, "completion_tokens": made, "total_tokens": 31 + made}
        frames.append({**base, "choices": [], "usage": counts})
    return frames
