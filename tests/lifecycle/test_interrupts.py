"""Signals: Ctrl-C, SIGTERM, and handlers that raise, in whatever waits. The reply never comes, so that only the signal
ends the wait; and the server sees the end of the request."""

from __future__ import annotations

import signal

import pytest

from metagpt_ollama_rs.serving.ollama import VERSION
from metagpt_ollama_rs.testing import Reply, Request, ScriptedServer

from .conftest import Outcome, Run, Start

# What is asked, with an answer of which the first piece arrives at most.
ASK = """
import asyncio, sys, time

def print_kind(kind, *_):
    print(kind.__name__, file=sys.stderr)

# Without the traceback, whose lines are Python's own.
sys.excepthook = print_kind

def call(client): client.chat("m", MESSAGES)
def stream(client):
    for part in client.chat("m", MESSAGES, stream=True): pass

async def acall(client): await client.chat("m", MESSAGES)
async def astream(client):
    async for part in await client.chat("m", MESSAGES, stream=True): pass
async def abatches(client):
    async for batch in (await client.chat("m", MESSAGES, stream=True)).batches(): pass
async def callback(client): await client.stream_text("/api/chat", {"model": "m"}, lambda text: None)
async def gather(client): await asyncio.gather(*(astream(client) for _ in range(5)))
async def executor(client):
    await asyncio.get_running_loop().run_in_executor(None, time.sleep, 0)
    await astream(client)
"""
BLOCKING = ["call", "stream"]
AWAITED = ["acall", "astream", "abatches", "callback", "gather", "executor"]


@pytest.fixture
def endless(ollama_server: ScriptedServer) -> ScriptedServer:
    """The scripted server, which answers a chat with one piece and no more, one that is not streamed with nothing."""

    def reply(request: Request) -> Reply:
        streamed = request.json().get("stream", True)
        return Reply.chat("Hello world", stream=streamed).gated(1 if streamed else 0)

    ollama_server.on("POST", "/api/chat", reply)
    return ollama_server


def wait_for_requests(server: ScriptedServer, how: str) -> None:
    server.wait_for_request(5 if how == "gather" else 1)


@pytest.mark.parametrize("how", BLOCKING + AWAITED)
def test_ctrl_c_ends_a_program(start: Start, endless: ScriptedServer, how: str) -> None:
    begin = f"{how}(Client(URL))" if how in BLOCKING else f"asyncio.run({how}(AsyncClient(URL)))"
    live = start(begin, before=ASK)
    wait_for_requests(endless, how)
    live.send_signal(signal.SIGINT)
    # As Python has it: a program that Ctrl-C has ended dies of the signal, so that a shell script ends, too.
    assert live.finish() == Outcome(-signal.SIGINT, "", "KeyboardInterrupt\n")
    endless.wait_for_open_connections(0)


@pytest.mark.parametrize("how", [*BLOCKING, "acall", "astream", "callback"])
def test_a_program_goes_on_after_ctrl_c(start: Start, endless: ScriptedServer, how: str) -> None:
    """With the same client, and the server is free of the request that was given up."""
    ask = f"{how}(client)" if how in BLOCKING else f"asyncio.run({how}(client))"
    live = start(
        f"""
        client = {"Client" if how in BLOCKING else "AsyncClient"}(URL)
        try:
            {ask}
        except KeyboardInterrupt:
            print("interrupted")
        version = client.version()
        print(version if isinstance(version, str) else asyncio.run(version))
        """,
        before=ASK,
    )
    wait_for_requests(endless, how)
    live.send_signal(signal.SIGINT)
    assert live.finish() == Outcome(0, f"interrupted\n{VERSION}\n")
    endless.wait_for_hangup()


@pytest.mark.parametrize("how", [*BLOCKING, "astream"])
def test_sigterm_ends_a_process_at_once(start: Start, endless: ScriptedServer, how: str) -> None:
    begin = f"{how}(Client(URL))" if how in BLOCKING else f"asyncio.run({how}(AsyncClient(URL)))"
    live = start(begin, before=ASK)
    wait_for_requests(endless, how)
    live.send_signal(signal.SIGTERM)
    assert live.finish() == Outcome(-signal.SIGTERM)
    endless.wait_for_hangup()


@pytest.mark.parametrize("how", [*BLOCKING, "astream", "callback"])
def test_what_a_signal_handler_raises_comes_out(start: Start, endless: ScriptedServer, how: str) -> None:
    """`SystemExit`, as servers raise it for SIGTERM, so that `finally` runs."""
    ask = f"{how}(Client(URL))" if how in BLOCKING else f"asyncio.run({how}(AsyncClient(URL)))"
    live = start(
        f"""
        def leave(*_):
            sys.exit(5)

        signal.signal(signal.SIGTERM, leave)
        try:
            {ask}
        finally:
            print("cleaned up")
        """,
        before=ASK,
    )
    wait_for_requests(endless, how)
    live.send_signal(signal.SIGTERM)
    assert live.finish() == Outcome(5, "cleaned up\n")
    endless.wait_for_hangup()


def test_a_handler_that_returns_does_not_disturb(start: Start, ollama_server: ScriptedServer) -> None:
    """A timer that goes off all the time, and a dump of all stacks in the middle of a wait."""
    reply = Reply.chat("Hello world").gated(0)
    assert reply.gate is not None
    ollama_server.on("POST", "/api/chat", reply)
    live = start(
        """
        import faulthandler
        stacks = open(os.devnull, "w")
        faulthandler.register(signal.SIGUSR1, stacks)
        ticks = []
        signal.signal(signal.SIGALRM, lambda *_: ticks.append(1))
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        text = "".join(part.message.content for part in Client(URL).chat("m", MESSAGES, stream=True))
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.unregister(signal.SIGUSR1)
        stacks.close()
        print(text, bool(ticks))
        """
    )
    ollama_server.wait_for_request()
    live.send_signal(signal.SIGUSR1)
    reply.gate.open_all()
    assert live.finish() == Outcome(0, "Hello world True\n")


@pytest.mark.parametrize(
    ("streamed", "ask"),
    [
        (False, 'client.chat("m", MESSAGES).message.content'),
        (True, '"".join(part.message.content for part in client.chat("m", MESSAGES, stream=True))'),
        (True, 'client.stream_text("/api/chat", {"model": "m"}, lambda text: None)["message"]["content"]'),
    ],
    ids=["call", "stream", "callback"],
)
def test_a_handler_that_forks_leaves_the_reply_to_the_parent(
    start: Start, ollama_server: ScriptedServer, streamed: bool, ask: str
) -> None:
    """The child would wait for ever: the thread that does its I/O is the parent's."""
    ollama_server.answer("Hello world")
    held = Reply.chat("Hello world", stream=streamed).gated(0)
    assert held.gate is not None
    ollama_server.queue(held)
    live = start(
        f"""
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks beside threads.
        children = []
        signal.signal(signal.SIGUSR1, lambda *_: children.append(os.fork()))
        client = Client(URL)
        try:
            print({ask}, flush=True)
        except errors.ClosedError as error:
            assert children == [0], children
            print("child:", "before the process forked" in str(error), client.chat("m", MESSAGES).message.content)
            sys.stdout.flush()
            os._exit(0)
        os.waitpid(children[0], 0)
        """
    )
    ollama_server.wait_for_request()
    live.send_signal(signal.SIGUSR1)
    # The child's own request: by then it has its error.
    ollama_server.wait_for_request(2)
    held.gate.open_all()
    outcome = live.finish()
    assert sorted(outcome.out.splitlines()) == ["Hello world", "child: True Hello world"]
    assert (outcome.code, outcome.err) == (0, "")


@pytest.mark.parametrize("what", ["sys.exit(3)", "raise KeyboardInterrupt", "raise ValueError", "raise StopIteration"])
def test_what_a_callback_raises_ends_the_request_and_comes_out(
    run: Run, ollama_server: ScriptedServer, what: str
) -> None:
    ollama_server.on("POST", "/api/chat", Reply.chat("Hello world").gated(1))
    outcome = run(
        f"""
        def on_text(text):
            {what}

        asyncio.run(AsyncClient(URL).stream_text("/api/chat", {{"model": "m"}}, on_text))
        """,
        before=ASK,
    )
    expected = {
        "sys.exit(3)": Outcome(3),
        "raise KeyboardInterrupt": Outcome(-signal.SIGINT, "", "KeyboardInterrupt\n"),
        "raise ValueError": Outcome(1, "", "ValueError\n"),
        # As in a generator (PEP 479): it would pass for the end.
        "raise StopIteration": Outcome(1, "", "RuntimeError\n"),
    }
    assert outcome == expected[what]
    ollama_server.wait_for_hangup()
