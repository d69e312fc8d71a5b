r"""The code in the answer of a model: the block that is meant, without what stands around it.

>>> extract_code("First ``pip install rich``:\n```bash\npip install rich\n```\nThen:\n```python\nimport rich\n```")
'import rich'

What a fence is says markdown-it-py, for lists, quotes, tildes and longer fences around shorter ones. Beyond that: a
Python program may have fences in its docstrings, an answer without any fence may be a program between sentences, and of
several blocks one is the program. Nothing of the code is changed.
"""

from __future__ import annotations

import ast
import html
import itertools
import keyword
import logging
import re
import textwrap
from functools import lru_cache
from typing import Any, NamedTuple, Optional

from metagpt_ollama_rs.errors import OllamaError
from metagpt_ollama_rs.program_text import (
    PARSE_ERRORS,
    SHELLS,
    find_program_text,
    has_only_commands,
    is_sentence,
    parses_as_python,
    without_prose,
)
from metagpt_ollama_rs.slc.calls import ToolOptions, ask, asked_language
from metagpt_ollama_rs.slc.extras import optional_module

__all__ = ["CodeBlock", "checked_python", "code_from_answer", "extract_code", "find_code", "python_fault"]

_logger = logging.getLogger(__name__)

_PYTHON = "python"
# Blocks that show what a program reads or prints, where there are others.
_DATA = frozenset({*SHELLS, "plaintext", "output", "log", "json", "yaml", "yml", "toml", "ini", "csv", "diff"})
_MARKDOWN = frozenset({"markdown", "md", ""})
# What may be a fence, also in a quote or a list.
_FENCE_LINE = re.compile(r"^[ \t>*+\-\d.)]*(?:```|~~~)", re.MULTILINE)
# What ends a sentence and has the first line of a fence behind it, in the same line.
_LATE_FENCE = re.compile(r"^[^`\n]*[.:!?。：！？][ \t]*(?=(?:```|~~~)[\w+#.-]*[ \t]*$)", re.MULTILINE)
_ONE_LINE = re.compile(r"(?P<marks>`+)(?P<code>[^`\n]+)(?P=marks)")
# Code that is shown as HTML, in an answer that is not a page itself.
_HTML = re.compile(r"<pre\b[^>\n]*>(?:\s*<code\b[^>\n]*>)?\n?(?P<code>[^<]*)(?:</code>\s*)?</pre>")
_IS_HTML = re.compile(r"\s*<(?:!doctype|html|head|body|div)\b", re.IGNORECASE)
# A line that only Python has.
_PYTHON_LINE = re.compile(
    r"^[ \t]*(?:(?:async )?def \w+\(.*:$|class \w+.*:$|from [\w.]+ import |if __name__ ==)", re.MULTILINE
)
# A fence in a Python program is looked for behind so many lines that look like its end.
_MOST_ENDS = 20
# Blocks within blocks, each in a longer fence than the one in it.
_DEEPEST = 4


class CodeBlock(NamedTuple):
    """Code, and the name of its programming language in small letters; "" where that is not known.

    >>> find_code("~~~{.python}\\nprint(1)\\n~~~")
    CodeBlock(language='python', text='print(1)')
    """

    language: str
    text: str


def extract_code(answer: str, language: Optional[str] = None) -> str:
    """The code in ``answer``, without a fence and without the line end before it.

    ``language`` is the programming language that it is to be in, such as ``python`` or ``C++``; None where that is not
    known. Of several blocks it is the first in that language (else in the language of the first block that is no
    command to install something and no data), unless a later one is more than twice as long. Where no code can be told
    from other text, it is the whole answer without white space around it.

    Raises MissingLibraryError where markdown-it-py is not installed.
    """
    return find_code(answer, language).text


def find_code(answer: str, language: Optional[str] = None, *, _depth: int = 0) -> CodeBlock:
    """As `extract_code`, with the programming language."""
    text = re.sub(r"\r\n?", "\n", answer)
    wanted = _fence_language(language or "")
    may_be_python = wanted in ("", _PYTHON)
    if may_be_python:
        # A fence's first line without the fence.
        text = re.sub(r"\A\s*python3?\n(?=.)", "", text)
    if may_be_python and not text.lstrip().startswith("~~~"):
        for candidate in (text, textwrap.dedent(text)):
            if parses_as_python(candidate):
                return CodeBlock(_PYTHON, candidate.strip("\n"))
    late = _LATE_FENCE.search(text)
    if late is not None and not _FENCE_LINE.search(text, 0, late.start()):
        text = f"{text[: late.end()]}\n{text[late.end() :]}"
    blocks = _fenced_blocks(text)
    if blocks:
        chosen = _chosen_block(blocks, wanted)
        has_fence = (
            chosen.language in _MARKDOWN and wanted not in ("markdown", "md") and _FENCE_LINE.search(chosen.text)
        )
        if has_fence and _depth < _DEEPEST and not parses_as_python(chosen.text):
            return find_code(chosen.text, language, _depth=_depth + 1)
        return CodeBlock(chosen.language or wanted or _guessed_language(chosen.text), chosen.text)
    return _code_without_fence(text, wanted)


def code_from_answer(answer: str, options: ToolOptions, language: Optional[str] = None) -> str:
    """As `extract_code`; code in Python is then that of `checked_python`."""
    block = find_code(answer, language)
    return checked_python(block.text, options) if block.language == _PYTHON else block.text


def checked_python(code: str, options: ToolOptions) -> str:
    """``code``, if it parses as Python; else what the model makes of it when it is asked once to correct it.

    Where that does not parse either, or the model cannot be asked, ``code`` as it is, with a warning in the log.
    ``options`` are those of the tool; ``on_text`` gets nothing of the second answer.
    """
    fault = python_fault(code)
    if fault is None:
        return code
    # The parser's words are English in any case: the language is that of the options, or of the comments.
    again: ToolOptions = {**options, "on_text": None, "language": asked_language({"code": code}, options)}
    try:
        repaired = extract_code(ask("repair_python", {"error": fault, "code": code}, again), _PYTHON)
    except OllamaError as error:
        _logger.warning(
            "the code does not parse (%s), and the model could not be asked to correct it: %s", fault, error
        )
        return code
    still = python_fault(repaired)
    if still is None and 2 * _line_count(repaired) < _line_count(code):
        # A word of regret parses as Python, too.
        still = "most of it is missing"
    if still is None:
        return repaired
    _logger.warning("the code does not parse (%s), nor is what the model made of it any better (%s)", fault, still)
    return code


def python_fault(code: str) -> Optional[str]:
    """What Python's parser says against ``code``; None where it takes it.

    >>> python_fault("x = 1\\nprint(x))")
    "line 2: unmatched ')', in: print(x))"
    """
    try:
        ast.parse(code)
    except SyntaxError as error:
        line = (error.text or "").strip()
        where = f"line {error.lineno}: " if error.lineno else ""
        return where + error.msg + (f", in: {line}" if line else "")
    except PARSE_ERRORS as error:
        return str(error) or type(error).__name__
    return None


def _code_without_fence(text: str, wanted: str) -> CodeBlock:
    # Fences that are indented further than Markdown allows.
    indented_fence = find_program_text(text, python=wanted == _PYTHON) if _FENCE_LINE.search(text) else None
    if indented_fence is not None:
        return CodeBlock(wanted or _guessed_language(indented_fence.text), indented_fence.text)
    one_line = _ONE_LINE.fullmatch(text.strip())
    if one_line is not None:
        code = one_line["code"].strip()
        first, _, rest = code.partition(" ")
        has_language = len(one_line["marks"]) > 2 and _fence_language(first) in (_PYTHON, wanted)
        code = rest.strip() if rest.strip() and has_language else code
        return CodeBlock(wanted or _guessed_language(code), code)
    found = without_prose(text) if wanted in ("", _PYTHON) else None
    if found is not None:
        return CodeBlock(_PYTHON, found.text)
    preformatted = _HTML.search(text) if wanted != "html" and not _IS_HTML.match(text) else None
    if preformatted is not None and preformatted["code"].strip():
        code = html.unescape(preformatted["code"]).removesuffix("\n")
        return CodeBlock(wanted or _guessed_language(code), code)
    indented = _indented_code(text)
    if indented is not None:
        return CodeBlock(wanted or _guessed_language(indented), indented)
    return CodeBlock(_guessed_language(text), text.strip())


@lru_cache(maxsize=1)
def _markdown() -> Any:
    # Text within HTML, as in `<details>`, is looked at, too. What is in a paragraph is of no interest.
    parser = optional_module("markdown_it").MarkdownIt("commonmark")
    return parser.disable(["html_block", "reference", "lheading", "inline"])


def _fenced_blocks(text: str, depth: int = 0) -> list[CodeBlock]:
    """The blocks in fences that have something in them."""
    if not _FENCE_LINE.search(text):
        return []
    lines = text.split("\n")
    blocks: list[CodeBlock] = []
    end = 0
    for token in _markdown().parse(text):
        if token.type == "code_block" and depth < _DEEPEST:
            # A fence that is indented by four spaces is none to Markdown, and was meant as one.
            blocks += _fenced_blocks(token.content, depth + 1)
        if token.type != "fence" or token.map[0] < end:
            continue
        start, end = token.map
        language, inside = _fence_language(token.info), token.content.removesuffix("\n")
        is_closed = end - 1 > start and _ends_fence(lines[end - 1], token.markup)
        if not is_closed and language not in _MARKDOWN and not parses_as_python(inside):
            inside = _before_last_marks(inside, token.markup)
        if language == _PYTHON and not parses_as_python(inside):
            longer = _longer_program(lines, start, end, token.markup) if token.level == 0 else None
            if longer is not None:
                inside, end = longer
            elif parses_as_python(textwrap.dedent(inside)):
                inside = textwrap.dedent(inside)
            elif not is_closed:
                found = without_prose(inside)
                inside = found.text if found is not None else inside
        if inside.strip():
            blocks.append(CodeBlock(language, inside))
    return blocks


def _before_last_marks(inside: str, marks: str) -> str:
    """A block without an end, up to the last of its marks that stands at the beginning or the end of a line: the end of
    the block, with a program's last line before it or a word or a token of the model's behind it."""
    places = list(re.finditer(rf"^[ \t]*{marks}|{marks}[ \t]*$", inside, re.MULTILINE))
    return inside[: places[-1].start()].removesuffix("\n") if places else inside


def _ends_fence(line: str, marks: str) -> bool:
    line = line.lstrip(" \t>").rstrip()
    return line.startswith(marks) and not line.strip(marks[0])


def _longer_program(lines: list[str], start: int, end: int, marks: str) -> Optional[tuple[str, int]]:
    """The program in Python that begins behind the fence in line ``start`` and goes on behind line ``end``, because the
    line that seems to end it stands in a docstring; and the line behind its real end."""
    ends = (number for number in range(end, len(lines)) if _ends_fence(lines[number], marks))
    for number in itertools.islice(ends, _MOST_ENDS):
        program = "\n".join(lines[start + 1 : number])
        if parses_as_python(program):
            return program, number + 1
    return None


def _chosen_block(blocks: list[CodeBlock], wanted: str) -> CodeBlock:
    programs = [block for block in blocks if not (block.language in SHELLS and has_only_commands(block.text))]
    if wanted:
        matching = [block for block in blocks if _is_language(block.language, wanted)]
        matching = matching or [block for block in programs if not block.language] or programs or blocks
    else:
        programs = [block for block in programs if block.language not in _DATA] or programs or blocks
        matching = [block for block in programs if block.language == programs[0].language]
    if wanted == _PYTHON or matching[0].language == _PYTHON:
        matching = [block for block in matching if parses_as_python(block.text)] or matching
    chosen = matching[0]
    for block in matching[1:]:
        if _line_count(block.text) > 2 * _line_count(chosen.text):
            chosen = block
    return chosen


def _line_count(text: str) -> int:
    return sum(1 for line in text.split("\n") if line.strip())


def _fence_language(info: str) -> str:
    """The language in a fence's first line, such as ``python3 title="a.py"``, ``{.python}`` or ``a.py``."""
    word = re.match(r"[\w+#./-]*", info.strip().lstrip("{.").lower())
    name = word[0].removeprefix("language-").removeprefix("lang-") if word else ""
    return _PYTHON if re.fullmatch(r"(?:i?python|py)[\d.]*|.*\.pyi?", name) else name


def _is_language(name: str, wanted: str) -> bool:
    """Whether both are names of one language, as ``cpp`` and ``c++`` are."""
    if name == wanted:
        return True
    if not name or _PYTHON in (name, wanted):
        return False
    find = optional_module("pygments.lexers").find_lexer_class_by_name
    try:
        return bool(find(name) is find(wanted))
    except optional_module("pygments.util").ClassNotFound:
        return False


def _guessed_language(text: str) -> str:
    return _PYTHON if parses_as_python(text) or _PYTHON_LINE.search(text) else ""


def _indented_code(text: str) -> Optional[str]:
    """The one block of code that is indented, as Markdown has it, in a text whose other lines are sentences; around a
    program in Python they may be as short as ``Done.``"""
    tokens = _markdown().parse(text)
    blocks = [token for token in tokens if token.type == "code_block"]
    if len(blocks) != 1:
        return None
    code = str(blocks[0].content).removesuffix("\n")
    is_prose = _is_remark if parses_as_python(code) else is_sentence
    prose = [token.content.rpartition("\n")[2].strip() for token in tokens if token.type == "inline"]
    return code if all(is_prose(line) for line in prose) else None


def _is_remark(line: str) -> bool:
    """Whether ``line`` has no sign of a program, and ends as sentences do."""
    words = re.findall(r"\w+", line)
    return (
        bool(words)
        and not keyword.iskeyword(words[0])
        and line[-1] in ".:!?。：！？"
        and not set("=(){}[]") & set(line)
    )
