"""What people put into the arguments of a call: bytes, half surrogates, texts for numbers, misspelt names."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from metagpt_ollama_rs import AsyncClient, Client, Timeout, errors, payloads, responses
from metagpt_ollama_rs.testing import Reply, ScriptedServer

TEXT = 'caf\u00e9 \u4e2d\U0001f600"'
HALF, JOINED, CLEAN = "\ud83d", "\ud83d\ude00", "\U0001f600"
PIXEL = b"\x89PNG\r\n\x1a\n" + bytes(range(64))
BARE = base64.b64encode(PIXEL).decode()


def send(server: ScriptedServer, method: str, *args: Any, **fields: Any) -> Any:
    """What is sent by each way of making a call, once it was seen to be the same."""
    server.answer("ok")
    sent = []

    async def run(client: AsyncClient) -> None:
        await getattr(client, method)(*args, **fields)
        sent.append(server.last.json())
        if method in ("chat", "generate"):
            async for _ in await getattr(client, method)(*args, **fields, stream=True):
                pass
            sent.append({**server.last.json(), "stream": False})

    client = Client(server.url)
    getattr(client, method)(*args, **fields)
    sent.append(server.last.json())
    if method in ("chat", "generate"):
        list(getattr(client, method)(*args, **fields, stream=True))
        sent.append({**server.last.json(), "stream": False})
    asyncio.run(run(AsyncClient(server.url)))
    assert all(payload == sent[0] for payload in sent)
    return sent[0]


def refused(server: ScriptedServer, words: str, method: str, *args: Any, **fields: Any) -> None:
    """Both clients refuse a call with these words, and send nothing."""
    with pytest.raises(errors.ConfigurationError, match=words):
        getattr(Client(server.url), method)(*args, **fields)
    with pytest.raises(errors.ConfigurationError, match=words):
        asyncio.run(getattr(AsyncClient(server.url), method)(*args, **fields))
    assert server.requests == []


def user(content: Any, **fields: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **fields}


def everything(make: Callable[[str], Any], name: str) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    """Calls that have ``make(name)`` wherever a text may stand."""
    text = make(name)
    tool = {"type": "function", "function": {"name": text, "description": text}}
    call = {"function": {"name": text, "arguments": {"a": [text, {"b": text}]}}}
    message = {"role": "assistant", "content": text, "thinking": text, "tool_name": text, "tool_calls": [call]}
    options = {"stop": [text], "seed": 1}
    return [
        ("chat", (text, [message]), {"tools": [tool], "format": {"enum": [text]}, "options": options}),
        ("generate", (text, text, text), {"system": text, "template": text, "options": options}),
        ("embed", (text, [text, text]), {"options": options}),
        ("embed", (text, text), {}),
        ("embeddings", (text, text), {"options": options}),
    ]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("case", range(5))
def test_bytes_are_text_wherever_a_text_may_stand(ollama_server: ScriptedServer, kind: Any, case: int) -> None:
    method, args, fields = everything(lambda text: kind(text.encode()), TEXT)[case]
    same, plain, others = everything(str, TEXT)[case]
    assert send(ollama_server, method, *args, **fields) == send(ollama_server, same, *plain, **others)


@pytest.mark.parametrize("case", range(5))
def test_surrogates_are_joined_or_replaced_wherever_a_text_may_stand(ollama_server: ScriptedServer, case: int) -> None:
    method, args, fields = everything(str, f"{HALF}a{JOINED}{HALF}")[case]
    same, plain, others = everything(str, f"\ufffda{CLEAN}\ufffd")[case]
    assert send(ollama_server, method, *args, **fields) == send(ollama_server, same, *plain, **others)


def test_surrogates_in_keys(ollama_server: ScriptedServer) -> None:
    call = {"function": {"name": "f", "arguments": {HALF: 1, JOINED: 2}}}
    sent = send(ollama_server, "chat", "m", [user("?"), {"role": "assistant", "tool_calls": [call]}])
    assert sent["messages"][1]["tool_calls"][0]["function"]["arguments"] == {"\ufffd": 1, CLEAN: 2}


def test_a_server_s_own_half_goes_back_and_stays_as_it_is_here(ollama_server: ScriptedServer) -> None:
    body = b'{"model":"m","message":{"role":"assistant","content":"a\\ud83d"},"done":true,"done_reason":"stop"}'
    ollama_server.queue(Reply.json(body))
    reply = Client(ollama_server.url).chat("m", [user("?")])
    assert reply.message.content == "a\ud83d"
    sent = send(ollama_server, "chat", "m", [reply.message, user("?")])
    assert sent["messages"][0]["content"] == "a\ufffd"


def test_a_model_with_a_half_is_named_in_errors_and_records(ollama_server: ScriptedServer) -> None:
    from metagpt_ollama_rs import stats

    ollama_server.on("POST", "/api/chat", Reply.error("model 'm\ufffd' not found", 404))
    with pytest.raises(errors.ModelNotFoundError) as caught:
        Client(ollama_server.url).chat("m\ud83d", [user("?")])
    assert caught.value.model == "m\ufffd"
    assert stats.records()[-1]["model"] == "m\ufffd"


def test_surrogates_in_what_a_client_is_made_of(ollama_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for fields in ({"host": "http://a\udcff"}, {"proxy": "http://a\udcff"}, {"headers": {"X": "a\ud83d"}}):
        with pytest.raises(errors.OllamaError):
            Client(**fields).version()  # type: ignore[arg-type]
    monkeypatch.setenv("OLLAMA_HOST", "a\udcff")
    with pytest.raises(errors.OllamaError):
        Client().version()
    Client(ollama_server.url, headers={b"X-Team": b"a"}).version()  # type: ignore[dict-item]
    assert ollama_server.last.header("X-Team") == "a"


BAD = b"\xff\xfe"


@pytest.mark.parametrize(
    ("words", "method", "args", "fields"),
    [
        (r"messages\[1\]\.content is bytes that are not UTF-8", "chat", ("m", [user("?"), user(BAD)]), {}),
        ("prompt is bytes", "generate", ("m", BAD), {}),
        ("suffix is bytes", "generate", ("m", "?", BAD), {}),
        ("system is bytes", "generate", ("m", "?"), {"system": BAD}),
        ("model is bytes", "generate", (BAD, "?"), {}),
        ("input is bytes", "embed", ("m", BAD), {}),
        (r"input\[2\] is bytes", "embed", ("m", ["a", "b", BAD]), {}),
        ("prompt is bytes", "embeddings", ("m", BAD), {}),
        (r"options\.stop\[0\]: the bytes are not UTF-8", "generate", ("m", "?"), {"options": {"stop": [BAD]}}),
        (r"messages\[0\]\.content is a list, not a text", "chat", ("m", [user([{"type": "text"}])]), {}),
        (r"messages\[0\]\.content is a dict, not a text", "chat", ("m", [user({"a": 1})]), {}),
        (r"messages\[0\]\.role is a int", "chat", ("m", [{"role": 1}]), {}),
        (r"messages\[1\] has no role", "chat", ("m", [user("?"), {"content": "?"}]), {}),
        (r"messages\[0\] has no field 'contnet'(.|\n)*content", "chat", ("m", [{"role": "user", "contnet": "?"}]), {}),
        (r"messages\[0\] has no field 'image'(.|\n)*images", "chat", ("m", [user("?", image=[PIXEL])]), {}),
        ("messages is a str, not a list", "chat", ("m", "hello"), {}),
        ("messages is a bytes, not a list", "chat", ("m", b"hello"), {}),
        ("messages is a dict, not a list", "chat", ("m", user("?")), {}),
        (r"messages\[0\] is a str", "chat", ("m", ["hello"]), {}),
        ("prompt is a list", "generate", ("m", ["a"]), {}),
        ("prompt is a int", "generate", ("m", 5), {}),
        ("model is a NoneType", "generate", (None, "?"), {}),
        ("input is a dict", "embed", ("m", {"a": 1}), {}),
        ("input is a set", "embed", ("m", {"a"}), {}),
        ("input is a NoneType", "embed", ("m", None), {}),
        ("input is a int", "embed", ("m", 5), {}),
        (r"input\[1\] is a NoneType", "embed", ("m", ["a", None]), {}),
        (r"input\[0\] is a int", "embed", ("m", [1, 2]), {}),
        (r"input\[1\] is a list", "embed_array", ("m", ["a", ["b"]]), {}),
        ("prompt is a list", "embeddings", ("m", ["a"]), {}),
        ("options is a list", "chat", ("m", []), {"options": [1]}),
        (r"options\.x: object is not JSON", "generate", ("m", "?"), {"options": {"x": object()}}),
        (r"options\.top_p: nan is not JSON", "generate", ("m", "?"), {"options": {"top_p": float("nan")}}),
        ("options: key 1 is int, not str", "generate", ("m", "?"), {"options": {1: 2}}),
    ],
)
def test_what_is_no_text_is_named(
    ollama_server: ScriptedServer, words: str, method: str, args: Any, fields: dict[str, Any]
) -> None:
    refused(ollama_server, words, method, *args, **fields)


def test_a_circle_is_refused(ollama_server: ScriptedServer) -> None:
    circle: dict[str, Any] = {}
    circle["itself"] = circle
    refused(ollama_server, "circular", "chat", "m", [], format=circle)
    # The methods that take a payload as it is.
    with pytest.raises(errors.ConfigurationError, match=r"a: object is not JSON"):
        asyncio.run(AsyncClient(ollama_server.url).request_json("/api/chat", {"a": object()}))
    with pytest.raises(errors.ConfigurationError, match=r"a: object is not JSON"):
        asyncio.run(AsyncClient(ollama_server.url).stream_text("/api/chat", {"a": object()}, print))


def test_what_a_batch_of_inputs_may_be(ollama_server: ScriptedServer) -> None:
    for inputs in (("a", "b"), iter(["a", "b"]), (text for text in "ab"), {"a": 1, "b": 2}.keys(), [b"a", "b"]):
        ollama_server.answer("ok")
        assert len(Client(ollama_server.url).embed("m", inputs).embeddings) == 2
        assert ollama_server.last.json()["input"] == ["a", "b"]


def test_messages_of_other_makes(ollama_server: ScriptedServer) -> None:
    ollama = pytest.importorskip("ollama", reason="ollama-python is the peer")
    theirs = ollama.Message(role="user", content="?", images=[ollama.Image(value=PIXEL)])
    ours = responses.Message({"role": "user", "content": "?", "images": [BARE], "thinking": None})
    plain = user("?", images=[ollama.Image(value=PIXEL)])
    for message in (theirs, ours, plain):
        assert send(ollama_server, "chat", "m", (message,))["messages"] == [user("?", images=[BARE])]
    sent = send(ollama_server, "generate", "m", "?", options=ollama.Options(num_predict=2, stop=["a"]))
    assert sent["options"] == {"num_predict": 2, "stop": ["a"]}


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("-1", -1),
        ("300", 300),
        (" +5 ", 5),
        ("1.5", 1.5),
        (".5", 0.5),
        ("10m", "10m"),
        ("-1m", "-1m"),
        ("1h30m", "1h30m"),
        ("0", 0),
        (b"10m", "10m"),
        (0, 0),
        (2.5, 2.5),
        (timedelta(minutes=5), 300),
        (timedelta(milliseconds=1500), 1.5),
    ],
)
@pytest.mark.parametrize("method", ["chat", "generate", "embed", "embeddings"])
def test_keep_alive(ollama_server: ScriptedServer, method: str, given: Any, sent: Any) -> None:
    second = [user("?")] if method == "chat" else "?"
    found = send(ollama_server, method, "m", second, keep_alive=given)["keep_alive"]
    assert (found, type(found)) == (sent, type(sent))


@pytest.mark.parametrize(
    "given",
    [
        True,
        "",
        "forever",
        "5 minutes",
        "10M",
        "1d",
        float("nan"),
        float("inf"),
        pytest.param(10**400, id="huge"),
        [5],
        b"\xff",
    ],
)
def test_what_is_no_keep_alive(ollama_server: ScriptedServer, given: Any) -> None:
    for method in ("chat", "generate", "embed", "embeddings"):
        refused(ollama_server, "keep_alive", method, "m", [] if method == "chat" else "?", keep_alive=given)


LINES = base64.encodebytes(PIXEL).decode()
URL_SAFE = base64.urlsafe_b64encode(PIXEL).decode()


@pytest.mark.parametrize(
    "image",
    [
        BARE,
        LINES,
        LINES.replace("\n", "\r\n"),
        f"  {LINES}\t",
        URL_SAFE,
        BARE.rstrip("="),
        URL_SAFE.rstrip("="),
        f"data:image/png;base64,{BARE}",
        f"DATA:IMAGE/PNG;BASE64,{BARE}",
        f"data:image/png;charset=utf-8;base64,{LINES}",
        f"data:;base64,{BARE}",
        f"data:image/png,{''.join(f'%{byte:02x}' for byte in PIXEL)}",
        PIXEL,
        bytearray(PIXEL),
        memoryview(PIXEL),
        SimpleNamespace(value=PIXEL),
        SimpleNamespace(value=LINES),
    ],
)
def test_images_in_every_spelling(ollama_server: ScriptedServer, image: Any) -> None:
    sent = send(ollama_server, "chat", "m", [user("?", images=[image, PIXEL])])
    assert sent["messages"][0]["images"] == [BARE, BARE]
    assert send(ollama_server, "generate", "m", "?", images=(image,))["images"] == [BARE]


@pytest.mark.parametrize("image", ["my_picture", "not-a-picture", SimpleNamespace(value="invalid_base64")])
def test_a_name_is_no_base64(ollama_server: ScriptedServer, image: Any) -> None:
    """Though with `-` and `_` the URL-safe spelling may have any word."""
    refused(ollama_server, r"neither a file nor base64", "generate", "m", "?", images=[image])


@pytest.mark.parametrize(
    "image",
    [
        PIXEL,
        bytearray(PIXEL),
        BARE,
        "picture.png",
        Path("picture.png"),
        {"value": BARE},
        SimpleNamespace(value=PIXEL),
        5,
    ],
)
def test_an_image_that_is_not_in_a_list(ollama_server: ScriptedServer, image: Any) -> None:
    refused(ollama_server, r"^images is a \w+, not a list", "generate", "m", "?", images=image)
    refused(ollama_server, r"messages\[0\]\.images is a \w+, not a list", "chat", "m", [user("?", images=image)])


@pytest.mark.parametrize(
    "image", [b"", "", "no such file.png", "data:image/png;base64", "data:image/png;base64,?", 5, [PIXEL]]
)
def test_what_is_no_image(ollama_server: ScriptedServer, image: Any) -> None:
    refused(ollama_server, r"^images\[1\]", "generate", "m", "?", images=[PIXEL, image])
    refused(ollama_server, r"messages\[0\]\.images\[1\]", "chat", "m", [user("?", images=[PIXEL, image])])


def limits(timeout: Any) -> Any:
    return Client(timeout=timeout)._native.limits


def test_time_limits_of_other_makes() -> None:
    assert limits(timedelta(seconds=7)) == limits(7) == limits(7.0) == (5.0, 7.0, 7.0, None)
    assert limits(Timeout(idle=timedelta(minutes=2), total=9)) == (5.0, 600.0, 120.0, 9.0)
    assert limits(SimpleNamespace(connect=2, read=5.0, write=1, pool=3)) == (2.0, 5.0, 5.0, None)
    httpx = pytest.importorskip("httpx")
    assert limits(httpx.Timeout(5, connect=2)) == (2.0, 5.0, 5.0, None)
    assert limits(httpx.Timeout(None)) == (None, None, None, None)


def test_time_limits_of_other_makes_hold(ollama_server: ScriptedServer) -> None:
    for timeout in (timedelta(milliseconds=50), SimpleNamespace(connect=1, read=0.05, write=None, pool=None)):
        ollama_server.queue(Reply.chat("Hello").gated(0))
        with pytest.raises(errors.RequestTimeout, match="first_token") as caught:
            Client(ollama_server.url).chat("m", [user("?")], timeout=timeout)
        assert caught.value.seconds == 0.05


@pytest.mark.parametrize(
    "timeout", ["5", True, False, -1, 0, float("nan"), float("inf"), (1,), [1], {}, b"1", 10**400, timedelta(0)]
)
def test_what_is_no_time_limit(ollama_server: ScriptedServer, timeout: Any) -> None:
    with pytest.raises(errors.ConfigurationError, match=r"^timeout must be a positive number of seconds"):
        Client(timeout=timeout)
    refused(ollama_server, "^timeout must be", "chat", "m", [], timeout=timeout)
    with pytest.raises(errors.ConfigurationError, match=r"timeout\.first_token must be"):
        AsyncClient(timeout=Timeout(first_token=timeout))
    with pytest.raises(errors.ConfigurationError, match=r"timeout\.read must be"):
        AsyncClient(timeout=SimpleNamespace(connect=1, read=timeout, write=1, pool=1))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("num_predct", "num_predict"),
        ("numPredict", "num_predict"),
        ("num-predict", "num_predict"),
        ("Temperature", "temperature"),
        ("temprature", "temperature"),
        ("topk", "top_k"),
        ("tpo_p", "top_p"),
        ("seeds", "seed"),
        ("sede", "seed"),
        ("num_cxt", "num_ctx"),
        ("NUM_CTX", "num_ctx"),
        ("num_threads", "num_thread"),
        ("repeat_penality", "repeat_penalty"),
        ("stops", "stop"),
    ],
)
@pytest.mark.parametrize("method", ["chat", "generate", "embed", "embeddings"])
def test_a_misspelt_option_is_refused(ollama_server: ScriptedServer, method: str, name: str, meant: str) -> None:
    second = [user("?")] if method == "chat" else "?"
    words = rf"options\.{name} is not an option(.|\n)*did you mean {meant}\?"
    refused(ollama_server, words, method, "m", second, options={"seed": 1, name: 20})
    refused(ollama_server, words, method, "m", second, options=SimpleNamespace(model_dump=lambda **_: {name: 20}))


def test_options_that_are_known_are_no_near_misses(
    ollama_server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    ollama = pytest.importorskip("ollama", reason="ollama-python knows the older options")
    names = [*ollama.Options.model_fields, "min_p", "num_gqa", "rope_frequency_base", "draft_num_predict"]
    options = {name: [] if name == "stop" else 1 for name in names}
    assert send(ollama_server, "generate", "m", "?", options=options)["options"] == options
    assert caplog.records == []


def test_an_option_that_is_not_known_is_sent_with_one_warning(
    ollama_server: ScriptedServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payloads, "_warned", set())
    options = {"top_n_sigma": 1.0, "max_tokens": 20, "top_a": 0.1, "think": True}
    with caplog.at_level(logging.WARNING):
        assert send(ollama_server, "generate", "m", "?", options=options)["options"] == options
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 4
    assert all(record.name.startswith("metagpt_ollama_rs") for record in caplog.records)
    assert "top_n_sigma" in texts[0]
    assert "Ollama has num_predict" in texts[1]
    assert "think as an argument" in texts[3]


def test_a_stop_that_is_one_text(ollama_server: ScriptedServer) -> None:
    assert send(ollama_server, "generate", "m", "?", options={"stop": "###"})["options"] == {"stop": ["###"]}


@pytest.mark.parametrize(
    ("model", "there", "meant"),
    [
        ("smollm2", ["smollm2:135m"], "smollm2:135m"),
        ("smolm2", ["smollm2:latest", "llama3.2:latest"], "smollm2"),
        ("smolm2", ["llama3.2:latest", "smollm2:135m"], "smollm2:135m"),
        ("smolm2:135m", ["smollm2:latest", "smollm2:135m"], "smollm2:135m"),
        ("smollm2:135M", ["smollm2:360m", "smollm2:135m"], "smollm2:135m"),
        ("SmolLM2", ["smollm2:latest"], "smollm2"),
        ("smollm-2", ["smollm2:latest"], "smollm2"),
        ("llama3", ["llama3:8b"], "llama3:8b"),
        ("llama3:70b", ["llama3:8b"], "llama3:8b"),
        ("lama3.2", ["llama3.2:latest"], "llama3.2"),
        ("nomic-embed-txt", ["nomic-embed-text:latest"], "nomic-embed-text"),
        ("qwen3", ["llama3.2:latest", "gemma3:4b"], None),
        ("smollm2", [], None),
    ],
)
def test_a_model_of_a_similar_name(
    ollama_server: ScriptedServer, model: str, there: list[str], meant: str | None
) -> None:
    for path in ("/api/chat", "/api/generate", "/api/embed"):
        ollama_server.on("POST", path, Reply.error(f"model '{model}' not found", 404))
    ollama_server.on("GET", "/api/tags", Reply.json({"models": [{"name": name, "model": name} for name in there]}))
    client = Client(ollama_server.url)
    for ask in (lambda: client.chat(model, []), lambda: client.generate(model, "?"), lambda: client.embed(model, "?")):
        with pytest.raises(errors.ModelNotFoundError) as caught:
            ask()
        begin = f"did you mean {meant}? Else pull" if meant else "pull"
        assert caught.value.hint.startswith(f"{begin} it with `ollama pull {model}`; the server has ")
    with pytest.raises(errors.ModelNotFoundError) as caught:
        list(client.chat(model, [], stream=True))
    assert caught.value.hint.startswith(begin)


def test_a_model_of_a_similar_name_where_none_is_to_be_pulled(ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/api/copy", Reply.error("model 'smolm2' not found", 404))
    ollama_server.on("DELETE", "/api/delete", Reply.error("model 'smolm2' not found", 404))
    ollama_server.on("GET", "/api/tags", Reply.json({"models": [{"name": "smollm2:latest"}]}))
    client = Client(ollama_server.url)
    for ask in (lambda: client.copy("smolm2", "other"), lambda: client.delete("smolm2")):
        with pytest.raises(errors.ModelNotFoundError) as caught:
            ask()
        assert caught.value.hint == "did you mean smollm2? the server has smollm2:latest"
        assert caught.value.model == "smolm2"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_misspelt_argument_of_a_client(kind: Any) -> None:
    with pytest.raises(TypeError, match=rf"^{kind.__name__}\(\) has no argument 'hostt'; did you mean 'host'\?"):
        kind(hostt="x")
    with pytest.raises(TypeError, match=rf"^{kind.__name__}\(\) has no argument 'cookie_jar'; it has host, headers, "):
        kind(cookie_jar={})

    class Own(kind):  # type: ignore[misc]
        pass

    with pytest.raises(TypeError, match=r"^Own\(\) has no argument 'time_out'; did you mean 'timeout'\?"):
        Own(time_out=5)


@pytest.mark.parametrize(
    ("method", "name", "meant"),
    [
        ("chat", "option", "options"),
        ("chat", "keepalive", "keep_alive"),
        ("chat", "tool", "tools"),
        ("chat", "messagess", "messages"),
        ("generate", "sytem", "system"),
        ("generate", "image", "images"),
        ("embed", "inputs", "input"),
        ("embed", "dimension", "dimensions"),
        ("embed_array", "truncated", "truncate"),
        ("embeddings", "promt", "prompt"),
        ("create", "systm", "system"),
        ("create", "parameter", "parameters"),
    ],
)
def test_a_misspelt_argument_of_a_method(ollama_server: ScriptedServer, method: str, name: str, meant: str) -> None:
    words = rf"^{method}\(\) has no argument '{name}'; did you mean '{meant}'\?; it has "
    with pytest.raises(TypeError, match=words):
        getattr(Client(ollama_server.url), method)("m", **{name: "x"})
    with pytest.raises(TypeError, match=words):
        asyncio.run(getattr(AsyncClient(ollama_server.url), method)("m", **{name: "x"}))
    assert ollama_server.requests == []


def test_names_that_are_no_near_misses_are_told_all_the_same(ollama_server: ScriptedServer) -> None:
    hint = r"; temperature is an option of the model: options=\{'temperature': …\}"
    for method in ("chat", "generate", "embed", "embed_array", "embeddings"):
        with pytest.raises(TypeError, match=rf"^{method}\(\) has no argument 'temperature'; it has model, .*{hint}$"):
            getattr(Client(ollama_server.url), method)("m", temperature=1)
    ollama_server.on("POST", "/api/create", Reply.json({"status": "success"}))
    Client(ollama_server.url).create("m", from_="n", renderer="new")
    assert ollama_server.last.json() == {"model": "m", "stream": False, "from": "n", "renderer": "new"}
    refused_parameters = {"num_predct": 1}
    with pytest.raises(errors.ConfigurationError, match=r"parameters\.num_predct(.|\n)*num_predict"):
        Client(ollama_server.url).create("m", from_="n", parameters=refused_parameters)


@pytest.mark.parametrize("name", ["trust_env", "follow_redirects"])
def test_switches_are_true_or_false(name: str) -> None:
    for value in (None, 1, "false"):
        with pytest.raises(errors.ConfigurationError, match=f"^{name} must be True or False, and is "):
            Client(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [None, 3, ["m"]])
def test_a_name_of_a_model_is_a_text(ollama_server: ScriptedServer, given: Any) -> None:
    for method in ("show", "pull", "push", "delete", "create", "chat", "generate"):
        refused(ollama_server, f"model is a {type(given).__name__}, not a text", method, given)
    refused(ollama_server, "source is a .* not a text", "copy", given, "m")
    refused(ollama_server, "destination is a .* not a text", "copy", "m", given)


def test_what_is_true_streams(ollama_server: ScriptedServer) -> None:
    ollama_server.answer("ok")
    client: Any = Client(ollama_server.url)
    list(client.chat("m", [user("Hi")], stream=1))
    assert ollama_server.last.json()["stream"] is True
    client.chat("m", [user("Hi")], stream=None)
    assert ollama_server.last.json()["stream"] is False
