"""Many calls at once: their order, their bound, their failures, how Ctrl-C ends them, and where a bar is shown."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from metagpt_ollama_rs import AsyncClient
from metagpt_ollama_rs.errors import ConfigurationError, ConnectError, ModelNotFoundError, ResponseError
from metagpt_ollama_rs.slc.parallel import run_all, run_to_end
from metagpt_ollama_rs.testing import Reply, Request, ScriptedServer


def test_results_have_the_order_of_the_work_whatever_ends_first() -> None:
    begun: list[int] = []

    async def call(number: int) -> int:
        begun.append(number)
        for _ in range(10 - number):
            await asyncio.sleep(0)
        return number * number

    assert run_all(range(10), call, at_once=5, title="Squares") == [number * number for number in range(10)]
    assert begun == list(range(10))


def test_no_work_is_done_at_once() -> None:
    async def call(item: object) -> None:
        raise AssertionError(item)

    assert run_all([], call, title="Nothing") == []


@pytest.mark.parametrize("at_once", [0, -1, 1.5, True, "4", None])
def test_a_bound_that_is_no_positive_number_is_refused(at_once: object) -> None:
    async def call(item: object) -> None:
        raise AssertionError(item)

    with pytest.raises(ConfigurationError, match="at_once must be a positive whole number"):
        run_all([1], call, at_once=at_once, title="x")  # type: ignore[arg-type]


@pytest.mark.parametrize("at_once", [1, 3])
def test_the_bound_is_used_up_and_held_as_the_server_counts(ollama_server: ScriptedServer, at_once: int) -> None:
    lock, gate = threading.Lock(), threading.Semaphore(0)
    running = most = 0

    def reply(request: Request) -> Reply:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if running == at_once:
                # All that may run do so: they may end, one after the other.
                for _ in range(at_once):
                    gate.release()
        assert gate.acquire(timeout=20)
        with lock:
            running -= 1
        return Reply.generate(request.json()["prompt"].upper(), stream=False)

    ollama_server.on("POST", "/api/generate", reply)
    client = AsyncClient(ollama_server.url)

    async def call(prompt: str) -> str:
        return (await client.generate("m", prompt)).response

    names = [f"name {number}" for number in range(4 * at_once)]
    assert run_all(names, call, at_once=at_once, title="Names") == [name.upper() for name in names]
    assert most == at_once


def test_a_failure_in_the_middle_stands_in_its_place(ollama_server: ScriptedServer) -> None:
    def reply(request: Request) -> Reply:
        prompt = request.json()["prompt"]
        return Reply.error("no such thing", 418) if prompt == "3" else Reply.generate(prompt, stream=False)

    ollama_server.on("POST", "/api/generate", reply)
    client = AsyncClient(ollama_server.url)

    async def call(number: int) -> str:
        if number == 4:
            raise KeyError(number)
        return (await client.generate("m", str(number))).response

    outcomes = run_all(range(6), call, at_once=2, title="Numbers")
    assert outcomes[:3] == ["0", "1", "2"]
    assert isinstance(outcomes[3], ResponseError)
    assert isinstance(outcomes[4], KeyError)
    assert outcomes[5] == "5"


def test_a_model_that_is_not_there_is_not_asked_for_again_and_again(ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/api/generate", Reply.error("model 'm' not found", 404))
    client = AsyncClient(ollama_server.url)
    outcomes = run_all(range(50), lambda _: client.generate("m", "hi"), at_once=3, title="Numbers")
    assert [type(outcome) for outcome in outcomes] == [ModelNotFoundError] * 50
    # Those that had been begun when the third of them failed. (Each asks for the names that there are, for its hint.)
    assert len([request for request in ollama_server.requests if request.path == "/api/generate"]) <= 5


def test_such_failures_end_the_run_only_if_no_other_outcome_is_between_them() -> None:
    async def call(number: int) -> int:
        if number % 3:
            raise ConnectError("nobody there")
        return number

    outcomes = run_all(range(9), call, at_once=3, title="Numbers")
    assert [outcome for outcome in outcomes if isinstance(outcome, int)] == [0, 3, 6]


def test_it_runs_inside_a_running_loop_and_knows_its_context_variables() -> None:
    import contextvars

    variable = contextvars.ContextVar("variable", default="unset")

    async def call(number: int) -> tuple[int, str]:
        await asyncio.sleep(0)
        return number, variable.get()

    async def tool() -> object:
        variable.set("set")
        return run_all([1, 2], call, title="Numbers")

    before = threading.active_count()
    assert asyncio.run(tool()) == [(1, "set"), (2, "set")]
    assert threading.active_count() == before


def test_an_exit_in_a_call_comes_out_and_leaves_no_thread() -> None:
    ended: list[int] = []

    async def call(number: int) -> None:
        if number == 1:
            raise SystemExit(3)
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(number)

    before = threading.active_count()
    with pytest.raises(SystemExit):
        run_all([0, 1, 2], call, title="Numbers")
    assert threading.active_count() == before
    assert 0 in ended
    assert set(ended) <= {0, 2}


def test_what_a_coroutine_raises_comes_out() -> None:
    async def fail() -> None:
        raise LookupError("none")

    with pytest.raises(LookupError, match="none"):
        run_to_end(fail())


PRELUDE = """
import asyncio, sys, threading
from metagpt_ollama_rs import AsyncClient
from metagpt_ollama_rs.slc.parallel import run_all
client = AsyncClient(sys.argv[1])
async def call(number): return (await client.generate("m", str(number), stream=False)).response
def work(): return run_all(range(6), call, at_once=2, title="Six calls")
"""


class Script:
    """A script in a process of its own, whose stderr is a terminal or a pipe."""

    def __init__(self, text: str, url: str, *, terminal: bool = False, **environment: str) -> None:
        self._terminal, stderr = pty.openpty() if terminal else (None, subprocess.PIPE)
        self.process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-W", "error", "-c", PRELUDE + textwrap.dedent(text), url],
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80", **environment},
        )
        if terminal:
            os.close(stderr)

    def finish(self) -> tuple[int, str, str]:
        """The exit code, what went to stdout and what went to stderr."""
        out, err = b"", b""
        if self._terminal is not None:
            # At the end of the other side Linux reports an error.
            try:
                while data := os.read(self._terminal, 4096):
                    err += data
            except OSError:
                pass
            os.close(self._terminal)
        out, piped = self.process.communicate(timeout=30)
        return self.process.returncode, out.decode(), (err or piped or b"").decode()


@pytest.fixture
def scripts() -> Iterator[list[Script]]:
    started: list[Script] = []
    yield started
    for script in started:
        script.process.kill()
        script.process.communicate()


IN_A_LOOP = """
async def tool():
    try:
        work()
    except KeyboardInterrupt:
        print("interrupted", threading.active_count())
        raise
async def main(): await asyncio.gather(tool(), asyncio.sleep(60))
try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("end")
"""
ALONE = """
try:
    work()
except KeyboardInterrupt:
    print("interrupted", threading.active_count())
print("end")
"""


@pytest.mark.parametrize("script", [ALONE, IN_A_LOOP], ids=["alone", "in a loop"])
def test_ctrl_c_cancels_what_runs_and_what_waits(
    ollama_server: ScriptedServer, scripts: list[Script], script: str
) -> None:
    ollama_server.on("POST", "/api/generate", Reply.generate("never", stream=False).gated(0))
    scripts.append(Script(script, ollama_server.url))
    ollama_server.wait_for_request(2)
    scripts[0].process.send_signal(signal.SIGINT)
    code, out, err = scripts[0].finish()
    assert (code, out) == (0, "interrupted 1\nend\n")
    # asyncio remarks that nobody has asked the task how it ended.
    assert "RuntimeWarning" not in err
    assert "ResourceWarning" not in err
    ollama_server.wait_for_open_connections(0)
    assert len(ollama_server.requests) == 2


def test_a_bar_is_drawn_on_a_terminal_and_taken_away_at_the_end(
    ollama_server: ScriptedServer, scripts: list[Script]
) -> None:
    pytest.importorskip("rich")
    ollama_server.answer("hello")
    scripts.append(Script("print(len(work()))", ollama_server.url, terminal=True))
    code, out, err = scripts[0].finish()
    assert (code, out) == (0, "6\n")
    assert re.search(r"Six calls .*0/6", err)
    assert re.search(r"Six calls .*6/6", err)
    # Back to the start of the line, which is erased.
    assert err.endswith("\x1b[2K")


def test_the_summaries_of_a_project_have_a_bar(
    ollama_server: ScriptedServer, scripts: list[Script], tmp_path: Path
) -> None:
    pytest.importorskip("rich")
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("text", encoding="utf-8")
    ollama_server.answer("hello")
    script = f"""
    from metagpt_ollama_rs.slc import CodeUnderstandingTool
    print(CodeUnderstandingTool.summarize_project({str(tmp_path)!r}))
    """
    scripts.append(Script(script, ollama_server.url, terminal=True, OLLAMA_HOST=ollama_server.url))
    code, out, err = scripts[0].finish()
    assert (code, out) == (0, "hello\n\n---\n\nFiles summarised: 2 of 2.\n")
    assert re.search(r"Summaries .*2/2", err)


@pytest.mark.parametrize(
    ("before", "terminal", "environment"),
    [
        ("", False, {}),
        ("", False, {"FORCE_COLOR": "1"}),
        ("sys.modules['rich'] = None", True, {}),
        ("", True, {"TERM": "dumb"}),
    ],
    ids=["a pipe", "a pipe in colour", "without rich", "a dumb terminal"],
)
def test_no_bar_is_drawn_elsewhere(
    ollama_server: ScriptedServer, scripts: list[Script], before: str, terminal: bool, environment: dict[str, str]
) -> None:
    ollama_server.answer("hello")
    script = f"{before}\nprint(len(work()), 'rich.progress' in sys.modules)"
    scripts.append(Script(script, ollama_server.url, terminal=terminal, **environment))
    assert scripts[0].finish() == (0, "6 False\n", "")
