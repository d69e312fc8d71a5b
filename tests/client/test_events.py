"""Events of calls: which there are, in which order, thread and context, what they say, and what hooks cannot spoil."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import logging
import os
import pickle
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any, Callable

import pytest

from metagpt_ollama_rs import AsyncClient, Client, Retry, errors, stats
from metagpt_ollama_rs.endpoints import ENDPOINTS
from metagpt_ollama_rs.events import CallEvent, add_hook, remove_hook
from metagpt_ollama_rs.testing import Reply, ScriptedServer, faults

MESSAGES = [{"role": "user", "content": "a secret question"}]
PAYLOAD = {"model": "m", "messages": MESSAGES}
QUICK = Retry(retries=2, first=0.001)


class Told(list[CallEvent]):
    """A hook that keeps what it is told."""

    def __call__(self, event: CallEvent) -> None:
        self.append(event)

    @property
    def names(self) -> list[str]:
        return [event.name for event in self]

    @property
    def end(self) -> CallEvent:
        (end,) = [event for event in self if event.name == "end"]
        return end


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def everywhere(told: Told) -> Iterator[Told]:
    """A hook that is told of the calls of all clients."""
    add_hook(told)
    yield told
    remove_hook(told)


async def _read(stream: Any) -> list[Any]:
    return [item async for item in stream]


async def _streamed(client: AsyncClient) -> None:
    await _read(await client.chat("m", MESSAGES, stream=True))


async def _batches(client: AsyncClient) -> None:
    await _read((await client.chat("m", MESSAGES, stream=True)).batches())


async def _callback(client: AsyncClient) -> None:
    await client.stream_text("/api/chat", PAYLOAD, lambda text: None)


async def _lines(client: AsyncClient) -> None:
    await _read(client.stream_lines("/api/chat", PAYLOAD))


async def _whole(client: AsyncClient) -> None:
    await client.chat("m", MESSAGES)


async def _bytes(client: AsyncClient) -> None:
    await client.request_bytes("/api/chat", {**PAYLOAD, "stream": False})


def _sync_of(stream: bool) -> Callable[[AsyncClient], None]:
    def call(client: AsyncClient) -> None:
        reply: Any = Client(**client._arguments).chat("m", MESSAGES, stream=stream)
        if stream:
            list(reply)

    return call


CONSUMERS: dict[str, Callable[[AsyncClient], Any]] = {
    "items": _streamed,
    "batches": _batches,
    "callback": _callback,
    "lines": _lines,
    "whole": _whole,
    "bytes": _bytes,
    "sync": _sync_of(False),
    "sync stream": _sync_of(True),
}
STREAMED = {"items", "batches", "callback", "lines", "sync stream"}
consumers = pytest.mark.parametrize("consumer", CONSUMERS)


def run(consumer: str, client: AsyncClient) -> None:
    call = CONSUMERS[consumer]
    if consumer.startswith("sync"):
        call(client)
    else:
        asyncio.run(call(client))


@consumers
def test_a_call_begins_and_ends(ollama_server: ScriptedServer, told: Told, consumer: str) -> None:
    streamed = consumer in STREAMED
    ollama_server.on("POST", "/api/chat", Reply.chat("Hello world", stream=streamed, model="m"))
    before = time.time()
    run(consumer, AsyncClient(ollama_server.url, on_event=told))
    assert told.names == (["begin", "first_token", "end"] if streamed else ["begin", "end"])
    (record,) = [record for record in stats.records() if record["id"] == told[0].call_id]
    assert {event.call_id for event in told} == {record["id"]}
    assert {event.endpoint for event in told} == {"/api/chat"}
    assert told.end.outcome == "ok"
    assert told.end.error is None
    assert told.end.record == record
    assert [event.outcome for event in told[:-1]] == [None] * (len(told) - 1)
    assert before <= told[0].time <= told.end.time <= time.time() + 1
    seconds = [event.seconds for event in told]
    assert seconds == sorted(seconds)
    assert seconds[0] == 0
    assert seconds[-1] == record["seconds"]
    begun = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "ollama",
        "gen_ai.system": "ollama",
        "gen_ai.request.model": "m",
        "server.address": "127.0.0.1",
        "server.port": ollama_server.port,
        **({"gen_ai.request.stream": True} if streamed else {}),
    }
    assert told[0].attributes == begun
    first = {"gen_ai.response.time_to_first_chunk": record["first_token_seconds"]} if streamed else {}
    assert told.end.attributes == {
        **begun,
        **first,
        "gen_ai.response.model": "m",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": record["prompt_tokens"],
        "gen_ai.usage.output_tokens": record["answer_tokens"],
    }
    assert record["prompt_tokens"]
    assert record["answer_tokens"]


@consumers
def test_a_refused_call_fails(ollama_server: ScriptedServer, told: Told, consumer: str) -> None:
    ollama_server.on("POST", "/api/chat", Reply.error("model 'm' not found", 404))
    with pytest.raises(errors.ModelNotFoundError) as raised:
        run(consumer, AsyncClient(ollama_server.url, on_event=told))
    assert told.names == ["begin", "end"]
    assert told.end.outcome == "failed"
    assert told.end.error is raised.value
    assert told.end.attributes["error.type"] == "ModelNotFoundError"
    assert told.end.attributes["http.response.status_code"] == 404


@pytest.mark.parametrize("consumer", ["whole", "sync"])
def test_a_reply_that_is_no_answer_fails_the_call(ollama_server: ScriptedServer, told: Told, consumer: str) -> None:
    ollama_server.on("POST", "/api/chat", Reply.json({"object": "something else"}))
    with pytest.raises(errors.ProtocolError) as raised:
        run(consumer, AsyncClient(ollama_server.url, on_event=told))
    assert told.names == ["begin", "end"]
    assert told.end.outcome == "failed"
    assert told.end.error is raised.value
    assert told.end.attributes["error.type"] == "ProtocolError"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("method", ["embed", "embed_array", "embeddings"])
def test_a_reply_without_the_vectors_fails_the_call(
    ollama_server: ScriptedServer, told: Told, kind: Any, method: str
) -> None:
    ollama_server.script({f"POST /api/{path}": Reply.json({"model": "m"}) for path in ("embed", "embeddings")})
    client = kind(ollama_server.url, on_event=told)

    async def call() -> None:
        found = getattr(client, method)("m", "a text")
        await found if kind is AsyncClient else None

    with pytest.raises(errors.ProtocolError) as raised:
        asyncio.run(call())
    assert told.names == ["begin", "end"]
    assert told.end.error is raised.value


@pytest.mark.parametrize("consumer", sorted(STREAMED - {"lines"}))
def test_an_error_in_a_stream_fails_the_call(ollama_server: ScriptedServer, told: Told, consumer: str) -> None:
    line = {"model": "m", "message": {"role": "assistant", "content": "Hel"}, "done": False}
    ollama_server.on("POST", "/api/chat", Reply.ndjson([line, {"error": "out of memory"}]))
    with pytest.raises(errors.MidStreamError) as raised:
        run(consumer, AsyncClient(ollama_server.url, on_event=told))
    assert told.names == ["begin", "first_token", "end"]
    assert told.end.outcome == "failed"
    assert told.end.error is raised.value


@consumers
def test_retries_are_told(ollama_server: ScriptedServer, told: Told, consumer: str) -> None:
    good = Reply.chat("Hello", stream=consumer in STREAMED)
    ollama_server.on("POST", "/api/chat", [Reply.error("busy", 503), Reply.error("busy", 503), good])
    run(consumer, AsyncClient(ollama_server.url, retries=QUICK, on_event=told))
    assert told.names[:3] == ["begin", "retry", "retry"]
    assert told.end.outcome == "ok"
    assert [event.text.split(" of http")[0] for event in told[1:3]] == ["retry 1 of 2", "retry 2 of 2"]
    assert told[0].seconds < told[1].seconds < told[2].seconds < told.end.seconds
    assert told.end.attributes["http.request.resend_count"] == 2


def test_a_server_that_is_not_there_fails_the_call(told: Told) -> None:
    client = Client("http://127.0.0.1:9", retries=0, on_event=told)
    with pytest.raises(errors.ConnectError):
        client.list()
    assert told.names == ["begin", "end"]
    assert told.end.attributes["error.type"] == "ConnectError"
    assert told.end.attributes["gen_ai.operation.name"] == "list"


def test_a_call_that_is_never_made_has_no_events(told: Told) -> None:
    client = Client("http://127.0.0.1:9", on_event=told)
    with pytest.raises(errors.ConfigurationError):
        client.chat("m", [{"role": "user", "content": object()}])
    client.close()
    with pytest.raises(errors.ClosedError):
        client.list()
    assert told.names == ["begin", "end"]
    assert told.end.outcome == "closed"


@pytest.mark.parametrize("way", ["break", "close", "drop", "after the last"])
def test_a_stream_that_is_left_ends(ollama_server: ScriptedServer, told: Told, way: str) -> None:
    reply = Reply.chat("Hello world")
    ollama_server.on("POST", "/api/chat", reply if way == "after the last" else reply.gated(1))
    stream: Any = Client(ollama_server.url, on_event=told).chat("m", MESSAGES, stream=True)
    for part in stream:
        if way != "after the last" or part.done:
            break
    if way == "close":
        stream.close()
    assert told.names == ["begin", "first_token"] + (["end"] if way == "close" else [])
    del stream, part
    assert told.names == ["begin", "first_token", "end"]
    # Whoever leaves after the last line has missed nothing.
    assert told.end.outcome == ("ok" if way == "after the last" else "closed")
    assert told.end.error is None
    assert told.end.attributes.get("error.type") == (None if way == "after the last" else "closed")


@pytest.mark.parametrize("way", ["break", "aclose", "async with", "cancelled", "never read", "loop gone"])
def test_an_asynchronous_stream_that_is_left_ends(ollama_server: ScriptedServer, told: Told, way: str) -> None:
    reply = Reply.chat("Hello world").gated(0 if way == "never read" else 1)
    ollama_server.on("POST", "/api/chat", reply)

    async def main() -> None:
        reading = asyncio.Event()

        def hook(event: CallEvent) -> None:
            told(event)
            if event.name == "first_token":
                reading.set()

        client = AsyncClient(ollama_server.url, on_event=hook)
        stream = await client.chat("m", MESSAGES, stream=True)
        if way == "never read":
            return
        if way == "cancelled":
            reader = asyncio.ensure_future(_read(stream))
            await reading.wait()
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
            assert told.names == ["begin", "first_token", "end"]
            return
        await stream.__anext__()
        if way == "aclose":
            await stream.aclose()
            assert told.end.outcome == "closed"
        elif way == "async with":
            async with stream:
                pass
            assert told.end.outcome == "closed"
        elif way == "loop gone":
            left.append(stream)

    left: list[Any] = []
    asyncio.run(main())
    left.clear()
    gc.collect()
    assert told.names == (["begin", "end"] if way == "never read" else ["begin", "first_token", "end"])
    assert told.end.outcome == "closed"
    assert told.end.attributes["error.type"] == "closed"


@pytest.mark.parametrize("consumer", ["callback", "whole", "bytes"])
def test_a_cancelled_call_ends_at_once(ollama_server: ScriptedServer, told: Told, consumer: str) -> None:
    ollama_server.on("POST", "/api/chat", faults.never_answer())

    async def main() -> None:
        task = asyncio.ensure_future(CONSUMERS[consumer](AsyncClient(ollama_server.url, on_event=told)))
        await asyncio.get_running_loop().run_in_executor(None, ollama_server.wait_for_request)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert told.names == ["begin", "end"]
        assert told.end.outcome == "closed"

    asyncio.run(main())


@pytest.mark.parametrize("consumer", [name for name in CONSUMERS if not name.startswith("sync")])
def test_retries_of_a_cancelled_call_are_told_before_its_end(
    ollama_server: ScriptedServer, told: Told, consumer: str
) -> None:
    ollama_server.on("POST", "/api/chat", Reply.error("busy", 503))

    async def main() -> None:
        client = AsyncClient(ollama_server.url, retries=Retry(100, first=0.001, budget=60), on_event=told)
        task = asyncio.ensure_future(CONSUMERS[consumer](client))
        await asyncio.get_running_loop().run_in_executor(None, ollama_server.wait_for_request, 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # Whatever the request does after that is told to nobody.
        await asyncio.sleep(0.01)

    asyncio.run(main())
    gc.collect()
    assert told.names[1] == "retry"
    assert told.names[-1] == "end"
    assert told.end.outcome == "closed"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_the_first_token_of_a_transfer_comes_before_its_retries(
    ollama_server: ScriptedServer, told: Told, kind: Any
) -> None:
    report = {"status": "pulling a1", "digest": "a1", "total": 2}
    cut = faults.close_after_pieces(Reply.ndjson([{**report, "completed": 1}, {"status": "never seen"}]), 1)
    ollama_server.on("POST", "/api/pull", [cut, Reply.ndjson([{**report, "completed": 2}, {"status": "success"}])])
    client = kind(ollama_server.url, retries=QUICK, on_event=told)

    async def main() -> None:
        found = client.pull("m", stream=True)
        stream = await found if kind is AsyncClient else found
        # Both replies are here before the first report is taken.
        await asyncio.get_running_loop().run_in_executor(None, ollama_server.wait_for_request, 2)
        await _read(stream) if kind is AsyncClient else list(stream)

    asyncio.run(main())
    assert told.names == ["begin", "first_token", "retry", "end"]
    seconds = [event.seconds for event in told]
    assert seconds == sorted(seconds)


def test_a_callback_that_raises_fails_the_call(ollama_server: ScriptedServer, told: Told) -> None:
    ollama_server.answer("Hello world")

    def on_text(text: str) -> None:
        raise KeyError(text)

    async def main() -> None:
        await AsyncClient(ollama_server.url, on_event=told).stream_text("/api/chat", PAYLOAD, on_text)

    with pytest.raises(KeyError):
        asyncio.run(main())
    assert told.end.outcome == "failed"
    assert told.end.attributes["error.type"] == "KeyError"
    assert isinstance(told.end.error, KeyError)


def test_hooks_run_in_the_thread_and_the_context_of_the_caller(ollama_server: ScriptedServer) -> None:
    ollama_server.answer("Hello world")
    who = contextvars.ContextVar("who", default="nobody")
    seen: list[tuple[str, str, int]] = []

    def hook(event: CallEvent) -> None:
        seen.append((event.name, who.get(), threading.get_ident()))
        if event.name == "begin":
            who.set(f"{who.get()} in the call")

    client = Client(ollama_server.url, on_event=hook)
    asynchronous = AsyncClient(ollama_server.url, on_event=hook)

    def threaded() -> None:
        who.set("thread")
        list(client.chat("m", MESSAGES, stream=True))
        assert who.get() == "thread"

    async def task(name: str) -> None:
        who.set(name)
        stream = await asynchronous.chat("m", MESSAGES, stream=True)
        who.set("later")
        await asyncio.create_task(_read(stream))
        assert who.get() == "later"

    async def main() -> None:
        await asyncio.gather(*(task(f"task {number}") for number in range(3)))

    thread = threading.Thread(target=threaded)
    thread.start()
    thread.join()
    assert seen == [
        (name, f"thread{' in the call' * (name != 'begin')}", thread.ident) for name in ("begin", "first_token", "end")
    ]
    seen.clear()
    asyncio.run(main())
    assert sorted(seen) == sorted(
        (name, f"task {number}{' in the call' * (name != 'begin')}", threading.get_ident())
        for name in ("begin", "first_token", "end")
        for number in range(3)
    )


@consumers
def test_what_a_hook_raises_is_logged_once_and_spoils_nothing(
    ollama_server: ScriptedServer, caplog: pytest.LogCaptureFixture, consumer: str
) -> None:
    ollama_server.on("POST", "/api/chat", Reply.chat("Hello", stream=consumer in STREAMED))
    told = Told()

    def hook(event: CallEvent) -> None:
        told(event)
        raise ValueError("of the hook")

    hook.__qualname__ = f"hook for {consumer}"
    add_hook(hook)
    try:
        run(consumer, AsyncClient(ollama_server.url, on_event=told))
        run(consumer, AsyncClient(ollama_server.url))
    finally:
        remove_hook(hook)
    assert told.names.count("end") == 3
    (complaint,) = [record for record in caplog.records if record.name == "metagpt_ollama_rs"]
    assert hook.__qualname__ in complaint.getMessage()
    assert complaint.levelno == logging.WARNING
    assert complaint.exc_info is not None
    assert "of the hook" in str(complaint.exc_info[1])


def test_what_stops_a_program_comes_out_of_a_hook(ollama_server: ScriptedServer) -> None:
    ollama_server.answer("Hello")

    def hook(event: CallEvent) -> None:
        if event.name == "end":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Client(ollama_server.url, on_event=hook).chat("m", MESSAGES)


@consumers
def test_what_stops_a_program_at_a_retry_ends_the_call(ollama_server: ScriptedServer, consumer: str) -> None:
    told = Told()

    def hook(event: CallEvent) -> None:
        told(event)
        if event.name == "retry":
            raise KeyboardInterrupt

    ollama_server.on("POST", "/api/chat", [Reply.error("busy", 503), Reply.chat("Hello", stream=consumer in STREAMED)])
    with pytest.raises(KeyboardInterrupt):
        run(consumer, AsyncClient(ollama_server.url, retries=QUICK, on_event=hook))
    gc.collect()
    assert told.names == ["begin", "retry", "end"]
    assert told.end.outcome != "ok"


def test_a_hook_can_make_calls_and_end_its_own(ollama_server: ScriptedServer, told: Told) -> None:
    ollama_server.answer("Hello world")
    quiet = Client(ollama_server.url)
    streams: list[Any] = []

    def hook(event: CallEvent) -> None:
        told(event)
        if event.name == "first_token":
            assert quiet.chat("m", MESSAGES).message.content == "Hello world"
            streams[0].close()

    streams.append(Client(ollama_server.url, on_event=hook).chat("m", MESSAGES, stream=True))
    with pytest.raises(errors.ClosedError):
        list(streams[0])
    assert told.names == ["begin", "first_token", "end"]
    assert told.end.outcome in ("ok", "closed")


def test_headers_of_a_hook_are_sent(ollama_server: ScriptedServer) -> None:
    ollama_server.answer("Hello")

    def hook(event: CallEvent) -> None:
        if event.name == "begin":
            event.headers.update({"X-Call": event.call_id, "X-Who": "hook", "X-Mine": "hook"})

    client = Client(ollama_server.url, headers={"X-Who": "client"}, on_event=hook)
    client._native.call_blocking(ENDPOINTS["/api/tags"], None, "answer", (None, None, [("X-Mine", "call")]))
    sent = {name.lower(): value for name, value in ollama_server.last.headers}
    assert sent["x-call"] == stats.records()[-1]["id"]
    assert (sent["x-who"], sent["x-mine"]) == ("hook", "call")


def test_a_header_of_a_hook_that_cannot_be_sent_is_refused_by_name(ollama_server: ScriptedServer, told: Told) -> None:
    def hook(event: CallEvent) -> None:
        told(event)
        event.headers["X-Bad"] = "two\nlines"

    with pytest.raises(errors.ConfigurationError, match="X-Bad"):
        Client(ollama_server.url, on_event=hook).list()
    assert told.names == ["begin", "end"]
    assert ollama_server.requests == []


def test_hooks_of_the_process_see_all_clients_until_they_are_removed(
    ollama_server: ScriptedServer, everywhere: Told
) -> None:
    ollama_server.answer("Hello")
    client, own = Client(ollama_server.url), Told()
    client.list()
    Client(ollama_server.url, on_event=own).list()
    Client(ollama_server.url, on_event=everywhere).list()
    assert everywhere.names == ["begin", "end"] * 3
    assert own.names == ["begin", "end"]
    add_hook(everywhere)
    stream: Any = client.chat("m", MESSAGES, stream=True)
    remove_hook(everywhere)
    remove_hook(everywhere)
    client.list()
    assert everywhere.names == ["begin", "end"] * 3 + ["begin"]
    list(stream)
    # A call that is under way is told to its end.
    assert everywhere.names[6:] == ["begin", "first_token", "end"]


def test_no_event_says_anything_of_a_prompt_or_an_answer(ollama_server: ScriptedServer, everywhere: Told) -> None:
    ollama_server.answer("a secret answer")
    client = Client(ollama_server.url)
    client.chat("m", MESSAGES, format={"type": "object"}, tools=[{"type": "function", "function": {"name": "secret"}}])
    list(client.generate("m", "a secret prompt", system="secret", stream=True))
    client.embed("m", ["secret"])
    client.embeddings("m", "secret")
    texts = [repr([getattr(event, name) for name in CallEvent.__slots__]) for event in everywhere]
    assert len(texts) == 9
    assert not any("secret" in text for text in texts)


def test_embeddings_have_tokens(ollama_server: ScriptedServer, told: Told) -> None:
    ollama_server.answer()
    client = Client(ollama_server.url, on_event=told)
    client.embed("m", ["one two", "three"], dimensions=4)
    client.embed_array("m", ["one two", "three"])
    first, second = (event.attributes for event in told if event.name == "end")
    assert first["gen_ai.operation.name"] == second["gen_ai.operation.name"] == "embeddings"
    assert first["gen_ai.usage.input_tokens"] == second["gen_ai.usage.input_tokens"] == 3
    assert first["gen_ai.embeddings.dimension.count"] == 4
    assert first["gen_ai.response.model"] == second["gen_ai.response.model"] == "m"


def test_a_client_with_a_hook_can_be_pickled_and_collected(ollama_server: ScriptedServer) -> None:
    copied = pickle.loads(pickle.dumps(Client(ollama_server.url, on_event=print)))
    assert copied._arguments["on_event"] is print

    class Owner:
        def __init__(self) -> None:
            self.client = Client(ollama_server.url, on_event=self.hook)
            self.stream: Any = None

        def hook(self, event: CallEvent) -> None:
            names.append(event.name)

    names: list[str] = []
    ollama_server.on("POST", "/api/chat", Reply.chat("Hello world").gated(1))
    owner = Owner()
    owner.stream = owner.client.chat("m", MESSAGES, stream=True)
    next(owner.stream)
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None
    assert names == ["begin", "first_token", "end"]


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(errors.ConfigurationError, match="on_event must be a function"):
        Client("http://127.0.0.1:9", on_event="print")  # type: ignore[arg-type]
    with pytest.raises(errors.ConfigurationError, match="hook must be a function"):
        add_hook(3)  # type: ignore[arg-type]


def test_what_nobody_would_await_is_refused() -> None:
    async def hook(event: CallEvent) -> None: ...

    class Hook:
        async def __call__(self, event: CallEvent) -> None: ...

    for refused in (hook, Hook(), functools.partial(hook)):
        with pytest.raises(errors.ConfigurationError, match="is a coroutine function"):
            AsyncClient("http://127.0.0.1:9", on_event=refused)
        with pytest.raises(errors.ConfigurationError, match="is a coroutine function"):
            add_hook(refused)


EXIT = """
from metagpt_ollama_rs import Client
from metagpt_ollama_rs.events import add_hook
from metagpt_ollama_rs.testing import Reply, ScriptedServer

server = ScriptedServer().start()
server.on("POST", "/api/generate", Reply.generate("Hello world").gated(1))
add_hook(lambda event: print(event.name, flush=True))
stream = Client(server.url).generate("m", "Hi", stream=True)
next(stream)
class Cycle: pass
cycle = Cycle()
cycle.own, cycle.stream = cycle, stream
"""


def test_what_is_under_way_when_the_interpreter_exits_has_no_end() -> None:
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", EXIT]
    exited = subprocess.run(command, capture_output=True, text=True, check=True)
    assert exited.stdout.split() == ["begin", "first_token"]
    assert not exited.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_is_told_of_its_own_calls_only(ollama_server: ScriptedServer, told: Told) -> None:
    ollama_server.on("POST", "/api/chat", Reply.chat("Hello world").gated(1))
    client = Client(ollama_server.url, on_event=told)
    stream: Any = client.chat("m", MESSAGES, stream=True)
    next(stream)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            told.clear()
            del stream
            gc.collect()
            client.list()
            status = 0 if told.names == ["begin", "end"] and told.end.outcome == "ok" else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert told.names == ["begin", "first_token"]
    stream.close()
    assert told.names == ["begin", "first_token", "end"]
