"""The examples that use the tools: review.py and document.py."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from metagpt_ollama_rs.testing import Reply

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(run_python, ollama_server):
    """Runs an example by its name against the scripted server."""
    return lambda name, *arguments: run_python(str(EXAMPLES / f"{name}.py"), *arguments, OLLAMA_HOST=ollama_server.url)


def test_findings_are_lines_that_editors_jump_to(example, ollama_server, tmp_path):
    (tmp_path / "code.py").write_text("import os\nprint(totl)\n", encoding="utf-8")
    findings = [
        {"line": 2, "severity": "error", "text": "`totl` is not defined."},
        {"line": 1, "severity": "info", "text": "`os` is not used."},
        {"line": 9, "severity": "info", "text": "There is no such line."},
    ]
    ollama_server.on("POST", "/api/generate", Reply.generate(json.dumps(findings)))
    done = example("review", "code.py", "missing.py")
    assert done.stdout.splitlines() == [
        "code.py:1: info: `os` is not used.",
        "code.py:2: error: `totl` is not defined.",
    ]
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert first == "code.py: 1 findings about lines that do not exist"
    assert second.startswith("missing.py: ")


def test_a_review_without_errors(example, ollama_server, tmp_path):
    (tmp_path / "code.py").write_text("print(1)\n", encoding="utf-8")
    ollama_server.on("POST", "/api/generate", Reply.generate("[]"))
    done = example("review", "code.py", "--language", "zh")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_folder_is_documented_and_later_what_has_changed(example, ollama_server, tmp_path):
    folder = tmp_path / "project"
    (folder / "deep").mkdir(parents=True)
    (folder / ".venv").mkdir()
    for name in ("one.py", "deep/two.py", ".venv/other.py"):
        (folder / name).write_text(f"def {Path(name).stem}(): ...\n", encoding="utf-8")
        os.utime(folder / name, (1, 1))
    (folder / "empty.py").touch()
    (folder / "latin.py").write_bytes(b"# caf\xe9\n")
    ollama_server.on("POST", "/api/generate", Reply.generate("# Some text"))
    done = example("document", "project")
    output = tmp_path / "project-docs"
    assert done.stdout.splitlines() == [str(output / name) for name in ("deep/two.md", "one.md", "README.md")]
    assert (output / "deep" / "two.md").read_text(encoding="utf-8") == "# Some text\n"
    assert (output / "README.md").read_text(encoding="utf-8").startswith("# Some text")
    assert done.returncode == 1
    assert "latin.py: 'utf-8' codec can't decode" in done.stderr

    (folder / "latin.py").unlink()
    os.utime(output / "one.md", (0, 0))
    done = example("document", "project", "--output", str(output))
    assert done.stdout.splitlines() == [str(output / name) for name in ("one.md", "README.md")]
    assert done.returncode == 0


def test_a_server_that_goes_away_ends_the_work_at_once(example, ollama_server, tmp_path):
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text("print(1)\n", encoding="utf-8")
    ollama_server.on("POST", "/api/generate", Reply.error("model 'scripted' not found", 404))
    done = example("document", ".", "--output", "docs")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "ollama pull" in done.stderr
