"""What messages show of texts that others wrote: short, on one line, without control characters and without secrets."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from metagpt_ollama_rs import AsyncClient, ChatResponse, Client, Retry, StreamDecoder, _core, errors, stats
from metagpt_ollama_rs.testing import Reply, ScriptedServer, faults

MESSAGES = [{"role": "user", "content": "hi"}]
# Moves the cursor, rings, breaks the line, turns the text, hides in it; and there is a lot of it.
NASTY = "\x1b[2J\x07\x00\r\n\u202edrowssap\u2066\u200b\ufeff\x9b\u2028"
LONG = NASTY * 20_000
KEPT = 64 << 10


def header(name: str, value: str) -> bytes:
    return f"{name}: {value}\r\n".encode()


def raw(head: bytes, body: bytes = b"{}", status: str = "200 OK") -> Reply:
    start = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n".encode()
    return Reply.raw(start + head + b"\r\n" + body)


VISIBLE = "x" * 100_000
FAULTS: dict[str, Reply] = {
    "an error": Reply.error(LONG, 400),
    "a server's error": Reply.error(LONG, 500),
    "a nested error": Reply.json({"error": {"message": LONG}}, 400),
    "a missing model": Reply.error(f"model {LONG} not found", 404),
    "an overflow": Reply.error("the context length is " + "9" * 5000 + LONG, 400),
    "too many digits": Reply.json(
        b'{"error":"exceed_context_size_error","n_ctx":1,"n_prompt_tokens":' + b"9" * 5000 + b"}", 400
    ),
    "a sign-in": Reply.json({"error": "unauthorized", "signin_url": "https://x/" + LONG[:30_000]}, 401),
    "a sign-in that is none": Reply.json(["signin_url"], 401),
    "a text": Reply.text(LONG, 502),
    "a page": Reply.text(f"<html><title>{LONG}</title></html>", 502, content_type="text/html"),
    "a page that is good": Reply.text(f"<html><title>{LONG}</title></html>", content_type="text/html"),
    "keys": Reply.json({LONG + str(number): 1 for number in range(3)}),
    "no object": Reply.json([LONG]),
    "no JSON": Reply.body(LONG.encode(), "application/json"),
    "no JSON at all": Reply.text(LONG),
    "an error in success": Reply.json({"error": LONG}),
    "an error in a line": Reply.ndjson([{"message": {"content": "a"}, "done": False}, {"error": LONG}]),
    "a line": Reply.stream(
        [b'{"message":{"content":"a"},"done":false}\n', LONG.encode(), b"\n"], "application/x-ndjson"
    ),
    "a type": raw(header("Content-Type", VISIBLE)),
    "a type with \x1b in it": raw(header("Content-Type", "text/\x1b[2J")),
    "a coding": raw(header("Content-Encoding", VISIBLE)),
    "a transfer coding": raw(header("Transfer-Encoding", VISIBLE)),
    "a place": raw(header("Location", "http://other/" + VISIBLE), status="301 Moved"),
    "a place with \u202e in it": raw(header("Location", "http://other/\u202e"), status="301 Moved"),
    "a reason": raw(b"", status="500 " + "x" * 10_000 + "\t\u202e"),
    "a time": raw(header("Retry-After", "9" * 10_000), status="429 Wait"),
    "garbage": Reply.raw(LONG.encode(), end="close"),
}


NAMES = Reply.json({"models": [{"name": LONG}, *({"name": f"{number}{NASTY}"} for number in range(5000))]})


def ask(url: str, consumer: str, **settings: Any) -> None:
    settings.setdefault("retries", 0)
    if consumer == "sync":
        Client(url, **settings).chat("m", MESSAGES)
    elif consumer == "sync stream":
        list(Client(url, **settings).chat("m", MESSAGES, stream=True))
    else:

        async def run() -> None:
            reply = await AsyncClient(url, **settings).chat("m", MESSAGES, stream=consumer == "stream")
            if consumer == "stream":
                async for _ in reply:
                    pass

        asyncio.run(run())


def check(shown: str, most: int = 4001) -> None:
    """One text for people."""
    assert len(shown) <= most
    assert shown.isprintable(), ascii(shown)


def check_error(error: BaseException) -> None:
    seen: BaseException | None = error
    while seen is not None:
        lines = str(seen).split("\n")
        assert len(lines) <= 2
        for line in lines:
            # A message with a URL.
            check(line, 4400)
        seen = seen.__cause__ or seen.__context__
    assert isinstance(error, errors.OllamaError)
    check(error.message)
    check(error.hint)
    check(error.args[0])
    # The model's name is the caller's own.
    kept = {**vars(pickle.loads(pickle.dumps(error))), "model": None}
    assert len(repr(kept)) < 12 * KEPT
    said: Any = error
    assert len(getattr(said, "error", "")) <= KEPT
    assert len(getattr(said, "body", b"")) <= KEPT
    assert len("".join(getattr(said, "available", None) or [])) <= KEPT


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("consumer", ["whole", "stream", "sync", "sync stream"])
def test_what_a_server_says_is_shown_clean_and_short(
    ollama_server: ScriptedServer, caplog: pytest.LogCaptureFixture, fault: str, consumer: str
) -> None:
    ollama_server.on("POST", "/api/chat", FAULTS[fault])
    ollama_server.on("GET", "/api/tags", NAMES)
    ollama_server.on("GET", "/api/ps", NAMES)
    with caplog.at_level(logging.DEBUG), pytest.raises(errors.OllamaError) as caught:
        ask(ollama_server.url, consumer, retries=Retry(1, first=0.001))
    check_error(caught.value)
    for record in caplog.records:
        check(record.getMessage())


@pytest.mark.parametrize("consumer", ["whole", "stream"])
def test_the_servers_own_words_are_kept(ollama_server: ScriptedServer, consumer: str) -> None:
    ollama_server.on("POST", "/api/chat", Reply.error(NASTY, 400))
    with pytest.raises(errors.BadRequestError) as caught:
        ask(ollama_server.url, consumer)
    assert caught.value.error == NASTY
    assert json.loads(caught.value.body) == {"error": NASTY}
    assert "\\x1b[2J\\x07\\x00 \\u202edrowssap" in caught.value.message


@pytest.mark.parametrize("consumer", ["whole", "stream"])
def test_the_words_of_an_error_in_the_answer_are_kept(ollama_server: ScriptedServer, consumer: str) -> None:
    ollama_server.on("POST", "/api/chat", Reply.ndjson([{"error": NASTY}]))
    with pytest.raises(errors.MidStreamError) as caught:
        ask(ollama_server.url, consumer)
    assert caught.value.error == NASTY
    check_error(caught.value)


ASKED: dict[str, Callable[[Client], Any]] = {
    "list": lambda client: client.list(),
    "ps": lambda client: client.ps(),
    "version": lambda client: client.version(),
    "show": lambda client: client.show(LONG),
    "delete": lambda client: client.delete(LONG),
    "copy": lambda client: client.copy(LONG, LONG),
    "pull": lambda client: client.pull(LONG),
    "pull in steps": lambda client: list(client.pull(LONG, stream=True)),
    "create": lambda client: client.create(LONG, from_=LONG),
    "embed": lambda client: client.embed(LONG, ["a", "b"]),
    "embed_array": lambda client: client.embed_array(LONG, ["a", "b"]),
    "embeddings": lambda client: client.embeddings(LONG, "a"),
    "generate": lambda client: client.generate(LONG, "a"),
    "generate in pieces": lambda client: list(client.generate(LONG, "a", stream=True)),
}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize(
    "reply", [Reply.error(f"model {LONG} not found", 404), Reply.error(LONG, 500), Reply.error(LONG, 400)]
)
def test_every_method_shows_it_clean_and_short(ollama_server: ScriptedServer, asked: str, reply: Reply) -> None:
    for path in (
        "tags",
        "ps",
        "version",
        "show",
        "delete",
        "copy",
        "pull",
        "create",
        "embed",
        "embeddings",
        "generate",
    ):
        for method in ("GET", "POST", "DELETE"):
            ollama_server.on(method, f"/api/{path}", reply)
    with pytest.raises(errors.OllamaError) as caught:
        ASKED[asked](Client(ollama_server.url, retries=0))
    check_error(caught.value)


def test_a_timeout_names_a_model_clean_and_short(ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/api/chat", faults.never_answer())
    for names in ([LONG], []):
        ollama_server.on("GET", "/api/ps", Reply.json({"models": [{"name": name} for name in names]}))
        with pytest.raises(errors.RequestTimeout) as caught:
            Client(ollama_server.url, timeout=0.05).chat(LONG, MESSAGES)
        check_error(caught.value)


def test_other_errors_are_clean_and_short() -> None:
    with pytest.raises(AttributeError) as caught:
        _ = ChatResponse({LONG: 1, **{str(number): 1 for number in range(100_000)}}).nothing
    check(str(caught.value))
    with pytest.raises(errors.DecodeError) as failed:
        StreamDecoder().feed(LONG.encode() + b"\n")
    check_error(failed.value)
    error = errors.OllamaError(LONG, hint=LONG, url=NASTY * 100, model=LONG)
    check_error(error)
    error.hint = error.message = LONG
    check_error(error)


@pytest.mark.parametrize(
    "url", ["http://ann:hunter2secret@host/x.png", "http://ann:hunter2secret", "http://ann:h/2secret@host"]
)
def test_the_url_of_an_image_shows_no_password(ollama_server: ScriptedServer, url: str) -> None:
    for image in (url, url + "?" + "x" * 100):
        with pytest.raises(errors.ConfigurationError) as caught:
            Client(ollama_server.url).chat("m", [{"role": "user", "content": "?", "images": [image]}])
        assert "secret" not in f"{caught.value} {caught.value!r} {vars(caught.value)}"
        assert "hunter2" not in f"{caught.value} {caught.value!r} {vars(caught.value)}"


def test_an_excerpt() -> None:
    assert _core.excerpt("a\ud83d\x1b", 10).strip("\ufffd") == "a\ufffd\ufffd\ufffd\\x1b"
    assert _core.excerpt("abc", 2) == "ab…"


KEY = 'sk-Ab/9+"%\u00e9&z7Q'
ASCII_KEY = "sk-Ab/9+%&z7Q-longer"
WRITINGS: dict[str, Callable[[str], str]] = {
    "plain": lambda key: key,
    "escaped": lambda key: "".join(f"\\u{ord(c):04x}" for c in key),
    "escaped in capitals": lambda key: "".join(f"\\u{ord(c):04X}" for c in key),
    "escaped in part": lambda key: key[:3] + "".join(f"\\u{ord(c):04x}" for c in key[3:]),
    "escaped twice": lambda key: "".join(f"\\\\u{ord(c):04x}" for c in key),
    "slashes": lambda key: key.replace("/", "\\/"),
    "slashes twice": lambda key: key.replace("/", "\\\\\\/"),
    "JavaScript": lambda key: "".join(f"\\x{ord(c):02x}" for c in key),
    "percent": lambda key: quote(key, safe=""),
    "percent in small letters": lambda key: quote(key, safe="").lower(),
    "percent twice": lambda key: quote(quote(key, safe=""), safe=""),
    "all percent": lambda key: "".join(f"%{byte:02X}" for byte in key.encode()),
    "HTML": lambda key: key.replace("&", "&amp;").replace("+", "&#43;").replace("/", "&#x2F;"),
    "capitals": lambda key: key.upper(),
    "small letters": lambda key: key.lower(),
}


@pytest.mark.parametrize("writing", WRITINGS)
@pytest.mark.parametrize("status", [200, 401, 500])
@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("consumer", ["whole", "stream"])
def test_no_writing_of_a_key_is_shown(
    ollama_server: ScriptedServer, writing: str, status: int, as_json: bool, consumer: str
) -> None:
    stats.clear()
    written = WRITINGS[writing](ASCII_KEY)
    text = f'{{"error":"no such key: {written}!"}}' if as_json else f"no such key: {written}!"
    ollama_server.on("POST", "/api/chat", Reply.body(text.encode(), "application/json", status))
    with pytest.raises(errors.OllamaError) as caught:
        ask(ollama_server.url, consumer, api_key=ASCII_KEY)
    shown = [str(caught.value), repr(caught.value), repr(vars(caught.value)), repr(stats.records())]
    for text in shown:
        assert written not in text
        assert ASCII_KEY.lower() not in text.lower()
    if status != 200:
        assert "***" in caught.value.message


@pytest.mark.parametrize("room", range(170, 201, 3))
def test_no_part_of_a_key_is_left_where_a_text_is_cut(ollama_server: ScriptedServer, room: int) -> None:
    for limit in (80, 200, 600):
        text = "y" * (limit - 200 + room if limit > 100 else room - 130) + ASCII_KEY
        for status, kind in ((200, "application/json"), (200, "text/plain"), (502, "text/plain"), (502, "text/html")):
            ollama_server.on("POST", "/api/chat", Reply.body(f"{text}zzz".encode() * 9, kind, status))
            for consumer in ("sync", "sync stream"):
                with pytest.raises(errors.OllamaError) as caught:
                    ask(ollama_server.url, consumer, api_key=ASCII_KEY)
                assert ASCII_KEY[:7] not in str(caught.value), (limit, status, kind)


LOGINS: dict[str, tuple[dict[str, Any], str]] = {
    "password of the URL": ({"user": "ann:p%40ss%2Fword"}, "p@ss/word"),
    "basic": ({"user": "ann:hunter2secret"}, "YW5uOmh1bnRlcjJzZWNyZXQ="),
    "a header": ({"headers": {"Authorization": "Basic YW5uOmh1bnRlcjJzZWNyZXQ="}}, "hunter2secret"),
    "a cookie": ({"headers": {"Cookie": "a=1; session=crumbs-of-mine; b=2"}}, "crumbs-of-mine"),
    "a token": ({"headers": {"X-Auth-Token": "Token abcdef-123"}}, "abcdef-123"),
}


@pytest.mark.parametrize("login", LOGINS)
def test_no_login_is_shown(ollama_server: ScriptedServer, login: str) -> None:
    settings, secret = LOGINS[login]
    settings = dict(settings)
    user = settings.pop("user", "")
    url = ollama_server.url.replace("://", f"://{user}@") if user else ollama_server.url
    ollama_server.on("POST", "/api/chat", Reply.error(f"you are {secret}!", 400))
    with pytest.raises(errors.OllamaError) as caught:
        ask(url, "sync", **settings)
    assert secret not in str(caught.value) + repr(vars(caught.value))


@pytest.mark.parametrize("setting", ["host", "proxy", "environment"])
@pytest.mark.parametrize(
    "url",
    [
        "http://user:hunter2secret",
        "user:hunter2secret",
        "https://user:hunter2secret/api",
        "http://user:hunter2secret:11434",
        "http://user:p@hunter2secret word",
        "hunter2secret://user@host:x",
        "http://[::1]hunter2secret",
    ],
)
def test_no_url_shows_a_password(url: str, setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if setting == "environment":
        monkeypatch.setenv("OLLAMA_HOST", url)
    settings = {} if setting == "environment" else {setting: url}
    for made in (Client, AsyncClient):
        try:
            client = made(**settings)
        except errors.ConfigurationError as error:
            shown = f"{error} {error!r} {vars(error)} {error.__cause__} {error.__context__}"
        else:
            shown = repr(client)
        if not url.startswith("hunter2secret"):
            assert "hunter2" not in shown


def test_a_query_is_shown_nowhere(ollama_server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> None:
    stats.clear()
    ollama_server.on("GET", "/api/x", Reply.error("busy", 503))
    ollama_server.on("GET", "/api/x?token=abcdef-123", Reply.error("busy", 503))
    client = AsyncClient(ollama_server.url, retries=Retry(1, first=0.001))

    async def run() -> None:
        await client.request_bytes("/api/x?token=abcdef-123", method="GET")

    with caplog.at_level(logging.DEBUG), pytest.raises(errors.ServerBusyError) as caught:
        asyncio.run(run())
    assert "abcdef" not in f"{caught.value} {vars(caught.value)} {stats.records()} {caplog.text}"
    assert "retry 1 of 1" in caplog.text
