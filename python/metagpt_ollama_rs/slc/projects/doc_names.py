"""Whether a model's documentation is about the code: the names that it documents, compared with those in the code.

    invented_names("# Shop\\n\\n## `total(prices)`\\n\\n## `discount()`", "def total(prices): ...")    # ["discount"]

A name counts as documented where it is a heading in backticks or with parentheses, or a call in backticks in the text.
What stands in code blocks are examples, and not looked at. markdown-it-py reads the Markdown, `ast` the code.
"""

from __future__ import annotations

import ast
import builtins
import io
import keyword
import re
import tokenize
from collections.abc import Iterator
from typing import Any

from metagpt_ollama_rs.program_text import PARSE_ERRORS
from metagpt_ollama_rs.slc.extras import optional_module

__all__ = ["invented_names", "unfenced_markdown"]

# A name, perhaps of a class's member, perhaps with arguments; or a definition as it stands in code.
_NAME = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_DEFINITION = re.compile(rf"(?:(?:async )?def |class )?({_NAME})\s*(\(.*\)(?:\s*->.*)?:?)?\s*")
_HEADING = re.compile(rf"(?:[\d.]+\s+)?(?:\w+[:：]\s*|(?:async )?def |class |function |method )?({_NAME})\(.*\)\s*")


def unfenced_markdown(answer: str) -> str:
    """``answer`` without the fence that models put around Markdown when they are asked for it.

    >>> unfenced_markdown("```markdown\\n# Shop\\n```")
    '# Shop'
    """
    text = answer.strip()
    tokens = _tokens(text)
    if len(tokens) == 1 and tokens[0].type == "fence" and tokens[0].info.strip().lower() in ("markdown", "md"):
        return str(tokens[0].content).strip()
    return text


def invented_names(markdown: str, code: str) -> list[str]:
    """The names that ``markdown`` documents and that ``code`` does not have, each once, in their order. Empty where the
    code is no Python.

    Raises MissingLibraryError without markdown-it-py.
    """
    try:
        tree = ast.parse(code)
        tokens = list(tokenize.generate_tokens(io.StringIO(code).readline))
    except (*PARSE_ERRORS, tokenize.TokenError):
        return []
    known = {token.string for token in tokens if token.type == tokenize.NAME}
    # Keys, fields and commands may be texts.
    known |= {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    known |= {*dir(builtins), *keyword.kwlist}
    return list(dict.fromkeys(name for name in _documented(markdown) if not _is_known(name, known)))


def _is_known(name: str, known: set[str]) -> bool:
    """Whether the parts of a dotted name are known; the first one may also be the module's own, which no code says."""
    first, *others = name.split(".")
    return set(others) <= known and (first in known or (bool(others) and first.islower()))


def _documented(markdown: str) -> Iterator[str]:
    tokens = _tokens(markdown)
    for before, token in zip([None, *tokens], tokens):
        if token.type != "inline":
            continue
        is_heading = before is not None and before.type == "heading_open"
        found = _HEADING.fullmatch(token.content) if is_heading else None
        if found:
            yield found[1]
        for child in token.children or ():
            if child.type == "code_inline":
                named = _DEFINITION.fullmatch(child.content)
                if named and (is_heading or named[2]):
                    yield named[1]


def _tokens(markdown: str) -> list[Any]:
    return list(optional_module("markdown_it").MarkdownIt("commonmark").enable("table").parse(markdown))
