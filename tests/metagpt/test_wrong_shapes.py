"""How many wrong shapes MetaGPT's own parsers read as what they were to be, and how many ours.

Without a model: each answer of ``benches/wrong_shapes.py`` that has a value is given once to the parser of its place,
as MetaGPT 0.8.2 has it, or its main branch where 0.8.2 does not have the place. MetaGPT asks the model again where its
parser fails, and works with another value where that is what it reads.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from metagpt.logs import logger
from metagpt.provider.postprocess.llm_output_postprocess import llm_output_postprocess
from metagpt.utils import repair_llm_raw_output as own_repairs
from metagpt.utils.common import CodeParser

from metagpt_ollama_rs.json_answers import recover_json

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
from benches.wrong_shapes import PLACES, SHAPES, cases  # noqa: E402

# Of each place: how many answers; of these, how many are read right by MetaGPT's parser without and with
# `repair_llm_output`, and how many by ours. docs/compatibility.md has the same numbers.
COUNTS = {
    "node": (90, 4, 14, 90),
    "commands": (145, 20, 23, 145),
    "plan": (46, 6, 6, 46),
    "tools": (68, 12, 12, 68),
    "query": (78, 4, 4, 78),
}


def read_node(text: str) -> Any:
    return llm_output_postprocess(output=text, schema=PLACES["node"].schema, req_key="[/CONTENT]")


def code_on_main(text: str) -> str:
    """As ``CodeParser.parse_code(text=text, lang="json")`` of the main branch."""
    found = re.search(r"```json.*?\s+(.*?)\n```", text, re.DOTALL)
    return found[1] if found else text


def read_commands(text: str) -> Any:
    """As ``parse_commands`` of the main branch, up to the point where it asks the model again."""
    commands = code_on_main(text)
    if commands.endswith("]") and not commands.startswith("["):
        commands = "[" + commands
    repaired = own_repairs.repair_llm_raw_output(
        output=commands, req_keys=[None], repair_type=own_repairs.RepairType.JSON
    )
    value = json.loads(repaired)
    if isinstance(value, dict):
        value = value.get("commands", [value])
    return value


def read_query(text: str) -> Any:
    """As ``SearchEnhancedQA`` of the main branch."""
    return json.loads(code_on_main(text))


def read_code(text: str) -> Any:
    """As the plans and the names of tools are read."""
    return json.loads(CodeParser.parse_code(block=None, lang="", text=text))


PARSERS = {"node": read_node, "commands": read_commands, "plan": read_code, "tools": read_code, "query": read_query}


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> Any:
    """No word for each answer, and no second of waiting between the tries of MetaGPT's parser."""
    monkeypatch.setattr(own_repairs.retry_parse_json_text.retry, "sleep", lambda _seconds: None)
    logger.disable("metagpt")
    yield
    logger.enable("metagpt")


def is_right(parser: Any, text: str, value: Any) -> bool:
    try:
        return bool(parser(text) == value)
    except Exception:
        return False


def test_wrong_shapes_are_read_more_often(quiet, monkeypatch):
    counts: dict[str, Counter[str]] = {where: Counter() for where in PLACES}
    for case in cases():
        if SHAPES[case.shape].recovery != "exact":
            continue
        count = counts[case.place]
        count["answers"] += 1
        for repaired in (False, True):
            monkeypatch.setattr(own_repairs.config, "repair_llm_output", repaired)
            count[f"repaired {repaired}"] += is_right(PARSERS[case.place], case.text, case.value)
        recovered = recover_json(case.text, PLACES[case.place].schema)
        count["ours"] += recovered is not None and recovered.value == case.value
    found = {
        where: (count["answers"], count["repaired False"], count["repaired True"], count["ours"])
        for where, count in counts.items()
    }
    assert found == COUNTS


def test_the_documentation_has_these_numbers():
    for page in ("compatibility.md", "compatibility.zh.md"):
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        for numbers in COUNTS.values():
            assert f" | {' | '.join(map(str, numbers))} |" in text
