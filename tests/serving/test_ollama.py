"""The servers here and the client have the same endpoints, though neither uses the other's table."""

from __future__ import annotations

from metagpt_ollama_rs import endpoints
from metagpt_ollama_rs.serving import ollama


def test_a_path_of_the_servers_is_that_of_the_clients_endpoint():
    for name in ("TAGS", "PS", "SHOW", "CHAT", "GENERATE", "EMBED", "EMBEDDINGS"):
        assert getattr(ollama, name) == getattr(endpoints, name).path
    assert endpoints.VERSION.path == ollama.VERSION_PATH
