"""Actions that wait for the import of a module."""

from __future__ import annotations

import importlib
import sys
import types
from importlib.machinery import ModuleSpec

import pytest

from metagpt_ollama_rs.import_hooks import when_imported


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module that can be imported; the first time it fails when there is a file beside it."""
    (tmp_path / "awaited_module.py").write_text(
        "import pathlib\n"
        "obstacle = pathlib.Path(__file__).with_name('obstacle')\n"
        "if obstacle.exists():\n"
        "    obstacle.unlink()\n"
        "    raise RuntimeError('not yet')\n"
        "value = 1\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    yield tmp_path
    sys.modules.pop("awaited_module", None)


def load():
    return importlib.import_module("awaited_module")


def test_the_action_comes_after_the_import_and_once(module):
    seen = []

    def action(loaded):
        seen.append(loaded.value)

    finders = len(sys.meta_path)
    when_imported("awaited_module", action)
    when_imported("awaited_module", action)
    assert len(sys.meta_path) == finders + 1
    assert seen == []
    loaded = load()
    assert seen == [1]
    assert len(sys.meta_path) == finders
    # Nothing of the detour is left in the module.
    assert loaded.__spec__.loader is loaded.__loader__
    assert type(loaded.__loader__).__name__ == "SourceFileLoader"
    assert importlib.reload(loaded) is loaded
    assert seen == [1]


def test_a_module_that_is_there_is_acted_on_at_once(module):
    load()
    seen = []
    when_imported("awaited_module", seen.append)
    assert seen == [sys.modules["awaited_module"]]


def test_two_actions_for_one_module(module):
    seen = []
    when_imported("awaited_module", lambda loaded: seen.append("first"))
    when_imported("awaited_module", lambda loaded: seen.append("second"))
    load()
    assert sorted(seen) == ["first", "second"]


def test_an_import_that_fails_may_be_tried_again(module):
    (module / "obstacle").touch()
    seen = []
    when_imported("awaited_module", seen.append)
    with pytest.raises(RuntimeError, match="not yet"):
        load()
    assert seen == []
    load()
    assert seen == [sys.modules["awaited_module"]]


def test_a_module_that_does_not_exist_is_missing_as_ever(module):
    when_imported("awaited_nowhere", lambda loaded: None)
    with pytest.raises(ModuleNotFoundError, match="awaited_nowhere"):
        importlib.import_module("awaited_nowhere")


def test_a_module_that_is_half_imported_is_acted_on_at_its_end(module):
    (module / "awaited_module.py").write_text(
        "import awaiting\n"
        "awaiting.add()\n"
        "awaiting.add()\n"
        "if not awaiting.tries:\n"
        "    awaiting.tries.append(1)\n"
        "    raise RuntimeError('not yet')\n"
        "value = 1\n"
    )
    seen = []

    def action(loaded):
        seen.append(loaded.value)

    awaiting = types.ModuleType("awaiting")
    awaiting.tries, awaiting.add = [], lambda: when_imported("awaited_module", action)
    sys.modules["awaiting"] = awaiting
    try:
        with pytest.raises(RuntimeError, match="not yet"):
            load()
        assert seen == []
        loaded = load()
    finally:
        del sys.modules["awaiting"]
    # The one that waits since the first try, and the one of the second try.
    assert set(seen) == {1}
    assert type(loaded.__spec__) is ModuleSpec
    assert "actions" not in vars(loaded.__spec__)
