"""The endpoints of a server: one row for each, and the one place that says how they differ.

A request carries its row. From it the compiled core knows the method and the path, whether a request may be sent twice
when a connection breaks (``changes``) and which lines a streamed reply may have (``lines``); the clients, whether a
request says ``stream``, how a whole reply is checked and of which class it is; `failures`, what to do about a transfer
that broke off or a text that cannot be embedded. Whoever adds an endpoint adds a row here and a method to the clients.

A path that is not in the table can be asked, too: `endpoint_at` makes a row for the call, which is careful with it.

>>> endpoint_at("/api/chat") is CHAT
True
>>> endpoint_at("/api/new")
Endpoint('/api/new', 'POST', lines='any', changes=True)
>>> endpoint_at("/api/new", "GET").changes
False
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from metagpt_ollama_rs import _core
from metagpt_ollama_rs.errors import ConfigurationError
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
from metagpt_ollama_rs.systemone_types import SystemOneResponse
from metagpt_ollama_rs.web_types import WebFetchResponse, WebSearchResponse

if TYPE_CHECKING:
    from typing import Literal

    from typing_extensions import Self

    Lines = Literal["answer", "progress", "any"]

METHODS = ("GET", "POST", "DELETE", "HEAD")

__all__ = [
    "CHAT",
    "COPY",
    "CREATE",
    "DELETE",
    "EMBED",
    "EMBEDDINGS",
    "ENDPOINTS",
    "GENERATE",
    "PS",
    "PULL",
    "PUSH",
    "SHOW",
    "STATUS",
    "SYSTEMONE",
    "TAGS",
    "VERSION",
    "WEB_FETCH",
    "WEB_SEARCH",
    "Endpoint",
    "endpoint_at",
]


def _last_word(path: str) -> str:
    """
    >>> _last_word("/api/blobs/sha256:0a1b"), _last_word("/api/new?key=1")
    ('blobs', 'new')
    """
    parts = path.split("?")[0].strip("/").split("/")
    return next((part for part in reversed(parts) if ":" not in part), "")


class Endpoint(_core.Endpoint):
    """A row of the table: an endpoint, as the core takes it, and what the clients know of its replies.

    Args:
        path: where it is, such as ``/api/chat``.
        method: ``GET``, ``POST``, ``DELETE`` or ``HEAD``.
        lines: what the lines of its streamed reply are: parts of an ``answer``, reports of ``progress`` (the last of
            which says ``success``), or ``any``. None: its reply is one object, and its requests have no ``stream``.
        changes: whether a request may change something on the server, so that it must not be sent twice. None: unless
            the method is GET or HEAD.
        resumes: it is a transfer that goes on where it stopped when it is asked for again. Its requests may be sent
            twice.
        reply: the class of its whole reply, and of the items of its stream.
        fields: one of these must be in a whole reply.
        may_be_empty: an empty reply says that all went well.
        embeds: its replies are vectors of texts.
        when_broken_off: what to do when its reply broke off, for ``hint``; "" for what holds of any other endpoint.
        operation: what events call a request to it: a name of OpenTelemetry's conventions where they have one; "" for
            the last part of the path that is the same in all requests.

    >>> pull = Endpoint("/api/pull", lines="progress", reply=ProgressResponse)
    >>> pull.method, pull.changes, pull.streams
    ('POST', True, True)
    """

    __slots__ = ("embeds", "fields", "may_be_empty", "operation", "reply", "streams", "when_broken_off")
    reply: type[Record]
    fields: tuple[str, ...]
    may_be_empty: bool
    embeds: bool
    streams: bool
    when_broken_off: str
    operation: str

    def __new__(
        cls,
        path: str,
        method: str = "POST",
        *,
        lines: Lines | None = None,
        changes: bool | None = None,
        resumes: bool = False,
        reply: type[Record] = Record,
        fields: tuple[str, ...] = (),
        may_be_empty: bool = False,
        embeds: bool = False,
        when_broken_off: str = "",
        operation: str = "",
    ) -> Self:
        row = super().__new__(cls, path, method, lines, changes, resumes)
        row.reply = reply
        row.fields = fields
        row.may_be_empty = may_be_empty
        row.embeds = embeds
        row.streams = lines is not None
        row.when_broken_off = when_broken_off
        row.operation = operation or _last_word(path)
        return row


CHAT = Endpoint("/api/chat", lines="answer", changes=False, reply=ChatResponse, fields=("message",))
GENERATE = Endpoint(
    "/api/generate",
    lines="answer",
    changes=False,
    reply=GenerateResponse,
    fields=("response", "image"),
    operation="text_completion",
)
EMBED = Endpoint("/api/embed", changes=False, reply=EmbedResponse, embeds=True, operation="embeddings")
EMBEDDINGS = Endpoint("/api/embeddings", changes=False, reply=EmbeddingsResponse, embeds=True)

TAGS = Endpoint("/api/tags", "GET", reply=ListResponse, fields=("models",), operation="list")
PS = Endpoint("/api/ps", "GET", reply=ProcessResponse, fields=("models",))
SHOW = Endpoint("/api/show", changes=False, reply=ShowResponse)
VERSION = Endpoint("/api/version", "GET", fields=("version",))

PULL = Endpoint(
    "/api/pull",
    lines="progress",
    changes=False,
    resumes=True,
    reply=ProgressResponse,
    when_broken_off="the download broke off: pull again, it goes on where it stopped",
)
PUSH = Endpoint(
    "/api/push",
    lines="progress",
    changes=False,
    resumes=True,
    reply=ProgressResponse,
    when_broken_off="the upload broke off: push again, it goes on where it stopped",
)
CREATE = Endpoint(
    "/api/create",
    lines="progress",
    reply=ProgressResponse,
    when_broken_off="the server stopped half-way: its own log says why; create the model again",
)
COPY = Endpoint("/api/copy", reply=StatusResponse, may_be_empty=True)
DELETE = Endpoint("/api/delete", "DELETE", reply=StatusResponse, may_be_empty=True)

SYSTEMONE = Endpoint("/v1/systemone", changes=False, reply=SystemOneResponse, fields=("answers",))
# Of ollama.com, not of a local server.
WEB_SEARCH = Endpoint("/api/web_search", changes=False, reply=WebSearchResponse, fields=("results",))
WEB_FETCH = Endpoint("/api/web_fetch", changes=False, reply=WebFetchResponse)

# The clients have no method for it.
STATUS = Endpoint("/api/status", "GET", lines="any")

ENDPOINTS: dict[str, Endpoint] = {
    row.path: row
    for row in (
        CHAT,
        GENERATE,
        EMBED,
        EMBEDDINGS,
        TAGS,
        PS,
        SHOW,
        VERSION,
        PULL,
        PUSH,
        CREATE,
        COPY,
        DELETE,
        SYSTEMONE,
        WEB_SEARCH,
        WEB_FETCH,
        STATUS,
        # Those that Ollama shares with other servers. The clients have no methods for them.
        Endpoint("/v1/models", "GET", lines="any", operation="list"),
        Endpoint("/v1/chat/completions", lines="any", changes=False, operation="chat"),
        Endpoint("/v1/completions", lines="any", changes=False, operation="text_completion"),
        Endpoint("/v1/embeddings", changes=False, embeds=True),
        Endpoint("/v1/responses", lines="any", changes=False, operation="chat"),
        Endpoint("/v1/messages", lines="any", changes=False, operation="chat"),
    )
}


def endpoint_at(path: str, method: str = "POST") -> Endpoint:
    """The row for a request to ``path``: that of the table, or a new one for what is not in it.

    Raises ConfigurationError for a method that the core doesn't send.
    """
    row = ENDPOINTS.get(path)
    if row is not None and row.method == method:
        return row
    if method not in METHODS:
        raise ConfigurationError(f"method must be one of {', '.join(METHODS)}, and is {method!r:.60}")
    return Endpoint(path, method, lines="any", may_be_empty=method in ("DELETE", "HEAD"))
