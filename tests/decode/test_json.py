"""The bridges between Python objects and JSON text, through the private pair `_core.loads` and `_core.dumps`."""

from __future__ import annotations

import base64
import enum
import json
import math
import threading
from collections import OrderedDict, UserDict
from decimal import Decimal
from typing import Any

import oracle
import pytest
from bodies import documents, mutate, oddities, values
from hypothesis import given, settings
from hypothesis import strategies as st

from metagpt_ollama_rs._core import dumps, loads

DETERMINISTIC = settings(derandomize=True, deadline=None, database=None, max_examples=300)


def outcome(parse: Any, text: Any) -> Any:
    try:
        return parse(text)
    except (ValueError, RecursionError) as error:
        return type(error), str(error)


@given(st.data())
@DETERMINISTIC
def test_loads_is_json_loads(data: st.DataObject) -> None:
    text = data.draw(documents() | oddities).encode()
    if data.draw(st.booleans()):
        text = mutate(data.draw, text)
    try:
        decoded = text.decode()
    except UnicodeDecodeError:
        with pytest.raises(UnicodeDecodeError):
            loads(text)
        return
    ours, theirs = outcome(loads, text), outcome(json.loads, decoded)
    if isinstance(theirs, tuple) and theirs[0] is RecursionError:
        assert ours[0] is RecursionError
    else:
        assert isinstance(ours, tuple) == isinstance(theirs, tuple)
        assert ours == theirs if isinstance(ours, tuple) else oracle.same(ours, theirs)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 25))
@DETERMINISTIC
def test_floats_are_rounded_correctly(number: float, digits: int) -> None:
    for text in (repr(number), f"{number:.{digits}e}"):
        assert oracle.same(loads(text.encode()), json.loads(text))


def test_every_byte_in_every_place_of_a_small_document() -> None:
    for document in (b'{"a":[1,-0.5e3,"x\\n"]}', b" true ", b'"\\u00e9"', b"-120"):
        for at in range(len(document) + 1):
            for byte in range(128):
                for gone in (0, 1):
                    text = document[:at] + bytes([byte]) + document[at + gone :]
                    ours, theirs = outcome(loads, text), outcome(json.loads, text.decode())
                    assert oracle.same(ours, theirs) or ours == theirs, text


def test_reading_survives_what_a_garbage_collection_may_run() -> None:
    seen = []

    class Reenter:
        def __del__(self) -> None:
            seen.append(loads(b'{"inner":[1,2]}'))

    import gc

    threshold = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    try:
        for _ in range(20):
            loop: list[Any] = [Reenter()]
            loop.append(loop)
            del loop
            assert loads(b'{"a":[[1],[2],{"b":[]}]}') == {"a": [[1], [2], {"b": []}]}
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    assert seen == [{"inner": [1, 2]}] * 20


@given(values)
@DETERMINISTIC
def test_dumps_is_json_dumps(value: Any) -> None:
    value = with_surrogates_replaced(value)
    try:
        theirs = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:
        with pytest.raises(ValueError, match=r"nan|inf"):
            dumps(value)
        return
    assert dumps(value) == theirs


def with_surrogates_replaced(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {with_surrogates_replaced(key): with_surrogates_replaced(item) for key, item in value.items()}
    return [with_surrogates_replaced(item) for item in value] if isinstance(value, list) else value


@given(st.text(st.sampled_from(["\ud83d", "\ude00", "a", "\u4e2d", "\U0001f600", '"'])))
@DETERMINISTIC
def test_surrogates_are_joined_or_replaced(text: str) -> None:
    assert json.loads(dumps(text)) == with_surrogates_replaced(text)


def test_every_character_is_written_as_json_writes_it() -> None:
    text = "".join(chr(code) for code in (*range(0x300), 0x2028, 0x2029, 0xD7FF, 0xE000, 0xFFFF, 0x1F600, 0x10FFFF))
    assert dumps({text: text}) == json.dumps({text: text}, ensure_ascii=False, separators=(",", ":")).encode()


class Color(str, enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3
    HUGE = 2**80


class Plain(enum.Enum):
    ONE = 1


class Model:
    """As pydantic's."""

    def model_dump(self, *, mode: str = "python", exclude_none: bool = False) -> Any:
        return {"mode": mode, "exclude_none": exclude_none}

    @classmethod
    def model_json_schema(cls) -> Any:
        return {"type": "object"}


class Index:
    def __index__(self) -> int:
        return 7


class Ratio:
    def __float__(self) -> float:
        return 0.5


class SubFloat(float):
    def __repr__(self) -> str:
        return "np.float64(0.5)"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": (1, [2], ())}, '{"a":[1,[2],[]]}'),
        ({"temperature": 1.0, "p": 1e16, "q": 1e-5, "r": -0.0}, '{"temperature":1.0,"p":1e+16,"q":1e-05,"r":-0.0}'),
        ([True, False, None], "[true,false,null]"),
        ([Color.RED, Level.HIGH, Level.HUGE], f'["red",3,{2**80}]'),
        ({Color.RED: 1}, '{"red":1}'),
        (Model(), '{"mode":"json","exclude_none":true}'),
        (UserDict(a=UserDict(b=1)), '{"a":{"b":1}}'),
        (OrderedDict(b=1, a=2), '{"b":1,"a":2}'),
        ([Index(), Ratio(), SubFloat(0.5), Decimal("0.25")], "[7,0.5,0.5,0.25]"),
        ("<a href='x'>&</a>", "\"<a href='x'>&</a>\""),
        (2**64, str(2**64)),
        (-(2**63), str(-(2**63))),
    ],
)
def test_what_else_can_be_written(value: Any, text: str) -> None:
    assert dumps(value).decode() == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("cut \ud83d", "cut \ufffd"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("\ud83d\ude00", "\U0001f600"),
        ("\ud83d\U0001f600\ude00", "\ufffd\U0001f600\ufffd"),
        ({"\ud83d\ude00": {"\udcff": ["\udcff"]}}, {"\U0001f600": {"\ufffd": ["\ufffd"]}}),
    ],
)
def test_surrogates(value: Any, text: Any) -> None:
    assert dumps(value) == json.dumps(text, ensure_ascii=False, separators=(",", ":")).encode()


def test_bytes_are_the_text_that_they_are_in_utf_8() -> None:
    text = '\u4e2d "\n\U0001f600'
    data = text.encode()
    for value in (data, bytearray(data), memoryview(data)):
        assert json.loads(dumps({"images": "x", "a": [value], "b": value})) == {"images": "x", "a": [text], "b": text}
    assert dumps(b"") == b'""'
    with pytest.raises(ValueError, match="not UTF-8"):
        dumps(memoryview(b"\xff"))


def test_bytes_are_base64_where_a_request_has_its_images() -> None:
    data = bytes(range(256))
    encoded = base64.b64encode(data).decode()
    for value in (data, bytearray(data), memoryview(data)):
        assert json.loads(dumps({"images": [value]})) == {"images": [encoded]}
        assert json.loads(dumps({"messages": [{"images": (value,)}]})) == {"messages": [{"images": [encoded]}]}
    # Elsewhere the name says nothing.
    call = {"messages": [{"tool_calls": [{"function": {"arguments": {"images": [b"a.png"]}}}]}]}
    assert b'"images":["a.png"]' in dumps(call)
    with pytest.raises(ValueError, match=r"options\.images\[0\]"):
        dumps({"options": {"images": [data]}})


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ({1}, TypeError, "set is not JSON"),
        ({"messages": [{"content": {1}}]}, TypeError, "messages[0].content: set is not JSON"),
        ({"a": [0, {"odd key": object()}]}, TypeError, 'a[1]["odd key"]: object is not JSON'),
        ({"options": {5: 1}}, TypeError, "options: key 5 is int, not str"),
        ({None: 1}, TypeError, "key None is NoneType, not str"),
        ({"a": UserDict({1: 2})}, TypeError, "a: key 1 is int, not str"),
        ({"a": Plain.ONE}, TypeError, "a: Plain is not JSON"),
        ({"a": 1j}, TypeError, "a: complex is not JSON"),
        (
            {"format": Model},
            TypeError,
            "format: the class Model is not JSON; for its schema write Model.model_json_schema()",
        ),
        ({"a": int}, TypeError, "a: the class int is not JSON"),
        ({"a": (x for x in "ab")}, TypeError, "a: generator is not JSON"),
        ({"options": {"top_p": math.nan}}, ValueError, "options.top_p: nan is not JSON"),
        ([math.inf], ValueError, "[0]: inf is not JSON"),
        ([-math.inf], ValueError, "[0]: -inf is not JSON"),
        (
            {"messages": [{"content": b"ab\xff"}]},
            ValueError,
            "messages[0].content: the bytes are not UTF-8 text: invalid utf-8 sequence of 1 bytes from index 2",
        ),
    ],
)
def test_what_cannot_be_written_is_named(value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        dumps(value)
    assert str(caught.value) == message
    # A UnicodeEncodeError would be a ValueError too, but its arguments are not a message.
    assert type(caught.value) is error


def test_an_integer_over_4300_digits_is_a_value_error() -> None:
    with pytest.raises(ValueError, match=r"^n: Exceeds the limit"):
        dumps({"n": 10**5000})


def test_a_circular_value_is_a_value_error() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(ValueError, match="circular"):
        dumps({"a": circle})

    class Mirror:
        def model_dump(self, **_: Any) -> Any:
            return self

    with pytest.raises(ValueError, match="circular"):
        dumps(Mirror())


def test_deep_values_are_written() -> None:
    deep: Any = 1
    for _ in range(1000):
        deep = [deep]
    assert dumps(deep) == b"[" * 1000 + b"1" + b"]" * 1000
    with pytest.raises(ValueError, match=r"^(\[0\]){16}…: more than 1000 levels of nesting"):
        dumps([deep])


def test_depth_needs_no_stack() -> None:
    """Threads may have little of it, and what overflows is the process."""

    class Dumps:
        def __init__(self, value: Any) -> None:
            self.value = value

        def model_dump(self, **_: Any) -> Any:
            return self.value

    wrap: list[Any] = [lambda value: [value], lambda value: {"a": value}, lambda value: (0, value), Dumps]
    wrap.append(lambda value: UserDict(a=value))
    deep: Any = "x"
    for depth in range(995):
        deep = wrap[depth % len(wrap)](deep)
    circle: list[Any] = []
    circle.append({"a": circle})
    shallow = b'{"a":[' * 64 + b'"\\u00e9"' + b"]}" * 64
    results: list[Any] = []

    def work() -> None:
        results.append(dumps(deep))
        results.append(outcome(dumps, circle))
        results.append(loads(shallow))

    before = threading.stack_size(64 << 10)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    text, (kind, _), value = results
    assert text.count(b"a") == 2 * 199
    assert json.loads(text)
    assert kind is ValueError
    assert value == json.loads(shallow)


def test_errors_of_the_objects_themselves_come_through() -> None:
    class Broken:
        def model_dump(self, **_: Any) -> Any:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        dumps({"a": Broken()})


def test_an_interrupt_is_no_error_of_the_objects() -> None:
    class Key:
        def __repr__(self) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dumps({Key(): 1})


def test_a_dict_or_list_that_changes_while_it_is_written() -> None:
    target: dict[str, Any] = {}
    items: list[Any] = []

    class Meddler:
        def model_dump(self, **_: Any) -> Any:
            target["new"] = 1
            items.clear()
            return 0

    target.update(a=Meddler(), b=2)
    assert dumps(target) == b'{"a":0,"b":2}'
    items.extend([Meddler(), 1, 2])
    assert dumps(items) == b"[0]"


def test_numpy_scalars() -> None:
    np = pytest.importorskip("numpy")
    values = [np.int64(5), np.float64(0.5), np.float32(0.25), np.bool_(True), np.bool_(False), np.str_("x")]
    assert dumps(values) == b'[5,0.5,0.25,true,false,"x"]'
    with pytest.raises(ValueError, match="nan"):
        dumps(np.float32("nan"))
    for array in (np.array([1.0]), np.array(1.0), np.array([1, 2])):
        with pytest.raises(TypeError, match="ndarray is not JSON"):
            dumps(array)


def test_pydantic_models() -> None:
    pydantic = pytest.importorskip("pydantic")

    class Message(pydantic.BaseModel):  # type: ignore[name-defined,misc]
        role: str
        images: Any = None

    assert dumps([Message(role="user")]) == b'[{"role":"user"}]'
