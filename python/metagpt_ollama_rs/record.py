"""The base of all types of requests and replies: a JSON object with attribute and item access.

A record wraps the dict that was received and copies nothing; the dicts in a list of records become records there, when
the list is first asked for, so that a change of the list or of what is in it takes effect. ``reply.message.content``
and ``reply["message"]["content"]`` are the same; a field that Ollama left out is its default (``None``, mostly) as an
attribute and a ``KeyError`` as an item, as in ollama-python. What the class does not declare stays reachable in both
ways, and is part of dumps.

There are two ways to make one. ``Message({"role": "user"})`` is a view of an object that a server sent, and nothing of
it is looked at. ``Message(role="user")`` is what a program writes: it is checked against the annotations of the class
(`kinds`), as ollama-python's classes, which are pydantic's, check theirs.

The pieces of a stream are the hot objects here. For a content line the core (``src/py/objects/slot_layout.rs``) makes
no dict: it fills the slots in which ``ChatResponse``, ``GenerateResponse`` and ``Message`` keep what such a line says,
so that a plain read of them runs no code of ours. Reads of other fields, items and dumps are answered from the slots,
too (`_pairs`): packages that are built on ollama-python read many fields of each piece. Everything
else asks for ``_data``; the dict is then made from the slots, the slots are emptied, and from there on the record is
like any other.
"""

from __future__ import annotations

from metagpt_ollama_rs import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, Literal, Union

    from typing_extensions import Self

    from metagpt_ollama_rs.kinds import Field
    from metagpt_ollama_rs.record_dumps import Dump

    Fields = dict[str, Any]
    Names = dict[str, str]
    # What `include` and `exclude` take: names, or what of each name.
    Selection = Union[set[str], set[int], Mapping[str, Any], Mapping[int, Any], None]


# Reads what is in a slot, and raises AttributeError where it is empty: `__getattr__` is not asked.
_read = object.__getattribute__


class _ModelFields:
    """``model_fields`` of each class."""

    def __get__(self, record: Any, cls: type[Record]) -> dict[str, Field]:
        from metagpt_ollama_rs.kinds import fields_of

        return fields_of(cls)


class _SignatureOfFields:
    """``__signature__`` of each class: what `inspect.signature` and editors show, the fields as keyword arguments."""

    def __get__(self, record: Any, cls: type[Record]) -> inspect.Signature:
        import inspect

        from metagpt_ollama_rs.kinds import fields_of

        empty, kind = inspect.Parameter.empty, inspect.Parameter.KEYWORD_ONLY
        return inspect.Signature(
            [
                inspect.Parameter(
                    name, kind, default=empty if field.required else field.default, annotation=field.annotation
                )
                for name, field in fields_of(cls).items()
            ],
            return_annotation=None,
        )


class _PydanticSerializer:
    """``__pydantic_serializer__`` of each class: what pydantic dumps a record by that stands where anything may."""

    def __get__(self, record: Any, cls: type[Record]) -> Any:
        import sys

        if "pydantic_core" not in sys.modules:
            raise AttributeError("__pydantic_serializer__")
        from metagpt_ollama_rs.pydantic_schemas import SERIALIZER

        return SERIALIZER


class Record:
    """A JSON object. Two records are equal if their classes and fields are; a record can be pickled and copied.

    >>> record = Record({"model": "llama3.2", "details": {"family": "llama"}})
    >>> record.model, record["details"]
    ('llama3.2', {'family': 'llama'})
    >>> record.get("size", 0), "size" in record
    (0, False)
    >>> dict(record)
    {'model': 'llama3.2', 'details': {'family': 'llama'}}
    >>> record.model_dump_json()
    '{"model":"llama3.2","details":{"family":"llama"}}'
    """

    __slots__ = ("_data",)
    _data: Fields
    # The fields in their order, in a subclass after those of its bases: which class declares each, with its annotation.
    _fields: Mapping[str, tuple[type[Record], Any]] = {}
    # What stands for a field that is not set, where that is not None, and what has to be set although None is allowed.
    _defaults: Fields = {}
    _required: frozenset[str] = frozenset()
    # The server's name of a field, where it has another one.
    _aliases: Names = {}
    # Names that servers send and ollama-python does not declare: None where they are missing, and in no schema.
    _beyond: frozenset[str] = frozenset()
    # The classes of fields that are objects, or lists of objects, and functions that read other fields.
    _nested: Mapping[str, type[Record]] = {}
    _readers: Mapping[str, Callable[[Any], Any]] = {}
    # All fields with their defaults, which are what a record without values says, and the fields by the server's names.
    _blank: Fields = {}
    _names: Names = {}
    # What a content line always says, and its keys whose values are in slots, in the order in which Ollama writes them.
    _always: Fields = {}
    _content_line: tuple[str, ...] = ()

    model_config: Fields = {"extra": "allow"}
    model_computed_fields: Fields = {}
    model_fields = _ModelFields()
    __signature__ = _SignatureOfFields()
    __pydantic_serializer__ = _PydanticSerializer()

    def __init_subclass__(cls) -> None:
        own = {name: hint for name, hint in cls.__annotations__.items() if not name.startswith(("_", "model_config"))}
        declared = {name: (cls, hint) for name, hint in own.items() if name not in cls._beyond}
        cls._fields = {**cls._fields, **declared}
        defaults = {name: vars(cls)[name] for name in own if name in vars(cls) and not _is_slot(vars(cls)[name])}
        for name, default in list(defaults.items()):
            # An attribute of the class would hide what an instance has.
            delattr(cls, name)
            if hasattr(default, "get_default") and hasattr(default, "is_required"):
                # pydantic's `Field(…)`, in a subclass of the user's.
                if default.alias:
                    cls._aliases = {**cls._aliases, name: default.alias}
                if default.is_required():
                    cls._required |= {name}
                    del defaults[name]
                else:
                    defaults[name] = default.get_default(call_default_factory=True)
        cls._defaults = {**cls._defaults, **defaults}
        cls._blank = {name: cls._defaults.get(name) for name in cls._fields}
        cls._names = {alias: name for name, alias in cls._aliases.items()}

    def __init__(self, data: Mapping[str, Any] | None = None, /, **fields: Any) -> None:
        if data is None or fields:
            from metagpt_ollama_rs.kinds import check_fields

            data = check_fields(type(self), {**(data or {}), **fields})
        object.__setattr__(self, "_data", data if isinstance(data, dict) else dict(data))

    @classmethod
    def _prepare(cls, fields: Fields) -> Fields:
        """What a program gave, before it is checked."""
        return fields

    def _wrap(self, name: str, value: Any) -> Any:
        nested = self._nested.get(name)
        if nested is None:
            read = self._readers.get(name)
            return value if read is None else read(value)
        if isinstance(value, dict):
            return nested(value)
        if isinstance(value, list):
            # In place, so that there is one list: whoever changes it changes this record.
            for index, item in enumerate(value):
                if isinstance(item, dict):
                    value[index] = nested(item)
        return value

    def _make_dict(self) -> Fields:
        """The dict of a record whose values are in slots; it is the record's from then on, and the slots are empty."""
        data = dict(self._always)
        try:
            for name in self._content_line:
                value = _read(self, name)
                data[name] = value._data if isinstance(value, Record) else value
        except AttributeError:
            # Another thread has emptied the slots.
            return _read(self, "_data")  # type: ignore[no-any-return]
        return _core.adopt_dict(self, data, self._content_line)

    def _dump_line(self, without_none: bool) -> Fields | None:
        """What `model_dump` makes of a record whose values are in slots, without a dict of its own; None if it has one.
        What a content line says is text and true or false, which is the same in every mode."""
        try:
            _read(self, "_data")
        except AttributeError:
            if not self._content_line:
                return None
        else:
            return None
        found = self._pairs()
        for name in self._content_line:
            if isinstance(found[name], Record):
                found[name] = found[name].model_dump(exclude_none=without_none)
        return {name: value for name, value in found.items() if value is not None} if without_none else found

    def _pairs(self) -> Fields:
        """Each field, and what else is there, in a new dict."""
        pairs = dict(self._blank)
        for name in self._defaults:
            pairs[name] = self._default(name)
        try:
            data = _read(self, "_data")
        except AttributeError:
            # The values are in slots.
            pairs.update(self._always)
            for name in self._content_line:
                pairs[name] = getattr(self, name)
            return pairs
        names, nested, readers = self._names, self._nested, self._readers
        for key, value in data.items():
            if value is not None and (key in nested or key in readers):
                value = self._wrap(key, value)
            pairs[names.get(key, key)] = value
        return pairs

    def _entries(self) -> Iterator[tuple[str, str, Any, bool]]:
        """Of each field, and of what else is there: its name, the server's name, the value, and whether it is set."""
        data, aliases = self._data, self._aliases
        for name, value in self._pairs().items():
            key = aliases.get(name, name)
            yield name, key, value, key in data or name in data

    def _default(self, name: str) -> Any:
        value = self._defaults.get(name)
        if value is None or isinstance(value, str):
            return value
        import copy

        return copy.deepcopy(value)

    def _key(self, name: str) -> str:
        """The key of ``name`` in the dict."""
        alias = self._aliases.get(name)
        return name if alias is None or (name in self._data and alias not in self._data) else alias

    def __getattr__(self, name: str) -> Any:
        if name == "_data":
            return self._make_dict()
        try:
            data = _read(self, "_data")
        except AttributeError:
            if name not in self._content_line:
                # The values are in slots, and this is none of them.
                if name in self._always:
                    return self._always[name]
                if name in self._fields:
                    return self._default(name)
                if name == "keys" and self._content_line:
                    # `dict(record)` asks for it each time.
                    raise AttributeError(name) from None
            data = self._data
        if name in data:
            return self._wrap(name, data[name])
        if name in self._fields:
            alias = self._aliases.get(name)
            return self._wrap(name, data[alias]) if alias in data else self._default(name)
        if name in self._beyond:
            return None
        if name == "keys":
            # The text of the error below would be most of what `dict(record)` costs.
            raise AttributeError(name)
        # What a server sends may be long, and not only text.
        names = _core.excerpt(", ".join(map(str, {**self._fields, **data})), 200)
        raise AttributeError(f"{type(self).__name__} has no field {name!r}; it has {names}")

    def __setattr__(self, name: str, value: Any) -> None:
        self._data[self._key(name)] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self._data[self._key(name)]
        except KeyError:
            raise AttributeError(f"{type(self).__name__}.{name} is not set") from None

    def __getitem__(self, name: str) -> Any:
        if name in self._content_line:
            try:
                return _read(self, name)
            except AttributeError:
                pass
        try:
            data = _read(self, "_data")
        except AttributeError:
            if name in self._content_line or name in self._always:
                return getattr(self, name)
            data = {}
        if name in data:
            return self._wrap(name, data[name])
        if name in self:
            return getattr(self, name)
        raise KeyError(name)

    def __setitem__(self, name: str, value: Any) -> None:
        self._data[self._key(name)] = value

    def __delitem__(self, name: str) -> None:
        del self._data[self._key(name)]

    def __contains__(self, name: object) -> bool:
        try:
            data = _read(self, "_data")
        except AttributeError:
            return name in self._content_line or name in self._always or self._defaults.get(str(name)) is not None
        return name in data or (
            isinstance(name, str) and (self._key(name) in data or self._defaults.get(name) is not None)
        )

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """The name and the value of each field, set or not, and of what else is there."""
        return iter(self._pairs().items())

    def get(self, name: str, default: Any = None) -> Any:
        """The field, or ``default`` if it is not set and has no default of its own."""
        if name in self._content_line:
            try:
                return _read(self, name)
            except AttributeError:
                pass
        return self[name] if name in self else default  # noqa: SIM401

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Record):
            return type(self) is type(other) and self._pairs() == other._pairs()
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, _, value, is_set in self._entries() if is_set)
        return f"{type(self).__name__}({fields})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self._data,))

    def __copy__(self) -> Self:
        return type(self)(dict(self._data))

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        import copy

        return type(self)(copy.deepcopy(self._data, memo))

    def __replace__(self, **changes: Any) -> Self:
        """What ``copy.replace`` calls."""
        return self.model_copy(update=changes)

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *self._fields, *map(str, self._data)})

    @property
    def __dict__(self) -> Fields:  # type: ignore[override]
        """What ``vars()`` gives: a new dict of all fields."""
        return self._pairs()

    # What pydantic's models have, by the same names.

    @property
    def model_fields_set(self) -> set[str]:
        """The names of the fields that are set."""
        return {name for name, _, _, is_set in self._entries() if is_set}

    @property
    def model_extra(self) -> Fields:
        """What is there beyond the fields of the class."""
        return {name: value for name, _, value, _ in self._entries() if name not in self._fields}

    def model_dump(
        self,
        *,
        mode: Literal["json", "python"] | str = "python",
        include: Selection = None,
        exclude: Selection = None,
        context: Any = None,
        by_alias: bool | None = None,
        exclude_unset: bool = False,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        exclude_computed_fields: bool = False,
        round_trip: bool = False,
        warnings: bool | Literal["none", "warn", "error"] = True,
        fallback: Callable[[Any], Any] | None = None,
        serialize_as_any: bool = False,
        polymorphic_serialization: bool | None = None,
    ) -> Fields:
        """A new dict of all fields, set or not, and of what else is there; records in it become dicts, too.

        ``exclude_unset=True`` gives what the server sent. The arguments are pydantic's; ``context``,
        ``exclude_computed_fields``, ``round_trip``, ``warnings``, ``serialize_as_any`` and
        ``polymorphic_serialization`` change nothing here.
        """
        if include is exclude is None and not (exclude_unset or exclude_defaults):
            found = self._dump_line(exclude_none)
            if found is not None:
                return found
        from metagpt_ollama_rs.record_dumps import Dump

        dump = Dump(mode, by_alias, exclude_unset, exclude_defaults, exclude_none, fallback)
        return self._dump(dump, include, exclude)  # type: ignore[no-any-return]

    def model_dump_json(
        self,
        *,
        indent: int | None = None,
        ensure_ascii: bool = False,
        include: Selection = None,
        exclude: Selection = None,
        context: Any = None,
        by_alias: bool | None = None,
        exclude_unset: bool = False,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        exclude_computed_fields: bool = False,
        round_trip: bool = False,
        warnings: bool | Literal["none", "warn", "error"] = True,
        fallback: Callable[[Any], Any] | None = None,
        serialize_as_any: bool = False,
        polymorphic_serialization: bool | None = None,
    ) -> str:
        """The same as JSON text. Times are in ISO 8601, and a number that JSON does not have is ``null``."""
        whole = include is exclude is None and not (exclude_unset or exclude_defaults)
        if whole and indent is None and not ensure_ascii:
            found = self._dump_line(exclude_none)
            if found is not None:
                return _core.dumps(found).decode()
        from metagpt_ollama_rs.record_dumps import Dump

        dump = Dump("json", by_alias, exclude_unset, exclude_defaults, exclude_none, fallback, is_text=True)
        value = self._dump(dump, include, exclude)
        if indent is None and not ensure_ascii:
            return _core.dumps(value).decode()
        import json

        separators = (",", ":") if indent is None else None
        return json.dumps(value, indent=indent, ensure_ascii=ensure_ascii, separators=separators)

    def _dump(self, dump: Dump, include: Any, exclude: Any) -> Any:
        return dump.of(self, include, exclude)

    @classmethod
    def model_validate(
        cls,
        obj: Any,
        *,
        strict: bool | None = None,
        extra: str | None = None,
        from_attributes: bool | None = None,
        context: Any = None,
        by_alias: bool | None = None,
        by_name: bool | None = None,
    ) -> Self:
        """A record of a dict, or of a model with the same fields, that was checked; a record of this class as it is.

        The arguments are pydantic's: ``from_attributes`` takes any object with these attributes, ``extra`` is
        ``allow``, ``ignore`` or ``forbid``; ``context``, ``by_alias`` and ``by_name`` change nothing here.
        Raises ValidationError (a ValueError).
        """
        from metagpt_ollama_rs.kinds import check_object

        if isinstance(obj, cls):
            return obj
        return cls(check_object(cls, obj, bool(strict), extra, bool(from_attributes)))

    @classmethod
    def model_validate_json(
        cls,
        json_data: str | bytes | bytearray,
        *,
        strict: bool | None = None,
        extra: str | None = None,
        context: Any = None,
        by_alias: bool | None = None,
        by_name: bool | None = None,
    ) -> Self:
        """As `model_validate`, of JSON text."""
        from metagpt_ollama_rs.kinds import check_json

        return cls.model_validate(check_json(cls, json_data), extra=extra)

    @classmethod
    def model_validate_strings(
        cls,
        obj: Any,
        *,
        strict: bool | None = None,
        extra: str | None = None,
        context: Any = None,
        by_alias: bool | None = None,
        by_name: bool | None = None,
    ) -> Self:
        """As `model_validate`, of a dict whose values are texts."""
        return cls.model_validate(obj, extra=extra)

    @classmethod
    def model_construct(cls, _fields_set: set[str] | None = None, **values: Any) -> Self:
        """A record of ``values``, none of which is looked at."""
        return cls({cls._aliases.get(name, name): value for name, value in values.items()})

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, with ``update`` in it, which is not checked. With ``deep`` it shares nothing with this record."""
        copied = self.__deepcopy__() if deep else self.__copy__()
        for name, value in (update or {}).items():
            copied[name] = value
        return copied

    @classmethod
    def model_json_schema(
        cls,
        by_alias: bool = True,
        ref_template: str = "#/$defs/{model}",
        schema_generator: Any = None,
        mode: Literal["validation", "serialization"] = "validation",
        *,
        union_format: str = "any_of",
    ) -> Fields:
        """The JSON Schema of the class. ``schema_generator``, ``mode`` and ``union_format`` are pydantic's, and change
        nothing."""
        from metagpt_ollama_rs.kinds import Page

        page = Page(ref_template, by_alias)
        schema = page.describe(cls)
        return {"$defs": page.definitions, **schema} if page.definitions else schema

    @classmethod
    def model_rebuild(cls, **_: Any) -> bool | None:
        """Does nothing: there are no references to be resolved."""
        return None

    def dict(self, **arguments: Any) -> Fields:
        """The older name of `model_dump`."""
        return self.model_dump(**arguments)

    def json(self, **arguments: Any) -> str:
        """The older name of `model_dump_json`."""
        return self.model_dump_json(**arguments)

    def copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """The older name of `model_copy`."""
        return self.model_copy(update=update, deep=deep)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from metagpt_ollama_rs.pydantic_schemas import core_schema_of

        return core_schema_of(cls, handler)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> Any:
        from metagpt_ollama_rs.pydantic_schemas import json_schema_of

        return json_schema_of(cls, core_schema, handler)


def table_of(make: Callable[[dict[str, Any]], Any]) -> Callable[[Any], Any]:
    """A reader of a field that is a dict of objects, which ``make`` makes records of. They stay in that dict."""

    def read(value: Any) -> Any:
        if isinstance(value, dict):
            for name, item in value.items():
                if isinstance(item, dict):
                    value[name] = make(item)
        return value

    return read


def tagged_class(tag: str, classes: Mapping[str, type[Record]]) -> Callable[[dict[str, Any]], Any]:
    """Makes a record of the one of ``classes`` that the value of ``tag`` names; any other object stays."""

    def make(item: dict[str, Any]) -> Any:
        kind = item.get(tag)
        found = classes.get(kind) if isinstance(kind, str) else None
        return item if found is None else found(item)

    return make


def _is_slot(value: Any) -> bool:
    """Whether an attribute of a class stands for a slot."""
    return type(value).__name__ == "member_descriptor"
