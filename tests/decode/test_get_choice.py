"""`get_choice` and its twin for `/api/generate` against the oracle."""

from __future__ import annotations

from collections import UserDict
from typing import Any

import oracle
from bodies import texts, values
from hypothesis import given, settings
from hypothesis import strategies as st

from metagpt_ollama_rs import decode, get_choice
from metagpt_ollama_rs._core import get_response_choice

DETERMINISTIC = settings(derandomize=True, deadline=None, database=None, max_examples=200)

messages = st.fixed_dictionaries(
    {}, optional={"role": st.sampled_from(["assistant", "assistant", "user", None, 1]), "content": values}
)
answers = st.fixed_dictionaries(
    {},
    optional={
        "error": values,
        "raw_data": texts | st.text(min_size=190, max_size=210) | values,
        "message": messages | messages | values,
        "response": values,
        "done": st.booleans(),
    },
)


@given(answers)
@DETERMINISTIC
def test_any_answer(answer: dict[str, Any]) -> None:
    for ours, theirs in ((get_choice, oracle.get_choice), (get_response_choice, oracle.get_response_choice)):
        try:
            expected = theirs(answer)
        except AttributeError:
            expected = str(answer["message"])
        if expected is None:
            expected = ""
        assert oracle.same(ours(answer), expected)


@given(messages | values)
@DETERMINISTIC
def test_other_dicts(value: Any) -> None:
    if isinstance(value, dict) and not {"error", "message", "response"} & set(value):
        assert get_choice(value) == get_response_choice(value) == str(value)


def test_an_error_shows_200_characters_of_the_body() -> None:
    body = ("网" * 300).encode()
    assert get_choice(decode(body)) == (
        "[Ollama Error] JSON 解析失败: Expecting value: line 1 column 1 (char 0) | Raw: " + "网" * 200
    )
    assert get_choice({"error": "model 'x' not found"}) == "[Ollama Error] model 'x' not found | Raw: "
    assert get_response_choice({"error": None, "response": "x"}) == "[Ollama Error] None | Raw: "


def test_other_mappings_are_read_like_dicts() -> None:
    message = UserDict(role="assistant", content="hi")
    assert get_choice(UserDict(message=message)) == "hi"
    assert get_choice(UserDict(error="boom")) == "[Ollama Error] boom | Raw: "


def test_the_guides_whole_path() -> None:
    body = (
        b'{"model":"m","message":{"role":"assistant","content":"Hel"},"done":false}\n'
        b'{"model":"m","message":{"role":"assistant","content":"lo"},"done":true}\n'
    )
    assert get_choice(decode(body)) == "lo"
    assert get_response_choice(decode(b'{"response":"all","done":true}')) == "all"
