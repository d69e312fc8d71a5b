"""Structured answers: which requests carry a node's schema, and that MetaGPT's own parser takes what comes back."""

from __future__ import annotations

import asyncio
import json
from enum import Enum
from typing import Dict, List, Literal, Optional, Tuple, Union

import pytest
from metagpt.actions.action_node import ActionNode
from metagpt.config2 import config as metagpt_config
from metagpt.provider.postprocess.llm_output_postprocess import llm_output_postprocess
from pydantic import BaseModel
from tenacity import RetryError

import metagpt_ollama_rs.provider as ours
from metagpt_ollama_rs.errors import ConfigurationError, IncompleteError
from metagpt_ollama_rs.provider import structured, warnings_once
from metagpt_ollama_rs.provider.expected_answers import TAGGED
from metagpt_ollama_rs.testing import Reply

ON = {"structured": "true"}
ANSWER = {"Title": "Web shop", "Tasks": ["Draw", "Write"], "Days": 3}
FORMAT = {
    "type": "object",
    "properties": {
        "Title": {"type": "string"},
        "Tasks": {"type": "array", "items": {"type": "string"}},
        "Days": {"type": "integer"},
    },
    "required": ["Title", "Tasks", "Days"],
    "additionalProperties": False,
}


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Nodes are asked for again at once, and nothing is known of earlier tests."""

    async def at_once(_seconds):
        return None

    monkeypatch.setattr(ActionNode._aask_v1.retry, "sleep", at_once)
    monkeypatch.setattr(warnings_once, "_warned_topics", set())
    monkeypatch.setattr(structured, "_refusals", {})
    monkeypatch.delenv("METAGPT_OLLAMA_STRUCTURED", raising=False)


def plan(**fields):
    types = fields or {"Title": (str, "Shop"), "Tasks": (List[str], ["Draw"]), "Days": (int, 1)}
    return ActionNode.from_children(
        "Plan", [ActionNode(key, kind, "…", example) for key, (kind, example) in types.items()]
    )


def fill(node=None, **arguments):
    async def call(llm):
        filled = await (node or plan()).fill(context="Plan a shop.", llm=llm, **arguments)
        return filled.instruct_content.model_dump() if filled.instruct_content else filled.content

    return call


def test_the_schema_is_sent_and_the_answer_is_parsed(duel, answers):
    answers(json.dumps(ANSWER))
    outcome = duel(fill(), extra_fields=ON)
    assert "format" not in outcome.original.sent
    assert outcome.ours.sent["format"] == FORMAT
    assert outcome.ours.sent["think"] is False
    assert outcome.ours.value == ANSWER
    assert "[CONTENT]" not in "".join(outcome.ours.deltas)


@pytest.mark.parametrize(
    ("kind", "stream"), [("OllamaLLM", False), ("OllamaGenerate", True), ("OllamaGenerate", False)]
)
def test_both_endpoints_streamed_or_not(kind, stream, ask, answers):
    answers(json.dumps(ANSWER))
    outcome = ask("ours", fill(), kind=kind, stream=stream, extra_fields=ON)
    assert outcome.sent["format"] == FORMAT
    assert outcome.sent["stream"] is stream
    assert outcome.value == ANSWER


@pytest.mark.parametrize("fields", [{}, {"structured": "auto"}, {"think": "false"}, {"format": "json"}])
def test_on_by_default(fields, ask, answers):
    answers(json.dumps(ANSWER))
    outcome = ask("ours", fill(), extra_fields=fields)
    assert outcome.sent["format"] == FORMAT
    assert outcome.value == ANSWER


@pytest.mark.parametrize("think", ["high", "true"])
def test_not_by_default_where_the_user_asks_the_model_to_think(think, ask, answers):
    answers(json.dumps(ANSWER))
    outcome = ask("ours", fill(), extra_fields={"think": think})
    assert "format" not in outcome.sent
    assert outcome.sent["think"] in ("high", True)
    assert outcome.value == ANSWER


@pytest.mark.parametrize("off", [{"structured": "false"}, {"unpatched": "node_answers"}, {"unpatched": "all"}])
def test_switched_off(off, ask, answers):
    answers(json.dumps(ANSWER))
    outcome = ask("ours", fill(), extra_fields=off)
    assert "format" not in outcome.sent
    assert outcome.value == ANSWER
    assert outcome.llm.last_response["message"]["content"] == json.dumps(ANSWER)


REFUSALS = {
    "llama.cpp": (400, "failed to parse grammar"),
    "Ollama": (500, "invalid JSON schema in format"),
    "a proxy": (400, "JSON schema conversion failed: unsupported"),
}


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("stream", [True, False])
def test_a_server_that_refuses_the_schema_is_asked_without_and_then_at_once(name, stream, ask, server, warned):
    status, text = REFUSALS[name]

    def chat(request):
        if "format" in request.json():
            return Reply.json({"error": text}, status=status)
        return Reply.chat(json.dumps(ANSWER), stream=request.json()["stream"])

    server.on("POST", "/api/chat", chat)

    async def twice(llm):
        return [await fill()(llm), await fill()(llm), await fill(plan(Title=(str, "x"), Days=(int, 1)))(llm)]

    outcome = ask("ours", twice, stream=stream)
    assert outcome.error is None
    assert ["format" in request.json() for request in outcome.requests] == [True, False, False, True, False]
    assert len([line for line in warned if "asked again without `format`" in line]) == 1


def test_without_the_refused_schema_the_request_is_as_the_user_wants_it(ask, server):
    def chat(request):
        if isinstance(request.json().get("format"), dict):
            return Reply.json({"error": "invalid grammar"}, status=400)
        return Reply.chat(json.dumps(ANSWER), stream=request.json()["stream"])

    server.on("POST", "/api/chat", chat)
    outcome = ask("ours", fill(), extra_fields={**ON, "think": "high", "format": "json"})
    assert outcome.value == ANSWER
    assert [request.json()["think"] for request in outcome.requests] == [False, "high"]
    assert outcome.sent["format"] == "json"


def refusing(server, status, text, refuses=lambda _format: True):
    def chat(request):
        body = request.json()
        if "format" in body and refuses(body["format"]):
            return Reply.json({"error": text}, status=status)
        return Reply.chat(json.dumps({**ANSWER, "Way": "a"}), stream=body["stream"])

    server.on("POST", "/api/chat", chat)


def formats(outcome):
    return ["format" in request.json() for request in outcome.requests]


@pytest.mark.parametrize(
    ("status", "text"),
    [(400, "invalid request body"), (422, "extra inputs are not permitted"), (500, "internal error")],
)
def test_a_refusal_that_does_not_say_why_counts_when_it_comes_twice(status, text, ask, server, warned):
    refusing(server, status, text)

    async def thrice(llm):
        return [await fill()(llm) for _ in range(3)]

    outcome = ask("ours", thrice)
    assert outcome.value == [ANSWER] * 3
    assert formats(outcome) == [True, False, True, False, False]
    assert len([line for line in warned if "asked again without `format`" in line]) == 1


def test_a_server_that_takes_no_schema_is_asked_without_any_soon(ask, server):
    async def many(llm):
        for number in range(6):
            await fill(plan(Title=(str, "x"), **{f"Day{number}": (Optional[int], 1)}))(llm)

    server.on("POST", "/api/chat", any_day)
    outcome = ask("ours", many)
    assert outcome.error is None
    assert formats(outcome) == [True, False, True, False, *[False] * 4]


def any_day(request):
    body = request.json()
    if "format" in body:
        return Reply.json({"error": "structured outputs are not supported by this model"}, status=400)
    number = json.dumps(body["messages"]).partition("Day")[2][0]
    return Reply.chat(json.dumps({"Title": "a", f"Day{number}": 1}), stream=body["stream"])


def test_a_server_that_has_taken_a_schema_is_sent_others_whatever_it_refuses(ask, server):
    refusing(server, 400, "failed to parse grammar", lambda sent: "Way" in sent["properties"])
    ways = [plan(Title=(str, "x"), Way=(str, "a"), **more) for more in ({}, {"Days": (int, 1)})]

    async def mixed(llm):
        await fill()(llm)
        for way in (*ways, *ways):
            await fill(way)(llm)
        await fill()(llm)

    outcome = ask("ours", mixed)
    assert outcome.error is None
    assert formats(outcome) == [True, True, False, True, False, False, False, True]


def test_other_refusals_are_errors(ask, server):
    server.on("POST", "/api/chat", lambda _: Reply.json({"error": "no such option"}, status=400))
    outcome = ask("ours", fill())
    assert formats(outcome) == [True, False] * 6
    assert "no such option" in str(outcome.error.last_attempt.exception())


def test_a_prompt_that_is_too_long_is_no_refusal_of_the_schema(ask, server):
    text = "the request exceeds the available context size: requested tokens (9000) exceed context window of 4096"
    server.on("POST", "/api/chat", lambda _: Reply.json({"error": text}, status=400))
    outcome = ask("ours", fill())
    assert all(formats(outcome))


def test_the_nodes_content_has_the_wrapper(ask, answers):
    answers(json.dumps(ANSWER))

    async def content(llm):
        return (await plan().fill(context="Plan a shop.", llm=llm)).content

    text = ask("ours", content, extra_fields=ON).value
    assert text.startswith("[CONTENT]\n{\n")
    assert text.endswith("\n}\n[/CONTENT]")


def test_other_calls_of_the_same_llm_have_no_format(ask, answers):
    answers(json.dumps(ANSWER))

    async def around(llm):
        before = await llm.aask("hi")
        await plan().fill(context="Plan a shop.", llm=llm)
        return before, await llm.aask("hi"), await llm.aask_batch(["a", "b"])

    outcome = ask("ours", around, extra_fields=ON)
    assert ["format" in request.json() for request in outcome.requests] == [False, True, False, False, False]
    assert outcome.value[0] == outcome.value[1] == json.dumps(ANSWER)


def test_another_llm_inside_of_a_fill_has_no_format(ask, answers, make_config):
    answers(json.dumps(ANSWER))

    async def two(llm):
        other = ours.OllamaLLM(make_config(extra_fields=ON))
        asked = llm.aask

        async def with_advice(*args, **kwargs):
            await other.aask("advice?")
            return await asked(*args, **kwargs)

        llm.aask = with_advice
        return (await plan().fill(context="Plan a shop.", llm=llm)).instruct_content.model_dump()

    outcome = ask("ours", two, extra_fields=ON)
    assert ["format" in request.json() for request in outcome.requests] == [False, True]
    assert outcome.value == ANSWER


def test_fills_at_the_same_time_keep_to_their_own_schemas(ask, server):
    def reply(request):
        wanted = request.json().get("format")
        name = next(iter(wanted["properties"])) if wanted else "none"
        return Reply.chat(json.dumps({name: name}))

    server.on("POST", "/api/chat", reply)

    async def many(llm):
        async def one(name):
            node = await plan(**{name: (str, "x")}).fill(context=name, llm=llm)
            return node.instruct_content.model_dump()

        fills = [one(f"field{number}") for number in range(12)]
        return await asyncio.gather(*fills, llm.aask("hi"))

    *filled, free = ask("ours", many, extra_fields=ON).value
    assert filled == [{f"field{number}": f"field{number}"} for number in range(12)]
    assert json.loads(free) == {"none": "none"}


def test_metagpt_still_asks_six_times_and_each_time_with_the_schema(ask, answers):
    answers('{"Title": 1}')
    outcome = ask("ours", fill(), extra_fields=ON)
    assert isinstance(outcome.error, RetryError)
    assert [request.json()["format"] for request in outcome.requests] == [FORMAT] * 6


@pytest.mark.parametrize("schema", ["markdown", "raw"])
def test_nodes_that_are_no_json_have_no_format(schema, ask, answers):
    answers("## Title\nShop\n## Tasks\n['Draw']\n## Days\n3\n")
    outcome = ask("ours", fill(schema=schema), extra_fields=ON)
    assert "format" not in outcome.sent
    expected = {"Title": "Shop", "Tasks": ["Draw"], "Days": 3}
    assert outcome.value == expected if schema == "markdown" else outcome.value.startswith("## Title")


def test_a_users_own_format_is_for_the_other_calls(ask, answers):
    answers(json.dumps(ANSWER))

    async def both(llm):
        await llm.aask("hi")
        return await fill()(llm)

    outcome = ask("ours", both, extra_fields={**ON, "format": "json"})
    assert [request.json()["format"] for request in outcome.requests] == ["json", FORMAT]
    assert outcome.value == ANSWER


def test_thinking_is_off_where_a_node_is_filled_and_on_elsewhere(ask, answers):
    answers(json.dumps(ANSWER))

    async def both(llm):
        await llm.aask("hi")
        return await fill()(llm)

    outcome = ask("ours", both, extra_fields={**ON, "think": "high"})
    assert [request.json()["think"] for request in outcome.requests] == ["high", False]


def test_the_environment_switches_it_on_where_the_configuration_is_silent(ask, answers, monkeypatch):
    answers(json.dumps(ANSWER))
    monkeypatch.setenv("METAGPT_OLLAMA_STRUCTURED", "true")
    thinking = {"think": "high"}
    assert ask("ours", fill(), extra_fields=thinking).sent["format"] == FORMAT
    assert "format" not in ask("ours", fill(), extra_fields={**thinking, "structured": "auto"}).sent
    monkeypatch.setenv("METAGPT_OLLAMA_STRUCTURED", "false")
    assert "format" not in ask("ours", fill()).sent


def test_switched_on_after_the_llm_was_made(ask, answers):
    answers(json.dumps(ANSWER))

    async def later(llm):
        llm.config.extra_fields = ON
        await llm.aask("hi")
        return await fill()(llm)

    assert ask("ours", later).sent["format"] == FORMAT


def test_a_wrong_value_is_named_before_anything_is_sent(ask, answers, monkeypatch):
    answers()
    outcome = ask("ours", fill(), extra_fields={"structured": "yes"})
    assert isinstance(outcome.error, ConfigurationError)
    assert "llm.extra_fields.structured must be auto, true or false, not 'yes'" in str(outcome.error)
    monkeypatch.setenv("METAGPT_OLLAMA_STRUCTURED", "1")
    outcome = ask("ours", fill())
    assert "METAGPT_OLLAMA_STRUCTURED must be auto, true or false, not '1'" in str(outcome.error)
    assert outcome.requests == []


def test_an_answer_cut_at_the_token_limit_says_so(ask, answers):
    answers('{"Title": "Web sh', done_reason="length")
    outcome = ask("ours", fill(), extra_fields=ON)
    error = outcome.error.last_attempt.exception()
    assert isinstance(error, IncompleteError)
    assert "the structured answer was cut at the token limit" in str(error)
    assert "raise llm.max_token" in str(error)
    assert error.partial == '{"Title": "Web sh'


def test_a_server_that_ignores_the_format_is_read_as_before(ask, answers):
    answers(f"Here you are:\n[CONTENT]\n{json.dumps(ANSWER)}\n[/CONTENT]")
    assert ask("ours", fill(), extra_fields=ON).value == ANSWER


def test_a_node_that_json_cannot_describe_is_asked_for_as_before(ask, answers):
    class Opaque:
        @classmethod
        def __get_pydantic_core_schema__(cls, source, handler):
            from pydantic_core import core_schema

            return core_schema.is_instance_schema(cls)

    answers('{"Thing": 1}')
    outcome = ask("ours", fill(plan(Thing=(Opaque, None))), extra_fields=ON)
    assert isinstance(outcome.error, RetryError)
    assert "format" not in outcome.sent


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


class Part(BaseModel):
    name: str
    parts: List[Part] = []


class Box(BaseModel):
    size: Size
    label: Optional[str] = None


TYPED = {
    "Size": (Size, {"enum": ["small", "large"], "type": "string"}, "large"),
    "Word": (Literal["yes", "no"], {"enum": ["yes", "no"], "type": "string"}, "no"),
    "Maybe": (Optional[int], {"anyOf": [{"type": "integer"}, {"type": "null"}]}, None),
    "Either": (Union[int, List[str]], None, ["a"]),
    "Pairs": (List[Tuple[str, int]], None, [("a", 1)]),
    "Rows": (List[List[str]], None, [["a"], []]),
    "Map": (Dict[str, List[int]], None, {"a": [1]}),
    "Free": (dict, None, {"a": {"b": 1}}),
    "Boxes": (List[Box], None, [{"size": "small", "label": None}, {"size": "large", "label": "x"}]),
    "Tree": (Part, {"$ref": "#/$defs/Part"}, {"name": "a", "parts": [{"name": "b", "parts": []}]}),
}


@pytest.mark.parametrize("name", TYPED)
def test_types_of_fields(name, ask, answers):
    kind, expected, value = TYPED[name]
    answers(json.dumps({name: value}))
    outcome = ask("ours", fill(plan(**{name: (kind, value)})), extra_fields=ON)
    part = outcome.sent["format"]["properties"][name]
    if name == "Tree":
        part = part["properties"]["parts"]["items"]
    assert expected is None or part == expected
    assert ("$ref" in json.dumps(outcome.sent["format"])) == (name == "Tree")
    assert json.loads(json.dumps(outcome.value[name], default=lambda member: member.value)) == json.loads(
        json.dumps(value)
    )


def test_nodes_inside_of_nodes(ask, answers):
    # Two children: MetaGPT's own validator takes a nested node for a pair of a type and a field.
    inner = ActionNode.from_children("Inner", [ActionNode("Depth", int, "…", 1), ActionNode("Width", int, "…", 1)])
    outer = ActionNode.from_children("Outer", [ActionNode("Name", str, "…", "x"), inner])
    answers('{"Name": "a", "Inner": {"Depth": 2, "Width": 3}}')
    outcome = ask("ours", fill(outer, mode="children"), extra_fields=ON)
    assert outcome.sent["format"]["properties"]["Inner"]["required"] == ["Depth", "Width"]
    assert outcome.value == {"Name": "a", "Inner": {"Depth": 2, "Width": 3}}


@pytest.mark.parametrize("repair", [False, True])
@pytest.mark.parametrize(
    "value",
    [
        "[/CONTENT] and [CONTENT]",
        'say "hi" # now',
        'say "hi // now',
        "C:\\dir\\",
        'a\\"b # c',
        "it's # one",
        '"""quoted"""',
        "'''",
        "a\nb\tc\u2028d",
        "多语言 😀",
        "}]",
        "",
    ],
)
def test_metagpts_parser_gives_back_what_the_model_wrote(value, repair, monkeypatch):
    monkeypatch.setattr(metagpt_config, "repair_llm_output", repair)
    answer = {"Title": value, "Tasks": [value, {"deep": value}], "Days": -1.5e3}
    text = TAGGED.write(answer, "")
    schema = {"properties": {key: {} for key in answer}}
    assert llm_output_postprocess(output=text, schema=schema, req_key="[/CONTENT]") == answer
