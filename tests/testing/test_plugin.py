"""The fixture that users get with the package."""

from __future__ import annotations

import urllib.request


def test_the_fixture_is_a_running_server(ollama_server):
    ollama_server.answer("Hello")
    with urllib.request.urlopen(ollama_server.url + "/api/version", timeout=20) as response:
        assert response.status == 200
    assert ollama_server.last.path == "/api/version"


def test_each_test_has_a_server_of_its_own(ollama_server):
    assert ollama_server.requests == []
