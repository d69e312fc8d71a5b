"""Real environments: one for each test, and one with pip for all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Callable

import pytest

from metagpt_ollama_rs.slc import EnvManagerTool

Script = Callable[..., Path]


@pytest.fixture(autouse=True)
def index(monkeypatch: pytest.MonkeyPatch) -> None:
    """pip asks the index that uv asks: the home folder, with a configuration of pip in it, is another one here."""
    configured = os.environ.get("UV_DEFAULT_INDEX")
    if configured:
        monkeypatch.setenv("PIP_INDEX_URL", configured)


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch, no_configuration: Path, tmp_path: Path) -> Path:
    """A working folder on a machine without environments and drivers; PATH is the folder `bin` beside it."""
    for name in ("CONDA_EXE", "CONDA_PREFIX", "PYENV_ROOT", "UV_PYTHON_INSTALL_DIR", "VIRTUAL_ENV", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Writes a program that stands in for another one into the folder `bin`."""

    def write(name: str, text: str, interpreter: str = "/bin/sh") -> Path:
        file = tmp_path / "bin" / name
        file.parent.mkdir(exist_ok=True)
        tools = "PATH=/usr/bin:/bin\n"
        file.write_text(f"#!{interpreter}\n{tools if interpreter == '/bin/sh' else ''}{text}\n", encoding="utf-8")
        file.chmod(0o755)
        return file

    return write


@pytest.fixture(scope="session")
def made_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "environment"
    EnvManagerTool.create(str(path))
    return path


@pytest.fixture
def environment(made_environment: Path, tmp_path: Path) -> Path:
    """A virtual environment without packages and without pip: a copy of one, whose interpreter finds it by its path."""
    return Path(shutil.copytree(made_environment, tmp_path / "environment", symlinks=True))


@pytest.fixture(scope="session")
def pip_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with pip."""
    path = tmp_path_factory.mktemp("with-pip") / "environment"
    EnvManagerTool.create(str(path))
    EnvManagerTool.install(path, "pip", apply=True)
    return path


@pytest.fixture
def put_package(environment: Path) -> Callable[..., Path]:
    """Puts the metadata of a package into the environment, as an installer leaves it."""
    [packages] = environment.glob("lib/python*/site-packages")

    def put(name: str, version: str, *requires: str, extras: tuple[str, ...] = (), folder: Path = packages) -> Path:
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        fields = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {each}" for each in requires)]
        fields += [f"Provides-Extra: {extra}" for extra in extras]
        (info / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", *fields, ""]), encoding="utf-8")
        return info

    return put
