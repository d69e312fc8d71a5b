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
    # CodeGenerationTool
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
    # SmartQATool
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
    # CodeUnderstandingTool
    "explain_code": {
        "en": """\
Explain the code below to a programmer who does not know it.

$code

Rules:
- Say first, in one or two sentences, what it is for. Then explain step by step how it works.
- Explain what is not plain: algorithms, data structures, special cases, side effects.
- Explain only what the code shows. Do not repeat the code.""",
        "zh": """\
请向不了解这段代码的程序员解释下面的代码。

$code

要求：
- 先用一两句话说明代码的用途，再逐步说明它是如何工作的。
- 解释不易看懂的地方：算法、数据结构、特殊情况、副作用。
- 只解释代码中确实有的内容，不要重复代码。""",
    },
    "generate_docs": {
        "en": """\
Write the documentation of the code below, in Markdown.

$code

Rules:
- Begin with a heading and one paragraph: what the code is for.
- Then one section for each public function and class, with its name as the heading, in backticks: what it does, its \
parameters, what it returns, which errors it raises.
- End with a short example of how it is used.
- Document only what is in the code. Answer with the Markdown and nothing else.""",
        "zh": """\
请用 Markdown 为下面的代码编写文档。

$code

要求：
- 以标题和一段说明开头：代码的用途。
- 然后为每个公开的函数和类写一节，以反引号中的名称作为标题：它的作用、参数、返回值、会抛出的错误。
- 最后写一个简短的使用示例。
- 只写代码中确实有的内容。只回答 Markdown 文档，不要写其他内容。""",
    },
    "summarize_file": {
        "en": """\
Summarise the file $path below for a programmer who does not know it.

$code

Rules:
- Say first, in one sentence, what the file is for. Then list its most important parts, each with one short line.
- Say only what the file shows. Do not repeat it.
- At most 150 words.""",
        "zh": """\
请向不了解该文件的程序员总结下面的文件 $path。

$code

要求：
- 先用一句话说明文件的用途，再列出其中最重要的部分，每个部分一行。
- 只写文件中确实有的内容，不要重复原文。
- 不超过 200 字。""",
    },
    "summarize_part": {
        "en": """\
Below are lines $lines of the file $path, which is too long to be read at once. Summarise them for a programmer.

$code

Rules:
- Name the most important functions, classes or topics, and say what each is for.
- Say only what these lines show. Do not repeat them.
- At most 120 words.""",
        "zh": """\
下面是文件 $path 的第 $lines 行，该文件太长，无法一次读完。请向程序员总结这一部分。

$code

要求：
- 写出其中最重要的函数、类或主题，并说明各自的用途。
- 只写这一部分中确实有的内容，不要重复原文。
- 不超过 150 字。""",
    },
    "join_summaries": {
        "en": """\
Below are summaries of the parts of the file $path, in their order. Write one summary of the whole file.

$document

Rules:
- Say first, in one sentence, what the file is for. Then list its most important parts, each with one short line.
- Say only what the summaries say.
- At most 200 words.""",
        "zh": """\
下面按顺序列出了文件 $path 各部分的摘要。请写出整个文件的摘要。

$document

要求：
- 先用一句话说明文件的用途，再列出其中最重要的部分，每个部分一行。
- 只写这些摘要中有的内容。
- 不超过 250 字。""",
    },
    "summarize_folder": {
        "en": """\
Below are summaries of what is in the folder $path of a project. Write one summary of the folder.

$document

Rules:
- Say first, in one sentence, what the folder is for. Then name its most important files and what they do.
- Say only what the summaries say.
- At most 150 words.""",
        "zh": """\
下面是项目中文件夹 $path 内各项的摘要。请写出该文件夹的摘要。

$document

要求：
- 先用一句话说明文件夹的用途，再写出其中最重要的文件及其作用。
- 只写这些摘要中有的内容。
- 不超过 200 字。""",
    },
    "merge_summaries": {
        "en": """\
Merge the summaries below into one. Keep the names of files, classes and functions. Say only what the summaries say.
At most 150 words.

$document""",
        "zh": """\
请把下面的多个摘要合并为一个。保留文件、类和函数的名称，只写这些摘要中有的内容，不超过 200 字。

$document""",
    },
    "summarize_project": {
        "en": """\
Below are summaries of the files and folders of the project $path. Write an overview of the project for a programmer \
who does not know it.

$document

Write these sections:
1. Purpose: what the project is for, in one or two sentences.
2. Structure: the main parts, and how they work together.
3. Technology: languages, libraries, storage, interfaces.
4. Where to begin reading, and why.
Say only what the summaries say. At most 400 words.""",
        "zh": """\
下面是项目 $path 中各文件和文件夹的摘要。请为不了解该项目的程序员写一份概述。

$document

请写以下几节：
1. 用途：用一两句话说明项目的用途。
2. 结构：主要组成部分，以及它们如何协同工作。
3. 技术：语言、库、存储、接口。
4. 从哪里开始阅读，为什么。
只写这些摘要中有的内容，不超过 500 字。""",
    },
    "find_entry_points": {
        "en": """\
Below is the list of the files of the project $path. By which files is the program started?

$document

Answer with a JSON list and nothing else. Each element is an object with the keys:
- path: the path of a file, as it stands in the list;
- reason: in one sentence, why the program is started there, and how.
Name only files that a user, a server or a tool starts directly. If there are none, the list is empty.""",
        "zh": """\
下面是项目 $path 的文件列表。程序从哪些文件启动？

$document

只回答一个 JSON 列表，不要写其他内容。列表的每个元素是一个对象，包含以下键：
- path：文件路径，与列表中的写法一致；
- reason：用一句话说明为什么从这里启动，以及如何启动。
只写由用户、服务器或工具直接启动的文件。如果没有，列表为空。""",
    },
    # BatchFileTool
    "edit_code_file": {
        "en": """\
Change the file $path as the instruction says.

Instruction: $instruction

$code

Rules:
- Change only what the instruction asks for. If it asks for nothing in this file, repeat the file as it is.
- Write the whole file, from its first line to its last, with nothing left out.
- Answer with one code block and nothing else.""",
        "zh": """\
请按照说明修改文件 $path。

说明：$instruction

$code

要求：
- 只修改说明要求的内容；如果说明与这个文件无关，原样重复整个文件。
- 写出整个文件，从第一行到最后一行，不省略任何部分。
- 只回答一个代码块，不要写其他内容。""",
    },
    "edit_text_file": {
        "en": """\
Change the file $path as the instruction says.

Instruction: $instruction

$document

Rules:
- Change only what the instruction asks for. If it asks for nothing in this file, repeat the file as it is.
- Write the whole text of the file, from its first line to its last, with nothing left out.
- Answer with this text and nothing else, without a fence around it.""",
        "zh": """\
请按照说明修改文件 $path。

说明：$instruction

$document

要求：
- 只修改说明要求的内容；如果说明与这个文件无关，原样重复整个文件。
- 写出文件的全部文字，从第一行到最后一行，不省略任何部分。
- 只回答这些文字，不要写其他内容，也不要放在代码块里。""",
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
