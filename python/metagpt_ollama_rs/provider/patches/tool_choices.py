"""Expects names of tools of what a model is asked to choose among them, and no others than it may choose.

MetaGPT makes an LLM object of its own for this question. Its main branch asks for a repair of what does not parse, with
a prompt for which it lacks a value, so that the repair is a ``KeyError``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from ..expected_answers import FENCED, ExpectedAnswer, expect_answers, list_schema, word_schema

__all__ = ["expect_tool_names"]


def expect_tool_names(module: ModuleType) -> None:
    """Wraps `metagpt.tools.tool_recommend.ToolRecommender.rank_tools`."""
    expect_answers(module, "ToolRecommender.rank_tools", _tool_names)


def _tool_names(arguments: Mapping[str, Any], _question: str) -> ExpectedAnswer:
    names = word_schema([tool.name for tool in arguments["recalled_tools"]])
    return ExpectedAnswer(list_schema(names, most=arguments["topk"]), FENCED, "tool_choices")
