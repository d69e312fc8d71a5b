"""Connections, routes and bytes of the embedded server: a thread per connection, replies framed as Ollama's."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..serving import format as wire
from ..serving.requests import BadRequestError, Reader, Request
from .api import Api
from .checks import Refusal
from .engine import ClientLeftError
from .models import open_models

if TYPE_CHECKING:
    import os

DEFAULT_CONTEXT = 4096


class Exchange:
    """One request and the means to answer it. Every method that sends raises ClientLeftError when the client left."""

    def __init__(self, request: Request, client: socket.socket) -> None:
        self.request = request
        self.client = client
        self.streaming = False

    def json(self, value: Any, status: int = 200) -> None:
        """Answers with one JSON body."""
        self._whole(status, wire.dumps(value), wire.JSON)

    def text(self, text: str, status: int = 200, *, content_type: str = wire.TEXT, **headers: str) -> None:
        """Answers with text."""
        self._whole(status, text.encode(), content_type, **headers)

    def empty(self, status: int) -> None:
        """Answers without a body."""
        self._whole(status, b"", None)

    def line(self, value: Any) -> None:
        """Sends the next line of a streamed answer, the head before the first."""
        data = wire.chunk(wire.dumps(value) + b"\n")
        if not self.streaming:
            self.streaming = True
            data = wire.head(200, wire.NDJSON) + data
        self._send(data)

    def end(self) -> None:
        """Ends a streamed answer."""
        self._send(wire.LAST_CHUNK)

    def refuse(self, refusal: Refusal) -> None:
        """Answers with an error: a line of its own once a stream has begun, else a body under its status."""
        body = wire.dumps({"error": refusal.text})
        if self.streaming:
            self._send(wire.chunk(body + b"\n") + wire.LAST_CHUNK)
        elif refusal.late:
            self._send(wire.head(refusal.status, wire.JSON_BARE) + wire.chunk(body) + wire.LAST_CHUNK)
        else:
            self._whole(refusal.status, body, wire.JSON)

    def _whole(self, status: int, body: bytes, content_type: str | None, **headers: str) -> None:
        head, framed = wire.whole(status, body, content_type, headers=headers.items())
        self._send(head if self.request.method == "HEAD" else head + framed)

    def _send(self, data: bytes) -> None:
        try:
            self.client.sendall(data)
        except OSError as error:
            raise ClientLeftError from error


class EmbeddedServer:
    """Serves the GGUF file at `path` under `name` on `host`, port `port` (0: any free one). Also a context manager.

    `embeddings` serves it a second time as an embedding model, `NAME-embed`; `context_length` is that of requests
    without `num_ctx`, in tokens. The model is loaded by the first request that needs it.
    Raises `gguf.NotGgufError`, or OSError when the file cannot be read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        name: str = "smollm2:135m",
        embeddings: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
        context_length: int = DEFAULT_CONTEXT,
    ) -> None:
        self.host = host
        self.port = port
        self.models = open_models(Path(path), name, embeddings=embeddings)
        self._context_length = context_length
        self._lock = threading.Lock()
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._stopping = threading.Event()

    def __enter__(self) -> EmbeddedServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """`http://HOST:PORT`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def start(self) -> EmbeddedServer:
        """Begins to listen; `port` then holds the real port. Raises OSError when the address cannot be had."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind((self.host, self.port))
            self._listener.listen(128)
        except OSError:
            self._listener.close()
            raise
        self.port = self._listener.getsockname()[1]
        self._api = Api(self.models, default_context=self._context_length)
        self._acceptor = threading.Thread(target=self._accept, name="embedded-accept", daemon=True)
        self._acceptor.start()
        return self

    def stop(self) -> None:
        """Closes every connection, unloads the models, waits for the threads."""
        self._stopping.set()
        _shut(self._listener)
        self._listener.close()
        self._acceptor.join()
        with self._lock:
            connections = dict(self._connections)
        for sock in connections:
            _shut(sock)
        self._api.close()
        for thread in connections.values():
            thread.join()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._serve, args=(sock,), name="embedded-connection", daemon=True)
            with self._lock:
                self._connections[sock] = thread
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        reader = Reader(sock, 0)
        # A client that leaves, or that sends no HTTP, ends its connection and nothing else.
        with contextlib.suppress(ClientLeftError, BadRequestError, OSError):
            while not self._stopping.is_set():
                request = reader.next()
                if request is None:
                    break
                self._answer(Exchange(request, sock))
                if (request.header("Connection") or "").lower() == "close":
                    break
        with self._lock:
            del self._connections[sock]
            sock.close()

    def _answer(self, exchange: Exchange) -> None:
        request = exchange.request
        if not self._welcome(request):
            exchange.empty(403)
            return
        methods = self._api.routes.get(request.path)
        if methods is None:
            exchange.text("404 page not found", 404)
        elif request.method not in methods:
            exchange.text("405 method not allowed", 405, Allow=", ".join(methods))
        else:
            try:
                methods[request.method](exchange)
            except Refusal as refusal:
                exchange.refuse(refusal)
            except ClientLeftError:
                raise
            except Exception:
                # A mistake of this server: told to whoever runs it; the client sees what Ollama shows after a panic.
                traceback.print_exc()
                if exchange.streaming:
                    raise ClientLeftError from None
                exchange.empty(500)

    def _welcome(self, request: Request) -> bool:
        """Ollama's guard against web pages that reach for a server on loopback: names of others are refused."""
        if request.header("Origin") is not None:
            return False
        if not _is_loopback(self.host):
            return True
        host = (request.header("Host") or "").lower()
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        return name in ("", "localhost", socket.gethostname().lower()) or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    return name == "localhost" or (_is_address(name) and ipaddress.ip_address(name).is_loopback)


def _shut(sock: socket.socket) -> None:
    # It may not be connected any more.
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
