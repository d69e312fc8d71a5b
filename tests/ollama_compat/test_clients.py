"""The clients of `ollama_compat`: what they read of the environment, what they are asked and told besides calls."""

from __future__ import annotations

import asyncio
import doctest
import ipaddress
import pickle
import sys

import ollama
import pytest

from metagpt_ollama_rs import Timeout, errors, ollama_compat
from metagpt_ollama_rs.testing import Reply, ScriptedServer

from .cases import MESSAGES, answer

THEIRS = sys.modules["ollama._client"]
OURS = sys.modules["metagpt_ollama_rs.ollama_compat._client"]
HOSTS = [
    (example.source.strip(), example.want.strip())
    for example in doctest.DocTestParser().get_examples(THEIRS._parse_host.__doc__ or "")
]


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in ("OLLAMA_HOST", "OLLAMA_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def short(url: str) -> str:
    """The URL with an IPv6 address in its short form, which ours has."""
    before, bracket, rest = url.partition("[")
    address, _, after = rest.partition("]")
    return f"{before}[{ipaddress.ip_address(address).compressed}]{after}" if bracket else url


@pytest.mark.parametrize(("source", "want"), HOSTS)
def test_hosts_are_read_alike(source, want, monkeypatch):
    want = short(want.strip("'"))
    assert len(HOSTS) > 25
    assert eval(source, {"_parse_host": OURS._parse_host}) == want
    host = eval(source, {"_parse_host": lambda value: value})
    for client in (ollama_compat.Client(host), ollama_compat.AsyncClient(host=host)):
        assert OURS._parse_host(client.base_url) == want
    monkeypatch.setenv("OLLAMA_HOST", host or "")
    assert OURS._parse_host(ollama_compat.Client().base_url) == want


def test_a_key_of_the_environment_is_sent_to_any_host_and_pickled_nowhere(ollama_server: ScriptedServer, monkeypatch):
    monkeypatch.setenv("OLLAMA_API_KEY", "of-the-environment")
    ollama_server.on("POST", "/api/chat", Reply.json(answer()))
    client = ollama_compat.Client(ollama_server.url)
    client.chat("m", MESSAGES)
    assert ollama_server.last.header("Authorization") == "Bearer of-the-environment"
    assert b"of-the-environment" not in pickle.dumps(client)
    assert "of-the-environment" not in repr(client._client.headers)
    ollama_compat.Client(ollama_server.url, headers={"authorization": "Bearer mine"}).chat("m", MESSAGES)
    assert ollama_server.last.header("Authorization") == "Bearer mine"


def test_requests_say_what_sends_them(ollama_server: ScriptedServer):
    ollama_server.on("POST", "/api/chat", Reply.json(answer()))
    ollama_compat.Client(ollama_server.url, headers={"User-Agent": "mine", "X-Team": "a"}).chat("m", MESSAGES)
    agent = ollama_server.last.header("User-Agent")
    assert agent.startswith("ollama-python/0.6.3 (")
    assert " metagpt_ollama_rs/" in agent
    assert ollama_server.last.header("X-Team") == "a"


@pytest.mark.parametrize(
    ("timeout", "limits"),
    [
        (None, (None, None, None, None)),
        (30, (30.0, 30.0, 30.0, None)),
        ((1, 2), (1.0, 2.0, 2.0, None)),
        (Timeout(1, 2, 3, 4), (1.0, 2.0, 3.0, 4.0)),
    ],
)
def test_time_limits_are_those_of_httpx(timeout, limits):
    client = ollama_compat.Client(timeout=timeout)
    assert client._native.limits == limits
    assert client._client.timeout == timeout
    assert pickle.loads(pickle.dumps(client))._native.limits == limits


def test_headers_may_be_bytes_or_pairs(ollama_server: ScriptedServer):
    ollama_server.on("POST", "/api/chat", Reply.json(answer()))
    for headers in ({b"X-Team": b"a"}, [("x-team", "a")], {"X-Team": "a", "X-None": None}):
        ollama_compat.Client(ollama_server.url, headers=headers).chat("m", MESSAGES)
        sent = {name.lower(): value for name, value in dict(ollama_server.requests[-1].headers).items()}
        assert sent["x-team"] == "a"
        assert "x-none" not in sent


def test_the_headers_can_be_changed(ollama_server: ScriptedServer):
    ollama_server.on("POST", "/api/chat", Reply.json(answer()))
    client = ollama_compat.Client(ollama_server.url, headers={"X-Team": "a"})
    client._client.headers.update({"x-team": "b", "X-Other": "c"})
    client.chat("m", MESSAGES)
    assert (ollama_server.last.header("X-Team"), ollama_server.last.header("X-Other")) == ("b", "c")
    del client._client.headers["X-OTHER"]
    client.chat("m", MESSAGES)
    assert ollama_server.last.header("X-Other") is None
    assert ollama_server.last.header("User-Agent").startswith("ollama-python/")
    with pytest.raises(AttributeError, match="transport="):
        client._client.build_request()


def test_a_server_that_is_not_there_is_told_as_there():
    for call in (
        lambda: ollama_compat.Client("http://127.0.0.1:1", retries=0).show("m"),
        lambda: asyncio.run(ollama_compat.AsyncClient("http://127.0.0.1:1", retries=0).show("m")),
    ):
        with pytest.raises(ConnectionError) as caught:
            call()
        assert str(caught.value) == THEIRS.CONNECTION_ERROR_MESSAGE == OURS.CONNECTION_ERROR_MESSAGE
        assert isinstance(caught.value, errors.ConnectError)
        assert "ollama serve" in caught.value.hint
        # Pickled, it says the same.
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
        if sys.version_info >= (3, 11):
            assert "nothing listens there" in caught.value.__notes__[0]


def test_what_replaces_the_request_method_gets_what_it_gets_there(monkeypatch):
    found = []

    def request(self, cls, method, url, json=None, stream=False):
        found.append((cls.__name__, method, url, json, stream))
        return cls.model_construct() if hasattr(cls, "model_construct") else cls()

    for package in (ollama, ollama_compat):
        monkeypatch.setattr(package.Client, "_request", request)
        client = package.Client()
        client.chat("m", MESSAGES)
        client.show("m")
        client.list()
    assert found[:3] == found[3:]


def test_the_request_method_reaches_any_path(ollama_server: ScriptedServer):
    class Anything:
        def __init__(self, **fields):
            self.fields = fields

    ollama_server.on("POST", "/api/new", Reply.json({"a": 1}))
    ollama_server.on("POST", "/api/lines", Reply.ndjson([{"a": 1}, {"a": 2, "done": True}]))
    for package in (ollama, ollama_compat):
        with package.Client(ollama_server.url) as client:
            assert client._request(Anything, "POST", "/api/new", json={}).fields == {"a": 1}
            parts = client._request(Anything, "POST", "/api/lines", json={}, stream=True)
            assert [part.fields for part in parts] == [{"a": 1}, {"a": 2, "done": True}]


def test_errors_are_made_as_there():
    for made in (("no such thing",), ("no such thing", 404), ('{"error": "no such thing"}', 500), ("{oops", 400)):
        theirs, ours = ollama.ResponseError(*made), ollama_compat.ResponseError(*made)
        assert (ours.error, ours.status_code, str(ours)) == (theirs.error, theirs.status_code, str(theirs))
    assert ollama_compat.ResponseError("x", status_code=404).status_code == 404
    assert ollama_compat.RequestError("x").error == str(ollama_compat.RequestError("x")) == "x"
    assert issubclass(errors.ConfigurationError, ollama_compat.RequestError)


def test_the_documented_way_to_pull_what_is_missing(ollama_server: ScriptedServer):
    ollama_server.on("POST", "/api/chat", Reply.error("model 'm' not found", 404))
    ollama_server.on("POST", "/api/pull", Reply.json({"status": "success"}))
    client = ollama_compat.Client(ollama_server.url)
    missing = ""
    try:
        client.chat("m", MESSAGES)
    except ollama_compat.ResponseError as error:
        if error.status_code == 404:
            missing = error.error
            client.pull("m")
    assert missing == "model 'm' not found"
    assert ollama_server.last.path == "/api/pull"


def test_web_search_wants_a_key_as_there():
    for package in (ollama, ollama_compat):
        with package.Client() as client:
            for call in (client.web_search, client.web_fetch):
                with pytest.raises(ValueError, match=r"^Authorization header with Bearer token is required"):
                    call("x")
