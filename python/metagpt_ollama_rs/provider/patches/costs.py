"""Patches what MetaGPT does with costs, so that a model behind Ollama has none and its tokens are counted all the same.

A role of MetaGPT gives its LLM object the context's ``CostManager``, which has the prices of cloud models: it warns at
each call of a model that it does not know, and charges a local model that has the name of one of them. The patches:

- ``update_cost``, called for an LLM object of this package, counts as MetaGPT's own ``TokenCostManager`` does: tokens
  only. A price that the user has given (an entry of ``token_costs`` that is in none of MetaGPT's tables) is charged.
- A context shares its manager with the LLM objects of this package that it makes, as it does with those of
  ``OpenAILLM``, so that ``context.cost_manager`` has the sums. MetaGPT's own Ollama class keeps a manager of its own.
- A team without anyone who can spend money is not stopped for a budget of 0.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from metagpt.utils import token_counter

from .patch import is_switched_on, replace_function

__all__ = ["counting_for", "patch_context", "patch_cost_managers", "patch_team_balance"]

_NAME = "costs"
# Whose tokens are being counted, while `BaseLLM._update_costs` runs for an LLM object of this package.
_counted_llm: ContextVar[Any] = ContextVar("metagpt_ollama_rs_counted_llm", default=None)


@contextlib.contextmanager
def counting_for(llm: Any) -> Iterator[None]:
    """Says that what is counted in this block are the tokens of ``llm``, an LLM object of this package."""
    token = _counted_llm.set(llm)
    try:
        yield
    finally:
        _counted_llm.reset(token)


def patch_cost_managers(module: ModuleType) -> None:
    """Makes the managers of `metagpt.utils.cost_manager` that know prices count without them."""
    tokens_only = getattr(getattr(module, "TokenCostManager", None), "update_cost", None)
    if tokens_only is None:
        return

    def wrap(stock: Any) -> Any:
        def update_cost(self: Any, prompt_tokens: int, completion_tokens: int, model: str) -> Any:
            llm = _counted_llm.get()
            free = llm is not None and is_switched_on(_NAME, llm) and not _has_users_price(self, model)
            return (tokens_only if free else stock)(self, prompt_tokens, completion_tokens, model)

        return update_cost

    for name in ("CostManager", "FireworksCostManager"):
        manager = getattr(module, name, None)
        if manager is not None:
            replace_function(manager, "update_cost", wrap)


def _has_users_price(manager: Any, model: str) -> bool:
    price = (getattr(manager, "token_costs", None) or {}).get(model)
    tables = (table for name, table in vars(token_counter).items() if name.endswith("TOKEN_COSTS"))
    return price is not None and all(table.get(model) != price for table in tables)


def patch_context(module: ModuleType) -> None:
    """Makes `metagpt.context.Context` share its manager with the LLM objects of this package that it makes."""

    def wrap(stock: Any) -> Any:
        def make_llm(self: Any, *args: Any, **kwargs: Any) -> Any:
            llm = stock(self, *args, **kwargs)
            if is_switched_on(_NAME, llm) and getattr(llm, "has_own_cost_manager", False):
                llm.cost_manager = self._select_costmanager(llm.config)
            return llm

        return make_llm

    for name in ("llm", "llm_with_cost_manager_from_llm_config"):
        replace_function(module.Context, name, wrap)


def patch_team_balance(module: ModuleType) -> None:
    """Makes `metagpt.team.Team` start although its budget is 0, where all its LLM objects are of this package."""

    def wrap(stock: Any) -> Any:
        def check_balance(self: Any) -> Any:
            return None if _spends_nothing(self) else stock(self)

        return check_balance

    replace_function(module.Team, "_check_balance", wrap)


def _spends_nothing(team: Any) -> bool:
    if team.cost_manager.total_cost > 0:
        return False
    roles = [role for role in team.env.roles.values() if not role.is_human]
    asking = [*roles, *(action for role in roles for action in role.actions)]
    return bool(asking) and all(is_switched_on(_NAME, one.llm) for one in asking)
