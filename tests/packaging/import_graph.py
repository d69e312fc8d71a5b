"""The import graph of the sources: which file takes names from which other file, and the circles in it.

    python tests/packaging/import_graph.py            # the graph of src/ and of the Python package as a list

Rust: `use` declarations (braced, nested, renamed, glob) and the paths that stand in the code itself and in attributes
(`super::pool::Key`), relative to `crate`, `self`, `super`, a child module or an imported module. A glob needs every
file whose names it brings. Python: `import` and `from … import`, also inside functions and under TYPE_CHECKING; what is
reached through an imported module (`package.b.B`); `import_module`, `__import__` and `sys.modules` with a name written
out, absolute or relative; `import_module(f"{__package__}.{…}")`, `f"{folder.__name__}.{…}"` or `f"package.{…}"`, which
may be any module there. Comments, texts and what is compiled for tests only are left out.

What cannot be read is a complaint: `extern crate self`, a computed name of a module (but at the places that COMPUTED
lists), another name for `import_module` or `sys.modules`.

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
    # The imported names and the globs that are `pub`: others than the module and those below it see these only.
    passed_on: set[object] = field(default_factory=set)
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


def plain(word: str) -> str:
    """`r#match` is another spelling of `match` that is a name in any case."""
    return word[2:] if word.startswith("r#") else word


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
            path = path if word == "self" and path else (*path, plain(word))
            index += 1


class Crate:
    """The modules of a crate, found by their `mod` declarations from the root file on."""

    def __init__(self, root: Path, base: Path, name: str) -> None:
        self.base = base
        self.name = name
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
                while start < index and not for_tests:
                    start = self._path(module, code, start)
            elif for_tests:
                end = end_of_item(code, index)
                if word == "mod" and code[end - 1].word == ";":
                    for other in self._files(folder, plain(code[index + 1].word), at):
                        below = self._folder_of(other).rglob("*.rs")
                        self.tests |= {test.relative_to(self.base).as_posix() for test in (other, *below)}
                index, at, for_tests = end, "", False
            elif word == "mod" and code[index + 2].word in {";", "{"}:
                index, at = self._declared(module, folder, code, index, at, depth), ""
            elif word == "use" and (index == 0 or code[index - 1].word != "fn"):
                public = index > 0 and code[index - 1].word in {"pub", ")"}
                found, index = use_tree(code, index + 1, ())
                for target, alias in found:
                    self._imported(module, target, alias, public, code[index - 1].line)
                index += 1
            else:
                if [token.word for token in code[index : index + 3]] == ["extern", "crate", "self"]:
                    raise AssertionError(f"{file}:{code[index].line}: `extern crate self` cannot be read: say `crate`")
                depth += (word in OPENING) - (word in CLOSING)
                if depth == 0 and word in DEFINING and re.match(r"\w|!", code[index + 1].word):
                    module.defined.add(code[index + 1 + (code[index + 1].word == "!")].word)
                if word not in {"pub", "(", ")", "crate", "super", "in"}:
                    module.code = True
                index = self._path(module, code, index)

    def _imported(self, module: Module, target: tuple[str, ...], alias: str, public: bool, line: int) -> None:
        if alias == "*":
            module.named.append(((*target, "*"), line))
            module.globs.append(target)
        else:
            module.named.append((target, line))
            if alias in {"self", "super", "crate"}:
                # `use super::{self}` has the name of that module.
                alias = (("crate", *module.path)[: -target.count("super") or None])[-1]
            module.imported.setdefault(alias, []).append(target)
        if public:
            module.passed_on.add(target if alias == "*" else alias)

    def _files(self, folder: Path, name: str, at: str) -> list[Path]:
        candidates = [folder / at] if at else [folder / f"{name}.rs", folder / name / "mod.rs"]
        return [candidate for candidate in candidates if candidate.is_file()]

    def _declared(self, module: Module, folder: Path, code: list[Token], index: int, at: str, depth: int) -> int:
        """Reads the module that is declared at `index`; returns the index behind the declaration."""
        name = plain(code[index + 1].word)
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
        if not re.match(r"[A-Za-z_]", code[index].word):
            return index + 1
        path = [plain(code[index].word)]
        line = code[index].line
        index += 1
        while index + 1 < len(code) and code[index].word == "::" and re.match(r"[A-Za-z_]", code[index + 1].word):
            path.append(plain(code[index + 1].word))
            index += 2
        if len(path) > 1:
            module.named.append((tuple(path), line))
        return index

    def _start(self, path: tuple[str, ...], start: tuple[str, ...]) -> tuple[tuple[str, ...], list[str]]:
        """The module that a path begins at, as seen from the module `start`, and what follows."""
        here, rest = start, list(path)
        if rest[0] == "crate" or (rest[0] == self.name and not self._knows(start, rest[0])):
            here, rest = (), rest[1:]
        while rest and rest[0] in {"self", "super"}:
            here = here[:-1] if rest.pop(0) == "super" else here
        return here, rest

    def resolve(self, path: tuple[str, ...], start: tuple[str, ...], seen: frozenset[object] = frozenset()) -> set[str]:
        """The files where the name at the end of `path` is written, as seen from the module `start`."""
        here, rest = self._start(path, start)
        if here == start and len(rest) == len(path) and not self._knows(here, rest[0]):
            return set()  # another crate's, or a type's own
        return self._below(here, rest, seen, start)

    def _knows(self, here: tuple[str, ...], name: str, seen: frozenset[object] = frozenset()) -> bool:
        if here in seen:
            return False
        return any(
            name in module.children
            or name in module.imported
            or any(
                self._knows(place, name, seen | {here})
                for target in module.globs
                for place in self._places(target, here, seen | {here})
            )
            for module in self.modules.get(here, ())
        )

    def _places(self, path: tuple[str, ...], start: tuple[str, ...], seen: frozenset[object]) -> set[tuple[str, ...]]:
        """The modules that a path may stand for."""
        if (path, start) in seen:
            return set()
        seen |= {(path, start)}
        here, rest = (start, list(path)) if path[0] == self.name else self._start(path, start)
        places = {here}
        for name in rest:
            places = {
                below
                for place in places
                for module in self.modules.get(place, ())
                for below in (
                    {(*place, name)}
                    if name in module.children
                    else set().union(*(self._places(to, place, seen) for to in module.imported.get(name, ())), set())
                )
            }
        return places

    def _below(
        self, here: tuple[str, ...], rest: list[str], seen: frozenset[object], reader: tuple[str, ...]
    ) -> set[str]:
        modules = self.modules.get(here, [])
        if not rest:
            return {module.file for module in modules if module.code}
        if rest == ["*"]:
            return self._all_of(here, seen, reader)
        # `use memchr::memchr` gives a crate's function the name of the crate.
        if (here, rest[0]) in seen:
            return set()
        seen |= {(here, rest[0])}
        name, found = rest[0], set()
        for module in modules:
            if name in module.children:
                found |= self._below((*here, name), rest[1:], seen, reader)
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

    def _all_of(self, here: tuple[str, ...], seen: frozenset[object], reader: tuple[str, ...]) -> set[str]:
        """The files of all names that a glob over the module `here` brings into the module `reader`."""
        if (here, "*") in seen:
            return set()
        seen |= {(here, "*")}
        inside = reader[: len(here)] == here
        found = set()
        for module in self.modules.get(here, []):
            found |= {module.file} if module.code else set()
            named = [(name, to) for name, targets in module.imported.items() for to in targets]
            for name, target in [*named, *((target, (*target, "*")) for target in module.globs)]:
                if inside or name in module.passed_on:
                    found |= self.resolve(target, here, seen)
        return found

    def graph(self) -> Graph:
        graph: Graph = {module.file: {} for modules in self.modules.values() for module in modules}
        for module in (module for modules in self.modules.values() for module in modules):
            for path, line in module.named:
                for target in self.resolve(path, module.path) - {module.file}:
                    graph[module.file].setdefault(target, line)
        return graph


def rust_graph(root: Path, base: Path, name: str = "") -> Graph:
    """The graph of the crate `name` whose root file is `root`; the names of files are relative to `base`."""
    crate = Crate(root, base, name)
    graph = crate.graph()
    sources = {file.relative_to(base).as_posix() for file in root.parent.rglob("*.rs")}
    unread = sources - set(graph) - crate.tests
    assert not unread, f"no `mod` declares these files: {sorted(unread)}"
    return graph


# --- Python ---------------------------------------------------------------------------------------------------------


# The places where the name of a module is computed, as file and code, each with its reason. An import there may be of
# every module that the file spells in a text; a look into `sys.modules` there imports nothing.
COMPUTED = {
    ("metagpt_ollama_rs/kinds.py", "sys.modules[self._cls.__module__]"): "the module of a class of records",
    ("metagpt_ollama_rs/ollama_compat/__init__.py", "sys.modules[_PARENT]"): "the package above it",
    **{
        ("metagpt_ollama_rs/ollama_compat/stand_in.py", code): "under the names of ollama-python's modules"
        for code in (
            "sys.modules.items",
            "sys.modules.update",
            "sys.modules.get(name)",
            "sys.modules[name]",
            "sys.modules[ours]",
        )
    },
    ("metagpt_ollama_rs/provider/__init__.py", "import_module(_MODULE_OF[name])"): "the names are in a table above it",
    ("metagpt_ollama_rs/slc/config.py", "sys.modules[_PACKAGE]"): "the package, for a name that a user may assign",
    ("metagpt_ollama_rs/import_hooks.py", "sys.modules.get(name)"): "a module of MetaGPT's, if it is there",
    (
        "metagpt_ollama_rs/provider/monkeypatches.py",
        "sys.modules.get(namespace)",
    ): "the modules in which a user may have replaced a function, those above it among them",
    ("metagpt_ollama_rs/provider/patches/patch.py", "sys.modules.values"): "modules of MetaGPT's, by their names",
    ("metagpt_ollama_rs/slc/extras.py", "import_module(name)"): "an optional library",
    ("metagpt_ollama_rs/tools.py", "sys.modules.get(holder.__module__)"): "the module of a function of the user's",
}
IMPORTERS = {"import_module", "__import__"}


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
        # The places whose imports cannot be read.
        self.unread: list[str] = []
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
                target = self._absolute(module, "." * node.level + (node.module or ""))
                for alias in node.names:
                    yield target, alias.name, alias.asname or alias.name, node.lineno

    def _absolute(self, module: str, name: str, package: str = "") -> str:
        """The module that `name`, relative by its leading dots, is in `package` or in that of `module`."""
        level = len(name) - len(name.lstrip("."))
        if not level:
            return name
        parts = (
            f"{package}.".split(".") if package else [*module.split("."), *["__init__"] * self.modules[module].package]
        )
        return ".".join(part for part in (*parts[:-level], name.lstrip(".")) if part)

    def further_needs(self, module: str) -> Iterator[tuple[str, Optional[str], int]]:
        """Module, name in it and line of what a module takes without an import statement for it."""
        tree = self.modules[module].tree
        bound = {}
        for target, name, alias, _ in self.imports(module):
            if name is None and alias == target:
                bound[target.partition(".")[0]] = target.partition(".")[0]
            elif name is None or f"{target}.{name}" in self.modules:
                bound[alias] = target if name is None else f"{target}.{name}"
        above = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        for node in ast.walk(tree):
            if isinstance(node, (ast.Name, ast.Attribute)):
                called = node.id if isinstance(node, ast.Name) else node.attr
                place = above[node]
                if isinstance(node, ast.Name) and node.id in bound:
                    yield self._reached(bound[node.id], node, above)
                if called in IMPORTERS:
                    call = isinstance(place, ast.Call) and place.func is node
                    yield from self._loaded(
                        module, place if call else node, self._names(module, place, bound) if call else None
                    )
                elif called == "modules" and ast.unparse(node) == "sys.modules" and not isinstance(place, ast.Compare):
                    taken = place
                    if isinstance(place, ast.Attribute) and place.attr in {"get", "pop", "setdefault"}:
                        taken = above[place]
                    key = taken.slice if isinstance(taken, ast.Subscript) else None
                    if isinstance(taken, ast.Call) and taken.func is place and taken.args:
                        key = taken.args[0]
                    yield from self._loaded(module, taken, self._spelled(module, key, bound) if key else None)
            elif isinstance(node, ast.ImportFrom) and any(
                (alias.name in IMPORTERS and alias.asname) or (node.module, alias.name) == ("sys", "modules")
                for alias in node.names
            ):
                yield from self._loaded(module, node, None)

    def _reached(self, found: str, node: ast.expr, above: dict[ast.AST, ast.AST]) -> tuple[str, Optional[str], int]:
        """What a chain of attributes that begins with the name of the module `found` leads to."""
        place = above[node]
        while isinstance(place, ast.Attribute):
            if f"{found}.{place.attr}" not in self.modules:
                # `package.__name__` and the like are not written in its file.
                return found, None if place.attr.startswith("__") else place.attr, node.lineno
            found, place = f"{found}.{place.attr}", above[place]
        return found, None, node.lineno

    def _loaded(
        self, module: str, node: ast.AST, names: Optional[list[str]]
    ) -> Iterator[tuple[str, Optional[str], int]]:
        file = self.modules[module].file
        if names is None:
            place = next((key for key in COMPUTED if key[0].endswith(file) and key[1] == ast.unparse(node)), None)
            if place is None:
                self.unread.append(f"{file}:{node.lineno}: {ast.unparse(node)}")
                return
            texts = [text.value for text in ast.walk(self.modules[module].tree) if isinstance(text, ast.Constant)]
            imports = "import" in place[1]
            names = [text for text in texts if imports and isinstance(text, str) and text in self.modules]
        for name in names:
            yield name, None, node.lineno

    def _names(self, module: str, call: ast.Call, bound: dict[str, str]) -> Optional[list[str]]:
        """The modules that a call of `import_module` or `__import__` may load; None if that cannot be read."""
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        name = call.args[0] if call.args else given.get("name")
        if name is None or None in given or isinstance(name, ast.Starred):
            return None
        found = self._spelled(module, name, bound)
        if found is None or not any(text.startswith(".") for text in found):
            return found
        place = call.args[1] if len(call.args) > 1 else given.get("package")
        package = self._text(module, place, bound) if place else None
        return None if package is None else [self._absolute(module, text, package) for text in found]

    def _text(self, module: str, value: ast.expr, bound: dict[str, str]) -> Optional[str]:
        """The text that an expression is, if it is known."""
        if isinstance(value, ast.Constant):
            return str(value.value)
        said = ast.unparse(value)
        package = self.modules[module].package
        known = {"__package__": module if package else module.rpartition(".")[0], "__name__": module}
        known |= {f"{name}.__name__": found for name, found in bound.items()}
        return known.get(said)

    def _spelled(self, module: str, name: ast.expr, bound: dict[str, str]) -> Optional[list[str]]:
        """The modules that a name of a module may stand for; None if it is computed in a way that cannot be read."""
        if not isinstance(name, ast.JoinedStr):
            text = self._text(module, name, bound)
            return None if text is None else [text]
        prefix = ""
        for part in name.values:
            text = self._text(module, part.value if isinstance(part, ast.FormattedValue) else part, bound)
            if text is None:
                break
            prefix += text
        else:
            return [prefix]
        if "." not in prefix or prefix.startswith("."):
            return None
        folder = prefix.rpartition(".")[0]
        below = [other for other in self.modules if other.rpartition(".")[0] == folder and other.startswith(prefix)]
        return [other for other in below if other != module and not other.endswith("__")]

    def resolve(self, module: str, name: Optional[str], seen: frozenset[object] = frozenset()) -> set[str]:
        """The files where `name` of `module` is written, or the module's own."""
        source = self.modules.get(module)
        if source is None or (module, name) in seen:
            return set()
        seen |= {(module, name)}
        if name is None or (name == "*" and not is_facade(source)):
            return set() if is_facade(source) else {source.file}
        if name == "*":
            passed_on = (self.resolve(target, original, seen) for target, original, _, _ in self.imports(module))
            return set().union(*passed_on, set())
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
            needs = [(target, name, line) for target, name, _, line in self.imports(module)]
            for target, name, line in [*needs, *self.further_needs(module)]:
                for file in self.resolve(target, name) - {source.file}:
                    graph[source.file].setdefault(file, line)
        assert not self.unread, f"what these import cannot be read: {self.unread}"
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
    manifest = (base / "Cargo.toml").read_text(encoding="utf-8")
    name = re.search(r'^name = "(\w+)"', manifest, re.MULTILINE)
    assert name
    return {
        "src": rust_graph(base / "src" / "lib.rs", base / "src", name[1]),
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
