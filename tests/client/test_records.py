"""Pieces of a stream: made without a dict by the core, and not to be told from records made of one."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from metagpt_ollama_rs import ChatResponse, Client, GenerateResponse, responses
from metagpt_ollama_rs.testing import Reply, ScriptedServer, lines

TEXTS = ["Hello", " \u4e2d\u6587 \U0001f600", '"\\\n', ""]


def chat_pieces(server: ScriptedServer, texts: list[str]) -> tuple[list[ChatResponse], list[dict[str, Any]]]:
    sent = lines.chat_lines(texts, model="smollm2:135m")
    server.queue(Reply.ndjson(sent))
    parts = list(Client(server.url).chat("m", [{"role": "user", "content": "?"}], stream=True))
    return parts, [json.loads(line) for line in sent]


def generate_pieces(server: ScriptedServer, texts: list[str]) -> tuple[list[GenerateResponse], list[dict[str, Any]]]:
    sent = lines.generate_lines(texts, model="smollm2:135m")
    server.queue(Reply.ndjson(sent))
    return list(Client(server.url).generate("m", "?", stream=True)), [json.loads(line) for line in sent]


def item_or_error(part: Any, name: str) -> Any:
    try:
        return part[name]
    except KeyError as error:
        return repr(error)


both = pytest.mark.parametrize("pieces", [chat_pieces, generate_pieces])

LOOKS: dict[str, Callable[[Any], Any]] = {
    "type": type,
    "repr": repr,
    "iteration": list,
    "as a dict": dict,
    "fields": lambda part: (part.model_fields_set, part.model_extra),
    "get": lambda part: [part.get(name, "?") for name in ("model", "message", "response", "done", "eval_count")],
    "in": lambda part: [name in part for name in ("model", "message", "response", "done", "eval_count", "content")],
    "dump": lambda part: json.dumps(part.model_dump()),
    "dump as JSON": lambda part: part.model_dump_json(),
    "dumps of other kinds": lambda part: [
        part.model_dump(mode="json"),
        part.model_dump(exclude_none=True),
        part.model_dump(include={"done"}),
        part.model_dump_json(indent=1),
        part.model_dump_json(ensure_ascii=True),
        part.model_dump_json(exclude={"done"}),
    ],
    "items": lambda part: [part["done"], *(item_or_error(part, name) for name in ("eval_count", "logprobs", "keys"))],
    "dump of what is set": lambda part: part.model_dump(exclude_unset=True),
    "attributes": lambda part: (part.model, part.created_at, part.done, part.done_reason, part.eval_count),
    "text": lambda part: (
        part.message.content if "message" in part else part.response,
        part.message.role if "message" in part else None,
    ),
    "nested": lambda part: part.message.model_dump() if "message" in part else part["response"],
    "nested look": lambda part: [look(part.message) for look in (repr, list, dict)] if "message" in part else None,
    "properties": lambda part: (part.tokens_per_second, part.load_seconds, part.prompt_tokens),
    "unknown": lambda part: (hasattr(part, "nothing"), hasattr(part, "_nothing")),
    "equality": lambda part: [part == other for other in (part, type(part)(part.model_dump()), {}, part.model_dump())],
    "pickle": lambda part: pickle.loads(pickle.dumps(part)),
    "copy": copy.copy,
    "deep copy": copy.deepcopy,
}


@both
@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS.keys())
def test_a_piece_is_as_a_record_made_from_the_line(
    ollama_server: ScriptedServer, pieces: Callable[..., Any], look: Callable[[Any], Any]
) -> None:
    parts, objects = pieces(ollama_server, TEXTS)
    assert len(parts) == len(objects) >= len(TEXTS)
    for part, data in zip(parts, objects):
        made = type(part)(data)
        assert look(part) == look(made)
        # Once more, after whatever the first look left behind.
        assert look(part) == look(made)
        assert part == made
        assert made == part


@both
def test_every_look_after_every_other(ollama_server: ScriptedServer, pieces: Callable[..., Any]) -> None:
    for first in LOOKS.values():
        parts, objects = pieces(ollama_server, ["Hello", "x"])
        for look in LOOKS.values():
            first(parts[0])
            assert look(parts[0]) == look(type(parts[0])(objects[0]))


CHANGES: dict[str, Callable[[Any], Any]] = {
    "attribute": lambda part: setattr(part.message, "content", "new"),
    "item": lambda part: part["message"].__setitem__("content", "new"),
    "attribute of item": lambda part: setattr(part["message"], "content", "new"),
    "item of attribute": lambda part: part.message.__setitem__("content", "new"),
    "record in pairs": lambda part: dict(part)["message"].__setitem__("content", "new"),
    "whole": lambda part: setattr(part, "message", {"role": "assistant", "content": "new"}),
    "whole as item": lambda part: part.__setitem__("message", {"role": "assistant", "content": "new"}),
}
WHOLE = (CHANGES["whole"], CHANGES["whole as item"])


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("held", [False, True])
def test_a_change_is_seen_everywhere(ollama_server: ScriptedServer, change: Callable[[Any], Any], held: bool) -> None:
    parts, _ = chat_pieces(ollama_server, ["old", "x"])
    part = parts[0]
    message = part.message if held else None
    change(part)
    assert part.message.content == part["message"]["content"] == part.model_dump()["message"]["content"] == "new"
    assert part.message.role == "assistant"
    if message is not None:
        # The message that was there is the changed one, or was replaced whole and is as it was.
        wanted = "old" if change in WHOLE else "new"
        assert message.content == message["content"] == wanted


def test_new_fields_and_changed_ones(ollama_server: ScriptedServer) -> None:
    parts, _ = chat_pieces(ollama_server, ["old", "x"])
    part = parts[0]
    part.done = True
    part["mark"] = 1
    part.message.thinking = "hm"
    assert (part.done, part["done"], part.mark, part.model, part.message.content) == (
        True,
        True,
        1,
        "smollm2:135m",
        "old",
    )
    assert list(part.model_dump(exclude_unset=True)) == ["model", "created_at", "done", "message", "mark"]
    assert part.model_dump(exclude_unset=True)["message"] == {"role": "assistant", "content": "old", "thinking": "hm"}


def test_a_piece_goes_back_as_a_message(ollama_server: ScriptedServer) -> None:
    parts, _ = chat_pieces(ollama_server, ["Hello", "x"])
    ollama_server.answer("ok")
    Client(ollama_server.url).chat("m", [parts[0].message, {"role": "user", "content": "?"}])
    assert ollama_server.last.json()["messages"][0] == {"role": "assistant", "content": "Hello"}


def test_threads_agree_on_a_record(ollama_server: ScriptedServer) -> None:
    """Threads that make the dict of a record at the same time end with the same dict, so no change is lost."""
    before = sys.getswitchinterval()
    parts, _ = chat_pieces(ollama_server, ["x"] * 400)
    start = threading.Barrier(4)

    def mark(name: str) -> None:
        start.wait()
        for part in parts[:-1]:
            part[name] = name
            part.message[name] = name

    threads = [threading.Thread(target=mark, args=(name,)) for name in "abcd"]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    for part in parts[:-1]:
        assert set("abcd") <= part.model_fields_set
        assert set("abcd") <= part["message"].model_fields_set


def test_pieces_own_nothing_for_ever(ollama_server: ScriptedServer) -> None:
    class Mark:
        pass

    parts, _ = chat_pieces(ollama_server, ["x", "y"])
    mark = Mark()
    seen = weakref.ref(mark)
    part: Any = parts[0]
    part.message.extra = [mark, part]
    del mark, part, parts
    gc.collect()
    assert seen() is None


def test_an_unmade_record_has_no_data() -> None:
    for kind in (responses.Message, responses.ChatResponse, responses.ModelDetails):
        with pytest.raises(AttributeError):
            _ = kind.__new__(kind)._data
    assert responses.Message({}).content is None
    assert responses.ChatResponse({"model": "m"}).model == "m"


CALL = {"function": {"name": "f", "arguments": {"a": 1}}}


def reply_with(server: ScriptedServer, message: dict[str, Any], stream: bool) -> ChatResponse:
    reply = {"model": "m", "message": {"role": "assistant", "content": "", **message}, "done": True}
    server.queue(Reply.ndjson([reply]) if stream else Reply.json(reply))
    client = Client(server.url)
    if stream:
        (part,) = client.chat("m", [{"role": "user", "content": "?"}], stream=True)
        return part
    return client.chat("m", [{"role": "user", "content": "?"}])


LIST_CHANGES: dict[str, Callable[[Any], Any]] = {
    "pop": lambda calls: calls.pop(),
    "append": lambda calls: calls.append({"function": {"name": "new", "arguments": {}}}),
    "append a record": lambda calls: calls.append(responses.ToolCall(function={"name": "new", "arguments": {}})),
    "insert": lambda calls: calls.insert(0, calls[1]),
    "remove": lambda calls: calls.remove(calls[1]),
    "delete": lambda calls: calls.__delitem__(0),
    "slice": lambda calls: calls.__setitem__(slice(0, 2), [{"function": {"name": "new", "arguments": {}}}]),
    "item": lambda calls: calls.__setitem__(1, {"function": {"name": "new", "arguments": {}}}),
    "sort": lambda calls: calls.sort(key=lambda call: -call.function.arguments["a"]),
    "reverse": lambda calls: calls.reverse(),
    "extend": lambda calls: calls.extend(calls),
    "clear": lambda calls: calls.clear(),
    "an argument": lambda calls: calls[0].function.arguments.update(x=1),
    "a name": lambda calls: setattr(calls[0].function, "name", "new"),
    "a name as an item": lambda calls: calls[0]["function"].__setitem__("name", "new"),
}


@pytest.mark.parametrize("change", LIST_CHANGES.values(), ids=LIST_CHANGES.keys())
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("item", [False, True])
def test_a_change_of_a_nested_list_takes_effect(
    ollama_server: ScriptedServer, change: Callable[[Any], Any], stream: bool, item: bool
) -> None:
    calls = [{"function": {"name": f"f{n}", "arguments": {"a": n}}} for n in range(3)]
    expected = [responses.ToolCall(copy.deepcopy(call)) for call in calls]
    change(expected)
    reply = reply_with(ollama_server, {"tool_calls": calls}, stream)
    change(reply["message"]["tool_calls"] if item else reply.message.tool_calls)
    wanted = [call if isinstance(call, dict) else call.model_dump() for call in expected]
    assert [call.model_dump() for call in reply.message.tool_calls or ()] == wanted
    assert all(isinstance(call, responses.ToolCall) for call in reply.message.tool_calls or ())
    assert reply.model_dump()["message"]["tool_calls"] == wanted
    assert json.loads(reply.message.model_dump_json())["tool_calls"] == wanted
    assert pickle.loads(pickle.dumps(reply)) == reply == copy.deepcopy(reply) == ChatResponse(reply.model_dump())
    ollama_server.answer("ok")
    Client(ollama_server.url).chat("m", [reply.message, {"role": "user", "content": "?"}])
    assert ollama_server.last.json()["messages"][0]["tool_calls"] == wanted


def test_a_nested_list_is_one_list(ollama_server: ScriptedServer) -> None:
    message = reply_with(ollama_server, {"tool_calls": [CALL]}, False).message
    assert message.tool_calls is message.tool_calls is message["tool_calls"]
    assert message.tool_calls is not None
    assert message.tool_calls[0] is message.tool_calls[0]
    given = [responses.ToolCall(CALL), CALL]
    message.tool_calls = given
    assert message.tool_calls is given
    assert isinstance(given[1], responses.ToolCall)
    assert message.model_dump()["tool_calls"] == [CALL, CALL]
    assert all(type(call) is dict for call in message.model_dump()["tool_calls"])
    message.tool_calls = None
    assert message.tool_calls is None


def test_lists_of_models_can_be_sorted(ollama_server: ScriptedServer) -> None:
    ollama_server.on("GET", "/api/tags", Reply.json({"models": [{"model": name} for name in "bca"]}))
    reply: Any = Client(ollama_server.url).list()
    reply.models.sort(key=lambda model: model.model)
    assert [model.model for model in reply.models] == ["a", "b", "c"]
    reply.models.append({"model": "d"})
    assert reply.models[-1].model == "d"
    assert reply.model_dump(exclude_unset=True) == {"models": [{"model": name} for name in "abcd"]}


def test_images_can_be_added(ollama_server: ScriptedServer) -> None:
    reply: Any = reply_with(ollama_server, {"images": ["QUJD"]}, False)
    reply.message.images.append("REVG")
    assert reply.message.model_dump()["images"] == ["QUJD", "REVG"]


ARGUMENTS: list[tuple[Any, Any]] = [
    ({"a": 1}, {"a": 1}),
    ('{"a": 1}', {"a": 1}),
    (' {"n": 12345678901234567890123, "t": "\u4e2d"}\n', {"n": 12345678901234567890123, "t": "\u4e2d"}),
    ("{}", {}),
    ("", {}),
    ("  ", {}),
    ("null", {}),
    ("[]", {}),
    (None, {}),
    ([], {}),
    ("not JSON", "not JSON"),
    ('{"a": ', '{"a": '),
    ("[1]", "[1]"),
    ("7", "7"),
    ([1], [1]),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("given", "wanted"), ARGUMENTS, ids=str)
def test_arguments_are_a_dict(ollama_server: ScriptedServer, stream: bool, given: Any, wanted: Any) -> None:
    reply: Any = reply_with(ollama_server, {"tool_calls": [{"function": {"name": "f", "arguments": given}}]}, stream)
    sent = reply.model_dump(exclude_unset=True)["message"]["tool_calls"]
    assert sent == [{"function": {"name": "f", "arguments": wanted}}]
    assert reply.message.tool_calls[0].function.arguments == wanted
    if wanted == {}:
        reply.message.tool_calls[0].function.arguments["x"] = 1
        assert reply.message.tool_calls[0].function.arguments == {"x": 1}
    call = responses.Message({"tool_calls": [{"function": {"name": "f", "arguments": given}}]}).tool_calls
    assert call is not None
    assert call[0].function.arguments == wanted


@pytest.mark.parametrize("stream", [False, True])
def test_missing_arguments_are_a_dict(ollama_server: ScriptedServer, stream: bool) -> None:
    calls: list[Any] = [{"function": {"name": "f"}}, {"function": None}, {}, None, "x"]
    reply: Any = reply_with(ollama_server, {"tool_calls": calls}, stream)
    assert reply.message.tool_calls[0].function.arguments == {}
    assert reply.model_dump(exclude_unset=True)["message"]["tool_calls"][1:] == calls[1:]


def test_arguments_of_other_servers_are_put_together(ollama_server: ScriptedServer) -> None:
    pieces = [{"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}]
    pieces += [{"index": 0, "function": {"arguments": text}} for text in ('{"a"', ": 1}")]
    pieces += [{"index": 1, "function": {"name": "g", "arguments": ""}}]
    chunks = [{"choices": [{"index": 0, "delta": {"tool_calls": [piece]}}]} for piece in pieces]
    events = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    ollama_server.on("POST", "/api/chat", Reply.body((events + "data: [DONE]\n\n").encode(), "text/event-stream"))
    reply = Client(ollama_server.url).chat("m", [{"role": "user", "content": "?"}])
    found = [(call.function.name, call.function.arguments) for call in reply.message.tool_calls or ()]
    assert found == [("f", {"a": 1}), ("g", {})]


def test_parts_of_a_stream_make_a_whole_reply(ollama_server: ScriptedServer) -> None:
    calls = [{"function": {"name": name, "arguments": {"a": 1}}} for name in "fgh"]
    messages: list[dict[str, Any]] = [
        {"role": "assistant", "content": "", "thinking": "Well"},
        {"role": "assistant", "content": "", "thinking": ", hm"},
        {"role": "assistant", "content": "One"},
        {"role": "assistant", "content": " two", "tool_calls": calls[:1]},
        {"role": "assistant", "content": "", "tool_calls": calls[1:]},
    ]
    sent = [{"model": "m", "created_at": str(at), "message": messages[at], "done": False} for at in range(5)]
    last = {**sent[0], "message": {"role": "assistant", "content": ""}, "done": True, "eval_count": 5}
    ollama_server.queue(Reply.ndjson([*sent, last]))
    parts = list(Client(ollama_server.url).chat("m", [{"role": "user", "content": "?"}], stream=True))
    before = copy.deepcopy(parts)
    whole = ChatResponse.of_parts(parts)
    assert parts == before
    assert whole.message.model_dump(exclude_none=True) == {
        "role": "assistant",
        "content": "One two",
        "thinking": "Well, hm",
        "tool_calls": calls,
    }
    assert (whole.done, whole.eval_count, whole.model) == (True, 5, "m")
    ollama_server.answer("ok")
    Client(ollama_server.url).chat("m", [whole.message])
    assert ollama_server.last.json()["messages"][0]["tool_calls"] == calls
    with pytest.raises(ValueError, match="one part at least"):
        ChatResponse.of_parts([])


def test_parts_of_a_generation_make_a_whole_reply(ollama_server: ScriptedServer) -> None:
    parts, objects = generate_pieces(ollama_server, TEXTS)
    whole = GenerateResponse.of_parts(iter(parts))
    assert whole.response == "".join(TEXTS)
    assert whole.model_dump(exclude_unset=True) == {**objects[-1], "response": whole.response}
