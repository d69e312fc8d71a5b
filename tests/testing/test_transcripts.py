"""Recorded exchanges, read from their folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metagpt_ollama_rs.testing import CLOSE, Reply, transcripts

TRANSCRIPTS = Path(__file__).parent.parent / "transcripts"


@pytest.mark.parametrize("folder", ["scripted", "smollm2"])
def test_every_listed_recording_is_there_and_agrees_with_the_index(folder):
    index = json.loads((TRANSCRIPTS / folder / "index.json").read_text(encoding="utf-8"))
    assert sorted(entry["name"] for entry in index) == transcripts.names(TRANSCRIPTS / folder)
    for entry in index:
        recorded = transcripts.load(TRANSCRIPTS / folder, entry["name"])
        assert f"{recorded.method} {recorded.path}" == entry["request"]
        assert recorded.response.startswith(entry["status"].encode())
        assert len(recorded.response) == entry["bytes"]
        assert recorded.ended == entry["end"]
        assert recorded.arrivals_ms[-1][0] == entry["bytes"]


def test_a_recording_is_found_by_any_of_its_paths():
    by_name = transcripts.load(TRANSCRIPTS / "scripted", "chat-stream-plain")
    for path in ("chat-stream-plain", "chat-stream-plain.response", "chat-stream-plain.request"):
        assert transcripts.load(TRANSCRIPTS / "scripted" / path) == by_name
        assert transcripts.load(str(TRANSCRIPTS / "scripted" / path)) == by_name


def test_the_body_comes_without_framing():
    recorded = transcripts.load(TRANSCRIPTS / "scripted", "chat-stream-plain")
    assert recorded.status == 200
    assert recorded.headers[0] == ("Content-Type", "application/x-ndjson")
    assert len(recorded.chunks) == len(recorded.lines) == 10
    assert "".join(json.loads(line)["message"]["content"] for line in recorded.lines) == (
        "The quick brown fox jumps over the lazy dog."
    )
    assert json.loads(recorded.request_body)["model"] == "scripted-plain"


def test_a_missing_recording_is_an_error():
    with pytest.raises(FileNotFoundError):
        transcripts.load(TRANSCRIPTS / "scripted", "no-such-thing")


def test_a_connection_that_was_cut_is_cut_in_the_replay(tmp_path):
    (tmp_path / "cut.response").write_bytes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")
    (tmp_path / "index.json").write_text(json.dumps([{"name": "cut", "end": "closed"}]), encoding="utf-8")
    reply = Reply.transcript(tmp_path, "cut")
    assert reply.end == CLOSE
    assert reply.data.endswith(b"5\r\nhel")
