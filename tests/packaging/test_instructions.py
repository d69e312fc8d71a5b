"""The guard of `make instructions`: what it lets pass and what not. The counting itself is the make target."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benches" / "instructions"


@pytest.fixture(scope="module")
def check():
    spec = importlib.util.spec_from_file_location("instructions_check", FOLDER / "check.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_growth_under_five_per_cent_passes_and_six_do_not(check):
    assert check.compare({"plain": 104.9}, {"plain": 100.0}) == []
    (complaint,) = check.compare({"plain": 106.0, "escaped": 90.0}, {"plain": 100.0, "escaped": 100.0})
    assert complaint.startswith("plain: 106.0 instructions, 6.0% more than 100.0")


def test_a_case_without_a_baseline_is_a_complaint(check):
    assert check.compare({"new": 1.0}, {}) == ["new: not in the baseline"]


def test_the_baseline_has_every_case_and_what_it_depends_on(check):
    baseline = json.loads(check.BASELINE.read_text(encoding="utf-8"))
    assert set(baseline["instructions"]) == set(check.CASES)
    assert baseline["rustc"].startswith("rustc ")
    assert baseline["machine"]
