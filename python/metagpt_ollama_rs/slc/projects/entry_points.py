"""Where the programs of a project are started, by what its files say: no program runs, no model is asked.

    entry_points_of(read_project("shop"))
    # [EntryPoint(path="pyproject.toml", line=9, kind="console script", name="shop = shop.cli:main", run="shop"),
    #  EntryPoint(path="shop/__main__.py", line=1, kind="package main", name="shop", run="python -m shop")]

Manifests are parsed (`manifests`), Python is read by `ast` (`python_entry_points`). In other languages the function
that starts a program is looked for where no comment and no text is. A file that cannot be parsed is noted as left out.
`ask_for_entry_points` is for projects in which nothing of this is found.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from metagpt_ollama_rs.errors import UnusableAnswerError
from metagpt_ollama_rs.json_answers import recover_json
from metagpt_ollama_rs.slc.calls import ToolOptions, ask
from metagpt_ollama_rs.slc.projects.entry_point import EntryPoint
from metagpt_ollama_rs.slc.projects.manifests import manifest_entry_points
from metagpt_ollama_rs.slc.projects.project_files import Project, ProjectFile, shown
from metagpt_ollama_rs.slc.projects.python_entry_points import python_entry_points

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ask_for_entry_points", "entry_points_of"]

# Comments and texts of the languages with braces. A single quote in Rust may also begin a lifetime.
_NOT_CODE = re.compile(
    r"""//[^\n]*|/\*.*?\*/|"""
    r""""{3}.*?"{3}|"(?:\\.|[^"\\\n])*"|`[^`]*`|'(?:\\[^\n]{1,9}|[^'\\\n])\'""",
    re.DOTALL,
)
_GO_PACKAGE = re.compile(r"^package[ \t]+main\b", re.MULTILINE)
# For each ending of names: the kind, what starts the program, and how a file is run.
_MAIN: dict[str, tuple[str, re.Pattern[str], str]] = {
    ending: (kind, re.compile(pattern, re.MULTILINE), run)
    for endings, kind, pattern, run in (
        ((".go",), "go main", r"^func[ \t]+main[ \t]*\([ \t]*\)", "go run {folder}"),
        (
            (".java",),
            "java main",
            r"\b(?:public[ \t]+static|static[ \t]+public)(?:[ \t]+final)?\s+void\s+main\s*\(\s*(?:final\s+)?String\b",
            "java {path}",
        ),
        ((".kt", ".kts"), "kotlin main", r"^(?:suspend[ \t]+)?fun[ \t]+main[ \t]*\(", ""),
        ((".cs",), "c# main", r"\bstatic\s+(?:async\s+)?(?:void|int|Task(?:<int>)?)\s+Main\s*\(", "dotnet run"),
        (
            (".c", ".cc", ".cpp", ".cxx", ".m", ".mm"),
            "c main",
            r"^(?:extern[ \t]+\"C\"[ \t]+)?(?:int|void|auto)\s+w?main\s*\([^;{]*\)[^;{]*\{",
            "",
        ),
        ((".swift",), "swift main", r"^@main\b", "swift run"),
        (
            (".dart",),
            "dart main",
            r"^(?:void\s+)?main\s*\([^)]*\)\s*(?:async\s*)?(?:\{|=>)",
            "dart run {path}",
        ),
    )
    for ending in endings
}
# Files that show what scripts begin with.
_PROSE = (".txt", ".md", ".rst")
_SHEBANG = re.compile(r"#!\s*(?:\S*/)?env\s+(?:-S\s+)?([\w.+-]+)|#!\s*(?:\S*/)?([\w.+-]+)")
# The files that a model is shown the names of.
_MOST_NAMES = 200
_SCHEMA: dict[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"path": {"type": "string"}, "reason": {"type": "string"}},
        "required": ["path", "reason"],
    },
}


def entry_points_of(project: Project) -> list[EntryPoint]:
    """The entry points, in the order of their paths and lines."""
    files = {file.path: file for file in project.files}
    found: set[EntryPoint] = set()
    for file in project.files:
        try:
            points = [point for scan in _SCANS for point in scan(file, files)]
        except ValueError:
            project.left_out.add("broken", file.path)
            points = []
        found.update(points or _shebang(file))
    return sorted(found)


def ask_for_entry_points(project: Project, options: ToolOptions) -> list[str]:
    """What a model takes for the entry points by the names of the files: lines such as ``bin/start: It starts …``.
    Names that are no file of the project are left out, and so are folders' worth of files beyond the first 200.

    Raises UnusableAnswerError for an answer that is no list, and OllamaError.
    """
    paths = sorted((file.path for file in project.files), key=lambda path: (path.count("/"), path))
    for path in paths[_MOST_NAMES:]:
        project.left_out.add("not shown", path)
    names = {shown(path) for path in paths[:_MOST_NAMES]}
    fields = {"path": shown(project.root.resolve().name), "document": "\n".join(sorted(names))}
    answer = ask("find_entry_points", fields, options, format=_SCHEMA)
    found = recover_json(answer, _SCHEMA)
    if found is None:
        raise UnusableAnswerError(
            "the answer is not a list of entry points", hint="ask again, or another model", partial=answer
        )
    lines = (f"{item['path']}: {item['reason']}" for item in found.value if item["path"] in names)
    return list(dict.fromkeys(" ".join(line.split()) for line in lines))


def _main_functions(file: ProjectFile, _: Mapping[str, ProjectFile]) -> Iterator[EntryPoint]:
    """The functions with which programs in compiled languages begin."""
    ending = "." + file.name.rpartition(".")[2]
    if ending not in _MAIN or file.name.endswith("_test.go"):
        return
    kind, pattern, run = _MAIN[ending]
    code = _NOT_CODE.sub(_blank, file.text)
    if kind == "go main" and not _GO_PACKAGE.search(code):
        return
    folder = f"./{file.folder}" if file.folder else "."
    for found in pattern.finditer(code):
        command = run.format(path=shlex.quote(file.path), folder=shlex.quote(folder))
        name = file.name.rpartition(".")[0] if kind == "java main" else file.folder.rpartition("/")[2] or "main"
        yield EntryPoint(file.path, code.count("\n", 0, found.start()) + 1, kind, name, command)
        return


def _blank(found: re.Match[str]) -> str:
    return re.sub(r"[^\n\"]", " ", found[0]) if found[0].startswith('"') else re.sub(r"[^\n]", " ", found[0])


def _shebang(file: ProjectFile) -> Iterator[EntryPoint]:
    """A script, by its first line."""
    found = None if file.name.endswith(_PROSE) else _SHEBANG.match(file.text)
    if found:
        interpreter = found[1] or found[2]
        yield EntryPoint(file.path, 1, "script", file.name, f"{interpreter} {shlex.quote(file.path)}")


_SCANS: tuple[Callable[[ProjectFile, Mapping[str, ProjectFile]], Iterator[EntryPoint]], ...] = (
    manifest_entry_points,
    python_entry_points,
    _main_functions,
)
