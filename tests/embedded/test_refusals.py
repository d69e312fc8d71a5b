"""Requests that Ollama refuses, refused in its words: recorded ones byte for byte, others as the wire document says."""

from __future__ import annotations

from pathlib import Path

import pytest

from metagpt_ollama_rs.embedded import checks
from metagpt_ollama_rs.testing import transcripts

SCRIPTED = Path(__file__).parent.parent / "transcripts" / "scripted"

RECORDED = {
    "root": {},
    "root-head": {},
    "error-missing-model-chat": {},
    "error-missing-model-generate": {},
    "error-missing-model-embed": {},
    "error-missing-model-show": {},
    "error-no-model": {},
    "error-bad-json": {},
    "error-no-body": {},
    "error-tools-unsupported": {"scripted-plain": "smollm2"},
    "error-think-unsupported": {"scripted-plain": "smollm2"},
    "error-image-garbage": {"scripted-vision": "smollm2"},
    "error-option-type": {"scripted-plain": "smollm2"},
    "error-chat-on-embedding-model": {"scripted-embed": "smollm2-embed"},
    "error-path": {},
    "error-path-double": {},
    "error-method": {},
    "error-invalid-format": {"scripted-plain": "smollm2"},
    "error-suffix-unsupported": {"scripted-plain": "smollm2"},
    "embed-bad-input": {"scripted-embed": "smollm2-embed"},
    "embed-empty-list": {"scripted-embed": "smollm2-embed"},
    "embeddings-legacy-empty": {"scripted-embed": "smollm2-embed"},
}


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_answers_are_given_word_for_word(ask, name):
    recorded = transcripts.load(SCRIPTED, name)
    body, expected = recorded.request_body, recorded.body
    for theirs, ours in RECORDED[name].items():
        body = body.replace(theirs.encode(), ours.encode())
        expected = expected.replace(theirs.encode(), ours.encode())
    answer = ask(recorded.method, recorded.path, body)
    assert (answer.status, answer.body) == (recorded.status, expected if recorded.method != "HEAD" else b"")
    assert [name for name, _ in answer.headers] == [name for name, _ in recorded.headers]
    for header in ("Content-Type", "Allow", "Transfer-Encoding"):
        assert dict(answer.headers).get(header) == dict(recorded.headers).get(header)


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("/api/generate", {}, 404, "model '' not found"),
        ("/api/embed", {"input": "x"}, 404, "model '' not found"),
        ("/api/embeddings", {"prompt": "x"}, 400, "model is required"),
        ("/api/show", {}, 400, "model is required"),
        ("/api/chat", {"model": "smollm2", "keep_alive": "300"}, 400, 'time: missing unit in duration "300"'),
        (
            "/api/generate",
            {"model": "smollm2", "prompt": "x", "raw": True, "system": "y"},
            400,
            "raw mode does not support template, system, or context",
        ),
        (
            "/api/chat",
            {"model": "smollm2", "messages": [{"role": "user", "content": "x"}], "top_logprobs": 21},
            400,
            "top_logprobs must be between 0 and 20",
        ),
        (
            "/api/chat",
            {"model": "smollm2", "messages": [{"role": "user", "content": ["x"]}]},
            400,
            "json: cannot unmarshal array into Go struct field ChatRequest.messages.content of type string",
        ),
        (
            "/api/chat",
            {"model": "smollm2", "stream": "yes"},
            400,
            "json: cannot unmarshal string into Go struct field ChatRequest.stream of type bool",
        ),
        ("/api/chat", [], 400, "json: cannot unmarshal array into Go value of type api.ChatRequest"),
        ("/api/generate", b"x", 400, "invalid character 'x' looking for beginning of value"),
        ("/api/generate", {"model": "smollm2-embed", "prompt": "x"}, 400, '"smollm2-embed" does not support generate'),
    ],
)
def test_other_refusals(ask, path, body, status, text):
    answer = ask("POST", path, body)
    assert (answer.status, answer.json) == (status, {"error": text})


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:1"}, 200),
        ({"Host": "[::1]:1"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Origin": "http://evil.example"}, 403),
    ],
)
def test_web_pages_are_kept_out(ask, headers, status):
    answer = ask("GET", "/api/version", None, headers)
    assert answer.status == status
    assert (answer.body == b"") == (status == 403)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (None, None),
        (300, 300.0),
        (42.5, 42.5),
        ("10m", 600.0),
        ("1h30m", 5400.0),
        ("300ms", 0.3),
        ("0", 0.0),
        (0, 0.0),
        (-1, checks.FOREVER),
        ("-1m", checks.FOREVER),
    ],
)
def test_keep_alive_is_read_as_go_reads_it(given, seconds):
    assert checks.keep_alive(given) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("given", ["300", "-1", "", "5x", "m", True, [1]])
def test_bad_keep_alive_is_refused(given):
    with pytest.raises(checks.Refusal) as caught:
        checks.keep_alive(given)
    assert caught.value.status == 400
