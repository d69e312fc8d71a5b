"""Finds the `config2.yaml` that MetaGPT would read, and what its `llm:` section says. MetaGPT is not imported.

The text of this module is run by the installation's interpreter (`python -c TEXT FOLDER`), whose environment has the
YAML reader that MetaGPT uses; the answer is one line of JSON on stdout, such as ``{"searched": […], "read":
["…/config2.yaml"], "error": null, "llm": {"api_type": "ollama", "model": "llama3.2", …}}``. The search is MetaGPT's
own: `config/config2.yaml` below its root, then `~/.metagpt/config2.yaml`, whose sections take the place of those of the
first. The root is METAGPT_PROJECT_ROOT, else the folder that holds the package if it is a checkout, else the current
folder.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Optional
from urllib.parse import urlsplit

__all__ = ["configuration_paths", "read_configuration"]

_CHECKOUT = (".git", ".project_root", ".gitignore")


def read_configuration(folder: str) -> dict[str, Any]:
    """What MetaGPT, whose package is `folder`, would read here.

    `searched` are the paths in their order, `read` those of them that exist; `error` says why they cannot be used, or
    is None. `llm` is None where there is no such section, else `file`, where it stands, and `api_type`, `model` and
    `base_url` (without user and password), None where it does not say; `extra_fields` are the names in that mapping,
    and `unpatched` is its value of this name.
    """
    paths = configuration_paths(Path(folder))
    found: dict[str, Any] = {"searched": [str(path) for path in paths], "read": [], "error": None, "llm": None}
    for path in paths:
        if not path.exists():
            continue
        found["read"].append(str(path))
        try:
            sections = _sections(path)
        except Exception as error:
            found["error"] = f"{path}: {error}"
            return found
        if "llm" in sections:
            found["llm"] = _llm(sections["llm"], path)
    return found


def configuration_paths(package: Optional[Path]) -> list[Path]:
    """The files that MetaGPT reads, in its order, whether they exist or not; the sections of a later one take the place
    of the earlier one's. `package` is the folder of the package `metagpt`, None where there is none."""
    return [_root(package) / "config" / "config2.yaml", Path.home() / ".metagpt" / "config2.yaml"]


def _root(package: Optional[Path]) -> Path:
    given = os.environ.get("METAGPT_PROJECT_ROOT")
    if given:
        return Path(given).absolute()
    if package is not None and any((package.parent / name).exists() for name in _CHECKOUT):
        return package.parent
    return Path.cwd()


def _sections(path: Path) -> dict[str, Any]:
    import yaml

    with path.open(encoding="utf-8") as file:
        value = yaml.safe_load(file)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError("it has no sections such as llm:")
    return value


def _llm(section: Any, path: Path) -> dict[str, Any]:
    values = section if isinstance(section, dict) else {}
    fields = {key: str(values[key]) if values.get(key) else None for key in ("api_type", "model", "base_url")}
    extra = values.get("extra_fields")
    extra = extra if isinstance(extra, dict) else {}
    return {
        "file": str(path),
        **fields,
        "base_url": _without_user(fields["base_url"]),
        "extra_fields": [str(name) for name in extra],
        "unpatched": None if extra.get("unpatched") is None else str(extra["unpatched"]),
    }


def _without_user(url: Optional[str]) -> Optional[str]:
    if url is None or "@" not in url:
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _main() -> None:
    sys.path[:] = [entry for entry in sys.path if entry]
    sys.stdout.write("\n" + json.dumps(read_configuration(sys.argv[1])) + "\n")


if __name__ == "__main__":
    _main()
