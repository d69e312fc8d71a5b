"""examples/batch.py: answers, errors, going on after a stop, and the bar."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from metagpt_ollama_rs.testing import Gate, Reply

BATCH = str(Path(__file__).parents[2] / "examples" / "batch.py")


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "texts"
    made.mkdir()
    for name in ("a.txt", "b.md", "c.txt"):
        (made / name).write_text(f"This is {name}.", encoding="utf-8")
    (made / "d.png").write_bytes(b"no text")
    return made


def records(folder):
    lines = (folder / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    return {record["file"]: record for record in map(json.loads, lines)}


def asked(server):
    return sorted(
        request.json()["messages"][0]["content"].split()[-1].rstrip(".")
        for request in server.requests
        if request.path == "/api/chat"
    )


def test_each_text_is_answered_once(run_python, ollama_server, folder):
    ollama_server.answer("一句话。")
    arguments = (BATCH, str(folder), "--question", "What is it?")
    done = run_python(*arguments, OLLAMA_HOST=ollama_server.url)
    assert done.returncode == 0, done.stderr
    assert "[3/3]" in done.stderr
    assert {name: record["answer"] for name, record in records(folder).items()} == dict.fromkeys(
        ("a.txt", "b.md", "c.txt"), "一句话。"
    )
    sent = ollama_server.last.json()
    assert sent["messages"][0]["content"].startswith("What is it?\n\nThis is ")
    assert sent["truncate"] is False

    (folder / "b.md").write_text("This is b2.md.", encoding="utf-8")
    ollama_server.reset()
    ollama_server.answer("Another.")
    done = run_python(*arguments, OLLAMA_HOST=ollama_server.url)
    assert done.returncode == 0, done.stderr
    assert asked(ollama_server) == ["b2.md"]
    assert "2 answered already" in done.stdout
    assert records(folder)["b.md"]["answer"] == "Another."


def test_a_cut_line_of_an_earlier_run_is_asked_again(run_python, ollama_server, folder):
    ollama_server.answer("Yes.")
    assert run_python(BATCH, str(folder), OLLAMA_HOST=ollama_server.url).returncode == 0
    file = folder / "answers.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    done = run_python(BATCH, str(folder), OLLAMA_HOST=ollama_server.url)
    assert "1 answered" in done.stdout
    lines = file.read_bytes().splitlines()
    assert len(lines) == 4
    assert sorted([*lines[:2], lines[3]]) == sorted(whole.splitlines())


def test_one_failing_file_does_not_stop_the_others(run_python, ollama_server, folder):
    def answer(request):
        if "b.md" in request.json()["messages"][0]["content"]:
            return Reply.error("the prompt is cursed", 400)
        return Reply.chat("Yes.", stream=False)

    ollama_server.on("POST", "/api/chat", answer)
    (folder / "e.txt").write_bytes(b"\xff\xfe no UTF-8")
    done = run_python(BATCH, str(folder), OLLAMA_HOST=ollama_server.url)
    assert done.returncode == 1
    assert "the prompt is cursed" in done.stderr
    assert "e.txt: 'utf-8' codec" in done.stderr
    assert "Traceback" not in done.stderr
    assert "2 failed" in done.stdout
    assert set(records(folder)) == {"a.txt", "c.txt"}


def test_no_more_at_once_than_asked_for(run_python, ollama_server, folder):
    for number in range(20):
        (folder / f"{number}.txt").write_text("x", encoding="utf-8")
    ollama_server.answer("Yes.")
    done = run_python(BATCH, str(folder), "--at-once", "3", OLLAMA_HOST=ollama_server.url)
    assert done.returncode == 0, done.stderr
    assert len(records(folder)) == 23
    assert ollama_server.most_at_once <= 3


def test_a_server_that_goes_away_ends_the_run(run_python, ollama_server, folder):
    for number in range(20):
        (folder / f"{number}.txt").write_text("x", encoding="utf-8")
    ollama_server.on("POST", "/api/chat", Reply.raw(b"", end="close"))
    done = run_python(BATCH, str(folder), "--at-once", "1", OLLAMA_HOST=ollama_server.url)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert len({request.body for request in ollama_server.requests if request.path == "/api/chat"}) == 1


def test_ctrl_c_leaves_what_is_done_and_stops_the_model(run_python, ollama_server, folder):
    gate = Gate(free=0)
    reply = Reply.chat("Yes.", stream=False)
    ollama_server.queue(reply, Reply(**{**vars(reply), "gate": gate}), path="/api/chat")
    command = [sys.executable, BATCH, str(folder), "--at-once", "1"]
    environment = {**os.environ, "OLLAMA_HOST": ollama_server.url}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        ollama_server.wait_until(lambda: len(asked_so_far(ollama_server)) == 2, "the second file was not asked about")
        child.send_signal(signal.SIGINT)
        _, told = child.communicate(timeout=50)
    assert child.returncode == 130
    assert "the same command goes on" in told
    assert "Traceback" not in told
    ollama_server.wait_for_hangup()
    assert set(records(folder)) == {"a.txt"}
    ollama_server.answer("Yes.")
    assert run_python(BATCH, str(folder), OLLAMA_HOST=ollama_server.url).returncode == 0
    assert set(records(folder)) == {"a.txt", "b.md", "c.txt"}


def asked_so_far(server):
    return [request for request in server.requests if request.path == "/api/chat"]


def test_on_a_terminal_there_is_a_bar(ollama_server, folder):
    ollama_server.answer("Yes.")
    ours, theirs = pty.openpty()
    environment = {**os.environ, "OLLAMA_HOST": ollama_server.url, "TERM": "xterm", "COLUMNS": "100"}
    shown = bytearray()
    with subprocess.Popen(
        [sys.executable, BATCH, str(folder)], env=environment, stdout=subprocess.DEVNULL, stderr=theirs
    ) as child:
        os.close(theirs)
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:
                # What Linux says when the last program has left the terminal.
                break
            if not piece:
                break
            shown += piece
    os.close(ours)
    assert child.returncode == 0
    assert "━" in shown.decode()
    assert "3/3" in shown.decode()
    assert "a.txt: answered" in shown.decode()
