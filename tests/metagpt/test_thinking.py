"""The splitter of ``<think>`` tags: whatever the cuts between deltas, the same answer and the same thinking."""

from __future__ import annotations

import pytest

from metagpt_ollama_rs.provider.thinking import ThinkSplitter, split_thinking

CASES = [
    ("<think>I wonder</think>\n\nFour.", "Four.", "I wonder"),
    ("\n <think>\nI wonder\n</think>Four.", "Four.", "I wonder"),
    ("<think></think>Four.", "Four.", ""),
    ("<think>a < b </thin </think>Four </think>.", "Four </think>.", "a < b </thin"),
    ("<think>never ends", "", "never ends"),
    ("<think>never ends </thi", "", "never ends </thi"),
    ("The tag <think> means thinking.</think>", "The tag <think> means thinking.</think>", ""),
    ("<thinking>", "<thinking>", ""),
    ("<thin", "<thin", ""),
    ("<", "<", ""),
    ("", "", ""),
    ("  plain", "  plain", ""),
    ("\n\n", "\n\n", ""),
]


@pytest.mark.parametrize(("text", "answer", "thinking"), CASES)
def test_a_whole_answer(text, answer, thinking):
    assert split_thinking(text) == (answer, thinking)


@pytest.mark.parametrize(("text", "answer", "thinking"), CASES)
def test_every_pair_of_cuts(text, answer, thinking):
    for first in range(len(text) + 1):
        for second in range(first, len(text) + 1):
            splitter = ThinkSplitter()
            pieces = []
            for delta in (text[:first], text[first:second], text[second:]):
                pieces += splitter.feed(delta)
            pieces += splitter.finish()
            joined = "".join(pieces)
            # White space before a tag may have gone out before the tag was there.
            assert joined == answer or (thinking and joined.lstrip() == answer), (first, second)
            assert splitter.thinking == thinking
            assert "" not in pieces


def test_deltas_that_were_held_back_come_out_one_by_one():
    splitter = ThinkSplitter()
    fed = [splitter.feed(delta) for delta in ("<", "th", "is is", " HTML")]
    assert fed == [[], [], ["<", "th", "is is"], [" HTML"]]
    assert splitter.settled


def test_ordinary_deltas_pass_at_once():
    splitter = ThinkSplitter()
    assert [splitter.feed(delta) for delta in ("\n", "The", " sky")] == [["\n"], ["The"], [" sky"]]
