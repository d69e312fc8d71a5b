"""`StreamDecoder`: what comes out of a body does not depend on how it was cut."""

from __future__ import annotations

import gc
import json
import random
import re
import threading
from typing import Any

import pytest
from bodies import transcripts

from metagpt_ollama_rs import StreamDecoder
from metagpt_ollama_rs.errors import ClosedError, DecodeError

CHAT = (
    b'{"model":"m","created_at":"2026-08-21T17:02:00.1Z","message":{"role":"assistant","content":"Hel"},"done":false}\n'
    b'{"model":"m","created_at":"2026-08-21T17:02:00.2Z","message":{"role":"assistant","content":"lo \\ud83d\\ude00"},'
    b'"done":false}\n'
    b'{"model":"m","created_at":"2026-08-21T17:02:00.3Z","message":{"role":"assistant","content":""},"done":true,'
    b'"done_reason":"stop","total_duration":6,"load_duration":1,"prompt_eval_count":26,"prompt_eval_duration":2,'
    b'"eval_count":2,"eval_duration":3}\n'
)


def decoded(data: bytes, *cuts: int, **options: Any) -> list[Any]:
    decoder = StreamDecoder(**options)
    edges = [0, *cuts, len(data)]
    deltas = []
    for start, end in zip(edges, edges[1:]):
        deltas += decoder.feed(data[start:end])
    return deltas + decoder.finish()


def texts_of(data: bytes) -> list[bytes]:
    """The JSON texts of a transcript's body, by plain means."""
    lines = [line.strip() for line in data.split(b"\n")]
    return [line[6:] if line.startswith(b"data: ") else line for line in lines if line]


def streams() -> list[Any]:
    return [
        pytest.param(data, id=name)
        for name, data in transcripts()
        if data.strip()[:1] in (b"{", b"d") and (b"stream" in name.encode() or b"once" in name.encode())
    ]


@pytest.mark.parametrize("data", streams())
def test_each_line_of_a_transcript_is_a_delta(data: bytes) -> None:
    deltas = decoded(data)
    texts = texts_of(data)
    assert len(deltas) == len(texts)
    for delta, text in zip(deltas, texts):
        if text == b"[DONE]":
            assert (delta.raw, delta.done) == ({}, True)
            continue
        line = json.loads(text)
        assert delta.raw == line
        assert list(delta.raw) == list(line)
        assert delta.model == line.get("model")
        if "message" in line:
            assert delta.role == line["message"]["role"]
            assert delta.content == line["message"]["content"]
            assert delta.thinking == line["message"].get("thinking", "")
            assert delta.tool_calls == line["message"].get("tool_calls", [])
            assert delta.done == line["done"]
        if "response" in line:
            assert (delta.content, delta.role, delta.done) == (line["response"], None, line["done"])
        if "choices" not in line:
            for name in ("done_reason", "total_duration", "load_duration", "prompt_eval_count", "eval_count"):
                assert getattr(delta, name) == line.get(name)


@pytest.mark.parametrize("data", streams())
def test_the_cuts_do_not_matter(data: bytes) -> None:
    whole = decoded(data)
    some = random.Random(7)
    for _ in range(5):
        cuts = sorted(some.randrange(len(data) + 1) for _ in range(some.randrange(1, 30)))
        assert decoded(data, *cuts) == whole


def test_every_cut_of_a_small_body() -> None:
    whole = decoded(CHAT)
    assert [delta.content for delta in whole] == ["Hel", "lo 😀", ""]
    for cut in range(len(CHAT) + 1):
        assert decoded(CHAT, cut) == whole
    assert decoded(CHAT, *range(len(CHAT))) == whole
    assert decoded(CHAT.rstrip(b"\n")) == whole


def test_a_final_line() -> None:
    last = decoded(CHAT)[-1]
    assert (last.content, last.done, last.done_reason, last.model, last.role) == ("", True, "stop", "m", "assistant")
    assert last.created_at == "2026-08-21T17:02:00.3Z"
    counters = (last.total_duration, last.load_duration, last.prompt_eval_duration, last.eval_duration)
    assert counters == (6, 1, 2, 3)
    assert (last.prompt_eval_count, last.prompt_eval_cached_count, last.eval_count) == (26, None, 2)
    assert (last.error, last.thinking, last.tool_calls) == (None, "", [])


def test_an_error_line_is_a_delta() -> None:
    (delta,) = decoded(b'{"error":"model runner has unexpectedly stopped"}\n')
    assert delta.error == "model runner has unexpectedly stopped"
    assert repr(delta) == "Delta(content='', error='model runner has unexpectedly stopped')"


def test_numbers_of_arguments_are_exact() -> None:
    arguments = '{"n":123456789012345678901234567890,"x":1.0}'
    call = f'{{"function":{{"name":"f","arguments":{arguments}}}}}'
    line = f'{{"message":{{"role":"assistant","content":"","tool_calls":[{call}]}},"done":true}}'
    (delta,) = decoded(line.encode())
    assert delta.tool_calls == [{"function": {"name": "f", "arguments": json.loads(arguments)}}]
    assert repr(delta).startswith("Delta(content='', tool_calls=[{'function': {'name': 'f', ")


def test_calls_of_the_compatible_endpoint_take_the_native_form() -> None:
    chunk = {
        "choices": [
            {
                "delta": {
                    "tool_calls": [
                        {"id": "c1", "index": 0, "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
                        {"index": 1, "function": {"arguments": '{"a'}},
                    ]
                }
            }
        ]
    }
    (delta,) = decoded(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    assert delta.tool_calls == [
        {"id": "c1", "function": {"index": 0, "name": "f", "arguments": {"a": 1}}},
        {"function": {"index": 1, "name": "", "arguments": '{"a'}},
    ]
    assert delta.raw == chunk


def test_equality_and_repr() -> None:
    first, again = decoded(CHAT)[0], decoded(CHAT, 5)[0]
    assert first == again
    assert first is not again
    assert first != decoded(CHAT)[1]
    assert first != "Hel"
    assert repr(first) == "Delta(content='Hel')"
    assert repr(decoded(CHAT)[-1]) == "Delta(content='', done=True, done_reason='stop')"
    assert first.raw is first.raw
    with pytest.raises(AttributeError):
        first.content = "x"


def test_framing_and_its_names() -> None:
    events = b'data: {"response":"a","done":false}\n\n'
    assert decoded(events)[0].content == decoded(events, framing="sse")[0].content == "a"
    with pytest.raises(DecodeError):
        decoded(events, framing="ndjson")
    with pytest.raises(ValueError, match="framing is"):
        StreamDecoder("json")
    for size in (0, -1, -(2**70)):
        with pytest.raises(ValueError, match="above 0"):
            StreamDecoder(max_line=size)
    assert decoded(events, max_line=2**70)[0].content == "a"


def test_any_bytes_but_no_text() -> None:
    decoder = StreamDecoder()
    line = b'{"response":"a","done":false}\n'
    for data in (line, bytearray(line), memoryview(line)):
        assert [delta.content for delta in decoder.feed(data)] == ["a"]
    with pytest.raises(TypeError, match="not str"):
        decoder.feed(line.decode())
    assert decoder.feed(b"") == []


@pytest.mark.parametrize(
    ("broken", "says"), [(b"{oops}\n", "no JSON"), (b'{"a":"\xff"}\n', "UTF-8"), (b"[1]\n", "no object")]
)
def test_a_broken_line_is_an_error_that_stays(broken: bytes, says: str) -> None:
    decoder = StreamDecoder()
    with pytest.raises(DecodeError, match=f"line 2 .*{says}") as caught:
        decoder.feed(b'{"response":"a","done":false}\n' + broken)
    assert isinstance(caught.value, ValueError)
    assert [delta.content for delta in caught.value.deltas] == ["a"]
    for again in (lambda: decoder.feed(b"{}\n"), decoder.finish):
        with pytest.raises(DecodeError, match=says):
            again()


def test_a_line_over_the_cap() -> None:
    decoder = StreamDecoder(max_line=50)
    assert len(decoder.feed(b'{"response":"a"}\n' * 100)) == 100
    for _ in range(50):
        assert decoder.feed(b"x") == []
    with pytest.raises(DecodeError, match="longer than 50 bytes"):
        decoder.feed(b"x")


def test_after_finish_nothing_can_be_fed() -> None:
    done = StreamDecoder()
    done.feed(b'{"response":"a","done":true}')
    assert [delta.content for delta in done.finish()] == ["a"]
    assert done.finish() == []
    with pytest.raises(ClosedError, match="finished"):
        done.feed(b"{}\n")


def test_a_cut_off_last_line_is_an_error_of_finish() -> None:
    decoder = StreamDecoder()
    assert decoder.feed(b'{"response":"a"') == []
    with pytest.raises(DecodeError):
        decoder.finish()


def test_one_decoder_in_many_threads_loses_nothing() -> None:
    decoder = StreamDecoder()
    line = b'{"model":"m","created_at":"2026-08-21T17:02:00.1Z","response":"a","done":false}\n'
    found: list[Any] = []

    def work() -> None:
        for _ in range(200):
            found.extend(decoder.feed(line * 3))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2400
    assert {delta.content for delta in found} == {"a"}
    assert decoder.hits[1] == 2400


def test_a_garbage_collection_may_use_the_decoder_that_runs() -> None:
    decoder = StreamDecoder()
    inner: list[Any] = []

    class Reenter:
        def __del__(self) -> None:
            inner.extend(decoder.feed(b'{"response":"inner","done":false}\n'))

    threshold = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    try:
        loop: list[Any] = [Reenter()]
        loop.append(loop)
        del loop
        outer = decoder.feed(CHAT)
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    assert [delta.content for delta in outer] == ["Hel", "lo 😀", ""]
    assert [delta.content for delta in inner] == ["inner"]


def test_most_lines_take_the_fast_path() -> None:
    decoder = StreamDecoder()
    decoder.feed(CHAT.split(b"\n")[0] + b"\n" + (CHAT.split(b"\n")[0] + b"\n") * 99)
    fast, lines = decoder.hits
    assert lines == 100
    assert fast >= 95


NO_PART = [
    b'{"error parsing tool call":"raw"}',
    b'{"status":"loading"}',
    b'{"message":null}',
    b'{"message":"text"}',
    b'{"message":"text","done":true}',
    b'{"response":null}',
    b'{"error":false}',
    b"{}",
]


@pytest.mark.parametrize("line", NO_PART)
@pytest.mark.parametrize("size", [1, 1000])
def test_a_line_that_is_no_part_of_the_answer(line: bytes, size: int) -> None:
    body = CHAT.split(b"\n")[0] + b"\n" + line + b"\n" + CHAT
    decoder = StreamDecoder()
    deltas: list[Any] = []

    def feed() -> None:
        for start in range(0, len(body), size):
            deltas.extend(decoder.feed(body[start : start + size]))

    with pytest.raises(DecodeError, match=re.escape(line.decode())) as caught:
        feed()
    assert [delta.content for delta in deltas + caught.value.deltas] == ["Hel"]
    assert caught.value.partial == "Hel"
    for again in (lambda: decoder.feed(CHAT), decoder.finish):
        with pytest.raises(DecodeError, match=re.escape(line.decode())) as caught:
            again()
        assert caught.value.deltas == []
        assert caught.value.partial == "Hel"


def test_progress_and_bare_last_lines_are_deltas() -> None:
    progress = b'{"status":"pulling manifest"}\n{"status":"pulling a","completed":1,"total":2}\n{"status":"success"}\n'
    assert [delta.raw["status"] for delta in decoded(progress)] == ["pulling manifest", "pulling a", "success"]
    image = b'{"model":"m","completed":3,"total":20,"done":false}\n{"model":"m","image":"QQ==","done":true}\n'
    assert [delta.done for delta in decoded(image)] == [False, True]
    (only,) = decoded(b'{"done":true}\n')
    assert (only.content, only.done) == ("", True)


@pytest.mark.parametrize("nothing", [b"null", b"false", b"0", b"0.0", b'""', b"[]", b"{}"])
def test_an_error_that_says_nothing(nothing: bytes) -> None:
    (delta,) = decoded(b'{"response":"a","error":' + nothing + b',"done":true}\n')
    assert (delta.error, delta.content) == (None, "a")


def test_arguments_as_text_become_objects() -> None:
    calls = b'{"function":{"name":"f","arguments":"{\\"a\\": 1}"}},{"function":{"name":"g","arguments":null}}'
    line = b'{"message":{"content":"","tool_calls":[' + calls + b']},"done":true}'
    (delta,) = decoded(line)
    assert [call["function"]["arguments"] for call in delta.tool_calls] == [{"a": 1}, {}]
    assert delta.raw == json.loads(line)
