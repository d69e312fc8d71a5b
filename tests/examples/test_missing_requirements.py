"""Examples that need more than this package say so where it is missing, in a line and a hint."""

from __future__ import annotations

from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

# Runs an example as the main program, without one module.
WITHOUT = """
import runpy, sys
from importlib.machinery import PathFinder

gone, file = sys.argv[1:3]

class AllOthers:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name == gone else PathFinder.find_spec(name, path, target)

sys.meta_path[:] = [AllOthers if finder is PathFinder else finder for finder in sys.meta_path]
sys.path.insert(0, file.rpartition("/")[0])
sys.argv = sys.argv[2:]
runpy.run_path(file, run_name="__main__")
"""


@pytest.mark.parametrize(
    ("example", "module", "arguments"),
    [
        ("streaming_api", "uvicorn", []),
        ("streaming_api", "fastapi", []),
        ("embeddings", "numpy", ["How?"]),
        ("role", "metagpt", ["Why?", "--model", "m"]),
        ("team", "metagpt", ["A slogan", "--model", "m"]),
        ("images", "metagpt", ["--metagpt", "--model", "m", "picture.png"]),
        ("demo", "metagpt", []),
        ("structured", "metagpt", []),
    ],
)
def test_what_is_missing_is_told(run_python, ollama_server, example, module, arguments):
    file = str(EXAMPLES / f"{example}.py")
    done = run_python("-c", WITHOUT, module, file, *arguments, OLLAMA_HOST=ollama_server.url)
    assert done.returncode == 1, done.stderr
    error, hint = done.stderr.splitlines()[-2:]
    assert error == f"{module} is not installed."
    assert hint.startswith("hint: ")
    assert "Traceback" not in done.stderr
