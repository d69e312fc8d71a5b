"""MetaGPT's two Ollama providers that answer with vectors, on this package's client. No I/O here."""

from __future__ import annotations

from typing import Any, Optional

from metagpt.const import USE_CONFIG_TIMEOUT
from metagpt.provider.general_api_requestor import OpenAIResponse

from ..errors import ProtocolError
from ..vectors import check_vector, check_vectors
from .llms import Messages, OllamaLLM
from .messages import OllamaMessageAPI, OllamaMessageBase, path_of
from .monkeypatches import STOCK_AREQUEST, is_unpatched
from .stats_records import recorded_by_client, records_errors

__all__ = ["OllamaEmbed", "OllamaEmbeddings"]

_STOCK_DECODE = OllamaMessageBase.decode


class OllamaEmbeddings(OllamaLLM):
    """``api_type: ollama.embeddings``, which asks ``/api/embeddings``. The answer is one vector, a list of floats.

    >>> import asyncio
    >>> from metagpt.configs.llm_config import LLMConfig
    >>> from metagpt_ollama_rs.testing import ScriptedServer
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     server.answer(dimensions=3)
    ...     config = LLMConfig(api_type="ollama.embeddings", base_url=server.url, model="nomic-embed-text")
    ...     vector = asyncio.run(OllamaEmbeddings(config).acompletion([{"role": "user", "content": "a text"}]))
    >>> len(vector)
    3
    """

    # Otherwise the system prompt that MetaGPT puts before every question would be embedded with the text.
    _system_prompt_by_default = False

    @property
    def _llama_api_inuse(self) -> OllamaMessageAPI:
        return OllamaMessageAPI.EMBEDDINGS

    @property
    def structured(self) -> str:
        """``false``: MetaGPT parses no vectors."""
        return "false"

    @property
    def _llama_api_kwargs(self) -> dict[str, Any]:
        settings = self._settings()
        return {"options": {**settings.options}, **settings.request}

    @property
    def _llama_embedding_key(self) -> str:
        return "embedding"

    @records_errors(streamed=False)
    async def _achat_completion(self, messages: Messages, timeout: int = USE_CONFIG_TIMEOUT) -> Any:
        message = self._message()
        payload = await self._payload(message, messages, stream=False)
        stock_decode = is_unpatched(message, "decode", _STOCK_DECODE)
        if not is_unpatched(self.client, "arequest", STOCK_AREQUEST):
            resp, _, _ = await self.client.arequest(
                method=self.http_method,
                url=message.api_suffix,
                params=payload,
                request_timeout=self.get_timeout(timeout),
            )
            return self._vectors(message.decode(resp), payload if stock_decode else None)
        client, path, limits = self._client(), path_of(message.api_suffix), self._timeout_limits(timeout)
        if stock_decode:
            with recorded_by_client():
                reply = await client.request_json(path, payload, timeout=limits)
            return self._vectors(reply, payload)
        with recorded_by_client():
            data, content_type = await client.request_bytes(path, payload, timeout=limits)
        return self._vectors(message.decode(OpenAIResponse(data, {"content-type": content_type})), None)

    async def _achat_completion_stream(self, messages: Messages, timeout: int = USE_CONFIG_TIMEOUT) -> Any:
        return await self._achat_completion(messages, timeout=self.get_timeout(timeout))

    def get_choice_text(self, rsp: Any) -> Any:
        """The vectors as they are: an embedding has no text."""
        return rsp

    def _vectors(self, reply: Any, payload: Optional[dict[str, Any]]) -> Any:
        """The vectors of ``reply``, checked against ``payload``; None where a patched ``decode`` made the reply."""
        self._raise_error(reply)
        key = self._llama_embedding_key
        if not isinstance(reply, dict) or key not in reply:
            raise ProtocolError(f"the server's reply has no {key!r}", model=self.model)
        if payload is not None:
            self._check(reply, payload)
        self._update_costs(self.get_usage(reply))
        return reply[key]

    def _check(self, reply: dict[str, Any], payload: dict[str, Any]) -> None:
        check_vector(reply, payload)


class OllamaEmbed(OllamaEmbeddings):
    """``api_type: ollama.embed``, which asks ``/api/embed``. The answer is a list of vectors, one for each text, in
    order.

    >>> import asyncio
    >>> from metagpt.configs.llm_config import LLMConfig
    >>> from metagpt_ollama_rs.testing import ScriptedServer
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     server.answer(dimensions=3)
    ...     config = LLMConfig(api_type="ollama.embed", base_url=server.url, model="nomic-embed-text")
    ...     texts = [{"role": "user", "content": text} for text in ("one", "two")]
    ...     vectors = asyncio.run(OllamaEmbed(config).acompletion(texts))
    >>> len(vectors), len(vectors[0])
    (2, 3)
    """

    @property
    def _llama_api_inuse(self) -> OllamaMessageAPI:
        return OllamaMessageAPI.EMBED

    @property
    def _llama_embedding_key(self) -> str:
        return "embeddings"

    def _check(self, reply: dict[str, Any], payload: dict[str, Any]) -> None:
        check_vectors(reply["embeddings"], payload)
