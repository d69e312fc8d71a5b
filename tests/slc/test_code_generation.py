"""What the tools that write code, and `smart_qa`, ask in both languages, and what they make of the answers."""

from __future__ import annotations

import logging
import sys

import pytest

from metagpt_ollama_rs import IncompleteError, ServerError
from metagpt_ollama_rs.slc import CodeGenerationTool, SmartQATool, ollama_config
from metagpt_ollama_rs.testing import Reply

from .tool_requests import generate_body

ADD = "def add(a, b):\n    return a + b"

# The call, and the prompt that it sends.
PROMPTS = [
    (
        lambda **options: CodeGenerationTool.generate_code("Print the sum of a list.", **options),
        """\
Write a program that meets this requirement:

Print the sum of a list.

Rules:
- Use the programming language that the requirement names; if it names none, use Python.
- Write complete code that runs as it is: all imports, no placeholders, no omitted parts.
- Handle errors where they can happen. Comment only what is not plain from the code.
- Answer with one code block and nothing else.""",
    ),
    (
        lambda **options: CodeGenerationTool.generate_code("打印列表的和。", **options),
        """\
请编写满足以下需求的代码：

打印列表的和。

要求：
- 使用需求中指定的编程语言；没有指定时使用 Python。
- 代码完整、可直接运行：包含所有导入，没有占位符，不省略任何部分。
- 处理可能发生的错误；只为不易看懂的地方写注释。
- 只回答一个代码块，不要写其他内容。""",
    ),
    (
        lambda **options: CodeGenerationTool.refactor_code(ADD, "Rename the function to total.", **options),
        f"""\
Change the code below as the instruction says.

Instruction: Rename the function to total.

```
{ADD}
```

Rules:
- Keep the behaviour and the public names, except where the instruction asks for something else.
- Keep the programming language. Write the whole changed code, with nothing left out.
- Answer with one code block and nothing else.""",
    ),
    (
        lambda **options: CodeGenerationTool.refactor_code(ADD, "把函数改名为 total。", **options),
        f"""\
请按照说明修改下面的代码。

说明：把函数改名为 total。

```
{ADD}
```

要求：
- 除非说明另有要求，保持原有行为和公开的名称不变。
- 保持编程语言不变。写出修改后的全部代码，不省略任何部分。
- 只回答一个代码块，不要写其他内容。""",
    ),
    (
        lambda **options: CodeGenerationTool.generate_tests(ADD, **options),
        f"""\
Write unit tests for the code below.

```
{ADD}
```

Rules:
- Use pytest if the code is Python, otherwise the usual test framework of its language.
- Test the normal cases, the edge cases and the errors. One test function tests one thing; its name says which.
- Import what is tested as from a module; do not copy the code into the tests.
- Answer with one code block and nothing else.""",
    ),
    (
        lambda **options: CodeGenerationTool.generate_tests(f"# 计算两个数的和\n{ADD}", **options),
        f"""\
请为下面的代码编写单元测试。

```
# 计算两个数的和
{ADD}
```

要求：
- 如果是 Python 代码，使用 pytest；否则使用该语言常用的测试框架。
- 测试正常情况、边界情况和错误情况。每个测试函数只测试一件事，函数名说明测试的内容。
- 把被测代码当作模块导入，不要把它复制到测试中。
- 只回答一个代码块，不要写其他内容。""",
    ),
    (
        lambda **options: SmartQATool.smart_qa("What is a monad?", **options),
        "Answer the question below, briefly and precisely. If you do not know the answer, say so.\n\nWhat is a monad?",
    ),
    (
        lambda **options: SmartQATool.smart_qa("什么是单子？", **options),
        "请准确、简洁地回答下面的问题。如果不知道答案，请直接说明。\n\n什么是单子？",
    ),
]


@pytest.mark.parametrize(("call", "prompt"), PROMPTS)
def test_a_tool_sends_this_body_and_no_other(tool_server, call, prompt):
    tool_server.answer("```python\nprint(1)\n```")
    call()
    assert [request.json() for request in tool_server.requests] == [generate_body(prompt)]
    assert tool_server.last.path == "/api/generate"


@pytest.mark.parametrize(("call", "prompt"), PROMPTS)
def test_what_a_call_says_wins_over_the_configuration(tool_server, monkeypatch, call, prompt):
    monkeypatch.setattr(ollama_config, "temperature", 0.7)
    monkeypatch.setattr(ollama_config, "context_length", 8192)
    tool_server.answer("```python\nprint(1)\n```")
    texts: list[str] = []
    call(model="llama3.2", temperature=0, timeout=30, options={"seed": 1, "num_predict": 99}, on_text=texts.append)
    options = {"temperature": 0, "num_ctx": 8192, "seed": 1, "num_predict": 99}
    assert [request.json() for request in tool_server.requests] == [
        generate_body(prompt, model="llama3.2", options=options, stream=True)
    ]
    assert "".join(texts) == "```python\nprint(1)\n```"


def test_the_question_has_the_configured_temperature_and_code_has_its_own(tool_server, monkeypatch):
    monkeypatch.setattr(ollama_config, "temperature", 0.7)
    tool_server.answer("1")
    SmartQATool().smart_qa("Why?")
    assert tool_server.last.json()["options"] == {"temperature": 0.7}
    CodeGenerationTool().generate_code("Print 1.")
    assert tool_server.last.json()["options"] == {"temperature": 0.1}


def test_the_language_can_be_chosen(tool_server, monkeypatch):
    tool_server.answer("1")
    SmartQATool.smart_qa("Why?", language="zh")
    assert tool_server.last.json()["prompt"].startswith("请")
    monkeypatch.setattr(ollama_config, "language", "en")
    SmartQATool.smart_qa("为什么？")
    assert tool_server.last.json()["prompt"].startswith("Answer")
    with pytest.raises(ValueError, match="language must be zh or en, and is 'fr'"):
        SmartQATool.smart_qa("Pourquoi ?", language="fr")


@pytest.mark.parametrize("code", ["{x}", "{0}", "$requirement $$", "```\nx\n```", "`````", "%s {{}} \\1"])
def test_whatever_stands_in_code_arrives_as_it_is(tool_server, code):
    tool_server.answer("1")
    CodeGenerationTool.refactor_code(code, f"Say {code}.")
    prompt = tool_server.last.json()["prompt"]
    assert f"Instruction: Say {code}." in prompt
    fence = prompt.split(f"Say {code}.\n\n")[1].split("\n")[0]
    assert f"\n\n{fence}\n{code}\n{fence}\n\nRules:" in prompt
    assert fence not in code


def test_the_code_alone_comes_back_and_raw_the_whole_answer(tool_server):
    answer = f"Here it is:\n\n```python\n{ADD}\n```\n\nIt adds."
    tool_server.answer(answer)
    for call in (
        lambda **raw: CodeGenerationTool.generate_code("Add.", **raw),
        lambda **raw: CodeGenerationTool.refactor_code("x = 1", "Add.", **raw),
        lambda **raw: CodeGenerationTool.generate_tests("x = 1", **raw),
    ):
        assert call() == ADD
        assert call(raw=True) == answer


def test_python_that_does_not_parse_is_corrected_once(tool_server):
    tool_server.queue(
        Reply.generate("```python\nprint(1))\n```", stream=False), Reply.generate(f"```\n{ADD}\n```", stream=False)
    )
    assert CodeGenerationTool.generate_code("Add.") == ADD
    _, second = (request.json() for request in tool_server.requests)
    assert second == generate_body(
        """\
The Python code below does not parse:

line 1: unmatched ')', in: print(1))

```
print(1))
```

Correct the mistake and change nothing else. Answer with one code block that holds the whole corrected code."""
    )


def test_the_correction_is_asked_for_in_chinese(tool_server):
    tool_server.queue(Reply.generate("```python\nprint(1))\n```", stream=False), Reply.generate(ADD, stream=False))
    assert CodeGenerationTool.generate_code("求和。") == ADD
    assert tool_server.last.json() == generate_body(
        """\
下面的 Python 代码有语法错误：

line 1: unmatched ')', in: print(1))

```
print(1))
```

请改正这个错误，其他内容保持不变。只回答一个代码块，包含改正后的全部代码，不要写其他内容。"""
    )


def test_the_correction_is_asked_for_in_the_language_and_with_the_options_of_the_call(tool_server):
    texts: list[str] = []
    tool_server.queue(Reply.generate("```python\nprint(1))\n```"), Reply.generate(f"```\n{ADD}\n```", stream=False))
    assert CodeGenerationTool.generate_code("求和", language="zh", model="m", on_text=texts.append) == ADD
    _, second = (request.json() for request in tool_server.requests)
    assert second["model"] == "m"
    assert second["prompt"].startswith("下面的 Python 代码有语法错误")
    assert "".join(texts) == "```python\nprint(1))\n```"


def test_code_that_stays_broken_comes_back_with_a_warning(tool_server, caplog):
    tool_server.answer("```python\nprint(1))\n```")
    with caplog.at_level(logging.WARNING):
        assert CodeGenerationTool.generate_code("Add.") == "print(1))"
    assert len(tool_server.requests) == 2
    assert "the code does not parse (line 1: unmatched ')'" in caplog.text


def test_a_word_of_regret_is_no_corrected_program(tool_server, caplog):
    broken = "def add(a, b):\n    return a + b\n\nprint(add(1, 2)))"
    tool_server.queue(Reply.generate(f"```python\n{broken}\n```", stream=False), Reply.generate("Sorry", stream=False))
    assert CodeGenerationTool.generate_code("Add.") == broken
    assert "most of it is missing" in caplog.text


def test_code_is_not_lost_where_the_correction_fails(tool_server, caplog):
    tool_server.queue(Reply.generate("```python\nprint(1))\n```", stream=False), Reply.error("no memory", 500))
    assert CodeGenerationTool.generate_code("Add.") == "print(1))"
    assert "the model could not be asked to correct it: The server answered 500" in caplog.text


@pytest.mark.parametrize(
    "answer", ["```go\nfunc main( {\n```", "```\nfunc main( {\n```", "I cannot (do that.", "```bash\nls (\n```"]
)
def test_what_is_no_python_is_not_checked(tool_server, answer):
    tool_server.answer(answer)
    CodeGenerationTool.generate_code("A program in Go.")
    assert len(tool_server.requests) == 1


def test_an_answer_without_a_language_is_python_where_the_code_was(tool_server):
    tool_server.queue(Reply.generate("```\nx = (\n```", stream=False), Reply.generate("```\nx = 1\n```", stream=False))
    assert CodeGenerationTool.refactor_code("x = 2", "Make it 1.") == "x = 1"
    tool_server.forget_requests()
    tool_server.queue(Reply.generate("```\nlet x = (\n```", stream=False))
    assert CodeGenerationTool.refactor_code("let x = 2;", "Make it 1.") == "let x = ("
    assert len(tool_server.requests) == 1


def test_an_answer_that_was_cut_is_an_error_with_what_there_is(tool_server):
    tool_server.queue(
        Reply.generate("```python\nprint(1", stream=False, done_reason="length", counts={"eval_count": 2})
    )
    with pytest.raises(IncompleteError, match="cut at its token limit") as caught:
        CodeGenerationTool.generate_code("Print.", options={"num_predict": 2})
    assert caught.value.partial == "```python\nprint(1"
    assert "raise num_predict in options" in caught.value.hint


def test_an_error_of_the_server_is_no_code(tool_server):
    tool_server.on("POST", "/api/generate", Reply.error("no memory", 500))
    with pytest.raises(ServerError, match="no memory"):
        CodeGenerationTool.generate_code("Print.")


@pytest.mark.parametrize("call", [lambda: CodeGenerationTool.generate_code(1), lambda: SmartQATool.smart_qa(None)])
def test_what_is_no_text_is_refused(tool_server, call):
    with pytest.raises(
        ValueError, match=r"(requirement of generate_code|question of smart_qa) is a (int|NoneType), not a text"
    ):
        call()
    assert tool_server.requests == []


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: CodeGenerationTool.generate_code(" \n"), "requirement of generate_code"),
        (lambda: CodeGenerationTool.refactor_code("", ""), "code and instruction of refactor_code"),
        (lambda: SmartQATool.smart_qa(""), "question of smart_qa"),
    ],
)
def test_what_is_empty_is_refused(tool_server, call, named):
    with pytest.raises(ValueError, match=f"{named} must not be empty"):
        call()
    assert tool_server.requests == []


def test_a_missing_library_is_told_before_the_model_is_asked(tool_server, monkeypatch):
    monkeypatch.setitem(sys.modules, "markdown_it", None)
    tool_server.answer("```python\nprint(1)\n```")
    with pytest.raises(ImportError, match=r"(?s)markdown_it, which is not installed.*metagpt-ollama-rs\[slc\]"):
        CodeGenerationTool.generate_code("Print.")
    assert tool_server.requests == []
    assert CodeGenerationTool.generate_code("Print.", raw=True) == "```python\nprint(1)\n```"


def test_an_option_that_there_is_not_is_named(tool_server):
    with pytest.raises(TypeError, match=r"generate_code\(\) has no argument 'modell'; did you mean 'model'\?"):
        CodeGenerationTool.generate_code("Print.", modell="m")
    assert tool_server.requests == []
