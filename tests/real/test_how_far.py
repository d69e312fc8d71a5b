"""How far MetaGPT's own programs get with a model whose answers are right but for how they are written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from metagpt_ollama_rs.testing import Reply

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from benches.metagpt_models import CODE_SHAPES, wrong_text  # noqa: E402
from benches.metagpt_report import PLACES  # noqa: E402
from benches.metagpt_scenarios import SCENARIOS, find_answer  # noqa: E402

COMMAND = SCENARIOS["metagpt command", "0.8.2"]


@pytest.mark.timeout(300)
def test_the_command_line_to_the_end_with_an_answer_in_another_wrong_shape_each_time(environment, ollama_server):
    """`metagpt "…"` of 0.8.2: three documents, two programs and their reviews, and the program counts."""
    shapes = iter(["trailing commas", "prose before", "single quotes"])
    programs = iter(["no fence, after a sentence", "fence after thoughts that have one"])

    def chat(request):
        body = request.json()
        assert "format" not in body
        answer = find_answer(COMMAND, [message["content"] for message in body["messages"]])
        text = answer.value
        if answer.kind == "json":
            text = wrong_text(next(shapes), answer)
        elif answer.kind == "code":
            text = CODE_SHAPES[next(programs)](answer.value)
        return Reply.chat([text[at : at + 9] for at in range(0, len(text), 9)], stream=body["stream"])

    ollama_server.on("POST", "/api/chat", chat)
    environment.configure(
        f"llm:\n  api_type: ollama\n  base_url: {ollama_server.url}\n  api_key: ''\n  model: scripted\n"
        "  extra_fields:\n    structured: 'false'\n"
    )
    done = environment.run("metagpt", "Write a word counter.", "--project-name", "wrong_shapes", seconds=250)
    assert done.returncode == 0, done.stderr
    # No answer was asked for twice.
    assert len(ollama_server.requests) == 7, done.stderr
    folder = environment.home / "workspace" / "wrong_shapes"
    for part in ("prd", "system_design", "task"):
        (file,) = (folder / "docs" / part).glob("*.json")
        assert json.loads(file.read_text(encoding="utf-8"))
    text = environment.home / "five.txt"
    text.write_text("one two three\nfour five\n", encoding="utf-8")
    counted = environment.run("python", folder / "wrong_shapes" / "main.py", text)
    assert counted.stdout.strip() == "5", counted.stderr


@pytest.mark.timeout(300)
def test_where_the_original_stops_and_ours_does_not(tmp_path):
    """The bench behind the table of docs/compatibility.md, for three programs and four ways to write an answer."""
    file = tmp_path / "runs.json"
    titles = ("metagpt command", "DataInterpreter, plan and act", "react role")
    shapes = ("right", "trailing commas", "prose before", "no fence, after a sentence")
    arguments = ["--release", "0.8.2", "--ways", "original", "ours now", "--only", *titles, "--shapes", *shapes]
    command = [sys.executable, "-m", "benches.metagpt_runs", *arguments, "--results", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    rows = {(row["way"], row["scenario"], row["shape"]): row for row in json.loads(file.read_text(encoding="utf-8"))}

    def stages(way):
        return {key[1:]: len(row["stages"]) for key, row in rows.items() if key[0] == way}

    ours = {(title, shape): len(SCENARIOS[title, "0.8.2"].stages) for _, title, shape in rows}
    assert stages("ours now") == ours, done.stderr
    command_line, interpreter, role = titles
    assert stages("original") == {
        **ours,
        (command_line, "trailing commas"): 0,
        (command_line, "prose before"): 0,
        # The program with its sentence is a file that does not run.
        (command_line, "no fence, after a sentence"): 4,
        (interpreter, "trailing commas"): 0,
        (interpreter, "prose before"): 0,
        # It plans for ever.
        (interpreter, "no fence, after a sentence"): 1,
        # The last stage is the end, of which the original dies.
        **{(role, shape): 2 for title, shape in ours if title == role},
    }

    page = tmp_path / "page.md"
    page.write_text("Before.\n\n" + "\n".join(PLACES[0]) + "\n\nAfter.\n", encoding="utf-8")
    report = [sys.executable, "-m", "benches.metagpt_report", str(file), "--into", str(page)]
    subprocess.run(report, cwd=ROOT, check=True, timeout=60)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("Before.\n")
    assert text.endswith("After.\n")
    assert "| the `metagpt` command, 0.8.2 | 0/3 |  |  |  | 3/3 | `PRD` |" in text
    assert "| a role in react mode, 0.8.2 | — |  |  |  | 1/1 | `all in order` |" in text
