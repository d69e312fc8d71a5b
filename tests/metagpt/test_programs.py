"""Programs in answers: what MetaGPT's ``CodeParser`` makes of a fence that it does not expect, and what ours does."""

from __future__ import annotations

import asyncio

import pytest
from metagpt.actions import WriteCode
from metagpt.actions.di.write_analysis_code import WriteAnalysisCode
from metagpt.utils.common import CodeParser

from metagpt_ollama_rs import stats
from metagpt_ollama_rs.provider.program_text import FoundProgram, find_program_text

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
