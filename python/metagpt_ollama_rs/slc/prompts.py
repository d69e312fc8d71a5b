"""Every prompt of the tools, in Chinese and English: one table, and the function that fills a prompt in.

    PROMPTS["explain_code"]["en"]    "Explain … $code"
    PROMPTS["explain_code"]["zh"]    "解释 … $code"

A field is written ``$name``, a dollar sign ``$$``; braces mean nothing. Both languages of a prompt have the same
fields. Those of `CODE_FIELDS` hold code or other text that is to be worked on, and are put into a fence; the others are
what the user said, by which the language is chosen. The prompts are short, because small models (7b) follow few rules
well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metagpt_ollama_rs.slc.prompt_language import PromptLanguage

__all__ = ["CODE_FIELDS", "PROMPTS", "fenced", "render_prompt"]

# The fields whose text is put into a fence.
CODE_FIELDS = frozenset({"code", "document", "answer"})

PROMPTS: Mapping[str, Mapping[PromptLanguage, str]] = {
    # --- CodeGenerationTool ---
    "generate_code": {
        "en": """\
Write a program that meets this requirement:

$requirement

Rules:
- Use the programming language that the requirement names; if it names none, use Python.
- Write complete code that runs as it is: all imports, no placeholders, no omitted parts.
- Handle errors where they can happen. Comment only what is not plain from the code.
- Answer with one code block and nothing else.""",
        "zh": """\
请编写满足以下需求的代码：

$requirement

要求：
- 使用需求中指定的编程语言；没有指定时使用 Python。
- 代码完整、可直接运行：包含所有导入，没有占位符，不省略任何部分。
- 处理可能发生的错误；只为不易看懂的地方写注释。
- 只回答一个代码块，不要写其他内容。""",
    },
    "refactor_code": {
        "en": """\
Change the code below as the instruction says.

Instruction: $instruction

$code

Rules:
- Keep the behaviour and the public names, except where the instruction asks for something else.
- Keep the programming language. Write the whole changed code, with nothing left out.
- Answer with one code block and nothing else.""",
        "zh": """\
请按照说明修改下面的代码。

说明：$instruction

$code

要求：
- 除非说明另有要求，保持原有行为和公开的名称不变。
- 保持编程语言不变。写出修改后的全部代码，不省略任何部分。
- 只回答一个代码块，不要写其他内容。""",
    },
    "generate_tests": {
        "en": """\
Write unit tests for the code below.

$code

Rules:
- Use pytest if the code is Python, otherwise the usual test framework of its language.
- Test the normal cases, the edge cases and the errors. One test function tests one thing; its name says which.
- Import what is tested as from a module; do not copy the code into the tests.
- Answer with one code block and nothing else.""",
        "zh": """\
请为下面的代码编写单元测试。

$code

要求：
- 如果是 Python 代码，使用 pytest；否则使用该语言常用的测试框架。
- 测试正常情况、边界情况和错误情况。每个测试函数只测试一件事，函数名说明测试的内容。
- 把被测代码当作模块导入，不要把它复制到测试中。
- 只回答一个代码块，不要写其他内容。""",
    },
    "repair_python": {
        "en": """\
The Python code below does not parse:

$error

$code

Correct the mistake and change nothing else. Answer with one code block that holds the whole corrected code.""",
        "zh": """\
下面的 Python 代码有语法错误：

$error

$code

请改正这个错误，其他内容保持不变。只回答一个代码块，包含改正后的全部代码，不要写其他内容。""",
    },
    # --- SmartQATool ---
    "smart_qa": {
        "en": "Answer the question below, briefly and precisely. If you do not know the answer, say so.\n\n$question",
        "zh": "请准确、简洁地回答下面的问题。如果不知道答案，请直接说明。\n\n$question",
    },
    "code_review": {
        "en": """\
Review the code below.

$code

Look for bugs, security problems, unhandled errors, wasted time or memory, and what makes the code hard to read or \
maintain.

Rules:
- The worst problems first. Say of each where it is, why it is one, and how to solve it.
- Name only problems that are really there. If the code is good, say so in one sentence.""",
        "zh": """\
请审查下面的代码。

$code

检查：错误（bug）、安全问题、未处理的异常、时间或内存的浪费，以及难以阅读或维护的地方。

要求：
- 先写最严重的问题。对每个问题说明位置、原因和解决办法。
- 只写确实存在的问题。如果代码没有问题，用一句话说明即可。""",
    },
    "code_review_findings": {
        "en": """\
Review the code below. Each line begins with its number and a colon, which are not part of the code.

$code

Look for bugs, security problems, unhandled errors, wasted time or memory, and what makes the code hard to read or \
maintain.

Answer with a JSON list and nothing else. Each element is an object for one problem, with the keys:
- line: the number of the line, as it stands before that line;
- severity: "error" if the code is wrong or not safe, "warning" if it may go wrong, "info" if it could be better;
- text: what is wrong there and how to solve it, in one or two sentences.
Name only problems that are really there. If there are none, the list is empty.""",
        "zh": """\
请审查下面的代码。每行开头的数字和冒号是行号，不属于代码。

$code

检查：错误（bug）、安全问题、未处理的异常、时间或内存的浪费，以及难以阅读或维护的地方。

只回答一个 JSON 列表，不要写其他内容。列表的每个元素是一个对象，对应一个问题，包含以下键：
- line：该行的行号，即该行开头的数字；
- severity：代码有错误或不安全时为 "error"，可能出错时为 "warning"，可以改进时为 "info"；
- text：用一两句中文说明问题和解决办法。
只写确实存在的问题。如果没有问题，列表为空。""",
    },
    # --- MultiLanguageTool ---
    "translate_code": {
        "en": """\
Translate the code below into $target.

$code

Rules:
- The translation does the same. Use the standard library and the usual style of $target.
- Write complete code, with everything that it needs to run, and leave nothing out. Keep the comments.
- Answer with one code block and nothing else.""",
        "zh": """\
请把下面的代码翻译成 $target。

$code

要求：
- 翻译后的代码行为相同。使用 $target 的标准库和惯用写法。
- 代码完整，包含运行所需的一切，不省略任何部分。保留注释。
- 只回答一个代码块，不要写其他内容。""",
    },
    "translate_code_from": {
        "en": """\
Translate the $source code below into $target.

$code

Rules:
- The translation does the same. Use the standard library and the usual style of $target.
- Write complete code, with everything that it needs to run, and leave nothing out. Keep the comments.
- Answer with one code block and nothing else.""",
        "zh": """\
请把下面的 $source 代码翻译成 $target。

$code

要求：
- 翻译后的代码行为相同。使用 $target 的标准库和惯用写法。
- 代码完整，包含运行所需的一切，不省略任何部分。保留注释。
- 只回答一个代码块，不要写其他内容。""",
    },
    "translate_comments": {
        "en": """\
The JSON object below has the comments of a program. Translate each of them into $target.

$document

Rules:
- Answer with a JSON object that has the same keys, each with the translation, and nothing else.
- Keep the line breaks (\\n) where they are. Keep names, code, numbers, links and tags such as @param as they are.
- A comment that is in $target already stays as it is.""",
        "zh": """\
下面的 JSON 对象是一个程序的注释。请把每条注释翻译成 $target。

$document

要求：
- 只回答一个 JSON 对象，键与原来相同，值为译文，不要写其他内容。
- 保留换行（\\n）的位置。名称、代码、数字、链接和 @param 之类的标签保持不变。
- 已经是 $target 的注释保持不变。""",
    },
}

_BACKTICKS = re.compile(r"`{3,}")


def fenced(text: str, info: str = "") -> str:
    """``text`` as a fenced block, whose fence is longer than any row of backticks in it. ``info`` names the language.

    >>> print(fenced("a = 1", "python"))
    ```python
    a = 1
    ```
    >>> fenced("a\\n```\\nb").split("\\n")[0]
    '````'
    """
    longest = max((len(row) for row in _BACKTICKS.findall(text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{info}\n{text}{'' if text.endswith(chr(10)) else chr(10)}{fence}"


def render_prompt(name: str, language: PromptLanguage, fields: Mapping[str, str]) -> str:
    """The prompt of this name with its fields filled in; those of `CODE_FIELDS` stand in a fence.

    Raises KeyError for a prompt that there is not, and for a field that is missing.

    >>> print(render_prompt("repair_python", "en", {"error": "line 1: invalid syntax", "code": "a ="}).splitlines()[4])
    ```
    """
    filled = {key: fenced(value) if key in CODE_FIELDS else value for key, value in fields.items()}
    return Template(PROMPTS[name][language]).substitute(filled)
