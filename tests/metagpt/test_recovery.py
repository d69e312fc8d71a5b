"""A team that is stopped, written to `team.json` and read back: MetaGPT's own behaviour and ours.

`tests/real/test_recovery.py` does the same with processes that are killed and interrupted.
"""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
from enum import Enum
from typing import Any, Literal, Optional, Union

import pytest
from metagpt.actions import Action, UserRequirement
from metagpt.actions.action_node import ActionNode
from metagpt.configs.llm_config import LLMType
from metagpt.context import Context
from metagpt.provider import ollama_api as original
from metagpt.provider.llm_provider_registry import LLM_REGISTRY
from metagpt.roles import Role
from metagpt.roles.role import RoleReactMode
from metagpt.schema import Message, TaskResult
from metagpt.team import Team
from metagpt.utils.serialize import deserialize_message, serialize_message
from pydantic import model_validator

import metagpt_ollama_rs.provider as ours
from metagpt_ollama_rs.testing import Reply

IDEA = "the sea"


class Draft(Action):
    name: str = "Draft"

    async def run(self, history):
        return await self._aask(f"Draft: {history[-1].content}")


class Check(Action):
    name: str = "Check"

    async def run(self, history):
        return await self._aask(f"Check: {history[-1].content}")


class Sign(Action):
    name: str = "Sign"

    async def run(self, history):
        return await self._aask(f"Sign: {history[-1].content}")


class Author(Role):
    name: str = "Ada"
    profile: str = "Author"

    def __init__(self, **fields):
        super().__init__(**fields)
        self.set_actions([Draft])
        self._watch([UserRequirement])


class Lector(Role):
    """Has two actions, one after the other."""

    name: str = "Leo"
    profile: str = "Lector"

    def __init__(self, **fields):
        super().__init__(**fields)
        self.set_actions([Check, Sign])
        self._set_react_mode(RoleReactMode.BY_ORDER)
        self._watch([Draft])


class Listener(Role):
    """Is at work at the same time as the author."""

    name: str = "Lisa"
    profile: str = "Listener"

    def __init__(self, **fields):
        super().__init__(**fields)
        self.set_actions([Sign])
        self._watch([UserRequirement])


@pytest.fixture
def asked(server):
    """The questions that were answered or are being answered. Those that begin with a key of `asked.replies` get its
    reply, or what it returns, all others an echo."""

    class Asked(list):
        replies: dict = {}

    questions = Asked()

    def chat(request):
        question = request.json()["messages"][-1]["content"]
        questions.append(question)
        for start, reply in questions.replies.items():
            if question.startswith(start):
                return reply() if callable(reply) else reply
        return Reply.chat(f"<{question}>", counts={"prompt_eval_count": 30, "eval_count": 4})

    server.on("POST", "/api/chat", chat)
    questions.replies = {}
    return questions


@pytest.fixture
def make_context(make_config, monkeypatch):
    def make(who="ours", **fields):
        module = {"original": original, "ours": ours}[who]
        monkeypatch.setitem(LLM_REGISTRY.providers, LLMType.OLLAMA, module.OllamaLLM)
        made = Context()
        # Its own: the configuration that was read at import is another one.
        made.config = made.config.model_copy(deep=True)
        made.config.llm = make_config(**fields)
        return made

    return make


def team_of(context, *roles):
    team = Team(context=context)
    team.hire([role(context=context) for role in roles])
    return team


def run(team, n_round=3, **more):
    return asyncio.run(team.run(n_round=n_round, **more))


def taken(asked):
    questions = list(asked)
    asked.clear()
    return questions


def test_a_team_that_was_stopped_between_two_rounds(asked, make_context, tmp_path):
    theirs = team_of(make_context("original", use_system_prompt=False), Author, Lector)
    theirs.run_project(IDEA)
    run(theirs, 1)
    theirs.serialize(tmp_path)
    assert "unread_messages" not in json.loads((tmp_path / "team.json").read_text())
    context = make_context("original", use_system_prompt=False)
    recovered = Team.deserialize(tmp_path, context=context)
    # The configuration is the one read at import, the message for the second role is lost, the sums are dropped.
    assert [role.llm.config.base_url for role in recovered.env.roles.values()] == ["http://127.0.0.1:1/api"] * 2
    assert taken(asked) == ["Draft: the sea"]
    run(recovered)
    assert taken(asked) == []
    assert context.cost_manager.total_prompt_tokens == 0

    team = team_of(make_context(), Author, Lector)
    team.run_project(IDEA)
    run(team, 1)
    team.serialize(tmp_path)
    assert taken(asked) == ["Draft: the sea"]
    context = make_context()
    recovered = Team.deserialize(tmp_path, context=context)
    assert all(role.context is context and role.llm.model == "scripted" for role in recovered.env.roles.values())
    assert context.cost_manager.get_costs()[:3] == (30, 4, 0)
    # As `metagpt --recover-path` does.
    recovered.invest(3.0)
    recovered.run_project(recovered.idea)
    assert "Lector: <Sign: " in run(recovered)
    assert taken(asked) == ["Check: <Draft: the sea>", "Sign: <Check: <Draft: the sea>>"]
    assert context.cost_manager.get_costs()[:3] == (90, 12, 0)


def test_the_file_is_one_that_metagpt_reads_without_us(asked, make_context, tmp_path, monkeypatch):
    team = team_of(make_context(), Author, Lector)
    team.run_project(IDEA)
    run(team, 1)
    team.serialize(tmp_path)
    monkeypatch.setenv("METAGPT_OLLAMA_UNPATCHED", "recovery")
    recovered = Team.deserialize(tmp_path, context=make_context())
    assert recovered.env.is_idle
    assert recovered.idea == IDEA
    recovered.serialize(tmp_path)
    assert "unread_messages" not in json.loads((tmp_path / "team.json").read_text())


def test_switched_off_by_the_configuration(asked, make_context, tmp_path):
    off = {"extra_fields": {"unpatched": "recovery"}}
    team = team_of(make_context(**off), Author, Lector)
    team.run_project(IDEA)
    run(team, 1)
    team.serialize(tmp_path)
    assert "unread_messages" not in json.loads((tmp_path / "team.json").read_text())
    assert Team.deserialize(tmp_path, context=make_context(**off)).env.is_idle


def recovered_after_failure(team, make_context, tmp_path, monkeypatch):
    """The team as `Team.run` has written it by itself, read back."""
    monkeypatch.setattr("metagpt.team.SERDESER_PATH", tmp_path)
    assert run(team) is None
    return Team.deserialize(tmp_path / "team", context=make_context())


def test_an_error_in_the_second_action_of_the_second_role(asked, make_context, tmp_path, monkeypatch):
    team = team_of(make_context(), Author, Lector)
    team.run_project(IDEA)
    asked.replies = {"Sign": Reply.error("the runner has died", 500)}
    recovered = recovered_after_failure(team, make_context, tmp_path, monkeypatch)
    assert taken(asked) == ["Draft: the sea", "Check: <Draft: the sea>", "Sign: <Check: <Draft: the sea>>"]
    asked.replies = {}
    recovered.run_project(IDEA)
    assert "Lector: <Sign: " in run(recovered)
    # Not the first action again, whose result is what it reads.
    assert taken(asked) == ["Sign: <Check: <Draft: the sea>>"]


def test_a_role_that_is_at_work_while_another_one_fails(asked, server, make_context, tmp_path, monkeypatch):
    team = team_of(make_context(), Author, Listener)
    team.run_project(IDEA)

    def fail_once_both_are_at_work():
        server.wait_for_request(2)
        return Reply.error("no such thing", 400)

    asked.replies = {"Draft": fail_once_both_are_at_work, "Sign": Reply.chat(["one", " two"]).gated(1)}
    recovered = recovered_after_failure(team, make_context, tmp_path, monkeypatch)
    assert sorted(taken(asked)) == ["Draft: the sea", "Sign: the sea"]
    asked.replies = {}
    run(recovered)
    assert sorted(taken(asked)) == ["Draft: the sea", "Sign: the sea"]
    # Each has its answer, once.
    assert recovered.env.history.count("Author: ") == recovered.env.history.count("Listener: ") == 1


def test_a_run_that_is_cancelled_is_written(asked, server, make_context, tmp_path, monkeypatch):
    monkeypatch.setattr("metagpt.team.SERDESER_PATH", tmp_path)
    team = team_of(make_context(), Author, Lector)
    team.run_project(IDEA)
    asked.replies = {"Check": Reply.chat(["one", " two"]).gated(1)}

    async def main():
        task = asyncio.ensure_future(team.run(n_round=3))
        await asyncio.to_thread(server.wait_for_request, 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert taken(asked) == ["Draft: the sea", "Check: <Draft: the sea>"]
    asked.replies = {}
    recovered = Team.deserialize(tmp_path / "team", context=make_context())
    assert "Lector: <Sign: " in run(recovered)
    assert taken(asked) == ["Check: <Draft: the sea>", "Sign: <Check: <Draft: the sea>>"]


def test_a_recovered_team_can_be_given_its_idea_once_more(asked, make_context, tmp_path):
    team = team_of(make_context(), Author)
    team.run_project(IDEA)
    run(team)
    team.serialize(tmp_path)
    recovered = Team.deserialize(tmp_path, context=make_context())
    # Nothing was left to do: the idea is published.
    recovered.run_project(IDEA)
    run(recovered)
    assert taken(asked) == ["Draft: the sea"] * 2
    other = Team.deserialize(tmp_path, context=make_context())
    run(other, idea="the moon")
    assert taken(asked) == ["Draft: the moon"]


def test_a_team_is_recovered_more_than_once(asked, make_context, tmp_path):
    team = team_of(make_context(), Author, Lector)
    team.run_project(IDEA)
    for _ in range(3):
        team.serialize(tmp_path)
        team = Team.deserialize(tmp_path, context=make_context())
    run(team)
    assert [question.partition(":")[0] for question in taken(asked)] == ["Draft", "Check", "Sign"]


@pytest.mark.parametrize("fails", ["Check", "Sign"])
def test_the_next_message_after_a_failure_is_taken_up_by_the_first_action(asked, make_context, monkeypatch, fails):
    def next_message():
        role = Lector(context=make_context())
        role._watch([UserRequirement])
        asked.replies = {fails: Reply.error("no such thing", 400)}
        with pytest.raises(Exception, match="no such thing"):
            asyncio.run(role.run("one"))
        taken(asked)
        asked.replies = {}
        asyncio.run(role.run("two"))

    next_message()
    assert taken(asked) == ["Check: two", "Sign: <Check: two>"]
    monkeypatch.setenv("METAGPT_OLLAMA_UNPATCHED", "recovery")
    with pytest.raises(Exception, match="list index out of range"):
        next_message()
    assert "Check: two" not in taken(asked)


def test_a_state_that_the_user_has_set_stays(asked, make_context):
    role = Lector(context=make_context())
    role._watch([UserRequirement])
    role._set_state(0)
    with pytest.raises(Exception, match="list index out of range"):
        asyncio.run(role.run("one"))
    # As with MetaGPT alone: the second action is the next one.
    assert taken(asked) == ["Sign: one"]
    # This failure has left a state, which the next message begins without; unless user code sets another one.
    role._set_state(0)
    with pytest.raises(Exception, match="list index out of range"):
        asyncio.run(role.run("two"))
    assert taken(asked)[0].startswith("Sign: ")
    asyncio.run(role.run("three"))
    assert [question.partition(":")[0] for question in taken(asked)] == ["Check", "Sign"]


class Doer(Role):
    """Does the tasks of a plan, as a DataInterpreter does."""

    name: str = "Dan"
    profile: str = "Doer"

    def __init__(self, **fields):
        super().__init__(**fields)
        self._watch([UserRequirement])

    @model_validator(mode="after")
    def plan_and_act(self):
        self._set_react_mode(RoleReactMode.PLAN_AND_ACT)
        return self

    async def _act_on_task(self, current_task):
        answer = await self.llm.aask(f"Do: {current_task.instruction}")
        return TaskResult(code="", result=answer, is_success=True)


def test_a_plan_goes_on_with_the_task_that_failed(asked, make_context, tmp_path, monkeypatch):
    tasks = [{"task_id": str(number), "instruction": f"part {number}"} for number in (1, 2, 3)]

    async def write_plan(self, *_args, **_kwargs):
        asked.append("Plan")
        return json.dumps(tasks)

    monkeypatch.setattr("metagpt.actions.di.write_plan.WritePlan.run", write_plan)
    team = team_of(make_context(), Doer)
    team.run_project(IDEA)
    asked.replies = {"Do: part 2": Reply.error("no such thing", 400)}
    recovered = recovered_after_failure(team, make_context, tmp_path, monkeypatch)
    assert taken(asked) == ["Plan", "Do: part 1", "Do: part 2"]
    asked.replies = {}
    run(recovered)
    assert taken(asked) == ["Do: part 2", "Do: part 3"]
    (role,) = recovered.env.roles.values()
    assert [task.result for task in role.planner.plan.tasks] == [f"<Do: part {number}>" for number in (1, 2, 3)]


class Mood(Enum):
    GLAD = "glad"


TYPES = {
    "text": (str, "a"),
    "number": (int, 3),
    "share": (float, 0.5),
    "certain": (bool, True),
    "maybe": (Optional[str], None),
    "perhaps": (Optional[list[str]], ["a"]),
    "either": (Union[str, int], 3),
    "anything": (Any, {"a": [1]}),
    "table": (list[list[str]], [["a"]]),
    "rows": (list[dict], [{"a": 1}]),
    "counts": (dict[str, int], {"a": 1}),
    "word": (Literal["a", "b"], "b"),
}


def message_with(types):
    fields = ActionNode.create_model_class("Answer", {name: (kind, ...) for name, (kind, _) in types.items()})
    return Message(content="c", instruct_content=fields(**{name: value for name, (_, value) in types.items()}))


def test_messages_with_fields_of_all_types(monkeypatch):
    message = message_with(TYPES)
    for again in (
        Message(**json.loads(message.model_dump_json())),
        deserialize_message(serialize_message(message)),
    ):
        assert again.instruct_content.model_dump() == {name: value for name, (_, value) in TYPES.items()}
    # An enumeration's class is not known any more.
    (mood,) = Message(**json.loads(message_with({"mood": (Mood, Mood.GLAD)}).model_dump_json())).instruct_content
    assert mood == ("mood", "glad")
    written = message.model_dump_json()
    monkeypatch.setenv("METAGPT_OLLAMA_UNPATCHED", "recovery")
    with pytest.raises(Exception, match="KeyError: 'type'"):
        message.model_dump_json()
    # MetaGPT reads what was written.
    assert Message(**json.loads(written)).instruct_content.number == 3


def test_types_that_metagpt_knows_are_written_as_by_itself(monkeypatch):
    message = message_with({"a": (list[str], ["x"]), "b": (list[list[str]], [["x"]])})
    ours_written = message.model_dump_json()
    monkeypatch.setenv("METAGPT_OLLAMA_UNPATCHED", "recovery")
    assert message.model_dump_json() == ours_written


def test_a_team_is_written_while_a_role_is_at_work(asked, server, make_context, tmp_path):
    team = team_of(make_context(), Author, Lector)
    team.run_project(IDEA)
    asked.replies = {"Check": Reply.chat(["one", " two"]).gated(1)}

    async def main():
        task = asyncio.ensure_future(team.run(n_round=3))
        await asyncio.to_thread(server.wait_for_request, 2)
        team.serialize(tmp_path)
        copies = [copy.deepcopy(team), pickle.loads(pickle.dumps(team))]
        asked.replies["Check"].gate.open_all()
        await task
        return copies

    copies = asyncio.run(main())
    assert taken(asked) == ["Draft: the sea", "Check: <Draft: the sea>", "Sign: one two"]
    asked.replies = {}
    run(Team.deserialize(tmp_path, context=make_context()))
    assert taken(asked) == ["Check: <Draft: the sea>", "Sign: <Check: <Draft: the sea>>"]
    for copied in copies:
        assert copied.env.roles["Author"].llm is not team.env.roles["Author"].llm
        copied.run_project("the moon")
        assert "Author: <Draft: the moon>" in run(copied)
        assert "Draft: the moon" in taken(asked)
