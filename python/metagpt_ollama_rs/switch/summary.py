"""The summary of the model calls of a run: totals for each model, and the error that ended the run, if one did.

It is made of the lines that the core writes where `METAGPT_OLLAMA_STATS` says, one JSON object for each call of any
process of the run (see `metagpt_ollama_rs.stats`). A field that is absent or null counts as 0, because a summary must
never make a run fail.

>>> calls = [{"model": "m", "prompt_tokens": 31, "answer_tokens": 20, "seconds": 2.0, "answer_seconds": 1.0}]
>>> total = totals(calls)[0]
>>> total.calls, total.answer_tokens, total.tokens_per_second
(1, 20, 20.0)
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

from ..stats import LOADED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

__all__ = ["Totals", "ended_by", "read_calls", "read_lines", "table", "totals"]

_REASONS = {
    "config": "the settings cannot be used",
    "connect": "no connection",
    "timeout": "the {phase} time limit ran out",
    "protocol": "the server's reply was not Ollama's",
    "status": "the server answered {status}",
    "mid_stream": "the server broke off with an error",
    "incomplete": "the answer was incomplete",
    "interrupted": "the connection broke off",
    "decode": "the answer could not be read",
    "empty_answer": "the answer was empty",
}

# The `state` in the line that is written when a call begins. A process that was killed leaves only that line.
_STARTED = "begun"
# The `state` in the line that follows the record of a call whose answer was repaired.
_REPAIRED = "repaired"

# What MetaGPT counts for any number of tokens of a model behind Ollama (see the patch `costs`).
_COST = "$0.00"

# The `error` of a call whose task was cancelled, often because another call had failed.
_CANCELLED = "closed"


@dataclass
class Totals:
    """The totals of the calls to one model.

    `seconds` is the sum over all calls, also of calls that ran at the same time; `answer_seconds` is the part of it in
    which the server wrote `timed_tokens`. `unfinished` is the number of calls that had not ended, `repaired` that of
    answers in which something was repaired.
    """

    model: str
    calls: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    seconds: float = 0.0
    answer_seconds: float = 0.0
    timed_tokens: int = 0
    loads: int = 0
    retries: int = 0
    truncated: int = 0
    errors: int = 0
    unfinished: int = 0
    repaired: int = 0

    @property
    def tokens_per_second(self) -> Optional[float]:
        """The speed at which answers were written; None if no call has a time for that."""
        return self.timed_tokens / self.answer_seconds if self.answer_seconds > 0 else None


def read_calls(path: Path, start: int = 0) -> list[dict[str, Any]]:
    """The calls in the file from byte `start` on, one object for each: the record that was written at its end, or else
    the line that was written at its beginning; in either the `repaired` of a later line for it."""
    lines = read_lines(path, start)
    repaired = {str(line.get("id")): line.get("repaired") for line in lines if line.get("state") == _REPAIRED}
    calls = [line for line in lines if line.get("state") != _REPAIRED]
    ended = {str(call.get("id")) for call in calls if not _is_unfinished(call)}
    calls = [call for call in calls if not (_is_unfinished(call) and str(call.get("id")) in ended)]
    return [{**call, "repaired": repaired[key]} if (key := str(call.get("id"))) in repaired else call for call in calls]


def read_lines(path: Path, start: int = 0) -> list[dict[str, Any]]:
    """The JSON objects in the lines of the file from byte `start` on; other lines, such as cut ones, are left out."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            lines = file.read().splitlines()
    except OSError:
        return []
    objects = []
    for line in lines:
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            objects.append(value)
    return objects


def totals(calls: Iterable[dict[str, Any]]) -> list[Totals]:
    """The totals of each model, in the order of their first calls; calls that name no model are left out."""
    models: dict[str, Totals] = {}
    for call in calls:
        if not call.get("model"):
            continue
        total = models.setdefault(str(call["model"]), Totals(str(call["model"])))
        total.calls += not call.get("rejected")
        total.prompt_tokens += int(_number_at(call, "prompt_tokens"))
        total.answer_tokens += int(_number_at(call, "answer_tokens"))
        total.seconds += _number_at(call, "seconds")
        if _number_at(call, "answer_seconds") > 0:
            total.answer_seconds += _number_at(call, "answer_seconds")
            total.timed_tokens += int(_number_at(call, "answer_tokens"))
        total.loads += _number_at(call, "load_seconds") >= LOADED
        total.retries += int(_number_at(call, "retries"))
        total.truncated += bool(call.get("truncated"))
        total.errors += bool(call.get("error"))
        total.unfinished += _is_unfinished(call)
        total.repaired += bool(call.get("repaired"))
    return list(models.values())


def ended_by(calls: Sequence[dict[str, Any]]) -> Optional[str]:
    """The error after which the run did not go on, in words, or None.

    A run went on if a call that began after the error succeeded. Calls that were under way at the time of the error
    do not count: the answer to another role may still arrive while MetaGPT gives up. Nor does a cancelled call count as
    an error.
    """
    failed = [call for call in calls if call.get("error") not in (None, "", _CANCELLED)]
    if not failed:
        return None
    last = max(failed, key=_end)
    ended = [call for call in calls if not _is_unfinished(call)]
    if any(not call.get("error") and _number_at(call, "started") >= _end(last) for call in ended):
        return None
    return _reason(last)


def table(rows: Sequence[Totals]) -> str:
    """The totals as aligned text, a line for each model. Calls that did not come to an end have a column if there were
    any, and so have answers that were repaired."""
    head = ["model", "calls", "prompt tokens", "answer tokens", "cost", "seconds", "tokens/s", "loads", "retries",
            "truncated", "errors"]  # fmt: skip
    cells = [head]
    for row in rows:
        speed = row.tokens_per_second
        cells.append(
            [row.model, f"{row.calls}", f"{row.prompt_tokens}", f"{row.answer_tokens}", _COST, f"{row.seconds:.1f}",
             "-" if speed is None else f"{speed:.1f}",
             f"{row.loads}", f"{row.retries}", f"{row.truncated}", f"{row.errors}"]
        )  # fmt: skip
    for name in ("repaired", "unfinished"):
        numbers = [getattr(row, name) for row in rows]
        if any(numbers):
            for line, more in zip(cells, [name, *map(str, numbers)]):
                line.append(more)
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.rjust(width) if place else cell.ljust(width)
                  for place, (cell, width) in enumerate(zip(line, widths)))
        for line in cells
    )  # fmt: skip


def _is_unfinished(call: dict[str, Any]) -> bool:
    return call.get("state") == _STARTED


def _number_at(call: dict[str, Any], key: str) -> float:
    value = call.get(key)
    return float(value) if isinstance(value, (int, float)) else 0.0


def _end(call: dict[str, Any]) -> float:
    return _number_at(call, "started") + _number_at(call, "seconds")


def _reason(call: dict[str, Any]) -> str:
    kind = str(call["error"])
    what = _REASONS.get(kind, kind).format(phase=call.get("phase") or "total", status=call.get("status") or "an error")
    where = [f"model {call['model']}"] if call.get("model") else []
    if call.get("host"):
        where.append(f"{call['host']}{call.get('endpoint') or ''}")
    return f"{what} ({', '.join(where)})" if where else what
