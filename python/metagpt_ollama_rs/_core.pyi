"""The compiled core. Use the names of the package instead: what is not exported there may change."""

from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Generator
from os import PathLike
from typing import Any, Generic, TypeVar, final

from typing_extensions import Self, disjoint_base

_T = TypeVar("_T")
_Limits = tuple[float | None, float | None, float | None, float | None]
_Retries = tuple[int, float, float, float]
_Settings = tuple[_Limits | None, _Retries | None, list[tuple[str, str]] | None]

__all__ = [
    "COUNTERS",
    "DEBUG_BUILD",
    "DEFAULT_LIMITS",
    "DEFAULT_RETRIES",
    "OPENAI_USAGE",
    "SCRIPTS",
    "BlockingStream",
    "Delta",
    "Endpoint",
    "NativeAwaitable",
    "NativeClient",
    "Stream",
    "StreamDecoder",
    "__version__",
    "adopt_dict",
    "count_script_bytes",
    "decode",
    "decode_text",
    "dumps",
    "excerpt",
    "get_choice",
    "get_response_choice",
    "is_cloud",
    "loads",
    "observe_all_calls",
    "parse_tool_arguments",
    "refuse_repetition",
    "running_loop",
    "stats_clear",
    "stats_fail",
    "stats_pending",
    "stats_records",
    "stats_repaired",
    "stats_resize",
    "vectors_fault",
]
__version__: str
DEBUG_BUILD: bool
DEFAULT_LIMITS: _Limits
DEFAULT_RETRIES: _Retries

COUNTERS: tuple[str, ...]
# What `count_script_bytes` tells apart, in order.
SCRIPTS: tuple[str, ...]
# The counters that OpenAI's endpoints have too: the name, and what it is called in their `usage`.
OPENAI_USAGE: dict[str, str]

def decode(response: Any, /) -> Any:
    """The last JSON value of a reply's body, whatever it is: one object, lines, or server-sent events.

    ``response`` is the body (bytes, bytearray, memoryview or str) or an object with it in ``data``. The value is
    what ``json.loads`` makes of the last line that parses. A body in which nothing parses gives ``{"error": …,
    "raw_data": …}`` and a warning in the log. Raises TypeError for an argument that holds no body.

    >>> decode(b'{"response":"a","done":false}\\n{"response":"b","done":true}\\n')
    {'response': 'b', 'done': True}
    """

def decode_text(response: Any, /) -> str:
    """The text in the last JSON value of a reply's body: ``get_choice(decode(response))`` without the dict in between.

    What has a ``response`` and no message gives that. Raises TypeError for an argument that holds no body.

    >>> decode_text('{"message":{"role":"assistant","content":"Hello"}}')
    'Hello'
    """

def get_choice(to_choice_dict: Any, /) -> str:
    """The text of the answer in what ``decode`` returned for ``/api/chat``.

    An error dict gives ``[Ollama Error] … | Raw: …``; a message of the assistant its content ("" where that is null
    or missing); anything else its ``str``.

    >>> get_choice({"message": {"role": "assistant", "content": "Hello"}})
    'Hello'
    """

def get_response_choice(to_choice_dict: Any, /) -> str:
    """The text of the answer in what ``decode`` returned for ``/api/generate``: `get_choice` of a ``response``.

    >>> get_response_choice({"response": "Hello"})
    'Hello'
    """

def loads(text: bytes) -> Any:
    """The value of JSON text in UTF-8, as ``json.loads`` has it. Raises ValueError for what is no JSON.

    >>> loads(b'{"a": [1, 2.5, null]}')
    {'a': [1, 2.5, None]}
    """

def dumps(value: Any) -> bytes:
    """Compact JSON text in UTF-8. Bytes count as the text that they are. Raises TypeError or ValueError for what JSON
    cannot say.

    >>> dumps({"a": [1, None, "ü"]}).decode()
    '{"a":[1,null,"ü"]}'
    """

def running_loop() -> AbstractEventLoop:
    """``asyncio.get_running_loop()``. Where none runs, the RuntimeError says what to do instead.

    >>> running_loop()
    Traceback (most recent call last):
    RuntimeError: AsyncClient needs a running event loop of asyncio: await it in what asyncio.run runs, or use Client
    """

def refuse_repetition(content: str, thinking: str, model: str) -> None:
    """Raises IncompleteError for an answer of ``model`` whose text or thinking ends with one block over and over.

    >>> refuse_repetition("All is well.", "", "llama3.2")
    >>> refuse_repetition("again and " * 2000, "", "llama3.2")
    Traceback (most recent call last):
    metagpt_ollama_rs.errors.IncompleteError: ...
    """

def adopt_dict(record: Any, data: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Makes ``data``, which says the same as the slots ``names`` of ``record``, its dict, empties the slots, and
    returns the dict.

    Another thread may have been faster; then its dict is what comes back. For `responses.Record` only.
    """

def excerpt(text: str, limit: int) -> str:
    """The first ``limit`` characters of ``text`` on one line, for messages: control characters become escapes.

    >>> excerpt("one line\\nand another", 12)
    'one line and…'
    """

def is_cloud(url: str) -> bool:
    """Whether ``url`` is of Ollama's own cloud, the one host that is sent ``OLLAMA_API_KEY`` unasked.

    >>> is_cloud("https://ollama.com/api/chat"), is_cloud("http://127.0.0.1:11434")
    (True, False)
    """

def parse_tool_arguments(function: dict[str, Any]) -> None:
    """Makes a dict of ``function["arguments"]``, in place, if it is JSON text of an object, or nothing. Other text
    stays.

    >>> function = {"name": "add", "arguments": '{"a": 1}'}
    >>> parse_tool_arguments(function)
    >>> function
    {'name': 'add', 'arguments': {'a': 1}}
    """

def vectors_fault(vectors: object) -> str | None:
    """What is wrong with a list of vectors, or None: each must be a list of finite numbers, all of one length from 1
    on.

    >>> vectors_fault([[0.5, 1.0], [2.0, 3.0]])
    >>> vectors_fault([[0.5, "a"]])
    'number 1 of vector 0 is not a number: it is a str'
    """

def count_script_bytes(text: bytes) -> tuple[int, ...]:
    """How many bytes of ``text``, which is UTF-8, belong to each of ``SCRIPTS``.

    >>> dict(zip(SCRIPTS, count_script_bytes(b"two words, 42")))["digits"]
    2
    """

def stats_records() -> list[dict[str, Any]]:
    """The records of this process as new dicts, the oldest first; `stats.records` names their keys.

    >>> stats_clear()
    >>> stats_records()
    []
    """

def stats_pending() -> list[dict[str, Any]]:
    """The calls of this process that are under way as new dicts, the oldest first: see `stats.pending`."""

def stats_clear() -> None:
    """Forgets the records of this process."""

def stats_resize(capacity: int) -> None:
    """Keeps the last ``capacity`` records from now on."""

def stats_fail(
    kind: str, *, model: str, host: str, endpoint: str, streamed: bool, status: int | None, rejected: bool
) -> None:
    """Makes the record of an error that was raised without the core.

    It is that of a call that was refused before anything was sent, or with ``rejected`` of the reply of a call that
    ended well and has a record. ``kind`` is a name of ``Kind`` in ``src/error.rs``; raises ValueError for any other.

    >>> stats_fail(
    ...     "config", model="m", host="", endpoint="/api/chat", streamed=False, status=None, rejected=False
    ... )
    >>> stats_records()[-1]["error"]
    'config'
    """

def observe_all_calls(wanted: bool) -> None:
    """Says whether `events.begin_call` is to be asked at the beginning of the calls of every client, or only of those
    that have an ``on_event`` of their own.

    >>> observe_all_calls(False)
    """

def stats_repaired(id: str, repaired: str) -> None:
    """Notes what was ``repaired``, in words, in the answer of the call whose record has this ``id``: there, if the
    record is still kept, and in a line of its own where ``METAGPT_OLLAMA_STATS`` says.

    >>> stats_clear()
    >>> stats_fail(
    ...     "config", model="m", host="", endpoint="/api/chat", streamed=False, status=None, rejected=False
    ... )
    >>> stats_repaired(stats_records()[-1]["id"], "prose, fence")
    >>> stats_records()[-1]["repaired"]
    'prose, fence'
    """

@final
class StreamDecoder:
    """Decodes the body of one streamed reply, in pieces of any size: bytes become a `Delta` for each line.

    ``framing`` is ``"ndjson"`` (lines), ``"sse"`` (server-sent events, as the ``/v1`` endpoints send them) or
    ``"auto"``, which decides by the first bytes; a line of more than ``max_line`` bytes (default 64 MiB) is an
    error. Raises ConfigurationError for other arguments. What comes out does not depend on how the body was cut. Can
    be shared between threads.

    >>> decoder = StreamDecoder()
    >>> [delta.content for delta in decoder.feed(b'{"response":"Hel","done":false}\\n{"respon')]
    ['Hel']
    >>> [delta.content for delta in decoder.feed(b'se":"lo","done":true}\\n')]
    ['lo']
    >>> decoder.finish()
    []
    """

    def __new__(cls, framing: str = "auto", max_line: int | None = None) -> Self: ...
    def feed(self, data: bytes | bytearray | memoryview, /) -> list[Delta]:
        """The deltas of the lines that ``data`` completes.

        Raises DecodeError for a line that is no JSON object, not UTF-8 or too long, and for one that is neither part
        of an answer nor an error (nor, before an answer, a report of progress), with the deltas before it in the
        exception's ``deltas`` and the text of all so far in ``partial``; from then on every call raises it. Raises
        ClosedError after `finish`.
        """
    def finish(self) -> list[Delta]:
        """The deltas that the end of the body completes: those of a last line without a line feed.

        Raises DecodeError as `feed` does. Whether the reply was complete is not judged here: it is if the last delta
        has ``done``. Called again, it returns an empty list.
        """
    @property
    def hits(self) -> tuple[int, int]:
        """How many lines were read by the fast path, and how many in all. For tests."""

@final
class Delta:
    """What one line of a streamed reply says. Fields that the line does not have are None, "" or an empty list.

    Two deltas are equal if their lines hold equal JSON. `StreamDecoder` makes them.

    >>> line = b'{"model":"llama3.2","message":{"role":"assistant","content":"Hi"},"done":true,"eval_count":2}\\n'
    >>> (delta,) = StreamDecoder().feed(line)
    >>> delta
    Delta(content='Hi', done=True)
    >>> delta.model, delta.role, delta.eval_count, delta.thinking
    ('llama3.2', 'assistant', 2, '')
    """

    @property
    def content(self) -> str:
        """The piece of the text of the answer."""
    @property
    def thinking(self) -> str:
        """The piece of the model's thinking."""
    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        """The tool calls in Ollama's form: ``{"id": …, "function": {"name": …, "arguments": {…}}}``.

        Arguments that came as JSON text are objects; a piece of the ``/v1`` endpoints that is no JSON by itself
        stays a str.
        """
    @property
    def done(self) -> bool:
        """Whether the reply says that it is complete."""
    @property
    def done_reason(self) -> str | None:
        """Why the answer ended: ``stop``, ``length``, ``load``, ``unload``."""
    @property
    def model(self) -> str | None:
        """The model, as the server names it."""
    @property
    def created_at(self) -> str | None:
        """When the line was made, as the server writes it (RFC 3339)."""
    @property
    def role(self) -> str | None:
        """Whose message it is: ``assistant``."""
    @property
    def error(self) -> str | None:
        """The text of an error line."""
    @property
    def total_duration(self) -> int | None:
        """Nanoseconds for everything."""
    @property
    def load_duration(self) -> int | None:
        """Nanoseconds for loading the model."""
    @property
    def prompt_eval_count(self) -> int | None:
        """Tokens of the prompt."""
    @property
    def prompt_eval_cached_count(self) -> int | None:
        """Tokens of the prompt that the server still had in its cache."""
    @property
    def prompt_eval_duration(self) -> int | None:
        """Nanoseconds for reading the prompt."""
    @property
    def eval_count(self) -> int | None:
        """Tokens of the answer, thinking among them."""
    @property
    def eval_duration(self) -> int | None:
        """Nanoseconds for the answer."""
    @property
    def raw(self) -> dict[str, Any]:
        """The whole JSON object of the line, parsed when first asked for; ``{}`` for the ``[DONE]`` of an event
        stream.
        """
    def __eq__(self, other: object, /) -> bool: ...
    __hash__: None  # type: ignore[assignment]

@disjoint_base
class Endpoint:
    """What the core has to know of an endpoint. `endpoints.Endpoint`, a subclass, is the row of the table of endpoints.

    ``lines`` is what the lines of its streamed reply are: ``"answer"``, ``"progress"``, ``"any"``, or None where it
    has no streamed reply. ``changes`` says whether a request may change something on the server, so that it must not
    be sent twice; None: unless the method is GET or HEAD. ``resumes`` says that it is a transfer that goes on where it
    stopped when it is asked for again. A method that is none of GET, POST, DELETE and HEAD counts as POST. Raises
    ValueError for other lines.

    >>> Endpoint("/api/chat", lines="answer", changes=False)
    Endpoint('/api/chat', 'POST', lines='answer', changes=False)
    """

    def __new__(
        cls,
        path: str,
        method: str = "POST",
        lines: str | None = None,
        changes: bool | None = None,
        resumes: bool = False,
    ) -> Self: ...
    @property
    def path(self) -> str:
        """Where the endpoint is, such as ``/api/chat``; it comes after the path of the base URL."""
    @property
    def method(self) -> str:
        """``GET``, ``POST``, ``DELETE`` or ``HEAD``."""
    @property
    def lines(self) -> str | None:
        """What the lines of its streamed reply are; None where it has none."""
    @property
    def changes(self) -> bool:
        """Whether a request may change something on the server, so that it must not be sent twice."""
    @property
    def resumes(self) -> bool:
        """Whether it is a transfer that goes on where it stopped when it is asked for again."""

@final
class NativeClient:
    """A client of one server, with its connection pool: a method for each way of waiting for a reply.

    ``address`` is a base URL as configurations write it, or with ``is_host`` a value in the manner of
    ``OLLAMA_HOST``; it may have been copied together with one of the paths ``endpoints``. ``verify`` is what
    `trust.read_verify` returns, ``cert`` what `trust.read_cert` does. Without ``trust_env`` the environment names
    neither a proxy nor certificates. ``limits`` are four numbers of seconds (connecting, first token, pause, total;
    None is no limit), ``retries`` a number of tries and three numbers of seconds (first wait, budget, longest
    ``Retry-After``); ``max_line`` and ``max_body`` are bytes; ``on_event`` is a hook of `events`. None is the default.
    Raises ConfigurationError for what cannot be used; nothing is sent. Can be shared between threads and event loops; a
    forked child gets a pool of its own.

    In the methods, ``payload`` is a JSON value, JSON text as bytes, or None for no body; with ``guarded`` an answer
    that repeats itself without end is an error. ``settings`` are those of one call, or None: its limits and its
    retries, which replace those of the client, and its headers, which are sent beside those of the client; each of
    them may be None (`limits.read_settings` makes them). A header that frames the message, and ``Host``, is a
    ConfigurationError. They raise the exceptions of `errors`.

    >>> client = NativeClient(
    ...     "example.com/api", is_host=True, endpoints=["/api/chat"], headers=[], api_key=None, proxy=None, verify=True,
    ...     limits=None, retries=None, max_line=None, max_body=None,
    ... )
    >>> client.url, client.limits
    ('http://example.com:11434', (5.0, 600.0, 120.0, None))
    """

    def __new__(
        cls,
        address: str,
        *,
        is_host: bool,
        endpoints: list[str],
        headers: list[tuple[str, str]],
        api_key: str | None,
        proxy: str | None,
        verify: bool | str | tuple[list[bytes], bool],
        limits: _Limits | None,
        retries: _Retries | None,
        max_line: int | None,
        max_body: int | None,
        cert: tuple[str, str | None] | None = None,
        trust_env: bool = True,
        follow_redirects: bool = True,
        on_event: Callable[[Any], object] | None = None,
    ) -> Self: ...
    @property
    def url(self) -> str:
        """The base URL of the server, without user and password."""
    @property
    def authorized(self) -> bool:
        """Whether requests carry a bearer token, that of the key or of a header."""
    def redact(self, text: str, settings: _Settings | None = None) -> str:
        """The beginning of ``text`` for a message: on one line, without what this client, or a call with
        ``settings``, keeps secret."""
    @property
    def limits(self) -> _Limits:
        """The time limits of the client, in seconds: connecting, first token, pause, total; None is no limit."""
    def stream(
        self,
        endpoint: Endpoint,
        payload: Any,
        item_class: Callable[[Any], Any] | None,
        raw_lines: bool,
        settings: _Settings | None,
        guarded: bool = False,
    ) -> Stream[Any]:
        """Sends ``payload`` and returns the reply as a `Stream` of the running loop.

        Its items are made by ``item_class`` from the dict of a line (None: they are the dicts), or with
        ``raw_lines`` they are the lines as bytes, in which nothing is looked at.
        """
    def deliver(
        self,
        endpoint: Endpoint,
        payload: Any,
        on_text: Callable[[str], object],
        on_thinking: Callable[[str], object] | None,
        settings: _Settings | None,
        guarded: bool = False,
    ) -> NativeAwaitable:
        """Sends ``payload`` and calls ``on_text`` with each piece of the answer, in the context of the caller; awaited,
        gives the final object with the whole text in it.

        ``on_thinking`` gets the pieces of thinking. A callable that ``on_text`` returns takes its place for the
        rest, once.
        """
    def call(
        self,
        endpoint: Endpoint,
        payload: Any,
        format: str,
        settings: _Settings | None,
        convert: Callable[[Any], Any] | None = None,
    ) -> NativeAwaitable:
        """Sends a request and gives, awaited, its whole reply in a format.

        ``"answer"``: the parsed object (lines are folded into one); ``"guarded"``: the same, unless it repeats
        itself without end; ``"status"``: as ``answer``, or None for an empty body; ``"bytes"``: the body and its
        content type; ``"vectors"``: a bytearray of 32-bit floats, the number of rows, their width, and a dict of the
        other fields. ``convert``, if given, is called with that, and its result is the one. Raises ValueError for
        another format.
        """
    def call_blocking(
        self,
        endpoint: Endpoint,
        payload: Any,
        format: str,
        settings: _Settings | None,
        on_call: Callable[[str], object] | None = None,
        convert: Callable[[Any], Any] | None = None,
    ) -> Any:
        """As `call`, waiting in this thread; signal handlers run meanwhile. ``on_call`` gets the ``id`` in the record
        of the call, before anything is sent."""
    def deliver_blocking(
        self,
        endpoint: Endpoint,
        payload: Any,
        on_text: Callable[[str], object],
        on_thinking: Callable[[str], object] | None,
        settings: _Settings | None,
        guarded: bool = False,
        on_call: Callable[[str], object] | None = None,
    ) -> Any:
        """As `deliver`, waiting in this thread; ``on_call`` is that of `call_blocking`."""
    def stream_blocking(
        self,
        endpoint: Endpoint,
        payload: Any,
        item_class: Callable[[Any], Any] | None,
        settings: _Settings | None,
        guarded: bool = False,
        raw_lines: bool = False,
    ) -> BlockingStream[Any]:
        """As `stream`, as an ordinary iterator."""
    def upload(
        self,
        endpoint: Endpoint,
        path: str | PathLike[str],
        item_class: Callable[[Any], Any] | None,
        settings: _Settings | None,
    ) -> Stream[Any]:
        """Sends the file at ``path`` as the body, in pieces, and returns the reports of its progress as a `Stream` of
        the running loop: ``{"status": "uploading", "total": …, "completed": …}``, in bytes and at most twenty a second,
        and at the end ``{"status": "success"}``, once the server has answered with a status of success.

        They are made into ``item_class`` as those of `stream`. While the file is sent, the limit for pauses bounds each
        time in which the server takes nothing of it; then that for the first token bounds the wait for the answer.
        Closing the stream ends the request. A retry sends the file from its beginning. Raises the OSError that ``open``
        raises, and ConfigurationError for what is no file, such as a pipe.
        """
    def upload_blocking(
        self,
        endpoint: Endpoint,
        path: str | PathLike[str],
        item_class: Callable[[Any], Any] | None,
        settings: _Settings | None,
    ) -> BlockingStream[Any]:
        """As `upload`, as an ordinary iterator."""
    def close(self) -> None:
        """Closes the idle connections. Streams under way go on to their end; new requests raise ClosedError."""
    def aclose(self) -> Awaitable[None]:
        """As `close`, to be awaited: when the result is there, the I/O thread has closed its idle connections."""

@final
class Stream(Generic[_T]):
    """A reply as it arrives: an asynchronous iterator over its items, of the event loop in which it was made.

    Closing it, dropping it or cancelling the task that reads it ends the request: the server sees the connection
    close. Also an asynchronous context manager, which closes it.

    >>> import asyncio
    >>> from metagpt_ollama_rs import AsyncClient
    >>> from metagpt_ollama_rs.testing import ScriptedServer
    >>> async def main(url):
    ...     async with AsyncClient(url) as client, await client.generate("llama3.2", "Hi", stream=True) as stream:
    ...         return [part.response async for part in stream]
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     server.answer("Hello world")
    ...     asyncio.run(main(server.url))
    ['Hello', ' world', '']
    """

    @property
    def call_id(self) -> str | None:
        """The ``id`` in the record of the call; None in a forked child."""
    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Awaitable[_T]:
        """The next item, to be awaited; raises StopAsyncIteration at the end of the reply."""
    def close(self) -> None:
        """Ends the request if it is still under way. A task that waits for an item gets a ClosedError."""
    def aclose(self) -> Awaitable[None]:
        """`close`, to be awaited as that of an asynchronous generator."""
    def __aenter__(self) -> Awaitable[Self]: ...
    def __aexit__(self, *_exception: object) -> Awaitable[None]: ...
    def batches(self) -> Stream[list[_T]]:
        """The same stream as an asynchronous iterator over lists: all items that have arrived, at least one.

        For whoever handles many short items at a time: one step of the task for each list, not for each item.

        >>> import asyncio
        >>> from metagpt_ollama_rs import AsyncClient
        >>> from metagpt_ollama_rs.testing import ScriptedServer
        >>> async def main(url):
        ...     text = ""
        ...     async with AsyncClient(url) as client:
        ...         stream = await client.generate("llama3.2", "Hi", stream=True)
        ...         async for parts in stream.batches():
        ...             text += "".join(part.response for part in parts)
        ...     return text
        >>> with ScriptedServer() as server:  # stands in for Ollama
        ...     server.answer("Hello world")
        ...     asyncio.run(main(server.url))
        'Hello world'
        """

@final
class BlockingStream(Generic[_T]):
    """A reply as it arrives, as an ordinary iterator. Closing or dropping it ends the request: the server sees the
    connection close. Also a context manager, which closes it.

    >>> from metagpt_ollama_rs import Client
    >>> from metagpt_ollama_rs.testing import ScriptedServer
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     server.answer("Hello world")
    ...     with Client(server.url).generate("llama3.2", "Hi", stream=True) as stream:
    ...         [part.response for part in stream]
    ['Hello', ' world', '']
    """

    @property
    def call_id(self) -> str | None:
        """The ``id`` in the record of the call; None in a forked child."""
    def __iter__(self) -> Self: ...
    def __next__(self) -> _T:
        """Waits for the next item; signal handlers run meanwhile. Raises StopIteration at the end of the reply."""
    def close(self) -> None:
        """Ends the request if it is still under way."""
    def __enter__(self) -> Self: ...
    def __exit__(self, *_exception: object) -> None: ...

@final
class NativeAwaitable:
    """The awaitable of a whole reply, of a delivery, or of the next item of a stream. Dropped before its end, it ends
    the request.

    It is awaited by the task that has it, in the event loop in which it was made, and gives its result once.

    >>> import asyncio
    >>> from metagpt_ollama_rs import AsyncClient
    >>> from metagpt_ollama_rs.endpoints import VERSION
    >>> from metagpt_ollama_rs.testing import ScriptedServer
    >>> async def main(url):
    ...     reply = AsyncClient(url)._native.call(VERSION, None, "answer", None)
    ...     return type(reply).__name__, await reply
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     asyncio.run(main(server.url))
    ('NativeAwaitable', {'version': '0.33.0'})
    """

    @property
    def call_id(self) -> str | None:
        """The ``id`` in the record of the call; None if there is no call, or in a forked child."""
    def __await__(self) -> Generator[Any, None, Any]:
        """The awaitable itself, as an iterator."""
    def __iter__(self) -> Self: ...
    def __next__(self) -> Any:
        """As ``send(None)``."""
    def send(self, value: Any) -> Any:
        """One step; raises StopIteration with the result at the end."""
    def throw(self, kind: Any, value: Any = None, traceback: Any = None, /) -> Any:
        """Ends the request and raises the exception: the task was cancelled."""
    def close(self) -> None:
        """Ends the request."""
