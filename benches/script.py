"""What the replay server says. Pure functions of the model's name, for the server and for the check of answers.

Models: `burst-1000` sends 1,000 lines as fast as the socket takes them, `paced-40-20` 40 lines at 20 a second,
`short-12` is meant for short requests. The lines look like a real Ollama's: one HTTP chunk per line, 19 tokens of 20
plain ASCII.
"""

from __future__ import annotations

import functools
import json
from typing import Any

TOKENS = (
    " the", " role", " of", " a", " product", " manager", " is", " to", " write", " down", ",", " what", " users",
    " need", ".", "\n", " Each", " requirement", " gets", " a", " number", " and", " an", " owner", ";", " then",
    " the", ' "', "plan", '"', " follows", ":", " caf\u00e9", " 1", ".", " Design", "\n\n", "- ", "tasks",
    " \u4f60\u597d",
)  # fmt: skip
PROMPT_TOKENS = 26


def shape(model: str) -> tuple[int, float]:
    """The number of content lines of `model`, and its lines per second (0.0: no pause)."""
    kind, lines, *rate = model.split("-")
    return int(lines), float(rate[0]) if kind == "paced" else 0.0


@functools.cache
def answer(model: str) -> str:
    """The whole text that a client must come to."""
    return "".join(tokens(shape(model)[0]))


def tokens(count: int) -> list[str]:
    return [TOKENS[number % len(TOKENS)] for number in range(count)]


@functools.cache
def chunks(model: str) -> list[bytes]:
    """The streamed reply's HTTP chunks, the last one with the terminator."""
    count, _ = shape(model)
    rendered = [chunk(line(model, number, token)) for number, token in enumerate(tokens(count))]
    rendered.append(chunk(last(model, count, content="")) + b"0\r\n\r\n")
    return rendered


@functools.cache
def whole(model: str) -> bytes:
    """The body of the reply that is not streamed."""
    return last(model, shape(model)[0], content=answer(model))


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(body), body)


def line(model: str, number: int, token: str) -> bytes:
    return dump({**head(model, number), "message": {"role": "assistant", "content": token}, "done": False}) + b"\n"


def last(model: str, count: int, content: str) -> bytes:
    counters = {
        "total_duration": 4883583458,
        "load_duration": 1334875,
        "prompt_eval_count": PROMPT_TOKENS,
        "prompt_eval_duration": 342546000,
        "eval_count": count,
        "eval_duration": 4535599000,
    }
    message = {"role": "assistant", "content": content}
    return dump({**head(model, count), "message": message, "done": True, "done_reason": "stop", **counters}) + b"\n"


def head(model: str, number: int) -> dict[str, Any]:
    return {"model": model, "created_at": f"2026-08-05T10:{number // 60 % 60:02}:{number % 60:02}.{number:09}Z"}


def dump(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
