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


both = pytest.mark.parametrize("pieces", [chat_pieces, generate_pieces])

LOOKS: dict[str, Callable[[Any], Any]] = {
    "type": type,
    "repr": repr,
    "len": len,
    "iteration": list,
    "keys": lambda part: list(part.keys()),
    "values": lambda part: list(part.values()),
    "items": lambda part: list(part.items()),
    "get": lambda part: [part.get(name, "?") for name in ("model", "message", "response", "done", "eval_count")],
    "in": lambda part: [name in part for name in ("model", "message", "response", "done", "eval_count", "content")],
    "dump": lambda part: json.dumps(part.model_dump()),
    "dump as JSON": lambda part: part.model_dump_json(),
    "attributes": lambda part: (part.model, part.created_at, part.done, part.done_reason, part.eval_count),
    "text": lambda part: (
        part.message.content if "message" in part else part.response,
        part.message.role if "message" in part else None,
    ),
    "nested": lambda part: part.message.model_dump() if "message" in part else part["response"],
    "nested look": lambda part: [look(part.message) for look in (repr, list, len)] if "message" in part else None,
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
    "dict in values": lambda part: dict(part.items())["message"].__setitem__("content", "new"),
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
    assert list(part.keys()) == ["model", "created_at", "message", "done", "mark"]
    assert part.model_dump()["message"] == {"role": "assistant", "content": "old", "thinking": "hm"}


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
        assert set("abcd") <= set(part.keys())
        assert set("abcd") <= set(part["message"].keys())


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
    assert responses.Message().content is None
    assert responses.ChatResponse(model="m").model == "m"
