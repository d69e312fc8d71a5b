"""Every name that ``metagpt/provider/ollama_api.py`` has, in one module, for the package's star import.

Nothing but imports: the classes live in ``messages``, ``llms`` and ``embeddings``, the rest is MetaGPT's and Python's
own.
"""

from __future__ import annotations

import json
from enum import Enum, auto
from typing import AsyncGenerator, Optional, Tuple

from metagpt.configs.llm_config import LLMConfig, LLMType
from metagpt.const import LLM_API_TIMEOUT, USE_CONFIG_TIMEOUT
from metagpt.logs import log_llm_stream
from metagpt.provider.base_llm import BaseLLM
from metagpt.provider.general_api_requestor import GeneralAPIRequestor, OpenAIResponse
from metagpt.provider.llm_provider_registry import register_provider
from metagpt.utils.cost_manager import TokenCostManager

from .embeddings import OllamaEmbed, OllamaEmbeddings
from .llms import OllamaGenerate, OllamaLLM
from .messages import (
    OllamaMessageAPI,
    OllamaMessageBase,
    OllamaMessageChat,
    OllamaMessageEmbed,
    OllamaMessageEmbeddings,
    OllamaMessageGenerate,
    OllamaMessageMeta,
)

__all__ = [
    "LLM_API_TIMEOUT",
    "USE_CONFIG_TIMEOUT",
    "AsyncGenerator",
    "BaseLLM",
    "Enum",
    "GeneralAPIRequestor",
    "LLMConfig",
    "LLMType",
    "OllamaEmbed",
    "OllamaEmbeddings",
    "OllamaGenerate",
    "OllamaLLM",
    "OllamaMessageAPI",
    "OllamaMessageBase",
    "OllamaMessageChat",
    "OllamaMessageEmbed",
    "OllamaMessageEmbeddings",
    "OllamaMessageGenerate",
    "OllamaMessageMeta",
    "OpenAIResponse",
    "Optional",
    "TokenCostManager",
    "Tuple",
    "auto",
    "json",
    "log_llm_stream",
    "register_provider",
]
