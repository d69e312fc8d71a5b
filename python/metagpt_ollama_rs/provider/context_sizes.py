"""How many tokens the context of a model has: the settings know, or the server, or else a careful number stands in.

What counts is the context that the server loads the model with, which is rarely the one that the model was trained for:

    num_ctx of the request                       llm.context_length, extra_fields.num_ctx
    else num_ctx of the model's Modelfile        /api/show, parameters
    else the server's own default, which depends on OLLAMA_CONTEXT_LENGTH and on the memory of its GPUs. The loaded
    model tells it                               /api/ps, context_length
    until then                                   4096, the smallest default of servers of these years

and never more than the model was trained for (``/api/show``, ``model_info``), to which the server lowers it. Models
that run in Ollama's cloud are not loaded by the server; there it is what they were trained for. An error for a prompt
that is too long says the real number, and is remembered.

The server is asked before a call that needs the size, from a coroutine: `ask_server`. `context_size` does no I/O, so
that functions which run on an event loop can call it, and notes what was not known for the next call. Facts are kept
for the life of the process, by the server's address and the model's name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Optional

from .. import AsyncClient, Timeout
from ..errors import ConnectError, OllamaError
from .stats_records import recorded_by_client
from .warnings_once import warn_once

__all__ = [
    "ASSUMED_CONTEXT",
    "ContextSize",
    "answer_reserve",
    "ask_again_when_loaded",
    "ask_server",
    "ask_server_if_wanted",
    "context_size",
    "fitting_reserve",
    "note_limit",
    "requested_context",
    "server_of",
]

# The context that is assumed where neither the settings nor the server tell one, in tokens.
ASSUMED_CONTEXT = 4096

# These questions are small; a server that does not answer them soon is asked for the answer all the same.
_LIMITS = Timeout(connect=5.0, first_token=5.0, idle=5.0, total=10.0)

# What an answer gets of the context where the settings do not say how long it may be.
_ANSWER_SHARE = 0.2
# A reserve beyond a half of the context is cut down to this share.
_REDUCED_SHARE = 0.25


@dataclass(frozen=True)
class ContextSize:
    """A number of ``tokens``, and whether it ``is_known`` or only assumed."""

    tokens: int
    is_known: bool


@dataclass
class _Facts:
    """What a server has told of a model. Sizes are tokens, None where it did not tell.

    ``refused`` has the sizes that it named when it refused a prompt, by the ``num_ctx`` of the request (None: none).
    """

    was_asked: bool = False
    was_asked_while_loaded: bool = False
    trained: Optional[int] = None
    modelfile: Optional[int] = None
    loaded: Optional[int] = None
    is_remote: bool = False
    refused: dict[Optional[int], int] = field(default_factory=dict)


_facts: dict[tuple[str, str], _Facts] = {}
# Models whose size a function wanted to know before the server was asked.
_wanted: set[tuple[str, str]] = set()
# What was warned of.


def context_size(llm: Any) -> ContextSize:
    """The size of the context that the next call of this package's ``llm`` has."""
    key, num_ctx = server_of(llm), requested_context(llm)
    facts = _facts.get(key)
    if facts is None:
        _wanted.add(key)
        facts = _Facts()
    elif not facts.was_asked:
        _wanted.add(key)
    if num_ctx in facts.refused:
        return ContextSize(facts.refused[num_ctx], is_known=True)
    size = num_ctx or facts.modelfile
    if size is None:
        size = facts.trained if facts.is_remote else facts.loaded
    known = size is not None
    size = ASSUMED_CONTEXT if size is None else size
    return ContextSize(min(size, facts.trained or size), is_known=known)


def answer_reserve(llm: Any, size: int, share: float = _ANSWER_SHARE) -> int:
    """How many tokens of a context of ``size`` are kept for the answer: ``num_predict`` if the request has one, as far
    as it fits, else a ``share`` of the context."""
    wanted = _sent_options(llm).get("num_predict")
    if isinstance(wanted, int) and not isinstance(wanted, bool) and wanted > 0:
        return fitting_reserve(wanted, size)
    return round(size * share)


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
        key, client = server_of(llm), llm._client()
    except OllamaError:
        return
    facts = _facts.setdefault(key, _Facts())
    if not facts.was_asked:
        try:
            await _ask_show(client, key[1], facts)
        except ConnectError:
            # The call that follows says so; a later one asks again.
            return
        except OllamaError:
            pass
        facts.was_asked = True
        if requested_context(llm) is None and facts.modelfile is None and not facts.is_remote:
            await _ask_ps(client, key[1], facts)


async def ask_server_if_wanted(llm: Any) -> None:
    """As `ask_server`, if a function has wanted to know the size before it was known."""
    if _wanted and server_of(llm) in _wanted:
        await ask_server(llm)


async def ask_again_when_loaded(llm: Any) -> None:
    """Asks what the model is loaded with after a call of ``llm``, if the size depends on that: what another program has
    loaded it with before may be another size."""
    facts = _facts.get(server_of(llm)) if _facts else None
    if facts is None or not facts.was_asked or facts.was_asked_while_loaded or facts.is_remote:
        return
    facts.was_asked_while_loaded = True
    if requested_context(llm) is None and facts.modelfile is None:
        await _ask_ps(llm._client(), server_of(llm)[1], facts)


def note_limit(base_url: str, model: str, num_ctx: Any, tokens: Optional[int]) -> None:
    """Remembers the size that the server named when it refused a prompt of a request with this ``num_ctx`` or None."""
    if tokens is not None and tokens > 0:
        _facts.setdefault((base_url, model), _Facts()).refused[_positive(num_ctx)] = tokens


def server_of(llm: Any) -> tuple[str, str]:
    """The address of the server of ``llm`` and the name of its model. Raises ``ConfigurationError`` for settings that
    no client can be made of."""
    return llm._client().base_url, str(llm.model)


def requested_context(llm: Any) -> Optional[int]:
    """The ``num_ctx`` that the next request has, or None."""
    return _positive(_sent_options(llm).get("num_ctx"))


def _sent_options(llm: Any) -> dict[str, Any]:
    options = getattr(llm._message(), "additional_kwargs", {}).get("options")
    return options if isinstance(options, dict) else {}


async def _ask_show(client: AsyncClient, model: str, facts: _Facts) -> None:
    with recorded_by_client():
        shown = await client.request_json("/api/show", {"model": model}, timeout=_LIMITS)
    if not isinstance(shown, dict):
        return
    info = shown.get("model_info")
    for name, value in info.items() if isinstance(info, dict) else ():
        # llama.context_length; the encoder of a vision model has one of its own, as clip.vision.context_length.
        if isinstance(name, str) and re.fullmatch(r"[^.]+\.context_length", name):
            facts.trained = _positive(value)
    parameters = shown.get("parameters")
    found = re.search(r"^num_ctx\s+(\d+)\s*$", parameters, re.MULTILINE) if isinstance(parameters, str) else None
    facts.modelfile = _positive(int(found[1])) if found else None
    facts.is_remote = bool(shown.get("remote_host") or shown.get("remote_model"))


async def _ask_ps(client: AsyncClient, model: str, facts: _Facts) -> None:
    try:
        with recorded_by_client():
            reply = await client.request_json("/api/ps", method="GET", timeout=_LIMITS)
    except OllamaError:
        return
    models = reply.get("models") if isinstance(reply, dict) else None
    for entry in models if isinstance(models, list) else ():
        if isinstance(entry, dict) and _full_name(model) in (entry.get("name"), entry.get("model")):
            facts.loaded = _positive(entry.get("context_length")) or facts.loaded


def _full_name(model: str) -> str:
    """The name as the server writes it, with a tag."""
    return model if ":" in model.rpartition("/")[2] else f"{model}:latest"


def _positive(value: Any) -> Optional[int]:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
