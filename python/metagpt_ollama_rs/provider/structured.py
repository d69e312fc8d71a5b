"""Structured answers: the schema of an ActionNode becomes the ``format`` of the request that fills it.

``ActionNode._aask_v1`` knows the schema, and calls ``llm.aask(prompt, …)`` without it. So this method is wrapped once a
provider wants structured answers, and not before. The wrapper sets a context variable to the schema and the node's LLM
object while the node is being filled, MetaGPT's retries included. Tasks that run at the same time have contexts of
their own, and every other call of the LLM object is sent without a schema.

A node filled as ``json`` gets a format. One filled as ``markdown`` does not: its parser wants headings, which JSON does
not have, and people choose it for answers with code, which JSON spoils. ``raw``, ``code_fill``, ``single_fill`` and
``xml_fill`` ask for free text and do not call the wrapped method.

The server answers with bare JSON, and MetaGPT's parser wants it between ``[CONTENT]`` and ``[/CONTENT]``:

>>> print(wrap_in_content_tags('{"name": "a"}'))
[CONTENT]
{
    "name": "a"
}
[/CONTENT]

No I/O here.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import re
from collections.abc import Mapping
from contextvars import ContextVar
from types import ModuleType
from typing import Any, NamedTuple, Optional

from metagpt.logs import logger

from ..errors import ConfigurationError
from ..model_options import parse_bool
from ..schemas import answer_schema
from ..switch.environment import STRUCTURED_VARIABLE
from .import_hooks import when_imported

__all__ = ["current_format", "is_json_object", "structured_by_environment", "wrap_action_nodes", "wrap_in_content_tags"]

_MODULE = "metagpt.actions.action_node"
_NEEDED_PARAMETERS = ("output_class_name", "output_data_mapping", "schema")


class _NodeFill(NamedTuple):
    """A node is being filled: by this LLM object, with an answer of this schema."""

    llm: Any
    format: dict[str, Any]


_current_fill: ContextVar[Optional[_NodeFill]] = ContextVar("metagpt_ollama_rs_filling", default=None)
_warned_topics: set[str] = set()


def structured_by_environment() -> bool:
    """Whether ``METAGPT_OLLAMA_STRUCTURED`` is true; unset is False. Raises ``ConfigurationError`` for other texts."""
    value = os.environ.get(STRUCTURED_VARIABLE, "")
    try:
        return parse_bool(value) if value.strip() else False
    except ValueError as error:
        raise ConfigurationError(f"{STRUCTURED_VARIABLE} must be {error}, not {value!r}") from None


def current_format(llm: object) -> Optional[dict[str, Any]]:
    """The schema of the node that ``llm`` is filling in this task, or None while it fills none."""
    filling = _current_fill.get()
    return filling.format if filling is not None and filling.llm is llm else None


def wrap_in_content_tags(answer: str) -> str:
    """A structured answer in the format that MetaGPT's parser reads; text that is no JSON object comes back as it is.

    The text survives what MetaGPT does to an answer before it is parsed: it ends at the first ``[/CONTENT]``, and with
    ``repair_llm_output`` what follows a ``#`` or ``//`` is cut off where an escaped quote hides that it is in a string.
    """
    value = _parse_object(answer)
    if value is None:
        return answer
    text = json.dumps(value, indent=4, ensure_ascii=False).replace("[/CONTENT]", "[\\/CONTENT]")
    text = re.sub(r"\\(.)", lambda pair: "\\u0022" if pair[1] == '"' else pair[0], text)
    return f"[CONTENT]\n{text}\n[/CONTENT]"


def is_json_object(answer: str) -> bool:
    """Whether ``answer`` is one complete JSON object.

    >>> is_json_object('{"a": 1}'), is_json_object('{"a": ')
    (True, False)
    """
    return _parse_object(answer) is not None


def wrap_action_nodes() -> None:
    """Wraps ``ActionNode._aask_v1``, now or when MetaGPT's module is imported. May be called any number of times.

    It is called for each request, because a test that replaces the method may put back the one without the wrapper.
    """
    when_imported(_MODULE, _wrap_aask)


def _parse_object(text: str) -> Optional[dict[str, Any]]:
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _wrap_aask(module: ModuleType) -> None:
    node_class = module.ActionNode
    ask = node_class._aask_v1
    if getattr(ask, "_knows_structured_answers", False):
        return
    signature = inspect.signature(ask)
    if not all(name in signature.parameters for name in _NEEDED_PARAMETERS):
        _warn_once("signature", "structured answers are not possible: ActionNode._aask_v1 is not the one that is known")
        return

    @functools.wraps(ask)
    async def filling(self: Any, *args: Any, **kwargs: Any) -> Any:
        llm = getattr(self, "llm", None)
        wanted = None
        if getattr(llm, "answers_structured", False) is True:
            bound = signature.bind(self, *args, **kwargs)
            bound.apply_defaults()
            wanted = _format_of(self, bound.arguments)
        token = _current_fill.set(None if wanted is None else _NodeFill(llm, wanted))
        try:
            return await ask(self, *args, **kwargs)
        finally:
            _current_fill.reset(token)

    filling._knows_structured_answers = True  # type: ignore[attr-defined]
    node_class._aask_v1 = filling


def _format_of(node: Any, arguments: Mapping[str, Any]) -> Optional[dict[str, Any]]:
    name = arguments["output_class_name"]
    if arguments["schema"] != "json":
        _warn_once(name, f"{name} is filled as {arguments['schema']}: structured answers are for nodes of schema json")
        return None
    try:
        made = node.create_model_class(name, arguments["output_data_mapping"])
        return answer_schema(made.model_json_schema())
    except Exception as error:
        # A node with a type that JSON cannot describe. MetaGPT makes the same class later and raises its own error.
        _warn_once(name, f"{name} cannot be asked for as a structured answer: {error}")
        return None


def _warn_once(topic: str, text: str) -> None:
    """Warns once for each topic: nodes are filled many times."""
    if topic not in _warned_topics:
        _warned_topics.add(topic)
        logger.warning(text)
