"""Fixtures: a running scripted server, and a client that shows raw bytes."""

from __future__ import annotations

import json
import socket

import pytest

from metagpt_ollama_rs.testing import ScriptedServer


class RawClient:
    """A connection that sends requests and hands back whatever comes."""

    def __init__(self, server):
        self.socket = socket.create_connection((server.host, server.port), timeout=20)

    def send(self, method, path, body=None, *headers):
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", "Host: test", *headers, f"Content-Length: {len(data)}", "", ""]
        self.socket.sendall("\r\n".join(lines).encode() + data)

    def read(self, size):
        parts = b""
        while len(parts) < size:
            data = self.socket.recv(size - len(parts))
            if not data:
                break
            parts += data
        return parts

    def ask(self, method, path, body, expected):
        """Sends a request and reads as many bytes as `expected` has."""
        self.send(method, path, body)
        return self.read(len(expected))

    def read_to_end(self):
        parts = b""
        while data := self.socket.recv(1 << 16):
            parts += data
        return parts

    def close(self):
        self.socket.close()


@pytest.fixture
def server():
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def connect(server):
    clients = []

    def make():
        clients.append(RawClient(server))
        return clients[-1]

    yield make
    for client in clients:
        client.close()
