"""Asks a vision model about one or more pictures: with the client, or with --metagpt as MetaGPT's `aask` does.

    python examples/images.py photo.jpg --question "What is on the table?" [--metagpt] [--model NAME]

It asks the Ollama at OLLAMA_HOST; the model must have the capability "vision" (`ollama pull gemma3:4b`).
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import warnings
from pathlib import Path

from metagpt_ollama_rs import Client, OllamaError


def vision_model(client: Client) -> str:
    """A model that can see, one that is in memory already if there is one."""
    for entry in [*client.ps().models, *client.list().models]:
        if not entry.get("remote_host") and "vision" in (client.show(entry["name"]).capabilities or ()):
            return str(entry["name"])
    raise SystemExit(f"{client.base_url} has no model that can see.\nhint: ollama pull gemma3:4b")


def with_client(client: Client, model: str, question: str, pictures: list[Path]) -> None:
    """`images` of a message may be paths, bytes or base64 text."""
    # Ollama silently drops pictures that a model cannot take, and the model would make something up.
    if "vision" not in (client.show(model).capabilities or ("vision",)):
        raise SystemExit(f"The model {model!r} cannot see.\nhint: choose one whose `ollama show` lists vision")
    message = {"role": "user", "content": question, "images": pictures}
    for part in client.chat(model=model, messages=[message], stream=True, options={"num_predict": 500}):
        print(part.message.content, end="", flush=True)
    print()


def with_metagpt(url: str, model: str, question: str, pictures: list[Path]) -> None:
    """An LLM object by itself: no config2.yaml is read. In an Action it is `self.llm`, and the rest is the same."""
    warnings.simplefilter("ignore")
    try:
        from metagpt.configs.llm_config import LLMConfig
    except ModuleNotFoundError as missing:
        hint = "the README of metagpt_ollama_rs shows how to install MetaGPT today"
        raise SystemExit(f"{missing.name} is not installed.\nhint: {hint}") from None

    from metagpt_ollama_rs.provider import OllamaLLM

    # MetaGPT wants a key; this placeholder is never sent.
    llm = OllamaLLM(LLMConfig(api_type="ollama", base_url=url, model=model, api_key="ollama"))
    encoded = [base64.b64encode(picture.read_bytes()).decode() for picture in pictures]
    # MetaGPT prints the answer as it streams in.
    asyncio.run(llm.aask(question, images=encoded))


def main() -> None:
    parser = argparse.ArgumentParser(description="Asks a vision model about pictures.")
    parser.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE", help="PNG or JPEG")
    parser.add_argument("--question", default="What is in this picture?")
    parser.add_argument("--model", help="default: one of the server's that can see")
    parser.add_argument("--metagpt", action="store_true", help="ask through MetaGPT's aask")
    options = parser.parse_args()
    try:
        with Client() as client:
            model = options.model or vision_model(client)
            if options.metagpt:
                with_metagpt(client.base_url, model, options.question, options.pictures)
            else:
                with_client(client, model, options.question, options.pictures)
    except (OllamaError, OSError, ImportError) as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
