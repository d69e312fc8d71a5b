"""Parts the reasoning that some models write into their answer as ``<think>…</think>`` from the answer itself.

Only a tag at the very beginning counts (white space aside): an answer that talks about the tag later on is left
alone. Deltas may cut a tag anywhere. No I/O, nothing of MetaGPT.
"""

from __future__ import annotations

__all__ = ["ThinkSplitter", "split_thinking"]

_OPEN = "<think>"
_CLOSE = "</think>"

_BEGIN, _INSIDE, _GAP, _ANSWER = range(4)


class ThinkSplitter:
    """Feed it the deltas of one answer in order; it returns those that belong to the answer.

    White space passes at once. A delta that may be the beginning of a tag is held back until it is known; once it is
    known not to be one, the deltas come out as they went in, one by one. Call ``finish`` at the end of the stream for
    what is still held.
    """

    __slots__ = ("_held", "_state", "_thinking")

    def __init__(self) -> None:
        self._state = _BEGIN
        self._held: list[str] = []
        self._thinking: list[str] = []

    @property
    def thinking(self) -> str:
        """The text between the tags so far, without white space around it."""
        return "".join(self._thinking).strip()

    @property
    def settled(self) -> bool:
        """True when all that follows is answer: feeding may stop."""
        return self._state == _ANSWER

    def feed(self, text: str) -> list[str]:
        """Returns the deltas of the answer that ``text`` completes; often none or just ``text``."""
        if self._state == _ANSWER:
            return [text] if text else []
        if self._state == _BEGIN:
            return self._begin(text)
        if self._state == _INSIDE:
            return self._inside(text)
        return self._gap(text)

    def finish(self) -> list[str]:
        """Ends the answer and returns what was held back: text, when no tag was completed."""
        held, self._held = self._held, []
        if self._state == _INSIDE:
            self._thinking.extend(held)
            held = []
        self._state = _ANSWER
        return held

    def _begin(self, text: str) -> list[str]:
        if not text:
            return []
        if not self._held and text.isspace():
            return [text]
        self._held.append(text)
        start = "".join(self._held).lstrip()
        if start.startswith(_OPEN):
            self._held = []
            self._state = _INSIDE
            return self._inside(start[len(_OPEN) :])
        if _OPEN.startswith(start):
            return []
        self._state = _ANSWER
        held, self._held = self._held, []
        return held

    def _inside(self, text: str) -> list[str]:
        text = "".join(self._held) + text
        self._held = []
        end = text.find(_CLOSE)
        if end >= 0:
            self._thinking.append(text[:end])
            self._state = _GAP
            return self._gap(text[end + len(_CLOSE) :])
        keep = _overlap(text)
        self._thinking.append(text[: len(text) - keep])
        if keep:
            self._held = [text[len(text) - keep :]]
        return []

    def _gap(self, text: str) -> list[str]:
        text = text.lstrip()
        if not text:
            return []
        self._state = _ANSWER
        return [text]


def split_thinking(text: str) -> tuple[str, str]:
    """Parts a whole answer into ``(answer, thinking)``; thinking is ``""`` where the answer begins with no tag."""
    if not text.lstrip().startswith(_OPEN):
        return text, ""
    splitter = ThinkSplitter()
    answer = splitter.feed(text) + splitter.finish()
    return "".join(answer), splitter.thinking


def _overlap(text: str) -> int:
    """How many characters at the end of ``text`` may be the beginning of the closing tag."""
    for size in range(min(len(text), len(_CLOSE) - 1), 0, -1):
        if _CLOSE.startswith(text[-size:]):
            return size
    return 0
