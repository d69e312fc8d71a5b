"""What ``import ollama`` gives, made of this package: for code written for ollama-python, and packages that import it.

::

    from metagpt_ollama_rs import ollama_compat as ollama   # in code of one's own
    metagpt_ollama_rs.ollama_compat.install()               # for every later `import ollama` of this process
    metagpt-ollama run --as-ollama -- COMMAND               # for every Python process below a command

It has all names of ollama-python, its private modules ``_types``, ``_client`` and ``_utils`` among them, and behind
them the public names of ``metagpt_ollama_rs``. `_client` says how its clients differ from those of
``metagpt_ollama_rs``: they keep to ollama-python's manners where the two packages are of different minds.

As in ollama-python the attribute ``_client`` of this module is the client behind the functions, and the module of that
name is found in ``sys.modules`` and by ``import``. That client is made when it is first used, and only then
``OLLAMA_HOST`` is read.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from metagpt_ollama_rs.ollama_compat import _types as _types
from metagpt_ollama_rs.ollama_compat import _utils as _utils
from metagpt_ollama_rs.ollama_compat._client import AsyncClient, Client
from metagpt_ollama_rs.ollama_compat._types import (
    ChatResponse,
    EmbeddingsResponse,
    EmbedResponse,
    GenerateResponse,
    Image,
    ListResponse,
    Message,
    Options,
    ProcessResponse,
    ProgressResponse,
    RequestError,
    ResponseError,
    ShowResponse,
    StatusResponse,
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
    Tool,
    WebFetchResponse,
    WebSearchResponse,
)
from metagpt_ollama_rs.ollama_compat.stand_in import API_VERSION as API_VERSION
from metagpt_ollama_rs.ollama_compat.stand_in import install as install
from metagpt_ollama_rs.ollama_compat.stand_in import uninstall as uninstall

if TYPE_CHECKING:
    import builtins

    from metagpt_ollama_rs.default_client import chat as chat
    from metagpt_ollama_rs.default_client import copy as copy
    from metagpt_ollama_rs.default_client import create as create
    from metagpt_ollama_rs.default_client import delete as delete
    from metagpt_ollama_rs.default_client import embed as embed
    from metagpt_ollama_rs.default_client import embeddings as embeddings
    from metagpt_ollama_rs.default_client import generate as generate
    from metagpt_ollama_rs.default_client import list as list
    from metagpt_ollama_rs.default_client import ps as ps
    from metagpt_ollama_rs.default_client import pull as pull
    from metagpt_ollama_rs.default_client import push as push
    from metagpt_ollama_rs.default_client import show as show
    from metagpt_ollama_rs.default_client import systemone as systemone
    from metagpt_ollama_rs.default_client import web_fetch as web_fetch
    from metagpt_ollama_rs.default_client import web_search as web_search

# The names that ollama-python lists in its own ``__all__``.
__all__ = [
    "AsyncClient",
    "ChatResponse",
    "Client",
    "EmbedResponse",
    "EmbeddingsResponse",
    "GenerateResponse",
    "Image",
    "ListResponse",
    "Message",
    "Options",
    "ProcessResponse",
    "ProgressResponse",
    "RequestError",
    "ResponseError",
    "ShowResponse",
    "StatusResponse",
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
    "Tool",
    "WebFetchResponse",
    "WebSearchResponse",
]

_FUNCTIONS = (
    "chat",
    "copy",
    "create",
    "delete",
    "embed",
    "embeddings",
    "generate",
    "list",
    "ps",
    "pull",
    "push",
    "show",
    "systemone",
    "web_fetch",
    "web_search",
)

# Python has bound the module to this name. What is asked for by it is the client (see ``__getattr__``).
del globals()["_client"]


# Its names are behind those of ollama-python.
_PARENT = __name__.partition(".")[0]
_package = sys.modules[_PARENT]


def __getattr__(name: str) -> Any:
    names = globals()
    if name == "_client":
        value: Any = Client()
    elif name in _FUNCTIONS:
        value = getattr(names.get("_client") or __getattr__("_client"), name)
    elif name in _package.__all__:
        value = getattr(_package, name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return names.setdefault(name, value)


def __dir__() -> builtins.list[str]:
    return sorted({*globals(), *__all__, *_FUNCTIONS, "_client", *_package.__all__})
