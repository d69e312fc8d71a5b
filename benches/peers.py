"""The clients that are compared: one table at the end, one class each.

A peer is imported and built inside its own worker process. What a peer does with each token is what its users do:
MetaGPT's providers hand it to `log_llm_stream`, the others collect it.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import socket
from collections.abc import Callable
from typing import Any

from benches import script

MESSAGES = [
    {"role": "system", "content": "You are a product manager, named Alice."},
    {"role": "user", "content": "Write down what the users of a snake game need."},
]
LANE = "METAGPT_OLLAMA_LANE"
Receive = Callable[[Any], object]


def inputs(model: str) -> list[str]:
    """The texts to embed with a model of `script`."""
    return [f"Requirement {number}" for number in range(script.shape(model)[1][0])]


class Peer:
    """`talks`: it is a client of the server. `metagpt`: its process holds MetaGPT. `environment`: variables that are
    set before it is built."""

    talks = True
    metagpt = False
    environment: dict[str, str] = {}

    def __init__(self, address: str) -> None:
        self.address = address

    async def stream(self, model: str) -> str:
        """The text of a streamed chat."""
        texts: list[str] = []
        await self.follow(model, texts.append)
        return "".join(texts)

    async def follow(self, model: str, receive: Receive) -> None:
        """Streams a chat; `receive` gets each piece when it arrives."""
        raise NotImplementedError

    async def once(self, model: str) -> str:
        """The text of a chat that is not streamed."""
        raise NotImplementedError

    async def embed(self, model: str) -> Any:
        """Vectors as lists of floats."""
        raise NotImplementedError

    async def embed_buffer(self, model: str) -> Any:
        """Vectors as a NumPy array of 32-bit floats."""
        raise NotImplementedError

    async def warm_up(self) -> None:
        """Sends a first request, for lazy imports and the connections, before anything is measured."""
        await self.stream("burst-1")
        await self.once("short-1")

    def prepare(self, model: str) -> None:
        """Called before the clock starts for requests to `model`. Only the bare socket uses it."""

    async def close(self) -> None:
        pass


def nothing(text: str) -> None:
    """The stand-in for `log_llm_stream`."""


class Provider(Peer):
    """A MetaGPT provider, called as a Role calls it, below the prompt handling of `aask`."""

    metagpt = True

    def __init__(self, address: str) -> None:
        super().__init__(address)
        # The import adds sinks to the log, which are removed below.
        import metagpt.logs  # noqa: F401
        from loguru import logger

        # MetaGPT logs each cost update, which costs all of its providers the same.
        logger.remove()
        self.llm = functools.cache(self.build)

    def module(self) -> Any:
        raise NotImplementedError

    def build(self, model: str, kind: str = "OllamaLLM", stream: bool = False) -> Any:
        from metagpt.configs.llm_config import LLMConfig

        return getattr(self.module(), kind)(
            LLMConfig(api_type="ollama", api_key="bench", model=model, base_url=f"{self.address}/api", stream=stream)
        )

    def log(self, receive: Receive) -> None:
        """Puts `receive` in the place of `log_llm_stream`, where both providers look for it."""
        self.module().log_llm_stream = receive

    async def stream(self, model: str) -> str:
        self.log(nothing)
        return await self.llm(model, stream=True).acompletion_text(MESSAGES, stream=True)

    async def follow(self, model: str, receive: Receive) -> None:
        # There is one such function in the process, so all streams of a run share it.
        self.log(receive)
        await self.llm(model, stream=True).acompletion_text(MESSAGES, stream=True)

    async def once(self, model: str) -> str:
        return await self.llm(model).acompletion_text(MESSAGES, stream=False)

    async def embed(self, model: str) -> Any:
        content = [{"type": "text", "text": text} for text in inputs(model)]
        llm = self.llm(model, "OllamaEmbed")
        return await llm.acompletion_text([{"role": "user", "content": content}], stream=False)


class Original(Provider):
    @functools.cache  # noqa: B019 - one peer per process
    def module(self) -> Any:
        # The file is loaded under a name of its own, because the registry may have this package's provider by now.
        spec = importlib.util.find_spec("metagpt.provider.ollama_api")
        if spec is None or spec.origin is None:
            raise RuntimeError("MetaGPT is not installed here; hint: make bench")
        with open(spec.origin, encoding="utf-8") as source:
            if "class OllamaLLM(" not in source.read():
                raise RuntimeError(f"{spec.origin} is not MetaGPT's original; hint: metagpt-ollama uninstall")
        alone = importlib.util.spec_from_file_location("metagpt_original_ollama_api", spec.origin)
        if alone is None or alone.loader is None:
            raise RuntimeError(f"{spec.origin} cannot be loaded")
        module = importlib.util.module_from_spec(alone)
        alone.loader.exec_module(module)
        return module


class OurProvider(Provider):
    def module(self) -> Any:
        from metagpt_ollama_rs import provider

        return provider


class OurProviderGeneral(OurProvider):
    environment = {LANE: "general"}


class OllamaPython(Peer):
    def __init__(self, address: str) -> None:
        super().__init__(address)
        import ollama

        self.client: Any = ollama.AsyncClient(host=address)

    async def follow(self, model: str, receive: Receive) -> None:
        async for part in await self.client.chat(model=model, messages=MESSAGES, stream=True):
            receive(part.message.content)

    async def once(self, model: str) -> str:
        reply = await self.client.chat(model=model, messages=MESSAGES)
        return reply.message.content or ""

    async def embed(self, model: str) -> Any:
        return (await self.client.embed(model=model, input=inputs(model))).embeddings


class OurClient(OllamaPython):
    """This package's client. It has the signatures of the `ollama` package, so the calls are the same."""

    def __init__(self, address: str) -> None:
        Peer.__init__(self, address)
        import metagpt_ollama_rs

        self.client = metagpt_ollama_rs.AsyncClient(host=address)

    async def embed_buffer(self, model: str) -> Any:
        import numpy

        return numpy.asarray(await self.client.embed_array(model=model, input=inputs(model)))


class OurClientGeneral(OurClient):
    environment = {LANE: "general"}


class Minimal(Peer):
    """What someone writes who wants speed and knows these libraries: aiohttp with one session, orjson for each line."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        import aiohttp
        import orjson

        self.aiohttp, self.orjson = aiohttp, orjson
        self.session: Any = None

    async def warm_up(self) -> None:
        self.session = self.aiohttp.ClientSession(connector=self.aiohttp.TCPConnector(limit=0))
        await super().warm_up()

    async def close(self) -> None:
        await self.session.close()

    def post(self, path: str, payload: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json"}
        return self.session.post(self.address + path, data=self.orjson.dumps(payload), headers=headers)

    async def follow(self, model: str, receive: Receive) -> None:
        async with self.post("/api/chat", {"model": model, "messages": MESSAGES, "stream": True}) as reply:
            async for line in reply.content:
                receive(self.orjson.loads(line)["message"]["content"])

    async def once(self, model: str) -> str:
        async with self.post("/api/chat", {"model": model, "messages": MESSAGES, "stream": False}) as reply:
            return self.orjson.loads(await reply.read())["message"]["content"]

    async def embed(self, model: str) -> Any:
        async with self.post("/api/embed", {"model": model, "input": inputs(model)}) as reply:
            return self.orjson.loads(await reply.read())["embeddings"]

    async def embed_buffer(self, model: str) -> Any:
        import numpy

        return numpy.array(await self.embed(model), dtype=numpy.float32)


class BareSocket(Peer):
    """The lower limit: bytes are received and counted, and nothing is parsed. Its answers are the expected texts, if as
    many bytes came as expected."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        host, port = address.rpartition("/")[2].split(":")
        self.place = host, int(port)
        self.idle: list[socket.socket] = []
        self.buffer = memoryview(bytearray(1 << 20))

    def prepare(self, model: str) -> None:
        script.length(model, True)

    async def close(self) -> None:
        for peer in self.idle:
            peer.close()

    async def fetch(self, model: str, payload: dict[str, Any], receive: Receive | None = None) -> None:
        import asyncio

        loop = asyncio.get_running_loop()
        peer = self.idle.pop() if self.idle else socket.create_connection(self.place)
        peer.setblocking(False)
        left = script.length(model, payload.get("stream", False))
        body = json.dumps({"model": model, **payload}).encode()
        done = loop.create_future()

        def readable() -> None:
            nonlocal left
            count = peer.recv_into(self.buffer)
            if receive is not None:
                receive(bytes(self.buffer[:count]))
            left -= count
            if left <= 0 or not count:
                loop.remove_reader(peer)
                done.set_result(None)

        loop.add_reader(peer, readable)
        await loop.sock_sendall(
            peer, b"POST / HTTP/1.1\r\nHost: bench\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        await done
        if left:
            raise AssertionError(f"{-left} bytes more than the reply to {model} has")
        self.idle.append(peer)

    async def stream(self, model: str) -> str:
        await self.fetch(model, {"messages": MESSAGES, "stream": True})
        return script.answer(model)

    async def follow(self, model: str, receive: Receive) -> None:
        await self.fetch(model, {"messages": MESSAGES, "stream": True}, lambda data: receive(data.decode("latin-1")))

    async def once(self, model: str) -> str:
        await self.fetch(model, {"messages": MESSAGES, "stream": False})
        return script.answer(model)

    async def embed(self, model: str) -> Any:
        await self.fetch(model, {"input": inputs(model)})
        return json.loads(script.vectors(model))["embeddings"]


class Decoders(Peer):
    """The process of cases that need no server."""

    talks = False

    async def warm_up(self) -> None:
        pass


BASELINE = "MetaGPT's original"
OURS = "our provider"
CLIENT = "our client"
OLLAMA_PYTHON = "ollama-python"
MINIMAL = "aiohttp + orjson"
FLOOR = "bare socket"
DECODERS = "decoders"
PEERS: dict[str, type[Peer]] = {
    BASELINE: Original,
    OURS: OurProvider,
    f"{OURS}, general lane": OurProviderGeneral,
    OLLAMA_PYTHON: OllamaPython,
    MINIMAL: Minimal,
    CLIENT: OurClient,
    f"{CLIENT}, general lane": OurClientGeneral,
    FLOOR: BareSocket,
    DECODERS: Decoders,
}
