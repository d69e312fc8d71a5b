"""Rewrites a JSON schema, as pydantic makes one, so that a server can turn it into a grammar for its answers.

The converters of Ollama and llama.cpp know a part of JSON Schema. Of the rest one ignores this and the other refuses
that, with an error for the whole request. So only what both know is kept: definitions are put where they are used,
alternatives become ``anyOf``, and what no grammar can express (defaults, unique items, patterns with look-around,
formats of one's own) is left out. The caller checks the answer against the original schema anyway. Every property is
required, because small models leave out what is optional. For example:

>>> answer_schema({
...     "$defs": {"Size": {"type": "integer", "default": 1}},
...     "properties": {"size": {"$ref": "#/$defs/Size"}},
... })
{'properties': {'size': {'type': 'integer'}}, 'required': ['size'], 'additionalProperties': False}

Nothing of MetaGPT or pydantic here; no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["answer_schema"]

_KEPT_KEYWORDS = ("type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_SIZE_KEYWORDS = ("minLength", "maxLength", "minItems", "maxItems")
# llama.cpp refuses a grammar in which something is repeated more often than this.
_MAX_REPETITIONS = 1000
_FORMATS = ("date", "time", "date-time", "uuid")
_DEFINITION_PREFIXES = ("#/$defs/", "#/definitions/")
# What a pattern may not have: groups other than plain ones, which grammars do not know, and escapes that make llama.cpp
# refuse the whole request.
_BEYOND_GRAMMARS = re.compile(r"\(\?|\\[^nrt\\\[\]]")
# An empty schema means any value in JSON Schema, and an object in llama.cpp; so any value is spelled out.
_ANY_VALUE = {"type": ["string", "number", "boolean", "null", "object", "array"]}


def answer_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema for the instances of ``schema`` that have every property; it may accept others, too.

    Only definitions that contain themselves remain in ``$defs``. The order of properties is kept, because models write
    them in this order.
    """
    return _SchemaRewriter(schema).rewrite_root(schema)


class _SchemaRewriter:
    """Rewrites the parts of one schema, whose definitions it knows."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._definitions: dict[str, Any] = {**schema.get("definitions", {}), **schema.get("$defs", {})}
        self._recursive: list[str] = []

    def rewrite_root(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """The whole schema, with the definitions that contain themselves in ``$defs``."""
        result = self._rewrite(schema, ())
        if result == _ANY_VALUE:
            result = {}
        kept: dict[str, Any] = {}
        # To rewrite a definition may find further ones that contain themselves, which the loop then visits as well.
        for name in self._recursive:
            kept[name] = self._rewrite(self._definitions[name], (name,))
        if kept:
            result["$defs"] = kept
        return result

    def _rewrite(self, schema: Any, open_definitions: tuple[str, ...]) -> dict[str, Any]:
        """``open_definitions`` are the names of the definitions that this part stands in."""
        if not isinstance(schema, Mapping):
            return dict(_ANY_VALUE)
        if "$ref" in schema:
            return self._definition(str(schema["$ref"]), open_definitions)
        result: dict[str, Any] = {key: schema[key] for key in _KEPT_KEYWORDS if key in schema}
        result.update({key: schema[key] for key in _SIZE_KEYWORDS if key in schema and schema[key] <= _MAX_REPETITIONS})
        if schema.get("format") in _FORMATS:
            result["format"] = schema["format"]
        pattern = schema.get("pattern", "")
        if pattern.startswith("^") and pattern.endswith("$") and not _BEYOND_GRAMMARS.search(pattern):
            result["pattern"] = pattern
        for key in ("anyOf", "oneOf"):
            if key in schema:
                result["anyOf"] = [self._rewrite(option, open_definitions) for option in schema[key]]
        for part in schema.get("allOf", ()):
            result = _merge_objects(result, self._rewrite(part, open_definitions))
        if "properties" in schema:
            properties = {name: self._rewrite(part, open_definitions) for name, part in schema["properties"].items()}
            closed = {"properties": properties, "required": list(properties), "additionalProperties": False}
            result = _merge_objects(result, closed)
        if schema.get("additionalProperties"):
            result["additionalProperties"] = self._rewrite_or_bool(schema["additionalProperties"], open_definitions)
        if "prefixItems" in schema:
            result["prefixItems"] = [self._rewrite(item, open_definitions) for item in schema["prefixItems"]]
        elif schema.get("items"):
            result["items"] = self._rewrite_or_bool(schema["items"], open_definitions)
        return result or dict(_ANY_VALUE)

    def _definition(self, reference: str, open_definitions: tuple[str, ...]) -> dict[str, Any]:
        place = next((place for place in _DEFINITION_PREFIXES if reference.startswith(place)), None)
        name = reference[len(place) :].replace("~1", "/").replace("~0", "~") if place else ""
        if name not in self._definitions:
            return dict(_ANY_VALUE)
        if name in open_definitions or name in self._recursive:
            if name not in self._recursive:
                self._recursive.append(name)
            return {"$ref": f"#/$defs/{name}"}
        return self._rewrite(self._definitions[name], (*open_definitions, name))

    def _rewrite_or_bool(self, schema: Any, open_definitions: tuple[str, ...]) -> Any:
        return schema if isinstance(schema, bool) else self._rewrite(schema, open_definitions)


def _merge_objects(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """The schema of an object that is both: it has the properties of either."""
    result = {**first, **second}
    for key in ("properties", "required"):
        if key in first and key in second:
            both = first[key], second[key]
            result[key] = {**both[0], **both[1]} if key == "properties" else [*dict.fromkeys([*both[0], *both[1]])]
    return result
