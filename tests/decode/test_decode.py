"""`decode` against the oracle, over generated, mutated and recorded bodies."""

from __future__ import annotations

import types

import oracle
import pytest
from bodies import WHITE, bodies, documents, lines, mutate, oddities, transcripts
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metagpt_ollama_rs import decode

DETERMINISTIC = settings(derandomize=True, deadline=None, database=None, max_examples=300)


def check(data: bytes) -> None:
    ours = decode(data)
    try:
        theirs = oracle.decode(data)
    except UnicodeDecodeError:
        return
    if not isinstance(theirs, oracle.ErrorDict):
        assert oracle.same(ours, theirs), (data, ours, theirs)
    elif type(ours) is dict and "error" in ours:
        # Nothing better was found, so it is the guide's own text.
        assert ours == theirs or b"error" in data, (data, ours, theirs)


@given(bodies())
@DETERMINISTIC
def test_generated_bodies(data: bytes) -> None:
    check(data)


@given(st.data())
@DETERMINISTIC
def test_mutated_bodies(data: st.DataObject) -> None:
    check(mutate(data.draw, data.draw(bodies())))


@given(documents() | oddities)
@DETERMINISTIC
def test_one_document(text: str) -> None:
    check(text.encode())


@given(st.binary(max_size=60) | st.text(max_size=40).map(str.encode))
@example(b"")
@example(b"\xef\xbb\xbf")
@DETERMINISTIC
def test_anything(data: bytes) -> None:
    check(data)


@given(lines(), lines())
@settings(DETERMINISTIC, max_examples=200)
def test_what_stands_before_a_line_that_parses_does_not_matter(first: str, last: str) -> None:
    ours = decode(first.encode() + b"\n" + last.encode())
    alone = oracle.decode(b"\n" + last.encode())
    if not isinstance(alone, oracle.ErrorDict) and "\n" not in last:
        assert oracle.same(ours, alone)
        assert oracle.same(decode(b"\xff\xfe" + first.encode() + b"\n" + last.encode()), alone)


@pytest.mark.parametrize(("name", "data"), transcripts(), ids=lambda value: value if isinstance(value, str) else "")
def test_transcripts(name: str, data: bytes) -> None:
    check(data)
    check(b"\xef\xbb\xbf" + data)
    check(data.replace(b"\n", b"\r\n"))
    # Every cut of a short body; of a long one those around its newlines, where the last line changes.
    cuts = set(range(len(data))) if len(data) < 2000 else set(range(0, len(data), len(data) // 20))
    for at in [i for i, byte in enumerate(data) if byte == 0x0A][-20:]:
        cuts.update({at - 1, at, at + 1})
    for cut in sorted(cuts):
        check(data[:cut])


def test_transcripts_are_there() -> None:
    assert len(transcripts()) > 100


@given(st.data())
@settings(DETERMINISTIC, max_examples=200)
def test_mutated_and_concatenated_transcripts(data: st.DataObject) -> None:
    short = [body for _, body in transcripts_once() if len(body) < 5000]
    picked = data.draw(st.lists(st.sampled_from(short), min_size=1, max_size=3))
    check(mutate(data.draw, data.draw(st.sampled_from([b"", b"\n"])).join(picked)))


_cache: list[tuple[str, bytes]] = []


def transcripts_once() -> list[tuple[str, bytes]]:
    if not _cache:
        _cache.extend(transcripts())
    return _cache


@pytest.mark.parametrize("white", WHITE)
def test_every_white_space_of_python_is_stripped(white: str) -> None:
    data = f'{{"a":1}}\n{white}data: {{"b":2}}{white}\n{white}\n'.encode()
    assert decode(data) == {"b": 2}
    assert decode(data) == oracle.decode(data)


def test_what_holds_a_body() -> None:
    data = b'{"a":1}\n{"b":"\xc3\xa9"}\n'
    for body in (data, bytearray(data), memoryview(data), memoryview(b"_" + data)[1:], data.decode()):
        assert decode(body) == {"b": "é"}
        assert decode(types.SimpleNamespace(data=body)) == {"b": "é"}
    strided = memoryview(bytes(byte for pair in zip(data, data) for byte in pair))[::2]
    assert decode(strided) == {"b": "é"}


@pytest.mark.parametrize("wrong", [None, 5, [b"{}"], {"data": b"{}"}, types.SimpleNamespace(data=None), object()])
def test_what_holds_no_body_is_a_type_error(wrong: object) -> None:
    with pytest.raises(TypeError, match=r"decode\(\) takes bytes"):
        decode(wrong)


def test_an_attribute_that_raises_is_not_hidden() -> None:
    class Response:
        @property
        def data(self) -> bytes:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        decode(Response())


def test_the_body_is_not_changed() -> None:
    body = bytearray(b'{"a":"\\u00e9\\n"}')
    assert decode(body) == {"a": "é\n"}
    assert body == b'{"a":"\\u00e9\\n"}'


def test_absurd_nesting_does_not_crash() -> None:
    for deep in (b"[" * 200_000, b"[" * 200_000 + b"]" * 200_000, b'{"a":' * 200_000 + b"1" + b"}" * 200_000):
        assert decode(b'{"a":1}\n' + deep) == {"a": 1}
        assert "error" in decode(deep)
