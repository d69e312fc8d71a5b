r"""The comments of a program: the texts in them, and the program with other texts in their places.

>>> comments = read_comments("x = 1  # the number\n", "python")
>>> comments.texts, comments.replaced(["数量"])
(['the number'], 'x = 1  # 数量\n')

A text is what people read: consecutive lines of comments as one, without their marks. Everything else stays as it is,
to the byte: code, marks, indentation, line ends, the number of lines. Not touched at all are comments that programs
read (shebangs, encodings, ``# noqa``, ``//go:build``, …), and code in comments (doctests, fences). Python's comments
and docstrings are found by ``tokenize`` and ``ast``, those of other languages by Pygments. No I/O.
"""

from __future__ import annotations

import ast
import io
import re
import textwrap
import tokenize
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Optional

from metagpt_ollama_rs.program_text import PARSE_ERRORS
from metagpt_ollama_rs.slc.extras import optional_module
from metagpt_ollama_rs.slc.languages.comment_pragmas import is_pragma

__all__ = ["Comments", "read_comments"]

_LINE_END = re.compile("\r\n|\r|\n")
# What begins a comment, or a line of one.
_OPENER = re.compile(
    r"[ \t]*(?:<!--+|/\*[*!]*|\(\*+|\{-+\|?|--\[=*\[|#\||<#|//[/!]*|#+[!:]?|--+(?: ?[|^])?|;+|%+|\*+(?!/)|\{#|"
    r"\"|'+|!+<?|=(?:begin|end|pod|cut|head\d|over|item|back)\b|(?i:rem)\b|dnl\b)?[ \t]*"
)
# What ends it, read backwards, so that long rows of blanks or stars take no long time.
_CLOSER_BACKWARDS = re.compile(r"[ \t\\]*(?:/\*+|>--+|\)\*+|\}-|\]=*\]|#\||>#|\}#)?[ \t]*")
# What begins a comment of several lines.
_BLOCK = re.compile(r"/\*|<!--|\(\*|\{-|--\[=*\[|#\||<#|\{#|=\w")
# The mark of a second comment within one, such as `# What it is.  # type: ignore`.
_MARK_WITHIN = re.compile(r"(?<![ \t])[ \t]+(?:#|//|--)[ \t]*")
_COMMENT_MARK = re.compile(r"[ \t]*(?:/[/*]|#|--|;|<!--|\(\*|\{-)")
# A line that begins something of its own: an item of a list, a tag, a heading such as `Args:`.
_ITEM = re.compile(r"[-*+•@:\\]|\d+[.)]|\w+:\s*$|\w+\s*(?:\(.*\))?: ")
_FENCE = re.compile(r"```|~~~")
_DOCTEST = re.compile(r">>>(\s|$)")
# What would end a comment of one line, or its line, somewhere in the world.
_CONTROL = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029]+")
# What Pygments takes for a part of a comment and compilers do not: the end of PHP, and the line ends that Java escapes.
_HIDDEN_ENDS = re.compile(r"\?>|\\u")
_LITERAL = re.compile(r"([rRuU]?)(\"\"\"|'''|\"|')")
_CGO = re.compile(r'\n*import "C"')
_SCRIPT_BLOCK = re.compile(r"^# /// [a-zA-Z0-9-]+$\n(?:^#(?!\x20/// )(?:| .*)$\n)+?^# ///$", re.MULTILINE)
_DOLLAR_QUOTE = re.compile(r"\$\w*\$")


class _Line(NamedTuple):
    """The text of one line of a comment: where it is in the program, and its column.

    ``mark`` is what stands before it. ``is_item`` says that it begins something of its own, ``opens`` that it is the
    first one of a docstring or of a comment of several lines. ``quotes`` is what ends the docstring that it is in, or
    "", and ``is_raw`` says that backslashes mean themselves there.
    """

    start: int
    end: int
    row: int
    column: int
    mark: str
    is_item: bool
    opens: bool
    quotes: str = ""
    is_raw: bool = True

    def goes_on_with(self, line: _Line) -> bool:
        """Whether ``line`` says more of what this one says."""
        is_below = line.column == self.column or self.opens or (self.is_item and line.column > self.column)
        is_same_comment = line.mark == self.mark or (self.opens and line.mark in ("", "*"))
        return line.row == self.row + 1 and is_below and is_same_comment and not line.is_item


@dataclass(frozen=True)
class Comments:
    """The texts in the comments of a program. ``kept`` are the lines of comments that are left as they are.

    >>> comments = read_comments("// One,\\n// two.\\nf(); // three\\n// eslint-disable\\n", "javascript")
    >>> comments.texts, comments.kept
    (['One,\\ntwo.', 'three'], ['eslint-disable'])
    """

    texts: list[str]
    kept: list[str]
    _code: str
    _line_ends: list[str]
    _pieces: list[list[_Line]]
    _language: str

    def replaced(self, texts: Sequence[str]) -> Optional[str]:
        """The program with these texts, one for each of ``texts``; None if its code would not be the same. A text of
        nothing leaves the one that is there."""
        made, position = [], 0
        for piece, before, text in zip(self._pieces, self.texts, texts):
            for line, new in zip(piece, _fitted(text, before.split("\n"))):
                old = self._code[line.start : line.end]
                if self._language != "python" and _HIDDEN_ENDS.search(new) and not _HIDDEN_ENDS.search(old):
                    return None
                made += [self._code[position : line.start], old if new == old else _spelled(new, old, line, self._code)]
                position = line.end
        code = "".join([*made, self._code[position:]])
        return self._with_line_ends(code) if self.has_same_code(code) else None

    def has_same_code(self, code: str) -> bool:
        """Whether ``code`` differs from the program in nothing but comments and docstrings."""
        try:
            return _code_tokens(code, self._language) == _code_tokens(self._code, self._language)
        except _UNREADABLE:
            return False

    def same_program(self, code: str) -> Optional[str]:
        """``code``, which somebody else has written anew, with the line ends of the program; None if it is not the same
        code, or if a comment of ``kept`` is not in it."""
        plain = _LINE_END.sub("\n", code).rstrip("\n") + self._code[len(self._code.rstrip("\n")) :]
        if not self.has_same_code(plain) or read_comments(plain, self._language).kept != self.kept:
            return None
        usual = Counter(self._line_ends).most_common(1)
        return plain.replace("\n", usual[0][0] if usual else "\n")

    def _with_line_ends(self, code: str) -> str:
        lines = code.split("\n")
        return "".join(line + end for line, end in zip(lines, [*self._line_ends, ""]))


def read_comments(code: str, language: str) -> Comments:
    """The comments of ``code``, which is in ``language``, such as ``python`` (an alias of Pygments)."""
    ends = _LINE_END.findall(code)
    plain = _LINE_END.sub("\n", code)
    if language == "python" and not _is_python(plain):
        # Python 2, a notebook with magics, a part of something: Pygments tells the comments, if not the docstrings.
        language = "python2"
    lines, kept = _translatable(plain, language)
    pieces: list[list[_Line]] = []
    for line in lines:
        if pieces and pieces[-1][-1].goes_on_with(line):
            pieces[-1].append(line)
        else:
            pieces.append([line])
    texts = ["\n".join(plain[line.start : line.end] for line in piece) for piece in pieces]
    return Comments(texts, kept, plain, ends, pieces, language)


_UNREADABLE = (*PARSE_ERRORS, tokenize.TokenError)


def _is_python(code: str) -> bool:
    try:
        _code_tokens(code, "python")
    except _UNREADABLE:
        return False
    return True


class _Comment(NamedTuple):
    """A comment or a docstring: what of ``code`` it is, from its first mark to its last."""

    start: int
    end: int
    quotes: str = ""
    is_raw: bool = True


def _translatable(code: str, language: str) -> tuple[list[_Line], list[str]]:
    """The lines of comments that people read, and the texts of the other ones."""
    starts = [0, *(found.end() for found in re.finditer("\n", code))]
    found: list[_Line] = []
    kept: list[str] = []
    closed = [block.span() for block in _SCRIPT_BLOCK.finditer(code)] if language == "python" else []
    is_fenced = is_example = False
    row, last = 0, -2
    for comment in _comments(code, language):
        while row + 1 < len(starts) and starts[row + 1] <= comment.start:
            row += 1
        position, first_row = comment.start, row
        for number, text in enumerate(code[comment.start : comment.end].split("\n")):
            is_first = number == 0
            begin, end = _text_within(text, is_first, comment, is_last=position + len(text) == comment.end)
            words = text[begin:end]
            here = first_row + number
            is_behind_code = bool(code[starts[here] : position].strip())
            if here != last + 1 or is_behind_code:
                is_fenced = is_example = False
            last = here
            is_fence = bool(_FENCE.match(words))
            is_example = bool(_DOCTEST.match(words)) or (is_example and bool(words))
            if is_fence or is_fenced or is_example or _is_kept(words, position, code, comment, closed):
                if words:
                    kept.append(words)
                is_fenced ^= is_fence
            elif any(map(str.isalpha, words)):
                mark = text[:begin].strip()
                found.append(
                    _Line(
                        position + begin,
                        position + end,
                        here,
                        position - starts[here] + begin,
                        "" if comment.quotes else mark,
                        is_behind_code or bool(_ITEM.match(words)),
                        is_first and (bool(comment.quotes) or bool(_BLOCK.match(mark))),
                        comment.quotes,
                        comment.is_raw,
                    )
                )
                if any(map(str.isalpha, text[end:])) and not comment.quotes:
                    kept.append(text[end:].strip())
            position += len(text) + 1
    return found, kept


def _text_within(text: str, is_first: bool, comment: _Comment, *, is_last: bool) -> tuple[int, int]:
    """Where in one line of a comment its text begins and ends."""
    if comment.quotes:
        begin = len(_LITERAL.match(text)[0]) if is_first else 0  # type: ignore[index]
        end = len(text) - (len(comment.quotes) if is_last else 0)
    else:
        begin = _OPENER.match(text).end()  # type: ignore[union-attr]
        end = len(text) - _CLOSER_BACKWARDS.match(text[::-1]).end()  # type: ignore[union-attr]
        more = next((found for found in _MARK_WITHIN.finditer(text, begin) if is_pragma(text[found.end() :])), None)
        end = end if more is None else more.start()
    begin += len(text[begin:end]) - len(text[begin:end].lstrip())
    return begin, begin + len(text[begin:end].rstrip())


def _is_kept(words: str, position: int, code: str, comment: _Comment, closed: Sequence[tuple[int, int]]) -> bool:
    if comment.quotes:
        return False
    opening = code[comment.start : comment.start + 3]
    return (
        (comment.start == 0 and opening.startswith("#!"))
        or opening in ("/*+", "--+")
        or is_pragma(words)
        or any(start <= position < end for start, end in closed)
        # What cgo compiles.
        or _CGO.match(code, comment.end) is not None
    )


def _comments(code: str, language: str) -> Iterator[_Comment]:
    """The comments of ``code``, and of Python the docstrings, in their order."""
    return _python_comments(code) if language == "python" else _comments_by_pygments(code, language)


def _python_tokens(code: str) -> list[tokenize.TokenInfo]:
    return list(tokenize.generate_tokens(io.StringIO(code).readline))


def _docstring_starts(code: str) -> dict[int, set[int]]:
    """By their rows, the columns, in bytes of UTF-8, at which the docstrings of ``code`` begin."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(code)
    starts: dict[int, set[int]] = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.body:
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                starts.setdefault(first.value.lineno, set()).add(first.value.col_offset)
    return starts


def _is_docstring(token: tokenize.TokenInfo, starts: dict[int, set[int]], following: tokenize.TokenInfo) -> bool:
    """Whether a token is the whole of a docstring: not if it is one of several literals side by side."""
    row, column = token.start
    if row not in starts or token.type != tokenize.STRING or following.type == tokenize.STRING:
        return False
    first_line = token.line.split("\n", 1)[0]
    return len(first_line[:column].encode("utf-8", "surrogatepass")) in starts[row]


def _python_comments(code: str) -> Iterator[_Comment]:
    offsets = [0, *(found.end() for found in re.finditer("\n", code))]
    starts = _docstring_starts(code)
    tokens = _python_tokens(code)
    for token, following in zip(tokens, [*tokens[1:], tokens[-1]]):
        if token.type == tokenize.COMMENT:
            quotes, is_raw = "", True
        elif _is_docstring(token, starts, following):
            prefix, quotes = _LITERAL.match(token.string).groups()  # type: ignore[union-attr]
            is_raw = prefix in ("r", "R")
        else:
            continue
        start, end = (offsets[row - 1] + column for row, column in (token.start, token.end))
        yield _Comment(start, end, quotes, is_raw)


def _pygments_tokens(code: str, language: str) -> Iterator[tuple[int, bool, str]]:
    """Each token of ``code``: where it begins, whether it is a comment for people, and its text."""
    token = optional_module("pygments.token").Token
    lexer = optional_module("pygments.lexers").get_lexer_by_name(language)
    no_comments = (token.Comment.Preproc, token.Comment.PreprocFile, token.Comment.Hashbang, token.Comment.Special)
    has_quotes = False
    # Without a line end at the end, some lexers do not know a comment there.
    for start, kind, text in lexer.get_tokens_unprocessed(code if code.endswith("\n") else f"{code}\n"):
        if kind in (token.Comment.Preproc, token.Comment.PreprocFile):
            has_quotes = "\n" not in text and (has_quotes or '"' in text or "'" in text)
        is_comment = kind in token.Comment and kind not in no_comments
        is_doc = kind in token.String.Doc and _COMMENT_MARK.match(text) is not None
        # In a line such as `#define URL "http://a"` lexers do not know that a text has begun.
        yield start, (is_comment or is_doc) and not has_quotes and not _has_code(code, start, text, language), text


def _has_code(code: str, start: int, text: str, language: str) -> bool:
    """Whether there is code in what a lexer takes for a comment: an address in the text of JSX, the end of PHP or of a
    quoted function in SQL, a value of an INI file."""
    if text.startswith("//") and code[start - 1 : start] == ":":
        return True
    if "php" in language and not text.startswith("/*"):
        return "?>" in text
    if "sql" in language:
        return _DOLLAR_QUOTE.search(text) is not None
    return language == "ini" and bool(code[code.rfind("\n", 0, start) + 1 : start].strip())


def _comments_by_pygments(code: str, language: str) -> Iterator[_Comment]:
    begun: Optional[int] = None
    end = 0
    for start, is_comment, text in _pygments_tokens(code, language):
        if begun is not None and not is_comment:
            yield _Comment(begun, end)
            begun = None
        if is_comment:
            begun = start if begun is None else begun
            end = min(start + len(text.rstrip("\n")), len(code))
    if begun is not None:
        yield _Comment(begun, end)


def _code_tokens(code: str, language: str) -> list[object]:
    """What of ``code`` is code: its tokens without comments, white space between them, and the texts of docstrings."""
    if language != "python":
        return [text for _, is_comment, text in _pygments_tokens(code, language) if not is_comment and text.strip()]
    starts = _docstring_starts(code)
    tokens = _python_tokens(code)
    return [
        (token.type, "" if _is_docstring(token, starts, following) else token.string)
        for token, following in zip(tokens, [*tokens[1:], tokens[-1]])
        if token.type not in (tokenize.COMMENT, tokenize.NL)
    ]


def _fitted(text: str, before: Sequence[str]) -> list[str]:
    """``text`` in as many lines as there were ``before``: its own ones if they are so many."""
    lines = [line.strip() for line in text.strip().split("\n")]
    if not any(lines):
        return list(before)
    if len(lines) == len(before):
        return lines
    whole = " ".join(line for line in lines if line)
    width = max(1, -(-len(whole) // len(before)))
    while len(wrapped := textwrap.wrap(whole, width, break_on_hyphens=False)) > len(before):
        width += 1
    return [*wrapped, *[""] * (len(before) - len(wrapped))]


def _spelled(text: str, old: str, line: _Line, code: str) -> str:
    """``text`` as it can stand in the place of ``old``: without what would end the line or the docstring."""
    text = _CONTROL.sub(" ", text).strip()
    # A backslash at the end would reach into what follows.
    text = text.rstrip("\\ ")
    if not line.is_raw and "\\" not in old:
        text = text.replace("\\", "\\\\")
    if line.quotes:
        mark = line.quotes[0]
        other = "'" if mark == '"' else '"'
        text = text.replace(line.quotes, other * len(line.quotes))
        if code.startswith(line.quotes, line.end) and text.endswith(mark):
            text = text[:-1] + other
    return text
