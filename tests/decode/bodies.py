"""Bodies for the tests of `decode`: generated ones, and those of the recorded transcripts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

TRANSCRIPTS = Path(__file__).parent.parent / "transcripts"

# What `str.strip` takes away, and U+200B, which it does not.
WHITE = "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000"


def transcripts() -> list[tuple[str, bytes]]:
    """Name and body (without the HTTP framing) of each recorded reply."""
    found = []
    for path in sorted(TRANSCRIPTS.glob("*/*.response")):
        head, _, body = path.read_bytes().partition(b"\r\n\r\n")
        if b"transfer-encoding: chunked" in head.lower():
            body = _without_chunks(body)
        found.append((f"{path.parent.name}/{path.stem}", body))
    return found


def _without_chunks(framed: bytes) -> bytes:
    body = b""
    while framed:
        size, _, framed = framed.partition(b"\r\n")
        length = int(size or b"0", 16)
        body += framed[:length]
        framed = framed[length + 2 :]
    return body


texts = st.text(st.characters(), max_size=12) | st.sampled_from(
    ["", "message", "\u2028", "\x85", "\n", "data: ", "[DONE]", "\ud800", "\udc00\ud800", "😀", '"\\', "\x00\x7f"]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(2**70), max_value=2**70)
    | st.sampled_from([2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1])
    | st.floats()
    | texts
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """JSON text in one of the many ways to write a value. Lone surrogates stay escaped."""
    value = draw(values)
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return json.dumps(value)
    if kind == 1:
        return json.dumps(value, indent=draw(st.sampled_from([0, 1, "\t"])))
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":") if kind == 2 else (" ,\t", "\r: "))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value)
    return text


oddities = st.sampled_from(
    [
        "-0",
        "-0.0",
        "0e0",
        "1E400",
        "-1e-400",
        "1.0",
        "1e5",
        "01",
        "+1",
        ".5",
        "5.",
        "NaN",
        "-NaN",
        "Infinity",
        "-Infinity",
        "-",
        "nul",
        "True",
        "9" * 4300,
        "9" * 4301,
        "1" * 25,
        "0.1" + "0" * 400 + "1",
        "2.2250738585072011e-308",
        "9007199254740993.0",
        '"\\ud83d\\ude00"',
        '"\\ud83d"',
        '"\\ude00\\ud83d"',
        '"\\u00e9\\/"',
        '"\\x41"',
        '"\t"',
        '{"a":1,"b":2,"a":3}',
        '{"a":1,}',
        "[1,]",
        "{}",
        "[]",
        '""',
        "{'a':1}",
        "[" * 127 + "]" * 127,
        "[" * 128 + "]" * 128,
        "[" * 129 + "]" * 129,
        '{"a":' * 200 + "1" + "}" * 200,
        "[" * 100_000 + "]" * 100_000,
        "[" * 100_000,
        '{"message":{"role":"assistant","content":"hi"},"done":false}',
        '{"error":"boom"}',
        "\ufeff1",
        "1\x00",
        "\x001",
        "1 2",
    ]
)
furniture = st.sampled_from(
    [
        "",
        "data: [DONE]",
        "[DONE]",
        "data:[DONE]",
        "data: ",
        "data:",
        ": ping",
        "event: message",
        "id: 1",
        "data: data: 1",
    ]
)
padding = st.text(st.sampled_from(WHITE.replace("\n", "") + "\u200b"), max_size=3) | st.just("")


@st.composite
def lines(draw: st.DrawFn) -> str:
    prefix = draw(st.sampled_from(["", "", "data: ", "data:", "data:  ", "data: data: ", "DATA: "]))
    content = draw(documents() | oddities | furniture)
    return draw(padding) + prefix + content + draw(padding)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Whole bodies: lines of every kind, joined, sometimes behind a byte order mark, sometimes cut off."""
    mark = draw(st.sampled_from(["", "", "", "\ufeff", "\ufeff\ufeff", " \ufeff"]))
    joint = draw(st.sampled_from(["\n", "\n", "\r\n", "\n\n", "\r", "\u2028", "\x85\n"]))
    text = mark + joint.join(draw(st.lists(lines(), max_size=6))) + draw(st.sampled_from(["", "\n", "\n\n", "\r\n"]))
    data = text.encode()
    return data[: draw(st.integers(0, len(data)))] if draw(st.integers(0, 5)) == 0 else data


def mutate(draw: st.DrawFn, data: bytes) -> bytes:
    """A few bytes of `data` removed, replaced, inserted or moved."""
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        piece = draw(
            st.binary(min_size=1, max_size=2)
            | st.sampled_from([b"\n", b"\r", b'"', b"\\", b"{", b"}", b"data: ", b"0", b"\x1c", b"\xc2\x85", b"\xff"])
        )
        gone = draw(st.integers(0, 3))
        data = data[:at] + (piece if draw(st.booleans()) else b"") + data[at + gone :]
    return data


def plain(value: Any) -> str:
    """One compact line, as Ollama writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
