"""Runs the command in a process of its own, as a shell does."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest

from metagpt_ollama_rs.cli import main
from metagpt_ollama_rs.slc import ollama_config


def environment(**changes):
    # Nothing of the caller's terminal decides what a test sees.
    kept = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TERM", "COLUMNS")}
    return {**kept, "COLUMNS": "120", **changes}


@pytest.fixture
def run():
    """Gives the exit code, stdout and stderr."""

    def command(*arguments, **changes):
        done = subprocess.run(
            [sys.executable, "-m", "metagpt_ollama_rs.cli", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=50,
            env=environment(**changes),
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    return command


# What the scripted server says to `metagpt-ollama tool`, where a test does not change it.
ANSWER = "Here it is:\n```python\nprint(1)\n```\nIt prints 1."


class Tool:
    """Runs `metagpt-ollama tool` in this process, with the bytes `stdin`; gives the exit code, stdout and stderr."""

    def __init__(self, server, monkeypatch, capsys):
        self._server, self._monkeypatch, self._capsys = server, monkeypatch, capsys

    def __call__(self, *arguments, stdin=b"", encoding="utf-8"):
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding))
        code = main(["tool", *map(str, arguments)])
        return code, *self._capsys.readouterr()

    def failure(self, *arguments):
        """What the error says as JSON, with nothing beside it."""
        code, out, err = self(*arguments, "--json")
        assert err == ""
        error = json.loads(out)["error"]
        assert error["exit_code"] == code
        return error

    def asked(self):
        """The body of the only request."""
        (request,) = self._server.requests
        assert request.path == "/api/generate"
        return request.json()


@pytest.fixture
def tool(ollama_server, monkeypatch, tmp_path, capsys):
    """The tools with the scripted server as the configured one; nothing of the machine's own configuration is read."""
    home = tmp_path / "home"
    home.mkdir()
    for name in [name for name in os.environ if name.startswith(("OLLAMA_", "METAGPT_"))]:
        monkeypatch.delenv(name)
    for name in ("HOME", "METAGPT_PROJECT_ROOT"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("OLLAMA_HOST", ollama_server.url)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(home)
    before = dict(vars(ollama_config))
    ollama_config.base_url = ollama_server.url
    ollama_server.answer(ANSWER)
    yield Tool(ollama_server, monkeypatch, capsys)
    for name, value in before.items():
        setattr(ollama_config, name, value)
