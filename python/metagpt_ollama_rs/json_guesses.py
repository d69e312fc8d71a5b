"""Guesses at JSON that has no one reading, with the library json_repair, and checks each guess against the text.

The library repairs anything: of prose it makes an empty text, of what it does not understand it leaves something out,
without a word. So a guess counts only if it says what the text says: each key, text, number and literal stands in the
text, in this order, whole, with nothing but spaces, quotes, brackets and commas between them. For example:

>>> guess_json('{"say": "a "quoted" word", "to": "her"}')  # doctest: +SKIP
{'say': 'a "quoted" word', 'to': 'her'}
>>> guess_json('{"a": 1, and so on}')

The library is imported at the first guess. Where it is not installed, no guess is made, which the log says once. No
I/O, nothing of MetaGPT.
"""

from __future__ import annotations

import functools
import logging
import re
from typing import Any, Callable, Optional

__all__ = ["MAX_GUESS", "guess_json"]

# Longer texts are not guessed at: the library's time grows with the square of some texts' length.
MAX_GUESS = 20_000

_GAP = re.compile(r"[\s\ufeff{}\[\]()｛｝［］,:，：、;；]*")
_EMPTY = re.compile(r"(\"\"|''|“”)(?![\"'“”])")
_SPACES = re.compile(r"(?:\s|\\[nrt])*")
_NUMBER = re.compile(r"[+-]?[0-9][0-9_]{0,300}(\.[0-9]+)?([eE][+-]?[0-9]+)?(?![\w.])")
_LITERAL = re.compile(r"true|false|null|none", re.IGNORECASE)
_QUOTES = ('"', "'", "“", "”", "‘", "’", "`")
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", '"': '"', "'": "'", "\\": "\\", "/": "/"}
# A text that a program would put together of two.
_SUM = re.compile(r"[\"'`]\s*\+\s*[\"'`]")
# What follows a text that lacks its last quote, and one that has no quotes. Without a quote further on, the first may
# be a text that was cut off.
_ENDS_UNQUOTED = re.compile(r"[,:，：、;；}\]｝］][^\"'”]*[\"'”]")
_ENDS_WORD = re.compile(r"\s*([,:，：、;；}\]｝］]|\Z)")
# What follows the quote that ends a value in an object, one in a list, a key.
_ENDS_MEMBER = re.compile(r"\s*([}｝]|[,，]\s*[\"'“][^\"'“”\n]{1,80}[\"'”]\s*[:：])")
_ENDS_ELEMENT = re.compile(r"\s*([\]］]|[,，]\s*[\"'“\[{0-9tfn-])")
_ENDS_KEY = re.compile(r"\s*[:：]")


def guess_json(text: str) -> Any:
    """The object or list that ``text`` is to be; None if nothing is found that says what the text says."""
    repair = _repair_function()
    if repair is None or len(text) > MAX_GUESS:
        return None
    try:
        guess = repair(text, return_objects=True, skip_json_loads=True)
    except (ValueError, RecursionError, IndexError, TypeError):
        return None
    if not isinstance(guess, (dict, list)) or not guess:
        return None
    try:
        return _Check(text).confirmed(guess)
    except (_Mismatch, RecursionError):
        return None


@functools.cache
def _repair_function() -> Optional[Callable[..., Any]]:
    try:
        from json_repair import repair_json
    except ImportError:
        logging.getLogger("metagpt_ollama_rs").warning(
            "json_repair is not installed, so that answers with broken JSON are repaired less often; "
            "hint: pip install json-repair"
        )
        return None
    function: Callable[..., Any] = repair_json
    return function


class _Mismatch(Exception):
    """The text does not say what the guess says."""


class _Check:
    """Walks through a guess and the text side by side."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0

    def confirmed(self, guess: Any) -> Any:
        """The guess in the words of the text. Raises ``_Mismatch`` if the text says anything else, or more."""
        value = self._part(guess, _ENDS_MEMBER)
        self._skip(_GAP)
        if self._position < len(self._text):
            raise _Mismatch
        return value

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        found = pattern.match(self._text, self._position)
        self._position = found.end() if found else self._position
        return found is not None

    def _part(self, part: Any, end: re.Pattern[str]) -> Any:
        if isinstance(part, dict):
            made = {}
            for key, one in part.items():
                name = self._string(key, _ENDS_KEY)
                made[name] = self._part(one, _ENDS_MEMBER)
            return made
        if isinstance(part, list):
            return [self._part(one, _ENDS_ELEMENT) for one in part]
        if isinstance(part, str):
            return self._string(part, end)
        self._skip(_GAP)
        pattern = _LITERAL if part is None or isinstance(part, bool) else _NUMBER
        found = pattern.match(self._text, self._position)
        if found is None:
            raise _Mismatch
        self._position = found.end()
        if pattern is _LITERAL:
            agrees = {"true": True, "false": False}.get(found[0].lower()) is part
        else:
            number = found[0].replace("_", "")
            is_whole = number.lstrip("+-").isdigit()
            agrees = isinstance(part, float) != is_whole and type(part)(number) == part
        if not agrees:
            raise _Mismatch
        return part

    def _string(self, string: str, end: re.Pattern[str]) -> str:
        """The string that comes next, from one quote to the other, or without quotes up to what ends it.

        ``end`` is what follows such a text. A quote within the text that this follows, too, could be its end as well:
        then the guess is one of several.
        """
        self._skip(_GAP)
        if not string and self._skip(_EMPTY):
            return ""
        text = self._text
        quote = text[self._position : self._position + 1]
        quote = quote if quote in _QUOTES else ""
        position = self._position + len(quote)
        for char in string:
            there = text[position : position + 1]
            if there == char and not (there == quote and end.match(text, position + 1)):
                position += 1
            elif there == "\\" and _ESCAPED.get(text[position + 1 : position + 2]) == char:
                position += 2
            else:
                raise _Mismatch
        # The library leaves out spaces at the end.
        spaces = _SPACES.match(text, position) if quote else None
        last = spaces.end() if spaces else position
        if text[last : last + 1] in _QUOTES:
            self._position = last + 1
            if text[last + 1 : last + 2].isalnum():
                # ["a"b"]: the quote is one of the text as well as the end of another.
                raise _Mismatch
            string += re.sub(r"\\(.)", lambda escape: _ESCAPED[str(escape[1])], text[position:last])
        elif (_ENDS_UNQUOTED if quote else _ENDS_WORD).match(text, position):
            self._position = position
        else:
            raise _Mismatch
        if not string or _SUM.search(string):
            raise _Mismatch
        return string
