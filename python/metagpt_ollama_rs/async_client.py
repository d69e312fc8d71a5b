"""`AsyncClient`: the client for asyncio, with the methods and the arguments of `client.Client`; a test compares
the two.

A client can be used from any number of event loops and threads, one after the other or at the same time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast, overload

from metagpt_ollama_rs.arguments import call_settings
from metagpt_ollama_rs.base import BaseClient
from metagpt_ollama_rs.blobs import send_blob
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
    SYSTEMONE,
    TAGS,
    VERSION,
    WEB_FETCH,
    WEB_SEARCH,
    Endpoint,
    endpoint_at,
)
from metagpt_ollama_rs.images import encode_images_in_thread
from metagpt_ollama_rs.model_files import unsent_files
from metagpt_ollama_rs.payloads import (
    chat_payload,
    copy_payload,
    create_payload,
    embed_payload,
    embeddings_payload,
    generate_payload,
    model_payload,
    raw_body,
    require_text,
    streamed,
    systemone_payload,
)
from metagpt_ollama_rs.progress import check_on_progress, report_progress
from metagpt_ollama_rs.vectors import make_vectors, send_batch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from typing import Literal, TypeVar

    from typing_extensions import Unpack

    from metagpt_ollama_rs import _core
    from metagpt_ollama_rs._core import Stream
    from metagpt_ollama_rs.arguments import (
        CallOptions,
        ChatFields,
        CreateFields,
        Format,
        GenerateFields,
        Messages,
        ModelOptions,
        OnCall,
        OnText,
        RawPayload,
        Texts,
        Think,
        Tools,
    )
    from metagpt_ollama_rs.limits import CallSettings
    from metagpt_ollama_rs.model_files import AnyPath
    from metagpt_ollama_rs.payloads import KeepAlive, Text
    from metagpt_ollama_rs.progress import OnProgress
    from metagpt_ollama_rs.responses import (
        ChatResponse,
        EmbeddingsResponse,
        EmbedResponse,
        GenerateResponse,
        ListResponse,
        ProcessResponse,
        ProgressResponse,
        ShowResponse,
        StatusResponse,
    )
    from metagpt_ollama_rs.systemone_types import SystemOneContent, SystemOneQuestion, SystemOneResponse
    from metagpt_ollama_rs.vectors import Vectors
    from metagpt_ollama_rs.web_types import WebFetchResponse, WebSearchResponse

    _Call = TypeVar("_Call", _core.NativeAwaitable, _core.Stream[Any])

__all__ = ["AsyncClient"]


class AsyncClient(BaseClient):
    """A client for asyncio: the methods of `Client`, with the same arguments.

    Arguments and errors of the constructor are those of `Client`. A streamed reply is awaited, too, and then an
    asynchronous iterator.

    Connections outlive an event loop (``asyncio.run`` for each call) on the general lane; on the direct lane (plain
    ``http://`` on Linux) they close with it, because their sockets live in the loop.

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

    _asynchronous = True

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections that are not in use. The client cannot be used afterwards."""
        await self._native.aclose()
        if self._web is not None:
            await self._web[1]._native.aclose()

    aclose = close

    @overload
    async def chat(
        self,
        model: str = "",
        messages: Messages = None,
        *,
        stream: Literal[False] = False,
        **fields: Unpack[ChatFields],
    ) -> ChatResponse: ...

    @overload
    async def chat(
        self, model: str = "", messages: Messages = None, *, stream: Literal[True], **fields: Unpack[ChatFields]
    ) -> Stream[ChatResponse]: ...

    async def chat(
        self,
        model: str = "",
        messages: Messages = None,
        *,
        tools: Tools = None,
        stream: bool = False,
        think: Think = None,
        logprobs: bool | None = None,
        top_logprobs: int | None = None,
        format: Format = None,
        options: ModelOptions = None,
        keep_alive: KeepAlive = None,
        truncate: bool | None = None,
        shift: bool | None = None,
        repetition_guard: bool = False,
        **call: Unpack[CallOptions],
    ) -> Any:
        """``POST /api/chat``: a `ChatResponse`, or with ``stream`` an asynchronous iterator over its pieces.

        No ``messages`` loads the model (or with ``keep_alive=0`` unloads it). ``images`` of a message may be bytes,
        paths or base64 text. A text may name a file, which is read and sent: never pass on a stranger's text as an
        image, but bytes. ``tools`` may be functions. ``truncate=False`` makes the server refuse a prompt that is
        longer than the context instead of cutting it in silence; ``shift=False`` makes an answer end that outgrows it.

        ``repetition_guard`` raises IncompleteError when the answer, or its thinking, goes in circles: when its end is
        one block over and over, for 4 to 32 KiB (docs/compatibility.md has the limits). A streamed one is stopped
        there, on the server too; ``partial`` has the text with two rounds.
        """
        fields = {
            "tools": tools,
            "think": think,
            "logprobs": logprobs,
            "top_logprobs": top_logprobs,
            "format": format,
            "options": options,
            "keep_alive": keep_alive,
            "truncate": truncate,
            "shift": shift,
        }
        payload = await encode_images_in_thread(chat_payload(model, messages, fields))
        return await self._send(CHAT, payload, stream, call_settings(AsyncClient.chat, call), repetition_guard)

    @overload
    async def generate(
        self,
        model: str = "",
        prompt: Text | None = None,
        suffix: Text | None = None,
        *,
        stream: Literal[False] = False,
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
        **fields: Unpack[GenerateFields],
    ) -> Stream[GenerateResponse]: ...

    async def generate(
        self,
        model: str = "",
        prompt: Text | None = None,
        suffix: Text | None = None,
        *,
        system: Text | None = None,
        template: Text | None = None,
        context: Sequence[int] | None = None,
        stream: bool = False,
        think: Think = None,
        logprobs: bool | None = None,
        top_logprobs: int | None = None,
        raw: bool | None = None,
        format: Format = None,
        images: Sequence[Any] | None = None,
        options: ModelOptions = None,
        keep_alive: KeepAlive = None,
        width: int | None = None,
        height: int | None = None,
        steps: int | None = None,
        truncate: bool | None = None,
        shift: bool | None = None,
        repetition_guard: bool = False,
        **call: Unpack[CallOptions],
    ) -> Any:
        """``POST /api/generate``: a `GenerateResponse`, or with ``stream`` an asynchronous iterator over its pieces.

        ``images``, ``truncate``, ``shift`` and ``repetition_guard`` are those of `chat`: a text in ``images`` may name
        a file, which is read.
        """
        fields = {
            "prompt": prompt,
            "suffix": suffix,
            "system": system,
            "template": template,
            "context": context,
            "think": think,
            "logprobs": logprobs,
            "top_logprobs": top_logprobs,
            "raw": raw,
            "format": format,
            "images": images,
            "options": options,
            "keep_alive": keep_alive,
            "width": width,
            "height": height,
            "steps": steps,
            "truncate": truncate,
            "shift": shift,
        }
        payload = generate_payload(model, fields)
        if images is not None:
            payload = await encode_images_in_thread(payload)
        return await self._send(GENERATE, payload, stream, call_settings(AsyncClient.generate, call), repetition_guard)

    async def embed(
        self,
        model: str = "",
        input: Texts = "",
        truncate: bool | None = None,
        options: ModelOptions = None,
        keep_alive: KeepAlive = None,
        dimensions: int | None = None,
        **call: Unpack[CallOptions],
    ) -> EmbedResponse:
        """``POST /api/embed``: one vector for each text of ``input``, in their order, as lists of Python floats.

        All texts go in one request. If the server refuses them for one text of the list, that one is searched for
        with further requests (at most log2(n) + 2), and the `BadInputError` names it.
        """
        settings = call_settings(AsyncClient.embed, call)
        payload = embed_payload(model, input, truncate, options, keep_alive, dimensions)
        reply = await send_batch(lambda body: self._send(EMBED, body, settings=settings), payload)
        return cast("EmbedResponse", reply)

    async def embed_array(
        self,
        model: str = "",
        input: Texts = "",
        truncate: bool | None = None,
        options: ModelOptions = None,
        keep_alive: KeepAlive = None,
        dimensions: int | None = None,
        **call: Unpack[CallOptions],
    ) -> Vectors:
        """As `embed`, as one block of 32-bit floats, which ``numpy.asarray`` takes without a copy. Several times
        faster: no Python object is made for a number."""
        settings = call_settings(AsyncClient.embed_array, call)
        payload = embed_payload(model, input, truncate, options, keep_alive, dimensions)

        def send(body: Mapping[str, Any]) -> _core.NativeAwaitable:
            return self._native.call(EMBED, body, "vectors", settings, lambda found: make_vectors(found, body))

        return cast("Vectors", await send_batch(send, payload))

    async def embeddings(
        self,
        model: str = "",
        prompt: Text | None = None,
        options: ModelOptions = None,
        keep_alive: KeepAlive = None,
        **call: Unpack[CallOptions],
    ) -> EmbeddingsResponse:
        """``POST /api/embeddings``, the older endpoint: the vector of one text, not normalised."""
        settings = call_settings(AsyncClient.embeddings, call)
        payload = embeddings_payload(model, prompt, options, keep_alive)
        return cast("EmbeddingsResponse", await self._send(EMBEDDINGS, payload, settings=settings))

    async def list(self, **call: Unpack[CallOptions]) -> ListResponse:
        """The models on the server's disk."""
        return cast("ListResponse", await self._send(TAGS, settings=call_settings(AsyncClient.list, call)))

    async def ps(self, **call: Unpack[CallOptions]) -> ProcessResponse:
        """The models in the server's memory."""
        return cast("ProcessResponse", await self._send(PS, settings=call_settings(AsyncClient.ps, call)))

    async def show(self, model: str, **call: Unpack[CallOptions]) -> ShowResponse:
        """What the server knows of ``model``, its capabilities among it."""
        return cast(
            "ShowResponse", await self._send(SHOW, model_payload(model), settings=call_settings(AsyncClient.show, call))
        )

    async def version(self, **call: Unpack[CallOptions]) -> str:
        """The server's version, such as ``0.33.0``."""
        return str((await self._send(VERSION, settings=call_settings(AsyncClient.version, call)))["version"])

    @overload
    async def pull(
        self,
        model: str,
        *,
        insecure: bool = False,
        stream: Literal[False] = False,
        on_progress: OnProgress | None = None,
        **call: Unpack[CallOptions],
    ) -> ProgressResponse: ...

    @overload
    async def pull(
        self, model: str, *, insecure: bool = False, stream: Literal[True], **call: Unpack[CallOptions]
    ) -> Stream[ProgressResponse]: ...

    async def pull(
        self,
        model: str,
        *,
        insecure: bool = False,
        stream: bool = False,
        on_progress: OnProgress | None = None,
        **call: Unpack[CallOptions],
    ) -> Any:
        """Fetches ``model``: a `ProgressResponse`, or with ``stream`` an asynchronous iterator over them.

        ``on_progress`` may be a coroutine function, which is awaited. All else is as of `Client.pull`.
        """
        settings = self._transfer_settings(call_settings(AsyncClient.pull, call))
        return await self._transfer(PULL, model_payload(model, insecure=insecure), stream, settings, on_progress)

    @overload
    async def push(
        self,
        model: str,
        *,
        insecure: bool = False,
        stream: Literal[False] = False,
        on_progress: OnProgress | None = None,
        **call: Unpack[CallOptions],
    ) -> ProgressResponse: ...

    @overload
    async def push(
        self, model: str, *, insecure: bool = False, stream: Literal[True], **call: Unpack[CallOptions]
    ) -> Stream[ProgressResponse]: ...

    async def push(
        self,
        model: str,
        *,
        insecure: bool = False,
        stream: bool = False,
        on_progress: OnProgress | None = None,
        **call: Unpack[CallOptions],
    ) -> Any:
        """Uploads ``model``: a `ProgressResponse`, or with ``stream`` an asynchronous iterator over them."""
        settings = self._transfer_settings(call_settings(AsyncClient.push, call))
        return await self._transfer(PUSH, model_payload(model, insecure=insecure), stream, settings, on_progress)

    @overload
    async def create(
        self,
        model: str,
        quantize: str | None = None,
        from_: str | None = None,
        files: Mapping[str, AnyPath] | None = None,
        adapters: Mapping[str, AnyPath] | None = None,
        template: str | None = None,
        license: str | Sequence[str] | None = None,
        system: str | None = None,
        parameters: ModelOptions = None,
        messages: Messages = None,
        *,
        stream: Literal[False] = False,
        on_progress: OnProgress | None = None,
        **fields: Unpack[CreateFields],
    ) -> ProgressResponse: ...

    @overload
    async def create(
        self,
        model: str,
        quantize: str | None = None,
        from_: str | None = None,
        files: Mapping[str, AnyPath] | None = None,
        adapters: Mapping[str, AnyPath] | None = None,
        template: str | None = None,
        license: str | Sequence[str] | None = None,
        system: str | None = None,
        parameters: ModelOptions = None,
        messages: Messages = None,
        *,
        stream: Literal[True],
        **fields: Unpack[CreateFields],
    ) -> Stream[ProgressResponse]: ...

    async def create(
        self,
        model: str,
        quantize: str | None = None,
        from_: str | None = None,
        files: Mapping[str, AnyPath] | None = None,
        adapters: Mapping[str, AnyPath] | None = None,
        template: str | None = None,
        license: str | Sequence[str] | None = None,
        system: str | None = None,
        parameters: ModelOptions = None,
        messages: Messages = None,
        *,
        stream: bool = False,
        on_progress: OnProgress | None = None,
        renderer: str | None = None,
        parser: str | None = None,
        requires: str | None = None,
        **call: Unpack[CallOptions],
    ) -> Any:
        """Makes ``model`` from another (``from_``) or from files: a `ProgressResponse`, or with ``stream`` an
        asynchronous iterator over them.

        ``files`` and ``adapters`` name files by the digests that `create_blob` returned, or by paths on this machine;
        these are sent first, as `create_blob` does. So never pass on a stranger's text as one. ``parameters`` are
        options, such as ``{"temperature": 0}``. ``renderer``, ``parser`` and ``requires`` are the Modelfile's.
        """
        settings = call_settings(AsyncClient.create, call)
        if on_progress is not None:
            check_on_progress(on_progress, stream)
        fields = {
            "quantize": quantize,
            "from": from_,
            "files": files,
            "adapters": adapters,
            "template": template,
            "license": license,
            "system": system,
            "parameters": parameters,
            "messages": messages,
            "renderer": renderer,
            "parser": parser,
            "requires": requires,
        }
        payload = await encode_images_in_thread(create_payload(model, fields))
        for table, name, path in unsent_files(payload):
            table[name] = await send_blob(self._native, path, settings, on_progress)
        return await self._transfer(CREATE, payload, stream, self._transfer_settings(settings), on_progress)

    async def create_blob(
        self, path: AnyPath, *, on_progress: OnProgress | None = None, **call: Unpack[CallOptions]
    ) -> str:
        """Sends the file at ``path`` to the server, for `create`, and returns its digest (``sha256:…``).

        A file that the server has already is not sent again. ``on_progress`` is that of `pull`. Raises the OSError
        that ``open`` raises, and ConfigurationError for a folder or what else is no file. The event loop goes on while
        the file is read.
        """
        settings = call_settings(AsyncClient.create_blob, call)
        return await send_blob(self._native, path, settings, on_progress)

    async def delete(self, model: str, **call: Unpack[CallOptions]) -> StatusResponse:
        """Removes ``model`` from the server's disk."""
        settings = call_settings(AsyncClient.delete, call)
        return cast("StatusResponse", await self._send(DELETE, model_payload(model), settings=settings))

    async def copy(self, source: str, destination: str, **call: Unpack[CallOptions]) -> StatusResponse:
        """Gives the model ``source`` a second name."""
        payload = copy_payload(source, destination)
        return cast("StatusResponse", await self._send(COPY, payload, settings=call_settings(AsyncClient.copy, call)))

    async def web_search(self, query: str, max_results: int = 3, **call: Unpack[CallOptions]) -> WebSearchResponse:
        """Searches the web, by ollama.com.

        Args:
            query: what to search for
            max_results: how many results there may be

        Raises:
            ConfigurationError: there is no key; it is a ValueError, too. `web_access` says which key counts.
        """
        settings = call_settings(AsyncClient.web_search, call)
        web = self._web_client("search", settings)
        payload = {"query": require_text(query, "query"), "max_results": max_results}
        return cast("WebSearchResponse", await web._send(WEB_SEARCH, payload, settings=settings))

    async def web_fetch(self, url: str, **call: Unpack[CallOptions]) -> WebFetchResponse:
        """Fetches a page of the web as text, by ollama.com.

        Args:
            url: the address of the page

        Raises:
            ConfigurationError: there is no key, as for `web_search`.
        """
        settings = call_settings(AsyncClient.web_fetch, call)
        web = self._web_client("fetch", settings)
        return cast(
            "WebFetchResponse", await web._send(WEB_FETCH, {"url": require_text(url, "url")}, settings=settings)
        )

    async def systemone(
        self,
        model: str,
        state: SystemOneContent,
        questions: Mapping[str, SystemOneQuestion | Mapping[str, Any]],
        keep_alive: KeepAlive = None,
        **call: Unpack[CallOptions],
    ) -> SystemOneResponse:
        """``POST /v1/systemone``: what a System One model thinks of ``state``, an answer to each of ``questions``."""
        settings = call_settings(AsyncClient.systemone, call)
        payload = systemone_payload(model, state, questions, keep_alive)
        return cast("SystemOneResponse", await self._send(SYSTEMONE, payload, settings=settings))

    async def stream_text(
        self,
        path: str,
        payload: RawPayload,
        on_text: OnText,
        *,
        on_thinking: OnText | None = None,
        repetition_guard: bool = False,
        on_call: OnCall | None = None,
        **call: Unpack[CallOptions],
    ) -> dict[str, Any]:
        """Streams the reply to a callback, and returns the final object with the whole text in it.

        ``on_text`` is called once for each piece of the answer, in order, as it arrives, in the context of the
        caller (``contextvars``); what it raises ends the request and comes out here. A callable that it returns takes
        its place for the rest, once. ``on_thinking`` gets the pieces of thinking. ``payload`` is sent with
        ``"stream": true``. The result has Ollama's own shape: ``{"message": {"content": …}, "done": true, …}`` of
        ``/api/chat``, ``{"response": …}`` of ``/api/generate``. ``repetition_guard`` is that of `chat`; ``on_call`` is
        called once, when the request is made, with the ``id`` of the record of the call (see `stats.records`).
        """
        settings = call_settings(AsyncClient.stream_text, call)
        endpoint, body = endpoint_at(path), streamed(payload)
        result = self._native.deliver(endpoint, body, on_text, on_thinking, settings, repetition_guard)
        return cast("dict[str, Any]", await _announced(result, on_call))

    async def request_json(
        self,
        path: str,
        payload: RawPayload | None = None,
        *,
        method: str = "POST",
        repetition_guard: bool = False,
        on_call: OnCall | None = None,
        **call: Unpack[CallOptions],
    ) -> Any:
        """The whole reply of ``path``, parsed. A body of several lines (a server that streams all the same) is folded
        into one. ``payload`` is a JSON value, the bytes of a body, or None for no body; ``method`` one of GET, POST,
        DELETE and HEAD; ``on_call`` is that of `stream_text`. An empty reply is None for DELETE, HEAD and
        ``/api/copy``, and else an IncompleteError; `request_bytes` takes any.
        """
        settings = call_settings(AsyncClient.request_json, call)
        endpoint = endpoint_at(path, method)
        reply = self._native.call(endpoint, raw_body(payload), self._format_of(endpoint, repetition_guard), settings)
        return await _announced(reply, on_call)

    async def request_bytes(
        self,
        path: str,
        payload: RawPayload | None = None,
        *,
        method: str = "POST",
        on_call: OnCall | None = None,
        **call: Unpack[CallOptions],
    ) -> tuple[bytes, str]:
        """The body of the reply of ``path`` as it came, and its content type. Arguments as of `request_json`."""
        settings = call_settings(AsyncClient.request_bytes, call)
        reply = self._native.call(endpoint_at(path, method), raw_body(payload), "bytes", settings)
        return cast("tuple[bytes, str]", await _announced(reply, on_call))

    async def stream_lines(
        self, path: str, payload: RawPayload, *, on_call: OnCall | None = None, **call: Unpack[CallOptions]
    ) -> AsyncGenerator[bytes, None]:
        """The lines of a streamed reply as they came, without their line ends; nothing in them is looked at, but
        whether the first piece is JSON or an event at all (else there is a ProtocolError).

        ``payload`` is sent with ``"stream": true``; ``on_call`` is that of `stream_text`.
        """
        settings = call_settings(AsyncClient.stream_lines, call)
        stream = self._native.stream(endpoint_at(path), streamed(payload), None, True, settings, False)
        _announced(stream, on_call)
        try:
            async for line in stream:
                yield line
        finally:
            stream.close()

    async def _transfer(
        self,
        endpoint: Endpoint,
        payload: Mapping[str, Any],
        stream: bool,
        settings: CallSettings,
        on_progress: OnProgress | None,
    ) -> Any:
        """As `_send`, or with ``on_progress`` the last report of a transfer whose others that has got."""
        if on_progress is None:
            return await self._send(endpoint, payload, stream, settings)
        check_on_progress(on_progress, stream)
        return await report_progress(await self._send(endpoint, payload, True, settings), on_progress)

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
            payload = {**payload, "stream": bool(stream)}
        if stream:
            return self._native.stream(endpoint, payload, endpoint.reply, False, settings, guarded)
        format = self._format_of(endpoint, guarded)
        return await self._native.call(
            endpoint, payload, format, settings, lambda reply: self._make_reply(endpoint, reply, payload, settings)
        )


def _announced(call: _Call, on_call: OnCall | None) -> _Call:
    """``call``, whose id ``on_call`` was told."""
    call_id = None if on_call is None else call.call_id
    if on_call is not None and call_id is not None:
        on_call(call_id)
    return call
