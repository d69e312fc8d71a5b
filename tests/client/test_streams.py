"""The asynchronous stream: its consumers, its end, and what the server sees of a reader that leaves."""

from __future__ import annotations

import asyncio
import gc
import json
import pickle
import re
from collections.abc import AsyncIterator, Awaitable
from typing import Any, Callable

import pytest

from metagpt_ollama_rs import AsyncClient, ChatResponse, Client, errors
from metagpt_ollama_rs.testing import Reply, ScriptedServer, faults, lines

MESSAGES = [{"role": "user", "content": "hi"}]
CHAT = {"model": "m", "messages": MESSAGES}


async def start(client: AsyncClient) -> Any:
    return await client.chat("m", MESSAGES, stream=True)


def run(server: ScriptedServer, work: Callable[[AsyncClient], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with AsyncClient(server.url) as client:
            return await work(client)

    return asyncio.run(main())


def test_items_have_attribute_and_item_access(ollama_server: ScriptedServer) -> None:
    ollama_server.queue(Reply.chat(["Hel", "lo"]))

    async def work(client: AsyncClient) -> list[ChatResponse]:
        return [part async for part in await start(client)]

    parts = run(ollama_server, work)
    assert [part.message.content for part in parts] == ["Hel", "lo", ""]
    assert [part["message"]["content"] for part in parts] == ["Hel", "lo", ""]
    assert [part.done for part in parts] == [False, False, True]
    assert parts[0].eval_count is None
    assert parts[0].created_at
    assert parts[0].message.role == "assistant"
    assert parts[-1].done_reason == "stop"
    assert parts[-1].eval_count == parts[-1]["eval_count"] > 0
    assert all(isinstance(part, ChatResponse) for part in parts)


def test_items_say_what_the_wire_said(ollama_server: ScriptedServer) -> None:
    """Content lines, which the fast path decodes, lose no key and no order."""
    import json

    sent = lines.chat_lines(["a", "<b>", "\u4e2d\u6587", "\u2028", '"\\'], model="smollm2:135m")
    ollama_server.queue(Reply.ndjson(sent))

    async def work(client: AsyncClient) -> list[str]:
        return [json.dumps(part._data) async for part in await start(client)]

    assert run(ollama_server, work) == [json.dumps(json.loads(line)) for line in sent]


def test_batches_hold_all_that_has_arrived(ollama_server: ScriptedServer) -> None:
    ollama_server.queue(Reply.chat([f"{i} " for i in range(1000)]).at_once())

    async def work(client: AsyncClient) -> list[list[ChatResponse]]:
        return [batch async for batch in (await start(client)).batches()]

    batches = run(ollama_server, work)
    parts = [part.message.content for batch in batches for part in batch]
    assert "".join(parts) == "".join(f"{i} " for i in range(1000))
    assert all(batches)
    assert len(batches) < 500


def test_a_listener_may_hand_over_once(ollama_server: ScriptedServer) -> None:
    ollama_server.queue(Reply.chat(["one", "two", "three", "four"]))
    first: list[str] = []
    rest: list[str] = []

    def heir(text: str) -> object:
        rest.append(text)
        return first.append

    def on_text(text: str) -> object:
        first.append(text)
        return heir if text == "two" else "no callable"

    async def work(client: AsyncClient) -> Any:
        return await client.stream_text("/api/chat", CHAT, on_text)

    assert run(ollama_server, work)["message"]["content"] == "onetwothreefour"
    assert (first, rest) == (["one", "two"], ["three", "four"])


def test_each_piece_is_handed_on_before_the_next_is_sent(ollama_server: ScriptedServer) -> None:
    reply = Reply.chat(["one", "two", "three"]).gated(1)
    gate = reply.gate
    assert gate is not None
    ollama_server.queue(reply)
    seen: list[tuple[str, int]] = []

    def on_text(text: str) -> None:
        seen.append((text, gate.sent))
        gate.open()
        if text == "three":
            gate.open_all()

    async def work(client: AsyncClient) -> Any:
        return await client.stream_text("/api/chat", CHAT, on_text)

    assert run(ollama_server, work)["message"]["content"] == "onetwothree"
    assert [text for text, _ in seen] == ["one", "two", "three"]
    assert all(sent <= position + 1 for position, (_, sent) in enumerate(seen))


def test_a_long_stream_lets_the_loop_serve_others(ollama_server: ScriptedServer) -> None:
    ollama_server.queue(Reply.chat(["x"] * 5000).at_once())

    async def work(client: AsyncClient) -> int:
        turns = 0
        reading = True

        async def other() -> None:
            nonlocal turns
            while reading:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        await asyncio.sleep(0.3)
        stream = await start(client)
        await stream.__anext__()
        turns = 0
        async for _ in stream:
            pass
        reading = False
        await task
        return turns

    assert run(ollama_server, work) >= 5


LEAVE: dict[str, Callable[[AsyncClient], Awaitable[None]]] = {}


def leave(work: Callable[[AsyncClient], Awaitable[None]]) -> Callable[[AsyncClient], Awaitable[None]]:
    LEAVE[work.__name__] = work
    return work


@leave
async def cancel_the_reader(client: AsyncClient) -> None:
    started = asyncio.Event()

    async def read() -> None:
        async for _ in await start(client):
            started.set()

    task = asyncio.create_task(read())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@leave
async def cancel_a_delivery(client: AsyncClient) -> None:
    started = asyncio.Event()
    task = asyncio.create_task(client.stream_text("/api/chat", CHAT, lambda text: started.set()))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@leave
async def close_the_stream(client: AsyncClient) -> None:
    stream = await start(client)
    await stream.__anext__()
    await stream.aclose()
    with pytest.raises(errors.ClosedError):
        await stream.__anext__()


@leave
async def leave_the_block(client: AsyncClient) -> None:
    async with await start(client) as stream:
        await stream.__anext__()


@leave
async def forget_the_stream(client: AsyncClient) -> None:
    stream = await start(client)
    await stream.__anext__()
    del stream
    gc.collect()


@leave
async def break_out(client: AsyncClient) -> None:
    async for _ in await start(client):
        break


@leave
async def break_out_of_lines(client: AsyncClient) -> None:
    source = client.stream_lines("/api/chat", CHAT)
    async for _ in source:
        break
    await source.aclose()  # type: ignore[attr-defined]


@leave
async def raise_in_the_callback(client: AsyncClient) -> None:
    def on_text(text: str) -> None:
        raise LookupError(text)

    with pytest.raises(LookupError, match="Hello"):
        await client.stream_text("/api/chat", CHAT, on_text)


@leave
async def run_out_of_patience(client: AsyncClient) -> None:
    stream = await start(client)
    await stream.__anext__()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(stream.__anext__(), 0.05)


@pytest.mark.parametrize("way", LEAVE.values(), ids=LEAVE.keys())
def test_the_server_sees_a_reader_leave(ollama_server: ScriptedServer, way: Callable[..., Any]) -> None:
    ollama_server.queue(Reply.chat("Hello world").gated(1))

    async def main() -> None:
        client = AsyncClient(ollama_server.url)
        await way(client)
        await asyncio.to_thread(ollama_server.wait_for_hangup)

    asyncio.run(main())
    assert ollama_server.last.hung_up


def test_the_server_sees_a_cancelled_call(ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/api/chat", lambda request: Reply.chat("Hello").gated(0))
    ollama_server.on("POST", "/api/show", lambda request: Reply.json({}).gated(0))

    async def main() -> None:
        client = AsyncClient(ollama_server.url)
        for number, call in enumerate((client.chat("m", MESSAGES), client.show("m")), 1):
            task = asyncio.create_task(call)
            await asyncio.to_thread(ollama_server.wait_for_request, number)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.to_thread(ollama_server.wait_for_hangup)

    asyncio.run(main())
    assert len(ollama_server.requests) == 2


def test_one_reader_at_a_time(ollama_server: ScriptedServer) -> None:
    reply = Reply.chat("Hello world").gated(1)
    ollama_server.queue(reply)

    async def work(client: AsyncClient) -> str:
        stream = await start(client)
        first = (await stream.__anext__()).message.content
        waiting = asyncio.ensure_future(stream.__anext__())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="one task at a time"):
            await stream.__anext__()
        assert reply.gate is not None
        reply.gate.open_all()
        rest = (await waiting).message.content
        return str(first + rest)

    assert run(ollama_server, work) == "Hello world"


async def items(client: AsyncClient) -> AsyncIterator[str]:
    async for part in await start(client):
        yield part.message.content or ""


async def by_items(client: AsyncClient, seen: list[str]) -> None:
    async for text in items(client):
        seen.append(text)


async def by_callback(client: AsyncClient, seen: list[str]) -> None:
    await client.stream_text("/api/chat", CHAT, seen.append)


FAILURES = {
    "an error line": (
        Reply.ndjson([*lines.chat_lines("Hello world")[:2], {"error": "out of luck"}]),
        errors.MidStreamError,
        "out of luck",
        "Hello world",
    ),
    "no last line": (Reply.ndjson(lines.chat_lines("Hello world")[:2]), errors.IncompleteError, "done", "Hello world"),
    "a break": (
        faults.close_after_pieces(Reply.chat("Hello world"), 2),
        errors.InterruptedStreamError,
        ".",
        "Hello world",
    ),
    "no JSON": (Reply.ndjson([lines.chat_lines("Hello")[0], b"oops\n"]), errors.DecodeError, "oops", "Hello"),
    "a refusal": (Reply.error("model 'm' not found", 404), errors.ModelNotFoundError, "not found", ""),
}


@pytest.mark.parametrize("read", [by_items, by_callback])
@pytest.mark.parametrize(("reply", "error", "words", "partial"), FAILURES.values(), ids=FAILURES.keys())
def test_a_failure_is_typed_and_carries_the_text(
    ollama_server: ScriptedServer,
    read: Callable[..., Awaitable[None]],
    reply: Reply,
    error: type[errors.OllamaError],
    words: str,
    partial: str,
) -> None:
    ollama_server.queue(reply)
    seen: list[str] = []
    with pytest.raises(error, match=words) as caught:
        run(ollama_server, lambda client: read(client, seen))
    assert "".join(seen) == caught.value.partial == partial
    assert caught.value.model == "m"
    assert caught.value.url == f"{ollama_server.url}/api/chat"
    assert not isinstance(caught.value, ConnectionError)


def test_lines_that_never_say_done_end_with_the_body(ollama_server: ScriptedServer) -> None:
    """As servers that imitate Ollama send them. One line that says it, and the last one must say true."""
    bare = [{"message": {"role": "assistant", "content": text}} for text in ("Hello", " world")]
    with Client(ollama_server.url) as client:
        ollama_server.queue(Reply.ndjson(bare))
        assert [part.message.content for part in client.chat("m", MESSAGES, stream=True)] == ["Hello", " world"]
        ollama_server.queue(Reply.ndjson([*bare, {**bare[0], "done": False}]))
        with pytest.raises(errors.IncompleteError):
            list(client.chat("m", MESSAGES, stream=True))


def parts_of(server: ScriptedServer, consumer: str, method: str) -> list[Any]:
    """The parts of one stream, as ``consumer`` gets them; those that come before a failure are its ``parts``."""
    parts: list[Any] = []
    arguments = ("m", MESSAGES) if method == "chat" else ("m", "hi")
    payload = {"model": "m", "messages": MESSAGES} if method == "chat" else {"model": "m", "prompt": "hi"}

    async def work(client: AsyncClient) -> None:
        if consumer == "callback":
            await client.stream_text(f"/api/{method}", payload, parts.append)
            return
        stream = await getattr(client, method)(*arguments, stream=True)
        if consumer == "batches":
            async for batch in stream.batches():
                parts.extend(batch)
        else:
            async for part in stream:
                parts.append(part)

    try:
        if consumer == "blocking":
            for part in getattr(Client(server.url), method)(*arguments, stream=True):
                parts.append(part)
        else:
            run(server, work)
    except errors.OllamaError as error:
        error.parts = parts  # type: ignore[attr-defined]
        raise
    return parts


def text_of(part: Any) -> str:
    if isinstance(part, str):
        return part
    return str(part.message.content if isinstance(part, ChatResponse) else part.response)


CONSUMERS = ["items", "batches", "blocking", "callback"]
NO_PART: list[Any] = [
    {"status": "loading"},
    {"error parsing tool call": "raw"},
    {"message": None},
    {"message": "text"},
    {"message": "text", "done": True},
    {"error": False},
    {"error": None, "done": False},
    {"model": "m", "created_at": "2026-08-21T17:02:00.1Z", "done": False},
    {},
    [1],
    7,
]


@pytest.mark.parametrize("consumer", CONSUMERS)
@pytest.mark.parametrize("method", ["chat", "generate"])
@pytest.mark.parametrize("line", NO_PART, ids=str)
@pytest.mark.parametrize("first", [True, False])
def test_a_line_that_is_no_part_of_the_answer(
    ollama_server: ScriptedServer, consumer: str, method: str, line: Any, first: bool
) -> None:
    make = lines.chat_lines if method == "chat" else lines.generate_lines
    sent = make(["Hel", "lo", "!"])
    at = 0 if first else 2
    ollama_server.queue(Reply.ndjson([*sent[:at], json.dumps(line).encode() + b"\n", *sent[at:]]))
    with pytest.raises((errors.StreamError, errors.ProtocolError), match=re.escape(json.dumps(line))) as caught:
        parts_of(ollama_server, consumer, method)
    assert [text_of(part) for part in caught.value.parts] == ([] if first else ["Hel", "lo"])
    assert caught.value.partial == ("" if first else "Hello")


@pytest.mark.parametrize("consumer", ["items", "batches", "blocking"])
@pytest.mark.parametrize(
    ("method", "line"),
    [
        ("chat", {"response": "The"}),
        ("chat", {"response": "The", "done": True}),
        ("chat", {"choices": [{"delta": {"content": "The"}}]}),
        ("generate", {"message": {"role": "assistant", "content": "The"}}),
        ("generate", {"response": None, "done": False}),
    ],
)
def test_a_part_of_another_endpoint(ollama_server: ScriptedServer, consumer: str, method: str, line: Any) -> None:
    ollama_server.queue(Reply.ndjson([line, {"done": True}]))
    with pytest.raises(errors.ProtocolError, match=re.escape(json.dumps(line, separators=(",", ":")))):
        parts_of(ollama_server, consumer, method)


@pytest.mark.parametrize("consumer", CONSUMERS)
@pytest.mark.parametrize("method", ["chat", "generate"])
@pytest.mark.parametrize(
    "last",
    [
        {"done": True},
        {"done": True, "done_reason": "stop", "eval_count": 3},
        {"message": None, "done": True},
        {"response": None, "done": True},
        {"response": "", "done": True},
        {"message": {"role": "assistant", "content": ""}, "done": True},
        {"error": False, "done": True},
        {"error": None, "done": True},
        {"error": "", "done": True},
        {"error": {}, "done": True},
        {"error": 0, "done": True},
    ],
    ids=str,
)
def test_a_bare_last_line(ollama_server: ScriptedServer, consumer: str, method: str, last: dict[str, Any]) -> None:
    make = lines.chat_lines if method == "chat" else lines.generate_lines
    ollama_server.queue(Reply.ndjson([*make(["Hel", "lo"])[:-1], last]))
    parts = parts_of(ollama_server, consumer, method)
    assert [text_of(part) for part in parts] == (["Hel", "lo"] if consumer == "callback" else ["Hel", "lo", ""])
    if consumer != "callback":
        assert parts[-1].done is True
        assert parts[-1].eval_count == last.get("eval_count")
        if method == "chat":
            assert parts[-1]["message"].role == "assistant"
            assert parts[-1].message.tool_calls is None


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_the_stream_of_an_image(ollama_server: ScriptedServer, consumer: str) -> None:
    progress = {"model": "img", "completed": 3, "total": 20, "done": False}
    image = {"model": "img", "image": "iVBORw0KGgo=", "done": True, "done_reason": "stop"}
    ollama_server.queue(Reply.ndjson([progress, image]))
    parts = parts_of(ollama_server, consumer, "generate")
    assert [part.model_dump(exclude_unset=True) for part in parts] == (
        [] if consumer == "callback" else [progress, image]
    )


@pytest.mark.parametrize("method", ["chat", "generate"])
def test_a_load_has_an_empty_text(ollama_server: ScriptedServer, method: str) -> None:
    held = {"message": {"role": "assistant", "content": ""}} if method == "chat" else {"response": ""}
    ollama_server.queue(Reply.json({"model": "m", "created_at": "x", **held, "done": True, "done_reason": "load"}))
    (part,) = parts_of(ollama_server, "items", method)
    assert (text_of(part), part.done_reason) == ("", "load")


@pytest.mark.parametrize("consumer", CONSUMERS)
@pytest.mark.parametrize("error", ["out of luck", {"message": "out of luck"}, ["out of luck"], 7, True], ids=str)
def test_an_error_line_is_caught_as_ollama_python_has_it(
    ollama_server: ScriptedServer, consumer: str, error: Any
) -> None:
    line = {"error": error}
    ollama_server.queue(Reply.ndjson([*lines.chat_lines("Hello world")[:2], line]))
    with pytest.raises(errors.ResponseError, match=r"out of luck|7|true") as caught:
        parts_of(ollama_server, consumer, "chat")
    assert type(caught.value) is errors.MidStreamError
    assert isinstance(caught.value, errors.StreamError)
    assert (caught.value.status_code, caught.value.status, caught.value.retry_after) == (-1, 200, None)
    assert json.loads(caught.value.body) == line
    assert caught.value.partial == "Hello world"
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.status_code, copy.error, copy.body) == (-1, caught.value.error, caught.value.body)


@pytest.mark.parametrize(
    ("method", "reply"),
    [
        ("chat", {"message": None}),
        ("chat", {"message": "text"}),
        ("chat", {"message": [{"content": "text"}]}),
        ("chat", {"response": "text"}),
        ("generate", {"response": None}),
        ("generate", {"response": {"text": "x"}}),
        ("generate", {"message": {"content": "text"}}),
    ],
)
def test_a_whole_reply_that_is_no_answer(ollama_server: ScriptedServer, method: str, reply: dict[str, Any]) -> None:
    ollama_server.on("POST", f"/api/{method}", Reply.json({**reply, "done": True}))
    with pytest.raises(errors.ProtocolError, match="reply"):
        getattr(Client(ollama_server.url), method)("m")

    async def work(client: AsyncClient) -> object:
        return await getattr(client, method)("m")

    with pytest.raises(errors.ProtocolError, match="reply"):
        run(ollama_server, work)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("method", ["chat", "generate"])
@pytest.mark.parametrize(
    ("found", "text"),
    [
        (["h", "i"], "hi"),
        ([{"type": "text", "text": "h"}, {"type": "text", "text": "i"}], "hi"),
        ([], ""),
        (5, None),
        (True, None),
        ({"text": "hi"}, None),
        ([{"type": "image", "data": "x"}], None),
        (["h", 5], None),
    ],
    ids=str,
)
def test_a_text_of_several_parts(
    ollama_server: ScriptedServer, found: Any, text: str | None, method: str, stream: bool
) -> None:
    body = {"message": {"role": "assistant", "content": found}} if method == "chat" else {"response": found}
    line = {**body, "done": True, "done_reason": "stop"}
    ollama_server.on("POST", f"/api/{method}", Reply.ndjson([line]) if stream else Reply.json(line))

    def text_in(reply: Any) -> Any:
        return reply.message.content if method == "chat" else reply.response

    async def work(client: AsyncClient) -> list[Any]:
        reply = await getattr(client, method)("m", stream=stream)
        return [text_in(part) async for part in reply] if stream else [text_in(reply)]

    def work_blocking() -> list[Any]:
        reply = getattr(Client(ollama_server.url), method)("m", stream=stream)
        return [text_in(part) for part in reply] if stream else [text_in(reply)]

    for ask in (lambda: run(ollama_server, work), work_blocking):
        if text is None:
            with pytest.raises(errors.ProtocolError, match="content" if method == "chat" else "response"):
                ask()
        else:
            assert ask() == [text]


@pytest.mark.parametrize("nothing", [False, None, 0, "", [], {}], ids=str)
def test_an_error_that_says_nothing_in_a_whole_reply(ollama_server: ScriptedServer, nothing: Any) -> None:
    reply = {"message": {"role": "assistant", "content": "hi"}, "error": nothing, "done": True}
    ollama_server.on("POST", "/api/chat", Reply.json(reply))
    ollama_server.on("POST", "/api/embed", Reply.json({"embeddings": [[1.0]], "error": nothing}))
    client = Client(ollama_server.url)
    assert client.chat("m", MESSAGES).message.content == "hi"
    assert client.embed_array("m", ["a"]).tolist() == client.embed("m", ["a"]).embeddings == [[1.0]]


@pytest.mark.parametrize("error", ["no", {"message": "no"}, ["no"], 7, True], ids=str)
def test_an_error_in_a_whole_reply(ollama_server: ScriptedServer, error: Any) -> None:
    ollama_server.on("POST", "/api/chat", Reply.json({"error": error, "done": True}))
    ollama_server.on("POST", "/api/embed", Reply.json({"embeddings": [[1.0]], "error": error}))
    client = Client(ollama_server.url)
    for call in (client.chat, client.embed_array, client.embed):
        with pytest.raises(errors.ResponseError, match=r"no|7|true") as caught:
            call("m", [])  # type: ignore[operator]
        assert (type(caught.value), caught.value.status_code) == (errors.MidStreamError, -1)
        assert json.loads(caught.value.body)["error"] == error


def test_a_whole_reply_of_several_lines_is_held_to_the_same(ollama_server: ScriptedServer) -> None:
    sent = lines.chat_lines(["Hel", "lo", "!"])
    ollama_server.queue(Reply.ndjson([*sent[:2], {"status": "loading"}, *sent[2:]]))
    with pytest.raises(errors.ProtocolError, match=r'"status":"loading"') as caught:
        Client(ollama_server.url).chat("m", MESSAGES)
    assert caught.value.partial == "Hello"


@pytest.mark.parametrize("name", faults.MALFORMED)
@pytest.mark.parametrize("consumer", ["stream", "callback", "call", "manage", "bytes", "lines"])
def test_malformed_http_is_an_error_for_every_consumer(ollama_server: ScriptedServer, name: str, consumer: str) -> None:
    made = faults.MALFORMED[name]
    ollama_server.on("POST", "/api/chat", lambda request: made())
    ollama_server.on("GET", "/api/tags", lambda request: made())
    if name.startswith("stream ") and consumer in ("bytes", "lines", "manage"):
        expected: tuple[type[BaseException], ...] = (errors.InterruptedStreamError, errors.OllamaError)
    else:
        expected = (errors.OllamaError,)

    async def work(client: AsyncClient) -> object:
        if consumer == "stream":
            return [part async for part in await start(client)]
        if consumer == "callback":
            return await client.stream_text("/api/chat", CHAT, lambda text: None)
        if consumer == "call":
            return await client.chat("m", MESSAGES)
        if consumer == "manage":
            return await client.list()
        if consumer == "bytes":
            return await client.request_bytes("/api/chat", CHAT)
        return [line async for line in client.stream_lines("/api/chat", CHAT)]

    with pytest.raises(expected) as caught:
        run(ollama_server, work)
    assert str(caught.value)


def test_many_streams_at_once(ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/api/chat", lambda request: Reply.chat(f"answer to {request.json()['model']}"))

    async def one(client: AsyncClient, name: str) -> bool:
        stream = await client.chat(name, MESSAGES, stream=True)
        return "".join([part.message.content async for part in stream]) == f"answer to {name}"

    async def work(client: AsyncClient) -> list[bool]:
        return await asyncio.gather(*(one(client, f"m{i}") for i in range(64)))

    assert run(ollama_server, work) == [True] * 64


def test_five_calls_share_a_connection(ollama_server: ScriptedServer) -> None:
    ollama_server.answer("Hello world")

    async def work(client: AsyncClient) -> None:
        for _ in range(5):
            await client.chat("m", MESSAGES)
            await client.stream_text("/api/chat", CHAT, lambda text: None)
            await client.version()

    run(ollama_server, work)
    assert ollama_server.connections == 1
