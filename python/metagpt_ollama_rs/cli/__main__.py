"""`python -m metagpt_ollama_rs.cli`: the command for when its script is not on the PATH."""

from __future__ import annotations

import sys

from .main import main

if __name__ == "__main__":
    sys.exit(main())
