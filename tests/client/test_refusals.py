"""Every refusal that was recorded from a real server: its class, its status, and what to do about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from metagpt_ollama_rs import Client, Retry, errors, failures
from metagpt_ollama_rs.endpoints import endpoint_at
from metagpt_ollama_rs.testing import Reply, ScriptedServer
from metagpt_ollama_rs.testing import transcripts as recorded

ROOT = Path(__file__).parents[1] / "transcripts"

# Name of the recording: class, and a word of the hint.
TABLE: dict[str, tuple[type[errors.OllamaError], str]] = {
    "scripted/chat-once-badtool": (errors.ServerError, "tool call"),
    "scripted/chat-once-crash": (errors.ServerError, "smaller"),
    "scripted/chat-once-drop": (errors.IncompleteError, "partial"),
    "scripted/chat-once-miderror": (errors.ServerError, "log"),
    "scripted/chat-once-miderror-tools-model": (errors.ServerError, "log"),
    "scripted/chat-once-status500": (errors.ServerError, "log"),
    "scripted/chat-stream-badtool": (errors.ServerError, "tool call"),
    "scripted/chat-stream-crash": (errors.MidStreamError, "smaller"),
    "scripted/chat-stream-drop": (errors.IncompleteError, "partial"),
    "scripted/chat-stream-miderror": (errors.MidStreamError, "log"),
    "scripted/chat-stream-miderror-tools-model": (errors.MidStreamError, "log"),
    "scripted/chat-stream-repeat": (errors.IncompleteError, "repeated itself"),
    "scripted/chat-stream-status400": (errors.ContextOverflowError, "num_ctx"),
    "scripted/chat-stream-status500": (errors.ServerError, "log"),
    "scripted/delete-missing": (errors.ModelNotFoundError, "scripted:latest"),
    "scripted/embed-bad-input": (errors.BadRequestError, "list of texts"),
    "scripted/embed-poison": (errors.ServerError, "one by one"),
    "scripted/embed-too-long": (errors.ContextOverflowError, "split"),
    "scripted/embed-truncated": (errors.ContextOverflowError, "split"),
    "scripted/error-bad-json": (errors.BadRequestError, "JSON"),
    "scripted/error-chat-on-embedding-model": (errors.BadRequestError, "chat model"),
    "scripted/error-image-garbage": (errors.BadRequestError, "base64"),
    "scripted/error-invalid-format": (errors.BadRequestError, "JSON Schema"),
    "scripted/error-method": (errors.BadRequestError, "base_url"),
    "scripted/error-missing-model-chat": (errors.ModelNotFoundError, "ollama pull no-such-model"),
    "scripted/error-missing-model-embed": (errors.ModelNotFoundError, "ollama pull no-such-model"),
    "scripted/error-missing-model-generate": (errors.ModelNotFoundError, "ollama pull no-such-model"),
    "scripted/error-missing-model-show": (errors.ModelNotFoundError, "ollama pull no-such-model"),
    "scripted/error-no-body": (errors.BadRequestError, "JSON"),
    "scripted/error-no-model": (errors.BadRequestError, "name a model"),
    "scripted/error-option-type": (errors.BadRequestError, "type of this option"),
    "scripted/error-path": (errors.NotFoundError, "base_url"),
    "scripted/error-path-double": (errors.NotFoundError, "base_url"),
    "scripted/error-suffix-unsupported": (errors.BadRequestError, "suffix"),
    "scripted/error-think-unsupported": (errors.BadRequestError, "think"),
    "scripted/error-tools-unsupported": (errors.BadRequestError, "tools"),
    "scripted/generate-once-crash": (errors.ServerError, "smaller"),
    "scripted/generate-once-miderror": (errors.ServerError, "log"),
    "scripted/generate-stream-crash": (errors.MidStreamError, "smaller"),
    "scripted/generate-stream-drop": (errors.IncompleteError, "partial"),
    "scripted/generate-stream-miderror": (errors.MidStreamError, "log"),
    "scripted/openai-chat-missing": (errors.ModelNotFoundError, "ollama pull no-such-model"),
    "scripted/openai-chat-stream-crash": (errors.IncompleteError, "partial"),
    "scripted/openai-chat-stream-drop": (errors.IncompleteError, "partial"),
    "scripted/openai-chat-stream-miderror": (errors.IncompleteError, "partial"),
    "smollm2/chat-context-overflow-notruncate": (errors.ContextOverflowError, "6014"),
    "smollm2/embed-on-chat-model": (errors.BadRequestError, "embedding model"),
    "smollm2/embed-too-long-notruncate": (errors.ContextOverflowError, "split"),
}

# Texts that nobody recorded, as the server's sources have them (docs/wire.md#11-statuses-of-refusals), with their
# status.
OTHERS: list[tuple[int, str, type[errors.OllamaError], str]] = [
    (503, "server busy, please try again.  maximum pending requests exceeded", errors.ServerBusyError, "MAX_QUEUE"),
    (500, "image input is not supported - hint: you may need the mmproj", errors.BadRequestError, "vision"),
    (500, "model requires more system memory (8 GiB) than is available", errors.ServerError, "smaller"),
    (500, "llama-server reported out-of-memory during startup: x", errors.ServerError, "smaller"),
    (500, "llama runner process has terminated: exit status 2", errors.ServerError, "runner crashed"),
    (500, "timed out waiting for llama-server to start - x", errors.ServerError, "OLLAMA_LOAD_TIMEOUT"),
    (500, "unable to load model: failed to load model from file", errors.ServerError, "ollama pull"),
    (404, "model '' not found", errors.ModelNotFoundError, "name a model"),
    (404, "404 page not found", errors.NotFoundError, "does not know /api/"),
    (400, "invalid model name", errors.BadRequestError, "name a model"),
    (400, 'use either :local or :cloud, not both: "a:local:cloud"', errors.BadRequestError, "suffix"),
    (400, "top_logprobs must be between 0 and 20", errors.BadRequestError, "20"),
    (400, "raw mode does not support template, system, or context", errors.BadRequestError, "raw"),
    (400, "image generation models are not currently supported", errors.BadRequestError, "text"),
    (400, "this server cannot run this remote model", errors.BadRequestError, "OLLAMA_REMOTES"),
    (403, "ollama cloud is disabled: remote model is unavailable", errors.AuthenticationError, "local model"),
    (403, "", errors.AuthenticationError, "Host"),
    (401, "unauthorized", errors.AuthenticationError, "api_key"),
    (401, "unauthorized", errors.AuthenticationError, "is sent to ollama.com only"),
    (
        401,
        "<html>401 Authorization Required</html>",
        errors.AuthenticationError,
        "in front of it, which wants credentials",
    ),
    (403, "<html>403 Forbidden</html>", errors.AuthenticationError, "in front of it, which wants credentials"),
    (403, "this key may not read", errors.AuthenticationError, "account or key may do"),
    (429, "rate limit exceeded", errors.RateLimitError, "less often"),
    # A plan that does not cover the model is neither a wrong key nor a bad request.
    (402, "payment required", errors.SubscriptionError, "own machine"),
    (402, "", errors.SubscriptionError, "own machine"),
    (403, "this model requires a subscription, upgrade for access: https://x", errors.SubscriptionError, "own machine"),
    (403, "your plan does not include this model", errors.SubscriptionError, "own machine"),
    (400, "this model requires a subscription", errors.SubscriptionError, "own machine"),
    (401, "model requires a paid plan", errors.SubscriptionError, "own machine"),
    (401, "invalid subscription key", errors.AuthenticationError, "api_key"),
    # A context is not too short wherever it is mentioned.
    (400, "the input length exceeds the context length", errors.ContextOverflowError, "num_ctx"),
    (500, "the input length exceeds the context length", errors.ContextOverflowError, "num_ctx"),
    (400, "the prompt is longer than the context length currently available", errors.ContextOverflowError, "num_ctx"),
    (400, "prompt too long; exceeded max context length by 12 tokens", errors.ContextOverflowError, "num_ctx"),
    (400, "request (9 tokens) exceeds the available context size (4 tokens)", errors.ContextOverflowError, "above 9"),
    (400, "This model's maximum context length is 8 tokens, you asked for 9", errors.ContextOverflowError, "num_ctx"),
    (400, "invalid context length", errors.BadRequestError, "as the server says"),
    (401, "unauthorized: the key has a context length of 5", errors.AuthenticationError, "api_key"),
    (404, "model 'context length exceeded' not found", errors.ModelNotFoundError, "ollama pull m"),
    (429, "too many requests with this context length", errors.RateLimitError, "less often"),
    (500, "cannot allocate a context length of 131072: out of memory", errors.ServerError, "smaller"),
    (503, "server busy: context length of the queue", errors.ServerBusyError, "MAX_QUEUE"),
    # The words of a caller's mistake under another status, and those of a missing model.
    (503, 'option "num_ctx" must be of type integer', errors.ServerBusyError, "option"),
    (500, "model 'm' not found", errors.ServerError, "log"),
    (418, "something new", errors.BadRequestError, "as the server says"),
]


def refuses(recording: recorded.Transcript) -> bool:
    """Whether a recording is a refusal, or a stream that failed or was cut."""
    if recording.status >= 400 or any(b'"error"' in line[:12] for line in recording.lines):
        return True
    is_answer = recording.path.endswith(("/chat", "/generate", "/completions"))
    ends = (b'"done":true', b"[DONE]", b'"object":"chat.completion"')
    return is_answer and not any(end in recording.body for end in ends)


def names() -> list[str]:
    found = []
    for folder in ("scripted", "smollm2"):
        for entry in json.loads((ROOT / folder / "index.json").read_text()):
            recording = recorded.load(ROOT / folder, entry["name"])
            if refuses(recording):
                found.append(f"{folder}/{entry['name']}")
    return found


def test_no_recorded_refusal_is_forgotten() -> None:
    assert sorted(names()) == sorted(TABLE)


def ask(client: Client, recording: recorded.Transcript, stream: bool) -> None:
    """The recorded request, as it was or streamed."""
    try:
        payload: Any = json.loads(recording.request_body) if recording.request_body else None
    except ValueError:
        payload = {}
    native = client._native
    if stream:
        list(native.stream_blocking(endpoint_at(recording.path), payload, None, None))
    else:
        native.call_blocking(endpoint_at(recording.path, recording.method), payload, "status", None)


@pytest.mark.parametrize(("name", "expected"), TABLE.items(), ids=TABLE.keys())
def test_recorded_refusals(
    ollama_server: ScriptedServer, name: str, expected: tuple[type[errors.OllamaError], str]
) -> None:
    folder, _, stem = name.partition("/")
    recording = recorded.load(ROOT / folder, stem)
    ollama_server.on(recording.method, recording.path, Reply.transcript(recording))
    for stream in (False, True) if recording.method == "POST" else (False,):
        with pytest.raises(expected[0]) as caught:
            ask(Client(ollama_server.url), recording, stream)
        error = caught.value
        assert type(error) is expected[0]
        assert error.status == recording.status
        assert error.url == ollama_server.url + recording.path
        assert expected[1] in error.hint
        assert str(error).endswith(f"\nhint: {error.hint}")
        if isinstance(error, errors.ModelNotFoundError):
            assert error.available == ["scripted:latest"]
        if isinstance(error, errors.ResponseError):
            assert error.error


@pytest.mark.parametrize(("status", "text", "expected", "word"), OTHERS)
def test_refusals_of_the_sources(
    ollama_server: ScriptedServer, status: int, text: str, expected: type[errors.OllamaError], word: str
) -> None:
    reply = Reply.error(text, status) if text else Reply.body(b"", None, status)
    if text.startswith("<"):
        reply = Reply.text(text, status, content_type="text/html")
    ollama_server.on("POST", "/api/chat", reply)
    model = "" if "''" in text else "m"
    with pytest.raises(expected) as caught:
        Client(ollama_server.url, retries=0).chat(model, [])
    assert type(caught.value) is expected
    assert word in caught.value.hint


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("you have reached your hourly usage limit, upgrade for higher limits", 1),
        ("You exceeded your current quota, please check your plan and billing details", 1),
        ("weekly limit reached", 1),
        ("too many requests", 3),
        ("rate limit exceeded", 3),
    ],
)
def test_a_quota_that_is_used_up_is_not_asked_for_again(ollama_server: ScriptedServer, text: str, times: int) -> None:
    ollama_server.on("POST", "/api/chat", Reply.error(text, 429))
    for stream in (False, True):
        before = len(ollama_server.requests)
        with pytest.raises(errors.RateLimitError) as caught:
            list(Client(ollama_server.url, retries=Retry(2, first=0.001)).chat("m", [], stream=stream))
        assert len(ollama_server.requests) - before == times
        assert ("quota is used up" in caught.value.hint) is (times == 1)


FAILED_PULLS = [
    ({"error": "pull model manifest: file does not exist"}, errors.MidStreamError, "no such model"),
    (
        {"error": "pull model manifest: 412: \n\nThis requires a newer version of Ollama.\n"},
        errors.MidStreamError,
        "update",
    ),
    ({"error": "max retries exceeded: no space left on device"}, errors.MidStreamError, "make room"),
    ({"error": "pull model manifest: dial tcp: lookup r: no such host"}, errors.MidStreamError, "cannot reach"),
    ({"error": "something new"}, errors.MidStreamError, "the registry's"),
    ({"status": "pulling abc", "total": 10, "completed": 3}, errors.IncompleteError, "pull again"),
]


@pytest.mark.parametrize(("last", "expected", "word"), FAILED_PULLS)
@pytest.mark.parametrize("lines", [1, 2])
def test_a_failed_pull_has_the_registrys_words_and_a_hint_about_pulls(
    ollama_server: ScriptedServer, last: dict[str, Any], expected: type[errors.OllamaError], word: str, lines: int
) -> None:
    ollama_server.on("POST", "/api/pull", Reply.ndjson([{"status": "pulling manifest"}, last][-lines:]))
    for stream in (False, True):
        with pytest.raises(expected) as caught:
            list(Client(ollama_server.url, retries=Retry(2, first=0.001)).pull("m", stream=stream))
        assert word in caught.value.hint
        assert "repeated itself" not in str(caught.value)
        if "error" in last:
            assert caught.value.error == last["error"]
            assert last["error"].split()[-1] in caught.value.message


def test_a_pull_that_is_refused_is_not_told_to_pull(ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/api/pull", Reply.error("pull model manifest: model 'm' not found", 404))
    with pytest.raises(errors.ModelNotFoundError) as caught:
        Client(ollama_server.url).pull("m")
    assert "ollama pull" not in caught.value.hint
    assert "spelled right" in caught.value.hint


@pytest.mark.parametrize(
    ("url", "named"), [("https://ollama.com/api/chat", True), ("http://ollama.com.evil/api/chat", False), (None, False)]
)
def test_the_clouds_variable_is_named_where_it_is_sent(url: str, named: bool) -> None:
    error = failures.from_core("status", message="m", status=401, server_text="unauthorized", body=b"{}", url=url)
    assert ("or OLLAMA_API_KEY" in error.hint) is named
    assert "set api_key" in error.hint


def test_every_class_has_a_hint() -> None:
    for kind in failures._BY_KIND:
        assert failures.from_core(kind, message="m").hint, kind
    for phase in ("connect", "first_token", "idle", "total"):
        for loaded in (None, False, True):
            assert failures.from_core("timeout", message="m", phase=phase, loaded=loaded).hint
    for status in range(400, 600):
        assert failures.from_core("status", message="m", status=status).hint, status
