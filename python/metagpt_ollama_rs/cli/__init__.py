"""The `metagpt-ollama` command.

`main.py` reads the arguments and runs a command; each command is a module in the folder `commands`, which imports what
it prints with from `console.py`. Argparse from the standard library, so that the command works wherever the package
does.
"""

from __future__ import annotations

from .main import main

__all__ = ["main"]
