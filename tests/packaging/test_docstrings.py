"""The examples in the docstrings of the folders of the package run, and show what comes out.

Those of its top-level modules run in `tests/client`, those of `provider` in the environment with MetaGPT.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

FOLDERS = ("cli", "embedded", "serving", "switch", "testing")


def modules():
    def unimportable(name):
        raise AssertionError(name)

    for folder in FOLDERS:
        package = importlib.import_module(f"metagpt_ollama_rs.{folder}")
        yield package.__name__
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.", unimportable):
            # Importing it runs it.
            if not module.name.endswith(".__main__"):
                yield module.name


@pytest.mark.parametrize("name", modules())
def test_the_examples_of_a_module_show_what_comes_out(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0


@pytest.mark.parametrize("folder", ["embedded", "testing"])
def test_a_public_class_has_an_example(folder):
    package = importlib.import_module(f"metagpt_ollama_rs.{folder}")
    classes = [value for name in package.__all__ if inspect.isclass(value := getattr(package, name))]
    assert classes
    assert [made.__name__ for made in classes if ">>> " not in (made.__doc__ or "")] == []
