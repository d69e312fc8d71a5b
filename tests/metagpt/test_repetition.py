"""An answer that goes in circles is an error of the provider's, whichever road it comes by, and asked for once."""

from __future__ import annotations

import json

import pytest
from metagpt.actions.action_node import ActionNode
from metagpt.provider.general_api_requestor import GeneralAPIRequestor

import metagpt_ollama_rs.provider as ours
from metagpt_ollama_rs import stats
from metagpt_ollama_rs.errors import EmptyAnswerError, IncompleteError
from metagpt_ollama_rs.provider import OpenAIResponse
from metagpt_ollama_rs.testing import Reply, faults, lines

QUESTION = [{"role": "user", "content": "Plan a game of snake."}]
HEADING = "## Required Python packages\n\n"
BEFORE = "# Plan\n\n"
TEXT = BEFORE + HEADING * 1070


def streamed(llm):
    return llm.acompletion_text(QUESTION, stream=True)


def whole(llm):
    return llm.acompletion_text(QUESTION, stream=False)


def pieces(text, size=9):
    return [text[start : start + size] for start in range(0, len(text), size)]


def hanging(text, **fields):
    """What a model that does not end says; then the server waits for the client to leave."""
    reply = Reply.ndjson(lines.chat_lines(text, **fields)[:-1]).at_once()
    return faults.without_terminator(reply, end="hang")


def check(outcome, before=BEFORE, block=HEADING):
    error = outcome.error
    assert type(error) is IncompleteError
    assert before + block in error.partial
    assert (before + block * 2).startswith(error.partial)
    assert block.strip() in error.message
    assert "repeat_penalty" in error.hint
    assert len(outcome.requests) == 1


@pytest.fixture
def roads(monkeypatch):
    """Makes the provider take a road: the short one, or one through code that a user has replaced."""

    def take(road):
        def decode(self, response):
            return json.loads(response.data)

        if road == "decode":
            monkeypatch.setattr(ours.OllamaMessageBase, "decode", decode)
        elif road == "get_choice":
            monkeypatch.setattr(ours.OllamaMessageChat, "get_choice", lambda self, reply: reply["message"]["content"])

    return take


@pytest.mark.parametrize("kind", ["OllamaLLM", "OllamaGenerate"])
@pytest.mark.parametrize("call", [streamed, whole])
@pytest.mark.parametrize("road", ["short", "decode"])
def test_both_roads(road, call, kind, ask, answers, roads):
    roads(road)
    answers(pieces(TEXT) if call is streamed else TEXT)
    stats.clear()
    outcome = ask("ours", call, kind=kind)
    check(outcome)
    # A reply that is all there when the compatible road looks at it has a record of its own.
    assert stats.records()[-1]["error"] == "incomplete"
    allowed = ask("ours", call, kind=kind, extra_fields={"repetition_guard": "false"})
    assert allowed.value == TEXT


@pytest.mark.parametrize("road", ["short", "decode", "get_choice"])
def test_the_server_sees_the_end_of_a_stream(road, ask, server, roads):
    roads(road)
    server.on("POST", "/api/chat", hanging(pieces(TEXT)))
    outcome = ask("ours", streamed)
    server.wait_for_hangup()
    check(outcome)
    assert outcome.deltas[: len(BEFORE) // 9] == pieces(TEXT)[: len(BEFORE) // 9]


@pytest.mark.parametrize("road", ["short", "decode"])
def test_thinking_in_circles(road, ask, server, roads):
    roads(road)
    server.on("POST", "/api/chat", hanging("", thinking=pieces(TEXT)))
    outcome = ask("ours", streamed)
    server.wait_for_hangup()
    assert type(outcome.error) is IncompleteError
    assert "thinking" in outcome.error.message
    assert outcome.error.partial == ""
    assert BEFORE + HEADING in outcome.error.partial_thinking
    assert outcome.error.partial_thinking in BEFORE + HEADING * 2


@pytest.mark.parametrize("road", ["short", "decode"])
def test_tagged_thinking_in_circles(road, ask, server, roads):
    roads(road)
    server.on("POST", "/api/chat", hanging(pieces("<think>" + TEXT)))
    check(ask("ours", streamed), before="<think>" + BEFORE)


@pytest.mark.parametrize("stream", [True, False])
def test_a_requestor_of_the_users(stream, ask, server, monkeypatch):
    closed = []

    async def chunks():
        try:
            for line in lines.chat_lines(pieces(TEXT * 3)):
                yield OpenAIResponse(line, {})
        finally:
            closed.append(True)

    async def arequest(self, stream=False, **kwargs):
        if stream:
            return chunks(), None, None
        return OpenAIResponse(lines.chat_object(TEXT), {}), None, None

    monkeypatch.setattr(GeneralAPIRequestor, "arequest", arequest)
    outcome = ask("ours", streamed if stream else whole)
    assert type(outcome.error) is IncompleteError
    assert outcome.error.partial in BEFORE + HEADING * 2
    assert closed == [True] * stream


@pytest.mark.parametrize("stream", [True, False])
def test_aask(stream, ask, server, answers):
    answers(pieces(TEXT) if stream else TEXT)
    check(ask("ours", lambda llm: llm.aask("Plan a game of snake.", stream=stream)))


def test_white_space_in_the_place_of_json(ask, server):
    server.on("POST", "/api/chat", hanging(pieces('{"a": 1' + "\n  " * 3000)))
    outcome = ask("ours", streamed, extra_fields={"format": "json"})
    server.wait_for_hangup()
    assert type(outcome.error) is IncompleteError
    assert json.loads(outcome.error.partial.strip() + "}") == {"a": 1}


def hanging_generate(text):
    reply = Reply.ndjson(lines.generate_lines(text)[:-1]).at_once()
    return faults.without_terminator(reply, end="hang")


@pytest.mark.parametrize("formatted", [True, False])
@pytest.mark.parametrize("kind", ["OllamaLLM", "OllamaGenerate"])
@pytest.mark.parametrize("call", [streamed, whole])
@pytest.mark.parametrize("road", ["short", "decode"])
@pytest.mark.parametrize("blank", ["\n" * 6000, "\n  \t" * 2000, "\u3000" * 6000], ids=["lines", "mixed", "wide"])
def test_nothing_but_white_space_is_an_empty_answer(blank, road, call, kind, formatted, ask, answers, server, roads):
    roads(road)
    if call is streamed:
        server.on("POST", "/api/chat", hanging(pieces(blank)))
        server.on("POST", "/api/generate", hanging_generate(pieces(blank)))
    else:
        answers(blank)
    stats.clear()
    outcome = ask("ours", call, kind=kind, extra_fields={"format": "json"} if formatted else {})
    if call is streamed:
        server.wait_for_hangup()
    error = outcome.error
    assert type(error) is EmptyAnswerError
    assert "white space only, without an end" in error.message
    assert ("say in the prompt" in error.hint) is formatted
    assert error.partial.isspace()
    assert blank.startswith(error.partial)
    assert error.partial_thinking == ""
    assert len(outcome.requests) == 1
    # The short road's record is the core's, which saw circles.
    kinds = {made["error"] for made in stats.records()}
    assert ("empty_answer" in kinds) is (road == "decode")
    assert road == "decode" or kinds == {"incomplete"}


@pytest.mark.parametrize("road", ["short", "decode"])
@pytest.mark.parametrize(
    ("text", "thinking", "thought"),
    [
        ("\n" * 9000, "hm", "hm"),
        ("<think>hm</think>" + "\n" * 9000, "", "hm"),
        ("<think>\n\n</think>" + " \n" * 6000, "", ""),
        ("<think>" + "\n" * 9000, "", ""),
        ("", "\n" * 9000, ""),
    ],
    ids=["after thinking", "after tagged", "after empty tags", "in tags", "as thinking"],
)
def test_white_space_after_thinking(road, text, thinking, thought, ask, server, roads):
    roads(road)
    server.on("POST", "/api/chat", hanging(pieces(text) if text else "", thinking=pieces(thinking)))
    outcome = ask("ours", streamed)
    server.wait_for_hangup()
    assert type(outcome.error) is EmptyAnswerError
    assert outcome.error.partial_thinking.strip() == thought
    assert (outcome.llm.reasoning_content or "").strip() == thought
    assert ("after thinking" in outcome.error.message) is bool(thought)


@pytest.mark.parametrize("road", ["short", "decode"])
def test_thinking_that_ends_in_white_space_is_cut(road, ask, server, roads):
    roads(road)
    server.on("POST", "/api/chat", hanging("", thinking=pieces("hm" + "\n" * 9000)))
    outcome = ask("ours", streamed)
    server.wait_for_hangup()
    assert type(outcome.error) is IncompleteError
    assert outcome.error.partial_thinking.startswith("hm\n")


@pytest.mark.parametrize("call", [streamed, whole])
def test_white_space_without_the_guard_or_with_texts_for_errors(call, ask, answers):
    blank = "\n" * 6000
    answers(pieces(blank) if call is streamed else blank, done_reason="length")
    unguarded = ask("ours", call, extra_fields={"repetition_guard": "false"})
    assert type(unguarded.error) is EmptyAnswerError
    assert "white space only" in ask("ours", call, extra_fields={"on_error": "text"}).value


def test_on_error_text(ask, answers):
    answers(pieces(TEXT))
    outcome = ask("ours", streamed, extra_fields={"on_error": "text"})
    assert "goes in circles" in outcome.value


def test_a_long_answer_that_is_none(ask, answers):
    text = "".join(f"{number}. Write the test of requirement {number % 10}.\n" for number in range(4000))
    answers(pieces(text))
    assert ask("ours", streamed).value == text


def test_a_node_asks_as_often_as_ever(ask, server, answers, monkeypatch):
    """MetaGPT asks anew for a node after any error, visibly; nothing asks in between."""
    answers(pieces(TEXT))
    node = ActionNode(key="Title", expected_type=str, instruction="A title.", example="Snake")

    async def at_once(seconds):
        return None

    monkeypatch.setattr(ActionNode._aask_v1.retry, "sleep", at_once)
    outcome = ask("ours", lambda llm: node.fill("A game", llm))
    assert outcome.error is not None
    assert len(outcome.requests) == 6
