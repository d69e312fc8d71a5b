"""Files that are being sent, when the program ends, forks or is interrupted: a server takes a part of one and no more
until the program is done with it, and then must see the end of the connection before the end of the file."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest

from .conftest import Outcome, Start

MB = 1 << 20
SIZE = 64 * MB


class SlowSink:
    """A server that says of a blob that it is not there, and takes a megabyte of it; the rest when it may `go_on`."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        # Otherwise the system takes tens of megabytes that nobody has read.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 << 10)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.has_begun, self.go_on = threading.Event(), threading.Event()
        self._taken = 0
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def _start(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        self._threads.append(threading.Thread(target=work, args=arguments, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            while head := self._head(connection):
                if head.startswith(b"HEAD"):
                    connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                    continue
                self._take(connection, MB)
                self.has_begun.set()
                assert self.go_on.wait(30)
                self._take(connection, SIZE)
                return

    @staticmethod
    def _head(connection: socket.socket) -> bytes:
        head = b""
        while not head.endswith(b"\r\n\r\n") and (byte := connection.recv(1)):
            head += byte
        return head

    def _take(self, connection: socket.socket, count: int) -> None:
        until = self._taken + count
        try:
            while self._taken < until and (data := connection.recv(min(MB, until - self._taken))):
                self._taken += len(data)
        except ConnectionResetError:
            pass

    def taken(self) -> int:
        """How much of the file had come when the connections ended."""
        # On Linux, only this ends a wait for a connection.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()
        return self._taken


@pytest.fixture
def sink() -> Iterator[SlowSink]:
    server = SlowSink()
    yield server
    server.go_on.set()
    assert server.taken() < SIZE


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    with path.open("wb") as made:
        made.truncate(SIZE)
    return path


SEND = """
def send(url, path, on_progress=None):
    try:
        Client(url).create_blob(path, on_progress=on_progress)
    except errors.OllamaError as error:
        print(type(error).__name__)

async def asend(url, path):
    await AsyncClient(url).create_blob(path)
"""


def test_a_program_ends_while_it_sends_a_file(start: Start, sink: SlowSink, large: Path) -> None:
    """Nothing is printed, and nobody waits for the file."""
    live = start(
        SEND
        + f"""
threading.Thread(target=send, args=({sink.url!r}, {str(large)!r}), daemon=True).start()
signal.sigwait([signal.SIGUSR1])
""",
        before="import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n",
    )
    assert sink.has_begun.wait(30)
    live.send_signal(signal.SIGUSR1)
    assert live.finish() == Outcome(0)


@pytest.mark.parametrize("begin", ["send({!r}, {!r})", "asyncio.run(asend({!r}, {!r}))"], ids=["blocking", "asyncio"])
def test_ctrl_c_ends_the_sending_of_a_file(start: Start, sink: SlowSink, large: Path, begin: str) -> None:
    live = start(
        SEND
        + f"""
try:
    {begin.format(sink.url, str(large))}
except KeyboardInterrupt:
    print("interrupted")
"""
    )
    assert sink.has_begun.wait(30)
    live.send_signal(signal.SIGINT)
    assert live.finish() == Outcome(0, "interrupted\n")


def test_a_child_that_is_forked_in_a_report_has_no_part_in_the_file(start: Start, sink: SlowSink, large: Path) -> None:
    live = start(
        SEND
        + f"""
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks beside threads.
parent = os.getpid()

def fork(progress):
    if os.getpid() == parent:
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            raise ZeroDivisionError

try:
    send({sink.url!r}, {str(large)!r}, fork)
except ZeroDivisionError:
    print("parent")
sys.stdout.flush()
os._exit(0)
"""
    )
    assert live.finish() == Outcome(0, "ClosedError\nparent\n")
