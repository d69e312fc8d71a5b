"""What MetaGPT's LLM configuration means in a request to Ollama: one table, and the code that reads it.

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

>>> from types import SimpleNamespace
>>> config = SimpleNamespace(
...     max_token=200, extra_fields={"num_ctx": "8192", "idle_timeout": "30"}, model_fields_set={"max_token"}
... )
>>> settings = read_provider_settings(config, "chat")
>>> settings.options, settings.client.timeouts
({'temperature': 0.3, 'num_predict': 200, 'num_ctx': 8192}, {'idle': 30.0})

To add a setting is to add a row to ``SETTINGS`` and, for one of the client, a field to `ClientSettings`. A limit that
is added to `Timeout` and an option that is added to ``OPTIONS`` are settings without a row of their own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Callable, Optional

from .._core import excerpt
from ..endpoints import ENDPOINTS
from ..errors import ConfigurationError
from ..limits import Timeout
from ..model_options import OPTIONS, parse_bool, parse_float, parse_int, parse_keep_alive
from ..patch_names import parse_unpatched
from ..spelling import near_miss

__all__ = [
    "DEFAULT_TEMPERATURE",
    "SETTINGS",
    "ClientSettings",
    "Setting",
    "Settings",
    "fields_set",
    "overlay",
    "parse_structured",
    "read_provider_settings",
]

# MetaGPT's own provider sends this temperature in every request.
DEFAULT_TEMPERATURE = 0.3

# The endpoints of Ollama by the last part of their paths: those that answer with text, and those that answer with
# vectors.
_OLLAMA_ENDPOINTS = [row for row in ENDPOINTS.values() if row.path.startswith("/api/")]
_TEXT_APIS = tuple(row.path[len("/api/") :] for row in _OLLAMA_ENDPOINTS if row.lines == "answer")
_EMBED_APIS = tuple(row.path[len("/api/") :] for row in _OLLAMA_ENDPOINTS if row.embeds)
_ALL_APIS = _TEXT_APIS + _EMBED_APIS


def _parse_seconds(value: Any) -> float:
    number = parse_float(value)
    if number <= 0:
        raise ValueError("a number of seconds above zero")
    return number


def _parse_text(value: Any) -> str:
    if isinstance(value, str) and value:
        return value
    raise ValueError("a text")


def _parse_format(value: Any) -> str | dict[str, Any]:
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


def _parse_think(value: Any) -> bool | str:
    if isinstance(value, str) and value.strip().lower() in ("low", "medium", "high", "max"):
        return value.strip().lower()
    try:
        return parse_bool(value)
    except ValueError:
        raise ValueError("true, false, low, medium, high or max") from None


def _parse_top_logprobs(value: Any) -> int:
    number = parse_int(value)
    if not 0 <= number <= 20:
        raise ValueError("a whole number from 0 to 20")
    return number


def _parse_headers(value: Any) -> dict[str, str]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if isinstance(value, dict) and all(isinstance(k, str) and isinstance(v, str) for k, v in value.items()):
        return dict(value)
    raise ValueError("a JSON object of texts")


def _parse_verify(value: Any) -> bool | str:
    try:
        return parse_bool(value)
    except ValueError:
        pass
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise ValueError("true, false, or the path of a file or folder of CA certificates")


def _parse_cert(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) and value.strip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    paths = [value] if isinstance(value, str) else value
    known = [path.strip() for path in paths if isinstance(path, str)] if isinstance(paths, (list, tuple)) else []
    if len(known) in (1, 2) and all(known) and len(known) == len(paths):
        return tuple(known)
    raise ValueError("the path of a PEM file with a certificate and its key, or a JSON list of the paths of both")


def _parse_on_error(value: Any) -> str:
    if value in ("raise", "text"):
        return str(value)
    raise ValueError("raise or text")


def parse_structured(value: Any) -> str:
    """``auto``, ``true`` or ``false``. Raises ``ValueError`` whose text completes "must be …"."""
    if isinstance(value, str) and value.strip().lower() == "auto":
        return "auto"
    try:
        return "true" if parse_bool(value) else "false"
    except ValueError:
        raise ValueError("auto, true or false") from None


@dataclass(frozen=True)
class Setting:
    """One row of the table.

    ``name`` is what users write in ``extra_fields`` and, where the place is ``options`` or ``request``, what is sent.
    ``place`` is ``options``, ``request``, ``timeout`` (a limit of `Timeout`, in seconds) or ``client``. ``parse``
    returns the typed value or raises ``ValueError`` whose text completes "must be …". ``config_field`` is the
    ``LLMConfig`` field that feeds it, ``apis`` the endpoints it is sent to.

    >>> setting = next(setting for setting in SETTINGS if setting.name == "temperature")
    >>> setting.place, setting.parse("0.5"), setting.config_field
    ('options', 0.5, 'temperature')
    """

    name: str
    place: str
    parse: Callable[[Any], Any]
    config_field: Optional[str] = None
    apis: tuple[str, ...] = _ALL_APIS


# What follows the name of a limit of `Timeout` in the name of its setting: ``idle_timeout``.
_TIMEOUT = "_timeout"

# The field of ``LLMConfig`` that feeds an option of Ollama.
_OPTION_FIELDS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "num_predict": "max_token",
    "stop": "stop",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "repeat_penalty": "repetition_penalty",
    "num_ctx": "context_length",
}

SETTINGS: tuple[Setting, ...] = (
    *(Setting(name, "options", parse, _OPTION_FIELDS.get(name)) for name, parse in OPTIONS.items()),
    Setting("think", "request", _parse_think, "reasoning", _TEXT_APIS),
    Setting("format", "request", _parse_format, None, _TEXT_APIS),
    Setting("logprobs", "request", parse_bool, "logprobs", _TEXT_APIS),
    Setting("top_logprobs", "request", _parse_top_logprobs, "top_logprobs", _TEXT_APIS),
    Setting("keep_alive", "request", parse_keep_alive),
    Setting("dimensions", "request", parse_int, None, ("embed",)),
    Setting("proxy", "client", _parse_text, "proxy"),
    Setting("verify", "client", _parse_verify),
    Setting("cert", "client", _parse_cert),
    Setting("headers", "client", _parse_headers),
    *(Setting(limit + _TIMEOUT, "timeout", _parse_seconds) for limit in Timeout._fields),
    Setting("on_error", "client", _parse_on_error),
    Setting("structured", "client", parse_structured),
    Setting("unpatched", "client", parse_unpatched),
    Setting("repetition_guard", "client", parse_bool),
    Setting("shift", "client", parse_bool),
)

_BY_NAME = {setting.name: setting for setting in SETTINGS}
_BY_FIELD = {setting.config_field: setting for setting in SETTINGS if setting.config_field}

# Names that Ollama knows and that are refused here all the same, with the reason for the user.
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
    """What is no part of a request: how to reach the server, how long to wait, what an error becomes.

    ``timeouts`` has seconds by the names of the limits of `Timeout`, those alone that the user set.
    ``structured`` says whether the schema of an answer that MetaGPT parses is its format: ``auto``, ``true`` or
    ``false``; None leaves that to the environment.
    ``unpatched`` names the patches of MetaGPT that do not act for this configuration.
    ``repetition_guard`` makes an answer that repeats itself without an end an error.
    ``shift`` leaves it to the server what becomes of an answer that outgrows the context.

    >>> ClientSettings(timeouts={"idle": 60.0}).on_error
    'raise'
    """

    proxy: Optional[str] = None
    verify: bool | str = True
    cert: Optional[tuple[str, ...]] = None
    headers: dict[str, str] = field(default_factory=dict)
    timeouts: dict[str, float] = field(default_factory=dict)
    on_error: str = "raise"
    structured: Optional[str] = None
    unpatched: frozenset[str] = frozenset()
    repetition_guard: bool = True
    shift: bool = False


@dataclass
class Settings:
    """A configuration that was read: ``options`` and ``request`` are sent, ``client`` is not.

    >>> from metagpt.configs.llm_config import LLMConfig
    >>> extra_fields = {"num_ctx": "8192", "keep_alive": "5m", "idle_timeout": "60"}
    >>> config = LLMConfig(api_type="ollama", api_key="ollama", extra_fields=extra_fields)
    >>> settings = read_provider_settings(config, "chat")
    >>> settings.options, settings.request, settings.client.timeouts
    ({'temperature': 0.3, 'num_ctx': 8192}, {'keep_alive': '5m'}, {'idle': 60.0})
    """

    options: dict[str, Any] = field(default_factory=dict)
    request: dict[str, Any] = field(default_factory=dict)
    client: ClientSettings = field(default_factory=ClientSettings)


def read_provider_settings(config: Any, api: str) -> Settings:
    """Reads MetaGPT's ``LLMConfig`` for one endpoint (``chat``, ``generate``, ``embed`` or ``embeddings``).

    Raises ``ConfigurationError`` for an unknown name in ``extra_fields`` and for a value of the wrong type.
    """
    found: dict[str, Any] = {"temperature": DEFAULT_TEMPERATURE}
    for name in sorted(fields_set(config)):
        setting = _BY_FIELD.get(name)
        value = getattr(config, name, None)
        if setting is not None and value is not None and value != "":
            found[setting.name] = _parse_setting(setting, value, f"llm.{name}")
    extra = getattr(config, "extra_fields", None) or {}
    for name, value in extra.items():
        found[_setting_called(name).name] = _parse_setting(_setting_called(name), value, f"llm.extra_fields.{name}")

    settings = Settings()
    for setting in SETTINGS:
        if setting.name not in found:
            continue
        value = found[setting.name]
        if setting.place == "timeout":
            settings.client.timeouts[setting.name[: -len(_TIMEOUT)]] = value
        elif setting.place == "client":
            setattr(settings.client, setting.name, value)
        elif api in setting.apis:
            target = settings.options if setting.place == "options" else settings.request
            target[setting.name] = value
    if not settings.options.get("stop", True):
        del settings.options["stop"]
    return settings


def fields_set(config: Any) -> AbstractSet[str]:
    """The names of the fields that the user has set, as pydantic keeps them; empty for any other object."""
    found = getattr(config, "model_fields_set", ())
    return found if isinstance(found, (set, frozenset)) else frozenset()


def _setting_called(name: str) -> Setting:
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


def _parse_setting(setting: Setting, value: Any, where: str) -> Any:
    try:
        return setting.parse(value)
    except ValueError as error:
        # A header or a proxy address may hold a password. What is wrong with `unpatched` is one name of several.
        shown = "" if setting.name in ("headers", "proxy", "unpatched") else f", not {excerpt(repr(value), 60)}"
        raise ConfigurationError(f"{where} must be {error}{shown}") from None


def overlay(fresh: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """``fresh`` with the changes that turned ``before`` into ``after``, in nested mappings as well.

    User code may edit the settings of a provider's object, and the configuration may change later: both count.

    >>> overlay({"options": {"seed": 2, "top_k": 5}}, {"options": {"seed": 1}}, {"options": {"seed": 1, "stop": ["x"]}})
    {'options': {'seed': 2, 'top_k': 5, 'stop': ['x']}}
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
