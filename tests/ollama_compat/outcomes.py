"""What came of a call: the requests that the server got, and the value or the exception that the caller got."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from metagpt_ollama_rs.testing import ScriptedServer

from .cases import Case

# Headers that both packages send alike.
HEADERS = ("content-type", "accept", "authorization", "x-team")
CLASSES = (ConnectionError, TimeoutError, ValueError, TypeError)


ROUTES = [
    *(
        ("POST", f"/api/{name}")
        for name in ("chat", "generate", "embed", "embeddings", "show", "pull", "push", "create")
    ),
    ("POST", "/api/copy"),
    ("DELETE", "/api/delete"),
    ("GET", "/api/ps"),
    ("GET", "/api/tags"),
    ("POST", "/v1/systemone"),
]


@dataclass
class Outcome:
    """Of one call. ``value`` is its dump, or the list of the dumps of a stream; ``items`` those before a failure."""

    requests: list[Any]
    value: Any = None
    items: Any = None
    classes: frozenset[str] = frozenset()
    status_code: Any = None
    error: Any = None
    text: str = ""

    def different_from(self, other: Outcome) -> set[str]:
        """The names of the aspects that differ; an exception may be of more classes than ``other``'s."""
        found = {name for name in vars(self) if getattr(self, name) != getattr(other, name)}
        return found - {"classes"} if self.classes >= other.classes and other.classes else found


def dump(value: Any) -> Any:
    return value.model_dump() if hasattr(value, "model_dump") else value


def outcome_of(package: Any, kind: str, server: ScriptedServer, case: Case, **given: Any) -> Outcome:
    """Makes the call with a ``Client`` or an ``AsyncClient`` of ``package``, for which ``server`` has the replies."""
    call, replies = case.call, case.replies
    server.reset()
    waiting = list(replies)
    refused = bool(replies) and b" 404 " in replies[0].head[:20]
    for method, path in ROUTES:
        if path == "/api/tags" and refused:
            # Ours asks for the models that are there; the server has an answer to that of its own.
            continue
        # Whoever asks again gets the last one again.
        server.on(method, path, lambda _: waiting.pop(0) if len(waiting) > 1 else waiting[0])
    found = Outcome([])
    items: list[Any] = []

    async def asynchronous() -> Any:
        async with package.AsyncClient(server.url, **given) as client:
            value = await call(client)
            if not isinstance(value, AsyncIterator):
                return dump(value)
            async for item in value:
                items.append(dump(item))
            return list(items)

    def blocking() -> Any:
        with package.Client(server.url, **given) as client:
            value = call(client)
            if not isinstance(value, Iterator):
                return dump(value)
            for item in value:
                items.append(dump(item))
            return list(items)

    try:
        found.value = asyncio.run(asynchronous()) if kind == "AsyncClient" else blocking()
    except Exception as error:
        known = {name: getattr(package, name) for name in ("ResponseError", "RequestError")}
        kinds = {**known, **{cls.__name__: cls for cls in CLASSES}}
        found.classes = frozenset(name for name, cls in kinds.items() if isinstance(error, cls)) or frozenset(["other"])
        found.items, found.status_code = items, getattr(error, "status_code", None)
        found.error, found.text = getattr(error, "error", None), str(error)
    found.requests = [
        (request.method, request.path, request.json() if request.body else None, headers_of(request))
        for request in server.requests
    ]
    return found


def headers_of(request: Any) -> dict[str, str]:
    sent = {name.lower(): value for name, value in dict(request.headers).items()}
    return {name: sent[name] for name in HEADERS if name in sent}
