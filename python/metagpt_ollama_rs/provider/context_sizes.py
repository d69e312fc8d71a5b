"""How many tokens the context of an LLM object's model has: the settings know, or the server, or else a careful number
stands in (see `context_facts`).

The settings are ``llm.context_length`` and ``extra_fields.num_ctx``. The server is asked before a call that needs the
size, from a coroutine: `ask_server`. `context_size` does no I/O, so that functions which run on an event loop can call
it, and notes what was not known for the next call.
"""

from __future__ import annotations

from typing import Any, Optional

from ..context_facts import (
    ContextSize,
    ask_context,
    ask_loaded_context,
    is_context_asked,
    known_context,
    positive_count,
)
from ..errors import OllamaError
from .warnings_once import warn_once

__all__ = [
    "answer_reserve",
    "ask_again_when_loaded",
    "ask_server",
    "ask_server_if_wanted",
    "context_size",
    "fitting_reserve",
    "requested_context",
    "server_of",
]

# What an answer gets of the context where the settings do not say how long it may be.
_ANSWER_SHARE = 0.2
# A reserve beyond a half of the context is cut down to this share.
_REDUCED_SHARE = 0.25

# Models whose size a function wanted to know before the server was asked.
_wanted: set[tuple[str, str]] = set()


def context_size(llm: Any) -> ContextSize:
    """The size of the context that the next call of this package's ``llm`` has."""
    key = server_of(llm)
    if not is_context_asked(*key):
        _wanted.add(key)
    return known_context(*key, requested_context(llm))


def answer_reserve(llm: Any, size: int, share: float = _ANSWER_SHARE) -> int:
    """How many tokens of a context of ``size`` are kept for the answer: ``num_predict`` if the request has one, as far
    as it fits, else a ``share`` of the context."""
    wanted = positive_count(_sent_options(llm).get("num_predict"))
    return round(size * share) if wanted is None else fitting_reserve(wanted, size)


def fitting_reserve(wanted: int, size: int) -> int:
    """``wanted`` tokens, if they are at most a half of a context of ``size``; else a quarter of it, with a warning."""
    if wanted <= size // 2:
        return max(wanted, 0)
    reduced = int(size * _REDUCED_SHARE)
    warn_once(
        ("reserve", str(size)),
        f"{wanted} tokens are to be kept for the answer, of a context of {size}: {reduced} are kept instead. "
        "hint: raise llm.context_length (num_ctx), or lower llm.max_token",
    )
    return reduced


async def ask_server(llm: Any) -> None:
    """Asks the server for the size of the context of ``llm``, once in the life of the process for each model.

    Never raises: a server that cannot be asked leaves the size unknown.
    """
    try:
        model, client = server_of(llm)[1], llm._client()
    except OllamaError:
        return
    await ask_context(client, model, requested_context(llm))


async def ask_server_if_wanted(llm: Any) -> None:
    """As `ask_server`, if a function has wanted to know the size before it was known."""
    if _wanted and server_of(llm) in _wanted:
        await ask_server(llm)


async def ask_again_when_loaded(llm: Any) -> None:
    """Asks what the model is loaded with after a call of ``llm``, if the size depends on that."""
    base_url, model = server_of(llm)
    if is_context_asked(base_url, model):
        await ask_loaded_context(llm._client(), model, requested_context(llm))


def server_of(llm: Any) -> tuple[str, str]:
    """The address of the server of ``llm`` and the name of its model. Raises ``ConfigurationError`` for settings that
    no client can be made of."""
    return llm._client().base_url, str(llm.model)


def requested_context(llm: Any) -> Optional[int]:
    """The ``num_ctx`` that the next request has, or None."""
    return positive_count(_sent_options(llm).get("num_ctx"))


def _sent_options(llm: Any) -> dict[str, Any]:
    options = getattr(llm._message(), "additional_kwargs", {}).get("options")
    return options if isinstance(options, dict) else {}
