"""What an LLM object of this package tells MetaGPT's cost managers: how many tokens a call took, and for whom.

`patches.costs` changes the managers, for the calls that are marked here. No I/O.
"""

from __future__ import annotations

from typing import Any

from metagpt.provider.base_llm import BaseLLM
from metagpt.utils.cost_manager import TokenCostManager

from .patches.costs import counting_for

__all__ = ["TokenCountingLLM"]


class TokenCountingLLM(BaseLLM):
    """A base of this package's LLM classes, whose tokens are counted and cost nothing."""

    def _update_costs(self, *args: Any, **kwargs: Any) -> None:
        with counting_for(self):
            super()._update_costs(*args, **kwargs)

    @property
    def has_own_cost_manager(self) -> bool:
        """Whether ``cost_manager`` is the one that the constructor has made, with nothing counted yet."""
        manager = self.cost_manager
        return type(manager) is TokenCostManager and not any(manager.get_costs()[:2])
