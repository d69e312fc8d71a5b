"""What is left of a conversation that is longer than the context, by MetaGPT's four ways to shorten one.

MetaGPT names the ways in ``llm.compress_type``: ``post_cut_by_msg`` keeps the last messages that fit,
``post_cut_by_token`` also the end of the message before them; ``pre_cut_by_msg`` and ``pre_cut_by_token`` keep the
first ones. The system messages at the beginning always stay.

>>> messages = [{"role": "user", "content": text} for text in ("one two three", "four")]
>>> cut = cut_messages(messages, "post_cut_by_token", 10, lambda message: len(message["content"]))
>>> cut.messages, cut.dropped, cut.shortened
([{'role': 'user', 'content': 'three'}, {'role': 'user', 'content': 'four'}], 0, 1)

No I/O, nothing of MetaGPT.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable

from ..text_cuts import first_part, last_part

__all__ = ["CUT_TYPES", "CutMessages", "cut_messages"]

CUT_TYPES = ("post_cut_by_msg", "post_cut_by_token", "pre_cut_by_msg", "pre_cut_by_token")

Message = Mapping[str, Any]


@dataclass(frozen=True)
class CutMessages:
    """The ``messages`` that are left, how many are missing, and how many are there in part (0 or 1)."""

    messages: list[Any]
    dropped: int
    shortened: int


def cut_messages(
    messages: Sequence[Message], cut_type: str, limit: float, weight: Callable[[Message], float]
) -> CutMessages:
    """The messages cut by ``cut_type``, so that their weights add up to ``limit`` at most.

    If the system messages leave no room for any part of another one, nothing is cut: a part of a question that was
    never asked is worse than the server's refusal. One message at least is kept, in part.
    """
    first = next((place for place, message in enumerate(messages) if message.get("role") != "system"), len(messages))
    system, others = list(messages[:first]), list(messages[first:])
    room = limit - sum(map(weight, system))
    unchanged = CutMessages(list(messages), 0, 0)
    if not others or sum(map(weight, others)) <= room:
        return unchanged
    latest = cut_type.startswith("post_cut")
    kept: list[Any] = []
    shortened = 0
    for message in reversed(others) if latest else others:
        needed = weight(message)
        if needed <= room:
            kept.append(message)
            room -= needed
            continue
        if cut_type.endswith("_by_token") or not kept:
            part = _part_of(message, room, weight, latest=latest)
            if part is not None:
                kept.append(part)
                shortened = 1
        break
    if not kept:
        return unchanged
    if latest:
        kept.reverse()
    return CutMessages(system + kept, len(others) - len(kept), shortened)


def _part_of(message: Message, room: float, weight: Callable[[Message], float], *, latest: bool) -> Any:
    """``message`` with the part of its text that fits into ``room``, None if there is no such part.

    Of a content that is a list of parts, the text is shortened in the last one that is text; images stay.
    """
    content = message.get("content")
    cut = last_part if latest else first_part

    def with_text(text: str) -> dict[str, Any]:
        return {**message, "content": replace(text)}

    if isinstance(content, str):
        text = content

        def replace(part: str) -> Any:
            return part
    elif isinstance(content, list):
        texts = [item.get("text") for item in content if isinstance(item, dict) and item.get("type") == "text"]
        if len(texts) != 1 or not isinstance(texts[0], str):
            return None
        text = texts[0]

        def replace(part: str) -> Any:
            return [
                {**item, "text": part} if isinstance(item, dict) and item.get("type") == "text" else item
                for item in content
            ]
    else:
        return None
    part = cut(text, lambda part: weight(with_text(part)) <= room)
    return with_text(part) if part.strip() else None
