"""The examples that need MetaGPT: role.py, team.py, and images.py with --metagpt. Importing MetaGPT takes seconds, so
each is run as seldom as will do."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from metagpt_ollama_rs.testing import Reply

EXAMPLES = Path(__file__).parents[2] / "examples"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

pytestmark = pytest.mark.timeout(300)


def prompts(server):
    return [request.json()["messages"] for request in server.requests if request.path == "/api/chat"]


def test_a_role_hands_its_outline_on(run_python, ollama_server):
    ollama_server.queue(Reply.chat("- the larynx"), Reply.chat("They purr with the larynx."), path="/api/chat")
    done = run_python(str(EXAMPLES / "role.py"), "Why do cats purr?", OLLAMA_HOST=ollama_server.url)
    assert done.returncode == 0, done.stderr
    assert done.stdout.index("- the larynx") < done.stdout.index("They purr with the larynx.")
    outline, write = prompts(ollama_server)
    assert outline[-1]["content"].endswith("Why do cats purr?")
    assert "- the larynx" in write[-1]["content"]
    assert "Why do cats purr?" in write[-1]["content"]


def test_a_team_takes_turns(run_python, ollama_server):
    ollama_server.queue(Reply.chat("Warm bread."), Reply.chat("Say night."), Reply.chat("Bread by night."))
    done = run_python(str(EXAMPLES / "team.py"), "A slogan", "--drafts", "2", OLLAMA_HOST=ollama_server.url)
    assert done.returncode == 0, done.stderr
    first, review, second = (messages[-1]["content"] for messages in prompts(ollama_server))
    assert first == "A slogan"
    assert "Warm bread." in review
    assert "Warm bread." in second
    assert "Say night." in second
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    assert lines == ["Author: Warm bread.", "Critic: Say night.", "Author: Bread by night."]


def test_a_team_does_not_pass_over_an_error(run_python, ollama_server):
    """MetaGPT's own Team.run would end with the exit code 0."""
    ollama_server.queue(Reply.chat("Warm bread."), Reply.error("model runner has unexpectedly stopped", 500))
    done = run_python(str(EXAMPLES / "team.py"), OLLAMA_HOST=ollama_server.url)
    assert done.returncode == 1
    assert "model runner has unexpectedly stopped" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_picture_through_aask(run_python, ollama_server, tmp_path):
    ollama_server.answer("A dot.")
    ollama_server.on("POST", "/api/show", Reply.json({"capabilities": ["completion", "vision"]}))
    picture = tmp_path / "dot.png"
    picture.write_bytes(PNG)
    done = run_python(
        str(EXAMPLES / "images.py"), str(picture), "--metagpt", "--question", "What?", OLLAMA_HOST=ollama_server.url
    )
    assert done.returncode == 0, done.stderr
    assert "A dot." in done.stdout
    message = ollama_server.last.json()["messages"][-1]
    assert message["content"] == "What?"
    assert base64.b64decode(message["images"][0]) == PNG
