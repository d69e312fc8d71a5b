r"""How Ollama writes JSON and HTTP, byte for byte.

The scripted server and the embedded server both imitate an Ollama server; what the two must agree on stands here:
Go's way of writing JSON, the order of response headers, one HTTP chunk per line, timestamps. Standard library only,
no sockets. For example, one line of a streamed answer, as it stands on the wire:

>>> line = dumps({"response": "a < b", "done": False}) + b"\n"
>>> line
b'{"response":"a \\u003c b","done":false}\n'
>>> chunk(line)
b'27\r\n{"response":"a \\u003c b","done":false}\n\r\n'
"""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Iterable, Mapping
from email.utils import formatdate
from json.encoder import encode_basestring
from typing import Any

JSON = "application/json; charset=utf-8"
JSON_BARE = "application/json"
NDJSON = "application/x-ndjson"
SSE = "text/event-stream"
TEXT = "text/plain"
TEXT_UTF8 = "text/plain; charset=utf-8"

# Go's net/http buffers this much of a body before it gives up on a Content-Length and turns to chunks.
LENGTH_LIMIT = 2048

REASONS = {
    100: "Continue",
    200: "OK",
    301: "Moved Permanently",
    302: "Found",
    307: "Temporary Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Request Entity Too Large",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    499: "status code 499",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
}

# Go escapes these, so that JSON can stand inside of HTML and of JavaScript.
_HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})

_SURROGATE = re.compile("[\ud800-\udfff]")


class Float32(float):
    """A number that is written as Go writes a float32: the fewest digits that give the same float32 back.

    >>> dumps([0.1, Float32(0.10000000149011612)])
    b'[0.1,0.1]'
    """

    __slots__ = ()


def dumps(value: Any) -> bytes:
    """Compact JSON as Go's `encoding/json` writes it, in the key order given, without a newline at the end.

    `<`, `>`, `&`, U+2028 and U+2029 are escaped, everything else above U+001F is raw UTF-8; floats are written in
    Go's form (`1e-7`, `3`), and `bytes` are taken to be JSON that is already written. Raises TypeError for a value that
    JSON does not have.

    >>> dumps({"a": [1.0, None, True], "b": b"[]"})
    b'{"a":[1,null,true],"b":[]}'
    """
    out: list[bytes] = []
    _write_json(value, out)
    return b"".join(out)


def _write_json(value: Any, out: list[bytes]) -> None:
    if isinstance(value, str):
        text = encode_basestring(value).translate(_HTML)
        try:
            out.append(text.encode())
        except UnicodeEncodeError:
            out.append(_SURROGATE.sub(r"\\ufffd", text).encode())
    elif value is True:
        out.append(b"true")
    elif value is False:
        out.append(b"false")
    elif value is None:
        out.append(b"null")
    elif isinstance(value, int):
        out.append(b"%d" % value)
    elif isinstance(value, Float32):
        out.append(float32(value).encode())
    elif isinstance(value, float):
        out.append(_go_float(repr(value)).encode())
    elif isinstance(value, bytes):
        out.append(value)
    elif isinstance(value, Mapping):
        out.append(b"{")
        for position, (key, item) in enumerate(value.items()):
            if position:
                out.append(b",")
            _write_json(str(key), out)
            out.append(b":")
            _write_json(item, out)
        out.append(b"}")
    elif isinstance(value, (list, tuple)):
        out.append(b"[")
        for position, item in enumerate(value):
            if position:
                out.append(b",")
            _write_json(item, out)
        out.append(b"]")
    else:
        raise TypeError(f"not a JSON value: {type(value).__name__}")


def float32(value: float) -> str:
    """`value`, a float32, with the fewest digits that read back as the same float32.

    >>> float32(0.30000001192092896), float32(1e-7)
    ('0.3', '1e-7')
    """
    packed = struct.pack("<f", value)
    for digits in range(6, 9):
        text = f"{value:.{digits}g}"
        if struct.pack("<f", float(text)) == packed:
            break
    else:
        text = f"{value:.9g}"
    return _go_float(repr(float(text)))


def _go_float(shortest: str) -> str:
    """Python's `repr` of a float in Go's notation: plain from 1e-6 up to below 1e21, else an unpadded exponent."""
    sign = "-" if shortest.startswith("-") else ""
    mantissa, _, exponent = shortest.lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    if fraction == "0":
        fraction = ""
    point = len(whole) + int(exponent or 0)
    digits = whole + fraction
    stripped = digits.lstrip("0")
    if not stripped:
        return sign + "0"
    point -= len(digits) - len(stripped)
    digits = stripped.rstrip("0")
    if point <= -6 or point > 21:
        tail = "." + digits[1:] if len(digits) > 1 else ""
        power = point - 1
        return f"{sign}{digits[0]}{tail}e{'-' if power < 0 else '+'}{abs(power)}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    if point >= len(digits):
        return sign + digits + "0" * (point - len(digits))
    return f"{sign}{digits[:point]}.{digits[point:]}"


def timestamp(nanoseconds: int | None = None) -> str:
    """`created_at` of `nanoseconds` since 1970 (now by default): UTC, up to nine digits, no trailing zeros.

    >>> timestamp(1_787_331_605_104_512_000)
    '2026-08-21T17:00:05.104512Z'
    """
    if nanoseconds is None:
        nanoseconds = time.time_ns()
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    fraction = f"{rest:09d}".rstrip("0")
    return f"{text}.{fraction}Z" if fraction else f"{text}Z"


def http_date(seconds: float | None = None) -> str:
    """The value of a `Date` header for `seconds` since 1970 (now by default).

    >>> http_date(1_787_331_605)
    'Fri, 21 Aug 2026 17:00:05 GMT'
    """
    return formatdate(seconds, usegmt=True)


def fields(
    content_type: str | None,
    *,
    length: int | None = None,
    headers: Iterable[tuple[str, str]] = (),
    date: str | None = None,
) -> list[tuple[str, str]]:
    """The headers of a reply in Go's order.

    `length` is the size of the body in bytes; None means that the body is chunked. `headers` are further ones; they and
    Content-Type come first, sorted, then `Date` (now by default), then the header that says where the body ends.

    >>> fields("text/plain", length=2, date="Fri, 21 Aug 2026 17:00:05 GMT")[1:]
    [('Date', 'Fri, 21 Aug 2026 17:00:05 GMT'), ('Content-Length', '2')]
    """
    ordered = list(headers)
    if content_type is not None:
        ordered.append(("Content-Type", content_type))
    ordered.sort(key=lambda field: field[0])
    ordered.append(("Date", date if date is not None else http_date()))
    ordered.append(("Transfer-Encoding", "chunked") if length is None else ("Content-Length", str(length)))
    return ordered


def head(
    status: int,
    content_type: str | None,
    *,
    length: int | None = None,
    headers: Iterable[tuple[str, str]] = (),
    date: str | None = None,
) -> bytes:
    r"""Status line and `fields` of a reply as bytes, the blank line behind them included.

    >>> head(204, None, length=0, date="Fri, 21 Aug 2026 17:00:05 GMT")
    b'HTTP/1.1 204 status code 204\r\nDate: Fri, 21 Aug 2026 17:00:05 GMT\r\nContent-Length: 0\r\n\r\n'
    """
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'status code ' + str(status))}"]
    lines.extend(f"{name}: {value}" for name, value in fields(content_type, length=length, headers=headers, date=date))
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


LAST_CHUNK = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    r"""`data` as one chunk of HTTP's chunked coding.

    >>> chunk(b"Hello")
    b'5\r\nHello\r\n'
    """
    return b"%x\r\n%b\r\n" % (len(data), data)


def whole(
    status: int,
    body: bytes,
    content_type: str | None = JSON,
    *,
    headers: Iterable[tuple[str, str]] = (),
    date: str | None = None,
) -> tuple[bytes, bytes]:
    """Head and body of a reply that is not streamed: with a Content-Length up to 2,048 bytes, as one chunk above that.

    >>> head, body = whole(200, b"{}", date="Fri, 21 Aug 2026 17:00:05 GMT")
    >>> head.splitlines()[-2:], body
    ([b'Content-Length: 2', b''], b'{}')
    """
    if len(body) <= LENGTH_LIMIT:
        return head(status, content_type, length=len(body), headers=headers, date=date), body
    return head(status, content_type, headers=headers, date=date), chunk(body) + LAST_CHUNK


def split_response(raw: bytes) -> tuple[bytes, list[bytes]]:
    r"""A raw HTTP response cut into its head (blank line included) and its pieces of body as they stand on the wire.

    A chunked body gives one piece per chunk, the terminating one included, any other body one piece (none when it is
    empty). What does not parse as a chunk is left as the last piece, so that the pieces always join to the whole.

    >>> split_response(head(200, None) + chunk(b"Hello") + LAST_CHUNK)[1]
    [b'5\r\nHello\r\n', b'0\r\n\r\n']
    """
    end = raw.find(b"\r\n\r\n")
    if end < 0:
        return b"", [raw] if raw else []
    head_bytes, body = raw[: end + 4], raw[end + 4 :]
    if b"\r\ntransfer-encoding: chunked\r\n" not in head_bytes.lower():
        return head_bytes, [body] if body else []
    pieces = []
    while body:
        line, separator, _ = body.partition(b"\r\n")
        try:
            size = int(line, 16)
        except ValueError:
            size = -1
        length = len(line) + 2 + size + 2
        if not separator or size < 0 or length > len(body):
            pieces.append(body)
            break
        pieces.append(body[:length])
        body = body[length:]
    return head_bytes, pieces


def chunk_data(piece: bytes) -> bytes:
    r"""The data inside one chunk of `split_response`.

    >>> chunk_data(b"5\r\nHello\r\n")
    b'Hello'
    """
    line, _, rest = piece.partition(b"\r\n")
    return rest[: int(line, 16)]
