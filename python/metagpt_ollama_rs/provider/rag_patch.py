"""Patches MetaGPT's RAG so that it embeds with this package's class where the configuration says Ollama.

MetaGPT makes embeddings in ``metagpt/rag/factories/embedding.py``, with one method of a factory for each kind. Release
0.8.2 has a single factory, made at import, which keeps its methods bound in ``_creators``; the main branch makes a
factory for each call. So the method of the class is replaced, and the bound one as well. That module imports
LlamaIndex, so it is not imported here: the patch waits until a program that uses RAG imports it.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from .import_hooks import when_imported

__all__ = ["patch_rag"]

_MODULE = "metagpt.rag.factories.embedding"


def patch_rag() -> None:
    """Replaces MetaGPT's Ollama embedding, now or when its RAG is imported. May be called any number of times."""
    when_imported(_MODULE, _replace_create_ollama)


def _replace_create_ollama(module: ModuleType) -> None:
    factory = getattr(module, "RAGEmbeddingFactory", None)
    stock = getattr(factory, "_create_ollama", None)
    # A method that user code has put there stays, and other releases of MetaGPT may have none.
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
