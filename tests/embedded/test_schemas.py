"""A server turns what `answer_schema` leaves of a schema into a grammar: nothing in it is refused, and it is obeyed."""

from __future__ import annotations

import json

from metagpt_ollama_rs.schemas import answer_schema

EVERYTHING = {
    "type": "object",
    "properties": {
        "word": {"type": "string", "pattern": "^[a-c]{2}$", "default": "ab"},
        "choice": {"$ref": "#/$defs/Size"},
        "only": {"const": "x", "type": "string"},
        "maybe": {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 9}, {"type": "null"}], "default": None},
        "either": {"oneOf": [{"$ref": "#/$defs/Size"}, {"type": "boolean"}], "discriminator": {"propertyName": "a"}},
        "pair": {"type": "array", "prefixItems": [{"const": 1}, {"const": 2}], "minItems": 2, "maxItems": 2},
        "few": {"type": "array", "items": {"enum": [1, 2]}, "maxItems": 2, "uniqueItems": True},
        "map": {"type": "object", "additionalProperties": {"type": "integer"}, "propertyNames": {"enum": ["a"]}},
        "mail": {"type": "string", "format": "email", "maxLength": 100000},
        "day": {"type": "string", "format": "date"},
        "free": {"type": "object", "additionalProperties": True},
        "anything": {},
        "tree": {"$ref": "#/$defs/Tree"},
    },
    "$defs": {
        "Size": {"enum": ["small", "large"], "title": "Size", "type": "string"},
        "Tree": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
            },
        },
    },
}
BOUNDED = ("word", "choice", "only", "maybe", "either", "pair", "few", "day")


def test_no_keyword_is_refused(chat):
    answer = chat("Write it.", format=answer_schema(EVERYTHING), options={"num_predict": 4}, stream=False)
    assert answer.status == 200, answer.body
    assert answer.json["message"]["content"].startswith("{")


def test_the_answer_has_every_property(chat):
    given = {**EVERYTHING, "properties": {name: EVERYTHING["properties"][name] for name in BOUNDED}}
    answer = chat("Write it.", format=answer_schema(given), options={"num_predict": 200}, stream=False)
    assert answer.status == 200, answer.body
    value = json.loads(answer.json["message"]["content"])
    assert tuple(value) == BOUNDED
    assert value["choice"] in ("small", "large")
    assert value["only"] == "x"
    assert value["maybe"] is None or 1 <= value["maybe"] <= 9
    assert value["pair"] == [1, 2]
    assert set(value["word"]) <= set("abc")
