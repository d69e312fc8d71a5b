"""The role that acts at this moment, for code of MetaGPT that a role calls without saying who it is.

A ``Planner`` has no LLM object, and makes actions of the default configuration: whose plan it is, only the role knows
that has called it. So the methods in which roles act and plan are wrapped, and note their role for as long as they run:

    Role.react  ->  DataInterpreter._write_and_exec_code  ->  Planner.ask_review  ->  AskReview().run

Nothing else is changed by it.
"""

from __future__ import annotations

from contextvars import ContextVar
from types import ModuleType
from typing import Any, Optional

from .patch import replace_function

__all__ = ["acting_llm", "note_acting_roles"]

_METHODS = {"Role": ("react", "_plan_and_act"), "DataInterpreter": ("_write_and_exec_code",)}

_acting: ContextVar[Optional[Any]] = ContextVar("metagpt_ollama_rs_acting_role", default=None)


def note_acting_roles(module: ModuleType) -> None:
    """Wraps the methods of the roles that ``module`` defines in which they act."""
    for owner, methods in _METHODS.items():
        role = getattr(module, owner, None)
        if isinstance(role, type) and role.__module__ == module.__name__:
            for method in methods:
                replace_function(role, method, _wrap_method)


def acting_llm() -> Optional[Any]:
    """The LLM object, of any provider, of the role that acts at this moment; None where no role acts."""
    return getattr(_acting.get(), "llm", None)


def _wrap_method(stock: Any) -> Any:
    async def act(self: Any, *args: Any, **kwargs: Any) -> Any:
        token = _acting.set(self)
        try:
            return await stock(self, *args, **kwargs)
        finally:
            _acting.reset(token)

    return act
