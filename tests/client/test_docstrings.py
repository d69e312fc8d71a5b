"""Each public class has an example, and what the core's stub says of the core is so.

The examples of the modules are run in `tests/packaging/test_docstrings.py`.
"""

from __future__ import annotations

import ast
import doctest
import inspect
from pathlib import Path
from typing import Any

import pytest

import metagpt_ollama_rs
from metagpt_ollama_rs import _core, endpoints, errors, limits, responses, vectors

FOLDER = Path(metagpt_ollama_rs.__file__).parent


def stub_docstrings() -> dict[str, str]:
    """The docstrings of the core's stub, by the name of what they document (the methods by their class and name)."""
    tree = ast.parse((FOLDER / "_core.pyi").read_text(encoding="utf-8"))
    found: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            found[node.name] = ast.get_docstring(node) or ""
        if isinstance(node, ast.ClassDef):
            for member in node.body:
                if isinstance(member, ast.FunctionDef):
                    found[f"{node.name}.{member.name}"] = ast.get_docstring(member) or ""
    return found


def test_the_examples_of_the_core_are_right() -> None:
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
    complaints: list[str] = []
    for name, text in stub_docstrings().items():
        names: dict[str, Any] = {"_core": _core, **vars(_core)}
        runner.run(doctest.DocTestParser().get_doctest(text, names, name, "_core.pyi", 0), out=complaints.append)
    assert runner.tries > 20
    assert not runner.failures, "".join(complaints)


def test_everything_of_the_core_is_documented() -> None:
    # What every class of Python has needs no words.
    plain = {"__new__", "__eq__", "__iter__", "__aiter__", "__enter__", "__exit__", "__aenter__", "__aexit__"}
    missing = [name for name, text in stub_docstrings().items() if not text and name.rpartition(".")[2] not in plain]
    assert not missing


def public_classes() -> list[type]:
    places: list[Any] = [endpoints, errors, limits, responses, vectors]
    found = [getattr(place, name) for place in places for name in place.__all__]
    found += [getattr(metagpt_ollama_rs, name) for name in metagpt_ollama_rs.__all__]
    return sorted({value for value in found if inspect.isclass(value)}, key=lambda cls: cls.__qualname__)


@pytest.mark.parametrize("cls", public_classes(), ids=lambda cls: str(cls.__qualname__))
def test_a_public_class_has_an_example(cls: type) -> None:
    text = stub_docstrings().get(cls.__name__) if hasattr(_core, cls.__name__) else cls.__doc__
    assert ">>> " in (text or "")
