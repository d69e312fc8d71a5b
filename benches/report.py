"""From samples to something to read: medians per peer, ratios to the baseline within a round, a table, a JSON file."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benches.cases import Case, Sample


@dataclasses.dataclass(frozen=True)
class Result:
    """All samples of one case: per peer one sample for each round."""

    family: str
    unit: str
    case: Case
    samples: dict[str, list[Sample]]

    def rows(self) -> Iterator[dict[str, Any]]:
        """For each peer: microseconds of CPU per unit, units per second of wall time, CPU relative to the baseline."""
        base = [sample.cpu / sample.units for sample in self.samples[self.case.baseline]]
        for peer, samples in self.samples.items():
            costs = [sample.cpu / sample.units for sample in samples]
            yield {
                "family": self.family,
                "case": self.case.name,
                "unit": self.unit,
                "peer": peer,
                "baseline": self.case.baseline,
                "cpu_us": spread([1e6 * cost for cost in costs]),
                "per_second": spread([sample.units / sample.wall for sample in samples]),
                "ratio": spread([before / cost if cost else 0.0 for before, cost in zip(base, costs)]),
                "samples": [dataclasses.asdict(sample) for sample in samples],
            }


def spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def table(result: Result) -> str:
    """The rows of one case. The ratio says how many times less CPU than the baseline's a unit costs."""
    lines = [f"{result.family}, {result.case.name}: CPU per {result.unit}"]
    for row in result.rows():
        cost, rate, ratio = row["cpu_us"], row["per_second"], row["ratio"]
        compared = (
            "1"
            if row["peer"] == row["baseline"]
            else f"1/{ratio['median']:.1f} (1/{ratio['low']:.1f} to 1/{ratio['high']:.1f})"
            if ratio["median"] >= 1
            else f"{inverse(ratio['median'])} ({inverse(ratio['high'])} to {inverse(ratio['low'])})"
        )
        lines.append(
            f"  {row['peer']:<20}{cost['median']:>11.2f} µs ({cost['low']:.2f} to {cost['high']:.2f})".ljust(62)
            + f"{rate['median']:>11,.0f}/s   {compared}"
        )
    return "\n".join(lines)


def inverse(ratio: float) -> str:
    return f"{1 / ratio:.1f}" if ratio else "-"


def write(path: Path, results: list[Result], size: str) -> None:
    """All numbers and what they were measured on, for figures and for comparing two runs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "size": size,
        "machine": {
            "system": platform.platform(),
            "processor": processor(),
            "cores": len(os.sched_getaffinity(0)),
            "python": platform.python_version(),
        },
        "results": [row for result in results for row in result.rows()],
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
