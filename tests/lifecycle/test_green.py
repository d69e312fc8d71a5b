"""Green threads: a wait in one must let the others run. The server answers only when another has done its work."""

from __future__ import annotations

import signal

import pytest

from metagpt_ollama_rs.testing import Reply, Request, ScriptedServer

from .conftest import Outcome, Run, Start

pytest.importorskip("gevent")

# Patched before anything else is imported, as gevent asks for.
GEVENT = "import gevent.monkey; gevent.monkey.patch_all(); import gevent, gevent.event, gevent.pool\n"


@pytest.fixture
def release(ollama_server: ScriptedServer) -> str:
    """A request by which another green thread lets the answer of the first one go; it is itself a call that waits."""
    answer = Reply.chat(["Hello", " world"]).gated(0)
    assert answer.gate is not None
    gate = answer.gate

    def version(request: object) -> Reply:
        gate.open_all()
        return Reply.json({"version": "1"})

    ollama_server.on("POST", "/api/chat", answer)
    ollama_server.on("GET", "/api/version", version)
    return "Client(URL).version()"


@pytest.mark.parametrize("kind", ["call", "stream"])
def test_others_run_while_one_waits(run: Run, ollama_server: ScriptedServer, release: str, kind: str) -> None:
    outcome = run(
        f"""
        client = Client(URL)

        def ask():
            if {kind!r} == "call":
                return client.chat("m", MESSAGES).message.content
            return "".join(part.message.content for part in client.chat("m", MESSAGES, stream=True))

        asking = [gevent.spawn(ask) for _ in range(3)]
        # In threads that are green, too.
        thread = threading.Thread(target=lambda: print("released", {release}))
        gevent.sleep(0.1)
        thread.start()
        gevent.joinall(asking, timeout=20)
        # Which of the replies comes first is the server's business.
        thread.join()
        print([green.value for green in asking])
        """,
        before=GEVENT,
    )
    assert outcome == Outcome(0, "released 1\n['Hello world', 'Hello world', 'Hello world']\n")


@pytest.mark.parametrize("kind", ["call", "stream"])
@pytest.mark.parametrize("how", ["kill", "timeout"])
def test_who_gives_up_ends_the_request(run: Run, ollama_server: ScriptedServer, kind: str, how: str) -> None:
    ollama_server.on("POST", "/api/chat", Reply.chat("Hello").gated(0))
    outcome = run(
        f"""
        def ask():
            client = Client(URL)
            if {kind!r} == "call":
                client.chat("m", MESSAGES)
            for part in client.chat("m", MESSAGES, stream=True):
                pass

        def patient():
            try:
                with gevent.Timeout(0.3):
                    ask()
            except gevent.Timeout:
                print("timeout")

        if {how!r} == "timeout":
            gevent.spawn(patient).join()
        else:
            green = gevent.spawn(ask)
            gevent.sleep(0.3)
            green.kill()
            print("kill")
        """,
        before=GEVENT,
    )
    assert outcome == Outcome(0, f"{how}\n")
    ollama_server.wait_for_hangup()


def test_ctrl_c_ends_a_wait(start: Start, ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/api/chat", Reply.chat("Hello").gated(0))
    live = start(
        """
        # Whatever is raised in its hub gevent prints, if it is not one of these, and throws it into the main thread.
        gevent.hub.Hub.NOT_ERROR += (KeyboardInterrupt,)
        try:
            Client(URL).chat("m", MESSAGES)
        except KeyboardInterrupt:
            print("interrupted")
        """,
        before=GEVENT,
    )
    ollama_server.wait_for_request()
    live.send_signal(signal.SIGINT)
    assert live.finish() == Outcome(0, "interrupted\n")
    ollama_server.wait_for_hangup()


def test_many_at_once(run: Run, ollama_server: ScriptedServer) -> None:
    """They wait in one thread, which nothing of ours leaves: results don't get mixed up on the way."""

    def echo(request: Request) -> Reply:
        payload = request.json()
        return Reply.chat([*payload["messages"][0]["content"]], stream=payload["stream"]).slowly(pause=0.005)

    ollama_server.on("POST", "/api/chat", echo)
    outcome = run(
        """
        client = Client(URL)

        def ask(number):
            messages = [{"role": "user", "content": f"number {number}"}]
            if number % 2:
                return client.chat("m", messages).message.content
            return "".join(part.message.content for part in client.chat("m", messages, stream=True))

        answers = gevent.pool.Pool(50).map(ask, range(100))
        print(answers == [f"number {number}" for number in range(100)])
        """,
        before=GEVENT,
    )
    assert outcome == Outcome(0, "True\n")


def test_asyncio_on_top(run: Run, ollama_server: ScriptedServer, release: str) -> None:
    outcome = run(
        f"""
        async def main():
            client = AsyncClient(URL)
            asking = asyncio.create_task(client.chat("m", MESSAGES))
            await asyncio.sleep(0.1)
            await client.version()
            return (await asking).message.content

        print(asyncio.run(main()), {release})
        """,
        before=GEVENT,
    )
    assert outcome == Outcome(0, "Hello world 1\n")
