"""ollama-haystack: the chat generator and the embedders, alone, in a pipeline, and under Haystack's agent."""

from __future__ import annotations

import asyncio
import base64
import dataclasses

import pytest
from haystack import Document, Pipeline
from haystack.components.agents import Agent
from haystack.components.builders import ChatPromptBuilder
from haystack.dataclasses import ChatMessage, ImageContent, TextContent
from haystack.tools import Tool
from haystack_integrations.components.embedders.ollama import OllamaDocumentEmbedder, OllamaTextEmbedder
from haystack_integrations.components.generators.ollama import OllamaChatGenerator

from metagpt_ollama_rs.testing import Reply, lines

MODEL = "smollm2"
PERSON = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n and the rest").decode()


def weather(city: str, days: int = 1) -> str:
    return f"{city}: {days} days of rain"


TOOL = Tool(
    name="weather",
    description="Tells the weather.",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    },
    function=weather,
)
CALL = lines.tool_call("weather", {"city": "Ghent", "days": 2})
MESSAGES = [ChatMessage.from_system("Be short."), ChatMessage.from_user("Hi")]


@pytest.fixture
def generator(server):
    def make(**fields) -> OllamaChatGenerator:
        return OllamaChatGenerator(MODEL, server.url, **fields)

    return make


def body(server) -> dict:
    assert server.last.path == "/api/chat"
    return server.last.json()


def test_run(generator, server, keep):
    server.answer("Hello world")
    made = generator(generation_kwargs={"temperature": 0.25, "seed": 3}, keep_alive="1m", timeout=20)
    [reply] = made.run(MESSAGES, generation_kwargs={"seed": 4})["replies"]
    assert reply.text == "Hello world"
    assert reply.meta["usage"] == {"prompt_tokens": 31, "completion_tokens": 3, "total_tokens": 34}
    assert reply.meta["finish_reason"] == "stop"
    assert body(server)["options"] == {"temperature": 0.25, "seed": 4}
    assert body(server)["messages"] == [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hi"}]
    made.close()
    keep(reply.to_dict())


def test_run_async(generator, server, keep):
    server.answer("Hello world")

    async def ask():
        made = generator()
        answer = await made.run_async("Hi")
        await made.close_async()
        return answer

    [reply] = asyncio.run(ask())["replies"]
    assert reply.text == "Hello world"
    keep(reply.to_dict())


def test_streaming_callback(generator, server, keep):
    server.answer("Hello big world", thinking="Let me think")
    chunks = []
    [reply] = generator(streaming_callback=chunks.append, think=True).run(MESSAGES)["replies"]
    assert [chunk.content for chunk in chunks if chunk.content] == ["Hello", " big", " world"]
    assert reply.text == "Hello big world"
    assert reply.reasoning.reasoning_text == "Let me think"
    assert (body(server)["stream"], body(server)["think"]) == (True, True)
    keep([reply.to_dict(), [dataclasses.asdict(chunk) for chunk in chunks]])


def test_streaming_callback_async(generator, server, keep):
    server.answer("Hello big world")
    chunks = []

    async def receive(chunk):
        chunks.append(chunk)

    async def ask():
        return await generator().run_async(MESSAGES, streaming_callback=receive)

    [reply] = asyncio.run(ask())["replies"]
    assert reply.text == "".join(chunk.content for chunk in chunks) == "Hello big world"
    keep([reply.to_dict(), [dataclasses.asdict(chunk) for chunk in chunks]])


@pytest.mark.parametrize("streamed", [False, True])
def test_tools(generator, server, keep, streamed):
    server.on(
        "POST", "/api/chat", lambda sent: Reply.chat("Let me see.", stream=sent.json()["stream"], tool_calls=[CALL])
    )
    chunks = []
    callback = chunks.append if streamed else None
    [reply] = generator(tools=[TOOL]).run(MESSAGES, streaming_callback=callback)["replies"]
    [call] = reply.tool_calls
    assert (call.tool_name, call.arguments) == ("weather", {"city": "Ghent", "days": 2})
    [tool] = body(server)["tools"]
    assert tool["function"]["name"] == "weather"
    assert tool["function"]["parameters"]["required"] == ["city"]
    result = ChatMessage.from_tool(weather(**call.arguments), origin=call)
    generator(tools=[TOOL]).run([*MESSAGES, reply, result])
    assert body(server)["messages"][-2]["tool_calls"][0]["function"]["arguments"] == {"city": "Ghent", "days": 2}
    assert body(server)["messages"][-1] == {"role": "tool", "content": "Ghent: 2 days of rain"}
    keep([reply.to_dict(), [dataclasses.asdict(chunk) for chunk in chunks]])


def test_an_agent(generator, server, keep):
    server.on("POST", "/api/chat", [
        Reply.chat(stream=False, tool_calls=[CALL]), Reply.chat("It rains.", stream=False)
    ])  # fmt: skip
    found = Agent(chat_generator=generator(), tools=[TOOL]).run([ChatMessage.from_user("How is the weather?")])
    assert found["last_message"].text == "It rains."
    assert [message["role"] for message in body(server)["messages"]] == ["user", "assistant", "tool"]
    keep([message.to_dict() for message in found["messages"]])


def test_structured_output(generator, server):
    server.answer('{"name": "Ada"}')
    [reply] = generator(response_format=PERSON).run(MESSAGES)["replies"]
    assert reply.text == '{"name": "Ada"}'
    assert body(server)["format"] == PERSON
    generator(response_format="json").run(MESSAGES)
    assert body(server)["format"] == "json"


def test_images(generator, server):
    server.answer("A llama")
    message = ChatMessage.from_user(content_parts=[TextContent("What is it?"), ImageContent(PNG, "image/png")])
    assert generator().run([message])["replies"][0].text == "A llama"
    assert body(server)["messages"][0]["images"] == [PNG]


def test_a_pipeline_that_was_written_down(generator, server):
    server.answer("Hello world")
    pipeline = Pipeline()
    pipeline.add_component("prompt", ChatPromptBuilder([ChatMessage.from_user("Greet {{ whom }}")]))
    pipeline.add_component("model", generator())
    pipeline.connect("prompt.prompt", "model.messages")
    again = Pipeline.loads(pipeline.dumps())
    assert again.run({"prompt": {"whom": "Ada"}})["model"]["replies"][0].text == "Hello world"
    assert body(server)["messages"][0]["content"] == "Greet Ada"


def test_errors(generator, server, keep):
    import ollama

    server.on("POST", "/api/chat", Reply.error(f"model '{MODEL}' not found", 404))
    with pytest.raises(ollama.ResponseError, match="not found") as caught:
        generator().run(MESSAGES)
    assert caught.value.status_code == 404
    keep(caught.value.error)
    server.stop()
    with pytest.raises(ConnectionError):
        generator().run(MESSAGES)


def test_its_own_retries(generator, server, keep):
    server.answer("Hello world")
    server.queue(Reply.error("server busy", 503), path="/api/chat")
    assert generator(max_retries=1).run(MESSAGES)["replies"][0].text == "Hello world"
    keep(len(server.requests))


def test_embeddings(server, keep):
    server.answer()
    embedder = OllamaTextEmbedder(MODEL, server.url, keep_alive="1m")
    one = embedder.run("one", generation_kwargs={"num_ctx": 256})["embedding"]
    assert one == pytest.approx(lines.vector("one"), abs=1e-6)
    assert server.last.json()["options"] == {"num_ctx": 256}
    assert asyncio.run(embedder.run_async("one"))["embedding"] == one
    documents = [Document(content=text) for text in ("one", "two", "three")]
    made = OllamaDocumentEmbedder(MODEL, server.url, batch_size=2, prefix="text: ", progress_bar=False)
    found = made.run(documents)
    assert [request.json()["input"] for request in server.requests[2:]] == [["text: one", "text: two"], ["text: three"]]
    vectors = [document.embedding for document in found["documents"]]
    assert vectors == [pytest.approx(lines.vector(f"text: {d.content}"), abs=1e-6) for d in documents]
    again = asyncio.run(made.run_async(documents))
    assert [document.embedding for document in again["documents"]] == vectors
    keep([one, vectors, found["meta"]])


def test_a_real_model(embedded):
    chunks = []
    generator = OllamaChatGenerator(
        MODEL, embedded, generation_kwargs={"temperature": 0, "seed": 1, "num_predict": 6, "num_thread": 1}
    )
    [whole] = generator.run("Say hi.")["replies"]
    [streamed] = generator.run("Say hi.", streaming_callback=chunks.append)["replies"]
    assert whole.text.strip()
    assert streamed.text == whole.text == "".join(chunk.content for chunk in chunks)
    vector = OllamaTextEmbedder(f"{MODEL}-embed", embedded).run("Cats purr.")["embedding"]
    assert len(vector) == 576
