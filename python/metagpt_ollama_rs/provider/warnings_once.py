"""Warnings in MetaGPT's log that are given once in a process: what they are about happens again at each call.

>>> warn_once(("answer", "llama3.2"), "the first warning")
>>> warn_once(("answer", "llama3.2"), "is the only one on its topic")
"""

from __future__ import annotations

from metagpt.logs import logger

__all__ = ["warn_once"]

_warned_topics: set[tuple[str, ...]] = set()


def warn_once(topic: tuple[str, ...], text: str) -> None:
    """Logs a warning, one on each topic in the process: the numbers in the text may differ from call to call, the topic
    names what the user can change."""
    if topic not in _warned_topics:
        _warned_topics.add(topic)
        logger.warning(text)
