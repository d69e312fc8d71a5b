"""Calls of both clients to servers behind TLS: what they answer, and how they fail."""

from __future__ import annotations

import asyncio
from typing import Any, Callable

import pytest

from metagpt_ollama_rs import AsyncClient, Client, errors

Fronts = Callable[..., Any]
MESSAGES = [{"role": "user", "content": "hi"}]


def ask(url: str, **arguments: Any) -> str:
    """The answer of a server, the same to both clients, streamed and whole."""
    with Client(url, retries=0, **arguments) as client:
        answers = {client.chat("m", MESSAGES).message.content}
        answers.add("".join(part.message.content for part in client.chat("m", MESSAGES, stream=True)))

    async def asked() -> None:
        async with AsyncClient(url, retries=0, **arguments) as client:
            answers.add((await client.chat("m", MESSAGES)).message.content)
            pieces = [part.message.content async for part in await client.chat("m", MESSAGES, stream=True)]
            answers.add("".join(pieces))

    asyncio.run(asked())
    assert len(answers) == 1
    return answers.pop()


def failures(url: str, **arguments: Any) -> tuple[errors.ConnectError, errors.ConnectError]:
    """The failures to reach a server, of `Client` and of `AsyncClient`."""
    with pytest.raises(errors.ConnectError) as blocking:
        Client(url, retries=0, **arguments).chat("m", MESSAGES)

    async def asked() -> None:
        await AsyncClient(url, retries=0, **arguments).chat("m", MESSAGES)

    with pytest.raises(errors.ConnectError) as asynchronous:
        asyncio.run(asked())
    return blocking.value, asynchronous.value
