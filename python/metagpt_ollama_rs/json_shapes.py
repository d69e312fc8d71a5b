"""Brings a parsed JSON value into the shape that a JSON schema asks for, where its content leaves no doubt.

Small models know what to say and miss how it was to be wrapped: one object where a list was asked for, a key in other
letters, a number as text. Each such repair has a word (see ``json_answers``), and nothing is made up: what a schema
requires and the value does not have stays missing, and then the value does not fit. For example:

>>> command = {"type": "object", "properties": {"command_name": {"type": "string"}}, "required": ["command_name"]}
>>> fit_shape({"Command Name": "end"}, {"type": "array", "items": command})
Fit(value=[{'command_name': 'end'}], repairs=('key', 'single'), extras=0)
>>> fit_shape({"name": "end"}, {"type": "array", "items": command}) is None
True

Of JSON Schema it knows what ``schemas.answer_schema`` writes, without bounds, lengths and patterns: whoever takes the
value checks those. No I/O, nothing of MetaGPT.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, Optional

__all__ = ["MAX_DEPTH", "Fit", "fit_shape", "unique_keys"]

# No answer of a model is nested as deeply as this, and Python's own stack is deeper.
MAX_DEPTH = 100
# More comparisons of a part with a schema than this are not made: alternatives that contain each other would otherwise
# be tried in all combinations.
_MAX_STEPS = 1_000_000

_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,300}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,300}(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,3})?")
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


# Keys beside the list that was asked for, without which it loses nothing.
_REMARKS = ("analysis", "comment", "explanation", "goal", "note", "notes", "plan", "rationale", "reason", "reasoning",
            "summary", "thinking", "thought", "thoughts", "title")  # fmt: skip


class Fit(NamedTuple):
    """A value of a schema's shape: what was repaired for it, in the words of ``json_answers``, and how many keys its
    objects have that the schema does not name. Those stay in the value.

    >>> fit_shape({"size": "3", "unit": "m"}, {"type": "object", "properties": {"size": {"type": "integer"}}})
    Fit(value={'size': 3, 'unit': 'm'}, repairs=('type',), extras=1)
    """

    value: Any
    repairs: tuple[str, ...]
    extras: int


def fit_shape(
    value: Any, schema: Mapping[str, Any], unfinished: Collection[int] = (), bare: Collection[int] = ()
) -> Optional[Fit]:
    """``value`` in the shape of ``schema``, or None if it cannot be brought into it.

    ``unfinished`` has the ``id`` of each object and text in ``value`` whose end was cut off: such an object does not
    become the one element of a list, and such a text is no number, no word of a list, no JSON. ``bare`` has the ``id``
    of each text that had no quotes and that only a schema makes one which lists it.
    """
    fitter = _Fitter(schema, unfinished, bare)
    try:
        fitted = fitter.fit(value, schema, 0)
    except _Misfit:
        return None
    return Fit(fitted, tuple(dict.fromkeys(fitter.repairs)), fitter.extras)


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of ``pairs``, for ``json.loads``. Raises ValueError for two values of one key that are not equal, of
    which JSON's parsers would drop one."""
    made = dict(pairs)
    if len(made) != len(pairs):
        for key, value in pairs:
            if made[key] != value:
                raise ValueError(f"two values for the key {key!r}")
    return made


class _Misfit(Exception):
    """The value does not have the shape."""


class _Fitter:
    """Fits one value to one schema; ``repairs`` and ``extras`` are those of the last fit that did not fail."""

    def __init__(self, schema: Mapping[str, Any], unfinished: Collection[int], bare: Collection[int]) -> None:
        self._definitions = {**schema.get("definitions", {}), **schema.get("$defs", {})}
        self._unfinished = unfinished
        self._bare = bare
        self._steps = 0
        self.repairs: list[str] = []
        self.extras = 0

    def fit(self, value: Any, schema: Any, depth: int) -> Any:
        """The fitted value. Raises ``_Misfit``."""
        self._steps += 1
        schema = self._resolve(schema)
        if depth > MAX_DEPTH or self._steps > _MAX_STEPS:
            raise _Misfit
        if "anyOf" in schema:
            return self._fit_best(value, schema["anyOf"], depth)
        if "const" in schema:
            return self._fit_word(value, [schema["const"]])
        if "enum" in schema:
            return self._fit_word(value, schema["enum"])
        wanted = schema.get("type") or _implied_type(schema)
        if isinstance(wanted, list):
            return self._fit_best(value, [{**schema, "type": one} for one in wanted], depth)
        if wanted == "object":
            return self._fit_object(value, schema, depth)
        if wanted == "array":
            return self._fit_list(value, schema, depth)
        return self._fit_scalar(value, wanted)

    def _resolve(self, schema: Any) -> Mapping[str, Any]:
        for _ in range(MAX_DEPTH):
            if not isinstance(schema, Mapping):
                break
            if "$ref" not in schema:
                return schema
            name = str(schema["$ref"]).rpartition("/")[2].replace("~1", "/").replace("~0", "~")
            schema = self._definitions.get(name, True)
        if schema is False:
            raise _Misfit
        return {}

    def _attempt(self, value: Any, schema: Any, depth: int) -> Optional[Fit]:
        """The fitted value with its own repairs, of which nothing is noted."""
        before, self.repairs = self.repairs, []
        extras, self.extras = self.extras, 0
        try:
            return Fit(self.fit(value, schema, depth + 1), tuple(self.repairs), self.extras)
        except _Misfit:
            return None
        finally:
            self.repairs, self.extras = before, extras

    def _take(self, fit: Fit, *more: str) -> Any:
        """The value of an attempt, whose repairs count from now on."""
        self.repairs += [*fit.repairs, *more]
        self.extras += fit.extras
        return fit.value

    def _fit_best(self, value: Any, options: Sequence[Any], depth: int) -> Any:
        """The value by the option that needs the fewest repairs and leaves the fewest keys over, the first of those."""
        best: Optional[Fit] = None
        for option in options:
            fit = self._attempt(value, option, depth)
            if fit and (best is None or (len(fit.repairs), fit.extras) < (len(best.repairs), best.extras)):
                best = fit
            if best and not best.repairs and not best.extras:
                break
        if best is None:
            raise _Misfit
        return self._take(best)

    def _fit_object(self, value: Any, schema: Mapping[str, Any], depth: int) -> Any:
        if isinstance(value, str):
            value = self._parse_text(value)
        if isinstance(value, list) and len(value) == 1:
            self.repairs.append("single")
            value = value[0]
        if not isinstance(value, dict):
            raise _Misfit
        properties = schema.get("properties", {})
        members = self._rename(value, properties)
        if all(name in members for name in schema.get("required", ())):
            more = schema.get("additionalProperties")
            return {key: self._fit_member(key, part, properties, more, depth) for key, part in members.items()}
        # {"answer": {…}}: the object stands in one of which the schema knows nothing.
        inner = _only_container(value)
        if isinstance(inner, dict) and not any(name in members for name in properties):
            fitted = self.fit(inner, schema, depth + 1)
            self.repairs.append("wrapped")
            return fitted
        raise _Misfit

    def _rename(self, value: dict[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
        """``value`` with the keys of the schema in the place of keys that differ from them in case, spaces and such."""
        if all(key in properties for key in value):
            return value
        spellings: dict[str, list[str]] = {}
        for name in properties:
            if name not in value:
                spellings.setdefault(_plain(name), []).append(name)
        found = [_plain(key) for key in value if key not in properties]
        made = {}
        for key, part in value.items():
            names = spellings.get(_plain(key), []) if key not in properties else []
            if len(names) == 1 and found.count(_plain(key)) == 1:
                self.repairs.append("key")
                key = names[0]
            made[key] = part
        return made

    def _fit_member(self, key: str, part: Any, properties: Mapping[str, Any], more: Any, depth: int) -> Any:
        if key in properties:
            return self.fit(part, properties[key], depth + 1)
        if isinstance(more, Mapping):
            return self.fit(part, more, depth + 1)
        self.extras += bool(properties)
        return part

    def _fit_list(self, value: Any, schema: Mapping[str, Any], depth: int) -> Any:
        if isinstance(value, str) and value.lstrip()[:1] == "[":
            value = self._parse_text(value)
        if isinstance(value, list):
            fit = self._attempt_items(value, schema, depth)
            if fit is not None:
                return self._take(fit)
        elif value is not None and id(value) not in self._unfinished:
            fit = self._attempt_items([value], schema, depth)
            if fit is not None:
                return self._take(fit, "single")
        inner = _wrapped_list(value)
        if inner is None:
            raise _Misfit
        fitted = self.fit(inner, schema, depth + 1)
        self.repairs.append("wrapped")
        return fitted

    def _attempt_items(self, value: list[Any], schema: Mapping[str, Any], depth: int) -> Optional[Fit]:
        before, self.repairs = self.repairs, []
        extras, self.extras = self.extras, 0
        first = schema.get("prefixItems", ())
        rest = schema.get("items", True)
        try:
            fitted = [
                self.fit(item, first[place] if place < len(first) else rest, depth + 1)
                for place, item in enumerate(value)
            ]
            return Fit(fitted, tuple(self.repairs), self.extras)
        except _Misfit:
            return None
        finally:
            self.repairs, self.extras = before, extras

    def _fit_word(self, value: Any, words: Sequence[Any]) -> Any:
        """One of the ``words`` of the schema, which may be written in other letters."""
        for word in words:
            if value == word and isinstance(value, bool) == isinstance(word, bool):
                return word
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
            self.repairs.append("single")
        if isinstance(value, str) and id(value) not in self._unfinished:
            same = [word for word in words if _plain(str(word)) == _plain(value)]
            if len(same) == 1:
                self.repairs.append("spelling")
                return same[0]
        raise _Misfit

    def _fit_scalar(self, value: Any, wanted: Optional[str]) -> Any:
        types = _PYTHON_TYPES.get(wanted or "")
        if types is None:
            return value
        if (
            isinstance(value, types)
            and isinstance(value, bool) <= (wanted == "boolean")
            and id(value) not in self._bare
        ):
            return value
        made = self._converted(value, wanted)
        if made is None:
            raise _Misfit
        self.repairs.append("type")
        return made

    def _converted(self, value: Any, wanted: Optional[str]) -> Any:
        """``value`` as the scalar that is wanted, if it says the same; None if not."""
        if wanted == "string" and isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if wanted == "integer" and isinstance(value, float) and value.is_integer():
            return int(value)
        if not isinstance(value, str) or id(value) in self._unfinished:
            return None
        text = value.strip()
        if wanted == "integer" and _WHOLE_NUMBER.fullmatch(text):
            return int(text)
        if wanted == "number" and _NUMBER.fullmatch(text):
            return int(text) if _WHOLE_NUMBER.fullmatch(text) else float(text)
        if wanted == "boolean" and text.lower() in ("true", "false"):
            return text.lower() == "true"
        return None

    def _parse_text(self, text: str) -> Any:
        """The object or list that ``text`` is as JSON, ``"{\\"a\\": 1}"``."""
        if id(text) in self._unfinished:
            raise _Misfit
        try:
            value = json.loads(text, strict=False, object_pairs_hook=unique_keys)
        except (ValueError, RecursionError):
            raise _Misfit from None
        self.repairs.append("json text")
        return value


def _implied_type(schema: Mapping[str, Any]) -> Optional[str]:
    if "properties" in schema or "required" in schema:
        return "object"
    return "array" if "items" in schema or "prefixItems" in schema else None


def _only_container(value: Any) -> Any:
    """The one list or object among the values of an object; None if there is none, or more than one."""
    inner = [part for part in value.values() if isinstance(part, (dict, list))] if isinstance(value, dict) else []
    return inner[0] if len(inner) == 1 else None


def _wrapped_list(value: Any) -> Any:
    """What stands for a list in ``[[…]]``, ``{"commands": […]}``, ``{"thought": "…", "command": {…}}``.

    None if there is nothing in it, or if more stands beside it than a remark: a list of texts, or what is in it, may
    then be anything.
    """
    if isinstance(value, list):
        return value[0] if len(value) == 1 and isinstance(value[0], list) and value[0] else None
    inner = _only_container(value)
    if not inner:
        return None
    beside = [key for key, part in value.items() if part is not inner]
    holds_objects = isinstance(inner[0] if isinstance(inner, list) else inner, dict)
    return inner if holds_objects or all(_plain(key) in _REMARKS for key in beside) else None


def _plain(name: str) -> str:
    """``name`` without what small models change in names: case, spaces, underscores, hyphens."""
    return re.sub(r"[\s_-]+", "", name).casefold()
