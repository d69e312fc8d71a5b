"""The exceptions: one class for each kind of the core, chosen by status and text, with what to do next."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

from metagpt_ollama_rs import Client, _core, errors, failures
from metagpt_ollama_rs.testing import Reply, ScriptedServer

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "tests" / "transcripts" / "scripted"


def test_every_kind_of_the_core_has_a_class() -> None:
    source = (ROOT / "src" / "error.rs").read_text().partition("\nimpl Kind {")[2].partition("\n}\n")[0]
    kinds = re.findall(r'Self::\w+ => "(\w+)"', source)
    assert kinds
    assert set(kinds) == set(failures._BY_KIND)
    for kind in kinds:
        assert isinstance(failures.from_core(kind, message="m"), errors.OllamaError)


def test_a_context_overflow_has_both_numbers(ollama_server: ScriptedServer) -> None:
    ollama_server.on(
        "POST", "/api/chat", Reply.transcript(RECORDED.parent / "smollm2", "chat-context-overflow-notruncate")
    )
    with pytest.raises(errors.ContextOverflowError, match="num_ctx") as caught:
        Client(ollama_server.url).chat("m", [])
    assert caught.value.prompt_tokens is not None
    assert caught.value.context_length is not None
    assert caught.value.prompt_tokens > caught.value.context_length
    assert isinstance(caught.value, ValueError)


STATUSES = {
    401: errors.AuthenticationError,
    403: errors.AuthenticationError,
    429: errors.RateLimitError,
    500: errors.ServerError,
    502: errors.ServerError,
    503: errors.ServerBusyError,
    504: errors.ServerError,
}


@pytest.mark.parametrize(("status", "expected"), STATUSES.items())
@pytest.mark.parametrize(
    "body", [b"", b'{"error":"no"}', b'{"error":{}}', b"<html>no</html>", b'{"error":{"message":"no"}}']
)
def test_refusals_by_status(
    ollama_server: ScriptedServer, status: int, expected: type[errors.ResponseError], body: bytes
) -> None:
    reply = Reply.body(
        body, "text/html" if b"html" in body else "application/json", status, headers={"Retry-After": "7"}
    )
    ollama_server.on("POST", "/api/chat", reply)
    with pytest.raises(expected, match=str(status)) as caught:
        Client(ollama_server.url, retries=0).chat("m", [])
    assert type(caught.value) is expected
    assert (caught.value.status, caught.value.retry_after, caught.value.body) == (status, 7.0, body)


def test_a_sign_in_is_offered(ollama_server: ScriptedServer) -> None:
    address = "https://ollama.com/connect?name=a&key=b"
    ollama_server.on("POST", "/api/chat", Reply.error("unauthorized", 401, signin_url=address))
    with pytest.raises(errors.AuthenticationError, match=re.escape(address)) as caught:
        Client(ollama_server.url).chat("m:cloud", [])
    assert caught.value.signin_url == address


def test_exceptions_pickle(ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/api/chat", Reply.error("model 'm' not found", 404))
    with pytest.raises(errors.ModelNotFoundError) as caught:
        Client(ollama_server.url).chat("m", [])
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), str(copy), vars(copy)) == (type(caught.value), str(caught.value), vars(caught.value))


def test_only_what_came_before_a_reply_is_a_connection_error() -> None:
    retried = {name for name in errors.__all__ if issubclass(getattr(errors, name), ConnectionError)}
    assert retried == {"ConnectError", "ConnectTimeout"}


def test_a_schema_that_is_no_grammar_is_told_from_other_failures() -> None:
    error = failures.from_core("status", message="m", status=500, server_text="failed to parse grammar")
    assert "simplify format" in str(error)
    assert 'structured: "false"' in str(error)


def test_every_cause_of_the_core_has_a_hint() -> None:
    source = (ROOT / "src" / "error.rs").read_text().partition("\nimpl Cause {")[2].partition("\n}\n")[0]
    causes = re.findall(r'Self::\w+ => "(\w+)"', source)
    assert causes
    assert set(causes) == {*failures._HINTS_BY_CAUSE, "missing_model"}
    missing = failures.from_core("status", message="m", status=404, cause="missing_model", model="m")
    assert isinstance(missing, errors.ModelNotFoundError)


def test_ollamas_cloud_is_known_by_its_host() -> None:
    for url, cloud in [
        ("https://ollama.com/api/chat", True),
        ("https://api.ollama.com/v1/models", True),
        ("http://ollama.com/api/chat", False),
        ("https://ollama.com.evil.example/api/chat", False),
        ("http://127.0.0.1:11434/api/chat", False),
        ("", False),
    ]:
        assert _core.is_cloud(url) is cloud, url
