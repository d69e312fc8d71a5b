"""Expects thoughts and commands of a RoleZero's turn (MetaGPT's main branch), the commands among those that it has.

A turn is some thoughts and a list of commands in a fence, which MetaGPT executes one after the other:

    I shall read the file first.
    ```json
    [{"command_name": "Editor.read", "args": {"path": "main.py"}}]
    ```

With a format the model is asked for ``{"thought": "…", "commands": […]}``, in this order, and gets its thoughts back as
free text. A command is one of those that the role can execute and that its prompt offers, with arguments of the types
that the function declares. Where a list was cut at the token limit, only its complete commands are executed; without
any, the turn is an error: MetaGPT would ask the model to repair the list, and execute the invented rest.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from types import ModuleType
from typing import Any, Optional

from ...errors import ConfigurationError
from ...schemas import answer_schema
from ...tools import function_tool
from ..expected_answers import (
    FENCED,
    TEXT,
    AnswerForm,
    ExpectedAnswer,
    expect_answers,
    list_schema,
    object_schema,
    read_fence,
    short_text_schema,
)

__all__ = ["command_schema", "expect_commands", "expect_repaired_commands"]

_PATCH = "command_lists"
# A plan of three tasks with all reports takes about ten commands. Small models may go on without an end.
_MOST_COMMANDS = 20
# In characters. Small models think in circles, and never come to the commands.
_LONGEST_THOUGHT = 1000

# Commands that the role carries out by itself.
_WITHOUT_ARGUMENTS = ("Plan.finish_current_task", "end")

_ANY_COMMAND = object_schema(command_name=TEXT, args={"type": "object"})
# A name that the role does not have, and arguments that are wrong or missing: it tells the model so.
_NAMED_COMMANDS = list_schema({**_ANY_COMMAND, "required": ["command_name"]})
# The commands of the role whose turn it is in this task. MetaGPT asks for a second list without naming the role.
_turn: ContextVar[Optional[ExpectedAnswer]] = ContextVar("metagpt_ollama_rs_turn", default=None)


def expect_commands(module: ModuleType) -> None:
    """Wraps `metagpt.roles.di.role_zero.RoleZero.llm_cached_aask`."""
    expect_answers(module, "RoleZero.llm_cached_aask", _first_list)


def expect_repaired_commands(module: ModuleType) -> None:
    """Wraps the functions of `metagpt.utils.role_zero_utils` that ask for a list of commands once more."""
    regenerate = getattr(module, "REGENERATE_PROMPT", None)

    def other_list(arguments: Mapping[str, Any], question: str) -> Optional[ExpectedAnswer]:
        # Its other question is for a summary in free text.
        return _expected_of(arguments["llm"]) if question == regenerate else None

    def repaired_list(arguments: Mapping[str, Any], _question: str) -> ExpectedAnswer:
        llm = arguments["llm"]
        return ExpectedAnswer(_expected_of(llm).schema, FENCED, _PATCH, llm, cut_items=True)

    expect_answers(module, "check_duplicates", other_list)
    expect_answers(module, "parse_commands", repaired_list)


def _first_list(arguments: Mapping[str, Any], _question: str) -> ExpectedAnswer:
    # MetaGPT's decorator of this method takes any arguments.
    named = {**arguments, **arguments.get("kwargs", {})}
    role = named["self"] if "self" in named else named["args"][0]
    prompt = "\n".join(named.get("system_msgs") or ())
    expected = _expected(list_schema(command_schema(role, prompt), least=1, most=_MOST_COMMANDS), role.llm)
    _turn.set(expected)
    return expected


def _expected_of(llm: Any) -> ExpectedAnswer:
    """The commands of the turn that ``llm`` has answered in this task, or any commands."""
    turn = _turn.get()
    return turn if turn is not None and turn.llm is llm else _expected(list_schema(_ANY_COMMAND, least=1), llm)


def _expected(commands: Mapping[str, Any], llm: Any) -> ExpectedAnswer:
    return ExpectedAnswer(
        commands,
        _THOUGHTS_AND_COMMANDS,
        _PATCH,
        llm,
        sent_schema=object_schema(thought=short_text_schema(_LONGEST_THOUGHT), commands=commands),
        wider_schema=_NAMED_COMMANDS,
        cut_items=True,
    )


def command_schema(role: Any, prompt: str) -> dict[str, Any]:
    """The schema of a command: one that ``role`` can execute and that its system prompt offers; ``end`` always is.

    Tools are offered as JSON, by their names and, for classes, the names of their methods.
    """
    functions: Mapping[str, Any] = role.tool_execution_map
    # Every role says that it has the terminal as a special command.
    executable = {*functions, *(name for name in role.special_tool_commands if name != "Terminal.run_command")}
    offered = [name for name in _offered(role, prompt) if name in executable] or list(functions)
    alternatives = [_alternative(name, functions.get(name)) for name in dict.fromkeys([*offered, "end"])]
    return {"anyOf": alternatives}


def _offered(role: Any, prompt: str) -> Iterator[str]:
    for tool in getattr(role.tool_recommender, "tools", {}).values():
        if f"{json.dumps(tool.name)}: " not in prompt:
            continue
        if "methods" not in tool.schemas:
            yield tool.name
        for method in tool.schemas.get("methods", ()):
            yield f"{tool.name}.{method}"


def _alternative(name: str, function: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {"type": "object"}
    if name in _WITHOUT_ARGUMENTS:
        arguments = object_schema()
    elif function is not None:
        # Functions without a signature take any arguments.
        with contextlib.suppress(ConfigurationError):
            described = function_tool(function)["function"]["parameters"]
            properties = answer_schema({"properties": described["properties"]})["properties"]
            arguments = {**object_schema(**properties), "required": described["required"]}
    return object_schema(command_name={"type": "string", "enum": [name]}, args=arguments)


def _write_commands(value: Any, text: str) -> str:
    """``value`` is the list, found in ``text`` behind the thoughts, or the object with both."""
    if isinstance(value, dict):
        thought, commands = str(value.get("thought", "")), value.get("commands")
    else:
        thought, commands = re.split(r"```|[\[{]", text, maxsplit=1)[0], value
    # Three backticks would begin the block that MetaGPT looks for.
    thought = thought.replace("```", "'''").strip()
    return (f"{thought}\n" if thought else "") + FENCED.write(commands, "")


_THOUGHTS_AND_COMMANDS = AnswerForm(read_fence, _write_commands)
