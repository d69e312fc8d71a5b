"""langchain-ollama: chat models, completion models and embeddings, as an application uses them."""

from __future__ import annotations

import asyncio
import base64

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_ollama import ChatOllama, OllamaEmbeddings, OllamaLLM
from pydantic import BaseModel, Field

from metagpt_ollama_rs.testing import Reply, lines

MODEL = "smollm2"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n and the rest").decode()


class Person(BaseModel):
    """Somebody who is spoken of."""

    name: str = Field(description="the first name")
    age: int


def weather(city: str, days: int = 1) -> str:
    """Tells the weather.

    Args:
        city: where
        days: how many days ahead
    """
    return f"{city}: {days} days of rain"


CALL = lines.tool_call("weather", {"city": "Ghent", "days": 2})
PERSON = '{"name": "Ada", "age": 36}'


@pytest.fixture
def chat(server):
    def make(**fields) -> ChatOllama:
        return ChatOllama(model=MODEL, base_url=server.url, **fields)

    return make


def described(message) -> dict:
    """A message without the identifiers that LangChain makes up for each run."""
    calls = [{name: call[name] for name in ("name", "args", "type")} for call in message.tool_calls]
    return {
        "content": message.content,
        "calls": calls,
        "usage": message.usage_metadata,
        "more": message.additional_kwargs,
        "metadata": message.response_metadata,
    }


def body(server) -> dict:
    assert server.last.path == "/api/chat"
    return server.last.json()


def without_none(values: dict) -> dict:
    return {name: value for name, value in values.items() if value is not None}


def test_invoke(chat, server, keep):
    server.answer("Hello world")
    messages = [SystemMessage("Be short."), HumanMessage("Hi"), AIMessage("Hello"), HumanMessage("Again")]
    answer = chat(temperature=0.5, num_ctx=512, seed=7, stop=["END"], keep_alive=60).invoke(messages)
    assert answer.content == "Hello world"
    assert answer.usage_metadata == {"input_tokens": 31, "output_tokens": 3, "total_tokens": 34}
    assert answer.response_metadata["done_reason"] == "stop"
    assert [message["role"] for message in body(server)["messages"]] == ["system", "user", "assistant", "user"]
    assert body(server)["options"] == {"temperature": 0.5, "num_ctx": 512, "seed": 7, "stop": ["END"]}
    assert body(server)["keep_alive"] == 60
    keep(described(answer))


def test_ainvoke(chat, server, keep):
    server.answer("Hello world")
    answer = asyncio.run(chat().ainvoke("Hi"))
    assert answer.content == "Hello world"
    keep(described(answer))


def test_stream(chat, server, keep):
    server.answer("Hello big world")
    parts = list(chat().stream("Hi"))
    assert [part.content for part in parts if part.content] == ["Hello", " big", " world"]
    assert body(server)["stream"] is True
    keep([described(part) for part in parts])


def test_astream(chat, server, keep):
    server.answer("Hello big world")

    async def collect():
        return [part async for part in chat().astream("Hi")]

    parts = asyncio.run(collect())
    assert "".join(part.content for part in parts) == "Hello big world"
    keep([described(part) for part in parts])


def test_a_stream_that_is_left_early_ends_at_the_server(chat, server):
    server.on("POST", "/api/chat", Reply.chat(["word "] * 100).gated(2))
    stream = chat().stream("Hi")
    assert next(stream).content == "word "
    stream.close()
    server.wait_for_hangup()


def test_batch(chat, server, keep):
    server.on("POST", "/api/chat", lambda request: Reply.chat(request.json()["messages"][0]["content"] + "!"))
    model = chat()
    answers = model.batch(["one", "two", "three"], config={"max_concurrency": 1})
    assert [answer.content for answer in answers] == ["one!", "two!", "three!"]
    at_once = asyncio.run(model.abatch([str(number) for number in range(20)]))
    assert [answer.content for answer in at_once] == [f"{number}!" for number in range(20)]
    keep([answer.content for answer in answers])


def test_one_model_in_two_event_loops(chat, server, client):
    server.answer("Hello world")
    model = chat()
    assert asyncio.run(model.ainvoke("Hi")).content == "Hello world"
    if client == "real":
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            asyncio.run(model.ainvoke("Hi"))
    else:
        assert asyncio.run(model.ainvoke("Hi")).content == "Hello world"


@pytest.mark.parametrize("way", ["invoke", "stream", "astream"])
def test_bind_tools(chat, server, keep, way):
    server.on("POST", "/api/chat", [Reply.chat("Let me see.", tool_calls=[CALL]), Reply.chat("It rains.")])
    model = chat().bind_tools([weather, Person])
    history = [HumanMessage("How is the weather in Ghent?")]
    if way == "invoke":
        first = model.invoke(history)
    else:

        async def collect():
            return [part async for part in model.astream(history)]

        first, *rest = model.stream(history) if way == "stream" else asyncio.run(collect())
        for part in rest:
            first += part
    assert [(call["name"], call["args"]) for call in first.tool_calls] == [("weather", {"city": "Ghent", "days": 2})]
    [tool, _] = body(server)["tools"]
    assert tool["function"]["name"] == "weather"
    assert tool["function"]["parameters"]["properties"]["city"]["type"] == "string"
    # LangChain makes up an identifier for each call, which must not differ here.
    first = AIMessage(first.content, tool_calls=[{**first.tool_calls[0], "id": "call-1"}])
    result = ToolMessage(weather(**first.tool_calls[0]["args"]), tool_call_id="call-1")
    second = model.invoke([*history, first, result])
    assert second.content == "It rains."
    sent = body(server)["messages"]
    assert sent[1]["tool_calls"][0]["function"] == {"name": "weather", "arguments": {"city": "Ghent", "days": 2}}
    assert sent[2]["role"] == "tool"
    assert sent[2]["content"] == "Ghent: 2 days of rain"
    keep(described(second))


def test_two_calls_of_one_tool_in_a_stream(chat, server, keep):
    calls = [lines.tool_call("weather", {"city": city}, index=at) for at, city in enumerate(("Ghent", "Oslo"))]
    server.on("POST", "/api/chat", Reply.chat(tool_calls=calls))
    first, *rest = chat().bind_tools([weather]).stream("Both?")
    for part in rest:
        first += part
    assert [call["args"] for call in first.tool_calls] == [{"city": "Ghent"}, {"city": "Oslo"}]
    keep(described(first))


@pytest.mark.parametrize("method", ["json_schema", "json_mode", "function_calling"])
@pytest.mark.parametrize("kind", ["class", "schema"])
def test_with_structured_output(chat, server, keep, method, kind):
    call = lines.tool_call("Person", {"name": "Ada", "age": 36})
    server.on(
        "POST", "/api/chat", Reply.chat(tool_calls=[call]) if method == "function_calling" else Reply.chat(PERSON)
    )
    wanted = Person if kind == "class" else Person.model_json_schema()
    answer = chat().with_structured_output(wanted, method=method).invoke("Who?")
    assert (answer if kind == "schema" else answer.model_dump()) == {"name": "Ada", "age": 36}
    sent = body(server)
    if method == "json_schema":
        assert sent["format"]["properties"]["age"]["type"] == "integer"
    elif method == "json_mode":
        assert sent["format"] == "json"
    else:
        assert sent["tools"][0]["function"]["name"] == "Person"
    keep(answer)


def test_structured_output_with_what_was_said(chat, server, keep):
    server.answer("no JSON at all")
    answer = chat().with_structured_output(Person, method="json_schema", include_raw=True).invoke("Who?")
    assert answer["parsed"] is None
    assert answer["raw"].content == "no JSON at all"
    assert answer["parsing_error"] is not None
    keep(described(answer["raw"]))


@pytest.mark.parametrize("reasoning", [True, False, None, "low"])
def test_reasoning(chat, server, keep, reasoning):
    server.answer("Yes", thinking="Let me think")
    answer = chat(reasoning=reasoning).invoke("Is it?")
    assert answer.additional_kwargs.get("reasoning_content") == ("Let me think" if reasoning else None)
    assert body(server).get("think") == reasoning
    keep([described(answer), [described(part) for part in chat(reasoning=reasoning).stream("Is it?")]])


def test_images(chat, server):
    server.answer("A llama")
    url = {"type": "image_url", "image_url": f"data:image/png;base64,{PNG}"}
    block = {"type": "image", "base64": PNG, "mime_type": "image/png"}
    text = {"type": "text", "text": "What is it?"}
    assert chat().invoke([HumanMessage([text, url, block])]).content == "A llama"
    assert body(server)["messages"][0]["images"] == [PNG, PNG]


def test_log_probabilities(chat, server, keep):
    entry = {"token": "Hello", "logprob": -0.1, "bytes": [72], "top_logprobs": [{"token": "Hi", "logprob": -2.5}]}
    last = {"model": MODEL, "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"}
    part = {"model": MODEL, "message": {"role": "assistant", "content": "Hello"}, "logprobs": [entry], "done": False}
    server.on("POST", "/api/chat", Reply.ndjson([part, last]))
    answer = chat(logprobs=True, top_logprobs=1).invoke("Hi")
    assert (body(server)["logprobs"], body(server)["top_logprobs"]) == (True, 1)
    keep(described(answer))


def test_a_model_that_was_only_loaded(chat, server, keep):
    server.on("POST", "/api/chat", Reply.chat("", done_reason="load"))
    with pytest.raises(ValueError, match="No data received") as caught:
        chat().invoke("")
    keep(caught.value)


def test_client_kwargs(chat, server):
    server.answer("Hello world")
    common = {"headers": {"X-Team": "a"}, "timeout": 20.0, "verify": False, "follow_redirects": False}
    model = chat(client_kwargs=common, sync_client_kwargs={"trust_env": False}, async_client_kwargs={"timeout": None})
    assert model.invoke("Hi").content == asyncio.run(model.ainvoke("Hi")).content == "Hello world"
    assert [request.header("X-Team") for request in server.requests] == ["a", "a"]


def test_user_and_password_of_the_address(server):
    server.answer("Hello world")
    model = ChatOllama(model=MODEL, base_url=server.url.replace("://", "://ada:se%20cret@"))
    assert model.invoke("Hi").content == "Hello world"
    expected = "Basic " + base64.b64encode(b"ada:se cret").decode()
    assert server.last.header("Authorization") == expected


@pytest.mark.parametrize("kind", [ChatOllama, OllamaLLM, OllamaEmbeddings])
def test_validate_model_on_init(server, keep, kind):
    kind(model="scripted", base_url=server.url, validate_model_on_init=True)
    with pytest.raises(ValueError, match="not found in Ollama") as caught:
        kind(model="nobody", base_url=server.url, validate_model_on_init=True)
    keep(caught.value)
    server.queue(Reply.error("out of order", 500), path="/api/tags")
    with pytest.raises(ValueError, match="error from the Ollama API"):
        kind(model="scripted", base_url=server.url, validate_model_on_init=True)


def test_errors(chat, server, keep):
    import ollama

    server.on("POST", "/api/chat", Reply.error(f"model '{MODEL}' not found", 404))
    with pytest.raises(ollama.ResponseError, match="not found") as caught:
        chat().invoke("Hi")
    assert caught.value.status_code == 404
    assert caught.value.error == f"model '{MODEL}' not found"
    keep(caught.value.error)
    with pytest.raises(ollama.ResponseError):
        asyncio.run(chat().ainvoke("Hi"))
    words = lines.chat_lines("Hello world", done_reason=None)
    server.on("POST", "/api/chat", Reply.ndjson([*words, lines.error_line("out of memory")]))
    parts = []
    with pytest.raises(ollama.ResponseError, match="out of memory"):
        parts += chat().stream("Hi")


def test_no_server(chat, server, client):
    import httpx

    server.stop()
    # The original lets out what httpx raises, where it streams.
    expected = httpx.ConnectError if client == "real" else ConnectionError
    with pytest.raises(expected):
        chat().invoke("Hi")
    with pytest.raises(expected):
        asyncio.run(chat().ainvoke("Hi"))
    with pytest.raises(ConnectionError):
        chat(disable_streaming=True, validate_model_on_init=True)
    with pytest.raises(ConnectionError):
        OllamaEmbeddings(model=MODEL, base_url=server.url).embed_query("one")


def test_completions(server, keep):
    server.answer("Hello big world")
    model = OllamaLLM(model=MODEL, base_url=server.url, temperature=0.1, num_predict=5, format="json")

    async def collect():
        return await model.ainvoke("Hi"), [part async for part in model.astream("Hi") if part]

    words = ["Hello", " big", " world"]
    assert model.invoke("Hi") == "Hello big world"
    assert server.last.path == "/api/generate"
    assert without_none(server.last.json()["options"]) == {"temperature": 0.1, "num_predict": 5}
    assert [part for part in model.stream("Hi") if part] == words
    assert asyncio.run(collect()) == ("Hello big world", words)
    result = model.generate(["one", "two"])
    keep([[generation.text, generation.generation_info] for [generation] in result.generations])


def test_embeddings(server, keep):
    server.answer()
    model = OllamaEmbeddings(model=MODEL, base_url=server.url, num_ctx=256, keep_alive=3, dimensions=8)

    async def collect():
        return [await model.aembed_query("one"), await model.aembed_documents(["one", "two"])]

    one, both = model.embed_query("one"), model.embed_documents(["one", "two"])
    assert one == pytest.approx(lines.vector("one"), abs=1e-6)
    assert both[0] == one
    assert asyncio.run(collect()) == [one, both]
    assert server.last.path == "/api/embed"
    assert server.last.json()["input"] == ["one", "two"]
    assert without_none(server.last.json()["options"]) == {"num_ctx": 256}
    keep([one, both])


def test_a_real_model(embedded):
    options = {"model": MODEL, "base_url": embedded, "temperature": 0, "seed": 1, "num_predict": 6, "num_thread": 1}
    chat = ChatOllama(**options)
    answer = chat.invoke("Say hi.")
    streamed = "".join(part.content for part in chat.stream("Say hi."))
    assert answer.content.strip()
    assert streamed == answer.content
    assert answer.usage_metadata["output_tokens"] > 0
    completed = OllamaLLM(**options).invoke("Once upon a")
    assert completed.strip()
    vector = OllamaEmbeddings(model=f"{MODEL}-embed", base_url=embedded).embed_query("Cats purr.")
    assert len(vector) == 576
