"""Rules for files that no tool checks: sizes, leftovers, a machine's paths, pinned versions, links of documents."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = (".ci", "benches", "docs", "examples", "python", "requirements", "src", "tests")
SUFFIXES = {"", ".in", ".md", ".py", ".pyi", ".rs", ".toml", ".txt"}
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
MAX_LINES = 700


def texts() -> list[Path]:
    # In a worktree of git `.git` is a file, too.
    top = [
        file for file in ROOT.iterdir() if file.is_file() and file.suffix in SUFFIXES - {".txt"} and file.name != ".git"
    ]
    below = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*") if file.suffix in SUFFIXES]
    return sorted(
        file for file in top + below
        if file.is_file() and "__pycache__" not in file.parts and "transcripts" not in file.parts
    )  # fmt: skip


def test_files_are_short_enough_to_read():
    sources = [file for file in texts() if file.suffix in {".py", ".rs"}]
    assert len(sources) > 50
    long = {str(file.relative_to(ROOT)): count for file in sources
            if (count := len(file.read_text(encoding="utf-8").splitlines())) > MAX_LINES}  # fmt: skip
    assert long == {}


@pytest.mark.parametrize(
    "pattern", [r"/(root|home)/\w", r"/work/\w", r"\b(TODO|FIXME|XXX)\b"], ids=["home", "work", "notes"]
)
def test_no_leftovers(pattern):
    found = [
        f"{file.relative_to(ROOT)}: {match[0]}"
        for file in texts()
        if file != Path(__file__)
        for match in re.finditer(pattern, file.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_requirements_are_pinned_and_name_no_host():
    locked = sorted((ROOT / "requirements").glob("*.txt"))
    assert len(locked) >= 4
    for file in locked:
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"https?://|--(extra-)?index-url|--find-links", text), file.name
        if "overrides" in file.name:
            continue
        lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        assert [line for line in lines if not re.match(r"^[\w.\[\]-]+==[\w.]+( ;.*)?$", line.strip())] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: file.name)
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: file.name)
def test_make_targets_exist(document):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = re.findall(
        r"(?:`|^    )make ((?:[A-Z_]+=\S+ )*)([a-z-]+)", document.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert {target for _, target in named} <= targets


@pytest.mark.parametrize("name", ["troubleshooting.md", "troubleshooting.zh.md"])
def test_error_texts_in_troubleshooting_exist(name):
    """Each text that the page quotes stands in the sources: someone will search for it."""
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    code = [file for file in texts() if file.relative_to(ROOT).parts[0] in ("python", "src")]
    sources = "".join(file.read_text(encoding="utf-8") for file in code)
    quoted = [
        text
        for row in page.splitlines()
        if row.startswith("| `")
        for text in re.findall(r"`([^`]+)`", row.split("|")[1])
    ]
    assert len(quoted) > 20
    assert [text for text in quoted if text not in sources] == []


def test_tests_named_in_documents_exist():
    tests = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("*.py"))
    named = {name for file in DOCUMENTS for name in re.findall(r"`(test_\w+)`", file.read_text(encoding="utf-8"))}
    assert named
    assert {name for name in named if f"def {name}(" not in tests} == set()
