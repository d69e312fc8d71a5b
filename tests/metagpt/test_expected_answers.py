"""At each place of MetaGPT 0.8.2 that parses JSON: what its parser makes of an answer of a small model, through the
original and through ours, and which schema ours sends. (`test_structured` has the ActionNodes, `test_commands` the
places of MetaGPT's main branch.)"""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest
from metagpt.actions import Action
from metagpt.actions.action_node import ActionNode
from metagpt.actions.di.write_plan import WritePlan
from metagpt.actions.rebuild_sequence_view import RebuildSequenceView
from metagpt.actions.research import CollectLinks
from metagpt.actions.write_tutorial import WriteDirectory
from metagpt.roles.di.data_interpreter import DataInterpreter
from metagpt.roles.role import Role, RoleReactMode
from metagpt.schema import Message
from metagpt.strategy.base import ThoughtNode, ThoughtTree
from metagpt.strategy.task_type import TaskType
from metagpt.strategy.tot import ThoughtSolverBase
from metagpt.tools import tool_recommend

from metagpt_ollama_rs.json_items import complete_items
from metagpt_ollama_rs.provider.expected_answers import FENCED, read_fence
from metagpt_ollama_rs.testing import Reply

OFF = {"structured": "false"}


def made_with(kind, llm, **fields):
    action = kind(**fields)
    action.llm = llm
    return action


async def plan(llm):
    action = made_with(WritePlan, llm)
    return json.loads(await action.run([Message(content="Draw a chart.", role="user")], max_tasks=2))


async def tools(llm):
    recalled = [SimpleNamespace(name=name, schemas={"description": "…"}) for name in ("Charts", "Mailer")]
    tool_recommend.LLM = lambda: llm
    tool_recommend.validate_tool_names = lambda names: {name: name for name in names}
    return await tool_recommend.ToolRecommender().rank_tools(recalled, context="Draw a chart.", topk=1)


@pytest.fixture(autouse=True)
def tools_of_metagpt(monkeypatch):
    monkeypatch.setattr(tool_recommend, "LLM", None)
    monkeypatch.setattr(tool_recommend, "validate_tool_names", None)
    monkeypatch.delenv("METAGPT_OLLAMA_STRUCTURED", raising=False)
    monkeypatch.delenv("METAGPT_OLLAMA_UNPATCHED", raising=False)


async def decision(llm):
    notes = []
    memory = SimpleNamespace(get=lambda: ["a step"], add=lambda message: notes.append(message.content))
    role = SimpleNamespace(
        llm=llm,
        get_memories=lambda: [Message(content="Draw.", role="user")],
        working_memory=memory,
        _set_state=lambda _: None,
    )
    return await DataInterpreter._think(role), notes


async def thoughts(llm):
    root = ThoughtNode("root")
    parser = SimpleNamespace(propose=lambda current_state, **_: f"Propose {current_state}.")
    config = SimpleNamespace(parser=parser, n_generate_sample=2)
    solver = SimpleNamespace(llm=llm, config=config, thought_tree=ThoughtTree(root))
    nodes = await ThoughtSolverBase.generate_thoughts(solver, "ways", root)
    return [(node.id, node.name) for node in nodes]


async def terms(llm):
    searched = []

    async def search(query, **_):
        searched.append(query)
        return [{"link": "https://a.example"}, {"link": "https://b.example"}]

    action = SimpleNamespace(llm=llm, _aask=llm.aask, search_engine=SimpleNamespace(run=search), rank_func=None)

    async def ranked(topic, query, count):
        return [f"{query}: {count}"]

    action._search_and_rank_urls = ranked
    return searched, await CollectLinks.run(action, "charts", decomposition_nums=3)


async def ranks(llm, count=3):
    async def search(_query, **_):
        return [{"link": f"https://{number}.example"} for number in range(count)]

    action = SimpleNamespace(llm=llm, _aask=llm.aask, search_engine=SimpleNamespace(run=search), rank_func=None)
    return await CollectLinks._search_and_rank_urls(action, "charts", "how")


def outline(llm):
    return made_with(WriteDirectory, llm, language="English").run("charts")


async def participants(llm):
    async def source(_name):
        return "class Chart: ..."

    return await RebuildSequenceView._search_participants(SimpleNamespace(llm=llm, _get_source_code=source), "a.py")


class Ask(Action):
    name: str = "Ask"


def stage_of(count):
    async def stage(llm):
        role = Role(name="Ann", profile="Engineer")
        role.set_actions([Ask(name=f"Ask{number}") for number in range(count)])
        role.rc.react_mode = RoleReactMode.REACT
        role.llm = llm
        await role._think()
        return role.rc.state

    return stage


async def review(llm):
    fields = [ActionNode("Title", str, "A title", "Shop"), ActionNode("Days", int, "How many days", 3)]
    node = ActionNode.from_children("Plan", fields)
    node.set_llm(llm)
    node.instruct_content = node.create_class()(Title="A", Days=3)
    return await node.auto_review()


TEXT = {"type": "string"}
TASK = {"task_id": "1", "dependent_task_ids": [], "instruction": "Draw.", "task_type": "eda"}

NODE = {"node_id": "1", "node_state_instruction": "a"}
OUTLINE = {"title": "A", "directory": [{"B": ["C"]}]}
CLASSES = {"class_names": ["Chart"], "reasons": []}

# The call, a value of the schema, what MetaGPT makes of it, and the same value as a small model writes it.
PLACES = {
    "plan": (plan, [TASK], [TASK], f"My plan:\n{[TASK]}".replace("'}", "',}")),
    "tools": (tools, ["Charts"], ["Charts"], "I recommend `Charts`:\n['Charts']"),
    "decision": (decision, {"thoughts": "Go.", "state": True}, (True, ["Go."]), "{'thoughts': 'Go.', 'state': True}"),
    "thoughts": (thoughts, [NODE], [(1, "a")], f"Here:\n{json.dumps([NODE])}"),
    "ranks": (ranks, [2, 0], ["https://2.example", "https://0.example"], None),
    "outline": (outline, OUTLINE, OUTLINE, f"{json.dumps(OUTLINE)}\nA bracket }} is no end."),
    "participants": (participants, CLASSES, {"Chart"}, f"Classes: {CLASSES}"),
    "stage": (stage_of(3), 1, 1, None),
    "stage of many": (stage_of(12), 10, 10, None),
    "the end": (stage_of(3), -1, -1, None),
}


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("stream", [True, False])
def test_the_schema_is_sent_and_its_value_is_parsed(name, stream, ask, answers):
    call, value, expected, _ = PLACES[name]
    answers(json.dumps(value))
    outcome = ask("ours", call, stream=stream)
    assert outcome.error is None
    assert outcome.value == expected
    assert outcome.sent["format"]["type"] == {list: "array", dict: "object", int: "integer"}[type(value)]
    assert outcome.sent["think"] is False
    assert len(outcome.requests) == 1


@pytest.mark.parametrize("name", [name for name, row in PLACES.items() if row[3] is not None])
def test_what_metagpt_cannot_parse_is_repaired_without_another_call(name, ask, answers):
    call, _, expected, answer = PLACES[name]
    answers(answer)
    before = ask("ours", call, extra_fields={**OFF, "unpatched": "all"})
    assert before.error is not None or before.value != expected
    now = ask("ours", call, extra_fields=OFF)
    assert now.error is None
    assert now.value == expected
    assert "format" not in now.sent
    assert len(now.requests) == 1


@pytest.mark.parametrize("name", PLACES)
def test_models_of_other_providers_are_asked_as_before(name, ask, answers):
    call, value, _, _ = PLACES[name]
    answers(json.dumps(value))
    outcome = ask("original", call, stream=True)
    assert "format" not in outcome.sent


def test_the_plan_has_the_types_of_tasks_that_metagpt_knows(ask, answers):
    answers(json.dumps([TASK]))
    schema = ask("ours", plan).sent["format"]
    assert schema["items"]["properties"]["task_type"]["enum"] == [member.type_name for member in TaskType]
    assert (schema["minItems"], schema["maxItems"]) == (1, 2)


def test_a_plan_may_be_without_what_metagpt_fills_in(ask, answers):
    answers("[{'task_id': 1, 'instruction': 'Draw.', 'task_type': None, 'dependent_task_ids': null},]")
    assert ask("ours", plan, extra_fields=OFF).value == [{"task_id": "1", "instruction": "Draw."}]


def test_the_tools_are_those_that_were_recalled(ask, answers):
    answers('["Charts"]')
    assert ask("ours", tools).sent["format"] == {
        "type": "array",
        "items": {"type": "string", "enum": ["Charts", "Mailer"]},
        "minItems": 0,
        "maxItems": 1,
    }


def test_an_index_of_a_result_that_is_not_there(ask, answers):
    answers("[7]")
    assert ask("ours", ranks, extra_fields={"unpatched": "search_answers"}).failure == "IndexError"
    assert ask("ours", ranks).sent["format"]["items"]["enum"] == [0, 1, 2]


@pytest.mark.parametrize(
    "answer", ["Ranking: [2, 0]. I left out result [1] as spam.", "results [3], [1] and [2] are useful", '["-1"]']
)
def test_of_results_that_are_ranked_in_doubt_metagpt_takes_the_first(answer, ask, answers):
    answers(answer)
    outcome = ask("ours", lambda llm: ranks(llm, 8), extra_fields=OFF)
    assert outcome.value == [f"https://{number}.example" for number in range(4)]


def test_keywords_and_queries(ask, server):
    replies = iter(['["a", "b"]', '["one", "two"]'])
    server.on("POST", "/api/chat", lambda request: Reply.chat(next(replies), stream=request.json()["stream"]))
    outcome = ask("ours", terms)
    assert outcome.value == (["a", "b"], {"one": ["one: 4"], "two": ["two: 4"]})
    asked = [request.json() for request in outcome.requests if request.path == "/api/chat"]
    assert [body["format"]["maxItems"] for body in asked] == [2, 3]


def test_what_was_cut_is_left_to_metagpt(ask, answers):
    answers('["half a keyw', done_reason="length")
    assert ask("ours", terms).value == ([], {})


def test_a_review_names_some_fields(ask, answers):
    answers('{"Days": 4}')
    outcome = ask("ours", review)
    assert outcome.value == {"Days": 4}
    assert outcome.sent["format"]["required"] == []


def test_tasks_at_the_same_time_have_their_own(ask, server):
    def chat(request):
        schema = request.json().get("format", {})
        value = {"array": [TASK], "integer": 1, None: "free"}[schema.get("type")]
        return Reply.chat(json.dumps(value), stream=request.json()["stream"])

    server.on("POST", "/api/chat", chat)

    async def many(llm):
        return await asyncio.gather(plan(llm), llm.aask("hi"), stage_of(3)(llm), plan(llm))

    first, free, number, second = ask("ours", many).value
    assert (first, free, number, second) == ([TASK], '"free"', 1, [TASK])


def test_a_task_that_is_started_meanwhile_asks_for_free_text(ask, server):
    def chat(request):
        body = request.json()
        return Reply.chat(json.dumps([TASK]) if "format" in body else "A joke.", stream=body["stream"])

    server.on("POST", "/api/chat", chat)

    async def both(llm):
        aask, jokes = llm.aask, []

        async def with_a_joke(*args, **kwargs):
            jokes.append(asyncio.ensure_future(aask("Tell me a joke.")))
            return await aask(*args, **kwargs)

        llm.aask = with_a_joke
        return await plan(llm), await jokes[0]

    assert ask("ours", both).value == ([TASK], "A joke.")


def test_backticks_in_a_text_end_no_block(ask, answers):
    words = "run ```python\nx\n```"
    answers(json.dumps([{**TASK, "instruction": words}]))
    assert ask("ours", plan).value[0]["instruction"] == words


FENCES = {
    "[1]": "[1]",
    "```json\n[1]\n```": "[1]",
    "Well:\n```json\n[1]\n```\nDone.": "[1]",
    # Release 0.8.2 and main take these differently.
    "```\n[1]\n```": "",
    "```python\nx\n```\n```json\n[1]\n```": "",
    "```json\n[1]```": "",
    '```json\n["a ``` b"]\n```': "",
}


@pytest.mark.parametrize("text", FENCES)
def test_what_every_release_reads_in_a_fence(text):
    assert read_fence(text) == FENCES[text]


def test_what_is_written_is_read():
    value = ['a "b" ``` \\ [/CONTENT] # //', {"c": None}]
    assert json.loads(read_fence(FENCED.write(value, ""))) == value


ITEM = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ('[{"a": 1}, {"a": 2}, {"a', [{"a": 1}, {"a": 2}]),
        ('{"thought": "[{", "commands": [{"a": 1}, {"a": 2', [{"a": 1}]),
        ('[{"a": 1', []),
        ('[{"b": 1}, {"a": 2}', []),
        ("no list", []),
        # What is quoted, and what stands in an item that was cut off.
        ('Last time I ran [{"a": 1}], which was wrong. Now:\n```json\n[{"a": 2', []),
        ('Last time I ran [{"a": 1}], which was wrong. Now:\n```json\n[{"a": 2}, {"a": 3', [{"a": 2}]),
        ('Last time I ran [{"a": 1}], which was wrong. Now', []),
        ('[{"a": 5, "b": [{"a": 1}, {"a', []),
        ('{a: 5, b: [{"a": 1}, {"a', []),
        ('{"done": [{"a": 1}], "commands": [{"a', []),
        ('{"plan": [{"a": 1}], "commands": [{"a', []),
        ('{"done": [{"a": 1}, {"a', []),
        ('I use {x} and items["a" or "b"]: [{"a": 1}, {"a', [{"a": 1}]),
        # Cut off after the list.
        ('```json\n[{"a": 1}]\n```\nThis wi', [{"a": 1}]),
        ('```json\n{"thought": "x", "commands": [{"a": 1}]}\n```\nThis wi', [{"a": 1}]),
        ('{"thought": "x", "commands": [{"a": 1}]}', [{"a": 1}]),
        ('[{"a": 1}]', [{"a": 1}]),
        ('```json\n[{"a": 1}, {"b": 1}]\n```\nThis wi', []),
        ('```json\n[{"a": 1}]\n```\nOr:\n```json\n[{"a": 2}]\n```\nThis wi', []),
    ],
)
def test_complete_items(text, items):
    assert complete_items(text, ITEM) == items
