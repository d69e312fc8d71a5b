"""The code in an answer: which block it is, whatever stands around it, and what Python's parser says."""

from __future__ import annotations

import ast
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metagpt_ollama_rs.slc.code_answers import extract_code, find_code, python_fault
from metagpt_ollama_rs.slc.prompts import fenced

DETERMINISTIC = settings(derandomize=True, deadline=None, database=None)
PROGRAM = 'def add(a, b):\n    """The sum."""\n\n    return a + b'
TESTED = '''def render(text):
    """Renders Markdown.

    ```
    render("# A")
    ```
    """
    return text'''
FLUSH = '''"""A module.

```
example
```
"""

X = 1'''
GO = "package main\n\nfunc main() {\n\tprintln(1)\n}"
CPP = "#include <cstdio>\nint main() { return 0; }"


def case(answer: str, code: str, language: str | None = None, name: str = ""):
    return pytest.param(answer, code, language, id=name)


CASES = [
    case(PROGRAM, PROGRAM, name="no fence"),
    case(f"\n\n{PROGRAM}\n\n", PROGRAM, name="no fence, blank lines"),
    case(textwrap.indent(PROGRAM, "    "), PROGRAM, name="no fence, all indented"),
    case(f"Here is the function:\n\n{PROGRAM}\n\nIt adds two numbers.", PROGRAM, name="no fence, prose"),
    case(f"下面是一个加法函数：\n\n{PROGRAM}\n\n这个函数返回两数之和。", PROGRAM, name="no fence, Chinese prose"),
    case(
        "Use this command:\n\n    make all\n    make test\n\nThat is all there is.",
        "make all\nmake test",
        name="indented block",
    ),
    case("The code:\n\n    x = 1\n    print(x)\n\nDone.", "x = 1\nprint(x)", name="indented block, short remarks"),
    case("代码如下：\n\n    print(1)\n\n完成。", "print(1)", name="indented block, short remarks in Chinese"),
    case("else:\n\n    x = 1", "else:\n\n    x = 1", name="no indented block, but half a program"),
    case("Here it is: ```python\nx = 1\n```\nIt works.", "x = 1", name="a fence behind a sentence"),
    case("代码如下：```python\nx = 1\n```", "x = 1", name="a fence behind a Chinese sentence"),
    case("I cannot do that.", "I cannot do that.", name="no code"),
    case("", "", name="nothing"),
    case(f"```python\n{PROGRAM}\n```", PROGRAM, name="one fence"),
    case(f"```\n{PROGRAM}\n```", PROGRAM, name="no language"),
    case(f"```python3\n{PROGRAM}\n```", PROGRAM, "python", name="python3"),
    case(f"```py\n{PROGRAM}\n```", PROGRAM, "python", name="py"),
    case(f"```{{.python}}\n{PROGRAM}\n```", PROGRAM, "python", name="{.python}"),
    case(f'```Python title="add.py"\n{PROGRAM}\n```', PROGRAM, "python", name="info with a title"),
    case(f"```src/add.py\n{PROGRAM}\n```", PROGRAM, "python", name="info is a path"),
    case(f"```python:add.py\n{PROGRAM}\n```", PROGRAM, "python", name="language:path"),
    case(f"``` python\n{PROGRAM}\n```", PROGRAM, "python", name="space before the language"),
    case(f"```C++\n{CPP}\n```", CPP, "cpp", name="C++ asked for as cpp"),
    case(f"```cpp\n{CPP}\n```", CPP, "C++", name="cpp asked for as C++"),
    case(f"```bash\nmake\n```\n\n```golang\n{GO}\n```", GO, "Go", name="an alias of the language"),
    case(f"~~~python\n{PROGRAM}\n~~~", PROGRAM, name="tildes"),
    case(f"~~~\n{PROGRAM}\n~~~", PROGRAM, name="tildes, no language"),
    case(f"Sure!\n```python\n{PROGRAM}", PROGRAM, name="unclosed"),
    case(f"```python\n{PROGRAM}```", PROGRAM, name="closed at the end of a line"),
    case(f"```python\n{TESTED}", TESTED, name="unclosed, a fence in a docstring"),
    case(f"```python\n{PROGRAM}\n```<|im_end|>", PROGRAM, name="closed with a token of the model behind it"),
    case(f"```go\n{GO}\n```Done.", GO, name="closed with a word behind it"),
    case(f"python\n{PROGRAM}", PROGRAM, name="no fence, and its language"),
    case(f"**Solution:**\n\n{PROGRAM}\n\n**Note**", PROGRAM, name="no fence, headings"),
    case("```python print(1)```", "print(1)", name="all in one line"),
    case("```print(1)```", "print(1)", name="all in one line, no language"),
    case(f"```python\n{PROGRAM}\n\nThis function adds two numbers.", PROGRAM, name="unclosed, prose behind it"),
    case(f"```python\r\n{PROGRAM}\r\n```\r\n".replace("\n    ", "\r\n    "), PROGRAM, name="CRLF"),
    case(
        f"1. Do this:\n\n{textwrap.indent(f'```python{chr(10)}{PROGRAM}{chr(10)}```', '   ')}\n2. Done.",
        PROGRAM,
        name="in a list",
    ),
    case(
        f"- Do this:\n{textwrap.indent(f'```python{chr(10)}{PROGRAM}{chr(10)}```', '      ')}\n",
        PROGRAM,
        name="indented far in a list",
    ),
    case(textwrap.indent(f"```python\n{PROGRAM}\n```", "    "), PROGRAM, name="indented by four spaces"),
    case("Text.\n\n" + textwrap.indent(f"```python\n{PROGRAM}\n```", "\t"), PROGRAM, name="indented by a tab"),
    case(f"```python\n{textwrap.indent(PROGRAM, '  ')}\n```", PROGRAM, name="indented within the fence"),
    case(textwrap.indent(f"```python\n{PROGRAM}\n```", "> ", lambda _: True), PROGRAM, name="in a quote"),
    case(f"<details>\n<summary>Code</summary>\n```python\n{PROGRAM}\n```\n</details>", PROGRAM, name="in HTML"),
    case(f"````markdown\n# Title\n\n```python\n{PROGRAM}\n```\n````", PROGRAM, name="nested, a longer fence outside"),
    case(f"```markdown\n# Title\n\n```python\n{PROGRAM}\n```\n```", PROGRAM, name="nested, fences of one length"),
    case(f"`````\n````\n```python\n{PROGRAM}\n```\n````\n`````", PROGRAM, name="nested twice"),
    case(f"~~~\n```python\n{PROGRAM}\n```\n~~~", PROGRAM, name="nested, tildes outside"),
    case(f"```python\n{TESTED}\n```\n\nDone.", TESTED, name="a fence in a docstring"),
    case(f"```python\n{FLUSH}\n```\n\n```text\nout\n```", FLUSH, name="a fence in a docstring, not indented"),
    case(f"```python\n{FLUSH}\n```", FLUSH, "python", name="a fence in a docstring, not indented, alone"),
    case(
        "x = '''\n```python\nprint(1)\n```\n'''",
        "x = '''\n```python\nprint(1)\n```\n'''",
        name="wholly Python, a fence in a text",
    ),
    case(f"```bash\npip install add\n```\n\n```python\n{PROGRAM}\n```", PROGRAM, name="installation first"),
    case(
        f"```\npip install add\n```\n\n```python\n{PROGRAM}\n```",
        PROGRAM,
        "python",
        name="installation first, no language",
    ),
    case(f"```text\nadd/\n  __init__.py\n```\n\n```python\n{PROGRAM}\n```", PROGRAM, name="a tree of files first"),
    case(f"```json\n{{}}\n```\n```python\n{PROGRAM}\n```", PROGRAM, name="data first"),
    case(f"```python\n{PROGRAM}\n```\nUse:\n```python\nprint(add(1, 2))\n```", PROGRAM, name="an example behind it"),
    case(
        f"Instead of\n```python\nx = a+b\n```\nuse\n```python\n{PROGRAM}\n\n\nprint(add(1, 2))\n```",
        f"{PROGRAM}\n\n\nprint(add(1, 2))",
        name="a snippet before it",
    ),
    case(
        f"Wrong:\n```python\ndef add(a, b)\n    return a + b\n```\nRight:\n```python\n{PROGRAM}\n```",
        PROGRAM,
        name="one that parses behind one that does not",
    ),
    case(
        f"```python\n{PROGRAM}\n```\n```html\n<p>1</p>\n<p>2</p>\n<p>3</p>\n<p>4</p>\n<p>5</p>\n<p>6</p>\n<p>7</p>\n```",
        PROGRAM,
        name="another language behind it",
    ),
    case(f"```html\n<p>1</p>\n```\n```python\n{PROGRAM}\n```", PROGRAM, "python", name="another language before it"),
    case("```bash\npip install rich\n```", "pip install rich", name="commands only"),
    case("```python\n```\n```python\nprint(1)\n```", "print(1)", name="an empty block first"),
    case("```python\ndef f(:\n```", "def f(:", name="Python that does not parse"),
    case("`print(1)`", "print(1)", name="between single backticks"),
    case("Use `print(1)` here.", "Use `print(1)` here.", name="a sentence with code in it"),
    case(
        'Here:\n\n<pre><code class="language-js">\nif (a &lt; b) f();\n</code></pre>',
        "if (a < b) f();",
        name="HTML's pre",
    ),
    case("<div>\n<pre>a</pre>\n</div>", "<div>\n<pre>a</pre>\n</div>", name="a page with pre"),
]


@pytest.mark.parametrize(("answer", "code", "language"), CASES)
def test_the_right_block_is_found(answer, code, language):
    assert extract_code(answer, language) == code


def test_the_cases_are_many():
    assert len(CASES) >= 20


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=60)
LINES = st.lists(
    st.one_of(st.sampled_from(["```", "~~~", "````", "    ```", "x = 1", "", "> a", "- a", "#"]), TEXTS), max_size=8
)


@DETERMINISTIC
@given(LINES.map("\n".join).filter(lambda text: text.strip()))
def test_a_text_in_a_fence_comes_back_as_it_was(text):
    answer = f"Here it is:\n\n{fenced(text, 'go')}\n\nThat is all."
    assert extract_code(answer, "go") == text.removesuffix("\n")


@DETERMINISTIC
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_a_program_in_python_in_three_backticks_comes_back_as_it_was(texts):
    program = "\n".join(f"value_{number} = {text!r}" for number, text in enumerate(texts)) + f"\n{FLUSH}"
    ast.parse(program)
    assert extract_code(f"```python\n{program}\n```\n") == program


@DETERMINISTIC
@given(
    st.lists(
        st.sampled_from(
            ["```", "~~~", "```python", "    ", "> ", "- ", "text", "x = 1", "\t", "`", "\n", "\n\n", "1. "]
        ),
        max_size=40,
    ).map("".join)
)
def test_any_answer_gives_a_text(answer):
    for language in (None, "python", "go"):
        assert isinstance(extract_code(answer, language), str)


def test_deep_nesting_ends():
    assert extract_code("".join("`" * (300 - number) + "\n" for number in range(290)))


def test_a_language_is_guessed_by_its_lines():
    assert find_code("```\nfrom os import (\n```").language == "python"
    assert find_code("```\nimport Foundation\nlet a = [\n```").language == ""


def test_a_fault_names_its_line():
    assert python_fault("x = 1\nprint(x))") == "line 2: unmatched ')', in: print(x))"
    assert python_fault("a\0b").endswith("null bytes")
    assert python_fault("(" * 2000 + ")" * 2000)
    assert python_fault(PROGRAM) is None


@pytest.mark.filterwarnings("default:invalid escape sequence")
def test_an_escape_that_there_is_not_is_no_fault():
    with pytest.warns(Warning, match="invalid escape sequence"):
        assert python_fault(r"x = '\d'") is None
