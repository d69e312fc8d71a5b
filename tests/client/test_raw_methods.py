"""The methods that take a path and a payload as they go over the wire, of both clients."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from typing import Any, Callable

import pytest

from metagpt_ollama_rs import AsyncClient, Client, errors, stats
from metagpt_ollama_rs.testing import Reply, Request, ScriptedServer, faults

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
Ask = Callable[..., Any]


@pytest.fixture(params=["blocking", "asyncio"])
def ask(request: pytest.FixtureRequest, ollama_server: ScriptedServer) -> Ask:
    """``ask(method, ...)`` calls a raw method of a client; lines come as a list."""

    def blocking(called: str, *args: Any, **fields: Any) -> Any:
        with Client(ollama_server.url) as client:
            found = getattr(client, called)(*args, **fields)
            return list(found) if called == "stream_lines" else found

    async def work(called: str, *args: Any, **fields: Any) -> Any:
        async with AsyncClient(ollama_server.url) as client:
            found = getattr(client, called)(*args, **fields)
            return [line async for line in found] if called == "stream_lines" else await found

    def on_a_loop(called: str, *args: Any, **fields: Any) -> Any:
        return asyncio.run(work(called, *args, **fields))

    return blocking if request.param == "blocking" else on_a_loop


def echo(request: Request) -> Reply:
    body = request.json() if request.body else None
    return Reply.json({"method": request.method, "path": request.path, "body": body})


@pytest.mark.parametrize(
    ("path", "payload", "method"),
    [
        ("/v1/responses", {"model": "m", "input": "hi"}, "POST"),
        ("/v1/messages", {"model": "m", "max_tokens": 5, "messages": []}, "POST"),
        ("/api/me", None, "POST"),
        ("/api/experimental/new", None, "GET"),
        ("/v1/files/1", None, "DELETE"),
    ],
)
def test_a_path_without_a_method_is_reached(
    ask: Ask, ollama_server: ScriptedServer, path: str, payload: Any, method: str
) -> None:
    ollama_server.on(method, path, echo)
    reply = ask("request_json", path, payload, method=method, headers={"X-Request": "7"}, timeout=10, retries=0)
    assert reply == {"method": method, "path": path, "body": payload}
    assert ollama_server.last.header("X-Request") == "7"
    body, kind = ask("request_bytes", path, payload, method=method)
    assert (json.loads(body), kind) == (reply, "application/json; charset=utf-8")


def test_bytes_are_a_body_as_they_are(ask: Ask, ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/v1/audio/transcriptions", Reply.body(b"text\n", "text/plain"))
    form = b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n\x00\xff\r\n--x--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert ask("request_bytes", "/v1/audio/transcriptions", form, headers=headers) == (b"text\n", "text/plain")
    assert (ollama_server.last.body, ollama_server.last.header("Content-Type")) == (form, headers["Content-Type"])
    for kind in (bytearray, memoryview):
        ask("request_bytes", "/v1/audio/transcriptions", kind(form), headers=headers)
        assert ollama_server.last.body == form


def test_an_empty_reply_is_none_where_it_may_be(ask: Ask, ollama_server: ScriptedServer) -> None:
    empty = Reply.body(b"", None)
    ollama_server.script({"POST /api/copy": empty, "DELETE /api/delete": empty, "DELETE /v1/files/1": empty})
    ollama_server.script({"HEAD /api/blobs/sha256:12": empty, "POST /api/chat": empty})
    assert ask("request_json", "/api/copy", {"source": "m", "destination": "n"}) is None
    assert ask("request_json", "/api/delete", {"model": "m"}, method="DELETE") is None
    assert ask("request_json", "/v1/files/1", method="DELETE") is None
    assert ask("request_json", "/api/blobs/sha256:12", method="HEAD") is None
    with pytest.raises(errors.IncompleteError):
        ask("request_json", "/api/chat", CHAT)


def test_lines_come_as_they_are(ask: Ask, ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/v1/responses", Reply.sse([{"type": "response.created"}, {"type": "done"}]))
    lines = ask("stream_lines", "/v1/responses", {"model": "m", "input": "hi"})
    assert lines[0] == b'data: {"type":"response.created"}'
    assert b'data: {"type":"done"}' in lines
    assert ollama_server.last.json() == {"model": "m", "input": "hi", "stream": True}
    for kind in (bytes, bytearray, memoryview):
        assert ask("stream_lines", "/v1/responses", kind(b'{"model": "m"}')) == lines
        assert ollama_server.last.body == b'{"model": "m"}'


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/v1/chat/completions"])
def test_text_goes_to_a_callback(ask: Ask, ollama_server: ScriptedServer, path: str) -> None:
    ollama_server.answer(["Hel", "lo"], thinking=["Hm", "m"])
    frames = [{"choices": [{"delta": {"reasoning": "Hm"}}]}, {"choices": [{"delta": {"reasoning": "m"}}]}]
    frames += [{"choices": [{"delta": {"content": "Hel"}}]}, {"choices": [{"delta": {"content": "lo"}}]}]
    frames += [{"choices": [{"delta": {}, "finish_reason": "stop"}]}]
    ollama_server.on("POST", "/v1/chat/completions", Reply.sse(frames))
    texts: list[str] = []
    thoughts: list[str] = []
    reply = ask("stream_text", path, CHAT, texts.append, on_thinking=thoughts.append)
    assert (texts, thoughts) == (["Hel", "lo"], ["Hm", "m"])
    assert reply["response"] == "Hello" if path == "/api/generate" else reply["message"]["content"] == "Hello"
    assert reply["done"] is True
    assert ollama_server.last.json() == {**CHAT, "stream": True}


def test_a_callback_may_name_its_successor(ask: Ask, ollama_server: ScriptedServer) -> None:
    ollama_server.answer(["a", "b", "c"])
    first: list[str] = []
    rest: list[str] = []

    def on_text(text: str) -> Any:
        first.append(text)
        return rest.append

    ask("stream_text", "/api/chat", CHAT, on_text)
    assert (first, rest) == (["a"], ["b", "c"])


def test_what_a_callback_raises_ends_the_request(ask: Ask, ollama_server: ScriptedServer) -> None:
    ollama_server.queue(Reply.chat(["a", "b", "c"]).gated(2))

    def on_text(text: str) -> None:
        raise LookupError(text)

    with pytest.raises(LookupError, match="a"):
        ask("stream_text", "/api/chat", CHAT, on_text)
    assert ollama_server.last.hung_up.wait(10)


def test_a_callback_hears_what_came_before_an_error(ask: Ask, ollama_server: ScriptedServer) -> None:
    ollama_server.queue(faults.close_after_pieces(Reply.chat(["a", "b", "c"]), 2))
    heard: list[str] = []
    with pytest.raises(errors.StreamError) as caught:
        ask("stream_text", "/api/chat", CHAT, heard.append)
    assert "".join(heard) == caught.value.partial != ""


def test_a_callback_that_goes_in_circles_is_stopped(ask: Ask, ollama_server: ScriptedServer) -> None:
    ollama_server.queue(Reply.chat(["again and "] * 4000))
    heard: list[str] = []
    with pytest.raises(errors.IncompleteError):
        ask("stream_text", "/api/chat", CHAT, heard.append, repetition_guard=True)
    assert len(heard) < 4000


@pytest.mark.parametrize("method", ["stream_text", "stream_lines", "request_json", "request_bytes"])
def test_the_id_of_the_record_is_told(ask: Ask, ollama_server: ScriptedServer, method: str) -> None:
    ollama_server.answer("Hello")
    stats.clear()
    told: list[str] = []
    payload = CHAT if method.startswith("stream") else {**CHAT, "stream": False}
    ask(method, "/api/chat", payload, *[print][: method == "stream_text"], on_call=told.append)
    assert told == [record["id"] for record in stats.records()]
    assert len(told) == 1


@pytest.mark.parametrize("method", ["stream_text", "stream_lines", "request_json", "request_bytes"])
def test_an_option_that_there_is_not_is_refused(ask: Ask, ollama_server: ScriptedServer, method: str) -> None:
    words = rf"^{method}\(\) has no argument 'tiemout'; did you mean 'timeout'\?; it has path, payload, .*retries$"
    with pytest.raises(TypeError, match=words):
        ask(method, "/api/chat", CHAT, *[print][: method == "stream_text"], tiemout=3)
    assert ollama_server.requests == []


def test_a_method_that_is_not_sent_is_refused(ask: Ask, ollama_server: ScriptedServer) -> None:
    for method in ("PUT", "get", "POST\r\nX: y", None):
        with pytest.raises(errors.ConfigurationError, match="method must be one of GET, POST, DELETE, HEAD, and is"):
            ask("request_json", "/api/new", None, method=method)
    assert ollama_server.requests == []


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals of threads")
def test_ctrl_c_ends_a_delivery(ollama_server: ScriptedServer) -> None:
    """Also with a callback that is no Python code, in which no handler would run."""
    reply = Reply.chat(["a"] * 3).gated(2)
    ollama_server.queue(reply)

    heard: list[str] = []

    def interrupt() -> None:
        assert reply.gate is not None
        reply.gate.wait_sent(2)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        Client(ollama_server.url).stream_text("/api/chat", CHAT, heard.append)
    assert ollama_server.last.hung_up.wait(10)


def test_a_stream_of_lines_is_closed(ollama_server: ScriptedServer) -> None:
    ollama_server.queue(Reply.chat(["a", "b", "c"]).gated(2))
    with Client(ollama_server.url).stream_lines("/api/chat", CHAT) as lines:
        assert b'"a"' in next(lines)
    assert ollama_server.last.hung_up.wait(10)


def test_they_are_there_over_an_httpx_client_too() -> None:
    httpx = pytest.importorskip("httpx")
    seen: list[Any] = []

    def handle(request: Any) -> Any:
        seen.append((request.url.path, json.loads(request.content)))
        lines = [{"message": {"thinking": "Hm"}}, {"message": {"content": "Hel"}}, {"message": {"content": "lo"}}]
        lines += [{"message": {"content": ""}, "done": True}]
        return httpx.Response(200, content=b"".join(json.dumps(line).encode() + b"\n" for line in lines))

    client = Client(transport=httpx.MockTransport(handle))
    texts: list[str] = []
    thoughts: list[str] = []
    reply = client.stream_text("/api/chat", CHAT, texts.append, on_thinking=thoughts.append)
    assert (texts, thoughts, reply["message"]["content"]) == (["Hel", "lo"], ["Hm"], "Hello")
    assert json.loads(next(client.stream_lines("/api/chat", CHAT)))["message"] == {"thinking": "Hm"}
    assert seen == [("/api/chat", {**CHAT, "stream": True})] * 2
