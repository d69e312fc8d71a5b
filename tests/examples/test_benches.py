"""Each bench runs once on small input, so that none rots. Nothing is said about the numbers but that they are there."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAMILIES = {
    "bursts", "throttled", "short requests", "beside a busy thread", "long answers", "memory", "embeddings", "decoding",
    "import",
}  # fmt: skip
LATENCY = {"throttled", "short requests", "beside a busy thread"}
CLIENTS = {
    "MetaGPT's original", "our provider", "our provider, general lane", "ollama-python", "aiohttp + orjson",
    "our client", "our client, general lane", "bare socket",
}  # fmt: skip


@pytest.mark.timeout(300)
def test_every_bench_runs_and_is_reported(run_python, tmp_path):
    file = tmp_path / "results.json"
    done = run_python("-m", "benches", "--smoke", "--results", str(file), folder=ROOT)
    assert done.returncode == 0, done.stderr
    rows = json.loads(file.read_text(encoding="utf-8"))["results"]
    assert {row["family"] for row in rows} == FAMILIES
    for row in rows:
        assert row["peer"] in done.stdout
        assert row["per_second"]["median"] > 0, row
        # What is a difference can be nothing on input this small.
        assert row["cpu_us"]["median"] > 0 or row["family"] in ("embeddings", "beside a busy thread"), row
        if row["family"] in LATENCY:
            assert 0 < row["p50_us"]["median"] <= row["p99_us"]["median"], row
        if row["family"] == "memory":
            assert row["added_mib"]["median"] >= 0, row
    for family in ("bursts", "throttled", "short requests"):
        assert {row["peer"] for row in rows if row["family"] == family} == CLIENTS

    page = tmp_path / "page.md"
    page.write_text("# Before\n<!-- results: written by benches.report -->\nold\n<!-- end of results -->\nafter\n")
    done = run_python("-m", "benches.report", str(file), "--into", str(page), folder=ROOT)
    assert done.returncode == 0, done.stderr
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    for row in rows:
        assert f"| {row['peer']} |" in text or f"| **{row['peer']}** |" in text
    figures = sorted((tmp_path / "figures").glob("*.svg"))
    assert len(figures) > 8
    drawn = {
        element.text
        for figure in figures
        for element in ElementTree.parse(figure).iter("{http://www.w3.org/2000/svg}text")
    }
    assert {row["peer"] for row in rows} <= drawn


def test_an_answer_that_is_not_the_servers_is_no_result(run_python):
    program = """
from benches import throttled
from benches.cases import equal

def refused(check, *arguments):
    try:
        check(*arguments)
    except AssertionError:
        return True
    return False

stamp = "000000:0000000000000000005 "
assert equal(["a", "a"], "a") == []
assert refused(equal, ["a", "b"], "a")
assert throttled.delays([(1_000_000_005, stamp), (7, "\\n")], 1, 1) == [1.0]
assert refused(throttled.delays, [(9, stamp)], 1, 2)
assert refused(throttled.delays, [(9, stamp + stamp)], 1, 1)
"""
    done = run_python("-c", program, folder=ROOT)
    assert done.returncode == 0, done.stderr
