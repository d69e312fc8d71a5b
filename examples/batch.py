"""Asks one question about every *.txt and *.md file of a folder, several at a time, with a progress bar.

    python examples/batch.py FOLDER [--question TEXT] [--at-once 4] [--output FILE] [--model NAME]

Each answer is a line of JSON in FOLDER/answers.jsonl, written as soon as it is there. After Ctrl-C the same command
goes on with the files that have no answer yet, or that have changed since. A file that fails is reported, and the
others go on; the exit code is then 1. It asks the Ollama at OLLAMA_HOST, and draws the bar if `rich` is installed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, TextIO

from metagpt_ollama_rs import AsyncClient, Client, ConnectError, ModelNotFoundError, OllamaError

# The fields that tell which question about which file was answered; a file by its content, so that the question is
# asked again about a changed one.
KEY = ("file", "sha256", "question", "model")


def chat_model(client: Client) -> str:
    """A model that can chat, one that is in memory already if there is one."""
    for entry in [*client.ps().models, *client.list().models]:
        if not entry.get("remote_host") and "completion" in (client.show(entry["name"]).capabilities or ()):
            return str(entry["name"])
    raise SystemExit(f"{client.base_url} has no chat model.\nhint: ollama pull smollm2")


def answered(output: TextIO) -> Iterator[tuple[str, ...]]:
    """The questions that `output` has answers to; cuts off a last line that a crash has left half written."""
    output.seek(0)
    line = "\n"
    for line in output:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            record = json.loads(line)
            yield tuple(str(record[name]) for name in KEY)
    if not line.endswith("\n"):
        output.write("\n")


@contextlib.contextmanager
def progress(total: int) -> Iterator[Callable[[str], None]]:
    """Yields a function to call after each file: a line above a bar, or just the line where stderr is no terminal."""
    try:
        if not sys.stderr.isatty():
            raise ImportError
        from rich.console import Console
        from rich.progress import MofNCompleteColumn, Progress
    except ImportError:
        count = iter(range(1, total + 1))
        yield lambda line: print(f"[{next(count)}/{total}] {line}", file=sys.stderr, flush=True)
        return
    console = Console(stderr=True, highlight=False)
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=console) as bar:
        task = bar.add_task("files", total=total)

        def tell(line: str) -> None:
            console.print(line, markup=False)
            bar.advance(task)

        yield tell


def read(file: Path) -> tuple[str, str]:
    """The text of a file, and the digest of its bytes."""
    data = file.read_bytes()
    return data.decode("utf-8"), hashlib.sha256(data).hexdigest()


async def run(files: list[Path], output: TextIO, question: str, model: str, at_once: int) -> Counter[str]:
    """Writes a line to `output` for each file. Returns how many were answered, failed or had their answer already."""
    done, waiting, counts = set(answered(output)), iter(files), Counter[str]()

    async def answer(client: AsyncClient, file: Path) -> str:
        text, digest = read(file)
        record: dict[str, Any] = dict(zip(KEY, (file.name, digest, question, model)))
        if tuple(record.values()) in done:
            return "answered already"
        # truncate: a text that is longer than the model's context is an error, not an answer about a part of it.
        prompt = f"{question}\n\n{text}"
        messages = [{"role": "user", "content": prompt}]
        # A small model may never end by itself. One that repeats itself until the limit has given no answer.
        limit = {"num_predict": 1000}
        reply = await client.chat(model, messages, truncate=False, options=limit, repetition_guard=True)
        record |= {"answer": reply.message.content, "tokens": reply.eval_count}
        print(json.dumps(record, ensure_ascii=False), file=output, flush=True)
        return "answered"

    async def work(client: AsyncClient, tell: Callable[[str], None]) -> None:
        for file in waiting:
            try:
                outcome = kind = await answer(client, file)
            except (ConnectError, ModelNotFoundError):
                # The next file would fail for the same reason.
                raise
            except (OllamaError, OSError, UnicodeDecodeError) as error:
                outcome, kind = str(error), "failed"
            counts[kind] += 1
            tell(f"{file.name}: {outcome}")

    with progress(len(files)) as tell:
        async with AsyncClient() as client:
            await asyncio.gather(*(work(client, tell) for _ in range(at_once)))
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description="Asks one question about every text file of a folder.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--question", default="Summarise this text in two sentences.")
    parser.add_argument("--at-once", type=int, default=4, metavar="N", help="files at a time (%(default)s)")
    parser.add_argument("--output", type=Path, help="default: answers.jsonl in the folder")
    parser.add_argument("--model", help="default: one that the server has")
    options = parser.parse_args()
    if not options.folder.is_dir():
        parser.error(f"{options.folder} is no folder")
    if options.at_once < 1:
        parser.error("--at-once must be 1 or more")
    path: Path = options.output or options.folder / "answers.jsonl"
    found = (file for file in options.folder.iterdir() if file.suffix in (".txt", ".md") and file.is_file())
    files = sorted(file for file in found if file.resolve() != path.resolve())
    try:
        with Client() as client:
            model = options.model or chat_model(client)
            # Asked before the first file is read, so that a missing model is reported at once.
            client.show(model)
        print(f"Asking {model} about {len(files)} files, {options.at_once} at a time", file=sys.stderr)
        with path.open("a+", encoding="utf-8", errors="replace") as output:
            counts = asyncio.run(run(files, output, options.question, model, options.at_once))
    except (OllamaError, OSError) as error:
        raise SystemExit(str(error)) from error
    except KeyboardInterrupt:
        print(f"\nStopped. The answers so far are in {path}; the same command goes on from there.", file=sys.stderr)
        raise SystemExit(130) from None
    print(f"{path}: " + (", ".join(f"{count} {kind}" for kind, count in counts.items()) or "no *.txt, no *.md there"))
    if counts["failed"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
