"""One client over any number of event loops: closed ones, nested ones, ones without `add_reader`."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref

import pytest

from metagpt_ollama_rs import AsyncClient, errors
from metagpt_ollama_rs.testing import Reply, Request, ScriptedServer

from .conftest import Outcome, Run

MESSAGES = [{"role": "user", "content": "hi"}]


async def streamed(client: AsyncClient) -> str:
    return "".join([part.message.content async for part in await client.chat("m", MESSAGES, stream=True)])


def test_a_client_outlives_its_loops(ollama_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAGPT_OLLAMA_LANE", "direct")
    ollama_server.answer("Hello world")
    client = AsyncClient(ollama_server.url)
    for _ in range(5):
        assert asyncio.run(streamed(client)) == "Hello world"
    # Connections of the direct lane belong to their loop and go with it.
    ollama_server.wait_for_open_connections(0)


def test_a_client_of_the_general_lane_keeps_its_connection(
    ollama_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METAGPT_OLLAMA_LANE", "general")
    ollama_server.answer("Hello world")
    client = AsyncClient(ollama_server.url)
    for _ in range(5):
        assert asyncio.run(streamed(client)) == "Hello world"
    assert ollama_server.connections == 1


def test_three_runs_on_one_client(run: Run, ollama_server: ScriptedServer) -> None:
    ollama_server.answer("Hello world")
    outcome = run(
        """
        client = AsyncClient(URL)

        async def main():
            texts = []
            await client.stream_text("/api/chat", {"model": "m", "messages": MESSAGES}, texts.append)
            items = [part.message.content async for part in await client.chat("m", MESSAGES, stream=True)]
            gathered = await asyncio.gather(*(client.chat("m", MESSAGES) for _ in range(3)))
            print("".join(texts), "".join(items), {reply.message.content for reply in gathered})

        asyncio.run(main())
        asyncio.run(main())
        asyncio.run(main())
        """
    )
    assert outcome == Outcome(0, "Hello world Hello world {'Hello world'}\n" * 3)


def test_a_loop_closed_under_a_stream(run: Run, ollama_server: ScriptedServer) -> None:
    """The stream is of no use any more, and says so; the client is, and the server sees the end of what is dropped."""

    def pull(request: Request) -> Reply:
        ollama_server.wait_for_open_connections(1)
        return Reply.json({"status": "success"})

    ollama_server.on("POST", "/api/chat", lambda request: Reply.chat("Hello world").gated(1))
    ollama_server.on("POST", "/api/pull", pull)
    outcome = run(
        """
        client, called = AsyncClient(URL), asyncio.Event()
        loop = asyncio.new_event_loop()

        async def leave():
            stream = await client.chat("m", MESSAGES, stream=True)
            task = loop.create_task(client.stream_text("/api/chat", {"model": "m"}, lambda text: called.set()))
            # asyncio complains of each task that it loses, whatever it waits for.
            task._log_destroy_pending = False
            await called.wait()
            print((await stream.__anext__()).message.content)
            return stream

        stream = loop.run_until_complete(leave())
        loop.close()

        async def read():
            try:
                await stream.__anext__()
            except errors.ClosedError as error:
                print(error.message)

        asyncio.run(read())
        del stream, loop
        gc.collect()
        print(asyncio.run(client.pull("m")).status)
        """
    )
    refusal = "this request was started on another event loop: await it on the loop that started it"
    assert outcome == Outcome(0, f"Hello\n{refusal}\nsuccess\n")


def test_an_unknown_lane_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAGPT_OLLAMA_LANE", "fast")
    with pytest.raises(errors.ConfigurationError, match='METAGPT_OLLAMA_LANE is "fast": write general or direct'):
        AsyncClient("http://127.0.0.1:1")


def test_a_loop_is_not_kept_alive(ollama_server: ScriptedServer) -> None:
    ollama_server.answer("Hello world")
    client = AsyncClient(ollama_server.url)
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(streamed(client)) == "Hello world"
    gone = weakref.ref(loop)
    loop.close()
    del loop
    gc.collect()
    assert gone() is None


def test_a_stream_left_open_on_a_closed_loop_hurts_nobody(ollama_server: ScriptedServer) -> None:
    ollama_server.queue(Reply.chat("Hello world").gated(1))
    ollama_server.answer("again")
    client = AsyncClient(ollama_server.url)
    kept = []

    async def leave() -> None:
        stream = await client.chat("m", MESSAGES, stream=True)
        kept.append(stream)
        await stream.__anext__()

    asyncio.run(leave())
    assert asyncio.run(streamed(client)) == "again"
    kept.clear()
    ollama_server.wait_for_hangup()
    assert ollama_server.requests[0].hung_up


def test_a_stream_is_read_on_its_own_loop_only(ollama_server: ScriptedServer) -> None:
    ollama_server.queue(Reply.chat("Hello").gated(0))
    client = AsyncClient(ollama_server.url)

    async def start() -> object:
        return await client.chat("m", MESSAGES, stream=True)

    stream = asyncio.run(start())

    async def read() -> None:
        await stream.__anext__()  # type: ignore[attr-defined]

    with pytest.raises(errors.ClosedError, match="another event loop"):
        asyncio.run(read())


def test_loops_in_threads(ollama_server: ScriptedServer) -> None:
    ollama_server.answer("Hello world")
    client = AsyncClient(ollama_server.url)
    answers: list[str] = []

    async def many() -> None:
        answers.extend(await asyncio.gather(*(streamed(client) for _ in range(8))))

    threads = [threading.Thread(target=lambda: asyncio.run(many())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert answers == ["Hello world"] * 32


class LoopWithoutReaders(asyncio.SelectorEventLoop):
    """As Windows' proactor loop: `add_reader` is not there."""

    def add_reader(self, fd, callback, *args):  # type: ignore[no-untyped-def]
        if getattr(callback, "__module__", "") == "metagpt_ollama_rs._core" or not hasattr(callback, "__self__"):
            raise NotImplementedError
        return super().add_reader(fd, callback, *args)


def test_a_loop_without_add_reader(ollama_server: ScriptedServer) -> None:
    ollama_server.answer("Hello world")
    client = AsyncClient(ollama_server.url)
    loop = LoopWithoutReaders()
    seen: list[str] = []
    try:
        assert loop.run_until_complete(streamed(client)) == "Hello world"
        done = client.stream_text("/api/chat", {"model": "m", "messages": MESSAGES}, seen.append)
        assert loop.run_until_complete(done)["message"]["content"] == "Hello world"
        assert "".join(seen) == "Hello world"
    finally:
        loop.close()


def test_callbacks_run_in_the_callers_context(ollama_server: ScriptedServer) -> None:
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name")
    ollama_server.answer("one two three four")
    client = AsyncClient(ollama_server.url)
    seen: dict[str, list[str]] = {"a": [], "b": []}

    async def ask(who: str) -> None:
        name.set(who)
        await client.stream_text(
            "/api/chat", {"model": "m", "messages": MESSAGES}, lambda t: seen[name.get()].append(t)
        )

    async def both() -> None:
        await asyncio.gather(ask("a"), ask("b"))

    asyncio.run(both())
    assert "".join(seen["a"]) == "".join(seen["b"]) == "one two three four"
