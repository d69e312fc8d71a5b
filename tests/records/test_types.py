"""The types beside those of the installed ollama-python: names, fields, defaults, nesting, and what their methods do.

What a new version adds makes a test here fail.
"""

from __future__ import annotations

import copy
import datetime
import decimal
import enum
import fractions
import inspect
import json
import pathlib
import pickle
import typing
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import ollama
import pydantic
import pytest
from ollama import _types as theirs

import metagpt_ollama_rs
from metagpt_ollama_rs import errors, inputs, request_types, responses, systemone_types, web_types
from metagpt_ollama_rs.record import Record

PLACES: list[Any] = [inputs, request_types, responses, systemone_types, web_types]


def ours_of(name: str) -> Any:
    """Our class by the name of theirs, such as ``Message.ToolCall``."""
    first, *rest = name.split(".")
    found = next(getattr(place, first) for place in PLACES if hasattr(place, first))
    for part in rest:
        found = vars(found)[part]
    return found


def theirs_of(name: str) -> Any:
    found: Any = theirs
    for part in name.split("."):
        found = getattr(found, part)
    return found


def models(holder: Any, prefix: str = "") -> Iterator[str]:
    """The names of ollama-python's models, with those in them."""
    for name, value in vars(holder).items():
        if inspect.isclass(value) and issubclass(value, pydantic.BaseModel) and value.__module__ == theirs.__name__:
            yield prefix + name
            yield from models(value, f"{prefix}{name}.")


# Their base class is `Record`.
NAMES = [name for name in models(theirs) if name != "SubscriptableBaseModel"]


def test_the_installed_package_is_looked_at() -> None:
    assert len(NAMES) > 50
    assert {"Message.ToolCall.Function", "Tool.Function.Parameters.Property", "ProcessResponse.Model"} <= set(NAMES)


def test_each_public_name_is_there() -> None:
    missing = [name for name in ollama.__all__ if not hasattr(metagpt_ollama_rs, name)]
    assert missing == []


@pytest.mark.parametrize("name", NAMES)
def test_fields_are_theirs(name: str) -> None:
    def fields(cls: Any) -> dict[str, Any]:
        return {
            key: (field.is_required(), None if field.is_required() else field.default, field.alias)
            for key, field in cls.model_fields.items()
        }

    ours = fields(ours_of(name))
    assert ours == fields(theirs_of(name))
    assert list(ours) == list(fields(theirs_of(name)))
    assert ours_of(name).__name__ == theirs_of(name).__name__


def plain_schema(schema: Any) -> Any:
    """A schema without its texts, and with the short names of its definitions."""
    if isinstance(schema, dict):
        return {
            key.rpartition("__")[2] if key.startswith(("ollama__", "Tool__", "Message__")) else key: plain_schema(value)
            for key, value in schema.items()
            if key != "description" or not isinstance(value, str)
        }
    if isinstance(schema, list):
        return [plain_schema(part) for part in schema]
    if isinstance(schema, str) and schema.startswith("#/$defs/"):
        return f"#/$defs/{schema.rpartition('/')[2].rpartition('__')[2]}"
    return schema


def with_plain_images(schema: dict[str, Any]) -> dict[str, Any]:
    """Ours, without the bytes, texts and paths that are taken as images beside `Image`."""
    for part in (schema, *schema.get("$defs", {}).values()):
        images = part.get("properties", {}).get("images")
        if images and "anyOf" in images["anyOf"][0].get("items", {}):
            images["anyOf"][0]["items"] = images["anyOf"][0]["items"]["anyOf"][0]
    return schema


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("ChatRequest", "CreateRequest")])
def test_schemas_are_theirs(name: str) -> None:
    def of(cls: Any, mode: Any) -> Any:
        return plain_schema(with_plain_images(cls.model_json_schema(mode=mode)))

    assert of(ours_of(name), "validation") == of(theirs_of(name), "validation")
    # Ours describes a size as what may be given for it, a text as well.
    if name not in ("ListResponse", "ListResponse.Model", "ProcessResponse", "ProcessResponse.Model"):
        assert of(ours_of(name), "serialization") == of(theirs_of(name), "serialization")


def test_schemas_with_two_classes_of_one_name() -> None:
    """Both have a `Function` that is called and one that is described."""
    ours = ours_of("ChatRequest").model_json_schema()
    wanted = theirs_of("ChatRequest").model_json_schema()
    assert ours["properties"].keys() == wanted["properties"].keys()
    assert len(ours["$defs"]) == len(wanted["$defs"])
    assert set(ours["$defs"]["Function"]["properties"]) == {"name", "arguments"}
    assert ours["$defs"]["Tool"]["properties"]["function"]["anyOf"][0] == {"$ref": "#/$defs/Tool__Function"}


def test_fields_are_added_by_a_subclass() -> None:
    class Note(responses.Message):
        lang: str = "en"
        tags: list = []

    note: Any = Note(role="user", lang="de")
    assert (note.lang, note.tags, Note(role="user").model_dump()["lang"]) == ("de", [], "en")
    note.tags.append("x")
    assert Note(role="user").model_dump()["tags"] == []
    assert list(Note.model_fields)[-2:] == ["lang", "tags"]


def test_the_methods_take_pydantics_arguments() -> None:
    names = [name for name in vars(pydantic.BaseModel) if name.startswith("model_")]
    skipped = {"model_post_init", "model_parametrized_name", "model_rebuild", "model_config"}
    for name in set(names) - skipped:
        assert hasattr(Record, name), name
        if callable(getattr(pydantic.BaseModel, name)):
            wanted = inspect.signature(getattr(pydantic.BaseModel, name)).parameters
            ours = inspect.signature(getattr(Record, name)).parameters
            assert set(wanted) <= set(ours), name
            assert {key: ours[key].kind for key in wanted} == {key: wanted[key].kind for key in wanted}
    with pytest.raises(TypeError, match="exclude_nones"):
        responses.Message(role="user").model_dump(exclude_nones=True)


@pytest.mark.parametrize("name", NAMES)
def test_signatures_are_theirs(name: str) -> None:
    ours, wanted = inspect.signature(ours_of(name)), inspect.signature(theirs_of(name))
    # Theirs shows a field by its alias, if that is a name of Python.
    names = [theirs_of(name).model_fields[key].alias or key for key in ours.parameters]
    names = [short if short.isidentifier() else key for short, key in zip(names, ours.parameters)]
    assert names == list(wanted.parameters)
    for parameter, expected in zip(ours.parameters.values(), wanted.parameters.values()):
        assert parameter.kind == expected.kind
        assert (parameter.default is parameter.empty) == (expected.default is expected.empty)


def test_fields_are_listed_for_whoever_types() -> None:
    assert {"role", "content", "tool_calls", "model_dump"} <= set(dir(responses.Message(role="user")))


class Word(str, enum.Enum):
    ONE = "one"


class Number:
    def __index__(self) -> int:
        return 3


VALUES: list[Any] = [
    None, True, False, 0, 1, 2, -5, 10**30, 1.0, 1.5, "", "a", "1", "1.0", " 7 ", "0x1", "true", "YES", "off", b"a",
    b"1", b"\xff", Word.ONE, Number(), decimal.Decimal("1.5"), decimal.Decimal(3), np.int64(3),
    np.float32(1.5), [], [1], ["a"], (1,), {"a": 1}, {"a": "b"}, {}, object(), pathlib.Path("x"),
    datetime.datetime(2020, 1, 1), datetime.date(2020, 1, 1), "2020-01-01", "2020-01-01T00:00:00Z", "2020-01-01 10:00",
    {"a"}, frozenset(), dict.fromkeys("a").keys(), range(1),
    "2020-01-01T00:00:00.5+02:00", "2020-13-01", "1600000000", 1600000000.5, 1600000000000, "5 MiB", "5 parsecs",
]  # fmt: skip
FIELDS = [
    ("Options", "num_ctx"), ("Options", "temperature"), ("Options", "numa"), ("Options", "stop"), ("Message", "role"),
    ("Message", "content"), ("Image", "value"), ("ListResponse.Model", "modified_at"), ("ListResponse.Model", "size"),
    ("GenerateRequest", "think"), ("GenerateRequest", "keep_alive"), ("GenerateRequest", "format"),
    ("GenerateRequest", "context"), ("GenerateRequest", "options"), ("EmbedRequest", "input"),
    ("CreateRequest", "files"),
    ("CreateRequest", "license"), ("Tool.Function.Parameters", "type"), ("Tool.Function.Parameters.Property", "type"),
    ("Message.ToolCall.Function", "arguments"), ("SystemOneScoreQuestion", "instructions"),
    ("SystemOneChoiceQuestion", "criteria"), ("SystemOneScoreAnswer", "score"), ("DeleteRequest", "model"),
]  # fmt: skip
FILLERS = {"model": "m", "role": "user", "name": "f", "input": "a", "arguments": {}, "instructions": "i"}


def is_spared(field: str, value: Any) -> bool:
    """JSON text of arguments, which ours reads; a time between blanks, and what of a date begins as a size does."""
    if field == "size":
        return str(value).startswith("2020-")
    return (field == "arguments" and isinstance(value, str)) or (field, value) == ("modified_at", " 7 ")


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_values_are_read_as_pydantic_reads_them(name: str, field: str) -> None:
    wanted_class = theirs_of(name)
    rest = {key: FILLERS[key] for key in wanted_class.model_fields if key in FILLERS and key != field}
    wanted_class = pydantic.create_model("One", value=(wanted_class.model_fields[field].annotation, ...))
    for value in VALUES:
        if is_spared(field, value):
            continue
        try:
            wanted: Any = wanted_class(value=value).value
        except pydantic.ValidationError:
            wanted = pydantic.ValidationError
        kind = ours_of(name).model_fields[field].kind
        problems: list[Any] = []
        found = kind.check(value, (), problems)
        if problems:
            assert wanted is pydantic.ValidationError or (name, value) == ("DeleteRequest", ""), value
            with pytest.raises(errors.ValidationError):
                ours_of(name)(**rest, **{field: value})
        else:
            assert as_plain(found) == as_plain(wanted), value
            assert type(found).__name__ == type(wanted).__name__, value


CALL = {"function": {"name": "add", "arguments": {"a": 1, "deep": [{"b": None}]}}}
PARAMETERS = {"$defs": {"A": 1}, "properties": {"q": {"type": ["string", "null"], "enum": ["a"]}}, "required": ["q"]}
TIME = "2025-05-04T17:37:44.706015396-07:00"
DETAILS = {"format": "gguf", "families": ["llama"]}
LOGPROBS = [{"token": "a", "logprob": -0.5, "top_logprobs": [{"token": "b", "logprob": -1}]}]
SAMPLES: list[tuple[str, dict[str, Any]]] = [
    ("Message", {"role": "user"}),
    ("Message", {"role": "user", "content": "\u4e2d", "thinking": None}),
    ("Message", {"role": "assistant", "tool_calls": [CALL, CALL]}),
    ("Message", {"role": "tool", "tool_name": "add", "content": "2"}),
    ("ChatResponse", {"message": {"role": "assistant", "content": "Hi"}, "done": False, "model": "m"}),
    ("ChatResponse", {"message": {"role": "assistant"}, "eval_count": "3", "logprobs": LOGPROBS}),
    ("GenerateResponse", {"response": "x", "context": (1, 2), "done": True, "total_duration": 5}),
    ("EmbedResponse", {"embeddings": [[0.5, 1], [2.0, 3.0]]}),
    ("EmbeddingsResponse", {"embedding": (0.5, 1)}),
    ("ListResponse", {"models": [{"model": "m", "modified_at": TIME, "size": 2_019_393_189, "details": DETAILS}]}),
    ("ListResponse", {"models": []}),
    ("ProcessResponse", {"models": [{"name": "m", "expires_at": "2025-05-04T17:37:44Z", "size_vram": "1.5 GiB"}]}),
    ("ShowResponse", {"model_info": {"a.b": [1]}, "details": {}, "capabilities": ["tools"], "modified_at": TIME}),
    ("ShowResponse", {"model_info": None}),
    ("StatusResponse", {}),
    ("ProgressResponse", {"status": "pulling", "completed": 1, "total": None}),
    ("Options", {"temperature": 1, "stop": ["a"], "num_ctx": "4096", "numa": "yes"}),
    ("Tool", {}),
    ("Tool", {"type": None, "function": {"name": "f", "parameters": PARAMETERS}}),
    (
        "ChatRequest",
        {"model": "m", "messages": [{"role": "user"}], "tools": [{"function": {"parameters": PARAMETERS}}]},
    ),
    ("ChatRequest", {"model": "m", "options": {"seed": 1}, "format": {"type": "object"}, "think": "high"}),
    ("GenerateRequest", {"model": "m", "format": "json", "keep_alive": "5m", "images": [{"value": b"QUJD"}]}),
    ("GenerateRequest", {"model": "m", "keep_alive": 5, "think": True}),
    ("EmbedRequest", {"model": "m", "input": ["a", "b"], "truncate": False}),
    ("EmbeddingsRequest", {"model": "m", "prompt": "a"}),
    ("CreateRequest", {"model": "m", "from_": "base", "license": ["a"], "files": {"f": "sha256:0"}}),
    ("PullRequest", {"model": "m", "insecure": 0, "stream": "true"}),
    ("PushRequest", {"model": "m"}),
    ("DeleteRequest", {"model": "m"}),
    ("CopyRequest", {"source": "a", "destination": "b"}),
    ("ShowRequest", {"model": "m"}),
    ("WebSearchRequest", {"query": "q", "max_results": 3}),
    ("WebSearchResponse", {"results": [{"title": "t", "url": "u"}]}),
    ("WebFetchRequest", {"url": "u"}),
    ("WebFetchResponse", {"title": "t", "links": ["a"]}),
    ("SystemOneChoiceQuestion", {"instructions": {"a": 1}, "criteria": {"x": None, "y": "z"}}),
    ("SystemOneNoulQuestion", {"instructions": ["a"], "criteria": {"false": "f"}}),
    ("SystemOneScoreQuestion", {"instructions": "a", "criteria": ["low", "high"]}),
    (
        "SystemOneRequest",
        {"model": "m", "state": "s", "questions": {"q": {"type": "noul", "instructions": "i"}}, "keep_alive": 1},
    ),
    (
        "SystemOneResponse",
        {
            "model": "m",
            "answers": {"q": {"type": "noul", "noul": 1}},
            "usage": {"input_tokens": 1, "output_tokens": 2},
        },
    ),
]
each_sample = pytest.mark.parametrize(
    ("name", "fields"), SAMPLES, ids=[f"{name}-{'-'.join(fields)}" for name, fields in SAMPLES]
)


def as_plain(value: Any) -> Any:
    """Models as pairs of their names and fields, in lists and dicts, too."""
    if isinstance(value, (Record, pydantic.BaseModel)):
        return (type(value).__qualname__, {key: as_plain(item) for key, item in value})
    if isinstance(value, dict):
        return {key: as_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(as_plain(item) for item in value)
    return value


def keys_of(model: Any) -> list[str]:
    return [*type(model).model_fields, "nothing"]


LOOKS: dict[str, Callable[[Any], Any]] = {
    "pairs": list,
    "dict": dict,
    "attributes": lambda model: [getattr(model, name) for name in type(model).model_fields],
    "in": lambda model: {name: hasattr(type(model), "__contains__") and name in model for name in keys_of(model)},
    "items": lambda model: {name: model[name] for name in keys_of(model) if name in model},
    "get": lambda model: {name: model.get(name) for name in keys_of(model)},
    "get with a default": lambda model: model.get("nothing", 7),
    "vars": vars,
    "fields set": lambda model: model.model_fields_set,
    "dump": lambda model: model.model_dump(),
    "dump as JSON's types": lambda model: model.model_dump(mode="json"),
    "without None": lambda model: model.model_dump(exclude_none=True),
    "what is set": lambda model: model.model_dump(exclude_unset=True),
    "no defaults": lambda model: model.model_dump(exclude_defaults=True),
    "by alias": lambda model: model.model_dump(by_alias=True),
    "round trip": lambda model: model.model_dump(round_trip=True, warnings=False, serialize_as_any=False),
    "text": lambda model: model.model_dump_json(),
    "indented text": lambda model: model.model_dump_json(indent=2, exclude_none=True),
    "text by alias": lambda model: model.model_dump_json(by_alias=True, exclude_unset=True),
    "included": lambda model: model.model_dump(include={"model", "message", "models", "role", "results"}),
    "parts included": lambda model: model.model_dump(
        include={"message": {"content"}, "models": {"__all__": {"model", "name"}}, "tool_calls": {0: {"function"}}}
    ),
    "parts excluded": lambda model: model.model_dump(
        exclude={"message": {"content": True}, "models": {0: {"model"}}, "tool_calls": {1: ...}, "model": False}
    ),
    "both": lambda model: model.model_dump(include={"model", "role", "message"}, exclude={"model", "message"}),
    "copy": copy.copy,
    "deep copy": copy.deepcopy,
    "model_copy": lambda model: model.model_copy(),
    "deep model_copy": lambda model: model.model_copy(deep=True),
    "updated": lambda model: model.model_copy(update={next(iter(type(model).model_fields)): "new"}),
    "replaced": lambda model: model.__replace__(**{next(iter(type(model).model_fields)): "new"}),
    "pickled": lambda model: [pickle.loads(pickle.dumps(model, protocol)) for protocol in range(6)],
    "validated": lambda model: type(model).model_validate(model),
    "validated again": lambda model: type(model).model_validate(model.model_dump(by_alias=True, exclude_unset=True)),
    "constructed": lambda model: type(model).model_construct(**{name: getattr(model, name) for name, _ in model}),
    "equality": lambda model: (model == copy.deepcopy(model), model == model.model_dump(), model is None),
}


# What theirs does not have for CopyRequest and Image.
ITEMS = ("in", "items", "get", "get with a default")
# Theirs cannot read what its own serializer made of these.
UNREADABLE = ("CreateRequest", "GenerateRequest")


@each_sample
def test_ours_looks_as_theirs(name: str, fields: dict[str, Any]) -> None:
    for title, look in LOOKS.items():
        ours, wanted = ours_of(name)(**copy.deepcopy(fields)), theirs_of(name)(**copy.deepcopy(fields))
        if (title in ITEMS and not hasattr(wanted, "get")) or (title == "validated again" and name in UNREADABLE):
            continue
        expected, found = as_plain(look(wanted)), look(ours)
        if isinstance(found, str):
            assert found == expected, title
        assert as_plain(found) == expected, title


@each_sample
def test_a_view_of_what_a_server_sent_looks_as_theirs(name: str, fields: dict[str, Any]) -> None:
    """JSON as a server writes it, which nobody converts."""
    wanted = theirs_of(name)(**copy.deepcopy(fields))
    if name in ("CreateRequest", "ChatRequest", "GenerateRequest"):
        return
    sent = json.loads(wanted.model_dump_json(by_alias=True, exclude_unset=True))
    ours, again = ours_of(name)(sent), theirs_of(name)(**sent)
    assert as_plain(ours) == as_plain(again)
    assert ours == ours_of(name)(**sent)
    assert ours.model_dump_json() == again.model_dump_json()


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("Message", {}),
    ("Message", {"role": 7}),
    ("Message", {"role": None}),
    ("Message", {"role": "user", "tool_calls": "x"}),
    ("Message", {"role": "user", "tool_calls": [{"function": {"name": "f"}}]}),
    ("Message", {"role": "user", "tool_calls": [{"function": 3}, {}]}),
    ("Message", {"role": "user", "content": ["x"]}),
    ("ChatResponse", {}),
    ("ChatResponse", {"message": {}, "done": "perhaps", "eval_count": 1.5}),
    ("EmbedResponse", {"embeddings": [["x"]]}),
    ("ListResponse", {"models": {"a": 1}}),
    ("ListResponse", {"models": [{"size": -1}]}),
    ("ListResponse", {"models": [{"modified_at": "soon"}]}),
    ("ShowResponse", {}),
    ("Options", {"temperature": "hot", "num_ctx": [], "stop": "x", "numa": 7}),
    ("Tool", {"function": {"parameters": {"type": "array"}}}),
    ("Tool", {"function": {"parameters": {"properties": {"a": {"type": 3}}}}}),
    ("ChatRequest", {}),
    ("ChatRequest", {"model": ""}),
    ("ChatRequest", {"model": "m", "messages": [{"role": 3}, 4]}),
    ("GenerateRequest", {"model": "m", "format": "yaml"}),
    ("GenerateRequest", {"model": "m", "keep_alive": []}),
    ("SystemOneNoulAnswer", {"noul": 0.5}),
    ("SystemOneNoulQuestion", {"instructions": "i", "criteria": {"maybe": "x"}}),
    ("SystemOneResponse", {"model": "m", "answers": {"a": {"type": "x"}, "b": {}}, "usage": {}}),
    ("WebSearchRequest", {"max_results": "many"}),
]


@pytest.mark.parametrize(("name", "fields"), WRONG, ids=str)
def test_what_is_wrong_is_found_where_theirs_finds_it(name: str, fields: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError) as wanted:
        theirs_of(name)(**fields)
    for make in (lambda: ours_of(name)(**fields), lambda: ours_of(name).model_validate(fields)):
        with pytest.raises(errors.ValidationError) as caught:
            make()
        assert isinstance(caught.value, ValueError)
        found = [str(problem["loc"][:2]) for problem in caught.value.errors()]
        assert list(dict.fromkeys(found)) == list(dict.fromkeys(str(e["loc"][:2]) for e in wanted.value.errors()))
        assert caught.value.title == name.rpartition(".")[2]
        revived = pickle.loads(pickle.dumps(caught.value))
        assert (str(revived), revived.errors()) == (str(caught.value), caught.value.errors())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((field, value) for field in ("temperature", "num_ctx", "numa") for value in ("hot", "0x1", [], None)),
        *(("num_ctx", value) for value in ("5.", "\u0663", "1_0", "+5", " 1.0 ", 1.5)),
        *(("numa", value) for value in ("T", "2", 2)),
        ("stop", 1.5),
    ],
    ids=repr,
)
def test_numbers_and_problems_are_pydantics(field: str, value: Any) -> None:
    # Theirs has a code for each of the two parts that make a sequence.
    names = {"is_instance_of": "sequence_type"}

    def outcome(cls: Any, error_class: Any) -> Any:
        try:
            return cls(**{field: value}).model_dump()
        except error_class as error:
            return [names.get(problem["type"], problem["type"]) for problem in error.errors()]

    assert outcome(inputs.Options, errors.ValidationError) == outcome(theirs.Options, pydantic.ValidationError)


@pytest.mark.parametrize("tag", [[], {}, 1, None], ids=repr)
def test_an_answer_whose_type_is_no_text_is_left_as_it_is(tag: Any) -> None:
    reply = {"answers": {"a": {"type": tag, "noul": 0.5}}}
    assert systemone_types.SystemOneResponse(reply).answers == reply["answers"]
    with pytest.raises(errors.ValidationError, match=r"answers\.a"):
        systemone_types.SystemOneResponse(model="m", usage={"input_tokens": 1, "output_tokens": 1}, **reply)


ODD: list[Any] = [
    {1: "a", 0: "b", -2: "c"}, {True: 1, False: 2}, {None: 1}, {2.5: 1}, {Word.ONE: 1}, {b"k": 1},
    {datetime.date(2020, 1, 1): 1}, {decimal.Decimal(1): 1}, {datetime.timedelta(1): 2}, 1j, fractions.Fraction(3, 2),
    datetime.timedelta(0), datetime.timedelta(days=801, minutes=61, milliseconds=5), -datetime.timedelta(seconds=5),
    decimal.Decimal("1.50"), pathlib.Path("x"), uuid.UUID(int=1), datetime.time(1, 2), {"a": {"b"}}, ("a",),
]  # fmt: skip


@pytest.mark.parametrize("value", ODD, ids=repr)
def test_what_json_has_no_form_for_is_dumped_as_pydantic_does_it(value: Any) -> None:
    def dumps(package: Any) -> tuple[Any, str]:
        function = package.Message.ToolCall.Function(name="f", arguments={"value": value})
        return function.model_dump(mode="json"), function.model_dump_json()

    assert dumps(responses) == dumps(theirs)


def test_validation_has_pydantics_ways() -> None:
    message = responses.Message(role="user", content="Hi")
    assert responses.Message.model_validate(message) is message
    assert responses.Message.model_validate(ollama.Message(role="user", content="Hi")) == message
    assert responses.Message.model_validate_json('{"role": "user", "content": "Hi"}') == message
    assert responses.Message.model_validate_json(b'{"role": "user", "content": "Hi"}') == message
    assert responses.Message.model_validate_strings({"role": "user", "content": "Hi"}) == message

    class Row:
        role = "user"
        content = "Hi"

    assert responses.Message.model_validate(Row(), from_attributes=True) == message
    wrong: list[Callable[[], Any]] = [
        lambda: responses.Message.model_validate(Row()),
        lambda: responses.Message.model_validate(7),
        lambda: responses.Message.model_validate_json("{"),
        lambda: responses.Message.model_validate_json("[]"),
        lambda: responses.Message.model_validate({"role": "user", "x": 1}, extra="forbid"),
        lambda: inputs.Options.model_validate({"seed": "7"}, strict=True),
    ]
    for make in wrong:
        with pytest.raises(errors.ValidationError):
            make()
    assert responses.Message.model_validate({"role": "user", "x": 1}, extra="ignore").model_extra == {}
    assert responses.Message.model_validate({"role": "user", "x": 1}).model_extra == {"x": 1}


def test_strict_numbers() -> None:
    strict = inputs.Options.model_validate({"temperature": 1, "seed": 2}, strict=True)
    assert (strict.temperature, strict.seed) == (1.0, 2)
    assert isinstance(strict.temperature, float)
    for field, value in (("temperature", "1"), ("seed", 2.0), ("seed", True), ("numa", 1)):
        with pytest.raises(errors.ValidationError, match=field):
            inputs.Options.model_validate({field: value}, strict=True)


def test_copies_share_what_pydantics_share() -> None:
    for kind in (responses.Message, ollama.Message):
        message: Any = kind(role="user", tool_calls=[CALL])
        shallow, deep = message.model_copy(), message.model_copy(deep=True)
        message.content = "new"
        message.tool_calls[0].function.name = "sub"
        assert (shallow.content, shallow.tool_calls[0].function.name) == (None, "sub")
        assert (deep.content, deep.tool_calls[0].function.name) == (None, "add")


def test_a_dumped_request_is_read_again() -> None:
    request = request_types.CreateRequest(model="m", from_="base")
    assert request_types.CreateRequest.model_validate(request.model_dump()) == request


def test_hashing_and_deleting() -> None:
    message: Any = responses.Message(role="user", content="Hi")
    with pytest.raises(TypeError):
        hash(message)
    del message.content
    assert (message.content, "content" in message) == (None, False)
    with pytest.raises(AttributeError):
        del message.content
    del message["role"]
    with pytest.raises(KeyError):
        message["role"]


def test_a_record_with_slots_can_lose_a_field() -> None:
    part: Any = responses.Message({"content": "Hi"})
    del part.content
    assert part.model_dump(exclude_unset=True) == {}


def test_what_servers_send_beyond_the_fields_is_kept() -> None:
    sent = {"models": [{"name": "m", "model": "m", "capabilities": ["tools"], "new": {"a": 1}}]}
    reply: Any = responses.ListResponse(sent)
    model = reply.models[0]
    assert (model.name, model.capabilities, model.new, model.remote_host) == ("m", ["tools"], {"a": 1}, None)
    assert model.model_extra == {"name": "m", "capabilities": ["tools"], "new": {"a": 1}}
    assert model.model_dump()["new"] == {"a": 1}
    call: Any = responses.ToolCall({"id": "c1", "function": {"index": 0, "name": "f", "arguments": {}}})
    assert (call.id, call.function.index, call["id"]) == ("c1", 0, "c1")
    assert responses.ToolCall(function={"name": "f", "arguments": {}}).id is None


def test_images_are_taken_in_any_form() -> None:
    message = responses.Message(role="user", images=[b"QUJD", "QUJD", inputs.Image(value=b"ABC"), {"value": b"ABC"}])
    assert message.model_dump()["images"] == [b"QUJD", "QUJD", "QUJD", "QUJD"]
    assert [type(image).__name__ for image in message.images or ()] == ["bytes", "str", "Image", "Image"]


def test_the_hints_of_the_unions() -> None:
    for name in ("SystemOneQuestion", "SystemOneAnswer"):
        ours, wanted = getattr(metagpt_ollama_rs, name), getattr(ollama, name)
        members = [member.__name__ for member in typing.get_args(typing.get_args(ours)[0])]
        assert members == [member.__name__ for member in typing.get_args(typing.get_args(wanted)[0])]
    assert len(typing.get_args(metagpt_ollama_rs.SystemOneContent)) == 3
