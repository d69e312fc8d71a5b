"""The words of the prompts that put summaries together, in both languages."""

from __future__ import annotations

import pytest

from metagpt_ollama_rs.slc.prompts import render_prompt

# The prompt, its language, its fields, and the text that is sent.
PROMPTS = [
    (
        "summarize_part",
        "en",
        {"lines": "1-90", "path": "a.py", "code": "x = 1"},
        """\
Below are lines 1-90 of the file a.py, which is too long to be read at once. Summarise them for a programmer.

```
x = 1
```

Rules:
- Name the most important functions, classes or topics, and say what each is for.
- Say only what these lines show. Do not repeat them.
- At most 120 words.""",
    ),
    (
        "summarize_part",
        "zh",
        {"lines": "1-90", "path": "a.py", "code": "x = 1"},
        """\
下面是文件 a.py 的第 1-90 行，该文件太长，无法一次读完。请向程序员总结这一部分。

```
x = 1
```

要求：
- 写出其中最重要的函数、类或主题，并说明各自的用途。
- 只写这一部分中确实有的内容，不要重复原文。
- 不超过 150 字。""",
    ),
    (
        "join_summaries",
        "en",
        {"path": "a.py", "document": "1-90: x."},
        """\
Below are summaries of the parts of the file a.py, in their order. Write one summary of the whole file.

```
1-90: x.
```

Rules:
- Say first, in one sentence, what the file is for. Then list its most important parts, each with one short line.
- Say only what the summaries say.
- At most 200 words.""",
    ),
    (
        "join_summaries",
        "zh",
        {"path": "a.py", "document": "1-90: x."},
        """\
下面按顺序列出了文件 a.py 各部分的摘要。请写出整个文件的摘要。

```
1-90: x.
```

要求：
- 先用一句话说明文件的用途，再列出其中最重要的部分，每个部分一行。
- 只写这些摘要中有的内容。
- 不超过 250 字。""",
    ),
    (
        "summarize_folder",
        "en",
        {"path": "src", "document": "a.py: x."},
        """\
Below are summaries of what is in the folder src of a project. Write one summary of the folder.

```
a.py: x.
```

Rules:
- Say first, in one sentence, what the folder is for. Then name its most important files and what they do.
- Say only what the summaries say.
- At most 150 words.""",
    ),
    (
        "summarize_folder",
        "zh",
        {"path": "src", "document": "a.py: x."},
        """\
下面是项目中文件夹 src 内各项的摘要。请写出该文件夹的摘要。

```
a.py: x.
```

要求：
- 先用一句话说明文件夹的用途，再写出其中最重要的文件及其作用。
- 只写这些摘要中有的内容。
- 不超过 200 字。""",
    ),
    (
        "merge_summaries",
        "en",
        {"document": "a.py: x."},
        """\
Merge the summaries below into one. Keep the names of files, classes and functions. Say only what the summaries say.
At most 150 words.

```
a.py: x.
```""",
    ),
    (
        "merge_summaries",
        "zh",
        {"document": "a.py: x."},
        """\
请把下面的多个摘要合并为一个。保留文件、类和函数的名称，只写这些摘要中有的内容，不超过 200 字。

```
a.py: x.
```""",
    ),
]


@pytest.mark.parametrize(("name", "language", "fields", "text"), PROMPTS)
def test_a_prompt_says_this_and_nothing_else(name, language, fields, text):
    assert render_prompt(name, language, fields) == text
