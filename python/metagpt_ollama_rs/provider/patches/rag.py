"""Patches MetaGPT's RAG so that it embeds with this package's class where the configuration says Ollama.

MetaGPT makes embeddings in ``metagpt/rag/factories/embedding.py``, with one method of a factory for each kind. Release
0.8.2 has a single factory, made at import, which keeps its methods bound in ``_creators``; the main branch makes a
factory for each call. So the method of the class is replaced, and the bound one as well. That module imports
LlamaIndex, so it is not imported here: the patch waits until a program that uses RAG imports it.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from .patch import is_switched_on, replace_function

__all__ = ["replace_create_ollama"]


def replace_create_ollama(module: ModuleType) -> None:
    """Makes the factory of `metagpt.rag.factories.embedding` create this package's class for Ollama."""
    factory = getattr(module, "RAGEmbeddingFactory", None)
    stock = vars(factory).get("_create_ollama") if factory is not None else None
    if stock is None:
        return
    replace_function(factory, "_create_ollama", _wrap_create_ollama)
    replaced = vars(factory)["_create_ollama"]
    ready = getattr(getattr(module, "get_rag_embedding", None), "__self__", None)
    creators = getattr(ready, "_creators", {})
    for kind, creator in list(creators.items()):
        if getattr(creator, "__func__", None) is stock:
            creators[kind] = replaced.__get__(ready)


def _wrap_create_ollama(stock: Any) -> Any:
    def create_ollama(self: Any) -> Any:
        if not is_switched_on("rag_embedding"):
            return stock(self)
        from ..rag_embedding import configured_embedding

        return configured_embedding((getattr(self, "config", None) or stock.__globals__["config"]).embedding)

    return create_ollama
