"""The LLM object of this package for whose model a function of MetaGPT counts or cuts, where it is told a name or
nothing at all.

A name means the LLM object of this package that has it, or MetaGPT's default configuration if that is Ollama's and has
it. Where no model is named, the default configuration decides. None means that MetaGPT's own function is to run.
"""

from __future__ import annotations

import importlib
from typing import Any, Optional

from metagpt.configs.llm_config import LLMType
from metagpt.provider.llm_provider_registry import LLM_REGISTRY

from ...errors import OllamaError
from ..live_llms import LiveLLM, llm_of_model
from .patch import is_switched_on

__all__ = ["default_llm", "llm_for", "llm_of_config"]

# The LLM object that was made of the default configuration, with the configuration.
_made: list[tuple[Any, Any]] = []


def llm_for(patch: str, model: Optional[str]) -> Optional[Any]:
    """The LLM object for the model of this name, if ``patch`` is switched on for it."""
    llm = llm_of_model(model)
    if llm is None:
        config = _default_config()
        llm = _default_llm(config) if model and getattr(config, "model", None) == model else None
    return llm if _can_be_asked(llm) and is_switched_on(patch, llm) else None


def default_llm(patch: str) -> Optional[Any]:
    """The LLM object for MetaGPT's default configuration, if that is Ollama's and ``patch`` is switched on for it."""
    return llm_of_config(patch, _default_config())


def llm_of_config(patch: str, config: Any) -> Optional[Any]:
    """The LLM object for this ``LLMConfig``, if that is Ollama's and ``patch`` is switched on for it."""
    llm = _default_llm(config)
    return llm if _can_be_asked(llm) and is_switched_on(patch, llm) else None


def _default_config() -> Any:
    try:
        # Nearly always imported already; without a valid configuration file the import raises.
        return importlib.import_module("metagpt.config2").config.llm
    except Exception:
        return None


def _default_llm(config: Any) -> Optional[Any]:
    kind = getattr(config, "api_type", None)
    made_by = LLM_REGISTRY.providers.get(kind) if isinstance(kind, LLMType) else None
    if not isinstance(made_by, type) or not issubclass(made_by, LiveLLM):
        return None
    alive = llm_of_model(config.model)
    if alive is not None and getattr(alive, "config", None) is config:
        return alive
    if not _made or _made[0][0] is not config or type(_made[0][1]) is not made_by:
        try:
            _made[:] = [(config, made_by(config))]
        except OllamaError:
            return None
    return _made[0][1]


def _can_be_asked(llm: Any) -> bool:
    """Whether there is an object, with settings of which a client can be made."""
    if llm is None:
        return False
    try:
        llm._client()
    except OllamaError:
        return False
    return True
