"""The LLM object of this package for whose model a function of MetaGPT counts or cuts, where it is told a name or
nothing at all.

A name means the LLM object of this package that has it, or MetaGPT's default configuration if that is Ollama's and has
it. A model of another provider may have the same name: then that LLM object decides whose method calls the function,
else that of the role that acts, else the default configuration. Where no model is named, the default configuration
decides. None means that MetaGPT's own function is to run.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any, Optional

from metagpt.configs.llm_config import LLMType
from metagpt.provider.base_llm import BaseLLM
from metagpt.provider.llm_provider_registry import LLM_REGISTRY

from ...errors import OllamaError
from ..live_llms import LiveLLM, llm_of_model
from .acting_roles import acting_llm
from .patch import is_switched_on

__all__ = ["default_llm", "llm_for", "llm_of_config"]

# The LLM object that was made of the default configuration, with the configuration.
_made: list[tuple[Any, Any]] = []
# How many functions of MetaGPT may stand between the method of an LLM object and the function that it calls.
_CALLERS = 6


def llm_for(patch: str, model: Optional[str]) -> Optional[Any]:
    """The LLM object for the model of this name, if ``patch`` is switched on for it."""
    llm = llm_of_model(model)
    if llm is None:
        config = _default_config()
        llm = _default_llm(config) if model and getattr(config, "model", None) == model else None
    elif _asks_another_provider(model):
        return None
    return llm if _can_be_asked(llm) and is_switched_on(patch, llm) else None


def default_llm(patch: str) -> Optional[Any]:
    """The LLM object for MetaGPT's default configuration, if that is Ollama's and ``patch`` is switched on for it."""
    return llm_of_config(patch, _default_config())


def llm_of_config(patch: str, config: Any) -> Optional[Any]:
    """The LLM object for this ``LLMConfig``, if that is Ollama's and ``patch`` is switched on for it."""
    llm = _default_llm(config)
    return llm if _can_be_asked(llm) and is_switched_on(patch, llm) else None


def _asks_another_provider(model: Optional[str]) -> bool:
    """Whether the model of this name that is meant is another provider's, although one of this package has the name."""
    for llm in (_calling_llm(), acting_llm()):
        if model in (getattr(llm, "model", None), getattr(llm, "pricing_plan", None)):
            return not isinstance(llm, LiveLLM)
    config = getattr(getattr(sys.modules.get("metagpt.config2"), "config", None), "llm", None)
    names = (getattr(config, "model", None), getattr(config, "pricing_plan", None))
    return model in names and not _is_ours(config)


def _calling_llm() -> Optional[Any]:
    """The LLM object, of any provider, one of whose methods is running and has called the function."""
    frame = sys._getframe(1)
    for _ in range(_CALLERS):
        caller = frame.f_locals.get("self")
        if isinstance(caller, BaseLLM):
            return caller
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return None


def _is_ours(config: Any) -> bool:
    """Whether the provider of this package is the one for an ``LLMConfig``."""
    kind = getattr(config, "api_type", None)
    made_by = LLM_REGISTRY.providers.get(kind) if isinstance(kind, LLMType) else None
    return isinstance(made_by, type) and issubclass(made_by, LiveLLM)


def _default_config() -> Any:
    try:
        # Nearly always imported already; without a valid configuration file the import raises.
        return importlib.import_module("metagpt.config2").config.llm
    except Exception:
        return None


def _default_llm(config: Any) -> Optional[Any]:
    if not _is_ours(config):
        return None
    made_by: Any = LLM_REGISTRY.providers[config.api_type]
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
