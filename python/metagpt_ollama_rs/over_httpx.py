"""Requests over an httpx client of the user's, for whom httpx does what the core does not: a transport of one's own
(``httpx.MockTransport`` in tests, ``httpx.WSGITransport``), event hooks, an ``httpx.Auth`` that answers a challenge::

    Client(transport=httpx.MockTransport(handle))          # `base` makes an httpx client of the arguments
    client._client = httpx.Client(base_url="http://…")     # `ollama_compat`: one that there is already

`HttpxCarrier` has the methods of ``_core.NativeClient`` that the clients use, so that everything above it is the same:
payloads, checks, classes of replies and of errors. The core's own work is not done: there are no lanes, no retries, no
records in `stats`, no repetition guard, and of the time limits httpx knows connecting and the wait for the next bytes.
This module imports nothing of httpx: its exceptions are told by their names.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from metagpt_ollama_rs import _core
from metagpt_ollama_rs.errors import ConfigurationError, DecodeError, OllamaError
from metagpt_ollama_rs.failures import from_core

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Iterable, Iterator
    from types import TracebackType

    from typing_extensions import Self

    from metagpt_ollama_rs.endpoints import Endpoint
    from metagpt_ollama_rs.limits import CallSettings, Limits

    MakeItem = Callable[[Any], Any]

__all__ = ["HttpxBlockingStream", "HttpxCarrier", "HttpxReply", "HttpxStream"]

_Item = TypeVar("_Item")

# So much of a file is read at a time.
_PIECE = 1 << 20

# How the core names what httpx's exceptions tell: before the reply, and in it. A class that is not here counts as the
# nearest one above it that is.
_BEFORE_REPLY = {
    "ConnectTimeout": ("timeout", "connect"),
    "TimeoutException": ("timeout", "first_token"),
    "NetworkError": ("connect", None),
    "ProxyError": ("connect", None),
    "RemoteProtocolError": ("connect", None),
    "UnsupportedProtocol": ("config", None),
    "LocalProtocolError": ("config", None),
    "InvalidURL": ("config", None),
    "TooManyRedirects": ("protocol", None),
    "DecodingError": ("protocol", None),
}
_IN_REPLY = {
    "TimeoutException": ("timeout", "idle"),
    "NetworkError": ("interrupted", None),
    "ProtocolError": ("interrupted", None),
    "DecodingError": ("decode", None),
}


class HttpxCarrier:
    """An ``httpx.Client`` or ``httpx.AsyncClient`` in the place of the core's client, whose methods it has.

    ``native`` is the core's client for the same server: its address, its limits, and what it keeps secret. A line may
    have ``max_line`` bytes.

    >>> from metagpt_ollama_rs import Client
    >>> carrier = HttpxCarrier(object(), Client("example.com")._native)
    >>> carrier.url
    'http://example.com:11434'
    """

    def __init__(self, client: Any, native: _core.NativeClient, max_line: int | None = None) -> None:
        self.client = client
        self.max_line = max_line
        self.native = native

    @property
    def url(self) -> str:
        return self.native.url

    @property
    def limits(self) -> Limits:
        return self.native.limits

    def redact(self, text: str, settings: CallSettings | None = None) -> str:
        return self.native.redact(text, settings)

    @property
    def authorized(self) -> bool:
        return self.native.authorized

    # There are no records here, so no `on_call` is told of one.
    def call_blocking(
        self,
        endpoint: Endpoint,
        payload: Any,
        format: str,
        settings: CallSettings | None,
        on_call: Callable[[str], object] | None = None,
        convert: MakeItem | None = None,
    ) -> Any:
        exchange = _Exchange(self, endpoint, payload, settings)
        _refuse_guard(format == "guarded")
        with exchange:
            response = self.client.request(**exchange.arguments)
        return exchange.read_whole(response, format, convert)

    def stream_blocking(
        self,
        endpoint: Endpoint,
        payload: Any,
        item_class: MakeItem | None,
        settings: CallSettings | None,
        guarded: bool = False,
        raw_lines: bool = False,
    ) -> HttpxBlockingStream[Any]:
        _refuse_guard(guarded)
        exchange = _Exchange(self, endpoint, payload, settings)
        return HttpxBlockingStream(self._lines(exchange, _RawLines() if raw_lines else _Items(exchange, item_class)))

    def call(
        self,
        endpoint: Endpoint,
        payload: Any,
        format: str,
        settings: CallSettings | None,
        convert: MakeItem | None = None,
    ) -> HttpxReply:
        _refuse_guard(format == "guarded")
        return HttpxReply(self._call(_Exchange(self, endpoint, payload, settings), format, convert))

    async def _call(self, exchange: _Exchange, format: str, convert: MakeItem | None) -> Any:
        with exchange:
            response = await self.client.request(**exchange.arguments)
        return exchange.read_whole(response, format, convert)

    def stream(
        self,
        endpoint: Endpoint,
        payload: Any,
        item_class: MakeItem | None,
        raw_lines: bool,
        settings: CallSettings | None,
        guarded: bool = False,
    ) -> HttpxStream[Any]:
        _refuse_guard(guarded)
        exchange = _Exchange(self, endpoint, payload, settings)
        return HttpxStream(self._batches(exchange, _RawLines() if raw_lines else _Items(exchange, item_class)))

    def deliver(
        self,
        endpoint: Endpoint,
        payload: Any,
        on_text: Callable[[str], object],
        on_thinking: Callable[[str], object] | None,
        settings: CallSettings | None,
        guarded: bool = False,
    ) -> HttpxReply:
        _refuse_guard(guarded)
        return HttpxReply(self._deliver(_Exchange(self, endpoint, payload, settings), on_text, on_thinking))

    async def _deliver(
        self, exchange: _Exchange, on_text: Callable[[str], object], on_thinking: Callable[[str], object] | None
    ) -> dict[str, Any]:
        items = _Items(exchange, None, deltas=True)
        callbacks = _Callbacks(on_text, on_thinking)
        async for deltas in self._batches(exchange, items):
            for delta in deltas:
                callbacks.tell(delta)
        return items.folded()

    def deliver_blocking(
        self,
        endpoint: Endpoint,
        payload: Any,
        on_text: Callable[[str], object],
        on_thinking: Callable[[str], object] | None,
        settings: CallSettings | None,
        guarded: bool = False,
        on_call: Callable[[str], object] | None = None,
    ) -> dict[str, Any]:
        _refuse_guard(guarded)
        exchange = _Exchange(self, endpoint, payload, settings)
        items = _Items(exchange, None, deltas=True)
        callbacks = _Callbacks(on_text, on_thinking)
        for delta in self._lines(exchange, items):
            callbacks.tell(delta)
        return items.folded()

    def upload_blocking(
        self, endpoint: Endpoint, path: Any, item_class: MakeItem | None, settings: CallSettings | None
    ) -> HttpxBlockingStream[Any]:
        return HttpxBlockingStream(self._upload(_Exchange(self, endpoint, None, settings), path, item_class or dict))

    def _upload(self, exchange: _Exchange, path: Any, make: MakeItem) -> Generator[Any, None, None]:
        with open(path, "rb") as file, exchange:
            response = self.client.request(**exchange.arguments, content=file)
        exchange.check(response)
        yield make({"status": "success"})

    def upload(
        self, endpoint: Endpoint, path: Any, item_class: MakeItem | None, settings: CallSettings | None
    ) -> HttpxStream[Any]:
        exchange = _Exchange(self, endpoint, None, settings)
        return HttpxStream(self._upload_batches(exchange, path, item_class or dict))

    async def _upload_batches(self, exchange: _Exchange, path: Any, make: MakeItem) -> AsyncGenerator[list[Any], None]:
        in_thread = _core.running_loop().run_in_executor
        file = await in_thread(None, open, path, "rb")

        async def pieces() -> AsyncGenerator[bytes, None]:
            while piece := await in_thread(None, file.read, _PIECE):
                yield piece

        with file, exchange:
            response = await self.client.request(**exchange.arguments, content=pieces())
        exchange.check(response)
        yield [make({"status": "success"})]

    def _lines(self, exchange: _Exchange, items: _RawLines | _Items) -> Generator[Any, None, None]:
        with exchange, self.client.stream(**exchange.arguments) as response:
            if response.status_code >= 300:
                response.read()
            exchange.check(response)
            for piece in response.iter_bytes():
                yield from items.feed(piece)
            yield from items.finish()

    async def _batches(self, exchange: _Exchange, items: _RawLines | _Items) -> AsyncGenerator[list[Any], None]:
        with exchange:
            async with self.client.stream(**exchange.arguments) as response:
                if response.status_code >= 300:
                    await response.aread()
                exchange.check(response)
                async for piece in response.aiter_bytes():
                    for batch in _all_of(items.feed(piece)):
                        yield batch
                for batch in _all_of(items.finish()):
                    yield batch

    def close(self) -> None:
        self.client.close()

    def aclose(self) -> Awaitable[None]:
        return self.client.aclose()  # type: ignore[no-any-return]


class _Callbacks:
    """What is called with the pieces of an answer. A callable that the first one returns takes its place, once."""

    def __init__(self, on_text: Callable[[str], object], on_thinking: Callable[[str], object] | None) -> None:
        self._on_text = on_text
        self._on_thinking = on_thinking
        self._replaced = False

    def tell(self, delta: _core.Delta) -> None:
        if delta.thinking and self._on_thinking is not None:
            self._on_thinking(delta.thinking)
        if delta.content:
            other = self._on_text(delta.content)
            if callable(other) and not self._replaced:
                self._on_text, self._replaced = other, True


def _all_of(items: Iterable[Any]) -> Iterator[list[Any]]:
    """The items as one list, also those before an exception, which is raised after it."""
    found: list[Any] = []
    failure = None
    try:
        found.extend(items)
    except OllamaError as error:
        failure = error
    yield found
    if failure is not None:
        raise failure


def _refuse_guard(guarded: bool) -> None:
    if guarded:
        raise ConfigurationError(
            "repetition_guard is the core's, which requests over httpx do not pass through",
            hint="leave repetition_guard out, or the httpx client",
        )


class _Exchange:
    """A request and what becomes of it; as a context, it turns httpx's exceptions into this package's."""

    def __init__(self, carrier: HttpxCarrier, endpoint: Endpoint, payload: Any, settings: CallSettings | None) -> None:
        limits, _, headers = settings or (None, None, None)
        self.endpoint = endpoint
        self.max_line = carrier.max_line
        self.arguments: dict[str, Any] = {"method": endpoint.method, "url": endpoint.path}
        sent = dict(headers or [])
        if payload is not None:
            self.arguments["content"] = payload if isinstance(payload, bytes) else _core.dumps(payload)
            sent.setdefault("Content-Type", "application/json")
        self.arguments["headers"] = sent
        if limits is not None:
            self.arguments["timeout"] = httpx_timeout(limits)
        self.url = f"{carrier.url}{endpoint.path}" if endpoint.path.startswith("/") else endpoint.path
        self.model = payload.get("model") if isinstance(payload, dict) else None
        self.status: int | None = None
        self.items: _Items | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        names = [cls.__name__ for cls in type(error).__mro__ if cls.__module__.partition(".")[0] == "httpx"]
        table = _BEFORE_REPLY if self.status is None else _IN_REPLY
        found = next((table[name] for name in names if name in table), None)
        if found is None or error is None:
            return
        what, phase = found
        text = str(error) or names[0]
        seconds = None
        if what == "timeout":
            limit = getattr(getattr(error, "request", None), "extensions", {}).get("timeout", {})
            seconds = limit.get("connect" if phase == "connect" else "read")
            message = f"No answer within {seconds} s." if seconds is not None else "No answer in time."
        else:
            message = f"{text[:1].upper()}{text[1:]}"
        raise self.error(what, message=message, phase=phase, seconds=seconds) from error

    def error(self, kind: str, **known: Any) -> Exception:
        """The error of a kind of the core's, with what is known of this request."""
        if self.items is not None:
            known.update(partial=self.items.text, partial_thinking=self.items.thinking)
        known.setdefault("status", self.status)
        return from_core(kind, url=self.url, model=self.model, endpoint=self.endpoint.path, **known)

    def check(self, response: Any) -> None:
        """Raises the error of a reply that is none of success. Its body has been read."""
        status = response.status_code
        if status < 300:
            self.status = status
            return
        if status < 400:
            location = response.headers.get("location")
            message = f"The server redirects to {location}, which is not followed."
            raise self.error("protocol", message=message, status=status, location=location)
        text = _server_text(response.content)
        missing = status == 404 and "model" in text.lower() and response.content.lstrip().startswith(b"{")
        reason = f" {response.reason_phrase}" if response.reason_phrase else ""
        raise self.error(
            "status",
            message=f"The server answered {status}{reason}" + (f": {text[:600]}" if text else ""),
            status=status,
            server_text=text,
            body=response.content[: 64 * 1024],
            retry_after=_seconds_of(response.headers.get("retry-after")),
            cause="missing_model" if missing else None,
        )

    def read_whole(self, response: Any, format: str, convert: MakeItem | None) -> Any:
        """A whole reply in one of the formats of ``NativeClient.call``, or what ``convert`` makes of that."""
        reply = self._read(response, format)
        return reply if convert is None else convert(reply)

    def _read(self, response: Any, format: str) -> Any:
        self.check(response)
        body: bytes = response.content
        if format == "bytes":
            return body, response.headers.get("content-type", "")
        if not body.strip():
            if format == "status":
                return None
            raise self.error("protocol", message="The reply is empty.")
        try:
            reply = json.loads(body)
        except ValueError as error:
            if format == "vectors" or not self.endpoint.streams:
                raise self.error("decode", message=f"The reply cannot be decoded: {error}.") from error
            items = _Items(self, None)
            for _ in (*items.feed(body), *items.finish()):
                pass
            return items.folded()
        if not isinstance(reply, dict):
            raise self.error("protocol", message=f"The reply is no object but {json.dumps(reply)[:80]}.")
        self.refuse_error(reply.get("error"), body)
        return _vectors_of(self, reply) if format == "vectors" else reply

    def refuse_error(self, found: Any, line: bytes) -> None:
        """Raises the error that a line or a whole reply names, if it does."""
        if found:
            text = _error_text(found)
            message = f"The server reported an error in the stream: {text[:600]}"
            raise self.error("mid_stream", message=message, server_text=text, body=line)


def httpx_timeout(limits: Limits) -> tuple[float | None, float | None, None, None]:
    """Our four limits as those of httpx: connecting, and the wait for the next bytes; writing and the pool have none.

    >>> httpx_timeout((5.0, 600.0, 120.0, None))
    (5.0, 600.0, None, None)
    """
    connect, first_token, idle, _ = limits
    return (connect, None if first_token is None or idle is None else max(first_token, idle), None, None)


def _server_text(body: bytes) -> str:
    """What the body of a refusal says: the error of a JSON object, else the text itself."""
    text = body.decode("utf-8", "replace").strip()
    try:
        found = json.loads(text)
    except ValueError:
        return text
    return _error_text(found["error"]) if isinstance(found, dict) and found.get("error") else text


def _error_text(found: Any) -> str:
    """The text of an ``error``, that of an object in it, or that of JSON in it."""
    if isinstance(found, str) and found.lstrip().startswith("{"):
        try:
            inner = json.loads(found)
        except ValueError:
            return found
        return _error_text(inner["error"]) if isinstance(inner, dict) and inner.get("error") else found
    if isinstance(found, dict):
        return _error_text(found.get("message") or json.dumps(found))
    return str(found)


def _seconds_of(value: str | None) -> float | None:
    return float(value) if value is not None and re.fullmatch(r"\s*\d+(\.\d+)?\s*", value) else None


def _vectors_of(exchange: _Exchange, reply: dict[str, Any]) -> tuple[bytearray, int, int, dict[str, Any]]:
    from array import array

    rows = reply.pop("embeddings", None) or []
    fault = _core.vectors_fault(rows)
    if fault:
        raise exchange.error("protocol", message=f"The server sent no usable vectors: {fault}", cause="vectors")
    floats = array("f", [number for row in rows for number in row])
    return bytearray(floats.tobytes()), len(rows), len(rows[0]) if rows else 0, reply


class _RawLines:
    """The lines of a body as they came, blank ones left out."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[bytes]:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        return [line for line in lines if line.strip()]

    def finish(self) -> list[bytes]:
        return self.feed(b"\n")


class _Items:
    """The items of a streamed body, and what they say together: its text, whether it came to its end."""

    def __init__(self, exchange: _Exchange, item_class: MakeItem | None, *, deltas: bool = False) -> None:
        exchange.items = self
        self._exchange = exchange
        self._make = item_class
        self._deltas = deltas
        # Lines of any kind are no answer, which the decoder takes them for.
        self._decoder = (
            _core.StreamDecoder(max_line=exchange.max_line)
            if exchange.endpoint.lines in ("answer", "progress") or deltas
            else None
        )
        self._lines = _RawLines()
        self._last: dict[str, Any] = {}
        self._tool_calls: list[Any] = []
        self._done = self._says_done = False
        self._texts: list[str] = []
        self._thoughts: list[str] = []

    @property
    def text(self) -> str:
        """The text of the answer so far."""
        return "".join(self._texts)

    @property
    def thinking(self) -> str:
        """The model's thinking so far."""
        return "".join(self._thoughts)

    def feed(self, piece: bytes) -> Iterator[Any]:
        """The items that a piece of the body completes; what is wrong comes after those before it."""
        if self._decoder is None:
            for line in self._lines.feed(piece):
                yield from self._loose(line)
        else:
            yield from self._decode(self._decoder.feed, piece)

    def finish(self) -> Iterator[Any]:
        """The items that the end of the body completes. Raises the error of one that has ended too early."""
        if self._decoder is None:
            for line in self._lines.finish():
                yield from self._loose(line)
            return
        yield from self._decode(self._decoder.finish)
        if self._exchange.endpoint.lines == "progress":
            complete, last = self._last.get("status") == "success", "`status: success`"
        else:
            # An answer none of whose lines says `done` has no last line to wait for.
            complete, last = self._done or (bool(self._last) and not self._says_done), "`done: true`"
        if not complete:
            message = f"The reply ended without a last line ({last}): it is cut short."
            raise self._exchange.error("incomplete", message=message)

    def _decode(self, work: Callable[..., list[_core.Delta]], *piece: bytes) -> Iterator[Any]:
        failure = None
        try:
            deltas = work(*piece)
        except DecodeError as error:
            deltas, failure = error.deltas, error  # type: ignore[attr-defined]
        for delta in deltas:
            yield from self._read(delta)
        if failure is not None and not self._done:
            failure.url, failure.model, failure.status = self._exchange.url, self._exchange.model, self._exchange.status
            raise failure

    def _loose(self, line: bytes) -> list[Any]:
        text = line.strip()
        if text.startswith(b"data:"):
            text = text[len(b"data:") :].strip()
        if text == b"[DONE]" or text.startswith((b":", b"event:", b"id:", b"retry:")):
            return []
        try:
            found = json.loads(text)
        except ValueError as error:
            raise self._exchange.error("decode", message=f"The reply cannot be decoded: {error}.") from error
        if isinstance(found, dict):
            self._exchange.refuse_error(found.get("error"), line)
            self._last = found
        return [found if self._make is None else self._make(found)]

    def _read(self, delta: _core.Delta) -> list[Any]:
        if self._done:
            return []
        raw = delta.raw
        if delta.error:
            self._exchange.refuse_error(delta.error, _core.dumps(raw))
        self._last = raw or self._last
        self._done = delta.done
        self._says_done = self._says_done or "done" in raw
        self._texts.append(delta.content)
        self._thoughts.append(delta.thinking)
        self._tool_calls += delta.tool_calls
        return [delta if self._deltas else raw if self._make is None else self._make(raw)]

    def folded(self) -> dict[str, Any]:
        """The last line, with all that the lines say in the place of what it says."""
        whole = dict(self._last)
        if self._exchange.endpoint.lines != "answer":
            return whole
        thinking = self.thinking
        said = {"thinking": thinking} if thinking else {}
        if "response" in whole:
            return {**whole, "response": self.text, **said}
        calls = {"tool_calls": self._tool_calls} if self._tool_calls else {}
        message = {"role": "assistant", **(whole.get("message") or {}), "content": self.text, **said, **calls}
        return {**whole, "message": message}


class HttpxBlockingStream(Generic[_Item]):
    """A reply over httpx as it arrives, with the methods of ``_core.BlockingStream``.

    >>> with HttpxBlockingStream(iter(())) as stream:
    ...     list(stream)
    []
    """

    call_id: str | None = None

    def __init__(self, lines: Any) -> None:
        self._lines = lines

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> _Item:
        return next(self._lines)  # type: ignore[no-any-return]

    def close(self) -> None:
        """Ends the request if it is still under way."""
        getattr(self._lines, "close", lambda: None)()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


class HttpxStream(Generic[_Item]):
    """A reply over httpx as it arrives, with the methods of ``_core.Stream``.

    >>> async def no_batches():
    ...     return
    ...     yield
    >>> HttpxStream(no_batches()).call_id is None
    True
    """

    call_id: str | None = None

    def __init__(self, batches: AsyncGenerator[list[_Item], None]) -> None:
        self._batches = batches
        self._waiting: list[_Item] = []
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _Item:
        while not self._waiting:
            # Raises StopAsyncIteration at the end of the reply.
            self._waiting = [] if self._closed else list(reversed(await self._batches.__anext__()))
            if self._closed:
                raise StopAsyncIteration
        return self._waiting.pop()

    def batches(self) -> AsyncGenerator[list[_Item], None]:
        """The same stream as an asynchronous iterator over lists: all items that have arrived, at least one."""

        async def filled() -> AsyncGenerator[list[_Item], None]:
            async for batch in self._batches:
                if batch:
                    yield batch

        return filled()

    def close(self) -> None:
        """No item comes after this. The connection ends when the stream is dropped, or with `aclose`."""
        self._closed = True
        self._waiting = []

    async def aclose(self) -> None:
        """Ends the request if it is still under way."""
        self.close()
        await self._batches.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.aclose()


class HttpxReply:
    """The awaitable of a whole reply over httpx. It has no record, and so no ``call_id``.

    >>> async def reply():
    ...     return 1
    >>> import asyncio
    >>> async def main():
    ...     return await HttpxReply(reply())
    >>> asyncio.run(main())
    1
    """

    call_id: str | None = None

    def __init__(self, work: Coroutine[Any, Any, Any]) -> None:
        self._work = work

    def __await__(self) -> Generator[Any, None, Any]:
        return self._work.__await__()
