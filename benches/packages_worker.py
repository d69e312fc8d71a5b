"""The process of one package and one client: says what a streamed answer costs, each time that it is asked.

    PYTHONPATH=target/packages/langchain python -m benches.packages_worker langchain real http://127.0.0.1:4711

A line of standard input is `["ChatOllama.stream", {"model": "burst-1000", "streams": 1, "repeats": 3}]`: a way to call
the package, of `WAYS`, and the streams to receive. The answer is a line of standard output, `{"cpu": 0.21, "wall":
0.22}`, seconds for all of them; the texts have been compared with the server's when it is written.

What a way does with each piece is what an application does that wants the text: it takes it out and keeps it. What is
asked, an object of the package, is made once for each model, before the clocks start.
"""

from __future__ import annotations

import asyncio
import functools
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

    chat = functools.cache(lambda model: ChatOllama(model=model, base_url=address))

    async def receive(model: str) -> str:
        return "".join(part.content for part in chat(model).stream(QUESTION))

    return receive


def langchain_astream(address: str) -> Receive:
    from langchain_ollama import ChatOllama

    chat = functools.cache(lambda model: ChatOllama(model=model, base_url=address))

    async def receive(model: str) -> str:
        return "".join([part.content async for part in chat(model).astream(QUESTION)])

    return receive


def llama_index_stream(address: str) -> Receive:
    from llama_index.core.llms import ChatMessage
    from llama_index.llms.ollama import Ollama

    llm = functools.cache(lambda model: Ollama(model, address, context_window=CONTEXT))
    messages = [ChatMessage(role="user", content=QUESTION)]

    async def receive(model: str) -> str:
        return "".join(part.delta for part in llm(model).stream_chat(messages))

    return receive


def llama_index_astream(address: str) -> Receive:
    from llama_index.core.llms import ChatMessage
    from llama_index.llms.ollama import Ollama

    llm = functools.cache(lambda model: Ollama(model, address, context_window=CONTEXT))
    messages = [ChatMessage(role="user", content=QUESTION)]

    async def receive(model: str) -> str:
        return "".join([part.delta async for part in await llm(model).astream_chat(messages)])

    return receive


def haystack_run(address: str) -> Receive:
    from haystack_integrations.components.generators.ollama import OllamaChatGenerator

    generator = functools.cache(lambda model: OllamaChatGenerator(model, address))

    async def receive(model: str) -> str:
        texts: list[str] = []
        generator(model).run(QUESTION, streaming_callback=lambda chunk: texts.append(chunk.content))
        return "".join(texts)

    return receive


def haystack_run_async(address: str) -> Receive:
    from haystack_integrations.components.generators.ollama import OllamaChatGenerator

    generator = functools.cache(lambda model: OllamaChatGenerator(model, address))

    async def receive(model: str) -> str:
        texts: list[str] = []

        async def take(chunk: Any) -> None:
            texts.append(chunk.content)

        await generator(model).run_async(QUESTION, streaming_callback=take)
        return "".join(texts)

    return receive


def autogen_create_stream(address: str) -> Receive:
    from autogen_core.models import UserMessage
    from autogen_ext.models.ollama import OllamaChatCompletionClient

    info: Any = dict.fromkeys(("vision", "function_calling", "json_output", "structured_output"), False)
    info["family"] = "unknown"
    client = functools.cache(lambda model: OllamaChatCompletionClient(model=model, host=address, model_info=info))
    messages = [UserMessage(content=QUESTION, source="user")]

    async def receive(model: str) -> str:
        # The last one is the whole result.
        return "".join([part async for part in client(model).create_stream(messages)][:-1])

    return receive


def agno_run(address: str) -> Receive:
    from agno.agent import Agent
    from agno.models.ollama import Ollama

    agent = functools.cache(lambda model: Agent(model=Ollama(id=model, host=address), telemetry=False))

    async def receive(model: str) -> str:
        return "".join(event.content for event in agent(model).run(QUESTION, stream=True))

    return receive


def agno_arun(address: str) -> Receive:
    from agno.agent import Agent
    from agno.models.ollama import Ollama

    agent = functools.cache(lambda model: Agent(model=Ollama(id=model, host=address), telemetry=False))

    async def receive(model: str) -> str:
        return "".join([event.content async for event in agent(model).arun(QUESTION, stream=True)])

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
