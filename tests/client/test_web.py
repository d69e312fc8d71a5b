"""Web search: asked of ollama.com, over TLS through a tunnel, with a key that goes nowhere else."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Callable

import pytest

from metagpt_ollama_rs import AsyncClient, Client, errors
from metagpt_ollama_rs.responses import Record
from metagpt_ollama_rs.testing import Reply, ScriptedServer
from metagpt_ollama_rs.tools import function_tool
from metagpt_ollama_rs.web_access import web_arguments

RESULTS = [{"title": "Ollama", "url": "https://ollama.com", "content": "Run models"}]
PAGE = {"title": "Ollama", "content": "Get up and running", "links": ["https://ollama.com/models"]}
Ask = Callable[..., Any]


@pytest.fixture(autouse=True)
def web(ollama_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OLLAMA_API_KEY", "OLLAMA_HOST"):
        monkeypatch.delenv(name, raising=False)
    ollama_server.on("POST", "/api/web_search", Reply.json({"results": RESULTS}))
    ollama_server.on("POST", "/api/web_fetch", Reply.json(PAGE))


@pytest.fixture(params=["blocking", "asyncio"])
def ask(
    request: pytest.FixtureRequest,
    tls_front: Callable[..., Any],
    tunnel: Callable[..., str],
    certificates: Path,
) -> Ask:
    """Calls a method of a client for which ollama.com is the scripted server."""
    proxy = tunnel(b"HTTP/1.1 200 OK\r\n\r\n", tls_front("cloud").port)
    fixed = {"proxy": proxy, "verify": certificates / "authority.pem", "retries": 0}

    def blocking(method: str, *args: Any, client: dict[str, Any], **fields: Any) -> Any:
        with Client(**fixed, **client) as made:
            return getattr(made, method)(*args, **fields)

    async def work(method: str, args: Any, client: dict[str, Any], fields: Any) -> Any:
        async with AsyncClient(**fixed, **client) as made:
            return await getattr(made, method)(*args, **fields)

    def on_a_loop(method: str, *args: Any, client: dict[str, Any], **fields: Any) -> Any:
        return asyncio.run(work(method, args, client, fields))

    return blocking if request.param == "blocking" else on_a_loop


def test_results_and_pages(ask: Ask, ollama_server: ScriptedServer) -> None:
    found: Record = ask("web_search", "ollama", client={"api_key": "of-the-account"})
    assert found.results[0].title == "Ollama"
    request = ollama_server.last
    assert request.json() == {"query": "ollama", "max_results": 3}
    assert (request.header("Host"), request.header("Authorization")) == ("ollama.com", "Bearer of-the-account")
    ask("web_search", "ollama", 1, client={"api_key": "of-the-account"}, timeout=10)
    assert ollama_server.last.json()["max_results"] == 1
    page = ask("web_fetch", "https://ollama.com", client={"api_key": "of-the-account"})
    assert (page.title, page["links"]) == ("Ollama", PAGE["links"])
    assert ollama_server.last.json() == {"url": "https://ollama.com"}


@pytest.mark.parametrize(
    ("client", "headers", "environment", "sent"),
    [
        ({"api_key": "a"}, None, "e", "a"),
        ({"headers": {"authorization": "Bearer h", "X-Team": "t"}}, None, "e", "h"),
        ({}, None, "e", "e"),
        ({"api_key": "ollama"}, None, "e", "e"),
        ({"host": "http://localhost:1", "api_key": "a"}, None, "e", "a"),
        ({"headers": {"authorization": "Basic dXNlcjpzZWNyZXQ="}}, None, "e", "e"),
        ({"host": "http://user:secret@localhost:1"}, None, "e", "e"),
        ({"host": "http://gpu-box:1", "api_key": "a", "headers": {"X-Team": "t"}}, None, "e", "e"),
        ({"host": "http://gpu-box:1", "headers": {"Authorization": "Bearer h"}}, None, "e", "e"),
        ({"host": "http://gpu-box:1", "api_key": "a"}, {"Authorization": "Bearer c"}, None, "c"),
        ({"host": "https://ollama.com", "api_key": "a"}, None, "e", "a"),
        ({"host": "https://ollama.com"}, None, "e", "e"),
    ],
)
def test_whose_key_is_sent(
    ask: Ask,
    ollama_server: ScriptedServer,
    monkeypatch: pytest.MonkeyPatch,
    client: dict[str, Any],
    headers: dict[str, str] | None,
    environment: str | None,
    sent: str,
) -> None:
    if environment:
        monkeypatch.setenv("OLLAMA_API_KEY", environment)
    ask("web_search", "ollama", client=client, headers=headers)
    (request,) = ollama_server.requests
    assert request.header("Authorization") == f"Bearer {sent}"
    if client.get("host") != "https://ollama.com":
        assert request.header("X-Team") is None


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://localhost:11434", True),
        ("http://a.localhost", True),
        ("http://127.0.0.2:11434/prefix", True),
        ("http://[::1]:11434", True),
        ("unix:///run/ollama.sock", True),
        ("http://gpu-box:11434", False),
        ("http://localhost.example", False),
        ("http://10.0.0.1:11434", False),
        ("https://ollama.example", False),
    ],
)
def test_the_key_of_a_server_on_this_machine_may_be_the_account_s(url: str, here: bool) -> None:
    arguments = {"host": None, "api_key": "k", "headers": {"authorization": "Bearer h", "X-Team": "t"}, "cookies": {}}
    found = web_arguments(arguments, url)
    assert found["api_key"] == ("k" if here else None)
    assert found["headers"] == ({"authorization": "Bearer h"} if here else None)
    assert "cookies" not in found


def test_an_unchecked_certificate_is_that_of_the_other_server() -> None:
    """A key that is shown to anybody who says that he is ollama.com is lost."""
    assert web_arguments({"verify": False}, "https://localhost:11434")["verify"] is True
    assert web_arguments({"verify": "ca.pem"}, "https://localhost:11434")["verify"] == "ca.pem"
    assert web_arguments({"verify": False}, "http://localhost:11434")["verify"] is False


@pytest.mark.parametrize("method", ["web_search", "web_fetch"])
@pytest.mark.parametrize(
    "client",
    [{}, {"api_key": "ollama"}, {"host": "http://gpu-box:1", "api_key": "a"}, {"host": "https://ollama.com"}],
    ids=["none", "a placeholder", "another server's", "none for ollama.com"],
)
def test_without_a_key(ask: Ask, ollama_server: ScriptedServer, method: str, client: dict[str, Any]) -> None:
    words = f"Authorization header with Bearer token is required for web {method[4:]}"
    with pytest.raises(ValueError, match=words) as caught:
        ask(method, "ollama", client=client)
    assert isinstance(caught.value, errors.ConfigurationError)
    assert "OLLAMA_API_KEY" in caught.value.hint
    assert ollama_server.requests == []


def test_a_key_that_comes_later_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(retries=0)
    with pytest.raises(ValueError, match="is required"):
        client.web_search("ollama")
    monkeypatch.setenv("OLLAMA_API_KEY", "k")
    assert client._web_client("search", None)._native.authorized
    assert client._web_client("search", None) is client._web_client("fetch", None)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_subclass_may_have_a_constructor_of_its_own(kind: Any) -> None:
    class Ours(kind):
        def __init__(self, team: str) -> None:
            super().__init__(api_key=f"key-of-{team}")

    assert Ours("red")._web_client("search", None)._native.authorized


def test_a_refusal_of_the_service(ask: Ask, ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/api/web_search", Reply.error("unauthorized", 401))
    with pytest.raises(errors.AuthenticationError) as caught:
        ask("web_search", "ollama", client={"api_key": "of-the-account"})
    assert caught.value.url == "https://ollama.com/api/web_search"
    assert "of-the-account" not in str(caught.value)


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_they_are_tools(client: Any) -> None:
    """A model is offered what it may choose, not what the program decides."""
    search = function_tool(client().web_search)["function"]
    fetch = function_tool(client().web_fetch)["function"]
    assert (search["name"], search["description"]) == ("web_search", "Searches the web, by ollama.com.")
    assert search["parameters"]["required"] == ["query"]
    assert search["parameters"]["properties"] == {
        "query": {"type": "string", "description": "what to search for"},
        "max_results": {"type": "integer", "description": "how many results there may be"},
    }
    assert list(fetch["parameters"]["properties"]) == ["url"]
