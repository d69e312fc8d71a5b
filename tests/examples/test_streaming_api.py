"""examples/streaming_api.py on a real uvicorn server: the stream, its errors, and a client that leaves."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import threading
from pathlib import Path

import pytest
import uvicorn

from metagpt_ollama_rs.testing import Gate, Reply

FILE = Path(__file__).parents[2] / "examples" / "streaming_api.py"


@pytest.fixture
def endpoint(ollama_server):
    """The port of the example's application, served by a thread until the test is over."""
    spec = importlib.util.spec_from_file_location("streaming_api", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    started = threading.Event()

    class Server(uvicorn.Server):
        async def startup(self, sockets=None):
            await super().startup(sockets)
            started.set()

    app = module.create_app("smollm2", ollama_server.url)
    server = Server(uvicorn.Config(app, host="127.0.0.1", port=0, ws="none", log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert started.wait(30)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


@contextlib.contextmanager
def asking(port, **body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=50)
    try:
        connection.request("POST", "/ask", json.dumps(body), {"Content-Type": "application/json"})
        yield connection
    finally:
        connection.close()


def gated(gate, text):
    reply = Reply.chat(text)
    return Reply(**{**vars(reply), "gate": gate})


def test_the_answer_comes_in_pieces(endpoint, ollama_server):
    gate = Gate(free=1)
    ollama_server.queue(gated(gate, ["One ", "two."]), path="/api/chat")
    with asking(endpoint, prompt="Count.") as connection:
        response = connection.getresponse()
        assert response.status == 200
        # The rest is still behind the gate.
        assert json.loads(response.readline()) == {"text": "One "}
        gate.open_all()
        second, last = map(json.loads, response.read().splitlines())
    assert second == {"text": "two."}
    assert last["done"] is True
    assert last["reason"] == "stop"
    assert ollama_server.last.json()["messages"] == [{"role": "user", "content": "Count."}]


def test_an_error_is_the_last_line(endpoint, ollama_server):
    ollama_server.queue(Reply.error("model 'smollm2' not found", 404), path="/api/chat")
    with asking(endpoint, prompt="Count.") as connection:
        [line] = connection.getresponse().read().splitlines()
    assert "ollama pull smollm2" in json.loads(line)["error"]


def test_an_empty_prompt_is_refused(endpoint, ollama_server):
    with asking(endpoint, prompt="") as connection:
        assert connection.getresponse().status == 422
    assert ollama_server.requests == []


def test_a_client_that_leaves_stops_the_model(endpoint, ollama_server):
    ollama_server.queue(gated(Gate(free=1), ["One ", "two."]), path="/api/chat")
    with asking(endpoint, prompt="Count.") as connection:
        connection.getresponse().readline()
    assert ollama_server.wait_for_hangup().path == "/api/chat"


def test_a_client_that_leaves_before_the_first_token_stops_the_model(endpoint, ollama_server):
    ollama_server.queue(gated(Gate(free=0), "One"), path="/api/chat")
    with asking(endpoint, prompt="Count."):
        ollama_server.wait_for_request()
    assert ollama_server.wait_for_hangup().path == "/api/chat"


def test_a_client_that_reads_nothing_and_leaves_stops_the_model(endpoint, ollama_server):
    """A model that is never short of words: the endpoint is busy sending, not waiting for it."""
    gate = Gate(free=1000)
    ollama_server.queue(gated(gate, ["x" * 50_000] * 2000), path="/api/chat")
    with asking(endpoint, prompt="Count."):
        gate.wait_sent(30)
    assert ollama_server.wait_for_hangup().path == "/api/chat"
