"""AutoGen on Ollama (autogen-ext): its chat client, and an agent with a tool, over two turns."""

from __future__ import annotations

import asyncio
import logging

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import ModelClientStreamingChunkEvent, ToolCallExecutionEvent
from autogen_core import EVENT_LOGGER_NAME, CancellationToken, Image
from autogen_core.models import ChatCompletionClient, SystemMessage, UserMessage
from autogen_core.tools import FunctionTool
from autogen_ext.models.ollama import OllamaChatCompletionClient
from PIL import Image as Picture
from pydantic import BaseModel

from metagpt_ollama_rs.testing import Reply, lines

MODEL = "smollm2"
INFO = {"vision": True, "function_calling": True, "json_output": True, "structured_output": True, "family": "unknown"}
MESSAGES = [SystemMessage(content="Be short."), UserMessage(content="Hi", source="user")]
CALL = lines.tool_call("weather", {"city": "Ghent", "days": 2})


class Person(BaseModel):
    name: str
    age: int


async def weather(city: str, days: int = 1) -> str:
    """Tells the weather."""
    return f"{city}: {days} days of rain"


@pytest.fixture
def model(server):
    def make(**fields) -> OllamaChatCompletionClient:
        return OllamaChatCompletionClient(model=MODEL, host=server.url, model_info=INFO, **fields)

    return make


def body(server) -> dict:
    assert server.last.path == "/api/chat"
    return server.last.json()


def test_create(model, server, keep, caplog):
    server.answer("Hello world")
    with caplog.at_level(logging.INFO, EVENT_LOGGER_NAME):
        result = asyncio.run(model(options={"temperature": 0.25}, seed=3).create(MESSAGES))
    assert result.content == "Hello world"
    assert (result.usage.prompt_tokens, result.usage.completion_tokens) == (31, 3)
    assert result.finish_reason == "stop"
    assert body(server)["options"] == {"temperature": 0.25, "seed": 3}
    # The event has the whole reply.
    keep([result, *(record.msg.kwargs for record in caplog.records)])


def test_create_stream(model, server, keep):
    server.answer("Hello big world")

    async def collect():
        return [part async for part in model().create_stream(MESSAGES)]

    *parts, result = asyncio.run(collect())
    assert parts == ["Hello", " big", " world"]
    assert result.content == "Hello big world"
    keep(result)


def test_structured_output(model, server, keep):
    server.answer('{"name": "Ada", "age": 36}')
    result = asyncio.run(model().create(MESSAGES, json_output=Person))
    assert Person.model_validate_json(result.content) == Person(name="Ada", age=36)
    assert body(server)["format"]["required"] == ["name", "age"]
    keep(result)


def test_tools(model, server, keep):
    server.on("POST", "/api/chat", Reply.chat("Let me see.", stream=False, model=MODEL, tool_calls=[CALL]))
    result = asyncio.run(model().create(MESSAGES, tools=[FunctionTool(weather, description="Tells the weather.")]))
    [call] = result.content
    assert (call.name, call.arguments) == ("weather", '{"city": "Ghent", "days": 2}')
    assert result.thought == "Let me see."
    [tool] = body(server)["tools"]
    assert tool["function"]["parameters"]["properties"]["days"]["type"] == "integer"
    keep(result)


def test_images(model, server):
    server.answer("A dot")
    picture = Image(Picture.new("RGB", (1, 1)))
    message = UserMessage(content=["What is it?", picture], source="user")
    assert asyncio.run(model().create([message])).content == "A dot"
    assert body(server)["messages"][0]["images"] == [picture.to_base64()]


def test_cancellation(model, server):
    server.on("POST", "/api/chat", Reply.chat(["word "] * 100).gated(2))

    async def leave():
        token = CancellationToken()
        stream = model().create_stream(MESSAGES, cancellation_token=token)
        assert await stream.__anext__() == "word "
        assert await stream.__anext__() == "word "
        asyncio.get_running_loop().call_soon(token.cancel)
        with pytest.raises(asyncio.CancelledError):
            await stream.__anext__()

    asyncio.run(leave())
    server.wait_for_hangup()


@pytest.mark.parametrize("streamed", [False, True])
def test_an_agent_with_a_tool_over_two_turns(model, server, keep, streamed):
    script = iter([
        {"content": "", "tool_calls": [CALL]}, {"content": "It rains."}, {"content": "Take an umbrella."}
    ])  # fmt: skip
    server.on("POST", "/api/chat", lambda sent: Reply.chat(stream=sent.json()["stream"], model=MODEL, **next(script)))
    agent = AssistantAgent(
        "helper",
        model(),
        tools=[weather],
        reflect_on_tool_use=True,
        model_client_stream=streamed,
        system_message="Help.",
    )

    async def talk():
        first = [event async for event in agent.run_stream(task="How is the weather in Ghent?")]
        return first, await agent.run(task="What should I take?")

    events, second = asyncio.run(talk())
    [execution] = [event for event in events if isinstance(event, ToolCallExecutionEvent)]
    assert execution.content[0].content == "Ghent: 2 days of rain"
    assert events[-1].messages[-1].content == "It rains."
    assert second.messages[-1].content == "Take an umbrella."
    chunks = [event.content for event in events if isinstance(event, ModelClientStreamingChunkEvent)]
    assert chunks == (["It", " rains."] if streamed else [])
    roles = ["system", "user", "assistant", "tool", "assistant", "user"]
    assert [message["role"] for message in body(server)["messages"]] == roles
    keep([message.content for message in second.messages])


def test_a_client_that_was_written_down(server):
    server.answer("Hello world")
    made = OllamaChatCompletionClient(model="llama3.2", host=server.url)
    again = ChatCompletionClient.load_component(made.dump_component())
    assert asyncio.run(again.create(MESSAGES)).content == "Hello world"


def test_errors(model, server, keep):
    import ollama

    server.on("POST", "/api/chat", Reply.error(f"model '{MODEL}' not found", 404))
    with pytest.raises(ollama.ResponseError, match="not found") as caught:
        asyncio.run(model().create(MESSAGES))
    assert caught.value.status_code == 404
    keep(caught.value.error)
    server.stop()
    with pytest.raises(ConnectionError):
        asyncio.run(model().create(MESSAGES))


def test_a_real_model(embedded):
    options = {"temperature": 0, "seed": 1, "num_predict": 6, "num_thread": 1}
    made = OllamaChatCompletionClient(model=MODEL, host=embedded, model_info=INFO, options=options)

    async def ask():
        whole = await made.create([UserMessage(content="Say hi.", source="user")])
        *parts, result = [part async for part in made.create_stream([UserMessage(content="Say hi.", source="user")])]
        return whole, parts, result

    whole, parts, result = asyncio.run(ask())
    assert whole.content.strip()
    assert "".join(parts) == result.content == whole.content
