"""An answer that goes in circles is stopped where that is asked for; one that is only monotonous is not."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterable
from typing import Any

import pytest

from metagpt_ollama_rs import AsyncClient, Client, _core, errors, stats
from metagpt_ollama_rs.testing import Reply, ScriptedServer, faults, lines

MESSAGES = [{"role": "user", "content": "Plan a game of snake."}]
HEADING = "## Required Python packages\n\n"


def rows(pattern: str, count: int, head: str = "") -> str:
    return head + "".join(pattern.format(n=n, m=n * n, k=n % 7) for n in range(count))


# Monotonous and meant so: what people ask models for, and somewhat longer than that.
MONOTONOUS = {
    "a Markdown table of 500 rows": rows("| {n} | item {n} | {m} |\n", 500, "| id | name | price |\n|---|---|---|\n"),
    "a table whose 500 rows are the same": "| Alice | engineer | Berlin |\n" * 500,
    "a table of empty cells": "|   |   |   |\n" * 1000,
    "a multiplication table": "".join(f"{a} x {b} = {a * b}\n" for a in range(1, 40) for b in range(1, 40)),
    "a count to 5000": rows("{n}\n", 5000),
    "a numbered list of the same words": rows("{n}. Write a test\n", 1000),
    "a list of 300 alike tasks": "- [ ] Write a test\n" * 300,
    "ASCII art of 200 columns": "".join(" " * (99 - n) + "*" * (2 * n + 1) + "\n" for n in range(99)),
    "an empty picture of 200 columns": (" " * 199 + "\n") * 100,
    "a full picture of 80 columns": ("#" * 80 + "\n") * 200,
    "a maze": ("+--" * 26 + "+\n" + "|  " * 26 + "|\n") * 60,
    "a ruler of 5000 dashes": "-" * 5000,
    "a ruler of 10000 equals signs": "=" * 10_000,
    "2000 zeros of JSON": json.dumps([0] * 2000),
    "2000 zeros of JSON, indented": json.dumps([0] * 2000, indent=8),
    "1000 nulls of JSON": json.dumps([None] * 1000),
    "a board of falses": json.dumps([[False] * 20] * 40),
    "400 objects of JSON": json.dumps([{"id": n, "name": "", "done": False} for n in range(400)], indent=2),
    "200 objects that are the same": json.dumps([{"name": "", "done": False}] * 200, indent=2),
    "base64 of zeros": base64.b64encode(bytes(9000)).decode(),
    "a hex dump of zeros": "".join(f"{n * 16:08x}  {'00 ' * 16} |{'.' * 16}|\n" for n in range(500)),
    "the bytes of a bitmap": "0xff, " * 2500,
    "CSV with repeated rows": "2026-01-01,Berlin,0.0,ok\n" * 400,
    "SVG path": "M0 0 " + rows("L{n} {m} ", 2000) + "Z",
    "an SVG grid": rows('<rect x="{n}" y="0" width="9" height="9" fill="none"/>\n', 400),
    "Python with many alike lines": "def f(x):\n" + "    x += 1\n" * 700 + "    return x\n",
    "assertions": rows("    assert f({n}) == {m}\n", 500),
    "an unrolled loop of C": "    *to++ = *from++;\n" * 400,
    "assembly": "    nop\n" * 700,
    "a switch": rows("        case {n}: return {k};\n", 600, "switch (n) {\n") + "}\n",
    "closing brackets": "[" * 5000 + "]" * 5000,
    "a deep object": '{"a": ' * 2000 + "1" + "}" * 2000,
    "HTML table cells": "<td></td>" * 800,
    "non-breaking spaces": "&nbsp;" * 1000,
    "blank lines": "The end.\n" + "\n" * 2000,
    "a poem with a refrain": rows("Verse {n}\n" + "Row, row, row your boat\n" * 4, 40),
    "what was asked to be said 100 times": "I will not talk in class. I promise, and I mean it this time.\n" * 100,
    "what was asked to be said 500 times": "I will not talk in class.\n" * 500,
    "laughter": "ha" * 5000,
    "a long scream": "A" + "a" * 8000 + "h!",
    "pi of zeros": "0." + "0" * 10_000 + "1",
    "emoji": "\U0001f600" * 2000,
    "Chinese exercise": "\u597d\u597d\u5b66\u4e60\uff0c\u5929\u5929\u5411\u4e0a\u3002\n" * 250,
    "lorem ipsum": "Lorem ipsum dolor sit amet, consectetur adipiscing elit. " * 150,
    "a log": rows("2026-01-01T00:00:00Z INFO worker-{k} heartbeat\n", 500),
    "a drum pattern": "x---x---x---x---|" * 300,
}  # fmt: skip

# Before it, the block, and how often it comes at the latest when the answer is stopped.
CIRCLES = {
    "a heading": ("# Plan\n\n", HEADING, 1070),
    "a short heading": ("", "## Goals\n", 1070),
    "a Chinese heading": ("\u597d\u7684\n", "## \u76ee\u6807\n", 1070),
    "a sentence": ("Well, ", "I am sorry, but I cannot help with that. ", 1000),
    "a word": ("", "the ", 3500),
    "a paragraph": ("One.\n", "It depends on what you mean by that, of course.\n" * 9 + "But then:\n", 100),
    "a whole answer": ("", rows("{n}. Step {m} of the plan is to think about it.\n", 70), 20),
    "line ends": ('{"a":', "\n", 9000),
    "white space": ('{"a": 1', "\n    ", 4000),
    "tabs": ("", "\t", 9000),
    "exclamation marks": ("Hello", "!", 30_000),
    "zeros": ("pi is 3.", "0", 30_000),
    "one letter": ("", "G", 30_000),
    "emoji": ("Hi ", "\U0001f600", 9000),
    "a list item": ("To do:\n", "- [ ] Write a test\n", 1000),
    "code": ("```python\n", "    return None\n\n\ndef f():\n", 1000),
}


def pieces(text: str, size: int = 7) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def endless(text: Iterable[str], path: str, *, thinking: bool = False) -> Reply:
    """What a model that does not end says, at once; then the server waits for the client to leave."""
    if path == "/api/generate":
        whole = lines.generate_lines(text)[:-1]
    else:
        whole = lines.chat_lines("" if thinking else text, **({"thinking": text} if thinking else {}))[:-1]
    return faults.without_terminator(Reply.ndjson(whole).at_once(), end="hang")


def check(error: errors.OllamaError, before: str, block: str, *, thinking: bool = False) -> None:
    assert type(error) is errors.IncompleteError
    text, other = error.partial, error.partial_thinking
    if thinking:
        text, other = other, text
    assert other == ""
    assert (before + block * 2).startswith(text)
    assert before + block in text
    assert ("its thinking" if thinking else "its answer") in error.message
    assert "repeat_penalty" in error.hint
    first = block.split("\n")[0].strip()
    if first:
        assert first[:20] in error.message


WAYS = ["async items", "async whole", "async text", "items", "whole"]


def ask(way: str, url: str, path: str, *, guard: bool = True) -> str:
    """The answer's text."""
    fields: Any = {"stream": way.endswith("items"), "repetition_guard": guard}

    def text(reply: Any) -> str:
        return str(reply.response if path == "/api/generate" else reply.message.content)

    async def main() -> str:
        async with AsyncClient(url) as client:
            if way == "async text":
                heard: list[str] = []
                payload = {"model": "m", "messages": MESSAGES}
                await client.stream_text(path, payload, heard.append, repetition_guard=guard)
                return "".join(heard)
            asked: Any = (
                client.generate("m", "hi", **fields)
                if path == "/api/generate"
                else client.chat("m", MESSAGES, **fields)
            )
            reply = await asked
            return "".join([text(part) async for part in reply]) if way == "async items" else text(reply)

    if way.startswith("async"):
        return asyncio.run(main())
    with Client(url) as client:
        reply: Any = (
            client.generate("m", "hi", **fields) if path == "/api/generate" else client.chat("m", MESSAGES, **fields)
        )
        return "".join(map(text, reply)) if way == "items" else text(reply)


def reply_of(way: str, path: str, text: list[str]) -> Reply:
    make = Reply.generate if path == "/api/generate" else Reply.chat
    return make("".join(text), stream=False) if way.endswith("whole") else make(text).at_once()


@pytest.mark.parametrize("name", MONOTONOUS)
def test_what_is_monotonous_is_an_answer(name: str, ollama_server: ScriptedServer) -> None:
    text = MONOTONOUS[name]
    ollama_server.queue(Reply.chat(pieces(text)).at_once(), Reply.chat(text, stream=False))
    assert ask("async text", ollama_server.url, "/api/chat") == text
    assert ask("whole", ollama_server.url, "/api/chat") == text


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
def test_each_way_of_asking(way: str, path: str, ollama_server: ScriptedServer) -> None:
    text = "# Plan\n\n" + HEADING * 1070
    ollama_server.queue(*[reply_of(way, path, pieces(text)) for _ in range(2)])
    with pytest.raises(errors.IncompleteError) as caught:
        ask(way, ollama_server.url, path)
    check(caught.value, "# Plan\n\n", HEADING)
    assert caught.value.status == 200
    assert ask(way, ollama_server.url, path, guard=False) == text


@pytest.mark.parametrize("name", CIRCLES)
def test_a_stream_in_circles_is_stopped_on_the_server_too(name: str, ollama_server: ScriptedServer) -> None:
    before, block, often = CIRCLES[name]
    ollama_server.queue(endless(pieces(before + block * often, 12), "/api/chat"))
    with pytest.raises(errors.IncompleteError) as caught:
        ask("async items", ollama_server.url, "/api/chat")
    ollama_server.wait_for_hangup()
    check(caught.value, before, block)


@pytest.mark.parametrize("name", CIRCLES)
def test_a_whole_answer_in_circles(name: str, ollama_server: ScriptedServer) -> None:
    before, block, often = CIRCLES[name]
    ollama_server.queue(Reply.chat(before + block * often + block[: len(block) // 2], stream=False))
    with pytest.raises(errors.IncompleteError) as caught:
        ask("whole", ollama_server.url, "/api/chat")
    check(caught.value, before, block)


@pytest.mark.parametrize("way", ["async items", "async text", "items"])
def test_an_endless_stream_ends(way: str, ollama_server: ScriptedServer) -> None:
    ollama_server.queue(endless(pieces(HEADING * 5000), "/api/chat"))
    with pytest.raises(errors.IncompleteError):
        ask(way, ollama_server.url, "/api/chat")
    ollama_server.wait_for_hangup()


@pytest.mark.parametrize("way", WAYS)
def test_thinking_in_circles(way: str, ollama_server: ScriptedServer) -> None:
    text = "Let me see. " + "Wait, let me check that again.\n" * 2000
    if way.endswith("whole"):
        ollama_server.queue(Reply.chat("", thinking=text, stream=False))
    else:
        ollama_server.queue(endless(pieces(text, 20), "/api/chat", thinking=True))
    with pytest.raises(errors.IncompleteError) as caught:
        ask(way, ollama_server.url, "/api/chat")
    check(caught.value, "Let me see. ", "Wait, let me check that again.\n", thinking=True)


def test_what_came_before_is_delivered(ollama_server: ScriptedServer) -> None:
    ollama_server.queue(endless(pieces("# Plan\n\n" + HEADING * 3000), "/api/chat"))
    heard: list[str] = []

    async def main() -> None:
        async with AsyncClient(ollama_server.url) as client:
            async for part in await client.chat("m", MESSAGES, stream=True, repetition_guard=True):
                heard.append(part.message.content or "")

    with pytest.raises(errors.IncompleteError):
        asyncio.run(main())
    assert ("# Plan\n\n" + HEADING * 3000).startswith("".join(heard))
    assert len("".join(heard)) > 500 * len(HEADING)


def test_lines_that_are_no_content_lines(ollama_server: ScriptedServer) -> None:
    """Content lines and others in turn, as a model sends them that is asked for the probabilities of its tokens."""
    sent = [json.loads(line) for line in lines.chat_lines(pieces(HEADING * 1070))]
    for record in sent[::3]:
        record["logprobs"] = []
    ollama_server.queue(Reply.ndjson(sent).at_once())
    with pytest.raises(errors.IncompleteError) as caught:
        ask("async text", ollama_server.url, "/api/chat")
    check(caught.value, "", HEADING)


def test_an_answer_that_finds_its_way_out_at_its_end(ollama_server: ScriptedServer) -> None:
    text = HEADING * 400 + "That is all."
    ollama_server.queue(Reply.chat(pieces(text)).at_once(), Reply.chat(text, stream=False))
    assert ask("async text", ollama_server.url, "/api/chat") == text
    assert ask("whole", ollama_server.url, "/api/chat") == text


@pytest.mark.parametrize("way", WAYS)
def test_the_record_of_the_call_has_the_error(way: str, ollama_server: ScriptedServer) -> None:
    stats.clear()
    ollama_server.queue(reply_of(way, "/api/chat", pieces(HEADING * 1070)))
    with pytest.raises(errors.IncompleteError):
        ask(way, ollama_server.url, "/api/chat")
    assert [record["error"] for record in stats.records()] == ["incomplete"]


def test_other_faults_are_told_as_they_are(ollama_server: ScriptedServer) -> None:
    """An error line is the server's word, whatever came before it."""
    sent = [*lines.chat_lines(pieces("one\n" * 100))[:-1], lines.error_line("the runner crashed")]
    ollama_server.queue(Reply.ndjson(sent).at_once())
    with pytest.raises(errors.MidStreamError):
        ask("async items", ollama_server.url, "/api/chat")


def test_raw_lines_and_progress_are_not_looked_at(ollama_server: ScriptedServer) -> None:
    sent = lines.chat_lines(pieces(HEADING * 1070))
    ollama_server.queue(Reply.ndjson(sent).at_once())

    async def main() -> int:
        async with AsyncClient(ollama_server.url) as client:
            found = client.stream_lines("/api/chat", {"model": "m", "messages": MESSAGES})
            return len([line async for line in found])

    assert asyncio.run(main()) == len(sent)


@pytest.mark.parametrize("thinking", [False, True])
def test_the_check_of_a_text_at_hand(thinking: bool) -> None:
    _core.refuse_repetition("half a pair: \ud83d", "short", "m")
    circles = "# Plan\n" + HEADING * 2000
    with pytest.raises(errors.IncompleteError) as caught:
        _core.refuse_repetition(*(("", circles) if thinking else (circles, "")), "m")
    assert caught.value.model == "m"
    check(caught.value, "# Plan\n", HEADING, thinking=thinking)
