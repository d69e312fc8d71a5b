"""Patches MetaGPT's token counts, which download tiktoken's files at the first use and fail offline.

A model of Ollama has a tokenizer of its own anyway. Its tokens are estimated, from the counts that its server has
returned (``token_estimates.py``). Counts for other models stay MetaGPT's own, network and all.

``tools/libs/editor.py``, ``tools/libs/index_repo.py`` and ``ext/spo/utils/evaluation_utils.py`` ask for an encoding
inside their functions, so there the module's name ``tiktoken`` gets a stand-in:

    encoding = tiktoken.get_encoding("cl100k_base")
    len(encoding.encode(content))
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from .patch import replace_function
from .which_llm import default_llm, llm_for

__all__ = ["TiktokenStandIn", "replace_counts", "replace_tiktoken"]

_NAME = "token_counts"


def replace_counts(module: ModuleType) -> None:
    """Makes the functions of `metagpt.utils.token_counter` estimate for models of this package's LLM objects."""
    # MetaGPT 0.8.2 has the first name, its main branch the second.
    for name in ("count_input_tokens", "count_message_tokens"):
        replace_function(module, name, _wrap_count_messages)
    replace_function(module, "count_output_tokens", _wrap_count_output)


def replace_tiktoken(module: ModuleType) -> None:
    """Puts a stand-in where ``module`` has imported tiktoken."""
    tiktoken = vars(module).get("tiktoken")
    # Anything else than the library was put there by user code.
    if tiktoken is not None and tiktoken is sys.modules.get("tiktoken"):
        vars(module)["tiktoken"] = TiktokenStandIn(tiktoken)


def _wrap_count_messages(stock: Any) -> Any:
    def count_messages(messages: Any, *args: Any, **kwargs: Any) -> Any:
        llm = llm_for(_NAME, args[0] if args else kwargs.get("model"))
        if llm is None:
            return stock(messages, *args, **kwargs)
        return llm.token_estimator.message_tokens(messages)

    return count_messages


def _wrap_count_output(stock: Any) -> Any:
    def count_output_tokens(string: Any, model: Any) -> Any:
        llm = llm_for(_NAME, model)
        return stock(string, model) if llm is None else llm.token_estimator.tokens(string)

    return count_output_tokens


class TiktokenStandIn:
    """The module tiktoken, but for the encodings while MetaGPT's default configuration is Ollama's."""

    def __init__(self, tiktoken: ModuleType) -> None:
        self._tiktoken = tiktoken

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tiktoken, name)

    def get_encoding(self, encoding_name: str) -> Any:
        """An encoding that estimates for the default model, or the real one."""
        llm = default_llm(_NAME)
        return self._tiktoken.get_encoding(encoding_name) if llm is None else _EstimatedEncoding(llm)

    def encoding_for_model(self, model_name: str) -> Any:
        """As `get_encoding`, for a model of this package's LLM objects."""
        llm = llm_for(_NAME, model_name)
        return self._tiktoken.encoding_for_model(model_name) if llm is None else _EstimatedEncoding(llm)


class _EstimatedEncoding:
    """What MetaGPT uses of an encoding: the length of what ``encode`` returns."""

    def __init__(self, llm: Any) -> None:
        self._llm = llm

    def encode(self, text: str, **_options: Any) -> _EstimatedTokens:
        return _EstimatedTokens(self._llm.token_estimator.tokens(text))


class _EstimatedTokens:
    """As long as the tokens are estimated to be many. There are no tokens in it."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count
