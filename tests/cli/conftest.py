"""Runs the command in a process of its own, as a shell does."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


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
