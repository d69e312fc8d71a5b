"""The `metagpt-ollama` command.

`main.py` reads the arguments and holds the manners of all commands; each command is a file of its own that `main.py`
lists. Argparse from the standard library, so that the command works wherever the package does.
"""

from __future__ import annotations

from .main import main

__all__ = ["main"]
