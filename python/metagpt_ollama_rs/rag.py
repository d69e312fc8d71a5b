"""Embeddings for LlamaIndex on this package's clients: what MetaGPT's RAG embeds with, and usable without MetaGPT.

A batch of texts is one request, parsed in Rust. The asynchronous methods do not block the event loop, also where
nest_asyncio runs it a second time. It needs ``llama-index-core`` 0.10 or newer, and no ``llama-index-embeddings-*``.

    embedding = OllamaEmbedding("nomic-embed-text")
    vectors = embedding.get_text_embedding_batch(texts)
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Dict, List, Optional
from weakref import WeakKeyDictionary

from metagpt_ollama_rs import AsyncClient, Client
from metagpt_ollama_rs.errors import BadInputError, ConfigurationError
from metagpt_ollama_rs.spelling import near_miss
from metagpt_ollama_rs.vectors import Vectors

try:
    from llama_index.core.bridge.pydantic import Field, PrivateAttr
    from llama_index.core.embeddings import BaseEmbedding
except ImportError as missing:
    raise ImportError(
        f"metagpt_ollama_rs.rag needs LlamaIndex, and cannot import it: {missing}\n"
        "hint: pip install llama-index-core, or metagpt[rag] for MetaGPT's RAG"
    ) from missing

__all__ = ["OllamaEmbedding"]

# Texts in one request. It is answered when its last text is embedded. More texts would not be much faster, and on a
# machine without a GPU long texts would come close to the time limit.
BATCH = 32
# Requests at the same time. LlamaIndex starts all batches at once, and those that only wait in the server's queue would
# reach their time limit there.
REQUESTS_AT_ONCE = 4

_logger = logging.getLogger(__name__)


class OllamaEmbedding(BaseEmbedding):
    """LlamaIndex's embedding interface on Ollama's ``/api/embed``.

    Vectors are lists of floats, each exactly the 32-bit float nearest to the server's number.

    Args:
        model_name: an embedding model, such as ``nomic-embed-text``; ``model`` is another name for it.
        base_url: any form of the server's address; None is ``OLLAMA_HOST`` or Ollama's usual address.
        embed_batch_size: texts in one request, at most 2048.
        dimensions: width of a vector that is expected, to be checked against what the model gives; it is not sent.
            None takes any.
        ollama_additional_kwargs: Ollama's options, such as ``{"num_ctx": 8192}``.
        keep_alive: how long the model stays in memory: seconds, or a duration such as ``"30m"``.
        truncate: what becomes of a text that is longer than the model's context. True: the server cuts it in silence.
            False: ``BadInputError`` with the text's place in its batch. None: it is cut, with a warning.
        requests_at_once: how many batches the asynchronous methods ask for at the same time, on each event loop.
        query_instruction: put before each query, such as ``"search_query:"``, with a space between, as LlamaIndex's own
            class does.
        text_instruction: the same for texts, such as ``"search_document:"``. An index has to be built with it.
        api_key: for a server behind a proxy that wants one; not part of what LlamaIndex stores.
        timeout: seconds for each request, or a `Timeout`.
        client_kwargs: ``headers`` and other arguments of `Client`; not part of what LlamaIndex stores.

    LlamaIndex's own arguments (``callback_manager``, ``num_workers`` and so on) are taken, too. Any other one is a
    ``ConfigurationError``.

    The methods raise ``ConfigurationError`` if the model's vectors have another width than ``dimensions``, and else
    what the clients raise.

    >>> from metagpt_ollama_rs.testing import ScriptedServer
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     server.answer(dimensions=3)
    ...     embedding = OllamaEmbedding("nomic-embed-text", base_url=server.url)
    ...     vectors = embedding.get_text_embedding_batch(["one text", "another"])
    >>> len(vectors), embedding.dimension
    (2, 3)
    """

    base_url: Optional[str] = Field(default=None, description="Address of the Ollama server.")
    dimensions: Optional[int] = Field(default=None, description="Width of a vector that is expected.", gt=0)
    ollama_additional_kwargs: Dict[str, Any] = Field(default_factory=dict, description="Ollama's options.")
    keep_alive: Any = Field(default=None, description="How long the model stays in memory.")
    truncate: Optional[bool] = Field(default=None, description="Whether the server may cut texts that are too long.")
    requests_at_once: int = Field(default=REQUESTS_AT_ONCE, description="Batches that are asked for at once.", gt=0)

    query_instruction: Optional[str] = Field(default=None, description="Put before each query.")
    text_instruction: Optional[str] = Field(default=None, description="Put before each text.")

    _blocking: Any = PrivateAttr()
    _asynchronous: Any = PrivateAttr()
    _semaphores: Any = PrivateAttr()
    _width: Any = PrivateAttr()

    def __init__(
        self,
        model_name: Optional[str] = None,
        base_url: Optional[str] = None,
        embed_batch_size: int = BATCH,
        dimensions: Optional[int] = None,
        ollama_additional_kwargs: Optional[Dict[str, Any]] = None,
        keep_alive: Any = None,
        truncate: Optional[bool] = None,
        requests_at_once: int = REQUESTS_AT_ONCE,
        api_key: Optional[str] = None,
        timeout: Any = None,
        query_instruction: Optional[str] = None,
        text_instruction: Optional[str] = None,
        model: Optional[str] = None,
        client_kwargs: Optional[Dict[str, Any]] = None,
        **fields: Any,
    ) -> None:
        if model and model_name and model != model_name:
            raise ConfigurationError(f"model is {model!r}, and model_name {model_name!r}: give one of them")
        if not (model_name or model):
            raise ConfigurationError("model_name is missing", hint="name an embedding model, such as nomic-embed-text")
        self._refuse_unknown(fields)
        if not 1 <= embed_batch_size <= 2048:
            raise ConfigurationError(f"embed_batch_size must be from 1 to 2048, and is {embed_batch_size}")
        super().__init__(
            model_name=model_name or model,
            base_url=base_url,
            embed_batch_size=embed_batch_size,
            dimensions=dimensions,
            ollama_additional_kwargs=ollama_additional_kwargs or {},
            keep_alive=keep_alive,
            truncate=truncate,
            requests_at_once=requests_at_once,
            query_instruction=query_instruction,
            text_instruction=text_instruction,
            **fields,
        )
        given = {"host": base_url, "api_key": api_key, "timeout": timeout}
        given = {name: value for name, value in given.items() if value is not None}
        given.update(_check_client_arguments(client_kwargs or {}, given))
        self._blocking = Client(**given)
        self._asynchronous = AsyncClient(**given)
        self._semaphores = _LoopSemaphores(requests_at_once)
        self._width = None

    @classmethod
    def _refuse_unknown(cls, fields: Dict[str, Any]) -> None:
        known = {*(getattr(cls, "model_fields", None) or cls.__fields__), "class_name"}
        unknown = next((name for name in fields if name not in known), None)
        if unknown is not None:
            own = inspect.signature(OllamaEmbedding.__init__).parameters
            raise _unknown_argument_error(
                f"OllamaEmbedding has no argument {unknown!r}", unknown, {*known, *own} - {"self", "fields"}
            )

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex stores it."""
        return "OllamaEmbedding"

    @property
    def dimension(self) -> Optional[int]:
        """The width of the model's vectors, as soon as it has made one; None before."""
        known: Optional[int] = self._width
        return known

    def get_dimension(self) -> int:
        """The width of the model's vectors; embeds a short text to learn it."""
        return self._width or len(self._get_text_embedding("a"))

    async def aget_dimension(self) -> int:
        """The width of the model's vectors; embeds a short text to learn it."""
        return self._width or len(await self._aget_text_embedding("a"))

    def _get_query_embedding(self, query: str) -> List[float]:
        return self._embed([_with_instruction(self.query_instruction, query)])[0]

    async def _aget_query_embedding(self, query: str) -> List[float]:
        return (await self._aembed([_with_instruction(self.query_instruction, query)]))[0]

    def _get_text_embedding(self, text: str) -> List[float]:
        return self._get_text_embeddings([text])[0]

    async def _aget_text_embedding(self, text: str) -> List[float]:
        return (await self._aget_text_embeddings([text]))[0]

    def _get_text_embeddings(self, texts: List[str]) -> List[List[float]]:
        return self._embed([_with_instruction(self.text_instruction, text) for text in texts])

    async def _aget_text_embeddings(self, texts: List[str]) -> List[List[float]]:
        return await self._aembed([_with_instruction(self.text_instruction, text) for text in texts])

    def _embed(self, texts: Sequence[str]) -> List[List[float]]:
        found: List[List[float]] = []
        for batch in self._batches(texts):
            try:
                vectors = self._blocking.embed_array(**self._request(batch, bool(self.truncate)))
            except BadInputError as error:
                self._warn_of_cut_text(error)
                vectors = self._blocking.embed_array(**self._request(batch, True))
            found.extend(self._check_width(vectors))
        return found

    async def _aembed(self, texts: Sequence[str]) -> List[List[float]]:
        found: List[List[float]] = []
        for batch in self._batches(texts):
            async with self._semaphores.for_running_loop():
                try:
                    vectors = await self._asynchronous.embed_array(**self._request(batch, bool(self.truncate)))
                except BadInputError as error:
                    self._warn_of_cut_text(error)
                    vectors = await self._asynchronous.embed_array(**self._request(batch, True))
            found.extend(self._check_width(vectors))
        return found

    async def aget_text_embedding_batch(
        self, texts: List[str], show_progress: bool = False, **kwargs: Any
    ) -> List[List[float]]:
        """The vectors of ``texts``, in their order. ``show_progress`` shows nothing: with it, LlamaIndex 0.10 returns
        batches in the order in which they were answered."""
        found: List[List[float]] = await super().aget_text_embedding_batch(texts, show_progress=False, **kwargs)
        return found

    def _batches(self, texts: Sequence[str]) -> Iterator[Sequence[str]]:
        # LlamaIndex passes batches already, but code that calls these methods itself may pass more texts.
        for start in range(0, len(texts), self.embed_batch_size):
            yield texts[start : start + self.embed_batch_size]

    def _request(self, batch: Sequence[str], truncate: bool) -> Dict[str, Any]:
        return {
            "model": self.model_name,
            "input": list(batch),
            "truncate": truncate,
            "options": self.ollama_additional_kwargs or None,
            "keep_alive": self.keep_alive,
        }

    def _warn_of_cut_text(self, error: BadInputError) -> None:
        """Warns of a text that is too long, if it may be cut; raises ``error`` if not, or for any other cause."""
        if self.truncate is not None or "context length" not in error.error:
            raise error
        _logger.warning(
            "a text of %s characters is longer than the context of %s: only its beginning is embedded. "
            "hint: cut documents into shorter pieces (chunk_size)",
            error.length,
            self.model_name,
        )

    def _check_width(self, vectors: Vectors) -> List[List[float]]:
        width = vectors.shape[1]
        if self.dimensions is not None and width != self.dimensions:
            raise ConfigurationError(
                f"embedding.dimensions is {self.dimensions}, but {self.model_name} makes vectors of {width} numbers",
                hint=f"write `dimensions: {width}` under `embedding:` in config2.yaml, and build stored indexes anew",
            )
        self._width = width
        return vectors.tolist()


def _with_instruction(instruction: Optional[str], text: str) -> str:
    return f"{instruction.strip()} {text.strip()}" if instruction and instruction.strip() else text


def _check_client_arguments(wanted: Dict[str, Any], given: Dict[str, Any]) -> Dict[str, Any]:
    """``wanted``, the arguments in ``client_kwargs``. Raises ``ConfigurationError`` for an unknown or a second one."""
    known = set(inspect.signature(Client).parameters)
    for name in wanted:
        if name not in known:
            raise _unknown_argument_error(f"client_kwargs has {name!r}, which Client does not take", name, known)
        if name in given:
            raise ConfigurationError(f"{'base_url' if name == 'host' else name} is also in client_kwargs")
    return wanted


def _unknown_argument_error(message: str, name: str, known: Iterable[str]) -> ConfigurationError:
    near = near_miss(name, sorted(known))
    hint = f"did you mean {near!r}?" if near else f"it takes {', '.join(sorted(known))}"
    return ConfigurationError(message, hint=hint)


class _LoopSemaphores:
    """A semaphore of ``number`` places for each event loop, because a semaphore belongs to the loop that first waits on
    it.

    It is pickled as ``number`` alone.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    def for_running_loop(self) -> asyncio.Semaphore:
        """The semaphore of the event loop that runs this task."""
        loop = asyncio.get_running_loop()
        if loop not in self._by_loop:
            self._by_loop[loop] = asyncio.Semaphore(self._number)
        return self._by_loop[loop]

    def __reduce__(self) -> tuple[Any, ...]:
        return (_LoopSemaphores, (self._number,))
