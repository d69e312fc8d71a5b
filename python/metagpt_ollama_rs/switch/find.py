"""Finds MetaGPT in this interpreter without importing it. Standard library only.

For its own interpreter the command imports this module. For another one it runs the text of this module there
(`python -c`), which prints the answer as one line of JSON:

    {"python": "/usr/bin/python3", "python_version": [3, 11], "folder": "…/metagpt", "version": "0.8.2", …}
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
    """Where MetaGPT is: the `folder` of its package or None, its `version` or None.

    `leftover` is a folder `metagpt` that is no package, or None; a package manager leaves one behind if it has files
    that the package did not bring. `python` is this interpreter, `python_version` its version.
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
        # Without a file of its own it is a namespace package: the folder that is left when MetaGPT was uninstalled.
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
