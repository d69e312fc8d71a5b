"""Which module of MetaGPT each patch changes. A module that a release of MetaGPT doesn't have is never imported,
so that its patches never act.
"""

from __future__ import annotations

from ...import_hooks import when_imported
from . import commands, plans, reports, searches
from .acting_roles import note_acting_roles
from .action_nodes import expect_nodes
from .code_blocks import replace_engineer, replace_parse_code, replace_program_writers
from .costs import patch_context, patch_cost_managers, patch_team_balance
from .message_types import patch_field_types
from .patch import Patch
from .prompt_sizes import replace_prompt_sizes, replace_research_actions
from .rag import replace_create_ollama
from .rag_context import replace_rag_sizes
from .recovery import patch_context_sums, patch_roles, patch_team_files
from .token_counts import replace_counts, replace_tiktoken
from .tool_choices import expect_tool_names
from .unattended import limit_plans, replace_ask_human, replace_code_review, replace_state_choice

__all__ = ["METHODS", "PATCHES", "apply_patches"]

PATCHES: tuple[Patch, ...] = (
    Patch("command_lists", "metagpt.roles.di.role_zero", commands.expect_commands),
    Patch("command_lists", "metagpt.utils.role_zero_utils", commands.expect_repaired_commands),
    Patch("costs", "metagpt.utils.cost_manager", patch_cost_managers),
    Patch("costs", "metagpt.context", patch_context),
    Patch("costs", "metagpt.team", patch_team_balance),
    Patch("node_answers", "metagpt.actions.action_node", expect_nodes),
    Patch("plan_answers", "metagpt.actions.di.write_plan", plans.expect_plans),
    Patch("rag_embedding", "metagpt.rag.factories.embedding", replace_create_ollama),
    Patch("requirement_answers", "metagpt.actions.requirement_analysis.evaluate_action", reports.expect_evaluations),
    Patch(
        "requirement_answers",
        "metagpt.actions.requirement_analysis.framework.write_framework",
        reports.expect_files,
    ),
    Patch("resource_answers", "metagpt.schema", reports.expect_resources),
    Patch("score_answers", "metagpt.exp_pool.scorers.simple", reports.expect_scores),
    Patch("search_answers", "metagpt.actions.research", searches.expect_search_terms),
    Patch("search_answers", "metagpt.actions.search_enhanced_qa", searches.expect_rewritten_query),
    Patch("source_answers", "metagpt.actions.import_repo", reports.expect_source_paths),
    Patch("source_answers", "metagpt.actions.rebuild_sequence_view", reports.expect_use_cases),
    Patch("state_answers", "metagpt.roles.di.data_interpreter", plans.expect_decisions),
    Patch("state_answers", "metagpt.roles.role", plans.expect_stages),
    Patch("state_answers", "metagpt.utils.repair_llm_raw_output", plans.take_whole_numbers),
    Patch("text_answers", "metagpt.actions.invoice_ocr", reports.expect_invoices),
    Patch("text_answers", "metagpt.actions.write_tutorial", reports.expect_outlines),
    Patch("tool_choices", "metagpt.tools.tool_recommend", expect_tool_names),
    Patch("tree_thoughts", "metagpt.strategy.tot", reports.expect_thoughts),
    Patch("prompt_sizes", "metagpt.utils.text", replace_prompt_sizes),
    Patch("prompt_sizes", "metagpt.actions.research", replace_research_actions),
    Patch("rag_context", "metagpt.rag.factories.llm", replace_rag_sizes),
    Patch("recovery", "metagpt.context", patch_context_sums),
    Patch("recovery", "metagpt.roles.role", patch_roles),
    Patch("recovery", "metagpt.team", patch_team_files),
    Patch("recovery", "metagpt.utils.serialize", patch_field_types),
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
    Patch("unattended", "metagpt.roles.role", note_acting_roles),
    Patch("unattended", "metagpt.roles.di.data_interpreter", note_acting_roles),
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
