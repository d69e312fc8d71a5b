"""Decoding without a server: a line, the body of a whole stream, and a long answer in one line."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

from benches import script
from benches.cases import Case, Entrant, Figure, Size, Work, equal
from benches.peers import DECODERS, Peer

TITLE = "decoding"
UNIT = "text"
COLUMNS = ("cpu", "ratio")
FIGURES = (Figure("decoding", "CPU per line, body or answer", ("cpu_us",)),)
LINES = 1000
LAST = "our decode"
Read = Callable[[bytes], Any]


def with_json() -> Read:
    return lambda line: json.loads(line)["message"]["content"]


def with_orjson() -> Read:
    import orjson

    loads = orjson.loads
    return lambda line: loads(line)["message"]["content"]


def with_msgspec() -> Read:
    import msgspec

    message = msgspec.defstruct("Message", [("role", str), ("content", str)])
    decode = msgspec.json.Decoder(
        msgspec.defstruct("Line", [("model", str), ("created_at", str), ("message", message), ("done", bool)])
    ).decode
    return lambda line: decode(line).message.content


def with_ollama_python() -> Read:
    from ollama import ChatResponse

    # The `ollama` package does this with each line.
    return lambda line: ChatResponse(**json.loads(line)).message.content


def to_dict() -> Read:
    from metagpt_ollama_rs import decode

    return lambda line: decode(line)["message"]["content"]


def to_text() -> Read:
    from metagpt_ollama_rs import decode_text

    return decode_text


def to_delta() -> Read:
    from metagpt_ollama_rs import StreamDecoder

    feed = StreamDecoder().feed
    return lambda line: feed(line)[0].content


def last_with(loads: Callable[[str], Any]) -> Read:
    """The last object that parses, as the "MetaGPT on Ollama" guide looks for it."""

    def read(body: bytes) -> Any:
        found = None
        for line in body.decode("utf-8").strip().split("\n"):
            text = line.strip()
            if text.startswith("data: "):
                text = text[6:]
            if not text or text == "[DONE]":
                continue
            try:
                found = loads(text)
            except ValueError:
                continue
        return found

    return read


def last_with_orjson() -> Read:
    import orjson

    return last_with(orjson.loads)


def last_with_ours() -> Read:
    from metagpt_ollama_rs import decode

    return decode


LINE: dict[str, Callable[[], Read]] = {
    "json": with_json,
    "orjson": with_orjson,
    "msgspec, typed": with_msgspec,
    "ollama-python's model": with_ollama_python,
    "our decode, to dict": to_dict,
    "our decode_text": to_text,
    "our StreamDecoder, to text": to_delta,
}
BODY: dict[str, Callable[[], Read]] = {
    "plain Python": lambda: last_with(json.loads),
    "orjson, every line": last_with_orjson,
    LAST: last_with_ours,
}


def cases(size: Size) -> list[Case]:
    lines, bodies, answers = {Size.FULL: (50, 20, 200), Size.QUICK: (10, 5, 50), Size.SMOKE: (1, 1, 1)}[size]
    plan = [
        ("a line", "line", LINE, "json", lines),
        ("a body of 2,001 lines, its last object", "body", BODY, "plain Python", bodies),
        ("an answer of 100 KB in one line", "answer", LINE, "json", answers),
    ]
    return [
        Case(
            name=name,
            parameters={"what": what, "repeats": repeats},
            entrants=tuple(
                # Work of microseconds is repeated, so that a sample takes much longer than the clock's resolution.
                Entrant(how, DECODERS, {"how": how, **({"repeats": 50 * repeats} if how == LAST else {})})
                for how in table
            ),
            baseline=baseline,
        )
        for name, what, table, baseline, repeats in plan
    ]


@functools.cache
def lines() -> tuple[list[bytes], list[Any]]:
    texts = script.tokens(LINES)
    return [script.line("smollm2:135m", number, text) for number, text in enumerate(texts)], texts


@functools.cache
def body() -> tuple[list[bytes], list[Any]]:
    sent = [script.line("smollm2:135m", number, text) for number, text in enumerate(script.tokens(2000))]
    end = script.last("smollm2:135m", 2000, content="")
    return [b"".join(sent) + end], [json.loads(end)]


@functools.cache
def answer() -> tuple[list[bytes], list[Any]]:
    # With characters outside of the basic plane, for which Python stores four bytes per character.
    text = ("".join(script.TOKENS) + "\U0001f40d ") * 600
    text = text.encode()[:100_000].decode(errors="ignore")
    return [script.line("smollm2:135m", 0, text)], [text]


@functools.cache
def reader(what: str, how: str) -> Read:
    return (BODY if what == "body" else LINE)[how]()


SUBJECTS = {"line": lines, "body": body, "answer": answer}


async def prepare(peer: Peer, *, what: str, how: str, **_: Any) -> None:
    reader(what, how)(SUBJECTS[what]()[0][0])


async def run(peer: Peer, *, what: str, how: str, repeats: int) -> Work:
    read = reader(what, how)
    texts, expected = SUBJECTS[what]()
    results: list[Any] = []
    for _ in range(repeats):
        results = [read(text) for text in texts]
    return Work(units=repeats * len(texts), verify=lambda: equal([results], expected))
