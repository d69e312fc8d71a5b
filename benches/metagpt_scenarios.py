r"""What the runs of `metagpt_runs` ask of MetaGPT, and what a model answers that knows every right answer.

A `Scenario` names the releases that it runs on, the stages that can be seen from outside, and the right answers: for
each prompt of MetaGPT a text by which it is known, and a value (JSON), a program (code) or a text. How the value is
wrapped is the scripted model's business; MetaGPT's own code of the scenario is in `metagpt_worker`.

>>> scenario = SCENARIOS["react role", "0.8.2"]
>>> find_answer(scenario, ["Your previous stage: -1\n... Just answer a number between 0-2 ..."]).value
0

Standard library only: the process that serves the model has no MetaGPT in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Callable, NamedTuple, Optional

__all__ = ["SCENARIOS", "Answer", "Ask", "Scenario", "find_answer"]

RELEASE, MAIN = "0.8.2", "main"

# What a value is taken out of: tags of ActionNodes, a fence after a thought, a fence, the brackets, the whole text.
TAGS, THOUGHT, FENCE, BARE, NUMBER = "tags", "thought", "fence", "bare", "number"


class Answer(NamedTuple):
    """The right answer to one prompt. `kind` is ``json``, ``code`` or ``text``; `carrier` is what the prompt asks the
    value to be wrapped in."""

    kind: str
    value: Any
    carrier: str = FENCE


class Ask(NamedTuple):
    """A prompt, known by a text that it contains, and its answer, or a function of the whole conversation."""

    marker: str
    answer: Answer | Callable[[str], Answer]


@dataclass(frozen=True)
class Scenario:
    """One thing that users do with MetaGPT. `stages` are in the order in which a run reaches them; the last one is
    reached only by a run whose product is right. ``writes_programs`` says that some answers are programs."""

    name: str
    releases: tuple[str, ...]
    stages: tuple[str, ...]
    asks: tuple[Ask, ...]
    writes_programs: bool = False
    seconds: float = 30.0


def find_answer(scenario: Scenario, messages: Sequence[str]) -> Optional[Answer]:
    """The answer to the last message that is a known prompt, or None."""
    conversation = "\n".join(messages)
    for text in reversed(messages):
        for ask in scenario.asks:
            if ask.marker in text:
                return ask.answer if isinstance(ask.answer, Answer) else ask.answer(conversation)
    return None


def _json(value: Any, carrier: str = FENCE) -> Answer:
    return Answer("json", value, carrier)


def _code(value: str) -> Answer:
    return Answer("code", value)


def _text(value: str) -> Answer:
    return Answer("text", value)


PRD = {
    "Language": "en_us",
    "Programming Language": "Python",
    "Original Requirements": "Write a word counter.",
    "Project Name": "word_counter",
    "Product Goals": ["Counts words", "Is quick"],
    "User Stories": ["As a writer, I want to know how many words a text has", "As a user, I want it to say \"0\" too"],
    "Competitive Analysis": ["wc: counts words, has no window"],
    "Competitive Quadrant Chart": "",
    "Requirement Analysis": "Words are what stands between white space; see https://example.org/words#top.",
    "Requirement Pool": [["P0", "Count the words of a file"]],
    "UI Design draft": "A command line.",
    "Anything UNCLEAR": "",
}  # fmt: skip
DESIGN = {
    "Implementation approach": "We will use the standard library.",
    "File list": ["main.py", "counter.py"],
    "Data structures and interfaces": 'classDiagram\n    class Counter {\n        +count(text: str) int "words"\n    }',
    "Program call flow": "sequenceDiagram\n    participant M as Main\n    M->>C: count(text)\n    C-->>M: number",
    "Anything UNCLEAR": "",
}
TASKS = {
    "Required packages": ["rich==13.6.0"],
    "Required Other language third-party packages": ["No third-party dependencies required"],
    "Logic Analysis": [["counter.py", "Counts"], ["main.py", "Reads the file, from counter import count"]],
    "Task list": ["counter.py", "main.py"],
    "Full API spec": "",
    "Shared Knowledge": "",
    "Anything UNCLEAR": "",
}
COUNTER = '''"""Counts words."""


def count(text: str = "") -> int:
    """The number of words in `text`."""
    return len(text.split())
'''
COUNTER_MAIN = '''"""Prints how many words a file has."""
import sys

from counter import count


def main() -> None:
    with open(sys.argv[1]) as file:
        print(count(file.read()))


if __name__ == "__main__":
    main()
'''

SOFTWARE = (
    Ask("Code Review Format example 1", _text("## Code Review Result\nLGTM")),
    Ask("## Code: counter.py. Write code", _code(COUNTER)),
    Ask("## Code: main.py. Write code", _code(COUNTER_MAIN)),
    Ask("- Logic Analysis: ", _json(TASKS, TAGS)),
    Ask("- File list: ", _json(DESIGN, TAGS)),
    Ask("- User Stories: ", _json(PRD, TAGS)),
)

# The greatest common divisor of m and n is 6, the least common multiple 126, and the least m + n is wanted: 60.
MATH_PLAN = [
    {
        "task_id": "1",
        "dependent_task_ids": [],
        "instruction": "Find all pairs whose gcd is 6 and whose lcm is 126",
        "task_type": "other",
    },
    {
        "task_id": "2",
        "dependent_task_ids": ["1"],
        "instruction": "Print the least sum of a pair",
        "task_type": "other",
    },
]
MATH_PAIRS = (
    "from math import gcd\n"
    "pairs = [(m, n) for m in range(6, 127, 6) for n in range(m, 127, 6) if gcd(m, n) == 6 and m * n == 6 * 126]\n"
    "print(pairs)"
)
MATH_SUM = 'print("least sum:", min(m + n for m, n in pairs))'


def _math_code(conversation: str) -> Answer:
    return _code(MATH_SUM if "[(6, 126), (18, 42)]" in conversation else MATH_PAIRS)


def _math_thought(conversation: str) -> Answer:
    finished = "least sum: 60" in conversation
    thoughts = "The least sum is printed: it is 60." if finished else 'The pairs are known, "the sum" is not.'
    return _json({"thoughts": thoughts, "state": not finished})


CODE_PROMPT = "Always output one and only one code block"
MATH = (
    Ask("Decide whether you need to take more actions", _math_thought),
    Ask("write a plan or modify an existing plan", _json(MATH_PLAN)),
    Ask(CODE_PROMPT, _math_code),
    Ask("[reflection on previous impl]", _math_code),
)

MAGIC_PLAN = [
    {
        "task_id": "1",
        "dependent_task_ids": [],
        "instruction": "Call magic_function with 'A' and 2",
        "task_type": "other",
    }
]
MAGIC = (
    Ask("Recommend up to 5 tools", _json(["magic_function"])),
    Ask("write a plan or modify an existing plan", _json(MAGIC_PLAN)),
    Ask(
        CODE_PROMPT,
        _code(
            "def magic_function(arg1, arg2):\n"
            "    return {'arg1': arg1 * 3, 'arg2': arg2 * 5}\n\n"
            "print(magic_function('A', 2))"
        ),
    ),
)


def _stage_number(conversation: str) -> Answer:
    """The stages of the role in order, then the end."""
    previous = int(conversation.rsplit("Your previous stage: ", 1)[-1].split("\n", 1)[0].strip() or -1)
    return _json(previous + 1 if previous < 2 else -1, NUMBER)


REACT_ROLE = (
    Ask("Just answer a number between 0-2", _stage_number),
    Ask("Collect three animals", _text("cat, dog, mouse")),
    Ask("Count the animals", _text("three")),
    Ask("Report the animals", _text("There are three animals.")),
)

LINKS = {
    "apples": "https://pages.example/apples",
    "prices": "https://pages.example/prices",
    "tractors": "https://pages.example/tractors",
}
PAGES = {
    LINKS["apples"]: "Apples are harvested in autumn. " * 20
    + "A tree gives 40 kilograms a year. "
    + "They keep. " * 40,
    LINKS["prices"]: "A kilogram of apples costs 3 coins at the market. " * 8,
    LINKS["tractors"]: "Tractors have four wheels. " * 8,
}
RESEARCH = (
    Ask("Please provide up to 2 necessary keywords", _json(["apple harvest", "apple price"], BARE)),
    Ask("queries related to your research topic", _json(["How much does a tree give?"], BARE)),
    Ask("ranked results' indices", _json([1, 0], BARE)),
    Ask('respond to the question "How much', _text("A tree gives 40 kilograms; a kilogram costs 3 coins.")),
    Ask("detailed research report", _text("# Apples\nA tree gives 40 kilograms, worth 120 coins.")),
)

TUTORIAL = (
    Ask(
        "provide the specific table of contents",
        _json({"title": "MySQL", "directory": [{"Basics": ["Install", "Connect"]}, {"Queries": ["Select"]}]}, BARE),
    ),
    Ask("output the detailed principle content", _text("Text of a chapter.")),
)

NOVEL = {
    "name": "Reborn in Skyrim",
    "user_group": 'Readers of "fantasy"',
    "outlines": ["Chapter 1: The cart", "Chapter 2: The dragon"],
    "background": "Snow # and stone.",
    "character_names": ["Ralof", "Hadvar"],
    "conflict": "Empire // Stormcloaks",
    "plot": "A prisoner escapes.",
    "ending": "The dragon flies away.",
}
CHAPTERS = {
    "chapters": [
        {"name": "Chapter 1: The cart", "content": '"You are awake," he said.\nThe cart rolled on.'},
        {"name": "Chapter 2: The dragon", "content": "It came out of the sky."},
    ]
}
NOVEL_ASKS = (Ask('"chapters"', _json(CHAPTERS, TAGS)), Ask('"user_group"', _json(NOVEL, TAGS)))

GREETING = 'Hello, MetaGPT. It\'s a "file".'


def _commands(conversation: str) -> Answer:
    """Commands of a RoleZero: write the file, then end."""
    if "Command Editor.write executed" in conversation:
        return _json([{"command_name": "end", "args": {}}], THOUGHT)
    write = {"command_name": "Editor.write", "args": {"path": "hello.txt", "content": GREETING}}
    return _json([write], THOUGHT)


CLASSIFY = Ask("Determine the previous message's intent.", _text("Thought: It needs a tool.\nResponse Category: TASK"))
LANGUAGE = Ask("Which Natural Language must you respond in?", _text("English"))
REPORT = (
    Ask("Directly output your reply content.", _text("The file is written.")),
    Ask("Summarize what you have accomplished lately.", _text("Wrote the file.")),
    Ask("Please directly tell me what is confusing", _text("My commands are not understood.")),
)
COMMANDS = "Your commands in a json array"
ROLE_ZERO = (
    CLASSIFY,
    LANGUAGE,
    *REPORT,
    Ask("json decode error", _commands),
    Ask("You are NOT allowed to provide the same commands again", _commands),
    Ask(COMMANDS, _commands),
)


def _company_commands(conversation: str) -> Answer:
    """Commands of main's company: the leader gives the task to the engineer, who writes a file, and both end."""
    commands = conversation.rpartition("# Available Commands")[2].partition("# Example")[0]
    leader = "publish_team_message" in commands
    if leader:
        if "I have finished the task" in conversation:
            return _json([{"command_name": "end", "args": {}}], THOUGHT)
        args = {"content": "Write a word counter in Python, in one file main.py.", "send_to": "Alex"}
        return _json([{"command_name": "TeamLeader.publish_team_message", "args": args}], THOUGHT)
    if "Command Engineer2.write_new_code executed" in conversation:
        return _json([{"command_name": "end", "args": {}}], THOUGHT)
    args = {"path": "word_counter/main.py", "file_description": "Counts the words of the file that is named"}
    return _json([{"command_name": "Engineer2.write_new_code", "args": args}], THOUGHT)


COMPANY_CODE = "import sys\n\nwith open(sys.argv[1]) as file:\n    print(len(file.read().split()))"
COMPANY = (
    CLASSIFY,
    LANGUAGE,
    *REPORT,
    Ask("# Current Coding File", _code(COMPANY_CODE)),
    Ask("json decode error", _company_commands),
    Ask("You are NOT allowed to provide the same commands again", _company_commands),
    Ask(COMMANDS, _company_commands),
)

_ALL = (
    Scenario(
        "metagpt command",
        (RELEASE,),
        ("PRD", "design", "tasks", "code", "the program counts right"),
        SOFTWARE,
        writes_programs=True,
        seconds=60,
    ),
    Scenario("metagpt command", (MAIN,), ("code", "the program counts right"), COMPANY, writes_programs=True),
    Scenario(
        "DataInterpreter, plan and act",
        (RELEASE, MAIN),
        ("plan", "first task", "the answer is 60"),
        MATH,
        writes_programs=True,
    ),
    Scenario(
        "DataInterpreter, react",
        (RELEASE, MAIN),
        ("code", "thought", "the answer is 60"),
        MATH,
        writes_programs=True,
    ),
    Scenario("DataInterpreter with a tool", (RELEASE, MAIN), ("plan", "tool", "called right"), MAGIC),
    Scenario("react role", (RELEASE, MAIN), ("first action", "second action", "all in order"), REACT_ROLE),
    Scenario(
        "research on local pages",
        (RELEASE, MAIN),
        ("keywords", "queries", "links ranked", "report with the numbers"),
        RESEARCH,
        seconds=15,
    ),
    Scenario("TutorialAssistant", (RELEASE, MAIN), ("contents", "the tutorial has its chapters"), TUTORIAL),
    Scenario("nested ActionNodes", (RELEASE, MAIN), ("novel", "chapters", "both are right"), NOVEL_ASKS),
    Scenario("RoleZero", (MAIN,), ("commands", "the file is right", "ended by itself"), ROLE_ZERO),
)

# By name and release: `metagpt "…"` is another program on main.
SCENARIOS: dict[tuple[str, str], Scenario] = {
    (scenario.name, release): scenario for scenario in _ALL for release in scenario.releases
}
