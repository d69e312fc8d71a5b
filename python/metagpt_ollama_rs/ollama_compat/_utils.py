"""ollama-python's module of this name: the description of a function for a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metagpt_ollama_rs.inputs import Tool
from metagpt_ollama_rs.tools import function_tool

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["convert_function_to_tool"]


def convert_function_to_tool(func: Callable[..., Any]) -> Tool:
    """The description of ``func``, by its signature and its docstring.

    >>> def add(a: int) -> int:
    ...     '''Adds one.'''
    >>> convert_function_to_tool(add).function.name
    'add'
    """
    return Tool.model_validate(function_tool(func))
