"""An Ollama client with a Rust core, made first for MetaGPT.

``decode`` and ``get_choice`` read replies (the guide's functions, exact and fast), and ``decode_text`` is both in one;
``StreamDecoder`` turns bytes into deltas; ``Client`` and ``AsyncClient`` talk to a server, and ``stats`` has a record
of each call; ``metagpt_ollama_rs.provider`` puts them under MetaGPT. ``chat``, ``generate``, ``list`` and the like are
the methods of a `Client` that is made when the first of them is called (`default_client`).

Importing this package imports neither asyncio nor anything of MetaGPT. The clients are loaded when they are first used.
"""

from __future__ import annotations

from metagpt_ollama_rs import _core, errors
from metagpt_ollama_rs._core import Delta, StreamDecoder, __version__, decode, decode_text, get_choice
from metagpt_ollama_rs.errors import *  # noqa: F403

TYPE_CHECKING = False
if TYPE_CHECKING:
    import builtins
    from typing import Any

    from metagpt_ollama_rs import events as events
    from metagpt_ollama_rs import progress as progress
    from metagpt_ollama_rs import stats as stats
    from metagpt_ollama_rs import telemetry as telemetry
    from metagpt_ollama_rs.async_client import AsyncClient
    from metagpt_ollama_rs.client import Client
    from metagpt_ollama_rs.default_client import chat as chat
    from metagpt_ollama_rs.default_client import configure as configure
    from metagpt_ollama_rs.default_client import copy as copy
    from metagpt_ollama_rs.default_client import create as create
    from metagpt_ollama_rs.default_client import create_blob as create_blob
    from metagpt_ollama_rs.default_client import delete as delete
    from metagpt_ollama_rs.default_client import embed as embed
    from metagpt_ollama_rs.default_client import embed_array as embed_array
    from metagpt_ollama_rs.default_client import embeddings as embeddings
    from metagpt_ollama_rs.default_client import generate as generate
    from metagpt_ollama_rs.default_client import list as list
    from metagpt_ollama_rs.default_client import ps as ps
    from metagpt_ollama_rs.default_client import pull as pull
    from metagpt_ollama_rs.default_client import push as push
    from metagpt_ollama_rs.default_client import show as show
    from metagpt_ollama_rs.default_client import systemone as systemone
    from metagpt_ollama_rs.default_client import version as version
    from metagpt_ollama_rs.default_client import web_fetch as web_fetch
    from metagpt_ollama_rs.default_client import web_search as web_search
    from metagpt_ollama_rs.inputs import Image, Options, Tool
    from metagpt_ollama_rs.limits import Retry, Timeout
    from metagpt_ollama_rs.responses import (
        ChatResponse,
        EmbeddingsResponse,
        EmbedResponse,
        GenerateResponse,
        ListResponse,
        Message,
        ProcessResponse,
        ProgressResponse,
        ShowResponse,
        StatusResponse,
    )
    from metagpt_ollama_rs.systemone_types import (
        SystemOneAnswer,
        SystemOneChoiceAnswer,
        SystemOneChoiceQuestion,
        SystemOneContent,
        SystemOneNoulAnswer,
        SystemOneNoulQuestion,
        SystemOneQuestion,
        SystemOneRequest,
        SystemOneResponse,
        SystemOneScoreAnswer,
        SystemOneScoreQuestion,
        SystemOneUsage,
    )
    from metagpt_ollama_rs.vectors import Vectors
    from metagpt_ollama_rs.web_types import WebFetchResponse, WebSearchResponse

# What `import *` leaves alone: the names of builtins and of modules are among them.
_FUNCTIONS = (
    "chat",
    "configure",
    "copy",
    "create",
    "create_blob",
    "delete",
    "embed",
    "embed_array",
    "embeddings",
    "generate",
    "list",
    "ps",
    "pull",
    "push",
    "show",
    "systemone",
    "version",
    "web_fetch",
    "web_search",
)
# Modules that users name by the package, and that are loaded when they do.
_MODULES = ("events", "progress", "stats", "telemetry")
_LAZY = {
    **dict.fromkeys(_FUNCTIONS, "default_client"),
    "AsyncClient": "async_client",
    "Client": "client",
    "Image": "inputs",
    "Options": "inputs",
    "Tool": "inputs",
    "Retry": "limits",
    "Timeout": "limits",
    "ChatResponse": "responses",
    "EmbedResponse": "responses",
    "EmbeddingsResponse": "responses",
    "GenerateResponse": "responses",
    "ListResponse": "responses",
    "Message": "responses",
    "ProcessResponse": "responses",
    "ProgressResponse": "responses",
    "ShowResponse": "responses",
    "StatusResponse": "responses",
    "SystemOneAnswer": "systemone_types",
    "SystemOneChoiceAnswer": "systemone_types",
    "SystemOneChoiceQuestion": "systemone_types",
    "SystemOneContent": "systemone_types",
    "SystemOneNoulAnswer": "systemone_types",
    "SystemOneNoulQuestion": "systemone_types",
    "SystemOneQuestion": "systemone_types",
    "SystemOneRequest": "systemone_types",
    "SystemOneResponse": "systemone_types",
    "SystemOneScoreAnswer": "systemone_types",
    "SystemOneScoreQuestion": "systemone_types",
    "SystemOneUsage": "systemone_types",
    "Vectors": "vectors",
    "WebFetchResponse": "web_types",
    "WebSearchResponse": "web_types",
}

__all__ = [
    "AsyncClient",
    "ChatResponse",
    "Client",
    "Delta",
    "EmbedResponse",
    "EmbeddingsResponse",
    "GenerateResponse",
    "Image",
    "ListResponse",
    "Message",
    "Options",
    "ProcessResponse",
    "ProgressResponse",
    "Retry",
    "ShowResponse",
    "StatusResponse",
    "StreamDecoder",
    "SystemOneAnswer",
    "SystemOneChoiceAnswer",
    "SystemOneChoiceQuestion",
    "SystemOneContent",
    "SystemOneNoulAnswer",
    "SystemOneNoulQuestion",
    "SystemOneQuestion",
    "SystemOneRequest",
    "SystemOneResponse",
    "SystemOneScoreAnswer",
    "SystemOneScoreQuestion",
    "SystemOneUsage",
    "Timeout",
    "Tool",
    "Vectors",
    "WebFetchResponse",
    "WebSearchResponse",
    "__version__",
    "decode",
    "decode_text",
    "get_choice",
    *errors.__all__,
]

if _core.DEBUG_BUILD:
    import warnings

    warnings.warn(
        "metagpt_ollama_rs was built without optimisation and is many times slower than it should be: "
        "build it with `pip install .` or `maturin build --release`",
        RuntimeWarning,
        stacklevel=2,
    )


def __getattr__(name: str) -> Any:
    module = name if name in _MODULES else _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value: Any = importlib.import_module(f"{__name__}.{module}")
    if name in _LAZY:
        value = getattr(value, name)
    globals()[name] = value
    return value


def __dir__() -> builtins.list[str]:
    return sorted({*globals(), *__all__, *_FUNCTIONS, *_MODULES})
