r"""One request, and the ways to answer it with the headers and the framing of Ollama's replies.

For example, ``exchange.line({"response": "Hi"})`` sends, the first time behind the head of the response::

    12\r\n{"response":"Hi"}\n\r\n
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..serving import format as wire

if TYPE_CHECKING:
    from ..serving.requests import Request
    from .checks import Refusal
    from .connection import Connection


class ServerExchange:
    """One request, and the ways to answer it. Every method that sends raises `ClientLeftError` when the client has hung
    up.

    `streaming` is True once a first line was sent.

    >>> import socket
    >>> from metagpt_ollama_rs.embedded.connection import Connection, Limits
    >>> client, server = socket.socketpair()
    >>> client.sendall(b"GET /api/version HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
    >>> connection = Connection(server, Limits())
    >>> ServerExchange(connection.next(), connection).json({"version": "0.12.0"})
    >>> client.recv(4096).splitlines()[0]
    b'HTTP/1.1 200 OK'
    >>> client.close(), server.close()
    (None, None)
    """

    def __init__(self, request: Request, client: Connection) -> None:
        self.request = request
        self.client = client
        self.streaming = False

    def json(self, value: Any, status: int = 200) -> None:
        """Answers with one JSON body."""
        send_whole(self.client, status, wire.dumps(value), wire.JSON)

    def text(self, text: str, status: int = 200, *, content_type: str = wire.TEXT, **headers: str) -> None:
        """Answers with text."""
        send_whole(self.client, status, text.encode(), content_type, **headers)

    def empty(self, status: int) -> None:
        """Answers without a body."""
        send_whole(self.client, status, b"", None)

    def line(self, value: Any) -> None:
        """Sends the next line of a streamed answer, the head before the first."""
        data = wire.dumps(value) + b"\n"
        if self.streaming:
            self.client.send_piece(data)
        else:
            self.streaming = True
            self.client.start_reply(200, wire.fields(wire.NDJSON), data)

    def end(self) -> None:
        """Ends a streamed answer."""
        self.client.end_reply()

    def refuse(self, refusal: Refusal) -> None:
        """Answers with an error: as the last line of a stream that has begun, else as a body with its status."""
        body = wire.dumps({"error": refusal.text})
        if self.streaming:
            self.client.send_piece(body + b"\n")
            self.client.end_reply()
        elif refusal.late:
            self.client.reply(refusal.status, wire.fields(wire.JSON_BARE), body)
        else:
            send_whole(self.client, refusal.status, body, wire.JSON)


def refuse_and_close(client: Connection, refusal: Refusal) -> None:
    """Answers a request that cannot be read, or one beyond the limit, and closes the connection."""
    send_whole(client, refusal.status, wire.dumps({"error": refusal.text}), wire.JSON, Connection="close")
    client.wait_for_close()


def send_whole(client: Connection, status: int, body: bytes, content_type: str | None, **headers: str) -> None:
    """Sends a reply that is not streamed, with a Content-Length where Ollama sends one."""
    length = len(body) if len(body) <= wire.LENGTH_LIMIT else None
    client.reply(status, wire.fields(content_type, length=length, headers=headers.items()), body)
