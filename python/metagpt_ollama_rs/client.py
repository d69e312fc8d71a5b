"""The clients: ``Client`` for ordinary code, ``AsyncClient`` for asyncio, called as those of ollama-python are.

Both are thin. They turn arguments into the payload of an endpoint and name the class of its reply; connections,
decoding, time limits and cancellation are the compiled core's (``_core.Transport``). A client can be used from any
number of event loops and threads, survives a fork, and pickles by its constructor arguments (with the key in them).

The lower door, which the MetaGPT provider uses, is at the end of `AsyncClient`: ``stream_text``, ``request_json``,
``request_bytes`` and ``stream_lines`` take a path and a payload as they go over the wire.
"""

from __future__ import annotations

import operator
import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, cast, overload

from metagpt_ollama_rs import _core
from metagpt_ollama_rs.errors import ConfigurationError, from_core
from metagpt_ollama_rs.payloads import (
    chat_payload,
    create_payload,
    embed_payload,
    embeddings_payload,
    generate_payload,
)
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
from metagpt_ollama_rs.vectors import Vectors, ask, ask_blocking, check_count

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from typing import Literal, Optional

    Limits = tuple[Optional[float], Optional[float], Optional[float], Optional[float]]


class Timeout(NamedTuple):
    """Four limits in seconds; None is no limit.

    ``connect`` bounds the making of a connection; ``first_token`` the wait from then on to the first byte of the
    reply, while the server queues, loads the model and reads the prompt; ``idle`` each later pause; ``total``
    everything together. What only keeps a connection open (blank lines, comments of event streams) is no reply.
    """

    connect: float | None = 5.0
    first_token: float | None = 600.0
    idle: float | None = 120.0
    total: float | None = None


class Retry(NamedTuple):
    """When a request is sent again: the server refused or dropped the connection before it replied, or answered 502,
    503, 504 or 429. Only before the first byte of an answer, never after a time limit ran out.

    ``retries`` is the number of tries after the first one; ``first`` the first wait in seconds, give or take a
    quarter (the next waits grow fourfold, up to a second); no retry begins later than ``budget`` seconds after the
    request. A server that names a time (``Retry-After``) gets its way, beyond the budget, if it is at most
    ``retry_after`` seconds; if it is longer there is no retry. The ``total`` time limit bounds all of it.

    A server that is down so costs about one second. MetaGPT tries three times itself.

    Apart from this, a kept connection that turns out to be dead is replaced at once, for requests that change nothing.
    One that changes something (pull, push, create, copy, delete) is never sent again once the server may have got it.
    """

    retries: int = 2
    first: float = 0.2
    budget: float = 3.0
    retry_after: float = 10.0


def _limits(timeout: float | Timeout | None) -> Limits | None:
    """A single number bounds the wait for the first token and each pause, never a healthy stream as a whole."""
    if timeout is None:
        return None
    if isinstance(timeout, Timeout):
        return (timeout.connect, timeout.first_token, timeout.idle, timeout.total)
    seconds = float(timeout)
    return (min(seconds, 5.0), seconds, seconds, None)


def _retry(retries: int | Retry | None) -> tuple[int, float, float, float] | None:
    if retries is None:
        return None
    policy = retries if isinstance(retries, Retry) else Retry(retries)
    count = _whole_number("retries", policy.retries, 0)
    waits = (policy.first, policy.budget, policy.retry_after)
    for name, seconds in zip(Retry._fields[1:], waits):
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds >= 0:
            raise ConfigurationError(f"{name} of the retries must be a number of seconds, and is {seconds!r:.60}")
    first, budget, retry_after = (min(float(min(seconds, _AGES)), _AGES) for seconds in waits)
    return (min(count, 2**32 - 1), first, budget, retry_after)


# As many seconds as the core can count, and more than anybody waits.
_AGES = 1e19


def _whole_number(name: str, value: Any, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least or isinstance(value, bool):
        raise ConfigurationError(f"{name} must be a whole number from {least} on, and is {value!r:.60}")
    return number


def _size(name: str, value: Any) -> int | None:
    """A number of bytes; one that is beyond all memory is no limit."""
    return None if value is None else min(_whole_number(name, value, 1), sys.maxsize)


# Where a whole reply has what it was asked for; images of servers that make them included.
_TEXT = {"/api/chat": ("message",), "/api/generate": ("response", "image")}


def _having(reply: dict[str, Any], *names: str) -> dict[str, Any]:
    """``reply``, if it has one of the fields. Raises ProtocolError for an object that answers nothing."""
    if not any(name in reply for name in names):
        found = _core.excerpt(", ".join(reply), 200) or "nothing"
        raise from_core("protocol", message=f"The reply has no {names[0]!r}, only {found}.")
    return reply


class _Base:
    def __init__(
        self,
        host: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float | Timeout | None = None,
        api_key: str | None = None,
        proxy: str | None = None,
        retries: int | Retry | None = None,
        max_line: int | None = None,
        max_body: int | None = None,
    ) -> None:
        self._arguments = {
            "host": host,
            "headers": dict(headers) if headers else None,
            "timeout": timeout,
            "api_key": api_key,
            "proxy": proxy,
            "retries": retries,
            "max_line": max_line,
            "max_body": max_body,
        }
        address = host or os.environ.get("OLLAMA_HOST") or ""
        self._transport = _core.Transport(
            address,
            is_host=not host,
            headers=[(name, value) for name, value in (headers or {}).items() if value is not None],
            api_key=api_key,
            proxy=proxy,
            limits=_limits(timeout),
            retries=_retry(retries),
            max_line=_size("max_line", max_line),
            max_body=_size("max_body", max_body),
        )

    @property
    def base_url(self) -> str:
        """The server's base URL, without user and password."""
        return self._transport.url

    @property
    def _patience(self) -> Limits:
        """For what takes as long as a model is large, and may say nothing until it is done."""
        return (self._transport.limits[0], None, None, None)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self._arguments))


def _rebuild(cls: type[_Base], arguments: dict[str, Any]) -> _Base:
    return cls(**arguments)


class AsyncClient(_Base):
    """A client for asyncio.

    Args:
        host: ``http://host:port``, ``host``, ``host:port``, with or without ``/api`` or ``/v1``; default:
            ``OLLAMA_HOST``, else ``http://127.0.0.1:11434``.
        headers: sent with every request.
        timeout: a number of seconds for the first token and each pause, or a `Timeout`.
        api_key: sent as a bearer token; placeholders such as ``sk-`` and ``ollama`` are not sent.
        proxy: URL of a proxy; default: the environment's, never for loopback.
        retries: how often a request is sent again while no answer has begun, or a `Retry`; 0 switches it off.
        max_line: longest line of a stream, in bytes (default 64 MiB).
        max_body: longest reply that is read whole, in bytes.

    Raises:
        ConfigurationError: something of this cannot be used.

    Every method raises the exceptions of `metagpt_ollama_rs.errors`.
    """

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections that are not in use. The client cannot be used afterwards."""
        self._transport.close()

    aclose = close

    @overload
    async def chat(
        self,
        model: str = "",
        messages: Sequence[Mapping[str, Any] | Any] | None = None,
        *,
        tools: Sequence[Mapping[str, Any] | Callable[..., Any] | Any] | None = None,
        stream: Literal[False] = False,
        think: bool | str | None = None,
        logprobs: bool | None = None,
        top_logprobs: int | None = None,
        format: str | Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | Any | None = None,
        keep_alive: float | str | None = None,
        truncate: bool | None = None,
        timeout: float | Timeout | None = None,
    ) -> ChatResponse: ...

    @overload
    async def chat(
        self,
        model: str = "",
        messages: Sequence[Mapping[str, Any] | Any] | None = None,
        *,
        tools: Sequence[Mapping[str, Any] | Callable[..., Any] | Any] | None = None,
        stream: Literal[True],
        think: bool | str | None = None,
        logprobs: bool | None = None,
        top_logprobs: int | None = None,
        format: str | Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | Any | None = None,
        keep_alive: float | str | None = None,
        truncate: bool | None = None,
        timeout: float | Timeout | None = None,
    ) -> _core.Stream[ChatResponse]: ...

    async def chat(
        self,
        model: str = "",
        messages: Sequence[Mapping[str, Any] | Any] | None = None,
        *,
        stream: bool = False,
        timeout: float | Timeout | None = None,
        **fields: Any,
    ) -> Any:
        """``POST /api/chat``: a `ChatResponse`, or with ``stream`` an asynchronous iterator over its pieces.

        No ``messages`` loads the model (or with ``keep_alive=0`` unloads it). ``images`` of a message may be bytes,
        paths or base64 text. ``tools`` may be functions. ``truncate=False`` makes the server refuse a prompt that is
        longer than the context instead of cutting it in silence.
        """
        payload = chat_payload(model, messages, stream, **fields)
        return await self._ask("/api/chat", payload, ChatResponse, stream, timeout)

    @overload
    async def generate(
        self,
        model: str = "",
        prompt: str | None = None,
        suffix: str | None = None,
        *,
        stream: Literal[False] = False,
        timeout: float | Timeout | None = None,
        **fields: Any,
    ) -> GenerateResponse: ...

    @overload
    async def generate(
        self,
        model: str = "",
        prompt: str | None = None,
        suffix: str | None = None,
        *,
        stream: Literal[True],
        timeout: float | Timeout | None = None,
        **fields: Any,
    ) -> _core.Stream[GenerateResponse]: ...

    async def generate(
        self,
        model: str = "",
        prompt: str | None = None,
        suffix: str | None = None,
        *,
        stream: bool = False,
        timeout: float | Timeout | None = None,
        **fields: Any,
    ) -> Any:
        """``POST /api/generate``: a `GenerateResponse`, or with ``stream`` an asynchronous iterator over its pieces.

        ``fields`` are ``system``, ``template``, ``context``, ``think``, ``logprobs``, ``top_logprobs``, ``raw``,
        ``format``, ``images``, ``options``, ``keep_alive``, ``truncate``, ``width``, ``height`` and ``steps``.
        """
        payload = generate_payload(model, prompt, suffix, stream, **fields)
        return await self._ask("/api/generate", payload, GenerateResponse, stream, timeout)

    async def embed(
        self,
        model: str = "",
        input: str | Sequence[str] = "",
        truncate: bool | None = None,
        options: Mapping[str, Any] | Any | None = None,
        keep_alive: float | str | None = None,
        dimensions: int | None = None,
        *,
        timeout: float | Timeout | None = None,
    ) -> EmbedResponse:
        """``POST /api/embed``: one vector for each text of ``input``, in their order, as lists of Python floats.

        All texts go in one request. If the server refuses them for one text of the list, that one is searched for
        with further requests (at most log2(n) + 2), and the `BadInputError` names it.
        """
        payload = embed_payload(model, input, truncate, options, keep_alive, dimensions)
        reply = EmbedResponse(await ask(lambda body: self.request_json("/api/embed", body, timeout=timeout), payload))
        check_count(len(reply.embeddings or ()), payload)
        return reply

    async def embed_array(
        self,
        model: str = "",
        input: str | Sequence[str] = "",
        truncate: bool | None = None,
        options: Mapping[str, Any] | Any | None = None,
        keep_alive: float | str | None = None,
        dimensions: int | None = None,
        *,
        timeout: float | Timeout | None = None,
    ) -> Vectors:
        """As `embed`, as one block of 32-bit floats, which ``numpy.asarray`` takes without a copy. Several times
        faster: no Python object is made for a number."""
        payload = embed_payload(model, input, truncate, options, keep_alive, dimensions)
        vectors = Vectors(*await ask(lambda body: self._vectors(body, timeout), payload))
        check_count(len(vectors), payload)
        return vectors

    async def embeddings(
        self,
        model: str = "",
        prompt: str | None = None,
        options: Mapping[str, Any] | Any | None = None,
        keep_alive: float | str | None = None,
        *,
        timeout: float | Timeout | None = None,
    ) -> EmbeddingsResponse:
        """``POST /api/embeddings``, the older endpoint: the vector of one text, not normalised."""
        payload = embeddings_payload(model, prompt, options, keep_alive)
        return EmbeddingsResponse(await self.request_json("/api/embeddings", payload, timeout=timeout))

    async def list(self) -> ListResponse:
        """The models on the server's disk."""
        return ListResponse(_having(await self._manage("GET", "/api/tags"), "models"))

    async def ps(self) -> ProcessResponse:
        """The models in the server's memory."""
        return ProcessResponse(_having(await self._manage("GET", "/api/ps"), "models"))

    async def show(self, model: str) -> ShowResponse:
        """What the server knows of ``model``, its capabilities among it."""
        return ShowResponse(await self._manage("POST", "/api/show", {"model": model}))

    async def version(self) -> str:
        """The server's version, such as ``0.33.0``."""
        return str(_having(await self._manage("GET", "/api/version"), "version")["version"])

    async def pull(self, model: str, *, insecure: bool = False, stream: bool = False) -> Any:
        """Fetches ``model``: a `ProgressResponse`, or with ``stream`` an asynchronous iterator over them."""
        return await self._progress("/api/pull", {"model": model, "insecure": insecure, "stream": stream})

    async def push(self, model: str, *, insecure: bool = False, stream: bool = False) -> Any:
        """Uploads ``model``: a `ProgressResponse`, or with ``stream`` an asynchronous iterator over them."""
        return await self._progress("/api/push", {"model": model, "insecure": insecure, "stream": stream})

    async def create(self, model: str, *, stream: bool = False, **fields: Any) -> Any:
        """Makes ``model`` from another (``from_=``) or from files; the rest as in Ollama's ``/api/create``."""
        return await self._progress("/api/create", create_payload(model, stream, fields))

    async def delete(self, model: str) -> StatusResponse:
        """Removes ``model`` from the server's disk."""
        await self._manage("DELETE", "/api/delete", {"model": model}, form="status")
        return StatusResponse({"status": "success"})

    async def copy(self, source: str, destination: str) -> StatusResponse:
        """Gives the model ``source`` a second name."""
        await self._manage("POST", "/api/copy", {"source": source, "destination": destination}, form="status")
        return StatusResponse({"status": "success"})

    async def stream_text(
        self,
        path: str,
        payload: Mapping[str, Any],
        on_text: Callable[[str], object],
        *,
        on_thinking: Callable[[str], object] | None = None,
        timeout: float | Timeout | None = None,
    ) -> dict[str, Any]:
        """Streams the reply to a callback, and returns the final object with the whole text in it.

        ``on_text`` is called once for each piece of the answer, in order, as it arrives, in the context of the
        caller (``contextvars``); what it raises ends the request and comes out here. A callable that it returns takes
        its place for the rest, once. ``payload`` is sent with ``"stream": true``. The result has Ollama's own shape:
        ``{"message": {"content": …}, "done": true, …}`` of ``/api/chat``, ``{"response": …}`` of ``/api/generate``.
        """
        body = {**payload, "stream": True}
        result = await self._transport.deliver(path, body, on_text, on_thinking, _limits(timeout))
        return cast("dict[str, Any]", result)

    async def request_json(
        self,
        path: str,
        payload: Mapping[str, Any] | None = None,
        *,
        method: str = "POST",
        timeout: float | Timeout | None = None,
    ) -> Any:
        """The whole reply, parsed. A body of several lines (a server that streams all the same) is folded into one."""
        return await self._transport.call(method, path, payload, "answer", _limits(timeout))

    async def request_bytes(
        self,
        path: str,
        payload: Mapping[str, Any] | None = None,
        *,
        method: str = "POST",
        timeout: float | Timeout | None = None,
    ) -> tuple[bytes, str]:
        """The body of the reply as it came, and its content type."""
        reply = await self._transport.call(method, path, payload, "bytes", _limits(timeout))
        return cast("tuple[bytes, str]", reply)

    async def stream_lines(
        self, path: str, payload: Mapping[str, Any], *, timeout: float | Timeout | None = None
    ) -> AsyncIterator[bytes]:
        """The lines of a streamed reply as they came, without their line ends; nothing in them is looked at."""
        body = {**payload, "stream": True}
        stream = self._transport.stream(path, body, None, True, _limits(timeout))
        try:
            async for line in stream:
                yield line
        finally:
            stream.close()

    async def _ask(
        self, path: str, payload: dict[str, Any], made: type[Any], stream: bool, timeout: float | Timeout | None
    ) -> Any:
        if stream:
            return self._transport.stream(path, payload, made, False, _limits(timeout))
        return made(_having(await self.request_json(path, payload, timeout=timeout), *_TEXT[path]))

    async def _vectors(self, payload: Mapping[str, Any], timeout: float | Timeout | None) -> Any:
        return await self._transport.call("POST", "/api/embed", payload, "vectors", _limits(timeout))

    async def _manage(
        self, method: str, path: str, payload: dict[str, Any] | None = None, *, form: str = "answer"
    ) -> Any:
        return await self._transport.manage(method, path, payload, form, None)

    async def _progress(self, path: str, payload: dict[str, Any]) -> Any:
        if payload["stream"]:
            return self._transport.stream(path, payload, ProgressResponse, False, self._patience)
        return ProgressResponse(await self._transport.manage("POST", path, payload, "answer", self._patience))


class Client(_Base):
    """A client for code without an event loop. Arguments and errors as of `AsyncClient`; Ctrl-C ends a wait at once."""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections that are not in use. The client cannot be used afterwards."""
        self._transport.close()

    @overload
    def chat(
        self,
        model: str = "",
        messages: Sequence[Mapping[str, Any] | Any] | None = None,
        *,
        tools: Sequence[Mapping[str, Any] | Callable[..., Any] | Any] | None = None,
        stream: Literal[False] = False,
        think: bool | str | None = None,
        logprobs: bool | None = None,
        top_logprobs: int | None = None,
        format: str | Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | Any | None = None,
        keep_alive: float | str | None = None,
        truncate: bool | None = None,
        timeout: float | Timeout | None = None,
    ) -> ChatResponse: ...

    @overload
    def chat(
        self,
        model: str = "",
        messages: Sequence[Mapping[str, Any] | Any] | None = None,
        *,
        tools: Sequence[Mapping[str, Any] | Callable[..., Any] | Any] | None = None,
        stream: Literal[True],
        think: bool | str | None = None,
        logprobs: bool | None = None,
        top_logprobs: int | None = None,
        format: str | Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | Any | None = None,
        keep_alive: float | str | None = None,
        truncate: bool | None = None,
        timeout: float | Timeout | None = None,
    ) -> _core.BlockingStream[ChatResponse]: ...

    def chat(
        self,
        model: str = "",
        messages: Sequence[Mapping[str, Any] | Any] | None = None,
        *,
        stream: bool = False,
        timeout: float | Timeout | None = None,
        **fields: Any,
    ) -> Any:
        """As `AsyncClient.chat`; with ``stream`` an iterator."""
        payload = chat_payload(model, messages, stream, **fields)
        return self._ask("/api/chat", payload, ChatResponse, stream, timeout)

    @overload
    def generate(
        self,
        model: str = "",
        prompt: str | None = None,
        suffix: str | None = None,
        *,
        stream: Literal[False] = False,
        timeout: float | Timeout | None = None,
        **fields: Any,
    ) -> GenerateResponse: ...

    @overload
    def generate(
        self,
        model: str = "",
        prompt: str | None = None,
        suffix: str | None = None,
        *,
        stream: Literal[True],
        timeout: float | Timeout | None = None,
        **fields: Any,
    ) -> _core.BlockingStream[GenerateResponse]: ...

    def generate(
        self,
        model: str = "",
        prompt: str | None = None,
        suffix: str | None = None,
        *,
        stream: bool = False,
        timeout: float | Timeout | None = None,
        **fields: Any,
    ) -> Any:
        """As `AsyncClient.generate`; with ``stream`` an iterator."""
        payload = generate_payload(model, prompt, suffix, stream, **fields)
        return self._ask("/api/generate", payload, GenerateResponse, stream, timeout)

    def embed(
        self,
        model: str = "",
        input: str | Sequence[str] = "",
        truncate: bool | None = None,
        options: Mapping[str, Any] | Any | None = None,
        keep_alive: float | str | None = None,
        dimensions: int | None = None,
        *,
        timeout: float | Timeout | None = None,
    ) -> EmbedResponse:
        """As `AsyncClient.embed`."""
        payload = embed_payload(model, input, truncate, options, keep_alive, dimensions)
        reply = EmbedResponse(
            ask_blocking(lambda body: self._call("POST", "/api/embed", body, timeout=timeout), payload)
        )
        check_count(len(reply.embeddings or ()), payload)
        return reply

    def embed_array(
        self,
        model: str = "",
        input: str | Sequence[str] = "",
        truncate: bool | None = None,
        options: Mapping[str, Any] | Any | None = None,
        keep_alive: float | str | None = None,
        dimensions: int | None = None,
        *,
        timeout: float | Timeout | None = None,
    ) -> Vectors:
        """As `AsyncClient.embed_array`."""
        payload = embed_payload(model, input, truncate, options, keep_alive, dimensions)
        vectors = Vectors(
            *ask_blocking(lambda body: self._call("POST", "/api/embed", body, form="vectors", timeout=timeout), payload)
        )
        check_count(len(vectors), payload)
        return vectors

    def embeddings(
        self,
        model: str = "",
        prompt: str | None = None,
        options: Mapping[str, Any] | Any | None = None,
        keep_alive: float | str | None = None,
        *,
        timeout: float | Timeout | None = None,
    ) -> EmbeddingsResponse:
        """As `AsyncClient.embeddings`."""
        payload = embeddings_payload(model, prompt, options, keep_alive)
        return EmbeddingsResponse(self._call("POST", "/api/embeddings", payload, timeout=timeout))

    def list(self) -> ListResponse:
        """The models on the server's disk."""
        return ListResponse(_having(self._call("GET", "/api/tags"), "models"))

    def ps(self) -> ProcessResponse:
        """The models in the server's memory."""
        return ProcessResponse(_having(self._call("GET", "/api/ps"), "models"))

    def show(self, model: str) -> ShowResponse:
        """What the server knows of ``model``, its capabilities among it."""
        return ShowResponse(self._call("POST", "/api/show", {"model": model}))

    def version(self) -> str:
        """The server's version, such as ``0.33.0``."""
        return str(_having(self._call("GET", "/api/version"), "version")["version"])

    def pull(self, model: str, *, insecure: bool = False, stream: bool = False) -> Any:
        """As `AsyncClient.pull`; with ``stream`` an iterator."""
        return self._progress("/api/pull", {"model": model, "insecure": insecure, "stream": stream})

    def push(self, model: str, *, insecure: bool = False, stream: bool = False) -> Any:
        """As `AsyncClient.push`; with ``stream`` an iterator."""
        return self._progress("/api/push", {"model": model, "insecure": insecure, "stream": stream})

    def create(self, model: str, *, stream: bool = False, **fields: Any) -> Any:
        """As `AsyncClient.create`; with ``stream`` an iterator."""
        return self._progress("/api/create", create_payload(model, stream, fields))

    def delete(self, model: str) -> StatusResponse:
        """Removes ``model`` from the server's disk."""
        self._call("DELETE", "/api/delete", {"model": model}, form="status")
        return StatusResponse({"status": "success"})

    def copy(self, source: str, destination: str) -> StatusResponse:
        """Gives the model ``source`` a second name."""
        self._call("POST", "/api/copy", {"source": source, "destination": destination}, form="status")
        return StatusResponse({"status": "success"})

    def _ask(
        self, path: str, payload: dict[str, Any], made: type[Any], stream: bool, timeout: float | Timeout | None
    ) -> Any:
        if stream:
            return self._transport.stream_blocking(path, payload, made, _limits(timeout))
        return made(_having(self._call("POST", path, payload, timeout=timeout), *_TEXT[path]))

    def _call(
        self,
        method: str,
        path: str,
        payload: Mapping[str, Any] | None = None,
        *,
        form: str = "answer",
        timeout: float | Timeout | None = None,
    ) -> Any:
        return self._transport.call_blocking(method, path, payload, form, _limits(timeout))

    def _progress(self, path: str, payload: dict[str, Any]) -> Any:
        if payload["stream"]:
            return self._transport.stream_blocking(path, payload, ProgressResponse, self._patience)
        return ProgressResponse(self._transport.call_blocking("POST", path, payload, "answer", self._patience))


__all__ = ["AsyncClient", "Client", "Retry", "Timeout"]
