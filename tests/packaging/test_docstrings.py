"""The examples in the docstrings of the package run, and show what comes out; each public class has one.

What is public, CONTRIBUTING.md says. `provider` and `rag` are looked at in the environment with MetaGPT
(`tests/metagpt/test_docstrings.py`), the stub of the core in `tests/client/test_docstrings.py`.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

import metagpt_ollama_rs
from metagpt_ollama_rs import _core

PREFIX = "metagpt_ollama_rs."
WITH_METAGPT = {f"{PREFIX}provider", f"{PREFIX}rag"}
# The modules and folders directly in the package.
TOP = [
    module
    for module in pkgutil.iter_modules(metagpt_ollama_rs.__path__, PREFIX)
    if module.name not in {*WITH_METAGPT, _core.__name__}
]


def modules():
    def unimportable(name):
        raise AssertionError(name)

    yield "metagpt_ollama_rs"
    for top in TOP:
        yield top.name
        if top.ispkg:
            package = importlib.import_module(top.name)
            for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.", unimportable):
                # Importing it runs it.
                if not module.name.endswith(".__main__"):
                    yield module.name


def test_all_folders_are_looked_at():
    folders = {top.name.removeprefix(PREFIX) for top in TOP if top.ispkg}
    assert folders >= {"cli", "embedded", "serving", "switch", "testing"}
    assert len(TOP) > 20


@pytest.mark.parametrize("name", modules())
def test_the_examples_of_a_module_show_what_comes_out(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0


def public_classes(name):
    module = importlib.import_module(name)
    values = [getattr(module, exported) for exported in getattr(module, "__all__", ())]
    # The core's classes have their examples in its stub.
    return [value for value in values if inspect.isclass(value) and getattr(_core, value.__name__, None) is not value]


@pytest.mark.parametrize("name", ["metagpt_ollama_rs", *(top.name for top in TOP)])
def test_a_public_class_has_an_example(name):
    assert [made.__name__ for made in public_classes(name) if ">>> " not in (made.__doc__ or "")] == []


@pytest.mark.parametrize("folder", ["", ".arguments", ".embedded", ".errors", ".responses", ".testing"])
def test_a_module_that_users_import_from_has_public_classes(folder):
    assert public_classes(f"metagpt_ollama_rs{folder}")
