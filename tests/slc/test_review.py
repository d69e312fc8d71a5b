"""`SmartQATool.code_review` and `code_review_findings`: requests in both languages, answers, failures, long files."""

from __future__ import annotations

import copy
import json
import pickle
import re
from typing import Any

import pytest

from metagpt_ollama_rs.errors import (
    ConfigurationError,
    ContextOverflowError,
    IncompleteError,
    ServerError,
    UnusableAnswerError,
)
from metagpt_ollama_rs.slc import SmartQATool
from metagpt_ollama_rs.slc.findings import FINDINGS_SCHEMA, Finding, Findings, code_lines
from metagpt_ollama_rs.testing import Reply, Request, ScriptedServer

from .tool_requests import generate_body

CODE = "def half(n):\n    return n / 2\n"

FINDINGS_EN = """\
Review the code below. Each line begins with its number and a colon, which are not part of the code.

```
1: def half(n):
2:     return n / 2
```

Look for bugs, security problems, unhandled errors, wasted time or memory, and what makes the code hard to read or \
maintain.

Answer with a JSON list and nothing else. Each element is an object for one problem, with the keys:
- line: the number of the line, as it stands before that line;
- severity: "error" if the code is wrong or not safe, "warning" if it may go wrong, "info" if it could be better;
- text: what is wrong there and how to solve it, in one or two sentences.
Name only problems that are really there. If there are none, the list is empty."""

FINDINGS_ZH = """\
请审查下面的代码。每行开头的数字和冒号是行号，不属于代码。

```
1: def half(n):
2:     return n / 2
```

检查：错误（bug）、安全问题、未处理的异常、时间或内存的浪费，以及难以阅读或维护的地方。

只回答一个 JSON 列表，不要写其他内容。列表的每个元素是一个对象，对应一个问题，包含以下键：
- line：该行的行号，即该行开头的数字；
- severity：代码有错误或不安全时为 "error"，可能出错时为 "warning"，可以改进时为 "info"；
- text：用一两句中文说明问题和解决办法。
只写确实存在的问题。如果没有问题，列表为空。"""

REVIEW_EN = """\
Review the code below.

```
def half(n):
    return n / 2
```

Look for bugs, security problems, unhandled errors, wasted time or memory, and what makes the code hard to read or \
maintain.

Rules:
- The worst problems first. Say of each where it is, why it is one, and how to solve it.
- Name only problems that are really there. If the code is good, say so in one sentence."""

REVIEW_ZH = """\
请审查下面的代码。

```
def half(n):
    return n / 2
```

检查：错误（bug）、安全问题、未处理的异常、时间或内存的浪费，以及难以阅读或维护的地方。

要求：
- 先写最严重的问题。对每个问题说明位置、原因和解决办法。
- 只写确实存在的问题。如果代码没有问题，用一句话说明即可。"""


@pytest.mark.parametrize(("language", "prompt"), [("en", REVIEW_EN), ("zh", REVIEW_ZH)], ids=["en", "zh"])
def test_the_request_for_a_review(tool_server: ScriptedServer, language: str, prompt: str) -> None:
    tool_server.answer("Fine.")
    assert SmartQATool.code_review(CODE, language=language) == "Fine."
    assert tool_server.last.path == "/api/generate"
    assert tool_server.last.json() == generate_body(prompt)


@pytest.mark.parametrize(("language", "prompt"), [("en", FINDINGS_EN), ("zh", FINDINGS_ZH)], ids=["en", "zh"])
def test_the_request_for_findings(tool_server: ScriptedServer, language: str, prompt: str) -> None:
    tool_server.answer("[]")
    assert SmartQATool.code_review_findings(CODE, language=language) == []
    assert tool_server.last.json() == generate_body(prompt, format=FINDINGS_SCHEMA)


def test_comments_choose_the_language_of_the_prompt(tool_server: ScriptedServer) -> None:
    tool_server.answer("[]")
    SmartQATool.code_review_findings("x = 1  # 默认的数量\n")
    assert tool_server.last.json()["prompt"].startswith("请审查")


def test_options_reach_the_request(tool_server: ScriptedServer) -> None:
    tool_server.answer("[]")
    SmartQATool().code_review_findings(CODE, model="llama3.2", temperature=0.0, options={"seed": 7})
    sent = tool_server.last.json()
    assert (sent["model"], sent["options"]) == ("llama3.2", {"temperature": 0.0, "seed": 7})


@pytest.mark.parametrize("call", [SmartQATool.code_review, SmartQATool.code_review_findings])
def test_an_unknown_option_is_refused_by_name(tool_server: ScriptedServer, call: Any) -> None:
    with pytest.raises(TypeError, match="'modle'; did you mean 'model'"):
        call("", modle="llama3.2")
    assert tool_server.requests == []


def one(line: int, severity: str = "error", text: str = "No.") -> dict[str, Any]:
    return {"line": line, "severity": severity, "text": text}


@pytest.mark.parametrize(
    ("answer", "expected", "dropped"),
    [
        (json.dumps([one(2), one(1, "info")]), [Finding(1, "info", "No."), Finding(2, "error", "No.")], 0),
        (json.dumps([one(0), one(3), one(-1), one(1)]), [Finding(1, "error", "No.")], 3),
        (json.dumps([one(1), one(1)]), [Finding(1, "error", "No.")], 0),
        (json.dumps({"findings": [one(1)]}), [Finding(1, "error", "No.")], 0),
        (json.dumps({"findings": []}), [], 0),
        (json.dumps(one(2)), [Finding(2, "error", "No.")], 0),
        (json.dumps([{"line": "2", "severity": "HIGH", "text": " No. "}]), [Finding(2, "error", "No.")], 0),
        (json.dumps([one(1, "严重"), one(2, "minor")]), [Finding(1, "error", "No."), Finding(2, "warning", "No.")], 0),
        (json.dumps([one(1, "purple")]), [Finding(1, "warning", "No.")], 0),
        (json.dumps([{"line": 1, "text": "No."}]), [Finding(1, "warning", "No.")], 0),
        (
            json.dumps([one(1), {"line": 2}, {"line": "?", "text": "No."}, {"text": "No."}]),
            [Finding(1, "error", "No.")],
            3,
        ),
        (json.dumps({"findings": [one(1), {**one(2), "text": " "}]}), [Finding(1, "error", "No.")], 1),
        (f"Here they are:\n```json\n{json.dumps([one(1)])}\n```\nGood luck!", [Finding(1, "error", "No.")], 0),
        ("[{'line': 1, 'severity': 'error', 'text': 'No.'},]", [Finding(1, "error", "No.")], 0),
    ],
)
def test_answers(tool_server: ScriptedServer, answer: str, expected: list[Finding], dropped: int) -> None:
    tool_server.answer(answer)
    findings = SmartQATool.code_review_findings(CODE)
    assert findings == expected
    assert findings.dropped == dropped


@pytest.mark.parametrize("answer", ["The code is fine.", '{"line": 1}', "[1, 2]", '[{"line": "two", "text": "No."}]'])
def test_an_answer_that_is_no_list_of_findings_is_an_error_that_has_it(
    tool_server: ScriptedServer, answer: str
) -> None:
    tool_server.answer(answer)
    with pytest.raises(UnusableAnswerError, match="not a list of findings") as caught:
        SmartQATool.code_review_findings(CODE)
    assert caught.value.partial == answer


def test_a_server_that_fails_is_a_typed_error(tool_server: ScriptedServer) -> None:
    tool_server.on("POST", "/api/generate", Reply.error("broken", 500))
    with pytest.raises(ServerError):
        SmartQATool.code_review_findings(CODE)


@pytest.mark.parametrize("code", ["", "\n\n", " \t\r\n"])
def test_code_of_nothing_is_not_sent(tool_server: ScriptedServer, code: str) -> None:
    assert SmartQATool.code_review_findings(code) == []
    with pytest.raises(ConfigurationError, match="no code"):
        SmartQATool.code_review(code)
    assert tool_server.requests == []


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("", []),
        ("\n", [""]),
        ("a", ["a"]),
        ("a\n", ["a"]),
        ("a\n\n", ["a", ""]),
        ("a\r\nb\rc\nd", ["a", "b", "c", "d"]),
        ("a\x0cb\x0bc\u2028d\u2029e\x85f\x1cg\nh", ["a\x0cb\x0bc\u2028d\u2029e\x85f\x1cg", "h"]),
    ],
)
def test_lines_are_counted_as_editors_count_them(code: str, lines: list[str]) -> None:
    assert code_lines(code) == lines


def test_the_last_line_exists_and_the_one_after_it_does_not(tool_server: ScriptedServer) -> None:
    tool_server.answer(json.dumps([one(line) for line in range(1, 6)]))
    findings = SmartQATool.code_review_findings("a\r\nb\x0c\u2028\r\nc\r\n")
    assert [finding.line for finding in findings] == [1, 2, 3]
    assert findings.dropped == 2


def test_findings_are_a_list_that_can_be_copied_and_written() -> None:
    findings = Findings([Finding(1, "info", "Name it.")], dropped=3)
    for same in (pickle.loads(pickle.dumps(findings)), copy.copy(findings), copy.deepcopy(findings)):
        assert isinstance(same, Findings)
        assert (same, same.dropped) == (findings, 3)
    assert json.loads(json.dumps([finding.as_dict() for finding in findings])) == [
        {"line": 1, "severity": "info", "text": "Name it."}
    ]
    assert [findings[0][key] for key in ("line", "severity", "text")] == [1, "info", "Name it."]
    with pytest.raises(AttributeError):
        findings[0].line = 2  # type: ignore[misc]


LONG = "".join(f"def f{n}():\n    return {n}\n\n\n" for n in range(1, 26))
OVERFLOW = "request ({} tokens) exceeds the available context size (300 tokens)"


def small_context(request: Request) -> Reply:
    """A server whose context has room for 30 lines, and finds something at each `return`."""
    prompt = request.json()["prompt"]
    numbers = [int(number) for number in re.findall(r"^(\d+): ", prompt, re.MULTILINE)]
    if len(prompt.splitlines()) > 45:
        return Reply.error(OVERFLOW.format(10 * len(prompt.splitlines())), 400)
    found = [one(int(number)) for number in re.findall(r"^(\d+):     return", prompt, re.MULTILINE)]
    text = json.dumps([*found, one(101), one(numbers[0] - 1)])
    return Reply.generate(text, stream=False)


def test_a_file_longer_than_the_context_is_reviewed_in_parts_with_its_line_numbers(tool_server: ScriptedServer) -> None:
    tool_server.on("POST", "/api/generate", small_context)
    findings = SmartQATool.code_review_findings(LONG)
    assert [finding.line for finding in findings] == list(range(2, 100, 4))
    shown = [re.findall(r"^(\d+): (.*)", request.json()["prompt"], re.MULTILINE) for request in tool_server.requests]
    parts = [part for part in shown if len(part) <= 30]
    assert [int(number) for part in parts for number, _ in part] == list(range(1, 101))
    assert all(part[0][1].startswith("def ") for part in parts)
    # In each part two findings of lines that the model was not shown.
    assert findings.dropped == 2 * len(parts)


def test_a_review_of_a_long_file_has_a_section_for_each_part(tool_server: ScriptedServer) -> None:
    tool_server.on(
        "POST",
        "/api/generate",
        lambda request: (
            Reply.error(OVERFLOW.format(700), 400)
            if len(request.json()["prompt"].splitlines()) > 70
            else Reply.generate("Fine.", stream=False)
        ),
    )
    review = SmartQATool.code_review(LONG)
    assert re.findall(r"^## (\d+)-(\d+)\n\nFine\.", review, re.MULTILINE) in (
        [("1", "48"), ("49", "100")],
        [("1", "52"), ("53", "100")],
    )


def test_an_answer_without_room_is_asked_for_in_parts(tool_server: ScriptedServer) -> None:
    def answer(request: Request) -> Reply:
        is_long = len(request.json()["prompt"].splitlines()) > 70
        return Reply.generate("[" if is_long else "[]", stream=False, done_reason="length" if is_long else "stop")

    tool_server.on("POST", "/api/generate", answer)
    assert SmartQATool.code_review_findings(LONG) == []
    assert len(tool_server.requests) == 3


def test_an_answer_that_the_caller_has_limited_is_not_asked_for_in_parts(tool_server: ScriptedServer) -> None:
    tool_server.on("POST", "/api/generate", Reply.generate("[", stream=False, done_reason="length"))
    with pytest.raises(IncompleteError):
        SmartQATool.code_review_findings(LONG, options={"num_predict": 10})
    assert len(tool_server.requests) == 1


def test_one_line_that_is_too_long_is_an_error(tool_server: ScriptedServer) -> None:
    tool_server.on("POST", "/api/generate", Reply.error(OVERFLOW.format(9000), 400))
    with pytest.raises(ContextOverflowError):
        SmartQATool.code_review_findings("a\nb\nc\n")
    assert len(tool_server.requests) == 2


def test_an_answer_that_goes_in_circles_is_not_asked_for_again(tool_server: ScriptedServer) -> None:
    tool_server.answer("[" + '{"line": 1, "severity": "error", "text": "No."}, ' * 3000)
    with pytest.raises(IncompleteError):
        SmartQATool.code_review_findings(CODE, on_text=lambda text: None)
    assert len(tool_server.requests) == 1
