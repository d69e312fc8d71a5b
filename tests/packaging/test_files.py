"""Rules for files that no tool checks: sizes, leftovers, a machine's paths, pinned versions, links of documents."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
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


def anchors(document: Path) -> set[str]:
    """The fragments that a document's headings have on a forge."""
    prose = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def leads_somewhere(folder: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    file = folder / path
    return file.exists() and (not anchor or (file.is_file() and anchor in anchors(file)))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: file.name)
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)]+)\)", document.read_text(encoding="utf-8")):
        if target.startswith("#"):
            assert target[1:] in anchors(document), target
        elif not target.startswith(("http://", "https://")):
            assert leads_somewhere(document.parent, target), target


def comments(file: Path) -> Iterator[tuple[int, str]]:
    """The comments and docstrings of a source, each with its line."""
    text = file.read_text(encoding="utf-8")
    if file.suffix in {".py", ".pyi"}:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string
        for node in ast.walk(ast.parse(text)):
            if (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            ):
                yield node.lineno, node.value.value
    else:
        mark = re.compile(r"//.*" if file.suffix == ".rs" else r"#.*")
        for number, line in enumerate(text.splitlines(), 1):
            for comment in mark.findall(line):
                yield number, comment


def cited(comment: str) -> list[str]:
    """The Markdown files that a comment names, with their anchors; what stands in a URL is somebody else's."""
    return re.findall(r"(?<![\w./-])[\w./-]*\w\.md(?:#[\w-]*\w)?", re.sub(r"https?://\S+", "", comment))


def test_documents_that_comments_cite_exist():
    """By their path from the top, or from the folder of the source."""
    sources = [
        file
        for file in texts()
        if file.suffix not in {".md", ".txt"} and file.name not in {"LICENSE", "THIRD_PARTY_NOTICES"}
    ]
    found = [(file, line, target) for file in sources for line, comment in comments(file) for target in cited(comment)]
    assert len(found) > 15
    dead = [
        f"{file.relative_to(ROOT)}:{line}: {target}"
        for file, line, target in found
        if not (leads_somewhere(ROOT, target) or leads_somewhere(file.parent, target))
    ]
    assert dead == []


def test_sources_that_comments_name_exist():
    """Those that are named by their path from the top."""
    path = re.compile(r"(?<![\w./-])(?:benches|examples|fuzz|python|src|tests)/[\w/-]+\.(?:rs|pyi?)\b")
    sources = [file for file in texts() if file.suffix in {".rs", ".py", ".pyi"}]
    found = [
        (file, line, name)
        for file in sources
        for line, comment in comments(file)
        for name in path.findall(re.sub(r"https?://\S+", "", comment))
        if name != "tests/metagpt/provider/test_ollama_api.py"  # MetaGPT's own
    ]
    assert len(found) > 10
    assert [
        f"{file.relative_to(ROOT)}:{line}: {name}" for file, line, name in found if not (ROOT / name).exists()
    ] == []


def test_a_citation_is_seen_wherever_it_stands_in_a_comment(tmp_path):
    (tmp_path / "a.rs").write_text(
        '/// See (docs/wire.md#6-counters).\nlet x = "b.md"; // and c.md\n', encoding="utf-8"
    )
    (tmp_path / "a.py").write_text(
        '"""One.md, two."""\nX = "b.md"  # https://x.org/c.md\n\ndef f():\n    # `d.md`.\n    "e.md"\n',
        encoding="utf-8",
    )
    assert [(line, cited(text)) for line, text in comments(tmp_path / "a.rs")] == [
        (1, ["docs/wire.md#6-counters"]), (2, ["c.md"]),
    ]  # fmt: skip
    assert sorted((line, cited(text)) for line, text in comments(tmp_path / "a.py")) == [
        (1, ["One.md"]), (2, []), (5, ["d.md"]), (6, ["e.md"]),
    ]  # fmt: skip
    (tmp_path / "c.md").write_text("# A title: of `code`, *more*\n\n```\n# none\n```\n## 第 1 节\n", encoding="utf-8")
    assert anchors(tmp_path / "c.md") == {"a-title-of-code-more", "第-1-节"}
    assert leads_somewhere(tmp_path, "c.md#a-title-of-code-more")
    assert not leads_somewhere(tmp_path, "c.md#none")
    assert not leads_somewhere(tmp_path, "d.md")


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/design.md"])
def test_identifiers_in_backticks_occur_in_the_sources(name):
    """Those that are made of several words: `ReaderCell`, `reader_cell`."""
    code = [file for file in texts() if file.suffix in {".rs", ".py", ".pyi"} or file.name == "Makefile"]
    words = {word for file in code for word in re.findall(r"\w+", file.read_text(encoding="utf-8"))}
    spans = re.findall(r"`(\w+)`", (ROOT / name).read_text(encoding="utf-8"))
    named = {span for span in spans if re.search(r"[A-Za-z]_|_[A-Za-z]|[a-z][A-Z]", span)}
    assert len(named) > 5
    assert named - words == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: file.name)
def test_files_named_in_documents_exist(document):
    """Those that are named by their path from the top, in backticks or not."""
    prose = re.sub(r"https?://\S+", "", document.read_text(encoding="utf-8"))
    named = re.findall(r"(?<![\w./-])(?:benches|docs|examples|fuzz|python|src|tests)/[\w./-]*\.(?:md|pyi?|rs)\b", prose)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_tests_that_the_page_about_reliability_names_exist():
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = [
        (file, name)
        for file, names in re.findall(r"`(test_\w+\.py)`: ((?:`test_\w+`(?:, )?)+)", page)
        for name in re.findall(r"test_\w+", names)
    ]
    assert len(named) > 40
    folder = ROOT / "tests" / "lifecycle"
    assert [
        (file, name) for file, name in named if f"def {name}(" not in (folder / file).read_text(encoding="utf-8")
    ] == []


# Folders and files that a command makes.
MADE = {"fuzz/corpus/", "fuzz/artifacts/", "target/soak.json"}


def test_paths_in_backticks_exist():
    """Each path that these two pages name: from the top, from `src/`, or from the Python package."""
    folders = [ROOT, ROOT / "src", ROOT / "python" / "metagpt_ollama_rs"]
    missing, count = [], 0
    for document in (ROOT / "CONTRIBUTING.md", ROOT / "docs" / "design.md"):
        prose = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for span in re.findall(r"`([^`\n]+)`", prose):
            is_path = re.fullmatch(r"[\w.*{}][\w./*-]*/[\w./*-]*|[\w*-]+(\.zh)?\.(rs|py|pyi|md|toml|txt|json)", span)
            if not is_path or span in MADE:
                continue
            count += 1
            if not any(list(folder.glob(span.rstrip("/"))) for folder in folders):
                missing.append(f"{document.name}: {span}")
    assert count > 40
    assert missing == []


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
    """Each text that the page quotes stands in the sources: someone will search for it. Those of MetaGPT's own, below
    the page's second heading, are looked for in `tests/metagpt/test_troubleshooting.py`."""
    page, _ = (ROOT / "docs" / name).read_text(encoding="utf-8").split("\n## ")
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
