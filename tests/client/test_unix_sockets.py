"""Servers that listen on a Unix socket: how their address is written, and what goes wrong with one."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import pickle
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from metagpt_ollama_rs import AsyncClient, Client, Retry, Timeout, errors, stats
from metagpt_ollama_rs.endpoints import Endpoint
from metagpt_ollama_rs.testing import Reply, ScriptedServer, faults

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no Unix sockets")

MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path: that of a socket may have about a hundred bytes."""
    with tempfile.TemporaryDirectory(prefix="metagpt-ollama-") as made:
        yield Path(made)


@pytest.fixture
def listening(ollama_server: ScriptedServer) -> Iterator[Callable[[Path], str]]:
    """Puts a socket at a path, whose connections lead to ``ollama_server``; gives the base URL."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(work: Callable[..., None], *arguments: Any) -> None:
        threads.append(threading.Thread(target=work, args=arguments, daemon=True))
        threads[-1].start()

    def copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        for side in (source, target):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def serve(client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", ollama_server.port)) as server:
            back = threading.Thread(target=copy, args=(server, client), daemon=True)
            back.start()
            copy(client, server)
            back.join()

    def accept(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                start(serve, listener.accept()[0])

    def listen(path: Path) -> str:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen(64)
        listeners.append(listener)
        start(accept, listener)
        return f"unix://{path}"

    yield listen
    for listener in listeners:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    gc.collect()
    ollama_server.stop()
    for thread in threads:
        thread.join(10)


def answers(url: str | None, **arguments: Any) -> set[str]:
    """What both clients get, whole and streamed."""
    found: set[str] = set()
    with Client(url, **arguments) as client:
        found.add(client.chat("m", MESSAGES).message.content or "")
        found.add("".join(part.message.content or "" for part in client.chat("m", MESSAGES, stream=True)))

    async def ask() -> None:
        async with AsyncClient(url, **arguments) as client:
            found.add((await client.chat("m", MESSAGES)).message.content or "")
            pieces = [part.message.content or "" async for part in await client.chat("m", MESSAGES, stream=True)]
            found.add("".join(pieces))

    asyncio.run(ask())
    return found


def failure(url: str, **arguments: Any) -> errors.OllamaError:
    """How both clients fail, the same way."""
    with pytest.raises(errors.OllamaError) as first:
        Client(url, **{"retries": 0, **arguments}).chat("m", MESSAGES)

    async def ask() -> None:
        await AsyncClient(url, **{"retries": 0, **arguments}).chat("m", MESSAGES)

    with pytest.raises(errors.OllamaError) as second:
        asyncio.run(ask())
    assert str(second.value) == str(first.value)
    return first.value


@pytest.mark.parametrize("name", ["o.sock", "my models.sock", "üñí.sock", "100%.sock", "a?b#c.sock", "odd:name@host"])
def test_a_server_on_a_socket_answers(
    ollama_server: ScriptedServer, listening: Callable[[Path], str], folder: Path, name: str
) -> None:
    ollama_server.answer("Hello")
    path = folder / name
    url = listening(path)
    assert answers(url) == {"Hello"}
    shown = Client(url).base_url
    assert answers(shown) == {"Hello"}, "what is shown is read back"
    assert Client(shown).base_url == shown
    assert {request.header("Host") for request in ollama_server.requests} == {"localhost"}
    assert {request.path for request in ollama_server.requests} == {"/api/chat"}


def test_each_way_to_write_it(
    ollama_server: ScriptedServer,
    listening: Callable[[Path], str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ollama_server.answer("Hello")
    path = folder / "my o.sock"
    listening(path)
    quoted = str(path).replace("/", "%2F").replace(" ", "%20")
    for url in (f"unix://{path}", f"unix:{path}", f"UNIX://{path}", f"http+unix://{quoted}", f' "unix://{path}" '):
        assert answers(url) == {"Hello"}, url
        assert Client(url).base_url == f"unix://{path}"
        assert repr(Client(url)) == f"Client('unix://{path}')"
        monkeypatch.setenv("OLLAMA_HOST", url)
        assert answers(None) == {"Hello"}
    assert stats.records()[-1]["host"] == f"unix://{path}"


def test_a_prefix_follows_a_colon(
    ollama_server: ScriptedServer, listening: Callable[[Path], str], folder: Path
) -> None:
    path = folder / "o.sock"
    listening(path)
    for prefixed in (f"unix://{path}:/ollama", f"http+unix://{str(path).replace('/', '%2F')}/ollama/api"):
        ollama_server.on("POST", "/ollama/api/chat", lambda request: Reply.chat("Hi", stream=request.json()["stream"]))
        assert answers(prefixed) == {"Hi"}
        assert Client(prefixed).base_url == f"unix://{path}:/ollama"
    ollama_server.on("POST", "/ollama/api/chat", Reply.error("no", 400))
    assert failure(prefixed).url == f"unix://{path}:/ollama/api/chat"
    assert failure(f"unix://{path}").url == f"unix://{path}:/api/chat"


def test_a_login_goes_along_and_is_not_shown(
    ollama_server: ScriptedServer, listening: Callable[[Path], str], folder: Path
) -> None:
    ollama_server.answer("Hello")
    path = folder / "o.sock"
    listening(path)
    quoted = str(path).replace("/", "%2F")
    for url in (f"unix://ann:p%40ss-word@{path}", f"http+unix://ann:p%40ss-word@{quoted}"):
        assert answers(url) == {"Hello"}
        assert "word" not in repr(Client(url)) + Client(url).base_url
    assert {request.header("Authorization") for request in ollama_server.requests} == {"Basic YW5uOnBAc3Mtd29yZA=="}


def test_connections_are_kept_and_each_socket_has_its_own(
    ollama_server: ScriptedServer, listening: Callable[[Path], str], folder: Path
) -> None:
    ollama_server.answer("Hello")
    urls = [listening(folder / name) for name in ("a", "b")]
    for url in urls:
        with Client(url) as client:
            for _ in range(5):
                client.chat("m", MESSAGES)

    async def ask() -> None:
        for url in urls:
            async with AsyncClient(url) as client:
                for _ in range(5):
                    await client.chat("m", MESSAGES)

    asyncio.run(ask())
    assert ollama_server.connections == 4


def test_a_kept_connection_that_was_closed_is_replaced(
    ollama_server: ScriptedServer, listening: Callable[[Path], str], folder: Path
) -> None:
    ollama_server.answer("Hello")
    url = listening(folder / "o.sock")

    async def ask() -> None:
        async with AsyncClient(url, retries=0) as client:
            for _ in range(3):
                await client.chat("m", MESSAGES)
                ollama_server.close_idle()

    asyncio.run(ask())
    with Client(url, retries=0) as client:
        for _ in range(3):
            client.chat("m", MESSAGES)
            ollama_server.close_idle()


def test_a_client_of_a_socket_pickles(
    ollama_server: ScriptedServer, listening: Callable[[Path], str], folder: Path
) -> None:
    ollama_server.answer("Hello")
    url = listening(folder / "o.sock")
    assert pickle.loads(pickle.dumps(Client(url))).chat("m", MESSAGES).message.content == "Hello"


def test_a_cancelled_call_ends_on_the_wire(
    ollama_server: ScriptedServer, listening: Callable[[Path], str], folder: Path
) -> None:
    ollama_server.on("POST", "/api/chat", faults.never_answer())
    url = listening(folder / "o.sock")

    async def leave() -> None:
        async with AsyncClient(url) as client:
            task = asyncio.ensure_future(client.chat("m", MESSAGES))
            await asyncio.get_running_loop().run_in_executor(None, ollama_server.wait_for_request)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.get_running_loop().run_in_executor(None, ollama_server.wait_for_hangup)

    asyncio.run(leave())


def test_files_go_over_a_socket(ollama_server: ScriptedServer, listening: Callable[[Path], str], folder: Path) -> None:
    row = Endpoint("/api/blobs/sha256:00", lines="progress")
    ollama_server.on("POST", row.path, Reply.body(b"", None, 201))
    file = folder / "file"
    file.write_bytes(os.urandom(1 << 20))
    url = listening(folder / "o.sock")
    assert list(Client(url)._native.upload_blocking(row, file, None, None))[-1] == {"status": "success"}

    async def send() -> None:
        async with AsyncClient(url) as client:
            assert [report async for report in client._native.upload(row, file, None, None)][-1] == {
                "status": "success"
            }

    asyncio.run(send())
    assert [request.body == file.read_bytes() for request in ollama_server.requests] == [True, True]


def test_a_redirect_stays_on_the_socket(
    ollama_server: ScriptedServer, listening: Callable[[Path], str], folder: Path
) -> None:
    url = listening(folder / "o.sock")
    ollama_server.on("POST", "/api/chat", faults.redirect("http://localhost/proxied/api/chat"))
    ollama_server.on("POST", "/proxied/api/chat", lambda request: Reply.chat("Hi", stream=request.json()["stream"]))
    assert answers(url, api_key="key-of-mine") == {"Hi"}
    assert {request.header("Authorization") for request in ollama_server.requests} == {"Bearer key-of-mine"}
    for target in (f"http://localhost:{ollama_server.port}/api/chat", "https://localhost/api/chat"):
        ollama_server.on("POST", "/api/chat", faults.redirect(target))
        assert "leads away from the Unix socket" in failure(url).message


def test_no_proxy_of_the_environment_counts_and_an_explicit_one_is_refused(
    ollama_server: ScriptedServer,
    listening: Callable[[Path], str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ollama_server.answer("Hello")
    url = listening(folder / "o.sock")
    for name in ("HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert answers(url) == {"Hello"}
    with pytest.raises(errors.ConfigurationError, match="no proxy leads to a Unix socket"):
        Client(url, proxy="http://127.0.0.1:9")


def test_what_cannot_be_connected_to_says_why(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAGPT_OLLAMA_STATS", "")
    file, refusing = folder / "file", folder / "refusing"
    file.touch()
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(refusing))
    left.close()
    for path, says in (
        (folder / "missing ü", f"there is no file {folder}/missing ü"),
        (file, f"{file} is no socket"),
        (folder, f"{folder} is no socket"),
        (refusing, f"nothing listens on {refusing} (connection refused)"),
    ):
        error = failure(f"unix://{path}")
        assert isinstance(error, errors.ConnectError)
        assert isinstance(error, ConnectionError)
        assert f"The server cannot be reached: {says}." in str(error)
        assert "is the path in base_url" in error.hint
        assert error.url == f"unix://{path}:/api/chat"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_socket_of_somebody_else_says_so(listening: Callable[[Path], str], folder: Path) -> None:
    url = listening(folder / "o.sock")
    (folder / "o.sock").chmod(0)
    assert "this user may not connect to" in failure(url).message


def test_a_server_that_starts_meanwhile_is_found(
    ollama_server: ScriptedServer, listening: Callable[[Path], str], folder: Path
) -> None:
    """Its socket was left over, and refuses connections until the server makes it anew."""
    ollama_server.answer("Hello")
    path = folder / "o.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()

    def start() -> None:
        path.unlink()
        listening(path)

    timer = threading.Timer(0.05, start)
    timer.start()
    assert Client(f"unix://{path}", retries=Retry(5, first=0.2)).chat("m", MESSAGES).message.content == "Hello"
    timer.join()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("unix://", "no absolute path"),
        ("unix:", "no absolute path"),
        ("unix:o.sock", "no absolute path"),
        ("unix://o.sock", "no absolute path"),
        ("unix://host/o.sock", "no absolute path"),
        ("unix://ann:secret-word/o.sock", "no absolute path"),
        ("http+unix://o.sock", "slashes are written as %2F"),
        ("http+unix:///o.sock", "slashes are written as %2F"),
        ("https+unix://%2Fo.sock", "what stands before its :// is not http or https"),
        ("unix:///a%00b", "contains a NUL"),
        ("unix:///" + "ü" * 60, "has 121 bytes, and the system takes"),
        ("unix:///a\nb", "control character"),
    ],
)
def test_what_is_no_socket_is_refused_before_anything_is_sent(url: str, says: str) -> None:
    for make in (Client, AsyncClient):
        with pytest.raises(errors.ConfigurationError, match=says) as caught:
            make(url)
        assert "secret" not in str(caught.value)


def test_limits_count_on_a_socket(
    ollama_server: ScriptedServer, listening: Callable[[Path], str], folder: Path
) -> None:
    ollama_server.on("POST", "/api/chat", faults.never_answer())
    url = listening(folder / "o.sock")
    assert isinstance(failure(url, timeout=Timeout(first_token=0.05)), errors.RequestTimeout)
