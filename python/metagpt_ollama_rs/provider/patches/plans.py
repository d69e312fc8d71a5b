"""Expects a plan, a decision or a stage of what roles are asked about their next steps.

A plan is a list of tasks (`WritePlan.run`), whose types are those that MetaGPT knows:

    [{"task_id": "1", "dependent_task_ids": [], "instruction": "Load the data.", "task_type": "other"}]

DataInterpreter decides with ``{"thoughts": "…", "state": true}`` whether to go on. A role with several actions is asked
for the number of the next one, or -1. MetaGPT takes one digit out of the answer, whichever a set gives first, so that
there is no stage 10: a number alone is taken as it is here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from ..expected_answers import (
    FENCED,
    TEXT,
    AnswerForm,
    ExpectedAnswer,
    expect_answers,
    expected_patch,
    list_schema,
    object_schema,
    read_fence,
    word_schema,
)
from .patch import replace_function

__all__ = ["expect_decisions", "expect_plans", "expect_stages", "take_whole_numbers"]

# What `metagpt.schema.Task` fills in may be missing, or null.
_ANY_TASKS = list_schema(
    {
        "type": "object",
        "properties": {
            "task_id": TEXT,
            "dependent_task_ids": {"anyOf": [list_schema(TEXT), {"type": "null"}]},
            "instruction": TEXT,
            "task_type": {"anyOf": [TEXT, {"type": "null"}]},
        },
        "required": ["task_id", "instruction"],
    }
)
_NUMBER = AnswerForm(str.strip, lambda value, _: str(value))


def _write_tasks(tasks: Any, text: str) -> str:
    """A task's member that is null is left out."""
    return FENCED.write([{key: value for key, value in task.items() if value is not None} for task in tasks], text)


_TASKS = AnswerForm(read_fence, _write_tasks)


def expect_plans(module: ModuleType) -> None:
    """Wraps `metagpt.actions.di.write_plan.WritePlan.run`."""
    task_types = [member.type_name for member in getattr(module, "TaskType", ())]

    def plan(arguments: Mapping[str, Any], _question: str) -> ExpectedAnswer:
        task = object_schema(
            task_id=TEXT,
            dependent_task_ids=list_schema(TEXT, most=arguments["max_tasks"]),
            instruction=TEXT,
            task_type=word_schema(task_types),
        )
        tasks = list_schema(task, least=1, most=arguments["max_tasks"])
        return ExpectedAnswer(tasks, _TASKS, "plan_answers", arguments["self"].llm, wider_schema=_ANY_TASKS)

    expect_answers(module, "WritePlan.run", plan)


def expect_decisions(module: ModuleType) -> None:
    """Wraps `metagpt.roles.di.data_interpreter.DataInterpreter._think`."""
    expect_answers(module, "DataInterpreter._think", _decision)


def expect_stages(module: ModuleType) -> None:
    """Wraps `metagpt.roles.role.Role._think`."""
    expect_answers(module, "Role._think", _next_stage)


def take_whole_numbers(module: ModuleType) -> None:
    """Wraps `metagpt.utils.repair_llm_raw_output.extract_state_value_from_output`."""
    replace_function(module, "extract_state_value_from_output", _wrap_extraction)


def _decision(arguments: Mapping[str, Any], _question: str) -> ExpectedAnswer:
    decision = object_schema(thoughts=TEXT, state={"type": "boolean"})
    return ExpectedAnswer(decision, FENCED, "state_answers", arguments["self"].llm)


def _next_stage(arguments: Mapping[str, Any], _question: str) -> ExpectedAnswer:
    role = arguments["self"]
    stages = {"type": "integer", "enum": [*range(len(role.states)), -1]}
    return ExpectedAnswer(stages, _NUMBER, "state_answers", role.llm)


def _wrap_extraction(stock: Any) -> Any:
    def extract(content: str) -> Any:
        number = content.strip()
        if re.fullmatch(r"[0-9]+", number) and expected_patch(("state_answers",)):
            return number
        return stock(content)

    return extract
