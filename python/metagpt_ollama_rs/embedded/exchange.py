"""One request and the means to answer it, framed as Ollama frames its replies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..serving import format as wire

if TYPE_CHECKING:
    from ..serving.requests import Request
    from .checks import Refusal
    from .connection import Connection


class Exchange:
    """One request and the means to answer it. Every method that sends raises ClientLeftError when the client left."""

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
            self.client.more(data)
        else:
            self.streaming = True
            self.client.begin(200, wire.fields(wire.NDJSON), data)

    def end(self) -> None:
        """Ends a streamed answer."""
        self.client.end()

    def refuse(self, refusal: Refusal) -> None:
        """Answers with an error: a line of its own once a stream has begun, else a body under its status."""
        body = wire.dumps({"error": refusal.text})
        if self.streaming:
            self.client.more(body + b"\n")
            self.client.end()
        elif refusal.late:
            self.client.reply(refusal.status, wire.fields(wire.JSON_BARE), body)
        else:
            send_whole(self.client, refusal.status, body, wire.JSON)


def refuse_and_close(client: Connection, refusal: Refusal) -> None:
    """Answers what is no request, or one too many, and says that the connection ends here."""
    send_whole(client, refusal.status, wire.dumps({"error": refusal.text}), wire.JSON, Connection="close")
    client.linger()


def send_whole(client: Connection, status: int, body: bytes, content_type: str | None, **headers: str) -> None:
    """A reply that is not streamed."""
    length = len(body) if len(body) <= wire.LENGTH_LIMIT else None
    client.reply(status, wire.fields(content_type, length=length, headers=headers.items()), body)
