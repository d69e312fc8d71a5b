"""Describes the Python environment that runs it, and lists its packages. Standard library only, for Python 3.8 and up.

`python_environments` runs the text of this module in another environment's interpreter (`python -I -c TEXT`), so that
it needs neither pip nor this package. It prints the answer as one line of JSON:

    {"python": "/w/.venv/bin/python", "prefix": "/w/.venv", "version": "3.11.7", "packages": [{"name": "six", …}], …}
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import site
import sys
import sysconfig
from typing import Any, Optional

__all__ = ["describe_environment"]


def describe_environment() -> dict[str, Any]:
    """The environment of the interpreter that runs this.

    `packages` are in the order of `sys.path`, so that the first one of a name is the one that is imported;
    `unreadable` are the folders of packages without name or version. `markers` are the values by which the markers of
    requirements are decided (the names are those of the standard). `externally_managed` is what the environment says
    to those who want to change it (PEP 668), or None.
    """
    purelib = sysconfig.get_path("purelib")
    found: dict[str, Any] = {
        "python": sys.executable,
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "markers": _markers(),
        "site_packages": purelib,
        "writable": os.access(purelib if os.path.isdir(purelib) else sys.prefix, os.W_OK),
        "externally_managed": _externally_managed(),
        "packages": [],
        "unreadable": [],
    }
    seen = set()
    for distribution in importlib.metadata.distributions(path=_search_path()):
        folder = os.path.realpath(str(distribution.locate_file("")))
        try:
            name, version = distribution.metadata["Name"], distribution.version
        except Exception:
            name = version = None
        if not name or not version:
            found["unreadable"].append(str(getattr(distribution, "_path", folder)))
        elif (name, version, folder) not in seen:
            # A folder may be on the path twice, by two names.
            seen.add((name, version, folder))
            found["packages"].append(_describe_package(distribution, name, version, folder))
    return found


def _search_path() -> list[str]:
    """`sys.path`, and the user's own packages where they count: `-I` leaves them out."""
    path = [entry for entry in sys.path if entry]
    user = site.getusersitepackages()
    if sys.prefix == sys.base_prefix and not os.environ.get("PYTHONNOUSERSITE") and os.path.isdir(user):
        path.insert(0, user)
    return path


def _describe_package(distribution: Any, name: str, version: str, folder: str) -> dict[str, Any]:
    try:
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    except ValueError:
        origin = {}
    return {
        "name": name,
        "version": version,
        "location": folder,
        "source": origin.get("url"),
        "editable": bool(origin.get("dir_info", {}).get("editable")),
        "requires": list(distribution.requires or ()),
        "extras": distribution.metadata.get_all("Provides-Extra") or [],
    }


def _markers() -> dict[str, str]:
    info = sys.implementation.version
    release = "" if info.releaselevel == "final" else f"{info.releaselevel[0]}{info.serial}"
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": f"{info.major}.{info.minor}.{info.micro}{release}",
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version().rstrip("+"),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    }


def _externally_managed() -> Optional[str]:
    if sys.prefix != sys.base_prefix:
        return None
    try:
        with open(os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED"), encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, ValueError):
        return None


def _main() -> None:
    sys.stdout.write("\n" + json.dumps(describe_environment()) + "\n")


if __name__ == "__main__":
    _main()
