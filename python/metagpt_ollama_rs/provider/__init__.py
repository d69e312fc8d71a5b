"""MetaGPT's Ollama provider, replaced: every public name of ``metagpt/provider/ollama_api.py``.

Two ways to use it. Importing this package registers its four providers in MetaGPT's registry, in the place of
MetaGPT's own. Or the one line ``from metagpt_ollama_rs.provider import *`` becomes the whole of ``ollama_api.py``.

With that line in place the imports make a circle: this package imports ``metagpt.provider``, which imports every
provider and so this package, half made. Hence the order here: ``__all__`` and a lazy ``__getattr__`` come first, so
that the star import works in the middle of the circle; the classes live in other modules, which never import this
one. This module must stay free of other code.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

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


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("metagpt_ollama_rs.provider.names"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# MetaGPT's own providers register first, so that ours replace them and not the other way round.
import_module("metagpt.provider")
import_module("metagpt_ollama_rs.provider.registration").register()
globals().update({name: __getattr__(name) for name in __all__})
