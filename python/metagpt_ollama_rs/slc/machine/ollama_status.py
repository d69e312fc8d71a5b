"""The configured Ollama server, its models, and those that it has in memory.

    describe_ollama()  # OllamaStatus(url="http://127.0.0.1:11434", version="0.12.3", installed=(…), loaded=(…), …)

The answer is there within a few seconds, whatever the server does. Sizes are in bytes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from metagpt_ollama_rs.errors import OllamaError
from metagpt_ollama_rs.limits import Timeout

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["InstalledModel", "LoadedModel", "OllamaStatus", "describe_ollama"]

# All questions together may take so long, in seconds.
_PATIENCE = 4.0


@dataclass(frozen=True)
class InstalledModel:
    """A model that the server has. Models in the cloud have no size.

    >>> InstalledModel("qwen2.5:7b", 4_683_087_332, "7.6B", "Q4_K_M").name
    'qwen2.5:7b'
    """

    name: str
    size: int | None
    parameters: str | None = None
    quantization: str | None = None


@dataclass(frozen=True)
class LoadedModel:
    """A model in the server's memory.

    Attributes:
        size: what it takes in all, with its context.
        gpu_share: which part of that is in the memory of graphics cards, in percent, or None if not known.
        expires_at: when it goes, unless it is used again, or None.
        context_length: the size of its context in tokens, or None.

    >>> LoadedModel("qwen2.5:7b", size=6 << 30, gpu_share=50, expires_at=None).gpu_share
    50
    """

    name: str
    size: int | None
    gpu_share: int | None
    expires_at: datetime | None
    context_length: int | None = None


@dataclass(frozen=True)
class OllamaStatus:
    """What is known of the server.

    Attributes:
        url: the configured address, or "" if the configuration cannot be read.
        model: the configured model, or "".
        version: the server's, or None if it cannot be reached.
        problem: why something is missing, or None; `hint` says what to do.

    >>> OllamaStatus("http://127.0.0.1:11434", "qwen2.5:7b", None, (), (), problem="nothing listens there").version
    """

    url: str
    model: str
    version: str | None
    installed: tuple[InstalledModel, ...]
    loaded: tuple[LoadedModel, ...]
    problem: str | None = None
    hint: str = ""

    @property
    def has_model(self) -> bool:
        """Whether the configured model is installed. A name without a tag means "latest"."""
        wanted = self.model if ":" in self.model.rpartition("/")[2] else f"{self.model}:latest"
        return wanted.lower() in (model.name.lower() for model in self.installed)


def describe_ollama() -> OllamaStatus:
    """Asks the configured server for its version and its models. A failure is part of the answer."""
    from metagpt_ollama_rs.slc.calls import blocking_client
    from metagpt_ollama_rs.slc.config import tool_config

    found: dict[str, Any] = {"url": "", "model": "", "version": None, "installed": (), "loaded": ()}
    deadline = time.monotonic() + _PATIENCE

    def limits() -> dict[str, Any]:
        left = max(deadline - time.monotonic(), 0.1)
        return {"timeout": Timeout(min(left, 2.0), left, left, left), "retries": 0}

    try:
        client = blocking_client()
        found["url"], found["model"] = client.base_url, tool_config().model
        found["version"] = client.version(**limits())
        found["installed"] = tuple(map(_read_installed, client.list(**limits()).models))
        found["loaded"] = tuple(map(_read_loaded, client.ps(**limits()).models))
    except OllamaError as error:
        found["problem"], found["hint"] = error.message, error.hint
    except (AttributeError, TypeError, ValueError) as error:
        found["problem"] = f"the server's answer is not Ollama's: {error}"[:300]
    return OllamaStatus(**found)


def _read_installed(model: Any) -> InstalledModel:
    details = model.details
    # What runs in the cloud has an entry of a few hundred bytes.
    size = None if model.remote_host else _checked_size(model.size)
    return InstalledModel(
        model.model or model.name or "?",
        size,
        (details and details.parameter_size) or None,
        (details and details.quantization_level) or None,
    )


def _read_loaded(model: Any) -> LoadedModel:
    size, on_cards = _checked_size(model.size), _checked_size(model.size_vram)
    share = round(100 * (on_cards or 0) / size) if size else None
    return LoadedModel(model.model or model.name or "?", size, share, model.expires_at, model.context_length)


def _checked_size(size: Any) -> int | None:
    if size is None or isinstance(size, int):
        return size
    raise ValueError(f"the size of a model is {size!r:.60}")
