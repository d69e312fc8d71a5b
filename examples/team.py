"""A MetaGPT team of two: an author drafts a text, a critic reviews it, the author revises it, round after round.

    python examples/team.py "A slogan for a bakery" [--drafts 3] [--model NAME]

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
    llm = {"api_type": "ollama", "base_url": url, "model": model, "api_key": "ollama", "max_token": 300}
    file = Path(folder, ".metagpt", "config2.yaml")
    file.parent.mkdir()
    # MetaGPT reads YAML, and JSON is a part of YAML.
    file.write_text(json.dumps({"llm": llm}), encoding="utf-8")
    os.environ.update(HOME=folder, METAGPT_PROJECT_ROOT=folder, LOGURU_AUTOINIT="no")


async def run(task: str, drafts: int) -> None:
    warnings.simplefilter("ignore")
    try:
        from metagpt.actions import Action, UserRequirement
        from metagpt.logs import define_log_level, set_llm_stream_logfunc
        from metagpt.roles import Role
        from metagpt.team import Team
    except ModuleNotFoundError as missing:
        hint = "the README of metagpt_ollama_rs shows how to install MetaGPT today"
        raise SystemExit(f"{missing.name} is not installed.\nhint: {hint}") from None

    import metagpt_ollama_rs.provider  # noqa: F401 - importing it switches MetaGPT over

    define_log_level(print_level="CRITICAL")
    set_llm_stream_logfunc(lambda text: print(text, end="", flush=True))

    class Draft(Action):
        name: str = "Draft"

        async def run(self, history: list[Any]) -> str:
            print("\nAuthor: ", end="", flush=True)
            so_far = "\n\n".join(f"{message.role}: {message.content}" for message in history[1:])
            prompt = f"{task}\n\n{so_far}\n\nRevise your last draft accordingly." if so_far else task
            return str(await self._aask(prompt, ["You are an author. Reply with the text only."]))

    class Review(Action):
        name: str = "Review"

        async def run(self, history: list[Any]) -> str:
            print("\nCritic: ", end="", flush=True)
            prompt = f"The task was: {task}\n\nThe draft:\n{history[-1].content}\n\nName the one thing to improve."
            return str(await self._aask(prompt, ["You are a critic. Reply in one or two sentences."]))

    class Author(Role):
        name: str = "Ada"
        profile: str = "Author"

        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.set_actions([Draft])
            self._watch([UserRequirement, Review])

    class Critic(Role):
        name: str = "Bob"
        profile: str = "Critic"

        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.set_actions([Review])
            self._watch([Draft])

    team = Team()
    team.hire([Author(), Critic()])
    team.run_project(task)
    # The two take turns. Team.run is not used, because it logs an error and then returns as if there was none.
    for _ in range(2 * drafts - 1):
        await team.env.run()


def main() -> None:
    parser = argparse.ArgumentParser(description="A MetaGPT team: an author and a critic.")
    parser.add_argument("task", nargs="?", default="Write a slogan for a small bakery that opens at night.")
    parser.add_argument("--drafts", type=int, default=2, help="how many drafts the author writes (%(default)s)")
    parser.add_argument("--model", help="default: one that the server has")
    options = parser.parse_args()
    if options.drafts < 1:
        parser.error("--drafts must be 1 or more")
    with tempfile.TemporaryDirectory() as folder:
        try:
            with Client() as client:
                url, model = client.base_url, options.model or chat_model(client)
            configure(folder, url, model)
            asyncio.run(run(options.task, options.drafts))
        except OllamaError as error:
            raise SystemExit(str(error)) from error
        except Exception as error:
            # Role.run wraps the error into a plain Exception, as its cause.
            raise SystemExit(str(error.__context__ or error)) from error


if __name__ == "__main__":
    main()
