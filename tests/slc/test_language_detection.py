"""How often the language of code is told, on the table of `language_samples`, and the rules that come before that."""

from __future__ import annotations

import json
import warnings

import pytest
from pygments.lexers import get_lexer_by_name

from metagpt_ollama_rs.slc import MultiLanguageTool
from metagpt_ollama_rs.slc.languages.language_signs import BUILT_ON, SIGNS, WITH_SEMICOLONS, WITHOUT_SEMICOLONS

from .language_samples import SAMPLES

# What the docs say of it: of all samples, and of those of each language.
ACCURACY = 0.97
ACCURACY_OF_EACH = 0.6


def detected(code: str) -> str:
    return MultiLanguageTool.detect_language(code)


def test_the_table_is_wide() -> None:
    assert len(SAMPLES) >= 50
    assert all(len(samples) >= 3 for samples in SAMPLES.values())
    assert {*SIGNS, "json", "text"} == set(SAMPLES)


def test_the_accuracy_on_the_table() -> None:
    right = {language: [detected(code) == language for code in samples] for language, samples in SAMPLES.items()}
    assert {
        name: sum(each) / len(each) for name, each in right.items() if sum(each) / len(each) < ACCURACY_OF_EACH
    } == {}
    every = [one for each in right.values() for one in each]
    assert sum(every) / len(every) >= ACCURACY, f"{sum(every)} of {len(every)}"


@pytest.mark.parametrize("language", sorted(SAMPLES))
def test_line_ends_and_a_mark_before_them_change_nothing(language: str) -> None:
    code = SAMPLES[language][1]
    for other in ("\ufeff" + code.replace("\n", "\r\n"), "\n\n" + code.replace("\n", "\r") + "\r"):
        assert detected(other) == detected(code)


def test_every_name_is_one_of_pygments() -> None:
    assert all(get_lexer_by_name(language) for language in SAMPLES)


def test_the_sets_name_languages_that_have_signs() -> None:
    assert {*BUILT_ON, *BUILT_ON.values(), *WITH_SEMICOLONS, *WITHOUT_SEMICOLONS} <= set(SIGNS)


@pytest.mark.parametrize(
    ("first_line", "language"),
    [
        ("#!/bin/sh", "bash"),
        ("#!/usr/bin/env python3", "python"),
        ("#! /usr/local/bin/python2.7 -u", "python"),
        ("#!/usr/bin/env -S node --harmony", "javascript"),
        ("#!/usr/bin/env LANG=C perl -w", "perl"),
        ("#!/usr/bin/Rscript", "r"),
        ("#!/usr/bin/env ruby", "ruby"),
        ("#!/usr/bin/php", "php"),
        ("#!/usr/bin/env lua5.4", "lua"),
        ("#!/usr/bin/tclsh8.6", "tcl"),
        ("#!/usr/bin/env pwsh", "powershell"),
    ],
)
def test_a_shebang_decides(first_line: str, language: str) -> None:
    assert detected(f"{first_line}\nx = 1\n") == language
    assert MultiLanguageTool.detect_language(f"{first_line}\n", "tool") == language


@pytest.mark.parametrize(
    ("filename", "code", "language"),
    [
        ("a.rs", "x", "rust"),
        ("src/deep/a.py", "", "python"),
        ("Makefile", "x = 1", "makefile"),
        ("Dockerfile", "x", "dockerfile"),
        ("a.h", "class A {\npublic:\n  std::string s;\n};", "cpp"),
        ("a.h", "int f(void);", "c"),
        ("a.m", "@interface A : NSObject\n@end", "objective-c"),
        ("a.m", "function y = f(x)\n  y = x .^ 2;\nend", "matlab"),
        ("a.ts", "const a = 1;", "typescript"),
        ("a.R", "x", "r"),
        ("a.pas", "x", "pascal"),
        ("a.unheardof", "def f():\n    pass", "python"),
        ("notes.txt", "import this", "text"),
    ],
)
def test_the_name_of_a_file_decides(filename: str, code: str, language: str) -> None:
    assert MultiLanguageTool.detect_language(code, filename) == language


def test_parsers_see_all_of_a_long_file() -> None:
    assert detected(json.dumps([{"key": "value"}] * 5000)) == "json"
    assert (
        detected("# a long comment\n" * 3000 + "def f():\n    return {\n" + "        1: 2,\n" * 3000 + "    }\n")
        == "python"
    )


def test_what_parses_as_python_by_chance_is_not_python() -> None:
    assert [detected(code) for code in ("a", "a, b", "(a)", "key: value", "1 + 1", "yes or no")] == ["text"] * 6


def test_python_that_does_not_parse_is_python() -> None:
    assert detected("def f(x):\n    return x +\n") == "python"


def test_nothing_is_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert detected("x = '\\d' is 1\nprint(1if x else 2)\n") == "python"


def test_no_text_takes_for_ever() -> None:
    """A sign that looks at each place for each other one would need minutes; the limit of a test is one."""
    many = ["\n", " ", "a", "{", "a::", '<a b="c"', "let a = \n", "# a\n", "[a]\n", "select\n", "a: b\n", " \n"]
    assert all(detected(text * (20_000 // len(text))) for text in many)
