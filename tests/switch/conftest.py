"""A private copy of MetaGPT to switch over, and the command and MetaGPT itself in fresh processes.

The copy is a folder on PYTHONPATH in which all of the installed package is linked but the files that are changed, so
that it costs nothing and the installed MetaGPT stays as it is. It is found first, as a checkout would be.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import socket
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

from metagpt_ollama_rs.switch import releases
from metagpt_ollama_rs.switch.releases import CONFIG, FILES, PROVIDER, TOOL_FILES, TOOL_LIST, Release, originals

# The machine's own settings must not decide what a test sees.
LEFT_OUT = ("OLLAMA_HOST", "OLLAMA_API_KEY", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_COLOR", "TERM",
            "METAGPT_OLLAMA_STATS", "METAGPT_OLLAMA_RUN", "METAGPT_OLLAMA_TRACEBACK")  # fmt: skip


@dataclass
class Done:
    """How a process ended."""

    code: int
    out: str
    err: str


class Copy:
    """A private MetaGPT: `folder` is the package."""

    def __init__(self, root: Path, home: Path) -> None:
        self.root, self.folder, self.home = root, root / "metagpt", home

    def path(self, relative: str) -> Path:
        return self.folder / relative

    def state(self) -> dict[str, str]:
        """Every file of the three folders by its contents; bytecode left out."""
        return {
            str(file.relative_to(self.folder)): hashlib.sha256(file.read_bytes()).hexdigest()
            for relative in (*FILES, TOOL_LIST)
            for file in sorted(self.path(relative).parent.iterdir())
            if file.is_file()
        }

    def environment(self, **changes: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
        home = str(self.home)
        return {**kept, "HOME": home, "METAGPT_PROJECT_ROOT": home, "PYTHONPATH": str(self.root), **changes}

    def run(self, *arguments: object, **changes: str) -> Done:
        done = subprocess.run(
            [str(argument) for argument in arguments],
            env=self.environment(**changes),
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def command(self, *arguments: object, **changes: str) -> Done:
        """`metagpt-ollama …` with this MetaGPT."""
        return self.run(sys.executable, "-m", "metagpt_ollama_rs.cli", *arguments, **changes)

    def python(self, program: str, **changes: str) -> Done:
        """A program with this MetaGPT."""
        return self.run(sys.executable, "-c", textwrap.dedent(program), **changes)

    def configure(self, text: str) -> None:
        (self.home / "config").mkdir(exist_ok=True)
        (self.home / "config" / "config2.yaml").write_text(text, encoding="utf-8")


@pytest.fixture(scope="session")
def installed() -> Path:
    spec = importlib.util.find_spec("metagpt")
    if spec is None:
        pytest.skip("MetaGPT is not installed")
    return Path(spec.submodule_search_locations[0])


@pytest.fixture
def copy(installed: Path, tmp_path: Path) -> Copy:
    """The installed MetaGPT as a private copy."""
    made = Copy(tmp_path / "site", tmp_path / "home")
    made.home.mkdir()
    changed = {*FILES, *TOOL_FILES}
    real = {folder for relative in changed for folder in made.path(relative).parents}

    def link(source: Path, target: Path) -> None:
        target.mkdir(parents=True)
        for item in source.iterdir():
            place = target / item.name
            if place in real:
                link(item, place)
            elif str(place.relative_to(made.folder)) in changed:
                place.write_bytes(item.read_bytes())
            elif item.name != "__pycache__":
                place.symlink_to(item)

    link(installed, made.folder)
    return made


@pytest.fixture
def unused_tcp_port() -> int:
    """A loopback port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def guides_config(ollama_server) -> str:
    """`config2.yaml` as the guide has it: no `/api`, no key, an embedding section."""
    return f"""
llm:
  api_type: "ollama"
  base_url: "{ollama_server.url}"
  api_key: ""
  model: "smollm2"
  temperature: 0.3
  timeout: 600
  stream: true
embedding:
  api_type: "ollama"
  base_url: "{ollama_server.url}"
  api_key: ""
  model: "nomic-embed-text"
"""


# The list of tools of a MetaGPT that is not run.
LIST_OF_TOOLS = "from metagpt.tools.libs import (\n    web_scraping,\n)\n"

# A version that is known by its sums alone, as those are of which this package carries no copy.
MADE_UP = {
    PROVIDER: originals(PROVIDER)["0.8.2"].replace("import json\n", "import json\nimport math\n", 1),
    CONFIG: originals(CONFIG)["0.8.2"].replace("    GEMINI = ", '    NOBODY = "nobody"\n    GEMINI = ', 1),
}


@pytest.fixture
def made_up(monkeypatch) -> dict[str, str]:
    """The files of the version `made-up`, which this process knows for the length of a test."""
    release = Release(
        "MetaGPT made-up", {rel: releases.sum_of(text) for rel, text in MADE_UP.items()}, "git diff made-up"
    )
    monkeypatch.setitem(releases.RELEASES, "made-up", release)
    return MADE_UP


@pytest.fixture
def skeleton(tmp_path: Path):
    """Makes a package `metagpt` that has nothing but the files of a release that are changed: enough to be changed, not
    to run."""

    def make(release: str) -> Copy:
        made = Copy(tmp_path / "site", tmp_path / "home")
        made.home.mkdir()
        made.folder.mkdir(parents=True)
        (made.folder / "__init__.py").write_text("raise AssertionError('the command must not import MetaGPT')\n")
        for relative in FILES:
            made.path(relative).parent.mkdir()
            text = MADE_UP[relative] if release == "made-up" else originals(relative)[release]
            made.path(relative).write_text(text, encoding="utf-8")
        made.path(TOOL_LIST).parent.mkdir(parents=True)
        made.path(TOOL_LIST).write_text(LIST_OF_TOOLS, encoding="utf-8")
        return made

    return make


# As MetaGPT's, as far as this package's tools need it.
REGISTRY = """
class ToolRegistry:
    paths = {}

    def has_tool(self, name):
        return name in self.paths

    def register_tool(self, tool_name, tool_path, schemas, tags):
        self.paths[tool_name] = tool_path


TOOL_REGISTRY = ToolRegistry()
"""


@pytest.fixture
def importable(skeleton) -> Copy:
    """A skeleton whose tools can be imported, in no time: one tool, and a registry that notes their paths."""
    made = skeleton("0.8.2")
    for name in ("__init__.py", "tools/__init__.py", "tools/libs/web_scraping.py"):
        made.path(name).write_text("")
    made.path("tools/tool_registry.py").write_text(REGISTRY)
    made.path("tools/libs/web_scraping.py").write_text("from metagpt.tools.tool_registry import TOOL_REGISTRY\n")
    return made
