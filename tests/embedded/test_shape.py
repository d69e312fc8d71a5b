"""The embedded server's bytes beside those of a real Ollama with the same model: what is masked is values only."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest

from metagpt_ollama_rs.serving.format import split_response
from metagpt_ollama_rs.testing import transcripts

SMOLLM2 = Path(__file__).parent.parent / "transcripts" / "smollm2"
QUICK = {"num_thread": 1, "num_predict": 4, "seed": 1}

ERRORS = ["embed-on-chat-model"]
SHAPES = [
    "chat-stream",
    "chat-once",
    "chat-stream-num-predict",
    "chat-stream-history",
    "chat-stream-logprobs",
    "chat-once-json",
    "generate-stream",
    "generate-once",
    "generate-raw",
    "embed-batch",
    "embeddings-legacy",
    "ps",
    "unload",
]


def replay(server, recorded):
    """Sends the recorded request, with fewer tokens asked for, and gives the raw response."""
    head, _, body = recorded.request.partition(b"\r\n\r\n")
    if body:
        fields = json.loads(body)
        if "messages" in fields or "prompt" in fields:
            fields["options"] = {**fields.get("options", {}), **QUICK}
            if "format" in fields:
                fields["options"]["num_predict"] = 60
        body = json.dumps(fields).encode()
    head = re.sub(rb"Content-Length: \d+", b"Content-Length: %d" % len(body), head) + b"\r\nConnection: close"
    with socket.create_connection((server.host, server.port), timeout=55) as sock:
        sock.sendall(head + b"\r\n\r\n" + body)
        parts = b""
        while data := sock.recv(1 << 16):
            parts += data
    # The recorded connection was kept.
    return transcripts.Transcript(recorded.name, recorded.request, parts.replace(b"Connection: close\r\n", b"", 1))


def masked_head(transcript):
    head, _ = split_response(transcript.response)
    return re.sub(rb"(Date|Content-Length): [^\r]*", rb"\1: ...", head)


def shape(value):
    """Keys in order and kinds of values; of a list the first item stands for all."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    if isinstance(value, bool):
        return value
    # JSON has one kind of number; 0 and 0.5 may stand in the same place.
    return "number" if isinstance(value, (int, float)) else type(value).__name__


def ordered(value):
    return json.dumps(shape(value))


@pytest.mark.parametrize("name", SHAPES)
def test_heads_chunks_and_keys_are_ollamas(server, ask, name):
    recorded = transcripts.load(SMOLLM2, name)
    if name == "ps":
        ask("POST", "/api/generate", {"model": "smollm2", "keep_alive": -1})
    ours = replay(server, recorded)
    assert masked_head(ours) == masked_head(recorded)
    if ("Content-Type", "application/x-ndjson") in recorded.headers:
        assert ours.response.endswith(b"}\n\r\n0\r\n\r\n")
        assert all(chunk.endswith(b"}\n") and chunk.count(b"\n") == 1 for chunk in ours.chunks)
        assert [ordered(json.loads(line)) for line in ours.lines[:-1]] == [
            ordered(json.loads(recorded.lines[0])) for _ in ours.lines[:-1]
        ]
    assert ordered(json.loads(ours.lines[-1])) == ordered(json.loads(recorded.lines[-1]))
    assert not ours.body.endswith(b"\n") or b"ndjson" in masked_head(ours)


@pytest.mark.parametrize("name", ERRORS)
def test_recorded_errors_are_the_same_bytes(server, name):
    recorded = transcripts.load(SMOLLM2, name)
    ours = replay(server, recorded)
    assert (masked_head(ours), ours.body) == (masked_head(recorded), recorded.body)


def test_a_vector_is_the_one_ollama_computed(server, ask):
    recorded = json.loads(transcripts.load(SMOLLM2, "embeddings-legacy").body)["embedding"]
    ours = ask("POST", "/api/embeddings", {"model": "smollm2-embed", "prompt": "alpha"}).json["embedding"]
    assert ours == pytest.approx(recorded, abs=2e-3)


def test_created_at_is_utc_with_nanoseconds(chat):
    for line in chat().lines:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,8}[1-9]|\.[1-9])?Z", line["created_at"])
