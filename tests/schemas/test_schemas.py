"""Schemas as pydantic writes them, rewritten for servers' grammars."""

from __future__ import annotations

import pytest

from metagpt_ollama_rs.schemas import answer_schema


def object_of(**properties):
    names = list(properties)
    return {"type": "object", "properties": properties, "required": names, "additionalProperties": False}


def field(schema, **definitions):
    """What becomes of one property of this schema."""
    given = {"type": "object", "properties": {"it": schema}, "$defs": definitions}
    return answer_schema(given)["properties"]["it"]


def test_every_property_is_required_and_none_is_added():
    given = {
        "title": "Plan_AN",
        "description": "…",
        "type": "object",
        "properties": {
            "title": {"default": "x", "title": "Title", "type": "string", "description": "…"},
            "default": {"title": "Default", "type": "integer", "examples": [1]},
        },
        "required": ["default"],
    }
    assert answer_schema(given) == object_of(title={"type": "string"}, default={"type": "integer"})
    assert list(answer_schema(given)["properties"]) == ["title", "default"]


def test_definitions_stand_where_they_are_used():
    definitions = {
        "Size": {"enum": ["small", "large"], "title": "Size", "type": "string"},
        "Box": {"type": "object", "properties": {"size": {"$ref": "#/$defs/Size"}}},
    }
    size = {"enum": ["small", "large"], "type": "string"}
    assert field({"$ref": "#/$defs/Box"}, **definitions) == object_of(size=size)
    assert field({"$ref": "#/$defs/Box", "default": {}}, **definitions) == object_of(size=size)
    assert field({"allOf": [{"$ref": "#/$defs/Box"}], "description": "…"}, **definitions) == object_of(size=size)
    boxes = {"type": "array", "items": {"$ref": "#/$defs/Box"}}
    assert field(boxes, **definitions) == {"type": "array", "items": object_of(size=size)}


def test_older_schemas_keep_their_definitions_elsewhere():
    given = {"properties": {"it": {"$ref": "#/definitions/Word"}}, "definitions": {"Word": {"type": "string"}}}
    assert answer_schema(given)["properties"]["it"] == {"type": "string"}


def test_what_contains_itself_is_defined_once():
    tree = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
        },
    }
    again = {"$ref": "#/$defs/Tree"}
    node = object_of(name={"type": "string"}, children={"type": "array", "items": again})
    assert answer_schema({"$ref": "#/$defs/Tree", "$defs": {"Tree": tree}}) == {**node, "$defs": {"Tree": node}}


def test_two_that_contain_each_other():
    definitions = {
        "A": {"type": "object", "properties": {"b": {"anyOf": [{"$ref": "#/$defs/B"}, {"type": "null"}]}}},
        "B": {"type": "object", "properties": {"a": {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]}}},
    }
    found = answer_schema({"type": "object", "properties": {"it": {"$ref": "#/$defs/A"}}, "$defs": definitions})
    named = [found]
    references = set()
    while named:
        part = named.pop()
        if isinstance(part, dict):
            references.update([part["$ref"]] if "$ref" in part else [])
            named.extend(part.values())
        elif isinstance(part, list):
            named.extend(part)
    assert references <= {f"#/$defs/{name}" for name in found["$defs"]}
    assert references


# To llama.cpp an empty schema is that of an object.
ANYTHING = {"type": ["string", "number", "boolean", "null", "object", "array"]}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, None),
        ({"oneOf": [{"const": 1}, {"const": "a"}], "discriminator": {}}, {"anyOf": [{"const": 1}, {"const": "a"}]}),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, None),
        ({"type": "object", "additionalProperties": True}, None),
        ({"type": "object", "propertyNames": {"enum": ["a"]}}, {"type": "object"}),
        ({"type": "array", "items": {}, "uniqueItems": True}, {"type": "array"}),
        (
            {"type": "array", "prefixItems": [{"type": "string"}, {}], "minItems": 2, "maxItems": 2},
            {"type": "array", "prefixItems": [{"type": "string"}, ANYTHING], "minItems": 2, "maxItems": 2},
        ),
        ({"anyOf": [{}, {"type": "null"}]}, {"anyOf": [ANYTHING, {"type": "null"}]}),
        ({"type": "string", "minLength": 1, "maxLength": 100000}, {"type": "string", "minLength": 1}),
        ({"type": "string", "format": "date-time"}, None),
        ({"type": "string", "format": "email"}, {"type": "string"}),
        ({"type": "string", "pattern": "^[a-z]{2}$"}, None),
        ({"type": "string", "pattern": "[a-z]"}, {"type": "string"}),
        ({"type": "string", "pattern": "^(?!x)[a-z]$"}, {"type": "string"}),
        ({"type": "integer", "minimum": 1, "multipleOf": 2}, {"type": "integer", "minimum": 1}),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 9, "maximum": 8}, None),
        ({"type": "string", "pattern": r"^\d{4}-\d\d$"}, {"type": "string"}),
        ({"type": "string", "pattern": r"^a\$"}, {"type": "string"}),
        ({"type": "string", "pattern": r"^\[[a-z]+\]$"}, None),
        ({"$ref": "#/$defs/Missing"}, ANYTHING),
        ({}, ANYTHING),
        (True, ANYTHING),
    ],
)
def test_what_every_server_knows_stays_and_the_rest_goes(given, expected):
    assert field(given) == (given if expected is None else expected)


def test_the_given_schema_is_left_alone():
    given = {"type": "object", "properties": {"it": {"type": "string", "default": "x"}}}
    answer_schema(given)["properties"]["it"]["more"] = 1
    assert given == {"type": "object", "properties": {"it": {"type": "string", "default": "x"}}}
