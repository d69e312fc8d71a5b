"""From the section ``embedding:`` of MetaGPT's configuration to an embedding object. Needs LlamaIndex."""

from __future__ import annotations

from typing import Any

from metagpt.logs import logger

from ..errors import ConfigurationError
from ..limits import Timeout
from ..rag import BATCH, OllamaEmbedding

__all__ = ["MetaGPTEmbedding", "configured_embedding"]

# The width of vectors that MetaGPT's FAISS and Milvus stores assume for Ollama when embedding.dimensions is not set.
ASSUMED_DIMENSIONS = 4096

# Seconds for a batch. A large model on a CPU takes minutes for one, while other batches wait in the server's queue.
FIRST_TOKEN_SECONDS = 3600.0


class MetaGPTEmbedding(OllamaEmbedding):
    """An `OllamaEmbedding` that warns at its first vectors of what MetaGPT's stores assume about them."""

    def _check_width(self, vectors: Any) -> Any:
        first = self.dimension is None
        checked = super()._check_width(vectors)
        if first:
            logger.info(
                "RAG asks /api/embed, whose vectors have length 1; MetaGPT's own class asked /api/embeddings, whose "
                "vectors have not. An index that was stored with those has to be built anew"
            )
        width = vectors.shape[1]
        if first and self.dimensions is None and width != ASSUMED_DIMENSIONS:
            logger.warning(
                f"embedding.dimensions is not set: MetaGPT's FAISS and Milvus stores then expect {ASSUMED_DIMENSIONS}, "
                f"and {self.model_name} makes {width}. hint: write `dimensions: {width}` under `embedding:` in "
                f"config2.yaml"
            )
        return checked


def configured_embedding(config: Any) -> MetaGPTEmbedding:
    """The embedding that MetaGPT's ``EmbeddingConfig`` describes; ``ConfigurationError`` where it names no model."""
    if not config.model:
        raise ConfigurationError(
            "embedding.model is not set",
            hint="write `model: nomic-embed-text`, or another embedding model, under `embedding:` in config2.yaml",
        )
    return MetaGPTEmbedding(
        config.model,
        base_url=config.base_url or None,
        embed_batch_size=config.embed_batch_size or BATCH,
        dimensions=config.dimensions or None,
        api_key=config.api_key or None,
        timeout=Timeout(first_token=FIRST_TOKEN_SECONDS),
    )
