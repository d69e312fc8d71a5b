"""`make demo`, with a scripted Ollama and with none."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

DEMO = str(Path(__file__).parents[2] / "examples" / "demo.py")


@pytest.mark.timeout(300)
def test_it_uses_the_ollama_that_answers(run_python, ollama_server):
    ollama_server.answer("A product manager decides what is built.")
    done = run_python(DEMO, "--prompt", "What do they do?", OLLAMA_HOST=ollama_server.url)
    assert done.returncode == 0, done.stderr
    assert "A product manager decides what is built." in done.stdout
    assert f"an Ollama answers at {ollama_server.url} and has this model" in done.stdout
    for number in ("first token", "speed", "prompt", "answer", "ended"):
        assert number in done.stdout
    sent = ollama_server.last.json()
    assert sent["stream"] is True
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    assert sent["messages"][1]["content"] == "What do they do?"


@pytest.mark.timeout(300)
def test_without_an_ollama_it_runs_a_real_model(run_python):
    with socket.socket() as taken:
        # Bound and not listening: nothing answers there, and nobody else can take the port.
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        done = run_python(DEMO, OLLAMA_HOST=address)
    assert done.returncode == 0, done.stderr
    assert f"no Ollama answers at {address}" in done.stdout
    answer = done.stdout.partition("Ada: ")[2].partition("server  ")[0]
    assert len(answer.split()) > 5
    for number in ("model load", "first token", "speed", "prompt", "answer", "ended"):
        assert number in done.stdout


@pytest.mark.timeout(300)
def test_what_goes_wrong_is_said_in_one_message(run_python, ollama_server):
    from metagpt_ollama_rs.testing import Reply

    ollama_server.on("POST", "/api/chat", Reply.error("model runner has unexpectedly stopped", 500))
    done = run_python(DEMO, OLLAMA_HOST=ollama_server.url)
    assert done.returncode == 1
    assert "model runner has unexpectedly stopped" in done.stderr
    assert "Traceback" not in done.stderr
