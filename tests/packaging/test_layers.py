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


def entries(source: str) -> dict[str, str]:
    """The functions of a source that Python calls, with the first line of each body."""
    entry = re.compile(
        r"""^(?P<indent>\ *)(?:pub\ )?(?:unsafe\ extern\ "C"\ )?fn\ (?P<name>\w+).*?\{\n\s*(?P<first>.*?)\n""",
        re.MULTILINE | re.DOTALL | re.VERBOSE,
    )
    found = {}
    for block in re.finditer(r"^#\[pymethods\]\nimpl (\w+) \{\n(.*?)^\}", source, re.MULTILINE | re.DOTALL):
        for method in entry.finditer(block[2]):
            if method["indent"] == "    ":
                found[f"{block[1]}.{method['name']}"] = method["first"]
    for block in re.finditer(r"^#\[pyfunction\]\n(.*?)^\}", source, re.MULTILINE | re.DOTALL):
        function = entry.search(block[1])
        assert function
        found[function["name"]] = function["first"]
    classes = re.findall(r"^#\[pyclass.*\]\n(?:#\[.*\]\n)*pub struct (\w+)", source, re.MULTILINE)
    for block in re.finditer(r"^impl Drop for (\w+) \{\n(.*?)^\}", source, re.MULTILINE | re.DOTALL):
        if block[1] in classes:
            function = entry.search(block[2])
            assert function
            found[f"{block[1]}.drop"] = function["first"]
    return found


def test_every_entry_from_python_makes_its_thread_fit_for_interpreter_exit():
    """See `src/py/interpreter/exit.rs`. A `__traverse__` calls no Python."""
    found = {
        f"{file.relative_to(RUST)} {name}": first
        for file in sorted((RUST / "py").rglob("*.rs"))
        for name, first in entries(file.read_text(encoding="utf-8")).items()
    }
    assert len(found) > 60
    forgetful = [name for name, first in found.items() if first != "enter();" and not name.endswith("__traverse__")]
    assert forgetful == []
    # The functions without pyo3's way in.
    assert mentions(RUST / "py", r'extern "C" fn \w+_entry', suffix=".rs")
    unary = (RUST / "py" / "interpreter" / "unary_function.rs").read_text(encoding="utf-8")
    assert re.search(r"let work = \|\| \{\n\s*enter\(\);", unary)
