"""Runs scenarios of `metagpt_scenarios` in MetaGPT, each in a process of its own.

`metagpt_runs` starts this module with an interpreter that has MetaGPT, a folder as HOME and METAGPT_PROJECT_ROOT, and
the provider's name. MetaGPT is imported once; each run is a fork of that, in an emptied folder, and is killed with all
that it has started when its time is over. A line of stdin asks for a run, a line of stdout has what came of it:

    {"scenario": "react role", "seconds": 60, "kernel": true}
    {"stages": ["first action", "second action", "all in order"], "error": "", "seconds": 0.4, "late": false}

The provider is what `metagpt.provider` registers (original), or this package's, which replaces it when imported.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any, Callable, List  # noqa: UP035 - MetaGPT's nodes know this List alone

from . import metagpt_scenarios as told
from .metagpt_examples import EXAMPLES, scenario_of
from .metagpt_scenarios import MAIN, SCENARIOS, Scenario

ROOT = Path(os.environ.get("METAGPT_PROJECT_ROOT", "."))
OUTCOME, LOG = "outcome.json", "run.log"
KEPT = {"config", ".metagpt"}
# How long a run has for its end after it was interrupted.
GRACE_SECONDS = 10.0

Stages = list[str]
Run = Callable[[Scenario, Stages], Any]


def main() -> None:
    provider, release = sys.argv[1:3]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _shorten_waits()
    _bound_answers(json.loads(os.environ.get("METAGPT_RUNS_OPTIONS", "{}")), provider)
    if provider != "original":
        import metagpt_ollama_rs.provider  # noqa: F401
    import metagpt.roles.di.data_interpreter
    import metagpt.roles.tutorial_assistant
    import metagpt.software_company
    import metagpt.team

    if release == MAIN:
        import metagpt.roles.di.engineer2
        import metagpt.roles.di.team_leader  # noqa: F401
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        title = asked["scenario"]
        example = title.partition("examples/")[2]
        scenario = scenario_of(example) if example else SCENARIOS[title, release]
        print(json.dumps(_run_in_a_fork(scenario, asked)), file=answers, flush=True)


def _shorten_waits() -> None:
    """MetaGPT waits up to a minute before it asks again; how often it asks is what counts here."""
    import tenacity.wait

    for name in ("wait_random_exponential", "wait_exponential", "wait_fixed", "wait_random"):
        getattr(tenacity.wait, name).__call__ = lambda self, retry_state: 0.0


def _bound_answers(options: dict[str, Any], provider: str) -> None:
    """Gives every LLM object options for the server that MetaGPT's own cannot be configured to send."""
    if not options:
        return
    if provider == "original":
        from metagpt.provider import ollama_api as module
    else:
        import metagpt_ollama_rs.provider as module  # type: ignore[no-redef]
    make = module.OllamaLLM.__init__

    def make_bounded(self: Any, *arguments: Any, **more: Any) -> None:
        make(self, *arguments, **more)
        self.ollama_message.additional_kwargs["options"].update(options)

    module.OllamaLLM.__init__ = make_bounded


def _run_in_a_fork(scenario: Scenario, asked: dict[str, Any]) -> dict[str, Any]:
    for item in ROOT.iterdir():
        if item.name not in KEPT:
            shutil.rmtree(item) if item.is_dir() and not item.is_symlink() else item.unlink()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        _be_the_run(scenario, asked)
    late = False
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        over = time.monotonic() - began - asked["seconds"]
        if over > 0 and not late:
            # An interrupted run still looks at what there is.
            late = True
            os.kill(child, signal.SIGINT)
        elif over > GRACE_SECONDS:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            break
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    try:
        outcome: dict[str, Any] = json.loads((ROOT / OUTCOME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        outcome = {"stages": [], "error": "no outcome"}
    if late:
        outcome["error"] = f"not over after {asked['seconds']:.0f} s"
    return {**outcome, "late": late, "seconds": round(time.monotonic() - began, 1)}


def _be_the_run(scenario: Scenario, asked: dict[str, Any]) -> None:
    """Runs the scenario in this process, a fork, writes the outcome and ends the process."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    log = os.open(ROOT / LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.chdir(ROOT)
    (ROOT / "workspace").mkdir()
    stages, error = Reached(), ""
    if not asked["kernel"]:
        _run_programs_here()
    try:
        RUNS.get(scenario.name, run_example)(scenario, stages)
    except BaseException as caught:
        traceback.print_exc()
        cause = caught.__context__ if type(caught) is Exception and caught.__context__ is not None else caught
        error = f"{type(cause).__name__}: {cause}"[:300]
    stages.write(error)
    sys.stdout.flush()
    os._exit(0)


class Reached(list):  # type: ignore[type-arg]
    """The stages that a run has reached, written to the outcome's file at once: a run may be killed."""

    def append(self, stage: str) -> None:
        if stage not in self:
            super().append(stage)
            self.write("")

    def write(self, error: str) -> None:
        unfinished = ROOT / (OUTCOME + ".new")
        unfinished.write_text(json.dumps({"stages": self, "error": error}), encoding="utf-8")
        unfinished.replace(ROOT / OUTCOME)


@contextlib.contextmanager
def _afterwards(look: Callable[[], None]) -> Iterator[None]:
    """Looks at what there is, also after an error."""
    try:
        yield
    finally:
        look()


def _within(run: Awaitable[Any]) -> Any:
    async def wait() -> Any:
        return await run

    return asyncio.run(wait())


def _counts_right(program: Path, stages: Stages, stage: str) -> None:
    """Reaches `stage` if `program` says that a text of five words has five."""
    text = ROOT / "five.txt"
    text.write_text("one two three\nfour five\n", encoding="utf-8")
    done = subprocess.run([sys.executable, program, text], capture_output=True, text=True, timeout=30, check=False)
    if done.stdout.strip() == "5":
        stages.append(stage)


def run_command(scenario: Scenario, stages: Stages) -> None:
    """`metagpt "Write a word counter."` as the command runs it."""
    from metagpt.software_company import app, generate_repo

    def look() -> None:
        folder = ROOT / "workspace" / "word_counter"
        for stage, part in (("PRD", "prd"), ("design", "system_design"), ("tasks", "task")):
            if list((folder / "docs" / part).glob("*.json")) or list(ROOT.glob(f"workspace/*/docs/{part}/*.json")):
                stages.append(stage)
        program = folder / ("word_counter/main.py" if "PRD" in scenario.stages else "main.py")
        if program.exists():
            stages.append("code")
            _counts_right(program, stages, scenario.stages[-1])

    with _afterwards(look):
        if "PRD" in scenario.stages:
            app(["Write a word counter."], standalone_mode=False)
        else:
            # Main pins a typer that does not understand the options of newer releases of click.
            generate_repo("Write a word counter.")


MATH = (
    "Solve this math problem: The greatest common divisor of positive integers m and n is 6. The least common multiple "
    "of m and n is 126. What is the least possible value of m + n?"
)


def run_data_interpreter(scenario: Scenario, stages: Stages) -> None:
    """The problem of MetaGPT's example `di/solve_math_problems.py`, with a plan."""
    from metagpt.roles.di.data_interpreter import DataInterpreter

    role = DataInterpreter()

    def look() -> None:
        tasks = role.planner.plan.tasks
        if tasks:
            stages.append(scenario.stages[0])
        if tasks and tasks[0].is_finished:
            stages.append(scenario.stages[1])
        if len(tasks) == 2 and all(task.is_finished for task in tasks) and "least sum: 60" in tasks[1].result:
            stages.append(scenario.stages[2])

    with _afterwards(look):
        _watch_kernel(scenario, stages)
        _within(role.run(MATH))


def run_reacting_data_interpreter(scenario: Scenario, stages: Stages) -> None:
    """The same problem without a plan: after each program the model says whether it is solved."""
    from metagpt.roles.di.data_interpreter import DataInterpreter

    role = DataInterpreter(react_mode="react", max_react_loop=5)
    results = _watch_kernel(scenario, stages)

    def look() -> None:
        if results:
            stages.append("code")
        if len(results) > 1:
            stages.append("thought")

    with _afterwards(look):
        _within(role.run(MATH))
    if len(results) == 2 and "least sum: 60" in results[1]:
        stages.append(scenario.stages[2])


def run_with_a_tool(scenario: Scenario, stages: Stages) -> None:
    """MetaGPT's example `di/custom_tool.py`: one tool of the user's, which the model has to choose."""
    from metagpt.roles.di.data_interpreter import DataInterpreter
    from metagpt.tools.tool_recommend import ToolRecommender
    from metagpt.tools.tool_registry import register_tool

    def magic_function(arg1: str, arg2: int) -> dict:  # type: ignore[type-arg]
        """
        The magic function that does something.

        Args:
            arg1 (str): ...
            arg2 (int): ...

        Returns:
            dict: ...
        """
        return {"arg1": arg1 * 3, "arg2": arg2 * 5}

    register_tool()(magic_function)
    role = DataInterpreter(tools=["magic_function"])
    results = _watch_kernel(scenario, stages)
    rank = ToolRecommender.rank_tools

    async def ranking(self: Any, **arguments: Any) -> Any:
        tools = await rank(self, **arguments)
        if [tool.name for tool in tools] == ["magic_function"]:
            stages.append("tool")
        return tools

    ToolRecommender.rank_tools = ranking

    def look() -> None:
        if role.planner.plan.tasks:
            stages.append("plan")
        # An interpreter that was not told of the tool has not called it.
        if "tool" in stages and results and "{'arg1': 'AAA', 'arg2': 10}" in results[-1]:
            stages.append(scenario.stages[2])

    with _afterwards(look):
        _within(role.run("Just call the magic function with arg1 'A' and arg2 2. Tell me the result."))


def _run_programs_here() -> None:
    """Runs the programs of a DataInterpreter in this process, which spares the start of a kernel for each run."""
    from metagpt.actions.di.execute_nb_code import ExecuteNbCode

    names: dict[str, Any] = {}

    async def run(self: Any, code: str, language: str = "python") -> tuple[str, bool]:
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                exec(compile(code, "<program>", "exec"), names)
        except Exception:
            return traceback.format_exc(), False
        return printed.getvalue(), True

    ExecuteNbCode.run = run


def _watch_kernel(scenario: Scenario, stages: Stages) -> list[str]:
    """The results of the programs that ran well, in a list that grows."""
    from metagpt.actions.di.execute_nb_code import ExecuteNbCode

    results: list[str] = []
    run = ExecuteNbCode.run

    async def running(self: Any, code: str, *arguments: Any, **more: Any) -> Any:
        outcome = await run(self, code, *arguments, **more)
        if outcome[1] and not code.startswith("import warnings"):
            results.append(outcome[0])
        return outcome

    ExecuteNbCode.run = running
    return results


def run_react_role(scenario: Scenario, stages: Stages) -> None:
    """A role of three actions, of which the model chooses the next one each time."""
    from metagpt.actions import Action
    from metagpt.roles import Role

    done: list[str] = []

    def action(title: str) -> Any:
        class Step(Action):
            name: str = title

            async def run(self, history: Any) -> str:
                done.append(title)
                return str(await self._aask(title))

        Step.__name__ = title.split()[0]
        return Step

    titles = ["Collect three animals", "Count the animals", "Report the animals"]
    role = Role(name="Rita", profile="Reporter", goal="report animals", actions=[action(title)() for title in titles])
    role._set_react_mode("react", max_react_loop=6)

    def look() -> None:
        for stage, expected in zip(scenario.stages[:2], (titles[:1], titles[:2])):
            if done[: len(expected)] == expected:
                stages.append(stage)

    with _afterwards(look):
        _within(role.run("Which animals are there?"))
    if done == titles:
        stages.append(scenario.stages[2])


def run_research(scenario: Scenario, stages: Stages) -> None:
    """The three actions of MetaGPT's Researcher on pages of this process."""
    from metagpt.actions.research import CollectLinks, ConductResearch, WebBrowseAndSummarize
    from metagpt.tools.search_engine import SearchEngine
    from metagpt.tools.web_browser_engine import WebBrowserEngine
    from metagpt.utils.parse_html import WebPage

    searched: list[str] = []

    async def search(query: str, max_results: int = 8, as_string: bool = True) -> Any:
        searched.append(query)
        return [{"title": name, "link": link, "snippet": name} for name, link in told.LINKS.items()]

    async def browse(*urls: str, **_: Any) -> Any:
        pages = [WebPage(inner_text=told.PAGES[url], html="", url=url) for url in urls]
        return pages if len(pages) > 1 else pages[0]

    async def research() -> None:
        engine = SearchEngine.from_search_func(search)
        links = await CollectLinks(search_engine=engine).run("apples", decomposition_nums=1, url_per_query=2)
        if searched[:2] == ["apple harvest", "apple price"]:
            stages.append("keywords")
        if list(links) == ["How much does a tree give?"]:
            stages.append("queries")
        urls = [url for found in links.values() for url in found]
        if urls == [told.LINKS["prices"], told.LINKS["apples"]]:
            stages.append("links ranked")
        browser = WebBrowserEngine(engine="custom", run_func=browse)
        summarize = WebBrowseAndSummarize(web_browser_engine=browser)
        summaries = await summarize.run(*urls, query="How much does a tree give?")
        text = "\n".join(str(summary) for summary in summaries.values())
        report = await ConductResearch().run("apples", text)
        if "links ranked" in stages and "40 kilograms" in text and "120 coins" in report:
            stages.append(scenario.stages[-1])

    _within(research())


def run_tutorial(scenario: Scenario, stages: Stages) -> None:
    """MetaGPT's example `write_tutorial.py`."""
    from metagpt.roles.tutorial_assistant import TutorialAssistant

    role = TutorialAssistant(language="English")
    message = _within(role.run("Write a tutorial about MySQL"))
    if role.main_title:
        stages.append("contents")
        file = Path(message.content)
        if file.name == "MySQL.md" and file.read_text(encoding="utf-8").count("Text of a chapter.") == 2:
            stages.append(scenario.stages[1])


def run_nested_nodes(scenario: Scenario, stages: Stages) -> None:
    """MetaGPT's example `write_novel.py`: a node of eight fields, and one whose field is a list of objects."""
    from metagpt.actions.action_node import ActionNode
    from metagpt.llm import LLM
    from pydantic import create_model

    chapter = create_model("Chapter", name=(str, "Chapter 1"), content=(str, "..."))
    examples = [{"name": "Chapter 1", "content": "..."}]
    chapters = create_model("Chapters", chapters=(List[chapter], examples))  # type: ignore[valid-type]  # noqa: UP006
    empty = {str: "...", list: ["..."]}
    novel = create_model("Novel", **{key: (type(value), empty[type(value)]) for key, value in told.NOVEL.items()})
    question = "Write a novel named 'Reborn in Skyrim'."

    async def write() -> None:
        filled = await _filled(ActionNode.from_pydantic(novel), question, LLM())
        right = filled.instruct_content.model_dump() == told.NOVEL
        stages.append("novel")
        filled = await _filled(ActionNode.from_pydantic(chapters), f"{question}\n{filled.content}", LLM())
        stages.append("chapters")
        if right and filled.instruct_content.model_dump() == told.CHAPTERS:
            stages.append(scenario.stages[2])

    _within(write())


async def _filled(node: Any, question: str, llm: Any) -> Any:
    """The node filled for a question, whose parameter has another name on main."""
    name = "context" if "context" in inspect.signature(node.fill).parameters else "req"
    return await node.fill(**{name: question}, llm=llm)


def run_role_zero(scenario: Scenario, stages: Stages) -> None:
    """A RoleZero that writes a file with the editor and ends."""
    from metagpt.roles.di.role_zero import RoleZero
    from metagpt.schema import Message

    asked: list[str] = []

    class Writer(RoleZero):
        name: str = "Wilma"
        profile: str = "Writer"
        goal: str = "write files"
        tools: list[str] = ["Plan", "Editor:write,read", "RoleZero"]
        max_react_loop: int = 8

        async def ask_human(self, question: str) -> str:
            asked.append(question)
            return "Nobody is there. <STOP>"

    role = Writer()
    role.editor._set_workdir(str(ROOT)) if hasattr(role.editor, "_set_workdir") else None
    run_commands = RoleZero._run_commands

    async def running(self: Any, commands: Any) -> Any:
        stages.append("commands")
        return await run_commands(self, commands)

    RoleZero._run_commands = running

    def look() -> None:
        file = ROOT / "hello.txt"
        if file.exists() and file.read_text(encoding="utf-8") == told.GREETING:
            stages.append("the file is right")

    with _afterwards(look):
        _within(role.run(Message(content="Write a file named hello.txt with a greeting.", send_to={role.name})))
    by_itself = not asked and role.rc.todo is None and re.search(r'"command_name": "end"', role.command_rsp)
    if "the file is right" in stages and by_itself:
        stages.append(scenario.stages[2])


def run_example(scenario: Scenario, stages: Stages) -> None:
    """The file below `examples` of the checkout that METAGPT_EXAMPLES names, as `python FILE` runs it."""
    file = scenario.name.partition("examples/")[2]
    folder = ROOT / "examples"
    folder.symlink_to(os.environ["METAGPT_EXAMPLES"])
    sys.argv = [file, *EXAMPLES[file].arguments]
    sys.path.insert(0, str((folder / file).parent))
    runpy.run_path(str(folder / file), run_name="__main__")
    sys.stdout.flush()
    if EXAMPLES[file].shows in (ROOT / LOG).read_text(encoding="utf-8", errors="replace"):
        stages.append("done")


RUNS: dict[str, Run] = {
    "metagpt command": run_command,
    "DataInterpreter, plan and act": run_data_interpreter,
    "DataInterpreter, react": run_reacting_data_interpreter,
    "DataInterpreter with a tool": run_with_a_tool,
    "react role": run_react_role,
    "research on local pages": run_research,
    "TutorialAssistant": run_tutorial,
    "nested ActionNodes": run_nested_nodes,
    "RoleZero": run_role_zero,
}


if __name__ == "__main__":
    main()
