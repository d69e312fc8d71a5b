"""The examples in docstrings are run, and each public class has one."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import Any

import pytest

import metagpt_ollama_rs
from metagpt_ollama_rs import _core, endpoints, errors, limits, responses, vectors

FOLDER = Path(metagpt_ollama_rs.__file__).parent
# Loading `rag` needs LlamaIndex.
MODULES = [name for _, name, is_package in pkgutil.iter_modules([str(FOLDER)]) if not is_package and name != "rag"]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL


def run(examples: list[doctest.DocTest]) -> int:
    """Runs the examples, and returns how many there are."""
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    found: list[str] = []
    for test in examples:
        runner.run(test, out=found.append)
    assert not runner.failures, "".join(found)
    return sum(len(test.examples) for test in examples)


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


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_right(name: str) -> None:
    module = importlib.import_module(f"metagpt_ollama_rs.{name}")
    run([test for test in doctest.DocTestFinder().find(module) if test.examples])


def test_the_examples_of_the_core_are_right() -> None:
    parser = doctest.DocTestParser()
    names: dict[str, Any] = {"_core": _core, **vars(_core)}
    tests = [
        parser.get_doctest(text, dict(names), name, "_core.pyi", 0) for name, text in stub_docstrings().items() if text
    ]
    assert run([test for test in tests if test.examples]) > 20


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
