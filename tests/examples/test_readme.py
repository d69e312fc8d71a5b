"""The Python examples of the README run as they stand, against the scripted server.

README.zh.md has the same ones: tests/packaging/test_translations.py compares them.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_all_examples_are_found():
    assert len(EXAMPLES) == README.count("```python") >= 5


def test_every_example_is_listed():
    listed = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    for file in (ROOT / "examples").glob("*.py"):
        assert f"python examples/{file.name}" in listed


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_example(number, run_python, ollama_server):
    example = EXAMPLES[number]
    ollama_server.answer("Hello from the script")
    run_python.configure(ollama_server.url)
    # The examples name Ollama's usual address.
    done = run_python("-c", example.replace("http://127.0.0.1:11434", ollama_server.url), OLLAMA_HOST=ollama_server.url)
    assert done.returncode == 0, done.stderr
    if "chat(" in example or "aask(" in example:
        assert ollama_server.last.json()["messages"][-1]["content"] == "Say hello."
    if "print(" in example:
        assert done.stdout.strip()
    if "print(get_choice" not in example and "print(" in example:
        assert "Hello from the script" in done.stdout
