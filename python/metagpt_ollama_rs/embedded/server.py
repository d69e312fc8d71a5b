"""The embedded server: accepts connections, a thread for each, and finds the endpoint that a request asks for."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from ..serving.ollama import DEFAULT_CONTEXT_LENGTH, DEFAULT_MODEL
from .api import Api
from .checks import BUSY, Refusal
from .connection import ClientLeftError, Connection, Limits, host_name
from .exchange import ServerExchange, refuse_and_close
from .models import open_models

if TYPE_CHECKING:
    import os

# The ends of host names that only this machine or its own network can have, and so no web page from elsewhere.
_LOCAL_NAMES = (".localhost", ".local", ".internal")

# Seconds until connections are accepted again after that has failed.
_ACCEPT_RETRY_SECONDS = 0.05

_LIMITS = Limits()


class EmbeddedServer:
    """Serves the GGUF file at `path` under `name` on `host`, port `port` (0: any free one). Also a context manager.

    `embeddings` serves it a second time as an embedding model, `NAME-embed`; `context_length` is that of requests
    without `num_ctx`, in tokens. The model is loaded by the first request that needs it. `limits` hold for each client.
    Raises `gguf.NotGgufError`, or OSError when the file cannot be read.

    >>> try:
    ...     with EmbeddedServer("SmolLM2-135M-Instruct.Q4_1.gguf", port=11434) as server:
    ...         print(server.url)
    ... except FileNotFoundError as error:
    ...     print(error.filename)
    SmolLM2-135M-Instruct.Q4_1.gguf
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        name: str = DEFAULT_MODEL,
        embeddings: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
        context_length: int = DEFAULT_CONTEXT_LENGTH,
        limits: Limits = _LIMITS,
    ) -> None:
        self.host = host
        self.port = port
        self.models = open_models(Path(path), name, embeddings=embeddings)
        self._context_length = context_length
        self._lock = threading.Lock()
        self._connections: dict[Connection, threading.Thread] = {}
        self._limits = limits
        # One slot for each connection. A request without a slot came on a connection beyond the limit, while requests
        # were being answered on all others.
        self._request_slots = threading.BoundedSemaphore(limits.connections)
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
        """Begins to listen; `port` is then the real port. Raises OSError when the address cannot be listened on."""
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
        # Shutting down a listener that the system has closed already is an error.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join()
        with self._lock:
            connections = dict(self._connections)
        for connection in connections:
            connection.shut_down()
        self._api.close()
        for thread in connections.values():
            thread.join()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                # The client has hung up already, or no file descriptor is left.
                self._close_longest_waiting()
                self._stopping.wait(_ACCEPT_RETRY_SECONDS)
                continue
            if len(self._connections) >= self._limits.connections:
                self._close_longest_waiting()
            self._start_connection(sock)

    def _start_connection(self, sock: socket.socket) -> None:
        connection = Connection(sock, self._limits)
        thread = threading.Thread(target=self._serve, args=(connection, sock), name="embedded-connection", daemon=True)
        with self._lock:
            self._connections[connection] = thread
        try:
            # The client may have hung up already, and the system may have no more threads.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread.start()
        except (OSError, RuntimeError):
            self._remove_connection(connection, sock)

    def _remove_connection(self, connection: Connection, sock: socket.socket) -> None:
        with self._lock:
            del self._connections[connection]
            sock.close()

    def _close_longest_waiting(self) -> None:
        """Ends the connection that has waited longest for a request, or for the rest of one."""
        with self._lock:
            waiting = [(since, one) for one in self._connections if (since := one.waiting_since) is not None]
            if waiting:
                min(waiting, key=lambda entry: entry[0])[1].shut_down()

    def _serve(self, connection: Connection, sock: socket.socket) -> None:
        # A client that hangs up ends its own connection and nothing else.
        try:
            with contextlib.suppress(ClientLeftError, OSError):
                try:
                    while not self._stopping.is_set() and (request := connection.next()) is not None:
                        self._answer_if_slot_free(ServerExchange(request, connection))
                except Refusal as refusal:
                    refuse_and_close(connection, refusal)
        finally:
            self._remove_connection(connection, sock)

    def _answer_if_slot_free(self, exchange: ServerExchange) -> None:
        if not self._request_slots.acquire(blocking=False):
            raise Refusal(503, BUSY)
        try:
            self._answer(exchange)
        finally:
            self._request_slots.release()

    def _answer(self, exchange: ServerExchange) -> None:
        request = exchange.request
        if not self._is_allowed(exchange):
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
            except OSError as error:
                # The model's file was deleted, or no file descriptor is left.
                exchange.refuse(Refusal(500, str(error)))
            except Exception:
                # An error in this server: stderr gets the traceback, the client what Ollama answers after a panic.
                traceback.print_exc()
                if exchange.streaming:
                    raise ClientLeftError from None
                exchange.empty(500)

    def _is_allowed(self, exchange: ServerExchange) -> bool:
        """Whether a request may be answered, by Ollama's rule against web pages that ask a server on loopback.

        A browser sends an Origin header, and in the Host header the name of the page's own site.
        """
        request = exchange.request
        if request.header("Origin") is not None:
            return False
        if not _is_loopback(self.host):
            return True
        name = host_name(request.header("Host") or "")
        if name in ("", "localhost", socket.gethostname().lower()) or name.endswith(_LOCAL_NAMES):
            return True
        address = _address(name)
        return address is not None and (
            address.is_private or address.is_unspecified or name == exchange.client.own_address()
        )


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _is_loopback(name: str) -> bool:
    address = _address(name)
    return name == "localhost" or (address is not None and address.is_loopback)
