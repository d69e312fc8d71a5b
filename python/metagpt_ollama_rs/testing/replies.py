r"""What the scripted server answers: the exact bytes, how they are cut into pieces, when each is sent, how it ends.

A `Reply` is a value: its methods return changed copies. Only its `gate` has state, so a reply with a gate serves one
request. For example, an answer of two words, sent as three chunks of HTTP's chunked coding and their end:

>>> reply = Reply.generate("Hello world")
>>> len(reply.pieces), reply.pieces[-1]
(4, b'0\r\n\r\n')
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..serving import format as wire
from . import lines as _lines
from .transcripts import AnyPath, Transcript, load

# The Date header of all replies, so that two runs give the same bytes.
DATE = "Fri, 21 Aug 2026 17:00:05 GMT"

KEEP = "keep"
CLOSE = "close"
RESET = "reset"
HANG = "hang"


class Gate:
    """Holds back the pieces of one reply until a test lets them pass.

    The first `free` pieces pass at once, each later one uses up a permit that `open` gives. Thread-safe.

    >>> import threading
    >>> from metagpt_ollama_rs import Client
    >>> from metagpt_ollama_rs.testing import ScriptedServer
    >>> with ScriptedServer() as server:
    ...     reply = Reply.generate("Hello world").gated()
    ...     server.queue(reply)
    ...     stream = Client(server.url).generate("smollm2", "Hi", stream=True)
    ...     print(next(stream).response, reply.gate.sent)
    ...     reply.gate.open_all()
    ...     print([part.response for part in stream])
    Hello 1
    [' world', '']
    """

    def __init__(self, free: int = 1) -> None:
        self._changed = threading.Condition()
        self._permits = free
        self._all_free = False
        self._sent = 0

    @property
    def sent(self) -> int:
        """How many pieces were sent, one that is being sent included."""
        with self._changed:
            return self._sent

    def open(self, pieces: int = 1) -> None:
        """Lets `pieces` more pieces pass."""
        with self._changed:
            self._permits += pieces
            self._changed.notify_all()

    def open_all(self) -> None:
        """Lets all pieces pass from now on."""
        with self._changed:
            self._all_free = True
            self._changed.notify_all()

    def wait_sent(self, pieces: int, timeout: float = 10.0) -> None:
        """Returns once `pieces` pieces are sent or being sent; raises TimeoutError after `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._sent >= pieces, timeout):
                raise TimeoutError(f"{self._sent} of {pieces} pieces were sent within {timeout} s")

    def take(self, wait: float) -> bool:
        """For the server: uses up a permit; False if there was none within `wait` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._all_free or self._permits > 0, wait):
                return False
            if not self._all_free:
                self._permits -= 1
            return True

    def count(self) -> None:
        """For the server: counts a piece that is about to be sent."""
        with self._changed:
            self._sent += 1
            self._changed.notify_all()


@dataclass(frozen=True)
class Reply:
    """One answer, ready to be sent: the bytes of an HTTP response, cut into the pieces in which they are sent.

    `pieces` are sent one after the other, a send each; the head goes with the first, as Ollama's does. `pause` seconds
    pass before the first piece, `delay` seconds between pieces. `end` is `keep` (the connection stays open), `close`,
    `reset`, or `hang` (nothing more comes, and the connection stays open until the client closes it).

    >>> Reply.error("model is busy", 503).head.splitlines()[0]
    b'HTTP/1.1 503 Service Unavailable'
    >>> Reply.chat("Hello", stream=False).slowly(pause=0.5).cut(5, in_body=True).then("close").end
    'close'
    """

    pieces: tuple[bytes, ...]
    head_length: int = 0
    delay: float = 0.0
    pause: float = 0.0
    gate: Gate | None = None
    end: str = KEEP

    @classmethod
    def raw(cls, data: bytes, *, end: str = KEEP) -> Reply:
        """Exactly these bytes, cut at the HTTP chunks where they are a well-formed response."""
        head, pieces = wire.split_response(data)
        return cls(_head_with_first_piece(head, pieces), head_length=len(head), end=end)

    @classmethod
    def json(
        cls,
        value: Any,
        status: int = 200,
        *,
        headers: Mapping[str, str] | None = None,
        content_type: str = wire.JSON,
    ) -> Reply:
        """`value` as one JSON body (bytes are taken as JSON already written), framed as Ollama would."""
        body = value if isinstance(value, bytes) else wire.dumps(value)
        return cls.body(body, content_type, status, headers=headers)

    @classmethod
    def error(cls, text: str, status: int, **fields: str) -> Reply:
        """`{"error": text}` under `status`, with further keys such as `signin_url`."""
        return cls.json({"error": text, **fields}, status)

    @classmethod
    def text(cls, text: str, status: int = 200, *, content_type: str = wire.TEXT) -> Reply:
        """A body of text; `content_type` may be `text/html` and the like."""
        return cls.body(text.encode(), content_type, status)

    @classmethod
    def body(
        cls,
        body: bytes,
        content_type: str | None,
        status: int = 200,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Any body: with a Content-Length up to 2,048 bytes, as one chunk above that."""
        fields = list((headers or {}).items())
        head, framed = wire.whole(status, body, content_type, headers=fields, date=DATE)
        return cls((head + framed,), head_length=len(head))

    @classmethod
    def stream(
        cls,
        chunks: Iterable[bytes],
        content_type: str = wire.NDJSON,
        status: int = 200,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """A chunked body: a chunk, and a piece, for each of `chunks`; the empty last chunk is a piece of its own."""
        head = wire.head(status, content_type, headers=list((headers or {}).items()), date=DATE)
        pieces = [wire.chunk(data) for data in chunks if data]
        return cls(_head_with_first_piece(head, [*pieces, wire.LAST_CHUNK]), head_length=len(head))

    @classmethod
    def ndjson(cls, items: Iterable[Any], status: int = 200, *, headers: Mapping[str, str] | None = None) -> Reply:
        """A stream of lines, a chunk each. Items are objects, or lines already written (bytes, newline included)."""
        written = (item if isinstance(item, bytes) else wire.dumps(item) + b"\n" for item in items)
        return cls.stream(written, wire.NDJSON, status, headers=headers)

    @classmethod
    def sse(cls, frames: Iterable[Any], *, done: bool = True) -> Reply:
        """A stream of `data:` frames, a chunk each, and `[DONE]` unless `done` is False."""
        written = [b"data: " + (f if isinstance(f, bytes) else wire.dumps(f)) + b"\n\n" for f in frames]
        if done:
            written.append(b"data: [DONE]\n\n")
        return cls.stream(written, wire.SSE)

    @classmethod
    def transcript(cls, source: Transcript | AnyPath, name: str | None = None) -> Reply:
        """A recorded response, byte for byte: a `Transcript`, its path, or a folder and a `name`."""
        recorded = source if isinstance(source, Transcript) else load(source, name)
        return cls.raw(recorded.response, end=CLOSE if recorded.ended == "closed" else KEEP)

    @classmethod
    def chat(cls, content: str | Iterable[str] = "", *, stream: bool = True, **fields: Any) -> Reply:
        """A `/api/chat` answer; `fields` are those of `chat_lines`."""
        if stream:
            return cls.ndjson(_lines.chat_lines(content, **fields))
        return cls.json(_lines.chat_object(content, **fields))

    @classmethod
    def generate(cls, text: str | Iterable[str] = "", *, stream: bool = True, **fields: Any) -> Reply:
        """A `/api/generate` answer; `fields` are those of `generate_lines`."""
        if stream:
            return cls.ndjson(_lines.generate_lines(text, **fields))
        return cls.json(_lines.generate_object(text, **fields))

    @classmethod
    def embed(cls, vectors: Sequence[Sequence[float]], **fields: Any) -> Reply:
        """An `/api/embed` answer."""
        return cls.json(_lines.embed_object(vectors, **fields))

    @property
    def data(self) -> bytes:
        """All bytes of the reply."""
        return b"".join(self.pieces)

    @property
    def head(self) -> bytes:
        """Status line and headers, the blank line included."""
        return self.data[: self.head_length]

    def without_body(self) -> Reply:
        """The head alone, as an answer to HEAD is."""
        return replace(self, pieces=(self.head,))

    def cut(self, *offsets: int, in_body: bool = False) -> Reply:
        """The same bytes, cut at these offsets of the whole reply; with `in_body`, of its body with its chunk sizes."""
        data = self.data
        start = self.head_length if in_body else 0
        ends = sorted({start + offset for offset in offsets if 0 < start + offset < len(data)})
        bounds = [0, *ends, len(data)]
        return replace(self, pieces=tuple(data[a:b] for a, b in zip(bounds, bounds[1:])))

    def every(self, size: int) -> Reply:
        """The same bytes in pieces of `size` bytes."""
        data = self.data
        return replace(self, pieces=tuple(data[at : at + size] for at in range(0, len(data), size)))

    def at_once(self) -> Reply:
        """The same bytes in one piece."""
        return replace(self, pieces=(self.data,))

    def headers_first(self) -> Reply:
        """The same bytes, with the head as a piece of its own."""
        first = self.pieces[0] if self.pieces else b""
        if not 0 < self.head_length < len(first):
            return self
        return replace(self, pieces=(first[: self.head_length], first[self.head_length :], *self.pieces[1:]))

    def slowly(self, delay: float = 0.0, *, pause: float = 0.0) -> Reply:
        """With `delay` seconds between the pieces and `pause` seconds before the first."""
        return replace(self, delay=delay, pause=pause)

    def gated(self, free: int = 1) -> Reply:
        """With a `gate` of its own: all pieces but the first `free` wait for `reply.gate.open()`."""
        return replace(self, gate=Gate(free))

    def then(self, end: str) -> Reply:
        """With another `end`: `keep`, `close`, `reset` or `hang`."""
        return replace(self, end=end)


def _head_with_first_piece(head: bytes, pieces: Sequence[bytes]) -> tuple[bytes, ...]:
    if not pieces:
        return (head,) if head else ()
    return (head + pieces[0], *pieces[1:])
