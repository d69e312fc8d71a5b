"""The layers are folders, and the arrows between them point one way. Read from the sources, as a person would."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUST = ROOT / "src"
PYTHON = ROOT / "python" / "metagpt_ollama_rs"


def mentions(folder: Path, pattern: str, *, suffix: str, spare: tuple[str, ...] = ()) -> list[str]:
    """Places under `folder` whose code, comments left out, matches `pattern`."""
    files = [folder] if folder.is_file() else sorted(folder.rglob(f"*{suffix}"))
    assert files, folder
    found = []
    for file in files:
        name = file.relative_to(ROOT).as_posix()
        if any(name.startswith(prefix) for prefix in spare):
            continue
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            code = line.split("//" if suffix == ".rs" else "#")[0]
            if re.search(pattern, code):
                found.append(f"{name}:{number}: {line.strip()}")
    return found


def test_python_stays_in_its_layer():
    assert mentions(RUST, r"\bpyo3", suffix=".rs", spare=("src/py/", "src/lib.rs")) == []
    assert mentions(RUST, r"crate::py\b", suffix=".rs", spare=("src/py/",)) == []


@pytest.mark.parametrize(
    "forbidden", [r"\btokio\b", r"\breqwest\b", r"\bstd::(net|io|fs|thread)\b", r"crate::(http|inbox)\b"]
)
def test_wire_knows_bytes_only(forbidden):
    assert mentions(RUST / "wire", forbidden, suffix=".rs") == []


def test_the_inbox_does_no_http():
    assert mentions(RUST / "inbox.rs", r"\b(reqwest|crate::http)\b", suffix=".rs") == []


def test_metagpt_is_imported_by_the_provider_only():
    spare = ("python/metagpt_ollama_rs/provider/",)
    assert mentions(PYTHON, r"^\s*(from|import) metagpt(\.| |$)", suffix=".py", spare=spare) == []


def test_the_extras_packages_are_imported_by_the_embedded_server_only():
    spare = ("python/metagpt_ollama_rs/embedded",)
    assert mentions(PYTHON, r"^\s*(from|import) (xllamacpp|h11)\b", suffix=".py", spare=spare) == []
