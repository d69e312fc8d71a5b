"""A counter of the core's table reaches every place that shows counters, or a test here says where it is missing."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from metagpt_ollama_rs import AsyncClient, Client, StreamDecoder, _core, responses
from metagpt_ollama_rs.testing import Reply, ScriptedServer, lines

# Each counter with a number of its own.
COUNTERS = {name: number for number, name in enumerate(_core.COUNTERS, start=101)}
MESSAGES = [{"role": "user", "content": "Hi"}]
LAST = {"model": "m", "created_at": "2026", "message": {"role": "assistant", "content": "Hi"}, "done": True}


def counters_of(reply: Any) -> dict[str, Any]:
    return {name: getattr(reply, name) for name in COUNTERS}


def test_the_annotations_are_the_table() -> None:
    annotated = responses.BaseGenerateResponse.__annotations__
    assert tuple(name for name in annotated if name in _core.COUNTERS) == _core.COUNTERS
    for kind in (responses.ChatResponse, responses.GenerateResponse, responses.EmbedResponse):
        assert counters_of(kind({})) == dict.fromkeys(COUNTERS)
        assert counters_of(kind(COUNTERS)) == COUNTERS


def test_openai_names_are_those_of_counters() -> None:
    assert list(_core.OPENAI_USAGE) == [name for name in _core.COUNTERS if name in _core.OPENAI_USAGE]
    assert len(set(_core.OPENAI_USAGE.values())) == len(_core.OPENAI_USAGE)


def test_deltas_have_each_counter() -> None:
    (delta,) = StreamDecoder().feed(json.dumps({**LAST, **COUNTERS}).encode() + b"\n")
    assert counters_of(delta) == COUNTERS
    assert all(getattr(_core.Delta, name).__doc__ for name in COUNTERS)


def test_whole_and_streamed_answers_have_each_counter(ollama_server: ScriptedServer) -> None:
    line = json.dumps({**LAST, **COUNTERS}).encode()
    ollama_server.on("POST", "/api/chat", [Reply.json(line), Reply.ndjson([line + b"\n"])])
    with Client(ollama_server.url) as client:
        assert counters_of(client.chat("m", MESSAGES)) == COUNTERS
        assert counters_of(list(client.chat("m", MESSAGES, stream=True))[-1]) == COUNTERS


def test_a_folded_answer_has_each_counter(ollama_server: ScriptedServer) -> None:
    line = json.dumps({**LAST, **COUNTERS}).encode()
    ollama_server.on("POST", "/api/chat", Reply.ndjson([line + b"\n"]))

    async def main() -> Any:
        async with AsyncClient(ollama_server.url) as client:
            return await client.stream_text("/api/chat", {"model": "m", "messages": MESSAGES}, lambda text: None)

    answer = asyncio.run(main())
    assert {name: answer[name] for name in COUNTERS} == COUNTERS


def test_vectors_keep_each_counter(ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/api/embed", Reply.json({"model": "m", "embeddings": [[1.0]], **COUNTERS}))
    with Client(ollama_server.url) as client:
        vectors = client.embed_array("m", "x")
    assert vectors._record == {"model": "m", **COUNTERS}


def test_the_scripted_server_sends_each_counter_that_a_test_asks_for() -> None:
    last = json.loads(lines.chat_object("Hi", counts=COUNTERS))
    assert [(name, value) for name, value in last.items() if name in COUNTERS] == list(COUNTERS.items())


@pytest.mark.parametrize("counter", _core.OPENAI_USAGE)
def test_openai_usage_is_read(counter: str) -> None:
    frame = {"choices": [], "usage": {_core.OPENAI_USAGE[counter]: 7}}
    (delta,) = StreamDecoder("sse").feed(b"data: " + json.dumps(frame).encode() + b"\n\n")
    assert counters_of(delta) == {**dict.fromkeys(COUNTERS), counter: 7}
