"""What the attributes of events are called, and which settings of a request are among them."""

from __future__ import annotations

from typing import Any

import pytest

from metagpt_ollama_rs.endpoints import ENDPOINTS, endpoint_at
from metagpt_ollama_rs.event_attributes import request_attributes


def test_settings_of_a_request_are_attributes() -> None:
    def attributes(path: str, payload: Any) -> dict[str, Any]:
        found = request_attributes(endpoint_at(path), payload, "https://example.com", "", False)
        return {name: value for name, value in found.items() if name not in known}

    known = set(request_attributes(endpoint_at("/api/chat"), None, "http://host", "", False))
    options = {
        "temperature": 0,
        "top_p": 0.9,
        "top_k": 40,
        "seed": 7,
        "num_predict": 100,
        "stop": ["a", "b"],
        "frequency_penalty": 0.5,
        "presence_penalty": 0.25,
        "num_ctx": 8192,
    }
    expected = {
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.top_k": 40.0,
        "gen_ai.request.frequency_penalty": 0.5,
        "gen_ai.request.presence_penalty": 0.25,
        "gen_ai.request.seed": 7,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.stop_sequences": ["a", "b"],
        "gen_ai.output.type": "json",
    }
    assert attributes("/api/chat", {"options": options, "format": {"type": "object"}}) == expected
    openai = {**options, "max_tokens": 100, "response_format": {"type": "json_schema"}, "n": 2}
    del openai["num_predict"]
    assert attributes("/v1/chat/completions", openai) == {**expected, "gen_ai.request.choice.count": 2}
    assert attributes("/api/chat", {"options": {"num_predict": -1, "temperature": None, "top_k": True}}) == {}
    assert attributes("/api/embed", {"dimensions": 64}) == {"gen_ai.embeddings.dimension.count": 64}
    assert attributes("/v1/responses", b'{"temperature": 1}') == {}


@pytest.mark.parametrize(
    ("path", "operation"),
    [
        ("/api/chat", "chat"),
        ("/api/generate", "text_completion"),
        ("/api/embed", "embeddings"),
        ("/api/embeddings", "embeddings"),
        ("/api/pull", "pull"),
        ("/v1/chat/completions", "chat"),
        ("/v1/responses", "chat"),
        ("/api/new?key=secret", "new"),
        ("/api/blobs/sha256:0a1b", "blobs"),
    ],
)
def test_operations_have_the_names_of_the_conventions(path: str, operation: str) -> None:
    assert endpoint_at(path).operation == operation
    assert ENDPOINTS["/api/tags"].operation == "list"
