"""The examples of docs/tools.md (its Chinese twin has the same) run as they stand, against the scripted server."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from metagpt_ollama_rs.testing import Reply, Request, ScriptedServer

GUIDE = (Path(__file__).parents[2] / "docs" / "tools.md").read_text(encoding="utf-8")
SECTIONS = re.split(r"^## ", GUIDE, flags=re.MULTILINE)[1:]
EXAMPLES = [
    (section.partition("\n")[0], code)
    for section in SECTIONS
    for code in re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
]


def test_all_examples_are_found() -> None:
    assert len(EXAMPLES) == GUIDE.count("```python")


def answer(request: Request) -> Reply:
    """A text, or what fits the schema that is asked for: a list of findings, or an object of texts."""
    body = request.json()
    schema = body.get("format") or {}
    text = "Hello from the script"
    if schema.get("type") == "array":
        text = json.dumps([{"line": 2, "severity": "warning", "text": text}])
    elif schema.get("type") == "object":
        text = json.dumps(dict.fromkeys(schema["required"], text))
    return Reply.generate(text, stream=body.get("stream", True), model=body["model"])


@pytest.mark.parametrize(("section", "code"), EXAMPLES, ids=[section for section, _ in EXAMPLES])
def test_an_example_runs(
    section: str,
    code: str,
    tool_server: ScriptedServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", tool_server.url)
    monkeypatch.chdir(tmp_path)
    tool_server.answer("Hello from the script")
    tool_server.on("POST", "/api/generate", answer)
    # The examples name Ollama's usual address.
    code = code.replace("http://127.0.0.1:11434", tool_server.url)
    exec(compile(code, section, "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out.strip()
