"""What proxies do to a request, and that their failures are told from the server's."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any, Callable

import pytest

from metagpt_ollama_rs import AsyncClient, Client, Timeout, errors
from metagpt_ollama_rs.testing import Reply, ScriptedServer

MESSAGES = [{"role": "user", "content": "hi"}]
SERVER = "http://ollama.invalid:11434"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def failures(url: str, **arguments: Any) -> list[errors.OllamaError]:
    """How both clients fail, whole and streamed."""
    found: list[errors.OllamaError] = []
    client = Client(url, retries=0, **arguments)
    for ask in (lambda: client.chat("m", MESSAGES), lambda: list(client.generate("m", "hi", stream=True))):
        with pytest.raises(errors.OllamaError) as caught:
            ask()
        found.append(caught.value)

    async def asked() -> None:
        async with AsyncClient(url, retries=0, **arguments) as client:
            with pytest.raises(errors.OllamaError) as caught:
                await client.chat("m", MESSAGES)
            found.append(caught.value)
            with pytest.raises(errors.OllamaError) as caught:
                async for _ in await client.generate("m", "hi", stream=True):
                    pass
            found.append(caught.value)

    asyncio.run(asked())
    said = [(type(error), error.message, error.hint, error.proxy) for error in found]
    assert said[:2] == said[2:], "the same of both clients"
    return found


PAGE = b"<html><title>Squid</title></html>"
ROWS = {
    (407, b""): (errors.AuthenticationError, "USER:PASSWORD@"),
    (407, PAGE): (errors.AuthenticationError, "USER:PASSWORD@"),
    (403, PAGE): (errors.AuthenticationError, "NO_PROXY"),
    (403, b""): (errors.AuthenticationError, "OLLAMA_ORIGINS"),
    (502, b""): (errors.ServerError, "as the proxy sees it"),
    (503, b""): (errors.ServerBusyError, "as the proxy sees it"),
    (503, PAGE): (errors.ServerBusyError, "as the proxy sees it"),
    (504, PAGE): (errors.ServerError, "as the proxy sees it"),
    (511, PAGE): (errors.ServerError, "sign-in"),
}


@pytest.mark.parametrize(("status", "body"), ROWS)
def test_its_own_replies(ollama_server: ScriptedServer, status: int, body: bytes) -> None:
    kind, hint = ROWS[status, body]
    for path in ("/api/chat", "/api/generate"):
        ollama_server.on("POST", SERVER + path, Reply.body(body, "text/html", status))
    proxy = f"http://ann:hunter2secret@127.0.0.1:{ollama_server.port}"
    for error in failures(SERVER, proxy=proxy):
        assert type(error) is kind
        assert error.proxy == ollama_server.url
        assert f"The proxy {ollama_server.url} answered {status}" in error.message
        assert hint in error.hint
        assert "OLLAMA_MAX_QUEUE" not in str(error)
        assert "api_key" not in str(error)
        assert "hunter2secret" not in str(error)


def test_ollamas_own_replies_stay_its_own(ollama_server: ScriptedServer) -> None:
    busy = Reply.error("server busy, please try again.  maximum pending requests exceeded", 503)
    for path in ("/api/chat", "/api/generate"):
        ollama_server.on("POST", SERVER + path, busy)
    for error in failures(SERVER, proxy=ollama_server.url):
        assert type(error) is errors.ServerBusyError
        assert error.proxy is None
        assert "OLLAMA_MAX_QUEUE" in error.hint


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_reverse_proxy_that_nobody_configured(ollama_server: ScriptedServer, status: int) -> None:
    for path in ("/api/chat", "/api/generate"):
        ollama_server.on("POST", path, Reply.body(PAGE, "text/html", status))
    for error in failures(ollama_server.url):
        assert "proxy in front of it" in error.hint
        assert error.proxy is None


def test_a_page_with_a_status_of_success(ollama_server: ScriptedServer) -> None:
    for path in ("/api/chat", "/api/generate"):
        ollama_server.on("POST", SERVER + path, Reply.body(PAGE, "text/html"))
    for error in failures(SERVER, proxy=ollama_server.url):
        assert isinstance(error, errors.ProtocolError)
        assert f"through the proxy {ollama_server.url}" in error.message
        assert "proxy's own" in error.hint


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_one_that_is_down(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = f"127.0.0.1:{listener.getsockname()[1]}"
    monkeypatch.setenv(variable, proxy)
    for error in failures(SERVER):
        assert isinstance(error, errors.ConnectError)
        assert f"The proxy http://{proxy} cannot be reached" in error.message
        assert "is the proxy right and running?" in error.hint
        assert "ollama serve" not in error.hint


def test_one_whose_name_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "proxy.invalid:3128")
    # Name servers take their time for names that do not exist.
    client = Client(SERVER, retries=0, timeout=Timeout(connect=40.0))
    with pytest.raises(errors.ConnectError) as caught:
        client.version()
    assert "The proxy http://proxy.invalid:3128 cannot be reached: its name is not known" in caught.value.message
    assert "is the proxy right and running?" in caught.value.hint


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY", None])
def test_a_name_that_nobody_knows_is_told_from_that_of_the_server(
    monkeypatch: pytest.MonkeyPatch, scheme: str, variable: str | None
) -> None:
    proxy = f"{scheme}://proxy.invalid:3128"
    if variable:
        monkeypatch.setenv(variable, proxy)
    # The server's name is none that anybody would have to look up.
    url, limits = "http://203.0.113.1:11434", Timeout(connect=40.0)
    client = Client(url, retries=0, timeout=limits, proxy=None if variable else proxy)
    with pytest.raises(errors.ConnectError, match="its name is not known") as caught:
        client.version()
    assert caught.value.proxy == proxy
    assert "Correct its name in proxy (or HTTP_PROXY, HTTPS_PROXY, ALL_PROXY)" in caught.value.hint
    assert "base_url" not in caught.value.hint
    monkeypatch.setenv("NO_PROXY", "ollama.invalid")
    with pytest.raises(errors.ConnectError) as caught:
        Client(SERVER, retries=0, timeout=limits).version()
    assert caught.value.proxy is None
    assert "Correct base_url" in caught.value.hint


@pytest.mark.parametrize("names", ["*", "255.255.255.255", "255.255.255.255:9", "255.0.0.0/8", "a b,255.255.255.255"])
def test_one_that_is_not_used_is_not_blamed(monkeypatch: pytest.MonkeyPatch, names: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", "proxy.invalid:3128")
    monkeypatch.setenv("NO_PROXY", names)
    # Nobody can be reached there, which the system knows at once.
    for error in failures("http://255.255.255.255:9"):
        assert isinstance(error, errors.ConnectError)
        assert error.proxy is None
        assert "proxy" not in str(error).lower()


def test_lower_case_variables_win(ollama_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    ollama_server.on("GET", f"{SERVER}/api/version", Reply.json({"version": "9"}))
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid")
    monkeypatch.setenv("http_proxy", ollama_server.url)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("no_proxy", "elsewhere")
    assert Client(SERVER).version() == "9"


@pytest.mark.parametrize(
    ("proxy", "hint"),
    [
        ("socks5://127.0.0.1:9", "write socks5h://127.0.0.1:9 to have the proxy look up names"),
        ("socks5h://127.0.0.1:9", "is the proxy right and running?"),
        ("socks4a://127.0.0.1:9", "is the proxy right and running?"),
    ],
)
def test_the_socks_family(proxy: str, hint: str) -> None:
    for error in failures(SERVER, proxy=proxy, timeout=Timeout(connect=12.0)):
        assert isinstance(error, errors.ConnectError)
        assert error.proxy == proxy
        assert hint in error.hint


@pytest.mark.parametrize(
    ("answer", "kind", "hint"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", errors.AuthenticationError, "USER:PASSWORD@"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n" + PAGE, errors.ConnectError, "is the proxy right"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", errors.ConnectError, "is the proxy right"),
    ],
)
def test_a_tunnel_that_is_refused(tunnel: Callable[..., str], answer: bytes, kind: type, hint: str) -> None:
    proxy = tunnel(answer)
    for error in failures("https://ollama.invalid", proxy=proxy.replace("//", "//ann:hunter2secret@"), verify=False):
        assert type(error) is kind
        assert f"proxy {proxy} " in error.message
        assert error.proxy == proxy
        assert hint in error.hint
        assert "hunter2secret" not in str(error)


def test_one_that_never_answers() -> None:
    # Connections are taken by the system, and nobody reads from them.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = f"http://127.0.0.1:{listener.getsockname()[1]}"
        for error in failures("https://ollama.invalid", proxy=proxy, verify=False, timeout=Timeout(connect=0.2)):
            assert isinstance(error, errors.ConnectTimeout)
            assert f"a connection through the proxy {proxy}" in error.message
            assert "is the proxy right and running?" in error.hint


def test_tls_through_a_tunnel(
    tunnel: Callable[..., str], ollama_server: ScriptedServer, tls_front: Callable[..., Any], certificates: Path
) -> None:
    ollama_server.answer("Hello")
    proxy = tunnel(b"HTTP/1.1 200 Connected\r\n\r\n", tls_front().port)
    client = Client("https://localhost", proxy=proxy, verify=certificates / "authority.pem")
    assert client.chat("m", MESSAGES).message.content == "Hello"
    for error in failures("https://localhost", proxy=proxy, verify=certificates / "itself.pem"):
        assert "signed by nobody" in error.message
        assert "a proxy that opens TLS has a CA of its own" in error.hint
    for error in failures("https://ollama.invalid", proxy=proxy, verify=certificates / "authority.pem"):
        assert "not for ollama.invalid" in error.message
        assert error.proxy is None


def test_the_environment_names_no_proxy_to_a_client_that_does_not_trust_it(
    ollama_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollama_server.on("POST", f"{SERVER}/api/chat", Reply.chat("Hello"))
    for name in VARIABLES[:3]:
        monkeypatch.setenv(name, ollama_server.url)
    assert Client(SERVER).chat("m", MESSAGES)
    assert all(error.proxy is None for error in failures(SERVER, trust_env=False))
    assert len(ollama_server.requests) == 1
    assert Client(SERVER, trust_env=False, proxy=ollama_server.url).chat("m", MESSAGES), "an explicit proxy counts"
