"""The tests of the tools read no configuration of the machine, and ask a scripted server where they ask a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from metagpt_ollama_rs.slc import OllamaConfig, ollama_config
from metagpt_ollama_rs.slc.config import VARIABLES
from metagpt_ollama_rs.testing import ScriptedServer


@pytest.fixture(autouse=True)
def no_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder without a configuration, which is the home and the root of MetaGPT; no variable of ours is set."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable.name, raising=False)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("METAGPT_PROJECT_ROOT", str(home))
    return home


@pytest.fixture
def tool_server(ollama_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> ScriptedServer:
    """A running `ScriptedServer` that the tools ask; all else of the configuration is the defaults."""
    for name, value in vars(OllamaConfig(base_url=ollama_server.url)).items():
        monkeypatch.setattr(ollama_config, name, value)
    return ollama_server
