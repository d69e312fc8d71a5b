"""The places of MetaGPT whose answers `structured` counts: each asks a model with MetaGPT's own prompt and parser.

A place is an async function of an LLM object and the number of the prompt. It returns whether MetaGPT's parser took the
answer, or raises what MetaGPT raises. Where MetaGPT hides a failure behind a default, the place looks at the log. What
a place needs of MetaGPT beyond the function (a search engine, a role's memory) is a stand-in.
"""

from __future__ import annotations

import inspect
import json
import re
from types import SimpleNamespace
from typing import Any, List  # noqa: UP035 - MetaGPT 0.8.2 knows this type of a field by its name

TASKS = (
    "a web shop for books",
    "a chess game for the terminal",
    "an alarm clock for the phone",
    "a recipe collection with a search",
    "a budget planner for families",
    "a weather page for sailors",
    "a quiz about the capitals of Europe",
    "a to-do list with reminders",
    "a photo album with tags",
    "a tool that renames files",
)


def task(number: int) -> str:
    return TASKS[number % len(TASKS)]


def once(function: Any) -> None:
    """Switches off the retries that MetaGPT has around ``function``."""
    from tenacity import stop_after_attempt

    function.retry.stop = stop_after_attempt(1)


class Log:
    """Stands in for the log of a module of MetaGPT, and notes that it was complained to."""

    def __init__(self, *complaints: str) -> None:
        self.complaints, self.complained = complaints, False

    def __getattr__(self, level: str) -> Any:
        def log(_text: Any, *_args: Any) -> None:
            self.complained = self.complained or level in self.complaints

        return log


class Enough(Exception):
    """The answer that counts has been parsed."""


async def node(llm: Any, number: int) -> bool:
    """Fills an ActionNode of three fields."""
    from metagpt.actions.action_node import ActionNode

    once(ActionNode._aask_v1)
    plan_node = ActionNode.from_children(
        "Plan",
        [
            ActionNode("Title", str, "A short title of the project", "Web shop"),
            ActionNode("Tasks", List[str], "Three tasks, in their order", ["Draw the pages", "Write the code"]),  # noqa: UP006
            ActionNode("Days", int, "How many days it takes", 3),
        ],
    )
    context = "req" if "req" in inspect.signature(ActionNode.fill).parameters or _is_main() else "context"
    await plan_node.fill(**{context: f"Plan {task(number)}."}, llm=llm)
    return set(plan_node.instruct_content.model_dump()) == {"Title", "Tasks", "Days"}


def _is_main() -> bool:
    import importlib.util

    return importlib.util.find_spec("metagpt.exp_pool") is not None


async def review(llm: Any, number: int) -> bool:
    """Reviews a filled ActionNode."""
    from metagpt.actions.action_node import ActionNode

    fields = [ActionNode("Title", str, "A short title", "Shop"), ActionNode("Days", int, "How many days", 3)]
    plan_node = ActionNode.from_children("Plan", fields)
    plan_node.set_llm(llm)
    plan_node.instruct_content = plan_node.create_class()(Title=task(number), Days=number)
    return bool(await plan_node.auto_review())


async def plan(llm: Any, number: int) -> bool:
    """Writes a plan: a list of tasks."""
    from metagpt.actions.di.write_plan import WritePlan
    from metagpt.schema import Message, Task

    action = WritePlan()
    action.llm = llm
    answer = await action.run([Message(content=f"Write {task(number)} in Python.", role="user")], max_tasks=3)
    return bool([Task(**fields) for fields in json.loads(answer)])


async def tools(llm: Any, number: int) -> bool:
    """Chooses tools for a task."""
    from metagpt.tools import tool_recommend

    recalled = [
        SimpleNamespace(name=name, schemas={"description": text})
        for name, text in {
            "Scraper": "reads pages of the web",
            "Charts": "draws charts of tables",
            "Mailer": "sends mails",
            "Cleaner": "fills gaps in tables",
        }.items()
    ]
    tool_recommend.LLM = lambda: llm
    await tool_recommend.ToolRecommender().rank_tools(recalled, context=f"Make {task(number)}.", topk=2)
    return True


async def decision(llm: Any, number: int) -> bool:
    """DataInterpreter's decision whether to go on."""
    from metagpt.roles.di.data_interpreter import DataInterpreter
    from metagpt.schema import Message

    steps = [Message(content=f"Make {task(number)}.", role="user"), Message(content="print('ready')", role="assistant")]
    role = SimpleNamespace(
        llm=llm,
        get_memories=lambda: steps,
        working_memory=SimpleNamespace(get=lambda: steps, add=lambda _message: None),
        _set_state=lambda _state: None,
    )
    return isinstance(await DataInterpreter._think(role), bool)


async def stage(llm: Any, number: int) -> bool:
    """The number of a role's next action, and nothing else."""
    from metagpt.actions import Action
    from metagpt.roles.role import Role, RoleReactMode
    from metagpt.schema import Message

    class Ask(Action):
        name: str = "Ask"

    class Draw(Action):
        name: str = "Draw"

    class Write(Action):
        name: str = "Write"

    role = Role(name="Ann", profile="Engineer", goal=f"make {task(number)}")
    role.set_actions([Ask, Draw, Write])
    role.rc.react_mode = RoleReactMode.REACT
    role.rc.memory.add(Message(content=f"Make {task(number)}.", role="user"))
    answers: list[str] = []
    asked = llm.aask

    async def listening(*args: Any, **kwargs: Any) -> Any:
        answers.append(await asked(*args, **kwargs))
        return answers[-1]

    llm.aask = listening
    role.llm = llm
    await role._think()
    return answers[0].strip() in ("-1", "0", "1", "2")


async def thoughts(llm: Any, number: int) -> bool:
    """The thoughts of a tree."""
    from metagpt.strategy.base import ThoughtNode, ThoughtTree
    from metagpt.strategy.tot import ThoughtSolverBase

    root = ThoughtNode("root")
    parser = SimpleNamespace(propose=lambda current_state, **_: f"Propose two ways to make {current_state}.")
    solver = SimpleNamespace(
        llm=llm, config=SimpleNamespace(parser=parser, n_generate_sample=2), thought_tree=ThoughtTree(root)
    )
    return bool(await ThoughtSolverBase.generate_thoughts(solver, task(number), root))


async def keywords(llm: Any, number: int) -> bool:
    """Keywords for a search."""
    from metagpt.actions import research

    research.logger = log = Log("exception")

    async def search(*_args: Any, **_kwargs: Any) -> Any:
        raise Enough

    action = SimpleNamespace(llm=llm, _aask=llm.aask, search_engine=SimpleNamespace(run=search))
    try:
        await research.CollectLinks.run(action, task(number))
    except Enough:
        return not log.complained
    # MetaGPT takes an answer without a list for an empty list, and fails on it.
    return False


async def ranks(llm: Any, number: int) -> bool:
    """The indexes of results of a search, best first."""
    from metagpt.actions import research
    from metagpt.utils import common

    research.logger = common.logger = log = Log("exception", "error")

    async def search(*_args: Any, **_kwargs: Any) -> Any:
        return [{"title": f"{task(number)}, part {part}", "link": f"https://{part}.example"} for part in range(4)]

    action = SimpleNamespace(llm=llm, _aask=llm.aask, _search_urls=search, rank_func=None)
    action.search_engine = SimpleNamespace(run=search)
    await research.CollectLinks._search_and_rank_urls(action, task(number), "how to make it")
    return not log.complained


async def outline(llm: Any, number: int) -> bool:
    """The outline of a tutorial."""
    from metagpt.actions.write_tutorial import WriteDirectory

    action = WriteDirectory(language="English")
    action.llm = llm
    return {"title", "directory"} <= set(await action.run(f"how to make {task(number)}"))


async def commands(llm: Any, number: int) -> bool:
    """A turn of RoleZero: thoughts and commands, which are parsed without asking for a repair."""
    from metagpt.roles.di.role_zero import RoleZero
    from metagpt.schema import UserMessage
    from metagpt.utils.role_zero_utils import parse_commands

    role = RoleZero(tools=["RoleZero", "Plan", "Editor:write,read"])
    role.llm = llm
    role._set_state(0)
    role.planner.plan.goal, role.respond_language = f"Write {task(number)}.", "English"
    role.rc.memory.add(UserMessage(content=f"Write {task(number)}."))
    await role._think()
    found, ok, _ = await parse_commands(role.command_rsp, llm, role.exclusive_tool_commands)
    known = {*role.tool_execution_map, *role.special_tool_commands}
    return bool(ok and found and all(command["command_name"] in known for command in found))


async def query(llm: Any, number: int) -> bool:
    """A better query for a search."""
    from metagpt.actions import search_enhanced_qa

    search_enhanced_qa.logger = log = Log("warning")
    made = search_enhanced_qa.SearchEnhancedQA
    action = SimpleNamespace(llm=llm, _aask=llm.aask)
    action._extract_rewritten_query = lambda answer: made._extract_rewritten_query(action, answer)
    await made._rewrite_query(action, f"how do I make {task(number)}?")
    return not log.complained


async def score(llm: Any, number: int) -> bool:
    """The score of an answer."""
    from metagpt.exp_pool.scorers.simple import SimpleScorer

    await SimpleScorer(llm=llm).evaluate(f"Make {task(number)}.", "print('ready')")
    return True


async def resources(llm: Any, number: int) -> bool:
    """The resources that a message names."""
    from metagpt.schema import Message

    message = Message(content=f"Make {task(number)} in /srv/app{number}, as https://example.org/{number} has it.")
    return "resources" in await message.parse_resources(llm, key_descriptions={"path": "the project path if exists"})


async def verdict(llm: Any, number: int) -> bool:
    """Whether a framework fulfils its requirements."""
    from metagpt.actions.requirement_analysis.evaluate_action import EvaluateAction
    from metagpt.actions.requirement_analysis.framework import evaluate_framework

    once(EvaluateAction._evaluate)
    keys = re.findall(r"\{(\w+)\}", evaluate_framework.PROMPT)
    action = EvaluateAction()
    action.llm = llm
    await action._evaluate(evaluate_framework.PROMPT.format(**dict.fromkeys(keys, task(number))))
    return True


async def main_file(llm: Any, number: int) -> bool:
    """The main file of an imported repository."""
    from pathlib import Path

    from metagpt.actions.import_repo import ImportRepo

    async def select(**_kwargs: Any) -> Any:
        return [SimpleNamespace(subject="README.md", object_=f"python main.py starts {task(number)}")]

    action = SimpleNamespace(llm=llm, graph_db=SimpleNamespace(select=select))
    entries = [Path("src/main.py"), Path("src/setup.py"), Path("tests/test_main.py")]
    return await ImportRepo._guess_main_entry(action, entries) in entries


# In the order of the table. Those of the second line are on MetaGPT's main branch only.
PLACES = {
    made.__name__: made
    for made in (
        *(node, review, plan, tools, decision, stage, thoughts, keywords, ranks, outline),
        *(commands, query, score, resources, verdict, main_file),
    )
}
ONLY_ON_MAIN = ("commands", "query", "score", "resources", "verdict", "main_file")
