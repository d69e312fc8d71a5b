"""The figures of a run: `python -m benches.figures RESULTS --folder docs/figures`.

Bars for a number with its spread over the rounds, and lines from p50 to p99 on a logarithmic axis. A figure brings its
own background, and changes its colours with the reader's light or dark scheme, so that it is readable on any page.
"""

from __future__ import annotations

import argparse
import itertools
import math
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from benches.cases import Figure
from benches.families import FAMILIES
from benches.results import Row, read
from benches.tables import number, ours

WIDTH, LEFT, RIGHT = 860, 240, 96
ROW, GROUP, TOP, BOTTOM = 22, 34, 48, 18
STYLE = """
svg { color-scheme: light dark; font: 13px system-ui, sans-serif; }
.page { fill: #ffffff; stroke: #d0d7de; } text { fill: #1f2328; } .title { font-size: 15px; font-weight: 600; }
.group { font-weight: 600; } .number, .tick { fill: #59636e; } .tick { font-size: 11px; } .grid { stroke: #d8dee4; }
.peer { fill: #9aa4af; stroke: #9aa4af; } .ours { fill: #1f6feb; stroke: #1f6feb; } .spread { stroke: #1f2328; }
@media (prefers-color-scheme: dark) {
  .page { fill: #0d1117; stroke: #3d444d; } text { fill: #f0f6fc; } .number, .tick { fill: #9198a1; }
  .grid { stroke: #2a313c; } .peer { fill: #6e7781; stroke: #6e7781; } .ours { fill: #58a6ff; stroke: #58a6ff; }
  .spread { stroke: #f0f6fc; }
}
"""


class Drawing:
    """SVG elements, and the height that they take."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.parts: list[str] = []
        self.y = TOP
        self.text(16, 28, title, "title")

    def text(self, x: float, y: float, words: str, kind: str, anchor: str = "start") -> None:
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>')

    def bar(self, x: float, y: float, width: float, kind: str) -> None:
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="13" rx="2" class="{kind}"/>'
        )

    def line(self, x1: float, x2: float, y: float, kind: str, thick: int = 1) -> None:
        self.parts.append(
            f'<line x1="{x1:.1f}" x2="{x2:.1f}" y1="{y:.1f}" y2="{y:.1f}" class="{kind}" stroke-width="{thick}"/>'
        )

    def dot(self, x: float, y: float, kind: str) -> None:
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" class="{kind}"/>')

    def vertical(self, x: float, y1: float, y2: float) -> None:
        self.parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y1:.1f}" y2="{y2:.1f}" class="grid"/>')

    def render(self) -> str:
        height = self.y + BOTTOM
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            f'role="img" aria-label={quoteattr(self.title)}>\n<style>{STYLE}</style>\n'
            f'<rect class="page" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="6"/>\n'
            + "\n".join(self.parts)
            + "\n</svg>\n"
        )


def bars(figure: Figure, groups: dict[str, list[Row]]) -> str:
    """A group of bars per case, each group with a scale of its own from 0."""
    (key,) = figure.keys
    drawing = Drawing(f"{figure.title}, {figure.unit}")
    for case, rows in groups.items():
        heading(drawing, case, len(groups))
        longest = max(row[key]["high"] for row in rows) or 1.0
        for row in rows:
            value, scale = row[key], (WIDTH - LEFT - RIGHT) / longest
            label(drawing, row)
            drawing.bar(LEFT, drawing.y, max(0.0, value["median"]) * scale, "ours" if ours(row["peer"]) else "peer")
            drawing.line(LEFT + max(0.0, value["low"]) * scale, LEFT + value["high"] * scale, drawing.y + 6.5, "spread")
            drawing.text(LEFT + value["high"] * scale + 8, drawing.y + 11, number(value["median"]), "number")
            drawing.y += ROW
    return drawing.render()


def ranges(figure: Figure, groups: dict[str, list[Row]]) -> str:
    """A line per entrant from the first number to the second, on one logarithmic axis for all cases."""
    low, high = figure.keys
    drawing = Drawing(f"{figure.title}, {figure.unit}, logarithmic")
    rows = [row for group in groups.values() for row in group]
    first = math.floor(math.log10(min(row[low]["median"] for row in rows)))
    decades = max(1, math.ceil(math.log10(max(row[high]["median"] for row in rows))) - first)

    def place(value: float) -> float:
        return LEFT + (math.log10(value) - first) / decades * (WIDTH - LEFT - RIGHT)

    grid = len(drawing.parts)
    drawing.y += 12
    for case, group in groups.items():
        heading(drawing, case, len(groups))
        for row in group:
            begin, end = row[low]["median"], row[high]["median"]
            kind = "ours" if ours(row["peer"]) else "peer"
            label(drawing, row)
            drawing.line(place(begin), place(end), drawing.y + 6.5, kind, 3)
            drawing.dot(place(begin), drawing.y + 6.5, kind)
            drawing.dot(place(end), drawing.y + 6.5, kind)
            drawing.text(place(end) + 10, drawing.y + 11, f"{number(begin)} to {number(end)}", "number")
            drawing.y += ROW
    marks = Drawing("")
    marks.parts.clear()
    for decade in range(decades + 1):
        marks.vertical(place(10.0 ** (first + decade)), TOP + 8, drawing.y)
        marks.text(
            place(10.0 ** (first + decade)),
            TOP,
            f"{10.0 ** (first + decade):,.{max(0, -first - decade)}f}",
            "tick",
            "middle",
        )
    drawing.parts[grid:grid] = marks.parts
    return drawing.render()


def heading(drawing: Drawing, case: str, count: int) -> None:
    if count > 1:
        drawing.text(16, drawing.y + 16, f"{case[0].upper()}{case[1:]}", "group")
        drawing.y += GROUP - 8


def label(drawing: Drawing, row: Row) -> None:
    drawing.text(LEFT - 10, drawing.y + 11, row["peer"], "name", "end")


def draw(content: dict[str, Any], folder: Path) -> list[Path]:
    """Writes a file for each figure of each family in `content`, and returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for title, found in itertools.groupby(content["results"], key=lambda row: row["family"]):
        rows = list(found)
        for figure in FAMILIES[title].FIGURES:
            groups = {case: list(group) for case, group in itertools.groupby(rows, key=lambda row: row["case"])}
            file = folder / f"{figure.name}.svg"
            file.write_text((bars if len(figure.keys) == 1 else ranges)(figure, groups), encoding="utf-8")
            drawn.append(file)
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benches.figures", description=__doc__)
    parser.add_argument("results", type=Path, help="what `python -m benches --results` wrote")
    parser.add_argument("--folder", type=Path, default=Path("docs/figures"))
    options = parser.parse_args()
    for file in draw(read(options.results), options.folder):
        print(file)


if __name__ == "__main__":
    main()
