"""A MetaGPT role with two actions in a row: an outline, then a text from that outline, streamed to the terminal.

    python examples/role.py "Why do cats purr?" [--model NAME]

It needs MetaGPT, and asks the Ollama at OLLAMA_HOST. The configuration is made on the spot, so that yours is neither
needed nor touched; a program of your own leaves `configure` out and has a config2.yaml.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

from metagpt_ollama_rs import Client, OllamaError


def chat_model(client: Client) -> str:
    """A model that can chat, one that is in memory already if there is one."""
    for entry in [*client.ps().models, *client.list().models]:
        if not entry.get("remote_host") and "completion" in (client.show(entry["name"]).capabilities or ()):
            return str(entry["name"])
    raise SystemExit(f"{client.base_url} has no chat model.\nhint: ollama pull smollm2")


def configure(folder: str, url: str, model: str) -> None:
    """Gives MetaGPT a home and a config2.yaml in `folder`. MetaGPT reads it when it is imported: call this before."""
    # MetaGPT wants a key; this placeholder is never sent.
    llm = {"api_type": "ollama", "base_url": url, "model": model, "api_key": "ollama", "max_token": 500}
    file = Path(folder, ".metagpt", "config2.yaml")
    file.parent.mkdir()
    # MetaGPT reads YAML, and JSON is a part of YAML.
    file.write_text(json.dumps({"llm": llm}), encoding="utf-8")
    os.environ.update(HOME=folder, METAGPT_PROJECT_ROOT=folder, LOGURU_AUTOINIT="no")


def run(question: str) -> None:
    warnings.simplefilter("ignore")
    try:
        from metagpt.actions import Action
        from metagpt.logs import define_log_level, set_llm_stream_logfunc
        from metagpt.roles import Role
    except ModuleNotFoundError as missing:
        hint = "the README of metagpt_ollama_rs shows how to install MetaGPT today"
        raise SystemExit(f"{missing.name} is not installed.\nhint: {hint}") from None

    import metagpt_ollama_rs.provider  # noqa: F401 - importing it switches MetaGPT over

    define_log_level(print_level="CRITICAL")
    set_llm_stream_logfunc(lambda text: print(text, end="", flush=True))

    class Outline(Action):
        name: str = "Outline"

        async def run(self, history: list[Any]) -> str:
            print("\nOutline\n")
            return str(await self._aask(f"Outline an answer in three short bullet points: {history[-1].content}"))

    class Write(Action):
        name: str = "Write"

        async def run(self, history: list[Any]) -> str:
            asked, outline = history[0].content, history[-1].content
            print("\nText\n")
            prompt = f"Write one paragraph that answers: {asked}\n\nFollow this outline:\n{outline}"
            return str(await self._aask(prompt, ["You write plainly, for a general reader."]))

    class Writer(Role):
        name: str = "Ada"
        profile: str = "Writer"

        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.set_actions([Outline, Write])
            self._set_react_mode(react_mode="by_order")

    asyncio.run(Writer().run(question))


def main() -> None:
    parser = argparse.ArgumentParser(description="A MetaGPT role with two actions.")
    parser.add_argument("question", nargs="?", default="Why do cats purr?")
    parser.add_argument("--model", help="default: one that the server has")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            with Client() as client:
                url, model = client.base_url, options.model or chat_model(client)
            configure(folder, url, model)
            run(options.question)
        except OllamaError as error:
            raise SystemExit(str(error)) from error
        except Exception as error:
            # Role.run wraps the error into a plain Exception, as its cause.
            raise SystemExit(str(error.__context__ or error)) from error


if __name__ == "__main__":
    main()
