"""Tools of a chat: Python functions as the descriptions that Ollama takes, and the calls of tools in a history.

The types of arguments become JSON Schema. Of that, Ollama hands a model ``type``, ``enum``, ``items``, ``properties``,
``required``, ``anyOf`` and ``description`` (docs/wire.md#1-requests): no references, so everything stands where it is
used, and no defaults. Names, types and texts are read; nothing is called.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
import typing
from collections import abc
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from metagpt_ollama_rs.docstrings import parse_docstring
from metagpt_ollama_rs.errors import ConfigurationError
from metagpt_ollama_rs.images import BYTES
from metagpt_ollama_rs.record_dumps import plain_fields

__all__ = [
    "answer_format",
    "argument_schema",
    "evaluated_hints",
    "function_tool",
    "has_fields",
    "sent_calls",
    "sent_tools",
]

_SIMPLE: dict[type, str] = {
    str: "string",
    bytes: "string",
    bytearray: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}
# Classes of the standard library, by name, because to look for them must not import their modules.
_FORMATS = {
    "datetime.datetime": "date-time",
    "datetime.date": "date",
    "datetime.time": "time",
    "uuid.UUID": "uuid",
}
_SETS = (set, frozenset, abc.Set, abc.MutableSet)
_ANYTHING = {"type": ["string", "number", "boolean", "object", "array"]}
# Of a pydantic schema: noise, what Ollama drops, and what is put in other words.
_LEFT_OUT = ("$ref", "$defs", "definitions", "title", "default", "discriminator", "allOf", "anyOf", "oneOf")
# Wrappers that say nothing of what JSON may stand there.
_TRANSPARENT = ("Required", "NotRequired", "ReadOnly", "Final", "ClassVar")


def sent_tools(tools: Any) -> list[Any]:
    """``tools`` of a chat as they are sent. Raises ConfigurationError for what is no tool, with its place."""
    one = isinstance(tools, (str, bytes, Mapping)) or callable(tools) or hasattr(tools, "model_dump")
    if one or not isinstance(tools, Iterable):
        raise ConfigurationError(
            f"tools is a {type(tools).__name__}, not a list", hint="put functions, or dicts, into a list: tools=[…]"
        )
    return [_tool(tool, f"tools[{index}]") for index, tool in enumerate(tools)]


def _tool(tool: Any, where: str) -> Any:
    if isinstance(tool, Mapping):
        return tool
    if hasattr(tool, "model_dump") and not isinstance(tool, type):
        return tool.model_dump(mode="json", by_alias=True, exclude_none=True)
    if hasattr(tool, "__dataclass_fields__") and not callable(tool):
        return plain_fields(tool)
    if isinstance(tool, (staticmethod, classmethod)):
        tool = tool.__get__(None, object)
    if callable(tool):
        return function_tool(tool)
    raise ConfigurationError(
        f"{where} is a {type(tool).__name__}", hint="a tool is a function, or a dict with the description of one"
    )


def function_tool(function: Callable[..., Any]) -> dict[str, Any]:
    """The tool description of a Python function, from its annotations and its docstring.

    A bound method, ``functools.partial`` (without the arguments that it binds), an object with ``__call__`` and a class
    count as functions. Raises ConfigurationError for one without a name or a signature.

    >>> def add(a: int, b: int = 0) -> int:
    ...     \"\"\"Adds two numbers.\"\"\"
    >>> function_tool(add)["function"]["parameters"]["properties"]["a"]
    {'type': 'integer', 'description': ''}
    >>> function_tool(add)["function"]["description"], function_tool(add)["function"]["parameters"]["required"]
    ('Adds two numbers.', ['a'])
    """
    import functools

    bound: set[str] = set()
    inner: Any = function
    while isinstance(inner, functools.partial):
        bound.update(inner.keywords)
        inner = inner.func
    name = getattr(function, "__name__", None) or getattr(inner, "__name__", None) or type(inner).__name__
    if name == "<lambda>":
        raise ConfigurationError(
            "a lambda has no name that a model could call it by", hint="define a function with `def`, or set __name__"
        )
    if isinstance(inner, type) and has_fields(inner):
        described_class = _of_class(inner, (), ())
        properties = {
            key: {**part, "description": part.get("description", "")}
            for key, part in described_class.get("properties", {}).items()
        }
        needed = described_class.get("required", [])
        description = described_class.get("description", "")
    else:
        description, properties, needed = _signature(function, inner, name)
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": description,
            "parameters": {
                "type": "object",
                "required": [key for key in needed if key not in bound],
                "properties": {key: part for key, part in properties.items() if key not in bound},
            },
        },
    }


def _signature(function: Any, inner: Any, name: str) -> tuple[str, dict[str, Any], list[str]]:
    """The description, the properties and the required ones of ``function``, which is ``inner`` or a part of it."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        raise ConfigurationError(
            f"the arguments of {name} are not known, so it cannot be described as a tool",
            hint="give a function that calls it, with annotations, or a dict with the description",
        ) from None
    wanted = [
        parameter
        for parameter in parameters
        if parameter.name != "self" and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    text = inspect.getdoc(inner)
    code = inner
    if isinstance(inner, type):
        code = vars(inner).get("__init__", inner)
    elif not inspect.isroutine(inner) and not hasattr(inner, "__wrapped__"):
        code = type(inner).__call__
        # Not `getdoc`, which finds that of `type` where there is none.
        text = inspect.cleandoc(code.__doc__ or "") or text
    description, texts = parse_docstring(text or "", {parameter.name for parameter in wanted})
    hints = evaluated_hints(code)
    properties: dict[str, Any] = {}
    needed = []
    for parameter in wanted:
        hint = hints.get(parameter.name, parameter.annotation)
        schema, optional = _without_null(argument_schema(str if hint is parameter.empty else hint))
        default = parameter.default
        needs = default is parameter.empty
        field_text = ""
        if hasattr(default, "is_required") and hasattr(default, "description"):
            # pydantic's `Field(…)` in the place of a default.
            needs, field_text = default.is_required(), default.description or ""
        schema["description"] = texts.get(parameter.name) or schema.get("description") or field_text
        properties[parameter.name] = schema
        if needs and not optional:
            needed.append(parameter.name)
    return description, properties, needed


def evaluated_hints(annotated: Any) -> dict[str, Any]:
    """The annotations of a function or class; those that cannot be evaluated at all remain texts."""
    try:
        return typing.get_type_hints(annotated, include_extras=True)
    except Exception:
        # A name that only type checkers import, or `X | Y` on Python 3.9: each by itself, then.
        pass
    found: dict[str, Any] = {}
    for holder in reversed(annotated.__mro__) if isinstance(annotated, type) else [inspect.unwrap(annotated)]:
        around = getattr(holder, "__globals__", None) or getattr(sys.modules.get(holder.__module__), "__dict__", {})
        names = _Names({**around, **_enclosing(holder, around), "typing": typing})
        for name, hint in getattr(holder, "__annotations__", {}).items():
            try:
                found[name] = _evaluated(hint, names) if isinstance(hint, str) else hint
            except Exception:
                found[name] = hint
    return found


def _enclosing(defined: Any, names: Mapping[str, Any]) -> Mapping[str, Any]:
    """The local names where a function or class was defined, if that call is still under way; no closure has them."""
    outer = getattr(defined, "__qualname__", "").rpartition(".<locals>.")[0].rpartition(".")[2]
    frame: Any = inspect.currentframe() if outer else None
    while frame is not None:
        if frame.f_code.co_name == outer and frame.f_globals is names:
            found: Mapping[str, Any] = frame.f_locals
            return found
        frame = frame.f_back
    return {}


class _Names(dict[str, Any]):
    """The names of a module. One that only type checkers import is what `typing` has of that name, or a text."""

    def __missing__(self, name: str) -> Any:
        return getattr(builtins, name, None) or getattr(typing, name, str)


class _Unions(ast.NodeTransformer):
    """`X | Y` as `Union[X, Y]`, which every Python can evaluate."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.op, ast.BitOr):
            return node
        union = ast.Attribute(ast.Name("typing", ast.Load()), "Union", ast.Load())
        return ast.Subscript(union, ast.Tuple([node.left, node.right], ast.Load()), ast.Load())


def _evaluated(annotation: str, names: _Names) -> Any:
    tree = ast.fix_missing_locations(_Unions().visit(ast.parse(annotation, mode="eval")))
    value = eval(compile(tree, "<annotation>", "eval"), {}, names)
    return _evaluated(value, names) if isinstance(value, str) else value


def argument_schema(hint: Any, inside: tuple[Any, ...] = ()) -> dict[str, Any]:
    """The JSON Schema of a type. ``inside`` are the classes that are being described around this place."""
    if hint is Any or hint is object:
        return dict(_ANYTHING)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    kind: Any = hint if origin is None else origin
    if hasattr(hint, "__metadata__"):
        return _annotated(hint, inside)
    if arguments and getattr(kind, "_name", None) in _TRANSPARENT:
        return argument_schema(arguments[0], inside)
    if getattr(kind, "_name", None) == "Literal":
        return _enumerated(list(arguments))
    if origin is typing.Union or type(hint).__name__ == "UnionType":
        return _union([argument_schema(member, inside) for member in arguments])
    if hasattr(hint, "__supertype__"):
        return argument_schema(hint.__supertype__, inside)
    if hasattr(kind, "__value__"):
        return argument_schema(kind.__value__, inside)
    if isinstance(hint, typing.TypeVar):
        members = hint.__constraints__ or ((hint.__bound__,) if hint.__bound__ else ())
        return _union([argument_schema(member, inside) for member in members]) if members else dict(_ANYTHING)
    if kind is None:
        return {"type": "null"}
    # A name that cannot be evaluated, or something that is no type at all, is taken for what most arguments are.
    return _of_class(kind, arguments, inside) if isinstance(kind, type) else {"type": "string"}


def _of_class(kind: type, arguments: tuple[Any, ...], inside: tuple[Any, ...]) -> dict[str, Any]:
    import enum
    import numbers

    if issubclass(kind, enum.Enum):
        return _enumerated([member.value for member in kind])
    if kind in inside:
        return {"type": "object"}
    if _is_model(kind):
        return _of_model(kind)
    if has_fields(kind):
        return _of_fields(kind, (*inside, kind))
    for base in kind.__mro__:
        if base in _SIMPLE:
            return {"type": _SIMPLE[base]}
        if f"{base.__module__}.{base.__qualname__}" in _FORMATS:
            return {"type": "string", "format": _FORMATS[f"{base.__module__}.{base.__qualname__}"]}
    if issubclass(kind, numbers.Number):
        return {"type": "integer" if issubclass(kind, numbers.Integral) else "number"}
    if issubclass(kind, abc.Mapping):
        values = {"additionalProperties": argument_schema(arguments[1], inside)} if len(arguments) == 2 else {}
        return {"type": "object", **values}
    if issubclass(kind, tuple):
        return _of_tuple(arguments, inside)
    if issubclass(kind, abc.Iterable):
        items = {"items": argument_schema(arguments[0], inside)} if arguments else {}
        return {"type": "array", **items, **({"uniqueItems": True} if issubclass(kind, _SETS) else {})}
    return {"type": "string"}


def _of_tuple(arguments: tuple[Any, ...], inside: tuple[Any, ...]) -> dict[str, Any]:
    if not arguments:
        return {"type": "array"}
    if arguments[-1] is Ellipsis:
        return {"type": "array", "items": argument_schema(arguments[0], inside)}
    members = [argument_schema(member, inside) for member in arguments if member != ()]
    # Ollama knows `items` only, so that has to say what may stand anywhere.
    length = {"minItems": len(members), "maxItems": len(members)}
    return {"type": "array", **({"items": _union(members)} if members else {}), **length}


def has_fields(kind: Any) -> bool:
    """Whether a class is a pydantic model, a dataclass, a TypedDict or a named tuple.

    >>> import collections
    >>> has_fields(collections.namedtuple("Point", "x y")), has_fields(tuple)
    (True, False)
    """
    return (
        _is_model(kind)
        or hasattr(kind, "__dataclass_fields__")
        or hasattr(kind, "__total__")
        or (issubclass(kind, tuple) and hasattr(kind, "_fields"))
    )


def _is_model(kind: Any) -> bool:
    """Whether a class is a pydantic model, of version 1 or 2."""
    return hasattr(kind, "model_json_schema") or (hasattr(kind, "__fields__") and hasattr(kind, "schema"))


def _of_fields(kind: Any, inside: tuple[Any, ...]) -> dict[str, Any]:
    hints = evaluated_hints(kind)
    fields: Mapping[str, Any]
    if hasattr(kind, "__dataclass_fields__"):
        import dataclasses

        missing = dataclasses.MISSING
        fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
        needed = [
            name for name, field in fields.items() if field.default is missing and field.default_factory is missing
        ]
    elif hasattr(kind, "__total__"):
        fields = hints
        # Annotations that are texts hide their Required and NotRequired from the class.
        said = {name: getattr(typing.get_origin(hint), "_name", None) for name, hint in hints.items()}
        needed = [
            name
            for name in hints
            if said[name] == "Required" or (name in kind.__required_keys__ and said[name] != "NotRequired")
        ]
    else:
        fields = dict.fromkeys(kind._fields)
        needed = [name for name in fields if name not in kind._field_defaults]
    text = inspect.cleandoc(kind.__doc__ or "")
    # Dataclasses and named tuples without a docstring are given their signature for one.
    description, texts = parse_docstring("" if text.startswith(f"{kind.__name__}(") else text, fields)
    properties: dict[str, Any] = {}
    for name in fields:
        hint = hints.get(name, str)
        properties[name] = argument_schema(str if isinstance(hint, str) else hint, inside)
        if texts.get(name):
            properties[name].setdefault("description", texts[name])
    result: dict[str, Any] = {"type": "object", "properties": properties, "required": needed}
    return {**result, "description": description} if description else result


def _annotated(hint: Any, inside: tuple[Any, ...]) -> dict[str, Any]:
    schema = argument_schema(hint.__origin__, inside)
    for note in hint.__metadata__:
        text = note if isinstance(note, str) else None
        text = text or getattr(note, "description", None) or getattr(note, "documentation", None)
        if isinstance(text, str) and text.strip():
            schema["description"] = inspect.cleandoc(text)
            break
    return schema


def _enumerated(values: list[Any]) -> dict[str, Any]:
    import enum

    if not values:
        return {"type": "string"}
    plain = [value.value if isinstance(value, enum.Enum) else value for value in values]
    kinds = list(dict.fromkeys(_SIMPLE.get(type(value), "string") for value in plain))
    plain = [value if type(value) in _SIMPLE else str(value) for value in plain]
    return {"type": kinds[0] if len(kinds) == 1 else kinds, "enum": plain}


def _union(members: list[dict[str, Any]]) -> dict[str, Any]:
    """Any of ``members``: a list of types where that says it all."""
    distinct: list[dict[str, Any]] = []
    for member in members:
        parts = member["anyOf"] if set(member) == {"anyOf"} else [member]
        distinct.extend(part for part in parts if part not in distinct)
    if len(distinct) == 1:
        return distinct[0]
    null = {"type": "null"}
    others = [member for member in distinct if member != null]
    if len(others) == 1 and len(distinct) == 2 and "type" in others[0]:
        kinds = _kinds(others[0])
        nothing = {"enum": [*others[0]["enum"], None]} if "enum" in others[0] else {}
        return {**others[0], "type": [*kinds, "null"], **nothing}
    if all(set(member) == {"type"} for member in distinct):
        kinds = list(dict.fromkeys(kind for member in distinct for kind in _kinds(member)))
        return {"type": kinds}
    return {"anyOf": distinct}


def _kinds(schema: Mapping[str, Any]) -> list[str]:
    kind = schema["type"]
    return [kind] if isinstance(kind, str) else list(kind)


def _without_null(schema: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """A schema without the null that it admits, and whether it admits one: such an argument may be left out."""
    if "anyOf" in schema:
        rest = [member for member in schema["anyOf"] if member != {"type": "null"}]
        others = {key: value for key, value in schema.items() if key != "anyOf"}
        return {**_union(rest), **others}, len(rest) < len(schema["anyOf"])
    kinds = _kinds(schema) if "type" in schema else []
    if "null" not in kinds or kinds == ["null"]:
        return schema, "null" in kinds
    kinds.remove("null")
    result = {**schema, "type": kinds[0] if len(kinds) == 1 else kinds}
    if "enum" in schema:
        result["enum"] = [value for value in schema["enum"] if value is not None]
    return result, True


def _of_model(model: Any) -> dict[str, Any]:
    """The schema of a pydantic model, with its definitions in the places that refer to them."""
    try:
        schema = model.model_json_schema() if hasattr(model, "model_json_schema") else model.schema()
    except Exception:
        # A field that JSON cannot describe.
        return {"type": "object", "properties": {}}
    definitions = {**schema.get("definitions", {}), **schema.get("$defs", {})}
    found: dict[str, Any] = _inlined(schema, definitions, ())
    return found


def _inlined(schema: Any, definitions: Mapping[str, Any], inside: tuple[str, ...]) -> Any:
    if isinstance(schema, list):
        return [_inlined(part, definitions, inside) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    rest = {key: value for key, value in schema.items() if key not in _LEFT_OUT}
    for key in ("items", "additionalProperties"):
        if key in rest:
            rest[key] = _inlined(rest[key], definitions, inside)
    if "properties" in rest:
        rest["properties"] = {name: _inlined(part, definitions, inside) for name, part in rest["properties"].items()}
    if "const" in rest:
        rest.setdefault("enum", [rest["const"]])
    if "prefixItems" in rest:
        rest.setdefault("items", _union(_inlined(rest["prefixItems"], definitions, inside)))
    for key in ("anyOf", "oneOf"):
        if key in schema:
            rest = {**_union(_inlined(schema[key], definitions, inside)), **rest}
    for part in schema.get("allOf", ()):
        rest = {**_inlined(part, definitions, inside), **rest}
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        if name in inside or name not in definitions:
            return {"type": "object", **rest}
        rest = {**_inlined(definitions[name], definitions, (*inside, name)), **rest}
    return rest


def answer_format(format: Any) -> Any:
    """The JSON Schema for ``format`` of a request: of a pydantic model (as pydantic writes it) or ``TypeAdapter``, a
    dataclass, a TypedDict, a named tuple, an enum or a type such as ``list[int]``. A schema stays as it is.

    Raises ConfigurationError for what is none of these.

    >>> import dataclasses
    >>> @dataclasses.dataclass
    ... class Pet:
    ...     name: str
    ...     age: int = 0
    >>> answer_format(Pet)
    {'type': 'object', 'properties': {'name': {'type': 'string'}, 'age': {'type': 'integer'}}, 'required': ['name']}
    """
    if isinstance(format, BYTES):
        return bytes(format).decode()
    if isinstance(format, (str, Mapping)):
        return format
    is_class = isinstance(format, type)
    if is_class and _is_model(format):
        return format.model_json_schema() if hasattr(format, "model_json_schema") else format.schema()
    if hasattr(format, "json_schema") and hasattr(format, "validate_python"):
        return format.json_schema()
    if is_class or typing.get_origin(format) is not None or type(format).__name__ == "UnionType":
        return argument_schema(format)
    raise ConfigurationError(
        f"format is a {type(format).__name__}",
        hint="give 'json', a JSON schema (a dict), or the class that the answer is to become",
    )


def sent_calls(calls: Any, where: str) -> list[Any]:
    """``tool_calls`` of a message in a history as they are sent: the arguments of each are an object.

    OpenAI's form has them as JSON text, which Ollama refuses. Raises ConfigurationError with their place where the text
    is no JSON object.
    """
    if isinstance(calls, (str, bytes, Mapping)) or not isinstance(calls, Iterable):
        raise ConfigurationError(f"{where} is a {type(calls).__name__}, not a list of calls")
    return [_call(call, f"{where}[{index}]") for index, call in enumerate(calls)]


def _call(call: Any, where: str) -> Any:
    call = plain_fields(call)
    function = plain_fields(call.get("function")) if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping):
        raise ConfigurationError(
            f"{where} has no function", hint='a call is {"function": {"name": "add", "arguments": {"a": 1}}}'
        )
    arguments = _arguments(function.get("arguments"), f"{where}.function.arguments")
    return {**call, "function": {**function, "arguments": arguments}}


def _arguments(arguments: Any, where: str) -> Any:
    if arguments is None:
        return {}
    if isinstance(arguments, memoryview):
        arguments = arguments.tobytes()
    arguments = plain_fields(arguments)
    if isinstance(arguments, Mapping):
        return arguments
    hint = "Ollama takes an object: give a dict, or the JSON of one"
    if not isinstance(arguments, (str, bytes, bytearray)):
        raise ConfigurationError(f"{where} is a {type(arguments).__name__}, not an object", hint=hint)
    import json

    try:
        value = json.loads(arguments) if arguments.strip() else {}
    except (ValueError, RecursionError):
        value = arguments
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigurationError(f"{where} is text that is no JSON object", hint=hint)
    return value
