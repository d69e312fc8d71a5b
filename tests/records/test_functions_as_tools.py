"""Functions as tools, beside what the installed ollama-python makes of the same function: the same, or more."""

# No annotation may be a text here: ollama-python takes such a text for the name of a class.

import dataclasses
import enum
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, Optional, Union

import pydantic
import pytest
from ollama import _utils as theirs

from metagpt_ollama_rs import Tool
from metagpt_ollama_rs.ollama_compat import _utils as ours


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


@pytest.mark.parametrize("function", SAME, ids=names)
def test_the_description_is_theirs(function: Callable[..., Any]) -> None:
    found, wanted = ours.convert_function_to_tool(function), theirs.convert_function_to_tool(function)
    assert isinstance(found, Tool)
    described, expected = found.model_dump(), wanted.model_dump()
    for tool in (described, expected):
        for part in tool["function"]["parameters"]["properties"].values():
            # Theirs is in the order of a set.
            part["type"] = sorted(part["type"].split(", "))
    assert described == expected
    assert list(described["function"]["parameters"]["properties"]) == list(
        expected["function"]["parameters"]["properties"]
    )


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
    tool = ours.convert_function_to_tool(nested).model_dump(exclude_none=True)["function"]
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
