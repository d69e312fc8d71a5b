"""What a model is to make of a file, and whether its answer can take the file's place.

    new_lines("a.py", "a = 1\\n", "```python\\na = 2\\n```")      # "a = 2\\n"

An answer that cannot be the whole file is an error, so that no file is emptied or cut by it: an empty one, one that
says "the rest is unchanged" where the rest is to stand, a sentence in the place of code, Python that does not parse.
"""

from __future__ import annotations

import re

from metagpt_ollama_rs.errors import UnusableAnswerError
from metagpt_ollama_rs.program_text import is_sentence
from metagpt_ollama_rs.slc.code_answers import extract_code, python_fault

__all__ = ["is_prose", "new_lines"]

# In these files a fenced block is a part of the text, so the answer is taken as a whole.
_PROSE = frozenset({"", ".txt", ".text", ".md", ".markdown", ".mdx", ".rst", ".adoc", ".org", ".tex"})
_PYTHON = frozenset({".py", ".pyi", ".pyw"})
_WHOLE_FENCE = re.compile(r"(?P<fence>`{3,}|~{3,})[^\n]*\n(?P<text>.*)\n(?P=fence)[`~]*", re.DOTALL)
_EMPTY_FENCE = re.compile(r"(`{3,}|~{3,})[^\n]*\n\s*\1[`~]*")
# A comment that stands for what the model left out.
_ELISION = re.compile(
    r"^\W*(?:\.\.\.|…).*\b(?:rest|remain\w*|existing|unchanged|previous|omitted|same)\b"
    r"|^\W*(?:the )?(?:rest of (?:the |your )?|remaining |existing |previous |other )(?:\w+ )?"
    r"(?:class|code|content|file|function|implementation|import|logic|method|test)(?:e?s)?\b"
    r"[^.;]*(?:unchanged|as before|the same|here|\.\.\.|…)\W*$"
    r"|^\W*(?:\.\.\.|…)?\W*(?:其余|其他|剩余|以下|原有)\w*(?:不变|省略|相同)\W*$",
    re.IGNORECASE,
)


def is_prose(path: str) -> bool:
    """Whether the file is a text for people, and no code.

    >>> is_prose("NOTES.MD"), is_prose("LICENSE"), is_prose("a.py"), is_prose(".env.json")
    (True, True, False, False)
    """
    return _suffix(path) in _PROSE


def new_lines(path: str, lines: str, answer: str) -> str:
    """The new text of the file, whose lines end with ``\\n``, and which ends as the old one did.

    Raises UnusableAnswerError.
    """
    suffix = _suffix(path)
    if is_prose(path):
        found = _without_fence(answer.replace("\r\n", "\n"), lines)
    else:
        found = extract_code(answer, suffix.lstrip("."))
    found = found.strip("\n")
    if not found.strip() or _EMPTY_FENCE.fullmatch(found.strip()):
        raise UnusableAnswerError("the model's answer is empty", partial=answer)
    first = found.lstrip().partition("\n")[0]
    if not is_prose(path) and is_sentence(first) and not is_sentence(lines.lstrip().partition("\n")[0] or " "):
        raise UnusableAnswerError(f"the model's answer is no code: {first}", partial=answer)
    old = set(map(str.strip, lines.split("\n")))
    elided = next(
        (line.strip() for line in found.split("\n") if _ELISION.search(line) and line.strip() not in old), None
    )
    if elided is not None:
        raise UnusableAnswerError(f"the model left something out: {elided}", partial=answer)
    # Blank lines at both ends, and whether the last line ends, are the file's.
    text = lines.strip("\n")
    start = lines[: lines.index(text)] if text else ""
    end = lines[len(start) + len(text) :] if text else "\n"
    made = start + found + end
    if suffix in _PYTHON:
        fault = python_fault(made)
        if fault is not None and python_fault(lines) is None:
            raise UnusableAnswerError(f"the model's answer is not Python: {fault}", partial=answer)
    return made


def _without_fence(answer: str, lines: str) -> str:
    """A whole answer in one fence was put there by the model, unless the file begins with one."""
    fenced = _WHOLE_FENCE.fullmatch(answer.strip())
    starts_so = lines.lstrip().startswith(("```", "~~~"))
    return fenced["text"] if fenced is not None and not starts_so else answer


def _suffix(path: str) -> str:
    stem, dot, suffix = path.rpartition("/")[2].rpartition(".")
    return f".{suffix.lower()}" if dot and stem else ""
