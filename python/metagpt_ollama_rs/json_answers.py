"""Recovers the JSON value that a model was asked for from an answer that is not just that value.

>>> schema = {"type": "array", "items": {"type": "string", "enum": ["Browser", "Editor"]}}
>>> recover_json('["Browser", "Editor"]', schema)
RecoveredJson(value=['Browser', 'Editor'], repairs=())
>>> recover_json("Of course! ['Browser', 'editor',] will do.", schema).repairs
('prose', 'single quotes', 'trailing comma', 'spelling')
>>> recover_json("I need no tool.", schema)

Three steps, each in a module of its own: what has one reading is read (``json_reader``); of what has not, a library
makes a guess, which is checked (``json_guesses``); what is found is brought into the shape that the schema asks for
(``json_shapes``). A value that comes out of this says what the answer says. Where that is in doubt there is none, so
that the caller can ask the model again.

**Which of several values counts.** What a fence or a tag announces comes first, then what fits the schema as it is
before what has to be wrapped or unwrapped, then what has the fewest keys that the schema does not name. What stands in
the prompt, too, counts only if there is nothing else: small models copy the example of the format before they answer.
What they call an example, and what stands within ``<think>``, is treated alike.

No value counts if another one could be the answer as well: a different one of the shape, if the chosen one is not the
only of the two that is announced and the later one; one that comes after it, has keys of the schema and does not fit
it; one that comes after it and is broken or cut off. Of numbers, one in brackets within a sentence, ``[1]``, is taken
for a reference to something, never for the answer, and is no doubt of a list that has its lines for itself.

**What a list is made of.** Of objects that follow each other without brackets, also as the items of a list of
Markdown, or of a single one; not of objects in different places of the text, which may be drafts of each other. An
ellipsis at its end is left out if the example in the prompt has one there, too; else the model has left something out,
and there is no value. Of a list that was cut off only the complete elements are left, and of an object whose end is
missing what is there, if the schema requires nothing else.

The words of `RecoveredJson.repairs`:

- around the value: ``prose``, ``fence``, ``tag`` (``[CONTENT]``, ``<json>``), ``several`` (other values of the shape),
  ``byte order mark``;
- its brackets and commas: ``trailing comma``, ``missing comma``, ``missing bracket``, ``extra bracket``;
- its texts and words: ``quotes`` (in a text, without a backslash), ``single quotes``, ``backquotes``,
  ``triple quotes``, ``bare key``, ``bare word``, ``literal`` (Python's ``None`` and ``True``), ``number`` (``007``),
  ``line break``, ``backslash``, ``punctuation`` (Chinese or typographic), ``comment``, ``ellipsis`` (copied from the
  prompt);
- ``guess``: what the library has made of it;
- its shape: ``single`` (an element in the place of a list, or the reverse), ``wrapped``, ``key`` and ``spelling`` (in
  other letters), ``type`` (a number as text, or the reverse), ``json text``;
- ``cut``: the end is missing. The last text of the value may be shorter than it was to be.

No I/O, nothing of MetaGPT.
"""

from __future__ import annotations

import bisect
import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

from metagpt_ollama_rs.json_guesses import MAX_GUESS, guess_json
from metagpt_ollama_rs.json_reader import OPENERS, JsonReader, Unreadable, end_of_brackets
from metagpt_ollama_rs.json_shapes import Fit, answer_keys, fit_shape, has_key, unique_keys

__all__ = ["RecoveredJson", "recover_json"]

# Python's own decoders, which are fast, and what is repaired if the second one is needed.
_DECODERS = (
    (json.JSONDecoder(object_pairs_hook=unique_keys), ()),
    (json.JSONDecoder(strict=False, object_pairs_hook=unique_keys), ("line break",)),
)
_OPENER = re.compile("[{}]".format(re.escape("".join(OPENERS))))
# An opening bracket, with the beginning of a member or an element behind it, or the end of the container.
_START = re.compile(
    r"[{｛](?=\s{0,1000}(?:[\"'“‘`}｝/#]|[^\W\d][\w .$-]{0,80}[:：]|[0-9]{1,20}\s?[:：]))"
    r"|[\[［](?=\s{0,1000}(?:[\"'“‘`\[［{｛\]］/#+.-]|\w))"
)
_TAG = re.compile(r"\[/?[A-Z_]+\]|</?[A-Za-z_]\w*>")
_FENCE_MARK = re.compile(r"```+|~~~+")
# The beginning of a fence or a tag, also with the name of a variable, right before a value.
_ANNOUNCED = re.compile(
    r"(?:((?:```+|~~~+)[ \t]*[\w+-]*)|\[[A-Z_]+\]|<(?!think)[A-Za-z_]\w*>)\s*(?:[A-Za-z_]\w*[ \t]*=\s*)?\Z"
)
# "Format example:", right before a value.
_EXAMPLE_LABEL = re.compile(
    r"(?:\bexamples?\b|\btemplate\b|示例|样例|例如|例子)[^\n{}\[\]:：]{0,60}[:：]"
    r"[*_ \t]*\s*(?:(?:```+|~~~+)[ \t]*[\w+-]*\s*)?\Z",
    re.IGNORECASE,
)
_SPACES = re.compile(r"\s+")
_FENCE = re.compile(r"(?:```+|~~~+)[ \t]*[\w+-]*")
_BLOCK_END = re.compile(r"\n[ \t]*(?:```|~~~)|\[/\w+\]|</\w+>")
# A box of a list of tasks, `- [ ]`, and the brackets of an index or a type, `items[0]`, `list[str]`.
_NO_LIST = re.compile(r"(?:^|\n)[ \t]*(?:[-*+]|\d+[.)])[ \t]+\Z|[^\W_]\Z|[)\]]\Z")
_LANGUAGE = re.compile(r"(?:```|~~~)[ \t]*\w+\Z")
# A key as Markdown writes it, with backslashes.
_ESCAPED_KEY = re.compile(r"[{,]\s*\"\w{1,60}\\_[\w\\]{1,60}\"\s*:")
# An object or a list with a backslash before each quote, and one without.
_ESCAPED_JSON = re.compile(r"[{\[](?:\s|\\n|[{\[]){0,20}\\\".*[}\]]", re.DOTALL)
_QUOTED_JSON = re.compile(r"[{\[,｛［，]\s*[\"'“‘`＂]")
# The first key of an object whose bracket is missing.
_FIRST_KEY = re.compile(r"(?:\A|\n|\])[ \t]*(?=[\"“'][^\"”'\n{}\[\]]{1,80}[\"”']\s*[:：])")
# An example whose list ends with an ellipsis.
_EXAMPLE_ELLIPSIS = re.compile(r"(?:\.\.\.|…)[\"']?\s{0,100}[\]］]")
# What may stand between the objects of a row: also the marks of a list of Markdown.
_BETWEEN_ITEMS = re.compile(r"(?:[\s,，;；]|(?:```|~~~)\w*|(?<=[\n ])(?:[-*+•]|\d{1,3}[.)、])(?= ))*")
_MEMBER_BEFORE = re.compile(r"(?:\A|[,，{｛\n])\s*[\"“'][^\"”'\n]{1,80}[\"”']\s*[:：]\s*\Z")
_MEMBER_AFTER = re.compile(r"(?:[\s}\]｝］]*[,，]\s*|\s*[}\]｝］]+\s*)[\"“'][^\"”'\n]{1,80}[\"”']\s*[:：]")
# What may follow what could not be read: nothing that could be more of it.
_AFTER_UNREADABLE = re.compile(r"(?![^\s.;`<\[])[^\n\"'}\]]*(?:\n\s*(?![\"'}\],:])|\Z)")
_EXTRA_BRACKETS = re.compile(r"(?:\s*[}\]｝］])+")
# How much of a text is read in vain before it is given up, as a multiple of its length; how many brackets are tried;
# how many blocks may be broken.
_MAX_VAIN = 8
_MOST_STARTS = 2000
_MOST_BROKEN = 16
_MOST_GUESSES = 4


class RecoveredJson(NamedTuple):
    """The value that an answer gives, and what had to be repaired for it, in the words of the module.

    >>> recover_json("The answer is {'a': 1}.", {"type": "object"})
    RecoveredJson(value={'a': 1}, repairs=('prose', 'single quotes'))
    """

    value: Any
    repairs: tuple[str, ...]


class _Block(NamedTuple):
    """A value in the text, or with ``is_broken`` what looks like one and could not be read.

    ``start`` and ``end`` are where it stands; the rest as in ``json_reader.Reading``.
    """

    start: int
    end: int
    value: Any = None
    repairs: tuple[str, ...] = ()
    is_broken: bool = False
    is_open: bool = False
    unfinished: frozenset[int] = frozenset()
    bare: frozenset[int] = frozenset()


class _Candidate(NamedTuple):
    """A value of the text that has the shape; ``block`` is where it stands."""

    block: _Block
    fit: Fit

    @property
    def rank(self) -> tuple[bool, int]:
        return any(word in ("single", "wrapped") for word in self.fit.repairs), self.fit.extras


def recover_json(
    text: str, schema: Mapping[str, Any], *, cut: bool = False, prompt: str = ""
) -> Optional[RecoveredJson]:
    """The value of the shape of ``schema`` in ``text``; None if there is none, or if it is in doubt.

    ``schema`` is one that ``schemas.answer_schema`` writes; what its ``required`` does not name may be missing. ``cut``
    says that the answer ended at its token limit. ``prompt`` is what the model was asked: a value that stands there,
    too, counts only if there is no other.
    """
    whole = _whole_value(text, schema)
    if whole is not None:
        return whole
    text, before = _prepared(text)
    reader = JsonReader(text, copies_ellipsis=_EXAMPLE_ELLIPSIS.search(prompt) is not None)
    blocks = _Scanner(text, reader, cut).blocks()
    candidates = _candidates(text, blocks, schema)
    chosen = _choose(candidates, blocks, text, schema, prompt)
    if chosen is None:
        return None
    words = [
        *_words_around(text, chosen.block),
        *(["several"] if any(one.fit.value != chosen.fit.value for one in candidates) else []),
        *before,
        *chosen.block.repairs,
        *chosen.fit.repairs,
    ]
    return RecoveredJson(chosen.fit.value, tuple(dict.fromkeys(words)))


def _whole_value(text: str, schema: Mapping[str, Any]) -> Optional[RecoveredJson]:
    """The value of a text that is nothing but JSON, or nothing but one word of a schema that lists words."""
    stripped = text.strip("\ufeff \t\r\n")
    marks = ("byte order mark",) if stripped != text.strip(" \t\r\n") else ()
    decoded = _decode(stripped, 0)
    fit = fit_shape(decoded.value, schema) if decoded.end == len(stripped) else None
    if fit is not None:
        return RecoveredJson(fit.value, (*marks, *decoded.repairs, *fit.repairs))
    word = _FENCE.sub("", _TAG.sub("", stripped)).strip(" \t\r\n\"'`.。*“”")
    if not word or len(word) > 100 or _OPENER.search(word):
        return None
    fit = fit_shape(word, schema)
    if fit is None or isinstance(fit.value, (dict, list)) or (schema.get("type") == "string" and "enum" not in schema):
        return None
    return RecoveredJson(fit.value, ("bare word", *(repair for repair in fit.repairs if repair != "type")))


def _decode(text: str, start: int) -> _Block:
    """The value that begins at ``start``, as Python reads it; a broken block up to the error if it does not."""
    end = start
    for decoder, repairs in _DECODERS:
        try:
            value, end = decoder.raw_decode(text, start)
        except json.JSONDecodeError as error:
            end = error.pos
        except (ValueError, RecursionError):
            break
        else:
            return _Block(start, end, value, repairs)
    return _Block(start, end, is_broken=True)


def _prepared(text: str) -> tuple[str, list[str]]:
    """``text`` without what is wrong with all of it, and the words for that."""
    words = []
    if _ESCAPED_KEY.search(text):
        # Markdown, whose backslashes are everywhere if they are in keys.
        text = text.replace("\\_", "_")
        words.append("backslash")
    escaped = _ESCAPED_JSON.search(text)
    if escaped is not None and not _QUOTED_JSON.search(text):
        # JSON as it stands in a text of JSON, without the quotes of that.
        with contextlib.suppress(ValueError):
            text = text[: escaped.start()] + json.loads(f'"{escaped[0]}"', strict=False) + text[escaped.end() :]
            words.append("json text")
    key = _FIRST_KEY.search(text)
    opener = _OPENER.search(_TAG.sub(lambda tag: " " * len(tag[0]), text))
    if key is not None and (opener is None or opener.start() >= key.end()):
        text = f"{text[: key.end()]}{{{text[key.end() :]}"
        words.append("missing bracket")
    return text, words


class _Scanner:
    """Finds the blocks of one text, from its beginning to its end."""

    def __init__(self, text: str, reader: JsonReader, cut: bool) -> None:
        self._text = text
        self._cut = cut
        self._reader = reader
        self._guesses = 0
        self._in_vain = 0

    def blocks(self) -> list[_Block]:
        """The blocks in their order; they do not overlap. What is not looked at any more is a broken one."""
        found: list[_Block] = []
        position = starts = broken = 0
        while True:
            opener = _START.search(self._text, position)
            if opener is None:
                return found
            starts += 1
            is_too_much = self._in_vain > _MAX_VAIN * len(self._text) + 1000
            if is_too_much or starts > _MOST_STARTS or broken > _MOST_BROKEN:
                return [*found, _Block(opener.start(), len(self._text), is_broken=True)]
            tag = _TAG.match(self._text, opener.start())
            if tag is not None:
                position = tag.end()
                continue
            block = None if self._is_no_list(opener.start()) else self._block(opener.start())
            if block is None:
                position = opener.end()
                continue
            if block.is_broken or block.value or self._stands_alone(block):
                found.append(block)
            broken += block.is_broken
            position = max(block.end, opener.end())

    def _stands_alone(self, block: _Block) -> bool:
        """Whether an empty value has its line for itself: in prose and in other formats, brackets mean other things."""
        before, after = self._text[: block.start].rstrip(" \t"), self._text[block.end :].lstrip(" \t.")
        return (not before or before[-1] in "\n]>") and after[:1] in ("", "\n", "[", "<")

    def _is_no_list(self, start: int) -> bool:
        if self._text[start] not in "[［":
            return False
        before = self._text[max(0, start - 40) : start]
        return _NO_LIST.search(before) is not None and _LANGUAGE.search(before) is None

    def _block(self, start: int) -> Optional[_Block]:
        """The block that begins at ``start``; None if the bracket there is one of prose."""
        decoded = _decode(self._text, start)
        if not decoded.is_broken:
            return self._checked(decoded)
        self._in_vain += decoded.end - start
        try:
            reading = self._reader.read(start, cut=self._cut)
        except Unreadable as error:
            self._in_vain += error.position - start
            if not error.looks_like_json:
                return None
            guess = None if error.is_hopeless else self._guess(start)
            return guess or _Block(start, self._end_of_region(start), is_broken=True)
        return self._checked(
            _Block(
                start,
                reading.end,
                reading.value,
                reading.repairs,
                is_open=reading.is_open,
                unfinished=reading.unfinished,
                bare=reading.bare,
            )
        )

    def _checked(self, block: _Block) -> _Block:
        """``block``, which is broken if it is followed by a member or is itself the value of one: its brackets do not
        say where it begins and ends."""
        before = self._text[max(0, block.start - 100) : block.start]
        if _MEMBER_BEFORE.search(before) or _MEMBER_AFTER.match(self._text, block.end):
            return _Block(block.start, self._end_of_region(block.start), is_broken=True)
        extra = _EXTRA_BRACKETS.match(self._text, block.end)
        if extra is None:
            return block
        return block._replace(end=extra.end(), repairs=(*block.repairs, "extra bracket"))

    def _guess(self, start: int) -> Optional[_Block]:
        """What the library makes of the text from ``start`` on, if that says what the text says."""
        for end in self._ends(start):
            if self._guesses >= _MOST_GUESSES or end - start > MAX_GUESS:
                break
            self._guesses += 1
            guess = guess_json(self._text[start:end])
            if guess is not None and _AFTER_UNREADABLE.match(self._text, end):
                return self._checked(_Block(start, end, guess, ("guess",)))
        return None

    def _ends(self, start: int) -> list[int]:
        """Where a value that begins at ``start`` and cannot be read may end, without what follows its last bracket."""
        block_end = _BLOCK_END.search(self._text, start)
        ends = [end_of_brackets(self._text, start, MAX_GUESS)]
        if block_end is not None:
            ends.append(block_end.start())
        if not self._cut:
            ends.append(len(self._text))
        trimmed = [max(self._text.rfind(closer, start, end) for closer in "}]｝］") + 1 for end in ends if end > start]
        return list(dict.fromkeys(end for end in trimmed if end > start))

    def _end_of_region(self, start: int) -> int:
        """Where to go on after something that could not be read: behind its brackets, if nothing of it follows them,
        else at the end of the fence or tag that it stands in, else nowhere."""
        end = end_of_brackets(self._text, start, MAX_GUESS)
        if end and _AFTER_UNREADABLE.match(self._text, end):
            return end
        block_end = _BLOCK_END.search(self._text, start)
        return block_end.start() if block_end is not None else len(self._text)


def _candidates(text: str, blocks: Sequence[_Block], schema: Mapping[str, Any]) -> list[_Candidate]:
    """The blocks, and the rows of objects without brackets around them, that have the shape."""
    found = []
    for block in [*blocks, *_rows(text, blocks)]:
        fit = None if block.is_broken else fit_shape(block.value, schema, block.unfinished, block.bare)
        # A guess that the schema does not know is no good guess.
        if fit is not None and not (fit.extras and "guess" in block.repairs):
            found.append(_Candidate(block, fit))
    return sorted(found, key=lambda one: one.block.end)


def _rows(text: str, blocks: Sequence[_Block]) -> list[_Block]:
    """The lists of the objects that follow each other with nothing between them."""
    rows: list[list[_Block]] = []
    for block in blocks:
        if rows and _BETWEEN_ITEMS.fullmatch(text, rows[-1][-1].end, block.start):
            rows[-1].append(block)
        else:
            rows.append([block])
    made = []
    for row in rows:
        if len(row) < 2 or not all(isinstance(block.value, dict) for block in row):
            continue
        # What was cut off is no complete element.
        whole = [block for block in row if not block.unfinished]
        made.append(
            _Block(
                row[0].start,
                row[-1].end,
                [block.value for block in whole],
                tuple(repair for block in row for repair in (*block.repairs, "missing bracket")),
                is_open=row[-1].is_open,
                bare=frozenset().union(*(block.bare for block in whole)),
            )
        )
    return made


def _choose(
    candidates: Sequence[_Candidate], blocks: Sequence[_Block], text: str, schema: Mapping[str, Any], prompt: str
) -> Optional[_Candidate]:
    """The candidate that counts; None if it is in doubt which one that is."""
    if not candidates:
        return None
    places = _Places(text, prompt)
    keys = answer_keys(schema)
    own = [one for one in candidates if not places.is_aside(one.block)] or candidates
    # Of a schema that requires nothing, any object has the shape.
    own = [one for one in own if not keys or has_key(one.block.value, keys)] or own
    own = [one for one in own if not places.is_reference(one.block)]
    announced = [one for one in own if places.is_announced(one.block)] or own
    if not announced:
        return None
    first = min(one.rank for one in announced)
    chosen = [one for one in announced if one.rank == first][-1]
    fits = {id(one.block): one.fit.value for one in candidates}
    others = {id(block): block for block in (*blocks, *(one.block for one in candidates))}
    for block in others.values():
        is_part = chosen.block.start <= block.start and block.end <= chosen.block.end
        if not is_part and _puts_in_doubt(block, fits, chosen, places, schema, keys):
            return None
    return chosen


def _puts_in_doubt(
    block: _Block,
    fits: Mapping[int, Any],
    chosen: _Candidate,
    places: _Places,
    schema: Mapping[str, Any],
    keys: frozenset[str],
) -> bool:
    """Whether ``block`` may be the answer as well as the one that is ``chosen``. ``fits`` has the fitted values of the
    blocks that fit, by their ``id``."""
    is_later, is_fit = block.start >= chosen.block.end, id(block) in fits
    if is_fit and (fits[id(block)] == chosen.fit.value or _repeats_elements(block, fits[id(block)], chosen)):
        return False
    if places.is_reference(block) and places.has_own_lines(chosen.block):
        return False
    if places.is_aside(block):
        # Of an answer that is the example by chance, one cannot know.
        return is_later and is_fit
    if block.is_broken or block.is_open or ("guess" in block.repairs and not is_fit):
        return is_later
    is_alike = _is_like_answer(block, keys, schema) or (is_fit and not keys)
    if is_later:
        return is_alike or (places.is_announced(block) and isinstance(block.value, list) and _asks_for_list(schema))
    is_announced_alone = places.is_announced(chosen.block) and not places.is_announced(block)
    return is_alike and (is_fit or _is_of_numbers(block)) and not is_announced_alone


def _repeats_elements(block: _Block, value: Any, chosen: _Candidate) -> bool:
    """Whether a block, which fits as ``value``, is an object that the chosen list has, too."""
    whole = chosen.fit.value
    return (
        isinstance(block.value, dict)
        and isinstance(whole, list)
        and isinstance(value, list)
        and all(isinstance(part, dict) and part in whole for part in value)
    )


def _is_like_answer(block: _Block, keys: frozenset[str], schema: Mapping[str, Any]) -> bool:
    """Whether a value looks as if it were meant for the schema, fit or not: it has a key of it, or it is a list of
    texts or numbers where the schema has such a list."""
    if keys:
        return has_key(block.value, keys)
    value = block.value
    if not isinstance(value, list) or not _asks_for_list(schema):
        return isinstance(value, dict) and schema.get("type") == "object"
    item = schema.get("items")
    item = item if isinstance(item, Mapping) else {}
    is_number = item.get("type") in ("integer", "number") or any(isinstance(word, int) for word in item.get("enum", ()))
    if is_number:
        return _is_of_numbers(block)
    return bool(value) and not block.bare and all(isinstance(part, str) for part in value)


def _asks_for_list(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") == "array"


def _is_of_numbers(block: _Block) -> bool:
    value = block.value
    return isinstance(value, list) and bool(value) and all(isinstance(part, (int, float)) for part in value)


class _Places:
    """What stands around the blocks of one text."""

    def __init__(self, text: str, prompt: str) -> None:
        self._text = text
        self._asked = _SPACES.sub("", prompt)
        self._fences = [found.start() for found in _FENCE_MARK.finditer(text)]
        self._thoughts_end = text.rfind("</think>")
        self._aside: dict[int, bool] = {}

    def is_aside(self, block: _Block) -> bool:
        """Whether a block stands in the prompt, too, or within the model's thoughts, or is called an example."""
        known = self._aside.get(id(block))
        if known is None:
            known = (
                block.end <= self._thoughts_end
                or _EXAMPLE_LABEL.search(self._text[max(0, block.start - 200) : block.start]) is not None
                or (bool(self._asked) and _SPACES.sub("", self._text[block.start : block.end]) in self._asked)
            )
            self._aside[id(block)] = known
        return known

    def is_announced(self, block: _Block) -> bool:
        """Whether a block is the first thing in a fence or after a tag."""
        found = _ANNOUNCED.search(self._text[max(0, block.start - 100) : block.start])
        if found is None:
            return False
        return found[1] is None or bisect.bisect_left(self._fences, block.start) % 2 == 1

    def has_own_lines(self, block: _Block) -> bool:
        """Whether nothing else stands in the lines of a block."""
        before, after = self._text[: block.start].rstrip(" \t")[-1:], self._text[block.end :].lstrip(" \t")[:1]
        return before in ("", "\n") and after in ("", "\n")

    def is_reference(self, block: _Block) -> bool:
        """Whether a block is a number in brackets within a sentence, ``as [1] says``."""
        if not _is_of_numbers(block) or len(block.value) > 1 or self.is_announced(block):
            return False
        before = self._text[: block.start].rstrip(" \t`*")[-1:]
        after = self._text[block.end :].lstrip(" \t`*.。")[:1]
        return before not in ("", "\n", ":", "：", "=", ">") or after not in ("", "\n", "<")


def _words_around(text: str, block: _Block) -> list[str]:
    """The words for what stands around the value."""
    around = f"{text[: block.start]}\n{text[block.end :]}"
    words = []
    rest = _TAG.sub(" ", around)
    if rest != around:
        words.append("tag")
    without_fences = _FENCE.sub(" ", rest)
    if without_fences != rest:
        words.append("fence")
    if without_fences.strip(" \t\r\n\ufeff.。`"):
        words.insert(0, "prose")
    elif "\ufeff" in without_fences:
        words.append("byte order mark")
    return words
