"""Calls of ollama-python's clients with what the server replies; `test_differences` makes them with both packages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable

from metagpt_ollama_rs.testing import Reply, lines

MESSAGES = [{"role": "user", "content": "Why is the sky blue?"}]
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNgYGAAAAAEAAH2FzhVAAAAAElFTkSuQmCC"
DETAILS = {
    "parent_model": "",
    "format": "gguf",
    "family": "llama",
    "families": ["llama"],
    "parameter_size": "3.2B",
    "quantization_level": "Q4_K_M",
}
MODEL = {
    "name": "llama3.2:latest",
    "model": "llama3.2:latest",
    "modified_at": "2026-08-21T17:00:05.123456789+02:00",
    "size": 2019393189,
    "digest": "a80c4f17acd5",
    "details": DETAILS,
}
LOADED = {**MODEL, "expires_at": "2318-01-01T00:00:00.5Z", "size_vram": 0, "context_length": 4096}
COUNTS = {
    "done_reason": "stop",
    "total_duration": 184203911,
    "load_duration": 1,
    "prompt_eval_count": 31,
    "prompt_eval_duration": 2,
    "eval_count": 3,
    "eval_duration": 47880000,
}
CALLS = [{"function": {"name": "add", "arguments": {"a": 1, "b": [None, "x"]}}}]
QUESTIONS = {"refund": {"type": "noul", "instructions": "Refund?"}}


def answer(**message: Any) -> dict[str, Any]:
    """A whole reply of ``/api/chat``."""
    said = {"role": "assistant", "content": "Because.", **message}
    return {"model": "m", "created_at": "2026-08-21T17:00:05.1Z", "message": said, "done": True, **COUNTS}


def text(**fields: Any) -> dict[str, Any]:
    """A whole reply of ``/api/generate``."""
    return {"model": "m", "created_at": "2026-08-21T17:00:05.1Z", "response": "Because.", "done": True, **fields}


def parts(*pieces: dict[str, Any]) -> Reply:
    """A streamed reply of ``/api/chat`` of such messages."""
    told = [{**answer(), "message": {"role": "assistant", "content": "", **piece}} for piece in pieces]
    for line in told[:-1]:
        line["done"] = False
        for name in COUNTS:
            del line[name]
    return Reply.ndjson(told)


@dataclass
class Case:
    """A call, and the server's replies to its requests, in their order."""

    call: Callable[[Any], Any]
    replies: tuple[Reply, ...] = ()


def case(call: Callable[[Any], Any], *replies: Any) -> Case:
    return Case(call, tuple(reply if isinstance(reply, Reply) else Reply.json(reply) for reply in replies))


def add(a: int, b: int = 2) -> int:
    """Adds two numbers.

    Args:
        a: the first
        b: the second
    """
    return a + b


TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds.",
        "parameters": {
            "type": "object",
            "required": ["a"],
            "properties": {"a": {"type": "integer", "description": "A"}},
        },
    },
}
SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}

WHOLE = {
    "chat": case(lambda c: c.chat("m", MESSAGES), answer()),
    "chat by keywords": case(lambda c: c.chat(model="m", messages=MESSAGES, stream=False), answer()),
    "chat with options": case(lambda c: c.chat("m", MESSAGES, options={"temperature": 0, "num_ctx": 8192}), answer()),
    "chat with format": case(lambda c: c.chat("m", MESSAGES, format=SCHEMA), answer(content='{"age": 7}')),
    "chat with json": case(lambda c: c.chat("m", MESSAGES, format="json"), answer(content="{}")),
    "chat with think": case(lambda c: c.chat("m", MESSAGES, think=True), answer(thinking="Hm.")),
    "chat with a level": case(lambda c: c.chat("m", MESSAGES, think="high"), answer(thinking="Hm.")),
    "chat without think": case(lambda c: c.chat("m", MESSAGES, think=False), answer()),
    "chat with keep_alive": case(lambda c: c.chat("m", MESSAGES, keep_alive="5m"), answer()),
    "chat with keep_alive 0": case(lambda c: c.chat("m", MESSAGES, keep_alive=0), answer()),
    "chat that loads": case(lambda c: c.chat("m"), {**answer(content=""), "done_reason": "load"}),
    "chat that unloads": case(lambda c: c.chat("m", [], keep_alive=0), {**answer(content=""), "done_reason": "unload"}),
    "chat with a tool": case(lambda c: c.chat("m", MESSAGES, tools=[TOOL]), answer(content="", tool_calls=CALLS)),
    "chat with a function": case(lambda c: c.chat("m", MESSAGES, tools=[add]), answer(content="", tool_calls=CALLS)),
    "chat with an image": case(
        lambda c: c.chat("m", [{"role": "user", "content": "What?", "images": [PNG]}]), answer()
    ),
    "chat with history": case(
        lambda c: c.chat(
            "m",
            [
                *MESSAGES,
                {"role": "assistant", "content": "", "tool_calls": CALLS},
                {"role": "tool", "content": "3", "tool_name": "add"},
            ],
        ),
        answer(),
    ),
    "chat with a role of one's own": case(lambda c: c.chat("m", [{"role": "critic", "content": "No."}]), answer()),
    "chat with logprobs": case(
        lambda c: c.chat("m", MESSAGES, logprobs=True, top_logprobs=1),
        {**answer(), "logprobs": [{"token": "B", "logprob": -0.5, "top_logprobs": [{"token": "A", "logprob": -1.5}]}]},
    ),
    "chat with an empty content": case(lambda c: c.chat("m", MESSAGES), answer(content="")),
    "chat with blank content": case(lambda c: c.chat("m", MESSAGES), answer(content=" \n")),
    "chat with null content": case(lambda c: c.chat("m", MESSAGES), answer(content=None)),
    "chat without content": case(lambda c: c.chat("m", MESSAGES), {"model": "m", "message": {"role": "assistant"}}),
    "chat with a name": case(lambda c: c.chat("m", MESSAGES), answer(content="日本 \u2028 \U0001f600")),
    "chat with a new field": case(lambda c: c.chat("m", MESSAGES), {**answer(), "brand_new": 1}),
    "generate": case(lambda c: c.generate("m", "Why?"), text(context=[1, 2, 3], **COUNTS)),
    "generate with all": case(
        lambda c: c.generate(
            "m",
            "Why?",
            "end",
            system="S",
            template="T",
            context=[1],
            raw=True,
            think="low",
            logprobs=True,
            top_logprobs=2,
            format="json",
            options={"seed": 1},
            keep_alive=10,
            images=[PNG],
            width=64,
            height=64,
            steps=4,
        ),
        text(thinking="Hm."),
    ),
    "generate without an image": case(lambda c: c.generate("m", "Why?", images=[]), text()),
    "generate that loads": case(lambda c: c.generate("m"), text(response="", done_reason="load")),
    "generate an image": case(
        lambda c: c.generate("m", "a cat"), {"model": "m", "image": PNG, "done": True, "completed": 4, "total": 4}
    ),
    "embed one": case(lambda c: c.embed("m", "text"), {"model": "m", "embeddings": [[0.6, 0.8]], **COUNTS}),
    "embed several": case(
        lambda c: c.embed("m", ["a", "b"], truncate=True, options={"num_ctx": 10}, keep_alive=1.5, dimensions=2),
        {"model": "m", "embeddings": [[0.6, 0.8], [1, 0]]},
    ),
    "embeddings": case(lambda c: c.embeddings("m", "text"), {"embedding": [3.0, 4.0]}),
    "embeddings of nothing": case(lambda c: c.embeddings("m", ""), {"embedding": []}),
    "list": case(lambda c: c.list(), {"models": [MODEL]}),
    "list of none": case(lambda c: c.list(), {"models": []}),
    "ps": case(lambda c: c.ps(), {"models": [LOADED]}),
    "show": case(
        lambda c: c.show("m"),
        {
            "license": "MIT",
            "modelfile": "FROM x",
            "parameters": "stop x",
            "template": "{{ .Prompt }}",
            "details": DETAILS,
            "model_info": {"general.architecture": "llama", "llama.context_length": 131072},
            "capabilities": ["completion", "tools"],
            "modified_at": "2026-08-21T17:00:05Z",
        },
    ),
    "pull": case(lambda c: c.pull("m"), {"status": "success"}),
    "pull insecurely": case(lambda c: c.pull("m", insecure=True), {"status": "success"}),
    "push": case(lambda c: c.push("m"), {"status": "success"}),
    "create": case(
        lambda c: c.create(
            "m",
            quantize="q4_K_M",
            from_="llama3.2",
            files={"a.gguf": "sha256:1"},
            adapters={"b.gguf": "sha256:2"},
            template="T",
            license=["MIT", "other"],
            system="S",
            parameters={"temperature": 1, "stop": ["x"]},
            messages=MESSAGES,
        ),
        {"status": "success"},
    ),
    "copy": case(lambda c: c.copy("m", "n"), Reply.body(b"", "text/plain")),
    "delete": case(lambda c: c.delete("m"), Reply.body(b"", "text/plain")),
    "systemone": case(
        lambda c: c.systemone("m", {"ticket": [None, "x"]}, QUESTIONS, keep_alive=0),
        {
            "model": "m",
            "answers": {"refund": {"type": "noul", "noul": 0.9}},
            "usage": {"input_tokens": 1, "output_tokens": 2},
        },
    ),
}

STREAMED = {
    "chat, streamed": case(
        lambda c: c.chat("m", MESSAGES, stream=True), parts({"content": "Be"}, {"content": "cause."}, {})
    ),
    "chat that thinks, streamed": case(
        lambda c: c.chat("m", MESSAGES, stream=True, think=True), parts({"thinking": "Hm."}, {"content": "So."}, {})
    ),
    "chat with tool calls, streamed": case(
        lambda c: c.chat("m", MESSAGES, stream=True, tools=[TOOL]), parts({"tool_calls": CALLS}, {})
    ),
    "generate, streamed": case(
        lambda c: c.generate("m", "Why?", stream=True),
        Reply.ndjson([{"model": "m", "response": "Be", "done": False}, text(response="", **COUNTS)]),
    ),
    "a stream whose lines never say done": case(
        lambda c: c.chat("m", MESSAGES, stream=True),
        Reply.ndjson([{"model": "m", "message": {"role": "assistant", "content": word}} for word in "ab"]),
    ),
    "pull, streamed": case(
        lambda c: c.pull("m", stream=True),
        Reply.ndjson(
            [
                {"status": "pulling manifest"},
                {"status": "pulling a", "digest": "sha256:a", "total": 10, "completed": 5},
                {"status": "success"},
            ]
        ),
    ),
    "push, streamed": case(lambda c: c.push("m", stream=True), Reply.ndjson([{"status": "x"}, {"status": "success"}])),
    "create, streamed": case(
        lambda c: c.create("m", from_="n", stream=True), Reply.ndjson([{"status": "x"}, {"status": "success"}])
    ),
    "a stream that ends at once": case(
        lambda c: c.chat("m", MESSAGES, stream=True),
        Reply.ndjson([]),
    ),
    "a stream that is cut": case(
        lambda c: c.chat("m", MESSAGES, stream=True),
        Reply.ndjson(lines.chat_lines("Hello world")[:2]),
    ),
    "a stream of an error": case(
        lambda c: c.chat("m", MESSAGES, stream=True),
        Reply.ndjson([*lines.chat_lines("Hi")[:1], {"error": "no memory"}]),
    ),
    "a stream that is refused": case(
        lambda c: c.chat("m", MESSAGES, stream=True),
        Reply.error("model 'm' not found", 404),
    ),
    "a stream of no JSON": case(
        lambda c: c.chat("m", MESSAGES, stream=True), Reply.body(b"oops\n", "application/x-ndjson")
    ),
    "a stream with a blank line": case(
        lambda c: c.generate("m", "x", stream=True),
        Reply.body(b'{"response":"a","done":false}\n\n{"response":"","done":true}\n', "application/x-ndjson"),
    ),
    "a stream with a line separator": case(
        lambda c: c.generate("m", "x", stream=True),
        Reply.body('{"response":"a\u2028b\u0085c","done":true}\n'.encode(), "application/x-ndjson"),
    ),
    "a pull that is refused in its stream": case(
        lambda c: c.pull("m", stream=True),
        Reply.ndjson([{"status": "pulling manifest"}, {"error": "no such file"}]),
    ),
    "a pull that is cut": case(
        lambda c: c.pull("m", stream=True),
        Reply.ndjson([{"status": "pulling manifest"}]),
    ),
}

REFUSED = {
    f"{status} of {name}": case(call, Reply.error(f"{name}: no, {status}", status))
    for name, call in {
        "chat": lambda c: c.chat("m", MESSAGES),
        "generate": lambda c: c.generate("m", "x"),
        "embed": lambda c: c.embed("m", "x"),
        "embeddings": lambda c: c.embeddings("m", "x"),
        "push": lambda c: c.push("m"),
        "copy": lambda c: c.copy("m", "n"),
        "show": lambda c: c.show("m"),
        "pull": lambda c: c.pull("m"),
        "delete": lambda c: c.delete("m"),
    }.items()
    for status in (400, 401, 404, 500)
}
REFUSED.update(
    {
        "a missing model": case(lambda c: c.show("m"), Reply.error("model 'm' not found", 404)),
        "403": case(lambda c: c.chat("m", MESSAGES), Reply.error("forbidden", 403)),
        "413": case(lambda c: c.chat("m", MESSAGES), Reply.error("too large", 413)),
        "429": case(lambda c: c.chat("m", MESSAGES), Reply.error("slow down", 429)),
        "502 in HTML": case(
            lambda c: c.chat("m", MESSAGES),
            *[Reply.text("<html>Bad Gateway</html>", 502, content_type="text/html")] * 3,
        ),
        "503": case(lambda c: c.chat("m", MESSAGES), Reply.error("busy", 503)),
        "404 in plain text": case(lambda c: c.chat("m", MESSAGES), Reply.text("404 page not found", 404)),
        "500 without a body": case(lambda c: c.chat("m", MESSAGES), Reply.body(b"", "text/plain", 500)),
        "an error in an object": case(
            lambda c: c.chat("m", MESSAGES),
            Reply.json({"error": {"message": "no", "type": "x"}}, 400),
        ),
        "an error with status 200": case(
            lambda c: c.chat("m", MESSAGES),
            {"error": "out of luck"},
        ),
        "an empty reply": case(lambda c: c.chat("m", MESSAGES), Reply.body(b"", "application/json")),
        "no JSON": case(lambda c: c.chat("m", MESSAGES), Reply.body(b"oops", "application/json")),
        "a web page": case(
            lambda c: c.list(),
            Reply.text("<html>Welcome</html>", content_type="text/html"),
        ),
        "a chat without a message": case(lambda c: c.chat("m", MESSAGES), {"models": []}),
        "a generation of nothing": case(
            lambda c: c.generate("m", "x"),
            {},
        ),
        "a list without models": case(lambda c: c.list(), {}),
        "a list that is an object": case(lambda c: c.list(), {"models": {}}),
        "a list of texts": case(lambda c: c.ps(), {"models": ["m"]}),
        "a list that is null": case(lambda c: c.list(), {"models": None}),
        "a count that is a text": case(lambda c: c.chat("m", MESSAGES), {**answer(), "eval_count": "7"}),
        "a copy that is created": case(
            lambda c: c.copy("a", "b"), Reply.raw(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
        ),
        "an embedding without vectors": case(lambda c: c.embed("m", "x"), {}),
        "a pull that does not end": case(
            lambda c: c.pull("m"),
            {"status": "pulling manifest"},
        ),
        "a content that is a number": case(lambda c: c.chat("m", MESSAGES), answer(content=7)),
        "arguments that are text": case(
            lambda c: c.chat("m", MESSAGES),
            answer(tool_calls=[{"function": {"name": "f", "arguments": '{"a": 1}'}}]),
        ),
    }
)

ARGUMENTS = {
    "chat without a model": case(lambda c: c.chat("", MESSAGES), Reply.error("model is required", 400)),
    "chat of a text": case(lambda c: c.chat("m", "Hello")),
    "a message without a role": case(lambda c: c.chat("m", [{"content": "x"}])),
    "a message with a wrong content": case(lambda c: c.chat("m", [{"role": "user", "content": 7}])),
    "a message with content of parts": case(lambda c: c.chat("m", [{"role": "user", "content": [{"text": "x"}]}])),
    "a message that is empty": case(lambda c: c.chat("m", [{"role": "user", "content": ""}]), answer()),
    "a misspelt option": case(
        lambda c: c.chat("m", MESSAGES, options={"temperatur": 0}),
        answer(),
    ),
    "an unknown option": case(lambda c: c.chat("m", MESSAGES, options={"brand_new": 0}), answer()),
    "an option of a wrong type": case(
        lambda c: c.chat("m", MESSAGES, options={"temperature": "hot"}), Reply.error("wrong type", 400)
    ),
    "stop as one text": case(lambda c: c.chat("m", MESSAGES, options={"stop": "x"}), answer()),
    "an unknown argument": case(lambda c: c.chat("m", MESSAGES, temperature=0)),
    "an image file that is not there": case(
        lambda c: c.chat("m", [{"role": "user", "content": "x", "images": ["nowhere.png"]}]),
    ),
    "bytes as a prompt": case(lambda c: c.generate("m", b"Why?"), text()),
    "a format that is no format": case(
        lambda c: c.chat("m", MESSAGES, format="xml"),
        Reply.error("invalid", 400),
    ),
    "an empty format": case(lambda c: c.chat("m", MESSAGES, format=""), answer()),
    "keep_alive as a number in a text": case(lambda c: c.chat("m", MESSAGES, keep_alive="-1"), answer()),
    "embed of a tuple": case(lambda c: c.embed("m", ("a", "b")), {"embeddings": [[1.0], [2.0]]}),
    "embed of nothing": case(lambda c: c.embed("m"), {"embeddings": []}),
    "a question of an unknown type": case(lambda c: c.systemone("m", "x", {"q": {"type": "essay"}})),
}

CASES = {**WHOLE, **STREAMED, **REFUSED, **ARGUMENTS}
