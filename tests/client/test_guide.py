"""The examples of docs/clients.md (its Chinese twin has the same) run as they stand, against the scripted server."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import metagpt_ollama_rs
from metagpt_ollama_rs import ollama_compat
from metagpt_ollama_rs.testing import Reply, Request, ScriptedServer

GUIDE = (Path(__file__).parents[2] / "docs" / "clients.md").read_text(encoding="utf-8")
SECTIONS = re.split(r"^## ", GUIDE, flags=re.MULTILINE)[1:]
EXAMPLES = [
    (section.partition("\n")[0], code)
    for section in SECTIONS
    for code in re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
]

MODELS = Reply.json({"models": [{"name": "llama3.2:latest", "model": "llama3.2:latest", "size": 1}]})
MODEL = b"GGUF"
SUCCESS = Reply.json({"status": "success"})
REPORTS = [{"status": "pulling 849a", "total": 200, "completed": 50}, {"status": "success"}]


def chat(request: Request) -> Reply:
    """A model that thinks, calls tools and writes JSON when it is asked to."""
    body: dict[str, Any] = request.json()
    asked, answer = body["messages"][-1], "Hello from the script"
    fields: dict[str, Any] = {"stream": body["stream"], "model": body["model"]}
    if body.get("format"):
        answer = json.dumps({"name": answer})
    if body.get("tools") and asked["role"] == "user":
        fields["tool_calls"] = [{"function": {"name": "weather", "arguments": {"city": "Xiamen"}}}]
        answer = ""
    if body.get("think"):
        fields["thinking"] = "Say it."
    return Reply.chat(answer, **fields)


@pytest.fixture
def guide_server(ollama_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ScriptedServer:
    ollama_server.answer("Hello from the script")
    ollama_server.script(
        {
            "POST /api/chat": chat,
            "GET /api/tags": MODELS,
            "GET /api/ps": MODELS,
            "POST /api/show": Reply.json({"capabilities": ["completion"], "details": {"family": "llama"}}),
            "POST /api/pull": Reply.ndjson(REPORTS),
            "POST /api/create": SUCCESS,
            "POST /v1/responses": Reply.json({"output": [{"content": [{"text": "Hello from the script"}]}]}),
            "POST /v1/messages": Reply.sse([{"type": "message_start"}, {"type": "message_stop"}]),
            "POST /api/me": Reply.json({"name": "ann"}),
            "POST /api/copy": Reply.body(b"", None),
            "DELETE /api/delete": Reply.body(b"", None),
        }
    )
    ollama_server.on("POST", f"/api/blobs/sha256:{hashlib.sha256(MODEL).hexdigest()}", Reply.body(b"", None, 201))
    monkeypatch.setenv("OLLAMA_HOST", ollama_server.url)
    monkeypatch.delenv("OLLAMA_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dot.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "model.gguf").write_bytes(MODEL)
    metagpt_ollama_rs.configure()
    # What other tests have imported, and made, is there again afterwards.
    for name in [name for name in sys.modules if name.partition(".")[0] == "ollama"]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("_client", "chat"):
        monkeypatch.delitem(vars(ollama_compat), name, raising=False)
    return ollama_server


def test_all_examples_are_found() -> None:
    assert len(EXAMPLES) == GUIDE.count("```python") >= 12


@pytest.mark.parametrize(("section", "code"), EXAMPLES, ids=[section for section, _ in EXAMPLES])
def test_an_example_runs(
    section: str, code: str, guide_server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    # The examples name Ollama's usual address, and a file elsewhere.
    code = code.replace("http://127.0.0.1:11434", guide_server.url).replace("/models/", "")
    exec(compile(code, section, "exec"), {"__name__": "__main__"})
    printed = capsys.readouterr()
    assert printed.out.strip()
    if "generate(" in code or "chat(" in code:
        assert "Hello from the script" in printed.out
    assert not printed.err
