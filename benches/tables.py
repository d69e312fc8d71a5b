"""A table in Markdown from the rows of a case."""

from __future__ import annotations

from collections.abc import Callable

from benches.families import FAMILIES
from benches.results import Row


def number(value: float) -> str:
    """A number with three significant digits; digits before the decimal point are all shown."""
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def compared(row: Row) -> str:
    """What a unit costs relative to the baseline, with the spread over the rounds."""
    if row["peer"] == row["baseline"]:
        return "1"
    low, median, high = (row["ratio"][key] for key in ("low", "median", "high"))
    if min(low, median) <= 0:
        return "-"
    if median >= 1:
        return f"1/{fine(median)} (1/{fine(low)} to 1/{fine(high)})"
    return f"{fine(1 / median)} ({fine(1 / high)} to {fine(1 / low)})"


def fine(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.1f}"


def cell(key: str, scale: float = 1.0) -> Callable[[Row], str]:
    return lambda row: number(row[key]["median"] * scale) if key in row else "-"


# Each column's head, where `{unit}` is the family's, and its cells.
COLUMNS: dict[str, tuple[str, Callable[[Row], str]]] = {
    "cpu": ("CPU per {unit}, µs", cell("cpu_us")),
    "cpu_ms": ("CPU per {unit}, ms", cell("cpu_us", 1e-3)),
    "over_ms": ("over the {baseline}, ms", cell("over_us", 1e-3)),
    "rate": ("{unit}s per second", cell("per_second")),
    "p50": ("p50, µs", cell("p50_us")),
    "p99": ("p99, µs", cell("p99_us")),
    "added": ("added at the peak, MiB", cell("added_mib")),
    "growth": ("left over afterwards, MiB", cell("growth_mib")),
    "ratio": ("CPU relative to {baseline}", compared),
}


def table(rows: list[Row]) -> str:
    """The rows of one case; this package's stand out."""
    columns = [COLUMNS[name] for name in FAMILIES[rows[0]["family"]].COLUMNS]
    heads = [head.format(unit=rows[0]["unit"], baseline=rows[0]["baseline"]) for head, _ in columns]
    lines = [f"| | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for row in rows:
        name = f"**{row['peer']}**" if ours(row["peer"]) else row["peer"]
        lines.append(f"| {name} | {' | '.join(show(row) for _, show in columns)} |")
    return "\n".join(lines)


def ours(peer: str) -> bool:
    return peer.startswith(("our ", "metagpt_ollama_rs"))
