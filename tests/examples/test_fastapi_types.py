"""Requests and replies as the bodies and replies of a FastAPI application, and in its OpenAPI document."""

from typing import Annotated

import pytest
from fastapi import Body, FastAPI
from fastapi.testclient import TestClient

from metagpt_ollama_rs import ChatResponse, ListResponse, Message
from metagpt_ollama_rs.request_types import ChatRequest

MODEL = {"model": "m", "modified_at": "2025-05-04T17:37:44.706015396-07:00", "size": 12, "name": "m"}


@pytest.fixture(scope="module")
def web():
    app = FastAPI()

    @app.post("/chat")
    def chat(request: Annotated[ChatRequest, Body()]) -> ChatResponse:
        last = request.messages[-1]
        return ChatResponse({"model": request.model, "message": last, "done": True, "new": 1})

    @app.post("/echo", response_model=list[Message], response_model_exclude_none=True)
    def echo(messages: list[Message]):
        return [Message(role="assistant", content=message.content) for message in messages]

    @app.get("/models")
    def models() -> ListResponse:
        return ListResponse({"models": [MODEL]})

    return TestClient(app)


def test_bodies_become_records_and_replies_json(web):
    message = {"role": "user", "content": "Hi", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}
    reply = web.post("/chat", json={"model": "m", "messages": [{"role": "system"}, message]})
    assert reply.status_code == 200
    assert {key: value for key, value in reply.json().items() if value is not None} == {
        "model": "m",
        "done": True,
        "message": {**message, "thinking": None, "images": None, "tool_name": None},
        "new": 1,
    }
    assert web.post("/echo", json=[message]).json() == [{"role": "assistant", "content": "Hi"}]
    assert web.get("/models").json() == {
        "models": [{**MODEL, "modified_at": "2025-05-04T17:37:44.706015-07:00", "digest": None, "details": None}]
    }


def test_what_is_wrong_is_named(web):
    reply = web.post("/chat", json={"model": "", "options": 3, "tools": [{"function": {"name": []}}]})
    assert reply.status_code == 422
    places = {tuple(problem["loc"][:3]) for problem in reply.json()["detail"]}
    assert {("body", "model"), ("body", "tools", 0)} <= places
    assert web.post("/echo", json=[{"content": "Hi"}]).json()["detail"][0]["loc"] == ["body", 0, "role"]


def test_the_document_has_the_fields(web):
    document = web.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    reply = document["paths"]["/chat"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert reply == {"$ref": "#/components/schemas/ChatResponse"}
    assert list(schemas["ChatResponse"]["properties"]) == list(ChatResponse.model_fields)
    assert schemas["ChatResponse"]["required"] == ["message"]
    assert schemas["ChatRequest"]["properties"]["model"] == {"type": "string", "minLength": 1, "title": "Model"}
    assert schemas["ModelDetails"]["properties"].keys() == {
        "parent_model", "format", "family", "families", "parameter_size", "quantization_level",
    }  # fmt: skip
