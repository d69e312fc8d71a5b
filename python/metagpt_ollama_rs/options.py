"""What a MetaGPT LLM configuration means in a request to Ollama: one table, and the code that reads it.

Each row of ``SETTINGS`` says under which name a user writes a setting, where it goes (the request's ``options``,
the request itself, or the client and its timeouts), of which type it is, and which field of MetaGPT's ``LLMConfig``
feeds it. ``extra_fields`` of the configuration, whose values MetaGPT forces to be strings, is typed by the same table.

Only what the user set is sent, as far as pydantic's ``model_fields_set`` tells; the one exception is the temperature
of 0.3 that MetaGPT's own provider always sends. A value is passed on as it stands even where Ollama reads it
differently from other servers (``top_k: 0`` switches top-k off, ``repetition_penalty: 1.0`` is "no penalty").
Where a field and ``extra_fields`` name the same setting, ``extra_fields`` wins.

Ollama ignores an unknown option in silence and answers a wrong type with status 500, hence the checks here: an unknown
name and a value of the wrong type are a ``ConfigurationError`` before anything is sent. This module does no I/O and
does not import MetaGPT.
"""

from __future__ import annotations

import json
import math
import numbers
import re
import sys
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Callable, Optional

from ._core import excerpt
from .errors import ConfigurationError
from .spelling import near_miss

__all__ = [
    "DEFAULT_TEMPERATURE",
    "ELSEWHERE",
    "KNOWN_OPTIONS",
    "SETTINGS",
    "STRUCTURED_VARIABLE",
    "ClientSettings",
    "Setting",
    "Settings",
    "fields_set",
    "overlay",
    "parse_bool",
    "parse_keep_alive",
    "read_settings",
]

DEFAULT_TEMPERATURE = 0.3

# The environment's word for ``structured``, where a configuration has none: `metagpt-ollama run --structured` sets it.
STRUCTURED_VARIABLE = "METAGPT_OLLAMA_STRUCTURED"

_TEXT_APIS = ("chat", "generate")
_EMBED_APIS = ("embed", "embeddings")
_ALL_APIS = _TEXT_APIS + _EMBED_APIS


def _int(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,18}", value.strip()):
        return int(value)
    raise ValueError("a whole number")


def _float(value: Any) -> float:
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


def _seconds(value: Any) -> float:
    number = _float(value)
    if number <= 0:
        raise ValueError("a number of seconds above zero")
    return number


def parse_bool(value: Any) -> bool:
    """A bool, or its name in any case; raises ``ValueError`` whose text completes "must be …"."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise ValueError("true or false")


def _str(value: Any) -> str:
    if isinstance(value, str) and value:
        return value
    raise ValueError("a text")


def _stop(value: Any) -> list[str]:
    """One stop text, or several as a JSON list; always a list, because Ollama refuses a plain string."""
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
    """Seconds as a number, or a Go duration; digits in a string become a number, which the server would refuse.

    Raises ``ValueError`` whose text completes "must be …".
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


def _format(value: Any) -> str | dict[str, Any]:
    if isinstance(value, str):
        text = value.strip()
        if text == "json":
            return text
        try:
            value = json.loads(text)
        except ValueError:
            value = None
    if isinstance(value, dict):
        return value
    raise ValueError('"json", or a JSON schema')


def _think(value: Any) -> bool | str:
    if isinstance(value, str) and value.strip().lower() in ("low", "medium", "high", "max"):
        return value.strip().lower()
    try:
        return parse_bool(value)
    except ValueError:
        raise ValueError("true, false, low, medium, high or max") from None


def _top_logprobs(value: Any) -> int:
    number = _int(value)
    if not 0 <= number <= 20:
        raise ValueError("a whole number from 0 to 20")
    return number


def _headers(value: Any) -> dict[str, str]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if isinstance(value, dict) and all(isinstance(k, str) and isinstance(v, str) for k, v in value.items()):
        return dict(value)
    raise ValueError("a JSON object of texts")


def _verify(value: Any) -> bool | str:
    try:
        return parse_bool(value)
    except ValueError:
        pass
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise ValueError("true, false, or the path of a file or folder of CA certificates")


def _on_error(value: Any) -> str:
    if value in ("raise", "text"):
        return str(value)
    raise ValueError("raise or text")


@dataclass(frozen=True)
class Setting:
    """One row of the table.

    ``name`` is what users write in ``extra_fields`` and, but for rows whose place is ``client``, what is sent.
    ``place`` is ``options``, ``request`` or ``client``. ``parse`` returns the typed value or raises ``ValueError``
    whose text completes "must be …". ``config_field`` is the ``LLMConfig`` field that feeds it, ``apis`` the
    endpoints it is sent to.
    """

    name: str
    place: str
    parse: Callable[[Any], Any]
    config_field: Optional[str] = None
    apis: tuple[str, ...] = _ALL_APIS


SETTINGS: tuple[Setting, ...] = (
    Setting("temperature", "options", _float, "temperature"),
    Setting("top_p", "options", _float, "top_p"),
    Setting("top_k", "options", _int, "top_k"),
    Setting("min_p", "options", _float),
    Setting("typical_p", "options", _float),
    Setting("num_predict", "options", _int, "max_token"),
    Setting("stop", "options", _stop, "stop"),
    Setting("seed", "options", _int, "seed"),
    Setting("presence_penalty", "options", _float, "presence_penalty"),
    Setting("frequency_penalty", "options", _float, "frequency_penalty"),
    Setting("repeat_penalty", "options", _float, "repetition_penalty"),
    Setting("repeat_last_n", "options", _int),
    Setting("num_keep", "options", _int),
    Setting("num_ctx", "options", _int, "context_length"),
    Setting("num_batch", "options", _int),
    Setting("num_gpu", "options", _int),
    Setting("main_gpu", "options", _int),
    Setting("use_mmap", "options", parse_bool),
    Setting("num_thread", "options", _int),
    Setting("draft_num_predict", "options", _int),
    Setting("think", "request", _think, "reasoning", _TEXT_APIS),
    Setting("format", "request", _format, None, _TEXT_APIS),
    Setting("logprobs", "request", parse_bool, "logprobs", _TEXT_APIS),
    Setting("top_logprobs", "request", _top_logprobs, "top_logprobs", _TEXT_APIS),
    Setting("keep_alive", "request", parse_keep_alive),
    Setting("dimensions", "request", _int, None, ("embed",)),
    Setting("proxy", "client", _str, "proxy"),
    Setting("verify", "client", _verify),
    Setting("headers", "client", _headers),
    Setting("connect_timeout", "client", _seconds),
    Setting("first_token_timeout", "client", _seconds),
    Setting("idle_timeout", "client", _seconds),
    Setting("total_timeout", "client", _seconds),
    Setting("on_error", "client", _on_error),
    Setting("structured", "client", parse_bool),
    Setting("repetition_guard", "client", parse_bool),
    Setting("shift", "client", parse_bool),
)

# Options of earlier servers, and of runners that are gone, which today's ignores: nobody misspelt these.
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
KNOWN_OPTIONS = frozenset((*(setting.name for setting in SETTINGS if setting.place == "options"), *_EARLIER))

# What Ollama calls an option of other servers and frameworks, or where it wants what people put among the options.
ELSEWHERE = {
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

_BY_NAME = {setting.name: setting for setting in SETTINGS}
_BY_FIELD = {setting.config_field: setting for setting in SETTINGS if setting.config_field}

# Known to Ollama and refused here all the same, with the reason a user needs.
_REFUSED = {
    "truncate": "it is always sent as false, so that a prompt over the context is an error and never cut in silence",
    "stream": "each call decides by itself; llm.stream sets the default",
    "model": "it is set by llm.model",
    "timeout": "it is set by llm.timeout",
    "api_key": "it is set by llm.api_key",
    "base_url": "it is set by llm.base_url",
}


@dataclass
class ClientSettings:
    """What is no part of a request: how to reach the server, how long to wait (seconds), what an error becomes.

    ``structured`` makes the schema of an ActionNode the format of its answer; None leaves that to the environment.
    ``repetition_guard`` makes an answer that goes in circles an error.
    ``shift`` leaves it to the server what becomes of an answer that outgrows the context.
    """

    proxy: Optional[str] = None
    verify: bool | str = True
    headers: dict[str, str] = field(default_factory=dict)
    connect_timeout: Optional[float] = None
    first_token_timeout: Optional[float] = None
    idle_timeout: Optional[float] = None
    total_timeout: Optional[float] = None
    on_error: str = "raise"
    structured: Optional[bool] = None
    repetition_guard: bool = True
    shift: bool = False


@dataclass
class Settings:
    """A configuration, read: ``options`` and ``request`` are what is sent, ``client`` is what is not."""

    options: dict[str, Any] = field(default_factory=dict)
    request: dict[str, Any] = field(default_factory=dict)
    client: ClientSettings = field(default_factory=ClientSettings)


def read_settings(config: Any, api: str) -> Settings:
    """Reads MetaGPT's ``LLMConfig`` for one endpoint (``chat``, ``generate``, ``embed`` or ``embeddings``).

    Raises ``ConfigurationError`` for an unknown name in ``extra_fields`` and for a value of the wrong type.
    """
    found: dict[str, Any] = {"temperature": DEFAULT_TEMPERATURE}
    for name in sorted(fields_set(config)):
        setting = _BY_FIELD.get(name)
        value = getattr(config, name, None)
        if setting is not None and value is not None and value != "":
            found[setting.name] = _parse(setting, value, f"llm.{name}")
    extra = getattr(config, "extra_fields", None) or {}
    for name, value in extra.items():
        found[_known(name).name] = _parse(_known(name), value, f"llm.extra_fields.{name}")

    settings = Settings()
    for setting in SETTINGS:
        if setting.name not in found:
            continue
        value = found[setting.name]
        if setting.place == "client":
            setattr(settings.client, setting.name, value)
        elif api in setting.apis:
            target = settings.options if setting.place == "options" else settings.request
            target[setting.name] = value
    if not settings.options.get("stop", True):
        del settings.options["stop"]
    return settings


def fields_set(config: Any) -> AbstractSet[str]:
    """The names of the fields that the user set, as pydantic keeps them; none for a configuration of another make."""
    found = getattr(config, "model_fields_set", ())
    return found if isinstance(found, (set, frozenset)) else frozenset()


def _known(name: str) -> Setting:
    setting = _BY_NAME.get(name)
    if setting is not None:
        return setting
    if name in _REFUSED:
        raise ConfigurationError(f"llm.extra_fields.{name} cannot be set: {_REFUSED[name]}")
    by_field = _BY_FIELD.get(name)
    if by_field is not None:
        raise ConfigurationError(
            f"llm.extra_fields.{name} is not a setting", hint=f"write llm.{name}, or {by_field.name} in extra_fields"
        )
    close = near_miss(name, _BY_NAME)
    hint = f"did you mean {close}?" if close else "known names: " + ", ".join(sorted(_BY_NAME))
    raise ConfigurationError(f"llm.extra_fields.{name} is not a setting", hint=hint)


def _parse(setting: Setting, value: Any, where: str) -> Any:
    try:
        return setting.parse(value)
    except ValueError as error:
        # A header or a proxy address may hold a password.
        shown = "" if setting.name in ("headers", "proxy") else f", not {excerpt(repr(value), 60)}"
        raise ConfigurationError(f"{where} must be {error}{shown}") from None


def overlay(fresh: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """``fresh`` with the changes applied that were made by hand between ``before`` and ``after``.

    Used for settings that a user edits on a live object while the configuration may change under them: both count.
    Mappings inside are treated in the same way.
    """
    result = dict(fresh)
    for key in before:
        if key not in after:
            result.pop(key, None)
    for key, value in after.items():
        if key in before and before[key] == value:
            continue
        old, new = before.get(key), result.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping) and isinstance(new, Mapping):
            result[key] = overlay(new, old, value)
        else:
            result[key] = value
    return result
