"""Runs scripts in interpreters of their own: what is tested here ends processes, forks them or interrupts them."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from dataclasses import dataclass
from typing import Callable

import pytest

from metagpt_ollama_rs.testing import ScriptedServer

PRELUDE = """
import asyncio, os, sys, threading, time
from metagpt_ollama_rs import AsyncClient, Client, errors
URL = sys.argv[1]
MESSAGES = [{"role": "user", "content": "hi"}]
"""


@dataclass
class Outcome:
    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(ollama_server: ScriptedServer) -> Run:
    """Runs a script against the scripted server, `before` first of all; fails if it does not end within 30 s."""

    def start(script: str, *options: str, before: str = "") -> Outcome:
        command = [sys.executable, *options, "-c", before + PRELUDE + textwrap.dedent(script), ollama_server.url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        return Outcome(done.returncode, done.stdout, done.stderr)

    return start
