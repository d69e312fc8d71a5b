"""MetaGPT's own examples that need no cloud service, browser or person, with the right answers to what they ask.

Each is run as the file that it is, from a checkout's folder `examples`, and is done when it ends without an error and
has written what it shows: `shows` is a text of its output. An example whose file differs between the releases is run
on the release that it is of.
"""

from __future__ import annotations

from typing import NamedTuple

from .metagpt_scenarios import (
    CLASSIFY,
    CODE_PROMPT,
    COMMANDS,
    LANGUAGE,
    MAIN,
    MATH,
    NOVEL_ASKS,
    RELEASE,
    REPORT,
    THOUGHT,
    TUTORIAL,
    Answer,
    Ask,
    Scenario,
)

__all__ = ["EXAMPLES", "Example", "scenario_of"]

BOTH = (RELEASE, MAIN)


class Example(NamedTuple):
    """One file below `examples`, what its output shows, the answers, and arguments of the command line."""

    releases: tuple[str, ...]
    shows: str
    asks: tuple[Ask, ...] = ()
    arguments: tuple[str, ...] = ()


def _text(marker: str, text: str) -> Ask:
    return Ask(marker, Answer("text", text))


def _code(marker: str, code: str) -> Ask:
    return Ask(marker, Answer("code", code))


def _json(marker: str, value: object, carrier: str = "fence") -> Ask:
    return Ask(marker, Answer("json", value, carrier))


def _one_task(instruction: str, kind: str = "other") -> Ask:
    task = {"task_id": "1", "dependent_task_ids": [], "instruction": instruction, "task_type": kind}
    return _json("write a plan or modify an existing plan", [task])


_TESTS = "from product import product\n\n\ndef test_product():\n    assert product([2, 3, 4]) == 24"
_PRODUCT = "from math import prod\n\nprint('product:', prod([2, 3, 4]))"
_IRIS = (
    "from sklearn.datasets import load_iris\n"
    "data = load_iris(as_frame=True).frame\n"
    "print('mean length:', round(data['sepal length (cm)'].mean(), 2))"
)
_WINE = (
    "from sklearn.datasets import load_wine\n"
    "from sklearn.linear_model import LogisticRegression\n"
    "from sklearn.model_selection import train_test_split\n"
    "from sklearn.preprocessing import scale\n"
    "x, y = load_wine(return_X_y=True)\n"
    "a, b, c, d = train_test_split(scale(x), y, test_size=0.2, random_state=0)\n"
    "print('validation accuracy:', LogisticRegression().fit(a, c).score(b, d))"
)
_MAGIC = "def magic_function(a, b):\n    return {'arg1': a * 3, 'arg2': b * 5}\n\nprint(magic_function('A', 2))"
_DEBATE = (
    _text("Now it's your turn", "We should care for the climate."),
    _text("Express your opinion", "We should care for the climate."),
)


def _routed(first: list[dict[str, object]], done: str, then: tuple[Ask, ...] = ()) -> tuple[Ask, ...]:
    """Answers for a leader who gives the task to the one role beside him, and for that role, whose `first` commands are
    followed by the end once `done` is in the conversation."""

    def commands(conversation: str) -> Answer:
        available = conversation.rpartition("# Available Commands")[2].partition("# Example")[0]
        if "publish_team_message" in available:
            name = next(name for name in ("Alice", "Bob", "Alex") if f"{name}:" in conversation)
            args = {"content": "Do what the user asks for.", "send_to": name}
            message = {"command_name": "TeamLeader.publish_team_message", "args": args}
            finished = "I have finished the task" in conversation
            return Answer("json", [{"command_name": "end", "args": {}} if finished else message], THOUGHT)
        finished = done in conversation
        return Answer("json", [{"command_name": "end", "args": {}}] if finished else first, THOUGHT)

    return (CLASSIFY, LANGUAGE, *REPORT, *then, Ask(COMMANDS, commands))


def _write(path: str, content: str) -> list[dict[str, object]]:
    return [{"command_name": "Editor.write", "args": {"path": path, "content": content}}]


EXAMPLES: dict[str, Example] = {
    "ping.py": Example(BOTH, "A: pong", (_text("ping?", "pong"),)),
    "hello_world.py": Example(
        BOTH,
        "A: I am a robot",
        (
            _text("who are you?", "I am a robot"),
            _text("what's your name?", "My name is Llama."),
            _text("hi", "Hello!"),
            _text("count from 1 to 10", "1\n2\n3"),
            _code("write python hello world.", "print('hello world')"),
        ),
    ),
    "build_customized_agent.py": Example(BOTH, "product: 24", (_code("provide two runnable test cases", _PRODUCT),)),
    # The three teams below have no TeamLeader, without which a team of the main branch ends at its first message.
    "build_customized_multi_agents.py": Example(
        (RELEASE,),
        "Test the empty list, too.",
        (
            _text("Review the test cases", "Test the empty list, too."),
            _code("unit tests using pytest", _TESTS),
            _code("Write a python function that can", _PRODUCT),
        ),
    ),
    "debate.py": Example((RELEASE,), "We should care for the climate.", _DEBATE, ("--idea=the climate", "--n_round=3")),
    "debate_simple.py": Example((RELEASE,), "We should care for the climate.", _DEBATE),
    "agent_creator.py": Example(
        BOTH, "class SimpleTester", (_code("create an agent with appropriate actions", "class SimpleTester: pass"),)
    ),
    "write_novel.py": Example((MAIN,), "Chapter 2: The dragon", NOVEL_ASKS),
    "write_tutorial.py": Example(BOTH, "Text of a chapter.", TUTORIAL),
    "di/solve_math_problems.py": Example(BOTH, "least sum: 60", MATH),
    "di/custom_tool.py": Example(
        BOTH,
        "{'arg1': 'AAA', 'arg2': 10}",
        (
            _json("Recommend up to 5 tools", ["magic_function"]),
            _one_task("Call magic_function with 'A' and 2"),
            _code(CODE_PROMPT, _MAGIC),
        ),
    ),
    "di/data_visualization.py": Example(
        BOTH, "mean length: 5.84", (_one_task("Look at the data", "eda"), _code(CODE_PROMPT, _IRIS))
    ),
    "di/machine_learning.py": Example(
        BOTH, "validation accuracy: ", (_one_task("Train a model", "model train"), _code(CODE_PROMPT, _WINE))
    ),
    "di/automated_planning_of_tasks.py": Example((MAIN,), "- 1: Write the game", (_one_task("Write the game"),)),
    "di/data_analyst_write_code.py": Example(
        (MAIN,), "[[1, 2], [3, 4]]", (_code(CODE_PROMPT, "print([[1, 2], [3, 4]])"),)
    ),
    "di/atomization_capacity_plan.py": Example((MAIN,), "Completed Tasks: 2"),
    "serialize_model.py": Example((MAIN,), "The instance is MGXEnv()"),
    "exp_pool/scorer.py": Example(
        (MAIN,), "3", (_json('"val"', {"val": 3, "reason": "It lacks a base case."}, "fence"),)
    ),
    "use_off_the_shelf_agent.py": Example(
        (MAIN,), "I have finished the task", _routed(_write("prd.md", "# PRD"), "Command Editor.write executed")
    ),
    "write_design.py": Example(
        (MAIN,), "I have finished the task", _routed(_write("trd.md", "# TRD"), "Command Editor.write executed")
    ),
    "write_game_code.py": Example(
        (MAIN,),
        "has been successfully created",
        _routed(
            [{"command_name": "Engineer2.write_new_code", "args": {"path": "game.py", "file_description": "2048"}}],
            "Command Engineer2.write_new_code executed",
            (_code("# Current Coding File", "print(2048)"),),
        ),
    ),
}


def scenario_of(file: str) -> Scenario:
    """The example as a scenario of one stage."""
    example = EXAMPLES[file]
    return Scenario(f"examples/{file}", example.releases, ("done",), example.asks, seconds=60)
