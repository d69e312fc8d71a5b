"""What becomes of a reply, row by row of the table in docs/compatibility.md: the original's outcome and ours."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest

from metagpt_ollama_rs.errors import (
    ConfigurationError,
    ConnectError,
    ContextOverflowError,
    EmptyAnswerError,
    IncompleteError,
    InterruptedStreamError,
    MidStreamError,
    ModelNotFoundError,
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
