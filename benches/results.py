"""From samples to numbers: medians per entrant, ratios to the baseline within a round, a JSON file.

The file is what the report and the figures are made of.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import platform
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benches.cases import Case, Sample

COMPARED = ("metagpt-ollama-rs", "metagpt", "aiohttp", "ollama", "httpx", "pydantic", "orjson", "msgspec", "numpy")
Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Result:
    """All samples of one case: per entrant one sample for each round."""

    family: str
    unit: str
    case: Case
    samples: dict[str, list[Sample]]

    def rows(self) -> Iterator[Row]:
        """For each entrant: microseconds of CPU per unit, units per second of wall time, how many times less CPU than
        the baseline's it is and how much more (microseconds), and what else the samples have."""
        base = [sample.cpu / sample.units for sample in self.samples[self.case.baseline]]
        for name, samples in self.samples.items():
            costs = [sample.cpu / sample.units for sample in samples]
            yield {
                "family": self.family,
                "case": self.case.name,
                "unit": self.unit,
                "peer": name,
                "baseline": self.case.baseline,
                "cpu_us": spread([1e6 * cost for cost in costs]),
                "per_second": spread([sample.units / sample.wall for sample in samples]),
                "ratio": spread([before / cost if cost > 0 else 0.0 for before, cost in zip(base, costs)]),
                "over_us": spread([1e6 * (cost - before) for before, cost in zip(base, costs)]),
                **{
                    measure: spread([sample.measures[measure] for sample in samples]) for measure in samples[0].measures
                },
                "samples": [dataclasses.asdict(sample) for sample in samples],
            }


def spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def write(path: Path, results: list[Result], size: str) -> None:
    """All numbers and what they were measured on, for the report, the figures and for comparing two runs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "size": size,
        "rounds": max((len(samples) for result in results for samples in result.samples.values()), default=0),
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "processor": processor(),
            "cores": len(os.sched_getaffinity(0)),
            "python": platform.python_version(),
            # The load average of the last 15 minutes. A run on an idle machine makes it about 2.
            "load": round(os.getloadavg()[2], 1),
        },
        "versions": dict(versions()),
        "results": [row for result in results for row in result.rows()],
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(path: Path) -> dict[str, Any]:
    """Reads the file that `write` has written."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        sys.exit(f"{path} does not exist; hint: make bench RESULTS={path}")
    return content


def versions() -> Iterator[tuple[str, str]]:
    for name in COMPARED:
        try:
            yield name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
