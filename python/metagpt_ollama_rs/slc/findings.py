"""Findings of a code review: the JSON schema in which a model is asked for them, and what its answer says.

    [{"line": 3, "severity": "error", "text": "`total` is used before it is set."}]

A line is what an editor shows as one: it ends with ``\\n``, ``\\r\\n`` or ``\\r``, not with a form feed or one of
Unicode's line separators. What a model says of a line that does not exist is no finding; the list counts those.
No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Optional

from metagpt_ollama_rs.json_answers import recover_json

__all__ = ["FINDINGS_SCHEMA", "SEVERITIES", "Finding", "Findings", "code_lines", "numbered_lines", "read_findings"]

# From the worst to the least.
SEVERITIES = ("error", "warning", "info")
# What models say where a server does not hold them to the schema.
_OTHER_WORDS = {
    "error": (
        "blocker",
        "bug",
        "critical",
        "danger",
        "fatal",
        "high",
        "major",
        "serious",
        "severe",
        "严重",
        "错误",
        "高",
    ),
    "warning": ("medium", "minor", "moderate", "warn", "中", "中等", "警告", "一般"),
    "info": (
        "hint",
        "information",
        "informational",
        "low",
        "note",
        "style",
        "suggestion",
        "低",
        "信息",
        "提示",
        "建议",
    ),
}
_SEVERITY_OF = {word: severity for severity, words in _OTHER_WORDS.items() for word in (severity, *words)}

# No bounds for the line: a model that is held to them and means line 120 of 50 writes 12, which looks right.
FINDINGS_SCHEMA: dict[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "line": {"type": "integer"},
            "severity": {"type": "string", "enum": list(SEVERITIES)},
            "text": {"type": "string"},
        },
        "required": ["line", "severity", "text"],
        "additionalProperties": False,
    },
}
# The same with any word for the severity, for answers of models that were not held to the schema.
_LENIENT_SCHEMA: dict[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            name: {"type": kind} for name, kind in (("line", "integer"), ("severity", "string"), ("text", "string"))
        },
        "required": ["line", "text"],
    },
}
# Of a list in which an object is none of a finding the others count.
_OBJECTS_SCHEMA: dict[str, Any] = {"type": "array", "items": {"type": "object"}}
_LINE_END = re.compile("\r\n|\r|\n")


@dataclass(frozen=True)
class Finding:
    """What a review says of one line of code.

    Attributes:
        line: the line, from 1.
        severity: ``error``, ``warning`` or ``info``.
        text: what is wrong there, and what to do about it.

    >>> Finding(3, "error", "`total` is used before it is set.")
    Finding(line=3, severity='error', text='`total` is used before it is set.')
    >>> Finding(3, "error", "`total` is used before it is set.")["line"]
    3
    """

    line: int
    severity: str
    text: str

    def __getitem__(self, key: str) -> Any:
        return self.as_dict()[key]

    def as_dict(self) -> dict[str, Any]:
        """The finding as a JSON object, ``{"line": …, "severity": …, "text": …}``."""
        return {"line": self.line, "severity": self.severity, "text": self.text}


class Findings(list[Finding]):
    """A list of findings, by line. ``dropped`` is how many more the model gave, that name no line that exists
    or have no text.

    >>> findings = Findings([Finding(1, "info", "Name it.")], dropped=2)
    >>> findings[0].line, findings.dropped, findings == [Finding(1, "info", "Name it.")]
    (1, 2, True)
    """

    def __init__(self, findings: Iterable[Finding] = (), *, dropped: int = 0) -> None:
        super().__init__(findings)
        self.dropped = dropped


def code_lines(code: str) -> list[str]:
    """The lines of ``code`` without their ends, as an editor counts them; after the last end there is no empty one.

    >>> code_lines("a\\r\\nb\\x0c\\u2028c\\n"), code_lines("")
    (['a', 'b\\x0c\\u2028c'], [])
    """
    lines = _LINE_END.split(code)
    return lines if lines[-1] else lines[:-1]


def numbered_lines(lines: Iterable[str], first: int = 1) -> Iterator[str]:
    """``lines`` as a model is shown them, each with its number, so that it need not count.

    >>> list(numbered_lines(["a = 1", "b = 2"], 9))
    ['9: a = 1', '10: b = 2']
    """
    for number, line in enumerate(lines, first):
        yield f"{number}: {line}"


def read_findings(answer: str, lines: range, prompt: str = "") -> Optional[Findings]:
    """The findings in the ``answer`` to ``prompt``, sorted by line, without what it says twice; None if it cannot be
    read. Those of lines that are not among ``lines``, those that the model was shown, and those without a line or a
    text are dropped.

    >>> answer = '[{"line": 2, "severity": "high", "text": "No."}, {"line": 9, "severity": "info", "text": "What?"}]'
    >>> findings = read_findings(answer, range(1, 4))
    >>> findings, findings.dropped
    ([Finding(line=2, severity='error', text='No.')], 1)
    >>> read_findings("The code is fine.", range(1, 4))
    """
    items = _items_of(answer, prompt)
    if items is None:
        return None
    found = [_finding_of(item) for item in items]
    if found and not any(found):
        return None
    named = dict.fromkeys(finding for finding in found if finding is not None)
    kept = [finding for finding in named if finding.line in lines]
    dropped = len(named) - len(kept) + found.count(None)
    return Findings(sorted(kept, key=lambda finding: finding.line), dropped=dropped)


def _items_of(answer: str, prompt: str) -> Any:
    """The list of objects in an answer, or None."""
    for schema in (_LENIENT_SCHEMA, _OBJECTS_SCHEMA):
        found = recover_json(answer, schema, prompt=prompt)
        if found is not None:
            return found.value
        wrapping = {"type": "object", "properties": {"findings": schema}, "required": ["findings"]}
        found = recover_json(answer, wrapping, prompt=prompt)
        if found is not None:
            return found.value["findings"]
    return None


def _finding_of(item: dict[str, Any]) -> Optional[Finding]:
    line, severity, text = item.get("line"), item.get("severity"), item.get("text")
    if not isinstance(line, int) or isinstance(line, bool) or not isinstance(text, str) or not text.strip():
        return None
    return Finding(line, _severity(severity if isinstance(severity, str) else ""), text.strip())


def _severity(word: str) -> str:
    """One of `SEVERITIES` for what a model calls it; a word that is not known is a warning."""
    return _SEVERITY_OF.get(word.strip().lower(), "warning")
