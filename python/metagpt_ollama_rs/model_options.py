"""The options of a model that Ollama knows: their names, their types, and what other servers call them.

An option stands in the ``options`` of a request, ``{"options": {"num_ctx": 8192, "stop": ["###"]}}``. Ollama ignores a
name that it does not know and answers a value of the wrong type with status 500. So the clients compare names with
``KNOWN_OPTIONS`` and suggest the right one from ``OTHER_NAMES``, and MetaGPT's provider, whose configuration has texts
only, makes typed values of them with the parsers of ``OPTIONS``::

    >>> OPTIONS["num_ctx"]("8192"), OPTIONS["stop"]("###")
    (8192, ['###'])

A parser takes a value of any type and raises ``ValueError`` for one of the wrong type; the error's text completes the
sentence "num_ctx must be …". Nothing of MetaGPT here, and no I/O.
"""

from __future__ import annotations

import json
import math
import numbers
import re
import sys
from datetime import timedelta
from typing import Any, Callable

__all__ = [
    "KNOWN_OPTIONS",
    "OPTIONS",
    "OTHER_NAMES",
    "parse_bool",
    "parse_float",
    "parse_int",
    "parse_keep_alive",
    "parse_stop",
]


def parse_int(value: Any) -> int:
    """A whole number, or its decimal digits as a text; a bool is refused.

    >>> parse_int(" -1 ")
    -1
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,18}", value.strip()):
        return int(value)
    raise ValueError("a whole number")


def parse_float(value: Any) -> float:
    """A finite number, or a text that ``float`` reads as one; a bool is refused.

    >>> parse_float("1e-3")
    0.001
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        number = float(value)
    elif isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            raise ValueError("a number") from None
    else:
        raise ValueError("a number")
    if not math.isfinite(number):
        raise ValueError("a finite number")
    return number


def parse_bool(value: Any) -> bool:
    """A bool, or its name in any case.

    >>> parse_bool("False")
    False
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise ValueError("true or false")


def parse_stop(value: Any) -> list[str]:
    """One stop text, or several as a JSON list; always a list, because Ollama refuses a plain string.

    >>> parse_stop("[INST]"), parse_stop('["a", "b"]')
    (['[INST]'], ['a', 'b'])
    """
    if isinstance(value, str):
        if value.lstrip().startswith("["):
            try:
                value = json.loads(value)
            except ValueError:
                return [value]
        else:
            return [value] if value else []
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return list(value)
    raise ValueError("a text, or a JSON list of texts")


_KEEP_ALIVE = 'seconds (-1: for ever), or a duration such as "10m"'
_DURATION = re.compile(r"[+-]?((\d+(\.\d*)?|\.\d+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h))+")


def parse_keep_alive(value: Any) -> float | int | str:
    """Seconds as a number (-1 means for ever), or a duration as Go writes one; a ``timedelta`` becomes seconds.

    Digits in a text become a number, because the server refuses them as a text.

    >>> parse_keep_alive("300"), parse_keep_alive("1h30m")
    (300, '1h30m')
    """
    if isinstance(value, str):
        text = value.strip()
        if re.fullmatch(r"[+-]?\d{1,18}", text):
            return int(text)
        if re.fullmatch(r"[+-]?(\d+\.\d*|\.\d+)", text):
            return float(text)
        if _DURATION.fullmatch(text):
            return text
        raise ValueError(_KEEP_ALIVE)
    if isinstance(value, timedelta):
        value = value.total_seconds()
        return int(value) if value.is_integer() else value
    if isinstance(value, bool):
        raise ValueError(_KEEP_ALIVE)
    # A number that is too large cannot even be made a float for the comparison.
    most: Any = sys.float_info.max
    if isinstance(value, numbers.Real) and abs(value) <= most:
        return int(value) if isinstance(value, numbers.Integral) else float(value)
    raise ValueError(_KEEP_ALIVE)


# The parser of each option that today's server reads.
OPTIONS: dict[str, Callable[[Any], Any]] = {
    "temperature": parse_float,
    "top_p": parse_float,
    "top_k": parse_int,
    "min_p": parse_float,
    "typical_p": parse_float,
    "num_predict": parse_int,
    "stop": parse_stop,
    "seed": parse_int,
    "presence_penalty": parse_float,
    "frequency_penalty": parse_float,
    "repeat_penalty": parse_float,
    "repeat_last_n": parse_int,
    "num_keep": parse_int,
    "num_ctx": parse_int,
    "num_batch": parse_int,
    "num_gpu": parse_int,
    "main_gpu": parse_int,
    "use_mmap": parse_bool,
    "num_thread": parse_int,
    "draft_num_predict": parse_int,
}

# Options of earlier servers and of their runners. Today's server ignores them, but none of them is a misspelling.
_EARLIER = (
    "embedding_only",
    "f16_kv",
    "logits_all",
    "low_vram",
    "mirostat",
    "mirostat_eta",
    "mirostat_tau",
    "num_gqa",
    "numa",
    "penalize_newline",
    "rope_frequency_base",
    "rope_frequency_scale",
    "tfs_z",
    "use_mlock",
    "vocab_only",
)
KNOWN_OPTIONS = frozenset((*OPTIONS, *_EARLIER))

# By the name of an option of other servers and frameworks, or of what people put among the options by mistake: the
# option's name in Ollama, or the place where Ollama takes it.
OTHER_NAMES = {
    **dict.fromkeys(
        ("max_tokens", "max_token", "max_new_tokens", "max_completion_tokens", "max_length", "n_predict"), "num_predict"
    ),
    **dict.fromkeys(("context_length", "context_window", "max_context_length", "n_ctx", "num_context"), "num_ctx"),
    **dict.fromkeys(("repetition_penalty", "rep_pen"), "repeat_penalty"),
    **dict.fromkeys(("gpu_layers", "n_gpu_layers", "num_gpu_layers"), "num_gpu"),
    **dict.fromkeys(("n_threads", "threads"), "num_thread"),
    **dict.fromkeys(("n_batch", "batch_size"), "num_batch"),
    **dict.fromkeys(("stop_sequences", "stop_words"), "stop"),
    "penalize_nl": "penalize_newline",
    "random_seed": "seed",
    "temp": "temperature",
    **{
        name: f"{name} as an argument of the call, beside options"
        for name in ("format", "keep_alive", "logprobs", "raw", "stream", "system", "template", "think", "tools")
    },
}
