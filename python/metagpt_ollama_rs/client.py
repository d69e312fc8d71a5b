"""`Client`: the client for code without an event loop, called as that of ollama-python is.

It turns arguments into the payload of an endpoint (a row of `endpoints`) and the reply into an object of that row's
class; connections, decoding, time limits and cancellation are the compiled core's (``_core.NativeClient``). A client
can be used from any number of threads, survives a fork, and pickles by its constructor arguments (with the key in
them). `async_client.AsyncClient` has the same methods with the same arguments; a test compares the two.

The raw methods (``request_json``, ``request_bytes``, ``stream_lines``, ``stream_text``) take a path and a payload as
they go over the wire: they reach what no other method does::

    client.request_json("/v1/responses", {"model": "qwen3:8b", "input": "Say hello."})
    client.request_json("/api/me", method="POST")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast, overload

from metagpt_ollama_rs.arguments import call_settings
from metagpt_ollama_rs.base import BaseClient
from metagpt_ollama_rs.blobs import send_blob_blocking
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
from metagpt_ollama_rs.images import encode_images
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
from metagpt_ollama_rs.progress import check_on_progress, report_progress_blocking
from metagpt_ollama_rs.vectors import make_vectors, send_batch_blocking

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal

    from typing_extensions import Unpack

    from metagpt_ollama_rs._core import BlockingStream
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
        Record,
        ShowResponse,
        StatusResponse,
    )
    from metagpt_ollama_rs.systemone_types import SystemOneContent, SystemOneQuestion, SystemOneResponse
    from metagpt_ollama_rs.vectors import Vectors
    from metagpt_ollama_rs.web_types import WebFetchResponse, WebSearchResponse

__all__ = ["Client"]


class Client(BaseClient):
    """A client for code without an event loop. Ctrl-C ends a wait at once.

    Args:
        host: ``http://host:port``, ``host``, ``host:port``, with or without ``/api`` or ``/v1``, or the Unix socket
            ``unix:///path``; default: ``OLLAMA_HOST``, else ``http://127.0.0.1:11434``.
        headers: sent with every request.
        timeout: a number of seconds (or a timedelta) for the first token and each pause, or a `Timeout`; of an
            ``httpx.Timeout`` its ``connect`` and ``read`` count.
        api_key: sent as a bearer token; placeholders such as ``sk-`` and ``ollama`` are not sent.
        proxy: URL of a proxy; default: the environment's, never for loopback.
        verify: whose certificates count for ``https://``: True (the machine's, or those of ``SSL_CERT_FILE`` and
            ``SSL_CERT_DIR``), the path of a PEM file or of a folder of them, an ``ssl.SSLContext`` (its CA
            certificates, nothing else of it), or False for anybody's, with a warning.
        cert: the certificate with which the client proves who it is: the path of a PEM file that holds it and its key,
            or ``(certificate, key)``. The key must not be encrypted.
        trust_env: False: neither a proxy of the environment nor ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``.
        follow_redirects: False: a redirect is a ProtocolError.
        retries: how often a request is sent again while no answer has begun, or a `Retry`; 0 switches it off.
        max_line: longest line of a stream, in bytes (default 64 MiB).
        max_body: longest reply that is read whole, in bytes.
        on_event: a function that is told what becomes of each call (see `events`).

    Raises:
        ConfigurationError: something of this cannot be used.

    Every method takes ``timeout``, ``headers`` and ``retries`` for the one call, raises TypeError for an argument that
    it does not have, and the exceptions of `metagpt_ollama_rs.errors`.

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
        if self._web is not None:
            self._web[1]._native.close()

    @overload
    def chat(
        self,
        model: str = "",
        messages: Messages = None,
        *,
        stream: Literal[False] = False,
        **fields: Unpack[ChatFields],
    ) -> ChatResponse: ...

    @overload
    def chat(
        self, model: str = "", messages: Messages = None, *, stream: Literal[True], **fields: Unpack[ChatFields]
    ) -> BlockingStream[ChatResponse]: ...

    def chat(
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
        """``POST /api/chat``: a `ChatResponse`, or with ``stream`` an iterator over its pieces.

        No ``messages`` loads the model (or with ``keep_alive=0`` unloads it). ``images`` of a message may be bytes,
        paths or base64 text. A text may name a file, which is read and sent: never pass on a stranger's text as an
        image, but bytes. ``tools`` may be functions. ``truncate=False`` makes the server refuse a prompt that is
        longer than the context instead of cutting it in silence; ``shift=False`` makes an answer end that outgrows it.
        ``options`` are those of the model, such as ``{"temperature": 0}``; ``format`` is "json", a schema or a class;
        ``think`` a bool or "low", "medium", "high"; ``keep_alive`` seconds or a duration such as "10m". What ``call``
        takes (``timeout``, ``headers``, ``retries``) is in the class's docstring.

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
        payload = encode_images(chat_payload(model, messages, fields))
        return self._send(CHAT, payload, stream, call_settings(Client.chat, call), repetition_guard)

    @overload
    def generate(
        self,
        model: str = "",
        prompt: Text | None = None,
        suffix: Text | None = None,
        *,
        stream: Literal[False] = False,
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
        **fields: Unpack[GenerateFields],
    ) -> BlockingStream[GenerateResponse]: ...

    def generate(
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
        """``POST /api/generate``: a `GenerateResponse`, or with ``stream`` an iterator over its pieces.

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
            payload = encode_images(payload)
        return self._send(GENERATE, payload, stream, call_settings(Client.generate, call), repetition_guard)

    def embed(
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
        settings = call_settings(Client.embed, call)
        payload = embed_payload(model, input, truncate, options, keep_alive, dimensions)
        reply = send_batch_blocking(lambda body: self._send(EMBED, body, settings=settings), payload)
        return cast("EmbedResponse", reply)

    def embed_array(
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
        settings = call_settings(Client.embed_array, call)
        payload = embed_payload(model, input, truncate, options, keep_alive, dimensions)

        def send(body: Mapping[str, Any]) -> Any:
            def make(found: Any) -> Vectors:
                return make_vectors(found, body)

            return self._native.call_blocking(EMBED, body, "vectors", settings, None, make)

        return cast("Vectors", send_batch_blocking(send, payload))

    def embeddings(
        self,
        model: str = "",
        prompt: Text | None = None,
        options: ModelOptions = None,
        keep_alive: KeepAlive = None,
        **call: Unpack[CallOptions],
    ) -> EmbeddingsResponse:
        """``POST /api/embeddings``, the older endpoint: the vector of one text, not normalised."""
        settings = call_settings(Client.embeddings, call)
        payload = embeddings_payload(model, prompt, options, keep_alive)
        return cast("EmbeddingsResponse", self._send(EMBEDDINGS, payload, settings=settings))

    def list(self, **call: Unpack[CallOptions]) -> ListResponse:
        """The models on the server's disk."""
        return cast("ListResponse", self._send(TAGS, settings=call_settings(Client.list, call)))

    def ps(self, **call: Unpack[CallOptions]) -> ProcessResponse:
        """The models in the server's memory."""
        return cast("ProcessResponse", self._send(PS, settings=call_settings(Client.ps, call)))

    def show(self, model: str, **call: Unpack[CallOptions]) -> ShowResponse:
        """What the server knows of ``model``, its capabilities among it."""
        return cast("ShowResponse", self._send(SHOW, model_payload(model), settings=call_settings(Client.show, call)))

    def version(self, **call: Unpack[CallOptions]) -> str:
        """The server's version, such as ``0.33.0``."""
        return str(self._send(VERSION, settings=call_settings(Client.version, call))["version"])

    @overload
    def pull(
        self,
        model: str,
        *,
        insecure: bool = False,
        stream: Literal[False] = False,
        on_progress: OnProgress | None = None,
        **call: Unpack[CallOptions],
    ) -> ProgressResponse: ...

    @overload
    def pull(
        self, model: str, *, insecure: bool = False, stream: Literal[True], **call: Unpack[CallOptions]
    ) -> BlockingStream[ProgressResponse]: ...

    def pull(
        self,
        model: str,
        *,
        insecure: bool = False,
        stream: bool = False,
        on_progress: OnProgress | None = None,
        **call: Unpack[CallOptions],
    ) -> Any:
        """Fetches ``model``: a `ProgressResponse`, or with ``stream`` an iterator over them.

        ``on_progress`` is called with each `ProgressResponse` as it arrives; what it raises ends the transfer and comes
        out. `progress.ProgressTotal` adds them up. It may take as long as it takes, unless ``timeout`` is given. All
        this holds of `push` and `create`, too.

        Where the connection breaks off, or the server loses the registry, the request is sent again up to ``retries``
        times, after waits of seconds, and the server goes on where it stopped; once it has come further than before,
        the retries count anew. Each retry is logged, and an event. So it is with `push`.
        """
        settings = self._transfer_settings(call_settings(Client.pull, call))
        return self._transfer(PULL, model_payload(model, insecure=insecure), stream, settings, on_progress)

    @overload
    def push(
        self,
        model: str,
        *,
        insecure: bool = False,
        stream: Literal[False] = False,
        on_progress: OnProgress | None = None,
        **call: Unpack[CallOptions],
    ) -> ProgressResponse: ...

    @overload
    def push(
        self, model: str, *, insecure: bool = False, stream: Literal[True], **call: Unpack[CallOptions]
    ) -> BlockingStream[ProgressResponse]: ...

    def push(
        self,
        model: str,
        *,
        insecure: bool = False,
        stream: bool = False,
        on_progress: OnProgress | None = None,
        **call: Unpack[CallOptions],
    ) -> Any:
        """Uploads ``model``: a `ProgressResponse`, or with ``stream`` an iterator over them."""
        settings = self._transfer_settings(call_settings(Client.push, call))
        return self._transfer(PUSH, model_payload(model, insecure=insecure), stream, settings, on_progress)

    @overload
    def create(
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
    def create(
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
    ) -> BlockingStream[ProgressResponse]: ...

    def create(
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
        """Makes ``model`` from another (``from_``) or from files: a `ProgressResponse`, or with ``stream`` an iterator
        over them.

        ``files`` and ``adapters`` name files by the digests that `create_blob` returned, or by paths on this machine;
        these are sent first, as `create_blob` does. So never pass on a stranger's text as one. ``parameters`` are
        options, such as ``{"temperature": 0}``. ``renderer``, ``parser`` and ``requires`` are the Modelfile's.
        """
        settings = call_settings(Client.create, call)
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
        payload = encode_images(create_payload(model, fields))
        for table, name, path in unsent_files(payload):
            table[name] = send_blob_blocking(self._native, path, settings, on_progress)
        return self._transfer(CREATE, payload, stream, self._transfer_settings(settings), on_progress)

    def create_blob(self, path: AnyPath, *, on_progress: OnProgress | None = None, **call: Unpack[CallOptions]) -> str:
        """Sends the file at ``path`` to the server, for `create`, and returns its digest (``sha256:…``).

        A file that the server has already is not sent again. ``on_progress`` is that of `pull`. Raises the OSError
        that ``open`` raises, and ConfigurationError for a folder or what else is no file.
        """
        settings = call_settings(Client.create_blob, call)
        return send_blob_blocking(self._native, path, settings, on_progress)

    def delete(self, model: str, **call: Unpack[CallOptions]) -> StatusResponse:
        """Removes ``model`` from the server's disk."""
        settings = call_settings(Client.delete, call)
        return cast("StatusResponse", self._send(DELETE, model_payload(model), settings=settings))

    def copy(self, source: str, destination: str, **call: Unpack[CallOptions]) -> StatusResponse:
        """Gives the model ``source`` a second name."""
        payload = copy_payload(source, destination)
        return cast("StatusResponse", self._send(COPY, payload, settings=call_settings(Client.copy, call)))

    def web_search(self, query: str, max_results: int = 3, **call: Unpack[CallOptions]) -> WebSearchResponse:
        """Searches the web, by ollama.com.

        Args:
            query: what to search for
            max_results: how many results there may be

        Raises:
            ConfigurationError: there is no key; it is a ValueError, too. `web_access` says which key counts.
        """
        settings = call_settings(Client.web_search, call)
        web = self._web_client("search", settings)
        payload = {"query": require_text(query, "query"), "max_results": max_results}
        return cast("WebSearchResponse", web._send(WEB_SEARCH, payload, settings=settings))

    def web_fetch(self, url: str, **call: Unpack[CallOptions]) -> WebFetchResponse:
        """Fetches a page of the web as text, by ollama.com.

        Args:
            url: the address of the page

        Raises:
            ConfigurationError: there is no key, as for `web_search`.
        """
        settings = call_settings(Client.web_fetch, call)
        web = self._web_client("fetch", settings)
        return cast("WebFetchResponse", web._send(WEB_FETCH, {"url": require_text(url, "url")}, settings=settings))

    def systemone(
        self,
        model: str,
        state: SystemOneContent,
        questions: Mapping[str, SystemOneQuestion | Mapping[str, Any]],
        keep_alive: KeepAlive = None,
        **call: Unpack[CallOptions],
    ) -> SystemOneResponse:
        """``POST /v1/systemone``: what a System One model thinks of ``state``, an answer to each of ``questions``."""
        settings = call_settings(Client.systemone, call)
        payload = systemone_payload(model, state, questions, keep_alive)
        return cast("SystemOneResponse", self._send(SYSTEMONE, payload, settings=settings))

    def stream_text(
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

        ``on_text`` is called once for each piece of the answer, in order, as it arrives; what it raises ends the
        request and comes out here. A callable that it returns takes its place for the rest, once. ``on_thinking`` gets
        the pieces of thinking. ``payload`` is sent with ``"stream": true``. The result has Ollama's own shape:
        ``{"message": {"content": …}, "done": true, …}`` of ``/api/chat``, ``{"response": …}`` of ``/api/generate``.
        ``repetition_guard`` is that of `chat`; ``on_call`` is called once, when the request is made, with the ``id`` of
        the record of the call (see `stats.records`).
        """
        settings = call_settings(Client.stream_text, call)
        reply = self._native.deliver_blocking(
            endpoint_at(path), streamed(payload), on_text, on_thinking, settings, repetition_guard, on_call
        )
        return cast("dict[str, Any]", reply)

    def request_json(
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
        settings = call_settings(Client.request_json, call)
        endpoint = endpoint_at(path, method)
        format = self._format_of(endpoint, repetition_guard)
        return self._native.call_blocking(endpoint, raw_body(payload), format, settings, on_call)

    def request_bytes(
        self,
        path: str,
        payload: RawPayload | None = None,
        *,
        method: str = "POST",
        on_call: OnCall | None = None,
        **call: Unpack[CallOptions],
    ) -> tuple[bytes, str]:
        """The body of the reply of ``path`` as it came, and its content type. Arguments as of `request_json`."""
        settings = call_settings(Client.request_bytes, call)
        reply = self._native.call_blocking(endpoint_at(path, method), raw_body(payload), "bytes", settings, on_call)
        return cast("tuple[bytes, str]", reply)

    def stream_lines(
        self, path: str, payload: RawPayload, *, on_call: OnCall | None = None, **call: Unpack[CallOptions]
    ) -> BlockingStream[bytes]:
        """The lines of a streamed reply as they came, without their line ends; nothing in them is looked at, but
        whether the first piece is JSON or an event at all (else there is a ProtocolError).

        ``payload`` is sent with ``"stream": true``; ``on_call`` is that of `stream_text`.
        """
        settings = call_settings(Client.stream_lines, call)
        stream = self._native.stream_blocking(endpoint_at(path), streamed(payload), None, settings, raw_lines=True)
        if on_call is not None and stream.call_id is not None:
            on_call(stream.call_id)
        return stream

    def _transfer(
        self,
        endpoint: Endpoint,
        payload: Mapping[str, Any],
        stream: bool,
        settings: CallSettings,
        on_progress: OnProgress | None,
    ) -> Any:
        """As `_send`, or with ``on_progress`` the last report of a transfer whose others that has got."""
        if on_progress is None:
            return self._send(endpoint, payload, stream, settings)
        check_on_progress(on_progress, stream)
        return report_progress_blocking(self._send(endpoint, payload, True, settings), on_progress)

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
            payload = {**payload, "stream": bool(stream)}
        if stream:
            return self._native.stream_blocking(endpoint, payload, endpoint.reply, settings, guarded)
        format = self._format_of(endpoint, guarded)

        def make(reply: Any) -> Record:
            return self._make_reply(endpoint, reply, payload, settings)

        return self._native.call_blocking(endpoint, payload, format, settings, None, make)
