"""Puts this package's embedding class where MetaGPT's RAG looks for one of Ollama.

MetaGPT makes embeddings in ``metagpt/rag/factories/embedding.py``, one method of a factory for each kind. Release
0.8.2 has a single factory, made at import, which keeps the method bound; the main branch makes one for each call. So
the class's method is replaced, and the one that is bound already. That module, and LlamaIndex with it, is imported by
whoever uses RAG: nothing here does.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from .import_hooks import when_imported

__all__ = ["patch_rag"]

_MODULE = "metagpt.rag.factories.embedding"


def patch_rag() -> None:
    """Replaces MetaGPT's Ollama embedding, now or when its RAG is imported. May be called again."""
    when_imported(_MODULE, _replace_create_ollama)


def _replace_create_ollama(module: ModuleType) -> None:
    factory = getattr(module, "RAGEmbeddingFactory", None)
    stock = getattr(factory, "_create_ollama", None)
    # One that a user has put there stays; and other releases may have none.
    if getattr(getattr(stock, "__code__", None), "co_filename", None) != module.__file__:
        return

    def _create_ollama(self: Any) -> Any:
        """The embedding of ``embedding:`` in config2.yaml."""
        from .rag_embedding import configured_embedding

        return configured_embedding((getattr(self, "config", None) or vars(module)["config"]).embedding)

    module.RAGEmbeddingFactory._create_ollama = _create_ollama
    ready = getattr(getattr(module, "get_rag_embedding", None), "__self__", None)
    creators = getattr(ready, "_creators", {})
    for kind, creator in list(creators.items()):
        if getattr(creator, "__func__", None) is stock:
            creators[kind] = _create_ollama.__get__(ready)
