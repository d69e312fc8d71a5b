"""Functions as tools: what a server is sent for each kind of type, docstring and callable; calls in a history."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import enum
import functools
import pathlib
import typing
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Optional, TypedDict, Union

import pytest

from metagpt_ollama_rs import AsyncClient, Client, errors
from metagpt_ollama_rs.testing import Reply, ScriptedServer

if typing.TYPE_CHECKING:
    pass  # type: ignore[import-not-found]

MESSAGES = [{"role": "user", "content": "hi"}]
ANYTHING = {"type": ["string", "number", "boolean", "object", "array"]}


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass
class Point:
    """A point.

    Attributes:
        x: from the left
    """

    x: int
    y: float = 0.5
    tags: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Node:
    value: int
    children: list[Node]


class Form(TypedDict):
    name: str
    age: typing.NotRequired[int]


class Pair(NamedTuple):
    left: int
    right: str = ""


POINT = {
    "type": "object",
    "properties": {
        "x": {"type": "integer", "description": "from the left"},
        "y": {"type": "number"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["x"],
    "description": "A point.",
}
Alias = typing.NewType("Alias", int)
Bound = typing.TypeVar("Bound", bound=float)

TYPES: list[tuple[Any, dict[str, Any]]] = [
    (str, {"type": "string"}),
    (bytes, {"type": "string"}),
    (bool, {"type": "boolean"}),
    (int, {"type": "integer"}),
    (float, {"type": "number"}),
    (list[str], {"type": "array", "items": {"type": "string"}}),
    (typing.List[int], {"type": "array", "items": {"type": "integer"}}),  # noqa: UP006
    (list, {"type": "array"}),
    (Sequence[float], {"type": "array", "items": {"type": "number"}}),
    (Iterable[list[int]], {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}),
    (deque[int], {"type": "array", "items": {"type": "integer"}}),
    (set[int], {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}),
    (frozenset[str], {"type": "array", "items": {"type": "string"}, "uniqueItems": True}),
    (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
    (tuple[int, int], {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}),
    (tuple[int, str], {"type": "array", "items": {"type": ["integer", "string"]}, "minItems": 2, "maxItems": 2}),
    (tuple, {"type": "array"}),
    (dict, {"type": "object"}),
    (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
    (
        Mapping[str, list[str]],
        {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
    ),
    (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
    (Literal[1, "a"], {"type": ["integer", "string"], "enum": [1, "a"]}),
    (list[Literal["a"]], {"type": "array", "items": {"type": "string", "enum": ["a"]}}),
    (Color, {"type": "string", "enum": ["red", "blue"]}),
    (Level, {"type": "integer", "enum": [1, 2]}),
    (Literal[Color.RED], {"type": "string", "enum": ["red"]}),
    (Union[int, float], {"type": ["integer", "number"]}),
    (Union[int, list[str]], {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "string"}}]}),
    (list[Optional[int]], {"type": "array", "items": {"type": ["integer", "null"]}}),
    (list[Union[Color, None]], {"type": "array", "items": {"type": ["string", "null"], "enum": ["red", "blue", None]}}),
    (Point, POINT),
    (list[Point], {"type": "array", "items": POINT}),
    (
        Form,
        {
            "type": "object",
            "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
            "required": ["name"],
        },
    ),
    (
        Pair,
        {
            "type": "object",
            "properties": {"left": {"type": "integer"}, "right": {"type": "string"}},
            "required": ["left"],
        },
    ),
    (
        Node,
        {
            "type": "object",
            "properties": {"value": {"type": "integer"}, "children": {"type": "array", "items": {"type": "object"}}},
            "required": ["value", "children"],
        },
    ),
    (datetime.datetime, {"type": "string", "format": "date-time"}),
    (datetime.date, {"type": "string", "format": "date"}),
    (uuid.UUID, {"type": "string", "format": "uuid"}),
    (pathlib.Path, {"type": "string"}),
    (Any, ANYTHING),
    (list[Any], {"type": "array", "items": ANYTHING}),
    (Alias, {"type": "integer"}),
    (Bound, {"type": "number"}),
    (Annotated[int, "how many"], {"type": "integer", "description": "how many"}),
    (Callable[[int], str], {"type": "string"}),
    ("OnlyForTypeCheckers", {"type": "string"}),
    ("OnlyForTypeCheckers | int", {"type": ["string", "integer"]}),
    ("Sequence[OnlyForTypeCheckers]", {"type": "array", "items": {"type": "string"}}),
    ("OnlyForTypeCheckers.Inner", {"type": "string"}),
    ("list[int]", {"type": "array", "items": {"type": "integer"}}),
    ("a text of no meaning", {"type": "string"}),
]


def tool(server: ScriptedServer, function: Any) -> dict[str, Any]:
    """What is sent for ``function``, once it was seen to be the same from all four ways of asking."""
    server.answer("ok")
    sent = []
    Client(server.url).chat("m", MESSAGES, tools=[function])
    sent.append(server.last.json())
    list(Client(server.url).chat("m", MESSAGES, tools=[function], stream=True))
    sent.append(server.last.json())

    async def main() -> None:
        client = AsyncClient(server.url)
        await client.chat("m", MESSAGES, tools=[function])
        sent.append(server.last.json())
        async for _ in await client.chat("m", MESSAGES, tools=[function], stream=True):
            pass
        sent.append(server.last.json())

    asyncio.run(main())
    descriptions = [payload["tools"][0] for payload in sent]
    assert all(description == descriptions[0] for description in descriptions)
    found: dict[str, Any] = descriptions[0]["function"]
    return found


@pytest.mark.parametrize(("kind", "schema"), TYPES, ids=[str(kind) for kind, _ in TYPES])
def test_types_keep_their_meaning(ollama_server: ScriptedServer, kind: Any, schema: dict[str, Any]) -> None:
    def function(a, b=None) -> None:  # type: ignore[no-untyped-def]
        pass

    function.__annotations__ = {"a": kind, "b": kind if isinstance(kind, str) else Optional[kind]}
    found = tool(ollama_server, function)["parameters"]
    wanted = {"description": "", **schema}
    assert found["properties"] == {"a": wanted, "b": wanted}
    assert found["required"] == ["a"]


def test_names_that_only_type_checkers_import(ollama_server: ScriptedServer) -> None:
    names: dict[str, Any] = {}
    source = (
        "from __future__ import annotations\ndef function(a: Sequence[str] | None, b: Mapping[str, Gone], c: int): pass"
    )
    exec(source, names)
    found = tool(ollama_server, names["function"])["parameters"]
    assert found["properties"] == {
        "a": {"type": "array", "items": {"type": "string"}, "description": ""},
        "b": {"type": "object", "additionalProperties": {"type": "string"}, "description": ""},
        "c": {"type": "integer", "description": ""},
    }
    assert found["required"] == ["b", "c"]


def test_classes_of_a_function_that_is_under_way(ollama_server: ScriptedServer) -> None:
    class Size(enum.Enum):
        SMALL = "small"

    @dataclasses.dataclass
    class Shirt:
        size: Size

    def order(shirts: list[Shirt], size: Size | None = None) -> None:
        pass

    found = tool(ollama_server, order)["parameters"]["properties"]
    assert found["size"] == {"type": "string", "enum": ["small"], "description": ""}
    assert found["shirts"]["items"]["properties"] == {"size": {"type": "string", "enum": ["small"]}}


def test_pydantic_models(ollama_server: ScriptedServer) -> None:
    pydantic = pytest.importorskip("pydantic")

    class Address(pydantic.BaseModel):  # type: ignore[name-defined,misc]
        street: str = pydantic.Field(description="with its number")
        title: Optional[str] = None
        color: Color = Color.RED

    class Person(pydantic.BaseModel):  # type: ignore[name-defined,misc]
        """Somebody."""

        home: Address
        others: list[Address] = []

    def move(who, where, count) -> None:  # type: ignore[no-untyped-def]
        """Moves.

        Args:
            who: the one who moves
        """

    move.__annotations__ = {
        "who": Person,
        "where": list[Address],
        "count": Annotated[int, pydantic.Field(description="n")],
    }
    found = tool(ollama_server, move)["parameters"]["properties"]
    address = found["where"]["items"]
    assert address["required"] == ["street"]
    assert address["properties"]["street"] == {"type": "string", "description": "with its number"}
    assert address["properties"]["title"]["type"] == ["string", "null"]
    assert address["properties"]["color"]["enum"] == ["red", "blue"]
    assert found["who"]["description"] == "the one who moves"
    assert found["who"]["properties"]["home"] == address
    assert found["who"]["properties"]["others"]["items"] == address
    assert found["count"] == {"type": "integer", "description": "n"}
    assert "$ref" not in str(found)
    assert "default" not in str(found)

    itself = tool(ollama_server, Person)
    assert (itself["name"], itself["description"]) == ("Person", "Somebody.")
    assert itself["parameters"]["required"] == ["home"]
    assert itself["parameters"]["properties"]["home"] == {**address, "description": ""}


def google(a: int, b: str, c: float) -> None:
    """Does it.
    In two lines.

    And in another paragraph:

        with an example
    Args:
        a: the first,
            which takes two lines: really
        b (Optional[str], default "x"): the second
        c:
            the third

    Returns:
        c: nothing
    """


def numpy(a: int, b: str, c: float) -> None:
    """Does it.

    Parameters
    ----------
    a : int
        the first,
        which takes two lines: really
    b : str, optional
        the second
    c
        the third

    Returns
    -------
    None
    """


def sphinx(a: int, b: str, c: float) -> None:
    """Does it.

    :param a: the first,
        which takes two lines: really
    :type a: int
    :param str b: the second
    :param c: the third
    :returns: nothing
    """


def crowded(a: int, b: str, c: float) -> None:
    """Does it.
    Args:
    a: the first, which takes two lines: really
    b: the second
    c: the third
    Raises:
    ValueError: never
    """


@pytest.mark.parametrize("function", [google, numpy, sphinx, crowded])
def test_docstrings(ollama_server: ScriptedServer, function: Any) -> None:
    found = tool(ollama_server, function)
    texts = {name: part["description"] for name, part in found["parameters"]["properties"].items()}
    assert texts == {"a": "the first, which takes two lines: really", "b": "the second", "c": "the third"}
    more = "\nIn two lines.\n\nAnd in another paragraph:\n\n    with an example" if function is google else ""
    assert found["description"] == "Does it." + more


def test_a_docstring_of_one_line_and_none(ollama_server: ScriptedServer) -> None:
    def one() -> None:
        """Note: just this."""

    def none(a: int) -> None:
        pass

    assert tool(ollama_server, one)["description"] == "Note: just this."
    assert tool(ollama_server, none)["description"] == ""


class Search:
    """Looks things up."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __call__(self, query: list[str], limit: int = 3) -> None:
        """Searches.

        Args:
            query: the words
        """

    def method(self, query: list[str], limit: int = 3) -> None:
        """Searches.

        Args:
            query: the words
        """

    @classmethod
    def of_class(cls, query: list[str], limit: int = 3) -> None:
        """Searches.

        Args:
            query: the words
        """

    @staticmethod
    def static(query: list[str], limit: int = 3) -> None:
        """Searches.

        Args:
            query: the words
        """

    partly = functools.partialmethod(method, limit=5)


def search(where: str, query: list[str], limit: int = 3) -> None:
    """Searches.

    Args:
        where: bound, as a rule
        query: the words
    """


async def coroutine(query: list[str], /, limit: int = 3) -> None:
    """Searches.

    Args:
        query: the words
    """


class Undescribed(Search):
    """Searches."""

    def __call__(self, query: Annotated[list[str], "the words"], limit: int = 3) -> None:
        pass


def decorated(function: Any) -> Any:
    @functools.wraps(function)
    def around(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return around


CALLABLES: dict[str, tuple[Any, str, list[str]]] = {
    "partial by place": (functools.partial(search, "here"), "search", ["query", "limit"]),
    "partial by name": (functools.partial(search, where="here"), "search", ["query", "limit"]),
    "partial of a partial": (functools.partial(functools.partial(search, "here"), limit=1), "search", ["query"]),
    "object": (Search(""), "Search", ["query", "limit"]),
    "object without a docstring of the call": (Undescribed(""), "Undescribed", ["query", "limit"]),
    "bound method": (Search("").method, "method", ["query", "limit"]),
    "method": (Search.method, "method", ["query", "limit"]),
    "partial method": (Search("").partly, "method", ["query"]),
    "class method": (Search.of_class, "of_class", ["query", "limit"]),
    "class method itself": (vars(Search)["of_class"], "of_class", ["query", "limit"]),
    "static method": (Search.static, "static", ["query", "limit"]),
    "static method itself": (vars(Search)["static"], "static", ["query", "limit"]),
    "coroutine": (coroutine, "coroutine", ["query", "limit"]),
    "decorated": (decorated(coroutine), "coroutine", ["query", "limit"]),
    "cached": (functools.lru_cache(Search.static), "static", ["query", "limit"]),
}


@pytest.mark.parametrize(("function", "name", "arguments"), CALLABLES.values(), ids=CALLABLES.keys())
def test_what_can_be_called(ollama_server: ScriptedServer, function: Any, name: str, arguments: list[str]) -> None:
    found = tool(ollama_server, function)
    assert (found["name"], found["description"]) == (name, "Searches.")
    assert list(found["parameters"]["properties"]) == arguments
    assert found["parameters"]["properties"]["query"] == {
        "type": "array",
        "items": {"type": "string"},
        "description": "the words",
    }
    assert found["parameters"]["required"] == ["query"]


def test_a_class_is_called_to_make_an_object(ollama_server: ScriptedServer) -> None:
    found = tool(ollama_server, Search)
    assert (found["name"], found["description"]) == ("Search", "Looks things up.")
    assert found["parameters"]["required"] == ["place"]
    found = tool(ollama_server, Point)
    assert (found["description"], found["parameters"]["required"]) == ("A point.", ["x"])
    assert found["parameters"]["properties"]["x"] == {"type": "integer", "description": "from the left"}


@pytest.mark.parametrize(
    ("tools", "words"),
    [
        ([lambda a: a], "lambda has no name"),
        ([max], "arguments of max are not known"),
        (["add"], r"tools\[0\] is a str"),
        ([search, 5], r"tools\[1\] is a int"),
        (search, "not a list"),
        ({"type": "function"}, "not a list"),
        ("add", "not a list"),
    ],
)
def test_what_is_no_tool(ollama_server: ScriptedServer, tools: Any, words: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=words):
        Client(ollama_server.url).chat("m", MESSAGES, tools=tools)
    assert ollama_server.requests == []


CALL: dict[str, Any] = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "add", "arguments": {"a": [1, "\u4e2d"]}},
}


def history(server: ScriptedServer, calls: Any) -> list[Any]:
    """The calls that are sent for ``calls`` in a history, by both clients."""
    server.answer("ok")
    messages = [*MESSAGES, {"role": "assistant", "tool_calls": calls}, {"role": "tool", "content": "3"}]
    Client(server.url).chat("m", messages)
    sent: list[Any] = server.last.json()["messages"][1]["tool_calls"]
    asyncio.run(AsyncClient(server.url).chat("m", messages))
    assert server.last.json()["messages"][1]["tool_calls"] == sent
    return sent


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ('{"a": [1, "\u4e2d"]}', {"a": [1, "\u4e2d"]}),
        (b'{"a": 1}', {"a": 1}),
        (memoryview(b'{"a": 1}'), {"a": 1}),
        ({"a": 1}, {"a": 1}),
        ("", {}),
        (" \n", {}),
        ("null", {}),
        (None, {}),
        (..., {}),
    ],
)
def test_arguments_in_a_history_are_sent_as_an_object(
    ollama_server: ScriptedServer, arguments: Any, wanted: Any
) -> None:
    function = {"name": "add"} if arguments is ... else {"name": "add", "arguments": arguments}
    sent = history(ollama_server, [CALL, {**CALL, "function": function}])
    assert sent == [CALL, {**CALL, "function": {"name": "add", "arguments": wanted}}]


def test_calls_of_a_reply_go_back_in_any_form(ollama_server: ScriptedServer) -> None:
    call = {"function": {"name": "add", "arguments": {"a": 1}}}
    ollama_server.queue(Reply.chat("", stream=False, tool_calls=[call]))
    reply = Client(ollama_server.url).chat("m", MESSAGES)
    assert reply.message.tool_calls
    plain = call["function"]
    for calls in (reply.message.tool_calls, [{"function": reply.message.tool_calls[0].function}], (call,)):
        assert [sent["function"] for sent in history(ollama_server, calls)] == [plain]


@pytest.mark.parametrize("arguments", ["[1]", "5", "{'a': 1}", '{"a": 1', '"{}"', "a=1", 5, True, [1]])
def test_arguments_that_are_no_object_are_named(ollama_server: ScriptedServer, arguments: Any) -> None:
    calls = [CALL, {"function": {"name": "add", "arguments": arguments}}]
    with pytest.raises(errors.ConfigurationError, match=r"messages\[1\]\.tool_calls\[1\]\.function\.arguments"):
        history(ollama_server, calls)
    with pytest.raises(errors.ConfigurationError, match=r"messages\[1\]\.tool_calls\[1\] has no function"):
        history(ollama_server, [CALL, {"name": "add", "arguments": arguments}])
    with pytest.raises(errors.ConfigurationError, match=r"messages\[1\]\.tool_calls is a dict"):
        history(ollama_server, CALL)
    assert ollama_server.requests == []
