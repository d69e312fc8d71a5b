"""Every exception that this package raises of its own; those of single tools (`slc`) are subclasses that stand there.
`failures` chooses among them for what the core reports.

::

    OllamaError(Exception)
    ├── RequestError                            a request that cannot be made; nothing was sent
    │   └── ConfigurationError(ValueError)      an address, option or header that cannot be used
    │       └── ValidationError                 a field of a request or reply that a program made is wrong or missing
    ├── ConnectError(ConnectionError)           no connection, before the first byte of a reply
    ├── RequestTimeout(TimeoutError)            one of four limits ran out: connect, first_token, idle, total
    │   └── ConnectTimeout(ConnectionError)
    ├── ProtocolError                           the peer does not speak HTTP, or is not an Ollama server
    ├── ResponseError                           the server refused the request
    │   ├── BadRequestError(ValueError)         400, and 500 or 501 where another request would do
    │   │   ├── ContextOverflowError            the prompt is longer than the context
    │   │   └── BadInputError                   one input of a batch of embeddings, by its index
    │   ├── AuthenticationError                 401, 403, 407
    │   ├── SubscriptionError                   402, 403: the account's plan does not cover it
    │   ├── NotFoundError                       404 of a path
    │   ├── ModelNotFoundError                  404 of a model
    │   ├── RateLimitError                      429
    │   ├── ServerBusyError                     503
    │   └── ServerError                         any other status of 500 or more
    ├── StreamError                             a reply that began and did not end well
    │   ├── MidStreamError(ResponseError)       an error line in the reply
    │   ├── IncompleteError                     no line said "done": true, or the answer went in circles
    │   ├── InterruptedStreamError              the connection broke off
    │   └── DecodeError(ValueError)             a line that is no JSON, not UTF-8 or too long
    ├── EmptyAnswerError                        an answer of nothing: only thinking, only white space, a mere loading
    ├── UnusableAnswerError(ValueError)         an answer that is not what a tool asked for
    └── ClosedError(RuntimeError)               the client or stream is closed, or belongs to another process or loop

`RequestError` and `ResponseError` have the names, the arguments and the attributes of ollama-python's.

MetaGPT retries builtin ``ConnectionError`` three times. So only what happened before the first byte of a reply is one:
an error in the middle of a stream is not, because a retry would repeat output.
"""

from __future__ import annotations

from metagpt_ollama_rs._core import excerpt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Union

    # A place in a value, such as `("messages", 0, "role")`, pydantic's word for what is wrong there, the same in a
    # sentence, and what stands there.
    Problem = tuple[tuple[Union[str, int], ...], str, str, Any]

# The longest message and hint, in characters; what they quote of a server is shorter.
_LONGEST = 4000
# So many characters of a URL are shown.
_URL = 300


class _Shown:
    """A text for people, which may quote what others wrote: kept on one line and short, whoever sets it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, error: OllamaError | None, owner: type | None = None) -> str:
        return "" if error is None else error.__dict__.get(self._name, "")

    def __set__(self, error: OllamaError, text: str) -> None:
        error.__dict__[self._name] = excerpt(str(text), _LONGEST)


class OllamaError(Exception):
    """The base of all exceptions of this package.

    Attributes:
        message: what went wrong, in one sentence. Like ``hint`` it is on one line and not long, and has escapes in the
            place of control characters, whatever it quotes of a server's words.
        hint: what to do next, or "".
        url: the URL asked, without user and password, or None.
        model: the model asked for, or None.
        status: the HTTP status, if a reply had begun, or None.
        partial: the text of the answer that had arrived before the failure, or "".
        partial_thinking: the same of the model's thinking.
        proxy: the proxy that failed or answered itself, without credentials, or None.

    >>> from metagpt_ollama_rs import Client
    >>> try:
    ...     Client("http://127.0.0.1:1", retries=0).version()
    ... except OllamaError as error:
    ...     print(error.message, error.hint, error.url, sep="\\n")
    The server cannot be reached: nothing listens there (connection refused).
    is Ollama running there? Start it with `ollama serve`, or correct base_url (host, OLLAMA_HOST)
    http://127.0.0.1:1/api/version
    """

    message = _Shown()
    hint = _Shown()
    proxy: str | None = None
    # What stands in the place of message, URL and hint (see `replace_text`).
    _text: str | None = None

    def __init__(
        self,
        message: str = "",
        *,
        hint: str = "",
        url: str | None = None,
        model: str | None = None,
        status: int | None = None,
        partial: str = "",
        partial_thinking: str = "",
    ) -> None:
        self.message = message
        super().__init__(self.message)
        self.hint = hint
        self.url = url
        self.model = model
        self.status = status
        self.partial = partial
        self.partial_thinking = partial_thinking

    def replace_text(self, text: str) -> None:
        """Makes ``text`` the ``str`` of the exception. From Python 3.11 on, tracebacks show the old one below it."""
        note = getattr(self, "add_note", None)
        if note is not None:
            note(str(self))
        self._text = text

    def __str__(self) -> str:
        if self._text is not None:
            return self._text
        url = excerpt(self.url or "", _URL)
        where = f" [{url}]" if url and url not in self.message else ""
        hint = f"\nhint: {self.hint}" if self.hint else ""
        return f"{self.message}{where}{hint}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (_revive, (type(self), self.args, self.__dict__.copy()))


class RequestError(OllamaError):
    """A request that cannot be made. Nothing was sent. ``error`` is the reason, the same as ``message``.

    >>> RequestError("must provide a model").error
    'must provide a model'
    """

    def __init__(self, error: str = "", **attributes: Any) -> None:
        super().__init__(error, **attributes)

    @property
    def error(self) -> str:
        return self.message

    @error.setter
    def error(self, text: str) -> None:
        self.message = text


class ConfigurationError(RequestError, ValueError):
    """An address, an option, a header or a key that cannot be used. Nothing was sent.

    >>> from metagpt_ollama_rs import Client
    >>> try:
    ...     Client(timeout=-1)
    ... except ConfigurationError as error:
    ...     print(error.message)
    timeout must be a positive number of seconds, and is -1
    """


class ValidationError(ConfigurationError):
    """Fields of a record that a program made are missing or of the wrong type.

    ``title`` is the name of the class, and ``errors()`` has what is wrong as pydantic's error of this name has it.

    >>> from metagpt_ollama_rs import Message
    >>> try:
    ...     Message(content=7)
    ... except ValueError as error:
    ...     print(error.message)
    ...     print([problem["loc"] for problem in error.errors()])
    Message: role: Field required; content: Input should be a valid string
    [('role',), ('content',)]
    """

    def __init__(self, title: str = "", problems: Iterable[Problem] = ()) -> None:
        self._problems = list(problems)
        self.title = title
        texts = [f"{'.'.join(map(str, place))}: {text}" if place else text for place, _, text, _ in self._problems]
        super().__init__(f"{title}: {'; '.join(texts)}" if texts else title)

    def errors(self, **_: Any) -> list[dict[str, Any]]:
        """Of each problem ``type``, ``loc`` (the place), ``msg`` and ``input``. Pydantic's arguments change nothing."""
        names = ("loc", "type", "msg", "input")
        return [dict(zip(names, problem)) for problem in self._problems]

    def error_count(self) -> int:
        """The number of problems."""
        return len(self._problems)


class ConnectError(OllamaError, ConnectionError):
    """No connection: refused, reset before the first byte of a reply, name not found, TLS failure.

    >>> from metagpt_ollama_rs import Client
    >>> try:
    ...     Client("http://127.0.0.1:1", retries=0).version()
    ... except ConnectionError as error:
    ...     print(type(error).__name__)
    ConnectError
    """


class RequestTimeout(OllamaError, TimeoutError):
    """A time limit ran out. ``phase`` is ``connect``, ``first_token``, ``idle`` or ``total``; ``seconds`` the limit.

    ``loaded`` says after a wait for the first token whether the server had the model in memory; None if not known.
    (Some servers list a model from the moment on at which its loading begins.)

    >>> from metagpt_ollama_rs import Client, Timeout
    >>> from metagpt_ollama_rs.testing import ScriptedServer, faults
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     server.on("POST", "/api/chat", faults.never_answer())
    ...     try:
    ...         Client(server.url, timeout=Timeout(first_token=0.05)).chat("m", [])
    ...     except RequestTimeout as error:
    ...         print(error.phase, error.seconds)
    first_token 0.05
    """

    phase: str = ""
    seconds: float | None = None
    loaded: bool | None = None


class ConnectTimeout(RequestTimeout, ConnectionError):
    """The server's machine did not answer within the connect limit.

    >>> error = ConnectTimeout("nobody answered")
    >>> isinstance(error, RequestTimeout), isinstance(error, ConnectionError)
    (True, True)
    """


class ProtocolError(OllamaError):
    """The peer does not speak HTTP correctly, or what it answers is not what Ollama would: ``partial`` has what was.

    ``location`` is where a redirect leads that is not followed, or None.

    >>> from metagpt_ollama_rs import Client
    >>> from metagpt_ollama_rs.testing import Reply, ScriptedServer
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     server.on("POST", "/api/chat", Reply.text("<html>Welcome</html>", content_type="text/html"))
    ...     try:
    ...         Client(server.url).chat("m", [])
    ...     except ProtocolError as error:
    ...         print(error.hint)
    is base_url the address of an Ollama server, such as http://127.0.0.1:11434?
    """

    location: str | None = None


class ResponseError(OllamaError):
    """The server refused the request.

    Args:
        error: what the server said; of the text of a JSON object, its ``error``.
        status_code: the HTTP status.

    Attributes:
        error: the server's own words.
        status_code: the HTTP status, or -1.
        body: the body of the refusal (at most 64 KiB), as bytes.
        retry_after: seconds of a Retry-After header, or None.

    >>> from metagpt_ollama_rs import Client
    >>> from metagpt_ollama_rs.testing import Reply, ScriptedServer
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     server.on("POST", "/api/chat", Reply.error("no such thing", 418))
    ...     try:
    ...         Client(server.url).chat("m", [])
    ...     except ResponseError as error:
    ...         print(error.status_code, error.error, error.body)
    418 no such thing b'{"error":"no such thing"}'
    >>> str(ResponseError('{"error": "no such thing"}', 418))
    'no such thing (status code: 418)'
    """

    error: str = ""
    body: bytes = b""
    retry_after: float | None = None

    def __init__(self, error: str = "", status_code: int = -1, **attributes: Any) -> None:
        words = _error_of(error)
        if attributes.get("status") is None and status_code != -1:
            attributes["status"] = status_code
        super().__init__(words, **attributes)
        self.error = words

    @property
    def status_code(self) -> int:
        return -1 if self.status is None else self.status

    def __str__(self) -> str:
        if self.url is None and not self.hint and self._text is None:
            # Made by somebody else's code, which knows no more.
            return f"{self.error} (status code: {self.status_code})"
        return super().__str__()


class BadRequestError(ResponseError, ValueError):
    """The server cannot make sense of the request.

    >>> from metagpt_ollama_rs import Client
    >>> from metagpt_ollama_rs.testing import Reply, ScriptedServer
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     server.on("POST", "/api/chat", Reply.error('option "num_ctx" must be of type integer', 400))
    ...     try:
    ...         Client(server.url).chat("m", [])
    ...     except BadRequestError as error:
    ...         print(error.error)
    option "num_ctx" must be of type integer
    """


class ContextOverflowError(BadRequestError):
    """The prompt is longer than the context. Both lengths are in tokens, or None if the server did not say.

    >>> from metagpt_ollama_rs import Client
    >>> from metagpt_ollama_rs.testing import Reply, ScriptedServer
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     text = "request (20 tokens) exceeds the available context size (8 tokens)"
    ...     server.on("POST", "/api/chat", Reply.error(text, 400))
    ...     try:
    ...         Client(server.url).chat("m", [])
    ...     except ContextOverflowError as error:
    ...         print(error.prompt_tokens, error.context_length)
    20 8
    """

    prompt_tokens: int | None = None
    context_length: int | None = None


class BadInputError(BadRequestError):
    """One input of a batch cannot be embedded, and for it the server refused all of them.

    Attributes:
        index: which one, from 0; the first that was found, there may be more.
        length: its length in characters, or None if it is no text.

    >>> from metagpt_ollama_rs import Client
    >>> from metagpt_ollama_rs.testing import Reply, ScriptedServer
    >>> def embed(request):
    ...     texts = request.json()["input"]
    ...     return Reply.error("unreadable", 400) if "bad" in texts else Reply.embed([[1.0] for _ in texts])
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     server.on("POST", "/api/embed", embed)
    ...     try:
    ...         Client(server.url).embed("m", ["good", "bad", "good"])
    ...     except BadInputError as error:
    ...         print(error.index, error.length)
    1 3
    """

    index: int = 0
    length: int | None = None


class AuthenticationError(ResponseError):
    """The server (or a proxy, 407) wants a key or a sign-in, or refuses this one. ``signin_url`` is where, or None.

    >>> from metagpt_ollama_rs import Client
    >>> from metagpt_ollama_rs.testing import Reply, ScriptedServer
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     server.on("POST", "/api/chat", Reply.error("unauthorized", 401, signin_url="https://ollama.com/connect"))
    ...     try:
    ...         Client(server.url).chat("m", [])
    ...     except AuthenticationError as error:
    ...         print(error.signin_url)
    https://ollama.com/connect
    """

    signin_url: str | None = None


class SubscriptionError(ResponseError):
    """The account's plan does not cover the model (402, or a 403 that says so). No other key of that account helps.

    >>> from metagpt_ollama_rs import Client
    >>> from metagpt_ollama_rs.testing import Reply, ScriptedServer
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     server.on("POST", "/api/chat", Reply.error("this model requires a subscription", 403))
    ...     try:
    ...         Client(server.url).chat("m", [])
    ...     except SubscriptionError as error:
    ...         print(error.status_code)
    403
    """


class NotFoundError(ResponseError):
    """The server has no such path: the base URL is wrong, or the server is too old for the endpoint.

    >>> from metagpt_ollama_rs import Client
    >>> from metagpt_ollama_rs.testing import Reply, ScriptedServer
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     server.on("POST", "/api/chat", Reply.text("404 page not found", 404))
    ...     try:
    ...         Client(server.url).chat("m", [])
    ...     except NotFoundError as error:
    ...         print(error.error)
    404 page not found
    """


class ModelNotFoundError(ResponseError):
    """The server does not have the model. ``available`` lists the models that it has, or is None if not asked.

    >>> from metagpt_ollama_rs import Client
    >>> from metagpt_ollama_rs.testing import Reply, ScriptedServer
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     server.on("POST", "/api/chat", Reply.error("model 'llama3.2' not found", 404))
    ...     try:
    ...         Client(server.url).chat("llama3.2", [])
    ...     except ModelNotFoundError as error:
    ...         print(error.model, error.available)
    llama3.2 ['scripted:latest']
    """

    available: list[str] | None = None


class RateLimitError(ResponseError):
    """Too many requests, or the account's quota is used up; ``retry_after`` may say how many seconds to wait.

    >>> from metagpt_ollama_rs import Client
    >>> from metagpt_ollama_rs.testing import Reply, ScriptedServer
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     server.on("POST", "/api/chat", Reply.body(b"{}", "application/json", 429, headers={"Retry-After": "30"}))
    ...     try:
    ...         Client(server.url, retries=0).chat("m", [])
    ...     except RateLimitError as error:
    ...         print(error.retry_after)
    30.0
    """


class ServerBusyError(ResponseError):
    """The server's queue is full, or a proxy in front of it is too busy or finds no server.

    >>> from metagpt_ollama_rs import Client
    >>> from metagpt_ollama_rs.testing import Reply, ScriptedServer
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     server.on("POST", "/api/chat", Reply.error("server busy, please try again", 503))
    ...     try:
    ...         Client(server.url, retries=0).chat("m", [])
    ...     except ServerBusyError as error:
    ...         print(error.error)
    server busy, please try again
    """


class ServerError(ResponseError):
    """The server failed.

    >>> from metagpt_ollama_rs import Client
    >>> from metagpt_ollama_rs.testing import Reply, ScriptedServer
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     server.on("POST", "/api/chat", Reply.error("the model's runner has terminated", 500))
    ...     try:
    ...         Client(server.url).chat("m", [])
    ...     except ServerError as error:
    ...         print(error.status_code)
    500
    """


class StreamError(OllamaError):
    """A reply that began and did not end well; ``partial`` has the text that had arrived.

    >>> from metagpt_ollama_rs import Client
    >>> from metagpt_ollama_rs.testing import Reply, ScriptedServer
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     server.on("POST", "/api/chat", Reply.ndjson([{"message": {"content": "Hel"}, "done": False}]))
    ...     try:
    ...         list(Client(server.url).chat("m", [], stream=True))
    ...     except StreamError as error:
    ...         print(type(error).__name__, error.partial)
    IncompleteError Hel
    """


class MidStreamError(StreamError, ResponseError):
    """The server reported an error in the middle of a reply; ``error`` has its words, ``body`` the JSON they stood in.

    ``status_code`` is -1, as in ollama-python: the HTTP status, which ``status`` has, was that of a success.

    >>> from metagpt_ollama_rs import Client
    >>> from metagpt_ollama_rs.testing import Reply, ScriptedServer
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     lines = [{"response": "Hel", "done": False}, {"error": "no memory"}]
    ...     server.on("POST", "/api/generate", Reply.ndjson(lines))
    ...     try:
    ...         list(Client(server.url).generate("m", "Hi", stream=True))
    ...     except MidStreamError as error:
    ...         print(error.error, error.partial)
    no memory Hel
    """

    @property
    def status_code(self) -> int:
        return -1


class IncompleteError(StreamError):
    """The answer is cut: the reply ended, but no line said ``"done": true``, or the answer went in circles (see
    ``repetition_guard`` of the clients), of which ``partial`` has two rounds. ``repeated`` is what went round, else "".

    >>> from metagpt_ollama_rs import Client
    >>> from metagpt_ollama_rs.testing import Reply, ScriptedServer
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     server.on("POST", "/api/chat", Reply.ndjson([{"message": {"content": "again " * 2000}, "done": True}]))
    ...     try:
    ...         list(Client(server.url).chat("m", [], stream=True, repetition_guard=True))
    ...     except IncompleteError as error:
    ...         print(repr(error.repeated), repr(error.partial))
    'again ' 'again again '
    """

    repeated: str = ""


class InterruptedStreamError(StreamError):
    """The connection broke off in the middle of a reply.

    >>> from metagpt_ollama_rs import Client
    >>> from metagpt_ollama_rs.testing import Reply, ScriptedServer, faults #ScriptedServer
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     server.on("POST", "/api/chat", faults.close_after_pieces(Reply.chat("Hello world"), 2))
    ...     try:
    ...         list(Client(server.url).chat("m", [], stream=True))
    ...     except InterruptedStreamError as error:
    ...         print(error.partial)
    Hello world
    """


class DecodeError(StreamError, ValueError):
    """A line of the reply is no JSON, not UTF-8, longer than the cap, or (``StreamDecoder``) no part of an answer.

    >>> from metagpt_ollama_rs import Client
    >>> from metagpt_ollama_rs.testing import Reply, ScriptedServer
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     server.on("POST", "/api/chat", Reply.body(b"{broken}", "application/x-ndjson"))
    ...     try:
    ...         list(Client(server.url).chat("m", [], stream=True))
    ...     except DecodeError as error:
    ...         print(type(error.partial))
    <class 'str'>
    """


class EmptyAnswerError(OllamaError):
    """An answer without a text and without tool calls: the token limit came first, the model only thought, the server
    only loaded the model. ``partial_thinking`` has the reasoning, ``partial`` the white space that there was.

    >>> error = EmptyAnswerError("the model used up its tokens without answering", partial_thinking="Well, ...")
    >>> error.partial_thinking, error.partial
    ('Well, ...', '')
    """


class UnusableAnswerError(OllamaError, ValueError):
    """An answer that is not what a tool of ``metagpt_ollama_rs.slc`` asked for, such as prose in the place of JSON.
    ``partial`` has it.

    >>> from metagpt_ollama_rs.slc import SmartQATool, ollama_config
    >>> from metagpt_ollama_rs.testing import ScriptedServer
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     ollama_config.base_url = server.url
    ...     server.answer("It looks fine to me.")
    ...     try:
    ...         SmartQATool.code_review_findings("a = 1")
    ...     except UnusableAnswerError as error:
    ...         print(error.message, error.partial, sep="\\n")
    the answer is not a list of findings
    It looks fine to me.
    """


class ClosedError(OllamaError, RuntimeError):
    """The client or the stream was closed, or belongs to another process (fork) or event loop.

    >>> from metagpt_ollama_rs import Client
    >>> client = Client()
    >>> client.close()
    >>> try:
    ...     client.version()
    ... except ClosedError as error:
    ...     print(error.message)
    the client is closed: make a new one
    """


def _error_of(text: Any) -> Any:
    """The ``error`` of a JSON object in ``text``, or ``text`` itself."""
    if not (isinstance(text, str) and text.lstrip().startswith("{")):
        return text
    import json

    try:
        return json.loads(text).get("error", text)
    except ValueError:
        return text


def _revive(cls: type[OllamaError], args: tuple[Any, ...], state: dict[str, Any]) -> OllamaError:
    error = cls(*args)
    error.__dict__.update(state)
    return error


__all__ = [
    "AuthenticationError",
    "BadInputError",
    "BadRequestError",
    "ClosedError",
    "ConfigurationError",
    "ConnectError",
    "ConnectTimeout",
    "ContextOverflowError",
    "DecodeError",
    "EmptyAnswerError",
    "IncompleteError",
    "InterruptedStreamError",
    "MidStreamError",
    "ModelNotFoundError",
    "NotFoundError",
    "OllamaError",
    "ProtocolError",
    "RateLimitError",
    "RequestError",
    "RequestTimeout",
    "ResponseError",
    "ServerBusyError",
    "ServerError",
    "StreamError",
    "SubscriptionError",
    "UnusableAnswerError",
    "ValidationError",
]
