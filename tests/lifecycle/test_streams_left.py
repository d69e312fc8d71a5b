"""Streams that are read slowly, not to their end, or not at all: what is held of them is bounded, and the server sees
when nobody is left who could read them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from metagpt_ollama_rs.testing import Reply, Request, ScriptedServer, lines

from .conftest import Outcome, Run


class Flood:
    """A server that answers each request with a stream of 300 MB, or as much of it as the client takes."""

    LINE = lines.chat_lines(["x" * 1000])[0]
    END = b"".join(lines.chat_lines([]))
    LINES = 300_000

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.recv(65536)
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n")
                block = self.LINE * 200
                for _ in range(self.LINES // 200):
                    connection.sendall(block)
                connection.sendall(self.END)
            except OSError:
                return

    def stop(self) -> None:
        # Closing it alone would not wake the thread that accepts.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture(scope="module")
def flood() -> Iterator[Flood]:
    server = Flood()
    yield server
    server.stop()


@pytest.mark.parametrize("reader", ["thread", "items", "batches", "callback", "lines"])
def test_a_consumer_slower_than_the_server(run: Run, flood: Flood, reader: str) -> None:
    """Of 300 MB that the server would send at once, held are a megabyte that was not read yet and the text that was,
    which `partial` of an error would show. Measured is the largest memory that the process has had."""
    outcome = run(
        f"""
        import resource
        URL = {flood.url!r}
        largest = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

        def slow():
            # Two seconds in all, in which the server could send everything many times over.
            time.sleep(0.01)

        def blocking():
            stream = Client(URL).chat("m", MESSAGES, stream=True)
            for _ in range(200):
                assert next(stream).message.content == "x" * 1000
                slow()
            stream.close()

        async def asynchronous():
            client = AsyncClient(URL)
            if {reader!r} == "callback":
                taken = []
                class Enough(Exception): pass
                def on_text(text):
                    taken.append(text)
                    slow()
                    if len(taken) == 200:
                        raise Enough
                try:
                    await client.stream_text("/api/chat", {{"model": "m"}}, on_text)
                except Enough:
                    return
            stream = await client.chat("m", MESSAGES, stream=True)
            if {reader!r} == "lines":
                stream = client.stream_lines("/api/chat", {{"model": "m"}})
            elif {reader!r} == "batches":
                stream = stream.batches()
            steps = 20 if {reader!r} == "batches" else 200
            for _ in range(steps):
                item = await stream.__anext__()
                await asyncio.sleep(2 / steps)
            await stream.aclose()

        before = largest()
        if {reader!r} == "thread":
            blocking()
        else:
            asyncio.run(asynchronous())
        grown = largest() - before
        print("bounded" if grown < 24_000_000 else f"{{grown}} bytes more")
        """
    )
    assert outcome == Outcome(0, "bounded\n")


@pytest.fixture
def endless(ollama_server: ScriptedServer) -> ScriptedServer:
    """The scripted server, which answers a chat with one piece and no more. A pull is answered when all other
    connections have ended."""

    def pull(request: Request) -> Reply:
        ollama_server.wait_for_open_connections(1)
        return Reply.json({"status": "success"})

    ollama_server.on("POST", "/api/chat", lambda request: Reply.chat("Hello world").gated(1))
    ollama_server.on("POST", "/api/pull", pull)
    return ollama_server


@pytest.mark.parametrize("collector", ["here", "thread"])
def test_half_read_streams_are_collected(run: Run, endless: ScriptedServer, collector: str) -> None:
    """In cycles, too, and by whichever thread collects garbage: destructors run there."""
    outcome = run(
        f"""
        def collect():
            if {collector!r} == "here":
                gc.collect()
            else:
                thread = threading.Thread(target=gc.collect)
                thread.start()
                thread.join()

        def descriptors():
            return len(os.listdir("/proc/self/fd"))

        def in_a_cycle(stream):
            cycle = {{"stream": stream}}
            cycle["cycle"] = cycle

        async def leave(client):
            # Dropped: ends at once. In a cycle: when that is collected. Never read: as one that was.
            await (await client.chat("m", MESSAGES, stream=True)).__anext__()
            stream = await client.chat("m", MESSAGES, stream=True)
            await stream.__anext__()
            in_a_cycle(stream)
            in_a_cycle(await client.chat("m", MESSAGES, stream=True))
            stream = (await client.chat("m", MESSAGES, stream=True)).batches()
            await stream.__anext__()
            in_a_cycle((stream, stream.__anext__()))
            lines = client.stream_lines("/api/chat", {{"model": "m"}})
            await lines.__anext__()
            await lines.aclose()

        async def asynchronous():
            client = AsyncClient(URL)
            await client.pull("m")
            before = descriptors()
            for _ in range(10):
                await leave(client)
            collect()
            await client.pull("m")
            print(descriptors() <= before)

        def blocking():
            client = Client(URL)
            client.pull("m")
            before = descriptors()
            for _ in range(10):
                next(client.chat("m", MESSAGES, stream=True))
                stream = client.chat("m", MESSAGES, stream=True)
                next(stream)
                in_a_cycle(stream)
                in_a_cycle(client.chat("m", MESSAGES, stream=True))
            del stream
            collect()
            client.pull("m")
            print(descriptors() <= before)

        gc.disable()
        asyncio.run(asynchronous())
        blocking()
        """
    )
    assert outcome == Outcome(0, "True\nTrue\n")


def test_a_task_that_nobody_holds_is_collected_with_its_request(run: Run, endless: ScriptedServer) -> None:
    """Its callback refers to it. asyncio complains of such a task, whatever it waits for."""
    outcome = run(
        """
        async def main():
            client, started = AsyncClient(URL), asyncio.Event()

            def leave():
                def on_text(text):
                    started.set()
                    return own
                own = [asyncio.ensure_future(client.stream_text("/api/chat", {"model": "m"}, on_text))]
                own[0]._log_destroy_pending = False

            await client.pull("m")
            leave()
            await started.wait()
            gc.collect()
            await client.pull("m")
            print("the server has seen the end")

        asyncio.run(main())
        """
    )
    assert outcome == Outcome(0, "the server has seen the end\n")
