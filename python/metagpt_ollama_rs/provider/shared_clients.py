"""The clients that the providers share: one for each server and way to reach it, in the whole process.

One client is one connection pool, so concurrent calls and several LLM objects use the same connections. The client does
all I/O; this module only keeps the clients.
"""

from __future__ import annotations

from typing import Any, Optional

from .. import AsyncClient
from .settings import ClientSettings

__all__ = ["shared_client"]

_clients: dict[tuple[Any, ...], AsyncClient] = {}


def shared_client(host: Optional[str], api_key: Optional[str], settings: ClientSettings) -> AsyncClient:
    """The client for this server, key, proxy, trust, certificate and set of headers, made at the first use.

    ``host`` is any form of the server's address; None is ``OLLAMA_HOST`` or Ollama's usual address. Raises
    ``ConfigurationError`` for a host, a proxy or a file of certificates that cannot be used.

    >>> first, second = (shared_client("127.0.0.1:11434", None, ClientSettings()) for _ in range(2))
    >>> first is second
    True
    """
    key = (host, api_key, settings.proxy, settings.verify, settings.cert, tuple(sorted(settings.headers.items())))
    client = _clients.get(key)
    if client is None:
        made = AsyncClient(
            host,
            headers=settings.headers or None,
            api_key=api_key,
            proxy=settings.proxy,
            verify=settings.verify,
            cert=settings.cert,
        )
        # Another thread may have made one meanwhile: the first to be kept is used by both.
        client = _clients.setdefault(key, made)
    return client
