"""Requests that nobody waits for any more: cancelled, timed out, broken out of. The server sees the end of each, and
nothing is left of it on either side."""

from __future__ import annotations

import pytest

from metagpt_ollama_rs.testing import Reply, Request, ScriptedServer

from .conftest import Outcome, Run


@pytest.fixture
def endless(ollama_server: ScriptedServer) -> ScriptedServer:
    """The scripted server, which answers a chat with one piece and no more; a request that is not streamed not at all.
    A pull is answered when all other connections have ended."""

    def reply(request: Request) -> Reply:
        streamed = request.json().get("stream", True)
        return Reply.chat("Hello world", stream=streamed).gated(1 if streamed else 0)

    def pull(request: Request) -> Reply:
        ollama_server.wait_for_open_connections(1)
        return Reply.json({"status": "success"})

    ollama_server.on("POST", "/api/chat", reply)
    ollama_server.on("POST", "/api/pull", pull)
    return ollama_server


def test_10_000_cancellations(run: Run, endless: ScriptedServer) -> None:
    """At any moment of a request: before it is sent, while it is, before the reply and in the middle of it. Afterwards
    there are as many connections, descriptors and threads as before, and the memory of a few requests more."""
    outcome = run(
        """
        def resident():
            with open("/proc/self/statm") as pages:
                return int(pages.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        def used():
            return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

        client, cancelled = AsyncClient(URL), 0

        async def call():
            await client.chat("m", MESSAGES)

        async def read():
            async for part in await client.chat("m", MESSAGES, stream=True):
                pass

        async def deliver():
            await client.stream_text("/api/chat", {"model": "m"}, lambda text: None)

        async def round(number):
            global cancelled
            tasks = [asyncio.ensure_future(kind()) for kind in (call, read, deliver) for _ in range(40)]
            # After none to many iterations of the loop: the server has seen none of them, or some, or all.
            for _ in range(number % 12):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                assert isinstance(result, asyncio.CancelledError), result
                cancelled += 1

        async def main():
            await client.pull("m")
            for number in range(24):
                await round(number)
            await client.pull("m")
            before, memory = used(), resident()
            while cancelled < 10_000:
                await round(cancelled)
            # Answered when the server has seen the end of every other connection.
            await client.pull("m")
            grown = resident() - memory
            print(cancelled >= 10_000, used()[1] == before[1], used()[0] <= before[0])
            print("memory" if grown < 16_000_000 else f"{grown} bytes more")

        asyncio.run(main())
        """
    )
    assert outcome == Outcome(0, "True True True\nmemory\n")
    endless.wait_for_open_connections(0)


@pytest.mark.parametrize("reader", ["AsyncClient", "Client"])
def test_break_ends_the_request(run: Run, endless: ScriptedServer, reader: str) -> None:
    """The server stops where the loop is left, also while the name of the stream lives on."""
    outcome = run(
        f"""
        async def read(client):
            async for part in await client.chat("m", MESSAGES, stream=True):
                print(part.message.content)
                break
            await client.pull("m")
            async with await client.chat("m", MESSAGES, stream=True) as stream:
                async for part in stream:
                    break
            await client.pull("m")
            stream.close()
            print("the server has seen both ends")

        def read_blocking(client):
            for part in client.chat("m", MESSAGES, stream=True):
                print(part.message.content)
                break
            client.pull("m")
            with client.chat("m", MESSAGES, stream=True) as stream:
                for part in stream:
                    break
            client.pull("m")
            stream.close()
            print("the server has seen both ends")

        if {reader!r} == "Client":
            read_blocking(Client(URL))
        else:
            asyncio.run(read(AsyncClient(URL)))
        """
    )
    assert outcome == Outcome(0, "Hello\nthe server has seen both ends\n")


def test_a_break_at_the_last_item_keeps_the_connection(run: Run, ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/api/chat", Reply.chat("Hello world").at_once())
    outcome = run(
        """
        async def main():
            client = AsyncClient(URL)
            for _ in range(5):
                async for part in await client.chat("m", MESSAGES, stream=True):
                    if part.done:
                        break
            print("done")

        asyncio.run(main())
        client = Client(URL)
        for _ in range(5):
            for part in client.chat("m", MESSAGES, stream=True):
                if part.done:
                    break
        """
    )
    assert outcome == Outcome(0, "done\n")
    assert ollama_server.connections == 2


@pytest.mark.parametrize("limit", ["wait_for", "timeout"])
def test_a_time_limit_around_an_item_ends_the_stream(run: Run, endless: ScriptedServer, limit: str) -> None:
    """As with asynchronous generators: whoever is cancelled in the middle of an item has given the stream up."""
    outcome = run(
        f"""
        async def main():
            client = AsyncClient(URL)
            stream = await client.chat("m", MESSAGES, stream=True)
            print((await stream.__anext__()).message.content)
            try:
                if {limit!r} == "wait_for":
                    await asyncio.wait_for(stream.__anext__(), 0.05)
                else:
                    async with asyncio.timeout(0.05):
                        await stream.__anext__()
            except asyncio.TimeoutError:
                print("too late")
            await client.pull("m")
            try:
                await stream.__anext__()
            except errors.ClosedError as error:
                print(error.message)

        asyncio.run(main())
        """
    )
    assert outcome == Outcome(0, "Hello\ntoo late\nthe stream was cancelled or closed before its end\n")


def test_a_task_that_fails_ends_the_streams_of_its_group(run: Run, endless: ScriptedServer) -> None:
    outcome = run(
        """
        async def main():
            client, started = AsyncClient(URL), []

            async def read():
                async for part in await client.chat("m", MESSAGES, stream=True):
                    started.append(part)

            async def fail():
                while len(started) < 5:
                    await asyncio.sleep(0.01)
                raise ValueError("of the task's own")

            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(5):
                        group.create_task(read())
                    group.create_task(fail())
            except ExceptionGroup as failures:
                print(failures.exceptions)
            await client.pull("m")
            print("the server has seen all ends")

        asyncio.run(main())
        """
    )
    assert outcome == Outcome(0, '(ValueError("of the task\'s own"),)\nthe server has seen all ends\n')


def test_two_tasks_cannot_wait_for_one_stream(run: Run, ollama_server: ScriptedServer) -> None:
    """The second is refused and the first gets everything; one after the other they share the items."""
    first = Reply.chat("one two three").gated(0)
    assert first.gate is not None
    ollama_server.queue(first, Reply.chat("one two three"), path="/api/chat")
    gate = first.gate

    def pull(request: Request) -> Reply:
        gate.open_all()
        return Reply.json({"status": "success"})

    ollama_server.on("POST", "/api/pull", pull)
    outcome = run(
        """
        async def read(stream):
            return "".join([part.message.content async for part in stream])

        async def main():
            client = AsyncClient(URL)
            stream = await client.chat("m", MESSAGES, stream=True)
            tasks = [asyncio.create_task(read(stream)) for _ in range(2)]
            refusal = await asyncio.gather(tasks[1], return_exceptions=True)
            await client.pull("m")
            print(await tasks[0], refusal)

            stream, taken = await client.chat("m", MESSAGES, stream=True), []

            async def take_in_turns(lock):
                while True:
                    async with lock:
                        try:
                            taken.append((await stream.__anext__()).message.content)
                        except StopAsyncIteration:
                            return

            lock = asyncio.Lock()
            await asyncio.gather(take_in_turns(lock), take_in_turns(lock))
            print("".join(taken))

        asyncio.run(main())
        """
    )
    refusal = "another task is already waiting for this stream: read it from one task at a time"
    assert outcome == Outcome(0, f"one two three [RuntimeError('{refusal}')]\none two three\n")
