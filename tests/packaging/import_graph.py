"""The import graph of the sources: which file takes names from which other file, and the circles in it.

    python tests/packaging/import_graph.py            # the graph of src/ and of the Python package as a list

Rust: `use` declarations (braced, nested, renamed, glob) and the paths that stand in the code itself
(`super::pool::Key`), relative to `crate`, `self`, `super`, a child module or an imported module. Python: `import` and
`from … import`, also inside functions and under TYPE_CHECKING, `import_module("…")` with a name written out, and
`import_module(f"{__package__}.{…}")` or `f"{folder.__name__}.{…}"`, which may be any module there. Comments, texts and
what is compiled for tests only are left out.

An edge leads to the file where the name is written. `use crate::http::Request`, where `http/mod.rs` says
`pub use request::Request`, needs `http/request.rs` and not `http/mod.rs`; the same holds for an `__init__.py`. The
folder's own file has edges as any other file has:

* If it declares, documents and re-exports only, nothing leads to it, so that it stands in no circle.
* If it defines something that a child uses, and names that child (a re-export is enough), this is a circle: the
  definition belongs into a file of its own.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

# From a file to the files it imports from, each with the line of the first import.
Graph = dict[str, dict[str, int]]

# --- Rust -----------------------------------------------------------------------------------------------------------

TOKEN = re.compile(
    r"""
    (?P<skipped>//[^\n]*|/\*.*?\*/|\s+)
    | (?P<text>b?r(?P<marks>\#*)".*?"(?P=marks)|[bc]?"(?:\\.|[^"\\])*"|b?'(?:\\[^\n]+?|[^\\'\n])')
    | '(?P<lifetime>\w+)
    | (?P<word>(?:r\#)?\w+)
    | (?P<mark>::|\S)
    """,
    re.VERBOSE | re.DOTALL,
)
DEFINING = {"fn", "struct", "enum", "union", "trait", "type", "const", "static", "macro_rules"}
OPENING, CLOSING = "([{", ")]}"


@dataclass
class Token:
    word: str
    line: int


@dataclass
class Module:
    """A module of the crate: its file, and what its names stand for."""

    path: tuple[str, ...]
    file: str
    children: set[str] = field(default_factory=set)
    defined: set[str] = field(default_factory=set)
    # Imported names, each with the paths that it stands for: with `cfg` there may be several.
    imported: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    globs: list[tuple[str, ...]] = field(default_factory=list)
    # Every path that the code names, with its line.
    named: list[tuple[tuple[str, ...], int]] = field(default_factory=list)
    # Whether there is anything beside `mod`, `use` and documentation.
    code: bool = False


def tokens(text: str) -> list[Token]:
    found = []
    line = 1
    for match in TOKEN.finditer(text):
        if match["word"] or match["mark"]:
            found.append(Token(match["word"] or match["mark"], line))
        elif match["text"]:
            found.append(Token('"' + match["text"], line))
        line += match[0].count("\n")
    return found


def end_of_group(code: list[Token], start: int) -> int:
    """The index behind the bracket that closes the one at `start`."""
    depth = 0
    for index in range(start, len(code)):
        depth += (code[index].word in OPENING) - (code[index].word in CLOSING)
        if depth == 0:
            return index + 1
    return len(code)


def end_of_item(code: list[Token], start: int) -> int:
    """The index behind the item that begins at `start`: behind its `;` or its braces."""
    index = start
    while index < len(code):
        if code[index].word == ";":
            return index + 1
        if code[index].word == "{":
            return end_of_group(code, index)
        index = end_of_group(code, index) if code[index].word in OPENING else index + 1
    return index


def use_tree(code: list[Token], start: int, prefix: tuple[str, ...]) -> tuple[list[tuple[tuple[str, ...], str]], int]:
    """The paths of a `use` declaration, each with the name it gets (`*` for all of a module)."""
    path, index = prefix, start
    while True:
        word = code[index].word
        if word == "{":
            found = []
            index += 1
            while code[index].word != "}":
                more, index = use_tree(code, index, path)
                found += more
                index += code[index].word == ","
            return found, index + 1
        if word == "::":
            index += 1
        elif word == "*":
            return [(path, "*")], index + 1
        elif word == "as":
            return [(path, code[index + 1].word)], index + 2
        elif word in {",", "}", ";"}:
            return [(path, path[-1])], index
        else:
            # `use module::{self}` is the module itself.
            path = path if word == "self" and path else (*path, word)
            index += 1


class Crate:
    """The modules of a crate, found by their `mod` declarations from the root file on."""

    def __init__(self, root: Path, base: Path) -> None:
        self.base = base
        self.modules: dict[tuple[str, ...], list[Module]] = {}
        self.tests: set[str] = set()
        self._load((), root, root.parent)

    def _load(self, path: tuple[str, ...], file: Path, folder: Path) -> None:
        name = file.relative_to(self.base).as_posix()
        self._read(path, name, folder, tokens(file.read_text(encoding="utf-8")))

    def _read(self, path: tuple[str, ...], file: str, folder: Path, code: list[Token]) -> None:
        module = Module(path, file)
        self.modules.setdefault(path, []).append(module)
        index, depth, at, for_tests = 0, 0, "", False
        while index < len(code):
            word = code[index].word
            if word == "#" and index + 1 < len(code) and code[index + 1].word in {"[", "!"}:
                start = index + 1 + (code[index + 1].word == "!")
                index = end_of_group(code, start)
                words = [token.word for token in code[start:index]]
                for_tests |= words[1:5] == ["cfg", "(", "test", ")"]
                if words[1:3] == ["path", "="]:
                    at = words[3].strip('"')
            elif for_tests:
                end = end_of_item(code, index)
                if word == "mod" and code[end - 1].word == ";":
                    for other in self._files(folder, code[index + 1].word, at):
                        below = self._folder_of(other).rglob("*.rs")
                        self.tests |= {test.relative_to(self.base).as_posix() for test in (other, *below)}
                index, at, for_tests = end, "", False
            elif word == "mod" and code[index + 2].word in {";", "{"}:
                index, at = self._declared(module, folder, code, index, at, depth), ""
            elif word == "use" and (index == 0 or code[index - 1].word != "fn"):
                found, index = use_tree(code, index + 1, ())
                for target, alias in found:
                    module.named.append((target, code[index - 1].line))
                    if alias == "*":
                        module.globs.append(target)
                    else:
                        module.imported.setdefault(alias, []).append(target)
                index += 1
            else:
                depth += (word in OPENING) - (word in CLOSING)
                if depth == 0 and word in DEFINING and re.match(r"\w|!", code[index + 1].word):
                    module.defined.add(code[index + 1 + (code[index + 1].word == "!")].word)
                if word not in {"pub", "(", ")", "crate", "super", "in"}:
                    module.code = True
                index = self._path(module, code, index)

    def _files(self, folder: Path, name: str, at: str) -> list[Path]:
        candidates = [folder / at] if at else [folder / f"{name}.rs", folder / name / "mod.rs"]
        return [candidate for candidate in candidates if candidate.is_file()]

    def _declared(self, module: Module, folder: Path, code: list[Token], index: int, at: str, depth: int) -> int:
        """Reads the module that is declared at `index`; returns the index behind the declaration."""
        name = code[index + 1].word
        end = end_of_item(code, index)
        module.children.add(name)
        below = (*module.path, name)
        if code[index + 2].word == "{":
            module.code = True
            self._read(below, module.file, folder / name, code[index + 3 : end - 1])
        for file in self._files(folder, name, at) if code[index + 2].word == ";" else ():
            self._load(below, file, self._folder_of(file))
        return end

    def _folder_of(self, file: Path) -> Path:
        """Where the files of a module's children are."""
        return file.parent if file.name == "mod.rs" else file.parent / file.stem

    def _path(self, module: Module, code: list[Token], index: int) -> int:
        """Notes the path that begins at `index`, if it is one; returns the index behind it."""
        path = [code[index].word]
        line = code[index].line
        index += 1
        while index + 1 < len(code) and code[index].word == "::" and re.match(r"[A-Za-z_]", code[index + 1].word):
            path.append(code[index + 1].word)
            index += 2
        if len(path) > 1:
            module.named.append((tuple(path), line))
        return index

    def resolve(self, path: tuple[str, ...], start: tuple[str, ...], seen: frozenset[object] = frozenset()) -> set[str]:
        """The files where the name at the end of `path` is written, as seen from the module `start`."""
        here, rest = start, list(path)
        if rest[0] == "crate":
            here, rest = (), rest[1:]
        while rest and rest[0] in {"self", "super"}:
            here = here[:-1] if rest.pop(0) == "super" else here
        if here == start and len(rest) == len(path) and not self._knows(here, rest[0]):
            return set()  # another crate's, or a type's own
        return self._below(here, rest, seen)

    def _knows(self, here: tuple[str, ...], name: str) -> bool:
        return any(name in module.children or name in module.imported for module in self.modules.get(here, ()))

    def _below(self, here: tuple[str, ...], rest: list[str], seen: frozenset[object]) -> set[str]:
        modules = self.modules.get(here, [])
        if not rest:
            return {module.file for module in modules if module.code}
        # `use memchr::memchr` gives a crate's function the name of the crate.
        if (here, rest[0]) in seen:
            return set()
        seen |= {(here, rest[0])}
        name, found = rest[0], set()
        for module in modules:
            if name in module.children:
                found |= self._below((*here, name), rest[1:], seen)
            if name in module.defined:
                found.add(module.file)
            elif name in module.imported:
                for target in module.imported[name]:
                    found |= self.resolve((*target, *rest[1:]), here, seen)
            elif name not in module.children:
                beyond = set().union(*(self.resolve((*target, *rest), here, seen) for target in module.globs), set())
                # What a macro defines is found in the file itself.
                found |= beyond or {module.file}
        return found

    def graph(self) -> Graph:
        graph: Graph = {module.file: {} for modules in self.modules.values() for module in modules}
        for module in (module for modules in self.modules.values() for module in modules):
            for path, line in module.named:
                for target in self.resolve(path, module.path) - {module.file}:
                    graph[module.file].setdefault(target, line)
        return graph


def rust_graph(root: Path, base: Path) -> Graph:
    """The graph of the crate whose root file is `root`; the names of files are relative to `base`."""
    crate = Crate(root, base)
    graph = crate.graph()
    sources = {file.relative_to(base).as_posix() for file in root.parent.rglob("*.rs")}
    unread = sources - set(graph) - crate.tests
    assert not unread, f"no `mod` declares these files: {sorted(unread)}"
    return graph


# --- Python ---------------------------------------------------------------------------------------------------------


@dataclass
class Source:
    file: str
    package: bool
    tree: ast.Module


def is_facade(source: Source) -> bool:
    """Whether an `__init__.py` only imports, and lists what it passes on."""

    def passes_on(node: ast.stmt) -> bool:
        if isinstance(node, ast.If):
            return "TYPE_CHECKING" in ast.dump(node.test) and all(map(passes_on, node.body))
        if isinstance(node, ast.Assign):
            return [ast.dump(target) for target in node.targets] == [ast.dump(ast.Name("__all__", ast.Store()))]
        documentation = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        return documentation or isinstance(node, (ast.Import, ast.ImportFrom))

    return source.package and all(map(passes_on, source.tree.body))


class Package:
    def __init__(self, root: Path, base: Path) -> None:
        self.modules: dict[str, Source] = {}
        # A stub stands for its compiled module.
        for file in sorted([*root.rglob("*.py"), *root.rglob("*.pyi")]):
            parts = [root.name, *file.relative_to(root).with_suffix("").parts]
            package = parts[-1] == "__init__"
            tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
            self.modules[".".join(parts[:-1] if package else parts)] = Source(
                file.relative_to(base).as_posix(), package, tree
            )

    def imports(self, module: str) -> Iterator[tuple[str, Optional[str], str, int]]:
        """Module, name in it (None: the module itself), the name it gets, and the line, of each import in a module."""
        source = self.modules[module]
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield alias.name, None, alias.asname or alias.name, node.lineno
            elif isinstance(node, ast.ImportFrom):
                parts = module.split(".") + ["__init__"] * source.package
                above = ".".join(parts[: -node.level]) if node.level else ""
                target = ".".join(part for part in (above, node.module) if part)
                for alias in node.names:
                    yield target, alias.name, alias.asname or alias.name, node.lineno
            elif isinstance(node, ast.Call) and node.args and ast.unparse(node.func).endswith("import_module"):
                for target in self._computed(module, node.args[0]):
                    yield target, None, "", node.lineno

    def _computed(self, module: str, name: ast.expr) -> list[str]:
        """The modules that a name handed to `import_module` may stand for."""
        if isinstance(name, ast.Constant):
            return [str(name.value)]
        computed = re.fullmatch(
            r"f['\"]\{((?P<folder>\w+)\.__name__|__package__|__name__)\}\.\{\w+\}['\"]", ast.unparse(name)
        )
        if not computed:
            return []
        package = module if self.modules[module].package else module.rpartition(".")[0]
        if computed["folder"]:
            package = f"{package}.{computed['folder']}"
        below = [other for other in self.modules if other.rpartition(".")[0] == package]
        return [other for other in below if other != module and not other.endswith("__")]

    def resolve(self, module: str, name: Optional[str], seen: frozenset[object] = frozenset()) -> set[str]:
        """The files where `name` of `module` is written, or the module's own."""
        source = self.modules.get(module)
        if source is None or (module, name) in seen:
            return set()
        seen |= {(module, name)}
        if name is None or name == "*":
            return set() if is_facade(source) else {source.file}
        if f"{module}.{name}" in self.modules:
            return self.resolve(f"{module}.{name}", None, seen)
        if source.package:
            for target, original, alias, _ in self.imports(module):
                if alias == name:
                    found = self.resolve(target, original, seen)
                    if found or target not in self.modules:
                        return found
        return {source.file}

    def graph(self) -> Graph:
        graph: Graph = {source.file: {} for source in self.modules.values()}
        for module, source in self.modules.items():
            for target, name, _, line in self.imports(module):
                for file in self.resolve(target, name) - {source.file}:
                    graph[source.file].setdefault(file, line)
        return graph


def python_graph(root: Path, base: Path) -> Graph:
    """The graph of the package in the folder `root`; the names of files are relative to `base`."""
    return Package(root, base).graph()


# --- Both -----------------------------------------------------------------------------------------------------------


def way(graph: Graph, start: str, end: str) -> Optional[list[str]]:
    """The shortest way from a file to another, both ends included."""
    before = {start: ""}
    queue = [start]
    for file in queue:
        for target in graph[file]:
            if target == end:
                found = [end, file]
                while before[found[-1]]:
                    found.append(before[found[-1]])
                return found[::-1]
            if target not in before:
                before[target] = file
                queue.append(target)
    return None


def circles(graph: Graph) -> list[list[str]]:
    """For each group of files that reach each other, its shortest circle: the last file is the first one again."""
    reached = {file: {other for other in graph if way(graph, file, other)} for file in graph}
    found, done = [], set()
    for file in sorted(graph):
        group = {other for other in reached[file] if file in reached[other]}
        if group and file not in done:
            done |= group
            found.append(min((way(graph, other, other) for other in sorted(group)), key=len))
    return found


def drawn(graph: Graph, circle: list[str]) -> str:
    """A circle for a reader: each file with the line that imports the next one."""
    steps = [f"{file}:{graph[file][target]}" for file, target in zip(circle, circle[1:])]
    return " -> ".join([*steps, circle[-1]])


def listed(graph: Graph) -> Iterator[str]:
    """The graph bottom-up: each file stands below all that it imports from, as far as there is no circle."""
    left = {file: set(targets) for file, targets in graph.items()}
    while left:
        free = sorted(file for file, targets in left.items() if not targets & set(left)) or sorted(left)
        for file in free:
            del left[file]
            yield f"{file} -> {', '.join(sorted(graph[file])) or '(nothing)'}"


def graphs(base: Path) -> dict[str, Graph]:
    """The two graphs of this repository."""
    return {
        "src": rust_graph(base / "src" / "lib.rs", base / "src"),
        "python": python_graph(base / "python" / "metagpt_ollama_rs", base / "python"),
    }


def main() -> None:
    found = 0
    for name, graph in graphs(Path(__file__).parents[2]).items():
        print(f"{name}/\n")
        for line in listed(graph):
            print(f"    {line}")
        for circle in circles(graph):
            found += 1
            print(f"    circle: {drawn(graph, circle)}")
        print()
    sys.exit(f"{found} circles" if found else 0)


if __name__ == "__main__":
    main()
