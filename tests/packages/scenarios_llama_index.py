"""llama-index-llms-ollama and llama-index-embeddings-ollama, as an application uses them."""

from __future__ import annotations

import asyncio
import base64

import pytest
from llama_index.core.llms import ChatMessage, ImageBlock, MessageRole, TextBlock
from llama_index.core.prompts import PromptTemplate
from llama_index.core.schema import TextNode
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.ollama import OllamaEmbedding
from llama_index.llms.ollama import Ollama
from pydantic import BaseModel

from metagpt_ollama_rs.testing import Reply, lines

MODEL = "smollm2"
PERSON = '{"name": "Ada", "age": 36}'
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


class Person(BaseModel):
    """Somebody who is spoken of."""

    name: str
    age: int


def weather(city: str, days: int = 1) -> str:
    """Tells the weather."""
    return f"{city}: {days} days of rain"


TOOL = FunctionTool.from_defaults(weather)
CALL = lines.tool_call("weather", {"city": "Ghent", "days": 2})
MESSAGES = [
    ChatMessage(role=MessageRole.SYSTEM, content="Be short."),
    ChatMessage(role=MessageRole.USER, content="Hi"),
]


@pytest.fixture
def llm(server):
    def make(**fields) -> Ollama:
        return Ollama(model=MODEL, base_url=server.url, **{"context_window": 512, **fields})

    return make


def body(server) -> dict:
    assert server.last.path == "/api/chat"
    return server.last.json()


def described(answer) -> list:
    return [str(answer), dict(answer.raw)] if hasattr(answer, "text") else [answer.message, dict(answer.raw)]


def test_complete(llm, server, keep):
    server.answer("Hello world")
    answer = llm(temperature=0.25, keep_alive="1m", additional_kwargs={"seed": 3}).complete("Hi")
    assert answer.text == "Hello world"
    assert answer.raw["usage"] == {"prompt_tokens": 31, "completion_tokens": 3, "total_tokens": 34}
    assert body(server) == {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": [],
        "stream": False,
        "options": {"temperature": 0.25, "num_ctx": 512, "seed": 3},
        "keep_alive": "1m",
    }
    keep(described(answer))
    keep(described(asyncio.run(llm().acomplete("Hi"))))


def test_stream_complete(llm, server, keep):
    server.answer("Hello big world")
    parts = list(llm().stream_complete("Hi"))
    assert [part.delta for part in parts] == ["Hello", " big", " world", ""]
    assert parts[-1].text == "Hello big world"
    keep([part.text for part in parts])


def test_chat(llm, server, keep):
    server.answer("Hello world")
    answer = llm().chat(MESSAGES)
    assert answer.message.content == "Hello world"
    assert body(server)["messages"][0] == {"role": "system", "content": "Be short."}
    keep(described(answer))
    keep(described(asyncio.run(llm().achat(MESSAGES))))


def test_stream_chat(llm, server, keep):
    server.answer("Hello big world")
    parts = list(llm().stream_chat(MESSAGES))
    assert [part.delta for part in parts] == ["Hello", " big", " world", ""]
    assert parts[-1].message.content == "Hello big world"
    keep([described(part) for part in parts])


def test_astream_chat(llm, server, keep):
    server.answer("Hello big world")

    async def collect():
        return [part async for part in await llm().astream_chat(MESSAGES)]

    parts = asyncio.run(collect())
    assert [part.delta for part in parts] == ["Hello", " big", " world", ""]
    keep([described(part) for part in parts])


def test_thinking(llm, server, keep):
    server.answer("Yes", thinking="Let me think")
    answer = llm(thinking=True).chat(MESSAGES)
    assert body(server)["think"] is True
    assert [block.block_type for block in answer.message.blocks] == ["thinking", "text"]
    parts = list(llm(thinking="high").stream_chat(MESSAGES))
    assert body(server)["think"] == "high"
    assert "".join(part.additional_kwargs["thinking_delta"] or "" for part in parts) == "Let me think"
    keep([answer.message, [part.message for part in parts]])


def test_the_context_that_the_model_has(llm, server):
    server.answer("Hello world")
    server.models.append(MODEL)
    model = llm(context_window=-1)
    assert model.metadata.context_window == 8192
    model.chat(MESSAGES)
    assert [request.path for request in server.requests] == ["/api/show", "/api/chat"]
    assert body(server)["options"]["num_ctx"] == 8192


def test_images(llm, server):
    server.answer("A dot")
    message = ChatMessage(role="user", blocks=[TextBlock(text="What is it?"), ImageBlock(image=PNG)])
    assert llm().chat([message]).message.content == "A dot"
    assert body(server)["messages"][0]["images"] == [base64.b64encode(PNG).decode()]


def test_structured_predict(llm, server, keep):
    server.answer(PERSON)
    prompt = PromptTemplate("Who is {who}?")
    found = llm().structured_predict(Person, prompt, who="Ada")
    assert found == Person(name="Ada", age=36)
    assert body(server)["format"]["required"] == ["name", "age"]
    assert asyncio.run(llm().astructured_predict(Person, prompt, who="Ada")) == found
    parts = list(llm().stream_structured_predict(Person, prompt, who="Ada"))
    assert parts[-1].model_dump() == {"name": "Ada", "age": 36}
    keep([part.model_dump() for part in parts])


def test_as_structured_llm(llm, server, keep):
    server.answer(PERSON)
    answer = llm().as_structured_llm(Person).chat(MESSAGES)
    assert answer.raw == Person(name="Ada", age=36)
    keep(answer.raw)
    parts = list(llm().as_structured_llm(Person).stream_chat(MESSAGES))
    assert parts[-1].raw.model_dump() == {"name": "Ada", "age": 36}


def test_json_mode(llm, server):
    server.answer(PERSON)
    assert llm(json_mode=True).complete("Who?").text == PERSON
    assert body(server)["format"] == "json"


def test_chat_with_tools(llm, server, keep):
    server.on("POST", "/api/chat", [
        Reply.chat("Let me see.", stream=False, tool_calls=[CALL]), Reply.chat("It rains.", stream=False)
    ])  # fmt: skip
    model = llm()
    history = [ChatMessage(role="user", content="How is the weather in Ghent?")]
    first = model.chat_with_tools([TOOL], chat_history=history)
    [call] = model.get_tool_calls_from_response(first)
    assert (call.tool_name, call.tool_kwargs) == ("weather", {"city": "Ghent", "days": 2})
    [tool] = body(server)["tools"]
    assert tool["function"]["name"] == "weather"
    assert tool["function"]["parameters"]["properties"]["city"]["type"] == "string"
    result = TOOL(**call.tool_kwargs)
    again = [*history, first.message, ChatMessage(role="tool", content=str(result))]
    second = model.chat_with_tools([TOOL], chat_history=again)
    assert second.message.content == "It rains."
    sent = body(server)["messages"]
    assert sent[1]["tool_calls"] == [{"function": {"name": "weather", "arguments": {"city": "Ghent", "days": 2}}}]
    assert sent[2] == {"role": "tool", "content": "Ghent: 2 days of rain"}
    keep([described(first), described(second)])


def test_tools_in_a_stream(llm, server, keep):
    server.on(
        "POST", "/api/chat", lambda sent: Reply.chat("Let me see.", stream=sent.json()["stream"], tool_calls=[CALL])
    )
    model = llm()
    parts = list(model.stream_chat_with_tools([TOOL], user_msg="How is the weather?"))

    async def collect():
        return [part async for part in await llm().astream_chat_with_tools([TOOL], user_msg="How is the weather?")]

    for received in (parts, asyncio.run(collect())):
        [call] = model.get_tool_calls_from_response(received[-1])
        assert call.tool_kwargs == {"city": "Ghent", "days": 2}
    assert model.predict_and_call([TOOL], user_msg="How is the weather?").response == "Ghent: 2 days of rain"
    keep([described(part) for part in parts])


def test_headers_and_a_client_of_ones_own(llm, server):
    import ollama

    server.answer("Hello world")
    llm(headers={"Authorization": "Bearer secret"}).chat(MESSAGES)
    assert server.last.header("Authorization") == "Bearer secret"
    given = ollama.Client(server.url, headers={"X-Team": "a"}, timeout=20)
    llm(client=given).chat(MESSAGES)
    assert server.last.header("X-Team") == "a"


def test_errors(llm, server, keep):
    import ollama

    server.on("POST", "/api/chat", Reply.error(f"model '{MODEL}' not found", 404))
    with pytest.raises(ollama.ResponseError, match="not found") as caught:
        llm().chat(MESSAGES)
    assert caught.value.status_code == 404
    keep(caught.value.error)
    with pytest.raises(ollama.ResponseError):
        list(llm().stream_chat(MESSAGES))
    server.stop()
    with pytest.raises(ConnectionError):
        llm().chat(MESSAGES)


def test_embeddings(server, keep):
    server.answer()
    options = {"embed_batch_size": 2, "ollama_additional_kwargs": {"num_ctx": 256}, "keep_alive": "1m"}
    embedding = OllamaEmbedding(MODEL, server.url, text_instruction="text:", client_kwargs={"timeout": 20}, **options)
    texts = ["one", "two", "three"]
    assert embedding.get_query_embedding("one") == pytest.approx(lines.vector("one"), abs=1e-6)
    vectors = embedding.get_text_embedding_batch(texts)
    assert [server.requests[at].json()["input"] for at in (-2, -1)] == [["text: one", "text: two"], ["text: three"]]
    assert server.last.json()["options"] == {"num_ctx": 256}

    async def collect():
        return [
            await embedding.aget_query_embedding("one"),
            await embedding.aget_text_embedding("one"),
            await embedding.aget_text_embedding_batch(texts),
        ]

    assert asyncio.run(collect()) == [embedding.get_query_embedding("one"), vectors[0], vectors]
    nodes = embedding([TextNode(text="one"), TextNode(text="two")])
    assert [node.embedding for node in nodes] == vectors[:2]
    keep(vectors)


def test_a_real_model(embedded):
    options = {"temperature": 0, "seed": 1, "num_predict": 6, "num_thread": 1}
    llm = Ollama(model=MODEL, base_url=embedded, additional_kwargs=options)
    answer = llm.chat([ChatMessage(role="user", content="Say hi.")]).message.content
    streamed = [part.delta for part in llm.stream_chat([ChatMessage(role="user", content="Say hi.")])]
    assert answer.strip()
    assert "".join(streamed) == answer
    assert llm.context_window > 0
    vector = OllamaEmbedding(f"{MODEL}-embed", embedded).get_text_embedding("Cats purr.")
    assert len(vector) == 576
