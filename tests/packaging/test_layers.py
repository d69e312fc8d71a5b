"""The layers are folders, and the arrows between them point one way; within a layer no files import each other in a
circle. Read from the sources, as a person would."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUST = ROOT / "src"
PYTHON = ROOT / "python" / "metagpt_ollama_rs"


def mentions(folder: Path, pattern: str, *, suffix: str, spare: tuple[str, ...] = ()) -> list[str]:
    """Places under `folder` whose code, comments left out, matches `pattern`."""
    files = [folder] if folder.is_file() else sorted(folder.rglob(f"*{suffix}"))
    assert files, folder
    found = []
    for file in files:
        name = file.relative_to(ROOT).as_posix()
        if any(name.startswith(prefix) for prefix in spare):
            continue
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            code = line.split("//" if suffix == ".rs" else "#")[0]
            if re.search(pattern, code):
                found.append(f"{name}:{number}: {line.strip()}")
    return found


def test_python_stays_in_its_layer():
    assert mentions(RUST, r"pyo3|super::py\b", suffix=".rs", spare=("src/py/", "src/lib.rs")) == []
    assert mentions(RUST, r"crate::py\b", suffix=".rs", spare=("src/py/",)) == []


@pytest.mark.parametrize(
    "forbidden",
    [r"tokio", r"reqwest", r"\bstd::(net|io|fs|thread)\b", r"crate::(http|inbox|error)\b", r"\basync\b"],
)
def test_wire_knows_bytes_only(forbidden):
    assert mentions(RUST / "wire", forbidden, suffix=".rs") == []


def test_the_inbox_does_no_http():
    assert mentions(RUST / "inbox.rs", r"\b(reqwest|crate::http)\b", suffix=".rs") == []


def test_metagpt_is_imported_by_the_provider_only():
    # The edits have an import in the text that they write into MetaGPT's own file.
    spare = ("python/metagpt_ollama_rs/provider/", "python/metagpt_ollama_rs/switch/edits.py")
    assert mentions(PYTHON, r"^\s*(from|import) metagpt(\.| |$)", suffix=".py", spare=spare) == []


def test_the_extras_packages_are_imported_by_the_embedded_server_only():
    spare = ("python/metagpt_ollama_rs/embedded",)
    assert mentions(PYTHON, r"^\s*(from|import) (xllamacpp|h11)\b", suffix=".py", spare=spare) == []


def test_the_tools_import_nothing_that_brings_metagpt_and_no_optional_library_before_it_is_needed():
    pattern = r"^\s*(from|import) (metagpt\b|\.+provider|metagpt_ollama_rs\.provider)|import_module\(.metagpt"
    assert mentions(PYTHON / "slc", pattern, suffix=".py") == []
    libraries = r"^(from|import) (markdown_it|packaging|pathspec|pygments|rich|tomli|tomllib|yaml)\b"
    assert mentions(PYTHON / "slc", libraries, suffix=".py") == []


def entries(source: str) -> dict[str, str]:
    """The functions of a source that Python calls, with the first line of each body."""
    entry = re.compile(
        r"""^(?P<indent>\ *)(?:pub\ )?(?:unsafe\ extern\ "C"\ )?fn\ (?P<name>\w+).*?\{\n\s*(?P<first>.*?)\n""",
        re.MULTILINE | re.DOTALL | re.VERBOSE,
    )
    found = {}
    for block in re.finditer(r"^#\[pymethods\]\nimpl (\w+) \{\n(.*?)^\}", source, re.MULTILINE | re.DOTALL):
        for method in entry.finditer(block[2]):
            if method["indent"] == "    ":
                found[f"{block[1]}.{method['name']}"] = method["first"]
    for block in re.finditer(r"^#\[pyfunction\]\n(.*?)^\}", source, re.MULTILINE | re.DOTALL):
        function = entry.search(block[1])
        assert function
        found[function["name"]] = function["first"]
    classes = re.findall(r"^#\[pyclass.*\]\n(?:#\[.*\]\n)*pub struct (\w+)", source, re.MULTILINE)
    for block in re.finditer(r"^impl Drop for (\w+) \{\n(.*?)^\}", source, re.MULTILINE | re.DOTALL):
        if block[1] in classes:
            function = entry.search(block[2])
            assert function
            found[f"{block[1]}.drop"] = function["first"]
    return found


def test_every_entry_from_python_makes_its_thread_fit_for_interpreter_exit():
    """See `src/py/interpreter/exit.rs`. A `__traverse__` calls no Python."""
    found = {
        f"{file.relative_to(RUST)} {name}": first
        for file in sorted((RUST / "py").rglob("*.rs"))
        for name, first in entries(file.read_text(encoding="utf-8")).items()
    }
    assert len(found) > 60
    forgetful = [name for name, first in found.items() if first != "enter();" and not name.endswith("__traverse__")]
    assert forgetful == []
    # The functions without pyo3's way in.
    assert mentions(RUST / "py", r'extern "C" fn \w+_entry', suffix=".rs")
    unary = (RUST / "py" / "interpreter" / "unary_function.rs").read_text(encoding="utf-8")
    assert re.search(r"let work = \|\| \{\n\s*enter\(\);", unary)


def test_no_files_import_each_other_in_a_circle(imports):
    graphs = imports.graphs(ROOT)
    assert len(graphs["src"]) > 60
    assert len(graphs["python"]) > 60
    found = [imports.drawn(graph, circle) for graph in graphs.values() for circle in imports.circles(graph)]
    assert found == []


def children_in_order(module: Path) -> list[str]:
    """The files and folders of a module in the order in which its documentation names them, where it says that each
    uses those above it only. Empty where it promises no order."""
    comment = re.match(r"(//!.*\n)*", module.read_text(encoding="utf-8"))[0]
    promise = re.search(r"uses (?:those|the ones)\s+(?://! )?above it\s+(?://! )?only", comment)
    if not promise:
        return []
    children = {file.stem for file in module.parent.iterdir() if file.suffix == ".rs"} - {"mod", "tests"}
    children |= {folder.parent.name for folder in module.parent.glob("*/mod.rs")} - {"tests"}
    named = re.findall(r"`(\w+)/?`", comment[promise.end() :])
    return list(dict.fromkeys(name for name in named if name in children))


def against_the_order(graph, folder: str, order: list[str]) -> list[str]:
    """The imports of a folder's files that lead to a file which stands below in `order`."""

    def index(file: str) -> int:
        inside = file[len(folder) :] if file.startswith(folder) else ""
        child = inside.split("/")[0].removesuffix(".rs")
        return order.index(child) if child in order else -1

    return [
        f"{file}:{line} -> {target}"
        for file, targets in graph.items()
        for target, line in targets.items()
        if 0 <= index(file) < index(target)
    ]


def test_what_a_module_lists_bottom_up_is_in_this_order(imports):
    graph = imports.graphs(ROOT)["src"]
    lists = {module: children_in_order(module) for module in sorted(RUST.rglob("mod.rs"))}
    lists = {
        module.relative_to(RUST).as_posix().removesuffix("mod.rs"): names for module, names in lists.items() if names
    }
    assert {"http/", "http/direct/linux/", "py/", "wire/", "wire/json/", "wire/stream/"} <= set(lists)
    assert [line for folder, order in lists.items() for line in against_the_order(graph, folder, order)] == []
    # Each file that others can come to depend on has its place in the list.
    for folder, order in lists.items():
        inside = {file[len(folder) :].split("/")[0].removesuffix(".rs") for file in graph if file.startswith(folder)}
        assert inside - set(order) <= {"mod", "tests"}, folder


def test_an_import_against_the_order_is_found():
    graph = {"http/a.rs": {"http/b.rs": 3, "error.rs": 1}, "http/b.rs": {"http/c/d.rs": 1}, "http/c/d.rs": {}}
    assert against_the_order(graph, "http/", ["c", "b", "a"]) == []
    assert against_the_order(graph, "http/", ["a", "b", "c"]) == [
        "http/a.rs:3 -> http/b.rs",
        "http/b.rs:1 -> http/c/d.rs",
    ]


def plant(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


def rust_circles(imports, folder: Path, files: dict[str, str]) -> list[str]:
    graph = imports.rust_graph(plant(folder, files) / "lib.rs", folder, "crate_name")
    return [imports.drawn(graph, circle) for circle in imports.circles(graph)]


# What `a.rs` may say so that it needs `b.rs`, which needs `a.rs`.
@pytest.mark.parametrize(
    "code",
    [
        "use crate::http::b::B;",
        "use super::b;",
        "use super::{b::{self, B}, c::C};",
        "use crate::{error, http::{c, b::{deep::D as E}}};",
        "pub(crate) use crate::http::b::*;",
        "fn f() -> super::b::B { todo() }",
        "fn f() { use super::b::B; }",
        "fn f() { let x = crate::http::b::f(1); }",
        "use super::B;",
        "use crate::http as h; fn f(b: h::b::B) {}",
        "mod inner { use super::super::b::B; }",
        '#[cfg(target_os = "linux")] use super::b::B;',
        "#[cfg(not(test))] use super::b::B;",
        "const C: char = '\"'; use super::b::B; const D: char = '\"';",
        "fn f<'a>(x: &'a str) -> char { '\\'' } use super::b::B;",
        "use super::*; fn f(b: B) {}",
        "use super::*; fn f(b: b::B) {}",
        "use crate::http::*; fn f(b: B) {}",
        "use crate::http::*; fn f(b: b::B) {}",
        "use crate::*; fn f(b: http::b::B) {}",
        "#[derive(super::b::D)]",
        "#[derive(Clone)] #[derive(Debug, super::b::D)]",
        "use super::{self}; fn f(b: http::b::B) {}",
        "use super::{self as h, c::C}; fn f(b: h::b::B) {}",
        "use r#super::b::B;",
        "use super::r#b::B;",
        "use ::crate_name::http::b::B;",
        "fn f(b: ::crate_name::http::b::B) {}",
        "use crate_name::http::*;",
    ],
)
def test_a_circle_of_rust_files_is_found_and_drawn(imports, tmp_path, code):
    files = {
        "lib.rs": "pub mod http; mod error;",
        "error.rs": "",
        "http/mod.rs": "//! Docs.\npub mod a;\npub mod b;\nmod c;\npub use b::B;\n",
        "http/a.rs": f"//! A.\n{code}\npub struct A;\n",
        "http/b.rs": "use super::c::C;\nuse std::sync::Arc;\nuse super::a::A;\npub struct B;\nmod deep;\n",
        "http/b/deep.rs": "pub struct D;\n",
        "http/c.rs": "pub struct C;\n",
    }
    if "deep" in code:
        files["http/b/deep.rs"] = "use super::super::a::A; pub struct D;\n"
        assert rust_circles(imports, tmp_path, files) == ["http/a.rs:2 -> http/b/deep.rs:1 -> http/a.rs"]
    else:
        assert rust_circles(imports, tmp_path, files) == ["http/a.rs:2 -> http/b.rs:3 -> http/a.rs"]


def test_a_second_name_for_the_crate_is_a_complaint(imports, tmp_path):
    with pytest.raises(AssertionError, match=r"a\.rs:2: `extern crate self` cannot be read"):
        rust_circles(imports, tmp_path, {"lib.rs": "mod a;", "a.rs": "//! A.\nextern crate self as me;\n"})


def test_a_glob_brings_what_its_module_passes_on_and_a_child_sees_its_imports_too(imports, tmp_path):
    files = {
        "lib.rs": "mod http; mod c; mod user;",
        "http/mod.rs": "mod a; mod b; use crate::c::C; pub use b::*;",
        "http/a.rs": "use super::*;",
        "http/b.rs": "pub struct B;",
        "user.rs": "use crate::http::*;",
        "c.rs": "pub struct C;",
    }
    graph = imports.rust_graph(plant(tmp_path, files) / "lib.rs", tmp_path)
    assert sorted(graph["http/a.rs"]) == ["c.rs", "http/b.rs"]
    assert sorted(graph["user.rs"]) == ["http/b.rs"]


@pytest.mark.parametrize(
    "code",
    [
        "// use super::b::B;",
        "/* use super::b::B; */",
        "/// See [`super::b::B`].\nfn f() {}",
        'const C: &str = "super::b::B";',
        'const C: &str = r#"" super::b::B"#;',
        "#[cfg(test)]\nmod tests { use super::super::b::B; }",
        "#[cfg(test)]\nmod tests;",
        "#[cfg(test)]\nuse super::b::B;",
        "#[cfg(test)]\n#[allow(unused)]\nfn f() -> super::b::B { B }",
        "use b::B;",
        "use super::c::C; fn f(c: C) -> c::b::B {}",
        "#[cfg(test)]\n#[derive(super::b::D)]\nstruct T;",
        "use super::c::*; fn f(b: b::B) {}",
    ],
)
def test_comments_texts_and_tests_make_no_circle_of_rust_files(imports, tmp_path, code):
    files = {
        "lib.rs": "mod http;",
        "http/mod.rs": "mod a; mod b; mod c; pub use a::A; pub use b::B;",
        "http/a.rs": f"{code}\npub struct A;\n",
        "http/b.rs": "use super::A;\npub struct B;\n",
        "http/c.rs": "pub struct C;\n",
    }
    if "mod tests;" in code:
        files["http/a/tests.rs"] = "use crate::http::b::B; mod more;"
        files["http/a/tests/more.rs"] = "use crate::http::b::B;"
    assert rust_circles(imports, tmp_path, files) == []


def test_a_folder_s_file_that_only_passes_names_on_stands_in_no_circle(imports, tmp_path):
    files = {
        "lib.rs": "mod wire;",
        "wire/mod.rs": "//! Docs.\n#![deny(unsafe_code)]\nmod a;\n/// B.\npub(crate) mod b;\n"
        "pub use self::{a::A, b::*};\n",
        "wire/a.rs": "use super::B;\npub struct A;\n",
        "wire/b.rs": "pub struct B;\n",
    }
    assert rust_circles(imports, tmp_path, files) == []
    graph = imports.rust_graph(tmp_path / "lib.rs", tmp_path)
    assert list(imports.listed(graph)) == [
        "lib.rs -> (nothing)",
        "wire/b.rs -> (nothing)",
        "wire/a.rs -> wire/b.rs",
        "wire/mod.rs -> wire/a.rs, wire/b.rs",
    ]


def test_a_folder_s_file_with_a_definition_that_its_child_uses_is_a_circle(imports, tmp_path):
    files = {
        "lib.rs": "mod wire;",
        "wire/mod.rs": "mod a;\npub use a::A;\npub struct Shape;\n",
        "wire/a.rs": "use super::Shape;\npub struct A;\n",
    }
    assert rust_circles(imports, tmp_path, files) == ["wire/a.rs:1 -> wire/mod.rs:2 -> wire/a.rs"]


def test_a_stub_for_other_systems_belongs_to_the_module_that_it_stands_for(imports, tmp_path):
    files = {
        "lib.rs": '#[cfg(unix)]\nmod direct;\n#[cfg(not(unix))]\n#[path = "stub.rs"]\nmod direct;\nmod lane;\n',
        "direct.rs": "pub struct Reactor;\n",
        "stub.rs": "use crate::lane::Lane;\npub struct Reactor;\n",
        "lane.rs": "use crate::direct::Reactor;\npub struct Lane;\n",
    }
    assert rust_circles(imports, tmp_path, files) == ["lane.rs:1 -> stub.rs:1 -> lane.rs"]


def test_a_name_that_stands_for_one_of_two_modules_leads_to_both(imports, tmp_path):
    files = {
        "lib.rs": "mod direct; mod lane;",
        "direct/mod.rs": "#[cfg(unix)]\nmod unix;\n#[cfg(not(unix))]\nmod other;\n"
        "#[cfg(unix)]\npub use unix::Reactor;\n#[cfg(not(unix))]\npub use other::Reactor;\n",
        "direct/unix.rs": "use crate::lane::Lane;\npub struct Reactor;\n",
        "direct/other.rs": "pub struct Reactor;\n",
        "lane.rs": "use crate::direct::Reactor;\npub struct Lane;\n",
    }
    assert rust_circles(imports, tmp_path, files) == ["direct/unix.rs:1 -> lane.rs:1 -> direct/unix.rs"]


def test_a_rust_file_that_nothing_declares_is_a_complaint(imports, tmp_path):
    with pytest.raises(AssertionError, match=r"left\.rs"):
        rust_circles(imports, tmp_path, {"lib.rs": "", "left.rs": ""})


def python_circles(imports, folder: Path, files: dict[str, str]) -> list[str]:
    plant(folder / "package", {"__init__.py": "", "inner/__init__.py": "", **files})
    graph = imports.python_graph(folder / "package", folder / "package")
    return [imports.drawn(graph, circle) for circle in imports.circles(graph)]


# What `inner/a.py` may say so that it needs `b.py`, which needs `inner/a.py`.
@pytest.mark.parametrize(
    "code",
    [
        "import package.b",
        "import json, package.b as b",
        "from package import b",
        "from package.b import B",
        "from ..b import (\n    B,\n)",
        "from .. import b",
        "from .. import b as other",
        "from ..b import *",
        "def f():\n    from ..b import B",
        "if TYPE_CHECKING:\n    from ..b import B",
        "class C:\n    def f(self):\n        import package.b",
        'import_module("package.b")',
        'importlib.import_module("package.b").f()',
        "from .. import B",
        "from package import B",
        "from .. import *",
        "from package import *",
        "import package\npackage.b.B",
        "import package\npackage.B",
        "import package as p\ndef f(x: p.b.B): ...",
        "import package.inner\npackage.b.B",
        "import_module('.b', 'package')",
        "import_module('..b', __package__)",
        "import_module('..b', package=__package__)",
        "import_module(package='package', name='.b')",
        "import_module(name='package.b')",
        "import_module(f'package.{x}')",
        "from importlib import import_module\nimport_module('..b', 'package.inner')",
        "__import__('package.b')",
        "importlib.__import__(name='package.b')",
        "sys.modules['package.b'].B",
        "sys.modules.get('package.b')",
        "sys.modules[f'package.{x}']",
    ],
)
def test_a_circle_of_python_files_is_found_and_drawn(imports, tmp_path, code):
    files = {
        "__init__.py": '"""Docs."""\nif TYPE_CHECKING:\n    from .b import B\n__all__ = ["B"]\n',
        "inner/a.py": f"import os; {code}\n" if code.startswith("from ") else f"{code}\n",
        "b.py": "import os\n\nfrom .inner import a\n",
    }
    (found,) = python_circles(imports, tmp_path, files)
    assert re.fullmatch(r"b\.py:3 -> inner/a\.py:[123] -> b\.py", found)


@pytest.mark.parametrize(
    "code",
    [
        "importlib.import_module(name)",
        "import_module('package.' + name)",
        "import_module(f'{name}.b')",
        "import_module('.b')",
        "import_module('..b', package)",
        "import_module(*names)",
        "import_module(**names)",
        "__import__(name)",
        "load = import_module",
        "load = importlib.import_module",
        "load = __import__",
        "list(map(__import__, names))",
        "from importlib import import_module as load",
        "from sys import modules",
        "sys.modules[name]",
        "sys.modules.get(name)",
        "found = sys.modules",
        "for name in sys.modules.values(): ...",
    ],
)
def test_an_import_that_cannot_be_read_is_a_complaint(imports, tmp_path, code):
    with pytest.raises(AssertionError, match=r"cannot be read: \[.inner/a\.py:1: "):
        python_circles(imports, tmp_path, {"inner/a.py": f"{code}\n"})


def test_the_places_of_computed_names_are_those_of_the_code(imports):
    for (file, code), reason in imports.COMPUTED.items():
        assert code in (ROOT / "python" / file).read_text(encoding="utf-8")
        assert reason


def test_what_a_listed_place_may_import_is_what_its_file_spells(imports, tmp_path, monkeypatch):
    monkeypatch.setattr(imports, "COMPUTED", {("inner/a.py", "import_module(TABLE[x])"): "the table"})
    files = {"inner/a.py": "TABLE = {'B': 'package.b'}\nimport_module(TABLE[x])\n", "b.py": "from .inner import a\n"}
    assert python_circles(imports, tmp_path, files) == ["b.py:1 -> inner/a.py:2 -> b.py"]


@pytest.mark.parametrize(
    "code",
    [
        "# import package.b",
        '"""import package.b"""',
        "import b",
        "from . import c",
        "import package\npackage.inner.c",
        "import package\npackage.__name__",
        "import other\nother.package.b.B",
        "import_module('b')",
        "import_module('.c', __package__)",
        "import_module(f'{__package__}.{x}')",
        "import_module(f'other.{x}')",
        "'package.b' in sys.modules",
        "sys.modules['package.inner.c']",
    ],
)
def test_comments_texts_and_namesakes_make_no_circle_of_python_files(imports, tmp_path, code):
    files = {"inner/a.py": f"{code}\n", "inner/c.py": "", "b.py": "from .inner import a\n"}
    assert python_circles(imports, tmp_path, files) == []


def test_a_computed_name_may_be_any_module_of_the_package(imports, tmp_path):
    files = {
        "inner/main.py": "def f(name):\n    return importlib.import_module(f'{__package__}.{name}')\n",
        "inner/command.py": "from .main import f\n",
        "inner/__main__.py": "from .main import f\n",
    }
    assert python_circles(imports, tmp_path, files) == ["inner/command.py:1 -> inner/main.py:2 -> inner/command.py"]
    files["inner/main.py"] = "from . import lower\nimportlib.import_module(f'{lower.__name__}.{name}')\n"
    files |= {"inner/command.py": "", "inner/lower/__init__.py": "", "inner/lower/a.py": "from ..main import f\n"}
    assert python_circles(imports, tmp_path, files) == ["inner/lower/a.py:1 -> inner/main.py:2 -> inner/lower/a.py"]


def test_a_package_with_code_that_its_module_uses_is_a_circle(imports, tmp_path):
    files = {"inner/__init__.py": "from .a import A\nLIMIT = 1\n", "inner/a.py": "from . import LIMIT\n"}
    assert python_circles(imports, tmp_path, files) == ["inner/__init__.py:1 -> inner/a.py:1 -> inner/__init__.py"]


def test_a_circle_is_drawn_by_its_shortest_way(imports):
    graph = {"a": {"b": 1}, "b": {"c": 2}, "c": {"d": 3, "b": 4}, "d": {"a": 5}, "e": {"a": 6}}
    assert [imports.drawn(graph, circle) for circle in imports.circles(graph)] == ["b:2 -> c:4 -> b"]
