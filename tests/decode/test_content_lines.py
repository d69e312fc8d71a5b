"""The fast way of content lines, which are made from a copy of the line before: it must not show."""

from __future__ import annotations

import gc
import inspect
import json
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import oracle
import pytest
from bodies import bodies, mutate, plain, transcripts
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metagpt_ollama_rs import decode, decode_text, get_choice

DETERMINISTIC = settings(derandomize=True, deadline=None, database=None, max_examples=1000)
TIME = "2026-08-05T10:00:00.000000001Z"

strings = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    [
        "",
        '"',
        "\\",
        "\n\t\x00\x7f",
        "\u2028\x85",
        "caf\u00e9",
        "\u4f60\u597d",
        "\U0001f40d",
        "a" * 40,
        "a" * 41,
        '"},"done":false}',
    ]
)


@st.composite
def content_line(draw: st.DrawFn) -> bytes:
    """A content line, or one that is not quite."""
    line: dict[str, Any] = {"model": draw(st.sampled_from(["m", "smollm2:135m", 'a "b"', "\u6a21\u578b"]) | strings)}
    line["created_at"] = draw(st.just(TIME) | strings)
    if draw(st.booleans()):
        line["message"] = {"role": draw(st.sampled_from(["assistant"] * 4 + ["user"])), "content": draw(strings)}
    else:
        line["response"] = draw(strings)
    line["done"] = draw(st.sampled_from([False] * 4 + [True]))
    dump = json.dumps(line, ensure_ascii=True, separators=(",", ":")) if draw(st.booleans()) else plain(line)
    return dump.encode()


def text_of(value: Any) -> Any:
    if isinstance(value, dict) and "message" not in value:
        return oracle.get_response_choice(value)
    return oracle.get_choice(value)


def check(body: bytes) -> None:
    try:
        expected = oracle.decode(body)
    except UnicodeDecodeError:
        decode(body)
        return
    value = decode(body)
    if isinstance(expected, oracle.ErrorDict):
        assert isinstance(decode_text(body), str)
        return
    assert oracle.same(value, expected), (body, value, expected)
    try:
        wanted = text_of(expected)
    except (AttributeError, TypeError):
        assert isinstance(decode_text(body), str)
    else:
        assert decode_text(body) == ("" if wanted is None else wanted)


@given(st.lists(content_line(), min_size=1, max_size=4), st.sampled_from(["", "\n", "\r\n", "\n\n", " "]))
@DETERMINISTIC
def test_lines_of_changing_forms(lines: list[bytes], end: str) -> None:
    for line in lines + lines[::-1]:
        check(line + end.encode())
        check(b"data: " + line + end.encode())
    check(b"\n".join(lines) + end.encode())


@given(st.data())
@DETERMINISTIC
def test_mutated_lines(data: st.DataObject) -> None:
    line = data.draw(content_line())
    check(line)
    check(mutate(data.draw, line))


def test_each_byte_of_a_line_counts() -> None:
    line = plain(
        {"model": "m", "created_at": TIME, "message": {"role": "assistant", "content": "Hi"}, "done": False}
    ).encode()
    decode(line)
    for at in range(len(line)):
        check(line[:at] + line[at + 1 :])
        for byte in b'"\\x} \n\xff\x00':
            check(line[:at] + bytes([byte]) + line[at + 1 :])
            check(line[:at] + bytes([byte]) + line[at:])


def test_what_is_handed_out_is_the_callers_own() -> None:
    line = plain(
        {"model": "own", "created_at": TIME, "message": {"role": "assistant", "content": "Hi"}, "done": False}
    ).encode()
    for _ in range(3):
        value = decode(line)
        assert value == json.loads(line)
        assert list(value) == ["model", "created_at", "message", "done"]
        value["message"]["role"] = "changed"
        value["message"]["more"] = []
        value["model"] = value
        del value["done"]
    assert decode(line) == json.loads(line)


def test_more_forms_than_are_kept() -> None:
    lines = [
        plain({"model": f"m{number}", "created_at": TIME, "response": str(number), "done": False}).encode()
        for number in range(40)
    ]
    for line in [*lines, *lines[::-1], *lines[::7] * 3]:
        check(line)


def test_many_threads_at_once() -> None:
    start = threading.Barrier(4)

    def work(number: int) -> None:
        start.wait()
        for step in range(500):
            model = f"m{(number + step) % 11}"
            message = {"role": "assistant", "content": f"{number} {step}"}
            value = {"model": model, "created_at": TIME, "message": message, "done": False}
            line = plain(value).encode()
            assert decode(line) == value
            assert decode_text(line) == message["content"]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))


def test_a_garbage_collection_may_decode_meanwhile() -> None:
    lines = [
        plain({"model": f"m{n}", "created_at": TIME, "response": "x" * n, "done": False}).encode() for n in range(3)
    ]
    seen = []

    class Reenter:
        def __del__(self) -> None:
            seen.append(decode(lines[len(seen) % 3])["response"])

    threshold = gc.get_threshold()
    try:
        gc.set_threshold(1)
        for _ in range(50):
            cycle: list[Any] = [Reenter()]
            cycle.append(cycle)
            del cycle
            for line in lines:
                assert decode(line) == json.loads(line)
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    assert len(seen) == 50


@given(bodies())
@example(b'{"response":"a","message":null}')
@example(b'{"response":null}')
@example(b'{"error":"boom","response":"a"}')
@example(b"[1]")
@DETERMINISTIC
def test_the_text_of_any_body(data: bytes) -> None:
    value = decode(data)
    text = decode_text(data)
    if isinstance(value, dict) and "response" in value and "message" not in value and "error" not in value:
        assert text == ("" if value["response"] is None else value["response"])
    else:
        assert text == get_choice(value)


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in transcripts()])
def test_transcripts(data: bytes) -> None:
    for line in data.splitlines(keepends=True):
        check(line)


def test_a_long_answer_of_every_width() -> None:
    for unit in (
        "word ",
        'a "b"\n',
        "caf\u00e9 ",
        "\u4f60\u597d\uff0c",
        "\u4f60 a",
        "\U0001f40d",
        "a\U0001f40d\u4f60\u00e9",
        "\uffff\ue000\ud7ff",
    ):
        for count in (1, 100, 4000):
            message = {"role": "assistant", "content": unit * count}
            line = plain({"model": "m", "created_at": TIME, "message": message, "done": False}).encode()
            check(line)
            check(json.dumps(json.loads(line)).encode())
            # In the middle, a byte that makes it no UTF-8.
            check(line[:1000] + b"\xe4" + line[1000:])


@pytest.mark.parametrize("function", [decode, decode_text])
def test_they_are_functions_like_others(function: Any) -> None:
    assert str(inspect.signature(function)) == "(response, /)"
    assert inspect.getdoc(function)
    assert pickle.loads(pickle.dumps(function)) is function
    for wrong in ((), (b"1", b"2")):
        with pytest.raises(TypeError, match="exactly one argument"):
            function(*wrong)
    with pytest.raises(TypeError, match="keyword"):
        function(response=b"1")
    with pytest.raises(TypeError, match="not int"):
        function(1)
