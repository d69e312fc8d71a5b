"""The entry points that the manifests of a project declare: what package managers, containers and ``make`` start.

    [project.scripts]                   package.json: bin, main, exports, scripts.start
    shop = "shop.cli:main"              Cargo.toml: [[bin]], main.rs, src/bin
                                        Dockerfile: ENTRYPOINT, CMD        Procfile, Makefile

A manifest that cannot be parsed is a ValueError.
"""

from __future__ import annotations

import configparser
import json
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from metagpt_ollama_rs.slc.extras import optional_module
from metagpt_ollama_rs.slc.projects.entry_point import EntryPoint, line_of

if TYPE_CHECKING:
    from metagpt_ollama_rs.slc.projects.project_files import ProjectFile

__all__ = ["entry_point_lines", "manifest_entry_points"]

_RUN_TARGETS = ("run", "start", "serve", "dev")
# The groups of entry points that installers make commands of.
_SCRIPT_KINDS = {"console_scripts": "console script", "gui_scripts": "gui script"}


def manifest_entry_points(file: ProjectFile, files: Mapping[str, ProjectFile]) -> Iterator[EntryPoint]:
    """What ``file`` declares, if it is a manifest. ``files`` are those of the project by their paths."""
    name = file.name
    if name == "pyproject.toml":
        yield from _pyproject(file)
    elif name == "setup.cfg":
        yield from _setup_cfg(file)
    elif name == "package.json":
        yield from _package_json(file, files)
    elif name == "Cargo.toml":
        yield from _cargo(file, files)
    elif re.match(r"(Dockerfile|Containerfile)($|\.)", name) or name.lower().endswith(".dockerfile"):
        yield from _dockerfile(file)
    elif name in ("Makefile", "makefile", "GNUmakefile"):
        yield from _makefile(file)
    elif name == "Procfile":
        for number, line in enumerate(file.text.split("\n"), 1):
            found = re.match(r"([\w-]+):\s*(\S.*)", line)
            if found:
                yield EntryPoint(file.path, number, "procfile", found[1], found[2].strip())


def entry_point_lines(text: str) -> Iterator[tuple[str, str]]:
    """Name and target of lines such as ``shop = shop.cli:main``.

    >>> list(entry_point_lines("shop = shop.cli:main\\n# none"))
    [('shop', 'shop.cli:main')]
    """
    for line in text.splitlines():
        name, equals, target = line.partition("=")
        if equals and name.strip() and not name.lstrip().startswith(("#", ";")):
            yield name.strip(), target.strip()


def _toml(text: str) -> dict[str, Any]:
    found: dict[str, Any] = optional_module("tomllib" if sys.version_info >= (3, 11) else "tomli").loads(text)
    return found


def _table(value: Any, *keys: str) -> dict[str, Any]:
    """The table below ``keys``, empty where something else is there."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _toml_key(name: str) -> str:
    return rf"[\"']?{re.escape(name)}[\"']?\s*="


def _pyproject(file: ProjectFile) -> Iterator[EntryPoint]:
    data = _toml(file.text)
    for keys, kind in (
        (("project", "scripts"), "console script"),
        (("project", "gui-scripts"), "gui script"),
        (("tool", "poetry", "scripts"), "console script"),
    ):
        header = rf"\[{re.escape('.'.join(keys))}\]"
        for name, target in _table(data, *keys).items():
            line = line_of(file.text, _toml_key(name), header)
            yield EntryPoint(file.path, line, kind, _named(name, target), shlex.quote(name))
    for keys in (("project", "entry-points"), ("tool", "poetry", "plugins")):
        for group, entries in _table(data, *keys).items():
            header = rf"\[{re.escape('.'.join(keys))}\.[\"']?{re.escape(group)}[\"']?\]"
            script = _SCRIPT_KINDS.get(group)
            for name, target in _table(entries).items():
                line = line_of(file.text, _toml_key(name), header)
                run = shlex.quote(name) if script else ""
                yield EntryPoint(file.path, line, script or f"plugin of {group}", _named(name, target), run)


def _named(name: str, target: Any) -> str:
    """``shop = shop.cli:main``; Poetry also has tables with a ``reference``."""
    if isinstance(target, dict):
        target = target.get("reference") or target.get("callable") or ""
    return f"{name} = {target}" if target else name


def _setup_cfg(file: ProjectFile) -> Iterator[EntryPoint]:
    config = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        config.read_string(file.text)
    except configparser.Error as error:
        raise ValueError(str(error)) from error
    groups = config["options.entry_points"] if config.has_section("options.entry_points") else {}
    for group, text in groups.items():
        for name, target in entry_point_lines(text):
            line = line_of(file.text, rf"{re.escape(name)}\s*=", r"\[options\.entry_points\]")
            kind = _SCRIPT_KINDS.get(group)
            yield EntryPoint(file.path, line, kind or f"plugin of {group}", f"{name} = {target}", name if kind else "")
    for path in config.get("options", "scripts", fallback="").split():
        yield EntryPoint(file.path, line_of(file.text, "scripts", r"\[options\]"), "script", path, path)


def _package_json(file: ProjectFile, files: Mapping[str, ProjectFile]) -> Iterator[EntryPoint]:
    data = json.loads(file.text)
    if not isinstance(data, dict):
        raise ValueError("package.json is no object")
    package = str(data.get("name") or file.folder or "package")
    here = f"cd {shlex.quote(file.folder)} && " if file.folder else ""

    def point(key: str, kind: str, name: str, run: str, behind: str = "") -> EntryPoint:
        line = line_of(file.text, f"{{?\\s*{re.escape(json.dumps(key, ensure_ascii=False))}", behind and f'"{behind}"')
        return EntryPoint(file.path, line, kind, name, run)

    main = data.get("main")
    if isinstance(main, str):
        yield point("main", "node main", main, f"{here}node {shlex.quote(main)}")
    binaries = data.get("bin")
    if isinstance(binaries, str):
        yield point("bin", "node command", f"{package.rpartition('/')[2]} = {binaries}", f"{here}npx {package}")
    for name, target in _table(binaries).items():
        yield point(name, "node command", f"{name} = {target}", f"{here}npx {shlex.quote(name)}", "bin")
    for name in ("start", "dev"):
        command = _table(data, "scripts").get(name)
        if isinstance(command, str):
            run = f"{here}npm start" if name == "start" else f"{here}npm run {name}"
            yield point(name, "npm script", f"{name} = {command}", run, "scripts")
    for target in sorted(set(_exported(data.get("exports")))):
        yield point("exports", "node export", f"{package} = {target}", "")


def _exported(exports: Any) -> Iterator[str]:
    """The files of a package's main export, by whatever conditions."""
    if isinstance(exports, str):
        yield exports
    elif isinstance(exports, dict):
        main = exports["."] if "." in exports else {key: exports[key] for key in exports if not key.startswith(".")}
        for value in main.values() if isinstance(main, dict) else [main]:
            yield from _exported(value)
    elif isinstance(exports, list):
        for value in exports:
            yield from _exported(value)


def _cargo(file: ProjectFile, files: Mapping[str, ProjectFile]) -> Iterator[EntryPoint]:
    data = _toml(file.text)
    package = _table(data, "package")
    if not package:
        return
    prefix = f"{file.folder}/" if file.folder else ""
    place = f" --manifest-path {shlex.quote(file.path)}" if prefix else ""
    declared = [
        entry for entry in data.get("bin") or [] if isinstance(entry, dict) and isinstance(entry.get("name"), str)
    ]
    for entry in declared:
        name = entry["name"]
        line = line_of(file.text, rf"name\s*=\s*[\"']{re.escape(name)}[\"']", r"\[\[bin\]\]")
        yield EntryPoint(file.path, line, "cargo binary", name, f"cargo run{place} --bin {shlex.quote(name)}")
    if package.get("autobins") is False:
        return
    taken = {entry["name"] for entry in declared} | {prefix + str(entry.get("path")) for entry in declared}
    for path, source in files.items():
        found = re.fullmatch(re.escape(prefix) + r"src/(?:main|bin/([^/]+?)(?:/main)?)\.rs", path)
        if found:
            name = found[1] or str(package.get("name"))
            if name not in taken and path not in taken:
                line = line_of(source.text, r"(pub\s+)?(async\s+)?fn\s+main\b")
                yield EntryPoint(path, line, "cargo binary", name, f"cargo run{place} --bin {shlex.quote(name)}")


def _dockerfile(file: ProjectFile) -> Iterator[EntryPoint]:
    """The last ENTRYPOINT and the last CMD of the last stage, which are those of the image."""
    last: dict[str, EntryPoint] = {}
    lines = file.text.split("\n")
    index = 0
    while index < len(lines):
        number, line = index + 1, lines[index].strip()
        while line.endswith("\\") and index + 1 < len(lines):
            index += 1
            following = lines[index].strip()
            line = line[:-1].rstrip() + " " + ("\\" if following.startswith("#") else following)
        index += 1
        word, _, rest = line.partition(" ")
        if word.upper() == "FROM":
            last.clear()
        elif word.upper() in ("CMD", "ENTRYPOINT"):
            run = f"docker build -f {shlex.quote(file.path)} -t image . && docker run image"
            last[word.upper()] = EntryPoint(
                file.path, number, f"dockerfile {word.lower()}", _shell_form(rest.strip()), run
            )
    yield from last.values()


def _shell_form(command: str) -> str:
    try:
        words = json.loads(command)
    except ValueError:
        return command
    return shlex.join(words) if isinstance(words, list) and all(isinstance(word, str) for word in words) else command


def _makefile(file: ProjectFile) -> Iterator[EntryPoint]:
    here = f" -C {shlex.quote(file.folder)}" if file.folder else ""
    for number, line in enumerate(file.text.split("\n"), 1):
        found = re.match(r"([\w.-]+)\s*::?(?!=)", line)
        if found and found[1] in _RUN_TARGETS:
            yield EntryPoint(file.path, number, "make target", found[1], f"make{here} {found[1]}")
