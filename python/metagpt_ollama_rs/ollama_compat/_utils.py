"""ollama-python's module of this name: the description of a function for a model, which is the same as there.

It says less than `tools.function_tool`, which the clients use: of a class or a list only that it is one, and every
argument is required that may not be None, also one with a default.
"""

from __future__ import annotations

import decimal
import enum
import inspect
import re
import sys
import typing
from typing import TYPE_CHECKING, Any

from metagpt_ollama_rs.inputs import Tool
from metagpt_ollama_rs.tools import argument_schema, evaluated_hints, function_tool, has_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["convert_function_to_tool"]

# What follows the name of an argument: a type in parentheses, or a colon.
_AFTER_NAME = re.compile(r"\(([^)]*)\)\s*|:\s*")


def convert_function_to_tool(func: Callable[..., Any]) -> Tool:
    """The description of a function from its signature and a docstring in Google's style.

    What ollama-python cannot describe, such as a ``functools.partial``, is described by `tools.function_tool`. Raises
    ConfigurationError for what has no name or no signature.

    >>> def add(a: int, b: "int | str" = 0) -> int:
    ...     \"\"\"Adds two numbers.\"\"\"
    >>> tool = convert_function_to_tool(add)
    >>> tool.function.parameters.required, tool.function.parameters.properties["b"].type
    (['a', 'b'], 'integer, string')
    """
    name = getattr(func, "__name__", None)
    try:
        signature = inspect.signature(func) if name else None
    except (TypeError, ValueError):
        signature = None
    if signature is None:
        return _from_full_description(func)
    description, texts = _read_docstring(inspect.getdoc(func) or "")
    # Arguments with an underscore are no fields for pydantic.
    hints = {key: hint for key, hint in _hints(func, signature).items() if not key.startswith("_")}
    properties: dict[str, Any] = {}
    required = []
    for key, hint in hints.items():
        kinds = list(dict.fromkeys(_json_types(hint)))
        if "null" not in kinds:
            required.append(key)
        properties[key] = {
            "type": ", ".join(kind for kind in kinds if kind != "null"),
            "description": texts.get(key, ""),
        }
    parameters = {"type": "object", "properties": properties, "required": required if hints else None}
    definitions = _definitions(hints)
    if definitions:
        parameters["$defs"] = definitions
    return Tool(function={"name": name, "description": description, "parameters": parameters})


def _from_full_description(func: Callable[..., Any]) -> Tool:
    described = function_tool(func)
    for part in described["function"]["parameters"]["properties"].values():
        if isinstance(part.get("type"), list):
            part["type"] = ", ".join(part["type"])
    return Tool(**described)


def _hints(func: Any, signature: inspect.Signature) -> dict[str, Any]:
    """The annotation of each argument; one without counts as a text."""
    hints = {key: parameter.annotation for key, parameter in signature.parameters.items()}
    if any(isinstance(hint, str) for hint in hints.values()):
        known = evaluated_hints(vars(func).get("__init__", func) if isinstance(func, type) else func)
        hints = {key: known.get(key, hint) for key, hint in hints.items()}
    return {key: str if hint is inspect.Parameter.empty else hint for key, hint in hints.items()}


def _read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """The description, and the texts on the arguments."""
    lines: dict[str, list[str]] = {"description": [], "args": [], "outcome": []}
    section = "description"
    for line in text.splitlines():
        title = line.strip().lower()
        if title.startswith("args:"):
            section = "args"
        elif title.startswith(("returns:", "yields:", "raises:")):
            section = "outcome"
        else:
            lines[section].append(line.strip())
    # An argument of the name `args` has the whole section, if nothing else is said of it.
    texts = {"args": "".join(f"{line}\n" for line in lines["args"])}
    name = None
    for line in lines["args"]:
        found = _AFTER_NAME.search(line) if ":" in line else None
        if found:
            name = line[: found.start()].strip()
            rest = line[found.end() :].strip()
            texts[name] = rest.split(":", 1)[-1].strip() if found[1] else rest
        elif name and line:
            texts[name] += f" {line}"
    return inspect.cleandoc("\n".join(lines["description"])), texts


def _json_types(hint: Any) -> Iterator[str]:
    """The JSON types of an argument; a class with fields counts as a text, because pydantic's schema refers to it."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hasattr(hint, "__metadata__"):
        yield from _json_types(hint.__origin__)
    elif origin is typing.Union or type(hint).__name__ == "UnionType":
        for member in arguments:
            yield from _json_types(member)
    elif origin is typing.Literal:
        values = {type(value.value if isinstance(value, enum.Enum) else value) for value in arguments}
        yield from _json_types(values.pop()) if len(values) == 1 else ("string",)
    elif isinstance(hint, typing.TypeVar) and hint.__bound__ is not None:
        yield from _json_types(hint.__bound__)
    elif hint is decimal.Decimal:
        yield from ("number", "string")
    elif hint is complex or isinstance(hint, typing.TypeVar) or _is_referred_to(hint):
        yield "string"
    else:
        kind = argument_schema(hint).get("type")
        yield kind if isinstance(kind, str) else "string"


def _is_referred_to(hint: Any) -> bool:
    return isinstance(hint, type) and (issubclass(hint, enum.Enum) or has_fields(hint))


def _definitions(hints: dict[str, Any]) -> dict[str, Any] | None:
    """What pydantic, if the program uses it, says of the classes among the annotations."""
    pydantic: Any = sys.modules.get("pydantic")

    def refers(hint: Any) -> bool:
        return _is_referred_to(hint) or any(refers(part) for part in typing.get_args(hint))

    if pydantic is None or not any(refers(hint) for hint in hints.values()):
        return None
    try:
        model = pydantic.create_model("Arguments", **{key: (hint, ...) for key, hint in hints.items()})
        found: dict[str, Any] | None = model.model_json_schema().get("$defs")
    except Exception:
        # An annotation that pydantic does not know.
        return None
    return found
