"""A MetaGPT node of three fields, filled with a structured answer: JSON that the server holds to the node's schema.

It asks the Ollama at OLLAMA_HOST or, where none answers, a small model of its own, as demo.py does.

    python examples/structured.py [--task TEXT] [--gguf FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
import warnings
from pathlib import Path
from typing import Any, List

from demo import bundled_gguf, configure_metagpt, embedded_server, need_metagpt, running_ollama


async def fill_plan(task: str) -> dict[str, Any]:
    """Asks for a plan and returns its fields, each of the type that the node declares."""
    warnings.simplefilter("ignore")
    need_metagpt()
    from loguru import logger

    logger.remove()
    from metagpt.actions.action_node import ActionNode
    from metagpt.context import Context
    from metagpt.logs import define_log_level

    import metagpt_ollama_rs.provider  # noqa: F401 - importing it switches MetaGPT over

    define_log_level(print_level="ERROR")
    context = Context()
    plan = ActionNode.from_children(
        "Plan",
        [
            ActionNode("Title", str, "A short title of the project", "Web shop"),
            ActionNode("Tasks", List[str], "Three tasks, in their order", ["Draw the pages", "Write the code"]),
            ActionNode("Days", int, "How many days it takes", 3),
        ],
    )
    await plan.fill(context=f"Plan {task}.", llm=context.llm())
    fields: dict[str, Any] = plan.instruct_content.model_dump()
    return fields


def main() -> None:
    parser = argparse.ArgumentParser(description="Fills a MetaGPT node with a structured answer.")
    parser.add_argument("--task", default="a chess game for the terminal")
    parser.add_argument("--gguf", type=Path, help="model file for when no Ollama answers")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="metagpt-ollama-example-") as folder, contextlib.ExitStack() as stack:
        scratch = Path(folder)
        server, obstacle = running_ollama()
        if server is None:
            gguf = options.gguf or bundled_gguf()
            server = stack.enter_context(embedded_server(gguf, scratch, obstacle))
        configure_metagpt(server, scratch)
        print(f"Server: {server.reason}.\nModel:  {server.model}. Loading MetaGPT takes a few seconds …", flush=True)
        try:
            fields = asyncio.run(fill_plan(options.task))
        except Exception as error:
            # tenacity's RetryError has the last attempt's error as its cause.
            raise SystemExit(f"\n{error.__cause__ or error}") from error
        print()
        for name, value in fields.items():
            print(f"{name:>12}  {value!r}")


if __name__ == "__main__":
    main()
