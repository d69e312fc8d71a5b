"""MetaGPT's own provider and ours, side by side: the same request to the same scripted server, both outcomes at hand.

MetaGPT reads its configuration and writes logs where HOME and METAGPT_PROJECT_ROOT point when it is imported, so both
are set here, to a scratch folder, before anything imports it. Importing it takes seconds: all tests but those of the
import order share this process. ``metagpt.provider.ollama_api`` is MetaGPT's original here; ours is
``metagpt_ollama_rs.provider``.
"""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import tempfile
import warnings
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

import pytest

SCRATCH = Path(tempfile.mkdtemp(prefix="metagpt-tests-"))
(SCRATCH / "config").mkdir()
(SCRATCH / "config" / "config2.yaml").write_text(
    "llm:\n  api_type: ollama\n  base_url: http://127.0.0.1:1/api\n  api_key: ollama\n  model: scripted\n",
    encoding="utf-8",
)
os.environ["HOME"] = os.environ["METAGPT_PROJECT_ROOT"] = str(SCRATCH)
# The machine's own settings must not decide what a test sees.
for variable in ("OLLAMA_HOST", "OLLAMA_API_KEY", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
    os.environ.pop(variable, None)

from metagpt.configs.llm_config import LLMConfig  # noqa: E402
from metagpt.logs import logger  # noqa: E402
from metagpt.provider import ollama_api as original  # noqa: E402
from metagpt.provider.base_llm import BaseLLM  # noqa: E402

import metagpt_ollama_rs.provider as ours  # noqa: E402
from metagpt_ollama_rs.testing import Reply, Request, ScriptedServer  # noqa: E402

# Each call with the original is followed by a collection, which must not walk through all of MetaGPT.
gc.collect()
gc.freeze()

MODULES = {"original": original, "ours": ours}
DEFAULT_MODEL = "scripted"

# What a call does with an LLM object: `lambda llm: llm.aask("hi")`.
Call = Callable[[Any], Awaitable[Any]]


@dataclass
class Outcome:
    """What came of one call with one provider."""

    value: Any = None
    error: BaseException | None = None
    deltas: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    complaints: list[str] = field(default_factory=list)
    llm: Any = None

    @property
    def sent(self) -> Any:
        """The body of the last request for text or vectors."""
        return [r for r in self.requests if r.method == "POST" and r.path != "/api/show"][-1].json()

    @property
    def failure(self) -> str:
        """The name of the error's class, or "" when there was none."""
        return type(self.error).__name__ if self.error else ""


@dataclass
class Duel:
    original: Outcome
    ours: Outcome


def pytest_sessionfinish() -> None:
    shutil.rmtree(SCRATCH, ignore_errors=True)


@pytest.fixture(autouse=True)
def no_waiting_between_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """MetaGPT waits up to a minute before it asks again after a ConnectionError."""

    async def at_once(_seconds: float) -> None:
        return None

    monkeypatch.setattr(BaseLLM.acompletion_text.retry, "sleep", at_once)


@pytest.fixture
def warned() -> Any:
    """The warnings of MetaGPT's log."""
    lines: list[str] = []
    sink = logger.add(lines.append, level="WARNING", format="{message}")
    yield lines
    logger.remove(sink)


@pytest.fixture
def server() -> Any:
    with ScriptedServer(models=[DEFAULT_MODEL]) as running:
        yield running


@pytest.fixture
def make_config(server: ScriptedServer) -> Callable[..., LLMConfig]:
    """A valid configuration for the scripted server, in the form that MetaGPT's own provider needs."""

    def make(**fields: Any) -> LLMConfig:
        defaults = {"api_type": "ollama", "base_url": f"{server.url}/api", "api_key": "ollama", "model": DEFAULT_MODEL}
        return LLMConfig(**{**defaults, **fields})

    return make


def run_on_a_bare_loop(main: Any) -> None:
    """As notebooks and servers do: nobody asks the loop to finish its asynchronous generators at the end."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(main)
    finally:
        loop.close()


@pytest.fixture
def ask(
    server: ScriptedServer, make_config: Callable[..., LLMConfig], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Outcome]:
    """Runs one call with the named provider's class, on an event loop of its own, and tells what came of it."""

    def run(who: str, call: Call, *, kind: str = "OllamaLLM", bare_loop: bool = False, **config: Any) -> Outcome:
        outcome = Outcome()
        # Found by both: the original looks the name up in its module, ours looks there too.
        monkeypatch.setattr(original, "log_llm_stream", outcome.deltas.append)
        seen, before = len(server.requests), server.connections

        async def main() -> None:
            asyncio.get_running_loop().set_exception_handler(
                lambda _loop, context: outcome.complaints.append(context["message"])
            )
            outcome.llm = getattr(MODULES[who], kind)(make_config(**config))
            outcome.value = await call(outcome.llm)

        # The original leaves sessions open, which is one of its outcomes, not a mistake of the tests.
        with warnings.catch_warnings():
            if who == "original":
                warnings.simplefilter("ignore", ResourceWarning)
            try:
                (run_on_a_bare_loop if bare_loop else asyncio.run)(main())
            except Exception as error:
                outcome.error = error.with_traceback(None)
            if who == "original":
                gc.collect()
        outcome.requests = server.requests[seen:]
        outcome.connections = server.connections - before
        return outcome

    return run


@pytest.fixture
def duel(ask: Callable[..., Outcome]) -> Callable[..., Duel]:
    """The same call through the original and through ours."""

    def run(call: Call, **arguments: Any) -> Duel:
        return Duel(ask("original", call, **arguments), ask("ours", call, **arguments))

    return run


@pytest.fixture
def answers(server: ScriptedServer) -> Callable[..., None]:
    """Scripts the answer to every chat and generate request, streamed or whole as each asks."""

    def script(content: Any = "Hello world", **fields: Any) -> None:
        def chat(request: Request) -> Reply:
            return Reply.chat(content, stream=request.json().get("stream", True), **fields)

        def generate(request: Request) -> Reply:
            return Reply.generate(content, stream=request.json().get("stream", True), **fields)

        server.on("POST", "/api/chat", chat)
        server.on("POST", "/api/generate", generate)

    return script
