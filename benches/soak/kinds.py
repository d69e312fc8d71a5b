"""The kinds of calls: what is called, with which arguments, and what is expected of the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benches.soak.orders import DIGEST, FILE, Order
from metagpt_ollama_rs.testing import lines

PLAIN = ("none", "slow", "close", "redirect", "drop", "400", "404", "429", "500", "503")
WHOLE = (*PLAIN, "split", "cut", "cut-head", "reset", "none", "none")
LINES = (*WHOLE, "malformed", "error-line", "unfinished", "none", "none")
TRANSFER = ("none", "slow", "split", "redirect", "400", "404", "500", "error-line")


def messages(order: Order) -> list[dict[str, str]]:
    return [{"role": "user", "content": order.text}]


def near(vector: Any, text: str) -> bool:
    """Whether a vector is that of a text, but for the rounding to 32 bits."""
    expected = lines.vector(text)
    return len(vector) == len(expected) and all(abs(a - b) < 1e-6 for a, b in zip(vector, expected))


def all_near(vectors: Any, texts: list[str]) -> bool:
    return len(vectors) == len(texts) and all(near(vector, text) for vector, text in zip(vectors, texts))


def with_text(reply: Any, key: str, order: Order) -> bool:
    """Whether a whole answer has the order's text, its model, and the count of a reply that came to its end."""
    text = reply["message"]["content"] if key == "message" else reply[key]
    return bool(text == order.text and reply["model"] == order.model and reply["eval_count"] == order.words + 1)


@dataclass(frozen=True)
class Kind:
    """A method of both clients.

    `arguments` are those of a call; `piece` the text of an item of its stream, if it streams, and `pieces` these texts;
    `is_right` looks at a whole result. `faults` are those that the server may do to it. What `changes` something on a
    server is not sent a second time, also where the server has closed an idle connection at that very moment.
    """

    method: str
    arguments: Callable[[Order], dict[str, Any]]
    is_right: Callable[[Any, Order], bool] | None = None
    piece: Callable[[Any], str] | None = None
    pieces: Callable[[Order], list[str]] = lambda order: [*order.pieces, ""]
    faults: tuple[str, ...] = WHOLE
    stream_faults: tuple[str, ...] = LINES
    has_order: bool = True
    changes: bool = False


def payload(order: Order, **fields: Any) -> dict[str, Any]:
    return {"path": "/api/chat", "payload": {"model": order.model, "messages": messages(order), **fields}}


KINDS = (
    Kind(
        "chat",
        lambda order: {"model": order.model, "messages": messages(order)},
        lambda reply, order: with_text(reply, "message", order),
        lambda part: part.message.content,
        faults=(*WHOLE, "any-malformed"),
        stream_faults=(*LINES, "any-malformed"),
    ),
    Kind(
        "generate",
        lambda order: {"model": order.model, "prompt": order.text},
        lambda reply, order: with_text(reply, "response", order),
        lambda part: part.response,
    ),
    Kind(
        "embed",
        lambda order: {"model": order.model, "input": order.inputs},
        lambda reply, order: all_near(reply.embeddings, order.inputs),
        # One text of a batch is searched for with further requests where the server refuses it.
        faults=tuple(fault for fault in WHOLE if fault not in ("400", "500")),
    ),
    Kind(
        "embed_array",
        lambda order: {"model": order.model, "input": order.inputs},
        lambda vectors, order: all_near([*vectors], order.inputs),
        faults=tuple(fault for fault in WHOLE if fault not in ("400", "500")),
    ),
    Kind(
        "embeddings",
        lambda order: {"model": order.model, "prompt": order.inputs[0]},
        lambda reply, order: near(reply.embedding, order.inputs[0]),
    ),
    Kind("show", lambda order: {"model": order.model}, lambda reply, order: bool(reply.license == order.text)),
    *(
        Kind(
            method,
            lambda order, more=more: {"model": order.model, **more},
            lambda reply, order: bool(reply.status == "success"),
            lambda progress: progress.status,
            lambda order: order.steps,
            faults=tuple(fault for fault in TRANSFER if fault != "error-line"),
            stream_faults=TRANSFER,
            changes=True,
        )
        for method, more in (("pull", {}), ("push", {}), ("create", {"from_": "m"}))
    ),
    Kind(
        "delete",
        lambda order: {"model": order.model},
        lambda reply, order: reply.status == "success",
        faults=PLAIN,
        changes=True,
    ),
    Kind(
        "copy",
        lambda order: {"source": order.model, "destination": "copy"},
        lambda reply, order: reply.status == "success",
        faults=PLAIN,
        changes=True,
    ),
    Kind("create_blob", lambda order: {"path": FILE}, lambda reply, order: bool(reply == DIGEST), has_order=False),
    Kind("list", lambda order: {}, lambda reply, order: reply.models[0].model == "scripted:latest", has_order=False),
    Kind("ps", lambda order: {}, lambda reply, order: list(reply.models) == [], has_order=False),
    Kind("version", lambda order: {}, lambda reply, order: reply[0].isdigit(), has_order=False),
    Kind(
        "request_json",
        lambda order: payload(order, stream=False),
        lambda reply, order: with_text(reply, "message", order),
    ),
    Kind(
        "request_bytes",
        lambda order: payload(order, stream=False),
        lambda reply, order: order.model.encode() in reply[0] and reply[1].startswith("application/json"),
    ),
    Kind(
        "stream_lines",
        payload,
        piece=lambda line: str(lines_text(line)),
        stream_faults=tuple(fault for fault in WHOLE if fault != "any-malformed"),
    ),
    Kind("stream_text", payload, lambda reply, order: with_text(reply, "message", order), faults=LINES),
)


def lines_text(line: bytes) -> str:
    """The text of a line as the server has sent it."""
    import json

    return str(json.loads(line)["message"]["content"])
