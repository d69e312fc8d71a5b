"""Interpreters in which the package does not work: it says so when it is imported, and nothing crashes."""

from __future__ import annotations

from metagpt_ollama_rs.testing import ScriptedServer

from .conftest import Outcome, Run

# Before the prelude imports the package.
WITHOUT_GIL = """
import sys
# What `python3.13t -X gil=0` says. There is no such build of Python in the test environment.
sys._is_gil_enabled = lambda: False
try:
    import metagpt_ollama_rs
except ImportError as error:
    print(error)
sys._is_gil_enabled = lambda: True
"""


def test_a_second_interpreter_is_refused_and_the_first_works_on(run: Run, ollama_server: ScriptedServer) -> None:
    ollama_server.answer("Hello world")
    outcome = run(
        """
        interpreters = __import__("_xxsubinterpreters")
        for _ in range(3):
            other = interpreters.create()
            try:
                interpreters.run_string(other, "import metagpt_ollama_rs")
            except interpreters.RunFailedError as error:
                print(error)
            interpreters.destroy(other)
        print(asyncio.run(AsyncClient(URL).chat("m", MESSAGES)).message.content)
        """
    )
    refusal = (
        "<class 'ImportError'>: "
        "metagpt_ollama_rs works in one interpreter of a process, and another has imported it already"
    )
    assert outcome == Outcome(0, f"{refusal}\n" * 3 + "Hello world\n")


def test_an_interpreter_without_gil_is_refused(run: Run, ollama_server: ScriptedServer) -> None:
    """Where CPython has no GIL it makes one for this package, with a warning of its own, unless it was told not to."""
    outcome = run("print('with a GIL:', bool(Client(URL).version()))", before=WITHOUT_GIL)
    refusal = "metagpt_ollama_rs needs the GIL, which is switched off: start Python without -X gil=0 and PYTHON_GIL=0"
    assert outcome == Outcome(0, f"{refusal}\nwith a GIL: True\n")
