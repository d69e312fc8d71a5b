"""The attribute ``_client`` of `ollama_compat`'s clients, where those of ollama-python have an ``httpx.Client``."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["HttpxView", "SentHeaders"]


class SentHeaders(MutableMapping[str, str]):
    """The headers of a client, whose names have no case. A change of them holds for the requests to come.

    >>> headers = SentHeaders({"X-Team": "a"}, print)
    >>> headers["x-team"]
    'a'
    >>> headers["X-Other"] = "b"
    {'x-team': 'a', 'x-other': 'b'}
    """

    def __init__(self, headers: Mapping[str, str], on_change: Callable[[Mapping[str, str]], object]) -> None:
        self._headers = {name.lower(): value for name, value in headers.items()}
        self._on_change = on_change

    def __getitem__(self, name: str) -> str:
        return self._headers[name.lower()]

    def __setitem__(self, name: str, value: str) -> None:
        self._headers[name.lower()] = value
        self._on_change(dict(self._headers))

    def __delitem__(self, name: str) -> None:
        del self._headers[name.lower()]
        self._on_change(dict(self._headers))

    def __iter__(self) -> Iterator[str]:
        return iter(self._headers)

    def __len__(self) -> int:
        return len(self._headers)

    def __repr__(self) -> str:
        shown = {name: "[secure]" if name == "authorization" else value for name, value in self._headers.items()}
        return f"{type(self).__name__}({shown!r})"


class HttpxView:
    """What code asks the ``httpx.Client`` of ollama-python's clients for: headers, address, timeout, ``is_closed``.

    ``headers`` can be changed. For anything else of httpx, set the client's ``_client`` to an ``httpx.Client``.

    >>> from metagpt_ollama_rs.ollama_compat import Client
    >>> view = Client("example.com", headers={"X-Team": "a"})._client
    >>> view.headers["x-team"], view.base_url, view.is_closed
    ('a', 'http://example.com:11434', False)
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        timeout: Any,
        on_change: Callable[[Mapping[str, str]], object],
    ) -> None:
        self.base_url = base_url
        self.headers = SentHeaders(headers, on_change)
        self.timeout = timeout
        self.is_closed = False

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"this client has no httpx.Client, and so no {name!r}: make it with transport=httpx.HTTPTransport(), "
            "and it has one"
        )
