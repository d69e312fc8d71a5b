"""Processes that a program starts: by fork in the middle of a stream, as a pool's workers, with clients that are
pickled or were made when a module was imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from metagpt_ollama_rs.testing import Reply, Request, ScriptedServer

from .conftest import Outcome, Run

# A module with clients of its own, which workers import (spawn) or inherit (fork).
MODULE = """
import asyncio
import os
from metagpt_ollama_rs import AsyncClient, Client

client = Client(os.environ["WORKERS_URL"])
async_client = AsyncClient(os.environ["WORKERS_URL"])

def ask(number):
    messages = [{"role": "user", "content": f"number {number}"}]
    whole = client.chat("m", messages).message.content
    streamed = "".join(part.message.content for part in client.chat("m", messages, stream=True))
    awaited = asyncio.run(async_client.chat("m", messages)).message.content
    assert whole == streamed == awaited
    return whole

def ask_with(client):
    return client.chat("m", [{"role": "user", "content": "pickled"}]).message.content
"""


def echo(request: Request) -> Reply:
    payload = request.json()
    return Reply.chat(payload["messages"][0]["content"], stream=payload["stream"])


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_pool_of_workers(run: Run, ollama_server: ScriptedServer, tmp_path: Path, method: str) -> None:
    """The parent has used its clients, and has a stream open, when the workers begin; both sides go on."""
    ollama_server.on("POST", "/api/chat", echo)
    ollama_server.on("POST", "/api/generate", Reply.generate("one two three"))
    (tmp_path / "work.py").write_text(MODULE)
    outcome = run(
        f"""
        import multiprocessing, pickle
        os.environ["WORKERS_URL"] = URL
        sys.path.insert(0, {str(tmp_path)!r})
        import work

        if __name__ == "__main__":
            assert work.ask(0) == "number 0"
            stream = work.client.generate("m", "hi", stream=True)
            first = next(stream).response
            with multiprocessing.get_context({method!r}).Pool(3) as pool:
                print(pool.map(work.ask, range(6)) == [f"number {{number}}" for number in range(6)])
                print(pool.apply(work.ask_with, (pickle.loads(pickle.dumps(work.client)),)))
                pool.close()
                pool.join()
            print(first + "".join(part.response for part in stream), work.ask(1))
        """
    )
    assert outcome == Outcome(0, "True\npickled\none two three number 1\n")


def test_a_fork_in_the_middle_of_a_blocking_stream(run: Run, ollama_server: ScriptedServer) -> None:
    """The stream is the parent's. The child has the client, with connections of its own, and is told so if it reads."""
    parents = Reply.generate("from the parent").gated(1)
    assert parents.gate is not None
    gate = parents.gate

    def chat(request: Request) -> Reply:
        gate.open_all()
        return echo(request)

    ollama_server.on("POST", "/api/generate", parents)
    ollama_server.on("POST", "/api/chat", chat)
    outcome = run(
        """
        client = Client(URL)
        stream = client.generate("m", "hi", stream=True)
        first = next(stream).response
        child = os.fork()
        if child == 0:
            code = 1
            try:
                try:
                    next(stream)
                except errors.ClosedError as error:
                    told = "fork" in str(error)
                stream.close()
                del stream
                gc.collect()
                answer = client.chat("m", MESSAGES).message.content
                code = 0 if told and answer == "hi" else 2
            finally:
                os._exit(code)
        print(first + "".join(part.response for part in stream))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), client.chat("m", MESSAGES).message.content)
        """
    )
    assert outcome == Outcome(0, "from the parent\n0 hi\n")


def test_clients_and_answers_go_through_pickles(run: Run, ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/api/chat", echo)
    outcome = run(
        """
        import copy, pickle
        for client in (Client(URL, timeout=20, headers={"X-Who": "me"}), AsyncClient(URL, retries=1)):
            for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
                again = pickle.loads(pickle.dumps(client, protocol))
                reply = again.chat("m", MESSAGES)
                reply = reply if isinstance(client, Client) else asyncio.run(reply)
                assert pickle.loads(pickle.dumps(reply, protocol)) == copy.deepcopy(reply) == reply
                print(type(again).__name__, reply.message.content)
        # A stream belongs to its process.
        try:
            pickle.dumps(Client(URL).chat("m", MESSAGES, stream=True))
        except TypeError as error:
            print(error)
        """
    )
    refusal = "cannot pickle 'metagpt_ollama_rs._core.BlockingStream' object"
    assert outcome == Outcome(0, "Client hi\n" * 4 + "AsyncClient hi\n" * 4 + refusal + "\n")
    assert ollama_server.requests[0].header("X-Who") == "me"
