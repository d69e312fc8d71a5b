"""The clients: ``Client`` for ordinary code, ``AsyncClient`` for asyncio, called as those of ollama-python are.

Both are thin. They turn arguments into the payload of an endpoint (a row of `endpoints`) and the reply into an object
of that row's class; connections, decoding, time limits and cancellation are the compiled core's
(``_core.NativeClient``). A client can be used from any number of event loops and threads, survives a fork, and pickles
by its constructor arguments (with the key in them).

The MetaGPT provider uses the methods at the end of `AsyncClient`: ``stream_text``, ``request_json``, ``request_bytes``
and ``stream_lines`` take a path and a payload as they go over the wire. Their ``on_call`` is called once, when the
request is made, with the ``id`` of the record of the call (see `stats.records`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast, overload

from metagpt_ollama_rs import _core
from metagpt_ollama_rs.base import BaseClient
from metagpt_ollama_rs.endpoints import (
    CHAT,
    COPY,
    CREATE,
    DELETE,
    EMBED,
    EMBEDDINGS,
    GENERATE,
    PS,
    PULL,
    PUSH,
    SHOW,
    TAGS,
    VERSION,
    Endpoint,
    endpoint_at,
)
from metagpt_ollama_rs.images import encode_images, encode_images_in_thread
from metagpt_ollama_rs.limits import Retry, Timeout, read_settings
from metagpt_ollama_rs.payloads import (
    chat_payload,
    create_payload,
    embed_payload,
    embeddings_payload,
    generate_payload,
)
from metagpt_ollama_rs.spelling import refuse_unknown
from metagpt_ollama_rs.vectors import (
    Vectors,
    check_count,
    check_vector,
    check_vectors,
    send_batch,
    send_batch_blocking,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
    from typing import Literal, NoReturn, TypeVar, Union

    from typing_extensions import Unpack

    from metagpt_ollama_rs.limits import CallSettings, TimeoutLike
    from metagpt_ollama_rs.payloads import ChatFields, GenerateFields, KeepAlive, Text
    from metagpt_ollama_rs.responses import (
        ChatResponse,
        EmbeddingsResponse,
        EmbedResponse,
        GenerateResponse,
        ListResponse,
        ProcessResponse,
        ShowResponse,
        StatusResponse,
    )

    Texts = Union[Text, Iterable[Text]]
    OnCall = Callable[[str], object]
    _Call = TypeVar("_Call", _core.NativeAwaitable, _core.Stream[Any])


class AsyncClient(BaseClient):
    """A client for asyncio.

    Args:
        host: ``http://host:port``, ``host``, ``host:port``, with or without ``/api`` or ``/v1``; default:
            ``OLLAMA_HOST``, else ``http://127.0.0.1:11434``.
        headers: sent with every request.
        timeout: a number of seconds (or a timedelta) for the first token and each pause, or a `Timeout`; of an
            ``httpx.Timeout`` its ``connect`` and ``read`` count.
        api_key: sent as a bearer token; placeholders such as ``sk-`` and ``ollama`` are not sent.
        proxy: URL of a proxy; default: the environment's, never for loopback.
        verify: whose certificates count for ``https://``: True (the machine's, or those of ``SSL_CERT_FILE`` and
            ``SSL_CERT_DIR``), the path of a PEM file or of a folder of them, an ``ssl.SSLContext`` (its CA
            certificates, nothing else of it), or False for anybody's, with a warning.
        retries: how often a request is sent again while no answer has begun, or a `Retry`; 0 switches it off.
        max_line: longest line of a stream, in bytes (default 64 MiB).
        max_body: longest reply that is read whole, in bytes.

    Raises:
        ConfigurationError: something of this cannot be used.

    Every method raises the exceptions of `metagpt_ollama_rs.errors`.

    >>> import asyncio
    >>> from metagpt_ollama_rs.testing import ScriptedServer
    >>> async def main(url):
    ...     async with AsyncClient(url) as client:
    ...         messages = [{"role": "user", "content": "Say hello."}]
    ...         reply = await client.chat("llama3.2", messages)
    ...         print(reply.message.content)
    ...         async for part in await client.chat("llama3.2", messages, stream=True):
    ...             print(part.message.content, end="|")
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     server.answer("Hello world")
    ...     asyncio.run(main(server.url))
    Hello world
    Hello| world||
    """

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections that are not in use. The client cannot be used afterwards."""
        await self._native.aclose()

    aclose = close

    @overload
    async def chat(
        self,
        model: str = "",
        messages: Sequence[Mapping[str, Any] | Any] | None = None,
        *,
        stream: Literal[False] = False,
        timeout: TimeoutLike = None,
        repetition_guard: bool = False,
        **fields: Unpack[ChatFields],
    ) -> ChatResponse: ...

    @overload
    async def chat(
        self,
        model: str = "",
        messages: Sequence[Mapping[str, Any] | Any] | None = None,
        *,
        stream: Literal[True],
        timeout: TimeoutLike = None,
        repetition_guard: bool = False,
        **fields: Unpack[ChatFields],
    ) -> _core.Stream[ChatResponse]: ...

    async def chat(
        self,
        model: str = "",
        messages: Sequence[Mapping[str, Any] | Any] | None = None,
        *,
        stream: bool = False,
        timeout: TimeoutLike = None,
        repetition_guard: bool = False,
        **fields: Unpack[ChatFields],
    ) -> Any:
        """``POST /api/chat``: a `ChatResponse`, or with ``stream`` an asynchronous iterator over its pieces.

        No ``messages`` loads the model (or with ``keep_alive=0`` unloads it). ``images`` of a message may be bytes,
        paths or base64 text. A text may name a file, which is read and sent: never pass on a stranger's text as an
        image, but bytes. ``tools`` may be functions. ``truncate=False`` makes the server refuse a prompt that is
        longer than the context instead of cutting it in silence.

        ``repetition_guard`` raises IncompleteError when the answer, or its thinking, goes in circles: when its end is
        one block over and over, for 4 to 32 KiB (docs/compatibility.md has the limits). A streamed one is stopped
        there, on the server too; ``partial`` has the text with two rounds.
        """
        payload = await encode_images_in_thread(chat_payload(model, messages, fields))
        return await self._send(CHAT, payload, stream, read_settings(timeout), repetition_guard)

    @overload
    async def generate(
        self,
        model: str = "",
        prompt: Text | None = None,
        suffix: Text | None = None,
        *,
        stream: Literal[False] = False,
        timeout: TimeoutLike = None,
        repetition_guard: bool = False,
        **fields: Unpack[GenerateFields],
    ) -> GenerateResponse: ...

    @overload
    async def generate(
        self,
        model: str = "",
        prompt: Text | None = None,
        suffix: Text | None = None,
        *,
        stream: Literal[True],
        timeout: TimeoutLike = None,
        repetition_guard: bool = False,
        **fields: Unpack[GenerateFields],
    ) -> _core.Stream[GenerateResponse]: ...

    async def generate(
        self,
        model: str = "",
        prompt: Text | None = None,
        suffix: Text | None = None,
        *,
        stream: bool = False,
        timeout: TimeoutLike = None,
        repetition_guard: bool = False,
        **fields: Unpack[GenerateFields],
    ) -> Any:
        """``POST /api/generate``: a `GenerateResponse`, or with ``stream`` an asynchronous iterator over its pieces.

        ``fields`` are those of `payloads.GenerateFields`, such as ``system``, ``format`` and ``options``. ``images``
        and ``repetition_guard`` are those of `chat`: a text in ``images`` may name a file, which is read.
        """
        payload = await encode_images_in_thread(generate_payload(model, prompt, suffix, fields))
        return await self._send(GENERATE, payload, stream, read_settings(timeout), repetition_guard)

    async def embed(
        self,
        model: str = "",
        input: Texts = "",
        truncate: bool | None = None,
        options: Mapping[str, Any] | Any | None = None,
        keep_alive: KeepAlive = None,
        dimensions: int | None = None,
        *,
        timeout: TimeoutLike = None,
        **unknown: NoReturn,
    ) -> EmbedResponse:
        """``POST /api/embed``: one vector for each text of ``input``, in their order, as lists of Python floats.

        All texts go in one request. If the server refuses them for one text of the list, that one is searched for
        with further requests (at most log2(n) + 2), and the `BadInputError` names it.
        """
        refuse_unknown("embed", AsyncClient.embed, unknown)
        payload = embed_payload(model, input, truncate, options, keep_alive, dimensions)
        settings = read_settings(timeout)
        reply = await send_batch(lambda body: self._send(EMBED, body, settings=settings), payload)
        check_vectors(reply.embeddings, payload)
        return cast("EmbedResponse", reply)

    async def embed_array(
        self,
        model: str = "",
        input: Texts = "",
        truncate: bool | None = None,
        options: Mapping[str, Any] | Any | None = None,
        keep_alive: KeepAlive = None,
        dimensions: int | None = None,
        *,
        timeout: TimeoutLike = None,
        **unknown: NoReturn,
    ) -> Vectors:
        """As `embed`, as one block of 32-bit floats, which ``numpy.asarray`` takes without a copy. Several times
        faster: no Python object is made for a number."""
        refuse_unknown("embed_array", AsyncClient.embed_array, unknown)
        payload = embed_payload(model, input, truncate, options, keep_alive, dimensions)
        settings = read_settings(timeout)
        found = await send_batch(lambda body: self._native.call(EMBED, body, "vectors", settings), payload)
        vectors = Vectors(*found)
        check_count(len(vectors), payload)
        return vectors

    async def embeddings(
        self,
        model: str = "",
        prompt: Text | None = None,
        options: Mapping[str, Any] | Any | None = None,
        keep_alive: KeepAlive = None,
        *,
        timeout: TimeoutLike = None,
        **unknown: NoReturn,
    ) -> EmbeddingsResponse:
        """``POST /api/embeddings``, the older endpoint: the vector of one text, not normalised."""
        refuse_unknown("embeddings", AsyncClient.embeddings, unknown)
        payload = embeddings_payload(model, prompt, options, keep_alive)
        reply = await self._native.call(EMBEDDINGS, payload, "answer", read_settings(timeout))
        check_vector(reply, payload)
        return cast("EmbeddingsResponse", EMBEDDINGS.reply(reply))

    async def list(self) -> ListResponse:
        """The models on the server's disk."""
        return cast("ListResponse", await self._send(TAGS))

    async def ps(self) -> ProcessResponse:
        """The models in the server's memory."""
        return cast("ProcessResponse", await self._send(PS))

    async def show(self, model: str) -> ShowResponse:
        """What the server knows of ``model``, its capabilities among it."""
        return cast("ShowResponse", await self._send(SHOW, {"model": model}))

    async def version(self) -> str:
        """The server's version, such as ``0.33.0``."""
        return str((await self._send(VERSION))["version"])

    async def pull(self, model: str, *, insecure: bool = False, stream: bool = False) -> Any:
        """Fetches ``model``: a `ProgressResponse`, or with ``stream`` an asynchronous iterator over them."""
        return await self._send(PULL, {"model": model, "insecure": insecure}, stream, self._transfer_settings)

    async def push(self, model: str, *, insecure: bool = False, stream: bool = False) -> Any:
        """Uploads ``model``: a `ProgressResponse`, or with ``stream`` an asynchronous iterator over them."""
        return await self._send(PUSH, {"model": model, "insecure": insecure}, stream, self._transfer_settings)

    async def create(self, model: str, *, stream: bool = False, **fields: Any) -> Any:
        """Makes ``model`` from another (``from_=``) or from files; the rest as in Ollama's ``/api/create``."""
        payload = await encode_images_in_thread(create_payload(model, fields))
        return await self._send(CREATE, payload, stream, self._transfer_settings)

    async def delete(self, model: str) -> StatusResponse:
        """Removes ``model`` from the server's disk."""
        return cast("StatusResponse", await self._send(DELETE, {"model": model}))

    async def copy(self, source: str, destination: str) -> StatusResponse:
        """Gives the model ``source`` a second name."""
        return cast("StatusResponse", await self._send(COPY, {"source": source, "destination": destination}))

    async def stream_text(
        self,
        path: str,
        payload: Mapping[str, Any],
        on_text: Callable[[str], object],
        *,
        on_thinking: Callable[[str], object] | None = None,
        timeout: TimeoutLike = None,
        repetition_guard: bool = False,
        on_call: OnCall | None = None,
    ) -> dict[str, Any]:
        """Streams the reply to a callback, and returns the final object with the whole text in it.

        ``on_text`` is called once for each piece of the answer, in order, as it arrives, in the context of the
        caller (``contextvars``); what it raises ends the request and comes out here. A callable that it returns takes
        its place for the rest, once. ``payload`` is sent with ``"stream": true``. The result has Ollama's own shape:
        ``{"message": {"content": …}, "done": true, …}`` of ``/api/chat``, ``{"response": …}`` of ``/api/generate``.
        ``repetition_guard`` is that of `chat`.
        """
        endpoint, body = endpoint_at(path), {**payload, "stream": True}
        settings = read_settings(timeout)
        result = self._native.deliver(endpoint, body, on_text, on_thinking, settings, repetition_guard)
        return cast("dict[str, Any]", await _announced(result, on_call))

    async def request_json(
        self,
        path: str,
        payload: Mapping[str, Any] | None = None,
        *,
        method: str = "POST",
        timeout: TimeoutLike = None,
        repetition_guard: bool = False,
        on_call: OnCall | None = None,
    ) -> Any:
        """The whole reply, parsed. A body of several lines (a server that streams all the same) is folded into one."""
        endpoint, format = endpoint_at(path, method), "guarded" if repetition_guard else "answer"
        return await _announced(self._native.call(endpoint, payload, format, read_settings(timeout)), on_call)

    async def request_bytes(
        self,
        path: str,
        payload: Mapping[str, Any] | None = None,
        *,
        method: str = "POST",
        timeout: TimeoutLike = None,
        on_call: OnCall | None = None,
    ) -> tuple[bytes, str]:
        """The body of the reply as it came, and its content type."""
        reply = self._native.call(endpoint_at(path, method), payload, "bytes", read_settings(timeout))
        return cast("tuple[bytes, str]", await _announced(reply, on_call))

    async def stream_lines(
        self,
        path: str,
        payload: Mapping[str, Any],
        *,
        timeout: TimeoutLike = None,
        on_call: OnCall | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """The lines of a streamed reply as they came, without their line ends; nothing in them is looked at."""
        body = {**payload, "stream": True}
        stream = _announced(
            self._native.stream(endpoint_at(path), body, None, True, read_settings(timeout), False), on_call
        )
        try:
            async for line in stream:
                yield line
        finally:
            stream.close()

    async def _send(
        self,
        endpoint: Endpoint,
        payload: Mapping[str, Any] | None = None,
        stream: bool = False,
        settings: CallSettings | None = None,
        guarded: bool = False,
    ) -> Any:
        """The reply of ``endpoint``, or with ``stream`` an asynchronous iterator over it, as objects of its class."""
        if payload is not None and endpoint.streams:
            # Always sent, because what holds without it differs by endpoint.
            payload = {**payload, "stream": stream}
        if stream:
            return self._native.stream(endpoint, payload, endpoint.reply, False, settings, guarded)
        reply = await self._native.call(endpoint, payload, self._format_of(endpoint, guarded), settings)
        return self._make_reply(endpoint, reply)


class Client(BaseClient):
    """A client for code without an event loop. Arguments and errors as of `AsyncClient`; Ctrl-C ends a wait at once.

    >>> from metagpt_ollama_rs.testing import ScriptedServer
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     server.answer("Hello world")
    ...     with Client(server.url) as client:
    ...         client.chat("llama3.2", [{"role": "user", "content": "Say hello."}]).message.content
    ...         [part.response for part in client.generate("llama3.2", "Say hello.", stream=True)]
    'Hello world'
    ['Hello', ' world', '']
    """

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections that are not in use. The client cannot be used afterwards."""
        self._native.close()

    @overload
    def chat(
        self,
        model: str = "",
        messages: Sequence[Mapping[str, Any] | Any] | None = None,
        *,
        stream: Literal[False] = False,
        timeout: TimeoutLike = None,
        repetition_guard: bool = False,
        **fields: Unpack[ChatFields],
    ) -> ChatResponse: ...

    @overload
    def chat(
        self,
        model: str = "",
        messages: Sequence[Mapping[str, Any] | Any] | None = None,
        *,
        stream: Literal[True],
        timeout: TimeoutLike = None,
        repetition_guard: bool = False,
        **fields: Unpack[ChatFields],
    ) -> _core.BlockingStream[ChatResponse]: ...

    def chat(
        self,
        model: str = "",
        messages: Sequence[Mapping[str, Any] | Any] | None = None,
        *,
        stream: bool = False,
        timeout: TimeoutLike = None,
        repetition_guard: bool = False,
        **fields: Unpack[ChatFields],
    ) -> Any:
        """As `AsyncClient.chat`; with ``stream`` an iterator."""
        payload = encode_images(chat_payload(model, messages, fields))
        return self._send(CHAT, payload, stream, read_settings(timeout), repetition_guard)

    @overload
    def generate(
        self,
        model: str = "",
        prompt: Text | None = None,
        suffix: Text | None = None,
        *,
        stream: Literal[False] = False,
        timeout: TimeoutLike = None,
        repetition_guard: bool = False,
        **fields: Unpack[GenerateFields],
    ) -> GenerateResponse: ...

    @overload
    def generate(
        self,
        model: str = "",
        prompt: Text | None = None,
        suffix: Text | None = None,
        *,
        stream: Literal[True],
        timeout: TimeoutLike = None,
        repetition_guard: bool = False,
        **fields: Unpack[GenerateFields],
    ) -> _core.BlockingStream[GenerateResponse]: ...

    def generate(
        self,
        model: str = "",
        prompt: Text | None = None,
        suffix: Text | None = None,
        *,
        stream: bool = False,
        timeout: TimeoutLike = None,
        repetition_guard: bool = False,
        **fields: Unpack[GenerateFields],
    ) -> Any:
        """As `AsyncClient.generate`; with ``stream`` an iterator."""
        payload = encode_images(generate_payload(model, prompt, suffix, fields))
        return self._send(GENERATE, payload, stream, read_settings(timeout), repetition_guard)

    def embed(
        self,
        model: str = "",
        input: Texts = "",
        truncate: bool | None = None,
        options: Mapping[str, Any] | Any | None = None,
        keep_alive: KeepAlive = None,
        dimensions: int | None = None,
        *,
        timeout: TimeoutLike = None,
        **unknown: NoReturn,
    ) -> EmbedResponse:
        """As `AsyncClient.embed`."""
        refuse_unknown("embed", AsyncClient.embed, unknown)
        payload = embed_payload(model, input, truncate, options, keep_alive, dimensions)
        settings = read_settings(timeout)
        reply = send_batch_blocking(lambda body: self._send(EMBED, body, settings=settings), payload)
        check_vectors(reply.embeddings, payload)
        return cast("EmbedResponse", reply)

    def embed_array(
        self,
        model: str = "",
        input: Texts = "",
        truncate: bool | None = None,
        options: Mapping[str, Any] | Any | None = None,
        keep_alive: KeepAlive = None,
        dimensions: int | None = None,
        *,
        timeout: TimeoutLike = None,
        **unknown: NoReturn,
    ) -> Vectors:
        """As `AsyncClient.embed_array`."""
        refuse_unknown("embed_array", AsyncClient.embed_array, unknown)
        payload = embed_payload(model, input, truncate, options, keep_alive, dimensions)
        settings = read_settings(timeout)
        found = send_batch_blocking(lambda body: self._native.call_blocking(EMBED, body, "vectors", settings), payload)
        vectors = Vectors(*found)
        check_count(len(vectors), payload)
        return vectors

    def embeddings(
        self,
        model: str = "",
        prompt: Text | None = None,
        options: Mapping[str, Any] | Any | None = None,
        keep_alive: KeepAlive = None,
        *,
        timeout: TimeoutLike = None,
        **unknown: NoReturn,
    ) -> EmbeddingsResponse:
        """As `AsyncClient.embeddings`."""
        refuse_unknown("embeddings", AsyncClient.embeddings, unknown)
        payload = embeddings_payload(model, prompt, options, keep_alive)
        reply = self._native.call_blocking(EMBEDDINGS, payload, "answer", read_settings(timeout))
        check_vector(reply, payload)
        return cast("EmbeddingsResponse", EMBEDDINGS.reply(reply))

    def list(self) -> ListResponse:
        """The models on the server's disk."""
        return cast("ListResponse", self._send(TAGS))

    def ps(self) -> ProcessResponse:
        """The models in the server's memory."""
        return cast("ProcessResponse", self._send(PS))

    def show(self, model: str) -> ShowResponse:
        """What the server knows of ``model``, its capabilities among it."""
        return cast("ShowResponse", self._send(SHOW, {"model": model}))

    def version(self) -> str:
        """The server's version, such as ``0.33.0``."""
        return str(self._send(VERSION)["version"])

    def pull(self, model: str, *, insecure: bool = False, stream: bool = False) -> Any:
        """As `AsyncClient.pull`; with ``stream`` an iterator."""
        return self._send(PULL, {"model": model, "insecure": insecure}, stream, self._transfer_settings)

    def push(self, model: str, *, insecure: bool = False, stream: bool = False) -> Any:
        """As `AsyncClient.push`; with ``stream`` an iterator."""
        return self._send(PUSH, {"model": model, "insecure": insecure}, stream, self._transfer_settings)

    def create(self, model: str, *, stream: bool = False, **fields: Any) -> Any:
        """As `AsyncClient.create`; with ``stream`` an iterator."""
        return self._send(CREATE, encode_images(create_payload(model, fields)), stream, self._transfer_settings)

    def delete(self, model: str) -> StatusResponse:
        """Removes ``model`` from the server's disk."""
        return cast("StatusResponse", self._send(DELETE, {"model": model}))

    def copy(self, source: str, destination: str) -> StatusResponse:
        """Gives the model ``source`` a second name."""
        return cast("StatusResponse", self._send(COPY, {"source": source, "destination": destination}))

    def _send(
        self,
        endpoint: Endpoint,
        payload: Mapping[str, Any] | None = None,
        stream: bool = False,
        settings: CallSettings | None = None,
        guarded: bool = False,
    ) -> Any:
        """The reply of ``endpoint``, or with ``stream`` an iterator over it, as objects of its class."""
        if payload is not None and endpoint.streams:
            # Always sent, because what holds without it differs by endpoint.
            payload = {**payload, "stream": stream}
        if stream:
            return self._native.stream_blocking(endpoint, payload, endpoint.reply, settings, guarded)
        reply = self._native.call_blocking(endpoint, payload, self._format_of(endpoint, guarded), settings)
        return self._make_reply(endpoint, reply)


def _announced(call: _Call, on_call: OnCall | None) -> _Call:
    """``call``, whose id ``on_call`` was told."""
    call_id = None if on_call is None else call.call_id
    if on_call is not None and call_id is not None:
        on_call(call_id)
    return call


__all__ = ["AsyncClient", "Client", "Retry", "Timeout"]
