"""Arguments of httpx, and requests that go over it because only it can do what they are for."""

from __future__ import annotations

import asyncio
import json
import pickle
from pathlib import Path

import httpx
import pytest

from metagpt_ollama_rs import AsyncClient, Client, errors, httpx_arguments, ollama_compat, over_httpx
from metagpt_ollama_rs.testing import Reply, ScriptedServer

from .cases import MESSAGES, answer

DOCS = Path(__file__).parents[2] / "docs"
ALL = [Client, AsyncClient, ollama_compat.Client, ollama_compat.AsyncClient]


def lines(*items):
    return b"".join(json.dumps(item).encode() + b"\n" for item in items)


PARTS = [{"message": {"content": "Hel"}, "done": False}, {"message": {"content": "lo"}, "done": False}]
END = {"message": {"content": ""}, "done": True, "eval_count": 2}
REPLIES = {
    "whole": httpx.Response(200, json=answer()),
    "streamed": httpx.Response(200, content=lines(*PARTS, END)),
    "cut": httpx.Response(200, content=lines(*PARTS)),
    "broken": httpx.Response(200, content=lines(*PARTS) + b"oops\n"),
    "an error": httpx.Response(200, content=lines(*PARTS, {"error": "no memory"})),
    "missing": httpx.Response(404, json={"error": "model 'm' not found"}),
    "no path": httpx.Response(404, text="404 page not found"),
    "busy": httpx.Response(503, json={"error": "busy"}, headers={"Retry-After": "3"}),
    "elsewhere": httpx.Response(307, headers={"Location": "/other"}),
    "empty": httpx.Response(200, content=b""),
    "foreign": httpx.Response(200, json=[1]),
    "no JSON": httpx.Response(200, content=b"oops"),
}


def transport(name):
    """A transport that replies with a copy of one of ``REPLIES``."""
    kept = REPLIES[name]
    return httpx.MockTransport(
        lambda _: httpx.Response(kept.status_code, content=kept.read(), headers=dict(kept.headers))
    )


def outcome(kind, name, call, **given):
    """What ``call`` gives: its value, or of a stream the texts so far and the exception."""

    async def asynchronous():
        seen = []
        async with kind(transport=transport(name), **given) as client:
            try:
                value = await call(client)
                if not hasattr(value, "__aiter__"):
                    return value
                async for part in value:
                    seen.append(part.message.content)
                return seen
            except errors.OllamaError as error:
                return seen, error

    def blocking():
        seen = []
        with kind(transport=transport(name), **given) as client:
            try:
                value = call(client)
                if not hasattr(value, "__next__"):
                    return value
                for part in value:
                    seen.append(part.message.content)
                return seen
            except errors.OllamaError as error:
                return seen, error

    return asyncio.run(asynchronous()) if "Async" in kind.__name__ else blocking()


@pytest.mark.parametrize("kind", ALL)
def test_replies_over_httpx_are_as_others(kind):
    assert outcome(kind, "whole", lambda c: c.chat("m", MESSAGES)).message.content == "Because."
    assert outcome(kind, "streamed", lambda c: c.chat("m", MESSAGES, stream=True)) == ["Hel", "lo", ""]
    # A whole reply in several lines is folded.
    assert outcome(kind, "streamed", lambda c: c.chat("m", MESSAGES)).message.content == "Hello"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("missing", errors.ModelNotFoundError, "model 'm' not found"),
        ("no path", errors.NotFoundError, "404 page not found"),
        ("busy", errors.ServerBusyError, "busy"),
        ("elsewhere", errors.ProtocolError, "/other"),
        ("cut", errors.IncompleteError, "done"),
        ("an error", errors.MidStreamError, "no memory"),
        ("broken", errors.DecodeError, "oops"),
    ],
)
@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_failures_over_httpx_are_as_others(client, name, kind, words, stream):
    seen, error = outcome(client, name, lambda c: c.chat("m", MESSAGES, stream=stream), follow_redirects=False)
    assert type(error) is kind
    assert words in str(error)
    assert error.hint
    if name in ("cut", "an error", "broken"):
        assert error.partial == "Hello"
        assert seen == (["Hel", "lo"] if stream else [])
    elif name != "elsewhere":
        assert (error.status, error.model, error.url) == (
            503 if name == "busy" else 404, "m", "http://127.0.0.1:11434/api/chat"
        )  # fmt: skip
    assert getattr(error, "retry_after", None) == (3.0 if name == "busy" else None)


@pytest.mark.parametrize("name", ["empty", "foreign", "no JSON"])
def test_what_is_no_reply_over_httpx(name):
    _, error = outcome(Client, name, lambda c: c.list())
    assert isinstance(error, (errors.ProtocolError, errors.DecodeError))


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (httpx.ConnectError("refused"), errors.ConnectError),
        (httpx.ConnectTimeout("late"), errors.ConnectTimeout),
        (httpx.ReadTimeout("late"), errors.RequestTimeout),
        (httpx.RemoteProtocolError("gone"), errors.ConnectError),
        (httpx.UnsupportedProtocol("ftp"), errors.ConfigurationError),
        (ZeroDivisionError("of the user's own"), ZeroDivisionError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_exceptions_of_httpx_become_ours(raised, kind, stream):
    def handle(request):
        raised.request = request
        raise raised

    with pytest.raises(kind) as caught, Client(transport=httpx.MockTransport(handle), timeout=7) as client:
        list(client.chat("m", MESSAGES, stream=stream))
    if kind is not ZeroDivisionError:
        assert caught.value.__cause__ is raised
    if isinstance(caught.value, errors.RequestTimeout):
        assert caught.value.seconds == (5 if kind is errors.ConnectTimeout else 7)


QUESTION = {"type": "noul", "instructions": "?"}
USAGE = {"input_tokens": 1, "output_tokens": 1}


def test_every_method_goes_over_httpx(tmp_path):
    asked = []

    def handle(request):
        path = request.url.path
        asked.append((request.method, path, request.read()))
        replies = {
            "/api/web_search": {"results": []},
            "/v1/systemone": {"model": "m", "answers": {"q": {"type": "noul", "noul": 0.5}}, "usage": USAGE},
            "/api/embed": {"embeddings": [[1.0, 0.5]]},
            "/api/embeddings": {"embedding": [1.0]},
            "/api/tags": {"models": []},
            "/api/ps": {"models": []},
            "/api/show": {"capabilities": []},
            "/api/version": {"version": "1"},
            "/api/generate": {"response": "x", "done": True},
            "/api/chat": answer(),
        }
        return httpx.Response(200, json=replies.get(path, {"status": "success"}))

    with Client("http://x.test", transport=httpx.MockTransport(handle)) as client:
        assert client.embed_array("m", "x").tolist() == [[1.0, 0.5]]
        assert client.embed("m", "x").embeddings == [[1.0, 0.5]]
        assert client.embeddings("m", "x").embedding == [1.0]
        assert (client.list().models, client.ps().models, client.show("m").capabilities) == ([], [], [])
        assert (client.version(), client.generate("m").response) == ("1", "x")
        assert {client.pull("m").status, client.push("m").status, client.create("m", from_="n").status} == {"success"}
        assert (client.delete("m").status, client.copy("m", "n").status) == ("success", "success")
        assert client.systemone("m", "x", {"q": QUESTION}).answers["q"].noul == 0.5
        (tmp_path / "a.gguf").write_bytes(b"GGUF")
        digest = client.create_blob(tmp_path / "a.gguf")
        assert client.web_search("x", headers={"Authorization": "Bearer k"}).results == []
    assert ("DELETE", "/api/delete", b'{"model":"m"}') in asked
    assert ("POST", f"/api/blobs/{digest}", b"GGUF") in asked
    assert len({path for _, path, _ in asked}) == 15


def test_callbacks_go_over_httpx():
    async def main():
        texts = []
        async with AsyncClient(transport=transport("streamed")) as client:
            end = await client.stream_text("/api/chat", {"model": "m"}, texts.append)
            body, kind = await client.request_bytes("/api/chat", {"model": "m"})
            raw = [line async for line in client.stream_lines("/api/chat", {"model": "m"})]
            batches = [batch async for batch in (await client.chat("m", stream=True)).batches()]
        return texts, end, body, kind, raw, batches

    texts, end, body, kind, raw, batches = asyncio.run(main())
    assert texts == ["Hel", "lo"]
    assert (end["message"]["content"], end["eval_count"]) == ("Hello", 2)
    assert body == lines(*PARTS, END)
    assert [json.loads(line) for line in raw] == [*PARTS, END]
    assert "".join(part.message.content for batch in batches for part in batch) == "Hello"
    assert isinstance(kind, str)


def test_raw_methods_go_over_httpx():
    with Client(transport=transport("streamed")) as client:
        assert [json.loads(line) for line in client.stream_lines("/api/chat", {"model": "m"})] == [*PARTS, END]
        assert client.request_bytes("/api/chat", {"model": "m"})[0] == lines(*PARTS, END)
        assert client.request_json("/api/chat", {"model": "m"})["message"]["content"] == "Hello"


def test_a_stream_over_httpx_can_be_left():
    with Client(transport=transport("streamed")) as client:
        with client.chat("m", stream=True) as stream:
            next(stream)
        assert list(stream) == []

    async def main():
        async with AsyncClient(transport=transport("streamed")) as client:
            async with await client.chat("m", stream=True) as stream:
                await stream.__anext__()
            return [part async for part in stream]

    assert asyncio.run(main()) == []


def test_calls_over_httpx_have_settings_of_their_own():
    found = []

    def handle(request):
        found.append((request.headers.get("x-team"), request.extensions["timeout"]["read"], request.headers["a"]))
        return httpx.Response(200, json={"version": "1"})

    with Client(transport=httpx.MockTransport(handle), headers={"a": "b"}) as client:
        client.version()
        client.version(headers={"X-Team": "c"}, timeout=3)
    assert found == [(None, 600.0, "b"), ("c", 3.0, "b")]


@pytest.mark.parametrize(("name", "value"), [("retries", 1), ("on_event", print)])
def test_what_means_nothing_over_httpx_is_refused(name, value):
    with pytest.raises(errors.ConfigurationError, match=rf"^{name}: (.|\n)*hint: write "):
        Client(transport=transport("whole"), **{name: value})
    with pytest.raises(errors.ConfigurationError, match="repetition_guard"):
        Client(transport=transport("whole")).chat("m", [], repetition_guard=True)


def test_an_httpx_client_in_the_place_of_ours_and_back(ollama_server: ScriptedServer, monkeypatch):
    ollama_server.on("POST", "/api/chat", Reply.json(answer(content="natively")))
    client = ollama_compat.Client(ollama_server.url)
    with monkeypatch.context() as patched:
        theirs = httpx.Client(base_url="http://x.test", transport=transport("whole"))
        patched.setattr(client, "_client", theirs)
        assert client._client is theirs
        assert client.chat("m", MESSAGES).message.content == "Because."
    assert client.chat("m", MESSAGES).message.content == "natively"
    client.close()
    assert client._client.is_closed


@pytest.mark.parametrize("kind", ALL)
def test_signing_in_and_cookies_are_headers(kind, ollama_server: ScriptedServer):
    jar = httpx.Cookies({"a": "b"})
    for given, name, value in (
        ({"auth": ("me", "pä ss")}, "Authorization", "Basic bWU6cMOkIHNz"),
        ({"auth": httpx.BasicAuth("me", "pä ss")}, "Authorization", "Basic bWU6cMOkIHNz"),
        ({"auth": ("me", "x"), "headers": {"authorization": "Bearer k"}}, "Authorization", "Basic bWU6eA=="),
        ({"cookies": {"a": "b", "c": "d"}}, "Cookie", "a=b; c=d"),
        ({"cookies": jar}, "Cookie", "a=b"),
        ({"cookies": [("a", "b")]}, "Cookie", "a=b"),
    ):
        for client in (made := kind(ollama_server.url, **given), pickle.loads(pickle.dumps(made))):
            result = client.list()
            if "Async" in kind.__name__:
                asyncio.run(awaited(result))
            assert ollama_server.last.header(name) == value


async def awaited(result):
    return await result


def test_another_way_to_sign_in_goes_over_httpx(ollama_server: ScriptedServer):
    class Token(httpx.Auth):
        def auth_flow(self, request):
            request.headers["X-Token"] = "t"
            yield request

    for auth in (Token(), lambda request: request.headers.update({"X-Token": "t"}) or request):
        with Client(ollama_server.url, auth=auth) as client:
            client.list()
        assert ollama_server.last.header("X-Token") == "t"


def test_event_hooks_go_over_httpx(ollama_server: ScriptedServer):
    heard = []
    with Client(ollama_server.url, event_hooks={"request": [lambda request: heard.append(request.url.path)]}) as client:
        client.list()
    assert heard == ["/api/tags"]
    assert not isinstance(Client(event_hooks={}, mounts=None, transport=None)._native, over_httpx.HttpxCarrier)


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({"params": {"a": 1}}, "give transport=httpx.HTTPTransport()"),
        ({"base_url": "http://x"}, "write host="),
        ({"app": print}, "write transport=httpx.WSGITransport"),
        ({"limits": httpx.Limits(max_connections=5)}, "asyncio.Semaphore"),
        ({"max_redirects": 3}, "write follow_redirects=False"),
        ({"http1": False}, "leave it out"),
        ({"default_encoding": "latin-1"}, "leave it out"),
        ({"proxies": {"http://": "http://a", "https://": "http://b"}}, "write proxy="),
        ({"proxy": httpx.Proxy("http://a", headers={"x": "y"})}, "write proxy="),
    ],
)
@pytest.mark.parametrize("kind", ALL)
def test_what_cannot_be_taken_is_refused_by_name(kind, given, hint):
    with pytest.raises(errors.ConfigurationError, match=next(iter(given))) as caught:
        kind(**given)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "given",
    [
        {"params": None, "limits": None, "cookies": None, "auth": None, "mounts": {}, "http1": True, "http2": True},
        {"limits": httpx.Limits(max_keepalive_connections=1), "max_redirects": 20, "default_encoding": "utf-8"},
        {"timeout": httpx.Timeout(10, connect=2), "verify": True, "trust_env": False, "follow_redirects": False},
        {"proxies": {"all://": "http://a:1"}, "params": {}},
    ],
)
@pytest.mark.parametrize("kind", ALL)
def test_what_changes_nothing_is_taken(kind, given):
    assert kind("http://x.test", **given).base_url == "http://x.test"


def test_a_proxy_of_httpx_is_a_url():
    assert httpx_arguments.proxy_url(httpx.Proxy("http://a:1", auth=("me", "p@ss"))) == "http://me:p%40ss@a:1"
    assert httpx_arguments.proxy_url(httpx.URL("http://a:1")) == "http://a:1"
    assert httpx_arguments.proxy_url("http://a:1") == "http://a:1"


@pytest.mark.parametrize("page", ["compatibility.md", "compatibility.zh.md"])
def test_the_table_of_arguments_is_in_the_docs(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    missing = [
        name
        for name, row in httpx_arguments.ARGUMENTS.items()
        if (f"| `{name}` | {row.here} |" if page == "compatibility.md" else f"| `{name}` | ") not in text
    ]
    assert missing == []


def test_every_argument_of_httpx_has_a_row():
    import inspect

    theirs = set(inspect.signature(httpx.Client).parameters) | set(inspect.signature(httpx.AsyncClient).parameters)
    assert theirs <= set(httpx_arguments.ARGUMENTS)
