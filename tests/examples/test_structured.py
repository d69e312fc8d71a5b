"""`examples/structured.py` with a scripted Ollama, and the bench behind the numbers in docs/compatibility.md."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = str(ROOT / "examples" / "structured.py")


@pytest.mark.timeout(300)
def test_the_example_fills_a_node(run_python, ollama_server):
    ollama_server.answer('{"Title": "Chess", "Tasks": ["Draw the board"], "Days": 4}')
    done = run_python(EXAMPLE, "--task", "a chess game", OLLAMA_HOST=ollama_server.url)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-3:] == [
        "       Title  'Chess'",
        "       Tasks  ['Draw the board']",
        "        Days  4",
    ]
    sent = ollama_server.last.json()
    assert list(sent["format"]["properties"]) == ["Title", "Tasks", "Days"]
    assert "Plan a chess game." in sent["messages"][-1]["content"]


@pytest.mark.timeout(300)
def test_a_real_model_fills_at_least_nine_of_ten(run_python, tmp_path):
    file = tmp_path / "counts.json"
    names = ("original", "ours")
    options = ("--places", "node", "--only", *names, "--results", str(file))
    done = run_python("-m", "benches.structured", *options, folder=ROOT)
    assert done.returncode == 0, done.stderr
    counts = json.loads(file.read_text(encoding="utf-8"))
    assert counts["fills"] == 10
    parsed = counts["parsed"]["node"]
    assert parsed["ours"] >= 9
    assert parsed["original"] < parsed["ours"]
    assert all(f"{parsed[name]:>3} of 10  {name}" in done.stdout for name in names)
