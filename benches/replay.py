"""The replay server: answers requests from pre-rendered bytes (see `script`), with as little work as it can.

A process of its own, one thread, one epoll. It prints its port and stops when its standard input ends, so that it
never outlives the bench that started it. A burst is written in blocks of a thousand lines, each still an HTTP chunk of
its own; a paced line gets the time of its sending.
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

MODEL = re.compile(rb'"model":\s*"([^"]+)"')
NOT_STREAMED = re.compile(rb'"stream":\s*false')
LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)

# Streams of the same speed send their lines at different times within a pause, as on a real server.
PHASES = 16


class Connection:
    """One socket: bytes of a request still incomplete, what is to be sent as soon as the socket takes it, and the lines
    of the paced stream under way."""

    def __init__(self, accepted: socket.socket) -> None:
        self.socket = accepted
        self.received = bytearray()
        self.unsent = memoryview(b"")
        self.blocks: Iterator[bytes] = iter(())
        self.paced: Iterator[tuple[bytes, bytes]] = iter(())
        self.end = b""
        self.stuck = False


class Server:
    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.listener.setblocking(False)
        self.poll = select.epoll()
        self.connections: dict[int, Connection] = {}
        self.due: list[tuple[float, int, Connection, float]] = []
        self.order = itertools.count()

    def run(self) -> None:
        print(self.listener.getsockname()[1], flush=True)
        self.poll.register(self.listener, select.EPOLLIN)
        self.poll.register(sys.stdin, select.EPOLLIN)
        while True:
            if self.due:
                # epoll waits for whole milliseconds, which is too coarse for a thousand tokens a second.
                select.select([self.poll], [], [], max(0.0, self.due[0][0] - time.monotonic()))
            for descriptor, events in self.poll.poll(0 if self.due else -1):
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
            # A large send buffer, so that a thousand lines are sent by one call.
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            self.connections[accepted.fileno()] = Connection(accepted)
            self.poll.register(accepted, select.EPOLLIN)

    def serve(self, connection: Connection, events: int) -> None:
        if events & select.EPOLLOUT:
            self.send(connection)
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
        model = found[1].decode() if found else ""
        kind, numbers = script.shape(model)
        if not model:
            connection.blocks = iter((script.WHOLE_HEAD % 2 + b"{}",))
        elif kind == "embed" or NOT_STREAMED.search(request):
            connection.blocks = iter((script.whole(model),))
        elif kind == "burst":
            connection.blocks = script.blocks(model)
        else:
            lines, rate = numbers
            connection.blocks = iter((script.STREAM_HEAD,))
            connection.paced, connection.end = iter(script.paced(model)), script.end(model, lines)
            order = next(self.order)
            first = time.monotonic() + (order % PHASES + 1) / PHASES / rate
            heapq.heappush(self.due, (first, order, connection, 1 / rate))
        self.send(connection)

    def send_due(self) -> None:
        now = time.monotonic()
        while self.due and self.due[0][0] <= now:
            when, order, connection, pause = heapq.heappop(self.due)
            cut = next(connection.paced, None)
            if cut is None:
                data, connection.end = connection.end, b""
            else:
                data = b"%s%019d%s" % (cut[0], time.monotonic_ns(), cut[1])
                heapq.heappush(self.due, (when + pause, order, connection, pause))
            if data:
                connection.unsent = memoryview(bytes(connection.unsent) + data)
                self.send(connection)

    def send(self, connection: Connection) -> None:
        """Sends what the socket takes now; the rest follows when it is writable again."""
        while connection.unsent or self.refill(connection):
            try:
                sent = connection.socket.send(connection.unsent)
            except BlockingIOError:
                break
            except OSError:
                self.forget(connection)
                return
            connection.unsent = connection.unsent[sent:]
        stuck = bool(connection.unsent)
        if stuck != connection.stuck:
            connection.stuck = stuck
            self.poll.modify(connection.socket, select.EPOLLIN | select.EPOLLOUT if stuck else select.EPOLLIN)

    def refill(self, connection: Connection) -> bool:
        connection.unsent = memoryview(next(connection.blocks, b""))
        return bool(connection.unsent)

    def forget(self, connection: Connection) -> None:
        connection.paced, connection.end = iter(()), b""
        self.connections.pop(connection.socket.fileno(), None)
        connection.socket.close()


if __name__ == "__main__":
    Server().run()
