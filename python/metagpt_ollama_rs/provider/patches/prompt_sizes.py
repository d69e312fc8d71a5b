"""Patches how MetaGPT fits prompts to a model's context: ``reduce_message_length`` and ``generate_prompt_chunk``.

Both take 2,048 tokens for the context of a model whose name they do not know, as those of Ollama. The first one then
returns its longest prompt as it is. The second one keeps 4,096 tokens of those 2,048 for the answer, so that nothing
fits and it splits paragraphs for ever. Both count with tiktoken. Here the size is that of the model, see
``provider/context_sizes.py``. ``actions/research.py`` uses them; its actions let the server be asked for it first.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

from ...text_cuts import parts
from ..context_sizes import ask_server, context_size, fitting_reserve
from ..live_llms import LiveLLM
from ..warnings_once import warn_once
from .patch import is_switched_on, replace_function
from .which_llm import llm_for

__all__ = ["replace_prompt_sizes", "replace_research_actions"]

_NAME = "prompt_sizes"

# A model's template and the roles of a system message and a question, in tokens.
_AROUND = 20
# Chunks get this share of a context that a template nearly fills, instead of the answer's reserve.
_LEAST_SHARE = 0.125
# A chunk of fewer tokens is no use.
_LEAST_TOKENS = 16


def replace_prompt_sizes(module: ModuleType) -> None:
    """Makes the functions of `metagpt.utils.text` use the context of this package's LLM objects."""
    replace_function(module, "reduce_message_length", _wrap_reduce)
    replace_function(module, "generate_prompt_chunk", _wrap_chunks)


def replace_research_actions(module: ModuleType) -> None:
    """Makes the actions of `metagpt.actions.research` that fit prompts ask for the size of the context first."""
    for name in ("CollectLinks", "WebBrowseAndSummarize"):
        action = getattr(module, name, None)
        if isinstance(action, type):
            replace_function(action, "run", _wrap_run)


def _wrap_run(stock: Any) -> Any:
    async def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        # The property makes an LLM object at the first use; an action without one has its own way to fail.
        llm = getattr(self, "llm", None)
        if isinstance(llm, LiveLLM) and is_switched_on(_NAME, llm):
            await ask_server(llm)
        return await stock(self, *args, **kwargs)

    return run


def _wrap_reduce(stock: Any) -> Any:
    def reduce_message_length(msgs: Any, model_name: str, system_text: str, reserved: int = 0) -> Any:
        llm = llm_for(_NAME, model_name)
        if llm is None:
            return stock(msgs, model_name, system_text, reserved)
        size, estimator = context_size(llm), llm.token_estimator
        room = size.tokens - fitting_reserve(reserved, size.tokens)
        room -= estimator.weight_at_most(system_text) + _AROUND
        shortest, least = None, float("inf")
        for prompt in msgs:
            weight = estimator.weight_at_most(prompt)
            if weight <= room:
                return prompt
            if weight < least:
                shortest, least = prompt, weight
        if shortest is None:
            raise RuntimeError("fail to reduce message length: there is no message")
        numbers = (
            f"the shortest one has about {round(least)} tokens, and {max(round(room), 0)} are free "
            f"in a context of {size.tokens}"
        )
        if size.is_known:
            raise RuntimeError(
                f"fail to reduce message length: {numbers}. hint: raise llm.context_length (num_ctx), "
                "or lower llm.max_token"
            )
        warn_once(
            ("assumed context", str(model_name)),
            f"{numbers}, which is assumed for {model_name!r}. hint: set llm.context_length (num_ctx)",
        )
        return shortest

    return reduce_message_length


def _wrap_chunks(stock: Any) -> Any:
    def generate_prompt_chunk(
        text: str, prompt_template: str, model_name: str, system_text: str, reserved: int = 0
    ) -> Any:
        llm = llm_for(_NAME, model_name)
        if llm is None:
            return stock(text, prompt_template, model_name, system_text, reserved)
        return _chunks(llm, text, prompt_template, system_text, reserved)

    return generate_prompt_chunk


def _chunks(llm: Any, text: str, template: str, system_text: str, reserved: int) -> Iterator[str]:
    """The prompts: lines stay together as far as they fit, a longer one is cut at sentences, words or characters."""
    estimator = llm.token_estimator
    fixed = estimator.weight_at_most(template + system_text) + _AROUND
    room = _chunk_room(context_size(llm).tokens, fixed, reserved)

    def fits(part: str) -> bool:
        return bool(estimator.weight_at_most(part) <= room)

    chunk: list[str] = []
    filled = 0.0
    for line in text.splitlines(keepends=True):
        for part in parts(line, fits):
            weight = estimator.weight_at_most(part)
            if chunk and filled + weight > room:
                yield template.format("".join(chunk))
                chunk, filled = [], 0.0
            chunk.append(part)
            filled += weight
    if chunk:
        yield template.format("".join(chunk))


def _chunk_room(size: int, fixed: float, reserved: int) -> float:
    """How many tokens a chunk may have in a context of ``size``, of which ``fixed`` are taken."""
    room = size - fixed - fitting_reserve(reserved, size)
    least = min(size * _LEAST_SHARE, size - fixed)
    if room < least:
        room = least
        warn_once(
            ("template", str(size)),
            f"the prompt's template has about {round(fixed)} tokens and leaves little of a context of {size} for the "
            "answer. hint: raise llm.context_length (num_ctx)",
        )
    if room < _LEAST_TOKENS:
        raise RuntimeError(
            f"the text cannot be split: the prompt's template and system text have about {round(fixed)} tokens, and "
            f"the context has {size}. hint: raise llm.context_length (num_ctx)"
        )
    return room
