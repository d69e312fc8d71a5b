"""Trying again: what is, what is not, what the log says, and that no secret gets out on the way."""

from __future__ import annotations

import asyncio
import logging
import pickle
import socket
import sys
import threading
import types
from typing import Any, Callable

import pytest

from metagpt_ollama_rs import AsyncClient, Client, Retry, Timeout, errors, stats
from metagpt_ollama_rs.endpoints import CHAT
from metagpt_ollama_rs.testing import Reply, ScriptedServer, faults

MESSAGES = [{"role": "user", "content": "hi"}]
PAYLOAD = {"model": "m", "messages": MESSAGES}
QUICK = Retry(retries=2, first=0.001)


async def _items(client: AsyncClient) -> str:
    return "".join([part.message.content async for part in await client.chat("m", MESSAGES, stream=True)])


async def _callback(client: AsyncClient) -> str:
    texts: list[str] = []
    await client.stream_text("/api/chat", PAYLOAD, texts.append)
    return "".join(texts)


async def _lines(client: AsyncClient) -> str:
    from metagpt_ollama_rs import decode, get_choice

    lines = [line async for line in client.stream_lines("/api/chat", PAYLOAD)]
    return "".join(get_choice(decode(line)) for line in lines)


async def _whole(client: AsyncClient) -> str:
    return str((await client.request_json("/api/chat", {**PAYLOAD, "stream": False}))["message"]["content"])


async def _bytes(client: AsyncClient) -> str:
    from metagpt_ollama_rs import decode, get_choice

    body, _ = await client.request_bytes("/api/chat", {**PAYLOAD, "stream": False})
    return get_choice(decode(body))


async def _record(client: AsyncClient) -> str:
    return str((await client._send(CHAT, PAYLOAD))["message"]["content"])


def _sync(client: AsyncClient) -> str:
    return str(Client(**client._arguments).chat("m", MESSAGES).message.content)


def _sync_stream(client: AsyncClient) -> str:
    parts = Client(**client._arguments).chat("m", MESSAGES, stream=True)
    return "".join(str(part.message.content) for part in parts)


CONSUMERS: dict[str, Callable[[AsyncClient], Any]] = {
    "items": _items,
    "callback": _callback,
    "lines": _lines,
    "whole": _whole,
    "bytes": _bytes,
    "record": _record,
    "sync": _sync,
    "sync stream": _sync_stream,
}


def go(consumer: str, client: AsyncClient) -> str:
    return str(resolve(CONSUMERS[consumer](client)))


def resolve(result: Any) -> Any:
    return asyncio.run(result) if asyncio.iscoroutine(result) else result


@pytest.fixture(autouse=True)
def _logging(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log goes through `logging`, also where other tests have loaded MetaGPT."""
    monkeypatch.delitem(sys.modules, "metagpt.logs", raising=False)


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_every_door_tries_again_and_logs_it(
    ollama_server: ScriptedServer, consumer: str, caplog: pytest.LogCaptureFixture
) -> None:
    ollama_server.answer("Hello world")
    busy = Reply.error("server busy, please try again.  maximum pending requests exceeded", 503)
    ollama_server.queue(busy, Reply.text("<html><title>Bad Gateway</title></html>", 502, content_type="text/html"))
    stats.clear()
    with caplog.at_level(logging.WARNING, "metagpt_ollama_rs"):
        assert go(consumer, AsyncClient(ollama_server.url, retries=QUICK)) == "Hello world"
    assert len(ollama_server.requests) == 3
    assert [record.name for record in caplog.records] == ["metagpt_ollama_rs"] * 2
    assert {record.threadName for record in caplog.records} == {threading.current_thread().name}
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith(f"retry 1 of 2 of {ollama_server.url}/api/chat after ")
    assert "503" in first
    assert "Bad Gateway" in second
    (record,) = stats.records()
    assert (record["retries"], record["error"]) == (2, None)


@pytest.mark.parametrize("retries", [0, Retry(0)])
def test_zero_switches_it_off(
    ollama_server: ScriptedServer, retries: int | Retry, caplog: pytest.LogCaptureFixture
) -> None:
    ollama_server.on("POST", "/api/chat", Reply.error("busy", 503))
    for client in (AsyncClient(ollama_server.url, retries=retries), Client(ollama_server.url, retries=retries)):
        with pytest.raises(errors.ServerBusyError):
            resolve(client.chat("m", MESSAGES))
    assert len(ollama_server.requests) == 2
    assert not caplog.records


def test_the_log_goes_to_metagpt_when_that_is_loaded(
    ollama_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    theirs = types.ModuleType("metagpt.logs")
    theirs.logger = types.SimpleNamespace(warning=said.append)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "metagpt.logs", theirs)
    ollama_server.answer("Hello")
    ollama_server.queue(Reply.error("busy", 503))
    Client(ollama_server.url, retries=QUICK).chat("m", MESSAGES)
    assert len(said) == 1
    assert said[0].startswith("retry 1 of 2")


def test_a_server_restarted_between_two_calls_costs_nobody_an_error(
    ollama_server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    ollama_server.answer("Hello world")
    client = Client(ollama_server.url)
    for _ in range(2):
        assert client.chat("m", MESSAGES).message.content == "Hello world"
        ollama_server.stop()
        ollama_server.start()
    assert "".join(str(part.message.content) for part in client.chat("m", MESSAGES, stream=True)) == "Hello world"
    assert not caplog.records


def test_a_time_limit_is_never_tried_again(ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/api/chat", lambda request: faults.never_answer())
    with pytest.raises(errors.RequestTimeout):
        Client(ollama_server.url, timeout=Timeout(first_token=0.05), retries=QUICK).chat("m", MESSAGES)
    assert [request.path for request in ollama_server.requests] == ["/api/chat", "/api/ps"]


def test_nothing_is_tried_again_once_text_has_come(ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/api/chat", lambda request: faults.reset_after_pieces(Reply.chat("Hello world"), 2))
    with pytest.raises(errors.InterruptedStreamError):
        list(Client(ollama_server.url, retries=QUICK).chat("m", MESSAGES, stream=True))
    assert len(ollama_server.requests) == 1


def test_cancelling_ends_a_wait(ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/api/chat", Reply.error("busy", 503))
    client = AsyncClient(ollama_server.url, retries=Retry(retries=5, first=3600, budget=36000))

    async def main() -> None:
        calls = [asyncio.ensure_future(CONSUMERS[consumer](client)) for consumer in ("items", "callback", "whole")]
        await asyncio.get_running_loop().run_in_executor(None, ollama_server.wait_for_request, 3)
        for call in calls:
            call.cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)

    asyncio.run(main())
    assert len(ollama_server.requests) == 3


def test_a_server_that_is_down_is_a_connection_error_that_says_how_often() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(errors.ConnectError, match="Tried 3 times"):
        Client(f"http://127.0.0.1:{port}", retries=QUICK).version()


@pytest.mark.parametrize(
    "settings",
    [
        {"retries": -1},
        {"retries": 1.5},
        {"retries": True},
        {"retries": "2"},
        {"retries": float("nan")},
        {"retries": Retry(first=-1)},
        {"retries": Retry(first="soon")},  # type: ignore[arg-type]
        {"retries": Retry(budget=float("nan"))},
        {"retries": Retry(budget=-float("inf"))},
        {"retries": Retry(retry_after=None)},  # type: ignore[arg-type]
        {"max_line": -1},
        {"max_line": 0},
        {"max_line": 1.5},
        {"max_line": "1"},
        {"max_body": -(2**70)},
        {"max_body": True},
    ],
    ids=repr,
)
def test_senseless_settings_are_refused(settings: dict[str, Any]) -> None:
    for made in (Client, AsyncClient):
        with pytest.raises(errors.ConfigurationError, match="must be a"):
            made(**settings)


@pytest.mark.parametrize("consumer", ["sync", "sync stream", "whole", "items"])
@pytest.mark.parametrize("number", [1.8e19, 1e300, 10**400, float("inf")], ids=["1.8e19", "1e300", "10**400", "inf"])
def test_no_number_is_too_large(ollama_server: ScriptedServer, consumer: str, number: Any) -> None:
    policy = Retry(2**70, first=number, budget=number, retry_after=number)
    limits = Timeout(first_token=30, total=0.2)
    ollama_server.on("GET", "/api/version", Reply.error("busy", 503))
    late = Reply.body(b"{}", "application/json", 429, headers={"Retry-After": "9" * 19})
    ollama_server.on("POST", "/api/chat", [Reply.error("busy", 503), late])
    settings: dict[str, Any] = {"retries": policy, "timeout": limits, "max_line": 2**70, "max_body": 2**70}
    # The next try would come after the total limit, or in a year.
    with pytest.raises((errors.ServerBusyError, errors.RateLimitError)):
        go(consumer, AsyncClient(ollama_server.url, **settings))
    assert len(ollama_server.requests) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_the_longest_wait_can_be_left(ollama_server: ScriptedServer, stream: bool) -> None:
    ollama_server.on("POST", "/api/chat", Reply.error("busy", 503))
    client = AsyncClient(ollama_server.url, retries=Retry(first=1e300, budget=1e300))

    async def leave() -> None:
        asked = asyncio.ensure_future(go_async(client, stream))
        await asyncio.get_running_loop().run_in_executor(None, ollama_server.wait_for_request)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asked, 0.05)

    asyncio.run(leave())
    assert len(ollama_server.requests) == 1


async def go_async(client: AsyncClient, stream: bool) -> None:
    reply = await client.chat("m", MESSAGES, stream=stream)
    if stream:
        async for _ in reply:
            pass


def test_the_setting_is_pickled(ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/api/chat", Reply.error("busy", 503))
    client = pickle.loads(pickle.dumps(Client(ollama_server.url, retries=0)))
    with pytest.raises(errors.ServerBusyError):
        client.chat("m", MESSAGES)
    assert len(ollama_server.requests) == 1


@pytest.mark.parametrize("consumer", CONSUMERS)
@pytest.mark.parametrize(("models", "loaded"), [(["m:latest"], True), ([], False)])
def test_a_first_token_that_does_not_come(
    ollama_server: ScriptedServer, consumer: str, models: list[str], loaded: bool
) -> None:
    ollama_server.on("POST", "/api/chat", lambda request: faults.never_answer())
    ollama_server.on("GET", "/api/ps", Reply.json({"models": [{"name": name} for name in models]}))
    with pytest.raises(errors.RequestTimeout) as caught:
        go(consumer, AsyncClient(ollama_server.url, timeout=0.05))
    error = caught.value
    assert (error.phase, error.loaded, error.model) == ("first_token", loaded, "m")
    assert ("is in memory (loaded)" if loaded else "still loading or queued") in str(error)
    assert error.hint


SECRETS = ("key-of-mine-123", "password-of-url", "password-of-proxy", "value-of-header")


def _faults(known: tuple[str, ...] = SECRETS) -> dict[str, Any]:
    """Answers of a server that repeats what it was sent."""
    said = "you sent " + " ".join(known)
    return {
        "refusal": Reply.error(said, 400),
        "server error": Reply.error(said, 500),
        "sign-in": Reply.error(said, 401),
        "busy": Reply.error(said, 503),
        "plain text": Reply.text(said, 502),
        "redirect": faults.redirect(f"http://ann:{SECRETS[1]}@127.0.0.1:1/"),
        "mid-stream": Reply.ndjson([{"message": {"content": "a"}, "done": False}, {"error": said}]),
        "no HTTP": faults.not_http(),
        "closed": faults.close_at_once(),
    }


@pytest.mark.parametrize("fault", _faults())
@pytest.mark.parametrize("stream", [False, True])
def test_no_secret_is_shown(
    ollama_server: ScriptedServer, caplog: pytest.LogCaptureFixture, fault: str, stream: bool
) -> None:
    stats.clear()
    for proxy in (None, f"http://ann:{SECRETS[2]}@127.0.0.1:{ollama_server.port}"):
        host = f"http://ann:{SECRETS[1]}@127.0.0.1:{9 if proxy else ollama_server.port}"
        reply = _faults(SECRETS if proxy else (SECRETS[0], SECRETS[1], SECRETS[3]))[fault]
        ollama_server.on("POST", "http://127.0.0.1:9/api/chat" if proxy else "/api/chat", reply)
        client = Client(host, api_key=SECRETS[0], headers={"X-Token": SECRETS[3]}, proxy=proxy, retries=QUICK)
        with caplog.at_level(logging.DEBUG), pytest.raises(errors.OllamaError) as caught:
            list(client.chat("m", MESSAGES, stream=stream))
        shown = " ".join([repr(client), repr(caught.value), str(caught.value), repr(vars(caught.value)), caplog.text])
        shown += repr(stats.records())
        assert not [secret for secret in SECRETS if secret in shown], shown


@pytest.mark.parametrize(
    "arguments",
    [
        {"host": "http://ann:password-of-url@host:port"},
        {"host": "ftp://ann:password-of-url@host"},
        {"proxy": "ftp://ann:password-of-proxy@host"},
        {"proxy": "http://ann:password-of-proxy@"},
        {"headers": {"X-Token": "value-of-header\n"}},
        {"headers": {"Content-Length": "value-of-header"}},
        {"api_key": "key-of-mine-123\n\u4e2d"},
    ],
)
def test_no_secret_is_shown_of_settings_that_cannot_be_used(arguments: dict[str, Any]) -> None:
    with pytest.raises(errors.ConfigurationError) as caught:
        Client(**arguments)
    shown = str(caught.value) + repr(caught.value) + repr(vars(caught.value))
    assert not [secret for secret in SECRETS if secret in shown], shown
