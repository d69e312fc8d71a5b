"""Arguments that several tools of `metagpt-ollama tool` have, and the options of `slc` that they stand for.

    metagpt-ollama tool ask "…" --model llama3.2 --temperature 0.5 --option seed=1
    model_options(arguments) == {"model": "llama3.2", "temperature": 0.5, "options": {"seed": 1}}

Standard library only, until `model_options` is called.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
from typing import TYPE_CHECKING, Any

from .console import CliError

if TYPE_CHECKING:
    from ..slc.calls import ToolOptions

__all__ = [
    "add_encoding_argument",
    "add_file_argument",
    "add_json_argument",
    "add_model_arguments",
    "add_raw_argument",
    "add_server_arguments",
    "add_words_argument",
    "as_arguments",
    "model_name",
    "model_options",
    "take_configuration",
    "whole_number_above_zero",
]


# Arguments as the messages of `slc` name them, for people who write Python.
_PYTHON_ARGUMENTS = (
    (re.compile(r"\ballow_options=\['([^']+)'\]"), r"--allow-option=\1"),
    (re.compile(r"\b([a-z]+)(?:_([a-z]+))?=True\b"), lambda found: "--" + "-".join(filter(None, found.groups()))),
    (re.compile(r"\bencoding=…"), "--encoding …"),
    (re.compile(r"\bsource='(\w+)'"), r"--from \1"),
    (re.compile(r"\boptions=\{'(\w+)': …\}"), r"--option \1=…"),
    (re.compile(r"\bundo\(\)"), "`batch undo`"),
    (re.compile(r"\b(num_predict) in options\b"), r"--option \1=N"),
)


def add_words_argument(parser: argparse.ArgumentParser, name: str, about: str) -> None:
    """Declares a text that is given as words, comes from stdin, or is about a file."""
    parser.add_argument(
        name, nargs="*", metavar=name.upper(), help=f"{about} (quote it); - or nothing reads it from stdin"
    )
    parser.add_argument("--file", metavar="FILE", help=f"goes with the {name}, or is the {name}; - reads stdin")
    add_encoding_argument(parser)


def add_file_argument(parser: argparse.ArgumentParser, *, nargs: str | None = "?") -> None:
    """Declares the file that a tool reads."""
    parser.add_argument(
        "file", nargs=nargs, metavar="FILE", help=f"the file; - {'' if nargs is None else '(or nothing) '}reads stdin"
    )
    add_encoding_argument(parser)


def add_encoding_argument(parser: argparse.ArgumentParser) -> None:
    """Declares the encoding of what is read."""
    parser.add_argument(
        "--encoding",
        type=_encoding,
        metavar="NAME",
        help="of what is read, such as cp1252 (default: by its byte order mark, UTF-8, by the `coding:` line of "
        "Python, the locale's, GBK)",
    )


def add_raw_argument(parser: argparse.ArgumentParser) -> None:
    """Declares that the model's answer is wanted as it is."""
    parser.add_argument("--raw", action="store_true", help="the model's whole answer, not only the code in it")


def add_json_argument(parser: argparse.ArgumentParser) -> None:
    """Declares `--json`."""
    parser.add_argument("--json", action="store_true", help="one JSON value on stdout, errors included")


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares where the server is."""
    group = parser.add_argument_group("server", "by default as config2.yaml and the environment say (docs/tools.md)")
    group.add_argument("--host", metavar="URL", help="of Ollama, such as http://127.0.0.1:11434")
    group.add_argument("--config", metavar="FILE", help="read this file in the place of config2.yaml")


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares which model is asked, where and how, and `--json`."""
    add_json_argument(parser)
    add_server_arguments(parser)
    group = parser.add_argument_group("model")
    group.add_argument("--model", metavar="NAME", help="such as qwen2.5:7b")
    group.add_argument(
        "--timeout",
        type=_above_zero,
        metavar="SECONDS",
        help="until the answer is there; where it is shown as it comes, until it begins and for each pause",
    )
    group.add_argument("--temperature", type=_from_zero_on, metavar="T", help="0 for the likeliest answer")
    group.add_argument("--language", choices=("zh", "en"), help="of the prompt (default: that of the input)")
    group.add_argument(
        "--option",
        type=_option,
        action="append",
        metavar="NAME=VALUE",
        help="one of Ollama's, such as num_ctx=16384, num_predict=500, seed=1; can be given several times",
    )


def take_configuration(arguments: argparse.Namespace) -> None:
    """Makes `slc`'s configuration what `--config` and `--host` say."""
    from dataclasses import fields

    from ..slc import OllamaConfig, ollama_config

    if arguments.config is not None:
        if not os.path.isfile(arguments.config):
            # A file that is only looked for may be missing; one that is named may not.
            raise CliError(f"{arguments.config}: no such file", hint="check --config")
        read = OllamaConfig.from_config_file(arguments.config)
        for field in fields(read):
            setattr(ollama_config, field.name, getattr(read, field.name))
    if arguments.host is not None:
        ollama_config.base_url = arguments.host


def model_options(arguments: argparse.Namespace) -> ToolOptions:
    """The options for a method of `slc`; takes the configuration first (`take_configuration`)."""
    take_configuration(arguments)
    options: dict[str, Any] = {
        name: getattr(arguments, name)
        for name in ("model", "timeout", "temperature", "language")
        if getattr(arguments, name) is not None
    }
    if arguments.option:
        options["options"] = dict(arguments.option)
    return options  # type: ignore[return-value]


def model_name(arguments: argparse.Namespace) -> str:
    """The model that is asked."""
    from ..slc import ollama_config

    return arguments.model or ollama_config.model


def _encoding(text: str) -> str:
    import codecs

    try:
        "".encode(text)
        return codecs.lookup(text).name
    except LookupError:
        raise argparse.ArgumentTypeError(f"{text!r} is no encoding of texts that Python knows") from None


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is no number")
    return number


def _above_zero(text: str) -> float:
    number = _number(text)
    if number <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0")
    return number


def _from_zero_on(text: str) -> float:
    number = _number(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is below 0")
    return number


def whole_number_above_zero(text: str) -> int:
    """The type of an argument that counts something."""
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")


def _option(text: str) -> tuple[str, Any]:
    """`num_ctx=8192` as its name and value; a value that is no JSON is a text."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def as_arguments(text: str) -> str:
    """A text of `slc` with the names of Python's arguments as this command line has them.

    >>> as_arguments("dry run: apply=True runs it; allow_current=True, encoding=…, options={'num_predict': …}, undo()")
    'dry run: --apply runs it; --allow-current, --encoding …, --option num_predict=…, `batch undo`'
    """
    for pattern, replacement in _PYTHON_ARGUMENTS:
        text = pattern.sub(replacement, text)
    return text
