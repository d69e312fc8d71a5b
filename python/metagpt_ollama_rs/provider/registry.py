"""Puts the four providers into MetaGPT's registry, which maps an ``LLMType`` to a class."""

from __future__ import annotations

from pathlib import Path

from metagpt.configs.llm_config import LLMType
from metagpt.logs import logger
from metagpt.provider import llm_provider_registry
from metagpt.provider.llm_provider_registry import LLM_REGISTRY

from ..switch.files import upgrade_warning
from .embeddings import OllamaEmbed, OllamaEmbeddings
from .llms import OllamaGenerate, OllamaLLM
from .patches.table import apply_patches

__all__ = ["register"]


def register() -> None:
    """Registers the providers and applies the patches of MetaGPT. For each type the last registration wins, so that a
    second call puts back what other code has registered in between. Warns of an upgrade that has undone ``install``.
    """
    LLM_REGISTRY.register(LLMType.OLLAMA, OllamaLLM)
    LLM_REGISTRY.register(LLMType.OLLAMA_GENERATE, OllamaGenerate)
    LLM_REGISTRY.register(LLMType.OLLAMA_EMBEDDINGS, OllamaEmbeddings)
    LLM_REGISTRY.register(LLMType.OLLAMA_EMBED, OllamaEmbed)
    apply_patches()
    warning = upgrade_warning(Path(llm_provider_registry.__file__).parents[1])
    if warning is not None:
        logger.warning(warning)
