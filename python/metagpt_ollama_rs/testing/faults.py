"""Faulty answers: connections that break, HTTP framing that is wrong, servers that are no Ollama.

A function takes a good `Reply` and returns a faulty one, or makes one; `MALFORMED` has replies that no client may take
for an answer. For example, a stream that breaks off after two of its pieces:

>>> reply = close_after_pieces(Reply.chat("Hello world"), 2)
>>> len(reply.pieces), reply.end
(2, 'close')
"""

from __future__ import annotations

import gzip as _gzip
from collections.abc import Mapping
from dataclasses import replace
from typing import Callable

from ..serving import format as wire
from .lines import chat_lines, chat_object
from .replies import CLOSE, DATE, HANG, RESET, Reply


def close_after(reply: Reply, size: int) -> Reply:
    """The first `size` bytes of the whole reply, then an orderly close."""
    return _truncated(reply, size, CLOSE)


def reset_after(reply: Reply, size: int) -> Reply:
    """The first `size` bytes of the whole reply, then a reset (the client may lose bytes it has not read yet)."""
    return _truncated(reply, size, RESET)


def hang_after(reply: Reply, size: int) -> Reply:
    """The first `size` bytes of the whole reply, then silence on an open connection."""
    return _truncated(reply, size, HANG)


def close_after_pieces(reply: Reply, pieces: int) -> Reply:
    """The first `pieces` sends, then an orderly close."""
    return replace(reply, pieces=reply.pieces[:pieces], end=CLOSE)


def reset_after_pieces(reply: Reply, pieces: int) -> Reply:
    """The first `pieces` sends, then a reset."""
    return replace(reply, pieces=reply.pieces[:pieces], end=RESET)


def never_answer() -> Reply:
    """Nothing at all: the request is read and the connection stays open."""
    return Reply((), end=HANG)


def close_at_once() -> Reply:
    """The connection is closed instead of an answer."""
    return Reply((), end=CLOSE)


def reset_at_once() -> Reply:
    """The connection is reset instead of an answer."""
    return Reply((), end=RESET)


def without_terminator(reply: Reply, *, end: str = CLOSE) -> Reply:
    """A chunked reply whose last, empty chunk never comes."""
    data = reply.data
    if not data.endswith(wire.LAST_CHUNK):
        raise ValueError("not a chunked reply")
    kept = len(data) - len(wire.LAST_CHUNK)
    return _truncated(reply, kept, end)


def half_chunk(reply: Reply, *, end: str = CLOSE) -> Reply:
    """A chunked reply that stops in the middle of its last chunk of data."""
    head, pieces = wire.split_response(reply.data)
    if len(pieces) < 2:
        raise ValueError("not a chunked reply with data")
    kept = len(head) + sum(map(len, pieces[:-2])) + len(pieces[-2]) // 2
    return _truncated(reply, kept, end)


def wrong_length(reply: Reply, difference: int) -> Reply:
    """A Content-Length that is `difference` off; the connection closes after the body."""
    head, pieces = wire.split_response(reply.data)
    name = b"Content-Length: "
    start = head.find(name)
    if start < 0:
        raise ValueError("not a reply with a Content-Length")
    start += len(name)
    end = head.index(b"\r\n", start)
    head = head[:start] + b"%d" % (int(head[start:end]) + difference) + head[end:]
    return Reply((head + b"".join(pieces),), head_length=len(head), end=CLOSE)


def with_header(reply: Reply, line: str) -> Reply:
    """One more header line, last in the head."""
    at = reply.head_length - 2
    data = reply.data
    extra = line.encode("latin-1") + b"\r\n"
    return Reply.raw(data[:at] + extra + data[at:], end=reply.end)


def gzip(body: bytes, content_type: str = wire.JSON) -> Reply:
    """A gzip body that nobody asked for."""
    return Reply.body(_gzip.compress(body, mtime=0), content_type, headers={"Content-Encoding": "gzip"})


def redirect(location: str, status: int = 307) -> Reply:
    """A redirect to `location`."""
    return Reply.body(b"", None, status, headers={"Location": location})


def html(status: int = 200) -> Reply:
    """A web page, as a proxy or a captive portal sends."""
    page = "<html><head><title>Gateway</title></head><body><h1>This is not Ollama</h1></body></html>"
    return Reply.text(page, status, content_type="text/html; charset=utf-8")


def not_http() -> Reply:
    """A greeting in another protocol."""
    return Reply.raw(b"SSH-2.0-OpenSSH_9.6\r\n", end=CLOSE)


def bad_chunk_size(size: bytes = b"zz") -> Reply:
    """A chunked reply with a chunk size that is no number."""
    head = wire.head(200, wire.NDJSON, date=DATE)
    line = chat_lines("Hello")[0]
    return Reply((head + size + b"\r\n" + line + b"\r\n" + wire.LAST_CHUNK,), head_length=len(head), end=CLOSE)


def chunk_without_end() -> Reply:
    """A chunk that is longer than its size says: no line end where one must be."""
    line = chat_lines("Hello")[0]
    head = wire.head(200, wire.NDJSON, date=DATE)
    body = b"%x\r\n" % (len(line) - 5) + line + b"\r\n" + wire.LAST_CHUNK
    return Reply((head + body,), head_length=len(head), end=CLOSE)


def two_lengths() -> Reply:
    """Two Content-Length headers that disagree."""
    return with_header(Reply.json(chat_object("Hello")), "Content-Length: 5").then(CLOSE)


def huge_head(size: int = 1 << 20) -> Reply:
    """A head with a header line of `size` bytes."""
    return with_header(Reply.json(chat_object("Hello")), "X-Filler: " + "x" * size)


def endless_head(lines: int = 100_000) -> Reply:
    """A head of many header lines that never ends."""
    return Reply((b"HTTP/1.1 200 OK\r\n" + b"X-Filler: x\r\n" * lines,), end=HANG)


MALFORMED: Mapping[str, Callable[[], Reply]] = {
    "bad chunk size": bad_chunk_size,
    "negative chunk size": lambda: bad_chunk_size(b"-5"),
    "chunk size beyond 64 bits": lambda: bad_chunk_size(b"f" * 20),
    "chunk without its line end": chunk_without_end,
    "two Content-Lengths": two_lengths,
    "body shorter than promised": lambda: wrong_length(Reply.json(chat_object("Hello")), 10),
    "gzip nobody asked for": lambda: gzip(chat_object("Hello")),
    "redirect": lambda: redirect("http://127.0.0.1:1/api/chat"),
    "web page": html,
    "another protocol": not_http,
    "no answer at all": close_at_once,
    "stream cut in a chunk": lambda: half_chunk(Reply.chat("Hello world")),
    "stream without its terminator": lambda: without_terminator(Reply.chat("Hello", done_reason=None)),
}


def _truncated(reply: Reply, size: int, end: str) -> Reply:
    pieces = []
    left = size
    for piece in reply.pieces:
        if left <= 0:
            break
        pieces.append(piece[:left])
        left -= len(piece)
    return replace(reply, pieces=tuple(pieces), end=end)
