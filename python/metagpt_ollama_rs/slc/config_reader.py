"""Reads a configuration file in YAML, JSON or TOML, with the places of its keys, so that an error can name its line.

The suffix of the name says which of them it is (``.yaml``, ``.yml``, ``.json``, ``.toml``); of any other name the
content does. A mark of the byte order at the beginning is no content. For example, of a file with these lines ::

    llm:
      api_type: ollama
      timeout: abc

the values are ``{"llm": {"api_type": "ollama", "timeout": "abc"}}``, and the place of ``("llm", "timeout")`` is line 3,
column 3.
"""

from __future__ import annotations

import codecs
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Optional

from metagpt_ollama_rs._core import excerpt
from metagpt_ollama_rs.errors import ConfigurationError
from metagpt_ollama_rs.slc.extras import optional_module

__all__ = ["ReadFile", "read_config_file"]

# The place of a key, as line and column, both from 1 on, by its path.
_Places = Mapping[tuple[str, ...], tuple[int, int]]

_TOML_KEY = re.compile(
    r"""^[ \t]*(?:\[[ \t]*(?P<table>[^\[\]\n]+?)[ \t]*\]|(?P<key>[\w.-]+|"[^"\n]*"|'[^'\n]*')[ \t]*=)""", re.MULTILINE
)


class ReadFile(NamedTuple):
    """A file that was read: the ``path`` as it was given, its ``values``, and the ``places`` of their keys.

    >>> file = ReadFile("c.json", {"model": 1}, {("model",): (1, 2)})
    >>> print(file.error(("model",), "model must be a text, not 1").message)
    c.json, line 1, column 2: model must be a text, not 1
    """

    path: str
    values: dict[str, Any]
    places: _Places

    def error(self, key: tuple[str, ...], message: str) -> ConfigurationError:
        """The error for what is wrong with the value of ``key``."""
        return ConfigurationError(f"{self.where(key)}: {message}")

    def where(self, key: tuple[str, ...]) -> str:
        """The file, and line and column of ``key`` where they are known."""
        return _file_and_line(self.path, self.places.get(key))


def read_config_file(path: str | Path) -> ReadFile:
    """The file at ``path``.

    Raises ConfigurationError, with file, line and column, for one that cannot be read or parsed, and for one whose
    content is no mapping; MissingLibraryError where there is no parser for it; FileNotFoundError for one that is not
    there.
    """
    name = str(path)
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigurationError(f"{name} cannot be read: {error.strerror or error}") from error
    text = _decoded(data, name)
    parse = _PARSERS.get(Path(path).suffix.lower()) or _parser_by_content(text)
    values, places = parse(text, name)
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ConfigurationError(f"{name} has no keys such as llm or model: it is {type(values).__name__} as a whole")
    return ReadFile(name, values, places)


def _file_and_line(path: str, place: Optional[tuple[int, int]]) -> str:
    return path + (f", line {place[0]}, column {place[1]}" if place else "")


def _error_at(path: str, place: Optional[tuple[int, int]], message: str) -> ConfigurationError:
    return ConfigurationError(f"{_file_and_line(path, place)}: {message}")


def _decoded(data: bytes, name: str) -> str:
    coding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return data.decode(coding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise _error_at(name, (line, column), f"this is not {coding[:5].upper()}: {error.reason}") from None


def _parser_by_content(text: str) -> Any:
    lines = (line.strip() for line in text.split("\n"))
    first = next((line for line in lines if line and not line.startswith("#")), "")
    return _parse_json if first.startswith("{") else _parse_toml if _TOML_KEY.match(first) else _parse_yaml


def _parse_yaml(text: str, name: str) -> tuple[Any, _Places]:
    yaml = optional_module("yaml")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = (mark.line + 1, mark.column + 1) if mark else None
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or error
        raise _error_at(name, place, f"this is no YAML: {excerpt(str(reason), 200)}") from None
    except (ValueError, RecursionError) as error:
        # A date that there is not, such as 2024-02-31, or lists within lists within lists.
        raise ConfigurationError(f"{name} is no YAML: {excerpt(str(error), 200)}") from None
    return values, dict(_yaml_places(node, ()))


def _yaml_places(node: Any, above: tuple[str, ...]) -> Any:
    """The places of a mapping's keys, and of those in the mappings that are its values."""
    if getattr(node, "id", "") != "mapping":
        return
    for key, value in node.value:
        path = (*above, str(key.value))
        yield path, (key.start_mark.line + 1, key.start_mark.column + 1)
        if len(path) < 2:
            yield from _yaml_places(value, path)


def _parse_json(text: str, name: str) -> tuple[Any, _Places]:
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise _error_at(name, (error.lineno, error.colno), f"this is no JSON: {error.msg}") from None
    except RecursionError:
        raise ConfigurationError(f"{name} is no JSON that can be read: it is nested too deeply") from None
    try:
        # YAML takes JSON whose white space has no tabs; within texts JSON has none.
        return values, _parse_yaml(text.replace("\t", " "), name)[1]
    except ConfigurationError:
        return values, {}


def _parse_toml(text: str, name: str) -> tuple[Any, _Places]:
    toml = optional_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        values = toml.loads(text)
    except toml.TOMLDecodeError as error:
        found = re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", str(error), re.DOTALL)
        place = (int(found[2]), int(found[3])) if found else None
        raise _error_at(name, place, f"this is no TOML: {found[1] if found else error}") from None
    except RecursionError:
        raise ConfigurationError(f"{name} is no TOML that can be read: it is nested too deeply") from None
    places: dict[tuple[str, ...], tuple[int, int]] = {}
    table: tuple[str, ...] = ()
    for match in _TOML_KEY.finditer(text):
        named = match["table"] or match["key"]
        path = tuple(part.strip(" \t\"'") for part in named.split("."))
        table, path = (path, path) if match["table"] else (table, (*table, *path))
        start = match.start("table" if match["table"] else "key")
        places.setdefault(path, (text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)))
    return values, places


_PARSERS = {".yaml": _parse_yaml, ".yml": _parse_yaml, ".json": _parse_json, ".toml": _parse_toml}
