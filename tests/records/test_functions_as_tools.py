"""Functions as tools, beside what the installed ollama-python makes of the same function.

`ollama_compat` makes the same; what the clients send (`function_tool`) says more.
"""

# No annotation may be a text here: ollama-python takes such a text for the name of a class.

import collections
import dataclasses
import datetime
import decimal
import enum
import functools
import pathlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, NewType, Optional, TypeVar, Union

import pydantic
import pytest
from ollama import _utils as theirs

from metagpt_ollama_rs import Tool
from metagpt_ollama_rs.ollama_compat import _utils as ours
from metagpt_ollama_rs.tools import function_tool


def none():
    """
    A function without arguments.
    Args:
        None
    Returns:
        None
    """


def undocumented(x: int, y: str): ...


def untyped(a, b):
    """No types."""


def simple(a: int, b: str, c: float, d: bool, e: list, f: dict, g: tuple, h: bytes):
    """Takes all sorts.

    Args:
        a: the first
        b (str): the second: with a colon
        c(float) :the third
        d (bool, optional): the fourth
            on two lines
        e: (in parentheses) the fifth


        f: the sixth
    """


def lower_case(x: int, y: Optional[int] = None) -> int:
    """Add two numbers.
    args:
        x (integer): The first number
        y (integer, optional): The second number

    Returns:
        integer: The sum of x and y
    """


def yields(x: int):
    """A function with yields.

    Args:
      x: the number

    Yields:
      The sum
    """


def raises(x: int):
    """A function that fails.

    Raises:
      ValueError: always

    Args:
      x: the number
    """


def skewed(x: int, y: int):
    """
    Add two numbers together.
    Args:
        x (integer): : The first number




        y (integer ): The second number
    Returns:
        integer: The sum of x and y
    """


def paragraphs(x: int):
    """First line.

    Second paragraph,
    in two lines.

    Args:
        x: the number
    """


def optional(a: Optional[str], b: Optional[int] = None, c: Union[float, str, None] = None):
    """Optional ones.

    Args:
        a: may be left out
    """


def several(a: Union[int, str], b: Union[int, str, None]):
    """More than one type."""


async def coroutine(city: str):
    """Is awaited.

    Args:
        city: its name
    """


class Shop:
    def order(self, what: str, how_many: int):
        """Orders something.

        Args:
            what: the thing
        """


SAME: list[Callable[..., Any]] = [
    none,
    undocumented,
    untyped,
    simple,
    lower_case,
    yields,
    raises,
    skewed,
    paragraphs,
    optional,
    several,
    coroutine,
    Shop().order,
]


def names(function: Callable[..., Any]) -> str:
    return function.__name__


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Point:
    """Where it is."""

    x: int
    y: int = 0


class Order(pydantic.BaseModel):
    """What is wanted."""

    thing: str
    colors: list[Color] = []


def nested(
    points: list[Point],
    table: Mapping[str, int],
    order: Order,
    color: Color,
    size: Literal["s", "m"],
    names: Sequence[str] = (),
    number: Annotated[int, pydantic.Field(description="how many")] = 1,
    limit: int = pydantic.Field(10, description="at most"),
    best: Optional[Order] = None,
    *rest: int,
    quick: bool = False,
    **more: Any,
):
    """Nested types."""


def described(module: Any, function: Callable[..., Any]) -> Any:
    """The description as a dict, with the types of an argument in one order: theirs have that of a set."""
    tool = module.convert_function_to_tool(function).model_dump()
    for part in tool["function"]["parameters"]["properties"].values():
        part["type"] = sorted(part["type"].split(", "))
    return tool


@pytest.mark.parametrize("function", [*SAME, nested, Order, Point, Shop.order], ids=names)
def test_the_description_is_theirs(function: Callable[..., Any]) -> None:
    found, wanted = described(ours, function), described(theirs, function)
    assert found == wanted
    assert list(found["function"]["parameters"]["properties"]) == list(wanted["function"]["parameters"]["properties"])
    assert isinstance(ours.convert_function_to_tool(function), Tool)


TYPES: list[Any] = [
    str, int, float, bool, bytes, list, dict, tuple, set, frozenset, Any, object, None, list[int], dict[str, int],
    tuple[int, str], tuple[int, ...], set[int], Optional[int], Optional[Any], Union[int, str, None],
    Union[list[int], int], Optional[list[int]], Literal["a"], Literal["a", "b"], Literal[1, 2], Literal[1, "a"],
    Literal[None], Literal["a", None], Optional[Literal["a"]], Color, Optional[Color], Point, Optional[Point], Order,
    list[Order], Union[Order, str], Union[Order, Point, None], collections.namedtuple("Pair", "a b"),
    NewType("Number", int), TypeVar("Free"), TypeVar("Bound", bound=int), Annotated[int, "x"],
    Annotated[Optional[int], "x"], datetime.datetime, datetime.date, datetime.timedelta, uuid.UUID, pathlib.Path,
    decimal.Decimal, complex, Sequence[str], Mapping[str, Any], collections.deque, collections.OrderedDict,
]  # fmt: skip


@pytest.mark.parametrize("annotation", TYPES, ids=str)
def test_types_are_theirs(annotation: Any) -> None:
    def function(a, b=None, *args, _hidden=1, **more): ...

    function.__annotations__ = {"a": annotation, "args": int}
    assert described(ours, function) == described(theirs, function)


DOCSTRINGS = [
    "", "Does.", "Does.\n\nMore: of it.\n\n    deep\n", "Args:\n  a: A\n  b (str): B: with a colon\n  c\n",
    "Does. Args: a: A", "Does.\nargs:\n  a:A\n  b :B\n    goes on\n\n  unknown: x\nReturns: a: no\n",
    "Does.\n\nArguments:\n  a: A", "Does.\n\n:param a: A\n:return: x",
    "Does.\n\nParameters\n----------\na : int\n    A\n", "Args:\n  *args: rest\n  args: all",
    "Does.\nRaises:\n  Error: b: no\nArgs:\n  a (List[int]): (x) y: z\n  b(str: z\nNote:\n  c: d\nExample:\n  f(a: 1)",
    "Does.\n\tArgs:\n\ta: A\n\tb: B", "a: no\nYields: x\nb: no\nArgs: c: no\nb: B\n b2",
]  # fmt: skip


@pytest.mark.parametrize("docstring", DOCSTRINGS)
def test_docstrings_are_read_as_theirs(docstring: str) -> None:
    def function(a: int, b: str, *args: int): ...

    function.__doc__ = docstring
    assert described(ours, function) == described(theirs, function)


POINT = {
    "type": "object",
    "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}},
    "required": ["x"],
    "description": "Where it is.",
}
ORDER = {
    "type": "object",
    "properties": {
        "thing": {"type": "string"},
        "colors": {"type": "array", "items": {"type": "string", "enum": ["red", "blue"]}},
    },
    "required": ["thing"],
    "description": "What is wanted.",
}


def test_what_theirs_leaves_out() -> None:
    tool = function_tool(nested)["function"]
    assert tool["parameters"]["required"] == ["points", "table", "order", "color", "size"]
    assert tool["parameters"]["properties"] == {
        "points": {"type": "array", "items": POINT, "description": ""},
        "table": {"type": "object", "additionalProperties": {"type": "integer"}, "description": ""},
        "order": ORDER,
        "color": {"type": "string", "enum": ["red", "blue"], "description": ""},
        "size": {"type": "string", "enum": ["s", "m"], "description": ""},
        "names": {"type": "array", "items": {"type": "string"}, "description": ""},
        "number": {"type": "integer", "description": "how many"},
        "limit": {"type": "integer", "description": "at most"},
        "best": ORDER,
        "quick": {"type": "boolean", "description": ""},
    }


def test_what_theirs_cannot_describe() -> None:
    part = functools.partial(undocumented, 7)
    with pytest.raises(AttributeError):
        theirs.convert_function_to_tool(part)
    tool = ours.convert_function_to_tool(part)
    assert tool.function is not None
    assert tool.function.name == "undocumented"
    assert list(tool.model_dump()["function"]["parameters"]["properties"]) == ["y"]
