"""The pytest plugin: fixtures with a scripted Ollama server. pytest finds it through the package's entry point."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .server import ScriptedServer


@pytest.fixture
def ollama_server() -> Iterator[ScriptedServer]:
    """A running `ScriptedServer` with nothing scripted, stopped after the test.

    def test_greeting(ollama_server):
        ollama_server.answer("Hello world")
        assert my_program(ollama_server.url) == "Hello world"
        assert ollama_server.last.json()["model"] == "smollm2"
    """
    # Imported here, because pytest loads this plugin in every run, also where no test uses the fixture.
    from .server import ScriptedServer

    with ScriptedServer() as server:
        yield server
