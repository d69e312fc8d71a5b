"""Expects keywords, queries and the indexes of results of what is asked around a search on the web.

`CollectLinks.run` asks for keywords and then for queries, both as lists of texts; `_search_and_rank_urls` for the
indexes of the results that count, of which one that is not there is an ``IndexError`` in MetaGPT. On the main branch
`SearchEnhancedQA` asks for ``{"query": "…"}``.
"""

from __future__ import annotations

import ast
import contextlib
import json
import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Optional

from ..expected_answers import (
    BARE,
    FENCED,
    AnswerForm,
    ExpectedAnswer,
    expect_answers,
    list_schema,
    object_schema,
    short_text_schema,
)

__all__ = ["expect_rewritten_query", "expect_search_terms", "literal_form"]


def literal_form(opening: str, closing: str) -> AnswerForm:
    """The form that MetaGPT's ``OutputParser.extract_struct`` reads: Python or JSON from the first ``opening`` to the
    last ``closing`` of a text."""

    def read(text: str) -> str:
        with contextlib.suppress(ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            return json.dumps(ast.literal_eval(text[text.index(opening) : text.rindex(closing) + 1]))
        return ""

    return AnswerForm(read, BARE.write)


_LIST = literal_form("[", "]")
# Search engines take no longer queries.
_TERM = short_text_schema(200)


def expect_search_terms(module: ModuleType) -> None:
    """Wraps the methods of `metagpt.actions.research.CollectLinks` that ask a model."""
    keywords_prompt = getattr(module, "SEARCH_TOPIC_PROMPT", "")

    def terms(arguments: Mapping[str, Any], question: str) -> ExpectedAnswer:
        most = 2 if question == keywords_prompt else arguments["decomposition_nums"]
        return ExpectedAnswer(list_schema(_TERM, 1, most), _LIST, "search_answers", arguments["self"].llm)

    expect_answers(module, "CollectLinks.run", terms)
    expect_answers(module, "CollectLinks._search_and_rank_urls", _ranked_results)


def expect_rewritten_query(module: ModuleType) -> None:
    """Wraps `metagpt.actions.search_enhanced_qa.SearchEnhancedQA._rewrite_query`."""
    expect_answers(module, "SearchEnhancedQA._rewrite_query", _rewritten_query)


def _ranked_results(arguments: Mapping[str, Any], question: str) -> Optional[ExpectedAnswer]:
    count = _count_results(question)
    if not count:
        return None
    index = {"type": "integer", "enum": list(range(count))}
    # Without an index MetaGPT reads no page at all, where it reads all of them for an answer that does not parse.
    return ExpectedAnswer(list_schema(index, 1, count), _LIST, "search_answers", arguments["self"].llm)


def _count_results(prompt: str) -> int:
    """How many results stand in a prompt, on lines that begin with their indexes: ``0: {…}``."""
    place = count = 0
    while found := re.compile(rf"^{count}: ", re.MULTILINE).search(prompt, place):
        place, count = found.end(), count + 1
    return count


def _rewritten_query(arguments: Mapping[str, Any], _question: str) -> ExpectedAnswer:
    return ExpectedAnswer(object_schema(query=_TERM), FENCED, "search_answers", arguments["self"].llm)
