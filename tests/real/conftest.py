"""A private environment whose MetaGPT is switched over by `metagpt-ollama install`, as a user's would be.

It is a virtual environment that finds all packages in the one of the tests but MetaGPT, of which it has files of its
own: uv's environments share files by hard links, and nothing done here may reach another one. MetaGPT runs in processes
of this environment only, never in that of the tests: `scenarios.py` and `models.py` are tests that one such process
runs, so that MetaGPT is imported once for all of them.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# The machine's own settings must not decide what a test sees.
LEFT_OUT = ("OLLAMA_HOST", "OLLAMA_API_KEY", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "PYTHONPATH",
            "METAGPT_OLLAMA_STATS", "METAGPT_OLLAMA_RUN")  # fmt: skip


class Environment:
    """`folder` is the environment, `package` its MetaGPT, `home` what its programs take for home and project."""

    def __init__(self, folder: Path, package: Path, home: Path) -> None:
        self.folder, self.package, self.home = folder, package, home

    def run(self, program: str, *arguments: object, cwd: Path | None = None, seconds: float = 500, **changes: str):
        """Runs a program of the environment, such as `python` or `metagpt`."""
        return subprocess.run(
            [self.folder / "bin" / program, *map(str, arguments)],
            env=self.variables(**changes),
            cwd=cwd or self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def start(self, program: str, *arguments: object, **changes: str) -> subprocess.Popen[str]:
        """Starts a program of the environment, whose output the caller reads."""
        return subprocess.Popen(
            [self.folder / "bin" / program, *map(str, arguments)],
            env=self.variables(**changes),
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def variables(self, **changes: str) -> dict[str, str]:
        """The variables that a program gets: those of the tests but the machine's own settings, and `changes`."""
        kept = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
        home = str(self.home)
        return {**kept, "HOME": home, "METAGPT_PROJECT_ROOT": home, **changes}

    def configure(self, text: str) -> None:
        (self.home / "config").mkdir(exist_ok=True)
        (self.home / "config" / "config2.yaml").write_text(text, encoding="utf-8")


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The environment, MetaGPT switched over in it."""
    spec = importlib.util.find_spec("metagpt")
    if spec is None:
        pytest.skip("MetaGPT is not installed")
    shared = Path(spec.submodule_search_locations[0]).parent
    root = tmp_path_factory.mktemp("real")
    venv.create(root / "env", symlinks=True, with_pip=False)
    packages = root / "env" / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    for item in shared.glob("metagpt*"):
        if item.name == "metagpt" or item.name.startswith("metagpt-"):
            shutil.copytree(item, packages / item.name, ignore=shutil.ignore_patterns("__pycache__"))
    # By `addsitedir`, which reads the .pth files there as well.
    (packages / "shared.pth").write_text(f"import site; site.addsitedir({str(shared)!r})\n")
    command = root / "env" / "bin" / "metagpt"
    command.write_text(
        f"#!{root / 'env' / 'bin' / 'python'}\nimport sys\nfrom metagpt.software_company import app\nsys.exit(app())\n"
    )
    command.chmod(0o755)
    made = Environment(root / "env", packages / "metagpt", root / "home")
    made.home.mkdir()
    done = made.run("python", "-m", "metagpt_ollama_rs.cli", "install")
    assert done.returncode == 0, done.stderr
    assert str(made.package) in done.stderr
    return made
