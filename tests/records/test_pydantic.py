"""Records as fields of pydantic's models and of whatever is built on it, such as FastAPI's bodies and replies."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from typing import Any, Literal, Optional

import ollama
import pydantic
import pydantic_core
import pytest

import metagpt_ollama_rs
from metagpt_ollama_rs import (
    ChatResponse,
    Client,
    Image,
    ListResponse,
    Message,
    Options,
    ShowResponse,
    SystemOneQuestion,
    errors,
    request_types,
)
from metagpt_ollama_rs.testing import ScriptedServer

CALL = {"function": {"name": "add", "arguments": {"a": 1}}}
PNG = b"\x89PNG\r\n\x1a\n123"


class Talk(pydantic.BaseModel):
    """A model of a user's."""

    messages: list[Message]
    reply: Optional[ChatResponse] = None
    options: Options = Options(temperature=0)


def talk() -> Talk:
    reply = ChatResponse({"model": "m", "message": {"role": "assistant", "content": "Hi"}, "done": True, "new": 1})
    return Talk.model_validate(
        {"messages": [{"role": "user", "tool_calls": [CALL]}, Message(role="tool", content="2")], "reply": reply}
    )


def test_fields_are_validated_into_records() -> None:
    made = talk()
    assert [type(message) for message in made.messages] == [Message, Message]
    assert isinstance(made.messages[0].tool_calls[0], Message.ToolCall)
    assert made.reply is not None
    assert made.reply.model_extra == {"new": 1}
    assert Talk.model_validate(made.model_dump()) == made
    assert Talk.model_validate_json(made.model_dump_json()) == made
    assert Talk(messages=[ollama.Message(role="user", content="x")]).messages == [Message(role="user", content="x")]
    message = Message(role="user")
    assert Talk(messages=[message]).messages[0] is message
    assert pickle.loads(pickle.dumps(made)) == made == copy.deepcopy(made) == made.model_copy(deep=True)


def test_dumps_of_a_model_have_its_arguments() -> None:
    made = talk()
    assert made.model_dump(exclude_none=True, include={"messages": {1: {"content"}}}) == {
        "messages": [{"content": "2"}]
    }
    assert made.model_dump(exclude_unset=True)["reply"] == {
        "model": "m",
        "done": True,
        "message": {"role": "assistant", "content": "Hi"},
        "new": 1,
    }
    text = made.model_dump_json(exclude_none=True)
    assert text.endswith('"new":1},"options":{"temperature":0.0}}')
    assert '"tool_calls":[{"function":{"name":"add","arguments":{"a":1}}}]' in text


class Anyhow(pydantic.BaseModel):
    """A model of a user's that takes anything."""

    value: Any
    table: dict[str, Any] = {}


@pytest.mark.parametrize("mode", ["python", "json"])
def test_records_are_dumped_where_anything_may_stand(mode: Any) -> None:
    def dumps(package: Any) -> Any:
        message = package.Message(role="user", content="x", images=[package.Image(value=b"GIF89a")])
        made = Anyhow(value=message, table={"replies": [package.ChatResponse(message={"role": "tool"}, done=True)]})
        whole = made.model_dump(mode=mode), made.model_dump_json(exclude_none=True)
        return (*whole, made.model_dump(exclude={"value": {"images"}}), pydantic_core.to_json(message))

    assert dumps(metagpt_ollama_rs) == dumps(ollama)


def test_a_field_of_pydantics_in_a_subclass() -> None:
    def made(package: Any) -> Any:
        class Note(package.Message):  # type: ignore[misc, name-defined]
            tags: list[str] = pydantic.Field(default_factory=lambda: ["x"])
            size: int = pydantic.Field(3, alias="Size")
            title: str = pydantic.Field(...)

        note = Note(role="user", title="t", Size="4")
        with pytest.raises(ValueError, match="title"):
            Note(role="user")
        return note.tags, note.size, note.model_dump(by_alias=True), Note(role="user", title="t").size

    assert made(metagpt_ollama_rs) == made(ollama)


def test_errors_have_their_places() -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        Talk.model_validate({"messages": [{"content": 3}, {"role": "user", "tool_calls": [{"function": {}}]}]})
    assert [problem["loc"] for problem in caught.value.errors()] == [
        ("messages", 0, "role"),
        ("messages", 0, "content"),
        ("messages", 1, "tool_calls", 0, "function", "name"),
        ("messages", 1, "tool_calls", 0, "function", "arguments"),
    ]


@pytest.mark.parametrize(
    "cls",
    [
        value
        for place in (metagpt_ollama_rs, request_types)
        for name in place.__all__
        if hasattr(value := getattr(place, name), "model_fields")
    ],
    ids=lambda cls: str(cls.__name__),
)
def test_each_class_has_a_schema_and_a_place_in_a_model(cls: Any) -> None:
    ours = cls.model_json_schema()
    modes: tuple[Any, ...] = ("validation", "serialization")
    for mode in modes:
        schema = pydantic.TypeAdapter(cls).json_schema(mode=mode)
        assert schema["properties"].keys() == ours["properties"].keys()
        assert schema.get("required") == ours.get("required")
        assert (schema["title"], schema.get("description")) == (ours["title"], ours.get("description"))
        # pydantic gives longer names to classes that share one.
        if not {"Tool", "Function"} <= ours.get("$defs", {}).keys():
            assert schema["properties"] == ours["properties"]
    holder = pydantic.create_model("Holder", field=(Optional[cls], None))
    assert list(holder.model_json_schema()["$defs"]) == sorted({cls.__name__, *ours.get("$defs", {})}) or (
        "Function" in ours["$defs"]
    )


def test_values_of_other_types() -> None:
    sent = b'{"models":[{"model":"m","modified_at":"2025-05-04T17:37:44.706015396-07:00","size":2019393189}]}'
    adapter = pydantic.TypeAdapter(ListResponse)
    reply = adapter.validate_json(sent)
    assert reply.models[0].size is not None
    assert reply.models[0].size.human_readable() == "1.9GiB"
    assert b'"modified_at":"2025-05-04T17:37:44.706015-07:00","digest":null,"size":2019393189' in adapter.dump_json(
        reply
    )
    shown = pydantic.TypeAdapter(ShowResponse)
    assert shown.validate_python({"model_info": {"a": 1}}).modelinfo == {"a": 1}
    assert shown.dump_python(ShowResponse(model_info={"a": 1}), by_alias=True, exclude_none=True) == {
        "model_info": {"a": 1}
    }
    questions = pydantic.TypeAdapter(list[SystemOneQuestion])
    found = questions.validate_python([{"type": "noul", "instructions": "?"}, {"type": "score", "instructions": "?", "criteria": []}])  # fmt: skip  # noqa: E501
    assert [type(question).__name__ for question in found] == ["SystemOneNoulQuestion", "SystemOneScoreQuestion"]
    with pytest.raises(pydantic.ValidationError, match="noul"):
        questions.validate_python([{"type": "?"}])
    assert pydantic.TypeAdapter(Image).dump_python(Image(value=b"ABC")) == "QUJD"


class Answer(pydantic.BaseModel):
    """An answer."""

    words: list[str]


@dataclasses.dataclass
class Pet:
    name: str
    age: int = 0


OF_LIST = {"type": "array", "items": {"type": "integer"}}
FORMATS: list[tuple[Any, Any]] = [
    (Answer, Answer.model_json_schema()),
    (pydantic.TypeAdapter(list[int]), OF_LIST),
    (list[int], OF_LIST),
    (
        Pet,
        {
            "type": "object",
            "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
            "required": ["name"],
        },
    ),
    (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
    (Answer.model_json_schema(), Answer.model_json_schema()),
    ("json", "json"),
    (b"json", "json"),
    ("", ""),
]


@pytest.mark.parametrize(("given", "sent"), FORMATS, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("method", ["chat", "generate"])
def test_the_format_may_be_a_class(ollama_server: ScriptedServer, given: Any, sent: Any, method: str) -> None:
    ollama_server.answer("{}")
    getattr(Client(ollama_server.url), method)("m", format=given)
    assert ollama_server.last.json()["format"] == sent


@pytest.mark.parametrize("given", [Answer(words=[]), 7, [Answer]], ids=str)
def test_what_is_no_format(ollama_server: ScriptedServer, given: Any) -> None:
    with pytest.raises(errors.ConfigurationError, match="format is a"):
        Client(ollama_server.url).chat("m", [], format=given)
    assert not ollama_server.requests


@dataclasses.dataclass
class Line:
    role: str
    content: Optional[str] = None
    tool_calls: Any = None
    images: Any = None


@dataclasses.dataclass
class Call:
    function: Any


class Model(pydantic.BaseModel):
    role: str
    content: Optional[str] = None
    note: Optional[str] = None


FN = {"name": "add", "arguments": {"a": 1}}
SENT = {"role": "assistant", "tool_calls": [{"function": FN}]}
MESSAGES: list[tuple[Any, dict[str, Any]]] = [
    (Line("user", "Hi"), {"role": "user", "content": "Hi"}),
    (Line("assistant", tool_calls=[Call(FN)]), SENT),
    (Model(role="user", content="Hi"), {"role": "user", "content": "Hi"}),
    (Message(role="assistant", tool_calls=[{"function": FN}]), SENT),
    (Message(role="assistant", tool_calls=[Message.ToolCall(function=FN)]), SENT),
    (ollama.Message(role="assistant", tool_calls=[ollama.Message.ToolCall(function=FN)]), SENT),
    (Message(role="user", images=[Image(value=PNG), PNG]), {"role": "user", "images": ["iVBORw0KGgoxMjM="] * 2}),
    (ollama.Message(role="user", images=[ollama.Image(value=PNG)]), {"role": "user", "images": ["iVBORw0KGgoxMjM="]}),
]


@pytest.mark.parametrize(("given", "sent"), MESSAGES, ids=lambda value: str(value)[:40])
def test_objects_are_taken_as_messages(ollama_server: ScriptedServer, given: Any, sent: Any) -> None:
    ollama_server.answer("ok")
    Client(ollama_server.url).chat("m", [given])
    assert ollama_server.last.json()["messages"] == [sent]


@pytest.mark.parametrize(
    "given", [Options(seed=1, stop=["a"]), ollama.Options(seed=1, stop=["a"]), {"seed": 1, "stop": ["a"]}], ids=str
)
def test_objects_are_taken_as_options(ollama_server: ScriptedServer, given: Any) -> None:
    ollama_server.answer("ok")
    Client(ollama_server.url).chat("m", [], options=given)
    assert ollama_server.last.json()["options"] == {"seed": 1, "stop": ["a"]}


def test_pydantic_is_not_imported() -> None:
    program = (
        "import sys\n"
        "from metagpt_ollama_rs import Message, Tool\n"
        "message = Message(role='user', tool_calls=[{'function': {'name': 'f', 'arguments': {}}}])\n"
        "assert Message.model_validate_json(message.model_dump_json()) == message\n"
        "assert Tool.model_json_schema()['title'] == 'Tool'\n"
        "assert not hasattr(message, '__pydantic_serializer__')\n"
        "assert not [name for name in sys.modules if name.startswith('pydantic')]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
