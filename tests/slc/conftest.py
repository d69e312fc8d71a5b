"""What the tests of the tools share: the scripted server as the configured one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from metagpt_ollama_rs.slc import OllamaConfig, ollama_config
from metagpt_ollama_rs.testing import ScriptedServer


@pytest.fixture
def tool_server(ollama_server: ScriptedServer) -> Iterator[ScriptedServer]:
    """A scripted server that all tools ask, with the defaults of `OllamaConfig` for all else."""
    names = [name for name in vars(OllamaConfig()) if not name.startswith("_")]
    before = {name: getattr(ollama_config, name) for name in names}
    for name, value in vars(OllamaConfig(base_url=ollama_server.url)).items():
        setattr(ollama_config, name, value)
    yield ollama_server
    for name, value in before.items():
        setattr(ollama_config, name, value)
