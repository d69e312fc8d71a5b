"""Writes what `metagpt_runs` has counted into docs/compatibility.md and its Chinese twin.

    python -m benches.metagpt_report target/metagpt-runs*.json --into docs/compatibility.md docs/compatibility.zh.md

The tables stand between two comments of the page; what stands around them is left alone. A Chinese page gets
Chinese headings.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

from .metagpt_examples import EXAMPLES
from .metagpt_models import CODE_SHAPES, JSON_SHAPES
from .metagpt_runs import RIGHT, WAYS
from .metagpt_scenarios import MAIN, RELEASE, SCENARIOS

# The comments between which the tables stand, on the English page and on the Chinese one.
PLACES = (
    ("<!-- runs of MetaGPT: written by benches.metagpt_report -->", "<!-- end of runs -->"),
    ("<!-- MetaGPT 的运行，由 benches.metagpt_report 写入 -->", "<!-- 运行到此为止 -->"),
)

Rows = list[dict[str, Any]]

# The headings and names, in English and Chinese.
CHINESE = {
    "program": "程序",
    "original": "原版",
    "original, repair_llm_output": "原版，`repair_llm_output`",
    "ours before": "以前的我们",
    "ours now, no format": "现在的我们，无 `format`",
    "ours now": "现在的我们",
    "original stops before": "原版停在…之前",
    "example": "示例",
    "metagpt command": "`metagpt` 命令",
    "DataInterpreter, plan and act": "DataInterpreter，先计划再行动",
    "DataInterpreter, react": "DataInterpreter，react",
    "DataInterpreter with a tool": "DataInterpreter 带一个工具",
    "react role": "react 模式的角色",
    "research on local pages": "在本地网页上的研究",
    "TutorialAssistant": "TutorialAssistant 角色",
    "nested ActionNodes": "嵌套的 ActionNode",
    "RoleZero": "RoleZero 角色",
    ", ": "，",
    "nothing": "无",
}
ENGLISH = {
    "original, repair_llm_output": "original, `repair_llm_output`",
    "ours now, no format": "ours now, no `format`",
    "metagpt command": "the `metagpt` command",
    "react role": "a role in react mode",
}


def write_tables(rows: Rows, real: Rows, words: dict[str, str]) -> str:
    """All tables, as Markdown."""
    parts = [_scripted(rows, words)]
    if real:
        parts.append(_real(real, words))
    parts.append(_examples(rows, words))
    return "\n\n".join(part for part in parts if part)


def _scripted(rows: Rows, words: dict[str, str]) -> str:
    """For each program how many shapes a run came through, of those in which an answer of it can be written."""
    lines = [
        _line([_word(words, "program"), *(_word(words, way) for way in WAYS), _word(words, "original stops before")])
    ]
    lines.append("|---" * (len(WAYS) + 2) + "|")
    for (title, release), scenario in SCENARIOS.items():
        mine = [row for row in rows if (row["scenario"], row["release"]) == (title, release)]
        if not mine:
            continue
        suited = {row["shape"] for row in mine if row["suited"]} - {RIGHT}
        cells = []
        for way in WAYS:
            runs = [row for row in mine if row["way"] == way and row["shape"] in suited]
            right = any(row["done"] for row in mine if row["way"] == way and row["shape"] == RIGHT)
            count = f"{sum(row['done'] for row in runs)}/{len(runs)}"
            cells.append("" if not runs else count if right else "—")
        failed = [row for row in mine if row["way"] == "original" and not row["done"]]
        missed = Counter(next(stage for stage in scenario.stages if stage not in row["stages"]) for row in failed)
        stop = missed.most_common(1)[0][0] if missed else _word(words, "nothing")
        lines.append(_line([f"{_word(words, title)}{_word(words, ', ')}{release}", *cells, f"`{stop}`"]))
    return "\n".join(lines)


def _real(rows: Rows, words: dict[str, str]) -> str:
    """For each program the last stage that the small model has reached."""
    ways = [way for way in WAYS if any(row["way"] == way for row in rows)]
    lines = [_line([_word(words, "program"), *(_word(words, way) for way in ways)]), "|---" * (len(ways) + 1) + "|"]
    for (title, release), scenario in SCENARIOS.items():
        cells = []
        for way in ways:
            found = [row for row in rows if (row["scenario"], row["release"], row["way"]) == (title, release, way)]
            reached = [stage for stage in scenario.stages if found and stage in found[0]["stages"]]
            cells.append(f"`{reached[-1]}`" if reached else "—" if found else "")
        if any(cells):
            lines.append(_line([f"{_word(words, title)}{_word(words, ', ')}{release}", *cells]))
    return "\n".join(lines)


def _examples(rows: Rows, words: dict[str, str]) -> str:
    """Which examples end well with right answers."""
    columns = [(release, way) for way in ("original", "ours now") for release in (RELEASE, MAIN)]
    comma = _word(words, ", ")
    names = [f"{_word(words, way)}{comma}{release}" for release, way in columns]
    lines = [_line([_word(words, "example"), *names]), "|---" * 5 + "|"]
    done = {(row["scenario"], row["release"], row["way"]): row["done"] for row in rows}
    for file in EXAMPLES:
        keys = [(f"examples/{file}", *column) for column in columns]
        if any(key in done for key in keys):
            marks = ["" if key not in done else "+" if done[key] else "—" for key in keys]
            lines.append(_line([f"`{file}`", *marks]))
    return "\n".join(lines) if len(lines) > 2 else ""


def _word(words: dict[str, str], name: str) -> str:
    return words.get(name, name)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes the counts of benches.metagpt_runs into pages.")
    parser.add_argument("results", nargs="+", type=Path, help="files that --results of metagpt_runs has written")
    parser.add_argument("--into", nargs="+", type=Path, required=True, help="pages, such as docs/compatibility.md")
    options = parser.parse_args()
    rows = [row for file in options.results for row in json.loads(file.read_text(encoding="utf-8"))]
    real = [row for row in rows if row["shape"] == "smollm2"]
    scripted = [row for row in rows if row["shape"] != "smollm2"]
    for page in options.into:
        text = page.read_text(encoding="utf-8")
        place = next((place for place in PLACES if place[0] in text and place[1] in text), None)
        if place is None:
            raise SystemExit(f"{page} has no place for the tables\nhint: two lines, {PLACES[0][0]} and {PLACES[0][1]}")
        tables = write_tables(scripted, real, CHINESE if place is PLACES[1] else ENGLISH)
        before, _, rest = text.partition(place[0])
        after = rest.partition(place[1])[2]
        page.write_text(f"{before}{place[0]}\n\n{tables}\n\n{place[1]}{after}", encoding="utf-8")
    print(f"{len(JSON_SHAPES)} wrong shapes of JSON and {len(CODE_SHAPES)} of programs, {len(rows)} runs")


if __name__ == "__main__":
    main()
