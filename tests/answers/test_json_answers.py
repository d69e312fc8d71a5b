"""The JSON in answers: every wrong shape at every place, and what must never be taken for a value."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from metagpt_ollama_rs import json_answers
from metagpt_ollama_rs.json_answers import recover_json

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
from benches.wrong_shapes import PLACES, SHAPES, cases  # noqa: E402

CASES = list(cases())


def recover(case):
    return recover_json(case.text, PLACES[case.place].schema, cut=SHAPES[case.shape].cut)


def is_part(part, whole):
    """Whether `part` is `whole` without what comes last in it: elements, or the end of the last text."""
    if isinstance(whole, list):
        return isinstance(part, list) and 0 < len(part) < len(whole) and part == whole[: len(part)]
    if part.keys() != whole.keys():
        return False
    *before, last = whole
    return all(part[key] == whole[key] for key in before) and whole[last].startswith(part[last])


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.shape}-{case.place}")
def test_a_wrong_shape(case):
    shape = SHAPES[case.shape]
    recovered = recover(case)
    if shape.recovery == "none":
        assert recovered is None
        return
    assert recovered is not None
    if shape.recovery == "exact":
        assert recovered.value == case.value
        assert "cut" not in recovered.repairs
    else:
        assert is_part(recovered.value, case.value)
        assert "cut" in recovered.repairs
    assert recovered.repairs


def test_the_corpus_is_large_and_used():
    assert len(SHAPES) >= 45
    assert {case.shape for case in CASES} == set(SHAPES)


def test_the_words_of_repairs_are_documented():
    words = {word for case in CASES if (recovered := recover(case)) is not None for word in recovered.repairs}
    assert len(words) > 20
    assert [word for word in sorted(words) if f"``{word}``" not in json_answers.__doc__] == []


@pytest.mark.parametrize(
    ("where", "value"), [(where, value) for where, place in PLACES.items() for value in place.values]
)
@pytest.mark.parametrize("indent", [None, 2])
def test_what_is_right_is_left_alone(where, value, indent):
    text = json.dumps(value, indent=indent, ensure_ascii=indent is None)
    assert recover_json(text, PLACES[where].schema) == (value, ())
    assert recover_json(f"\n{text}\n", PLACES[where].schema, cut=True) == (value, ())
