"""Agno on Ollama: an agent with a tool, over two turns, and its embedder."""

from __future__ import annotations

import asyncio

import pytest
from agno.agent import Agent
from agno.knowledge.embedder.ollama import OllamaEmbedder
from agno.media import Image
from agno.models.ollama import Ollama
from pydantic import BaseModel

from metagpt_ollama_rs.testing import Reply, lines

MODEL = "smollm2"
CALL = lines.tool_call("weather", {"city": "Ghent", "days": 2})
PNG = b"\x89PNG\r\n\x1a\n and the rest"


class Person(BaseModel):
    name: str
    age: int


def weather(city: str, days: int = 1) -> str:
    """Tells the weather.

    Args:
        city: where
        days: how many days ahead
    """
    return f"{city}: {days} days of rain"


@pytest.fixture
def agent(server):
    def make(*, host=server.url, options=None, **fields) -> Agent:
        return Agent(model=Ollama(id=MODEL, host=host, options=options, timeout=20), telemetry=False, **fields)

    return make


def body(server) -> dict:
    assert server.last.path == "/api/chat"
    return server.last.json()


def described(answer) -> list:
    metrics = answer.metrics
    return [answer.content, answer.reasoning_content, metrics.input_tokens, metrics.output_tokens]


def scripted(server, *answers: dict) -> None:
    script = iter(answers)
    server.on("POST", "/api/chat", lambda sent: Reply.chat(stream=sent.json().get("stream", False), **next(script)))


def test_run(agent, server, keep):
    server.answer("Hello world")
    answer = agent(options={"temperature": 0.25}, instructions="Be short.").run("Hi")
    assert answer.content == "Hello world"
    assert (answer.metrics.input_tokens, answer.metrics.output_tokens) == (31, 3)
    assert body(server)["options"] == {"temperature": 0.25}
    assert [message["role"] for message in body(server)["messages"]] == ["system", "user"]
    keep(described(answer))
    keep(described(asyncio.run(agent().arun("Hi"))))


def test_streams(agent, server, keep):
    server.answer("Hello big world")
    parts = [event.content for event in agent().run("Hi", stream=True)]

    async def collect():
        return [event.content async for event in agent().arun("Hi", stream=True)]

    assert parts == asyncio.run(collect()) == ["Hello", " big", " world"]
    keep(parts)


@pytest.mark.parametrize("way", ["run", "arun", "streamed"])
def test_an_agent_with_a_tool_over_two_turns(agent, server, keep, way):
    scripted(server, {"tool_calls": [CALL]}, {"content": "It rains."}, {"content": "Take an umbrella."})
    made = agent(tools=[weather])
    question = "How is the weather in Ghent?"
    if way == "run":
        first = made.run(question).content
    elif way == "arun":
        first = asyncio.run(made.arun(question)).content
    else:
        first = "".join(event.content or "" for event in made.run(question, stream=True))
    assert first == "It rains."
    [tool] = body(server)["tools"]
    assert tool["function"]["name"] == "weather"
    assert tool["function"]["parameters"]["properties"]["city"]["type"] == "string"
    sent = body(server)["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool"]
    assert sent[1]["tool_calls"][0]["function"] == {"name": "weather", "arguments": {"city": "Ghent", "days": 2}}
    assert sent[2]["content"] == "Ghent: 2 days of rain"
    second = made.run("What should I take?")
    assert second.content == "Take an umbrella."
    keep([first, described(second)])


def test_structured_output(agent, server):
    server.answer('{"name": "Ada", "age": 36}')
    answer = agent(output_schema=Person).run("Who?")
    assert answer.content == Person(name="Ada", age=36)
    assert body(server)["format"]["required"] == ["name", "age"]


def test_images(agent, server, tmp_path):
    server.answer("A llama")
    (tmp_path / "llama.png").write_bytes(PNG)
    images = [Image(content=PNG), Image(filepath=tmp_path / "llama.png")]
    assert agent().run("What is it?", images=images).content == "A llama"
    first, second = body(server)["messages"][-1]["images"]
    assert first == second


def test_errors(agent, server, keep):
    server.on("POST", "/api/chat", Reply.error(f"model '{MODEL}' not found", 404))
    answer = agent().run("Hi")
    assert answer.status == "ERROR"
    assert "not found" in answer.content
    server.stop()
    assert agent().run("Hi").status == "ERROR"
    keep(answer.content)


def test_embeddings(server, keep):
    server.answer()
    embedder = OllamaEmbedder(id=MODEL, host=server.url, dimensions=8, options={"num_ctx": 256})
    vector = embedder.get_embedding("one")
    assert vector == pytest.approx(lines.vector("one"), abs=1e-6)
    assert asyncio.run(embedder.async_get_embedding("one")) == vector
    assert server.last.json()["options"] == {"num_ctx": 256}
    keep(vector)


def test_a_real_model(embedded):
    options = {"temperature": 0, "seed": 1, "num_predict": 6, "num_thread": 1}
    made = Agent(model=Ollama(id=MODEL, host=embedded, options=options), telemetry=False)
    whole = made.run("Say hi.").content
    assert whole.strip()
    assert "".join(event.content or "" for event in made.run("Say hi.", stream=True)) == whole
    vector = OllamaEmbedder(id=f"{MODEL}-embed", host=embedded, dimensions=576).get_embedding("Cats purr.")
    assert len(vector) == 576
