"""How an answer ended: which limit cut it off and what to do about that, and what an empty one means.

>>> reply = {"done_reason": "length", "eval_count": 100, "prompt_eval_count": 20}
>>> limit_hint(reply, {"num_predict": 100})
'raise llm.max_token (num_predict), now 100'

No I/O, nothing of MetaGPT.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from metagpt_ollama_rs.errors import EmptyAnswerError
from metagpt_ollama_rs.replies import count_of

__all__ = [
    "CUT_PROMPT_BYTES_PER_TOKEN",
    "CUT_PROMPT_MIN_TOKENS",
    "AnswerHints",
    "cut_off_warning",
    "cut_prompt_warning",
    "empty_answer_error",
    "limit_hint",
]

# A prompt counts as cut when each of its tokens would stand for more bytes than tokens do in any language or code. A
# prompt of few tokens is never taken for cut.
CUT_PROMPT_MIN_TOKENS = 256
CUT_PROMPT_BYTES_PER_TOKEN = 12

_ASK_FOR_JSON_HINT = (
    "with a format, say in the prompt too that the answer is to be JSON, else some models write white space for ever"
)
_TEMPLATE_HINT = "does the model's template suit it (`ollama show --template`)?"


class AnswerHints(NamedTuple):
    """What a user can do about an answer that is cut or empty, in the words of who asked; by default the provider's.

    >>> limit_hint({"eval_count": 9}, {"num_predict": 9}, AnswerHints(more_tokens="raise num_predict"))
    'raise num_predict, now 9'
    """

    more_tokens: str = "raise llm.max_token (num_predict)"
    more_context: str = "raise llm.context_length (num_ctx)"
    no_thinking: str = "switch thinking off (think: false)"
    thoughts: str = "llm.reasoning_content has what it thought"


_PROVIDER = AnswerHints()


def limit_hint(reply: dict[str, Any], options: Mapping[str, Any], hints: AnswerHints = _PROVIDER) -> str:
    """Which setting to raise after a reply whose ``done_reason`` is ``length``; ``options`` are those that were sent.

    There are two limits, that of the answer and the context. Where the counts do not tell which of them ended the
    answer, the hint names both.
    """
    limit, context = _integer_or_none(options.get("num_predict")), _integer_or_none(options.get("num_ctx"))
    written, prompt = count_of(reply, "eval_count"), count_of(reply, "prompt_eval_count")
    more_tokens = hints.more_tokens + (f", now {limit}" if limit is not None else "")
    more_context = hints.more_context + (f", now {context}" if context is not None else "")
    if written is not None and limit is not None and limit > 0:
        return more_tokens if written >= limit else more_context
    if written is not None and prompt is not None and context is not None:
        # Some servers do not count the last token.
        return more_context if prompt + written >= context - 1 else more_tokens
    return more_context if limit is not None and limit < 0 else f"{more_tokens}; or {more_context}"


def cut_off_warning(reply: dict[str, Any], options: Mapping[str, Any], text: str) -> str:
    """The warning about an answer ``text`` that ended at a limit: how long it is, and what to raise."""
    written, prompt = count_of(reply, "eval_count"), count_of(reply, "prompt_eval_count")
    tokens = f"{written} tokens, " if written is not None else ""
    behind = f" (after a prompt of {prompt} tokens)" if prompt is not None else ""
    return (
        f"the answer was cut off at a limit (done_reason: length): it has {tokens}{len(text)} characters{behind}. "
        f"hint: {limit_hint(reply, options)}"
    )


def cut_prompt_warning(payload: Mapping[str, Any], reply: dict[str, Any]) -> Optional[str]:
    """The warning that the server seems to have read much less of the prompt in ``payload`` than was sent, or None.

    A server that is too old for ``truncate: false`` cuts a prompt that is longer than the context, and does not say so.

    >>> cut_prompt_warning({"prompt": "word " * 2000}, {"prompt_eval_count": 300})[:47]
    'the server read only 300 tokens of a prompt of '
    """
    # A server may or may not count the tokens of its cache: counted twice, they can only keep this from warning.
    read = (count_of(reply, "prompt_eval_count") or 0) + (count_of(reply, "prompt_eval_cached_count") or 0)
    texts = [payload.get("prompt"), payload.get("system")]
    texts += [item.get("content") for item in payload.get("messages") or () if isinstance(item, dict)]
    size = sum(len(text.encode("utf-8", "replace")) for text in texts if isinstance(text, str))
    if read < CUT_PROMPT_MIN_TOKENS or size <= read * CUT_PROMPT_BYTES_PER_TOKEN:
        return None
    return (
        f"the server read only {read} tokens of a prompt of {size} bytes: it seems to have cut the prompt to "
        f"fit the context. hint: set llm.context_length (num_ctx) higher, or update Ollama, which then refuses"
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
    hints: AnswerHints = _PROVIDER,
) -> EmptyAnswerError:
    """The error for an answer without text, or with white space only.

    ``text`` and ``thinking`` are what the model has written. ``formatted`` says that the request had a ``format``,
    ``endless`` that the guard against repetition stopped the model.

    >>> reply = {"done_reason": "stop"}
    >>> print(empty_answer_error(reply, {}, text="", thinking="Hm.", formatted=False, model="m").message)
    the model stopped after thinking, without an answer
    """
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
        hint = f"{_ASK_FOR_JSON_HINT}; if it does say so, {limit_hint(reply, options, hints)}"
    elif reason == "length":
        message = "the model used up its tokens without answering"
        message += " (it was still thinking)" if thinking else " (it wrote white space only)" if text else ""
        hint = limit_hint(reply, options, hints) + (f", or {hints.no_thinking}" if thinking else "")
    elif thinking:
        message = "the model stopped after thinking, without an answer"
        hint = f"ask again, or {hints.no_thinking}; {hints.thoughts}"
    else:
        message = "the answer is empty" + (": white space only" if text else "")
        hint = f"ask again; if it stays so, {_TEMPLATE_HINT}"
        if options.get("stop"):
            hint = "does the answer begin with one of the texts of `stop`? Else " + hint
    return EmptyAnswerError(message, model=model, hint=hint, partial=text, partial_thinking=thinking)


def _integer_or_none(value: Any) -> Optional[int]:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
