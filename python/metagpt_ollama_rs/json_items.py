"""Finds the complete items of a list that was cut off, for lists whose items are carried out one by one.

>>> complete_items('I go on: [{"go": "on"}, {"go": "ba', {"type": "object"})
[{'go': 'on'}]

``json_answers`` looks for a value; here half a list is one, and so it must be certain that it is the right list. No
I/O, nothing of MetaGPT.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from metagpt_ollama_rs.json_reader import JsonReader, Unreadable, end_of_brackets
from metagpt_ollama_rs.json_shapes import fit_shape, unwrapped

__all__ = ["complete_items"]

# Where a list of objects may begin, or an object that holds one.
_ITEMS_START = re.compile(r"\[\s*(?=\{)|\{\s*(?=[\"'“]|[^\W\d]\w*\s*:)")
_FENCE_START = re.compile(r"```\w*\s*\Z")


def complete_items(text: str, item_schema: Mapping[str, Any]) -> list[Any]:
    """The items at the beginning of the list in which ``text`` was cut off, those that are complete and of the schema.

    Other lists in the text are no answer: what the model quotes, and what stands in an item that was cut off. If the
    text was cut off after all JSON in it, the one list that is in a fence counts.

    >>> complete_items('Thus: [{"a": 1}, {"a": 2}, {"a":', {"type": "object"})
    [{'a': 1}, {'a': 2}]
    >>> complete_items('Not [{"a": 1}] but [{"a": "unfini', {"type": "object"})
    []
    """
    reader = JsonReader(text)
    end = 0
    whole: list[tuple[int, Any]] = []
    for opener in _ITEMS_START.finditer(text):
        start = opener.start()
        if start < end:
            continue
        try:
            reading = reader.read(start, cut=True)
        except Unreadable as error:
            if error.looks_like_json:
                end = end_of_brackets(text, start)
                if not end:
                    return []
            continue
        end = reading.end
        if reading.is_open:
            items = unwrapped(reading.value, is_whole=False) if isinstance(reading.value, dict) else reading.value
            is_cut_list = isinstance(items, list) and id(items) in reading.unfinished
            return _fitting_items(items, item_schema, reading.bare) if is_cut_list else []
        items = unwrapped(reading.value) if isinstance(reading.value, dict) else reading.value
        if isinstance(items, list):
            whole.append((start, items))
    if len(whole) != 1:
        return []
    start, items = whole[0]
    is_all = not (text[:start] + text[end:]).strip()
    fitting = _fitting_items(items, item_schema) if is_all or _FENCE_START.search(text[:start]) else []
    return fitting if len(fitting) == len(items) else []


def _fitting_items(
    items: Sequence[Any], item_schema: Mapping[str, Any], bare: Collection[int] = frozenset()
) -> list[Any]:
    """The ``items`` up to the first one that is not of the schema."""
    fitting = []
    for item in items:
        fitted = fit_shape(item, item_schema, bare=bare)
        if fitted is None:
            break
        fitting.append(fitted.value)
    return fitting
