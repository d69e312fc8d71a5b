"""Finds the texts that are nearest to a question. The vectors go to NumPy as one block, without a copy.

    python examples/embeddings.py "How do I reset my password?" [FILE ...] [--top 3] [--model NAME]

Each line of the files is a text; without files a few built-in ones serve. It needs NumPy, and asks the Ollama at
OLLAMA_HOST with an embedding model (`ollama pull nomic-embed-text`).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from metagpt_ollama_rs import Client, OllamaError

try:
    import numpy
    from numpy.typing import NDArray
except ModuleNotFoundError as missing:
    raise SystemExit(f"{missing.name} is not installed.\nhint: pip install numpy") from None

TEXTS = [
    "A forgotten password is replaced on the sign-in page, under “Trouble signing in”.",
    "Invoices are sent on the first working day of the month.",
    "The office is closed on public holidays.",
    "Two-factor codes come from an authenticator app, never by text message.",
    "Refunds take up to ten days to arrive.",
]
# Texts in one request.
BATCH = 256


def embedding_model(client: Client) -> str:
    """A model made for embeddings, one that is in memory already if there is one."""
    for entry in [*client.ps().models, *client.list().models]:
        if not entry.get("remote_host") and "embedding" in (client.show(entry["name"]).capabilities or ()):
            return str(entry["name"])
    raise SystemExit(f"{client.base_url} has no embedding model.\nhint: ollama pull nomic-embed-text")


def embed(client: Client, model: str, texts: list[str]) -> NDArray[numpy.float32]:
    """An array of shape (texts, width). Its rows have length 1, as those of Ollama's /api/embed do."""
    # asarray reads the memory in which the reply was decoded. Only several replies have to be put together.
    blocks = [
        numpy.asarray(client.embed_array(model, texts[at : at + BATCH]), numpy.float32)
        for at in range(0, len(texts), BATCH)
    ]
    return blocks[0] if len(blocks) == 1 else numpy.concatenate(blocks)


def main() -> None:
    parser = argparse.ArgumentParser(description="Finds the texts that are nearest to a question.")
    parser.add_argument("question", nargs="?", default="How do I reset my password?")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="a text on each line, UTF-8")
    parser.add_argument("--top", type=int, default=3, help="how many to show (%(default)s)")
    parser.add_argument("--model", help="default: an embedding model that the server has")
    options = parser.parse_args()
    try:
        lines = [line.strip() for file in options.files for line in file.read_text(encoding="utf-8").splitlines()]
        texts = [line for line in lines if line] if options.files else TEXTS
        if not texts:
            parser.error("there is no text in these files")
        with Client() as client:
            model = options.model or embedding_model(client)
            vectors = embed(client, model, [options.question, *texts])
    except (OllamaError, OSError, UnicodeDecodeError) as error:
        raise SystemExit(str(error)) from error
    # Rows have length 1, so a product is the cosine of the angle between two.
    nearness = vectors[1:] @ vectors[0]
    for at in numpy.argsort(-nearness)[: options.top]:
        print(f"{nearness[at]:6.3f}  {texts[at]}")


if __name__ == "__main__":
    main()
