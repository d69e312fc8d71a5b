"""Which model the tools ask, where, and how: `OllamaConfig`, and the process's own one, `ollama_config`.

The file is MetaGPT's ``config2.yaml``, or one in JSON or TOML, with an ``llm`` section or with its keys at the top::

    llm:
      api_type: ollama
      base_url: http://127.0.0.1:11434
      model: qwen2.5:7b

Variables of the environment win over the file, and what a call says wins over both.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple, Optional, cast
from urllib.parse import urlsplit

from metagpt_ollama_rs._core import excerpt
from metagpt_ollama_rs.errors import ConfigurationError
from metagpt_ollama_rs.model_options import parse_float, parse_int
from metagpt_ollama_rs.slc.config_reader import ReadFile, read_config_file
from metagpt_ollama_rs.spelling import near_miss
from metagpt_ollama_rs.switch.config_file import configuration_paths

__all__ = ["VARIABLES", "ConfigVariable", "OllamaConfig", "ollama_config", "tool_config"]

_PACKAGE = __name__.rpartition(".")[0]
_logger = logging.getLogger(__name__)

# Of a file of MetaGPT's name the first of these that exists is read. MetaGPT itself reads YAML only.
_SUFFIXES = (".yaml", ".yml", ".json", ".toml")


def _text_value(value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise ValueError("a text")


def _optional_text_value(value: Any) -> Optional[str]:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    raise ValueError("a text")


def _base_url_value(value: Any) -> str:
    return _canonical_url(_text_value(value))


def _timeout_value(value: Any) -> int | float:
    number = parse_float(value)
    if number <= 0:
        raise ValueError("a number of seconds above zero")
    return int(number) if number.is_integer() else number


def _temperature_value(value: Any) -> float:
    number = parse_float(value)
    if number < 0:
        raise ValueError("a number from zero on")
    return number


def _context_length_value(value: Any) -> Optional[int]:
    if value is None:
        return None
    number = parse_int(value)
    if number <= 0:
        raise ValueError("a whole number above zero")
    return number


def _language_value(value: Any) -> Optional[str]:
    if value is None or value in ("zh", "en"):
        return cast("Optional[str]", value)
    raise ValueError("zh or en")


_PARSERS: Mapping[str, Callable[[Any], Any]] = {
    "model": _text_value,
    "base_url": _base_url_value,
    "timeout": _timeout_value,
    "temperature": _temperature_value,
    "api_key": _optional_text_value,
    "context_length": _context_length_value,
    "language": _language_value,
}


class ConfigVariable(NamedTuple):
    """A variable of the environment, and the field that it is in the place of.

    >>> [variable.name for variable in VARIABLES if variable.field == "base_url"]
    ['METAGPT_OLLAMA_BASE_URL', 'OLLAMA_BASE_URL', 'OLLAMA_HOST']
    """

    name: str
    field: str


# The strongest first, of those for one field.
VARIABLES = (
    *(
        ConfigVariable(f"METAGPT_OLLAMA_{name.upper()}", name)
        for name in ("model", "base_url", "timeout", "temperature", "language")
    ),
    ConfigVariable("OLLAMA_BASE_URL", "base_url"),
    ConfigVariable("OLLAMA_HOST", "base_url"),
    ConfigVariable("OLLAMA_MODEL", "model"),
    ConfigVariable("OLLAMA_API_KEY", "api_key"),
)


@dataclass
class OllamaConfig:
    """What the tools need to know to ask a model.

    Args:
        model: the name of the model, such as ``qwen2.5:7b``.
        base_url: the server's address in any form that the clients take, with or without ``/api`` or ``/v1``; it is
            brought to its plain form.
        timeout: seconds until the answer is there; of one that is shown as it comes (``on_text``), until it begins, and
            for each pause.
        temperature: that of `SmartQATool.smart_qa` and of `call_ollama`; the other tools use 0.1.
        api_key: sent as a bearer token; not shown by ``repr``.
        context_length: the size of the context in tokens (``num_ctx``); None leaves it to the server.
        language: ``zh`` or ``en``, the language of the prompts; None chooses it by what the user wrote.

    Raises:
        ConfigurationError: a value cannot be used.

    >>> OllamaConfig("llama3.2", "http://gpu-box:11434/api", api_key="secret")
    OllamaConfig(model='llama3.2', base_url='http://gpu-box:11434', timeout=600, temperature=0.1, ...)
    """

    model: str = "qwen2.5:7b"
    base_url: str = "http://127.0.0.1:11434"
    timeout: float = 600
    temperature: float = 0.1
    api_key: Optional[str] = field(default=None, repr=False)
    context_length: Optional[int] = None
    language: Optional[str] = None

    def __repr__(self) -> str:
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.repr}
        # An address may name a user and a password.
        values["base_url"] = re.sub(r"//[^/]*@", "//", values["base_url"])
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in values.items())})"

    def __post_init__(self) -> None:
        for name in _PARSERS:
            setattr(self, name, _parsed(name, getattr(self, name), name))

    @classmethod
    def from_config_file(cls, config_path: Optional[str] = None) -> OllamaConfig:
        """The configuration of a file, over it that of the environment; what neither says has its default.

        Args:
            config_path: a file in YAML, JSON or TOML, with an ``llm`` section or with the keys at its top. None: the
                files that MetaGPT reads, ``config/config2.yaml`` below ``METAGPT_PROJECT_ROOT`` (else below the folder
                of its checkout or the current folder), then ``~/.metagpt/config2.yaml``, whose ``llm`` section takes
                the place of the first's; each may be ``.yml``, ``.json`` or ``.toml`` instead.

        A section of another ``api_type`` than ``ollama`` is not taken, and the log says so; nor is one without a type
        in MetaGPT's own files, which MetaGPT takes for OpenAI's. The environment's variables are
        ``METAGPT_OLLAMA_MODEL``, ``…_BASE_URL``, ``…_TIMEOUT``, ``…_TEMPERATURE`` and ``…_LANGUAGE``, then
        ``OLLAMA_BASE_URL``, ``OLLAMA_HOST``, ``OLLAMA_MODEL`` and ``OLLAMA_API_KEY``.

        Raises:
            ConfigurationError: the file cannot be read or parsed, or a value cannot be used; the message has the file,
                the line and the key, or the variable. A file that is not there is no error.
        """
        values = _file_values(config_path)
        values.update(_environment_values())
        return cls(**values)


class UnreadConfig(OllamaConfig):
    """The process's configuration before its first use: then it reads the file and becomes a plain `OllamaConfig`.

    What was assigned before stays. Of two threads that come here at the same time the first one's values are kept, each
    in one step.
    """

    def __getattribute__(self, name: str) -> Any:
        if name in _PARSERS or name in ("__dict__", "__reduce_ex__"):
            _read_now(self)
        return object.__getattribute__(self, name)

    def __repr__(self) -> str:
        return repr(_read_now(self))

    def __eq__(self, other: object) -> bool:
        return _read_now(self) == other

    __hash__ = None  # type: ignore[assignment]


def _read_now(config: OllamaConfig) -> OllamaConfig:
    if type(config) is UnreadConfig:
        own = object.__getattribute__(config, "__dict__")
        # Where all fields are assigned, a file that cannot be read is nobody's concern.
        if not _PARSERS.keys() <= own.keys():
            for name, value in vars(OllamaConfig.from_config_file()).items():
                own.setdefault(name, value)
        config.__class__ = OllamaConfig  # type: ignore[assignment]
    return config


ollama_config: OllamaConfig = UnreadConfig.__new__(UnreadConfig)
"""The configuration of this process, which all tools use; read from MetaGPT's file at its first use."""


def tool_config() -> OllamaConfig:
    """What the tools use: `ollama_config`, unless another one was assigned to this attribute of the package, as in
    ``slc.ollama_config = OllamaConfig("llama3.2")``."""
    return cast(OllamaConfig, sys.modules[_PACKAGE].ollama_config)


def _file_values(config_path: Optional[str]) -> dict[str, Any]:
    if config_path is not None:
        named = os.path.expanduser(config_path)
        try:
            file = read_config_file(named)
        except FileNotFoundError:
            _logger.warning("%s is not there: the tools use the defaults", named)
            return {}
        return _section_values(file, named=True)
    values: dict[str, Any] = {}
    for path in _searched_files():
        file = read_config_file(path)
        if "llm" in file.values:
            values = _section_values(file, named=False)
    return values


def _searched_files() -> list[Path]:
    try:
        spec = importlib.util.find_spec("metagpt")
    except (ImportError, ValueError):
        spec = None
    folders = spec.submodule_search_locations if spec is not None else None
    package = Path(next(iter(folders))) if folders else None
    try:
        paths = configuration_paths(package)
    except (OSError, RuntimeError) as error:
        _logger.warning("no configuration is looked for, because there is no current folder or no home: %s", error)
        return []
    found = []
    for path in paths:
        there = (path.with_suffix(suffix) for suffix in _SUFFIXES)
        found += [candidate for candidate in there if os.path.isfile(candidate)][:1]
    return found


def _section_values(file: ReadFile, *, named: bool) -> dict[str, Any]:
    """The fields in the ``llm`` section of a file, parsed, or in the file itself where it has none. ``named`` says that
    the user named the file, so that a section without a type is meant for Ollama."""
    above = ("llm",) if "llm" in file.values else ()
    section = file.values["llm"] if above else file.values
    if section is None:
        return {}
    if not isinstance(section, dict):
        raise file.error(above, f"llm must be a section with keys such as model, not {excerpt(repr(section), 60)}")
    api_type = section.get("api_type", "ollama" if named else "openai")
    if not _is_ollama_type(api_type):
        _logger.warning(
            "%s: the llm section is of the type %s, not ollama: the tools do not use it", file.path, api_type
        )
        return {}
    values = {}
    for name, value in section.items():
        close = None if name in _PARSERS else near_miss(str(name), _PARSERS)
        if close is not None and close not in section:
            _logger.warning("%s: %s is not a setting; did you mean %s?", file.where((*above, str(name))), name, close)
        # MetaGPT, too, takes a time limit of 0 for one that is not set.
        if name in _PARSERS and value is not None and value != "" and not (name == "timeout" and value in (0, "0")):
            try:
                values[name] = _parsed(name, value, ".".join((*above, name)))
            except ConfigurationError as error:
                raise file.error((*above, name), error.message) from None
    return values


def _is_ollama_type(api_type: Any) -> bool:
    return isinstance(api_type, str) and api_type.partition(".")[0].strip().lower() == "ollama"


def _environment_values() -> dict[str, Any]:
    values: dict[str, Any] = {}
    for variable in VARIABLES:
        value = os.environ.get(variable.name, "").strip()
        if value and variable.field not in values:
            values[variable.field] = _parsed(variable.field, value, variable.name)
    return values


def _parsed(name: str, value: Any, where: str) -> Any:
    try:
        return _canonical_url(None) if where == "OLLAMA_HOST" else _PARSERS[name](value)
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error.message}", hint=error.hint) from None
    except ValueError as error:
        shown = "" if name == "api_key" else f", not {excerpt(repr(value), 60)}"
        raise ConfigurationError(f"{where} must be {error}{shown}") from None


def _canonical_url(address: Optional[str]) -> str:
    """The plain form of an address, as the clients have it, with the user and password that it names. None is that of
    ``OLLAMA_HOST``, in which a port may be missing."""
    from metagpt_ollama_rs.base import BaseClient

    url = BaseClient(address).base_url
    given = address if address is not None else os.environ.get("OLLAMA_HOST", "")
    user, at, _ = given.partition("://")[2].partition("/")[0].rpartition("@")
    return urlsplit(url)._replace(netloc=f"{user}@{urlsplit(url).netloc}").geturl() if at else url
