"""What a type checker says of calls of the clients."""

from __future__ import annotations

import re
import sys

import pytest

CODE = """
import metagpt_ollama_rs as ollama
from metagpt_ollama_rs import AsyncClient, Client, chat, ollama_compat

client = Client()
reveal_type(client.chat("m", []))
reveal_type(client.chat("m", [], stream=True, think="high"))
reveal_type(client.generate("m", "Hi", system=b"Be brief.", images=["a.png"], options={"seed": 1}))
reveal_type(client.generate("m", "Hi", stream=True, raw=True))
client.generate("m", "Hi", tools=[])
client.generate("m", "Hi", steps="many")
client.chat("m", [], system="Be brief.")
client.chat("m", [], format=3)
reveal_type(client.pull("m", insecure=True, timeout=30))
reveal_type(client.push("m", stream=True, headers={"X-Team": "a"}))
reveal_type(client.create("m", "q4_K_M", "n", stream=True, renderer="r"))
client.pull("m", tiemout=30)
client.list(timeout="soon")
reveal_type(client.list(retries=0).models[0].model)
reveal_type(ollama.chat("m", [], stream=True))
reveal_type(chat("m"))
reveal_type(ollama.list())
reveal_type(ollama.embed_array("m", "a").shape)
reveal_type(ollama_compat.chat("m", [], stream=True))
reveal_type(ollama_compat.list())


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
note: Revealed type is "ProgressResponse"
note: Revealed type is "BlockingStream[ProgressResponse]"
note: Revealed type is "BlockingStream[ProgressResponse]"
error: No overload variant of "pull" of "Client" matches
error: Argument "timeout" to "list" of "Client" has incompatible type "str"
note: Revealed type is "str | None"
note: Revealed type is "BlockingStream[ChatResponse]"
note: Revealed type is "ChatResponse"
note: Revealed type is "ListResponse"
note: Revealed type is "tuple[int, int]"
note: Revealed type is "BlockingStream[ChatResponse]"
note: Revealed type is "ListResponse"
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
    kept = [line for line in lines if re.search("Revealed|No overload|Argument", line)]
    found = [re.sub(r'( matches|type "str").*', r"\1", line) for line in kept]
    assert found == SAID.split("\n")[1:-1]
