"""A team is stopped in the middle of its run, twice, and a new process goes on each time."""

from __future__ import annotations

import contextlib
import json
import signal
from pathlib import Path

import pytest

from metagpt_ollama_rs.testing import Reply

SCRIPT = Path(__file__).parent / "stopped_team.py"
NOTE = "Note: the sea"
CHECK = f"Check: <{NOTE}>"
SIGN = f"Sign: <{CHECK}>"


@pytest.mark.timeout(600)
def test_a_team_that_is_killed_and_then_interrupted(environment, ollama_server, tmp_path):
    """The first process is killed while the second role's first answer streams in, the second one gets Ctrl-C in that
    role's second answer; the third one comes to the end. Only the answers that were cut off are asked for again."""
    asked = []
    held = {}

    def chat(request):
        question = request.json()["messages"][-1]["content"]
        asked.append(question)
        whole = Reply.chat(["<", question, ">"], counts={"prompt_eval_count": 30, "eval_count": 4})
        return held.pop(question, whole)

    def start_until(question, *arguments):
        """Starts the script, and returns it when it has the first piece of the answer to this question."""
        held[question] = half = Reply.chat(["one", " two"]).gated(1)
        process = environment.start("python", SCRIPT, *arguments)
        while half.gate.sent < 1:
            assert process.poll() is None, process.communicate()[1][-3000:]
            with contextlib.suppress(TimeoutError):
                half.gate.wait_sent(1, timeout=1)
        return process

    ollama_server.on("POST", "/api/chat", chat)
    environment.configure(f"llm:\n  api_type: ollama\n  base_url: {ollama_server.url}\n  api_key: ''\n  model: notes\n")

    first = start_until(CHECK, "new", tmp_path)
    first.kill()
    first.communicate()
    assert asked == [NOTE, CHECK]

    second = start_until(SIGN, "recovered", tmp_path)
    second.send_signal(signal.SIGINT)
    _, errors = second.communicate(timeout=100)
    assert second.returncode != 0
    assert asked == [NOTE, CHECK, CHECK, SIGN], errors

    # Where MetaGPT writes a team whose run has not come to its end.
    folder = environment.home / "workspace" / "storage" / "team"
    third = environment.run("python", SCRIPT, "recovered", folder, seconds=250)
    assert third.returncode == 0, third.stderr
    assert asked == [NOTE, CHECK, CHECK, SIGN, SIGN, "Ping"]
    result = json.loads(third.stdout.splitlines()[-1])
    assert result["history"].count(f"Checker: <{SIGN}>") == 1
    # The sums of all three processes, without the two answers that were cut off.
    assert result["costs"] == [90, 12, 0.0, 0]
    assert result["answer"] == "<Ping>"
