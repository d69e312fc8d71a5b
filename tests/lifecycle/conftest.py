"""Runs scripts in interpreters of their own: what is tested here ends processes, forks them or interrupts them.

Each runs with ``-X dev -W error``: a warning, a resource that nobody has closed or an exception that nobody has seen
ends in `Outcome.err`, which the tests compare exactly. For example::

    outcome = run("print(Client(URL).version())")
    assert outcome == Outcome(0, "0.33.0\\n", "")
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Callable

import pytest

from metagpt_ollama_rs.testing import ScriptedServer

# asyncio's debug mode, which `-X dev` switches on, also logs what takes a loop a tenth of a second: on a busy machine
# that is any line of a script.
PRELUDE = """
import asyncio, gc, logging, os, signal, sys, threading, time
from metagpt_ollama_rs import AsyncClient, Client, errors
logging.getLogger("asyncio").addFilter(lambda record: not record.msg.startswith("Executing "))
URL = sys.argv[1]
MESSAGES = [{"role": "user", "content": "hi"}]
"""


@dataclass
class Outcome:
    """How a script ended: its exit code (negative: the signal), and what it printed."""

    code: int
    out: str = ""
    err: str = ""


class Live:
    """A script that runs."""

    def __init__(self, script: str, url: str) -> None:
        command = [sys.executable, "-X", "dev", "-W", "error", "-c", script, url]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def send_signal(self, number: int) -> None:
        self._process.send_signal(number)

    def finish(self) -> Outcome:
        """How it ended, which it must do within 30 s."""
        out, err = self._process.communicate(timeout=30)
        return Outcome(self._process.returncode, out, err)

    def discard(self) -> None:
        """Ends it, if it runs still."""
        self._process.kill()
        self._process.communicate()


Run = Callable[..., Outcome]
Start = Callable[..., Live]


@pytest.fixture
def start(ollama_server: ScriptedServer) -> Iterator[Start]:
    """Starts a script beside the test: `before`, then the prelude, then the script, with the scripted server's URL."""
    started: list[Live] = []

    def begin(script: str, *, before: str = "") -> Live:
        started.append(Live(before + PRELUDE + textwrap.dedent(script), ollama_server.url))
        return started[-1]

    yield begin
    for live in started:
        live.discard()


@pytest.fixture
def run(start: Start) -> Run:
    """Runs a script as `start` does, and waits for its end."""

    def run_to_the_end(script: str, *, before: str = "") -> Outcome:
        return start(script, before=before).finish()

    return run_to_the_end
