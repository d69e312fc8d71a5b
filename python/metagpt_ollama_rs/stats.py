"""What became of each call: a record of its times, tokens, retries and end, for the last calls of this process.

::

    from metagpt_ollama_rs import stats

    stats.records()[-1]["tokens_per_second"]
    stats.summary()["smollm2:135m"]["calls"]

Records are made by the compiled core, once a call, when the call ends; nothing is done for each token. What MetaGPT's
provider refuses by itself has one too: a request that it doesn't send, a reply that it doesn't take for an answer. All
functions are thread-safe. A forked child starts without records.

When ``METAGPT_OLLAMA_STATS`` names a file at the time a client is made (or the provider refuses something), each
record is also appended to that file as one line of JSON, with ``"state": "ended"``. A line with ``"state": "begun"``,
the same ``id`` and the keys of `pending` was appended when the call began: one that no ``ended`` line follows is under
way, or its process was killed. A line with ``"state": "repaired"``, the same ``id``, ``repaired`` and nothing else
follows the record of a call whose answer was repaired. ``unix:/path`` sends the lines to a datagram socket instead.
Each line is one write, so any number of processes may share a file. A file that is not there is made for its user alone
(mode 0600); links are followed. A place that cannot be written to is logged once for each client, and fails no call.
"""

from __future__ import annotations

import sys

from metagpt_ollama_rs import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# A model that is in memory already takes a few milliseconds to "load"; one that is not, hundreds at the least.
LOADED = 0.1

_SUMS = {
    "prompt_tokens": "prompt_tokens",
    "answer_tokens": "answer_tokens",
    "cached_tokens": "cached_tokens",
    "seconds": "seconds",
    "load_seconds": "load_seconds",
    "answer_seconds": "answer_seconds",
    "retries": "retries",
    "truncations": "truncated",
}


def records() -> list[dict[str, Any]]:
    """The last calls of this process, in the order in which they ended; copies.

    Keys: ``id`` (unlike that of any other call, also of other processes), ``state`` (``ended``), ``started`` (Unix
    time), ``process`` (its id), ``model`` (None where none was asked), ``host`` (the base
    URL, without user and password), ``endpoint``, ``streamed``; in seconds ``first_token_seconds`` (of a stream, to
    its first byte), ``seconds`` (all of the call, retries included), ``load_seconds``, ``prompt_seconds``,
    ``answer_seconds``; ``prompt_tokens``, ``answer_tokens``, ``cached_tokens``, ``tokens_per_second`` (of the
    answer); ``retries``; ``truncated`` (the answer stopped at its token limit); ``error`` (None, or ``config``,
    ``connect``, ``timeout``, ``protocol``, ``status``, ``mid_stream``, ``incomplete``, ``interrupted``, ``decode``,
    ``empty_answer``, ``closed``: nobody waited for the end), ``phase`` (which time limit ran out) and ``status`` (of a
    failed call); ``rejected`` (no call of its own: MetaGPT's provider made an error of the reply of a call that ended
    well and has a record before this one); ``repaired`` (None, or what MetaGPT's provider had to repair in the answer
    to get the JSON out of it that MetaGPT had asked for, such as ``prose, trailing comma``:
    ``metagpt_ollama_rs.json_answers`` explains the words). What the server did not say is None.
    """
    return _core.stats_records()


def pending() -> list[dict[str, Any]]:
    """The calls of this process that are under way, in the order in which they began; copies.

    Keys: ``state`` (``begun``), and as in `records` ``id``, ``started``, ``process``, ``model``, ``host``, ``endpoint``
    and ``streamed``. A forked child starts with none.
    """
    return _core.stats_pending()


def summary() -> dict[str | None, dict[str, Any]]:
    """The sums of `records` for each model (None: calls that name no model), in the order of first use.

    Keys: ``calls``, ``prompt_tokens``, ``answer_tokens``, ``cached_tokens``, ``seconds``, ``load_seconds``,
    ``answer_seconds``, ``tokens_per_second`` (None if no call says), ``loads`` (calls that had to load the model),
    ``retries``, ``truncations``, ``errors``, ``repairs`` (answers of which something was repaired).
    """
    models: dict[str | None, dict[str, Any]] = {}
    timed: dict[str | None, int] = {}
    for record in records():
        model = record["model"]
        empty = {
            "calls": 0,
            "loads": 0,
            "errors": 0,
            "repairs": 0,
            "tokens_per_second": None,
            **dict.fromkeys(_SUMS, 0),
        }
        sums = models.setdefault(model, empty)
        sums["calls"] += not record["rejected"]
        sums["loads"] += (record["load_seconds"] or 0) >= LOADED
        sums["errors"] += record["error"] is not None
        sums["repairs"] += record["repaired"] is not None
        for name, key in _SUMS.items():
            sums[name] += record[key] or 0
        if record["tokens_per_second"] is not None:
            timed[model] = timed.get(model, 0) + record["answer_tokens"]
            sums["tokens_per_second"] = timed[model] / sums["answer_seconds"]
    return models


def clear() -> None:
    """Forgets the records of this process."""
    _core.stats_clear()


def resize(capacity: int) -> None:
    """Keeps the last ``capacity`` records from now on; 1,000 unless this was called.

    Raises `ConfigurationError` for what is no whole number from 0 on.
    """
    from metagpt_ollama_rs.limits import whole_number

    _core.stats_resize(min(whole_number("capacity", capacity, 0), sys.maxsize))


__all__ = ["clear", "pending", "records", "resize", "summary"]
