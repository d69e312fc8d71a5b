"""Forks, interpreter exit and signals. Each case runs in a process of its own."""

from __future__ import annotations

import json

import pytest

from metagpt_ollama_rs.testing import Reply, ScriptedServer

from .conftest import Outcome, Run

FORK = pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="this system has no fork")


@FORK
def test_a_child_gets_connections_of_its_own_and_the_parents_stream_goes_on(
    run: Run, ollama_server: ScriptedServer
) -> None:
    parents = Reply.chat("from the parent").gated(1)
    ollama_server.queue(parents)
    ollama_server.answer("from the child")

    def child_has_asked() -> bool:
        return len(ollama_server.requests) >= 2

    import threading

    def release() -> None:
        ollama_server.wait_for_request(2, 20)
        assert parents.gate is not None
        parents.gate.open_all()

    thread = threading.Thread(target=release)
    thread.start()
    outcome = run(
        """
        client = AsyncClient(URL)

        async def read(stream):
            return "".join([part.message.content async for part in stream])

        async def main():
            stream = await client.chat("m", MESSAGES, stream=True)
            first = (await stream.__anext__()).message.content
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    asyncio.events._set_running_loop(None)
                    async def ask():
                        return await read(await client.chat("m", MESSAGES, stream=True))
                    loop = asyncio.new_event_loop()
                    answer = loop.run_until_complete(ask())
                    async def inherited():
                        try:
                            await stream.__anext__()
                        except errors.ClosedError as error:
                            return "fork" in str(error)
                    code = 0 if answer == "from the child" and loop.run_until_complete(inherited()) else 2
                finally:
                    os._exit(code)
            rest = await read(stream)
            _, status = os.waitpid(child, 0)
            print(first + rest, os.waitstatus_to_exitcode(status))

        asyncio.run(main())
        """
    )
    thread.join(30)
    assert child_has_asked()
    assert outcome == Outcome(0, "from the parent 0\n")


@FORK
def test_the_server_sees_the_parent_leave_while_a_child_lives(run: Run, ollama_server: ScriptedServer) -> None:
    """The child holds a copy of the socket, so closing the parent's alone would tell nobody."""
    ollama_server.on("POST", "/api/chat", lambda request: Reply.chat("Hello world").gated(1))
    ollama_server.on(
        "POST", "/api/show", lambda request: ollama_server.wait_for_hangup() and Reply.json({"license": "x"})
    )
    outcome = run(
        """
        async def main():
            client = AsyncClient(URL)
            stream = await client.chat("m", MESSAGES, stream=True)
            await stream.__anext__()
            alive, end = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(end)
                os.read(alive, 1)
                os._exit(0)
            os.close(alive)
            await stream.aclose()
            # Answered once the server has seen the stream's end.
            print((await client.show("m")).license)
            os.close(end)
            os.waitpid(child, 0)

        asyncio.run(main())
        """
    )
    assert outcome == Outcome(0, "x\n")


@FORK
def test_a_child_that_exits_in_the_ordinary_way(run: Run, ollama_server: ScriptedServer) -> None:
    ollama_server.answer("Hello world")
    outcome = run(
        """
        import multiprocessing
        client = Client(URL)

        def work(queue):
            queue.put(client.chat("m", MESSAGES).message.content)

        if __name__ == "__main__":
            assert client.chat("m", MESSAGES).message.content == "Hello world"
            context = multiprocessing.get_context("fork")
            queue = context.Queue()
            children = [context.Process(target=work, args=(queue,)) for _ in range(4)]
            for child in children: child.start()
            answers = [queue.get(timeout=20) for _ in children]
            for child in children: child.join(20)
            print(answers == ["Hello world"] * 4, [child.exitcode for child in children])
            print(client.chat("m", MESSAGES).message.content)
        """
    )
    assert outcome == Outcome(0, "True [0, 0, 0, 0]\nHello world\n")


@pytest.mark.parametrize("attempt", range(3))
@pytest.mark.parametrize("consumer", ["items", "callback", "blocking", "daemon", "call"])
def test_exit_with_requests_under_way(run: Run, ollama_server: ScriptedServer, consumer: str, attempt: int) -> None:
    ollama_server.on("POST", "/api/chat", lambda request: Reply.chat("Hello world, how are you").gated(1))
    outcome = run(
        f"""
        consumer = {consumer!r}
        if consumer == "blocking":
            stream = Client(URL).chat("m", MESSAGES, stream=True)
            print(next(stream).message.content)
        elif consumer == "daemon":
            started = threading.Event()
            def forever():
                for part in Client(URL).chat("m", MESSAGES, stream=True):
                    started.set()
            threading.Thread(target=forever, daemon=True).start()
            started.wait(20)
            print("Hello")
        else:
            loop = asyncio.new_event_loop()
            client = AsyncClient(URL)
            async def main():
                streams = [await client.chat("m", MESSAGES, stream=True) for _ in range(5)]
                if consumer == "items":
                    print((await streams[0].__anext__()).message.content)
                    return streams
                if consumer == "call":
                    task = loop.create_task(client.request_json("/api/chat", {{"model": "m"}}))
                    await streams[0].__anext__()
                else:
                    first = asyncio.Event()
                    task = loop.create_task(
                        client.stream_text("/api/chat", {{"model": "m"}}, lambda text: first.set()))
                    await first.wait()
                # asyncio complains of each task that it loses, whatever it waits for.
                task._log_destroy_pending = False
                print("Hello")
                return streams, task
            kept = loop.run_until_complete(main())
        """
    )
    assert outcome == Outcome(0, "Hello\n")


@pytest.mark.parametrize("how", ["call", "await", "callback", "decoder", "decode"])
def test_ctrl_c_while_python_parses_what_the_fast_reader_refuses(
    run: Run, ollama_server: ScriptedServer, how: str
) -> None:
    """It would pass for JSON that is broken, and the program would go on."""
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a": NaN}'}}
    event = {"object": "chat.completion.chunk", "choices": [{"delta": {"tool_calls": [call]}}]}
    sse = f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n"
    ollama_server.on("POST", "/api/show", Reply.body(b'{"a": NaN}', "application/json"))
    ollama_server.on("POST", "/v1/chat/completions", Reply.body(sse.encode(), "text/event-stream"))
    outcome = run(
        f"""
        import json, signal
        from metagpt_ollama_rs import StreamDecoder, decode

        def interrupted(*_, **__):
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("not interrupted")

        json.loads = interrupted
        how = {how!r}
        async def ask(path):
            client = AsyncClient(URL)
            if how == "await":
                return await client.request_json("/api/show", {{"model": "m"}})
            return await client.stream_text("/v1/chat/completions", {{"model": "m"}}, lambda text: None)
        try:
            if how == "call":
                result = Client(URL).show("m")
            elif how == "decoder":
                result = [delta.tool_calls for delta in StreamDecoder("sse").feed({sse!r}.encode())]
            elif how == "decode":
                result = decode(b'{{"a": NaN}}')
            else:
                # Without the handler of `asyncio.run`, which would cancel the task.
                loop = asyncio.new_event_loop()
                try:
                    result = loop.run_until_complete(ask(how))
                finally:
                    loop.close()
            print(result)
        except KeyboardInterrupt:
            print("interrupted")
        """
    )
    assert outcome == Outcome(0, "interrupted\n")


def test_nothing_is_said_at_exit(run: Run, ollama_server: ScriptedServer) -> None:
    ollama_server.answer("Hello world")
    outcome = run(
        """
        client = AsyncClient(URL)
        async def main():
            print((await client.chat("m", MESSAGES)).message.content)
            async for part in await client.chat("m", MESSAGES, stream=True): pass
            await client.version()
        asyncio.run(main())
        asyncio.run(main())
        """,
    )
    assert outcome == Outcome(0, "Hello world\nHello world\n")


def test_a_request_in_an_exit_handler(run: Run) -> None:
    """Handlers run in the reverse order: those registered before the package was imported come after its own."""
    outcome = run(
        """
        import atexit
        def ask():
            try:
                print(Client(URL).version())
            except errors.ClosedError as error:
                print("refused:", error)
        atexit.register(ask)
        atexit._run_exitfuncs()
        ask()
        """
    )
    assert outcome.code == 0, outcome.err
    answer, refusal = outcome.out.split("\n", 1)
    assert not answer.startswith("refused")
    assert "the interpreter is shutting down" in refusal


@pytest.mark.parametrize("attempt", range(5))
@pytest.mark.parametrize("consumer", ["blocking", "callback", "items"])
def test_exit_while_daemon_threads_are_busy(
    run: Run, ollama_server: ScriptedServer, consumer: str, attempt: int
) -> None:
    """CPython ends such threads where they take the GIL, which must not be inside frames of ours."""
    ollama_server.on("POST", "/api/chat", lambda request: Reply.chat(["x"] * 3000).at_once())
    outcome = run(
        f"""
        consumer = {consumer!r}
        busy = threading.Semaphore(0)

        async def read(client):
            if consumer == "callback":
                await client.stream_text("/api/chat", {{"model": "m"}}, lambda text: text.upper())
            else:
                async for part in await client.chat("m", MESSAGES, stream=True):
                    part.message.content

        def work():
            while True:
                if consumer == "blocking":
                    for part in Client(URL).chat("m", MESSAGES, stream=True):
                        part.message.content
                else:
                    asyncio.run(read(AsyncClient(URL)))
                busy.release()

        for _ in range(4):
            threading.Thread(target=work, daemon=True).start()
        for _ in range(4):
            busy.acquire(timeout=20)
        """
    )
    assert outcome == Outcome(0)


@pytest.mark.parametrize("attempt", range(2))
@pytest.mark.parametrize(
    "work",
    [
        "_core.loads(DEEP)",
        "_core.dumps([Model()] * 10)",
        "decode(b'no JSON')",
        "decode(DEEP)",
        "decode_text(DEEP)",
        "get_choice(Slow(message=Slow(role='assistant', content='x')))",
        "get_response_choice(Slow(response='x'))",
        "[(delta.raw, repr(delta), delta == delta) for delta in StreamDecoder().feed(DEEP[:-1] + TEXT)]",
        "StreamDecoder('auto', Slow())",
        "_core.adopt_dict(Record(), {}, ('a',))",
        "stats.records()",
        # What is dropped runs code too.
        "_core.loads(b'[' + DEEP + b', NaN]').append(Slow())",
    ],
)
def test_exit_while_daemon_threads_are_in_a_function(run: Run, work: str, attempt: int) -> None:
    """Whatever calls Python, or has it collect garbage, may lose the GIL there."""
    outcome = run(
        f"""
        import gc, logging
        from metagpt_ollama_rs import StreamDecoder, _core, decode, decode_text, get_choice
        from metagpt_ollama_rs import stats
        from metagpt_ollama_rs._core import get_response_choice

        logging.disable()
        gc.set_threshold(50)
        sys.setswitchinterval(1e-5)
        DEEP = b'{{"a": ' + b"[" * 200 + b"1" + b"]" * 200 + b', "b": 1e999}}'
        TEXT = b', "response": ""}}\\n'

        def spin():
            for _ in range(100):
                pass

        class Model:
            def model_dump(self, **_):
                spin()
                return {{"a": [1, None]}}

        class Slow(dict):
            def __contains__(self, name):
                spin()
                return dict.__contains__(self, name)
            def __index__(self):
                spin()
                return 5
            def __del__(self):
                spin()

        class Record:
            __slots__ = ("_data", "a")
            def __init__(self):
                self.a = Slow()

        busy = threading.Semaphore(0)

        def forever():
            busy.release()
            while True:
                {work}

        for _ in range(4):
            threading.Thread(target=forever, daemon=True).start()
        for _ in range(4):
            busy.acquire()
        time.sleep(0.05)
        """
    )
    assert outcome == Outcome(0)


@pytest.mark.parametrize("pause", ["pass", "time.sleep(0.001)"])
@pytest.mark.parametrize("consumer", ["callback", "items", "dumps"])
def test_exit_while_users_code_runs_in_a_daemon_thread(
    run: Run, ollama_server: ScriptedServer, consumer: str, pause: str
) -> None:
    """Exit cannot wait for code that never returns, and must not unwind what that was called from."""
    ollama_server.on("POST", "/api/chat", lambda request: Reply.chat(["x"] * 3).at_once())
    outcome = run(
        f"""
        from metagpt_ollama_rs import _core

        consumer = {consumer!r}
        inside = threading.Event()

        def forever(*_):
            inside.set()
            while True:
                {pause}

        class Model:
            def model_dump(self, **_):
                forever()

        class Loop(asyncio.SelectorEventLoop):
            def create_future(self):
                forever()

        def work():
            if consumer == "dumps":
                _core.dumps(Model())
            elif consumer == "callback":
                asyncio.run(AsyncClient(URL).stream_text("/api/chat", {{"model": "m"}}, forever))
            else:
                async def read():
                    async for part in await AsyncClient(URL).chat("m", MESSAGES, stream=True):
                        pass
                Loop().run_until_complete(read())

        threading.Thread(target=work, daemon=True).start()
        assert inside.wait(20)
        """
    )
    assert outcome == Outcome(0)


def test_an_exit_handler_can_wait_for_a_daemon_thread(run: Run) -> None:
    """Its work is done to the end, and a request is refused instead of keeping it."""
    outcome = run(
        """
        import atexit, queue
        from metagpt_ollama_rs import decode
        tasks = queue.Queue()

        def work():
            tasks.get()
            print(decode(b'{"a": 1}'))
            try:
                Client(URL).version()
            except errors.ClosedError:
                print("refused")

        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        # Handlers that were registered before the package's own run after it.
        atexit._run_exitfuncs()
        tasks.put(None)
        worker.join()
        print("done")
        """
    )
    assert outcome == Outcome(0, "{'a': 1}\nrefused\ndone\n")


@FORK
@pytest.mark.parametrize("consumer", ["callback", "dumps"])
def test_a_child_forked_during_a_callback_exits_at_once(run: Run, ollama_server: ScriptedServer, consumer: str) -> None:
    ollama_server.on("POST", "/api/chat", lambda request: Reply.chat(["x"] * 3).at_once())
    outcome = run(
        f"""
        import atexit, resource
        from metagpt_ollama_rs import _core

        def waits():
            return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw

        inside, leave = threading.Event(), threading.Event()

        def wait(*_, **__):
            inside.set()
            leave.wait(20)
            return {{}}

        class Model:
            model_dump = wait

        def work():
            if {consumer!r} == "dumps":
                _core.dumps(Model())
            else:
                asyncio.run(AsyncClient(URL).stream_text("/api/chat", {{"model": "m"}}, wait))

        thread = threading.Thread(target=work)
        thread.start()
        inside.wait(20)
        child = os.fork()
        if child == 0:
            before = waits()
            atexit._run_exitfuncs()
            os._exit(waits() - before > 50)
        leave.set()
        thread.join()
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """
    )
    assert outcome == Outcome(0, "0\n")


@FORK
def test_a_callback_that_forks(run: Run, ollama_server: ScriptedServer) -> None:
    """The reply is the parent's, who gets all of it; the child is told so."""
    ollama_server.answer(["a", "b", "c"])
    outcome = run(
        """
        client, children, texts = Client(URL), [], []

        def on_text(text):
            texts.append(text)
            if not children:
                children.append(os.fork())

        try:
            payload = {"model": "m", "messages": MESSAGES}
            answer = client.stream_text("/api/chat", payload, on_text)["message"]["content"]
        except errors.ClosedError as error:
            assert children == [0] and "fork" in str(error)
            assert client.chat("m", MESSAGES).message.content == "abc"
            os._exit(0)
        print(answer, texts, os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]))
        """
    )
    assert outcome == Outcome(0, "abc ['a', 'b', 'c'] 0\n")
