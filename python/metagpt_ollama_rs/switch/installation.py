"""An installed MetaGPT: where it is, which interpreter runs it, and what it does when it is imported there."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from . import config_file
from . import find as find_module
from . import probe as probe_module
from .environment import RUN_VARIABLE

__all__ = ["Installation", "MetaGPTMissingError", "find", "probe", "read_configuration"]

# Seconds that a process of another interpreter may take; the first import of MetaGPT on a slow disk takes minutes.
_TIMEOUT_SECONDS = 300

_CONFIG = """\
llm:
  api_type: ollama
  base_url: http://127.0.0.1:11434
  api_key: ollama
  model: any
"""


class MetaGPTMissingError(Exception):
    """There is no MetaGPT, or no interpreter, at the given place; `hint` says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class Installation:
    """One MetaGPT: `python` is the interpreter that runs it, `folder` its package, `version` None for a checkout.

    `package_error` is why this package cannot be imported there, or None.
    """

    python: str
    folder: Path
    version: Optional[str]
    package_error: Optional[str] = None

    def __str__(self) -> str:
        return f"MetaGPT {self.version or '(version unknown)'} in {self.folder}"


def find(python: Optional[str] = None) -> Installation:
    """The MetaGPT of this interpreter, or of the one at the path `python`. Raises `MetaGPTMissingError`."""
    found = find_module.find() if python is None else _find_for(python)
    where = found["python"]
    if found["folder"] is None and found["leftover"] is not None:
        raise MetaGPTMissingError(
            f"MetaGPT is not installed any more: only a remainder is left in {found['leftover']}",
            "delete that folder, backups included, or install MetaGPT again",
        )
    if found["folder"] is None:
        raise MetaGPTMissingError(
            f"MetaGPT is not installed for {where}",
            "name the interpreter that has it with --python PATH, or install it there",
        )
    return Installation(where, Path(found["folder"]), found["version"], found.get("package"))


def probe(installation: Installation) -> dict[str, Any]:
    """What `probe.probe` finds in a new process of the interpreter, with a configuration in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="metagpt-ollama-") as scratch:
        (Path(scratch) / "config").mkdir()
        (Path(scratch) / "config" / "config2.yaml").write_text(_CONFIG, encoding="utf-8")
        result = Path(scratch) / "result.json"
        environment = {**os.environ, "HOME": scratch, "METAGPT_PROJECT_ROOT": scratch}
        # Inside of `metagpt-ollama run`, too, this is to find out what the files on disk do.
        environment.pop(RUN_VARIABLE, None)
        try:
            done = subprocess.run(
                [installation.python, "-c", _source_of(probe_module), str(result)],
                env=environment,
                cwd=scratch,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=_TIMEOUT_SECONDS,
            )
            found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        except subprocess.TimeoutExpired:
            return {**probe_module.NOTHING, "error": f"importing MetaGPT took longer than {_TIMEOUT_SECONDS} seconds"}
        except (OSError, ValueError):
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            return {**probe_module.NOTHING, "error": " ".join(["the process that imports MetaGPT broke off:", *last])}
        return found


def read_configuration(installation: Installation) -> dict[str, Any]:
    """What `config_file.read_configuration` finds for programs that are started in this folder."""
    nothing: dict[str, Any] = {"searched": [], "read": [], "error": None, "llm": None}
    command = [installation.python, "-c", _source_of(config_file), str(installation.folder)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_TIMEOUT_SECONDS
        )
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired):
        return {**nothing, "error": f"{installation.python} could not read it"}
    return found


def _find_for(python: str) -> dict[str, Any]:
    try:
        done = subprocess.run(
            [python, "-c", _source_of(find_module)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_SECONDS,
        )
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except OSError as error:
        raise MetaGPTMissingError(f"{python} cannot be started: {error.strerror}", "check --python") from error
    except (ValueError, IndexError, subprocess.TimeoutExpired) as error:
        raise MetaGPTMissingError(f"{python} is not a Python of version 3.9 or newer", "check --python") from error
    if tuple(found["python_version"]) < (3, 9):
        raise MetaGPTMissingError(f"{python} is older than Python 3.9", "check --python")
    return found


def _source_of(module: Any) -> str:
    return Path(module.__file__).read_text(encoding="utf-8")
