"""The methods of both clients: the same requests as ollama-python's, the same answers, from coroutines and without."""

from __future__ import annotations

import asyncio
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from metagpt_ollama_rs import AsyncClient, Client, Timeout, errors, responses
from metagpt_ollama_rs.testing import Reply, ScriptedServer, faults

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
PIXEL = b"\x89PNG\r\n\x1a\n0000"


def add(a: int, b: int = 2) -> int:
    """Adds two numbers.

    Args:
        a: the first
        b (int): the second
    """
    return a + b


CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("chat", {"model": "m", "messages": MESSAGES}),
    "chat with options": (
        "chat",
        {"model": "m", "messages": MESSAGES, "options": {"temperature": 0, "stop": ["a"]}, "keep_alive": "5m"},
    ),
    "chat with format": ("chat", {"model": "m", "messages": MESSAGES, "format": {"type": "object"}, "think": False}),
    "chat with logprobs": ("chat", {"model": "m", "messages": MESSAGES, "logprobs": True, "top_logprobs": 2}),
    "chat with images": ("chat", {"model": "m", "messages": [{"role": "user", "content": "?", "images": [PIXEL]}]}),
    "load": ("chat", {"model": "m", "messages": [], "keep_alive": 0}),
    "generate": ("generate", {"model": "m", "prompt": "hi"}),
    "generate with all": (
        "generate",
        {"model": "m", "prompt": "p", "suffix": "s", "system": "y", "raw": True, "images": [PIXEL], "context": [1, 2]},
    ),
    "embed": ("embed", {"model": "m", "input": ["a", "b"], "truncate": False, "dimensions": 3}),
    "embeddings": ("embeddings", {"model": "m", "prompt": "a", "keep_alive": 10}),
    "show": ("show", {"model": "m"}),
    "pull": ("pull", {"model": "m"}),
    "delete": ("delete", {"model": "m"}),
    "copy": ("copy", {"source": "m", "destination": "n"}),
    "list": ("list", {}),
    "ps": ("ps", {}),
}


def without_nothing(value: Any) -> Any:
    """JSON without keys that say nothing: ollama-python sends some fields as empty texts and lists."""
    if isinstance(value, dict):
        kept = {key: without_nothing(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in ("", [], None) or key == "messages"}
    return [without_nothing(item) for item in value] if isinstance(value, list) else value


def prepare(server: ScriptedServer) -> None:
    server.answer("Hello world")
    server.on("POST", "/api/show", Reply.json({"capabilities": ["completion"], "model_info": {}}))
    server.on("POST", "/api/pull", Reply.json({"status": "success"}))
    server.on("DELETE", "/api/delete", Reply.body(b"", None))
    server.on("POST", "/api/copy", Reply.body(b"", None))


def sent(server: ScriptedServer) -> tuple[str, str, Any]:
    request = server.last
    return request.method, request.path, without_nothing(json.loads(request.body)) if request.body else None


@pytest.mark.parametrize(("method", "arguments"), CALLS.values(), ids=CALLS.keys())
def test_the_same_request_as_ollama_python(
    ollama_server: ScriptedServer, method: str, arguments: dict[str, Any]
) -> None:
    ollama = pytest.importorskip("ollama", reason="ollama-python is the peer")
    prepare(ollama_server)
    with ollama.Client(ollama_server.url) as peer:
        theirs = getattr(peer, method)(**arguments)
    wanted = sent(ollama_server)

    ours = getattr(Client(ollama_server.url), method)(**arguments)
    assert sent(ollama_server) == wanted
    again = asyncio.run(getattr(AsyncClient(ollama_server.url), method)(**arguments))
    assert sent(ollama_server) == wanted
    assert ours == again
    if method in ("chat", "generate"):
        assert ours.done is theirs.done is True
        assert ours.eval_count == theirs.eval_count
    if method == "chat":
        assert ours.message.content == theirs.message.content == ours["message"]["content"]


def test_functions_as_tools(ollama_server: ScriptedServer) -> None:
    ollama_server.answer("Hello")
    Client(ollama_server.url).chat("m", MESSAGES, tools=[add])
    tool = ollama_server.last.json()["tools"][0]
    assert tool == {
        "type": "function",
        "function": {
            "name": "add",
            "description": "Adds two numbers.",
            "parameters": {
                "type": "object",
                "required": ["a"],
                "properties": {
                    "a": {"type": "integer", "description": "the first"},
                    "b": {"type": "integer", "description": "the second"},
                },
            },
        },
    }


def test_a_reply_goes_back_as_a_message(ollama_server: ScriptedServer) -> None:
    call = {"function": {"name": "add", "arguments": {"a": 1}}}
    ollama_server.queue(Reply.chat("", stream=False, tool_calls=[call]))
    ollama_server.answer("done")
    client = Client(ollama_server.url)
    reply = client.chat("m", MESSAGES, tools=[add])
    assert reply.message.tool_calls is not None
    assert reply.message.tool_calls[0].function.arguments == {"a": 1}
    client.chat("m", [*MESSAGES, reply.message, {"role": "tool", "content": "3", "tool_name": "add"}])
    back = ollama_server.last.json()["messages"][2]
    assert back["role"] == "assistant"
    assert back["tool_calls"][0]["function"] == call["function"]


def test_images_as_bytes_paths_and_text(ollama_server: ScriptedServer, tmp_path: Path) -> None:
    import base64

    ollama_server.answer("a dot")
    path = tmp_path / "dot.png"
    path.write_bytes(PIXEL)
    bare = base64.b64encode(PIXEL).decode()
    images = [PIXEL, path, str(path), bare, f"data:image/png;base64,{bare}"]
    Client(ollama_server.url).chat("m", [{"role": "user", "content": "?", "images": images}])
    assert ollama_server.last.json()["messages"][0]["images"] == [bare] * 5
    with pytest.raises(errors.ConfigurationError, match=r"messages\[0\].images\[0\]"):
        Client(ollama_server.url).chat("m", [{"role": "user", "content": "?", "images": ["no such file.png"]}])


def test_a_misspelt_argument_is_refused_before_anything_is_sent(ollama_server: ScriptedServer) -> None:
    with pytest.raises(TypeError, match="no argument 'temperatur'"):
        Client(ollama_server.url).chat("m", MESSAGES, temperatur=1)  # type: ignore[call-overload]
    assert ollama_server.requests == []


def test_the_blocking_stream(ollama_server: ScriptedServer) -> None:
    ollama_server.answer("Hello world")
    client = Client(ollama_server.url)
    parts = [part.message.content for part in client.chat("m", MESSAGES, stream=True)]
    assert "".join(map(str, parts)) == "Hello world"
    texts = [part.response for part in client.generate("m", "hi", stream=True)]
    assert "".join(texts) == "Hello world"


@pytest.mark.parametrize("way", ["close", "with", "del"])
def test_the_server_sees_a_blocking_reader_leave(ollama_server: ScriptedServer, way: str) -> None:
    ollama_server.queue(Reply.chat("Hello world").gated(1))
    stream = Client(ollama_server.url).chat("m", MESSAGES, stream=True)
    next(stream)
    if way == "close":
        stream.close()
    elif way == "with":
        with stream:
            pass
    del stream
    ollama_server.wait_for_hangup()
    assert ollama_server.last.hung_up


@pytest.mark.parametrize("name", faults.MALFORMED)
def test_malformed_http_is_an_error(ollama_server: ScriptedServer, name: str) -> None:
    ollama_server.on("POST", "/api/chat", lambda request: faults.MALFORMED[name]())
    client = Client(ollama_server.url, retries=0)
    with pytest.raises(errors.OllamaError):
        client.chat("m", MESSAGES)
    with pytest.raises(errors.OllamaError):
        list(client.chat("m", MESSAGES, stream=True))


def test_a_whole_reply_that_was_cut_or_failed(ollama_server: ScriptedServer) -> None:
    client = Client(ollama_server.url)
    half = {"model": "m", "message": {"role": "assistant", "content": "Hel"}, "done": False}
    ollama_server.queue(Reply.json(half))
    with pytest.raises(errors.IncompleteError) as caught:
        client.chat("m", MESSAGES)
    assert caught.value.partial == "Hel"
    ollama_server.queue(Reply.json({"error": "out of luck"}))
    with pytest.raises(errors.MidStreamError, match="out of luck"):
        client.chat("m", MESSAGES)
    ollama_server.queue(Reply.body(b"", None))
    with pytest.raises(errors.OllamaError):
        client.chat("m", MESSAGES)


def test_a_stream_that_was_not_asked_for_is_folded(ollama_server: ScriptedServer) -> None:
    ollama_server.queue(Reply.chat(["Hel", "lo"], thinking="hm"))
    reply = Client(ollama_server.url).chat("m", MESSAGES)
    assert (reply.message.content, reply.message.thinking, reply.done) == ("Hello", "hm", True)


def test_the_models_that_are_there_are_named(ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/api/chat", Reply.error("model 'nope' not found", 404))
    with pytest.raises(errors.ModelNotFoundError, match="ollama pull nope") as caught:
        Client(ollama_server.url).chat("nope", MESSAGES)
    assert caught.value.available == ["scripted:latest"]
    with pytest.raises(errors.ModelNotFoundError, match="scripted:latest"):
        asyncio.run(AsyncClient(ollama_server.url).chat("nope", MESSAGES))


@pytest.mark.parametrize(
    ("limits", "phase"),
    [
        (Timeout(first_token=0.05), "first_token"),
        (Timeout(idle=0.05), "idle"),
        (Timeout(total=0.05), "total"),
        (0.05, "first_token"),
    ],
)
def test_a_limit_that_runs_out_says_which(ollama_server: ScriptedServer, limits: Any, phase: str) -> None:
    ollama_server.queue(Reply.chat("Hello world").gated(1 if phase == "idle" else 0))
    with pytest.raises(errors.RequestTimeout, match=phase) as caught:
        list(Client(ollama_server.url, timeout=limits).chat("m", MESSAGES, stream=True))
    assert (caught.value.phase, caught.value.seconds) == (phase, 0.05)
    assert isinstance(caught.value, TimeoutError)
    assert not isinstance(caught.value, ConnectionError)


def test_a_limit_for_one_call(ollama_server: ScriptedServer) -> None:
    ollama_server.queue(Reply.chat("Hello world").gated(0))
    with pytest.raises(errors.RequestTimeout, match=r"0\.05"):
        Client(ollama_server.url).chat("m", MESSAGES, timeout=0.05)
    with pytest.raises(errors.ConfigurationError, match="idle"):
        Client(ollama_server.url, timeout=Timeout(idle=-1))


def test_a_server_that_is_not_there() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(errors.ConnectError, match=f"127.0.0.1:{port}") as caught:
        Client(f"http://127.0.0.1:{port}").chat("m", MESSAGES)
    assert isinstance(caught.value, ConnectionError)
    assert "ollama serve" in caught.value.hint


def test_a_client_pickles(ollama_server: ScriptedServer) -> None:
    ollama_server.answer("Hello world")
    for client in (Client(ollama_server.url, headers={"X-Team": "a"}), AsyncClient(ollama_server.url)):
        copy = pickle.loads(pickle.dumps(client))
        assert (type(copy), copy.base_url) == (type(client), client.base_url)
    copy = pickle.loads(pickle.dumps(Client(ollama_server.url, headers={"X-Team": "a"})))
    assert copy.chat("m", MESSAGES).message.content == "Hello world"
    assert ollama_server.last.header("X-Team") == "a"


def test_a_closed_client(ollama_server: ScriptedServer) -> None:
    with Client(ollama_server.url) as client:
        assert client.version()
    with pytest.raises(errors.ClosedError):
        client.version()


def test_ollama_host(ollama_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", f"0.0.0.0:{ollama_server.port}")
    assert Client().base_url == ollama_server.url
    assert Client().version()
    monkeypatch.delenv("OLLAMA_HOST")
    assert Client().base_url == "http://127.0.0.1:11434"


@pytest.mark.parametrize("key", ["", "sk-", "ollama", "YOUR_API_KEY"])
def test_a_placeholder_is_no_key(ollama_server: ScriptedServer, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", "secret-of-the-cloud")
    Client(ollama_server.url, api_key=key).version()
    assert ollama_server.last.header("Authorization") is None
    Client(ollama_server.url, api_key="real-key").version()
    assert ollama_server.last.header("Authorization") == "Bearer real-key"


def test_loopback_goes_through_no_proxy_of_the_environment(
    ollama_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert Client(ollama_server.url).version()


def test_credentials_of_the_url_are_never_shown(ollama_server: ScriptedServer) -> None:
    client = Client(f"http://ann:secret@127.0.0.1:{ollama_server.port}")
    client.version()
    assert ollama_server.last.header("Authorization", "").startswith("Basic ")
    assert "secret" not in repr(client)
    ollama_server.on("POST", "/api/chat", Reply.error("no", 500))
    with pytest.raises(errors.ServerError) as caught:
        client.chat("m", MESSAGES)
    assert "secret" not in str(caught.value) + repr(caught.value) + str(caught.value.url)


def test_records_are_pickled_compared_and_shown() -> None:
    reply = responses.ChatResponse({"model": "m", "message": {"role": "assistant", "content": "x"}, "new": 1})
    assert pickle.loads(pickle.dumps(reply)) == reply
    assert reply != responses.GenerateResponse(reply.model_dump())
    assert repr(reply) == "ChatResponse(model='m', message=Message(role='assistant', content='x'), new=1)"
    assert (reply.new, reply.eval_count, reply.get("eval_count", 0)) == (1, None, 0)
    assert "message" in reply
    assert "eval_count" not in reply
    with pytest.raises(KeyError):
        reply["eval_count"]
    with pytest.raises(AttributeError, match="no field 'eval_cuont'"):
        _ = reply.eval_cuont
    assert json.loads(reply.model_dump_json()) == reply.model_dump()


def test_a_record_goes_over_the_json_bridge() -> None:
    reply = responses.Message({"role": "user", "content": "\u4e2d"})
    assert json.loads(reply.model_dump_json(exclude_unset=True)) == {"role": "user", "content": "\u4e2d"}


def test_usage_in_tokens_and_seconds() -> None:
    counts = {"prompt_eval_count": 20, "prompt_eval_cached_count": 12, "eval_count": 6}
    times = {"eval_duration": 2_000_000_000, "load_duration": 500_000_000}
    for kind in (responses.ChatResponse, responses.GenerateResponse, responses.EmbedResponse):
        reply = kind({**counts, **times})
        assert (reply.prompt_tokens, reply.cached_tokens, reply.answer_tokens) == (20, 12, 6)
        assert (reply.tokens_per_second, reply.load_seconds) == (3.0, 0.5)
        silent = kind({"model": "m"})
        assert (silent.prompt_tokens, silent.cached_tokens, silent.answer_tokens) == (None, None, None)
        assert (silent.tokens_per_second, silent.load_seconds) == (None, None)
    assert responses.ChatResponse({"load_duration": 0}).load_seconds == 0.0
    assert responses.ChatResponse({"eval_count": 3, "eval_duration": 0}).tokens_per_second is None
