"""Totals, the error that ended a run, and the table, from hand-written lines."""

from __future__ import annotations

import json
import re

import pytest

from metagpt_ollama_rs import stats
from metagpt_ollama_rs.switch.summary import Totals, ended_by, read_calls, table, totals

GOOD = {
    "started": 100.0, "process": 7, "model": "qwen3", "host": "http://127.0.0.1:11434", "endpoint": "/api/chat",
    "streamed": True, "first_token_seconds": 0.5, "seconds": 2.0, "load_seconds": 0.05, "prompt_seconds": 0.2,
    "answer_seconds": 1.5, "prompt_tokens": 300, "answer_tokens": 60, "cached_tokens": 10, "tokens_per_second": 40.0,
    "retries": 0, "truncated": False, "error": None, "phase": None, "status": None,
}  # fmt: skip
AT = "(model qwen3, http://127.0.0.1:11434/api/chat)"


def call(**fields):
    return {**GOOD, **fields}


def failed(error="mid_stream", **fields):
    return call(error=error, answer_tokens=None, answer_seconds=None, **fields)


def test_totals_are_of_each_model():
    calls = [
        call(load_seconds=4.2),
        call(retries=2, truncated=True),
        call(model="nomic", prompt_tokens=7, answer_tokens=None, answer_seconds=None, seconds=0.25),
        failed(seconds=1.0),
        call(model=None, endpoint="/api/version"),
    ]
    assert totals(calls) == [
        Totals("qwen3", 3, 900, 120, 5.0, 3.0, 120, loads=1, retries=2, truncated=1, errors=1),
        Totals("nomic", 1, 7, 0, 0.25),
    ]
    assert [total.tokens_per_second for total in totals(calls)] == [40.0, None]


def test_a_reply_that_the_provider_rejects_is_an_error_and_no_second_call():
    verdict = {"model": "qwen3", "error": "empty_answer", "rejected": True, "started": 102.5, "seconds": 0.0}
    calls = [call(), {**verdict, "prompt_tokens": None}]
    assert totals(calls) == [Totals("qwen3", 1, 300, 60, 2.0, 1.5, 60, errors=1)]
    assert ended_by(calls) == "the answer was empty (model qwen3)"
    assert ended_by([*calls, call(started=103.0)]) is None


def test_the_table_is_aligned():
    rows = [
        Totals("qwen3:8b", 12, 34567, 890, 20.04, 12.34, 890, loads=1, retries=2, truncated=3, errors=4),
        Totals("nomic-embed", 1, 7, 0, 0.25),
    ]
    assert table(rows).splitlines() == [
        "model        calls  prompt tokens  answer tokens   cost  seconds  tokens/s  loads  retries  truncated  errors",
        "qwen3:8b        12          34567            890  $0.00     20.0      72.1      1        2          3       4",
        "nomic-embed      1              7              0  $0.00      0.2         -      0        0          0       0",
    ]


@pytest.mark.parametrize(
    ("calls", "reason"),
    [
        ([], None),
        ([call()], None),
        ([call(), failed(started=103.0)], f"the server broke off with an error {AT}"),
        # It went on after the error.
        ([failed(), call(started=103.0)], None),
        ([failed(), call(started=103.0), failed("connect", started=106.0)], f"no connection {AT}"),
        # Another role's answer was under way, and came in while MetaGPT was giving up.
        ([failed(seconds=1.0), call(started=100.5, seconds=9.0)], f"the server broke off with an error {AT}"),
        # Giving up cancels the others, which end later.
        ([failed(seconds=1.0), failed("closed", seconds=1.1)], f"the server broke off with an error {AT}"),
        ([failed("closed")], None),
        ([failed("timeout", phase="idle")], f"the idle time limit ran out {AT}"),
        ([failed("status", status=503)], f"the server answered 503 {AT}"),
        ([failed("connect", model=None, endpoint="/api/tags")], "no connection (http://127.0.0.1:11434/api/tags)"),
        ([{"error": "something new"}], "something new"),
    ],
)
def test_what_ended_a_run(calls, reason):
    assert ended_by(calls) == reason


def test_lines_that_are_none_are_left_out(tmp_path):
    file = tmp_path / "calls.jsonl"
    assert read_calls(file) == []
    file.write_text('{"model": "a"}\n[]\n"text"\n\n{"model": "b"}\n{"model": "cut o', encoding="utf-8")
    assert [found["model"] for found in read_calls(file)] == ["a", "b"]
    before = file.stat().st_size
    with file.open("a") as more:
        more.write("\n" + json.dumps(GOOD) + "\n")
    assert [found["model"] for found in read_calls(file, before)] == ["qwen3"]


def test_a_call_without_an_end_was_under_way(tmp_path):
    file = tmp_path / "calls.jsonl"
    begun = {"id": "7-1", "state": "begun", "started": 100.0, "model": "qwen3"}
    lines = [begun, {**begun, "id": "7-2", "started": 109.0}, failed(id="7-1", state="ended"), {**begun, "id": [3]}]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    calls = read_calls(file)
    assert [(found["id"], found["state"]) for found in calls] == [("7-2", "begun"), ("7-1", "ended"), ([3], "begun")]
    assert totals(calls) == [Totals("qwen3", 3, 300, seconds=2.0, errors=1, unfinished=2)]
    assert [line.split()[-1] for line in table(totals(calls)).splitlines()] == ["unfinished", "2"]
    # That it had begun does not say that the run went on.
    assert ended_by(calls) == f"the server broke off with an error {AT}"


def test_what_was_repaired_belongs_to_the_call_of_its_id(tmp_path):
    file = tmp_path / "calls.jsonl"
    begun = {"id": "7-3", "state": "begun", "started": 109.0, "model": "qwen3"}
    repaired = {"state": "repaired", "repaired": "prose, fence"}
    ended = [call(id="7-1", state="ended"), call(id="7-2", state="ended", started=103.0)]
    lines = [*ended, {**repaired, "id": "7-2"}, begun, {**repaired, "id": "7-9"}]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    calls = read_calls(file)
    assert [(found["id"], found.get("repaired")) for found in calls] == [
        ("7-1", None),
        ("7-2", "prose, fence"),
        ("7-3", None),
    ]
    assert totals(calls) == [Totals("qwen3", 3, 600, 120, 4.0, 3.0, 120, unfinished=1, repaired=1)]
    ends = [line.split()[-2:] for line in table(totals(calls)).splitlines()]
    assert ends == [["repaired", "unfinished"], ["1", "1"]]
    assert ended_by(calls) is None


def test_every_kind_of_error_has_words():
    kinds = re.findall(r"``(\w+)``", re.search(r"``error`` \(None, or (.*?)\)", stats.records.__doc__, re.DOTALL)[1])
    assert len(kinds) > 8
    for kind in kinds:
        if kind != "closed":
            assert not ended_by([failed(kind)]).startswith(kind)


def test_odd_values_count_as_nothing():
    odd = {"model": 3, "seconds": "long", "prompt_tokens": None, "retries": []}
    assert totals([odd]) == [Totals("3", 1)]
