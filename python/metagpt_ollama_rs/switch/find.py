"""Finds MetaGPT in this interpreter without importing it. Standard library only.

Imported by the command for its own interpreter; for another one its text is run there (`python -c`), and the answer
comes back as JSON.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import sys
from typing import Any, Optional

__all__ = ["find"]


def find() -> dict[str, Any]:
    """Where MetaGPT is: `folder` of its package or None, `version` or None, and `leftover`, a folder of that name that
    is no package (a package manager leaves it behind when it holds files of others).

    `python` is this interpreter, `python_version` its version.
    """
    found: dict[str, Any] = {
        "python": sys.executable,
        "python_version": list(sys.version_info[:2]),
        "folder": None,
        "version": None,
        "leftover": None,
    }
    spec = importlib.util.find_spec("metagpt")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    if spec and folders:
        # A namespace package has no file of its own: what is left when MetaGPT was uninstalled.
        found["folder" if spec.has_location else "leftover"] = folders[0]
        found["version"] = _version(folders[0])
    return found


def _version(folder: str) -> Optional[str]:
    # Another MetaGPT may be earlier on the path than the one that was installed.
    try:
        distribution = importlib.metadata.distribution("metagpt")
        same = os.path.samefile(str(distribution.locate_file("metagpt")), folder)
    except (importlib.metadata.PackageNotFoundError, OSError):
        return None
    return distribution.version if same else None


def _main() -> None:
    # `python -c` puts the current folder first, which the programs of an environment do not.
    sys.path[:] = [entry for entry in sys.path if entry]
    found = find()
    try:
        __import__("metagpt_ollama_rs")
        found["package"] = None
    except Exception as error:
        found["package"] = f"{type(error).__name__}: {error}"
    sys.stdout.write("\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    _main()
