"""The `metagpt-ollama` command.

`main.py` reads the arguments and lists the commands, each of which is a file of its own; `command.py` holds what they
have in common. Argparse from the standard library, so that the command works wherever the package does.
"""

from __future__ import annotations

from .main import main

__all__ = ["main"]
