"""The comments of programs: what is translated, what is kept, and that nothing else changes, also of programs that
hypothesis makes up."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import metagpt_ollama_rs
from metagpt_ollama_rs.slc.languages.code_comments import read_comments
from metagpt_ollama_rs.slc.languages.comment_pragmas import is_pragma

PYTHON = '''#!/usr/bin/env python
# -*- coding: utf-8 -*-
"""Module.

More of it:
    - an item
"""
import os  # noqa: F401

# First line,
# second line.
#
# Third.  # type: ignore
def f(x):  # trailing
    r"""Raw \\d.

    Args:
        x: the value,
            which goes on.

    >>> f(1)
    2

    After.
    """
    y = "# no comment"
    """no docstring"""
    return x

class A:
    'short'
    # ------------
'''

# Of each language: code, the texts in its comments, and what is kept.
TABLE = {
    "python": (
        PYTHON,
        ["Module.", "More of it:", "- an item", "First line,\nsecond line.", "Third.", "trailing", "Raw \\d.", "Args:",
         "x: the value,\nwhich goes on.", "After.", "short"],
        ["/usr/bin/env python", "-*- coding: utf-8 -*-", "noqa: F401", "# type: ignore", ">>> f(1)", "2"],
    ),
    "c": (
        '/* Block\n * of lines\n */\n#include <stdio.h> /* pre */\nint a; // one \\\n two\n/** doc\n'
        ' *  @param x the x\n *  @return y */\n'
        'int f(int x) { return x; /* fallthrough */ }\n// clang-format off\nchar *s = "// no";\n',
        ["Block\nof lines", "pre", "one", "two", "doc", "@param x the x", "@return y"],
        ["fallthrough", "clang-format off"],
    ),
    "javascript": (
        "#!/usr/bin/env node\n// eslint-disable-line\nconst a = `// no`; // yes\n/* one */ const r = /\\/\\/ no/;\n",
        ["yes", "one"],
        ["eslint-disable-line"],
    ),
    "go": (
        '//go:build linux\n\n// Package x does.\npackage x\n\n/*\n#include <a.h>\n*/\nimport "C"\n\n//export Foo\n'
        "func Foo() {} // does it\n",
        ["Package x does.", "does it"],
        ["go:build linux", "include <a.h>", "export Foo"],
    ),
    "rust": (
        "//! Crate\n/// Of f:\n/// ```\n/// let x = 1;\n/// ```\n/// End.\nfn f() {} // t\n/* a /* nested */ b */\n",
        ["Crate", "Of f:", "End.", "t", "a /* nested */ b"],
        ["```", "let x = 1;", "```"],
    ),
    "java": (
        "/**\n * Doc {@code x}.\n *\n * @param a the a\n */\nclass A { int x; /* y */ } // z",
        ["Doc {@code x}.", "@param a the a", "y", "z"],
        [],
    ),
    "html": (
        "<!-- one -->\n<p>text</p>\n<!--[if IE]> x <![endif]-->\n<!-- two\n     lines -->",
        ["one", "two\nlines"],
        ["[if IE]> x <![endif]"],
    ),
    "sql": ("-- one\nSELECT /*+ HINT */ '-- no'; /* two */\n", ["one", "two"], ["+ HINT"]),
    "haskell": ("{- block\n   two -}\n-- | doc\nf = 1 -- end", ["block\ntwo", "doc", "end"], []),
    "lua": ("--[[ block\n two ]]\n-- x\nlocal a = '-- no'", ["block\ntwo", "x"], []),
    "bash": (
        '#!/bin/sh\n# shellcheck disable=SC1\n# hi there\necho "# no" ${#x} # yes',
        ["hi there", "yes"],
        ["shellcheck disable=SC1"],
    ),
    "ruby": (
        "# frozen_string_literal: true\n=begin\nblock text\n=end\nputs 1 # hi",
        ["block text", "hi"],
        ["frozen_string_literal: true"],
    ),
    "php": ("<?php // x\n# y\n/* z */ echo 1; ?>", ["x", "y", "z"], []),
    "css": ("/* c */ a { b: c } /* d */", ["c", "d"], []),
    "yaml": ("# one\na: 1 # two\nb: '# no'\n", ["one", "two"], []),
    "toml": ('# one\na = "# no" # two\n', ["one", "two"], []),
    "json": ('{"a": "// no"}', [], []),
    "text": ("# no code\n", [], []),
}  # fmt: skip


@pytest.mark.parametrize("language", TABLE)
def test_the_texts_of_comments(language: str) -> None:
    code, texts, kept = TABLE[language]
    comments = read_comments(code, language)
    assert comments.texts == texts
    assert [text for text in comments.kept if not text.startswith(("/bin", "/usr/bin/env node"))] == kept


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("language", TABLE)
def test_what_is_put_back_as_it_was_changes_nothing(language: str, end: str) -> None:
    code = TABLE[language][0].replace("\n", end)
    comments = read_comments(code, language)
    assert comments.texts == TABLE[language][1]
    assert comments.replaced(comments.texts) == code


@pytest.mark.parametrize("language", TABLE)
def test_other_texts_keep_marks_indentation_and_lines(language: str) -> None:
    code, texts, _ = TABLE[language]
    made = read_comments(code, language).replaced([f"一{text.upper()}二" for text in texts])
    assert made is not None
    assert len(made.split("\n")) == len(code.split("\n"))
    again = read_comments(made, language)
    assert "\n".join(again.texts) == "\n".join(f"一{text.upper()}二" for text in texts)
    assert again.kept == read_comments(code, language).kept
    for before, after in zip(code.split("\n"), made.split("\n")):
        assert len(before) - len(before.lstrip()) == len(after) - len(after.lstrip())


def test_spaces_of_other_kinds_are_no_part_of_a_text() -> None:
    comments = read_comments("#\xa0one\u3000\n#\x0c\nx = 1\n", "python")
    assert comments.texts == ["one"]
    assert comments.replaced(["two"]) == "#\xa0two\u3000\n#\x0c\nx = 1\n"


def test_mixed_line_ends_stay_where_they_are() -> None:
    code = "# one\r\nx = 1\r# two\ny = '\x0c\u2028'  # three\x0c\r\n"
    made = read_comments(code, "python").replaced(["1", "2", "3"])
    assert made == "# 1\r\nx = 1\r# 2\ny = '\x0c\u2028'  # 3\x0c\r\n"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("eins\nzwei\ndrei", ["eins", "zwei", "drei"]),
        ("  eins \n zwei\n\tdrei  \n", ["eins", "zwei", "drei"]),
        ("one two three four five six", ["one two", "three four", "five six"]),
        ("一二三四五六七八九", ["一二三", "四五六", "七八九"]),
        ("a\nb\nc\nd", ["a b", "c d", ""]),
        ("", ["one", "two", "three"]),
        ("\n \n", ["one", "two", "three"]),
        ("x\x00y\u2028z\x85", ["x", "y", "z"]),
    ],
)
def test_a_text_is_fitted_to_its_lines(text: str, lines: list[str]) -> None:
    code = "# one\n# two\n# three\nx = 1\n"
    made = read_comments(code, "python").replaced([text])
    assert made == "".join(f"# {line}\n" for line in lines) + "x = 1\n"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ('"""One."""\n', 'Say "it"'),
        ('"""One."""\n', 'a """ b'),
        ('"""One."""\n', "ends with \\"),
        ('"""One."""\n', "\\d and \\x and \\N"),
        ('r"""One \\d."""\n', "ends with \\"),
        ("'One.'\n", "don't"),
        ('"One."\n', 'a "quoted" word'),
        ('"""One\n\n    two\n    """\n', '"""'),
        ('u"""One."""\n', '""""""'),
        ("R'''One.'''\n", "'''a'''"),
    ],
)
def test_a_docstring_ends_where_it_ended(code: str, text: str) -> None:
    comments = read_comments(f"{code}x = 1\n", "python")
    made = comments.replaced([text] * len(comments.texts))
    assert made is not None
    assert made.endswith("\nx = 1\n")
    assert len(ast.parse(made).body) == 2
    assert "".join(made.split()) != "".join(code.split())


def test_literals_side_by_side_are_no_docstring_that_is_translated() -> None:
    code = "def f():\n    'one' 'two'\n    x = 'three'\n    'four'\n    f'five'\n"
    assert read_comments(code, "python").texts == []


@pytest.mark.parametrize(
    "code",
    ["print 'old'  # one\n", "%matplotlib inline\nx = 1  # one\n", "    return x  # one\n", "if x:  # one\n"],
    ids=["Python 2", "notebook", "indented", "cut"],
)
def test_python_that_does_not_parse_has_comments_all_the_same(code: str) -> None:
    comments = read_comments(code, "python")
    assert comments.texts == ["one"]
    assert comments.replaced(["eins"]) == code.replace("one", "eins")


def test_metadata_of_a_script_is_kept() -> None:
    code = '# /// script\n# requires-python = ">=3.9"\n# dependencies = []\n# ///\n# What it does.\nimport os\n'
    assert read_comments(code, "python").texts == ["What it does."]


@pytest.mark.parametrize(
    "text",
    [
        "noqa", "type: ignore[x]", "pylint: disable=all", "pragma: no cover", "fmt: off", "mypy: strict",
        "%% [markdown]",
        "vim: set ts=4:", "nosec B101", "eslint-disable", "@ts-ignore", "prettier-ignore", "istanbul ignore next",
        "go:generate x", "+build linux", "nolint:all", "NOLINTNEXTLINE", "clang-format off", "rubocop:disable X",
        "shellcheck source=/dev/null", "SPDX-License-Identifier: MIT", "sourceMappingURL=a.js.map", "phpcs:ignore",
        "yaml-language-server: $schema=x", "language=SQL", "swiftlint:disable x", "LANGUAGE GADTs #-}", "NOSONAR",
        "syntax=docker/dockerfile:1", "region Helpers", "#endregion", "@generated by x", "encoding: utf-8",
    ],
)  # fmt: skip
def test_what_programs_read(text: str) -> None:
    assert is_pragma(text)


@pytest.mark.parametrize(
    "text",
    [
        "no quarrel", "types of things", "the region", "regional data", "formats a date", "global state",
        "in all cases",
        "exports the data", "line 3 is odd", "go on", "fall back to this", "language of the user", "vimrc", "validate",
        "ignore the rest", "disable it", "Note: this is odd", "lint is not needed", "syntax of it", "generated later",
    ],
)  # fmt: skip
def test_what_people_read(text: str) -> None:
    assert not is_pragma(text)


def test_files_of_this_package_stay_the_same_programs() -> None:
    for file in sorted(Path(metagpt_ollama_rs.__file__).parent.glob("slc/*.py"))[::5]:
        code = file.read_text(encoding="utf-8")
        comments = read_comments(code, "python")
        assert comments.replaced(comments.texts) == code
        made = comments.replaced([f"«{text}» \"'\\" for text in comments.texts])
        assert made is not None
        assert code_of(made) == code_of(code)


def code_of(code: str) -> list[tuple[int, str]]:
    """The tokens of Python code, without comments and with nothing of what is a statement of a text alone."""
    tree = ast.parse(code)
    texts = {
        (node.lineno, node.end_lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    }
    return [
        (token.type, "" if token.type == tokenize.STRING and (token.start[0], token.end[0]) in texts else token.string)
        for token in tokenize.generate_tokens(io.StringIO(code).readline)
        if token.type not in (tokenize.COMMENT, tokenize.NL)
    ]


# Programs: statements and blocks, with comments, docstrings, and strings that look like either.
words = st.text(
    st.sampled_from("ab #'\"\\{}`\t.,:;@*/-数é\u2028\x0c") | st.characters(exclude_categories=("Cs", "Cc")), max_size=12
)
comments_of_programs = words.map(lambda text: "#" + "".join(text.splitlines()))
literals = words.map(repr) | words.map(
    lambda text: f'"""{text}\n# no comment\n"""'.replace("\\", "").replace('""""', '"""')
)
simple = st.sampled_from(["x = 1", "f(x)", "pass", "import os", "x = (1,\n # within\n 2)", "y = [\n]", "del x"])
statements = st.one_of(simple, literals.map(lambda text: f"x = {text}"), literals)


def block(head: str, body: list[str]) -> str:
    lines = "\n".join(body).split("\n")
    return "\n".join([head, *(f"    {line}" for line in lines)])


lines_of_programs = st.recursive(
    st.tuples(statements, st.just("") | comments_of_programs).map(lambda pair: "  ".join(pair).rstrip(" "))
    | comments_of_programs,
    lambda inner: st.builds(
        block,
        st.sampled_from(["def f(x):", "class A:", "if x:", "async def g():", "for x in y:", "with x as y:"]),
        st.tuples(st.lists(inner, max_size=3), statements).map(lambda pair: [*pair[0], pair[1]]),
    ),
    max_leaves=8,
)
programs = st.tuples(st.lists(lines_of_programs, max_size=5), st.sampled_from(["", "\n"])).map(
    lambda pair: "\n".join(pair[0]) + pair[1]
)


@settings(max_examples=150, deadline=None)
@given(programs, st.lists(words, min_size=1), st.sampled_from(["\n", "\r\n"]))
def test_the_code_of_any_program_is_the_same(program: str, translations: list[str], end: str) -> None:
    try:
        before = code_of(program)
    except (SyntaxError, ValueError, tokenize.TokenError):
        return
    code = program.replace("\n", end)
    comments = read_comments(code, "python")
    assert comments.replaced(comments.texts) == code
    made = comments.replaced([translations[number % len(translations)] for number in range(len(comments.texts))])
    assert made is not None
    assert code_of(made.replace("\r\n", "\n")) == before
    assert made.count(end) == code.count(end)


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("c", '#define URL "http://example.org"  // the address\n'),
        ("cpp", '#define MARK "/* text */"\n'),
        ("jsx", "const a = <a>http://example.org</a>;\n"),
        ("typescript", "const a = <a>http://example.org</a>;\n"),
        ("php", "<?php f(); // the end ?> <b>bold</b>\n"),
        ("sql", "CREATE FUNCTION f() AS $$ SELECT 1 -- one $$ LANGUAGE sql;\n"),
        ("ini", "path = /bin ; /usr/bin\n"),
    ],
)
def test_what_is_code_to_compilers_is_no_comment(language: str, code: str) -> None:
    assert read_comments(code, language).texts == []


def test_a_directive_without_texts_has_comments() -> None:
    assert read_comments("#define N 1  // how many\n#include <a.h>  /* why */\n", "c").texts == ["how many", "why"]


# Most take minutes where the time grows with the square of the length.
@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("c", "/* a" + " " * 200_000 + "b */"),
        ("c", "/* a" + "*" * 200_000 + "b */"),
        ("c", "/* a" + " x" * 100_000 + " \\" * 100_000 + "b */"),
        ("python", "# a" + " " * 200_000 + "b"),
        ("python", "# /// script\n" * 20_000),
        ("python", "x = [" + "'a', " * 30_000 + "]  # letters\n"),
    ],
    ids=["blanks", "stars", "words", "blanks of Python", "script blocks", "literals in a line"],
)
def test_long_lines_and_long_rows_of_marks(language: str, code: str) -> None:
    comments = read_comments(code, language)
    assert comments.replaced(comments.texts) == code
