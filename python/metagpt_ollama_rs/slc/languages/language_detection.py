r"""Which programming language code is in, told without a model.

In this order: a shebang; the name of its file, if it is known; a real parser, of JSON and of Python; then the signs of
each language, the shapes of lines that it has and others have not. What has too few signs is ``text``.

>>> detect_code_language('fn main() {\n    println!("Hello");\n}')
'rust'
>>> detect_code_language("Dear Sir, I am writing to you."), detect_code_language("x", filename="a.rb")
('text', 'ruby')

A language is written as fences of Markdown write it, and as Pygments, whose tables know file names and shebangs, takes
it. How often the signs are right is measured by ``tests/slc/test_language_detection.py``. No I/O.
"""

from __future__ import annotations

import ast
import builtins
import json
import re
import textwrap
import warnings
from fnmatch import fnmatch
from pathlib import PurePath
from typing import Optional

from metagpt_ollama_rs.program_text import PARSE_ERRORS
from metagpt_ollama_rs.slc.extras import optional_module
from metagpt_ollama_rs.slc.languages.language_signs import BUILT_ON, SIGNS, WITH_SEMICOLONS, WITHOUT_SEMICOLONS

__all__ = ["TEXT", "detect_code_language", "own_name"]

# What is not known to be code.
TEXT = "text"
# The least that the signs of a language have to weigh.
_LEAST_WEIGHT = 2.0
# So many characters are searched for signs.
_LOOKED_AT = 20_000
_LONG_LINE = re.compile(r"^(.{300}).+$", re.MULTILINE)

_COMPILED = {
    language: [(weight, re.compile(sign, re.MULTILINE)) for weight, sign in signs] for language, signs in SIGNS.items()
}

_SHEBANG = re.compile(r"#!\s*(?:\S*/)?(?:env\s+(?:-\S+\s+|\w+=\S*\s+)*)?(?:\S*/)?([A-Za-z][\w+-]*)")
# What Pygments calls otherwise.
_OWN_NAMES = {"docker": "dockerfile", "make": "makefile", "splus": "r", "delphi": "pascal"}
_INTERPRETERS = {"node": "javascript", "nodejs": "javascript", "deno": "typescript", "bun": "typescript",
                 "rscript": "r", "dash": "bash", "ash": "bash", "tclsh": "tcl", "wish": "tcl", "escript": "erlang",
                 "runghc": "haskell", "runhaskell": "haskell", "sbcl": "common-lisp", "guile": "scheme",
                 "pypy": "python", "octave": "matlab", "ipython": "python", "luajit": "lua"}  # fmt: skip

# Files that Pygments does not know as ones of a language.
_MORE_FILES = {"cpp": ("*.h", "*.inl"), "objective-c": ("*.h",)}


def detect_code_language(code: str, filename: Optional[str] = None) -> str:
    """The language of ``code``, such as ``python``; ``text`` if it is not known. ``filename`` is that of its file."""
    code = code.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return _by_shebang(code) or _by_filename(code, filename) or _by_content(code)


def own_name(lexer: type) -> str:
    """What the language of a lexer of Pygments is called here."""
    alias: str = lexer.aliases[0]  # type: ignore[attr-defined]
    return _OWN_NAMES.get(alias, alias)


def _by_shebang(code: str) -> Optional[str]:
    found = _SHEBANG.match(code)
    if found is None:
        return None
    interpreter = found[1].lower().rstrip("0123456789")
    if interpreter in _INTERPRETERS:
        return _INTERPRETERS[interpreter]
    lexer = optional_module("pygments.lexers").find_lexer_class_by_name
    try:
        return own_name(lexer(interpreter))
    except optional_module("pygments.util").ClassNotFound:
        return None


def _by_filename(code: str, filename: Optional[str]) -> Optional[str]:
    """The language whose files are called so; of several the one that the content has, else the one that Pygments
    prefers."""
    if filename is None:
        return None
    lexers = optional_module("pygments.lexers")
    by_content = lexers.find_lexer_class_by_name(_by_content(code))
    name = PurePath(filename).name
    patterns = [*by_content.filenames, *_MORE_FILES.get(own_name(by_content), ())]
    if any(fnmatch(name, pattern) for pattern in patterns):
        return own_name(by_content)
    try:
        return own_name(type(lexers.guess_lexer_for_filename(name, code)))
    except optional_module("pygments.util").ClassNotFound:
        return None


def _by_content(code: str) -> str:
    if _is_json(code):
        return "json"
    shown = _LONG_LINE.sub(r"\1", code[:_LOOKED_AT])
    weights = {language: _weight(shown, signs) for language, signs in _COMPILED.items()}
    weights["python"] += _weight_of_python(code)
    for language in _unlikely_by_semicolons(shown):
        weights[language] -= 2
    for language, base in BUILT_ON.items():
        if weights[language] >= _LEAST_WEIGHT:
            weights[language] += weights[base]
    best = max(weights, key=lambda language: weights[language])
    return best if weights[best] >= _LEAST_WEIGHT else TEXT


def _unlikely_by_semicolons(code: str) -> frozenset[str]:
    """The languages whose lines do, or do not, end with semicolons, unlike those of ``code``."""
    lines = [line for line in map(str.rstrip, code.split("\n")) if line[-1:].isalnum() or line[-1:] in tuple(";)]\"'")]
    ends = sum(line.endswith(";") for line in lines)
    if len(lines) < 3:
        return frozenset()
    return WITH_SEMICOLONS if ends == 0 else WITHOUT_SEMICOLONS if ends > len(lines) / 2 else frozenset()


def _weight(code: str, signs: list[tuple[float, re.Pattern[str]]]) -> float:
    return sum(weight for weight, sign in signs if sign.search(code))


def _is_json(code: str) -> bool:
    text = code.strip()
    if text[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


# What parses as Python and in no other language.
_PYTHON_ONLY = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.For, ast.While, ast.If, ast.With, ast.Try,
                ast.ImportFrom, ast.ListComp, ast.DictComp, ast.Lambda, ast.JoinedStr)  # fmt: skip
_BUILTINS = frozenset(dir(builtins))


def _weight_of_python(code: str) -> float:
    """What it weighs that Python's own parser takes ``code``, or does not."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            nodes = list(ast.walk(ast.parse(textwrap.dedent(code))))
    except PARSE_ERRORS:
        return 0 if ">>> " in code else -1.5
    if any(isinstance(node, _PYTHON_ONLY) for node in nodes):
        return 5
    called = [node.func for node in nodes if isinstance(node, ast.Call)]
    if any(isinstance(function, ast.Name) and function.id in _BUILTINS for function in called):
        return 2
    if any(isinstance(node, (ast.Assign, ast.Import)) for node in nodes):
        return 2
    return 1 if called or any(isinstance(node, (ast.Return, ast.Attribute)) for node in nodes) else 0
