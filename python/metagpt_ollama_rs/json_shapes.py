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

__all__ = ["MAX_DEPTH", "Fit", "answer_keys", "fit_shape", "has_key", "unique_keys", "unwrapped"]

# No answer of a model is nested as deeply as this, and Python's own stack is deeper.
MAX_DEPTH = 100
# More comparisons of a part with a schema than this are not made: alternatives that contain each other would otherwise
# be tried in all combinations.
_MAX_STEPS = 1_000_000

# How deep keys are looked for.
_MAX_KEY_DEPTH = 3

# Spaces, underscores and hyphens, but those that are the sign of a number or stand between two.
_SEPARATORS = re.compile(r"(?<=[^\W\d_])[\s_-]+(?!(?<=\s-)\d)|[\s_-]+(?![\s_\d-])")
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


# Keys beside the value that was asked for, without which it loses nothing.
_REMARKS = ("analysis", "comment", "count", "description", "explanation", "goal", "language", "note", "notes",
            "objective", "observation", "plan", "rationale", "reason", "reasoning", "reflection", "summary", "thinking",
            "thought", "thoughts", "title", "total")  # fmt: skip
# The words of keys under which models put the value that was asked for: "commands", "final_answer", "task_list".
_WRAPPERS = frozenset((
    "action", "actions", "answer", "array", "choice", "choices", "class", "classes", "command", "commands", "content",
    "data", "directory", "document", "documents", "file", "files", "final", "function", "functions", "index",
    "indices", "item", "items", "json", "keyword", "keywords", "list", "my", "names", "new", "next", "node", "nodes",
    "object", "output", "outputs", "plan", "plans", "queries", "query", "ranking", "recommended", "relevant",
    "resource", "resources", "response", "result", "results", "selected", "solution", "solutions", "step", "steps",
    "task", "tasks", "the", "thoughts", "tool", "tools", "updated", "useful", "value", "values", "your",
))  # fmt: skip
# The words of keys that say the contrary of what was asked for, or that it is not the answer.
_NEGATIONS = re.compile(
    r"\b(?:not?|never|don|dont|without|avoid|already|bad|done|draft|drafts|invalid|irrelevant|last|later|left|maybe|old|"
    r"past|ran|rest|schema|spam|wrong|(?:alternative|cancel|complet|delet|discard|drop|error|example|exclu|execut|fail|"
    r"finish|forbid|histor|ignor|other|previous|prior|refus|reject|remov|revert|sample|skip|undo|unnecessary|unrelated|"
    r"unsafe|unused|unwanted)\w*)\b|[不勿禁无未已非旧]"
)


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
        schema = self.resolve(schema)
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

    def resolve(self, schema: Any) -> Mapping[str, Any]:
        """``schema``, or what it refers to. Raises ``_Misfit`` for one that nothing fits."""
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
        inner = unwrapped(value)
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
        inner = unwrapped(value)
        if not inner:
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
            same = [word for word in words if isinstance(word, str) and _plain(word) == _plain(value)]
            if len(same) == 1:
                self.repairs.append("spelling")
                return same[0]
            for word in words if _WHOLE_NUMBER.fullmatch(value.strip()) else ():
                if isinstance(word, int) and not isinstance(word, bool) and word == int(value):
                    self.repairs.append("type")
                    return word
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


def unwrapped(value: Any, *, is_whole: bool = True) -> Any:
    """The container that was asked for in ``[[…]]``, ``{"commands": […]}``, ``{"thought": "…", "command": {…}}``.

    None if its key does not say that it is the answer, or if more stands beside it than a remark. A key that says
    nothing of that kind will do if it is the only one, and the object ``is_whole``.

    >>> unwrapped({"thought": "I finish.", "commands": [{"command_name": "end"}]})
    [{'command_name': 'end'}]
    >>> unwrapped({"do_not_run": [{"command_name": "end"}]})
    """
    if isinstance(value, list):
        return value[0] if len(value) == 1 and isinstance(value[0], list) and value[0] else None
    inner = _only_container(value)
    if not inner:
        return None
    key = next(key for key, part in value.items() if part is inner)
    words = _words(key)
    is_answer = bool(words) and _WRAPPERS.issuperset(words)
    is_only_key = is_whole and len(value) == 1 and not _NEGATIONS.search(" ".join(words))
    is_remark = all(_plain(name) in _REMARKS for name, part in value.items() if part is not inner)
    return inner if is_only_key or (is_answer and is_remark) else None


def answer_keys(schema: Mapping[str, Any]) -> frozenset[str]:
    """The keys by which a value may be known as meant for ``schema``: of its objects and of the objects in its lists,
    in the spelling of `has_key`."""
    fitter = _Fitter(schema, (), ())
    found: set[str] = set()

    def collect(part: Any, depth: int) -> None:
        try:
            part = fitter.resolve(part)
        except _Misfit:
            return
        if depth > _MAX_KEY_DEPTH:
            return
        for option in part.get("anyOf", ()):
            collect(option, depth + 1)
        for name, member in part.get("properties", {}).items():
            found.add(_plain(name))
            if isinstance(member, Mapping) and "items" in member:
                collect(member["items"], depth + 1)
        for item in (part.get("items"), *part.get("prefixItems", ())):
            collect({} if item is None else item, depth + 1)

    collect(schema, 0)
    return frozenset(found)


def has_key(value: Any, keys: Collection[str]) -> bool:
    """Whether ``value`` has one of the ``keys`` (see `answer_keys`) in an object, up to three containers deep."""

    def is_found(part: Any, depth: int) -> bool:
        if isinstance(part, dict):
            if any(_plain(key) in keys for key in part):
                return True
            part = list(part.values())
        return isinstance(part, list) and depth < _MAX_KEY_DEPTH and any(is_found(one, depth + 1) for one in part)

    return is_found(value, 1)


def _words(key: str) -> list[str]:
    """The words of a key, ``["do", "not", "run"]`` of ``doNotRun`` and of ``do_not_run``."""
    return re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", key).casefold())


def _plain(name: str) -> str:
    """``name`` without what small models change in names: case, spaces, underscores, hyphens. Those between digits and
    before a number stay: "1 0" is not 10, and "-1" is not 1."""
    return _SEPARATORS.sub("", name).casefold()
