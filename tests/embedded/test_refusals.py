"""Requests that Ollama refuses, refused in its words: recorded ones byte for byte, others as the wire document says."""

from __future__ import annotations

import json
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


def number(text):
    return f"json: cannot unmarshal number {text} into Go value of type float64"


def field(found, name, wanted):
    return f"json: cannot unmarshal {found} into Go struct field GenerateRequest.{name} of type {wanted}"


def asking(**fields):
    return {"model": "smollm2", "messages": [{"role": "user", "content": "x", **fields}]}


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
        ("/api/chat", b'{"options":{"temperature":1e999}}', 400, number("1e999")),
        ("/api/chat", b'{"options":{"seed":-1e999}}', 400, number("-1e999")),
        ("/api/embed", b'{"dimensions":' + b"9" * 5000 + b"}", 400, number("9" * 20)),
        ("/api/chat", b'{"top_p":NaN}', 400, "invalid character 'N' looking for beginning of value"),
        ("/api/chat", b'{"top_p":-Infinity}', 400, "invalid character 'I' looking for beginning of value"),
        ("/api/chat", b"[" * 100_000, 400, "invalid character '[' exceeded max depth"),
        ("/api/show", b'{"x":' + b"[" * 300 + b"]" * 300 + b"}", 400, "invalid character '[' exceeded max depth"),
        ("/api/chat", b'{"model" 1}', 400, "invalid character '1' after object key"),
        ("/api/chat", b"{model:1}", 400, "invalid character 'm' looking for beginning of object key string"),
        ("/api/chat", b'{"model":"a\nb"}', 400, "invalid character '\\n' in string literal"),
        ("/api/chat", b'{"model":"\\x"}', 400, "invalid character 'x' in string escape code"),
        (
            "/api/generate",
            {"model": "smollm2", "prompt": "x", "context": ["a"]},
            400,
            field("string", "context", "int"),
        ),
        (
            "/api/generate",
            {"model": "smollm2", "prompt": "x", "context": [1.5]},
            400,
            field("number 1.5", "context", "int"),
        ),
        ("/api/generate", {"model": "smollm2", "prompt": "x", "context": [None]}, 400, field("null", "context", "int")),
        ("/api/generate", {"model": "smollm2", "context": "a"}, 400, field("string", "context", "[]int")),
        ("/api/generate", {"model": "smollm2", "context": [-1]}, 400, "context: -1 is the number of no token"),
        ("/api/generate", {"model": "smollm2", "images": "iVBO"}, 400, field("string", "images", "[]api.ImageData")),
        ("/api/generate", {"model": "smollm2", "images": [5]}, 400, field("number", "images", "api.ImageData")),
        ("/api/generate", {"model": "smollm2", "top_logprobs": 1.5}, 400, field("number 1.5", "top_logprobs", "int")),
        (
            "/api/generate",
            {"model": "smollm2", "options": []},
            400,
            field("array", "options", "map[string]interface {}"),
        ),
        (
            "/api/chat",
            {"model": "smollm2", "messages": {"role": "user"}},
            400,
            "json: cannot unmarshal object into Go struct field ChatRequest.messages of type []api.Message",
        ),
        (
            "/api/chat",
            {"model": "smollm2", "messages": [{"role": "user", "content": "x", "images": {"a": "b"}}]},
            400,
            "json: cannot unmarshal object into Go struct field ChatRequest.messages.images of type []api.ImageData",
        ),
        ("/api/chat", asking(images=["iVBORw0KGg"]), 400, "illegal base64 data at input byte 10"),
        (
            "/api/chat",
            asking(images=["data:image/png;base64,iVBORw0KGgo="]),
            400,
            "illegal base64 data at input byte 4",
        ),
        (
            "/api/chat",
            {**asking(), "options": {"temperature": 1e300}},
            500,
            'option "temperature" must be of type float32',
        ),
        ("/api/chat", {**asking(), "options": {"num_ctx": True}}, 500, 'option "num_ctx" must be of type integer'),
        ("/api/chat", {"model": "smollm2", "keep_alive": "9999999h"}, 400, 'time: invalid duration "9999999h"'),
    ],
)
def test_other_refusals(ask, path, body, status, text):
    answer = ask("POST", path, body)
    assert (answer.status, answer.json) == (status, {"error": text})


PNG = "iVBORw0KGgo="


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("path", "body"),
    [("/api/chat", asking(images=[PNG])), ("/api/generate", {"model": "smollm2", "prompt": "x", "images": [PNG]})],
)
def test_an_image_is_refused_where_the_model_has_no_vision(ask, path, body, stream):
    answer = ask("POST", path, {**body, "stream": stream})
    assert answer.status == 500
    assert json.loads(answer.json["error"])["error"]["message"].startswith("image input is not supported - hint: ")
    assert (("Transfer-Encoding", "chunked") in answer.headers) == stream


@pytest.mark.parametrize("wanted", ["xml", 5, True, [], ["json"]])
def test_a_format_that_is_none_is_refused(chat, wanted):
    answer = chat(format=wanted, stream=False)
    assert answer.status == 500
    assert answer.json["error"].startswith("invalid format: ")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"type": 5},
        {"properties": {"a": 5}},
        {"$ref": "#/$defs/missing"},
        {"type": "string", "pattern": "("},
        {"type": "integer", "minimum": 10, "maximum": 1},
        {"type": "array", "items": {}, "minItems": 10**8},
        {"properties": {"a": {"anyOf": [{"type": "array", "items": {}, "maxItems": 1e9}]}}},
        {"type": "object", "minProperties": 10**8},
    ],
    ids=str,
)
def test_a_schema_that_cannot_be_obeyed_is_refused(chat, schema):
    # It would be dropped without a word, and the answer would be free text.
    for stream in (True, False):
        answer = chat(format=schema, stream=stream)
        assert answer.status == 400
        assert json.loads(answer.json["error"])["error"]["message"].startswith("failed to parse grammar: ")


@pytest.mark.parametrize(
    "given",
    [
        {"num_batch": 1},
        {"num_batch": 1 << 40, "num_thread": 1 << 40, "num_gpu": -(1 << 40)},
        {"seed": 1 << 70, "top_k": 1 << 70, "num_keep": 1 << 70, "repeat_last_n": -1, "stop": [""]},
        {"seed": -1 << 70, "temperature": -1, "top_p": 5, "min_p": -1, "num_ctx": -5},
    ],
    ids=lambda given: next(iter(given)),
)
def test_numbers_out_of_all_bounds_are_bounded(chat, given):
    options = {"num_predict": 2, **given}
    assert chat(options=options, stream=False).json["message"]["content"]


def test_half_a_surrogate_pair_is_no_character_and_no_failure(ask):
    body = b'{"model":"smollm2","raw":true,"stream":false,"prompt":"%b","options":{"num_predict":1,"num_thread":1}}'

    def count(text):
        return ask("POST", "/api/generate", body % text).json["prompt_eval_count"]

    assert count(rb"a \ud83d b") == count("a \ufffd b".encode())
    assert count(rb"a \ud83d\ude00 b") == count("a \U0001f600 b".encode())


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
