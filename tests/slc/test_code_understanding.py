"""What the tools that understand code ask in both languages, and what they make of the answers and of failures."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from metagpt_ollama_rs.errors import (
    ConfigurationError,
    ConnectError,
    IncompleteError,
    ModelNotFoundError,
    UnusableAnswerError,
)
from metagpt_ollama_rs.slc import CodeUnderstandingTool, ollama_config
from metagpt_ollama_rs.slc.prompts import PROMPTS
from metagpt_ollama_rs.testing import Reply, Request, ScriptedServer

from .tool_requests import generate_body, plant

pytest.importorskip("pathspec")
pytest.importorskip("markdown_it")

CODE = 'def area(width, height):\n    """The area of a rectangle."""\n    return width * height\n'
CHINESE = "def area(width, height):\n    # 计算矩形的面积\n    return width * height\n"


def bodies(server: ScriptedServer) -> list[dict[str, Any]]:
    return [request.json() for request in server.requests if request.path == "/api/generate"]


def prompts(server: ScriptedServer) -> list[str]:
    return [sent.get("prompt", "") for sent in bodies(server)]


def asked_of(name: str, prompt: str) -> bool:
    """Whether a prompt is that of this name, in English."""
    return prompt.startswith(PROMPTS[name]["en"].partition("$")[0])


EXPLAIN = """\
Explain the code below to a programmer who does not know it.

```
{code}```

Rules:
- Say first, in one or two sentences, what it is for. Then explain step by step how it works.
- Explain what is not plain: algorithms, data structures, special cases, side effects.
- Explain only what the code shows. Do not repeat the code."""
EXPLAIN_ZH = """\
请向不了解这段代码的程序员解释下面的代码。

```
{code}```

要求：
- 先用一两句话说明代码的用途，再逐步说明它是如何工作的。
- 解释不易看懂的地方：算法、数据结构、特殊情况、副作用。
- 只解释代码中确实有的内容，不要重复代码。"""
DOCS = """\
Write the documentation of the code below, in Markdown.

```
{code}```

Rules:
- Begin with a heading and one paragraph: what the code is for.
- Then one section for each public function and class, with its name as the heading, in backticks: what it does, its \
parameters, what it returns, which errors it raises.
- End with a short example of how it is used.
- Document only what is in the code. Answer with the Markdown and nothing else."""
DOCS_ZH = """\
请用 Markdown 为下面的代码编写文档。

```
{code}```

要求：
- 以标题和一段说明开头：代码的用途。
- 然后为每个公开的函数和类写一节，以反引号中的名称作为标题：它的作用、参数、返回值、会抛出的错误。
- 最后写一个简短的使用示例。
- 只写代码中确实有的内容。只回答 Markdown 文档，不要写其他内容。"""
SUMMARY = """\
Summarise the file {path} below for a programmer who does not know it.

```
{code}```

Rules:
- Say first, in one sentence, what the file is for. Then list its most important parts, each with one short line.
- Say only what the file shows. Do not repeat it.
- At most 150 words."""
SUMMARY_ZH = """\
请向不了解该文件的程序员总结下面的文件 {path}。

```
{code}```

要求：
- 先用一句话说明文件的用途，再列出其中最重要的部分，每个部分一行。
- 只写文件中确实有的内容，不要重复原文。
- 不超过 200 字。"""
OVERVIEW = """\
Below are summaries of the files and folders of the project {name}. Write an overview of the project for a programmer \
who does not know it.

```
{document}
```

Write these sections:
1. Purpose: what the project is for, in one or two sentences.
2. Structure: the main parts, and how they work together.
3. Technology: languages, libraries, storage, interfaces.
4. Where to begin reading, and why.
Say only what the summaries say. At most 400 words."""
OVERVIEW_ZH = """\
下面是项目 {name} 中各文件和文件夹的摘要。请为不了解该项目的程序员写一份概述。

```
{document}
```

请写以下几节：
1. 用途：用一两句话说明项目的用途。
2. 结构：主要组成部分，以及它们如何协同工作。
3. 技术：语言、库、存储、接口。
4. 从哪里开始阅读，为什么。
只写这些摘要中有的内容，不超过 500 字。"""
ENTRIES = """\
Below is the list of the files of the project {name}. By which files is the program started?

```
{document}
```

Answer with a JSON list and nothing else. Each element is an object with the keys:
- path: the path of a file, as it stands in the list;
- reason: in one sentence, why the program is started there, and how.
Name only files that a user, a server or a tool starts directly. If there are none, the list is empty."""
ENTRIES_ZH = """\
下面是项目 {name} 的文件列表。程序从哪些文件启动？

```
{document}
```

只回答一个 JSON 列表，不要写其他内容。列表的每个元素是一个对象，包含以下键：
- path：文件路径，与列表中的写法一致；
- reason：用一句话说明为什么从这里启动，以及如何启动。
只写由用户、服务器或工具直接启动的文件。如果没有，列表为空。"""


@pytest.mark.parametrize(
    ("tool", "template", "code"),
    [
        (CodeUnderstandingTool.explain_code, EXPLAIN, CODE),
        (CodeUnderstandingTool().explain_code, EXPLAIN_ZH, CHINESE),
        (CodeUnderstandingTool.generate_docs, DOCS, CODE),
        (CodeUnderstandingTool.generate_docs, DOCS_ZH, CHINESE),
    ],
)
def test_the_request_for_a_snippet(tool_server: ScriptedServer, tool: Any, template: str, code: str) -> None:
    tool_server.answer("It is a function.")
    assert tool(code) == "It is a function."
    assert [request.json() for request in tool_server.requests] == [generate_body(template.format(code=code))]


@pytest.mark.parametrize(("template", "code"), [(SUMMARY, CODE), (SUMMARY_ZH, CHINESE)])
def test_the_request_for_a_file(tool_server: ScriptedServer, tmp_path: Path, template: str, code: str) -> None:
    tool_server.answer("It computes areas.")
    path = str(plant(tmp_path, {"area.py": code}) / "area.py")
    assert CodeUnderstandingTool.summarize_file(path) == "It computes areas."
    assert [request.json() for request in tool_server.requests] == [
        generate_body(template.format(path=path, code=code))
    ]


@pytest.mark.parametrize(
    ("language", "summary", "overview", "counts"),
    [
        ("en", SUMMARY, OVERVIEW, "Files summarised: 2 of 2."),
        ("zh", SUMMARY_ZH, OVERVIEW_ZH, "已总结 2 个文件，共 2 个。"),
    ],
)
def test_the_requests_for_a_project(
    tool_server: ScriptedServer, tmp_path: Path, language: str, summary: str, overview: str, counts: str
) -> None:
    root = plant(tmp_path / "shop", {"a.py": CODE, "sub/b.py": CHINESE})
    tool_server.answer("A text.")
    result = CodeUnderstandingTool.summarize_project(root, language=language, at_once=1)
    assert result == f"A text.\n\n---\n\n{counts}"
    assert [request.json() for request in tool_server.requests] == [
        generate_body(summary.format(path="a.py", code=CODE)),
        generate_body(summary.format(path="sub/b.py", code=CHINESE)),
        generate_body(overview.format(name="shop", document="a.py:\nA text.\n\nsub/b.py:\nA text.")),
    ]


@pytest.mark.parametrize(
    ("files", "language"),
    [
        ({"a.py": CHINESE, "b.py": CHINESE, "c.py": CODE}, "zh"),
        ({"a.py": CHINESE, "b.py": CODE, "c.py": CODE}, "en"),
        ({"README.md": "# Areas\n\nIt computes the areas of rectangles.", "a.py": CHINESE}, "en"),
        ({"README.md": "# 面积\n\n计算矩形的面积。", "a.py": CODE, "b.py": CODE}, "zh"),
    ],
)
def test_a_project_has_one_language(
    tool_server: ScriptedServer, tmp_path: Path, files: dict[str, str], language: str
) -> None:
    tool_server.answer("A text.")
    CodeUnderstandingTool.summarize_project(plant(tmp_path, files))
    start = PROMPTS["summarize_file"][language].partition("$")[0]
    assert all(prompt.startswith(start) for prompt in prompts(tool_server)[:-1])


def project_of(root: Path, count: int) -> Path:
    return plant(root, {f"part{number // 20}/file{number:03}.py": f"VALUE = {number}\n" for number in range(count)})


def test_a_project_of_200_files_is_asked_for_four_at_a_time(tool_server: ScriptedServer, tmp_path: Path) -> None:
    root = project_of(tmp_path / "big", 200)
    plant(root, {"logo.png": b"\0\1", "node_modules/x/index.js": "x", ".gitignore": "*.log\n", "a.log": "x"})
    lock, all_four = threading.Lock(), threading.Event()
    running, most = 0, 0

    def reply(request: Request) -> Reply:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if running == 4:
                all_four.set()
        # The bound is used up, too: the first ones wait for the fourth.
        assert all_four.wait(20)
        with lock:
            running -= 1
        return Reply.generate("Short.", stream=False)

    tool_server.on("POST", "/api/show", Reply.json({"model_info": {"x.context_length": 32768}, "parameters": ""}))
    tool_server.on("GET", "/api/ps", Reply.json({"models": [{"name": "qwen2.5:7b", "context_length": 32768}]}))
    tool_server.on("POST", "/api/generate", reply)
    result = CodeUnderstandingTool.summarize_project(root, model="qwen2.5:7b")
    assert most == 4
    sent = prompts(tool_server)
    assert len(sent) == 201
    assert sorted(sent[:-1]) == sorted(
        SUMMARY.format(path=f"part{number // 20}/file{number:03}.py", code=f"VALUE = {number}\n")
        for number in range(200)
    )
    assert result.startswith("Short.\n\n---\n\nFiles summarised: 200 of 200.\nLeft out: ")
    assert "1 hidden (.gitignore); 1 ignored by .gitignore (a.log); 1 installed libraries (node_modules/)" in result
    assert all(sent.get("options") == {"temperature": 0.1} for sent in bodies(tool_server))


def test_a_file_that_fails_is_named_and_the_others_count(tool_server: ScriptedServer, tmp_path: Path) -> None:
    def reply(request: Request) -> Reply:
        prompt = request.json()["prompt"]
        return (
            Reply.error("model runner has crashed", 418)
            if "VALUE = 1\n" in prompt
            else Reply.generate("Fine.", stream=False)
        )

    tool_server.on("POST", "/api/generate", reply)
    result = CodeUnderstandingTool.summarize_project(project_of(tmp_path, 3))
    assert result.startswith("Fine.\n\n---\n\nFiles summarised: 2 of 3.\nNot summarised:\n- part0/file001.py: ")
    assert "model runner has crashed" in result
    assert "file001" not in prompts(tool_server)[-1]


def test_an_overview_that_fails_leaves_the_summaries(tool_server: ScriptedServer, tmp_path: Path) -> None:
    def reply(request: Request) -> Reply:
        is_last = asked_of("summarize_project", request.json()["prompt"])
        return Reply.error("no", 418) if is_last else Reply.generate("Fine.", stream=False)

    tool_server.on("POST", "/api/generate", reply)
    result = CodeUnderstandingTool.summarize_project(project_of(tmp_path, 2))
    assert result.startswith("The overview could not be written (The server answered 418")
    assert "part0/file000.py:\nFine.\n\npart0/file001.py:\nFine." in result


def test_the_error_comes_out_if_all_fail(tool_server: ScriptedServer, tmp_path: Path) -> None:
    root = project_of(tmp_path, 40)
    tool_server.on("POST", "/api/generate", Reply.error("model 'qwen2.5:7b' not found", 404))
    with pytest.raises(ModelNotFoundError):
        CodeUnderstandingTool.summarize_project(root)
    assert len(bodies(tool_server)) < 10
    tool_server.on("POST", "/api/generate", Reply.error("broken", 418))
    with pytest.raises(Exception, match="broken"):
        CodeUnderstandingTool.summarize_project(root)


def test_a_server_that_is_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ollama_config, "base_url", "http://127.0.0.1:1")
    with pytest.raises(ConnectError):
        CodeUnderstandingTool.summarize_project(project_of(tmp_path, 30))


def test_a_project_without_a_text_is_an_error_that_says_what_was_left_out(tmp_path: Path) -> None:
    plant(tmp_path, {"logo.png": b"\0", ".env": "KEY=1"})
    with pytest.raises(ConfigurationError, match="has no text files") as caught:
        CodeUnderstandingTool.summarize_project(tmp_path)
    assert caught.value.hint == "Left out: 1 hidden (.env); 1 binary (logo.png)"


def test_empty_files_cost_no_request(tool_server: ScriptedServer, tmp_path: Path) -> None:
    tool_server.answer("A text.")
    result = CodeUnderstandingTool.summarize_project(plant(tmp_path, {"__init__.py": "", "a.py": CODE}))
    assert result == "A text.\n\n---\n\nFiles summarised: 1 of 1."
    assert len(prompts(tool_server)) == 2
    assert CodeUnderstandingTool.summarize_file(tmp_path / "__init__.py") == "(empty)"


def test_a_guessed_encoding_is_said(tool_server: ScriptedServer, tmp_path: Path) -> None:
    tool_server.answer("一个文件。")
    plant(tmp_path, {"a.txt": "读取配置文件，然后启动服务。\n".encode("gbk"), "b.txt": "读取配置文件。\n".encode()})
    result = CodeUnderstandingTool.summarize_project(tmp_path)
    assert result == "一个文件。\n\n---\n\n已总结 2 个文件，共 2 个。\n以猜测的编码读取：a.txt (gbk)。"
    assert "读取配置文件，然后启动服务。" in prompts(tool_server)[0]
    assert CodeUnderstandingTool.summarize_file(tmp_path / "a.txt").endswith("(gbk)。")


def test_a_file_that_is_no_text_or_not_there_is_an_error_before_the_model_is_asked(tmp_path: Path) -> None:
    plant(tmp_path, {"x.png": b"\x89PNG\0"})
    with pytest.raises(ConfigurationError, match="is no text file"):
        CodeUnderstandingTool.summarize_file(tmp_path / "x.png")
    with pytest.raises(FileNotFoundError):
        CodeUnderstandingTool.summarize_file(tmp_path / "none.py")


@pytest.mark.parametrize(
    "call",
    [
        lambda path: CodeUnderstandingTool.explain_code("a", modle="x"),
        lambda path: CodeUnderstandingTool.summarize_file(path / "a", modle="x"),
        lambda path: CodeUnderstandingTool.summarize_project(path, modle="x"),
        lambda path: CodeUnderstandingTool.find_entry_points(path, modle="x"),
        lambda path: CodeUnderstandingTool.generate_docs("a", modle="x"),
    ],
)
def test_an_option_that_there_is_not_is_refused_by_name(tmp_path: Path, call: Any) -> None:
    with pytest.raises(TypeError, match="has no argument 'modle'; did you mean 'model'"):
        call(tmp_path)


def test_the_last_answer_is_told_piece_by_piece(tool_server: ScriptedServer, tmp_path: Path) -> None:
    tool_server.answer("The last words")
    pieces: list[str] = []
    result = CodeUnderstandingTool.summarize_project(project_of(tmp_path, 3), on_text=pieces.append)
    assert "".join(pieces) == "The last words"
    assert result.startswith("The last words")
    assert [sent.get("stream") for sent in bodies(tool_server)] == [False, False, False, True]


# What a server of a small context does. A token is four characters, as a rule that everybody understands.
class SmallServer:
    def __init__(self, server: ScriptedServer, size: int, *, tells: bool = True, summary: str = "Short.") -> None:
        self.size, self.summary = size, summary
        self.sent: list[str] = []
        self.fails = ""
        info = {"model_info": {"x.context_length": 131072}, "parameters": f"num_ctx {size}" if tells else ""}
        server.on("POST", "/api/show", Reply.json(info))
        server.on("GET", "/api/ps", Reply.json({"models": []}))
        server.on("POST", "/api/generate", self.reply)

    def reply(self, request: Request) -> Reply:
        sent = request.json()
        assert "num_ctx" not in sent["options"]
        if "prompt" not in sent:
            return Reply.json({"model": "m", "response": "", "done": True, "done_reason": "load"})
        tokens = len(sent["prompt"]) // 4
        if tokens > self.size:
            text = f"request ({tokens} tokens) exceeds the available context size ({self.size} tokens)"
            return Reply.error(text, 400)
        if self.fails and self.fails in sent["prompt"]:
            return Reply.error("a failure", 418)
        self.sent.append(sent["prompt"])
        return Reply.generate(self.summary, stream=False)


def long_module(functions: int) -> str:
    return "".join(
        f"def function_{number}(value):\n    # The step {number}.\n    return value + {number}\n\n\n"
        for number in range(functions)
    )


def test_a_file_that_outgrows_the_context_is_summarised_in_pieces_at_its_borders(
    tool_server: ScriptedServer, tmp_path: Path
) -> None:
    small = SmallServer(tool_server, 2048)
    text = long_module(200)
    plant(tmp_path, {"long.py": text})
    assert CodeUnderstandingTool.summarize_file(tmp_path / "long.py", model="pieces") == "Short."
    pieces = [prompt for prompt in small.sent if asked_of("summarize_part", prompt)]
    assert len(pieces) > 2
    codes = [piece.partition("```\n")[2].partition("```\n")[0] for piece in pieces]
    starts = sorted(codes, key=text.index)
    assert "".join(starts) == text
    assert all(code.startswith("def function_") for code in codes)
    # Of each piece it says which lines it has.
    assert any("lines 1-" in piece for piece in pieces)
    assert asked_of("join_summaries", small.sent[-1])
    assert small.sent[-1].count("Short.") == len(pieces)
    assert len(small.sent) == len(pieces) + 1


def test_a_refusal_teaches_how_long_a_prompt_may_be(tool_server: ScriptedServer, tmp_path: Path) -> None:
    """The server has a smaller context than it tells, as with a GPU that is short of memory."""
    small = SmallServer(tool_server, 700, tells=False)
    plant(tmp_path, {"long.py": long_module(100)})
    assert CodeUnderstandingTool.summarize_file(tmp_path / "long.py", model="refuses", at_once=1) == "Short."
    assert len(small.sent) > 3
    assert asked_of("join_summaries", small.sent[-1])


def test_a_piece_that_fails_is_named_and_the_others_count(tool_server: ScriptedServer, tmp_path: Path) -> None:
    small = SmallServer(tool_server, 2048)
    small.fails = "def function_199("
    plant(tmp_path, {"long.py": long_module(200)})
    result = CodeUnderstandingTool.summarize_file(tmp_path / "long.py", model="fails")
    assert result.startswith("Short.\n\n---\n\nNot summarised:\n- lines ")
    assert "a failure" in result
    small.fails = "def function_"
    with pytest.raises(Exception, match="a failure"):
        CodeUnderstandingTool.summarize_file(tmp_path / "long.py", model="fails")


def test_a_project_that_outgrows_the_context_is_joined_folder_by_folder(
    tool_server: ScriptedServer, tmp_path: Path
) -> None:
    small = SmallServer(tool_server, 2048, summary="It does one thing, and that well. " * 4)
    root = project_of(tmp_path / "big", 120)
    plant(root, {"main.py": "print(1)\n"})
    CodeUnderstandingTool.summarize_project(root, model="folders")
    folders = [prompt for prompt in small.sent if asked_of("summarize_folder", prompt)]
    assert sorted({prompt.split()[9] for prompt in folders}) == [f"part{number}/" for number in range(6)]
    assert all(f"file{number:03}.py" in "".join(small.sent) for number in range(120))
    last = small.sent[-1]
    assert asked_of("summarize_project", last)
    assert "main.py:\n" in last
    assert "part5/:\n" in last


def test_many_files_in_one_folder_are_joined_in_groups(tool_server: ScriptedServer, tmp_path: Path) -> None:
    small = SmallServer(tool_server, 2048, summary="It does one thing, and that well. " * 20)
    root = plant(tmp_path, {f"file{number:03}.py": f"VALUE = {number}\n" for number in range(60)})
    CodeUnderstandingTool.summarize_project(root, model="groups")
    assert len([prompt for prompt in small.sent if asked_of("merge_summaries", prompt)]) >= 10
    assert asked_of("summarize_project", small.sent[-1])


def test_the_size_of_the_context_is_asked_of_the_loaded_model(tool_server: ScriptedServer, tmp_path: Path) -> None:
    tool_server.answer("Short.")
    tool_server.on("POST", "/api/show", Reply.json({"model_info": {"x.context_length": 131072}, "parameters": ""}))
    loaded: list[dict[str, Any]] = []

    def load(request: Request) -> Reply:
        if "prompt" not in request.json():
            loaded.append({"name": "loads:latest", "context_length": 65536})
        return Reply.generate("Short.", stream=False)

    tool_server.on("POST", "/api/generate", load)
    tool_server.on("GET", "/api/ps", lambda request: Reply.json({"models": loaded}))
    plant(tmp_path, {"long.py": long_module(400)})
    assert CodeUnderstandingTool.summarize_file(tmp_path / "long.py", model="loads") == "Short."
    assert bodies(tool_server)[0] == {"model": "loads", "stream": False, "options": {}}
    assert [asked_of("summarize_file", prompt) for prompt in prompts(tool_server)[1:]] == [True]


def test_a_context_that_is_too_small_for_any_summary_is_an_error(tool_server: ScriptedServer, tmp_path: Path) -> None:
    SmallServer(tool_server, 150)
    plant(tmp_path, {"long.py": long_module(100)})
    with pytest.raises(ConfigurationError, match="too small for summaries"):
        CodeUnderstandingTool.summarize_file(tmp_path / "long.py", model="tiny")


def test_a_summary_that_was_cut_is_no_summary(tool_server: ScriptedServer, tmp_path: Path) -> None:
    tool_server.on("POST", "/api/generate", Reply.generate("Half of", stream=False, done_reason="length"))
    with pytest.raises(IncompleteError):
        CodeUnderstandingTool.summarize_file(plant(tmp_path, {"a.py": CODE}) / "a.py")


MARKDOWN = """# Areas

Computes areas.

## `area(width, height)`

Multiplies `width` by `height`. Raises `ValueError`. Call `area(1, 2)`, or `perimeter(1, 2)`.

## `Rectangle.grow()`

Grows.

```python
from shapes import invented
invented()
```
"""


def test_names_that_the_code_does_not_have_are_said(tool_server: ScriptedServer) -> None:
    tool_server.answer(f"```markdown\n{MARKDOWN.replace('```python', '    x').replace('```', '')}```")
    result = CodeUnderstandingTool.generate_docs(CODE)
    assert result.startswith("# Areas\n")
    note = "Note: the code does not have these names, which the text documents: `perimeter`, `Rectangle.grow`."
    assert result.endswith(f"\n\n---\n\n{note}")
    tool_server.answer(MARKDOWN)
    assert CodeUnderstandingTool.generate_docs(CODE, language="zh").endswith("`perimeter`, `Rectangle.grow`。")


def test_documentation_of_another_language_is_not_checked(tool_server: ScriptedServer) -> None:
    tool_server.answer(MARKDOWN)
    assert CodeUnderstandingTool.generate_docs("fn area(w: u32) -> u32 { w * w }") == MARKDOWN.strip()


@pytest.mark.parametrize(
    ("readme", "template", "line", "none"),
    [
        ("It computes the areas of squares.", ENTRIES, "No entry point was found by", "No entry point was found."),
        ("计算矩形的面积。", ENTRIES_ZH, "未能通过语法找到入口点。", "没有找到入口点。"),
    ],
)
def test_the_model_is_asked_for_entry_points_only_where_syntax_finds_none(
    tool_server: ScriptedServer, tmp_path: Path, readme: str, template: str, line: str, none: str
) -> None:
    root = plant(tmp_path / "areas", {"README.md": readme, "src/start.lua": "print(1)", "lib.lua": ""})
    tool_server.answer(
        '[{"path": "src/start.lua", "reason": "It prints\\n1."}, {"path": "src/none.lua", "reason": "Invented."}]'
    )
    result = CodeUnderstandingTool.find_entry_points(root)
    assert result.startswith(line)
    assert result.endswith("\nsrc/start.lua: It prints 1.")
    (sent,) = bodies(tool_server)
    assert sent.pop("format")["type"] == "array"
    assert sent == generate_body(template.format(name="areas", document="README.md\nlib.lua\nsrc/start.lua"))
    tool_server.answer("[]")
    assert CodeUnderstandingTool.find_entry_points(root) == none
    tool_server.answer("I do not know.")
    with pytest.raises(UnusableAnswerError):
        CodeUnderstandingTool.find_entry_points(root)
    plant(root, {"main.py": "if __name__ == '__main__':\n    print(1)\n"})
    before = len(tool_server.requests)
    assert CodeUnderstandingTool.find_entry_points(root) == "main.py:1: main guard: main (python main.py)"
    assert len(tool_server.requests) == before


def test_it_runs_inside_a_running_loop(tool_server: ScriptedServer, tmp_path: Path) -> None:
    import asyncio

    tool_server.answer("A text.")
    root = project_of(tmp_path, 3)

    async def role() -> str:
        return CodeUnderstandingTool.summarize_project(root)

    assert asyncio.run(role()).startswith("A text.")
    assert "slc" not in [thread.name for thread in threading.enumerate()]
