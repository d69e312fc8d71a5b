"""In a process of `metagpt-ollama run`: writes errors of model calls to a file for the end of the run, and their
tracebacks to another.

MetaGPT prints the traceback of a failed call up to three times, and its text with each retry, so that the one line that
helps the user is lost among hundreds. A log line or an uncaught exception about such an error keeps its first line
here; the traceback is appended to `TRACEBACKS` in the folder of the run, and each error to `ERRORS`, as one line of
JSON:

    {"ended": 1764101234.5, "error": "ConnectError: The server cannot be reached: …", "hint": "is Ollama …",
     "uncaught": false}

`metagpt-ollama run` prints the last of them, once, when the command has ended. No function here raises, because a
report must never make a run fail.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any, Optional

from ..errors import OllamaError
from .environment import RUN_VARIABLE

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["ERRORS", "TRACEBACKS", "report_error", "report_uncaught", "strip_tracebacks_from_log"]

ERRORS = "errors.jsonl"
TRACEBACKS = "tracebacks.txt"

_TRACEBACK_START = "Traceback (most recent call last):"
_REPORTED = "_reported_to_run"
_hints: set[str] = set()


def report_error(error: OllamaError, *, uncaught: bool = False) -> None:
    """Writes `error` to the file for the end of the run, once, and again if it ends the process (`uncaught`).

    Does nothing outside of a run.
    """
    if (getattr(error, _REPORTED, False) and not uncaught) or RUN_VARIABLE not in os.environ:
        return
    setattr(error, _REPORTED, True)
    _hints.update(error.hint.splitlines()[:1])
    line = {"ended": time.time(), "error": _one_line(error), "hint": error.hint, "uncaught": uncaught}
    _append(ERRORS, json.dumps(line) + "\n")


def report_uncaught(kind: type[BaseException], value: BaseException, trace: Optional[TracebackType]) -> bool:
    """Prints an uncaught exception on one line of stderr, if an error of this package has caused it.

    Returns whether that is so. The hook that was installed before prints other exceptions.
    """
    error = _ollama_error_behind(value)
    if error is None:
        return False
    report_error(error, uncaught=True)
    _append(TRACEBACKS, _with_heading("".join(traceback.format_exception(kind, value, trace))))
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"{_one_line(error)}\n")
    return True


def strip_tracebacks_from_log() -> None:
    """Removes tracebacks and hints of this package's errors from the lines that MetaGPT logs with loguru."""
    with contextlib.suppress(Exception):
        from loguru import logger

        # The handlers stay as they are. Every record is shortened before any handler gets it.
        logger.configure(patcher=_strip_traceback)


def _strip_traceback(record: Any) -> None:
    with contextlib.suppress(Exception):
        exception, message = record["exception"], record["message"]
        error = _ollama_error_behind(exception.value) if exception is not None else None
        if error is not None:
            report_error(error)
            _append(TRACEBACKS, _with_heading("".join(traceback.format_exception(*exception))))
            record["exception"] = None
            if error.message not in message:
                message = f"{message} ({_one_line(error)})"
        start = message.find(_TRACEBACK_START)
        if start >= 0 and "metagpt_ollama_rs.errors." in message[start:]:
            _append(TRACEBACKS, _with_heading(message[start:]))
            message = f"{message[:start].rstrip()} {_last_error_line(message[start:])}"
        record["message"] = "\n".join(line for line in message.split("\n") if not _is_hint(line))


def _is_hint(line: str) -> bool:
    return line.startswith("hint: ") and line[len("hint: ") :] in _hints


def _last_error_line(text: str) -> str:
    """The last line of a traceback's text that names an error of this package."""
    lines = [line for line in text.splitlines() if line.startswith("metagpt_ollama_rs.errors.")]
    return lines[-1].partition("metagpt_ollama_rs.errors.")[2] if lines else ""


def _one_line(error: OllamaError) -> str:
    """The error on one line, without its hint."""
    text = str(error)
    if error.hint:
        text = text.replace(f"\nhint: {error.hint}", "")
    return f"{type(error).__name__}: {' '.join(text.split())}"


def _ollama_error_behind(value: Optional[BaseException]) -> Optional[OllamaError]:
    """The error of this package that `value` is, or from which or during whose handling it was raised."""
    seen: set[int] = set()
    while value is not None and id(value) not in seen:
        if isinstance(value, OllamaError):
            return value
        seen.add(id(value))
        value = value.__cause__ or value.__context__
    return None


def _with_heading(text: str) -> str:
    return f"# {time.strftime('%Y-%m-%d %H:%M:%S')}, process {os.getpid()}\n{text.rstrip()}\n\n"


def _append(name: str, text: str) -> None:
    with contextlib.suppress(OSError, KeyError):
        path = os.path.join(os.environ[RUN_VARIABLE], name)
        # One write for the whole text, so that texts of several processes do not mix.
        with open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "wb", buffering=0) as file:
            file.write(text.encode("utf-8", "backslashreplace"))
