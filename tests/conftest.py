"""What tests share: TLS in front of the scripted server, with certificates that lie beside it, and tunnels to that."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest

from metagpt_ollama_rs.testing import ScriptedServer

CERTIFICATES = Path(__file__).parent / "certificates"


def copy(source: socket.socket, target: socket.socket) -> None:
    """Passes on what comes from one connection to another, to its end."""
    with contextlib.suppress(OSError, ValueError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


class Front:
    """Takes TLS connections on a port of its own and passes on what they carry, as a reverse proxy does."""

    def __init__(self, certificate: str, backend: int, clients: str | None = None) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(CERTIFICATES / f"{certificate}.pem")
        if clients:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(CERTIFICATES / f"{clients}.pem")
        self._backend = backend
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"https://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        for sock in (self._listener, *self._open):
            # One that is not connected any more cannot be shut down.
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        # A client that does not trust the certificate leaves in the middle of the handshake.
        with contextlib.suppress(OSError), sock:
            client = self._context.wrap_socket(sock, server_side=True)
            with client, socket.create_connection(("127.0.0.1", self._backend)) as server:
                self._open += [client, server]
                back = threading.Thread(target=copy, args=(server, client), daemon=True)
                back.start()
                copy(client, server)
                back.join()


@pytest.fixture
def certificates() -> Path:
    """The folder of the certificates that ``make.py`` there has made."""
    return CERTIFICATES


@pytest.fixture
def tls_front(ollama_server: ScriptedServer) -> Iterator[Callable[..., Front]]:
    """Starts a `Front` of ``ollama_server`` that shows the certificate of this name, and demands one that the authority
    ``clients`` has signed."""
    fronts: list[Front] = []

    def start(certificate: str = "server", clients: str | None = None) -> Front:
        fronts.append(Front(certificate, ollama_server.port, clients))
        return fronts[-1]

    yield start
    for front in fronts:
        front.stop()


@pytest.fixture
def tunnel() -> Iterator[Callable[..., str]]:
    """Starts a proxy that answers CONNECT with ``answer``, and with 200 leads to ``port``, whatever the host."""
    with contextlib.ExitStack() as stack:

        def start(answer: bytes, port: int = 0) -> str:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def accept() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        sock, _ = listener.accept()
                        threading.Thread(target=serve, args=(sock,), daemon=True).start()

            def serve(client: socket.socket) -> None:
                with contextlib.suppress(OSError), client:
                    head = b""
                    while b"\r\n\r\n" not in head:
                        head += client.recv(1 << 16)
                    client.sendall(answer)
                    if port:
                        with socket.create_connection(("127.0.0.1", port)) as server:
                            threading.Thread(target=copy, args=(server, client), daemon=True).start()
                            copy(client, server)

            threading.Thread(target=accept, daemon=True).start()
            stack.callback(listener.shutdown, socket.SHUT_RDWR)
            return f"http://127.0.0.1:{listener.getsockname()[1]}"

        yield start
