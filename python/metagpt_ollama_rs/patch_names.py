"""The names of the patches of MetaGPT, by which ``unpatched`` switches them off, with what each one does.

>>> parse_unpatched("Costs")
frozenset({'costs'})
>>> parse_unpatched("all") == frozenset(PATCH_NAMES)
True

Standard library only: reading a configuration and ``metagpt-ollama patches`` need no MetaGPT. The patches themselves
are in ``provider/patches``.
"""

from __future__ import annotations

import re
from typing import Any

from .spelling import near_miss

__all__ = ["ENVIRONMENT_ONLY", "PATCH_NAMES", "known_names", "parse_unpatched"]

# One line for each: what it does, as the command line shows it.
PATCH_NAMES: dict[str, str] = {
    "code_blocks": "a program is found in its answer whatever fence it stands in",
    "command_lists": "RoleZero's commands are among those that the role has, with arguments of their types",
    "costs": "tokens are counted without prices, and in the context's sums",
    "endless_plans": "a DataInterpreter gives up after ten failed tasks in a row",
    "message_compression": "compress_type shortens conversations to the model's context, counted in tokens",
    "node_answers": "answers that fill or review an ActionNode have its schema",
    "plan_answers": "plans are lists of tasks of the known types",
    "prompt_sizes": "reduce_message_length and generate_prompt_chunk use the model's context",
    "rag_context": "RAG gives LlamaIndex the model's context and room for an answer",
    "rag_embedding": "RAG embeds in batches, with this package's client",
    "react_end": "a role in react mode ends when the model says -1",
    "recovery": "a team that was stopped goes on in a new process",
    "requirement_answers": "verdicts and files of the analysis of requirements have their schema",
    "resource_answers": "the resources in a message come as MetaGPT parses them",
    "score_answers": "scores of experiences are numbers from 1 to 10",
    "search_answers": "keywords, queries and the indexes of results of a search are lists of them",
    "source_answers": "what is asked about a repository's sources has its schema",
    "state_answers": "the next stage of a role is one that it has",
    "text_answers": "a tutorial's outline and an invoice's data have their schema",
    "token_counts": "tokens are estimated locally instead of with tiktoken's files from the network",
    "tool_choices": "tools are chosen among those that were recalled",
    "tree_thoughts": "the thoughts of a tree are a list of nodes",
    "unattended": "where standard input is closed, roles go on without the person that they ask",
}

# The patches of functions that know no LLM object: what an LLM's configuration says does not reach them.
ENVIRONMENT_ONLY = frozenset({"rag_embedding"})


def parse_unpatched(value: Any) -> frozenset[str]:
    """The names in a text such as ``token_counts, costs``; ``all`` stands for every patch, an empty text for none.

    Capitals do not count. Raises ``ValueError`` whose text completes "must be …", for a name that no patch has.
    """
    if not isinstance(value, str):
        raise ValueError("names of patches in a text, or all")
    given = _split(value)
    if "all" in given:
        return frozenset(PATCH_NAMES)
    for name in sorted(given.keys() - PATCH_NAMES.keys()):
        close = near_miss(name, PATCH_NAMES)
        known = f"did you mean {close}?" if close else f"known are {', '.join(sorted(PATCH_NAMES))}"
        raise ValueError(f"names of patches, or all, but no patch is called {given[name]!r} ({known})")
    return frozenset(given)


def known_names(value: str) -> frozenset[str]:
    """The names in a text that patches have; others are left out.

    >>> known_names("Costs, costz")
    frozenset({'costs'})
    """
    return frozenset(_split(value).keys() & PATCH_NAMES.keys())


def _split(value: str) -> dict[str, str]:
    """What is named in a text, in small letters, each with how it is written there."""
    return {name.lower(): name for name in re.split(r"[\s,]+", value) if name}
