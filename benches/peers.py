"""The clients that are compared: one table at the end, one class each.

A peer is imported and built inside its own worker process. `stream` and `once` bring one answer as text; what a peer
does with each token is what its users do: MetaGPT's providers hand it to `log_llm_stream` (nothing here, on both
sides), the others join it.
"""

from __future__ import annotations

import abc
import functools
import importlib.util
from typing import Any

MESSAGES = [
    {"role": "system", "content": "You are a product manager, named Alice."},
    {"role": "user", "content": "Write down what the users of a snake game need."},
]


class Peer(abc.ABC):
    def __init__(self, address: str) -> None:
        self.address = address

    @abc.abstractmethod
    async def stream(self, model: str) -> str:
        """The text of a streamed chat."""

    @abc.abstractmethod
    async def once(self, model: str) -> str:
        """The text of a chat that is not streamed."""


class Provider(Peer):
    """A MetaGPT provider, called as a Role calls it, below the prompt handling of `aask`."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        import metagpt.logs
        from loguru import logger

        metagpt.logs.set_llm_stream_logfunc(lambda text: None)
        # Each cost update is logged, at a price that is MetaGPT's and the same for everyone.
        logger.remove()
        self.llm = functools.cache(self.build)

    @abc.abstractmethod
    def provider(self) -> Any:
        """The provider's class."""

    def build(self, model: str, stream: bool) -> Any:
        from metagpt.configs.llm_config import LLMConfig

        return self.provider()(
            LLMConfig(api_type="ollama", api_key="bench", model=model, base_url=f"{self.address}/api", stream=stream)
        )

    async def stream(self, model: str) -> str:
        return await self.llm(model, True).acompletion_text(MESSAGES, stream=True)

    async def once(self, model: str) -> str:
        return await self.llm(model, False).acompletion_text(MESSAGES, stream=False)


class Original(Provider):
    @functools.cache  # noqa: B019 - one peer per process
    def provider(self) -> Any:
        # The file is loaded under a name of its own: what the registry holds by now may be another provider.
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
        return module.OllamaLLM


class Ours(Provider):
    def provider(self) -> Any:
        from metagpt_ollama_rs.provider import OllamaLLM

        return OllamaLLM


class OllamaPython(Peer):
    def __init__(self, address: str) -> None:
        super().__init__(address)
        import ollama

        self.client = ollama.AsyncClient(host=address)

    async def stream(self, model: str) -> str:
        texts = []
        async for part in await self.client.chat(model=model, messages=MESSAGES, stream=True):
            texts.append(part.message.content)
        return "".join(texts)

    async def once(self, model: str) -> str:
        reply = await self.client.chat(model=model, messages=MESSAGES)
        return reply.message.content or ""


class OurClient(OllamaPython):
    """The same calls, because the signatures are the same."""

    def __init__(self, address: str) -> None:
        Peer.__init__(self, address)
        import metagpt_ollama_rs

        self.client = metagpt_ollama_rs.AsyncClient(host=address)


BASELINE = "MetaGPT's original"
PEERS: dict[str, type[Peer]] = {
    BASELINE: Original,
    "our provider": Ours,
    "ollama-python": OllamaPython,
    "our client": OurClient,
}
