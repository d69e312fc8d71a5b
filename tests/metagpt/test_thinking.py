"""The splitter of reasoning marks: whatever the cuts between deltas, the same answer and the same thinking."""

from __future__ import annotations

import pytest

from metagpt_ollama_rs.thinking import BLOCKS, ThinkSplitter, split_thinking

HARMONY = "<|channel|>analysis<|message|>I wonder<|end|><|start|>assistant<|channel|>final<|message|>Four.<|return|>"

# What stands at the beginning is parted while it arrives, too.
BLOCK_FIRST = [
    ("<think>I wonder</think>\n\nFour.", "Four.", "I wonder"),
    ("\n <think>\nI wonder\n</think>Four.", "Four.", "I wonder"),
    ("<think></think>Four.", "Four.", ""),
    ("<think>\n\n</think>\n\nFour.", "Four.", ""),
    ("<think>a < b </thin </think>Four </think>.", "Four </think>.", "a < b </thin"),
    ("<think>never ends", "", "never ends"),
    ("<think>never ends </thi", "", "never ends </thi"),
    ("<think>one</think><think>two</think>Four.", "Four.", "one\n\ntwo"),
    ("<think>one</think>\n\n<think>\ntwo</think>\nFour.", "Four.", "one\n\ntwo"),
    ("<think>one</think>[THINK]two[/THINK]Four.", "Four.", "one\n\ntwo"),
    ("<think>one</think><thi", "<thi", "one"),
    ("<think>one</think>\n<b>Four</b>", "<b>Four</b>", "one"),
    ("<think>one</think>Write `<think>` and `</think>`.", "Write `<think>` and `</think>`.", "one"),
    ("<think>one</think>Use <think> and </think> for it.", "Use <think> and </think> for it.", "one"),
    ("<think>is it?</think>and so it is", "and so it is", "is it?"),
    ("<thinking>I wonder</thinking>\nFour.", "Four.", "I wonder"),
    ("<thinking>", "", ""),
    ("[THINK]I wonder [x][/THINK]Four.", "Four.", "I wonder [x]"),
    ("◁think▷我想◁/think▷四", "四", "我想"),
    ("<seed:think>I wonder</seed:think>Four.", "Four.", "I wonder"),
    ("<reasoning>I wonder</reasoning>Four.", "Four.", "I wonder"),
    ("<thought>\nI wonder\n</thought>\n\nFour.", "Four.", "I wonder"),
    (HARMONY, "Four.", "I wonder"),
    ("<|start|>assistant" + HARMONY, "Four.", "I wonder"),
    (HARMONY.replace("final", "final <|constrain|>json"), "Four.", "I wonder"),
    ("<|channel|>final<|message|>Four.", "Four.", ""),
    ("<|channel|>final<|message|>Four.<|end|>", "Four.", ""),
    ("<|channel|>final<|message|>a <|b <|en", "a <|b <|en", ""),
    ("<|channel|>commentary<|message|>First.<|end|>" + HARMONY, "First.Four.", "I wonder"),
    ("<|channel|>analysis<|message|>never ends", "", "never ends"),
    ("<|START_THINKING|>I wonder<|END_THINKING|><|START_RESPONSE|>Four.<|END_RESPONSE|>", "Four.", "I wonder"),
    (
        "<|begin_of_thought|>\nI wonder\n<|end_of_thought|>\n\n<|begin_of_solution|>Four.<|end_of_solution|>",
        "Four.",
        "I wonder",
    ),
]

# An answer, whatever it talks about.
PLAIN = [
    "",
    "  plain",
    "\n\n",
    "<",
    "<thin",
    "<b>bold</b>",
    "[THI",
    "[1] a list",
    "<|",
    "The tag <think> means thinking.</think>",
    "The model writes </think> when it is done.",
    "The last tag is </think>.",
    "What does </think> mean?",
    "It ends with </think>",
    "The </think> Tag closes it.",
    "`</think>` ends the reasoning.",
    "The `</think>` tag\nends it.",
    '"</think>" ends the reasoning.',
    "'</think>' ends the reasoning.",
    "The “</think>” ends it.",
    "模型用「</think>」结束。",
    "模型用 </think> 标签结束思考。",
    "模型用</think>标签结束思考。",
    "- </think>: the end\n- <think>: the beginning",
    "| </think> | the end |",
    "(</think>) is the end",
    "</think> is a closing tag.",
    "<think> is an opening tag.",
    "<think> and </think> are tags.",
    "<think>, </think> and [THINK] are marks.",
    "<think>/</think> are tags.",
    "The format:\n\n<think>\nreasoning\n</think>\nanswer",
    "The format:\n```\n<think>\nreasoning\n</think>\nanswer\n```\nThat is all.",
    "Cut after it:\n```\nreasoning\n</think>\nanswer\n```",
    "~~~python\ntext.split('</think>')[1]\n~~~",
    'text = text.split("</think>")[-1]',
    "re.sub(r'<think>.*?</think>', '', text)",
    '{"answer": "a</think>b", "other": "c"}',
    "[/THINK] is what Magistral writes.",
    "Magistral writes [THINK] and [/THINK] around it.",
    "gpt-oss writes `<|end|><|start|>assistant<|channel|>final<|message|>`.",
    "<thought>I wonder</thought>\n<solution_letter>A</solution_letter>",
    "<reasoning>I wonder</reasoning><answer>Four.</answer>",
]

# Known from the whole text only: what was before has been shown when the mark arrives.
LATER = [
    ("I wonder</think>Four.", "Four.", "I wonder"),
    ("I wonder.\n</think>\n\nFour.", "Four.", "I wonder."),
    ("I wonder </think>\n\nFour.", "Four.", "I wonder"),
    ("I wonder </think> Four.", "Four.", "I wonder"),
    ("</think>\n\nFour.", "Four.", ""),
    ("I wonder</think>", "", "I wonder"),
    ("我想一想。</think>四", "四", "我想一想。"),
    ('They said "hi"</think>"Hello."', '"Hello."', 'They said "hi"'),
    ("I don't know</think>It's four.", "It's four.", "I don't know"),
    ("```\nx = 1\n```\nGood.\n</think>\n```\nx = 2\n```", "```\nx = 2\n```", "```\nx = 1\n```\nGood."),
    (
        "What is `</think>`, they ask.\n</think>\nA tag: `</think>`.",
        "A tag: `</think>`.",
        "What is `</think>`, they ask.",
    ),
    ("A `<think>` tag?\n</think>\nYes.", "Yes.", "A `<think>` tag?"),
    ("one</think>\n<think>two</think>Four.", "Four.", "one\n\ntwo"),
    ("I wonder[/THINK]Four.", "Four.", "I wonder"),
    ("I wonder</seed:think>Four.", "Four.", "I wonder"),
    ("I wonder◁/think▷Four.", "Four.", "I wonder"),
    ("I wonder<|END_THINKING|><|START_RESPONSE|>Four.<|END_RESPONSE|>", "Four.", "I wonder"),
    ("I wonder<|end|><|start|>assistant<|channel|>final<|message|>Four.<|return|>", "Four.", "I wonder"),
    ("<think>one</think>Four.<think>two</think> Five.", "Four. Five.", "one\n\ntwo"),
    ("<think>one</think>Four.\n\n<think>\ntwo\n</think>\nFive.", "Four.\n\n\nFive.", "one\n\ntwo"),
    ("<think>one</think>Four <think>never ends", "Four <think>never ends", "one"),
    ("<think>one</think>Four:\n```\n<think>x</think>\n```", "Four:\n```\n<think>x</think>\n```", "one"),
]

WHOLE = [*BLOCK_FIRST, *((text, text, "") for text in PLAIN), *LATER]


def shown(deltas):
    splitter = ThinkSplitter()
    pieces = [piece for delta in deltas for piece in splitter.feed(delta)] + splitter.finish()
    assert "" not in pieces
    return "".join(pieces), splitter.thinking


@pytest.mark.parametrize(("text", "answer", "thinking"), WHOLE)
def test_a_whole_answer(text, answer, thinking):
    assert split_thinking(text) == (answer, thinking)


@pytest.mark.parametrize(("text", "answer", "thinking"), [*BLOCK_FIRST, *((text, text, "") for text in PLAIN)])
def test_every_pair_of_cuts(text, answer, thinking):
    cuts = [
        [text[:first], text[first:second], text[second:]] for second in range(len(text) + 1) for first in range(second)
    ]
    for deltas in ([text], list(text), *cuts):
        joined, thought = shown(deltas)
        # White space before a mark may have gone out before the mark was there.
        assert joined == answer or (answer != text and joined.lstrip() == answer), deltas
        assert thought == thinking, deltas


@pytest.mark.parametrize(("text", "answer", "thinking"), LATER)
def test_what_is_known_at_the_end_only_passes_whole(text, answer, thinking):
    assert shown(list(text)) == shown([text])
    if not text.startswith("<think>"):
        assert shown(list(text)) == (text, "")


@pytest.mark.parametrize("block", [block for block in BLOCKS if not block.answer], ids=lambda block: block.opens)
def test_every_template_of_the_table(block):
    text = f"{block.opens}\nI wonder\n{block.ends[0]}\n\nFour."
    assert split_thinking(text) == ("Four.", "I wonder")
    assert shown(list(text)) == ("Four.", "I wonder")
    cut = block.opens[:-1]
    assert split_thinking(cut) == (cut, "")
    assert shown(list(cut)) == (cut, "")


def test_deltas_that_were_held_back_come_out_one_by_one():
    splitter = ThinkSplitter()
    fed = [splitter.feed(delta) for delta in ("<", "th", "is is", " HTML")]
    assert fed == [[], [], ["<", "th", "is is"], [" HTML"]]
    assert splitter.passes_through


def test_ordinary_deltas_pass_at_once():
    splitter = ThinkSplitter()
    assert [splitter.feed(delta) for delta in ("\n", "The", " sky")] == [["\n"], ["The"], [" sky"]]


def test_a_splitter_that_is_settled_lets_marks_pass():
    splitter = ThinkSplitter()
    splitter.pass_through()
    assert splitter.feed("<think>") + splitter.finish() == ["<think>"]


def test_long_reasoning_in_many_deltas_takes_linear_time():
    text = "<think>" + "x < y " * 40_000 + "</think>Four."
    assert shown(list(text))[0] == "Four."


@pytest.mark.parametrize(
    "unit",
    ["`</think>` ", "</think>\n", "<think>\nx\n</think>\n", "x <think> is\n</think>\n", "<think> ", "[/THINK]\n```\n"],
)
def test_an_answer_that_goes_in_circles_is_looked_at_in_reasonable_time(unit):
    for text in (unit * 20_000, "<think>x</think>y " + unit * 20_000):
        assert len("".join(split_thinking(text))) <= len(text)
