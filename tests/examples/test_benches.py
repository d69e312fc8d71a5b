"""Each bench runs once on small input, so that none rots. Nothing is said about the numbers but that they are there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
def test_every_bench_runs(run_python, tmp_path):
    file = tmp_path / "results.json"
    done = run_python("-m", "benches", "--smoke", "--results", str(file), folder=ROOT)
    assert done.returncode == 0, done.stderr
    results = json.loads(file.read_text(encoding="utf-8"))
    rows = results["results"]
    assert {row["family"] for row in rows} == {"bursts", "throttled", "short requests", "import"}
    for row in rows:
        assert row["cpu_us"]["median"] > 0, row
        assert row["per_second"]["median"] > 0, row
        assert row["peer"] in done.stdout
    peers = {row["peer"] for row in rows if row["family"] == "bursts"}
    assert peers == {"MetaGPT's original", "our provider", "ollama-python", "our client"}
