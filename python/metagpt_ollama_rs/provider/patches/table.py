"""Which module of MetaGPT each patch changes. A module that a release of MetaGPT doesn't have is never imported,
so that its patches never act.
"""

from __future__ import annotations

from ..import_hooks import when_imported
from .action_nodes import expect_nodes
from .costs import patch_context, patch_cost_managers, patch_team_balance
from .patch import Patch
from .rag import replace_create_ollama

__all__ = ["PATCHES", "apply_patches"]

PATCHES: tuple[Patch, ...] = (
    Patch("costs", "metagpt.utils.cost_manager", patch_cost_managers),
    Patch("costs", "metagpt.context", patch_context),
    Patch("costs", "metagpt.team", patch_team_balance),
    Patch("node_answers", "metagpt.actions.action_node", expect_nodes),
    Patch("rag_embedding", "metagpt.rag.factories.embedding", replace_create_ollama),
)


def apply_patches() -> None:
    """Applies all patches, each now or when its module is imported. May be called any number of times."""
    for patch in PATCHES:
        when_imported(patch.module, patch.apply)
