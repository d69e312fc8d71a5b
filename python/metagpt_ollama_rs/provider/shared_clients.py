"""The clients that the providers share, and what has been learned about the models behind them.

One client, and so one connection pool, for each server, key, proxy, trust and set of headers in the process: five calls
and several LLM objects use the same connections. All I/O is the client's; this module only keeps clients and facts.
"""

from __future__ import annotations

from typing import Any, Optional

from .. import AsyncClient
from ..errors import ConfigurationError, NotFoundError
from .settings import ClientSettings
from .stats_records import recorded_by_client

__all__ = ["check_vision", "refused_thinking", "shared_client"]

_clients: dict[tuple[Any, ...], AsyncClient] = {}
_vision: dict[tuple[str, str], bool] = {}

# Models (with their server) that answered a request to think with a refusal: asking again would cost a round trip.
refused_thinking: set[tuple[str, str]] = set()


def shared_client(host: Optional[str], api_key: Optional[str], settings: ClientSettings) -> AsyncClient:
    """The process's client for these settings, made at the first use.

    Raises ``ConfigurationError`` for a host, a proxy or a file of certificates that is none.
    """
    key = (host, api_key, settings.proxy, settings.verify, tuple(sorted(settings.headers.items())))
    client = _clients.get(key)
    if client is None:
        made = AsyncClient(
            host,
            headers=settings.headers or None,
            api_key=api_key,
            proxy=settings.proxy,
            verify=settings.verify,
        )
        client = _clients.setdefault(key, made)
    return client


async def check_vision(client: AsyncClient, model: str) -> None:
    """Raises ``ConfigurationError`` when the model cannot see; the server is asked once for each model.

    A server that does not tell (older than 0.6.4, or without ``/api/show``) is given the benefit of the doubt, since
    it cannot be asked. A missing model is the ``ModelNotFoundError`` of the client.
    """
    key = (client.base_url, model)
    if key not in _vision:
        try:
            with recorded_by_client():
                _vision[key] = _has_vision(await client.show(model))
        except NotFoundError:
            _vision[key] = True
    if not _vision[key]:
        raise ConfigurationError(
            f"the model {model!r} cannot take images: it has no vision capability, and Ollama would drop them",
            hint=f"use a vision model, or send no images; `ollama show {model}` lists what a model can do",
        )


def _has_vision(shown: Any) -> bool:
    capabilities = shown.get("capabilities")
    if capabilities is not None:
        return "vision" in capabilities
    families = (shown.get("details") or {}).get("families") or ()
    if shown.get("projector_info") or "clip" in families or "mllama" in families:
        return True
    return not shown.get("model_info")
