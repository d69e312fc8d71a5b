"""The process of one package and one client: says what a streamed answer costs, each time that it is asked.

    PYTHONPATH=target/packages/langchain python -m benches.packages_worker langchain real http://127.0.0.1:4711

A line of standard input is `["ChatOllama.stream", {"model": "burst-1000", "streams": 1, "repeats": 3}]`: a way to call
the package, of `WAYS`, and the streams to receive. The answer is a line of standard output, `{"cpu": 0.21, "wall":
0.22}`, seconds for all of them; the texts have been compared with the server's when it is written.

What a way does with each piece is what an application does that wants the text: it takes it out and keeps it.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import json
import os
import sys
import time
import warnings
from collections.abc import Awaitable
from typing import Any, Callable

from benches import script
from benches.peers import MESSAGES

# Receives one streamed answer: the name of a model of `script` in, the text out.
Receive = Callable[[str], Awaitable[str]]
Way = Callable[[str], Receive]
QUESTION = MESSAGES[-1]["content"]
CONTEXT = 4096


def client_chat(address: str) -> Receive:
    import ollama

    client = ollama.Client(address)

    async def receive(model: str) -> str:
        return "".join(part.message.content for part in client.chat(model, MESSAGES, stream=True))

    return receive


def async_client_chat(address: str) -> Receive:
    import ollama

    client = ollama.AsyncClient(address)

    async def receive(model: str) -> str:
        return "".join([part.message.content async for part in await client.chat(model, MESSAGES, stream=True)])

    return receive


def langchain_stream(address: str) -> Receive:
    from langchain_ollama import ChatOllama

    async def receive(model: str) -> str:
        return "".join(part.content for part in ChatOllama(model=model, base_url=address).stream(QUESTION))

    return receive


def langchain_astream(address: str) -> Receive:
    from langchain_ollama import ChatOllama

    models: dict[str, Any] = {}

    async def receive(model: str) -> str:
        chat = models.setdefault(model, ChatOllama(model=model, base_url=address))
        return "".join([part.content async for part in chat.astream(QUESTION)])

    return receive


def llama_index_llm(address: str, model: str) -> Any:
    from llama_index.llms.ollama import Ollama

    return Ollama(model=model, base_url=address, context_window=CONTEXT)


def llama_index_stream(address: str) -> Receive:
    from llama_index.core.llms import ChatMessage

    async def receive(model: str) -> str:
        parts = llama_index_llm(address, model).stream_chat([ChatMessage(role="user", content=QUESTION)])
        return "".join(part.delta for part in parts)

    return receive


def llama_index_astream(address: str) -> Receive:
    from llama_index.core.llms import ChatMessage

    models: dict[str, Any] = {}

    async def receive(model: str) -> str:
        if model not in models:
            models[model] = llama_index_llm(address, model)
        parts = await models[model].astream_chat([ChatMessage(role="user", content=QUESTION)])
        return "".join([part.delta async for part in parts])

    return receive


def haystack_run(address: str) -> Receive:
    from haystack_integrations.components.generators.ollama import OllamaChatGenerator

    models: dict[str, Any] = {}

    async def receive(model: str) -> str:
        texts: list[str] = []
        made = models.setdefault(model, OllamaChatGenerator(model, address))
        made.run(QUESTION, streaming_callback=lambda chunk: texts.append(chunk.content))
        return "".join(texts)

    return receive


def haystack_run_async(address: str) -> Receive:
    from haystack_integrations.components.generators.ollama import OllamaChatGenerator

    models: dict[str, Any] = {}

    async def receive(model: str) -> str:
        texts: list[str] = []

        async def take(chunk: Any) -> None:
            texts.append(chunk.content)

        made = models.setdefault(model, OllamaChatGenerator(model, address))
        await made.run_async(QUESTION, streaming_callback=take)
        return "".join(texts)

    return receive


def autogen_create_stream(address: str) -> Receive:
    from autogen_core.models import UserMessage
    from autogen_ext.models.ollama import OllamaChatCompletionClient

    info = dict.fromkeys(("vision", "function_calling", "json_output", "structured_output"), False)
    models: dict[str, Any] = {}

    async def receive(model: str) -> str:
        if model not in models:
            models[model] = OllamaChatCompletionClient(
                model=model, host=address, model_info={**info, "family": "unknown"}
            )
        parts = [part async for part in models[model].create_stream([UserMessage(content=QUESTION, source="user")])]
        return "".join(parts[:-1])

    return receive


def agno_agent(address: str, model: str) -> Any:
    from agno.agent import Agent
    from agno.models.ollama import Ollama

    return Agent(model=Ollama(id=model, host=address), telemetry=False)


def agno_run(address: str) -> Receive:
    agents: dict[str, Any] = {}

    async def receive(model: str) -> str:
        agent = agents.setdefault(model, agno_agent(address, model))
        return "".join(event.content for event in agent.run(QUESTION, stream=True))

    return receive


def agno_arun(address: str) -> Receive:
    agents: dict[str, Any] = {}

    async def receive(model: str) -> str:
        agent = agents.setdefault(model, agno_agent(address, model))
        return "".join([event.content async for event in agent.arun(QUESTION, stream=True)])

    return receive


# By the folder of a package below target/packages: the distribution whose version is told, and its ways, by the name of
# what is called. `ollama` is the client alone, in the folder of any package.
WAYS: dict[str, tuple[str, dict[str, Way]]] = {
    "ollama": ("ollama", {"Client.chat": client_chat, "AsyncClient.chat": async_client_chat}),
    "langchain": (
        "langchain-ollama",
        {"ChatOllama.stream": langchain_stream, "ChatOllama.astream": langchain_astream},
    ),
    "llama-index": (
        "llama-index-llms-ollama",
        {"Ollama.stream_chat": llama_index_stream, "Ollama.astream_chat": llama_index_astream},
    ),
    "haystack": (
        "ollama-haystack",
        {"OllamaChatGenerator.run": haystack_run, "OllamaChatGenerator.run_async": haystack_run_async},
    ),
    "autogen": ("autogen-ext", {"OllamaChatCompletionClient.create_stream": autogen_create_stream}),
    "agno": ("agno", {"Agent.run": agno_run, "Agent.arun": agno_arun}),
}


async def measure(receive: Receive, model: str, streams: int, repeats: int) -> dict[str, float]:
    """Seconds of CPU (user and system, all threads) and of the clock for `repeats` times `streams` at once."""
    gc.collect()
    before, began = time.process_time(), time.perf_counter()
    texts: list[str] = []
    for _ in range(repeats):
        texts += await asyncio.gather(*(receive(model) for _ in range(streams)))
    cost = {"cpu": time.process_time() - before, "wall": time.perf_counter() - began}
    for text in texts:
        if not expected(model, text):
            raise AssertionError(f"{text[:80]!r}… is not the answer of {model}")
    return cost


def expected(model: str, text: str) -> bool:
    """Whether a text is what the server has sent."""
    kind, numbers = script.shape(model)
    if kind == "burst":
        return text == script.answer(model)
    return [int(number) for number, _ in script.STAMP.findall(text)] == list(range(numbers[0]))


def main() -> None:
    name, client, address = sys.argv[1:]
    warnings.simplefilter("ignore")
    # What packages print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    if client == "ours":
        from metagpt_ollama_rs import ollama_compat

        ollama_compat.install()
    distribution, ways = WAYS[name]
    receivers = {way: make(address) for way, make in ways.items()}
    print(json.dumps(importlib.metadata.version(distribution)), file=answers, flush=True)
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            way, parameters = json.loads(line)
            print(json.dumps(runner.run(measure(receivers[way], **parameters))), file=answers, flush=True)


if __name__ == "__main__":
    main()
