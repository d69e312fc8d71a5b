"""What one call has beside the settings of its client: limits, retries, headers, in each way of waiting for a reply."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any, Callable

import pytest

from metagpt_ollama_rs import AsyncClient, Client, Retry, Timeout, errors, stats
from metagpt_ollama_rs.endpoints import CHAT
from metagpt_ollama_rs.limits import read_settings
from metagpt_ollama_rs.testing import Reply, ScriptedServer, faults

WHOLE = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": False}
STREAMED = {**WHOLE, "stream": True}

Settings = Any
Way = Callable[[str, Settings, dict[str, Any]], object]


def _call(url: str, settings: Settings, arguments: dict[str, Any]) -> object:
    async def ask() -> object:
        async with AsyncClient(url, **arguments) as client:
            return await client._native.call(CHAT, WHOLE, "answer", settings)

    return asyncio.run(ask())


def _stream(url: str, settings: Settings, arguments: dict[str, Any]) -> object:
    async def ask() -> object:
        async with AsyncClient(url, **arguments) as client:
            return [item async for item in client._native.stream(CHAT, STREAMED, None, False, settings)]

    return asyncio.run(ask())


def _deliver(url: str, settings: Settings, arguments: dict[str, Any]) -> object:
    async def ask() -> object:
        async with AsyncClient(url, **arguments) as client:
            return await client._native.deliver(CHAT, STREAMED, lambda text: None, None, settings)

    return asyncio.run(ask())


def _call_blocking(url: str, settings: Settings, arguments: dict[str, Any]) -> object:
    with Client(url, **arguments) as client:
        return client._native.call_blocking(CHAT, WHOLE, "answer", settings)


def _stream_blocking(url: str, settings: Settings, arguments: dict[str, Any]) -> object:
    with Client(url, **arguments) as client:
        return list(client._native.stream_blocking(CHAT, STREAMED, None, settings))


@pytest.fixture(params=[_call, _stream, _deliver, _call_blocking, _stream_blocking], ids=lambda way: way.__name__)
def way(request: pytest.FixtureRequest) -> Way:
    found: Way = request.param
    return found


def test_headers_of_a_call_go_beside_those_of_the_client(ollama_server: ScriptedServer, way: Way) -> None:
    headers = {"x-team": "call", "X-Trace": "7", "authorization": "Bearer of-the-call", "User-Agent": "mine"}
    arguments = {"headers": {"X-Team": "client", "X-Kept": "yes"}, "api_key": "of-the-client"}
    ollama_server.answer("Hello")
    way(ollama_server.url, read_settings(headers=headers), arguments)
    way(ollama_server.url, None, arguments)
    with_headers, without = ollama_server.requests
    names = ("X-Team", "X-Kept", "X-Trace", "Authorization", "User-Agent", "Content-Type")
    found = [with_headers.header(name) for name in names]
    assert found == ["call", "yes", "7", "Bearer of-the-call", "mine", "application/json"]
    assert len([name for name, _ in with_headers.headers if name.lower() == "x-team"]) == 1
    assert [without.header(name) for name in names[:4]] == ["client", "yes", None, "Bearer of-the-client"]


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("Host", "elsewhere", "a call cannot have another than the client's"),
        ("Content-Length", "5", "the client sets it itself"),
        ("transfer-encoding", "chunked", "the client sets it itself"),
        ("Connection", "close", "the client sets it itself"),
        ("Expect", "100-continue", "the client sets it itself"),
        ("X-A: b\r\nX-B", "c", "its name is not valid"),
        ("", "c", "its name is not valid"),
        ("X-Ä", "c", "its name is not valid"),
        ("X-A", "secret-value\r\nX-B: c", "its value holds a character"),
        ("X-A", "secret-value\0", "its value holds a character"),
    ],
)
def test_a_header_that_cannot_be_sent_is_refused_by_name(
    ollama_server: ScriptedServer, way: Way, name: str, value: str, why: str
) -> None:
    stats.clear()
    with pytest.raises(errors.ConfigurationError, match=why) as caught:
        way(ollama_server.url, read_settings(headers={name: value}), {})
    assert name.partition(":")[0].lower() in str(caught.value).lower()
    assert "secret" not in repr(caught.value) + repr(vars(caught.value))
    assert not ollama_server.requests
    assert not stats.records()


def test_retries_of_a_call_replace_those_of_the_client(ollama_server: ScriptedServer, way: Way) -> None:
    quick = Retry(retries=2, first=0.001)
    for of_client, of_call, tries in ((quick, 0, 1), (0, quick, 3), (quick, None, 3)):
        ollama_server.reset()
        ollama_server.on("POST", "/api/chat", Reply.error("busy", 503))
        with pytest.raises(errors.ServerBusyError):
            way(ollama_server.url, read_settings(retries=of_call), {"retries": of_client})
        assert len(ollama_server.requests) == tries


def test_limits_of_a_call_replace_those_of_the_client(ollama_server: ScriptedServer, way: Way) -> None:
    ollama_server.on("POST", "/api/chat", faults.never_answer())
    with pytest.raises(errors.RequestTimeout, match=r"0\.05"):
        way(ollama_server.url, read_settings(Timeout(first_token=0.05)), {"timeout": 600})


def _repeating(known: str) -> dict[str, Any]:
    """Answers of a server that repeats what it was sent."""
    said = f"you sent {known}"
    return {
        "refusal": Reply.error(said, 400),
        "busy": Reply.error(said, 503),
        "mid-stream": Reply.ndjson([{"message": {"content": "a"}, "done": False}, {"error": said}]),
    }


@pytest.mark.parametrize("fault", _repeating(""))
def test_secrets_of_a_call_are_not_shown(
    ollama_server: ScriptedServer, way: Way, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    stats.clear()
    secret = "key-of-one-call-4711"
    ollama_server.on("POST", "/api/chat", _repeating(secret)[fault])
    settings = read_settings(retries=Retry(1, first=0.001), headers={"X-Api-Key": secret})
    with caplog.at_level("DEBUG"), pytest.raises(errors.OllamaError) as caught:
        way(ollama_server.url, settings, {})
    shown = repr(caught.value) + str(caught.value) + repr(vars(caught.value)) + caplog.text + repr(stats.records())
    assert secret not in shown


def test_a_text_for_a_message_is_without_the_secrets_of_a_call() -> None:
    native = Client(api_key="key-of-the-client")._native
    settings = read_settings(headers={"Authorization": "Bearer key-of-one-call"})
    assert native.redact("key-of-the-client, key-of-one-call") == "***, key-of-one-call"
    assert native.redact("key-of-the-client, key-of-one-call", settings) == "***, ***"


def test_headers_of_a_call_stay_at_their_origin(ollama_server: ScriptedServer, way: Way) -> None:
    """Another port of the host gets the request without them, and another path of the server with them."""
    ollama_server.answer("Hello")
    settings = read_settings(headers={"X-Trace": "7", "Authorization": "Bearer of-the-call"})
    with ScriptedServer() as first:
        first.on("POST", "/api/chat", faults.redirect(f"{ollama_server.url}/api/chat"))
        way(first.url, settings, {})
        assert [request.header("X-Trace") for request in first.requests] == ["7"]
        ollama_server.on("POST", "/api/chat", Reply.error("who are you?", 401))
        with pytest.raises(errors.AuthenticationError, match="redirected to another origin"):
            way(first.url, settings, {})
    assert [request.header("Authorization") for request in ollama_server.requests] == [None, None]
    ollama_server.reset()
    ollama_server.on("POST", "/api/chat", faults.redirect("/proxied/api/chat"))
    ollama_server.on("POST", "/proxied/api/chat", lambda request: Reply.chat("Hi", stream=request.json()["stream"]))
    way(ollama_server.url, settings, {})
    assert [request.header("X-Trace") for request in ollama_server.requests] == ["7", "7"]


def test_what_the_server_is_asked_about_a_failure_has_the_headers_of_the_call(
    ollama_server: ScriptedServer, way: Way
) -> None:
    """Which models there are, when one is missing: a server that wants a key tells nobody without it."""
    ollama_server.on("POST", "/api/chat", Reply.error("model 'm' not found", 404))
    with pytest.raises(errors.ModelNotFoundError):
        way(ollama_server.url, read_settings(headers={"Authorization": "Bearer of-the-call"}), {})
    assert [request.header("Authorization") for request in ollama_server.requests] == ["Bearer of-the-call"] * 2


def test_a_call_through_tls_has_its_settings(
    ollama_server: ScriptedServer, tls_front: Callable[..., Any], certificates: Path, way: Way
) -> None:
    """The general lane, whichever lane plain requests take."""
    ollama_server.answer("Hello")
    way(tls_front().url, read_settings(headers={"X-Trace": "7"}), {"verify": certificates / "authority.pem"})
    assert [request.header("X-Trace") for request in ollama_server.requests] == ["7"]


def test_the_login_of_an_address_is_decoded_and_sent(ollama_server: ScriptedServer, way: Way) -> None:
    ollama_server.answer("Hello")
    login = "ann%40x:p%40ss%3Aw%2F%C3%B6r%23d%25%20!"
    for url in (f"http://{login}@127.0.0.1:{ollama_server.port}", f"{login}@127.0.0.1:{ollama_server.port}"):
        way(url, None, {})
        scheme, _, encoded = ollama_server.last.header("Authorization", "").partition(" ")
        assert (scheme, base64.b64decode(encoded).decode()) == ("Basic", "ann@x:p@ss:w/ör#d% !")
    ollama_server.on("POST", "/api/chat", Reply.error("no such user: p@ss:w/ör#d% !", 401))
    with pytest.raises(errors.AuthenticationError) as caught:
        way(url, None, {})
    assert "w/ör" not in str(caught.value) + repr(vars(caught.value))
    of_call = read_settings(headers={"Authorization": "Bearer of-the-call"})
    ollama_server.on("POST", "/api/chat", lambda request: Reply.chat("Hi", stream=request.json()["stream"]))
    way(url, of_call, {})
    assert ollama_server.last.header("Authorization") == "Bearer of-the-call"
