"""What the replay server says, byte for byte. Pure functions of the model's name, for the server and for the checks.

| model | answer |
|---|---|
| `burst-1000` | 1,000 lines as fast as the socket takes them |
| `paced-40-20` | 40 lines at 20 a second; each text is a stamp (see `STAMP`) with the time of sending |
| `short-12` | 12 tokens in one reply, for short requests |
| `embed-256-768` | 256 vectors of 768 numbers |

The lines look like a real Ollama's: one HTTP chunk per line, 19 tokens of 20 plain ASCII.
"""

from __future__ import annotations

import functools
import json
import re
import struct
from collections.abc import Iterator
from typing import Any

STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
WHOLE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: %d\r\n\r\n"
TOKENS = (
    " the", " role", " of", " a", " product", " manager", " is", " to", " write", " down", ",", " what", " users",
    " need", ".", "\n", " Each", " requirement", " gets", " a", " number", " and", " an", " owner", ";", " then",
    " the", ' "', "plan", '"', " follows", ":", " caf\u00e9", " 1", ".", " Design", "\n\n", "- ", "tasks",
    " \u4f60\u597d",
)  # fmt: skip
PROMPT_TOKENS = 26
# Longer answers repeat a block of this many lines, which saves memory in the server. The first line of each block is
# the block's number, because otherwise the guard against repetition would stop the answer.
BLOCK = 1000
# The number of the line and nanoseconds of the monotonic clock, which all processes share.
STAMP = re.compile(r"(\d{6}):(\d{19}) ")
_UNSET = b"0" * 19


def shape(model: str) -> tuple[str, list[int]]:
    """The kind of `model` and its numbers."""
    kind, *numbers = model.split("-")
    return kind, [int(number) for number in numbers]


def tokens(count: int) -> list[str]:
    return [token(number) for number in range(count)]


def token(number: int) -> str:
    block, place = divmod(number, BLOCK)
    return TOKENS[place % len(TOKENS)] if place else f" {block}"


@functools.cache
def answer(model: str) -> str:
    """The whole text that a client must come to, of a model that isn't paced."""
    return "".join(tokens(shape(model)[1][0]))


def blocks(model: str) -> Iterator[bytes]:
    """The streamed reply of a burst, head and terminator included, in pieces to send one after the other."""
    count = shape(model)[1][0]
    if count <= BLOCK:
        yield burst(model)
        return
    if count % BLOCK:
        raise ValueError(f"{count} lines are not a multiple of {BLOCK}")
    yield STREAM_HEAD
    rest = block(model, BLOCK)[len(chunk(line(model, 0, token(0)))) :]
    for number in range(0, count, BLOCK):
        yield chunk(line(model, 0, token(number)))
        yield rest
    yield end(model, count)


@functools.cache
def burst(model: str) -> bytes:
    count = shape(model)[1][0]
    return STREAM_HEAD + block(model, count) + end(model, count)


@functools.cache
def block(model: str, count: int) -> bytes:
    return b"".join(chunk(line(model, number, token)) for number, token in enumerate(tokens(count)))


def end(model: str, count: int) -> bytes:
    return chunk(last(model, count, content="")) + b"0\r\n\r\n"


@functools.cache
def paced(model: str) -> list[tuple[bytes, bytes]]:
    """The chunks of a paced reply, each cut where the nineteen digits of the time go."""
    cut = []
    for number in range(shape(model)[1][0]):
        before, _, after = chunk(line(model, number, f"{number:06}:{_UNSET.decode()} ")).partition(_UNSET)
        cut.append((before, after))
    return cut


@functools.cache
def whole(model: str) -> bytes:
    """The reply that is not streamed, with its head."""
    kind, numbers = shape(model)
    body = vectors(model) if kind == "embed" else last(model, numbers[0], content=answer(model))
    return WHOLE_HEAD % len(body) + body


@functools.cache
def length(model: str, streamed: bool) -> int:
    """How many bytes a reply has."""
    if not streamed:
        return len(whole(model))
    if shape(model)[0] == "paced":
        lines = sum(len(before) + len(_UNSET) + len(after) for before, after in paced(model))
        return len(STREAM_HEAD) + lines + len(end(model, shape(model)[1][0]))
    return sum(map(len, blocks(model)))


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(body), body)


def line(model: str, number: int, token: str) -> bytes:
    return dump({**head(model, number), "message": {"role": "assistant", "content": token}, "done": False}) + b"\n"


def last(model: str, count: int, content: str) -> bytes:
    message = {"role": "assistant", "content": content}
    counters = {
        "total_duration": 4883583458,
        "load_duration": 1334875,
        "prompt_eval_count": PROMPT_TOKENS,
        "prompt_eval_duration": 342546000,
        "eval_count": count,
        "eval_duration": 4535599000,
    }
    return dump({**head(model, count), "message": message, "done": True, "done_reason": "stop", **counters}) + b"\n"


@functools.cache
def vectors(model: str) -> bytes:
    """The body of a reply of `/api/embed`."""
    rows, width = shape(model)[1]
    pool = floats()
    # An odd step, so that the rows differ.
    texts = (",".join(pool[(row * 97 + column) % len(pool)] for column in range(width)) for row in range(rows))
    embeddings = ",".join(f"[{text}]" for text in texts)
    return (
        f'{{"model":"{model}","embeddings":[{embeddings}],"total_duration":14143917,"load_duration":1019500,'
        f'"prompt_eval_count":{rows * 8}}}'
    ).encode()


@functools.cache
def floats() -> list[str]:
    """Numbers between -0.1 and 0.1 as Ollama writes them: the shortest text that is this 32-bit float again."""
    texts = []
    state = 1
    for _ in range(8191):
        state = state * 6364136223846793005 + 1442695040888963407 & (1 << 64) - 1
        value = struct.unpack("f", struct.pack("f", ((state >> 40) / (1 << 24) - 0.5) / 5))[0]
        texts.append(next(text for text in shortest(value) if struct.pack("f", float(text)) == struct.pack("f", value)))
    return texts


def shortest(value: float) -> Iterator[str]:
    return (f"{value:.{digits}g}".replace("e-0", "e-") for digits in range(6, 10))


def head(model: str, number: int) -> dict[str, Any]:
    return {"model": model, "created_at": f"2026-08-05T10:{number // 60 % 60:02}:{number % 60:02}.{number:09}Z"}


def dump(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
