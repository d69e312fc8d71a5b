"""The end of a program while streams are open: by `sys.exit`, by an exception, by `os.execv`, in exit handlers, with
threads that read on. `test_processes.py` has what happens to threads that interpreter exit ends."""

from __future__ import annotations

import pytest

from metagpt_ollama_rs.testing import Reply, Request, ScriptedServer

from .conftest import Outcome, Run


@pytest.fixture
def endless(ollama_server: ScriptedServer) -> ScriptedServer:
    """The scripted server, which answers a chat with one piece and no more."""
    ollama_server.on("POST", "/api/chat", lambda request: Reply.chat("Hello world").gated(1))
    return ollama_server


@pytest.mark.parametrize("end", ["sys.exit(4)", "raise LookupError('of the program')", "return"])
def test_a_program_ends_in_the_middle_of_a_stream(run: Run, endless: ScriptedServer, end: str) -> None:
    """Read by the loop and by the program itself, both kept in globals."""
    outcome = run(
        f"""
        sys.excepthook = lambda kind, error, _: print(kind.__name__, error, file=sys.stderr)
        kept = []

        async def main():
            stream = await AsyncClient(URL).chat("m", MESSAGES, stream=True)
            blocking = Client(URL).chat("m", MESSAGES, stream=True)
            kept.extend((stream, blocking))
            print(next(blocking).message.content)
            async for part in stream:
                print(part.message.content)
                {end}

        asyncio.run(main())
        """
    )
    expected = {"sys.exit(4)": Outcome(4), "return": Outcome(0)}
    assert outcome == Outcome(
        expected.get(end, Outcome(1)).code, "Hello\nHello\n", "LookupError of the program\n" if "raise" in end else ""
    )
    endless.wait_for_open_connections(0)


def test_exit_waits_for_a_thread_that_reads(run: Run, ollama_server: ScriptedServer) -> None:
    """As for every thread that is no daemon: what it reads comes to its end."""
    reply = Reply.chat("Hello world").gated(1)
    assert reply.gate is not None
    gate = reply.gate

    def pull(request: Request) -> Reply:
        gate.open_all()
        return Reply.json({"status": "success"})

    ollama_server.on("POST", "/api/chat", reply)
    ollama_server.on("POST", "/api/pull", pull)
    outcome = run(
        """
        def read():
            stream = Client(URL).chat("m", MESSAGES, stream=True)
            print(next(stream).message.content)
            started.set()
            # The main thread has come to its end.
            while threading.main_thread().is_alive():
                time.sleep(0.01)
            Client(URL).pull("m")
            print("".join(part.message.content for part in stream))

        started = threading.Event()
        threading.Thread(target=read).start()
        started.wait()
        """
    )
    assert outcome == Outcome(0, "Hello\n world\n")


def test_exit_handlers_may_use_clients(run: Run, ollama_server: ScriptedServer) -> None:
    """Those that were registered after the package was imported run before it stops, streams that are open included."""
    ollama_server.answer("Hello world")
    outcome = run(
        """
        import atexit
        client, blocking = AsyncClient(URL), Client(URL)
        stream = blocking.chat("m", MESSAGES, stream=True)
        print(next(stream).message.content)

        @atexit.register
        def leave():
            print("".join(part.message.content for part in stream))
            print(blocking.chat("m", MESSAGES).message.content)
            print(asyncio.run(client.chat("m", MESSAGES)).message.content)
        """
    )
    assert outcome == Outcome(0, "Hello\n world\nHello world\nHello world\n")


def test_a_program_that_becomes_another_one(run: Run, endless: ScriptedServer) -> None:
    """`os.execv` ends its streams, and leaves the new program no descriptor of them."""
    endless.on("POST", "/api/generate", Reply.generate("of the new program", stream=False))
    outcome = run(
        """
        async def main():
            stream = await AsyncClient(URL).chat("m", MESSAGES, stream=True)
            blocking = Client(URL).chat("m", MESSAGES, stream=True)
            print(next(blocking).message.content, (await stream.__anext__()).message.content, flush=True)
            program = '''if True:
                import os, sys
                sockets = [fd for fd in os.listdir("/proc/self/fd") if int(fd) > 3]
                from metagpt_ollama_rs import Client
                print(sockets, Client(sys.argv[1]).generate("m", "hi").response)
            '''
            os.execv(sys.executable, [sys.executable, "-X", "dev", "-W", "error", "-c", program, URL])

        asyncio.run(main())
        """
    )
    assert outcome == Outcome(0, "Hello Hello\n[] of the new program\n")
    endless.wait_for_open_connections(0)


def test_a_server_that_is_started_again_between_calls(run: Run) -> None:
    """Idle connections are dead then, and pieces of an answer may be missing: only what was under way fails."""
    outcome = run(
        """
        from metagpt_ollama_rs.testing import Reply, ScriptedServer

        async def main():
            with ScriptedServer() as server:
                server.answer("Hello world")
                client, blocking = AsyncClient(server.url), Client(server.url)
                for _ in range(5):
                    assert (await client.chat("m", MESSAGES)).message.content == "Hello world"
                    assert blocking.chat("m", MESSAGES).message.content == "Hello world"
                    server.queue(Reply.chat("Hello world").gated(1))
                    stream = await client.chat("m", MESSAGES, stream=True)
                    print((await stream.__anext__()).message.content, end=" ")
                    server.stop()
                    server.start()
                    assert blocking.chat("m", MESSAGES).message.content == "Hello world"
                    assert (await client.chat("m", MESSAGES)).message.content == "Hello world"
                    try:
                        await stream.__anext__()
                    except errors.InterruptedStreamError as error:
                        print(error.partial)
                await client.close()
                blocking.close()

        asyncio.run(main())
        """
    )
    assert outcome == Outcome(0, "Hello Hello\n" * 5)
