"""Writes THIRD_PARTY_NOTICES: the licences of the crates that the extension module is built of (`make notices`).

A crate that may be used under the MIT licence is. The texts are those of the crates' own files, as cargo has fetched
them; a text that several crates share stands there once.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILE = "THIRD_PARTY_NOTICES"
RULE = "~" * 80
TARGET = "x86_64-unknown-linux-gnu"
HEAD = """\
The extension module of metagpt-ollama-rs contains the crates below, each under its own licence.
This file is written by `make notices`.
"""


def linked() -> set[tuple[str, str]]:
    """Names and versions of the crates that are built in, the package itself left out."""
    found = cargo("tree", "--edges", "normal", "--target", TARGET, "--prefix", "none", "--format", "{p}")
    return {
        (name, version[1:]) for name, version, *path in map(str.split, found.splitlines()) if str(ROOT) not in str(path)
    }


def crates() -> list[dict[str, object]]:
    """What cargo knows of them, sorted."""
    wanted = linked()
    packages = json.loads(cargo("metadata", "--format-version", "1", "--filter-platform", TARGET))["packages"]
    found = [package for package in packages if (package["name"], package["version"]) in wanted]
    return sorted(found, key=lambda package: (package["name"], package["version"]))


def cargo(*arguments: str) -> str:
    command = ["cargo", *arguments, "--locked", "--features", "python"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def texts(crate: dict[str, object]) -> list[str]:
    """The files with the licence of a crate."""
    folder = Path(str(crate["manifest_path"])).parent
    names = sorted(
        path for path in folder.iterdir() if re.match(r"(?i)(un)?licen[cs]e|copying|copyright|notice", path.name)
    )
    files = [path for path in names if path.is_file()]
    mit = [path for path in files if "mit" in path.name.lower()]
    if mit and re.search(r"\bMIT\b", str(crate["license"])) and "AND" not in str(crate["license"]):
        files = mit + [path for path in files if path.name.lower().startswith(("notice", "copyright"))]
    return [text for path in files if (text := path.read_text("utf-8", "replace").strip())]


def notices() -> str:
    """The whole file."""
    listed, shared = [], {}
    for crate in crates():
        title = f"{crate['name']} {crate['version']}"
        listed.append(f"{title}: {crate['license']}, {crate['repository']}")
        found = texts(crate) or [f"(The crate has no file with its licence, which is {crate['license']}.)"]
        for text in found:
            key = " ".join(text.split())
            shared.setdefault(key, (text, []))[1].append(title)
    parts = [HEAD, "\n".join(listed)]
    for text, titles in shared.values():
        parts.append("\n".join([RULE, *titles, RULE, text]))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    (ROOT / FILE).write_text(notices(), "utf-8")
