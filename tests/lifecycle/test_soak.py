"""The soak (`make soak`): a run of seconds passes, and runs that lose something or get a wrong answer fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A soak takes both lanes by itself.
pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.environ.get("METAGPT_OLLAMA_LANE") == "general",
    reason="needs /proc, and runs once",
)


def run_soak(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=55, check=False)


def test_a_short_soak_passes(tmp_path: Path) -> None:
    done = run_soak("-m", "benches.soak", "--minutes", "0.06", "--seed", "1", "--results", str(tmp_path / "soak.json"))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.startswith("seed 1\n")
    assert done.stdout.endswith("\npassed: every answer was right, and nothing grew\n")
    assert (tmp_path / "soak.json").exists()


LEAK = """
import gc, socket, sys, threading
from benches.soak import __main__ as command
from benches.soak.__main__ import Server, soak
kept, servers = [], []
begin = Server.__init__

def note(self):
    begin(self)
    servers.append(self)

def leak():
    kept.append(bytearray(b"x" * 20_000_000))
    for _ in range(5):
        ended = threading.Event()
        thread = threading.Thread(target=ended.wait, daemon=True)
        thread.start()
        host, port = servers[0].url[7:].split(":")
        kept.append((socket.create_connection((host, int(port))), ended))

Server.__init__ = note
command.PATIENCE = 1
code = soak(3, 1, leak=leak)
for held in kept:
    if isinstance(held, tuple):
        held[0].close()
sys.exit(code)
"""


def test_a_soak_that_loses_something_fails_and_names_it() -> None:
    """A thread that does not end, a connection that is not closed, memory that is not freed, in each round."""
    done = run_soak("-c", LEAK)
    assert done.returncode == 1, done.stdout
    for grown in ("memory", "threads", "descriptors", "connections", "server's connections", "server's threads"):
        assert f"\n{grown} grew by " in done.stdout
    assert "connections are left when all clients are closed" in done.stdout
    assert "threads are left when all clients are closed, of: " in done.stdout
    assert done.stdout.endswith("\nfailed\n")


@pytest.mark.parametrize(
    "mistake",
    [
        # The client drops, changes or repeats a piece; the server is right.
        "callers.call_blocking = lambda client, plan: change(right(client, plan))",
        # An error that must come out does not.
        "FAULTS['404'] = Fault(FAULTS['404'].change, (ZeroDivisionError,))",
    ],
)
def test_a_soak_with_a_wrong_result_fails_and_shows_the_call(mistake: str) -> None:
    done = run_soak(
        "-c",
        f"""
import sys
from benches.soak import callers
from benches.soak.__main__ import soak
from benches.soak.faults import FAULTS, Fault
right = callers.call_blocking

def change(result):
    result.pieces = result.pieces[1:]
    return result

{mistake}
sys.exit(soak(20, 1))
""",
    )
    assert done.returncode == 1, done.stdout
    assert " over the " in done.stdout
    assert done.stdout.endswith("\nfailed\n")
