"""What becomes of a reply, row by row of the table in docs/compatibility.md: the original's outcome and ours."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import warnings

import pytest
from metagpt.provider.general_api_requestor import GeneralAPIRequestor

import metagpt_ollama_rs.provider as ours
from metagpt_ollama_rs.errors import (
    ConfigurationError,
    ConnectError,
    ContextOverflowError,
    DecodeError,
    EmptyAnswerError,
    IncompleteError,
    InterruptedStreamError,
    MidStreamError,
    ModelNotFoundError,
    OllamaError,
    ProtocolError,
    RequestTimeout,
)
from metagpt_ollama_rs.testing import Reply, faults, lines

QUESTION = [{"role": "user", "content": "Why is the sky blue?"}]


def streamed(llm):
    return llm.acompletion_text(QUESTION, stream=True)


def whole(llm):
    return llm.acompletion_text(QUESTION, stream=False)


@pytest.mark.parametrize("call", [streamed, whole])
def test_row_11_a_server_that_is_down_is_a_connection_error_that_metagpt_retries(call, duel, server):
    server.stop()
    outcome = duel(call)
    assert not isinstance(outcome.original.error, ConnectionError)
    assert isinstance(outcome.ours.error, ConnectError)
    assert isinstance(outcome.ours.error, ConnectionError)


def test_row_10_a_stream_longer_than_the_timeout(duel, server):
    server.on("POST", "/api/chat", lambda request: Reply.chat("1 2 3 4 5 6").slowly(0.3))
    outcome = duel(streamed, timeout=1)
    assert isinstance(outcome.original.error, asyncio.TimeoutError)
    assert outcome.ours.value == "1 2 3 4 5 6"


def test_row_10_a_server_that_stops_in_the_middle(duel, server):
    server.on("POST", "/api/chat", lambda request: Reply.chat("Once upon").gated(1))
    outcome = duel(streamed, timeout=1)
    assert outcome.original.failure == "TimeoutError"
    assert isinstance(outcome.ours.error, RequestTimeout)
    assert (outcome.ours.error.phase, outcome.ours.error.seconds) == ("idle", 1.0)
    assert outcome.ours.error.partial == "Once"
    assert len(outcome.ours.requests) == 1


def test_row_10_a_server_that_never_begins(ask, server):
    server.on("POST", "/api/chat", lambda request: Reply.chat("Once").gated(0))
    error = ask("ours", streamed, timeout=1).error
    assert isinstance(error, RequestTimeout)
    assert error.phase == "first_token"
    assert not isinstance(error, ConnectionError)


def test_row_20_the_proxy_of_the_configuration(duel, server):
    address = "http://ollama.invalid:11434"
    server.on("POST", f"{address}/api/chat", Reply.chat("through the proxy"))
    outcome = duel(streamed, base_url=f"{address}/api", proxy=server.url)
    assert outcome.original.error is not None
    assert outcome.original.requests == []
    assert outcome.ours.value == "through the proxy"


def test_row_20_loopback_goes_through_no_proxy_of_the_environment(duel, answers, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    answers("Hello world")
    outcome = duel(streamed)
    assert outcome.original.value == outcome.ours.value == "Hello world"


@pytest.mark.parametrize("verify", ["authority", "itself", "false", "~"])
def test_a_server_with_a_certificate_of_its_own(ask, ollama_server, tls_front, certificates, monkeypatch, verify):
    ollama_server.answer("Hello world")
    url = tls_front("itself" if verify == "itself" else "server").url
    monkeypatch.setenv("HOME", str(certificates))
    path = {"false": "false", "~": "~/authority.pem"}.get(verify, str(certificates / f"{verify}.pem"))
    call = ask("ours", streamed, base_url=url, extra_fields={"verify": path})
    assert call.error is None
    assert call.value == "Hello world"


def test_a_certificate_that_nobody_knows_names_the_setting(ask, tls_front):
    error = ask("ours", streamed, base_url=tls_front().url).error
    assert isinstance(error, ConnectError)
    assert "extra_fields: {verify: /path/ca.pem}" in error.hint
    error = ask("ours", streamed, base_url=tls_front().url, extra_fields={"verify": "/nowhere/ca.pem"}).error
    assert isinstance(error, ConfigurationError)
    assert "/nowhere/ca.pem" in str(error)


def test_row_11_a_server_that_comes_back_while_metagpt_retries(ask, answers, server, monkeypatch):
    from metagpt.provider.base_llm import BaseLLM

    async def comes_back(_seconds):
        server.start()

    answers("Hello world")
    server.stop()
    monkeypatch.setattr(BaseLLM.acompletion_text.retry, "sleep", comes_back)
    assert ask("ours", streamed).value == "Hello world"


def test_row_12_an_error_in_the_middle_of_a_stream(duel, server):
    begun = lines.chat_lines("Once upon", done_reason=None)
    server.on("POST", "/api/chat", Reply.ndjson([*begun, lines.error_line("the runner crashed")]))
    outcome = duel(streamed)
    assert outcome.original.failure == "KeyError"
    error = outcome.ours.error
    assert isinstance(error, MidStreamError)
    assert not isinstance(error, ConnectionError), "a retry would print the beginning twice"
    assert error.partial == "Once upon"
    assert "the runner crashed" in str(error)
    assert outcome.ours.deltas == ["Once", " upon"]
    assert len(outcome.ours.requests) == 1


def test_row_12_a_connection_that_breaks_off_is_not_asked_again(duel, server):
    server.on("POST", "/api/chat", faults.close_after_pieces(Reply.chat("Once upon a time"), 2))
    outcome = duel(streamed)
    assert outcome.original.failure == "ClientPayloadError"
    assert isinstance(outcome.ours.error, InterruptedStreamError)
    assert outcome.ours.error.partial == "Once upon"
    assert len(outcome.ours.requests) == 1


def test_row_13_a_stream_that_never_says_done(duel, server):
    server.on("POST", "/api/chat", Reply.chat("Once upon", done_reason=None))
    outcome = duel(streamed)
    assert outcome.original.value == "Once upon", "the original takes half an answer for a whole one"
    assert isinstance(outcome.ours.error, IncompleteError)
    assert outcome.ours.error.partial == "Once upon"


def test_row_13_a_whole_answer_that_was_cut_short(duel, server):
    cut = {"model": "scripted", "message": {"role": "assistant", "content": "Once upon"}, "done": False}
    server.on("POST", "/api/chat", Reply.json(cut))
    outcome = duel(whole, stream=False)
    assert outcome.original.value == "Once upon"
    assert isinstance(outcome.ours.error, IncompleteError)
    assert outcome.ours.error.partial == "Once upon"


def test_row_14_text_in_the_last_line(duel, server):
    *begun, last = lines.chat_lines("Once upon")
    last = json.loads(last)
    last["message"]["content"] = " a time"
    server.on("POST", "/api/chat", Reply.ndjson([*begun, last]))
    outcome = duel(streamed)
    assert outcome.original.value == "Once upon"
    assert outcome.ours.value == "Once upon a time"
    assert outcome.ours.deltas == ["Once", " upon", " a time", "\n"]
    assert outcome.ours.llm.last_response["done_reason"] == "stop"


def test_row_15_a_line_over_128_kib(duel, server):
    answer = Reply.generate("Hello world", context=range(100_000))
    server.on("POST", "/api/generate", answer)
    outcome = duel(streamed, kind="OllamaGenerate")
    assert outcome.original.failure == "ValueError"
    assert "Chunk too big" in str(outcome.original.error)
    assert outcome.ours.value == "Hello world"


def test_row_16_blank_lines(duel, server):
    server.on("POST", "/api/chat", Reply.ndjson(b"\n" + line + b"\r\n \n" for line in lines.chat_lines("Hello world")))
    outcome = duel(streamed)
    assert outcome.original.failure == "JSONDecodeError"
    assert outcome.ours.value == "Hello world"


def test_row_17_thinking_in_a_field_of_its_own(duel, answers):
    answers("Four.", thinking="Two and two")
    stream = duel(streamed)
    assert stream.original.value == stream.ours.value == "Four."
    assert getattr(stream.original.llm, "reasoning_content", None) is None
    assert stream.ours.llm.reasoning_content == "Two and two"
    assert stream.ours.deltas == ["Four.", "\n"]
    once = duel(whole, stream=False)
    assert once.original.value == once.ours.value == "Four."
    assert once.ours.llm.reasoning_content == "Two and two"


def test_row_17_thinking_in_tags_cut_anywhere(duel, answers):
    pieces = ["<th", "ink>", "I wonder", " about it", "</thi", "nk>", "\n\nThe", " answer", " is 4."]
    answers(pieces)
    stream = duel(streamed)
    assert stream.original.value == "".join(pieces)
    assert stream.ours.value == "The answer is 4."
    assert stream.ours.llm.reasoning_content == "I wonder about it"
    assert stream.ours.deltas == ["The", " answer", " is 4.", "\n"]
    once = duel(whole, stream=False)
    assert once.original.value == "".join(pieces)
    assert once.ours.value == "The answer is 4."
    assert once.ours.llm.reasoning_content == "I wonder about it"


@pytest.mark.parametrize("call", [streamed, whole])
def test_row_17_nothing_said_before_the_token_limit(call, duel, answers):
    answers("", thinking="Well, let me think", done_reason="length")
    outcome = duel(call, stream=call is streamed)
    assert outcome.original.value == ""
    assert isinstance(outcome.ours.error, EmptyAnswerError)
    assert "thinking" in str(outcome.ours.error)
    assert outcome.ours.llm.reasoning_content == "Well, let me think"


def test_row_17_a_model_that_cannot_think_is_asked_again_without(ask, server):
    refusal = Reply.error('"scripted" does not support thinking', 400)
    server.on("POST", "/api/chat", lambda r: refusal if r.json().get("think") else Reply.chat("Hello world"))

    async def twice(llm):
        return [await streamed(llm), await streamed(llm)]

    outcome = ask("ours", twice, extra_fields={"think": "true"})
    assert outcome.value == ["Hello world", "Hello world"]
    assert [r.json().get("think") for r in outcome.requests] == [True, None, None]


def test_row_18_five_calls_share_a_connection(duel, answers):
    answers()

    async def five(llm):
        for _ in range(5):
            await llm.aask("hi")

    outcome = duel(five)
    assert outcome.original.connections == 5
    assert outcome.ours.connections == 1


def test_row_18_several_llm_objects_share_a_connection(ask, answers, make_config):
    answers()

    async def four_objects(llm):
        for kind in (type(llm), type(llm)):
            await kind(make_config()).aask("hi")
        await llm.aask("hi")

    assert ask("ours", four_objects).connections == 1


def test_row_19_a_cancelled_call_is_quiet_and_the_server_sees_it(duel, server):
    server.on("POST", "/api/chat", faults.never_answer())

    async def cancelled(llm):
        seen = len(server.requests)
        task = asyncio.ensure_future(streamed(llm))
        await asyncio.to_thread(server.wait_for_request, seen + 1)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()
        await asyncio.to_thread(server.requests[-1].wait_hung_up)

    outcome = duel(cancelled, bare_loop=True)
    assert "Unclosed client session" in outcome.original.complaints
    assert outcome.ours.complaints == []
    assert outcome.ours.error is None
    assert outcome.ours.requests[0].hung_up.is_set()


def test_row_21_the_refusal_of_a_long_prompt_names_both_numbers(duel, server):
    words = json.dumps(
        {
            "error": {
                "code": 400,
                "message": "request (5012 tokens) exceeds the available context size (4096 tokens), try increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 5012,
                "n_ctx": 4096,
            }
        }
    )
    server.on("POST", "/api/chat", Reply.error(words, 400))
    outcome = duel(streamed)
    assert outcome.original.value["error"] == words
    assert isinstance(outcome.ours.error, ContextOverflowError)
    assert (outcome.ours.error.prompt_tokens, outcome.ours.error.context_length) == (5012, 4096)


@pytest.mark.parametrize("call", [streamed, whole])
@pytest.mark.parametrize(("sent", "read", "warned"), [(30_000, 1026, True), (30_000, 6014, False), (900, 30, False)])
def test_row_21_an_old_server_that_cuts_in_silence_is_told_of(call, sent, read, warned, ask, answers):
    from metagpt.logs import logger

    said: list[str] = []
    sink = logger.add(said.append, level="WARNING", format="{message}")
    answers("Hello", counts={"prompt_eval_count": read})
    try:
        question = [{"role": "user", "content": "x" * sent}]
        stream = call is streamed
        assert ask("ours", lambda llm: llm.acompletion_text(question, stream=stream)).value == "Hello"
    finally:
        logger.remove(sink)
    assert any(f"only {read} tokens" in line for line in said) is warned


@pytest.mark.parametrize("kind", ["OllamaLLM", "OllamaGenerate"])
def test_row_22_a_format_is_passed_on_and_thinking_kept_out_of_its_way(kind, duel, answers):
    answers('{"a": 1}')
    outcome = duel(streamed, kind=kind)
    assert "format" not in outcome.original.sent
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    for extra, think in ({}, False), ({"think": "true"}, True):
        fields = {"format": json.dumps(schema), **extra}
        sent = duel(streamed, kind=kind, extra_fields=fields)
        assert "format" not in sent.original.sent
        assert (sent.ours.sent["format"], sent.ours.sent["think"]) == (schema, think)


@pytest.mark.parametrize("call", [streamed, whole])
def test_row_24_counts_that_the_server_left_out_are_left_out(call, duel, answers):
    answers("Hello world", counts={"prompt_eval_count": None})
    usages = []

    def watched(llm):
        llm._update_costs = usages.append
        return call(llm)

    duel(watched, stream=call is streamed)
    assert usages == [{"prompt_tokens": 0, "completion_tokens": 3}, {"completion_tokens": 3}]


def test_row_24_the_cost_manager_counts_the_same(duel, answers):
    answers("Hello world")

    async def costs(llm):
        await llm.aask("hi")
        return llm.get_costs()

    outcome = duel(costs)
    assert outcome.original.value == outcome.ours.value
    assert outcome.ours.value.total_prompt_tokens == lines.COUNTERS["prompt_eval_count"]
    assert outcome.ours.value.total_completion_tokens == 3


@pytest.mark.parametrize("where", ["extra_fields", "argument"])
@pytest.mark.parametrize("call", [streamed, whole])
def test_an_error_becomes_the_answer_on_request(call, where, ask, server, make_config):
    server.on("POST", "/api/chat", Reply.error("model 'scripted' not found", 404))

    async def with_argument(llm):
        return await call(type(llm)(llm.config, on_error="text"))

    if where == "argument":
        outcome = ask("ours", with_argument)
    else:
        outcome = ask("ours", call, extra_fields={"on_error": "text"})
    assert outcome.value == "[Ollama Error] model 'scripted' not found | Raw: "
    assert isinstance(ask("ours", call).error, ModelNotFoundError)


def test_that_there_is_no_server_is_raised_even_so(ask, server):
    server.stop()
    assert isinstance(ask("ours", streamed, extra_fields={"on_error": "text"}).error, ConnectError)


def test_acompletion_returns_the_reply_as_the_original_does(duel, answers):
    answers("Hello world")
    outcome = duel(lambda llm: llm.acompletion(QUESTION), stream=False)
    assert outcome.original.value == outcome.ours.value
    assert outcome.ours.value["message"] == {"role": "assistant", "content": "Hello world"}


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
    assert words in str(outcome.error)
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
