"""ollama-python's module of this name: its types, which are this package's."""

from __future__ import annotations

from metagpt_ollama_rs import request_types, systemone_types, web_types
from metagpt_ollama_rs.errors import RequestError, ResponseError
from metagpt_ollama_rs.inputs import Image, Options, Tool
from metagpt_ollama_rs.record import Record as SubscriptableBaseModel
from metagpt_ollama_rs.request_types import *  # noqa: F403
from metagpt_ollama_rs.responses import (
    BaseGenerateResponse,
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
    TokenLogprob,
)
from metagpt_ollama_rs.systemone_types import *  # noqa: F403
from metagpt_ollama_rs.web_types import *  # noqa: F403

__all__ = [
    "BaseGenerateResponse",
    "ChatResponse",
    "EmbedResponse",
    "EmbeddingsResponse",
    "GenerateResponse",
    "Image",
    "ListResponse",
    "Logprob",
    "Message",
    "ModelDetails",
    "Options",
    "ProcessResponse",
    "ProgressResponse",
    "RequestError",
    "ResponseError",
    "ShowResponse",
    "StatusResponse",
    "SubscriptableBaseModel",
    "TokenLogprob",
    "Tool",
]
__all__ += request_types.__all__
__all__ += systemone_types.__all__
__all__ += web_types.__all__
