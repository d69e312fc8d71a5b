"""Loops that are not plain asyncio's: uvloop, anyio, one that is entered again (nest_asyncio), one that runs already
(Jupyter, `python -m asyncio`), and trio, which is none of them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from metagpt_ollama_rs.testing import Reply, ScriptedServer

from .conftest import Outcome, Run

# One of each way to wait, and what must come of it.
ASK_ALL = """
import asyncio
MESSAGES = [{"role": "user", "content": "hi"}]

async def ask_all(client):
    texts = []
    await client.stream_text("/api/chat", {"model": "m", "messages": MESSAGES}, texts.append)
    items = [part.message.content async for part in await client.chat("m", MESSAGES, stream=True)]
    batches = [part async for batch in (await client.chat("m", MESSAGES, stream=True)).batches() for part in batch]
    whole = (await client.chat("m", MESSAGES)).message.content
    assert "".join(texts) == "".join(items) == "".join(part.message.content for part in batches) == whole
    gathered = await asyncio.gather(*(client.version() for _ in range(3)))
    assert len(set(gathered)) == 1
    return whole

def ask_all_blocking(client):
    items = [part.message.content for part in client.chat("m", MESSAGES, stream=True)]
    assert "".join(items) == client.chat("m", MESSAGES).message.content
    return "".join(items)
"""


@pytest.fixture(autouse=True)
def answers(ollama_server: ScriptedServer) -> None:
    """Answers at once, but for a pull, which never ends."""
    ollama_server.answer("one two three four")
    ollama_server.on("POST", "/api/pull", lambda request: Reply.ndjson([{"status": "pulling"}] * 2).gated(1))


def test_uvloop(run: Run, ollama_server: ScriptedServer) -> None:
    outcome = run(
        """
        import uvloop
        client = AsyncClient(URL)

        async def give_up():
            try:
                async for progress in await client.pull("m", stream=True):
                    await asyncio.sleep(0)
                    asyncio.current_task().cancel()
            except asyncio.CancelledError:
                print("given up")

        # Three loops on one client.
        for main in (ask_all(client), give_up(), ask_all(client)):
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                print(runner.run(main))
        """,
        before=ASK_ALL,
    )
    assert outcome == Outcome(0, "one two three four\ngiven up\nNone\none two three four\n")
    ollama_server.wait_for_hangup()


def test_anyio_on_asyncio(run: Run, ollama_server: ScriptedServer) -> None:
    """Its task groups cancel as asyncio does, level by level."""
    outcome = run(
        """
        import anyio

        async def read(client):
            async for progress in await client.pull("m", stream=True):
                pass

        async def main():
            async with AsyncClient(URL) as client:
                print(await ask_all(client))
                with anyio.move_on_after(0.1) as limit:
                    async with anyio.create_task_group() as group:
                        for _ in range(3):
                            group.start_soon(read, client)
                print("cancelled", limit.cancelled_caught)
                print(await anyio.to_thread.run_sync(ask_all_blocking, Client(URL)))

        anyio.run(main)
        """,
        before=ASK_ALL,
    )
    assert outcome == Outcome(0, "one two three four\ncancelled True\none two three four\n")
    ollama_server.wait_for_hangup()


TRIO_REFUSAL = (
    "AsyncClient runs on asyncio, and this task runs on trio: use Client in a thread "
    '(trio.to_thread.run_sync), or let asyncio run the task (anyio.run with backend="asyncio")'
)


@pytest.mark.parametrize("runner", ["trio.run", "anyio.run"])
def test_trio_is_refused_and_threads_serve_it(run: Run, ollama_server: ScriptedServer, runner: str) -> None:
    main = "trio.run(main)" if runner == "trio.run" else "anyio.run(main, backend='trio')"
    outcome = run(
        f"""
        import anyio, trio

        async def main():
            async with AsyncClient(URL) as client:
                for ask in (
                    client.chat("m", MESSAGES),
                    client.chat("m", MESSAGES, stream=True),
                    client.stream_text("/api/chat", {{"model": "m"}}, print),
                    client.version(),
                    client.chat("m", [{{"role": "user", "content": "hi", "images": [b"\\x89PNG"]}}]),
                ):
                    try:
                        await ask
                    except RuntimeError as error:
                        print(type(error).__name__, error)
            print(await trio.to_thread.run_sync(ask_all_blocking, Client(URL)))

        {main}
        """,
        before=ASK_ALL,
    )
    assert outcome == Outcome(0, f"RuntimeError {TRIO_REFUSAL}\n" * 5 + "one two three four\n")


def test_a_coroutine_that_no_loop_runs_is_refused(run: Run) -> None:
    outcome = run(
        """
        for ask in (AsyncClient(URL).version(), AsyncClient(URL).chat("m", MESSAGES)):
            try:
                ask.send(None)
            except RuntimeError as error:
                print(error)
        """
    )
    refusal = "AsyncClient needs a running event loop of asyncio: await it in what asyncio.run runs, or use Client"
    assert outcome == Outcome(0, f"{refusal}\n" * 2)


NESTED = """
import nest_asyncio
client = AsyncClient(URL)
seen, inner = [], []

async def nested():
    texts = []
    await client.stream_text("/api/chat", {"model": "m", "messages": MESSAGES}, texts.append)
    items = [part.message.content async for part in await client.chat("m", MESSAGES, stream=True)]
    return "".join(texts) == "".join(items) == (await client.chat("m", MESSAGES)).message.content

def on_text(text):
    if not inner:
        inner.append("entered")
        APPLY_INSIDE
        inner.append(asyncio.get_event_loop().run_until_complete(nested()))
    seen.append(text)

async def main():
    await client.stream_text("/api/chat", {"model": "m", "messages": MESSAGES}, on_text)
    async for part in await client.chat("m", MESSAGES, stream=True):
        assert asyncio.get_event_loop().run_until_complete(nested())

APPLY_BEFORE
asyncio.run(main())
print(inner, "".join(seen))
"""


@pytest.mark.parametrize("applied", ["BEFORE", "INSIDE"])
def test_a_callback_that_runs_the_loop_again(run: Run, applied: str) -> None:
    """MetaGPT's RAG applies nest_asyncio: the loop is entered again inside a callback. It patches asyncio for good."""
    script = NESTED.replace(f"APPLY_{applied}", "nest_asyncio.apply()")
    outcome = run(script.replace("APPLY_BEFORE", "").replace("APPLY_INSIDE", "pass"))
    assert outcome == Outcome(0, "['entered', True] one two three four\n")


def test_a_loop_that_runs_already(run: Run) -> None:
    """As in Jupyter, where the kernel's loop runs each cell: `await` in a cell, `Client` in a cell, a task that goes on
    while later cells run. Cells are compiled and run as IPython does."""
    outcome = run(
        """
        import ast
        namespace = {**globals()}

        async def run_cell(source):
            code = compile(source, "<cell>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            result = eval(code, namespace)
            if asyncio.iscoroutine(result):
                await result

        async def kernel():
            for cell in CELLS:
                await run_cell(cell)

        CELLS = [
            "client = AsyncClient(URL); blocking = Client(URL)",
            "print(await ask_all(client))",
            "print(ask_all_blocking(blocking))",
            "reading = asyncio.ensure_future(ask_all(client))",
            "print(ask_all_blocking(blocking))",
            "print(await reading)",
            "stream = await client.chat('m', MESSAGES, stream=True)",
            "print((await stream.__anext__()).message.content)",
            "print(''.join([part.message.content async for part in stream]))",
            "del stream; reading = None",
        ]
        asyncio.run(kernel())
        """,
        before=ASK_ALL,
    )
    assert outcome == Outcome(0, "one two three four\n" * 4 + "one\n two three four\n")


def test_the_asyncio_console(ollama_server: ScriptedServer) -> None:
    """`python -m asyncio` runs its loop in the main thread, and what is typed there from another one."""
    typed = f"""
from metagpt_ollama_rs import AsyncClient, Client
client = AsyncClient({ollama_server.url!r})
print((await client.chat("m", [{{"role": "user", "content": "hi"}}])).message.content)
print([part.response async for part in await client.generate("m", "hi", stream=True)])
print(Client({ollama_server.url!r}).version())
"""
    command = [sys.executable, "-X", "dev", "-W", "error", "-m", "asyncio"]
    done = subprocess.run(command, input=typed, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0
    assert "one two three four" in done.stdout
    assert "['one', ' two', ' three', ' four', '']" in done.stdout
    assert "Traceback" not in done.stderr
