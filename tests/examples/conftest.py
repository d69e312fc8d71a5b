"""A home for MetaGPT: every program in this folder runs in a scratch folder with a configuration of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


class Runner:
    """Runs programs as a user would, away from this process and from the configuration of whoever runs the tests."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def configure(self, base_url: str) -> None:
        folder = self.home / ".metagpt"
        folder.mkdir()
        llm = {"api_type": "ollama", "base_url": base_url, "model": "smollm2", "api_key": "ollama"}
        (folder / "config2.yaml").write_text(json.dumps({"llm": llm}), encoding="utf-8")

    def __call__(
        self, *arguments: str, folder: Path | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        names = ("PATH", "LANG", "LD_LIBRARY_PATH", "PYTHONPATH")
        kept = {name: os.environ[name] for name in names if name in os.environ}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=folder or self.home,
            env={
                **kept,
                "HOME": str(self.home),
                "METAGPT_PROJECT_ROOT": str(self.home),
                "PYTHONUTF8": "1",
                **variables,
            },
            capture_output=True,
            text=True,
            timeout=240,
        )


@pytest.fixture
def run_python(tmp_path) -> Runner:
    return Runner(tmp_path)
