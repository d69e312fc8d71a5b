"""The replay server: answers chat requests from pre-rendered bytes (see `script`), with as little work as it can.

A process of its own, one thread, one epoll. It prints its port and stops when its standard input ends, so that it
never outlives the bench that started it.
"""

from __future__ import annotations

import heapq
import itertools
import re
import select
import socket
import sys
import time
from collections.abc import Iterator

from benches import script

STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
WHOLE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: %d\r\n\r\n"
MODEL = re.compile(rb'"model":\s*"([^"]+)"')
NOT_STREAMED = re.compile(rb'"stream":\s*false')
LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)

# Streams of one speed are spread over the pause between two lines, as they would be on a real server.
PHASES = 16


class Connection:
    """One socket: bytes of a request still incomplete, bytes not yet sent, and the pace of the stream under way."""

    def __init__(self, accepted: socket.socket) -> None:
        self.socket = accepted
        self.received = bytearray()
        self.unsent = memoryview(b"")
        self.paced: Iterator[bytes] = iter(())


class Server:
    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.listener.setblocking(False)
        self.poll = select.epoll()
        self.connections: dict[int, Connection] = {}
        self.due: list[tuple[float, int, Connection, float]] = []
        self.order = itertools.count()
        self.bodies: dict[str, bytes] = {}

    def run(self) -> None:
        print(self.listener.getsockname()[1], flush=True)
        self.poll.register(self.listener, select.EPOLLIN)
        self.poll.register(sys.stdin, select.EPOLLIN)
        while True:
            pause = max(0.0, self.due[0][0] - time.monotonic()) if self.due else -1
            for descriptor, events in self.poll.poll(pause):
                if descriptor == self.listener.fileno():
                    self.accept()
                elif descriptor == sys.stdin.fileno():
                    return
                elif connection := self.connections.get(descriptor):
                    self.serve(connection, events)
            self.send_due()

    def accept(self) -> None:
        while True:
            try:
                accepted, _ = self.listener.accept()
            except BlockingIOError:
                return
            accepted.setblocking(False)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections[accepted.fileno()] = Connection(accepted)
            self.poll.register(accepted, select.EPOLLIN)

    def serve(self, connection: Connection, events: int) -> None:
        if events & select.EPOLLOUT:
            self.send(connection, b"")
        if not events & ~select.EPOLLOUT:
            return
        try:
            data = connection.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.forget(connection)
            return
        connection.received += data
        end = connection.received.find(b"\r\n\r\n")
        if end < 0:
            return
        length = LENGTH.search(connection.received, 0, end)
        complete = end + 4 + (int(length[1]) if length else 0)
        if len(connection.received) >= complete:
            request = bytes(connection.received[:complete])
            del connection.received[:complete]
            self.answer(connection, request)

    def answer(self, connection: Connection, request: bytes) -> None:
        found = MODEL.search(request)
        if found is None:
            self.send(connection, WHOLE_HEAD % 2 + b"{}")
            return
        model = found[1].decode()
        if NOT_STREAMED.search(request):
            body = script.whole(model)
            self.send(connection, WHOLE_HEAD % len(body) + body)
            return
        rate = script.shape(model)[1]
        if not rate:
            if model not in self.bodies:
                self.bodies[model] = STREAM_HEAD + b"".join(script.chunks(model))
            self.send(connection, self.bodies[model])
            return
        connection.paced = iter(script.chunks(model))
        self.send(connection, STREAM_HEAD)
        order = next(self.order)
        first = time.monotonic() + (order % PHASES + 1) / PHASES / rate
        heapq.heappush(self.due, (first, order, connection, 1 / rate))

    def send_due(self) -> None:
        now = time.monotonic()
        while self.due and self.due[0][0] <= now:
            when, order, connection, pause = heapq.heappop(self.due)
            line = next(connection.paced, None)
            if line is not None:
                self.send(connection, line)
                heapq.heappush(self.due, (when + pause, order, connection, pause))

    def send(self, connection: Connection, data: bytes) -> None:
        """Sends what the socket takes now and keeps the rest for when it is writable again."""
        waiting = bool(connection.unsent)
        view = memoryview(bytes(connection.unsent) + data if waiting else data)
        try:
            sent = connection.socket.send(view)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.forget(connection)
            return
        connection.unsent = view[sent:]
        left = bool(connection.unsent)
        if left != waiting:
            self.poll.modify(connection.socket, select.EPOLLIN | select.EPOLLOUT if left else select.EPOLLIN)

    def forget(self, connection: Connection) -> None:
        connection.paced = iter(())
        self.connections.pop(connection.socket.fileno(), None)
        connection.socket.close()


if __name__ == "__main__":
    Server().run()
