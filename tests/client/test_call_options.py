"""``timeout``, ``headers`` and ``retries`` of a call: every method of both clients passes them on."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path
from typing import Any

import pytest

from metagpt_ollama_rs import AsyncClient, Client, errors
from metagpt_ollama_rs.testing import Reply, Request, ScriptedServer, faults

MODELS = Reply.json({"models": []})
DONE = Reply.json({"status": "success"})
CHAT = {"model": "m", "messages": []}
QUESTIONS = {"a": {"type": "noul", "instructions": "?"}}

# The arguments of each method that needs some, and the path that it asks.
CALLS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "chat": ("/api/chat", ("m", [{"role": "user", "content": "hi"}])),
    "generate": ("/api/generate", ("m", "hi")),
    "embed": ("/api/embed", ("m", "a")),
    "embed_array": ("/api/embed", ("m", "a")),
    "embeddings": ("/api/embeddings", ("m", "a")),
    "list": ("/api/tags", ()),
    "ps": ("/api/ps", ()),
    "show": ("/api/show", ("m",)),
    "version": ("/api/version", ()),
    "pull": ("/api/pull", ("m",)),
    "push": ("/api/push", ("m",)),
    "create": ("/api/create", ("m",)),
    "create_blob": ("/api/blobs/", ("model.gguf",)),
    "delete": ("/api/delete", ("m",)),
    "copy": ("/api/copy", ("m", "n")),
    "systemone": ("/v1/systemone", ("m", "state", QUESTIONS)),
    "request_json": ("/api/chat", ("/api/chat", {**CHAT, "stream": False})),
    "request_bytes": ("/api/chat", ("/api/chat", {**CHAT, "stream": False})),
    "stream_lines": ("/api/chat", ("/api/chat", CHAT)),
    "stream_text": ("/api/chat", ("/api/chat", CHAT, lambda text: None)),
}
STREAMED = ("chat", "generate", "pull", "push", "create")
# These go to ollama.com: tests/client/test_web.py.
ELSEWHERE = {"web_search", "web_fetch"}
BLOB = "/api/blobs/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def transfer(request: Request) -> Reply:
    return Reply.ndjson([{"status": "success"}]) if request.json()["stream"] else DONE


@pytest.fixture
def server(ollama_server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ScriptedServer:
    ollama_server.answer("Hello")
    transfers = {f"POST /api/{name}": transfer for name in ("pull", "push", "create")}
    answers = {"POST /api/show": Reply.json({"capabilities": []}), "POST /v1/systemone": Reply.json({"answers": {}})}
    empty = {"DELETE /api/delete": Reply.body(b"", None), "POST /api/copy": Reply.body(b"", None)}
    blobs = {f"POST {BLOB}": Reply.body(b"", None, 201)}
    ollama_server.script({"GET /api/tags": MODELS, "GET /api/ps": MODELS, **transfers, **answers, **empty, **blobs})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.gguf").touch()
    return ollama_server


def use(kind: Any, url: str, method: str, arguments: tuple[Any, ...], fields: dict[str, Any]) -> None:
    """Calls a method to its end."""
    if kind is Client:
        with Client(url, retries=0) as client:
            found = getattr(client, method)(*arguments, **fields)
            if fields.get("stream") or method == "stream_lines":
                list(found)
        return

    async def work() -> None:
        async with AsyncClient(url, retries=0) as client:
            found = getattr(client, method)(*arguments, **fields)
            found = await found if inspect.isawaitable(found) else found
            if fields.get("stream") or method == "stream_lines":
                [item async for item in found]

    asyncio.run(work())


def test_every_method_is_tried() -> None:
    names = {name for name, member in vars(Client).items() if inspect.isfunction(member) and name[0] != "_"}
    assert names - {"close"} - ELSEWHERE == set(CALLS)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("method", CALLS)
def test_headers_arrive(server: ScriptedServer, kind: Any, method: str) -> None:
    path, arguments = CALLS[method]
    for stream in (False, True)[: 1 + (method in STREAMED)]:
        fields = {"stream": True} if stream else {}
        use(kind, server.url, method, arguments, {**fields, "headers": {"X-Request": "7"}})
    assert len(server.requests) == 1 + (method in STREAMED)
    for request in server.requests:
        assert request.path.startswith(path)
        assert request.header("X-Request") == "7"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("method", CALLS)
def test_a_time_limit_holds(server: ScriptedServer, kind: Any, method: str) -> None:
    path, arguments = CALLS[method]
    verb = {"list": "GET", "ps": "GET", "version": "GET", "delete": "DELETE"}.get(method, "POST")
    server.on(verb, BLOB if method == "create_blob" else path, faults.never_answer())
    for stream in (False, True)[: 1 + (method in STREAMED)]:
        with pytest.raises(errors.RequestTimeout):
            use(
                kind,
                server.url,
                method,
                arguments,
                {"timeout": 0.05, "retries": 0, **({"stream": True} if stream else {})},
            )


@pytest.mark.parametrize("method", ["chat", "list", "create_blob", "copy"])
def test_values_that_cannot_be_used_are_refused(server: ScriptedServer, method: str) -> None:
    _, arguments = CALLS[method]
    for options in ({"timeout": -1}, {"timeout": "soon"}, {"retries": -1}, {"headers": 3}, {"headers": {"X": 3}}):
        for kind in (Client, AsyncClient):
            with pytest.raises(errors.ConfigurationError):
                use(kind, server.url, method, arguments, options)
    assert server.requests == []
