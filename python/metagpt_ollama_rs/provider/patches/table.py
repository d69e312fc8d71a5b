"""Which module of MetaGPT each patch changes. A module that a release of MetaGPT doesn't have is never imported,
so that its patches never act.
"""

from __future__ import annotations

from ..import_hooks import when_imported
from .action_nodes import expect_nodes
from .code_blocks import replace_engineer, replace_parse_code, replace_program_writers
from .costs import patch_context, patch_cost_managers, patch_team_balance
from .patch import Patch
from .prompt_sizes import replace_prompt_sizes, replace_research_actions
from .rag import replace_create_ollama
from .rag_context import replace_rag_sizes
from .recovery import patch_context_sums, patch_roles, patch_team_files
from .token_counts import replace_counts, replace_tiktoken
from .unattended import limit_plans, replace_ask_human, replace_code_review, replace_state_choice

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
    Patch("code_blocks", "metagpt.utils.common", replace_parse_code),
    Patch("code_blocks", "metagpt.actions.write_code", replace_program_writers),
    Patch("code_blocks", "metagpt.actions.write_code_review", replace_program_writers),
    Patch("code_blocks", "metagpt.actions.write_test", replace_program_writers),
    Patch("code_blocks", "metagpt.actions.debug_error", replace_program_writers),
    Patch("code_blocks", "metagpt.actions.di.write_analysis_code", replace_program_writers),
    Patch("code_blocks", "metagpt.roles.di.engineer2", replace_engineer),
    Patch("react_end", "metagpt.roles.role", replace_state_choice),
    Patch("unattended", "metagpt.actions.di.ask_review", replace_code_review),
    Patch("unattended", "metagpt.environment.mgx.mgx_env", replace_ask_human),
    Patch("endless_plans", "metagpt.strategy.planner", limit_plans),
)

# Patches that are methods of this package's LLM classes, in the place of those of MetaGPT's BaseLLM.
METHODS = frozenset({"message_compression"})


def apply_patches() -> None:
    """Applies all patches, each now or when its module is imported. May be called any number of times."""
    for patch in PATCHES:
        when_imported(patch.module, patch.apply)
