"""Which module of MetaGPT each patch changes. A module that a release of MetaGPT doesn't have is never imported,
so that its patches never act.
"""

from __future__ import annotations

from ..import_hooks import when_imported
from .action_nodes import expect_nodes
from .costs import patch_context, patch_cost_managers, patch_team_balance
from .patch import Patch
from .prompt_sizes import replace_prompt_sizes, replace_research_actions
from .rag import replace_create_ollama
from .rag_context import replace_rag_sizes
from .recovery import patch_context_sums, patch_roles, patch_team_files
from .token_counts import replace_counts, replace_tiktoken

__all__ = ["METHODS", "PATCHES", "apply_patches"]

PATCHES: tuple[Patch, ...] = (
    Patch("costs", "metagpt.utils.cost_manager", patch_cost_managers),
    Patch("costs", "metagpt.context", patch_context),
    Patch("costs", "metagpt.team", patch_team_balance),
    Patch("node_answers", "metagpt.actions.action_node", expect_nodes),
    Patch("rag_embedding", "metagpt.rag.factories.embedding", replace_create_ollama),
    Patch("prompt_sizes", "metagpt.utils.text", replace_prompt_sizes),
    Patch("prompt_sizes", "metagpt.actions.research", replace_research_actions),
    Patch("rag_context", "metagpt.rag.factories.llm", replace_rag_sizes),
    Patch("recovery", "metagpt.context", patch_context_sums),
    Patch("recovery", "metagpt.roles.role", patch_roles),
    Patch("recovery", "metagpt.team", patch_team_files),
    Patch("token_counts", "metagpt.utils.token_counter", replace_counts),
    Patch("token_counts", "metagpt.tools.libs.editor", replace_tiktoken),
    Patch("token_counts", "metagpt.tools.libs.index_repo", replace_tiktoken),
    Patch("token_counts", "metagpt.ext.spo.utils.evaluation_utils", replace_tiktoken),
)

# Patches that are methods of this package's LLM classes, in the place of those of MetaGPT's BaseLLM.
METHODS = frozenset({"message_compression"})


def apply_patches() -> None:
    """Applies all patches, each now or when its module is imported. May be called any number of times."""
    for patch in PATCHES:
        when_imported(patch.module, patch.apply)
