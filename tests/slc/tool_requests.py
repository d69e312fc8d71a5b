"""What the tools send, and the files that they are given: what several of their tests need."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def generate_body(prompt: str, **changed: Any) -> dict[str, Any]:
    """The whole body of a tool's request to ``/api/generate``, with the default configuration and no options; but for
    what is ``changed``."""
    return {
        "model": "qwen2.5:7b",
        "prompt": prompt,
        "options": {"temperature": 0.1},
        "truncate": False,
        "shift": False,
        "stream": False,
        **changed,
    }


def plant(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Writes the ``files``, by their paths below ``root``, and returns that."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root
