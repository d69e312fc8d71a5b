"""How an answer ended: at which limit, and what to do about it; what an empty one means. No I/O, nothing of MetaGPT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from ..errors import EmptyAnswerError
from .replies import count_of

__all__ = ["cut_off_warning", "empty_answer_error", "limit_hint"]

_ASK_FOR_JSON_HINT = (
    "with a format, say in the prompt too that the answer is to be JSON, else some models write white space for ever"
)
_TEMPLATE_HINT = "does the model's template suit it (`ollama show --template`)?"


def limit_hint(reply: dict[str, Any], options: Mapping[str, Any]) -> str:
    """Which limit ended a reply whose ``done_reason`` is ``length``, and so what to raise.

    ``options`` are those that were sent. The answer's own limit and the context are the two that there are; where the
    counts do not tell which it was, both are named.
    """
    limit, context = _number(options.get("num_predict")), _number(options.get("num_ctx"))
    written, prompt = count_of(reply, "eval_count"), count_of(reply, "prompt_eval_count")
    more_tokens = "raise llm.max_token (num_predict)" + (f", now {limit}" if limit is not None else "")
    more_context = "raise llm.context_length (num_ctx)" + (f", now {context}" if context is not None else "")
    if written is not None and limit is not None and limit > 0:
        return more_tokens if written >= limit else more_context
    if written is not None and prompt is not None and context is not None:
        # The last token is not always counted.
        return more_context if prompt + written >= context - 1 else more_tokens
    return more_context if limit is not None and limit < 0 else f"{more_tokens}; or {more_context}"


def cut_off_warning(reply: dict[str, Any], options: Mapping[str, Any], text: str) -> str:
    """A warning about an answer that ended at a limit."""
    written, prompt = count_of(reply, "eval_count"), count_of(reply, "prompt_eval_count")
    tokens = f"{written} tokens, " if written is not None else ""
    behind = f" (after a prompt of {prompt} tokens)" if prompt is not None else ""
    return (
        f"the answer was cut off at a limit (done_reason: length): it has {tokens}{len(text)} characters{behind}. "
        f"hint: {limit_hint(reply, options)}"
    )


def empty_answer_error(
    reply: dict[str, Any],
    options: Mapping[str, Any],
    *,
    text: str,
    thinking: str,
    formatted: bool,
    model: Optional[str],
    endless: bool = False,
) -> EmptyAnswerError:
    """The error for an answer of nothing, or of white space; ``formatted`` says whether a ``format`` was asked for, and
    ``endless`` that the answer had no end: the guard against repetition stopped the model."""
    reason = reply.get("done_reason")
    if endless:
        message = "the model wrote white space only, without an end" + (" (after thinking)" if thinking.strip() else "")
        hint = _ASK_FOR_JSON_HINT if formatted else f"ask again; if it stays so, {_TEMPLATE_HINT}"
    elif reason == "load":
        message = "the server only loaded the model: nothing was asked"
        hint = "ask with a text: an empty prompt, or no messages at all, is Ollama's way to load a model"
    elif reason == "unload":
        message = "the server unloaded the model: nothing was asked"
        hint = "ask with a text: an empty prompt with a keep_alive of 0 is Ollama's way to unload a model"
    elif reason == "length" and text and formatted:
        message = "the model wrote white space only, up to the token limit"
        hint = f"{_ASK_FOR_JSON_HINT}; if it does say so, {limit_hint(reply, options)}"
    elif reason == "length":
        message = "the model used up its tokens without answering"
        message += " (it was still thinking)" if thinking else " (it wrote white space only)" if text else ""
        hint = limit_hint(reply, options) + (", or switch thinking off (think: false)" if thinking else "")
    elif thinking:
        message = "the model stopped after thinking, without an answer"
        hint = "ask again, or switch thinking off (think: false); llm.reasoning_content has what it thought"
    else:
        message = "the answer is empty" + (": white space only" if text else "")
        hint = f"ask again; if it stays so, {_TEMPLATE_HINT}"
        if options.get("stop"):
            hint = "does the answer begin with one of the texts of `stop`? Else " + hint
    return EmptyAnswerError(message, model=model, hint=hint, partial=text, partial_thinking=thinking)


def _number(value: Any) -> Optional[int]:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
