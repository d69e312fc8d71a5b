"""docs/wire.md: its examples are what the decoder reads."""

from __future__ import annotations

import json
import re
from pathlib import Path

from metagpt_ollama_rs import StreamDecoder
from metagpt_ollama_rs._core import decode, get_choice

PAGE = (Path(__file__).parents[2] / "docs" / "wire.md").read_text(encoding="utf-8")


def section(number: int) -> str:
    found = re.search(rf"^## {number}\. .*?(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, number
    return found[0]


def examples(text: str) -> list[str]:
    return re.findall(r"^```json\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def deltas(text: str, framing: str = "ndjson"):
    decoder = StreamDecoder(framing=framing)
    return [*decoder.feed(text.encode()), *decoder.finish()]


def test_every_example_is_json():
    lines = [line for example in examples(PAGE) for line in example.splitlines()]
    assert len(lines) > 10
    for line in lines:
        json.loads(line)


def test_lines_of_a_chat_and_of_a_generation():
    (chat,) = examples(section(4))
    first, second, third = deltas(chat)
    assert (first.content, second.thinking) == ("Hi", "Hm")
    assert [call["function"]["arguments"] for call in third.tool_calls] == [{"a": 1}]
    answer, picture = examples(section(5))
    assert [delta.content for delta in deltas(answer)] == ["The", ""]
    assert deltas(answer)[-1].done
    assert deltas(picture)[-1].done


def test_the_events_of_openai_s_endpoints():
    events = re.search(r"^```text\n(.*?)^```", section(15), re.MULTILINE | re.DOTALL)[1]
    found = deltas(events, "sse")
    assert found[0].content == "Hi"
    assert found[-1].done


def test_an_error_in_a_stream_and_one_inside_an_error():
    for number, words in ((12, "unexpected EOF"), (10, "exceeds the available context size")):
        ((line,),) = (examples(section(number)),)
        (delta,) = deltas(line)
        assert words in delta.error
        assert "{" not in delta.error


def test_the_last_line_of_a_chat_is_its_answer():
    (chat,) = examples(section(4))
    assert get_choice(decode(chat.splitlines()[0].encode())) == "Hi"


def test_the_counters_are_read():
    (example,) = examples(section(6))
    names = [*json.loads(example), "prompt_eval_cached_count"]
    assert "`prompt_eval_cached_count`" in section(6)
    (delta,) = deltas('{"response":"","done":true,' + ",".join(f'"{name}":7' for name in names) + "}\n")
    assert [getattr(delta, name) for name in names] == [7] * len(names)
