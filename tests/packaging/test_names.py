"""Public names: `__all__` is complete, lazy names resolve, the drawn tree of exceptions is the real one."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.resources
import re

import pytest

import metagpt_ollama_rs
from metagpt_ollama_rs import errors


def test_every_public_name_resolves():
    for name in metagpt_ollama_rs.__all__:
        assert getattr(metagpt_ollama_rs, name) is not None
        assert name in dir(metagpt_ollama_rs)


def test_star_import_brings_every_public_name():
    names: dict[str, object] = {}
    exec("from metagpt_ollama_rs import *", names)
    assert set(metagpt_ollama_rs.__all__) <= set(names)


def test_all_has_no_name_twice():
    assert len(set(metagpt_ollama_rs.__all__)) == len(metagpt_ollama_rs.__all__)


def test_a_wrong_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        metagpt_ollama_rs.no_such_name  # noqa: B018


def test_every_exception_is_public():
    classes = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert classes == {name for name in errors.__all__ if name in classes}
    assert classes <= set(metagpt_ollama_rs.__all__)


def test_the_drawn_tree_is_the_real_one():
    drawn = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^    ([ │├└─]*)(\w+)(?:\(([\w, ]+)\))?", line)
        if not found or not found[2].endswith(("Error", "Timeout")):
            continue
        depth = len(found[1]) // 4
        above[depth:] = [found[2]]
        mixins = [part.strip() for part in (found[3] or "").split(",") if part.strip()]
        drawn[found[2]] = ([above[depth - 1]] if depth else []) + mixins
    real = {
        name: [base.__name__ for base in value.__bases__]
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.OllamaError)
    }
    assert drawn == real


def test_the_version_is_the_distributions():
    assert metagpt_ollama_rs.__version__ == importlib.metadata.version("metagpt_ollama_rs")


def test_types_are_shipped():
    files = importlib.resources.files(metagpt_ollama_rs)
    assert files.joinpath("py.typed").is_file()
    assert ast.parse(files.joinpath("_core.pyi").read_text(encoding="utf-8")).body


def test_entry_points():
    entries = importlib.metadata.distribution("metagpt_ollama_rs").entry_points
    assert {(entry.group, entry.name) for entry in entries} == {
        ("console_scripts", "metagpt-ollama"),
        ("pytest11", "metagpt_ollama_rs"),
    }
    for entry in entries:
        assert entry.load() is not None


def test_one_small_package_is_required():
    needs = importlib.metadata.requires("metagpt_ollama_rs") or []
    required = [need for need in needs if "extra ==" not in need]
    assert [re.match(r"[\w-]+", need)[0] for need in required] == ["json-repair"]
    assert [need for need in importlib.metadata.requires("json-repair") or () if "extra ==" not in need] == []


def test_the_tests_run_on_the_installed_wheel():
    assert "site-packages" in metagpt_ollama_rs.__file__
