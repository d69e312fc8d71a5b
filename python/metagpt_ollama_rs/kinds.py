"""What may stand in the field of a record: the annotations of its class, as checks, as types and as JSON Schema.

The annotations are read when they are first needed, by a small evaluator that takes ``str | None`` and
``Sequence[ToolCall]`` on every Python. A value is taken as pydantic takes it in its lax mode: ``"7"`` counts as an
integer and ``1`` as a number, while a number does not count as a text. For example, of

    class ToolCall(Record):
        function: Function

``check_fields(ToolCall, {"function": {"name": "add", "arguments": {}}})`` gives ``{"function": Function(name='add',
arguments={})}``, and ``check_fields(ToolCall, {})`` raises a `ValidationError` that says which field is missing.

Nothing is imported from the modules of the classes, and pydantic never is.
"""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Union

from metagpt_ollama_rs.errors import ValidationError
from metagpt_ollama_rs.plain_kinds import (
    LATE_KINDS,
    PLAIN_KINDS,
    TEXT,
    Choice,
    Literals,
    LongText,
    MinLength,
    ModelName,
    ValueKind,
)
from metagpt_ollama_rs.values import ByteSize

if typing.TYPE_CHECKING:
    from metagpt_ollama_rs.plain_kinds import Place, Problems, SchemaPage

    # A subclass of `record.Record`.
    RecordClass = type[Any]

__all__ = [
    "Field",
    "ModelName",
    "Page",
    "Tagged",
    "check_fields",
    "check_json",
    "check_object",
    "describe_docstring",
    "fields_of",
    "record_fields",
]


class Tagged:
    """Says of an annotated union of classes that the value of one field tells them apart: pydantic's discriminator.

    >>> Tagged("type").tag
    'type'
    """

    def __init__(self, tag: str) -> None:
        self.tag = tag

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        # Only pydantic calls this.
        from pydantic_core import core_schema

        choices: dict[Any, Any] = {}
        for cls in typing.get_args(source):
            schema = handler.generate_schema(cls)
            choices.update((value, schema) for value in getattr(fields_of(cls)[self.tag].kind, "values", ()))
        return core_schema.tagged_union_schema(choices, discriminator=self.tag)


class _Row(ValueKind):
    """A list, for which anything is taken that has items one after the other; or a sequence: a tuple stays one."""

    def __init__(self, item: ValueKind, only_lists: bool) -> None:
        self._item = item
        self._only_lists = only_lists

    def is_exact(self, value: Any) -> bool:
        return isinstance(value, list) or (not self._only_lists and isinstance(value, Sequence) and not _is_text(value))

    def check(self, value: Any, place: Place, problems: Problems, strict: bool = False) -> Any:
        if not self.is_exact(value) and (strict or not self._only_lists or not _has_items(value)):
            name = "list" if self._only_lists else "sequence"
            problems.append((place, f"{name}_type", f"Input should be a valid {name}", value))
            return None
        items = [self._item.check(item, (*place, index), problems, strict) for index, item in enumerate(value)]
        return tuple(items) if isinstance(value, tuple) and not self._only_lists else items

    def hint(self) -> Any:
        kind: Any = list if self._only_lists else Sequence
        return kind[self._item.hint()]

    def describe(self, page: SchemaPage) -> dict[str, Any]:
        return {"items": self._item.describe(page), "type": "array"}

    def label(self) -> str:
        return f"{'list' if self._only_lists else 'sequence'}[{self._item.label()}]"


class _Table(ValueKind):
    """A mapping, as a dict."""

    def __init__(self, key: ValueKind, value: ValueKind, only_dicts: bool) -> None:
        self._key = key
        self._value = value
        self._only_dicts = only_dicts

    def is_exact(self, value: Any) -> bool:
        return isinstance(value, dict if self._only_dicts else Mapping)

    def check(self, value: Any, place: Place, problems: Problems, strict: bool = False) -> Any:
        if not isinstance(value, Mapping):
            name = "dict" if self._only_dicts else "mapping"
            text = f"Input should be a valid {'dictionary' if self._only_dicts else name}"
            problems.append((place, f"{name}_type", text, value))
            return None
        return {
            self._key.check(key, (*place, key, "[key]"), problems, strict): self._value.check(
                item, (*place, key), problems, strict
            )
            for key, item in value.items()
        }

    def hint(self) -> Any:
        kind: Any = dict if self._only_dicts else Mapping
        return kind[self._key.hint(), self._value.hint()]

    def describe(self, page: SchemaPage) -> dict[str, Any]:
        values = self._value.describe(page) or True
        names: dict[str, Any] = {}
        if isinstance(self._key, Literals):
            names = {"propertyNames": {"enum": list(self._key.values)}}
        return {"additionalProperties": values, **names, "type": "object"}

    def label(self) -> str:
        return f"dict[{self._key.label()},{self._value.label()}]"


class _Class(ValueKind):
    """The instances of a class of records."""

    def __init__(self, cls: RecordClass) -> None:
        self.cls = cls

    def is_exact(self, value: Any) -> bool:
        return isinstance(value, self.cls)

    def check(self, value: Any, place: Place, problems: Problems, strict: bool = False) -> Any:
        if isinstance(value, self.cls):
            return value
        fields = value if isinstance(value, Mapping) else None if strict else record_fields(value)
        if fields is None:
            text = f"Input should be a valid dictionary or instance of {self.cls.__name__}"
            problems.append((place, "model_type", text, value))
            return None
        checked = _check_class(self.cls, fields, place, problems, strict)
        return self.cls(checked)

    def hint(self) -> Any:
        return self.cls

    def describe(self, page: SchemaPage) -> dict[str, Any]:
        return page.refer(self.cls)

    def label(self) -> str:
        return self.cls.__name__


class _TaggedChoice(Choice):
    """One of several classes, which the value of the field ``tag`` tells apart."""

    def __init__(self, kinds: Iterable[ValueKind], tag: str) -> None:
        super().__init__(kinds)
        self._tag = tag

    def _by_tag(self) -> dict[Any, ValueKind]:
        found: dict[Any, ValueKind] = {}
        for kind in self.kinds:
            if isinstance(kind, _Class):
                found.update((value, kind) for value in getattr(fields_of(kind.cls)[self._tag].kind, "values", ()))
        return found

    def check(self, value: Any, place: Place, problems: Problems, strict: bool = False) -> Any:
        of: Any = value if isinstance(value, Mapping) else record_fields(value)
        tag: Any = of.get(self._tag) if isinstance(of, Mapping) else None
        if tag is None and not isinstance(value, Mapping):
            # An object's may be the one that holds where none is set.
            tag = getattr(value, self._tag, None)
        known = self._by_tag()
        if isinstance(tag, str) and tag in known:
            return known[tag].check(value, (*place, tag), problems, strict)
        if tag is None:
            code, text = "union_tag_not_found", f"Unable to extract tag using discriminator {self._tag!r}"
        else:
            expected = ", ".join(map(repr, known))
            code, text = "union_tag_invalid", f"Input tag {tag!r:.60} found using {self._tag!r} is none of {expected}"
        problems.append((place, code, text, value))
        return None

    def hint(self) -> Any:
        return Annotated[super().hint(), Tagged(self._tag)]

    def describe(self, page: SchemaPage) -> dict[str, Any]:
        mapping = {tag: kind.describe(page)["$ref"] for tag, kind in self._by_tag().items()}
        return {
            "discriminator": {"mapping": dict(sorted(mapping.items())), "propertyName": self._tag},
            "oneOf": super().describe(page)["anyOf"],
        }


def _is_text(value: Any) -> bool:
    return isinstance(value, (str, bytes, bytearray, memoryview))


def _has_items(value: Any) -> bool:
    """Whether ``value`` can be read as a list; a mapping and a model, which are iterable, cannot."""
    others = _is_text(value) or isinstance(value, Mapping) or hasattr(value, "model_dump")
    return isinstance(value, Iterable) and not others


def record_fields(value: Any) -> Mapping[str, Any] | None:
    """The fields of a model of pydantic, of a record or of a dataclass; None for anything else."""
    if isinstance(value, type):
        return None
    if hasattr(value, "model_fields_set"):
        return {name: item for name, item in value if name in value.model_fields_set}
    if hasattr(value, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    return None


def _kind_of(hint: Any) -> ValueKind:
    """The kind of an evaluated annotation: a kind already, or a type. What is not known may be anything."""
    if isinstance(hint, ValueKind):
        return hint
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is not None and hasattr(hint, "__metadata__"):
        kind = _kind_of(arguments[0])
        for note in hint.__metadata__:
            if isinstance(note, Tagged) and isinstance(kind, Choice):
                kind = _TaggedChoice(kind.kinds, note.tag)
            elif isinstance(note, MinLength):
                kind = LongText(note.length)
        return kind
    if origin is Union or type(hint).__name__ == "UnionType":
        return Choice([_kind_of(each) for each in arguments])
    if origin is typing.Literal:
        return Literals(arguments)
    if origin in (list, Sequence):
        return _Row(_kind_of(arguments[0]), origin is list)
    if origin in (dict, Mapping):
        return _Table(_kind_of(arguments[0]), _kind_of(arguments[1]), origin is dict)
    if isinstance(hint, type) and hasattr(hint, "_content_line"):
        return _Class(hint)
    try:
        late = LATE_KINDS.get((getattr(hint, "__module__", ""), getattr(hint, "__name__", "")))
        return late or PLAIN_KINDS.get(hint) or PLAIN_KINDS[Any]
    except TypeError:
        return PLAIN_KINDS[Any]


class _Generic:
    """What a subscript makes of the names of generic types in an annotation."""

    def __init__(self, make: Callable[..., ValueKind]) -> None:
        self._make = make

    def __getitem__(self, arguments: Any) -> ValueKind:
        return self._make(*(arguments if isinstance(arguments, tuple) else (arguments,)))


_NAMES: dict[str, Any] = {
    "Any": PLAIN_KINDS[Any],
    "str": TEXT,
    "int": PLAIN_KINDS[int],
    "float": PLAIN_KINDS[float],
    "bool": PLAIN_KINDS[bool],
    **dict.fromkeys(("bytes", "Bytes"), PLAIN_KINDS[bytes]),
    "ByteSize": PLAIN_KINDS[ByteSize],
    "Path": LATE_KINDS["pathlib", "Path"],
    "datetime": LATE_KINDS["datetime", "datetime"],
    "Literal": _Generic(lambda *values: Literals(values)),
    "Optional": _Generic(lambda hint: Choice([_kind_of(hint), PLAIN_KINDS[None]])),
    "Union": _Generic(lambda *hints: Choice([_kind_of(hint) for hint in hints])),
    **dict.fromkeys(("list", "List"), _Generic(lambda item: _Row(_kind_of(item), True))),
    **dict.fromkeys(("Sequence", "Iterable"), _Generic(lambda item: _Row(_kind_of(item), False))),
    **dict.fromkeys(("dict", "Dict"), _Generic(lambda key, value: _Table(_kind_of(key), _kind_of(value), True))),
    "Mapping": _Generic(lambda key, value: _Table(_kind_of(key), _kind_of(value), False)),
}


class _Scope(dict[str, Any]):
    """The names that an annotation of a class may use: of its body, of `_NAMES`, and of its module."""

    def __init__(self, cls: type) -> None:
        super().__init__()
        self._cls = cls

    def __missing__(self, name: str) -> Any:
        found = vars(self._cls).get(name)
        if not isinstance(found, type):
            found = _NAMES.get(name)
        if found is None:
            found = vars(sys.modules[self._cls.__module__])[name]
        return found if isinstance(found, _Generic) else _kind_of(found)


class Field:
    """A field of a record: what pydantic's ``FieldInfo`` says of it that somebody may ask for.

    Attributes:
        name: its name in Python.
        alias: the server's name for it, if that is another one, else None.
        kind: what may stand there.
        default: what it is where nothing is set; None for one that is required, too.
        required: whether it must be set.
        description: None.

    >>> from metagpt_ollama_rs import Message
    >>> Message.model_fields["role"].is_required(), Message.model_fields["content"].annotation
    (True, typing.Optional[str])
    """

    description: None = None

    def __init__(self, name: str, alias: str | None, kind: ValueKind, default: Any, required: bool) -> None:
        self.name = name
        self.alias = alias
        self.kind = kind
        self.default = default
        self.required = required

    @property
    def annotation(self) -> Any:
        """The type, as `typing` has it."""
        return self.kind.hint()

    def is_required(self) -> bool:
        """Whether a record cannot be made without it."""
        return self.required

    def get_default(self, **_: Any) -> Any:
        """What it is where nothing is set, as an object of its own."""
        import copy

        return copy.deepcopy(self.default)

    def __repr__(self) -> str:
        rest = "required=True" if self.required else f"required=False, default={self.default!r}"
        alias = f", alias={self.alias!r}" if self.alias else ""
        return f"Field(annotation={self.kind.label()}, {rest}{alias})"


_fields_of_classes: dict[type, dict[str, Field]] = {}


def fields_of(cls: RecordClass) -> dict[str, Field]:
    """The fields of a class of records, by name, in their order."""
    known = _fields_of_classes.get(cls)
    if known is None:
        known = _fields_of_classes[cls] = {name: _make_field(cls, name, *found) for name, found in cls._fields.items()}
    return known


def _make_field(cls: RecordClass, name: str, home: type, hint: Any) -> Field:
    try:
        kind = _kind_of(eval(hint, {}, _Scope(home)) if isinstance(hint, str) else hint)
    except Exception:
        # An annotation of a subclass of the user's, with names that are not known here.
        if home.__module__.startswith(__name__.partition(".")[0] + "."):
            raise
        kind = PLAIN_KINDS[Any]
    may_be_absent = name in cls._defaults or (kind.is_exact(None) and name not in cls._required)
    return Field(name, cls._aliases.get(name), kind, cls._defaults.get(name), not may_be_absent)


def check_fields(cls: RecordClass, given: Mapping[str, Any], strict: bool = False) -> dict[str, Any]:
    """``given`` as the object of a record of ``cls``, by the names that the server uses. What the class does not
    declare is kept as it is. Raises ValidationError, with all that is wrong."""
    problems: Problems = []
    checked = _check_class(cls, given, (), problems, strict)
    if problems:
        raise ValidationError(cls.__name__, problems)
    return checked


def _check_class(
    cls: RecordClass, given: Mapping[str, Any], place: Place, problems: Problems, strict: bool
) -> dict[str, Any]:
    fields, names = fields_of(cls), cls._names
    checked: dict[str, Any] = {}
    wrong: Problems = []
    for key, value in cls._prepare(dict(given)).items():
        field = fields.get(names.get(key, key))
        if field is None:
            checked[key] = value
        else:
            key = field.alias or key
            checked[key] = field.kind.check(value, (*place, key), wrong, strict)
    for name, field in fields.items():
        if field.required and (field.alias or name) not in checked:
            wrong.append(((*place, field.alias or name), "missing", "Field required", given))
    if wrong:
        order = [field.alias or name for name, field in fields.items()]
        problems += sorted(wrong, key=lambda problem: order.index(str(problem[0][len(place)])))
    return checked


def check_object(
    cls: RecordClass, given: Any, strict: bool, extra: str | None, from_attributes: bool
) -> dict[str, Any]:
    """As `check_fields`, of a mapping, a model with the same fields, or any object that has them as attributes."""
    fields = given if isinstance(given, Mapping) else None if strict else record_fields(given)
    if fields is None and from_attributes:
        fields = {name: getattr(given, name) for name in cls._fields if hasattr(given, name)}
    if fields is None:
        text = f"Input should be a valid dictionary or instance of {cls.__name__}"
        raise ValidationError(cls.__name__, [((), "model_type", text, given)])
    known = {*cls._fields, *cls._aliases.values()}
    if extra == "forbid" and not fields.keys() <= known:
        problems: Problems = [
            ((name,), "extra_forbidden", "Extra inputs are not permitted", fields[name])
            for name in fields
            if name not in known
        ]
        raise ValidationError(cls.__name__, problems)
    if extra == "ignore":
        fields = {name: value for name, value in fields.items() if name in known}
    return check_fields(cls, fields, strict)


def check_json(cls: RecordClass, data: str | bytes | bytearray) -> Any:
    """The value of a JSON text. Raises ValidationError for what is none."""
    import json

    try:
        return json.loads(data)
    except ValueError as error:
        raise ValidationError(cls.__name__, [((), "json_invalid", f"Invalid JSON: {error}", data)]) from None


class Page:
    """A JSON Schema that is being written: its definitions, and how it is written.

    Args:
        reference: the text that leads to a definition, with ``{model}`` for its name.
        by_alias: whether fields have the server's names.

    >>> from metagpt_ollama_rs import EmbeddingsResponse
    >>> Page().describe(EmbeddingsResponse)["properties"]
    {'embedding': {'items': {'type': 'number'}, 'type': 'array', 'title': 'Embedding'}}
    """

    def __init__(self, reference: str = "#/$defs/{model}", by_alias: bool = True) -> None:
        self.definitions: dict[str, Any] = {}
        self._reference = reference
        self._by_alias = by_alias
        self._names: dict[type, str] = {}

    def refer(self, cls: RecordClass) -> dict[str, Any]:
        """A reference to the schema of ``cls``, which is among the definitions then."""
        name = self._names.get(cls)
        if name is None:
            name = cls.__name__
            if name in self.definitions:
                name = cls.__qualname__.replace(".", "__")
            self._names[cls] = name
            self.definitions[name] = {}
            self.definitions[name] = self.describe(cls)
        return {"$ref": self._reference.format(model=name)}

    def describe(self, cls: RecordClass) -> dict[str, Any]:
        """The schema of ``cls`` itself."""
        properties: dict[str, Any] = {}
        required = []
        for name, field in fields_of(cls).items():
            key = field.alias if self._by_alias and field.alias else name
            part = field.kind.describe(self)
            if not _refers(part):
                part["title"] = key.title().replace("_", " ").strip()
            if not field.required:
                part["default"] = field.default
            properties[key] = part
            if field.required:
                required.append(key)
        text = describe_docstring(cls)
        return {
            **({"description": text} if text else {}),
            "properties": properties,
            **({"required": required} if required else {}),
            "title": cls.__name__,
            "type": "object",
        }


def _refers(schema: dict[str, Any]) -> bool:
    """Whether a schema only refers to that of a class, whose title counts then, or admits null beside it."""
    parts = schema.get("anyOf", [schema])
    return all(set(part) == {"$ref"} or part == {"type": "null"} for part in parts)


def describe_docstring(cls: type) -> str:
    """The docstring of a class without its examples."""
    import inspect

    return inspect.cleandoc(cls.__dict__.get("__doc__") or "").partition(">>>")[0].strip()
