"""Records as fields of pydantic's models: what pydantic is told when it asks a class of records for its schema.

A record is validated as a dict with the fields of its class, by pydantic's own rules, and serialised by its
``model_dump``. Only pydantic calls this, so that nothing here is loaded where there is no pydantic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import SchemaSerializer, core_schema

from metagpt_ollama_rs.kinds import describe_docstring, fields_of, record_fields

if TYPE_CHECKING:
    # A subclass of `record.Record`.
    RecordClass = type[Any]

__all__ = ["SERIALIZER", "core_schema_of", "json_schema_of"]


def _dump_record(record: Any, info: Any) -> Any:
    return record.model_dump(
        mode=info.mode,
        include=info.include,
        exclude=info.exclude,
        by_alias=info.by_alias,
        exclude_unset=info.exclude_unset,
        exclude_defaults=info.exclude_defaults,
        exclude_none=info.exclude_none,
    )


_AS_DUMPED = core_schema.plain_serializer_function_ser_schema(_dump_record, info_arg=True)
# Dumps a record of any class, for places where a value of any type may stand.
SERIALIZER = SchemaSerializer(core_schema.any_schema(serialization=_AS_DUMPED))


def core_schema_of(cls: RecordClass, handler: Any) -> Any:
    """The schema of pydantic's core for ``cls``."""

    def validate(value: Any, handle: Any) -> Any:
        if isinstance(value, cls):
            return value
        fields = record_fields(value)
        return cls(handle(value if fields is None else cls._prepare(dict(fields))))

    # Messages of pydantic's name the validator.
    validate.__name__ = cls.__name__
    fields = {
        field.alias or name: core_schema.typed_dict_field(
            handler.generate_schema(field.annotation), required=field.required
        )
        for name, field in fields_of(cls).items()
    }
    return core_schema.no_info_wrap_validator_function(
        validate,
        core_schema.typed_dict_schema(fields, extra_behavior="allow"),
        ref=f"{cls.__module__}.{cls.__qualname__}:{id(cls)}",
        serialization=_AS_DUMPED,
    )


def json_schema_of(cls: RecordClass, schema: Any, handler: Any) -> Any:
    """The JSON Schema of ``cls`` that pydantic made of its schema, with what that cannot say."""
    reference = handler(schema)
    described = handler.resolve_ref_schema(reference)
    described.pop("additionalProperties", None)
    described["title"] = cls.__name__
    text = describe_docstring(cls)
    if text:
        described["description"] = text
    for name, field in fields_of(cls).items():
        if not field.required:
            described["properties"][field.alias or name].setdefault("default", field.default)
    return reference
