"""The examples in the docstrings of MetaGPT's classes run, and show what comes out."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

import metagpt_ollama_rs.provider as ours

PREFIX = "metagpt_ollama_rs.provider."


# The examples of what needs LlamaIndex run in `test_rag.py`.
MODULES = [
    module.name for module in pkgutil.iter_modules(ours.__path__, PREFIX) if module.name != f"{PREFIX}rag_embedding"
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_show_what_comes_out(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0


def test_a_public_class_has_an_example():
    values = [getattr(ours, name) for name in ours.__all__]
    classes = [value for value in values if inspect.isclass(value) and value.__module__.startswith(PREFIX)]
    assert len(classes) > 10
    assert [made.__name__ for made in classes if ">>> " not in (made.__doc__ or "")] == []
