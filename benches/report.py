"""The results of a run as part of a page, and its figures.

`python -m benches.report RESULTS --into docs/performance.md`

Replaces what stands between the two marks in the page, and the figures in the folder `figures` beside it. Without
`--into` the text goes to standard output, and no figure is drawn.
"""

from __future__ import annotations

import argparse
import inspect
import itertools
import sys
from pathlib import Path
from typing import Any

from benches import figures
from benches.families import FAMILIES
from benches.results import Row, read
from benches.tables import table

BEGIN, END = "<!-- results: written by benches.report -->", "<!-- end of results -->"
COMMANDS = {"full": "make bench", "quick": "make bench QUICK=1", "smoke": "python -m benches --smoke"}


def about(content: dict[str, Any]) -> str:
    machine = content["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in content["versions"].items())
    return (
        f"Of `{COMMANDS[content['size']]}` (up to {content['rounds']} rounds) on {machine['cores']} cores "
        f"({machine['processor']}), {machine['system']}, load average {machine['load']}, "
        f"Python {machine['python']}; {versions}."
    )


def text(content: dict[str, Any]) -> str:
    """The page's part: per family its purpose, its figures and a table per case."""
    parts = [about(content)]
    for title, rows in itertools.groupby(content["results"], key=lambda row: row["family"]):
        family = FAMILIES[title]
        parts.append(f"### {title[0].upper()}{title[1:]}")
        parts.append(inspect.cleandoc(family.__doc__ or ""))
        parts += [f"![{figure.title}](figures/{figure.name}.svg)" for figure in family.FIGURES]
        for case, found in itertools.groupby(rows, key=lambda row: row["case"]):
            group: list[Row] = list(found)
            if case != title:
                parts.append(f"{case[0].upper()}{case[1:]}:")
            parts.append(table(group))
    return "\n\n".join(parts)


def replace(page: str, part: str) -> str:
    """`page` with `part` between its marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks {BEGIN!r} or {END!r}")
    return f"{before}{BEGIN}\n\n{part}\n\n{END}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benches.report", description=__doc__)
    parser.add_argument("results", type=Path, help="what `python -m benches --results` wrote")
    parser.add_argument("--into", type=Path, help="a page with the two marks")
    options = parser.parse_args()
    content = read(options.results)
    if options.into is None:
        print(text(content))
        return
    page = options.into.read_text(encoding="utf-8")
    try:
        options.into.write_text(replace(page, text(content)), encoding="utf-8")
    except ValueError as error:
        sys.exit(f"{options.into}: {error}")
    drawn = figures.draw(content, options.into.parent / "figures")
    print(f"Wrote {options.into} and {len(drawn)} figures")


if __name__ == "__main__":
    main()
