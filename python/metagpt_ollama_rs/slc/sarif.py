"""Findings as a SARIF 2.1.0 log, which editors and CI systems show at the lines.

    {"version": "2.1.0", "runs": [{"tool": …, "artifacts": […], "results": [
        {"ruleId": "review-error", "level": "error", "message": {"text": "…"}, "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": "src/a%20b.py", "uriBaseId": "%SRCROOT%", "index": 0},
            "region": {"startLine": 3}}}]}]}]}

The rules are the severities: a model has no catalogue of what it may find. ``%SRCROOT%`` is what the paths are relative
to; it is left open, as GitHub's code scanning expects it, so that no path of the machine is published. No I/O.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Optional
from urllib.parse import quote

from metagpt_ollama_rs._core import __version__
from metagpt_ollama_rs.slc.findings import SEVERITIES, Finding, Findings, code_lines

__all__ = ["SARIF_SCHEMA_URI", "sarif_log"]

SARIF_SCHEMA_URI = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
_RULES = {
    "error": "The code does something wrong, or is not safe.",
    "warning": "The code may do something wrong, or is hard to maintain.",
    "info": "The code could be better.",
}
_BASE = "%SRCROOT%"


def sarif_log(
    findings_by_path: Mapping[str, Sequence[Finding]], code_by_path: Optional[Mapping[str, str]] = None
) -> dict[str, Any]:
    """The findings of one or several files as one SARIF log, a dict that ``json.dumps`` takes.

    Args:
        findings_by_path: the findings of each file, also of files without any, by its path. A path below the working
            directory becomes a relative URI, another one a ``file:`` URI.
        code_by_path: the code of the files, by the same paths. A result then quotes its line, and has a fingerprint
            that stays when the line moves.

    >>> log = sarif_log({"src/a b.py": [Finding(3, "info", "Name it.")]})
    >>> log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    'src/a%20b.py'
    """
    sources = code_by_path or {}
    artifacts, results = [], []
    for index, (path, findings) in enumerate(findings_by_path.items()):
        location = _location(path)
        artifacts.append({"location": location, "roles": ["analysisTarget"]})
        lines = code_lines(sources[path]) if path in sources else []
        seen: Counter[str] = Counter()
        for finding in findings:
            results.append(_result(finding, {**location, "index": index}, lines, seen))
    run: dict[str, Any] = {
        "tool": {"driver": {"name": "metagpt-ollama", "version": __version__, "rules": _rules()}},
        "columnKind": "unicodeCodePoints",
        "newlineSequences": ["\r\n", "\n", "\r"],
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": _notifications(findings_by_path)}],
        "artifacts": artifacts,
        "results": results,
    }
    return {"$schema": SARIF_SCHEMA_URI, "version": "2.1.0", "runs": [run]}


def _rules() -> list[dict[str, Any]]:
    return [
        {
            "id": f"review-{severity}",
            "shortDescription": {"text": _RULES[severity]},
            "defaultConfiguration": {"level": _LEVELS[severity]},
        }
        for severity in SEVERITIES
    ]


def _notifications(findings_by_path: Mapping[str, Sequence[Finding]]) -> list[dict[str, Any]]:
    """A note for each file of which the model named lines that do not exist."""
    return [
        {
            "level": "note",
            "message": {"text": f"Dropped, because their lines do not exist: {findings.dropped}."},
            "locations": [{"physicalLocation": {"artifactLocation": _location(path)}}],
        }
        for path, findings in findings_by_path.items()
        if isinstance(findings, Findings) and findings.dropped
    ]


def _result(finding: Finding, location: dict[str, Any], lines: Sequence[str], seen: Counter[str]) -> dict[str, Any]:
    """One finding. ``lines`` are those of its file, if they are known; ``seen`` counts the findings that look alike."""
    region: dict[str, Any] = {"startLine": finding.line}
    stable, name = finding.text, "findingText/v1"
    if finding.line <= len(lines):
        # The name by which GitHub's code scanning recognizes a finding that it has shown before.
        stable, name = lines[finding.line - 1], "primaryLocationLineHash"
        region["snippet"] = {"text": stable}
    identity = f"{finding.severity}\n{stable.strip()}"
    seen[identity] += 1
    digest = sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return {
        "ruleId": f"review-{finding.severity}",
        "ruleIndex": SEVERITIES.index(finding.severity),
        "level": _LEVELS[finding.severity],
        # SARIF writes literal braces twice, because `{0}` stands for an argument.
        "message": {"text": finding.text.replace("{", "{{").replace("}", "}}")},
        "locations": [{"physicalLocation": {"artifactLocation": location, "region": region}}],
        "partialFingerprints": {name: f"{digest}:{seen[identity]}"},
    }


def _location(path: str) -> dict[str, Any]:
    """The place of a file, with a percent-encoded URI."""
    relative = os.path.relpath(path)
    if relative == os.pardir or relative.startswith(os.pardir + os.sep) or os.path.isabs(relative):
        return {"uri": f"file://{_quoted(os.path.abspath(path))}"}
    return {"uri": _quoted(relative), "uriBaseId": _BASE}


def _quoted(path: str) -> str:
    return quote(os.fsencode(Path(path).as_posix()))
