"""Files that a model is made of: sent when the server has not got them, named by their digests."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from pathlib import Path
from typing import Any, Callable

import pytest

from metagpt_ollama_rs import AsyncClient, Client, errors
from metagpt_ollama_rs.testing import Reply, Request, ScriptedServer

SUCCESS = Reply.json({"status": "success"})
SMALL, LARGE = b"small", b"large" * (1 << 18)
KNOWN = "sha256:" + 64 * "a"
Ask = Callable[..., Any]


def digest_of(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


class Store:
    """The blobs of a server."""

    def __init__(self, server: ScriptedServer) -> None:
        self.held: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []
        for body in (SMALL, LARGE):
            path = f"/api/blobs/{digest_of(body)}"
            server.on("HEAD", path, self.answer)
            server.on("POST", path, self.answer)
        server.on("POST", "/api/create", SUCCESS)

    def answer(self, request: Request) -> Reply:
        digest = request.path.rpartition("/")[2]
        self.asked.append((request.method, digest))
        if request.method == "HEAD":
            return Reply.body(b"", None, 200 if digest in self.held else 404)
        self.held[digest] = request.body
        assert digest_of(request.body) == digest
        return Reply.body(b"", None, 201)


@pytest.fixture
def store(ollama_server: ScriptedServer) -> Store:
    return Store(ollama_server)


@pytest.fixture(params=["blocking", "asyncio"])
def ask(request: pytest.FixtureRequest, ollama_server: ScriptedServer) -> Ask:
    """Calls a method of a client."""

    def blocking(method: str, *args: Any, **fields: Any) -> Any:
        with Client(ollama_server.url) as client:
            found = getattr(client, method)(*args, **fields)
            return list(found) if fields.get("stream") else found

    async def work(method: str, args: Any, fields: Any) -> Any:
        async with AsyncClient(ollama_server.url) as client:
            found = await getattr(client, method)(*args, **fields)
            return [item async for item in found] if fields.get("stream") else found

    def on_a_loop(method: str, *args: Any, **fields: Any) -> Any:
        return asyncio.run(work(method, args, fields))

    return blocking if request.param == "blocking" else on_a_loop


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "small.gguf").write_bytes(SMALL)
    return tmp_path / "small.gguf"


@pytest.fixture
def large(tmp_path: Path) -> Path:
    (tmp_path / "large.gguf").write_bytes(LARGE)
    return tmp_path / "large.gguf"


def test_a_file_is_sent_once(ask: Ask, store: Store, large: Path) -> None:
    digest = digest_of(LARGE)
    assert ask("create_blob", large) == digest
    assert ask("create_blob", str(large)) == digest
    assert store.held == {digest: LARGE}
    assert store.asked == [("HEAD", digest), ("POST", digest), ("HEAD", digest)]


def test_a_small_file_is_sent_without_a_question(ask: Ask, store: Store, small: Path, tmp_path: Path) -> None:
    assert ask("create_blob", small, headers={"X-Request": "7"}) == digest_of(SMALL)
    assert store.asked == [("POST", digest_of(SMALL))]


@pytest.mark.parametrize("status", [400, 405, 501])
def test_a_question_that_is_refused_is_no_obstacle(
    ask: Ask, store: Store, ollama_server: ScriptedServer, large: Path, status: int
) -> None:
    """A proxy may pass on no HEAD."""
    ollama_server.on("HEAD", f"/api/blobs/{digest_of(LARGE)}", Reply.body(b"", None, status))
    assert ask("create_blob", large) == digest_of(LARGE)
    assert store.held == {digest_of(LARGE): LARGE}


def test_progress_is_told(ask: Ask, store: Store, large: Path) -> None:
    told: list[Any] = []
    ask("create_blob", large, on_progress=told.append)
    assert told[-1].status == "success"
    assert {report.digest for report in told} == {digest_of(LARGE)}
    assert {report.total for report in told if report.status == "uploading"} <= {len(LARGE)}


def test_paths_of_create_are_sent_first(
    ask: Ask, store: Store, ollama_server: ScriptedServer, small: Path, large: Path
) -> None:
    files = {"model.gguf": str(large), "known.gguf": KNOWN, "dash": KNOWN.replace(":", "-")}
    reply = ask("create", "mine", files=files, adapters={"a.gguf": small}, template="{{ .Prompt }}")
    assert reply.status == "success"
    assert ollama_server.last.json() == {
        "model": "mine",
        "files": {**files, "model.gguf": digest_of(LARGE)},
        "adapters": {"a.gguf": digest_of(SMALL)},
        "template": "{{ .Prompt }}",
        "stream": False,
    }
    assert files["model.gguf"] == str(large), "the caller's dict is as it was"
    assert set(store.held) == {digest_of(LARGE), digest_of(SMALL)}


def test_create_is_streamed_after_the_files(ask: Ask, store: Store, ollama_server: ScriptedServer, small: Path) -> None:
    ollama_server.on("POST", "/api/create", Reply.ndjson([{"status": "parsing GGUF"}, {"status": "success"}]))
    reports = ask("create", "mine", "q4_K_M", files={"m.gguf": small}, stream=True)
    assert [report.status for report in reports] == ["parsing GGUF", "success"]
    assert ollama_server.last.json()["quantize"] == "q4_K_M"
    assert [request.path for request in ollama_server.requests][-1] == "/api/create"


@pytest.mark.parametrize("where", ["files", "adapters"])
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"a": "nowhere.gguf"}, r"\['a'\] is neither a digest nor a file: 'nowhere.gguf' \(No such file"),
        ({"a": "sha512:12"}, r"\['a'\] is neither a digest nor a file(.|\n)*sha256:…"),
        ({"a": "nul\0"}, r"\['a'\] is neither a digest nor a file(.|\n)*null byte"),
        ({"a": 3}, r"\['a'\] is neither a digest nor a file: 3 \(a int\)"),
        ({"a": ""}, r"\['a'\] is neither a digest nor a file"),
        (["model.gguf"], "is a list"),
        ("model.gguf", "is a str"),
    ],
)
def test_what_is_no_file_is_refused_before_anything_is_sent(
    ask: Ask, ollama_server: ScriptedServer, where: str, given: Any, words: str
) -> None:
    with pytest.raises(errors.ConfigurationError, match=words) as caught:
        ask("create", "mine", **{where: given})
    assert str(caught.value).startswith(where)
    assert ollama_server.requests == []


def test_a_path_that_cannot_be_read(ask: Ask, ollama_server: ScriptedServer, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.gguf"):
        ask("create_blob", tmp_path / "nowhere.gguf")
    with pytest.raises(errors.ConfigurationError, match=r"is a folder(.|\n)*each of its files"):
        ask("create_blob", tmp_path)
    with pytest.raises(errors.ConfigurationError, match="is a folder"):
        ask("create", "mine", files={"m": tmp_path})
    with pytest.raises(TypeError, match="PathLike"):
        ask("create_blob", 3)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(errors.ConfigurationError, match="is no file"):
            ask("create_blob", tmp_path / "pipe")
    assert ollama_server.requests == []


def test_a_server_that_refuses_the_file(ask: Ask, ollama_server: ScriptedServer, small: Path) -> None:
    ollama_server.on("POST", f"/api/blobs/{digest_of(SMALL)}", Reply.error("no space left on device", 500))
    with pytest.raises(errors.ResponseError, match="no space left"):
        ask("create", "mine", files={"m.gguf": small})
    assert len([request for request in ollama_server.requests if request.path == "/api/create"]) == 0


def test_the_event_loop_goes_on_while_a_file_is_read(
    ollama_server: ScriptedServer, store: Store, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from metagpt_ollama_rs import blobs

    original = blobs._digest_of

    async def work() -> str:
        loop, reading, go_on = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

        def slow(*args: Any) -> str:
            loop.call_soon_threadsafe(reading.set)
            assert go_on.wait(10)
            return original(*args)

        monkeypatch.setattr(blobs, "_digest_of", slow)
        async with AsyncClient(ollama_server.url) as client:
            sending = asyncio.ensure_future(client.create_blob(small))
            await asyncio.wait_for(reading.wait(), 10)
            go_on.set()
            return await sending

    assert asyncio.run(work()) == digest_of(SMALL)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_files_go_over_an_httpx_client_too(kind: Any, large: Path) -> None:
    httpx = pytest.importorskip("httpx")
    seen: list[Any] = []

    def handle(request: Any) -> Any:
        seen.append((request.method, request.url.path, request.read() if kind is Client else None))
        return httpx.Response(404 if request.method == "HEAD" else 201)

    async def read(request: Any) -> Any:
        await request.aread()
        return handle(request)

    client = kind(transport=httpx.MockTransport(handle if kind is Client else read))
    digest = client.create_blob(large)
    assert digest_of(LARGE) == (digest if kind is Client else asyncio.run(digest))
    path = f"/api/blobs/{digest_of(LARGE)}"
    assert [(method, where) for method, where, _ in seen] == [("HEAD", path), ("POST", path)]
    if kind is Client:
        assert seen[-1][2] == LARGE
