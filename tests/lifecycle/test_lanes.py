"""What both lanes owe a loop: descriptors that go, contexts that are not kept, readers that may be slow.

`make test-general` runs this folder over the general lane; otherwise plain requests take the direct one.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import selectors
import socket
import threading
import weakref
from pathlib import Path
from typing import Callable

import pytest

from metagpt_ollama_rs import AsyncClient
from metagpt_ollama_rs.testing import Reply, ScriptedServer, lines

from .conftest import Outcome, Run

MESSAGES = [{"role": "user", "content": "hi"}]
CHAT = {"model": "m", "messages": MESSAGES}
DESCRIPTORS = Path("/proc/self/fd")

needs_proc = pytest.mark.skipif(not DESCRIPTORS.exists(), reason="this system does not list a process's descriptors")


async def streamed(client: AsyncClient) -> str:
    return "".join([part.message.content async for part in await client.chat("m", MESSAGES, stream=True)])


def open_descriptors() -> int:
    return len(os.listdir(DESCRIPTORS))


@pytest.mark.parametrize("selector", [selectors.SelectSelector, selectors.PollSelector])
def test_loops_on_other_selectors(
    ollama_server: ScriptedServer, selector: Callable[[], selectors.BaseSelector]
) -> None:
    ollama_server.answer("Hello world")
    client = AsyncClient(ollama_server.url)

    async def work() -> list[str]:
        seen: list[str] = []
        await client.stream_text("/api/chat", CHAT, seen.append)
        return ["".join(seen), await streamed(client), (await client.chat("m", MESSAGES)).message.content]

    loop = asyncio.SelectorEventLoop(selector())
    try:
        assert loop.run_until_complete(work()) == ["Hello world"] * 3
    finally:
        loop.close()


@needs_proc
@pytest.mark.skipif(os.environ.get("METAGPT_OLLAMA_LANE") == "general", reason="the general lane needs the thread")
def test_the_direct_lane_starts_no_thread(run: Run, ollama_server: ScriptedServer) -> None:
    """Whatever is asked for, calls about models among it, and not for closing either."""
    ollama_server.answer("Hello world")
    for method, path in [("POST", "/api/pull"), ("POST", "/api/create"), ("DELETE", "/api/delete")]:
        ollama_server.on(method, path, lambda request: Reply.json({"status": "success"}))
    outcome = run(
        """
        async def main():
            async with AsyncClient(URL) as client:
                await client.chat("m", MESSAGES)
                await client.list()
                await client.ps()
                await client.show("scripted")
                await client.version()
                await client.pull("m")
                await client.create("m", from_="n")
                await client.delete("m")
            await asyncio.get_running_loop().shutdown_default_executor()

        asyncio.run(main())
        print(len(os.listdir("/proc/self/task")))
        """
    )
    assert outcome == Outcome(0, "1\n")


@needs_proc
def test_a_closed_client_has_no_idle_connection_any_more(run: Run, ollama_server: ScriptedServer) -> None:
    """On the I/O thread neither: `close` waits for it."""
    ollama_server.answer("Hello world")
    outcome = run(
        """
        def sockets():
            folder = "/proc/self/fd"
            links = []
            for name in os.listdir(folder):
                try:
                    links.append(os.readlink(f"{folder}/{name}"))
                except FileNotFoundError:
                    pass
            return sum(link.startswith("socket:") for link in links)

        async def main():
            client = AsyncClient(URL)
            before = sockets()
            await asyncio.gather(*(client.chat("m", MESSAGES) for _ in range(8)))
            # A connection that was begun for a request, and has come too late for it, is kept for the next one.
            await asyncio.sleep(0.1)
            assert sockets() > before
            await client.close()
            assert sockets() == before
            await client.aclose()

        for _ in range(20):
            asyncio.run(main())
        print("closed")
        """
    )
    assert outcome == Outcome(0, "closed\n")


def test_a_client_can_be_closed_without_a_running_loop(run: Run) -> None:
    """Also while there is an I/O thread, for which nobody can wait then."""
    outcome = run(
        """
        with Client(URL) as blocking:
            blocking.version()
        client = AsyncClient(URL)
        for _ in range(2):
            try:
                client.close().send(None)
            except StopIteration as end:
                print("closed", end.value)
        try:
            asyncio.run(client.version())
        except errors.ClosedError:
            print("stays closed")
        """
    )
    assert outcome == Outcome(0, "closed None\nclosed None\nstays closed\n")


@needs_proc
def test_a_hundred_loops_leave_no_descriptors(ollama_server: ScriptedServer) -> None:
    ollama_server.answer("Hello world")
    client = AsyncClient(ollama_server.url)
    asyncio.run(streamed(client))
    before = open_descriptors()
    for _ in range(100):
        asyncio.run(streamed(client))
    # The server's threads may still hold a few connections.
    assert open_descriptors() < before + 20


@needs_proc
@pytest.mark.parametrize("whole", [False, True], ids=["streamed", "whole"])
def test_a_server_that_closes_right_behind_its_reply_leaves_no_socket(
    ollama_server: ScriptedServer, whole: bool
) -> None:
    """Such an end comes together with the reply, and is no event of its own any more."""
    ollama_server.on("POST", "/api/chat", lambda request: Reply.chat("Hello", stream=not whole).at_once().then("close"))

    async def main() -> None:
        client = AsyncClient(ollama_server.url)
        await client.version()
        # Without the idle connection: its socket here, and the server's.
        expected = open_descriptors() - 2
        for _ in range(5):
            await (client.chat("m", MESSAGES) if whole else streamed(client))
        await asyncio.to_thread(ollama_server.wait_for_open_connections, 0)
        for _ in range(1000):
            if open_descriptors() == expected:
                return
            await asyncio.sleep(0.01)
        pytest.fail(f"{open_descriptors() - expected} descriptors are left")

    asyncio.run(main())


def test_the_first_callers_context_is_not_kept(ollama_server: ScriptedServer) -> None:
    ollama_server.answer("Hello world")
    name: contextvars.ContextVar[object] = contextvars.ContextVar("name")

    class Marker:
        pass

    async def first(client: AsyncClient) -> weakref.ref[Marker]:
        marker = Marker()
        name.set(marker)
        await streamed(client)
        return weakref.ref(marker)

    async def main() -> None:
        client = AsyncClient(ollama_server.url)
        left = await asyncio.create_task(first(client))
        await streamed(client)
        gc.collect()
        assert left() is None

    asyncio.run(main())


@needs_proc
@pytest.mark.parametrize("free", [0, 1, 3, 5])
@pytest.mark.parametrize("client", ["Client", "AsyncClient"])
def test_a_process_that_may_open_no_more_files_is_told_so(
    run: Run, ollama_server: ScriptedServer, client: str, free: int
) -> None:
    """With any number of descriptors left, from none to those that the loop, the I/O thread and a connection need; and
    with more it goes on."""
    ollama_server.answer("Hello world")
    outcome = run(
        f"""
        import resource
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        client = {client}(URL)
        # What is imported later opens files.
        import contextvars, json, metagpt_ollama_rs.failures, metagpt_ollama_rs.responses

        async def ask():
            reply = client.chat("m", MESSAGES)
            return (reply if isinstance(client, Client) else await reply).message.content

        async def main():
            used = {{int(name) for name in os.listdir("/proc/self/fd")}}
            first = next(number for number in range(1000) if number not in used)
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(max(used), first - 1) + 1 + {free}, limits[1]))
            gaps = [os.open(os.devnull, os.O_RDONLY) for number in range(max(used)) if number not in used]
            for _ in range(3):
                try:
                    assert await ask() == "Hello world"
                except errors.ConnectError as error:
                    assert "open files" in str(error), error
            for gap in gaps:
                os.close(gap)
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            print(await ask())

        asyncio.run(main())
        """
    )
    assert outcome == Outcome(0, "Hello world\n")


class Flood:
    """A server that answers one request without end, and notes when nobody takes any more."""

    LINE = lines.chat_lines(["x" * 1000])[0]

    def __init__(self) -> None:
        self.blocked = threading.Event()
        self.sent = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        self.listener.settimeout(20)
        connection, _ = self.listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n")
            connection.settimeout(0.5)
            while self.sent < 200_000_000:
                try:
                    self.sent += connection.send(self.LINE * 64)
                except TimeoutError:
                    self.blocked.set()
                    connection.settimeout(20)
                except OSError:
                    return

    def stop(self) -> None:
        self.thread.join(30)
        self.listener.close()


@pytest.mark.parametrize("consumer", ["never reads", "reads a little"])
def test_a_slow_reader_stops_the_server_and_nobody_else(ollama_server: ScriptedServer, consumer: str) -> None:
    ollama_server.answer("Hello world")
    flood = Flood()

    async def main() -> None:
        stream = await AsyncClient(flood.url).chat("m", MESSAGES, stream=True)
        other = AsyncClient(ollama_server.url)
        for _ in range(2000):
            if flood.blocked.is_set():
                break
            if consumer == "reads a little":
                await stream.__anext__()
            assert await streamed(other) == "Hello world"
            await asyncio.sleep(0.01)
        assert flood.blocked.is_set()
        # What is queued here, and what the kernel holds for both ends.
        assert flood.sent < 50_000_000
        assert (await stream.__anext__()).message.content == "x" * 1000
        await stream.aclose()

    try:
        asyncio.run(main())
    finally:
        flood.stop()
