"""Patches the sizes that MetaGPT's RAG gives to LlamaIndex, which fits its prompts to them.

MetaGPT's main branch ignores ``llm.context_length``, and both versions take 3,900 tokens for the context of a model
that they do not know and keep ``llm.max_token``, 4,096 by default, for the answer: LlamaIndex then stops with
"Calculated available context size -… was not non-negative". Sizes that the user gave to ``RAGLLM`` stay.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from ..context_sizes import answer_reserve, context_size
from .patch import is_switched_on

__all__ = ["replace_rag_sizes"]

_NAME = "rag_context"


def replace_rag_sizes(module: ModuleType) -> None:
    """Makes `metagpt.rag.factories.llm.RAGLLM` tell LlamaIndex the sizes of this package's LLM objects."""
    owner: Any = getattr(module, "RAGLLM", None)
    stock = vars(owner).get("metadata") if isinstance(owner, type) else None
    if isinstance(stock, property) and getattr(stock.fget, "__globals__", None) is vars(module):
        owner.metadata = property(_wrap_metadata(stock.fget, module), doc=stock.__doc__)


def _wrap_metadata(stock: Any, module: ModuleType) -> Any:
    def metadata(self: Any) -> Any:
        found, llm = stock(self), getattr(self, "model_infer", None)
        if not is_switched_on(_NAME, llm) or llm is None:
            return found
        size, reserve = found.context_window, found.num_output
        if size in _assumed_windows(self, module):
            size = context_size(llm).tokens
        if reserve == module.config.llm.max_token or reserve >= size:
            reserve = answer_reserve(llm, size)
        return type(found)(**{**dict(found), "context_window": size, "num_output": reserve})

    return metadata


def _assumed_windows(rag_llm: Any, module: ModuleType) -> tuple[Any, Any]:
    """The contexts that MetaGPT takes where the user gives none: that of the main branch, and that of 0.8.2, which is
    the default of the field."""
    names = vars(module)
    unknown = names.get("DEFAULT_CONTEXT_WINDOW")
    fields = getattr(rag_llm, "__fields__", {})
    return (
        names.get("TOKEN_MAX", {}).get(module.config.llm.model, unknown),
        getattr(fields.get("context_window"), "default", unknown),
    )
