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

from ..program_text import find_program_text
from ..stats_records import collect_call_ids, record_repairs
from .patch import is_switched_on, replace_function

__all__ = ["replace_engineer", "replace_parse_code", "replace_program_writers"]

_PATCH = "code_blocks"
# The name of the file in MetaGPT's prompts, and the methods that ask for a program and parse it, with whether the
# program is in Python in any case.
_FILE_NAME = re.compile(r"## Code: (\S+)\. Write|## (\S+): Write test code|Only write one file (\S+),")
_WRITERS = {
    "WriteCode": ("write_code", False),
    "WriteCodeReview": ("write_code_review_and_rewrite", False),
    "WriteTest": ("write_code", False),
    "DebugError": ("run", False),
    "WriteAnalysisCode": ("run", True),
    "CheckData": ("run", True),
}


class _WantedProgram(NamedTuple):
    """A program is being asked for: of this LLM object, in Python or not, by the calls with these ids."""

    llm: Any
    python: bool
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
            is_python = python or _names_python([*args, *kwargs.values()])
            with collect_call_ids() as call_ids:
                token = _wanted.set(_WantedProgram(llm, is_python, call_ids))
                try:
                    return await stock(self, *args, **kwargs)
                finally:
                    _wanted.reset(token)

        return want_program

    return wrap


def _names_python(arguments: Sequence[Any]) -> bool:
    """Whether one of the arguments is the name of a Python file, or a prompt that names one."""
    for argument in arguments:
        text = argument if isinstance(argument, str) else ""
        named = _FILE_NAME.search(text)
        name = next(filter(None, named.groups()), "") if named else text
        if name.endswith(".py") and "\n" not in name:
            return True
    return False


def _wrap_parse_code(stock: Any) -> Any:
    signature = inspect.signature(stock)

    def parse_code(*args: Any, **kwargs: Any) -> Any:
        wanted = _wanted.get()
        if wanted is not None:
            bound = signature.bind(*args, **kwargs)
            text = bound.arguments.get("text")
            if isinstance(text, str) and not bound.arguments.get("block"):
                reply = getattr(wanted.llm, "last_response", None) or {}
                found = find_program_text(text, python=wanted.python, cut=reply.get("done_reason") == "length")
                if found is not None:
                    record_repairs(wanted.call_ids, found.repairs, model=wanted.llm.model, what="program")
                    return found.text
        return stock(*args, **kwargs)

    return parse_code
