"""Which comments are read by programs and not by people: they must stay as they are, in every letter.

>>> is_pragma("noqa: E501"), is_pragma("go:build linux"), is_pragma("no quarrel here")
(True, True, False)
"""

from __future__ import annotations

import re

__all__ = ["is_pragma"]

# Regular expressions for the beginning of the text of such a comment, by who reads it.
_PRAGMAS = (
    # editors: encodings, modelines, folding, cells, file kinds
    r"\S*coding[:=]", r"-\*-", r"(vim?|ex):", r"#?(end)?region\b", r"%%(\s|$)", r"in\s?\[\d*\]:", r"language\s?=",
    r"yaml-language-server:", r"\$schema\b", r"@formatter:", r"<editor-fold|</editor-fold",
    # Python
    r"noqa\b", r"type:\s", r"(pylint|mypy|pyright|ruff|flake8|isort|fmt|yapf|autopep8|pyre-\w+|pytype|skylint)\s?[:=]",
    r"pragma\b", r"nosec\b", r"nosemgrep\b", r"doctest:", r"cython:", r"distutils:", r"pyre-\S+",
    # JavaScript, TypeScript, CSS
    r"eslint\S*\s*", r"(tslint|stylelint|standard|jshint|jslint|jscs|biome|oxlint|deno)[-:\s]", r"prettier-\S+",
    r"@ts-\S+", r"@(no)?flow\b", r"@jsx\w*\s", r"globals?\s+\w+[:,]", r"(istanbul|c8|v8)\s+ignore",
    r"\$FlowFixMe", r"webpack\w*:", r"@vite-\w+", r"[#@]?\s?source(MappingURL|URL)=", r"[#@]__\w+__",
    r"<reference\s", r"@license\b",
    # Go
    r"go:\w", r"\+build\s", r"nolint\b", r"line\s\S+:\d+", r"export\s+\w+$", r"lint:\S+",
    # C and C++
    r"clang-\S+", r"NOLINT\w*", r"IWYU\b", r"cppcheck-\S+", r"(lint\s)?-?fall[- ]?through\b\W*$", r"NOTREACHED",
    r"coverity\[", r"GCOV\w*", r"LCOV_\w+",
    # Ruby, shells, PHP, JVM, Swift, Lua, Haskell
    r"rubocop:", r"frozen_string_literal:", r"(typed|warn_indent|shareable_constant_value):\s", r"shellcheck\s",
    r"hadolint\s", r"phpcs:", r"@(phpstan|psalm)-\S+", r"@codeCoverageIgnore\w*", r"noinspection\b",
    r"NOSONAR\b", r"checkstyle[:.]",
    r"(ktlint|detekt)[-:]", r"swiftlint:", r"swift-tools-version", r"swiftformat:", r"(scalafmt|scalastyle|scalafix):",
    r"(luacheck|selene):", r"(?-i:LANGUAGE|OPTIONS_GHC|INLINE|NOINLINE|SPECIALIZE)\s", r"sqlfluff:",
    # files of configuration, markup, all of them
    r"(checkov|tfsec|trivy|cspell|codespell|vale):?\s?[:\w]", r"(syntax|escape)=",
    r"(markdownlint|textlint|spell-?checker)[-:]", r"\[if\s", r"<!\[endif\]", r"\[endif\]",
    r"#(include|exec|echo|set)\s", r"SPDX-", r"REUSE-Ignore", r"@generated\b",
    r"Code generated .* DO NOT EDIT",
)  # fmt: skip
_PRAGMA = re.compile(f"({'|'.join(_PRAGMAS)})", re.IGNORECASE)


def is_pragma(text: str) -> bool:
    """Whether a comment with this text, in which its marks are left out, is read by a program."""
    return _PRAGMA.match(text) is not None
