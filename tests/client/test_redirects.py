"""Redirects as users meet them: a server that wants https, a proxy that adds a path, a place that has moved."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import Any, Callable

import pytest

from metagpt_ollama_rs import AsyncClient, Client, errors
from metagpt_ollama_rs.testing import Reply, Request, ScriptedServer, faults

Fronts = Callable[..., Any]
MESSAGES = [{"role": "user", "content": "hi"}]


def answers(url: str, **arguments: Any) -> list[str]:
    """What both clients get, whole and streamed, from chat and generate."""
    with Client(url, **arguments) as client:
        found = [
            client.chat("m", MESSAGES).message.content,
            "".join(part.message.content for part in client.chat("m", MESSAGES, stream=True)),
            client.generate("m", "hi").response,
            "".join(part.response for part in client.generate("m", "hi", stream=True)),
        ]

    async def ask() -> None:
        async with AsyncClient(url, **arguments) as client:
            found.append((await client.chat("m", MESSAGES)).message.content)
            pieces = [part.message.content async for part in await client.chat("m", MESSAGES, stream=True)]
            found.append("".join(pieces))
            found.append((await client.generate("m", "hi")).response)
            found.append((await client.list()).models[0].model.partition(":")[0] and "Hello")
            parts: list[str] = []
            await client.stream_text("/api/chat", {"model": "m", "messages": MESSAGES}, parts.append)
            found.append("".join(parts))

    asyncio.run(ask())
    return found


def redirecting(server: ScriptedServer, target: str, status: int = 307) -> None:
    """Sends everything that ``server`` is asked to ``target``, with its path."""
    for method, path in (("POST", "/api/chat"), ("POST", "/api/generate"), ("GET", "/api/tags"), ("POST", "/api/show")):
        server.on(method, path, faults.redirect(f"{target}{path}", status))


@pytest.mark.parametrize("status", [307, 308])
def test_from_http_to_https_of_the_same_host(
    ollama_server: ScriptedServer, tls_front: Fronts, certificates: Path, status: int
) -> None:
    ollama_server.answer("Hello")
    with ScriptedServer() as plain:
        redirecting(plain, tls_front().url, status)
        found = answers(plain.url, verify=certificates / "authority.pem")
        assert set(found) == {"Hello"}
        assert len(plain.requests) == len(ollama_server.requests) == len(found)
        asked = zip(plain.requests, ollama_server.requests)
        assert all(first.body == second.body for first, second in asked)


def test_a_certificate_behind_a_redirect_is_checked(
    ollama_server: ScriptedServer, tls_front: Fronts, certificates: Path
) -> None:
    with ScriptedServer() as plain:
        front = tls_front("itself")
        redirecting(plain, front.url)
        with pytest.raises(errors.ConnectError, match="trusted") as caught:
            answers(plain.url, verify=certificates / "authority.pem")
        assert caught.value.url == f"{front.url}/api/chat"
    assert not ollama_server.requests


def test_a_cancelled_request_behind_a_redirect_ends_there(
    ollama_server: ScriptedServer, tls_front: Fronts, certificates: Path
) -> None:
    ollama_server.on("POST", "/api/chat", faults.never_answer())

    async def leave(url: str) -> None:
        async with AsyncClient(url, verify=certificates / "authority.pem") as client:
            task = asyncio.ensure_future(client.chat("m", MESSAGES))
            await asyncio.get_running_loop().run_in_executor(None, ollama_server.wait_for_request)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.get_running_loop().run_in_executor(None, ollama_server.wait_for_hangup)

    with ScriptedServer() as plain:
        redirecting(plain, tls_front().url)
        asyncio.run(leave(plain.url))
    gc.collect()


def test_a_path_that_a_proxy_adds(ollama_server: ScriptedServer) -> None:
    redirecting(ollama_server, "/ollama")
    ollama_server.on("POST", "/ollama/api/chat", lambda request: _echo(request, Reply.chat))
    ollama_server.on("POST", "/ollama/api/generate", lambda request: _echo(request, Reply.generate))
    ollama_server.on("GET", "/ollama/api/tags", Reply.json({"models": [{"model": "m:latest"}]}))
    found = answers(ollama_server.url, api_key="key-of-mine", headers={"X-Team": "a"})
    assert set(found) == {"Hello"}
    for request in ollama_server.requests:
        assert request.header("Authorization") == "Bearer key-of-mine"
        assert request.header("X-Team") == "a"


def _echo(request: Request, make: Callable[..., Reply]) -> Reply:
    return make("Hello", stream=request.json().get("stream", True))


def test_another_port_gets_no_key(ollama_server: ScriptedServer) -> None:
    ollama_server.answer("Hello")
    with ScriptedServer() as first:
        redirecting(first, ollama_server.url)
        found = answers(f"http://ann:password@127.0.0.1:{first.port}", headers={"X-Token": "value-of-header"})
        assert set(found) == {"Hello"}
        assert all(request.header("Authorization") for request in first.requests)
    for request in ollama_server.requests:
        assert request.header("Authorization") is None
        assert request.header("X-Token") is None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_another_host_gets_nothing(ollama_server: ScriptedServer, status: int) -> None:
    with ScriptedServer() as first:
        target = f"http://localhost:{ollama_server.port}"
        redirecting(first, target, status)
        for ask in (
            lambda client: client.chat("m", MESSAGES),
            lambda client: list(client.chat("m", MESSAGES, stream=True)),
            lambda client: client.generate("m", "hi"),
            lambda client: client.list(),
        ):
            with pytest.raises(errors.ProtocolError, match=f"Write {target} as the base URL") as caught:
                ask(Client(first.url, api_key="key-of-mine"))
            assert (caught.value.location or "").startswith(f"{target}/api/")
            assert caught.value.status == status
        assert not ollama_server.requests


def test_a_long_target_is_cut(ollama_server: ScriptedServer) -> None:
    redirecting(ollama_server, "http://elsewhere.example/" + "x" * 5000)
    with pytest.raises(errors.ProtocolError, match=r"redirects to http://elsewhere\.example/xxx") as caught:
        Client(ollama_server.url).chat("m", MESSAGES)
    assert len(str(caught.value)) < 600


def test_https_is_not_given_up(ollama_server: ScriptedServer, tls_front: Fronts) -> None:
    front = tls_front()
    with ScriptedServer() as plain:
        redirecting(ollama_server, plain.url)
        with pytest.raises(errors.ProtocolError, match="gives up TLS"):
            Client(front.url, verify=False).chat("m", MESSAGES)
        assert not plain.requests


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_status_that_would_lose_the_body_names_the_cure(
    ollama_server: ScriptedServer, tls_front: Fronts, status: int
) -> None:
    front = tls_front()
    with ScriptedServer() as plain:
        redirecting(plain, front.url, status)
        with pytest.raises(errors.ProtocolError, match=f"Write {front.url} as the base URL"):
            Client(plain.url).chat("m", MESSAGES)
        assert Client(plain.url, verify=False).list().models
    assert [request.method for request in ollama_server.requests] == ["GET"]


def test_a_refusal_behind_a_redirect_is_explained_there(ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/api/chat", Reply.error("model 'm' not found", 404))
    with ScriptedServer() as first:
        redirecting(first, ollama_server.url)
        with pytest.raises(errors.ModelNotFoundError) as caught:
            Client(first.url).chat("m", MESSAGES)
    assert caught.value.url == f"{ollama_server.url}/api/chat"
    assert caught.value.available


@pytest.mark.parametrize("status", [301, 307, 308])
def test_redirects_are_errors_for_a_client_that_follows_none(ollama_server: ScriptedServer, status: int) -> None:
    redirecting(ollama_server, "/ollama", status)
    client = Client(ollama_server.url, follow_redirects=False)
    for ask in (
        lambda: client.chat("m", MESSAGES),
        lambda: list(client.chat("m", MESSAGES, stream=True)),
        lambda: client.list(),
    ):
        with pytest.raises(errors.ProtocolError, match="not followed") as caught:
            ask()
        assert caught.value.status == status
        assert (caught.value.location or "").startswith(f"{ollama_server.url}/ollama/api/")

    async def asked() -> None:
        async with AsyncClient(ollama_server.url, follow_redirects=False) as client:
            await client.list()

    with pytest.raises(errors.ProtocolError, match="follow_redirects=False"):
        asyncio.run(asked())
    assert not [request for request in ollama_server.requests if request.path.startswith("/ollama")]
