"""Files as bodies: sent in pieces, with reports of progress, and what becomes of them when the server misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import socket
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from metagpt_ollama_rs import AsyncClient, Client, Retry, Timeout, errors
from metagpt_ollama_rs.endpoints import Endpoint
from metagpt_ollama_rs.limits import read_settings
from metagpt_ollama_rs.testing import Reply, ScriptedServer, faults

PATH = "/api/blobs/sha256:00"
BLOB = Endpoint(PATH, lines="progress")
CREATED = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
SUCCESS = {"status": "success"}
MB = 1 << 20

Way = Callable[..., list[dict[str, Any]]]


def _awaited(url: str, path: Any, settings: Any = None, **arguments: Any) -> list[dict[str, Any]]:
    async def send() -> list[dict[str, Any]]:
        async with AsyncClient(url, **arguments) as client:
            return [report async for report in client._native.upload(BLOB, path, None, settings)]

    return asyncio.run(send())


def _blocking(url: str, path: Any, settings: Any = None, **arguments: Any) -> list[dict[str, Any]]:
    with Client(url, **arguments) as client:
        return list(client._native.upload_blocking(BLOB, path, None, settings))


@pytest.fixture(params=[_awaited, _blocking], ids=lambda way: way.__name__)
def way(request: pytest.FixtureRequest) -> Way:
    found: Way = request.param
    return found


class Sink:
    """A server of one connection, which reads the head of a request and gives the rest to ``serve``."""

    def __init__(self, serve: Callable[[socket.socket, Sink], None], connections: int = 1) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        # Otherwise the system takes tens of megabytes that nobody has read.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 << 10)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.head = b""
        self.length = 0
        self.taken = 0
        self.digest = hashlib.sha256()
        self.ended = threading.Event()
        self._serve, self._connections = serve, connections
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def read(self, sock: socket.socket, count: int) -> None:
        """Takes ``count`` bytes of the body, or all that come before the connection ends."""
        until = self.taken + count
        while self.taken < until and (data := sock.recv(min(MB, until - self.taken))):
            self.digest.update(data)
            self.taken += len(data)

    def _run(self) -> None:
        with self._listener:
            for _ in range(self._connections):
                sock, _ = self._listener.accept()
                with sock:
                    self.head, self.taken, self.digest = b"", 0, hashlib.sha256()
                    while not self.head.endswith(b"\r\n\r\n"):
                        self.head += sock.recv(1)
                    lines = dict(line.lower().split(b": ", 1) for line in self.head.split(b"\r\n")[1:] if line)
                    self.length = int(lines[b"content-length"])
                    self._serve(sock, self)
        self.ended.set()

    def join(self) -> None:
        assert self.ended.wait(20)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mödel with spaces.gguf"
    path.write_bytes(os.urandom(3 * MB + 17))
    return path


def test_a_file_arrives_whole(ollama_server: ScriptedServer, way: Way, file: Path) -> None:
    ollama_server.on("POST", PATH, Reply.body(b"", None, 201))
    for path in (file, str(file)):
        reports = way(ollama_server.url, path, read_settings(headers={"X-Trace": "7"}), api_key="key-of-mine")
        assert reports[-1] == SUCCESS
        assert reports[-2] == {"status": "uploading", "total": 3 * MB + 17, "completed": 3 * MB + 17}
        completed = [report["completed"] for report in reports[:-1]]
        assert completed == sorted(completed)
    request = ollama_server.requests[-1]
    assert request.body == file.read_bytes()
    assert request.header("Content-Length") == str(3 * MB + 17)
    assert request.header("Transfer-Encoding") is None
    assert request.header("Content-Type") == "application/octet-stream"
    assert request.header("X-Trace") == "7"
    assert request.header("Authorization") == "Bearer key-of-mine"


def test_an_empty_file_is_sent(ollama_server: ScriptedServer, way: Way, tmp_path: Path) -> None:
    ollama_server.on("POST", PATH, Reply.body(b"", None, 201))
    (tmp_path / "empty").touch()
    assert way(ollama_server.url, tmp_path / "empty")[-1] == SUCCESS
    assert ollama_server.last.body == b""
    assert ollama_server.last.header("Content-Length") == "0"


def test_a_file_goes_through_tls(
    ollama_server: ScriptedServer, tls_front: Callable[..., Any], certificates: Path, way: Way, file: Path
) -> None:
    ollama_server.on("POST", PATH, Reply.body(b"", None, 201))
    way(tls_front().url, file, verify=certificates / "authority.pem")
    assert ollama_server.last.body == file.read_bytes()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_stays_bounded(way: Way, tmp_path: Path) -> None:
    """A sparse file, which a server reads more slowly than the disk gives it."""
    size = 96 * MB
    path = tmp_path / "large"
    with path.open("wb") as made:
        made.truncate(size)
    most = 0

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = resident()

    def serve(sock: socket.socket, sink: Sink) -> None:
        nonlocal most
        while sink.taken < sink.length:
            sink.read(sock, 4 * MB)
            most = max(most, resident() - before)
        sock.sendall(CREATED)

    sink = Sink(serve)
    reports = way(sink.url, path)
    sink.join()
    assert sink.length == sink.taken == size
    assert most < 24 * MB
    completed = [report["completed"] for report in reports[:-1]]
    assert completed == sorted(completed)
    assert completed[-1] == size


# hyper, which sends files on the general lane, may lose the reply of a server that closes the connection at once.
ABRUPT = [False] if os.environ.get("METAGPT_OLLAMA_LANE") == "general" or sys.platform != "linux" else [False, True]


def _leave(sock: socket.socket, sink: Sink, abruptly: bool) -> None:
    """Ends a connection after an early reply: at once, or, as Go's server and nginx do, so that it can be read."""
    if not abruptly:
        sock.shutdown(socket.SHUT_WR)
        sink.read(sock, sink.length)


@pytest.mark.parametrize("abruptly", ABRUPT)
def test_a_refusal_while_the_file_is_sent_is_what_the_call_raises(way: Way, tmp_path: Path, abruptly: bool) -> None:
    path = tmp_path / "large"
    with path.open("wb") as made:
        made.truncate(64 * MB)
    body = b'{"error": "digest mismatch, expected x, got y"}'
    refusal = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    def serve(sock: socket.socket, sink: Sink) -> None:
        sink.read(sock, MB)
        sock.sendall(refusal)
        _leave(sock, sink, abruptly)

    for _ in range(5):
        sink = Sink(serve)
        with pytest.raises(errors.BadRequestError, match="digest mismatch") as caught:
            way(sink.url, path, retries=0)
        assert caught.value.status == 400
        sink.join()
        assert sink.taken < sink.length


@pytest.mark.parametrize("abruptly", ABRUPT)
def test_success_before_the_end_counts(way: Way, tmp_path: Path, abruptly: bool) -> None:
    """Ollama answers so, without reading a file that it has already."""
    path = tmp_path / "large"
    with path.open("wb") as made:
        made.truncate(64 * MB)

    def serve(sock: socket.socket, sink: Sink) -> None:
        sink.read(sock, 1024)
        sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        _leave(sock, sink, abruptly)

    for _ in range(5):
        sink = Sink(serve)
        assert way(sink.url, path, retries=0)[-1] == SUCCESS
        sink.join()
        assert sink.taken < sink.length


def test_a_server_that_closes_in_the_middle_is_an_error(way: Way, tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as made:
        made.truncate(64 * MB)
    sink = Sink(lambda sock, sink: sink.read(sock, MB))
    with pytest.raises(errors.ConnectError, match="closed the connection before it replied"):
        way(sink.url, path, retries=Retry(5, first=0.001))
    sink.join()


def test_a_server_that_takes_nothing_runs_into_the_limit_for_pauses(way: Way, tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as made:
        made.truncate(64 * MB)
    left = threading.Event()

    def serve(sock: socket.socket, sink: Sink) -> None:
        sink.read(sock, MB)
        left.wait(20)

    sink = Sink(serve)
    with pytest.raises(errors.RequestTimeout, match="taking more of the file") as caught:
        way(sink.url, path, read_settings(Timeout(first_token=600, idle=0.3)))
    assert caught.value.phase == "idle"
    left.set()
    sink.join()


def test_a_slow_server_does_not_run_into_the_limits(way: Way, tmp_path: Path) -> None:
    """The limit for the first token begins with the end of the file, and that for pauses with each piece.

    The server takes more than one and a half times as long as either limit for the whole file, so a limit that began
    with the request would always run out. Its pauses are a fifth of a limit; where a busy machine makes one of them as
    long as the limit, a larger one is tried.
    """
    file = tmp_path / "large"
    with file.open("wb") as made:
        made.truncate(32 * MB)

    def is_kept_by(limit: float) -> bool:
        def serve(sock: socket.socket, sink: Sink) -> None:
            with contextlib.suppress(ConnectionError):
                for _ in range(8):
                    sink.read(sock, sink.length // 8)
                    left.wait(limit / 5)
                sock.sendall(CREATED)

        left, sink = threading.Event(), Sink(serve)
        try:
            return way(sink.url, file, read_settings(Timeout(first_token=limit, idle=limit)))[-1] == SUCCESS
        except errors.RequestTimeout:
            return False
        finally:
            left.set()
            sink.join()

    assert any(map(is_kept_by, (0.5, 2, 8)))


def test_the_wait_for_the_answer_has_the_limit_for_the_first_token(way: Way, file: Path) -> None:
    left = threading.Event()

    def serve(sock: socket.socket, sink: Sink) -> None:
        sink.read(sock, sink.length)
        left.wait(20)

    sink = Sink(serve)
    with pytest.raises(errors.RequestTimeout, match="first token") as caught:
        way(sink.url, file, read_settings(Timeout(first_token=0.2, idle=600)))
    assert caught.value.phase == "first_token"
    left.set()
    sink.join()


def test_a_retry_sends_the_file_from_its_beginning(ollama_server: ScriptedServer, way: Way, file: Path) -> None:
    ollama_server.queue(Reply.error("busy", 503), Reply.body(b"", None, 201), path=PATH)
    reports = way(ollama_server.url, file, retries=Retry(1, first=0.001))
    assert reports[-1] == SUCCESS
    assert [request.body == file.read_bytes() for request in ollama_server.requests] == [True, True]


def test_a_redirect_gets_the_file_as_well(ollama_server: ScriptedServer, way: Way, file: Path) -> None:
    ollama_server.on("POST", PATH, faults.redirect(f"/proxied{PATH}", 308))
    ollama_server.on("POST", f"/proxied{PATH}", Reply.body(b"", None, 201))
    way(ollama_server.url, file)
    assert ollama_server.last.body == file.read_bytes()
    assert ollama_server.last.header("Content-Type") == "application/octet-stream"


def test_a_file_that_becomes_shorter_is_an_error(way: Way, tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as made:
        made.truncate(64 * MB)

    def serve(sock: socket.socket, sink: Sink) -> None:
        sink.read(sock, MB)
        os.truncate(path, 10 * MB)
        sink.read(sock, sink.length)

    sink = Sink(serve)
    with pytest.raises(errors.ConfigurationError, match="has become shorter while it was sent") as caught:
        way(sink.url, path)
    assert str(path) in str(caught.value)
    sink.join()


def test_what_cannot_be_opened_is_what_open_raises(ollama_server: ScriptedServer, way: Way, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        way(ollama_server.url, tmp_path / "ünknown")
    assert missing.value.filename == str(tmp_path / "ünknown")
    with pytest.raises(IsADirectoryError):
        way(ollama_server.url, tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(errors.ConfigurationError, match="is no file that can be sent"):
            way(ollama_server.url, path)
    assert not ollama_server.requests


@pytest.fixture
def half_taken(tmp_path: Path) -> Iterator[tuple[Sink, Path, threading.Event]]:
    """A server that takes one megabyte and waits for the connection to end, and what tells that it has."""
    path = tmp_path / "large"
    with path.open("wb") as made:
        made.truncate(64 * MB)
    begun = threading.Event()

    def serve(sock: socket.socket, sink: Sink) -> None:
        sink.read(sock, MB)
        begun.set()
        sink.read(sock, sink.length)

    sink = Sink(serve)
    yield sink, path, begun
    sink.join()
    assert sink.taken < sink.length


def test_a_cancelled_upload_ends_on_the_wire(half_taken: tuple[Sink, Path, threading.Event]) -> None:
    """The server reads on, so only the end of the connection keeps it from getting the whole file."""
    sink, path, begun = half_taken

    async def leave() -> None:
        reported = asyncio.Event()
        async with AsyncClient(sink.url) as client:

            async def send() -> None:
                async for _ in client._native.upload(BLOB, path, None, None):
                    reported.set()
                    begun.wait(20)
                    await asyncio.sleep(600)

            task = asyncio.ensure_future(send())
            await reported.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(leave())


def test_a_closed_upload_ends_on_the_wire(half_taken: tuple[Sink, Path, threading.Event]) -> None:
    sink, path, _ = half_taken
    with Client(sink.url) as client, client._native.upload_blocking(BLOB, path, None, None) as reports:
        assert next(reports)["completed"] < 64 * MB


def test_whether_a_file_is_there_can_be_asked(ollama_server: ScriptedServer) -> None:
    """HEAD has no body whatever its head says, and the connection serves further requests."""
    head = Endpoint(PATH, "HEAD")
    ollama_server.on("HEAD", PATH, Reply.body(b"", None, 200))
    with Client(ollama_server.url) as client:
        assert client._native.call_blocking(head, None, "status", None) is None
        ollama_server.on("HEAD", PATH, Reply.error("not found", 404))
        with pytest.raises(errors.NotFoundError):
            client._native.call_blocking(head, None, "status", None)

    async def ask() -> None:
        async with AsyncClient(ollama_server.url) as client:
            with pytest.raises(errors.NotFoundError):
                await client._native.call(head, None, "status", None)
            ollama_server.on("HEAD", PATH, Reply.body(b"", None, 200))
            assert await client._native.call(head, None, "status", None) is None
            assert await client.version()

    asyncio.run(ask())


@pytest.mark.skipif(len(ABRUPT) == 1, reason="hyper keeps a connection on which it cannot write")
def test_an_upload_that_was_given_up_leaves_nothing(tmp_path: Path) -> None:
    """The server reads nothing, so that nothing can be written, and no thread and no connection waits for that."""
    path = tmp_path / "large"
    with path.open("wb") as made:
        made.truncate(64 * MB)
    given_up = threading.Event()
    ended: list[bytes] = []

    def serve(sock: socket.socket, sink: Sink) -> None:
        sink.read(sock, MB)
        given_up.wait(20)
        sock.settimeout(20)
        while data := sock.recv(MB):
            pass
        ended.append(data)

    sink = Sink(serve)
    with Client(sink.url) as client, client._native.upload_blocking(BLOB, path, None, None) as reports:
        next(reports)
    for _ in range(200):
        names = [Path(f"/proc/self/task/{thread}/comm").read_text().strip() for thread in os.listdir("/proc/self/task")]
        if "ollama-upload" not in names:
            break
        given_up.wait(0.05)
    else:
        pytest.fail("the thread of the upload goes on")
    given_up.set()
    sink.join()
    assert ended == [b""]
