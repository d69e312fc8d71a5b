"""The examples in the docstrings run, and show what comes out.

Those of `provider` and `rag` run in the environment with MetaGPT (`tests/metagpt/test_docstrings.py`).
"""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import metagpt_ollama_rs

PREFIX = "metagpt_ollama_rs."
# Programs, which do not come back when they are imported, and what needs MetaGPT or LlamaIndex.
LEFT_OUT = (f"{PREFIX}cli.__main__", f"{PREFIX}provider", f"{PREFIX}rag")


def modules():
    def unimportable(name):
        assert name.startswith(LEFT_OUT), name

    found = pkgutil.walk_packages(metagpt_ollama_rs.__path__, PREFIX, unimportable)
    return [module.name for module in found if not module.name.startswith(LEFT_OUT)]


@pytest.mark.parametrize("name", ["metagpt_ollama_rs", *modules()])
def test_the_examples_of_a_module_show_what_comes_out(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0
