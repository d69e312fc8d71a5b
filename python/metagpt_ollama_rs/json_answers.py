"""Recovers the JSON value that a model was asked for from an answer that is not just that value.

>>> schema = {"type": "array", "items": {"type": "string", "enum": ["Browser", "Editor"]}}
>>> recover_json('["Browser", "Editor"]', schema)
RecoveredJson(value=['Browser', 'Editor'], repairs=())
>>> recover_json('Of course! ["Browser", "editor"] will do.', schema)
RecoveredJson(value=['Browser', 'Editor'], repairs=('prose', 'spelling'))
>>> recover_json("I need no tool.", schema)
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Optional

from metagpt_ollama_rs.json_shapes import fit_shape, unique_keys

__all__ = ["RecoveredJson", "recover_json"]


class RecoveredJson(NamedTuple):
    """The value that an answer gives, and what had to be repaired for it, in words that are always the same.

    >>> recover_json("The answer is {}.", {"type": "object"})
    RecoveredJson(value={}, repairs=('prose',))
    """

    value: Any
    repairs: tuple[str, ...]


def recover_json(
    text: str, schema: Mapping[str, Any], *, cut: bool = False, prompt: str = ""
) -> Optional[RecoveredJson]:
    """The value of the shape of ``schema`` in ``text``; None if there is none.

    ``schema`` is one that ``schemas.answer_schema`` writes; what its ``required`` does not name may be missing. ``cut``
    says that the answer ended at its token limit. A value that stands in ``prompt``, too, counts only if there is no
    other, because small models copy the example of the format first.
    """
    best: Optional[RecoveredJson] = None
    for value, repairs in _values(text):
        fit = fit_shape(value, schema)
        if fit is not None:
            best = RecoveredJson(fit.value, (*repairs, *fit.repairs))
    return best


def _values(text: str) -> Iterator[tuple[Any, tuple[str, ...]]]:
    decoder = json.JSONDecoder(strict=False, object_pairs_hook=unique_keys)
    place = 0
    for start in re.finditer(r"[\[{]", text):
        if start.start() < place:
            continue
        try:
            value, place = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            continue
        around = text[: start.start()] + text[place:]
        yield value, () if not around.strip() else ("fence",) if "```" in around else ("prose",)
