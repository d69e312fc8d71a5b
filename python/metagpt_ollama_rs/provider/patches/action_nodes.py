"""Expects the schema of an ActionNode of what is asked to fill, review or revise it.

A node filled as ``json`` has an expected answer. One filled as ``markdown`` has none: its parser wants headings, which
JSON does not have, and people choose it for answers with code, which JSON spoils. ``raw``, ``code_fill``,
``single_fill`` and ``xml_fill`` ask for free text and do not call ``_aask_v1``.

A review names the fields that are wrong, so there every field may be left out, and ``revise`` fills those that a review
has named: it asks with ``_aask_v1``, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any, Optional

from ...schemas import answer_schema
from ..expected_answers import TAGGED, ExpectedAnswer, expect_answers
from ..warnings_once import warn_once

__all__ = ["expect_nodes"]

_PATCH = "node_answers"


def expect_nodes(module: ModuleType) -> None:
    """Wraps the methods of `metagpt.actions.action_node.ActionNode` whose answers are parsed as JSON."""
    expect_answers(module, "ActionNode._aask_v1", _filled_node)
    expect_answers(module, "ActionNode.auto_review", _reviewed_node)


def _filled_node(arguments: Mapping[str, Any], _question: str) -> Optional[ExpectedAnswer]:
    node, name = arguments["self"], arguments["output_class_name"]
    if arguments["schema"] != "json":
        if getattr(node.llm, "structured", "") == "true":
            warn_once(
                (_PATCH, name),
                f"{name} is filled as {arguments['schema']}: structured answers are for nodes of schema json",
            )
        return None
    return _answer(node, name, lambda: node.create_model_class(name, arguments["output_data_mapping"]))


def _reviewed_node(arguments: Mapping[str, Any], _question: str) -> Optional[ExpectedAnswer]:
    node = arguments["self"]
    return _answer(node, f"the review of {node.key}", node.create_class, all_required=False)


def _answer(node: Any, name: str, make_class: Any, *, all_required: bool = True) -> Optional[ExpectedAnswer]:
    try:
        schema = answer_schema(make_class().model_json_schema())
    except Exception as error:
        # A node with a type that JSON cannot describe. MetaGPT makes the same class later and raises its own error.
        warn_once((_PATCH, name), f"{name} cannot be asked for as a structured answer: {error}")
        return None
    return ExpectedAnswer(
        schema if all_required else {**schema, "required": []}, TAGGED, _PATCH, node.llm, refuses_cut=True
    )
