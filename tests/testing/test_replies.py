"""Replies and faults as values: their bytes, without a socket where none is needed."""

from __future__ import annotations

import gzip
import http.client
import json
from pathlib import Path

import pytest

from metagpt_ollama_rs.testing import CLOSE, RESET, Reply, faults, lines, transcripts

SCRIPTED = Path(__file__).parent.parent / "transcripts" / "scripted"


def test_a_small_body_has_a_length_and_a_big_one_is_chunked():
    assert b"Content-Length: 2048\r\n" in Reply.body(b"x" * 2048, "text/plain").head
    assert b"Transfer-Encoding: chunked\r\n" in Reply.body(b"x" * 2049, "text/plain").head


def test_a_stream_is_a_chunk_per_line_and_a_terminator():
    reply = Reply.ndjson([{"a": "<"}, b'{"b":1}\n'])
    assert reply.pieces[0][reply.head_length :] == b'f\r\n{"a":"\\u003c"}\n\r\n'
    assert reply.pieces[1:] == (b'8\r\n{"b":1}\n\r\n', b"0\r\n\r\n")
    assert b"Content-Type: application/x-ndjson\r\n" in reply.head


def test_sse_frames_end_with_done():
    reply = Reply.sse(lines.openai_frames("Hello world"))
    body = transcripts.Transcript("x", b"", reply.data).body
    frames = body.decode().split("\n\n")
    assert frames[-2:] == ["data: [DONE]", ""]
    assert [json.loads(frame[6:])["choices"][0]["delta"].get("content") for frame in frames[:2]] == ["Hello", " world"]
    assert b"[DONE]" not in Reply.sse([{}], done=False).data


def test_headers_can_be_added_and_are_sorted_before_the_date():
    head = Reply.json({}, 429, headers={"Retry-After": "3"}).head.decode()
    names = [line.partition(":")[0] for line in head.split("\r\n")[1:] if line]
    assert names == ["Content-Type", "Retry-After", "Date", "Content-Length"]


def test_the_head_can_go_first():
    reply = Reply.chat("x")
    split = reply.headers_first()
    assert split.pieces[0] == reply.head
    assert split.data == reply.data
    assert split.headers_first() == split


def test_cuts_in_the_body_count_from_its_start():
    reply = Reply.chat("x").cut(3, in_body=True)
    assert len(reply.pieces[0]) == reply.head_length + 3


def test_errors_carry_further_keys():
    body = Reply.error("unauthorized", 401, signin_url="https://example.invalid/?a&b").data.partition(b"\r\n\r\n")[2]
    assert body == b'{"error":"unauthorized","signin_url":"https://example.invalid/?a\\u0026b"}'


def test_tool_calls_stand_on_the_last_line_as_recorded():
    recorded = transcripts.load(SCRIPTED, "chat-stream-tools2").lines[0]
    calls = [
        lines.tool_call("get_weather", {"city": "Paris", "unit": "celsius", "days": 3}, call_id="call_abc123"),
        lines.tool_call("get_time", {}, index=1, call_id="call_def456"),
    ]
    ours = json.loads(lines.chat_lines(tool_calls=calls)[0])
    assert json.dumps(ours["message"]) == json.dumps(json.loads(recorded)["message"])
    assert list(ours) == list(json.loads(recorded))


@pytest.mark.parametrize("name", ["chat-once-plain", "chat-once-think-on", "generate-once-plain"])
def test_whole_answers_have_the_recorded_keys(name):
    recorded = json.loads(transcripts.load(SCRIPTED, name).body)
    if name.startswith("generate"):
        ours = json.loads(lines.generate_object(recorded["response"], context=recorded["context"]))
    else:
        thinking = recorded["message"].get("thinking", "")
        ours = json.loads(lines.chat_object(recorded["message"]["content"], thinking=thinking))
        assert list(ours["message"].items()) == list(recorded["message"].items())
    assert list(ours) == list(recorded)


def test_counters_are_left_out_when_zero_or_none():
    last = json.loads(lines.chat_lines("x", counts={"eval_count": 0, "total_duration": None})[-1])
    assert "eval_count" not in last
    assert "total_duration" not in last
    assert "eval_duration" in last


def test_an_answer_may_lack_its_end():
    assert b'"done":true' not in b"".join(lines.chat_lines("a b", done_reason=None))


def test_close_and_reset_keep_the_first_bytes():
    reply = Reply.chat("a b")
    for size in (0, 1, len(reply.pieces[0]), len(reply.pieces[0]) + 4, len(reply.data) + 9):
        assert faults.close_after(reply, size).data == reply.data[:size]
        assert faults.reset_after(reply, size).end == RESET
    assert faults.close_after_pieces(reply, 2).pieces == reply.pieces[:2]


def test_half_a_chunk_and_no_terminator():
    reply = Reply.chat("a b")
    assert reply.data == faults.without_terminator(reply).data + b"0\r\n\r\n"
    half = faults.half_chunk(reply).data
    last = len(reply.pieces[-2])
    assert len(reply.data) - len(half) == 5 + last - last // 2
    with pytest.raises(ValueError, match="not a chunked reply"):
        faults.without_terminator(Reply.json({}))


@pytest.mark.parametrize("difference", [-3, 5])
def test_a_wrong_length_differs_by_what_was_asked(difference):
    good = Reply.json({"a": 1})
    bad = faults.wrong_length(good, difference)
    assert f"Content-Length: {7 + difference}\r\n".encode() in bad.head
    assert bad.data.endswith(b'{"a":1}')
    assert bad.end == CLOSE


def test_gzip_is_real():
    reply = faults.gzip(b'{"a":1}')
    assert gzip.decompress(reply.data[reply.head_length :]) == b'{"a":1}'
    assert b"Content-Encoding: gzip\r\n" in reply.head


@pytest.mark.parametrize("name", faults.MALFORMED)
def test_malformed_replies_are_sent_as_they_are(server, connect, name):
    reply = faults.MALFORMED[name]()
    server.queue(reply)
    client = connect()
    assert client.ask("POST", "/api/chat", {}, reply.data) == reply.data
    if reply.end == CLOSE:
        assert client.read(1) == b""


def test_a_reset_is_a_reset(server):
    server.queue(faults.reset_after(Reply.chat("x"), 0), faults.close_at_once())
    for expected in (ConnectionResetError, http.client.RemoteDisconnected):
        connection = http.client.HTTPConnection(server.host, server.port, timeout=20)
        connection.request("POST", "/api/chat", "{}")
        with pytest.raises(expected):
            connection.getresponse()
        connection.close()
