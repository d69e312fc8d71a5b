"""Whether a request gets the schema of the answer that MetaGPT expects, and what becomes of one that is refused.

``structured`` (``extra_fields``, else ``METAGPT_OLLAMA_STRUCTURED``, else ``auto``) has three values:

- ``true``: every question whose answer MetaGPT parses as JSON is sent with the schema as ``format``.
- ``auto``: so is it, but not where the user has asked the model to think, because thinking and a format exclude each
  other, and not where the place says that free text does better there.
- ``false``: never.

A request with a format says ``think: false``, because a model that can think does so unless it is told not to, and with
many servers that breaks the format. A server that can make no grammar of a schema, or knows no formats, refuses the
request: it is asked again without. A schema that was refused is not sent to this model again, and no schema at all once
the server has refused several and taken none.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Optional, TypeVar

from metagpt.logs import logger

from .. import AsyncClient
from ..errors import BadRequestError, ConfigurationError, MidStreamError, OllamaError, ResponseError, ServerError
from ..switch.environment import STRUCTURED_VARIABLE
from .capabilities import models_without_thinking
from .expected_answers import Question
from .settings import parse_structured
from .warnings_once import warn_once

__all__ = ["ask_with_fallbacks", "put_format", "structured_by_environment"]

_T = TypeVar("_T")

_ABOUT_FORMATS = re.compile(r"grammar|schema|\bformat\b|structured|response_format", re.IGNORECASE)
_REFUSALS = (400, 422, 500, 501)
# The classes of errors that may be about a format though they don't say so; others say what they are about.
_UNCLEAR_ERRORS = (BadRequestError, ServerError, ResponseError)
# A schema counts as refused after one error that is about formats, or two that may be.
_CERTAIN = 2
# Of a server that takes no schema, so many are tried.
_MOST_TRIED = 2
# Some schemas are other ones at each call (names of tools, numbers of results); so many are remembered.
_MOST_REMEMBERED = 256


@dataclass
class _Refusals:
    """What a server has made of schemas for one model: whether it has taken one, and by schema the weight of the
    refusals."""

    has_taken: bool = False
    weights: dict[str, int] = field(default_factory=dict)

    def covers(self, schema: str) -> bool:
        """Whether a request is not to have ``schema``."""
        refused = [name for name, weight in self.weights.items() if weight >= _CERTAIN]
        return self.weights.get(schema, 0) >= _CERTAIN or (not self.has_taken and len(refused) >= _MOST_TRIED)

    def add(self, schema: str, weight: int) -> None:
        if schema not in self.weights and len(self.weights) >= _MOST_REMEMBERED:
            del self.weights[next(iter(self.weights))]
        self.weights[schema] = self.weights.get(schema, 0) + weight


# By the address of the server and the model.
_refusals: dict[tuple[str, str], _Refusals] = {}


def structured_by_environment() -> str:
    """``auto``, ``true`` or ``false``, as ``METAGPT_OLLAMA_STRUCTURED`` says; unset is ``auto``.

    Raises ``ConfigurationError`` for other texts.
    """
    value = os.environ.get(STRUCTURED_VARIABLE, "")
    try:
        return parse_structured(value) if value.strip() else "auto"
    except ValueError as error:
        raise ConfigurationError(f"{STRUCTURED_VARIABLE} must be {error}, not {value!r}") from None


def put_format(payload: dict[str, Any], question: Optional[Question], structured: str) -> None:
    """Puts the schema of the expected answer into the body of a request, where ``structured`` allows it.

    A ``format`` that the configuration has for every call gives way: the parser at this place takes no other.
    """
    expected = None if question is None else question.expected
    wanted = expected is not None and (
        structured == "true" or (structured == "auto" and expected.automatic and not payload.get("think"))
    )
    if payload.get("format") and not wanted:
        payload.setdefault("think", False)
    if wanted and question is not None and expected is not None:
        question.formatted = True
        question.without_format = {name: payload[name] for name in ("format", "think") if name in payload}
        payload.update(format=dict(expected.format), think=False)


async def ask_with_fallbacks(
    client: AsyncClient,
    payload: dict[str, Any],
    question: Optional[Question],
    ask: Callable[[dict[str, Any]], Awaitable[_T]],
) -> _T:
    """What ``ask(payload)`` returns. A model that refuses to think, or a server that refuses the schema of an expected
    answer, is asked once more without, and from then on asked without at once. If it refuses that, too, the error is
    the second one.
    """
    model = str(payload.get("model"))
    if payload.get("think") and (client.base_url, model) in models_without_thinking:
        payload = _without(payload, "think")
    if question is None or not question.formatted:
        return await _ask_with_or_without_think(client, payload, ask)
    schema = json.dumps(payload.get("format"))
    refusals = _refusals.setdefault((client.base_url, model), _Refusals())
    refusal = None
    if not refusals.covers(schema):
        try:
            answer = await ask(payload)
        except OllamaError as error:
            refusal = error
            weight = _weight_of_refusal(error)
            if not weight:
                raise
        else:
            refusals.has_taken = True
            return answer
    question.formatted = False
    answer = await ask({**_without(_without(payload, "format"), "think"), **question.without_format})
    if refusal is not None:
        refusals.add(schema, weight)
        if refusals.covers(schema):
            # Another schema says the same.
            warn_once(
                ("format", client.base_url, model),
                f"{client.base_url} refuses the schema of an answer of {model!r} ({refusal.message}): "
                "asked again without `format`",
            )
    return answer


async def _ask_with_or_without_think(
    client: AsyncClient, payload: dict[str, Any], ask: Callable[[dict[str, Any]], Awaitable[_T]]
) -> _T:
    try:
        return await ask(payload)
    except BadRequestError as error:
        if not payload.get("think") or "does not support thinking" not in str(error):
            raise
    model = str(payload.get("model"))
    logger.warning(f"the model {model!r} does not support thinking: asked again without `think`")
    models_without_thinking.add((client.base_url, model))
    return await ask(_without(payload, "think"))


def _without(payload: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in payload.items() if key != name}


def _weight_of_refusal(error: OllamaError) -> int:
    """How certainly a server's error before any text is about the format of the request; 0 if it is not."""
    at_once = isinstance(error, ResponseError) and error.status in _REFUSALS
    in_stream = isinstance(error, MidStreamError) and not error.partial
    if (at_once or in_stream) and _ABOUT_FORMATS.search(str(error)) is not None:
        return _CERTAIN
    return 1 if at_once and type(error) in _UNCLEAR_ERRORS else 0
