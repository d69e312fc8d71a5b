"""Programs in answers: what MetaGPT's ``CodeParser`` makes of a fence that it does not expect, and what ours does."""

from __future__ import annotations

import asyncio

import pytest
from metagpt.actions import WriteCode
from metagpt.actions.di.write_analysis_code import WriteAnalysisCode
from metagpt.utils.common import CodeParser

from metagpt_ollama_rs import stats
from metagpt_ollama_rs.program_text import FoundProgram, find_program_text

PROGRAM = "import math\n\nprint(math.pi)"
FENCED = f"```python\n{PROGRAM}\n```"
PROMPT = "## Code: circle.py. Write code with triple quoto, based on the following attentions and context."

# An answer with the program, and what had to be repaired.
SHAPES = {
    FENCED: (),
    f"```\n{PROGRAM}\n```": (),
    f"```json\n{PROGRAM}\n```": (),
    f"Here:\n\n```Python title=\"a.py\"\n{PROGRAM}\n```\nThat is all.": (),
    f"~~~python\n{PROGRAM}\n~~~": ("fence",),
    f"````python\n{PROGRAM}\n````": (),
    f"```python\n{PROGRAM}": ("unfinished fence",),
    f"Install it:\n```bash\npip install math\n```\nThen:\n{FENCED}": ("other block",),
    "1. Do:\n   ```python\n   import math\n\n   print(math.pi)\n   ```": ("indentation",),
    PROGRAM: (),
    f"Sure! Here is the code:\n\n{PROGRAM}": ("prose",),
    f"Here is what you asked for:\n{PROGRAM}\n\nI hope that this helps you.": ("prose",),
}  # fmt: skip


@pytest.mark.parametrize("answer", SHAPES)
def test_the_program_is_found(answer):
    assert find_program_text(answer, python=True) == FoundProgram(PROGRAM, SHAPES[answer])


@pytest.mark.parametrize(
    "answer",
    [
        "I cannot write this program.",
        "def half(:\n    return 1",
        # The first line is a program with a mistake, not prose, and the rest without it would run.
        f"value = = 3\n{PROGRAM}",
        f"print(half the value).\n{PROGRAM}",
        "",
    ],
)
def test_what_is_no_program_is_left_to_metagpt(answer):
    assert find_program_text(answer, python=True) is None


def test_a_program_of_any_language_needs_a_fence():
    assert find_program_text(f"Sure! Here is the code:\n\n{PROGRAM}") is None
    assert find_program_text("```\nlet a = `x`;\n```") == FoundProgram("let a = `x`;", ())


SCRIPT = '```bash\nset -e\npython main.py\n```\nIt reads this config.json:\n```json\n{"port": 1}\n```'
NEEDS = "```txt\nflask==3.0\n```\nThen use it:\n```python\nimport flask\n```"
RUN_FIRST = f"Run:\n```console\n$ pip install rich\n# then\n$ python a.py\n```\n{FENCED}"
SETTINGS_FIRST = f'First config.json:\n```json\n{{"port": 1}}\n```\nThen:\n{FENCED}'


@pytest.mark.parametrize(
    ("answer", "file_name", "program"),
    [
        (SCRIPT, "run.sh", "set -e\npython main.py"),
        (SCRIPT, "", "set -e\npython main.py"),
        # Not only commands that install or run something.
        (SCRIPT, "config.json", "set -e\npython main.py"),
        (NEEDS, "requirements.txt", "flask==3.0"),
        (NEEDS, "app.py", "import flask"),
        (RUN_FIRST, "a.py", PROGRAM),
        (RUN_FIRST, "run.bat", "$ pip install rich\n# then\n$ python a.py"),
        (RUN_FIRST, "Dockerfile", "$ pip install rich\n# then\n$ python a.py"),
        (SETTINGS_FIRST, "a.py", PROGRAM),
        (SETTINGS_FIRST, "config.json", '{"port": 1}'),
        # A block of no language, or of a wrong one, may have the program; the second one shows its use.
        ("```\nimport a\n```\nUse:\n```python\na.b()\n```", "a.py", "import a"),
        ("```java\nimport a\n```\nUse:\n```python\na.b()\n```", "a.py", "import a"),
    ],
)
def test_the_first_block_stands_if_it_can_be_the_program(answer, file_name, program):
    assert find_program_text(answer, file_name=file_name).text == program


UNDERLINED = (
    'def half(n):\n    """\n    Notes\n    ~~~~~\n    Only numbers.\n\n    Errors\n    ~~~~~~\n    None.\n    """\n'
)
README = "My program\n~~~~~~~~~~\n\nIt prints.\n\n~~~~~\nUsage\n~~~~~\n\nRun it.\n\n~~~\nprint\n~~~\n"


def test_lines_of_tildes_that_underline_headings_are_no_fences():
    assert find_program_text(UNDERLINED, python=True) == FoundProgram(UNDERLINED, ())
    flat = UNDERLINED.replace("    Notes\n    ~~~~~", "Notes\n~~~~~").replace("    Errors\n    ~~~", "Errors\n~~~")
    assert find_program_text(flat, python=True) == FoundProgram(flat, ())
    assert find_program_text(README, file_name="README.rst") is None
    headings, _, _ = README.partition("~~~\nprint")
    for file_name in ("README.rst", "notes.html", ""):
        assert find_program_text(headings, file_name=file_name) is None
    assert find_program_text(f"Text.\n\n~~~\n{PROGRAM}\n~~~\n") == FoundProgram(PROGRAM, ("fence",))


def test_a_program_that_has_a_fence_in_a_text_is_whole():
    program = 'def half(n):\n    """Half.\n\n    ```python\n    half(2)\n    ```\n    """\n    return n / 2'
    assert find_program_text(program, python=True) == FoundProgram(program, ())


def test_backticks_in_the_last_line_end_a_block_as_metagpt_has_it():
    assert find_program_text("```python\nprint(1)```", python=True) is None


@pytest.mark.parametrize(
    "answer",
    [
        "the model goes on and on " * 4000,
        "The model says it again. " * 4000 + "and",
        "The model says it again.\n" * 4000,
        f"{'The model says it again.' + chr(10)}" * 2000 + "x = = 1\n" + "The model says it again.\n" * 2000,
        "~" * 100_000 + "`",
        "~~~" + "a" * 100_000 + "`",
        "~~~\n" * 25_000,
        "Text\n~~~\n" * 10_000,
        " " * 100_000 + "`",
        "- " * 50_000,
    ],
)
def test_long_answers_without_a_program_come_to_an_end(answer):
    assert find_program_text(answer, python=True) is None


def test_the_only_block_may_be_a_shells():
    assert find_program_text("```bash\nls\n```") == FoundProgram("ls", ())


def test_a_fence_without_an_end_is_no_program_where_the_answer_was_cut():
    assert find_program_text(f"```python\n{PROGRAM}", python=True, cut=True) is None
    assert find_program_text(f"{FENCED}\nNote that", python=True, cut=True) == FoundProgram(PROGRAM, ())


def write_code(llm):
    return WriteCode(llm=llm).write_code(PROMPT)


def write_analysis(llm):
    return WriteAnalysisCode(llm=llm).run("Print pi.")


SENTENCE_FIRST = f"Sure! Here is the code:\n\n{PROGRAM}"
SHELL_FIRST = f"Install it:\n```bash\npip install math\n```\nThen:\n{FENCED}"


@pytest.mark.parametrize("writes", [write_code, write_analysis])
@pytest.mark.parametrize(
    ("answer", "stock"),
    [(SENTENCE_FIRST, SENTENCE_FIRST), (SHELL_FIRST, "pip install math\n"), (FENCED, f"{PROGRAM}\n")],
)
def test_metagpts_actions_get_the_program(duel, answers, writes, answer, stock):
    answers(answer)
    both = duel(writes)
    assert both.original.value == stock
    assert both.ours.value == PROGRAM
    assert duel(writes, extra_fields={}).ours.value == PROGRAM


def test_what_was_done_is_in_the_record_of_the_call(ask, answers):
    answers(SHELL_FIRST)
    stats.clear()
    ask("ours", write_code)
    (record,) = stats.records()
    assert record["repaired"] == "other block"


def test_it_is_switched_off_by_its_name(ask, answers):
    answers(SENTENCE_FIRST)
    assert ask("ours", write_code, extra_fields={"unpatched": "code_blocks"}).value == SENTENCE_FIRST


def test_a_cut_answer_is_left_to_metagpt(ask, answers):
    answers(f"```python\n{PROGRAM}", done_reason="length")
    outcome = ask("ours", write_code)
    assert outcome.value == f"```python\n{PROGRAM}"


def test_other_calls_of_the_parser_are_metagpts_own(ask, answers):
    answers(FENCED)

    async def parse_beside(llm):
        task = asyncio.ensure_future(write_code(llm))
        parsed = CodeParser.parse_code(block=None, text=SHELL_FIRST)
        return parsed, await task, CodeParser.parse_code(block=None, text=SHELL_FIRST)

    assert ask("ours", parse_beside).value == ("pip install math\n", PROGRAM, "pip install math\n")


@pytest.mark.parametrize(("name", "value"), [("run.sh", "set -e\npython main.py"), ("README.rst", README)])
def test_a_file_that_is_no_program_is_written_as_by_metagpt(duel, answers, name, value):
    answers(SCRIPT if name == "run.sh" else README)
    both = duel(lambda llm: WriteCode(llm=llm).write_code(PROMPT.replace("circle.py", name)))
    assert both.ours.value.strip() == both.original.value.strip() == value.strip()
