"""THIRD_PARTY_NOTICES has the licence of every crate that is built in, and comes with the wheel."""

from __future__ import annotations

import importlib.metadata
import re
import runpy
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTICES = ROOT / "THIRD_PARTY_NOTICES"
RULE = "~" * 80 + "\n"
HINT = "make notices"


@pytest.fixture(scope="module")
def linked() -> set[tuple[str, str]]:
    if shutil.which("cargo") is None:
        pytest.skip("cargo is not there")
    return runpy.run_path(str(ROOT / "requirements" / "notices.py"))["linked"]()


def listed() -> dict[tuple[str, str], str]:
    head = NOTICES.read_text("utf-8").split(RULE)[0]
    return {(name, version): rest for name, version, rest in re.findall(r"^(\S+) (\d\S*): (.+)$", head, re.MULTILINE)}


def test_every_crate_is_listed_and_no_other(linked: set[tuple[str, str]]) -> None:
    assert len(linked) > 100
    assert set(listed()) == linked, HINT


def test_every_crate_has_a_text() -> None:
    _, *sections = NOTICES.read_text("utf-8").split(RULE)
    titles: set[str] = set()
    for names, text in zip(sections[::2], sections[1::2]):
        assert len(text.split()) > 50, names
        titles |= set(names.strip().split("\n"))
    assert titles == {f"{name} {version}" for name, version in listed()}, HINT


def test_the_licences_permit_it() -> None:
    permissive = {"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "ISC", "MIT", "MIT-0", "Unicode-3.0",
                  "Unlicense", "Zlib"}  # fmt: skip
    for crate, rest in listed().items():
        names = set(re.split(r"\s+(?:AND|OR)\s+|/|[()]|,.*", rest.partition(",")[0])) - {""}
        assert names <= permissive, crate


def test_the_wheel_has_the_notices() -> None:
    files = importlib.metadata.files("metagpt-ollama-rs") or []
    (installed,) = [file for file in files if file.name == NOTICES.name]
    assert ".dist-info" in installed.parts[0]
    assert installed.read_text("utf-8") == NOTICES.read_text("utf-8")
