"""The examples in the docstrings of MetaGPT's classes and of LlamaIndex's run, and show what comes out."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import metagpt_ollama_rs.provider as ours

PREFIX = "metagpt_ollama_rs.provider."


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(ours.__path__, PREFIX)])
def test_the_examples_of_a_module_show_what_comes_out(name):
    if name.endswith(".rag_embedding"):
        pytest.importorskip("llama_index.core")
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0
