"""What a type checker says of calls of the clients."""

from __future__ import annotations

import re
import sys

import pytest

CODE = """
from metagpt_ollama_rs import AsyncClient, Client

client = Client()
reveal_type(client.chat("m", []))
reveal_type(client.chat("m", [], stream=True, think="high"))
reveal_type(client.generate("m", "Hi", system=b"Be brief.", images=["a.png"], options={"seed": 1}))
reveal_type(client.generate("m", "Hi", stream=True, raw=True))
client.generate("m", "Hi", tools=[])
client.generate("m", "Hi", steps="many")
client.chat("m", [], system="Be brief.")
client.chat("m", [], format=3)


async def main(client: AsyncClient) -> None:
    reveal_type(await client.chat("m", [], tools=[print], keep_alive="5m"))
    reveal_type(await client.generate("m", "Hi", stream=True, width=512))
    await client.generate("m", "Hi", widht=512)
"""

SAID = """
note: Revealed type is "ChatResponse"
note: Revealed type is "BlockingStream[ChatResponse]"
note: Revealed type is "GenerateResponse"
note: Revealed type is "BlockingStream[GenerateResponse]"
error: No overload variant of "generate" of "Client" matches
error: No overload variant of "generate" of "Client" matches
error: No overload variant of "chat" of "Client" matches
error: No overload variant of "chat" of "Client" matches
note: Revealed type is "ChatResponse"
note: Revealed type is "Stream[GenerateResponse]"
error: No overload variant of "generate" of "AsyncClient" matches
"""


def test_fields_and_replies_are_typed(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    api = pytest.importorskip("mypy.api")
    # From another folder, where mypy finds the installed package and no configuration.
    monkeypatch.chdir(str(tmp_path))
    said, complaints, _ = api.run(["--python-executable", sys.executable, "--cache-dir", "cache", "-c", CODE])
    assert not complaints
    lines = [re.sub(r"^<string>:\d+: |metagpt_ollama_rs\.\w+\.", "", line) for line in said.splitlines()]
    found = [re.sub(r" matches .*", " matches", line) for line in lines if "Revealed" in line or "No overload" in line]
    assert found == SAID.split("\n")[1:-1]
