"""Reads JSON as small models write it, where that has one reading only: comments, single quotes, Python's ``None`` and
``True``, trailing commas, line breaks in texts, Chinese punctuation, an end that is missing.

>>> reading = JsonReader("{'a': True, b: [1, 2,]} is the answer").read(0)
>>> reading.value, reading.end, reading.repairs
({'a': True, 'b': [1, 2]}, 23, ('single quotes', 'literal', 'bare key', 'trailing comma'))

What has several readings is not read but raises `Unreadable`: a quote or a comma that is missing, two values for one
key, an ellipsis in the place of what was left out. ``json_guesses`` guesses at some of these.

A value whose end is missing is completed by what is there. If it was cut off (the text ends in the middle of something,
or the caller says so), a list keeps its complete elements only, because half a command must not be carried out. Of an
object, the last text may be shorter than it was to be, which `Reading.unfinished` tells.

The reader keeps its own stack, and looks at each character once. No I/O, nothing of MetaGPT.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple, Optional

__all__ = ["OPENERS", "JsonReader", "Reading", "Unreadable", "end_of_brackets"]

OPENERS = {"{": "}", "｛": "}", "[": "]", "［": "]"}
_BRACKET = re.compile(r"[{}\[\]｛｝［］]")
_CLOSERS = {"}": "}", "｝": "}", "]": "]", "］": "]"}
# Deeper than any answer. What is nested deeper is not read.
_MAX_DEPTH = 100
_MOST_FORGOTTEN = 2
_LONGEST_KEY = 1000

_SPACE = re.compile(r"[\s\ufeff\u200b-\u200d\u2060]*")
_COMMENT = re.compile(r"//[^\n]*|#[^\n]*|/\*(?:[^*]|\*(?!/))*(?:\*/|$)")
_COMMAS = ",，、;；"
_COLONS = ":："
# The quote that ends a text, by the one that begins it, and the word for what is repaired.
_QUOTES = {
    '"': ('"', ""),
    "'": ("'", "single quotes"),
    "`": ("`", "backquotes"),
    "“": ("”", "punctuation"),
    "‘": ("’", "punctuation"),
    "＂": ("＂", "punctuation"),
}
_UP_TO = {end: re.compile(rf"[^{end}\\]*") for end, _ in _QUOTES.values()}
# The quotes that texts have themselves, too, without a backslash.
_OWN_QUOTES = "\"'"
# A sum of two texts, as a program writes it.
_SUM = re.compile(r"[\"'`]\s*\+\s*[\"'`]")
# Two texts without a comma between them.
_SIDE_BY_SIDE = re.compile(r"\"\s+\"|'\s+'")
_AFTER_ANY = r"[}\]｝］]|\Z|//|#|/\*|```|~~~|\[/\w|</"
_QUOTED_KEY = (
    r"(?:\"[^\"\n]{0,200}(?:\"\s*(?:[:：]|\Z)|\Z)|'[^'\n]{0,200}(?:'\s*(?:[:：]|\Z)|\Z)|“[^”\n]{0,200}(?:”\s*[:：]|\Z))"
)
_NEXT_MEMBER = rf"(?:{_AFTER_ANY}|{_QUOTED_KEY}|[\w .$-]{{1,80}}[:：]|[{{｛])"
# What may follow the last quote of a key, of a value in an object, of a text in a list.
_AFTER_KEY = re.compile(r"\s*(?:[:：]|\Z)")
_AFTER_MEMBER = re.compile(rf"\s*(?:{_AFTER_ANY}|[,，、;；]\s*{_NEXT_MEMBER})|[ \t]*\n\s*{_QUOTED_KEY}")
_AFTER_ELEMENT = re.compile(rf"\s*(?:{_AFTER_ANY}|[,，、;；{{\[｛［])|[ \t]*\n\s*[\"'“]")
_KEY_WITHIN = re.compile(r"[,，]\s*([\"'])[^\"'\n]{1,200}\1\s*[:：]")
_CONTROL = re.compile(r"[\x00-\x1f]")
_NUMBER = re.compile(r"[+-]?(?:[0-9][0-9_]*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w.])")
_JSON_NUMBER = re.compile(r"(-?(?:0|[1-9][0-9]{0,300}))(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORD = re.compile(r"-?[^\W\d][\w.$/-]*(?=\s*(?:[,，、;；}\]｝］\n]|$))")
# A word without quotes and a mark that may begin a comment, or belong to the word: "issue #12".
_WORD_AND_COMMENT = re.compile(r"-?[^\W\d][\w.$/-]*(?:[ \t]+(?://|#|/\*)|/\*)")
_LITERAL_AND_COMMENT = re.compile(r"-?[A-Za-z]+(?=\s+(?://|#|/\*))")
# What may stand right before a comment: nothing that it could be part of.
_BEFORE_COMMENT = re.compile(r"[\s,，、;；:：{}\[\]｛｝［］\"'`”’＂/\ufeff\u200b-\u200d\u2060]")
_KEY = re.compile(r"(?:[^\W\d][\w .$-]{0,80}?|[0-9]{1,20})(?=\s*[:：])")
_LITERALS: dict[str, Any] = {
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    "null": None, "None": None, "NULL": None,
    "NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf"),
}  # fmt: skip
_JSON_LITERALS = ("true", "false", "null")
# The end of the block that holds the value: of a fence, of a tag as MetaGPT's prompts have them, of one of XML.
_BLOCK_END = re.compile(r"```|~~~|\[/\w+\]|</")
_ELLIPSIS = re.compile(r"[\"'“]?(\.\.\.|…)")
# One at the end of a list.
_LAST_ELLIPSIS = re.compile(r"([\"']?)(?:\.\.\.|…)\1\s*[,，]?\s*(?=[\]］])")

_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED = {'"': '"', "\\": "\\", "/": "/", "'": "'", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
# LaTeX's commands that begin as an escape does: "\nabla" is no line break before "abla".
_LATEX = re.compile(
    r"\\(n(abla|u|eq|e|ot|otin|i|exists|eg|onumber|ewline|ewcommand|leq|geq|mid|parallel|subseteq|earrow)"
    r"|t(heta|imes|ext\w*|au|o|an|anh|ilde|op|riangle\w*|binom|frac|herefore|hinspace)"
    r"|r(ho|ight\w*|angle|ceil|floor|m|oot|brace|brack|vert|enewcommand))(?![A-Za-z])"
)
_PATH_BEFORE = re.compile(r"[\w\\.$:-]*\Z")
_PATH_AFTER = re.compile(r"\\[nrt][\w\\.$:-]*")
_IS_PATH = re.compile(r"[A-Za-z]:\\|.*\\(?![nrt])", re.DOTALL)
_PATH_LENGTH = 300


def end_of_brackets(text: str, start: int, limit: Optional[int] = None) -> int:
    """The index after the bracket that closes the one at ``start`` if those in texts count, too; 0 if none does, among
    the next ``limit`` characters if there is one.

    >>> end_of_brackets("[a {b}] c", 0)
    7
    """
    depth = 0
    for bracket in _BRACKET.finditer(text, start, len(text) if limit is None else start + limit):
        depth += 1 if bracket[0] in OPENERS else -1
        if depth == 0:
            return bracket.end()
    return 0


class Unreadable(Exception):
    """What begins here has no reading.

    ``position`` is where it was given up. ``looks_like_json`` says that more than brackets was read before that, unlike
    of a bracket in prose; ``is_hopeless`` that a guess would be wrong, too.

    >>> try:
    ...     JsonReader('{"a": "b, "c": 1}').read(0)
    ... except Unreadable as error:
    ...     error.position, error.looks_like_json
    (6, True)
    """

    def __init__(self, position: int, *, looks_like_json: bool, is_hopeless: bool = False) -> None:
        super().__init__(f"no JSON at character {position}")
        self.position = position
        self.looks_like_json = looks_like_json
        self.is_hopeless = is_hopeless


class Reading(NamedTuple):
    """A value, and how it was read.

    ``end`` is the index after it; ``repairs`` are words of ``json_answers``. ``is_open`` says that its last bracket is
    missing. ``unfinished`` has the ``id`` of each object and text whose end was cut off, ``bare`` that of each word in
    a list that has no quotes.

    >>> JsonReader('["a", "b').read(0, cut=True)[:3]
    (['a'], 8, ('cut',))
    """

    value: Any
    end: int
    repairs: tuple[str, ...]
    is_open: bool
    unfinished: frozenset[int]
    bare: frozenset[int]


class _Frame:
    """A list or an object that is being read; ``key`` is that of the value that comes next."""

    def __init__(self, closer: str) -> None:
        self.closer = closer
        self.is_list = closer == "]"
        self.value: Any = [] if self.is_list else {}
        self.key = ""


# What the reader expects next.
_ITEM = "an element, a member, or the end of the container"
_VALUE = "the value of a key"
_COMMA = "a comma, or the end of the container"

# What stands for a value that was cut off before anything of use was there.
_MISSING = object()


class JsonReader:
    """Reads values out of one text.

    >>> JsonReader("As wanted: {“size”：3}").read(11).value
    {'size': 3}
    """

    def __init__(self, text: str, *, copies_ellipsis: bool = False) -> None:
        """With ``copies_ellipsis``, an ellipsis at the end of a list is taken for one of the example that the model was
        given, and left out. Any other one stands for what the model has left out, and is not read."""
        self._text = text
        self._copies_ellipsis = copies_ellipsis
        self._start(0, False)

    def _start(self, position: int, cut: bool) -> None:
        self._position = position
        self._cut = cut
        self._stack: list[_Frame] = []
        self._expected = _ITEM
        self._after_comma = False
        self._saw_content = False
        self._repairs: dict[str, None] = {}
        self._bare: set[int] = set()
        self._reading: Optional[Reading] = None

    def read(self, start: int, *, cut: bool = False) -> Reading:
        """The object or list that begins at ``start``.

        ``cut`` says that the text ends where the model was stopped. Raises `Unreadable`.
        """
        self._start(start, cut)
        self._open()
        while self._reading is None:
            broke_line = self._skip_space()
            if self._is_at_end():
                self._complete(_MISSING, is_midway=self._expected == _VALUE or self._after_comma)
            elif self._expected == _VALUE:
                self._read_value()
            elif self._char in _CLOSERS:
                self._close(_CLOSERS[self._char])
            elif self._expected == _COMMA:
                self._read_comma(broke_line)
            elif not self._stack[-1].is_list:
                self._read_key()
            elif not self._skip_ellipsis():
                self._read_value()
        return self._reading

    def _skip_ellipsis(self) -> bool:
        """Skips an ellipsis of the example; whether there is one."""
        found = None
        if self._copies_ellipsis and self._stack[-1].value:
            found = _LAST_ELLIPSIS.match(self._text, self._position)
        if found is None:
            return False
        self._position, self._after_comma = found.end(), False
        self._repairs["ellipsis"] = None
        return True

    @property
    def _char(self) -> str:
        return self._text[self._position]

    def _unreadable(self, *, is_hopeless: bool = False) -> Unreadable:
        return Unreadable(self._position, looks_like_json=self._saw_content, is_hopeless=is_hopeless)

    def _skip_space(self) -> bool:
        """Skips spaces and comments; whether there was a line break among them."""
        start = self._position
        while True:
            space = _SPACE.match(self._text, self._position)
            self._position = space.end() if space else self._position
            comment = _COMMENT.match(self._text, self._position)
            if comment is None or not _BEFORE_COMMENT.match(self._text, self._position - 1):
                return "\n" in self._text[start : self._position]
            self._repairs["comment"] = None
            self._position = comment.end()

    def _is_at_end(self) -> bool:
        """Whether the text ends here, or the block that holds the value."""
        return self._position >= len(self._text) or _BLOCK_END.match(self._text, self._position) is not None

    def _open(self) -> None:
        if len(self._stack) >= _MAX_DEPTH:
            raise self._unreadable(is_hopeless=True)
        if self._char in "｛［":
            self._repairs["punctuation"] = None
        self._stack.append(_Frame(OPENERS[self._char]))
        self._position += 1
        self._expected, self._after_comma = _ITEM, False

    def _close(self, closer: str) -> None:
        """Ends the containers up to the next one with this bracket."""
        if all(frame.closer != closer for frame in self._stack):
            raise self._unreadable()
        if self._after_comma:
            self._repairs["trailing comma"] = None
        if self._char in "｝］":
            self._repairs["punctuation"] = None
        while self._stack[-1].closer != closer:
            self._repairs["missing bracket"] = None
            self._end_frame()
        self._position += 1
        self._end_frame()

    def _end_frame(self) -> None:
        value = self._stack.pop().value
        if self._stack:
            self._add(value)
        else:
            self._reading = Reading(
                value, self._position, tuple(self._repairs), False, frozenset(), frozenset(self._bare)
            )

    def _add(self, value: Any) -> None:
        """Puts a value into the innermost container."""
        frame = self._stack[-1]
        if frame.is_list:
            frame.value.append(value)
        elif frame.key in frame.value and frame.value[frame.key] != value:
            # One of the two values of a key would be lost.
            raise self._unreadable(is_hopeless=True)
        else:
            frame.value[frame.key] = value
        self._expected, self._after_comma = _COMMA, False

    def _read_comma(self, broke_line: bool) -> None:
        self._expected = _ITEM
        if self._char in _COMMAS:
            if self._char != ",":
                self._repairs["punctuation"] = None
            self._position += 1
            self._after_comma = True
            return
        # A line without its comma, or objects side by side.
        side_by_side = self._stack[-1].is_list and self._char in OPENERS and self._text[self._position - 1] in _CLOSERS
        if not (broke_line and self._char in _QUOTES) and not (
            self._stack[-1].is_list and self._char in OPENERS and (broke_line or side_by_side)
        ):
            raise self._unreadable()
        self._repairs["missing comma"] = None

    def _read_key(self) -> None:
        frame = self._stack[-1]
        if self._char in OPENERS and frame.value and len(self._stack) > 1 and self._stack[-2].is_list:
            # [{"a": 1, {"a": 2}]
            self._repairs["missing bracket"] = None
            self._end_frame()
            self._expected = _ITEM
            return
        if self._char in _QUOTES:
            key, is_whole = self._read_text(is_key=True)
            if not is_whole:
                self._complete(_MISSING, is_midway=True)
                return
        else:
            found = _KEY.match(self._text, self._position)
            if found is None:
                raise self._unreadable(is_hopeless=_ELLIPSIS.match(self._text, self._position) is not None)
            self._repairs["bare key"] = None
            self._position, key = found.end(), found[0]
        frame.key = key
        self._skip_space()
        if self._position >= len(self._text):
            self._complete(_MISSING, is_midway=True)
            return
        if self._char not in _COLONS:
            raise self._unreadable(is_hopeless=key in ("...", "…"))
        if self._char != ":":
            self._repairs["punctuation"] = None
        self._position += 1
        self._expected, self._saw_content = _VALUE, True

    def _read_value(self) -> None:
        if self._char in OPENERS:
            self._open()
        elif self._char in _QUOTES:
            text, is_whole = self._read_text(is_key=False)
            if not is_whole:
                self._complete(text, is_midway=True)
            elif self._stack[-1].is_list and text in ("...", "…"):
                raise self._unreadable(is_hopeless=True)
            else:
                self._add(text)
        else:
            self._read_word()
        self._saw_content = True

    def _read_word(self) -> None:
        """A number, a literal, or a word without quotes."""
        found = _NUMBER.match(self._text, self._position) or _WORD.match(self._text, self._position)
        if found is None:
            found = _LITERAL_AND_COMMENT.match(self._text, self._position)
            found = found if found is not None and found[0] in _LITERALS else None
        if found is None:
            is_doubtful = _ELLIPSIS.match(self._text, self._position) or _WORD_AND_COMMENT.match(
                self._text, self._position
            )
            raise self._unreadable(is_hopeless=is_doubtful is not None)
        word = found[0]
        is_ended = word in _LITERALS or (found.re is _NUMBER and len(self._stack) == 1)
        if (self._cut or not is_ended) and _SPACE.fullmatch(self._text, found.end()):
            # There may have been more of it. Who forgets one bracket has ended; several at once look like a cut.
            self._position = found.end()
            self._complete(_MISSING, is_midway=True)
            return
        if word in _LITERALS:
            value = _LITERALS[word]
            if word not in _JSON_LITERALS:
                self._repairs["literal"] = None
        elif found.re is _NUMBER:
            value = self._number(word)
        else:
            value = word
            self._repairs["bare word"] = None
            if self._stack[-1].is_list:
                self._bare.add(id(value))
        self._position = found.end()
        self._add(value)

    def _number(self, word: str) -> Any:
        """The number, or the text of one that JSON does not have: what ``007`` is to be, the schema knows."""
        number = _JSON_NUMBER.fullmatch(word)
        if number is not None:
            return float(word) if number[2] or number[3] else int(word)
        if self._after_comma and word.startswith("0"):
            # [1,000]: a number, or two.
            raise self._unreadable(is_hopeless=True)
        self._repairs["number"] = None
        return word

    def _read_text(self, *, is_key: bool) -> tuple[str, bool]:
        """The text that begins here, and whether its end is there."""
        self._saw_content = True
        end, repair = _QUOTES[self._char]
        start = self._position + 1
        if self._char in "\"'" and self._text.startswith(self._char * 2, start):
            end, repair, start = self._char * 3, "triple quotes", start + 2
        stop = self._end_of_text(start, end, is_key)
        raw = self._text[start : len(self._text) if stop is None else stop]
        if stop is None:
            # Without a reason for a cut, a quote is missing, or one too many is there.
            if not self._cut and re.search(r"[\n}\]]", raw):
                raise self._unreadable()
            raw = re.sub(r"\\(u[0-9a-fA-F]{0,3})?\Z", "", raw) if not raw.endswith("\\\\") else raw
        if repair:
            self._repairs[repair] = None
        if _CONTROL.search(raw):
            self._repairs["line break"] = None
        text = self._unescape(raw)
        self._position = len(self._text) if stop is None else stop + len(end)
        return text, stop is not None

    def _end_of_text(self, start: int, end: str, is_key: bool) -> Optional[int]:
        """Where the quote is that ends a text; None if there is none.

        A quote that nothing follows which could follow a text is one of the text's own. Those come in pairs, and have
        no key between them; else a quote is missing somewhere.
        """
        text, position, own_quotes = self._text, start, 0
        up_to = _UP_TO[end[0]]
        while True:
            found = up_to.match(text, position)
            position = found.end() if found else position
            if is_key and position - start > _LONGEST_KEY:
                raise self._unreadable()
            if position >= len(text):
                if own_quotes:
                    raise self._unreadable()
                return None
            if text[position] == "\\":
                position += 2
            elif not text.startswith(end, position):
                position += 1
            elif end in "'’" and text[position - 1].isalnum() and text[position + 1 : position + 2].isalnum():
                # An apostrophe.
                position += 1
            elif end not in _OWN_QUOTES or self._may_end(position + 1, is_key):
                if own_quotes % 2 or (own_quotes and _has_key(text[start:position])):
                    raise self._unreadable()
                if own_quotes:
                    if _SUM.search(text, start, position):
                        raise self._unreadable(is_hopeless=True)
                    if _SIDE_BY_SIDE.search(text, start, position):
                        raise self._unreadable()
                    self._repairs["quotes"] = None
                return position
            else:
                own_quotes += not (end == "'" and text[position - 1].isalnum())
                position += 1

    def _may_end(self, position: int, is_key: bool) -> bool:
        """Whether a text may end before ``position``, by what follows."""
        after_value = _AFTER_ELEMENT if self._stack[-1].is_list else _AFTER_MEMBER
        return (_AFTER_KEY if is_key else after_value).match(self._text, position) is not None

    def _unescape(self, raw: str) -> str:
        """The text that ``raw`` stands for. A backslash before a character that cannot be escaped stands for itself."""
        if "\\" not in raw:
            return raw
        escapes = list(_ESCAPE.finditer(raw))
        plain = {found.start() for found in escapes if len(found[1]) == 1 and found[1] not in _ESCAPED}
        if any(found[1] in "'\n" for found in escapes) or plain:
            self._repairs["backslash"] = None
        made: list[str] = []
        last = 0
        for found in escapes:
            made.append(raw[last : found.start()])
            last = found.end()
            if found.start() in plain or (plain and found[1] in "bf"):
                if found[1] == "\n":
                    raise self._unreadable(is_hopeless=True)
                made.append(found[0])
            elif len(found[1]) > 1:
                made.append(chr(int(found[1][1:], 16)))
            else:
                if plain and self._is_doubtful(raw, found.start()):
                    raise self._unreadable(is_hopeless=True)
                made.append(_ESCAPED[found[1]])
        made.append(raw[last:])
        text = "".join(made)
        # Halves of one character, which JSON writes as two escapes.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass") if "\\u" in raw else text

    def _is_doubtful(self, raw: str, index: int) -> bool:
        """Whether the escape at ``index`` may be a backslash and a letter, in a text that has such backslashes."""
        letter = raw[index + 1]
        if letter not in "nrt":
            return letter == "\\"
        before, after = raw[max(0, index - _PATH_LENGTH) : index], raw[index : index + _PATH_LENGTH]
        if _LATEX.match(after):
            return True
        if letter != "n" and before[-1:].isalnum() and after[2:3].isalnum():
            return True
        left, right = _PATH_BEFORE.search(before), _PATH_AFTER.match(after)
        return _IS_PATH.match((left[0] if left else "") + (right[0] if right else "")) is not None

    def _complete(self, value: Any, *, is_midway: bool) -> None:
        """Ends all containers here, where the text ends. ``value`` is the part of a text that was being read.

        ``is_midway`` says that something more had to come: the rest of a text, a value, an element after a comma.
        """
        if is_midway and self._position < len(self._text):
            # The block ends, and the text goes on.
            raise self._unreadable()
        # More brackets than that are not forgotten: something else is missing, too.
        is_cut = is_midway or len(self._stack) > _MOST_FORGOTTEN or (self._cut and self._position >= len(self._text))
        self._reading = self._cut_off(value) if is_cut else self._without_brackets()

    def _without_brackets(self) -> Reading:
        """The value that is all there, but for the closing brackets."""
        if not self._stack[-1].value:
            raise self._unreadable()
        self._repairs["missing bracket"] = None
        while len(self._stack) > 1:
            self._end_frame()
        root = self._stack.pop().value
        return Reading(root, self._position, tuple(self._repairs), True, frozenset(), frozenset(self._bare))

    def _cut_off(self, value: Any) -> Reading:
        """What is there of a value whose end was cut off."""
        self._repairs["cut"] = None
        unfinished = set()
        while self._stack:
            frame = self._stack[-1]
            if value is not _MISSING and not frame.is_list:
                self._add(value)
                unfinished.add(id(value))
            self._stack.pop()
            # An empty container is not what was to be there.
            value = frame.value if frame.value else _MISSING
        if value is _MISSING:
            raise self._unreadable(is_hopeless=True)
        unfinished.add(id(value))
        return Reading(value, self._position, tuple(self._repairs), True, frozenset(unfinished), frozenset(self._bare))


def _has_key(raw: str) -> bool:
    """Whether a text has a key of JSON in it that is not that of an object in the text."""
    depth = last = 0
    for key in _KEY_WITHIN.finditer(raw):
        between = raw[last : key.start()]
        depth += between.count("{") - between.count("}")
        last = key.start()
        if depth <= 0:
            return True
    return False
