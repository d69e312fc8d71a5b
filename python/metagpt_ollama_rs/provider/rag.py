"""Puts this package's embedding class where MetaGPT's RAG looks for one of Ollama.

MetaGPT makes embeddings in ``metagpt/rag/factories/embedding.py``, one method of a factory for each kind. Release
0.8.2 has a single factory, made at import, which keeps the method bound; the main branch makes one for each call. So
the class's method is replaced, and the one that is bound already. That module, and LlamaIndex with it, is imported by
whoever uses RAG: nothing here does.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from metagpt.configs.embedding_config import EmbeddingType

from .importing import when_imported

__all__ = ["serve_rag"]

_MODULE = "metagpt.rag.factories.embedding"


def serve_rag() -> None:
    """Replaces MetaGPT's Ollama embedding, now or when its RAG is imported. May be called again."""
    when_imported(_MODULE, _replace)


def _replace(module: ModuleType) -> None:
    factory = module.RAGEmbeddingFactory
    stock = factory._create_ollama
    # One that a user has put there stays.
    if getattr(getattr(stock, "__code__", None), "co_filename", None) != module.__file__:
        return

    def _create_ollama(self: Any) -> Any:
        """The embedding of ``embedding:`` in config2.yaml."""
        from .rag_embedding import configured_embedding

        return configured_embedding((getattr(self, "config", None) or vars(module)["config"]).embedding)

    factory._create_ollama = _create_ollama
    ready = getattr(module.get_rag_embedding, "__self__", None)
    creators = getattr(ready, "_creators", {})
    if getattr(creators.get(EmbeddingType.OLLAMA), "__func__", None) is stock:
        creators[EmbeddingType.OLLAMA] = ready._create_ollama  # type: ignore[union-attr]
