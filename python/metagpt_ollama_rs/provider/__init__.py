"""MetaGPT's Ollama provider, replaced: every public name of ``metagpt/provider/ollama_api.py``.

Two ways to use it. Importing this package registers its four providers in MetaGPT's registry, in the place of
MetaGPT's own. Or the one line ``from metagpt_ollama_rs.provider import *`` becomes the whole of ``ollama_api.py``.

With that line in place the imports make a circle: this package imports ``metagpt.provider``, which imports every
provider and so this package, while it is half imported. Hence the order here: ``__all__`` and a lazy ``__getattr__``
come first, so that the star import works in the middle of the circle; the classes live in other modules, which never
import this one. This module must stay free of other code.
"""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

# The names that ``ollama_api.py`` has, by the module that they come from here; beside these it has ``json``.
_NAMES = {
    "enum": ("Enum", "auto"),
    "typing": ("AsyncGenerator", "Optional", "Tuple"),
    "metagpt.configs.llm_config": ("LLMConfig", "LLMType"),
    "metagpt.const": ("LLM_API_TIMEOUT", "USE_CONFIG_TIMEOUT"),
    "metagpt.logs": ("log_llm_stream",),
    "metagpt.provider.base_llm": ("BaseLLM",),
    "metagpt.provider.general_api_requestor": ("GeneralAPIRequestor", "OpenAIResponse"),
    "metagpt.provider.llm_provider_registry": ("register_provider",),
    "metagpt.utils.cost_manager": ("TokenCostManager",),
    "metagpt_ollama_rs.provider.embeddings": ("OllamaEmbed", "OllamaEmbeddings"),
    "metagpt_ollama_rs.provider.llms": ("OllamaGenerate", "OllamaLLM"),
    "metagpt_ollama_rs.provider.messages": (
        "OllamaMessageAPI",
        "OllamaMessageBase",
        "OllamaMessageChat",
        "OllamaMessageEmbed",
        "OllamaMessageEmbeddings",
        "OllamaMessageGenerate",
        "OllamaMessageMeta",
    ),
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}

__all__ = ["json", *_MODULE_OF]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(import_module(_MODULE_OF[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# MetaGPT's own providers register first, so that ours replace them and not the other way round.
import_module("metagpt.provider")
import_module("metagpt_ollama_rs.provider.registry").register()
globals().update({name: __getattr__(name) for name in _MODULE_OF})
