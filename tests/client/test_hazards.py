"""What goes wrong in other clients: streams closed under a reader, cycles, greedy callbacks, empty replies."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from typing import Any, Callable

import pytest

from metagpt_ollama_rs import AsyncClient, Client, endpoints, errors
from metagpt_ollama_rs.testing import Reply, ScriptedServer, lines

MESSAGES = [{"role": "user", "content": "hi"}]
CHAT = {"model": "m", "messages": MESSAGES}


async def start(client: AsyncClient) -> Any:
    return await client.chat("m", MESSAGES, stream=True)


@pytest.mark.parametrize(
    "way", ["aclose", "close in a thread", "an iterator of batches", "another reader is cancelled"]
)
def test_a_stream_closed_under_a_parked_reader_wakes_it(ollama_server: ScriptedServer, way: str) -> None:
    ollama_server.queue(Reply.chat("Hello world").gated(1))

    async def main() -> None:
        stream = await start(AsyncClient(ollama_server.url))
        await stream.__anext__()
        parked = asyncio.ensure_future(stream.__anext__())
        await asyncio.sleep(0.05)
        if way == "aclose":
            await stream.aclose()
        elif way == "an iterator of batches":
            await stream.batches().aclose()
        elif way == "close in a thread":
            await asyncio.to_thread(stream.close)
        else:
            other = asyncio.ensure_future(stream.__anext__())
            await asyncio.sleep(0)
            other.cancel()
            with pytest.raises((RuntimeError, asyncio.CancelledError)):
                await other
            await stream.aclose()
        with pytest.raises(errors.ClosedError):
            await asyncio.wait_for(parked, 20)

    asyncio.run(main())
    ollama_server.wait_for_hangup()


@pytest.mark.parametrize("consumer", ["items", "callback", "call", "list"])
def test_a_loop_closed_under_a_parked_task_leaves_nothing_behind(ollama_server: ScriptedServer, consumer: str) -> None:
    ollama_server.on("POST", "/api/chat", lambda request: Reply.chat("Hello world").gated(0))
    ollama_server.on("GET", "/api/tags", lambda request: Reply.chat("Hello world").gated(0))

    class Marker:
        pass

    def scene() -> weakref.ref[Marker]:
        client = AsyncClient(ollama_server.url)
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda loop, context: None)

        async def parked(marker: Marker) -> None:
            if consumer == "items":
                async for _ in await start(client):
                    pass
            elif consumer == "callback":
                await client.stream_text("/api/chat", CHAT, lambda text: None)
            elif consumer == "list":
                await client.list()
            else:
                await client.chat("m", MESSAGES)

        marker = Marker()
        task = loop.create_task(parked(marker))
        loop.run_until_complete(asyncio.sleep(0.1))
        loop.close()
        assert not task.done()
        return weakref.ref(marker)

    left = scene()
    for _ in range(3):
        gc.collect()
    assert left() is None
    ollama_server.wait_for_hangup()


@pytest.mark.parametrize(
    "way",
    [
        "a callback's error",
        "a callback's answer",
        "a line that fails",
        "iterators",
        "a blocking stream",
        "a block not entered",
    ],
)
def test_what_nobody_asks_for_is_collected(ollama_server: ScriptedServer, way: str) -> None:
    """Every object that holds Python objects shows them to the cycle collector, errors with their frames too."""
    ollama_server.on("POST", "/api/chat", lambda request: Reply.chat(["x", "y"]).at_once())
    payload = {**CHAT, "stream": True}

    class Marker:
        pass

    async def scene() -> weakref.ref[Marker]:
        native: Any = AsyncClient(ollama_server.url)._native
        marker: Any = Marker()
        called = asyncio.Event()

        def on_text(text: str) -> None:
            called.set()
            if way == "a callback's error":
                raise ValueError(marker)

        class Made:
            owner = marker

            def __init__(self, record: Any) -> None:
                called.set()
                if way == "a line that fails" and record["message"]["content"] != "x":
                    raise ValueError(marker)

        if way.startswith("a callback"):
            marker.pending = native.deliver(endpoints.CHAT, payload, on_text, None, None)
            await called.wait()
            await asyncio.sleep(0.1)
        elif way == "a blocking stream":
            marker.stream = native.stream_blocking(endpoints.CHAT, payload, Made, None)
        else:
            marker.stream = native.stream(endpoints.CHAT, payload, Made, False, None)
            if way == "a line that fails":
                marker.items = await marker.stream.batches().__anext__()
            elif way == "iterators":
                marker.iterators = [marker.stream.batches(), marker.stream.batches().batches()]
            else:
                marker.entered = marker.stream.__aenter__()
        return weakref.ref(marker)

    left = asyncio.run(scene())
    for _ in range(3):
        gc.collect()
    assert left() is None


@pytest.mark.parametrize("consumer", ["callback", "batches", "items"])
def test_a_fast_stream_does_not_hold_the_loop(ollama_server: ScriptedServer, consumer: str) -> None:
    ollama_server.queue(Reply.chat(["x"] * 20_000).at_once())

    async def main() -> tuple[int, int]:
        client = AsyncClient(ollama_server.url)
        turns = count = 0
        reading = True

        async def other() -> None:
            nonlocal turns
            while reading:
                turns += 1
                await asyncio.sleep(0)

        def on_text(text: str) -> None:
            nonlocal count, turns
            turns = turns if count else 0
            count += 1

        task = asyncio.create_task(other())
        if consumer == "callback":
            await client.stream_text("/api/chat", CHAT, on_text)
        elif consumer == "items":
            async for part in await start(client):
                on_text(part.message.content)
        else:
            async for batch in (await start(client)).batches():
                for part in batch:
                    on_text(part.message.content)
        reading = False
        await task
        return turns, count

    turns, count = asyncio.run(main())
    assert count >= 20_000
    assert turns >= 20


@pytest.mark.parametrize("consumer", ["callback", "batches", "items"])
def test_a_loop_that_others_keep_busy_does_not_hold_a_stream(ollama_server: ScriptedServer, consumer: str) -> None:
    """Each turn of the loop takes others longer than a stream may use at once."""
    ollama_server.queue(Reply.chat(["x"] * 200).at_once())

    async def read(client: AsyncClient) -> int:
        seen: list[str] = []
        if consumer == "callback":
            await client.stream_text("/api/chat", CHAT, seen.append)
        elif consumer == "items":
            seen.extend([part.message.content async for part in await start(client)])
        else:
            async for batch in (await start(client)).batches():
                seen.extend(part.message.content for part in batch)
        return len("".join(seen))

    async def main() -> int:
        async def other() -> None:
            while True:
                time.sleep(0.003)  # noqa: ASYNC251
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        try:
            return await asyncio.wait_for(read(AsyncClient(ollama_server.url)), 20)
        finally:
            task.cancel()

    assert asyncio.run(main()) == 200


@pytest.mark.parametrize("stop", [StopIteration, StopIteration("x"), StopAsyncIteration])
def test_a_callback_that_stops_iterating_ends_nothing_in_silence(ollama_server: ScriptedServer, stop: Any) -> None:
    ollama_server.answer("Hello world")

    def on_text(text: str) -> None:
        raise stop

    async def main() -> None:
        await AsyncClient(ollama_server.url).stream_text("/api/chat", CHAT, on_text)

    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(main())


def test_the_asynchronous_stream_is_no_ordinary_iterator(ollama_server: ScriptedServer) -> None:
    ollama_server.answer("Hello world")

    async def main() -> None:
        stream = await start(AsyncClient(ollama_server.url))
        with pytest.raises(TypeError, match="not iterable"):
            for _ in stream:
                pass
        assert len([part async for part in stream]) == 3

    asyncio.run(main())


def test_a_complete_stream_stays_complete_when_it_is_closed(ollama_server: ScriptedServer) -> None:
    ollama_server.answer("Hello world")

    async def main() -> None:
        async with await start(AsyncClient(ollama_server.url)) as stream:
            parts = [part async for part in stream]
        assert parts[-1].done
        with pytest.raises(StopAsyncIteration):
            await stream.__anext__()

    asyncio.run(main())
    with Client(ollama_server.url).chat("m", MESSAGES, stream=True) as blocking:
        assert list(blocking)[-1].done
    assert next(blocking, None) is None


def test_a_line_that_cannot_be_converted_ends_the_stream_after_those_before_it(ollama_server: ScriptedServer) -> None:
    good = lines.chat_lines(["a", "b", "c"])
    bad = b'{"model":"m","message":{"role":"assistant","content":"?"},"done":false,"n":' + b"9" * 5000 + b"}\n"
    ollama_server.on("POST", "/api/chat", lambda request: Reply.ndjson([*good[:2], bad, *good[2:]]).at_once())

    async def read(stream: Any, batched: bool, seen: list[str]) -> None:
        if batched:
            async for batch in stream.batches():
                seen.extend(part.message.content for part in batch)
        else:
            async for part in stream:
                seen.append(part.message.content)

    async def main(batched: bool) -> list[str]:
        stream = await start(AsyncClient(ollama_server.url))
        seen: list[str] = []
        with pytest.raises(errors.DecodeError, match="cannot be converted"):
            await read(stream, batched, seen)
        with pytest.raises(errors.ClosedError):
            await stream.__anext__()
        return seen

    assert asyncio.run(main(False)) == asyncio.run(main(True)) == ["a", "b"]


@pytest.mark.parametrize("value", [b"9" * 5000, b"[" * 5000 + b"]" * 5000], ids=["long", "deep"])
def test_a_whole_reply_that_cannot_be_converted_is_a_typed_error(ollama_server: ScriptedServer, value: bytes) -> None:
    line = b'{"model":"m","message":{"role":"assistant","content":"hi"},"done":true,"n":' + value + b"}"
    for path, method in (("/api/chat", "POST"), ("/api/tags", "GET"), ("/api/show", "POST")):
        ollama_server.on(method, path, Reply.body(line, "application/json"))
    asynchronous = AsyncClient(ollama_server.url)
    client = Client(ollama_server.url)
    for ask in (
        lambda: client.chat("m", MESSAGES),
        lambda: client.list(),
        lambda: asyncio.run(asynchronous.chat("m", MESSAGES)),
        lambda: asyncio.run(asynchronous.show("m")),
        lambda: asyncio.run(asynchronous.stream_text("/api/chat", CHAT, lambda text: None)),
    ):
        with pytest.raises(errors.DecodeError, match="cannot be converted"):
            ask()


def test_close_while_an_item_is_made_ends_the_stream(ollama_server: ScriptedServer) -> None:
    ollama_server.queue(Reply.chat(["x"] * 200).at_once())
    client = Client(ollama_server.url)
    made: list[Any] = []

    def make(record: dict[str, Any]) -> dict[str, Any]:
        if not made:
            thread = threading.Thread(target=stream.close)
            thread.start()
            thread.join(20)
        made.append(record)
        return record

    stream = client._native.stream_blocking(endpoints.CHAT, {**CHAT, "stream": True}, make, None)
    next(stream)
    with pytest.raises(errors.ClosedError):
        next(stream)
    assert len(made) == 1


CALLS: dict[str, tuple[str, str, Callable[[Client], Any]]] = {
    "chat": ("POST", "/api/chat", lambda client: client.chat("m", MESSAGES)),
    "generate": ("POST", "/api/generate", lambda client: client.generate("m", "hi")),
    "embed": ("POST", "/api/embed", lambda client: client.embed("m", "hi")),
    "list": ("GET", "/api/tags", lambda client: client.list()),
    "ps": ("GET", "/api/ps", lambda client: client.ps()),
    "version": ("GET", "/api/version", lambda client: client.version()),
}


@pytest.mark.parametrize("body", [b"null", b"[]", b"{}", b"5", b'""', b'{"error":""}', b"true"])
@pytest.mark.parametrize(("method", "path", "call"), CALLS.values(), ids=CALLS.keys())
def test_a_reply_that_says_nothing_is_no_answer(
    ollama_server: ScriptedServer, method: str, path: str, call: Callable[[Client], Any], body: bytes
) -> None:
    ollama_server.on(method, path, Reply.json(body))
    with pytest.raises(errors.OllamaError):
        call(Client(ollama_server.url))


def test_a_pull_may_take_its_time(ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/api/pull", lambda request: Reply.json({"status": "success"}).slowly(pause=0.4))
    client = Client(ollama_server.url, timeout=0.1)
    assert client.pull("m").status == "success"
    assert list(client.pull("m", stream=True))[-1].status == "success"


@pytest.mark.parametrize(
    ("host", "hidden"),
    [("http://user:s3cr/et@host:11434", "s3cr"), ("http://user:12345/pw@realhost:11434", "12345")],
)
def test_a_password_that_breaks_the_url_is_not_shown(host: str, hidden: str) -> None:
    with pytest.raises(errors.ConfigurationError, match="%2F") as caught:
        Client(host)
    assert hidden not in str(caught.value) + repr(caught.value)


def test_headers_that_are_no_secrets_leave_messages_alone(ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/api/chat", Reply.error("model 'llama3.2' not found", 404))
    headers = {"X-App": "the server", "X-Model": "llama3.2", "X-Auth-Token": "llama3.2-secret"}
    with pytest.raises(errors.ModelNotFoundError, match=r"The server answered 404 Not Found: model 'llama3\.2'"):
        Client(ollama_server.url, headers=headers).chat("llama3.2", MESSAGES)


@pytest.mark.parametrize(
    ("path", "reply", "ask"),
    [
        ("/api/chat", {"echo 'a-long-key'": 1}, lambda client: client.chat("m", MESSAGES)),
        ("/api/chat", {"message": "you sent a-long-key"}, lambda client: client.chat("m", MESSAGES)),
        ("/api/generate", {"response": [{"a-long-key": 1}]}, lambda client: client.generate("m", "hi")),
        ("/api/tags", {"a-long-key": 1}, lambda client: client.list()),
    ],
)
def test_a_reply_of_the_wrong_form_is_quoted_without_the_key(
    ollama_server: ScriptedServer, path: str, reply: dict[str, Any], ask: Callable[[Client], Any]
) -> None:
    ollama_server.on("GET" if path == "/api/tags" else "POST", path, Reply.json(reply))
    with pytest.raises(errors.ProtocolError, match=r"\*\*\*") as caught:
        ask(Client(ollama_server.url, api_key="a-long-key"))
    assert "a-long-key" not in str(caught.value)


@pytest.mark.parametrize("consumer", ["items", "callback", "call"])
def test_the_stack_of_a_thread_may_be_small(ollama_server: ScriptedServer, consumer: str) -> None:
    """A request on the direct lane begins on the stack of whoever makes it."""
    ollama_server.answer("Hello world")
    answers = []

    async def main() -> None:
        client = AsyncClient(ollama_server.url)
        if consumer == "items":
            answers.append("".join([part.message.content or "" async for part in await start(client)]))
        elif consumer == "callback":
            answers.append((await client.stream_text("/api/chat", CHAT, lambda text: None))["message"]["content"])
        else:
            answers.append((await client.chat("m", MESSAGES)).message.content)

    before = threading.stack_size(80 << 10)
    try:
        thread = threading.Thread(target=lambda: asyncio.run(main()))
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    assert answers == ["Hello world"]
