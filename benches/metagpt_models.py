"""The scripted model of `metagpt_runs`: it knows every right answer, and makes one mistake in how it writes them.

A mistake is either one of `wrong_shapes`, which a small model makes in JSON, or one of `CODE_SHAPES`, which it makes in
programs. The same mistake is in every answer of a run, so that asking again does not help. A request with a ``format``
gets JSON that its schema allows, as a grammar would have it: of the wrong shapes only those remain that a grammar
allows, such as an answer that is cut.

>>> as_code_shape("fence of the wrong language", "print(1)")
'```json\nprint(1)\n```'
>>> fit([{"name": "end"}], {"type": "object", "properties": {"thought": {"type": "string"}, "list": {"type": "array"}}})
{'thought': 'I go on.', 'list': [{'name': 'end'}]}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Callable, Optional

import jsonschema

from metagpt_ollama_rs.testing import Reply, Request

from .metagpt_scenarios import BARE, FENCE, NUMBER, TAGS, THOUGHT, Answer, Scenario, find_answer
from .wrong_shapes import SHAPES

__all__ = ["CODE_SHAPES", "JSON_SHAPES", "ScriptedModel", "as_code_shape", "fit"]

THOUGHTS = "I go on."
# A run that needs more is taken for one without an end.
MAX_CALLS = 100

CODE_SHAPES: dict[str, Callable[[str], str]] = {
    "fence without a language": lambda code: f"```\n{code}\n```",
    "fence of the wrong language": lambda code: f"```json\n{code}\n```",
    "fence of tildes": lambda code: f"~~~python\n{code}\n~~~",
    "no fence": lambda code: code,
    "no fence, after a sentence": lambda code: f"Sure! Here is the code:\n\n{code}",
    "fence that does not end": lambda code: f"```python\n{code}",
    "fence after thoughts that have one": lambda code: (
        f"First install it:\n```bash\npip install nothing\n```\nThen the code:\n```python\n{code}\n```"
    ),
    "indented fence": lambda code: (
        "1. The code:\n   ```python\n" + "".join(f"   {line}\n" for line in code.split("\n")) + "   ```"
    ),
    "thinking before": lambda code: f"<think>\nI need a program.\n</think>\n```python\n{code}\n```",
    "fence with a file name": lambda code: f"```python title=\"main.py\"\n{code}\n```",
    "upper-case language": lambda code: f"```Python\n{code}\n```",
}  # fmt: skip


# The wrong shapes that have the value in them. Of the others nobody can make the right value; with a format the model
# cannot write them.
JSON_SHAPES = tuple(name for name, shape in SHAPES.items() if shape.recovery == "exact")


def as_code_shape(name: str, code: str) -> str:
    return CODE_SHAPES[name](code)


def fit(value: Any, schema: Mapping[str, Any]) -> Any:
    """`value` in the form that `schema` asks for: properties that it lacks are filled, and a value of another type than
    the schema's goes into the property that has its type. Raises ValueError where there is no such form."""
    for choice in [*schema.get("anyOf", ()), *schema.get("oneOf", ())]:
        try:
            return fit(value, choice)
        except ValueError:
            continue
    kind = schema.get("type")
    properties = schema.get("properties")
    if properties is not None:
        if isinstance(value, dict) and (not value or value.keys() & properties.keys()):
            return {
                key: fit(value[key], part) if key in value else _filler(part)
                for key, part in properties.items()
                if key in value or key in schema.get("required", properties)
            }
        for key, part in properties.items():
            # A text is no place for a value that is something else; a thought may be in any text.
            if not isinstance(value, str) and part.get("type") == "string":
                continue
            try:
                fitted = fit(value, part)
            except ValueError:
                continue
            return {name: fitted if name == key else _filler(other) for name, other in properties.items()}
        raise ValueError(f"{value!r} has no place in {schema}")
    if "enum" in schema or "const" in schema:
        allowed = schema.get("enum", [schema.get("const")])
        for form in (value, str(value)):
            if form in allowed and type(form) in {type(one) for one in allowed}:
                return form
        raise ValueError(f"{value!r} is none of {allowed}")
    if kind == "array":
        if not isinstance(value, list):
            raise ValueError(f"{value!r} is no list")
        return [fit(item, schema.get("items", {})) for item in value]
    if kind in _TYPES and not _is_of(value, kind):
        raise ValueError(f"{value!r} is no {kind}")
    return value


_TYPES: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "null": type(None),
}


def _is_of(value: Any, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _filler(schema: Mapping[str, Any]) -> Any:
    if schema.get("enum"):
        return schema["enum"][0]
    if schema.get("properties") is not None:
        return {key: _filler(part) for key, part in schema["properties"].items()}
    kinds = {"string": THOUGHTS, "integer": 0, "number": 0, "boolean": False, "array": [], "object": {}}
    return kinds.get(str(schema.get("type", "string")))


def wrong_text(shape: str, answer: Answer) -> Optional[str]:
    """The answer's value in one wrong shape, wrapped as the prompt asks for it unless the shape is about that.
    None where the value cannot be written so."""
    wrong = SHAPES[shape]
    is_about_the_carrier = shape in _CARRIERS
    if not isinstance(answer.value, (dict, list)) and not is_about_the_carrier:
        return None
    if not wrong.suits(answer.value):
        return None
    text = wrong.write(answer.value)
    return text if is_about_the_carrier or "```" in text else in_carrier(text, answer.carrier)


# The shapes of what stands around a value: the first of the corpus.
_CARRIERS = frozenset(list(SHAPES)[: list(SHAPES).index("the same twice") + 1])


class ScriptedModel:
    """Answers the requests of one run. `calls` counts them, `structured` those with a ``format``, `suited` the answers
    that can be written in the run's shape, `unknown` has the ends of prompts that no answer is for."""

    def __init__(self, scenario: Scenario, shape: str) -> None:
        self.scenario, self.shape = scenario, shape
        self.calls = self.structured = self.suited = 0
        self.unknown: list[str] = []

    def __call__(self, request: Request) -> Reply:
        body = request.json()
        self.calls += 1
        if self.calls > MAX_CALLS:
            return Reply.error("the run is not over", 400)
        messages = [str(message.get("content") or "") for message in body["messages"]]
        answer = find_answer(self.scenario, messages)
        if answer is None:
            self.unknown.append(messages[-1][-200:])
            return Reply.chat("I am ready. What shall I do?", stream=body["stream"])
        schema = body.get("format")
        self.structured += schema is not None
        text, cut = self._written(answer, schema if isinstance(schema, dict) else None)
        return Reply.chat(text, stream=body["stream"], **({"done_reason": "length"} if cut else {}))

    def _written(self, answer: Answer, schema: Optional[dict[str, Any]]) -> tuple[str, bool]:
        """The text of the answer, and whether it is cut."""
        if answer.kind == "text":
            return answer.value, False
        if answer.kind == "code":
            shape = CODE_SHAPES.get(self.shape)
            self.suited += shape is not None
            return shape(answer.value) if shape else f"```python\n{answer.value}\n```", False
        text = wrong_text(self.shape, answer) if self.shape in SHAPES else None
        self.suited += text is not None
        cut = text is not None and SHAPES[self.shape].cut
        if schema is not None:
            value = fit(answer.value, schema)
            jsonschema.validate(value, schema)
            return wrong_text(self.shape, answer._replace(value=value, carrier=BARE)) or "" if cut else json.dumps(
                value
            ), cut
        if text is not None:
            return text, cut
        return in_carrier(json.dumps(answer.value, indent=4), answer.carrier), False


def in_carrier(text: str, carrier: str) -> str:
    """`text` where the prompt asks for it."""
    return {
        TAGS: f"[CONTENT]\n{text}\n[/CONTENT]",
        THOUGHT: f"{THOUGHTS}\n```json\n{text}\n```",
        FENCE: f"```json\n{text}\n```",
        BARE: text,
        NUMBER: text,
    }[carrier]
