"""Lets runs end that nobody watches.

Three of MetaGPT's loops end well only where a large model or a person helps:

* ``Role._think`` understands ``-1``, by which a model says that it has reached its goal, and says to go on all the
  same: ``_react`` calls ``_act`` without an action, an AttributeError.
* A DataInterpreter whose programs have failed three times, and a RoleZero that goes in circles or has reached its
  limit, ask a person. Where standard input is closed, which is how unattended runs are started, that is an EOFError.
* A DataInterpreter with a plan writes a new plan whenever a task has failed, without any limit.

What counts is the LLM object of the role. Where no role is known, as for a planner that user code calls, it is left to
MetaGPT.
"""

from __future__ import annotations

import weakref
from types import ModuleType
from typing import Any

from metagpt.logs import logger

from .acting_roles import acting_llm
from .patch import is_switched_on, replace_function

__all__ = ["MAX_FAILED_TASKS", "limit_plans", "replace_ask_human", "replace_code_review", "replace_state_choice"]

# How often in a row a DataInterpreter may fail at a task: each time are three programs and a new plan.
MAX_FAILED_TASKS = 10

_NOBODY = "<STOP>"
_failures: dict[int, tuple[Any, int]] = {}


def replace_state_choice(module: ModuleType) -> None:
    """Makes `Role._think` of `metagpt.roles.role` say that there is nothing to do when the model has ended."""
    role = getattr(module, "Role", None)
    if role is not None:
        replace_function(role, "_think", _wrap_think)


def _wrap_think(stock: Any) -> Any:
    async def think(self: Any) -> Any:
        thought = await stock(self)
        if thought and self.rc.todo is None and is_switched_on("react_end", self.llm):
            return False
        return thought

    return think


def replace_code_review(module: ModuleType) -> None:
    """Makes `AskReview` of `metagpt.actions.di.ask_review` go on where nobody is there to review failed programs."""
    review = getattr(module, "AskReview", None)
    if review is not None:
        replace_function(review, "run", _wrap_review(getattr(module, "ReviewConst", None)))


def _wrap_review(words: Any) -> Any:
    of_code = getattr(words, "CODE_REVIEW_TRIGGER", "code")

    def wrap(stock: Any) -> Any:
        async def run(self: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return await stock(self, *args, **kwargs)
            except EOFError:
                # A review of the plan is asked for only where the configuration says that somebody is there.
                trigger = kwargs.get("trigger", args[2] if len(args) > 2 else None)
                # The planner's review has no LLM object, and would be given that of the default configuration.
                if trigger != of_code or not _is_for("unattended", getattr(self, "private_llm", None)):
                    raise
                logger.warning("the programs of a task have failed, and nobody is there to review them")
                return "", False

        return run

    return wrap


def replace_ask_human(module: ModuleType) -> None:
    """Makes `ask_human` of `metagpt.environment.mgx.mgx_env.MGXEnv` answer as someone who stops the role."""
    env = getattr(module, "MGXEnv", None)
    if env is not None:
        replace_function(env, "ask_human", _wrap_ask_human)


def _wrap_ask_human(stock: Any) -> Any:
    async def ask_human(self: Any, question: str, sent_from: Any = None) -> Any:
        try:
            return await stock(self, question, sent_from)
        except EOFError:
            if not _is_for("unattended", getattr(sent_from, "llm", None)):
                raise
            logger.warning(f"{getattr(sent_from, 'name', 'a role')} asks, and nobody is there to answer: {question}")
            return f"Human response: nobody is there to answer. {_NOBODY}"

    return ask_human


def limit_plans(module: ModuleType) -> None:
    """Limits how often in a row `Planner` of `metagpt.strategy.planner` writes a new plan after a failed task."""
    planner = getattr(module, "Planner", None)
    if planner is not None:
        replace_function(planner, "process_task_result", _wrap_process_task_result)


def _wrap_process_task_result(stock: Any) -> Any:
    async def process_task_result(self: Any, task_result: Any) -> Any:
        if self.auto_run and _is_for("endless_plans"):
            _count_failures(self, task_result)
        return await stock(self, task_result)

    return process_task_result


def _is_for(patch: str, llm: Any = None) -> bool:
    """Whether ``patch`` is to act for ``llm``, or, without one, for that of the role that acts at this moment."""
    asking = llm or acting_llm()
    return asking is not None and is_switched_on(patch, asking)


def _count_failures(planner: Any, task_result: Any) -> None:
    """Raises RuntimeError at the failure that is one too many."""
    key = id(planner)
    known = _failures.get(key)
    count = 0 if getattr(task_result, "is_success", True) else 1 + (known[1] if known and known[0]() is planner else 0)
    if not count:
        _failures.pop(key, None)
        return
    _failures[key] = (weakref.ref(planner, lambda _: _failures.pop(key, None)), count)
    if count >= MAX_FAILED_TASKS:
        task = getattr(planner.current_task, "instruction", "")
        raise RuntimeError(
            f"a task of the plan has failed {count} times in a row: {task!r}; its last result: {task_result.result!r}"
        )
