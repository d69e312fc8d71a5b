"""ollama-python's module of this name: the description of a function for a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metagpt_ollama_rs.inputs import Tool
from metagpt_ollama_rs.tools import function_tool

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["convert_function_to_tool"]


def convert_function_to_tool(func: Callable[..., Any]) -> Tool:
    """The description of a function, as `tools.function_tool` makes it, as a `Tool`.

    As ollama-python's, it joins the types that an argument may have to one text, and of a function without arguments
    it says None for what is required. Beyond it there are the items of lists, literals, and the fields of classes.
    Raises ConfigurationError for what has no name or no signature.

    >>> def add(a: int, b: "int | str" = 0) -> int:
    ...     \"\"\"Adds two numbers.\"\"\"
    >>> tool = convert_function_to_tool(add)
    >>> tool.function.parameters.required, tool.function.parameters.properties["b"].type
    (['a'], 'integer, string')
    """
    described = function_tool(func)
    parameters = described["function"]["parameters"]
    if not parameters["properties"]:
        parameters["required"] = None
    for part in parameters["properties"].values():
        if isinstance(part.get("type"), list):
            part["type"] = ", ".join(part["type"])
    return Tool(**described)
