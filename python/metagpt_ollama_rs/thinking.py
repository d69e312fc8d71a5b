r"""Separates the reasoning that some models write into their answer from the answer itself.

>>> split_thinking("<think>2 and 2 is 4.</think>\n\nFour.")
('Four.', '2 and 2 is 4.')

Which marks stand around the reasoning depends on the template of the model: ``BLOCKS`` is the table. A server that
knows the template sends the reasoning in a field of its own, and this module is for servers that do not.

- Blocks at the very beginning count, white space aside, one or several. A block without an end is reasoning.
- A closing mark alone: the template had the opening one in the prompt, so all before it is reasoning.
- A further block of the same marks after the answer has begun, once the two above have shown what kind of model it is.

A mark that is only talked about does not count: in code, in quotes, in the middle of a sentence, or where its opening
mark stands before it. A mark on a line of its own, or without a space before it, is taken at its word.

``split_thinking`` decides by the whole text. ``ThinkSplitter`` sees deltas, which may cut a mark anywhere, and can only
hold back what stands at the beginning: it is for showing an answer while it arrives. No I/O, nothing of MetaGPT.
"""

from __future__ import annotations

import itertools
import re
from typing import NamedTuple, Optional

__all__ = ["BLOCKS", "Block", "ThinkSplitter", "split_thinking"]


class Block(NamedTuple):
    """One row of the table. ``answer``: what is between the marks is answer, not reasoning. ``xml``: the name is common
    enough for a field of an XML answer, so that a block with another tag right behind it is such an answer.

    >>> block = Block("<think>", ("</think>",))
    >>> block in BLOCKS, block.answer
    (True, False)
    """

    opens: str
    ends: tuple[str, ...]
    answer: bool = False
    xml: bool = False


_HARMONY_ENDS = ("<|end|>", "<|return|>", "<|call|>")
_ANALYSIS = "<|channel|>analysis<|message|>"
_NEXT = "<|start|>assistant"

BLOCKS = (
    Block("<think>", ("</think>",)),  # DeepSeek, Qwen, GLM, MiniMax and most others
    Block("<thinking>", ("</thinking>",)),
    Block("<thought>", ("</thought>",), xml=True),  # EXAONE Deep
    Block("<reasoning>", ("</reasoning>",), xml=True),
    Block("<seed:think>", ("</seed:think>",)),  # Seed-OSS
    Block("[THINK]", ("[/THINK]",)),  # Magistral
    Block("◁think▷", ("◁/think▷",)),  # Kimi
    Block("<|START_THINKING|>", ("<|END_THINKING|>",)),  # Command A
    Block("<|START_RESPONSE|>", ("<|END_RESPONSE|>",), answer=True),
    Block("<|begin_of_thought|>", ("<|end_of_thought|>",)),  # OpenThinker
    Block("<|begin_of_solution|>", ("<|end_of_solution|>",), answer=True),
    *(  # gpt-oss: the harmony format
        Block(f"{start}<|channel|>{channel}<|message|>", _HARMONY_ENDS, answer=channel != "analysis")
        for channel in ("analysis", "commentary", "final", "final <|constrain|>json")
        for start in ("", _NEXT)
    ),
)

_BY_END = {block.ends[0]: block for block in BLOCKS if not block.answer and block.ends != _HARMONY_ENDS}
_BY_OPENS = {block.opens: block for block in BLOCKS}
# A closing mark without an opening one: all before it is reasoning. A message of the harmony format ends in the same
# way where another message follows.
_LONE_MARK = re.compile("|".join(map(re.escape, _BY_END)) + "|" + re.escape("<|end|>") + f"(?={re.escape(_NEXT)}<)")
_MARKS = (*_BY_OPENS, *_BY_END, _NEXT)
# The marks by their first character. Few answers have even that character, and to search for one is the fastest test.
_BY_FIRST = {
    first: [mark for mark in _MARKS if mark[0] == first] for first in dict.fromkeys(mark[0] for mark in _MARKS)
}

# An answer that repeats itself may have thousands of marks, and each is looked at together with all text before it.
_MAX_MARKS = 100

_CODE_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)
_QUOTE = re.compile(r"(?<!\w)'|'(?!\w)")
_CALLED_A_TAG = re.compile(r"\s*(?:tags?\b|tokens?\b|markers?\b|标签|标记|符号)", re.IGNORECASE)
# What follows an opening mark with which a sentence begins: "<think> is …", "<think> and </think> are …".
_MENTION_AFTER_MARK = re.compile(
    r"[ \t]*(?:and|or|[,/&、和与])[ \t]*\Z"
    r"|[ \t]+(?:and|or|is|are|means|marks|opens|starts|begins|tags?|tokens?)\b"
    r"|[ \t]+(?:是|和|与|标签|标记|符号)"
)


class ThinkSplitter:
    """Takes the deltas of one answer in order, and returns those that belong to the answer and not to the reasoning.

    White space passes at once. Deltas that may be the beginning of a mark are held back until that is known; if they
    are none, they are returned one by one as they came. ``finish`` at the end of the stream returns what is still held
    back.

    >>> splitter = ThinkSplitter()
    >>> [splitter.feed(delta) for delta in ("<th", "ink>Hm.", "</think>", "Four", ".")] + [splitter.finish()]
    [[], [], [], ['Four'], ['.'], []]
    >>> splitter.thinking
    'Hm.'
    """

    __slots__ = ("_open_block", "_pending", "_raw", "_thoughts", "block", "passes_through")

    def __init__(self) -> None:
        self.passes_through = False
        """Whether all that follows belongs to the answer, so that it need not be fed any more."""
        self.block: Optional[Block] = None
        """The first block of the answer, once it has begun."""
        self._open_block: Optional[Block] = None
        self._pending: list[str] = []
        self._raw: list[str] = []
        self._thoughts: list[list[str]] = []

    @property
    def thinking(self) -> str:
        """The reasoning so far, without white space around it; a blank line between two blocks."""
        thoughts = ("".join(parts).strip() for parts in self._thoughts)
        return "\n\n".join(thought for thought in thoughts if thought)

    def feed(self, text: str) -> list[str]:
        """Takes the next delta and returns the deltas of the answer that are now known; often none or ``[text]``."""
        if not text:
            return []
        if self.passes_through or (text.isspace() and not self._pending and self.block is None):
            return [text]
        self._pending.append(text)
        pieces: list[str] = []
        again = True
        while again and not self.passes_through:
            again = self._find_block_end(pieces) if self._open_block else self._find_block_start(pieces)
        return pieces

    def pass_through(self, _thinking: str = "") -> None:
        """Lets all that follows pass, because the server sends the reasoning in a field of its own."""
        if self.block is None and not self._pending:
            self.passes_through = True

    def finish(self) -> list[str]:
        """Ends the answer and returns what was held back and belongs to the answer after all."""
        held, self._pending = self._pending, []
        pieces: list[str] = []
        if self._open_block is not None:
            self._add_to_block("".join(held), pieces)
            if self._is_only_mentioned():
                self._restore_as_answer("", pieces)
        elif self.block is not None:
            pieces.append("".join(held).lstrip())
        else:
            pieces = held
        self.passes_through = True
        return [piece for piece in pieces if piece]

    def _find_block_start(self, pieces: list[str]) -> bool:
        """Looks for an opening mark at the beginning of the pending text; True if it has to be looked at again."""
        text = "".join(self._pending)
        start = text.lstrip()
        block = next((block for block in BLOCKS if start.startswith(block.opens)), None)
        if block is not None:
            self._open_block, self.block = block, self.block or block
            self._raw.append(text[: len(text) - len(start)] + block.opens)
            self._pending = [start[len(block.opens) :]]
            if not block.answer:
                self._thoughts.append([])
            return True
        if any(opens.startswith(start) for opens in _BY_OPENS):
            return False
        if self.block is not None and self.block.xml and len(self._thoughts) == 1 and start.startswith("<"):
            self._restore_as_answer(text, pieces)
        else:
            pieces += self._pending if self.block is None else [start]
            self._pending = []
            self.passes_through = True
        return False

    def _find_block_end(self, pieces: list[str]) -> bool:
        """Looks for the closing mark of the open block in the pending text; True if it has to be looked at again."""
        block, text = self._open_block, "".join(self._pending)
        if block is None or not text:
            return False
        found = [(at, end) for end in block.ends if (at := text.find(end)) >= 0]
        if found:
            at, end = min(found)
            self._add_to_block(text[:at], pieces)
            self._raw.append(end)
            rest, explained = text[at + len(end) :], self._is_only_mentioned()
            self._pending, self._open_block = [rest], None
            if explained:
                self._restore_as_answer(rest, pieces)
            return True
        kept = max(_overlap(text, end) for end in block.ends)
        self._add_to_block(text[: len(text) - kept], pieces)
        self._pending = [text[len(text) - kept :]]
        return False

    def _add_to_block(self, text: str, pieces: list[str]) -> None:
        """Adds a part of the open block to the thinking, or to ``pieces`` if the block holds answer."""
        self._raw.append(text)
        if self._open_block is not None and not self._open_block.answer:
            self._thoughts[-1].append(text)
        elif text:
            pieces.append(text)

    def _is_only_mentioned(self) -> bool:
        """Whether the answer begins with a sentence that mentions the opening mark, and not with a block."""
        if self._open_block is None or self._open_block.answer or len(self._thoughts) != 1:
            return False
        return _MENTION_AFTER_MARK.match("".join(self._thoughts[0])) is not None

    def _restore_as_answer(self, rest: str, pieces: list[str]) -> None:
        """Returns to the answer what was taken for a block by mistake."""
        pieces.append("".join(self._raw) + rest)
        self._pending, self._thoughts = [], []
        self.block, self.passes_through = None, True


def split_thinking(text: str) -> tuple[str, str]:
    """Splits a whole answer into ``(answer, thinking)``. Without a block, thinking is ``""`` and the text unchanged."""
    if not any(first in text and any(mark in text for mark in marks) for first, marks in _BY_FIRST.items()):
        return text, ""
    splitter = ThinkSplitter()
    answer = "".join(splitter.feed(text) + splitter.finish())
    block, thoughts = splitter.block, [splitter.thinking]
    if block is None:
        mark = _find_lone_end(text)
        if mark is None:
            return text, ""
        block = _BY_END.get(mark[0], _BY_OPENS[_ANALYSIS])
        splitter = ThinkSplitter()
        answer = "".join(splitter.feed(text[mark.end() :].lstrip()) + splitter.finish())
        thoughts = [text[: mark.start()].strip(), splitter.thinking]
    answer = _move_later_blocks(block, answer, thoughts)
    return answer, "\n\n".join(thought for thought in thoughts if thought)


def _find_lone_end(text: str) -> Optional[re.Match[str]]:
    """The first closing mark that ends reasoning whose opening mark was in the prompt."""
    for mark in itertools.islice(_LONE_MARK.finditer(text), _MAX_MARKS):
        if _is_mention(text, *mark.span()):
            continue
        opens = _BY_END[mark[0]].opens if mark[0] in _BY_END else _ANALYSIS
        begun = list(itertools.islice(re.compile(re.escape(opens)).finditer(text, 0, mark.start()), _MAX_MARKS))
        # Reasoning may mention marks, too. The mark that ends it then stands on a line of its own.
        alone = not text[: mark.start()].rpartition("\n")[2].strip()
        return mark if not begun or (alone and all(_is_mention(text, *opening.span()) for opening in begun)) else None
    return None


def _move_later_blocks(block: Block, answer: str, thoughts: list[str]) -> str:
    """``answer`` without later blocks of the same marks, whose reasoning is added to ``thoughts``."""
    if block.answer or block.opens not in answer:
        return answer
    kept: list[str] = []
    at = begin = 0
    for _ in range(_MAX_MARKS):
        begin = answer.find(block.opens, begin)
        inside = begin + len(block.opens)
        end = answer.find(block.ends[0], inside)
        if begin < 0 or end < 0:
            break
        if _is_mention(answer, begin, inside):
            begin = inside
            continue
        kept.append(answer[at:begin])
        thoughts.append(answer[inside:end].strip())
        at = begin = end + len(block.ends[0])
    return "".join([*kept, answer[at:]])


def _is_mention(text: str, start: int, end: int) -> bool:
    """Whether the mark at ``text[start:end]`` is only mentioned: in code, in quotes, in the middle of a sentence."""
    begin, stop = text.rfind("\n", 0, start) + 1, text.find("\n", end)
    before, after = text[begin:start], text[end : stop if stop >= 0 else len(text)]
    if len(_CODE_FENCE.findall(text, 0, begin)) % 2 or _CALLED_A_TAG.match(after):
        return True
    if any(before.count(quote) % 2 and quote in after for quote in '`"'):
        return True
    if len(_QUOTE.findall(before + " ")) % 2 and _QUOTE.search(" " + after):
        return True
    if before.endswith(("“", "‘", "«", "「", "『")) and after.startswith(("”", "’", "»", "」", "』")):
        return True
    first, following = not text[:start].strip(), after.lstrip(" \t")[:1]
    if not first and not before.endswith((" ", "\t", "(", "（")):
        return False
    goes_on = following.isalpha() and not following.isupper() and after[:1] in " \t"
    ends = not first and bool(before.strip()) and not text[end:].strip()
    return goes_on or ends or following in tuple(",;:.!?)|]，。；：！？）、")


def _overlap(text: str, mark: str) -> int:
    """How many characters at the end of ``text`` may be the beginning of ``mark``."""
    return next((size for size in range(min(len(text), len(mark) - 1), 0, -1) if mark.startswith(text[-size:])), 0)
