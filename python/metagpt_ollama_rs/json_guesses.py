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
MAX_GUESS = 100_000

_FILLER_CHARACTERS = " \t\r\n\ufeff{}[]()｛｝［］,:，：、;；\"'“”‘’`"
_FILLER = re.compile(f"[{re.escape(_FILLER_CHARACTERS)}]*")
_EMPTY = re.compile(r"[\s{}\[\]()｛｝［］,:，：、;；]*(\"\"|''|“”)(?![\"'“”])")
_SPACES = re.compile(r"(?:\s|\\[nrt])*")
_NUMBER = re.compile(r"[+-]?[0-9][0-9_]{0,300}(\.[0-9]+)?([eE][+-]?[0-9]+)?(?![\w.])")
_LITERAL = re.compile(r"true|false|null|none", re.IGNORECASE)
_QUOTES = ('"', "'", "“", "”", "‘", "’", "`")
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", '"': '"', "'": "'", "\\": "\\", "/": "/"}
# A text that a program would put together of two.
_SUM = re.compile(r"[\"'`]\s*\+\s*[\"'`]")
# What follows a text that lacks its last quote, and one that has no quotes.
_ENDS_UNQUOTED = re.compile(r"[,:，：、;；}\]｝］]|\Z")
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
        self._skip(_FILLER)
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
        self._skip(_FILLER)
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
        if not string and self._skip(_EMPTY):
            return ""
        self._skip(_FILLER)
        head = len(string) - len(string.lstrip(_FILLER_CHARACTERS))
        if head < len(string) and not _SUM.search(string):
            # The filler may have been the beginning of the text.
            for start in dict.fromkeys((self._position - head, self._position)):
                found = self._matched(start, string, end)
                if found is not None:
                    return found
        raise _Mismatch

    def _matched(self, start: int, string: str, end: re.Pattern[str]) -> Optional[str]:
        text, position = self._text, start
        quote = text[start - 1] if start > 0 and text[start - 1] in _QUOTES else ""
        for char in string:
            there = text[position : position + 1]
            if there == char:
                if there == quote and end.match(text, position + 1):
                    return None
                position += 1
            elif there == "\\" and _ESCAPED.get(text[position + 1 : position + 2]) == char:
                position += 2
            else:
                return None
        if not quote and text[position : position + 1] in _QUOTES:
            self._position = position + 1
            return string
        # The library leaves out spaces at the end.
        spaces = _SPACES.match(text, position)
        last = spaces.end() if spaces else position
        if quote and text[last : last + 1] in _QUOTES:
            self._position = last + 1
            return string + re.sub(r"\\(.)", lambda escape: _ESCAPED[str(escape[1])], text[position:last])
        self._position = position
        return string if (_ENDS_UNQUOTED if quote else _ENDS_WORD).match(text, position) else None
