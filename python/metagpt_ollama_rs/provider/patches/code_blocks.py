"""Finds the program in an answer whose fence is not the one that MetaGPT's ``CodeParser`` looks for.

``parse_code`` takes the first block between three backticks, and the whole answer where there is none, its sentences
and fences included; on the main branch it asks for the language and a line of its own for the end, too. So a file that
the engineer has written begins with "Sure! Here is the code", and a DataInterpreter runs ``pip install``, or a fence.

``parse_code`` does not know who was asked. So the functions that ask for a program and parse it are wrapped, and say it
for as long as they run; every other call of ``parse_code``, those for JSON included, is MetaGPT's own. What an answer
is to hold is told by its file's name, or is Python where a notebook runs it (``find_program_text``).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from contextvars import ContextVar
from types import ModuleType
from typing import Any, Callable, NamedTuple, Optional

from ...program_text import find_program_text
from ..stats_records import collect_call_ids, record_repairs
from .patch import is_switched_on, replace_function

__all__ = ["replace_engineer", "replace_parse_code", "replace_program_writers"]

_PATCH = "code_blocks"
# The name of the file in MetaGPT's prompts, an argument that is such a name, and the methods that ask for a program and
# parse it, with whether the program is in Python in any case.
_FILE_NAME = re.compile(r"## Code: (\S+)\. Write|## (\S+): Write test code|Only write one file (\S+),")
_A_NAME = re.compile(r"\S{1,500}\.[A-Za-z0-9]{1,10}")
_WRITERS = {
    "WriteCode": ("write_code", False),
    "WriteCodeReview": ("write_code_review_and_rewrite", False),
    "WriteTest": ("write_code", False),
    "DebugError": ("run", False),
    "WriteAnalysisCode": ("run", True),
    "CheckData": ("run", True),
}


class _WantedProgram(NamedTuple):
    """A program is being asked for: of this LLM object, in Python or not, for this file, by the calls with these ids.
    Where the file is not known its name is empty."""

    llm: Any
    python: bool
    file_name: str
    call_ids: Sequence[str]


_wanted: ContextVar[Optional[_WantedProgram]] = ContextVar("metagpt_ollama_rs_wanted_program", default=None)


def replace_program_writers(module: ModuleType) -> None:
    """Wraps the methods of the actions in `module` that ask for a program and parse it."""
    for owner, (method, python) in _WRITERS.items():
        action = getattr(module, owner, None)
        if isinstance(action, type) and action.__module__ == module.__name__:
            replace_function(action, method, _wanting(python))


def replace_engineer(module: ModuleType) -> None:
    """Wraps the method of main's engineer that writes a file."""
    role = getattr(module, "Engineer2", None)
    if role is not None:
        replace_function(role, "write_new_code", _wanting(False))


def replace_parse_code(module: ModuleType) -> None:
    """Replaces `parse_code` of `metagpt.utils.common.CodeParser`."""
    parser = getattr(module, "CodeParser", None)
    if parser is not None:
        replace_function(parser, "parse_code", _wrap_parse_code)


def _wanting(python: bool) -> Callable[[Any], Any]:
    def wrap(stock: Any) -> Any:
        async def want_program(self: Any, *args: Any, **kwargs: Any) -> Any:
            llm = getattr(self, "llm", None)
            if not is_switched_on(_PATCH, llm) or llm is None:
                return await stock(self, *args, **kwargs)
            file_name = _file_name([*args, *kwargs.values()]) or _debugged_file(self)
            with collect_call_ids() as call_ids:
                token = _wanted.set(_WantedProgram(llm, python, file_name, call_ids))
                try:
                    return await stock(self, *args, **kwargs)
                finally:
                    _wanted.reset(token)

        return want_program

    return wrap


def _file_name(arguments: Sequence[Any]) -> str:
    """The name of a file that one of the arguments is, or that a prompt among them names; else an empty text."""
    for argument in arguments:
        text = argument if isinstance(argument, str) else ""
        named = _FILE_NAME.search(text)
        if named:
            return next(filter(None, named.groups()), "")
        if _A_NAME.fullmatch(text):
            return text
    return ""


def _debugged_file(action: Any) -> str:
    """The name of the file that ``DebugError`` rewrites, which it knows from its context; or an empty text."""
    name = getattr(getattr(action, "i_context", None), "code_filename", None)
    return name if isinstance(name, str) else ""


def _wrap_parse_code(stock: Any) -> Any:
    signature = inspect.signature(stock)

    def parse_code(*args: Any, **kwargs: Any) -> Any:
        wanted = _wanted.get()
        if wanted is not None:
            bound = signature.bind(*args, **kwargs)
            text = bound.arguments.get("text")
            if isinstance(text, str) and not bound.arguments.get("block"):
                reply = getattr(wanted.llm, "last_response", None) or {}
                found = find_program_text(
                    text,
                    python=wanted.python,
                    file_name=wanted.file_name,
                    cut=reply.get("done_reason") == "length",
                )
                if found is not None:
                    record_repairs(wanted.call_ids, found.repairs, model=wanted.llm.model, what="program")
                    return found.text
        return stock(*args, **kwargs)

    return parse_code
