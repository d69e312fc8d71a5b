"""The plugin of the processes that run scenarios: which client stands behind `import ollama`, and what is written down.

Scenarios are tests (``scenarios_*.py``) that use somebody's package, whose folder is on the path of the process. The
variable `CLIENT` says whether that package gets the `ollama` of PyPI (``real``) or this one (``ours``, or ``ours by
command`` where `metagpt-ollama run` has seen to it), `RECORDS` names a file that gets a line of JSON for each scenario:
what it has kept, and the requests that the scripted server has seen.

    {"scenario": "test_invoke", "kept": ["Hello world"], "requests": [["POST", "/api/chat", {…}, {"accept": …}]]}

Whoever starts two such processes (``test_packages.py``) compares their lines.
"""

from __future__ import annotations

import datetime
import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Callable

import pytest

from metagpt_ollama_rs.testing import ScriptedServer

CLIENT = "METAGPT_OLLAMA_PACKAGES_CLIENT"
RECORDS = "METAGPT_OLLAMA_PACKAGES_RECORDS"
EMBEDDED = "METAGPT_OLLAMA_PACKAGES_EMBEDDED"
MODEL = "smollm2"

# Headers in which HTTP clients differ without a difference in meaning.
OF_THE_CLIENT = {"accept", "accept-encoding", "connection", "content-length", "host", "transfer-encoding", "user-agent"}

if os.environ.get(CLIENT) == "ours":
    from metagpt_ollama_rs import ollama_compat

    ollama_compat.install()


@pytest.fixture(scope="session", autouse=True)
def _only_one_client() -> Iterator[None]:
    """Nothing has reached PyPI's `ollama` on another way, or ours when it was not to be there."""
    yield
    files = [getattr(module, "__file__", None) or "" for module in list(sys.modules.values())]
    real = any(file.endswith(f"{os.sep}ollama{os.sep}_client.py") for file in files)
    assert real == (os.environ[CLIENT] == "real")


@pytest.fixture
def server(ollama_server: ScriptedServer) -> ScriptedServer:
    """The scripted server, which answers nothing by itself but what names no model."""
    return ollama_server


@pytest.fixture
def client() -> str:
    """`real` or `ours`: for what a package can do with one of them only."""
    return os.environ[CLIENT].split()[0]


@pytest.fixture
def embedded() -> str:
    """The address of an embedded server with a real model, of the name `MODEL`."""
    if EMBEDDED not in os.environ:
        pytest.skip(f"{EMBEDDED} does not name a server")
    return os.environ[EMBEDDED]


@pytest.fixture
def keep(request: pytest.FixtureRequest) -> Iterator[Callable[[Any], None]]:
    """Writes down a value, which has to be the same with either client."""
    kept: list[Any] = []
    yield lambda value: kept.append(plain(value))
    request.node.kept = kept


@pytest.fixture(autouse=True)
def _recorded(request: pytest.FixtureRequest) -> Iterator[None]:
    # Named first, so that it ends after the others.
    yield
    server = request.node.funcargs.get("server")
    requests = [] if server is None else [sent(one) for one in server.requests]
    line = {"scenario": request.node.name, "kept": getattr(request.node, "kept", []), "requests": requests}
    if RECORDS in os.environ:
        with open(os.environ[RECORDS], "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def sent(request: Any) -> list[Any]:
    """What a request means: method, path, body, and the headers that are not the HTTP client's own business."""
    headers = {name.lower(): value for name, value in request.headers if name.lower() not in OF_THE_CLIENT}
    return [request.method, request.path, request.json() if request.body else None, headers]


def plain(value: Any) -> Any:
    """A value as JSON, objects with the name of their type, so that equal JSON means equal values."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, BaseException):
        return {"type": kind(value), "text": str(value)}
    if callable(getattr(value, "model_dump", None)):
        return {"type": type(value).__name__, **plain(value.model_dump())}
    return {"type": type(value).__name__, "text": str(value)}


def kind(error: BaseException) -> str:
    """The class of an error that code written for `ollama` catches: the first that both clients have."""
    ollama = sys.modules["ollama"]
    known = (ollama.ResponseError, ollama.RequestError, ConnectionError, TimeoutError, ValueError)
    return next((base.__name__ for base in known if isinstance(error, base)), type(error).__name__)
