"""Long texts are cut at their borders, into pieces that fit and together are the text."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from metagpt_ollama_rs.slc.projects.text_pieces import cut_text

PYTHON = '''\
"""A module."""

import sys

# What it is.
@decorated
def first(value):
    one = value

    return one


class Second:
    size = 1

    def grow(self):
        self.size += 1

    # A comment.
    def shrink(self):
        self.size -= 1


def third():
    return """
def not_a_function():
    pass
"""
'''


def cut(name: str, text: str, size: int) -> list[str]:
    return [piece.text for piece in cut_text(name, text, lambda piece: len(piece) <= size)]


def starts(pieces: list[str]) -> list[str]:
    return [piece.split("\n")[0] for piece in pieces]


def test_python_is_cut_before_statements_of_the_module() -> None:
    assert starts(cut("a.py", PYTHON, 160)) == ['"""A module."""', "class Second:", "def third():"]


def test_comments_and_decorators_belong_to_what_they_stand_above() -> None:
    assert starts(cut("a.py", PYTHON, 85))[1] == "# What it is."


def test_a_class_that_does_not_fit_is_cut_before_its_methods() -> None:
    methods = (f"    def method_{number}(self):\n        return {number}\n\n" for number in range(40))
    text = "class Long:\n" + "".join(methods)
    pieces = cut("a.py", text, 300)
    assert len(pieces) > 4
    assert all(piece.startswith("    def method_") for piece in pieces[1:])


def test_what_stands_in_a_text_is_no_border_of_python() -> None:
    text = ("VALUE = 1\n" * 12 + 'TEXT = """\n' + "\ndef fake():\n    pass\n" * 3 + '"""\n') * 5
    pieces = cut("a.py", text, 250)
    assert len(pieces) > 4
    assert all(piece.startswith(("VALUE", "TEXT")) for piece in pieces)


@pytest.mark.parametrize(
    "text", ["def broken(:\n\nx\n" * 9, "int main() {\n  a;\n\n  b;\n}\n\nint other() {\n}\n\n" * 5]
)
def test_other_texts_are_cut_before_paragraphs(text: str) -> None:
    pieces = cut("a.c", text, 60)
    assert "".join(pieces) == text
    assert all(piece.startswith(("def", "int", "x")) for piece in pieces)


def test_a_line_that_does_not_fit_is_cut_between_words_and_characters() -> None:
    text = "short\n" + "word " * 50 + "\n" + "漢" * 100 + "\nend"
    pieces = cut("a.txt", text, 40)
    assert "".join(pieces) == text
    assert all(len(piece) <= 40 for piece in pieces)
    assert all(piece.endswith(("word ", "\n")) for piece in pieces if "word" in piece)


@pytest.mark.parametrize("name", ["a.py", "a.txt"])
def test_pieces_are_the_text_whatever_it_is(name: str) -> None:
    chance = random.Random(7)
    source = Path(__file__).read_text(encoding="utf-8")
    texts = ["", "\n", "a", "\n\n\n", "a\x0cb\u2028c\n", source]
    texts += ["".join(chance.choices("a \n\t漢#", k=chance.randrange(200))) for _ in range(200)]
    for text in texts:
        for size in (1, 2, 7, 50, 100_000):
            pieces = cut_text(name, text, lambda piece, size=size: len(piece) <= size)
            assert "".join(piece.text for piece in pieces) == text
            assert all(0 < len(piece.text) <= size for piece in pieces)


def test_the_numbers_of_the_lines_are_those_of_the_text() -> None:
    text = "".join(f"line {number}\n" for number in range(1, 101))
    pieces = cut_text("a.txt", text, lambda piece: len(piece) <= 100, first=11)
    assert pieces[0].first == 11
    assert pieces[-1].last == 110
    assert all(after.first == before.last + 1 for before, after in zip(pieces, pieces[1:]))
    assert all(piece.text.count("\n") == piece.last - piece.first + 1 for piece in pieces)
