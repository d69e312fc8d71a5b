"""Makes of a JSON schema, as pydantic writes one, a schema that a server turns into a grammar for its answers.

Ollama's and llama.cpp's converters know a part of JSON Schema; the rest is ignored by one and refused by another, with
an error for the whole request. So nothing is passed on but what they all know: definitions stand where they are used,
alternatives are ``anyOf``, and what a converter cannot hold a model to (defaults, unique items, patterns with
look-around, names of formats of their own) is left out. Whoever asked checks the answer against the real schema anyway.

Every property is required. A grammar knows no reason to write an optional one, and small models leave out what they
may. Nothing of MetaGPT or pydantic here; no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["answer_schema"]

_KEPT_KEYWORDS = ("type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_SIZE_KEYWORDS = ("minLength", "maxLength", "minItems", "maxItems")
# llama.cpp refuses a grammar that repeats something more often than its "sane defaults".
_MAX_REPETITIONS = 1000
_FORMATS = ("date", "time", "date-time", "uuid")
_DEFINITION_PREFIXES = ("#/$defs/", "#/definitions/")
# Groups other than plain ones have no counterpart in a grammar, and an escape that llama.cpp's grammars don't know
# spoils the whole request.
_BEYOND_GRAMMARS = re.compile(r"\(\?|\\[^nrt\\\[\]]")
# An empty schema means any value, but to llama.cpp an object.
_ANY_VALUE = {"type": ["string", "number", "boolean", "null", "object", "array"]}


def answer_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema that admits the instances of ``schema`` which have every property, and perhaps some more.

    Only definitions that contain themselves remain in ``$defs``. The order of properties is kept: models write them
    in this order.
    """
    return _SchemaRewriter(schema).rewrite_root(schema)


class _SchemaRewriter:
    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._definitions: dict[str, Any] = {**schema.get("definitions", {}), **schema.get("$defs", {})}
        self._recursive: list[str] = []

    def rewrite_root(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        result = self._rewrite(schema, ())
        if result == _ANY_VALUE:
            result = {}
        kept: dict[str, Any] = {}
        # Rewriting a definition may find further ones that contain themselves: the list grows under the loop.
        for name in self._recursive:
            kept[name] = self._rewrite(self._definitions[name], (name,))
        if kept:
            result["$defs"] = kept
        return result

    def _rewrite(self, schema: Any, open_definitions: tuple[str, ...]) -> dict[str, Any]:
        """``inside`` names the definitions that are being put in place around this part."""
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
    """What holds for an object of both kinds: the properties of either."""
    result = {**first, **second}
    for key in ("properties", "required"):
        if key in first and key in second:
            both = first[key], second[key]
            result[key] = {**both[0], **both[1]} if key == "properties" else [*dict.fromkeys([*both[0], *both[1]])]
    return result
