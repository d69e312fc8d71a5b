"""What the models can do, as far as the servers have told: whether one takes images, and whether one can think.

The facts are kept for the life of the process, by the server's address and the model's name, for example
``("http://127.0.0.1:11434", "llava:7b")``.
"""

from __future__ import annotations

from typing import Any

from .. import AsyncClient
from ..errors import ConfigurationError, NotFoundError
from .stats_records import recorded_by_client

__all__ = ["check_vision", "models_without_thinking"]

# Whether a model takes images.
_vision: dict[tuple[str, str], bool] = {}

# Models that refused a request to think. To ask them again would cost a round trip for each call.
models_without_thinking: set[tuple[str, str]] = set()


async def check_vision(client: AsyncClient, model: str) -> None:
    """Raises ``ConfigurationError`` when ``model`` takes no images; its server is asked once for each model.

    A server that does not tell (older than 0.6.4, or without ``/api/show``) is sent the images: whether the model takes
    them cannot be known. For a missing model the ``ModelNotFoundError`` of the client is raised.
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
    """Whether the reply of ``/api/show`` describes a model that takes images; True where it does not tell.

    >>> _has_vision({"capabilities": ["completion"]}), _has_vision({"details": {"families": ["llama", "clip"]}})
    (False, True)
    """
    capabilities = shown.get("capabilities")
    if capabilities is not None:
        return "vision" in capabilities
    families = (shown.get("details") or {}).get("families") or ()
    if shown.get("projector_info") or "clip" in families or "mllama" in families:
        return True
    return not shown.get("model_info")
