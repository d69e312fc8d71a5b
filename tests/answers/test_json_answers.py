"""The JSON in answers: every wrong shape at every place, and what must never be taken for a value."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import json_repair
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


NAMES = PLACES["tools"].schema
TASK = {
    "type": "object",
    "properties": {"task_id": {"type": "string"}, "text": {"type": "string"}, "n": {"type": "integer"}},
    "required": ["task_id", "text"],
}
TASKS = {"type": "array", "items": TASK}
FREE = {"type": "object"}


def value_of(text, schema=FREE, **options):
    recovered = recover_json(text, schema, **options)
    return None if recovered is None else recovered.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # What prose and code have in common with JSON.
        ("The set {1, 2} and items[0], list[str], \\frac{1}{2}, f'{x}' and {name}.", None),
        ("- [ ] one\n- [x] two\n[1]: https://example.com", None),
        ("中文的回答，没有 JSON：【任务】{一}", None),
        ("def f():\n    return {x for x in y if x[0]}", None),
        ("", None),
        ("{", None),
        ("[]", None),
        ("}{", None),
        ("{}", {}),
        # What stands in texts stays as it is.
        ('Answer: {"a": "http://x.org/#y // no /* none */ # 1", }', {"a": "http://x.org/#y // no /* none */ # 1"}),
        ("{'a': 'it''s', 'b': 1}", None),
        ("{'a': 'the dogs' bone', 'b': 1}", {"a": "the dogs' bone", "b": 1}),
        ("{'a': 'don't', 'b': 'l'été'}", {"a": "don't", "b": "l'été"}),
        ('{"a": "x = {\\"b\\": [1, 2,]}",}', {"a": 'x = {"b": [1, 2,]}'}),
        ('{"a": "```python\\nprint(1)\\n```", }', {"a": "```python\nprint(1)\n```"}),
        ('{"a": "🐍\\ud83d\\ude00",}', {"a": "🐍😀"}),
        # Python's words, numbers.
        ("{'a': None, 'b': True, 'c': [False]}", {"a": None, "b": True, "c": [False]}),
        ("{'a': 1.5e3, 'b': -2, 'c': +3, 'd': .5}", {"a": 1500.0, "b": -2, "c": "+3", "d": ".5"}),
        ('{"a": 007}', {"a": "007"}),
        ('{"a": [1,000, 2]}', None),
        ('{"a": undefined_thing}', {"a": "undefined_thing"}),
        # Backslashes.
        (r'{"a": "C:\Users\me"}', {"a": r"C:\Users\me"}),
        (r'{"a": "C:\Users\new"}', None),
        (r'{"a": "\(\nabla x\)"}', None),
        (r'{"a": "\d+\nnext"}', {"a": "\\d+\nnext"}),
        (r'{"a": "\\d and \d"}', None),
        # Brackets.
        ('{"a": {"b": 1}}}', {"a": {"b": 1}}),
        ('{"a": {"b": 1}}, "c": 2}', None),
        ('{"a": [1, 2}', {"a": [1, 2]}),
        ('{"a": {"b": 1}', {"a": {"b": 1}}),
        # Two answers: in doubt.
        ('{"a": 1}{"b": 2}', None),
        # What looks like a comment and belongs to the word.
        ('{"Language": C#,\n"Tasks": ["a"]\n}', {"Language": "C#", "Tasks": ["a"]}),
        ('{"Language": F#,}', {"Language": "F#"}),
        ('{"issue": bug#123\n}', {"issue": "bug#123"}),
        ('{"issue": bug #123\n}', None),
        ('{"path": notes#1.md}', {"path": "notes#1.md"}),
        ('{"path": a//b\n}', {"path": "a//b"}),
        ('{"a": true # yes\n, "b": 3 // three\n}', {"a": True, "b": 3}),
        ('{"a": [1,# one\n2]}', {"a": [1, 2]}),
        # A number or a word that may have been longer.
        ('{"a": "x", "b": {"seconds": 12', {"a": "x"}),
        ('{"a": "x", "b": 12\n', {"a": "x", "b": 12}),
        ('{"a": [1, 2', {"a": [1]}),
        ('{"a": "x", "b": wor', {"a": "x"}),
        ('{"a": "x", "b": true', {"a": "x", "b": True}),
        ('{"a": 1, "a": 1,}', {"a": 1}),
        ('{"a": 1, "a": 2}', None),
        ('{"a": "one", ...}', None),
        ('{"a": ["one", "..."]}', {"a": ["one", "..."]}),
        ('{"a": ["one", "...",]}', None),
        # Quotes that are missing, and those of the text.
        ('{"a": "say "hi" to "her"", "b": 1}', {"a": 'say "hi" to "her"', "b": 1}),
        ('{"a": "5" screen", "b": 1}', {"a": '5" screen', "b": 1}),
        ('{"a": "b" + "c", "d": 1}', None),
        ('{"a": "b, "c": "d"}', {"a": "b", "c": "d"}),
        ('{"a": ["b" "c"]}', {"a": ["b", "c"]}),
        ('{"a" "b", "c": "d"}', {"a": "b", "c": "d"}),
        ('{"a": ["b"c"], "d": 1}', None),
        ('{"a": “b”, \'c\': "d"}', {"a": "b", "c": "d"}),
        ('{{"a": 1}}', {"a": 1}),
        ('Answer: {\\"a\\": \\"b\\",\\n\\"c\\": [1]}', {"a": "b", "c": [1]}),
        ('{“a”：“{\\"b\\": 1}”，“c”：“\\\\n”}', {"a": '{"b": 1}', "c": "\\n"}),
        ('{"a": 1},', {"a": 1}),
        ('```json\n{"a": 1}```', {"a": 1}),
        ("json\n{'a': 1}\n``", {"a": 1}),
        ('{"a: "b", "c": "d"}', {"a": "b", "c": "d"}),
    ],
)  # fmt: skip
def test_texts_of_which_one_might_make_something_else(text, value):
    assert value_of(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"Task ID": 1, "TEXT": "x", "n": "07"}', [{"task_id": "1", "text": "x", "n": 7}]),
        ('{"task_id": "1", "text": "x", "n": 3.0}', [{"task_id": "1", "text": "x", "n": 3}]),
        ('{"task_id": "1", "text": "x", "more": {}}', [{"task_id": "1", "text": "x", "more": {}}]),
        ('{"tasks": [{"task_id": "1", "text": "x"}]}', [{"task_id": "1", "text": "x"}]),
        ('[[{"task_id": "1", "text": "x"}]]', [{"task_id": "1", "text": "x"}]),
        ('"[{\\"task_id\\": \\"1\\", \\"text\\": \\"x\\"}]"', [{"task_id": "1", "text": "x"}]),
        # What is required is not made up, and nothing is left out.
        ('[{"task_id": "1"}]', None),
        ('[{"task_id": "1", "text": null}]', None),
        ('[{"task_id": "1", "text": ["x", "y"]}]', None),
        ('[{"task_id": "1", "text": "x"}, {"task_id": "2"}]', None),
        ('[{"task_id": "1", "text": "x"}, "task 2"]', None),
        ('[{"task_id": "1", "text": "x", "n": "many"}]', None),
        ('[{"task_id": true, "text": "x"}]', None),
        ('{"tasks": [], "steps": [{"task_id": "1", "text": "x"}]}', None),
    ],
)
def test_shapes(text, value):
    assert value_of(text, TASKS) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Browser", None),
        ('"Browser"', ["Browser"]),
        ("[Browser, Editor]", ["Browser", "Editor"]),
        ("[browser, 'SCRAPE WEB PAGE']", ["Browser", "scrape_web_page"]),
        ('["Browser", "Compiler"]', None),
        ("As said in [1] and [2], [x].", None),
    ],
)
def test_words_of_a_list(text, value):
    assert value_of(text, NAMES) == value


@pytest.mark.parametrize(("text", "value"), [("YES", "yes"), ("**no**.", "no"), ("`Yes`", "yes"), ("yes and no", None)])
def test_one_word(text, value):
    assert value_of(text, {"enum": ["yes", "no"]}) == value


@pytest.mark.parametrize("mark", ["...", "…", '"...",', "'...'"])
def test_an_ellipsis_counts_as_left_out_unless_the_example_ends_with_one(mark):
    text = f"Here: ['Browser', {mark}]"
    assert recover_json(text, NAMES) is None
    recovered = recover_json(text, NAMES, prompt='like this:\n["tool_name1", "tool_name2", ...]')
    assert recovered.value == ["Browser"]
    assert "ellipsis" in recovered.repairs
    assert recover_json(f"['Browser', {mark} 'Editor']", NAMES, prompt="[1, ...]") is None
    assert recover_json("[...]", NAMES, prompt="[1, ...]") is None


@pytest.mark.parametrize(
    ("value", "is_taken"),
    [
        ({"tasks": "TASKS"}, True),
        ({"taskList": "TASKS", "explanation": "x"}, True),
        ({"next_steps": "TASKS"}, True),
        ({"todo": "TASKS"}, True),
        ({"executed_tasks": "TASKS", "next_task": "end"}, False),
        ({"tasks": "TASKS", "next_task": "end"}, False),
        ({"todo": "TASKS", "explanation": "x"}, False),
        *(({key: "TASKS"}, False) for key in ("do_not_run", "undo", "doNotRun", "finished tasks", "old", "不执行")),
    ],
)
def test_the_key_above_a_list_says_that_it_is_the_answer(value, is_taken):
    value = {key: [ONE] if part == "TASKS" else part for key, part in value.items()}
    assert value_of(json.dumps(value), TASKS) == ([ONE] if is_taken else None)
    one = {key: ONE if part == [ONE] else part for key, part in value.items()}
    assert value_of(json.dumps(one), TASK) == (ONE if is_taken else None)


INDICES = {"type": "array", "items": {"type": "integer", "enum": [0, 1, 2]}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Ranking: [2, 0].", [2, 0]),
        ("The order is [2, 0].", [2, 0]),
        ("Only this one:\n[1]", [1]),
        ("Ranking: [2, 0]. I left out result [1] as spam.", None),
        ("I left out [1]. The order is [2, 0].", None),
        ("results [3], [1] and [2] are useful", None),
        ("results [3] and [1] are useful", None),
        ("As [1] says:\n\n[2, 0]\n\nI left out [1] as spam.", [2, 0]),
        ("As [1] says:\n\n[2, 0]\n\nRather:\n[1]", None),
        ("I left out [1] as spam.", None),
        (f"I left out [1].\n{'```json'}\n[2, 0]\n```", [2, 0]),
        ('["-1"]', None),
        ('["- 1"]', None),
        ('["1 0"]', None),
        ('["1"]', [1]),
        ('["+2", " 0"]', [2, 0]),
        ("[1.0]", [1]),
        ("[1.5]", None),
    ],
)
def test_indices(text, value):
    assert value_of(text, INDICES) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("10", 10), ("**10**.", 10), ("-1", -1), ("1 0", None), ("1-0", None), ("- 1", None), ("[1] or [10]", None)],
)
def test_a_stage(text, value):
    assert value_of(text, {"enum": [*range(-1, 12)]}) == value
    assert value_of(text, {"type": "integer"}) == value


@pytest.mark.parametrize(("text", "value"), [("GPT 4", "gpt-4"), ("gpt4", "gpt-4"), ("gpt--4", "gpt-4"), ("1 0", None)])
def test_spelling(text, value):
    assert value_of(text, {"enum": ["gpt-4", "10", "1.0"]}) == value


def test_an_object_without_a_key_of_the_schema_is_no_rival():
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": []}
    text = 'I change {"n": 4} as in\n```json\n{"port": 1}\n```'
    assert value_of(text, schema) == {"n": 4}


def test_two_objects_of_which_one_is_an_alternative():
    schema = {
        "type": "object",
        "properties": {"Language": {"type": "string"}, "Tasks": {"type": "array", "items": {"type": "string"}}},
        "required": ["Language", "Tasks"],
    }
    first, second = '{"Language": "C", "Tasks": ["a"]}', '{"Language": "Rust", "Tasks": ["a"]}'
    for draft in (first, first.replace("}", ",}")):
        assert value_of(f"{draft}\nIf you prefer Rust instead:\n{second}", schema) is None


ONE, TWO, THREE = ({"task_id": number, "text": "x"} for number in "123")


def fenced(*values):
    return "\nThen:\n".join(f"```json\n{json.dumps(value)}\n```" for value in values)


@pytest.mark.parametrize(
    ("text", "value", "word"),
    [
        (f"Not {json.dumps([ONE])}.\n{fenced([TWO, THREE])}", [TWO, THREE], "several"),
        (f"<think>{fenced([ONE])}</think>\n{json.dumps([TWO, THREE])}", [TWO, THREE], "several"),
        (f"{fenced([ONE, TWO])}\nThe first, {json.dumps(ONE)}, is short.", [ONE, TWO], "several"),
        (fenced([ONE], [ONE]), [ONE], "fence"),
        (fenced([ONE, TWO], {"note": "x"}), [ONE, TWO], "fence"),
        (f"{json.dumps(ONE)}\n{json.dumps(TWO)}", [ONE, TWO], "missing bracket"),
        (f"1. {json.dumps(ONE)}\n2. {json.dumps(TWO)}", [ONE, TWO], "missing bracket"),
        (f"Tasks:\n\n- {json.dumps(ONE)}\n- {json.dumps(TWO)}\n- {json.dumps(THREE)}", [ONE, TWO, THREE], "prose"),
        ("\ufeff" + json.dumps([ONE]), [ONE], "byte order mark"),
        ("\ufeff" + fenced([ONE]), [ONE], "byte order mark"),
        # Drafts of each other, or steps: in doubt.
        (f"1. Load: {json.dumps(ONE)}\n2. Plot: {json.dumps(TWO)}", None, ""),
        (fenced(ONE, TWO), None, ""),
        (fenced([ONE], [TWO, THREE]), None, ""),
        (fenced([ONE]).replace("}]", "},]") + "\nThen:\n" + fenced([TWO]), None, ""),
        (fenced([ONE, TWO], THREE), None, ""),
        (f"{fenced([ONE])}\nRather: {json.dumps([TWO])}", None, ""),
        # What comes last is for the schema, and does not fit.
        (f"A draft:\n{json.dumps([ONE])}\nBetter:\n{fenced([{'task_id': '2'}])}", None, ""),
        (f"A draft:\n{json.dumps([ONE])}\nBetter:\n{fenced([{**TWO, 'n': 'many'}])}", None, ""),
        (f"A draft:\n{json.dumps([ONE])}\nBetter:\n{fenced({'skipped': [TWO]})}", None, ""),
        (f"A draft:\n{json.dumps([ONE])}\nBetter:\n{fenced(['the second'])}", None, ""),
        (f"{json.dumps([ONE])}\n{json.dumps([TWO])}", None, ""),
        (fenced([ONE]) + '\n```json\n[{"task_id": "2", "text": "x" "y"}]\n```', None, ""),
    ],
)
def test_which_of_several_counts(text, value, word):
    recovered = recover_json(text, TASKS)
    assert (None if recovered is None else recovered.value) == value
    assert recovered is None or word in recovered.repairs


def test_what_stands_in_the_prompt_counts_last():
    prompt = f"For example {json.dumps([ONE], indent=1)}"
    assert value_of(fenced([ONE], [TWO]), TASKS, prompt=prompt) == [TWO]
    assert value_of(f"Example:\n{fenced([ONE])}\n{fenced([TWO])}", TASKS) == [TWO]
    assert value_of(f"例如：{json.dumps([ONE])}\n{json.dumps([TWO])}", TASKS) == [TWO]
    assert value_of(f"Example:\n{fenced([ONE])}", TASKS) == [ONE]
    # The example after the answer may be the answer.
    assert value_of(f"{fenced([TWO])}\nExample:\n{fenced([ONE])}", TASKS) is None
    assert value_of(fenced([TWO], [ONE]), TASKS, prompt=prompt) is None
    assert value_of(fenced([ONE]), TASKS, prompt=json.dumps([ONE])) == [ONE]


@pytest.mark.parametrize("step", range(2))
def test_a_list_that_is_cut_anywhere_has_its_complete_elements_only(step):
    """Cut after each character: never half an element, never a value without the word."""
    whole = [ONE, {"task_id": "2", "text": 'He said: "no", [1] {x}\n'}, THREE]
    text = f"Here it is:\n```json\n{json.dumps(whole, indent=2)}\n```\nDone."
    end = text.rindex("]") + 1
    for size in range(step, len(text), 2):
        recovered = recover_json(text[:size], TASKS, cut=True)
        if recovered is None:
            assert size <= text.index("},")
        elif size < end:
            assert recovered.value in (whole[:1], whole[:2], whole)
            assert "cut" in recovered.repairs
            assert text[:size].count("}") >= len(recovered.value)
        else:
            assert recovered.value == whole
            assert "cut" not in recovered.repairs


def test_an_object_that_is_cut_anywhere_has_what_is_required_or_is_none():
    schema = {**TASK, "required": ["task_id", "text"]}
    whole = {"task_id": "1", "text": "some words", "n": 12345}
    text = json.dumps(whole)
    for size in range(len(text)):
        recovered = recover_json(text[:size], schema, cut=True)
        if recovered is None:
            assert size <= text.index("some")
            continue
        assert "cut" in recovered.repairs
        assert whole["text"].startswith(recovered.value["text"])
        # A shorter number would be another one.
        assert recovered.value.get("n", 12345) == 12345


def test_a_list_of_texts_in_a_field_loses_the_text_that_was_cut():
    schema = {
        "type": "object",
        "properties": {"goals": {"type": "array", "items": {"type": "string"}}},
        "required": ["goals"],
    }
    assert recover_json('{"goals": ["one", "tw', schema, cut=True) == ({"goals": ["one"]}, ("cut",))
    assert recover_json('{"goals": ["on', schema, cut=True) is None


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"a":' * 40_000,
        "[" * 101 + "]" * 101,
        "[{" * 50_000,
        '{"a": "' + "x" * 1_000_000,
        '{"a" 1} ' * 50_000,
        "{} [] " * 50_000,
        '["' + "a " * 100_000,
    ],
    ids=range(8),
)
def test_long_and_deep_texts_come_to_an_end(text):
    assert recover_json(text, TASKS) is None
    assert recover_json(text, TASKS, cut=True) is None


def test_a_long_answer_is_repaired():
    whole = [{"task_id": str(number), "text": "line\n" * 200} for number in range(1000)]
    assert len(str(whole)) > 1_000_000
    assert recover_json(f"```json\n{whole}\n```", TASKS).value == whole


GUESSED = '{"a": "b, "c": "d"}'
WITHOUT_LIBRARY = """
import logging, sys
sys.modules["json_repair"] = None
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
from metagpt_ollama_rs.json_answers import recover_json
for text in sys.argv[1:]:
    print(recover_json(text, {"type": "object"}))
"""


def test_without_the_library_only_guesses_are_missing():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LIBRARY, "{'a': 1,}", GUESSED, GUESSED],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert lines[0] == "RecoveredJson(value={'a': 1}, repairs=('single quotes', 'trailing comma'))"
    assert lines[1].startswith("WARNING json_repair is not installed")
    assert lines[2:] == ["None", "None"]


def test_guesses_are_marked():
    assert recover_json(GUESSED, FREE) == ({"a": "b", "c": "d"}, ("guess",))


def test_the_library_alone_changes_much():
    """Why its guesses are checked: docs/design.md has these numbers."""
    exact = [case for case in CASES if SHAPES[case.shape].recovery == "exact"]
    right = sum(json_repair.repair_json(case.text, return_objects=True) == case.value for case in exact)
    none = {case.shape for case in CASES if SHAPES[case.shape].recovery == "none"}
    made = {case.shape for case in CASES if case.shape in none and json_repair.repair_json(case.text) not in ("", '""')}
    assert (len(exact), len(none), len(made)) == (427, 11, 11)
    # 285 in release 0.64.6.
    assert right < 320
