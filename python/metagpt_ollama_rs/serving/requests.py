"""HTTP requests as a server sees them.

`RequestReader` reads the requests of one connection and is lenient, because the scripted server shows a test whatever
its client sends. The embedded server has a strict reader of its own (`embedded/connection.py`). For example, this is a
`Request` whose `path` is ``/api/version`` and whose `query` is ``verbose=1``::

    GET /api/version?verbose=1 HTTP/1.1
    Host: 127.0.0.1:11434
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket

# A head of more bytes than this is no request.
_HEAD_LIMIT = 1 << 20


class Request:
    """A request as it arrived.

    `headers` keeps order, spelling and repetition; `header(name)` looks one up. `connection` numbers the connection it
    came on, from 1. `hung_up` is set when the client closed the connection before the reply was sent completely,
    `answered` when all of the reply was handed to the socket.

    >>> request = Request(1, "POST", "/api/chat?a=1", [("Content-Type", "application/json")], b'{"model": "smollm2"}')
    >>> request.path, request.query, request.header("content-type"), request.json()
    ('/api/chat', 'a=1', 'application/json', {'model': 'smollm2'})
    """

    def __init__(self, connection: int, method: str, target: str, headers: list[tuple[str, str]], body: bytes) -> None:
        self.connection = connection
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.hung_up = threading.Event()
        self.answered = threading.Event()

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """What follows the `?` of the target."""
        return self.target.partition("?")[2]

    def header(self, name: str, default: str | None = None) -> str | None:
        """The value of the first header `name`, in upper or lower case; `default` if there is none."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), default)

    def header_map(self) -> dict[str, str]:
        """Headers by lower-case name; of repeated ones the last."""
        return {name.lower(): value for name, value in self.headers}

    def json(self) -> Any:
        """The value of the body, which is JSON. Raises ValueError if it is not."""
        return json.loads(self.body)

    def wait_hung_up(self, timeout: float = 10.0) -> None:
        """Returns once the client has hung up; raises TimeoutError after `timeout` seconds."""
        if not self.hung_up.wait(timeout):
            raise TimeoutError(f"the client of {self!r} did not hang up within {timeout} s")

    def wait_answered(self, timeout: float = 10.0) -> None:
        """Returns once the reply was sent completely; raises TimeoutError after `timeout` seconds."""
        if not self.answered.wait(timeout):
            raise TimeoutError(f"the reply to {self!r} was not sent within {timeout} s")

    def __repr__(self) -> str:
        return f"<{self.method} {self.target}, {len(self.body)} bytes>"


class MalformedRequestError(Exception):
    """Bytes that are no HTTP request. See `RequestReader`."""


class RequestReader:
    """Reads the requests of one connection.

    >>> import socket
    >>> client, server = socket.socketpair()
    >>> client.sendall(b"GET /api/tags HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\nno request\\r\\n\\r\\n")
    >>> reader = RequestReader(server, 1)
    >>> reader.next()
    <GET /api/tags, 0 bytes>
    >>> try:
    ...     reader.next()
    ... except MalformedRequestError as error:
    ...     print(error)
    no request
    >>> client.close(), server.close()
    (None, None)
    """

    def __init__(self, sock: socket.socket, connection: int) -> None:
        self._sock = sock
        self._connection = connection
        self._buffer = b""

    def next(self) -> Request | None:
        """The next request, or None at the end of the connection. Raises MalformedRequestError or OSError."""
        head = self._read_until(b"\r\n\r\n")
        if head is None:
            return None
        first, *rest = head.decode("latin-1").split("\r\n")
        words = first.split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            raise MalformedRequestError(first)
        headers = []
        for line in rest:
            name, colon, value = line.partition(":")
            if not colon:
                raise MalformedRequestError(line)
            headers.append((name, value.strip(" \t")))
        request = Request(self._connection, words[0], words[1], headers, b"")
        if (request.header("Expect") or "").lower() == "100-continue":
            self._sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.body = self._read_body(request)
        return request

    @property
    def pending(self) -> bool:
        """Whether bytes of a further request have been received already."""
        return bool(self._buffer)

    def _read_body(self, request: Request) -> bytes:
        if "chunked" in (request.header("Transfer-Encoding") or "").lower():
            return self._read_chunks()
        try:
            length = int(request.header("Content-Length") or 0)
        except ValueError as error:
            raise MalformedRequestError(str(error)) from None
        return self._read_exactly(length)

    def _read_chunks(self) -> bytes:
        parts: list[bytes] = []
        while True:
            line = self._read_until(b"\r\n")
            try:
                size = int((line or b"").split(b";")[0], 16)
            except ValueError as error:
                raise MalformedRequestError(str(error)) from None
            if size == 0:
                while self._read_until(b"\r\n"):
                    pass
                return b"".join(parts)
            parts.append(self._read_exactly(size))
            self._read_exactly(2)

    def _receive(self) -> bool:
        """Receives more bytes; False at the end of the connection."""
        data = self._sock.recv(1 << 16)
        self._buffer += data
        return bool(data)

    def _read_until(self, end: bytes) -> bytes | None:
        """The bytes before `end`, which is taken away too; None at the end of the connection."""
        while end not in self._buffer:
            if len(self._buffer) > _HEAD_LIMIT:
                raise MalformedRequestError("the head is too long")
            if not self._receive():
                if self._buffer:
                    raise MalformedRequestError("the connection ended within a request")
                return None
        found, _, self._buffer = self._buffer.partition(end)
        return found

    def _read_exactly(self, size: int) -> bytes:
        parts = [self._buffer[:size]]
        self._buffer = self._buffer[size:]
        missing = size - len(parts[0])
        while missing > 0:
            data = self._sock.recv(min(missing, 1 << 20))
            if not data:
                raise MalformedRequestError("the connection ended within a body")
            parts.append(data)
            missing -= len(data)
        return b"".join(parts)
