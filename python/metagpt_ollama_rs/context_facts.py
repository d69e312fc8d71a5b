"""What a server has told of the context that its models have, for every caller in the process.

What counts is the context that the server loads the model with, which is rarely the one that the model was trained for:

    num_ctx of the request
    else num_ctx of the model's Modelfile        /api/show, parameters
    else the server's own default, which depends on OLLAMA_CONTEXT_LENGTH and on the memory of its GPUs. The loaded
    model tells it                               /api/ps, context_length
    until then                                   4096, the smallest default of servers of these years

and never more than the model was trained for (``/api/show``, ``model_info``), to which the server lowers it. Models
that run in Ollama's cloud are not loaded by the server; there it is what they were trained for. An error for a prompt
that is too long says the real number, and is remembered.

`known_context` does no I/O; `ask_context` and `ask_loaded_context` are coroutines that ask the server and never raise.
Facts are kept for the life of the process, by the server's address and the model's name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional

from .errors import ConnectError, OllamaError
from .limits import Timeout

if TYPE_CHECKING:
    from .async_client import AsyncClient

__all__ = [
    "ASSUMED_CONTEXT",
    "ContextSize",
    "ask_context",
    "ask_loaded_context",
    "is_context_asked",
    "known_context",
    "note_limit",
    "positive_count",
]

# The context that is assumed where neither the request nor the server tells one, in tokens.
ASSUMED_CONTEXT = 4096

# These questions are small; a server that does not answer them soon is asked for the answer all the same.
_LIMITS = Timeout(connect=5.0, first_token=5.0, idle=5.0, total=10.0)


@dataclass(frozen=True)
class ContextSize:
    """A number of ``tokens``, and whether it ``is_known`` or only assumed.

    >>> known_context("http://127.0.0.1:11434", "a model that nobody has asked for", None)
    ContextSize(tokens=4096, is_known=False)
    """

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


def known_context(base_url: str, model: str, num_ctx: Optional[int]) -> ContextSize:
    """The size of the context that a request with this ``num_ctx`` (None: without one) has, as far as it is known."""
    facts = _facts.get((base_url, model)) or _Facts()
    if num_ctx in facts.refused:
        return ContextSize(facts.refused[num_ctx], is_known=True)
    size = num_ctx or facts.modelfile
    if size is None:
        size = facts.trained if facts.is_remote else facts.loaded
    known = size is not None
    size = ASSUMED_CONTEXT if size is None else size
    return ContextSize(min(size, facts.trained or size), is_known=known)


def is_context_asked(base_url: str, model: str) -> bool:
    """Whether `ask_context` has asked the server for this model."""
    facts = _facts.get((base_url, model))
    return facts is not None and facts.was_asked


async def ask_context(client: AsyncClient, model: str, num_ctx: Optional[int]) -> None:
    """Asks the server for the size of the context of ``model``, once in the life of the process.

    Never raises: a server that cannot be asked leaves the size unknown.
    """
    facts = _facts.setdefault((client.base_url, model), _Facts())
    if facts.was_asked:
        return
    try:
        await _ask_show(client, model, facts)
    except ConnectError:
        # The call that follows says so; a later one asks again.
        return
    except OllamaError:
        pass
    facts.was_asked = True
    if num_ctx is None and facts.modelfile is None and not facts.is_remote:
        await _ask_ps(client, model, facts)


async def ask_loaded_context(client: AsyncClient, model: str, num_ctx: Optional[int]) -> None:
    """Asks what the model is loaded with after a call of it, once, if the size depends on that: what another program
    has loaded it with before may be another size."""
    facts = _facts.get((client.base_url, model))
    if facts is None or not facts.was_asked or facts.was_asked_while_loaded or facts.is_remote:
        return
    facts.was_asked_while_loaded = True
    if num_ctx is None and facts.modelfile is None:
        await _ask_ps(client, model, facts)


def note_limit(base_url: str, model: str, num_ctx: Any, tokens: Optional[int]) -> None:
    """Remembers the size that the server named when it refused a prompt of a request with this ``num_ctx`` or None."""
    if tokens is not None and tokens > 0:
        _facts.setdefault((base_url, model), _Facts()).refused[positive_count(num_ctx)] = tokens


async def _ask_show(client: AsyncClient, model: str, facts: _Facts) -> None:
    shown = await client.request_json("/api/show", {"model": model}, timeout=_LIMITS)
    if not isinstance(shown, dict):
        return
    info = shown.get("model_info")
    for name, value in info.items() if isinstance(info, dict) else ():
        # llama.context_length; the encoder of a vision model has one of its own, as clip.vision.context_length.
        if isinstance(name, str) and re.fullmatch(r"[^.]+\.context_length", name):
            facts.trained = positive_count(value)
    parameters = shown.get("parameters")
    found = re.search(r"^num_ctx\s+(\d+)\s*$", parameters, re.MULTILINE) if isinstance(parameters, str) else None
    facts.modelfile = positive_count(int(found[1])) if found else None
    facts.is_remote = bool(shown.get("remote_host") or shown.get("remote_model"))


async def _ask_ps(client: AsyncClient, model: str, facts: _Facts) -> None:
    try:
        reply = await client.request_json("/api/ps", method="GET", timeout=_LIMITS)
    except OllamaError:
        return
    models = reply.get("models") if isinstance(reply, dict) else None
    for entry in models if isinstance(models, list) else ():
        if isinstance(entry, dict) and _full_name(model) in (entry.get("name"), entry.get("model")):
            facts.loaded = positive_count(entry.get("context_length")) or facts.loaded


def _full_name(model: str) -> str:
    """The name as the server writes it, with a tag."""
    return model if ":" in model.rpartition("/")[2] else f"{model}:latest"


def positive_count(value: Any) -> Optional[int]:
    """``value`` if it is a positive whole number, else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
