"""One client and many short event loops: which connections are kept from one to the next, and that none is left."""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path
from typing import Any, Callable

import pytest

from metagpt_ollama_rs import AsyncClient
from metagpt_ollama_rs.testing import ScriptedServer

LOOPS = 20


async def _ask(client: AsyncClient) -> None:
    assert await client.version()
    assert [part async for part in await client.generate("m", "hi", stream=True)]


def test_the_general_lane_keeps_its_connections(ollama_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAGPT_OLLAMA_LANE", "general")
    ollama_server.answer("Hello")
    client = AsyncClient(ollama_server.url)
    for _ in range(LOOPS):
        asyncio.run(_ask(client))
    assert ollama_server.connections == 1


def test_connections_with_tls_are_kept_whatever_the_lane(
    ollama_server: ScriptedServer, tls_front: Callable[..., Any], certificates: Path
) -> None:
    ollama_server.answer("Hello")
    client = AsyncClient(tls_front().url, verify=certificates / "authority.pem")
    for _ in range(LOOPS):
        asyncio.run(_ask(client))
    assert ollama_server.connections == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no direct lane")
def test_the_direct_lane_connects_once_for_each_loop_and_leaves_nothing(
    ollama_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("METAGPT_OLLAMA_LANE", raising=False)
    ollama_server.answer("Hello")
    client = AsyncClient(ollama_server.url)
    for _ in range(LOOPS):
        asyncio.run(_ask(client))
    assert ollama_server.connections == LOOPS
    gc.collect()
    ollama_server.wait_for_open_connections(0)
