"""ollama-python's module of this name: its types, which are those of `metagpt_ollama_rs.responses` and of `errors`."""

from __future__ import annotations

from metagpt_ollama_rs.errors import RequestError, ResponseError
from metagpt_ollama_rs.responses import (
    ChatResponse,
    EmbeddingsResponse,
    EmbedResponse,
    GenerateResponse,
    ListResponse,
    Logprob,
    Message,
    ModelDetails,
    ProcessResponse,
    ProgressResponse,
    ShowResponse,
    StatusResponse,
)

__all__ = [
    "ChatResponse",
    "EmbedResponse",
    "EmbeddingsResponse",
    "GenerateResponse",
    "ListResponse",
    "Logprob",
    "Message",
    "ModelDetails",
    "ProcessResponse",
    "ProgressResponse",
    "RequestError",
    "ResponseError",
    "ShowResponse",
    "StatusResponse",
]
