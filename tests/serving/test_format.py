"""Go's JSON and HTTP framing, compared with what a real Ollama wrote."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from metagpt_ollama_rs.serving import format as wire
from metagpt_ollama_rs.testing import transcripts

TRANSCRIPTS = Path(__file__).parent.parent / "transcripts"
BY_NAME = {"ids": lambda recorded: recorded.name}
RECORDED = [*transcripts.load_all(TRANSCRIPTS / "scripted"), *transcripts.load_all(TRANSCRIPTS / "smollm2")]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1e-7, b"1e-7"),
        (1e-6, b"0.000001"),
        (1.5e-10, b"1.5e-10"),
        (3.0, b"3"),
        (-0.0, b"-0"),
        (1e20, b"100000000000000000000"),
        (1e21, b"1e+21"),
        (123456.789, b"123456.789"),
        ("<b> & \u2028\u2029", b'"\\u003cb\\u003e \\u0026 \\u2028\\u2029"'),
        ('\x01\b\f\n\r\t"\\/\x7f\x85', b'"\\u0001\\b\\f\\n\\r\\t\\"\\\\/\x7f\xc2\x85"'),
        ("你🎉", '"你🎉"'.encode()),
        ("a\ud800b", b'"a\\ufffdb"'),
        ({"a": [1, True, False, None], "b": {}}, b'{"a":[1,true,false,null],"b":{}}'),
    ],
)
def test_json_is_written_as_go_writes_it(value, written):
    assert wire.dumps(value) == written


def test_what_is_no_json_is_refused():
    with pytest.raises(TypeError, match="not a JSON value: set"):
        wire.dumps({1})


# Embeddings have a test of their own: once read, float32 and float64 look alike.
TEXTS = [recorded for recorded in RECORDED if "embed" not in recorded.path]
WHOLE = [
    recorded for recorded in RECORDED if ("Content-Type", wire.JSON) in recorded.headers and recorded.method != "HEAD"
]


@pytest.mark.parametrize("recorded", TEXTS, **BY_NAME)
def test_recorded_json_reads_and_writes_back_to_the_same_bytes(recorded):
    for line in recorded.lines:
        text = line[len(b"data: ") :] if line.startswith(b"data: ") else line
        if text.startswith(b"{"):
            assert wire.dumps(json.loads(text)) == text


def test_recorded_float32_values_are_the_shortest():
    for name in ("embed-batch", "embed-too-long"):
        body = transcripts.load(TRANSCRIPTS / "smollm2", name).body
        value = json.loads(body)
        for row in value["embeddings"]:
            row[:] = [wire.Float32(struct.unpack("<f", struct.pack("<f", number))[0]) for number in row]
        assert wire.dumps(value) == body


@pytest.mark.parametrize(
    ("nanoseconds", "written"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_787_331_605_104_512_000, "2026-08-21T17:00:05.104512Z"),
        (1_787_331_605_000_000_001, "2026-08-21T17:00:05.000000001Z"),
    ],
)
def test_timestamps_have_no_trailing_zeros(nanoseconds, written):
    assert wire.timestamp(nanoseconds) == written


@pytest.mark.parametrize("recorded", RECORDED, **BY_NAME)
def test_recorded_heads_and_framing_are_rebuilt_from_their_parts(recorded):
    fields = dict(recorded.headers)
    others = [(name, fields[name]) for name in ("Allow",) if name in fields]
    date, kind = fields["Date"], fields.get("Content-Type")
    head, _ = wire.split_response(recorded.response)
    if "Content-Length" in fields:
        length = int(fields["Content-Length"])
        assert wire.head(recorded.status, kind, length=length, headers=others, date=date) == head
    else:
        chunks = [wire.chunk(data) for data in recorded.chunks]
        rebuilt = wire.head(recorded.status, kind, headers=others, date=date) + b"".join(chunks) + wire.LAST_CHUNK
        assert rebuilt == recorded.response


@pytest.mark.parametrize("recorded", WHOLE, **BY_NAME)
def test_whole_bodies_are_chunked_above_the_same_size(recorded):
    fields = dict(recorded.headers)
    head, framed = wire.whole(recorded.status, recorded.body, date=fields["Date"])
    # A body over Go's own buffer goes out in several chunks; one chunk is all that is imitated here.
    assert head == wire.split_response(recorded.response)[0]
    assert framed.endswith(wire.LAST_CHUNK) == ("Transfer-Encoding" in fields)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"SSH-2.0\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nhe",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ],
)
def test_the_pieces_of_a_response_join_to_the_whole(raw):
    head, pieces = wire.split_response(raw)
    assert head + b"".join(pieces) == raw
