"""Any value of a place, in any wrong shape: it comes back equal or not at all, never another one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from metagpt_ollama_rs.json_answers import recover_json

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
from benches.wrong_shapes import PLACES, SHAPES  # noqa: E402

# What has a meaning in JSON, in Python, in Markdown or in LaTeX, and ordinary words.
PIECES = [
    *"aB1 _-.,:;'\"{}[]()#/*\\\n\t`$%&=+<>|~!?，：“”中é🐍",
    "\\n",
    "\\t",
    "\\d",
    "//",
    "...",
    "```",
    "\n\n",
    "True",
    " and ",
]
TEXTS = st.one_of(
    st.text("abcdefgh XYZ.,:'-()中文", max_size=14),
    st.sampled_from(["it's", 'say "hi" to', "C:\\dir\\me", "x, y", "http://a.b/c#d", "don't", '{"a": 1}']),
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join),
)
ARGUMENTS = st.dictionaries(
    st.sampled_from(["path", "content", "n", "task_id", "x y"]),
    st.one_of(
        TEXTS,
        st.integers(-5, 5),
        st.booleans(),
        st.none(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.lists(TEXTS, max_size=2),
    ),
    max_size=3,
)
NAMES = PLACES["commands"].schema["items"]["properties"]["command_name"]["enum"]
VALUES = {
    "node": st.fixed_dictionaries(
        {
            "Language": TEXTS,
            "Original Requirements": TEXTS,
            "Product Goals": st.lists(TEXTS, max_size=3),
            "Priority": st.integers(-10, 10**6),
            "Is Finished": st.booleans(),
        }
    ),
    "commands": st.lists(
        st.fixed_dictionaries({"command_name": st.sampled_from(NAMES), "args": ARGUMENTS}), min_size=1, max_size=3
    ),
    "plan": st.lists(
        st.fixed_dictionaries(
            {
                "task_id": TEXTS,
                "dependent_task_ids": st.lists(TEXTS, max_size=2),
                "instruction": TEXTS,
                "task_type": TEXTS,
            }
        ),
        min_size=1,
        max_size=3,
    ),
    "tools": st.lists(st.sampled_from(PLACES["tools"].schema["items"]["enum"]), min_size=1, max_size=3),
    "query": st.fixed_dictionaries({"query": TEXTS}),
}
AROUND = {
    name: shape
    for name, shape in SHAPES.items()
    if name.startswith(("prose", "a fence", "a tag", "thoughts", "an assignment", "a byte"))
    and shape.recovery == "exact"
}
DETERMINISTIC = settings(derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))


def is_json(text):
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("where", PLACES)
@settings(DETERMINISTIC, max_examples=200)
@given(data=st.data())
def test_a_value_in_a_wrong_shape(where, data):
    value = data.draw(VALUES[where])
    name = data.draw(st.sampled_from(list(SHAPES)))
    shape = SHAPES[name]
    assume(shape.suits(value))
    text = shape.write(value)
    # What happens to be JSON says something else, and nobody can know.
    assume(not is_json(text) or json.loads(text) == value or name != "backslashes in texts")
    recovered = recover_json(text, PLACES[where].schema, cut=shape.cut)
    if shape.recovery == "none" and not (is_json(text) and json.loads(text) == value):
        assert recovered is None
    elif shape.recovery == "exact":
        assert recovered is None or recovered.value == value
    elif recovered is not None:
        assert "cut" in recovered.repairs


@pytest.mark.parametrize("where", PLACES)
@settings(DETERMINISTIC, max_examples=100)
@given(data=st.data())
def test_a_value_in_two_wrong_shapes(where, data):
    """Something around it, and something wrong in it."""
    value = data.draw(VALUES[where])
    inner = SHAPES[data.draw(st.sampled_from([name for name in SHAPES if name not in AROUND]))]
    outer = AROUND[data.draw(st.sampled_from(list(AROUND)))]
    assume(inner.suits(value) and inner.recovery == "exact")
    written = inner.write(value)
    assume(not is_json(written) or json.loads(written) == value)
    marker = "THE VALUE ITSELF"
    text = outer.write(marker).replace(json.dumps(marker), written)
    recovered = recover_json(text, PLACES[where].schema)
    assert recovered is None or recovered.value == value


@settings(DETERMINISTIC, max_examples=200)
@given(
    text=st.lists(st.sampled_from([*PIECES, '"a": ', "{", "}", "[", "]", '", "', "```json\n"]), max_size=40).map(
        "".join
    )
)
def test_any_text_comes_to_an_end(text):
    """What comes out of it is of the shape, whatever the text is."""
    for cut in (False, True):
        for place in PLACES.values():
            recovered = recover_json(text, place.schema, cut=cut)
            if recovered is not None:
                again = recover_json(json.dumps(recovered.value), place.schema)
                assert again is not None
                assert again.value == recovered.value
