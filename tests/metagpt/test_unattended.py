"""Loops of MetaGPT that end badly, or not at all, where nobody watches: its own behaviour beside ours.

``MGXEnv`` is of MetaGPT's main branch only: a module of the same shape stands in.
"""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType, SimpleNamespace

import pytest
from metagpt.actions import Action
from metagpt.actions.di.ask_review import AskReview, ReviewConst
from metagpt.actions.di.execute_nb_code import ExecuteNbCode
from metagpt.roles import Role
from metagpt.roles.di.data_interpreter import DataInterpreter
from metagpt.schema import Task, TaskResult
from metagpt.strategy.planner import Planner

from metagpt_ollama_rs.provider.patches import unattended
from metagpt_ollama_rs.testing import Reply

MGX_ENV = """
async def get_human_input(prompt):
    raise EOFError("EOF when reading a line")


class MGXEnv:
    async def ask_human(self, question, sent_from=None):
        rsp = await get_human_input(question)
        return "Human response: " + rsp
"""


class Speak(Action):
    name: str = "Speak"

    async def run(self, history):
        return "spoken"


class Listen(Action):
    name: str = "Listen"

    async def run(self, history):
        return "listened"


def react(llm):
    """A role of two actions whose model says that it has reached its goal after the first."""
    role = Role(name="Rita", profile="Speaker", actions=[Speak(), Listen()])
    role.llm = llm
    role._set_react_mode("react", max_react_loop=5)
    return role.run("Speak.")


def states(request):
    prompt = request.json()["messages"][-1]["content"]
    return Reply.chat("0" if "previous stage: -1" in prompt else "-1", stream=request.json()["stream"])


def test_a_role_in_react_mode_ends_when_the_model_says_so(duel, server, ask):
    server.on("POST", "/api/chat", states)
    both = duel(react)
    assert isinstance(both.original.error.__context__, AttributeError)
    assert both.ours.value.content == "spoken"
    assert isinstance(ask("ours", react, extra_fields={"unpatched": "react_end"}).error.__context__, AttributeError)


@pytest.fixture
def nobody(monkeypatch):
    """Standard input is closed."""

    def read(_prompt=""):
        raise EOFError("EOF when reading a line")

    monkeypatch.setattr("builtins.input", read)


def review(trigger):
    async def ask_for_it(llm):
        return await AskReview(llm=llm).run(context=[], plan=None, trigger=trigger)

    return ask_for_it


def test_failed_programs_are_not_reviewed_where_nobody_is(duel, ask, nobody):
    both = duel(review(ReviewConst.CODE_REVIEW_TRIGGER))
    assert both.original.failure == "EOFError"
    assert both.ours.value == ("", False)
    off = ask("ours", review(ReviewConst.CODE_REVIEW_TRIGGER), extra_fields={"unpatched": "unattended"})
    assert off.failure == "EOFError"


def test_the_planners_review_is_that_of_the_role(duel, ask, nobody, monkeypatch):
    async def fails(self, code):
        return "SyntaxError", False

    async def writes(self, *_arguments, **_keywords):
        return "1 +", "WriteAnalysisCode"

    monkeypatch.setattr(ExecuteNbCode, "run", fails)
    monkeypatch.setattr(DataInterpreter, "_write_code", writes)

    def write(llm):
        role = DataInterpreter(react_mode="react")
        role.llm = llm
        return role._write_and_exec_code()

    both = duel(write)
    # The review is an action of the default configuration, which is Ollama's.
    assert both.original.failure == "EOFError"
    assert both.ours.value == ("1 +", "SyntaxError", False)
    assert ask("ours", write, extra_fields={"unpatched": "unattended"}).failure == "EOFError"


def test_a_review_of_the_plan_needs_somebody(ask, nobody):
    assert ask("ours", review(ReviewConst.TASK_REVIEW_TRIGGER)).failure == "EOFError"


@pytest.fixture
def mgx_env(monkeypatch):
    module = ModuleType("metagpt.environment.mgx.mgx_env_of_this_test")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(MGX_ENV, vars(module))
    unattended.replace_ask_human(module)
    return module.MGXEnv()


def test_a_question_to_nobody_stops_the_role(ask, mgx_env):
    def question(llm):
        return mgx_env.ask_human("Shall I go on?", sent_from=SimpleNamespace(name="Alex", llm=llm))

    answer = ask("ours", question).value
    # RoleZero looks for this ending, and for a "yes" to go on after its last round.
    assert answer.strip().lower().endswith(("stop", "<stop>"))
    assert "yes" not in answer.lower()
    assert ask("original", question).failure == "EOFError"
    assert ask("ours", question, extra_fields={"unpatched": "unattended"}).failure == "EOFError"


class Trier(Role):
    """Tries the tasks of its plan; `successes` says of each try whether it succeeds."""

    name: str = "Tim"
    successes: list[bool] = []
    tries: int = 0

    async def _act_on_task(self, current_task):
        self.tries += 1
        return TaskResult(result="SyntaxError", is_success=self.successes[self.tries - 1])


@pytest.fixture
def trying(monkeypatch):
    """Makes the call in which a role with an LLM object tries two tasks, whose plan stays as it is."""

    async def same_plan(self, *_arguments, **_keywords):
        return None

    monkeypatch.setattr(Planner, "update_plan", same_plan)

    def make(successes):
        async def run(llm):
            role = Trier(successes=successes)
            role.llm = llm
            role._set_react_mode("plan_and_act")
            role.planner.plan.goal = "a circle"
            role.planner.plan.add_tasks([Task(task_id="1", instruction="draw a circle"), Task(task_id="2")])
            await role.react()
            return role.tries

        return run

    return make


MOST = unattended.MAX_FAILED_TASKS


def test_a_task_that_always_fails_ends_the_run(duel, ask, trying):
    # The default configuration is Ollama's, but the role has an LLM object of another provider.
    both = duel(trying([*[False] * 2 * MOST, True, True]))
    assert both.original.value == 2 * MOST + 2
    assert isinstance(both.ours.error, RuntimeError)
    assert "'draw a circle'; its last result: 'SyntaxError'" in str(both.ours.error)
    off = ask("ours", trying([*[False] * 2 * MOST, True, True]), extra_fields={"unpatched": "endless_plans"})
    assert off.value == 2 * MOST + 2


def test_a_task_that_succeeds_is_the_end_of_counting(ask, trying):
    assert ask("ours", trying([*[False] * (MOST - 1), True] * 2)).value == 2 * MOST


def test_a_planner_of_no_role_is_left_to_metagpt(monkeypatch):
    async def same_plan(self, *_arguments, **_keywords):
        return None

    monkeypatch.setattr(Planner, "update_plan", same_plan)
    planner = Planner(goal="a circle", auto_run=True)
    planner.plan.add_tasks([Task(task_id="1", instruction="draw a circle")])

    async def main():
        for _ in range(2 * MOST):
            await planner.process_task_result(TaskResult(result="SyntaxError", is_success=False))

    asyncio.run(main())
