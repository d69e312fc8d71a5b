"""Each permitted difference from the guide's functions (docs/compatibility.md), with what the guide's give."""

from __future__ import annotations

import logging
import sys
import types
from typing import Any

import oracle
import pytest

from metagpt_ollama_rs import decode, get_choice


def improves(data: bytes) -> Any:
    """What we return for a body of which the guide's `decode` makes an error dict or an exception."""
    try:
        theirs = oracle.decode(data)
    except UnicodeDecodeError:
        return decode(data)
    assert isinstance(theirs, oracle.ErrorDict)
    return decode(data)


def test_invalid_utf8_does_not_raise_and_valid_lines_count() -> None:
    assert improves(b'{"a":1}\n{"b":"\xff"}\n') == {"a": 1}
    assert improves(b'\xff\xfe\n{"a":1}') == {"a": 1}


def test_invalid_utf8_alone_is_an_error_dict_that_shows_it() -> None:
    answer = improves(b'{"b":"\xff"}')
    assert answer == {
        "error": "JSON 解析失败: 'utf-8' codec can't decode byte 0xff in position 6: invalid start byte",
        "raw_data": '{"b":"\ufffd"}',
    }


def test_data_without_the_space() -> None:
    assert improves(b'data:{"a":1}\n\ndata:{"a":2}\n\ndata:[DONE]\n\n') == {"a": 2}
    # Without the blank lines that end an event.
    assert improves(b'data:{"a":1}\ndata:{"a":2}\n') == {"a": 2}


def test_data_that_spans_lines() -> None:
    assert improves(b'event: x\nid: 1\ndata: {"a":\ndata: [3,\ndata:4]}\n\ndata: [DONE]\n\n') == {"a": [3, 4]}


def test_carriage_returns_as_line_ends_of_events() -> None:
    assert improves(b'data: {"a":1}\r\rdata: {"a":2}\r\r') == {"a": 2}


def test_a_line_that_parses_by_the_rules_comes_first() -> None:
    data = b'data: {"a":1}\n\ndata:{"a":2}\n\n'
    assert decode(data) == oracle.decode(data) == {"a": 1}


def test_exotic_white_space_around_a_document_of_several_lines() -> None:
    assert improves('\u3000{\n "a": "x"\n}\x1c'.encode()) == {"a": "x"}


def test_strings_are_bodies_too_with_their_lone_surrogates() -> None:
    assert decode('{"a":1}\n"\ud800"') == "\ud800"
    assert decode("\ud800x")["raw_data"] == "\ud800x"


@pytest.mark.parametrize("nothing", [{"message": {"role": "assistant", "content": None}}])
def test_a_null_content_is_no_text(nothing: dict[str, Any]) -> None:
    assert oracle.get_choice(nothing) is None
    assert get_choice(nothing) == ""


@pytest.mark.parametrize("value", [[], ["error"], ["message", 1], 5, 2.5, None, True, "message", "an error"])
def test_what_is_no_dict_becomes_its_text(value: Any) -> None:
    assert get_choice(value) == str(value)


@pytest.mark.parametrize("message", ["text", None, 5, ["role"]])
def test_a_message_that_is_no_dict_becomes_its_text(message: Any) -> None:
    with pytest.raises(AttributeError):
        oracle.get_choice({"message": message})
    assert get_choice({"message": message}) == str(message)


@pytest.mark.parametrize(("raw", "shown"), [(None, "None"), (5, "5"), ([7] * 100, str([7] * 100)[:200])])
def test_raw_data_that_is_no_text(raw: Any, shown: str) -> None:
    assert get_choice({"error": "boom", "raw_data": raw}) == f"[Ollama Error] boom | Raw: {shown}"


# The texts below are the guide's: here nothing differs.

GARBAGE = ("\ufeff" + "<html>网关错误" * 40).encode()


def test_the_error_dict_and_its_warning(caplog: pytest.LogCaptureFixture, without_metagpt: None) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = decode(GARBAGE)
    theirs = oracle.decode(GARBAGE)
    assert answer == dict(theirs)
    assert list(answer) == ["error", "raw_data"]
    raw = GARBAGE.decode()[:200]
    assert answer["raw_data"] == raw
    assert [(r.name, r.levelname, r.getMessage()) for r in caplog.records] == [
        (
            "metagpt_ollama_rs",
            "WARNING",
            f"Ollama API 响应解析失败: Expecting value: line 1 column 1 (char 0), 原始数据: {raw}...",
        )
    ]


def test_any_other_failure_and_its_error(caplog: pytest.LogCaptureFixture, without_metagpt: None) -> None:
    data = b"9" * 5000
    with caplog.at_level(logging.DEBUG):
        answer = decode(data)
    assert answer == dict(oracle.decode(data))
    assert list(answer) == ["error"]
    text = answer["error"]
    assert text.startswith("响应解析失败: Exceeds the limit")
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("ERROR", text.replace("响应解析失败", "Ollama API 响应解析完全失败"))
    ]


class Logger:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def warning(self, text: str) -> None:
        self.lines.append(("warning", text))


def test_the_logger_of_metagpt_is_used_when_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = Logger()
    monkeypatch.setitem(sys.modules, "metagpt.logs", types.SimpleNamespace(logger=logger))
    decode(b"{broken}")
    ((level, text),) = logger.lines
    assert level == "warning"
    assert text.startswith("Ollama API 响应解析失败: Expecting property name")
    assert text.endswith(", 原始数据: {broken}...")


def test_a_metagpt_that_is_still_being_imported_has_no_logger(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "metagpt.logs", types.SimpleNamespace())
    decode(b"{broken}")
    assert len(caplog.records) == 1


@pytest.fixture
def without_metagpt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "metagpt.logs", raising=False)
