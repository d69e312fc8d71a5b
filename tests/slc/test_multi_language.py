"""`MultiLanguageTool.translate_code` and `translate_comments`: requests in both languages, answers, what is refused."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from metagpt_ollama_rs.errors import ConfigurationError, IncompleteError, UnusableAnswerError
from metagpt_ollama_rs.slc import MultiLanguageTool
from metagpt_ollama_rs.testing import Reply, Request, ScriptedServer

from .tool_requests import generate_body

PYTHON = "def half(n):\n    return n / 2\n"

CODE_EN = """\
Translate the Python code below into Rust.

```
def half(n):
    return n / 2
```

Rules:
- The translation does the same. Use the standard library and the usual style of Rust.
- Write complete code, with everything that it needs to run, and leave nothing out. Keep the comments.
- Answer with one code block and nothing else."""

CODE_ZH = """\
请把下面的 Python 代码翻译成 Rust。

```
def half(n):
    return n / 2
```

要求：
- 翻译后的代码行为相同。使用 Rust 的标准库和惯用写法。
- 代码完整，包含运行所需的一切，不省略任何部分。保留注释。
- 只回答一个代码块，不要写其他内容。"""

COMMENTS_EN = """\
The JSON object below has the comments of a program. Translate each of them into Simplified Chinese.

```
{
 "1": "First line,\\nsecond line.",
 "2": "the number"
}
```

Rules:
- Answer with a JSON object that has the same keys, each with the translation, and nothing else.
- Keep the line breaks (\\n) where they are. Keep names, code, numbers, links and tags such as @param as they are.
- A comment that is in Simplified Chinese already stays as it is."""

COMMENTS_ZH = """\
下面的 JSON 对象是一个程序的注释。请把每条注释翻译成 Simplified Chinese。

```
{
 "1": "First line,\\nsecond line.",
 "2": "the number"
}
```

要求：
- 只回答一个 JSON 对象，键与原来相同，值为译文，不要写其他内容。
- 保留换行（\\n）的位置。名称、代码、数字、链接和 @param 之类的标签保持不变。
- 已经是 Simplified Chinese 的注释保持不变。"""

COMMENTED = "# First line,\n# second line.\nx = 1  # the number\n"


def asked(request: Request) -> dict[str, str]:
    """The comments that a request asks to have translated."""
    found = re.search(r"^`{3,}\n(\{.*?\n\})\n`{3,}$", request.json()["prompt"], re.MULTILINE | re.DOTALL)
    assert found
    comments: dict[str, str] = json.loads(found[1])
    return comments


def translate_with(server: ScriptedServer, translate: Any) -> None:
    """Answers every request for comments with what ``translate`` makes of each."""
    server.on(
        "POST",
        "/api/generate",
        lambda request: Reply.generate(
            json.dumps({key: translate(text) for key, text in asked(request).items()}), stream=False
        ),
    )


@pytest.mark.parametrize(("language", "prompt"), [("en", CODE_EN), ("zh", CODE_ZH)], ids=["en", "zh"])
def test_the_request_for_code(tool_server: ScriptedServer, language: str, prompt: str) -> None:
    tool_server.answer("Here:\n```rust\nfn half(n: f64) -> f64 {\n    n / 2.0\n}\n```\nDone.")
    translated = MultiLanguageTool.translate_code(PYTHON, "rust", language=language)
    assert translated == "fn half(n: f64) -> f64 {\n    n / 2.0\n}"
    assert tool_server.last.json() == generate_body(prompt)


def test_a_language_that_is_not_known_is_not_named(tool_server: ScriptedServer) -> None:
    tool_server.answer("```go\nx\n```")
    MultiLanguageTool.translate_code("frobnicate the gadget", "Go")
    assert tool_server.last.json()["prompt"].startswith("Translate the code below into Go.\n")
    MultiLanguageTool.translate_code("frobnicate the gadget", "Go", language="zh")
    assert tool_server.last.json()["prompt"].startswith("请把下面的代码翻译成 Go。\n")


@pytest.mark.parametrize(
    ("target", "name"),
    [("js", "JavaScript"), ("C++", "C++"), ("c#", "C#"), ("Golang", "Go"), ("R", "R"), ("node", "JavaScript")],
)  # fmt: skip
def test_targets_have_many_names(tool_server: ScriptedServer, target: str, name: str) -> None:
    tool_server.answer("x")
    MultiLanguageTool.translate_code(PYTHON, target, "py")
    assert tool_server.last.json()["prompt"].startswith(f"Translate the Python code below into {name}.\n")


@pytest.mark.parametrize(
    ("target", "meant"),
    [("rusty", "'rust'"), ("pythn", "'python'"), ("javascrpt", "'javascript'"), ("klingon", ""), ("", ""),
     ("text", "")],
)  # fmt: skip
def test_an_unknown_target_is_refused_with_the_nearest(tool_server: ScriptedServer, target: str, meant: str) -> None:
    with pytest.raises(ConfigurationError, match="no programming language") as caught:
        MultiLanguageTool.translate_code(PYTHON, target)
    assert meant in caught.value.message
    assert tool_server.requests == []
    assert caught.value.hint == "name one such as Rust or c++"


def test_an_unknown_source_is_refused(tool_server: ScriptedServer) -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'python'"):
        MultiLanguageTool.translate_code(PYTHON, "rust", "pyhton")


def test_code_of_the_target_language_comes_back_as_it_is(tool_server: ScriptedServer) -> None:
    assert MultiLanguageTool.translate_code(PYTHON, "Python") == PYTHON
    assert MultiLanguageTool.translate_code("whatever", "py", "python") == "whatever"
    assert tool_server.requests == []


def test_python_that_does_not_parse_is_corrected_once(tool_server: ScriptedServer) -> None:
    tool_server.on(
        "POST",
        "/api/generate",
        [
            Reply.generate("```python\nprint(1\n```", stream=False),
            Reply.generate("```python\nprint(1)\n```", stream=False),
        ],
    )
    assert MultiLanguageTool.translate_code('puts "1"', "python", "ruby") == "print(1)"
    assert len(tool_server.requests) == 2


def test_raw_is_the_whole_answer(tool_server: ScriptedServer) -> None:
    tool_server.answer("Sure:\n```python\nprint(1\n```")
    assert MultiLanguageTool.translate_code('puts "1"', "python", raw=True) == "Sure:\n```python\nprint(1\n```"


@pytest.mark.parametrize(("language", "prompt"), [("en", COMMENTS_EN), ("zh", COMMENTS_ZH)], ids=["en", "zh"])
def test_the_request_for_comments(tool_server: ScriptedServer, language: str, prompt: str) -> None:
    tool_server.answer('{"1": "第一行，\\n第二行。", "2": "数量"}')
    translated = MultiLanguageTool.translate_comments(COMMENTED, "zh", language=language)
    assert translated == "# 第一行，\n# 第二行。\nx = 1  # 数量\n"
    schema = {
        "type": "object",
        "properties": {"1": {"type": "string"}, "2": {"type": "string"}},
        "required": ["1", "2"],
        "additionalProperties": False,
    }
    assert tool_server.last.json() == generate_body(prompt, format=schema)


@pytest.mark.parametrize("target", ["zh", "Chinese", "中文", "zh-CN", "zh_Hans"])
def test_human_languages_have_many_names(tool_server: ScriptedServer, target: str) -> None:
    translate_with(tool_server, str.upper)
    assert MultiLanguageTool.translate_comments("f()  # one", target, "python") == "f()  # ONE"
    assert "into Simplified Chinese." in tool_server.last.json()["prompt"]


@pytest.mark.parametrize(
    ("target", "name"),
    [("en", "English"), ("English", "English"), ("pt-BR", "Portuguese (BR)"), ("zh-TW", "Traditional Chinese"),
     ("日语", "Japanese"), ("Deutsch", "German")],
)  # fmt: skip
def test_the_prompt_names_the_language_in_english(tool_server: ScriptedServer, target: str, name: str) -> None:
    translate_with(tool_server, str)
    MultiLanguageTool.translate_comments("f()  # one", target, "python", language="en")
    assert f"into {name}." in tool_server.last.json()["prompt"]


@pytest.mark.parametrize(
    ("target", "meant"), [("englsh", "'english'"), ("chinees", "'chinese'"), ("python", ""), ("xx-YY", ""), ("", "")]
)
def test_an_unknown_human_language_is_refused(tool_server: ScriptedServer, target: str, meant: str) -> None:
    with pytest.raises(ConfigurationError, match="no language that is known") as caught:
        MultiLanguageTool.translate_comments(COMMENTED, target)
    assert meant in caught.value.message
    assert tool_server.requests == []
    assert caught.value.hint == "name one such as German or zh"


def test_code_of_an_unknown_language_is_refused(tool_server: ScriptedServer) -> None:
    with pytest.raises(ConfigurationError, match="the programming language of the code is not known"):
        MultiLanguageTool.translate_comments("frobnicate", "en")
    assert tool_server.requests == []


@pytest.mark.parametrize("code", ["", "x = 1\n", "# noqa\nx = 1\n", "# -----\nprint(1)\n"])
def test_without_comments_nothing_is_asked(tool_server: ScriptedServer, code: str) -> None:
    assert MultiLanguageTool.translate_comments(code, "en") == code
    assert tool_server.requests == []


def test_a_byte_order_mark_stays(tool_server: ScriptedServer) -> None:
    translate_with(tool_server, str.upper)
    assert MultiLanguageTool.translate_comments('\ufeff"""one"""\r\n', "en", "python") == '\ufeff"""ONE"""\r\n'


def test_many_comments_are_translated_by_several_requests(tool_server: ScriptedServer) -> None:
    translate_with(tool_server, str.upper)
    code = "".join(f"x = {n}  # number {n}\n" for n in range(45))
    assert MultiLanguageTool.translate_comments(code, "en") == code.replace("number", "NUMBER")
    assert [len(asked(request)) for request in tool_server.requests] == [20, 20, 5]


def test_what_does_not_fit_the_context_is_translated_in_halves(tool_server: ScriptedServer) -> None:
    def answer(request: Request) -> Reply:
        comments = asked(request)
        if len(comments) > 3:
            return Reply.error("request (900 tokens) exceeds the available context size (300 tokens)", 400)
        return Reply.generate(json.dumps({key: text.upper() for key, text in comments.items()}), stream=False)

    tool_server.on("POST", "/api/generate", answer)
    code = "".join(f"x = {n}  # number {n}\n" for n in range(10))
    assert MultiLanguageTool.translate_comments(code, "en") == code.replace("number", "NUMBER")


def test_an_answer_that_was_cut_is_an_error(tool_server: ScriptedServer) -> None:
    tool_server.on("POST", "/api/generate", Reply.generate('{"1": "on', stream=False, done_reason="length"))
    with pytest.raises(IncompleteError) as caught:
        MultiLanguageTool.translate_comments("x = 1  # one\n", "en")
    assert caught.value.partial == '{"1": "on'


@pytest.mark.parametrize(
    "answer", ["Sorry, no.", '{"1": "eins"}', '["eins", "zwei"]', "```python\ny = 1\n```", '{"a": "eins", "b": "zwei"}']
)
def test_an_answer_without_the_translations_is_refused(tool_server: ScriptedServer, answer: str) -> None:
    tool_server.answer(answer)
    with pytest.raises(UnusableAnswerError) as caught:
        MultiLanguageTool.translate_comments(COMMENTED, "de")
    assert caught.value.partial == answer


def test_a_model_that_writes_the_whole_code_anew_is_understood(tool_server: ScriptedServer) -> None:
    code = "#!/usr/bin/env python\r\n# One\r\nx = 1  # two  # noqa\r\n"
    tool_server.answer("```python\n#!/usr/bin/env python\n# 一\nx = 1  # 二  # noqa\n```")
    assert MultiLanguageTool.translate_comments(code, "zh") == (
        "#!/usr/bin/env python\r\n# 一\r\nx = 1  # 二  # noqa\r\n"
    )


@pytest.mark.parametrize(
    "changed",
    [
        "# 一\nx = 2  # 二  # noqa\n",
        "# 一\nx = 1  # 二\n",
        "# 一\nx = '1'  # 二  # noqa\n",
        "# 一\nif x: x = 1  # 二  # noqa\n",
        "# 一\nx = (1  # 二  # noqa\n",
    ],
)
def test_a_model_that_changes_the_code_is_refused(tool_server: ScriptedServer, changed: str) -> None:
    tool_server.answer(f"```python\n{changed}```")
    with pytest.raises(UnusableAnswerError, match="other code"):
        MultiLanguageTool.translate_comments("# One\nx = 1  # two  # noqa\n", "zh")


@pytest.mark.parametrize(
    ("code", "language", "translation"),
    [("a; /* one */ b;", "c", "*/ evil(); /*"), ("<p>x</p><!-- one -->", "html", "--><script>evil()</script><!--"),
     ("f = {- one -} 1", "haskell", "-} 2 {-"), ("<?php // one\necho 1;", "php", "?> evil")],
)  # fmt: skip
def test_a_translation_that_ends_the_comment_is_refused(
    tool_server: ScriptedServer, code: str, language: str, translation: str
) -> None:
    tool_server.answer(json.dumps({"1": translation}))
    with pytest.raises(UnusableAnswerError, match="would change the code"):
        MultiLanguageTool.translate_comments(code, "en", language)


def test_an_unknown_option_is_refused_by_name(tool_server: ScriptedServer) -> None:
    for call in (MultiLanguageTool.translate_code, MultiLanguageTool.translate_comments):
        with pytest.raises(TypeError, match="'modle'; did you mean 'model'"):
            call("x", "nowhere", modle="llama3.2")  # type: ignore[call-arg]
