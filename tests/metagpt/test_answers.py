"""What counts as an answer: a text wherever it stands, streamed and whole alike; what is no text, cut, or empty.

Each body goes over three roads: the short one, and the two that user code makes by replacing a step.
"""

from __future__ import annotations

import gc
import json
import warnings

import pytest
from metagpt.provider.general_api_requestor import GeneralAPIRequestor

import metagpt_ollama_rs.provider as ours
from metagpt_ollama_rs.errors import DecodeError, EmptyAnswerError, OllamaError, ProtocolError
from metagpt_ollama_rs.testing import Reply

QUESTION = [{"role": "user", "content": "Why is the sky blue?"}]


def streamed(llm):
    return llm.acompletion_text(QUESTION, stream=True)


def whole(llm):
    return llm.acompletion_text(QUESTION, stream=False)


CHAT = {"model": "scripted", "created_at": "2026-08-21T17:00:05.15Z", "done": True, "done_reason": "stop"}
ASKED = {"OllamaLLM": "/api/chat", "OllamaGenerate": "/api/generate"}
ROADS = ["short", "decode replaced", "requestor wrapped"]


@pytest.fixture
def say(ask, server, monkeypatch):
    """Asks a server that answers with these lines, or this one, by one of the three roads."""

    def run(body, call=whole, kind="OllamaLLM", road="short", **config):
        sent = body if isinstance(body, list) else [body]
        server.on("POST", ASKED[kind], lambda request: Reply.ndjson(json.dumps(line).encode() + b"\n" for line in sent))
        # MetaGPT's own requestor leaves a connection open after an error in the middle of a stream.
        with monkeypatch.context() as patch, warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            if road == "decode replaced":
                stock = ours.OllamaMessageBase.decode
                patch.setattr(ours.OllamaMessageBase, "decode", lambda self, response: stock(self, response))
            elif road == "requestor wrapped":
                genuine = GeneralAPIRequestor.arequest
                patch.setattr(GeneralAPIRequestor, "arequest", lambda self, *a, **k: genuine(self, *a, **k))
            try:
                return ask("ours", call, kind=kind, **config)
            finally:
                if road == "requestor wrapped":
                    gc.collect()

    return run


def message(content, **fields):
    return {**CHAT, "message": {"role": "assistant", "content": content}, **fields}


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("kind", list(ASKED))
@pytest.mark.parametrize("call", [streamed, whole])
@pytest.mark.parametrize(
    "body",
    [
        {"message": {"content": "hi"}, "done": True},
        {"message": {"role": "", "content": "hi"}, "done": True},
        {"message": {"role": None, "content": "hi"}, "done": True, "error": None},
        {"message": {"role": "assistant", "content": "hi"}, "done": True, "error": ""},
        {"response": "hi", "done": True},
        {"response": "hi", "done": True, "message": None},
        {"response": "hi", "done": True, "message": {"role": "assistant", "content": None}},
        message(["h", "i"]),
        message([{"type": "text", "text": "h"}, {"type": "text", "text": "i"}]),
        {"response": [{"text": "hi"}], "done": True},
        {"message": {"content": "hi"}, "done": True, "error": {}},
        {"response": "hi", "done": True, "error": []},
        {"message": {"content": "hi"}, "done": True, "eval_count": "three", "prompt_eval_count": [1]},
    ],
    ids=lambda body: json.dumps(body)[:60],
)
def test_the_text_is_taken_wherever_it_stands(body, call, kind, road, say):
    outcome = say(body, call, kind, road)
    assert (outcome.value, outcome.error) == ("hi", None)
    assert outcome.deltas == (["hi", "\n"] if call is streamed else [])


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("call", [streamed, whole])
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"done": True}, "no text, only 'done'"),
        ({"status": "ready", "done": True}, "'status'"),
        ({"message": {}, "done": True}, "no text in it"),
        ({"message": {"role": "assistant"}, "done": True}, "no text in it"),
        (message(None), "no text in it"),
        ({"message": "hi", "done": True}, "'message' is a text"),
        ({"message": ["hi"], "done": True}, "'message' is a list"),
        ({"message": None, "done": True}, "'message' is null"),
        ({"response": None, "done": True}, "no text"),
        ({"response": 5, "done": True}, "'response' is a number"),
        (message(5), "'content' is a number"),
        (message(True), "'content' is true or false"),
        (message({"text": "hi"}), "'content' is an object"),
        (message([{"type": "image", "data": "x"}]), "something else than texts"),
        (message([{"type": "text", "text": "hi"}, 5]), "something else than texts"),
        ({"choices": [], "done": True}, "no text"),
    ],
    ids=lambda value: json.dumps(value)[:60],
)
def test_what_has_no_text_is_a_protocol_error(body, words, call, road, say):
    outcome = say(body, call, road=road)
    assert isinstance(outcome.error, ProtocolError), outcome.value
    # The core, which reads streams, quotes a line that is no part of an answer.
    assert words in str(outcome.error) or json.dumps(body) in str(outcome.error)
    assert "hint: " in str(outcome.error)


def test_many_long_keys_of_a_reply_are_not_all_shown(say):
    error = say({"k" * 500 + str(n): 1 for n in range(50)}).error
    assert isinstance(error, ProtocolError)
    assert len(str(error)) < 800


@pytest.mark.parametrize(("call", "road"), [(streamed, "short"), (streamed, "decode replaced"), (whole, "short")])
def test_what_is_no_text_in_the_middle_of_a_stream(call, road, say):
    lines_ = [{**message("Once"), "done": False}, {**message(5), "done": False}, message("")]
    error = say(lines_, call, road=road).error
    assert isinstance(error, ProtocolError)
    assert "'content' is a number" in str(error)


@pytest.mark.parametrize("road", ROADS)
def test_a_stream_whose_lines_differ(road, say):
    body = [
        {"message": {"content": "a"}, "done": False},
        {"message": {"role": "assistant", "content": None}, "done": False},
        {"message": {"content": ["b", "c"]}, "done": False},
        {"message": {}, "done": False},
        {"done": True, "done_reason": "stop", "eval_count": 3},
    ]
    outcome = say(body, streamed, road=road)
    assert (outcome.value, outcome.error) == ("abc", None)
    assert outcome.llm.last_response["message"]["content"] == "abc"


@pytest.mark.parametrize("call", [streamed, whole])
@pytest.mark.parametrize("place", ["message", "text"])
def test_a_reply_in_openais_form(place, call, say):
    holder = {"text": "hi"} if place == "text" else {"message": {"role": "assistant", "content": "hi"}}
    body = {"choices": [{"index": 0, **holder, "finish_reason": "stop"}], "usage": {"completion_tokens": 7}}
    outcome = say(body, call)
    assert (outcome.value, outcome.error) == ("hi", None)
    assert outcome.llm.get_costs().total_completion_tokens == 7
    assert outcome.llm.last_response["message"]["content"] == "hi"
    assert outcome.llm.last_response["done_reason"] == "stop"


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("body", [[1, 2], "hi", 5, None])
def test_a_reply_that_is_no_object(body, road, ask, server, say):
    say({"message": {"content": "hi"}}, road=road)
    server.on("POST", "/api/chat", Reply.json(body))
    for call in (whole, streamed):
        assert isinstance(ask("ours", call).error, (ProtocolError, DecodeError))


def test_the_text_of_a_reply_at_hand(make_config):
    llm = ours.OllamaLLM(make_config())
    assert llm.get_choice_text({"message": {"content": ["h", "i"]}}) == "hi"
    assert llm.get_choice_text({"error": "gone", "raw_data": ""}) == "[Ollama Error] gone | Raw: "
    assert llm.get_choice_text("hi") == "hi"
    with pytest.raises(ProtocolError):
        llm.get_choice_text({"message": {}})
    assert ours.OllamaMessageChat("m").get_choice({"message": {"content": "hi"}}) == "{'content': 'hi'}", "the guide's"


@pytest.mark.parametrize("call", [streamed, whole])
def test_a_get_choice_of_the_users_finds_its_own_text(call, say, monkeypatch):
    monkeypatch.setattr(ours.OllamaMessageChat, "get_choice", lambda self, reply: reply["output"]["words"])
    outcome = say([{"output": {"words": "hi"}, "done": False}, {"done": True}], call)
    if call is whole:
        outcome = say({"output": {"words": "hi"}, "done": True}, call)
    assert (outcome.value, outcome.error) == ("hi", None)


@pytest.mark.parametrize("call", [streamed, whole])
def test_an_error_that_is_an_object_shows_its_message(call, say):
    error = say({"error": {"message": "the runner crashed", "code": 500}}, call, road="decode replaced").error
    assert isinstance(error, OllamaError)
    assert "the runner crashed" in str(error)
    assert "{" not in str(error)


def test_on_error_text_returns_the_words_of_a_reply_without_text(say):
    for call in (streamed, whole):
        answer = say({"message": {}, "done": True}, call, extra_fields={"on_error": "text"}).value
        assert answer.startswith("[Ollama Error] the reply has no text")


EMPTY = [
    # thinking, content, done_reason, words of the message, words of the hint
    ("hm", "", "stop", "after thinking", "think"),
    ("hm", " \n", "stop", "after thinking", "think"),
    ("", "", "load", "only loaded", "prompt"),
    ("", "", "unload", "unloaded", "keep_alive"),
    ("", "", "length", "used up its tokens", "max_token"),
    ("hm", "", "length", "still thinking", "switch thinking off"),
    ("", "\n" * 50, "length", "white space", "max_token"),
    ("", "", "stop", "empty", "ask again"),
    ("", "  \n\n", "stop", "white space only", "ask again"),
    ("", "", None, "empty", "ask again"),
    ("", "<think>hm</think>\n\n", "stop", "after thinking", "think"),
    ("", "<think>hm", "stop", "after thinking", "think"),
    ("", "<think>hm", "length", "still thinking", "switch thinking off"),
    ("", "hm\n</think>\n", "stop", "after thinking", "think"),
]


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("kind", list(ASKED))
@pytest.mark.parametrize("call", [streamed, whole])
@pytest.mark.parametrize(("thinking", "content", "reason", "words", "hint"), EMPTY)
def test_an_empty_answer_is_an_error_with_a_hint_of_its_own(
    thinking, content, reason, words, hint, call, kind, road, say
):
    last = {**CHAT, "done_reason": reason}
    held = {"thinking": thinking} if thinking else {}
    if kind == "OllamaLLM":
        lines_ = [{"message": {"role": "assistant", "content": content, **held}, "done": False}]
        last["message"] = {"role": "assistant", "content": ""}
    else:
        lines_ = [{"response": content, **held, "done": False}]
        last["response"] = ""
    if reason in ("load", "unload"):
        lines_ = []
    if call is whole:
        lines_, last = [], {**last, **lines_[0], "done": True} if lines_ else last
    outcome = say([*lines_, last], call, kind, road)
    error = outcome.error
    assert isinstance(error, EmptyAnswerError), outcome.value
    assert words in error.message
    assert hint in error.hint
    assert error.partial_thinking == (outcome.llm.reasoning_content or "")
    assert ("hm" in error.partial_thinking) is ("hm" in thinking + content)
    assert len(outcome.requests) == 1


@pytest.mark.parametrize("call", [streamed, whole])
def test_white_space_under_a_format_says_what_the_prompt_must_say(call, say):
    body = message(" \n" * 100, done_reason="length", eval_count=200)
    error = say(body, call, extra_fields={"format": "json"}, max_token=200).error
    assert isinstance(error, EmptyAnswerError)
    assert "white space only" in error.message
    assert "prompt" in error.hint
    assert "JSON" in error.hint


@pytest.mark.parametrize("road", ["short", "decode replaced"])
@pytest.mark.parametrize("call", [streamed, whole])
def test_tool_calls_are_an_answer_without_a_text(call, road, say):
    calls = [{"function": {"name": "get_time", "arguments": {"zone": "Oslo"}}}]
    first = {"message": {"role": "assistant", "content": "", "tool_calls": calls}, "done": False}
    body = [first, message("")] if call is streamed else {**CHAT, **first, "done": True}
    outcome = say(body, call, road=road)
    assert (outcome.value, outcome.error) == ("", None)
    assert outcome.llm.last_response["message"]["tool_calls"] == calls


@pytest.fixture
def warnings_said():
    from metagpt.logs import logger

    said: list[str] = []
    sink = logger.add(lambda record: said.append(str(record)), level="WARNING", format="{message}")
    yield said
    logger.remove(sink)


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("kind", list(ASKED))
@pytest.mark.parametrize("call", [streamed, whole])
def test_an_answer_that_was_cut_is_told_of(call, kind, road, say, warnings_said):
    words = {"response": "Once upon"} if kind == "OllamaGenerate" else {"message": {"content": "Once upon"}}
    body = {**CHAT, **words, "done_reason": "length", "eval_count": 2, "prompt_eval_count": 30}
    assert say(body, call, kind, road, max_token=2).value == "Once upon"
    told = [line for line in warnings_said if "done_reason: length" in line]
    assert len(told) == 1
    assert "2 tokens, 9 characters" in told[0]
    assert "max_token (num_predict), now 2" in told[0]
    assert "context_length" not in told[0]


@pytest.mark.parametrize(
    ("config", "prompt", "written", "named"),
    [
        ({"max_token": 100}, 50, 100, {"max_token"}),
        ({"max_token": 100}, 50, 40, {"context_length"}),
        ({"context_length": 2048}, 2000, 48, {"context_length"}),
        ({"context_length": 2048}, 2000, 47, {"context_length"}),
        ({"context_length": 2048}, 50, 100, {"max_token"}),
        ({"context_length": 2048, "max_token": 100}, 50, 100, {"max_token"}),
        ({"context_length": 2048, "max_token": 100}, 2000, 48, {"context_length"}),
        ({"max_token": -1}, 50, 100, {"context_length"}),
        ({}, 50, 100, {"max_token", "context_length"}),
        ({"context_length": 2048}, None, 100, {"max_token", "context_length"}),
        ({"max_token": 100}, 50, None, {"max_token", "context_length"}),
    ],
)
def test_what_to_raise_is_what_ended_the_answer(config, prompt, written, named, say, warnings_said):
    counts = {"prompt_eval_count": prompt, "eval_count": written}
    body = message("Once upon", done_reason="length", **{k: v for k, v in counts.items() if v is not None})
    assert say(body, **config).value == "Once upon"
    told = next(line for line in warnings_said if "done_reason: length" in line)
    assert {name for name in ("max_token", "context_length") if name in told} == named


def test_an_answer_that_ends_by_itself_is_not_told_of(say, warnings_said):
    say(message("Once upon"))
    assert warnings_said == []


LONE = ["I won", "der.\n</th", "ink>", "\n\nFour", "."]


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("kind", list(ASKED))
def test_a_lone_closing_mark(kind, road, say):
    place = (lambda text: {"message": {"content": text}}) if kind == "OllamaLLM" else (lambda text: {"response": text})
    stream = say([*({**place(text), "done": False} for text in LONE), {**CHAT, **place("")}], streamed, kind, road)
    once = say({**CHAT, **place("".join(LONE))}, whole, kind, road)
    for outcome in (stream, once):
        assert (outcome.value, outcome.error) == ("Four.", None)
        assert outcome.llm.reasoning_content == "I wonder."
    assert stream.deltas == [*LONE, "\n"], "what was said already cannot be taken back"


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("kind", list(ASKED))
def test_the_marks_of_another_template_cut_into_characters(kind, road, say):
    text = "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Four.<|return|>"
    place = (lambda text: {"message": {"content": text}}) if kind == "OllamaLLM" else (lambda text: {"response": text})
    stream = say([*({**place(letter), "done": False} for letter in text), {**CHAT, **place("")}], streamed, kind, road)
    once = say({**CHAT, **place(text)}, whole, kind, road)
    for outcome in (stream, once):
        assert (outcome.value, outcome.llm.reasoning_content) == ("Four.", "hm")
    assert "".join(stream.deltas) == "Four.\n"


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("call", [streamed, whole])
def test_beside_thinking_in_a_field_marks_are_text(call, road, say):
    text = "<think> is what I wrote</think>"
    body = {**CHAT, "message": {"content": text, "thinking": "hm"}}
    if call is streamed:
        body = [{"message": {"content": "", "thinking": "hm"}, "done": False}, message(text)]
    outcome = say(body, call, road=road)
    assert (outcome.value, outcome.llm.reasoning_content) == (text, "hm")
    assert outcome.deltas == ([text, "\n"] if call is streamed else [])


@pytest.mark.parametrize("call", [streamed, whole])
@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_thinking_under_the_name_of_other_servers(name, call, say):
    outcome = say({**CHAT, "message": {"content": "Four.", name: "hm"}}, call)
    assert (outcome.value, outcome.llm.reasoning_content) == ("Four.", "hm")
