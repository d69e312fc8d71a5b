"""Threads: many that share a client, two that read one stream, one that ends with its stream open."""

from __future__ import annotations

import pytest

from metagpt_ollama_rs.testing import Reply, Request, ScriptedServer, lines

from .conftest import Outcome, Run


def echo(request: Request) -> Reply:
    """An answer that repeats the question, in a piece for each word."""
    payload = request.json()
    if "input" in payload:
        return Reply.embed([lines.vector(text) for text in payload["input"]], prompt_eval_count=len(payload["input"]))
    return Reply.chat(payload["messages"][0]["content"], stream=payload["stream"])


@pytest.mark.parametrize("client", ["Client", "AsyncClient"])
def test_8_threads_with_200_calls_each(run: Run, ollama_server: ScriptedServer, client: str) -> None:
    """One client for all of them, and no answer is another question's."""
    ollama_server.on("POST", "/api/chat", echo)
    ollama_server.on("POST", "/api/embed", echo)
    outcome = run(
        f"""
        from metagpt_ollama_rs.testing import lines
        CLIENT, right = {client}(URL), []

        def question(thread, number):
            return f"thread {{thread}} asks {{number}}"

        def is_vector_of(text, reply):
            return all(abs(a - b) < 1e-6 for a, b in zip(reply.embeddings[0], lines.vector(text), strict=True))

        def work(thread):
            for number in range(200):
                text = question(thread, number)
                messages = [{{"role": "user", "content": text}}]
                if number % 3 == 0:
                    answer = CLIENT.chat("m", messages).message.content
                elif number % 3 == 1:
                    answer = "".join(part.message.content for part in CLIENT.chat("m", messages, stream=True))
                else:
                    answer = text if is_vector_of(text, CLIENT.embed("m", [text])) else None
                right.append(answer == text)

        async def ask(thread, number):
            text = question(thread, number)
            messages = [{{"role": "user", "content": text}}]
            if number % 3 == 0:
                answer = (await CLIENT.chat("m", messages)).message.content
            elif number % 3 == 1:
                answer = "".join([part.message.content async for part in await CLIENT.chat("m", messages, stream=True)])
            else:
                answer = text if is_vector_of(text, await CLIENT.embed("m", [text])) else None
            right.append(answer == text)

        async def work_asynchronously(thread):
            for first in range(0, 200, 8):
                await asyncio.gather(*(ask(thread, number) for number in range(first, first + 8)))

        if isinstance(CLIENT, AsyncClient):
            def work(thread):
                asyncio.run(work_asynchronously(thread))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(len(right), all(right))
        """
    )
    assert outcome == Outcome(0, "1600 True\n")
    assert len(ollama_server.requests) == 1600


def test_threads_that_read_one_stream_share_its_items(run: Run, ollama_server: ScriptedServer) -> None:
    """Also where one loses the GIL while it makes an item, as here each time: what makes items may be a class of the
    caller's."""
    ollama_server.on("POST", "/api/chat", Reply.chat([f"{number} " for number in range(500)]).every(10_000))
    outcome = run(
        """
        from metagpt_ollama_rs.endpoints import CHAT

        def item(fields):
            time.sleep(0)
            return fields["message"]["content"]

        stream = Client(URL)._native.stream_blocking(CHAT, {"model": "m", "stream": True}, item, None)
        taken, failures, begin = [[] for _ in range(4)], [], threading.Barrier(4)

        def read(items):
            begin.wait()
            try:
                items.extend(stream)
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=read, args=(items,)) for items in taken]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        each_once = sorted(sum(taken, [])) == sorted(["", *(f"{number} " for number in range(500))])
        numbers = [[int(text) for text in items if text] for items in taken]
        print(each_once, all(own == sorted(own) for own in numbers), failures, next(stream, "at its end"))
        """
    )
    assert outcome == Outcome(0, "True True [] at its end\n")


def test_an_item_that_reads_its_own_stream_is_told_so(run: Run, ollama_server: ScriptedServer) -> None:
    """A thread that waited for itself would never go on."""
    ollama_server.on("POST", "/api/chat", Reply.chat("Hello world"))
    outcome = run(
        """
        from metagpt_ollama_rs.endpoints import CHAT
        failures = []

        class Item:
            def __init__(self, fields):
                try:
                    next(stream)
                except RuntimeError as error:
                    failures.append(str(error))

        native = Client(URL)._native
        stream = native.stream_blocking(CHAT, {"model": "m", "stream": True}, Item, None)
        print(len(list(stream)), set(failures))
        """
    )
    assert outcome == Outcome(
        0, "3 {'this stream is being read already: an item of it is being made by this thread'}\n"
    )


def test_a_thread_that_ends_leaves_its_stream_to_others(run: Run, ollama_server: ScriptedServer) -> None:
    first = Reply.chat("kept to the end").gated(1)
    assert first.gate is not None
    gate = first.gate

    def pull(request: Request) -> Reply:
        ollama_server.wait_for_hangup()
        gate.open_all()
        return Reply.json({"status": "success"})

    ollama_server.queue(first, Reply.chat("lost").gated(1), path="/api/chat")
    ollama_server.on("POST", "/api/pull", pull)
    outcome = run(
        """
        client, kept = Client(URL), []

        def keep():
            kept.append(client.chat("m", MESSAGES, stream=True))
            next(kept[0])

        def lose():
            stream = client.chat("m", MESSAGES, stream=True)
            next(stream)
            raise SystemExit

        for target in (keep, lose):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
        # Answered when the server has seen the end of the stream that was lost.
        client.pull("m")
        print("".join(part.message.content for part in kept[0]))
        """
    )
    assert outcome == Outcome(0, " to the end\n")


def test_the_blocking_client_in_an_executor(run: Run, ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/api/chat", echo)
    outcome = run(
        """
        client = Client(URL)

        def ask(number):
            messages = [{"role": "user", "content": f"number {number}"}]
            return "".join(part.message.content for part in client.chat("m", messages, stream=True))

        async def main():
            loop = asyncio.get_running_loop()
            answers = await asyncio.gather(*(loop.run_in_executor(None, ask, number) for number in range(50)))
            print(answers == [f"number {number}" for number in range(50)])

        asyncio.run(main())
        """
    )
    assert outcome == Outcome(0, "True\n")
