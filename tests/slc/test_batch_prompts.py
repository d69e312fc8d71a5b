"""`BatchFileTool.apply_prompt`: what the model is asked in both languages, and which of its answers are written."""

from __future__ import annotations

import asyncio
import os
import select
import sys
import threading
from pathlib import Path

import pytest

from metagpt_ollama_rs import ConfigurationError, ConnectError, UnusableAnswerError
from metagpt_ollama_rs.slc import BatchFileTool, ollama_config
from metagpt_ollama_rs.slc.files.file_answers import new_lines
from metagpt_ollama_rs.testing import Reply

from .tool_requests import generate_body

CODE_EN = """\
Change the file lib/a.py as the instruction says.

Instruction: Rename f to g.

```
def f():
    pass
```

Rules:
- Change only what the instruction asks for. If it asks for nothing in this file, repeat the file as it is.
- Write the whole file, from its first line to its last, with nothing left out.
- Answer with one code block and nothing else."""
CODE_ZH = """\
请按照说明修改文件 lib/a.py。

说明：把 f 改名为 g

```
def f():
    pass
```

要求：
- 只修改说明要求的内容；如果说明与这个文件无关，原样重复整个文件。
- 写出整个文件，从第一行到最后一行，不省略任何部分。
- 只回答一个代码块，不要写其他内容。"""
TEXT_EN = """\
Change the file README.md as the instruction says.

Instruction: Correct the spelling.

````
# Helo

```sh
ls
```
````

Rules:
- Change only what the instruction asks for. If it asks for nothing in this file, repeat the file as it is.
- Write the whole text of the file, from its first line to its last, with nothing left out.
- Answer with this text and nothing else, without a fence around it."""
TEXT_ZH = """\
请按照说明修改文件 README.md。

说明：改正错别字

````
# Helo

```sh
ls
```
````

要求：
- 只修改说明要求的内容；如果说明与这个文件无关，原样重复整个文件。
- 写出文件的全部文字，从第一行到最后一行，不省略任何部分。
- 只回答这些文字，不要写其他内容，也不要放在代码块里。"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "lib").mkdir(parents=True)
    (folder / "lib" / "a.py").write_text("def f():\n    pass\n")
    (folder / "README.md").write_text("# Helo\n\n```sh\nls\n```\n")
    return folder


@pytest.mark.parametrize(
    ("pattern", "instruction", "prompt"),
    [
        ("**/*.py", "Rename f to g.", CODE_EN),
        ("**/*.py", "把 f 改名为 g", CODE_ZH),
        ("*.md", "Correct the spelling.", TEXT_EN),
        ("*.md", "改正错别字", TEXT_ZH),
    ],
)
def test_the_request(tool_server, root, pattern, instruction, prompt):
    tool_server.answer("x = 1")
    BatchFileTool(root).apply_prompt(pattern, instruction)
    (request,) = tool_server.requests
    assert request.path == "/api/generate"
    assert request.json() == generate_body(prompt)


def test_the_language_is_that_of_the_instruction_unless_it_is_set(tool_server, root, monkeypatch):
    tool_server.answer("x = 1")
    tool = BatchFileTool(root)
    tool.apply_prompt("**/*.py", "Rename f to g.", language="zh")
    assert tool_server.last.json()["prompt"].startswith("请按照说明修改文件")
    monkeypatch.setattr(ollama_config, "language", "zh")
    tool.apply_prompt("**/*.py", "Rename f to g.")
    assert tool_server.last.json()["prompt"].startswith("请按照说明修改文件")


def test_the_options_are_sent(tool_server, root):
    tool_server.answer("x = 1")
    pieces = []
    BatchFileTool(root).apply_prompt(
        "**/*.py", "Rename f.", model="llama3.2", temperature=0.5, options={"seed": 1}, on_text=pieces.append
    )
    body = tool_server.last.json()
    assert (body["model"], body["options"], body["stream"]) == ("llama3.2", {"temperature": 0.5, "seed": 1}, True)
    assert "".join(pieces) == "x = 1"
    with pytest.raises(TypeError, match=r"apply_prompt.* has no argument 'modle'; did you mean 'model'"):
        BatchFileTool(root).apply_prompt("**/*.py", "Rename f.", modle="llama3.2")


def test_a_dry_run_shows_and_applying_writes(tool_server, root):
    tool_server.answer("Sure!\n```python\ndef g():\n    pass\n```\nI renamed it.")
    tool = BatchFileTool(root)
    text = tool.apply_prompt("**/*.py", "Rename f to g.")
    assert "-def f():\n+def g():\n     pass\n" in text
    assert "This is a dry run" in text
    assert (root / "lib" / "a.py").read_text() == "def f():\n    pass\n"
    plan = tool.plan_prompt("**/*.py", "Rename f to g.")
    asked = len(tool_server.requests)
    assert plan.apply().number == 1
    assert len(tool_server.requests) == asked
    assert (root / "lib" / "a.py").read_text() == "def g():\n    pass\n"
    tool.undo()
    tool.apply_prompt("**/*.py", "Rename f to g.", apply=True)
    assert (root / "lib" / "a.py").read_text() == "def g():\n    pass\n"


def answer_by_file(server, answers: dict[str, Reply | str]) -> None:
    """Answers each request by the file that it names."""

    def answer(request):
        prompt = request.json()["prompt"]
        reply = next(reply for name, reply in answers.items() if f" {name} " in prompt.partition("\n")[0])
        return Reply.generate(reply) if isinstance(reply, str) else reply

    server.on("POST", "/api/generate", answer)


def test_a_file_without_a_usable_answer_is_left_alone_and_named_and_the_others_are_written(tool_server, tmp_path):
    files = {
        "cut.py": Reply.generate("```python\ny = 2\n", done_reason="length"),
        "empty.py": "```python\n```",
        "error.py": Reply.error("no memory", 500),
        "good.py": "```python\nx = 2\n```",
        "nothing.md": " \n",
        "notpython.py": "```python\nx = = 2\n```",
        "same.py": "```python\nx = 1\n```",
        "skipped.py": "```python\nimport os\n# ... rest of the code remains unchanged ...\n```",
    }
    for name in files:
        (tmp_path / name).write_text("x = 1\n")
    answer_by_file(tool_server, files)
    plan = BatchFileTool(tmp_path).plan_prompt("*", "Change 1 to 2.")
    assert [change.path for change in plan.changes] == ["good.py"]
    reasons = {problem.path: problem.reason for problem in plan.problems}
    assert set(reasons) == set(files) - {"good.py", "same.py"}
    assert reasons["empty.py"] == "the model's answer is empty"
    assert "no memory" in reasons["error.py"]
    assert reasons["notpython.py"].startswith("the model's answer is not Python: line 1: ")
    assert reasons["skipped.py"] == "the model left something out: # ... rest of the code remains unchanged ..."
    text = str(plan.apply())
    assert all(f": {name}" in text for name in reasons)
    assert {path.name: path.read_text() for path in tmp_path.glob("*.*") if path.is_file()} == {
        name: "x = 2\n" if name == "good.py" else "x = 1\n" for name in files
    }


def test_when_the_model_cannot_be_asked_the_failure_comes_out(tool_server, root, monkeypatch):
    tool_server.answer("```python\n```")
    text = BatchFileTool(root).apply_prompt("**/*.py", "Change it.", apply=True)
    assert text == "Nothing is changed in 1 file.\nleft alone, the model's answer is empty: lib/a.py"
    monkeypatch.setattr(ollama_config, "base_url", "http://127.0.0.1:1")
    with pytest.raises(ConnectError):
        BatchFileTool(root).apply_prompt("**/*", "Change it.", apply=True)
    assert not (root / ".metagpt-ollama").exists()


def test_files_that_are_not_to_be_written_are_not_sent(tool_server, root):
    tool_server.answer("x = 1")
    (root / "b.bin").write_bytes(b"\0")
    (root / "c.txt").write_text("text")
    (root / "c.txt").chmod(0o400)
    text = BatchFileTool(root).apply_prompt("*.[bt]*", "Change it.")
    assert tool_server.requests == []
    assert "left alone, it is binary: b.bin" in text
    assert "left alone, it is read-only: c.txt" in text


def test_encoding_line_ends_and_final_newline_are_kept(tool_server, tmp_path):
    (tmp_path / "a.py").write_bytes("\n# 中文\r\nx = 1".encode("gbk"))
    (tmp_path / "b.txt").write_bytes("\ufeffone\r\ntwo\n\n".encode("utf-16-le"))
    answer_by_file(tool_server, {"a.py": "```python\n# 中文\ny = 2\nz = 3\n```\n", "b.txt": "one\nzwei"})
    BatchFileTool(tmp_path).apply_prompt("*", "Change it.", apply=True)
    assert (tmp_path / "a.py").read_bytes() == "\n# 中文\r\ny = 2\nz = 3".encode("gbk")
    assert (tmp_path / "b.txt").read_bytes() == "\ufeffone\r\nzwei\n\n".encode("utf-16-le")


def test_so_many_files_are_asked_about_at_once(tool_server, tmp_path):
    for number in range(6):
        (tmp_path / f"{number}.txt").write_text("text")
    lock, now, most = threading.Lock(), [0], [0]
    both = threading.Barrier(2)

    def answer(_):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        both.wait(20)
        with lock:
            now[0] -= 1
        return Reply.generate("new")

    tool_server.on("POST", "/api/generate", answer)
    BatchFileTool(tmp_path).apply_prompt("*", "Change it.", at_once=2)
    assert most == [2]
    with pytest.raises(ConfigurationError, match="at_once"):
        BatchFileTool(tmp_path).apply_prompt("*", "Change it.", at_once=0)


def test_a_terminal_shows_a_progress_bar(tool_server, root, monkeypatch):
    tool_server.answer("x = 1")
    monkeypatch.setenv("TERM", "xterm")
    reader, writer = os.openpty()
    with open(writer, "w") as terminal, open(reader, "rb", buffering=0) as screen:
        monkeypatch.setattr(sys, "stderr", terminal)
        BatchFileTool(root).apply_prompt("**/*", "Change it.")
        monkeypatch.undo()
        terminal.flush()
        shown = b""
        while select.select([screen], [], [], 0)[0]:
            shown += screen.read(4096)
    assert b"Files" in shown
    assert b"2/2" in shown


def test_it_may_be_called_in_a_running_event_loop(tool_server, root):
    tool_server.answer("x = 1")

    async def main() -> str:
        return BatchFileTool(root).apply_prompt("**/*.py", "Change it.")

    assert "+x = 1" in asyncio.run(main())


def test_an_instruction_is_needed(root):
    with pytest.raises(ConfigurationError, match="the instruction is empty"):
        BatchFileTool(root).apply_prompt("*", " ")


@pytest.mark.parametrize(
    ("path", "lines", "answer", "made"),
    [
        ("a.md", "# A\n", "# B\n", "# B\n"),
        ("a.md", "# A\n", "```markdown\n# B\n```", "# B\n"),
        ("a.md", "# A\n", "~~~~\n# B\n```\nx\n```\n~~~~\n", "# B\n```\nx\n```\n"),
        ("a.md", "```\nx\n```\n", "```\ny\n```\n", "```\ny\n```\n"),
        ("a.md", "# A\n", "# B\n\n```sh\nls\n```\n\nmore", "# B\n\n```sh\nls\n```\n\nmore\n"),
        ("a.txt", "", "new", "new\n"),
        ("a.txt", "\n\n", "new", "new\n"),
        ("a.txt", "one\n\n\n", "two", "two\n\n\n"),
        ("a.txt", "one", "two\n", "two"),
        ("a.js", "a()\n", "Here:\n```js\nb()\n```\n", "b()\n"),
        ("a.json", '{"a": 1}', '```json\n{"a": 2}\n```', '{"a": 2}'),
        ("a.yaml", "a: 1\n", "a: 2\n", "a: 2\n"),
        ("a.py", "print 1\n", "print 2\n", "print 2\n"),
        (
            "a.txt",
            "... the rest is unchanged\n",
            "one\n... the rest is unchanged\n",
            "one\n... the rest is unchanged\n",
        ),
    ],
)
def test_what_becomes_of_an_answer(path, lines, answer, made):
    assert new_lines(path, lines, answer) == made


@pytest.mark.parametrize(
    "line",
    [
        "# ... rest of the code ...",
        "// … existing code …",
        "# rest of the file unchanged",
        "<!-- ... same as before -->",
        "    # ... (remaining methods)",
        "# 其余代码保持不变",
        "// 其他代码不变",
        "/* remaining code here */",
        "# ...其余部分省略",
    ],
)
def test_an_answer_that_leaves_something_out_is_no_file(line):
    with pytest.raises(UnusableAnswerError, match="the model left something out"):
        new_lines("a.js", "a()\n", f"```js\nb()\n{line}\n```")


@pytest.mark.parametrize(
    "answer", ["I'm sorry, I can't help.", "抱歉，我无法完成这个任务。", "```js\n```", "~~~\n\n~~~"]
)
def test_an_answer_without_code_is_no_file(answer):
    with pytest.raises(UnusableAnswerError, match=r"the model's answer is (empty|no code)"):
        new_lines("a.js", "a()\n", answer)


@pytest.mark.parametrize(
    "line",
    [
        "print('...')",
        "# The rest of the arguments are names here.",
        "call(...)",
        "# see the existing tests",
        "return rest",
    ],
)
def test_an_ordinary_line_leaves_nothing_out(line):
    assert new_lines("a.js", "a()\n", f"```js\nb()\n{line}\n```") == f"b()\n{line}\n"
