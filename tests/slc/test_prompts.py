"""The table of prompts: both languages, the same fields, and which language is chosen."""

from __future__ import annotations

from pathlib import Path
from string import Template

import pytest

from metagpt_ollama_rs.slc.prompt_language import prompt_language
from metagpt_ollama_rs.slc.prompts import PROMPTS, fenced, render_prompt


def fields_of(prompt: str) -> list[str]:
    found = Template.pattern.finditer(prompt)
    assert not any(match["invalid"] is not None for match in Template.pattern.finditer(prompt)), prompt
    return sorted(match["named"] or match["braced"] for match in found if not match["escaped"])


@pytest.mark.parametrize("name", PROMPTS)
def test_a_prompt_is_there_in_both_languages_with_the_same_fields(name):
    assert set(PROMPTS[name]) == {"zh", "en"}
    chinese, english = PROMPTS[name]["zh"], PROMPTS[name]["en"]
    assert fields_of(chinese) == fields_of(english) != []
    assert prompt_language([chinese]) == "zh"
    assert prompt_language([english]) == "en"
    for prompt in (chinese, english):
        assert prompt.strip() == prompt
        assert not any(line != line.rstrip() for line in prompt.split("\n"))


def test_a_field_that_is_missing_is_an_error():
    with pytest.raises(KeyError, match="requirement"):
        render_prompt("generate_code", "en", {})
    with pytest.raises(KeyError, match="no_such_prompt"):
        render_prompt("no_such_prompt", "en", {})


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Write a function.", "en"),
        ("写一个函数", "zh"),
        ("用 Python 和 FastAPI 写一个 REST API 服务", "zh"),
        ("请 review 这段 code", "zh"),
        ("Translate 你好 into English and explain what it means to a learner", "en"),
        ("クイックソートを書いてください", "en"),
        ("빠른 정렬을 작성하세요", "en"),
        ("Schreibe eine Funktion", "en"),
        ("", "en"),
        ("1 + 1 = ?", "en"),
        ("寫一個排序函數", "zh"),
    ],
)
def test_the_language_is_that_of_the_text(text, language):
    assert prompt_language([text]) == language


def test_comments_in_code_count_where_there_are_few_words_beside_it():
    code = "# 读取配置文件\nconfig = open(path).read()\n"
    assert prompt_language([], [code]) == "zh"
    assert prompt_language(["Go"], [code]) == "zh"
    assert prompt_language(["Rename the function, please."], [code]) == "en"
    assert prompt_language(["改名"], ["x = 1"]) == "zh"
    assert prompt_language([], ["x = 1  # 加"]) == "en"
    assert prompt_language([], ["# ファイルを読み込む設定\nx = 1"]) == "en"


def test_a_fence_is_longer_than_any_in_the_text():
    assert fenced("a") == "```\na\n```"
    assert fenced("a\n") == "```\na\n```"
    assert fenced("``a``", "md") == "```md\n``a``\n```"
    assert fenced("a\n`````python\nb") == "``````\na\n`````python\nb\n``````"


TESTS = "\n".join(file.read_text(encoding="utf-8") for file in sorted(Path(__file__).parent.rglob("test_*.py")))


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("name", PROMPTS)
def test_the_words_of_a_prompt_stand_in_a_test(name, language):
    """The tests of the tools spell out what is sent, so that a prompt does not change unseen."""
    spelt = TESTS.replace("\\\n", "")
    literal = [line for line in PROMPTS[name][language].split("\n") if line.strip() and "$" not in line]
    escaped = [line.replace("\\", "\\\\") for line in literal]
    assert [line for line in escaped if line not in spelt] == []
