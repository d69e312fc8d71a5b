"""The attribute ``_client`` of `ollama_compat`'s clients, where those of ollama-python have an ``httpx.Client``."""

from __future__ import annotations

from typing import Any

__all__ = ["HttpxView"]


class HttpxView:
    """What code asks the ``httpx.Client`` of ollama-python for: its headers, its address, whether it is closed.

    >>> from metagpt_ollama_rs.ollama_compat import Client
    >>> view = Client("example.com", headers={"X-Team": "a"})._client
    >>> view.headers["x-team"], view.base_url, view.is_closed
    ('a', 'http://example.com:11434', False)
    """

    def __init__(self, client: Any, headers: dict[str, str], timeout: Any) -> None:
        self._of = client
        self.headers = headers
        self.timeout = timeout
        self.is_closed = False

    @property
    def base_url(self) -> str:
        return self._of.base_url  # type: ignore[no-any-return]
