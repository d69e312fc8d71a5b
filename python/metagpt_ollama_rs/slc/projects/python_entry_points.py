"""The entry points in a Python file, as `ast` reads it: main guards, ``__main__.py``, web applications, commands.

    if __name__ == "__main__":          main guard
        main()
    app = FastAPI()                     asgi app          uvicorn shop.web:app
    @click.command()                    click command
    setup(entry_points={…})             console script

What a name stands for say the file's imports: ``Flask()`` counts where it comes from flask. A file that is no Python
is a ValueError.
"""

from __future__ import annotations

import ast
import shlex
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Optional, Union

from metagpt_ollama_rs.slc.projects.entry_point import EntryPoint
from metagpt_ollama_rs.slc.projects.manifests import entry_point_lines

if TYPE_CHECKING:
    from metagpt_ollama_rs.slc.projects.project_files import ProjectFile

    Function = Union[ast.FunctionDef, ast.AsyncFunctionDef]

__all__ = ["python_entry_points"]

# What makes an application: the kind, and what serves it.
_APPS = {
    "fastapi.FastAPI": ("asgi app", "uvicorn {target}"),
    "fastapi.applications.FastAPI": ("asgi app", "uvicorn {target}"),
    "starlette.applications.Starlette": ("asgi app", "uvicorn {target}"),
    "litestar.Litestar": ("asgi app", "uvicorn {target}"),
    "quart.Quart": ("asgi app", "uvicorn {target}"),
    "falcon.asgi.App": ("asgi app", "uvicorn {target}"),
    "django.core.asgi.get_asgi_application": ("asgi app", "uvicorn {target}"),
    "sanic.Sanic": ("asgi app", "sanic {target}"),
    "flask.Flask": ("wsgi app", "flask --app {target} run"),
    "flask.app.Flask": ("wsgi app", "flask --app {target} run"),
    "bottle.Bottle": ("wsgi app", "gunicorn {target}"),
    "falcon.App": ("wsgi app", "gunicorn {target}"),
    "django.core.wsgi.get_wsgi_application": ("wsgi app", "gunicorn {target}"),
    "typer.Typer": ("typer app", ""),
}
_FACTORY = {"asgi app": "uvicorn --factory {target}", "wsgi app": "flask --app {target} run"}
_SETUP = ("setuptools.setup", "distutils.core.setup")
_SCRIPT_KINDS = {"console_scripts": "console script", "gui_scripts": "gui script"}


def python_entry_points(file: ProjectFile, files: Mapping[str, ProjectFile]) -> Iterator[EntryPoint]:
    """What a Python file starts; nothing for other files. ``files`` are those of the project by their paths."""
    if not file.name.endswith((".py", ".pyw")):
        return
    try:
        with warnings.catch_warnings():
            # Of backslashes in the file's texts.
            warnings.simplefilter("ignore")
            tree = ast.parse(file.text)
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"{file.path} is no Python") from error
    yield from _PythonFile(file, files, tree).entry_points()


class _PythonFile:
    def __init__(self, file: ProjectFile, files: Mapping[str, ProjectFile], tree: ast.Module) -> None:
        self._path = file.path
        self._tree = tree
        self._top, self._module = _dotted_module(file.path, files)
        self._imported = dict(_imports(tree))

    def entry_points(self) -> Iterator[EntryPoint]:
        guards = [statement for statement in self._tree.body if _is_main_guard(statement)]
        if self._path.rpartition("/")[2] == "__main__.py":
            line = guards[0].lineno if guards else 1
            yield self._point(line, "package main", self._module or ".", self._run_command())
        else:
            for guard in guards[:1]:
                yield self._point(
                    guard.lineno, "main guard", _called(guard, self._tree) or self._module, self._run_command()
                )
        yield from self._apps()
        yield from self._commands(bool(guards))
        yield from self._setups()

    def _point(self, line: int, kind: str, name: str, run: str) -> EntryPoint:
        return EntryPoint(self._path, line, kind, name, run)

    def _run_command(self) -> str:
        """A module of a package is run by its name, so that its relative imports work."""
        folder, _, name = self._path.rpartition("/")
        if "." in self._module or (name == "__main__.py" and self._module):
            return f"{self._there()}python -m {shlex.quote(self._module)}"
        return f"python {shlex.quote(folder or '.') if name == '__main__.py' else shlex.quote(self._path)}"

    def _there(self) -> str:
        return f"cd {shlex.quote(self._top)} && " if self._top else ""

    def _apps(self) -> Iterator[EntryPoint]:
        for statement in self._tree.body:
            for name, kind, run in self._made(statement):
                yield self._point(statement.lineno, kind, name, self._served(run, name))
            if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)) and statement.name in (
                "create_app",
                "make_app",
            ):
                kinds = [kind for inner in ast.walk(statement) for kind, _ in self._app_of(inner)]
                for kind in [kind for kind in kinds if kind in _FACTORY][:1]:
                    run = self._served(_FACTORY[kind], statement.name)
                    yield self._point(statement.lineno, f"{kind} factory", statement.name, run)

    def _made(self, statement: ast.stmt) -> Iterator[tuple[str, str, str]]:
        """Name, kind and command of the applications that a statement assigns."""
        value = statement.value if isinstance(statement, (ast.Assign, ast.AnnAssign)) else None
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        for kind, run in self._app_of(value):
            yield from ((target.id, kind, run) for target in targets if isinstance(target, ast.Name))

    def _app_of(self, node: Optional[ast.AST]) -> Iterator[tuple[str, str]]:
        app = _APPS.get(self._full_name(node.func)) if isinstance(node, ast.Call) else None
        if app:
            yield app

    def _served(self, run: str, name: str) -> str:
        return self._there() + run.format(target=f"{self._module}:{name}") if run else ""

    def _commands(self, has_guard: bool) -> Iterator[EntryPoint]:
        """The functions that click or typer make commands of."""
        groups = {
            name for statement in self._tree.body for name, kind, _ in self._made(statement) if kind == "typer app"
        }
        for function in self._tree.body:
            if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            for decorator in function.decorator_list:
                call = decorator.func if isinstance(decorator, ast.Call) else decorator
                full = self._full_name(call)
                owner = call.value.id if isinstance(call, ast.Attribute) and isinstance(call.value, ast.Name) else ""
                in_group = owner in groups and isinstance(call, ast.Attribute) and call.attr in ("command", "group")
                if (
                    full not in ("click.command", "click.group", "rich_click.command", "rich_click.group")
                    and not in_group
                ):
                    continue
                kind = "typer command" if self._is_typer(owner) else "click command"
                if full.endswith(".group") or (in_group and full.endswith("group")):
                    groups.add(function.name)
                name = _command_name(decorator, function)
                run = self._run_command() + (f" {shlex.quote(name)}" if in_group else "") if has_guard else ""
                yield self._point(function.lineno, kind, name, run)

    def _is_typer(self, owner: str) -> bool:
        return any(
            name == owner and kind == "typer app" for line in self._tree.body for name, kind, _ in self._made(line)
        )

    def _setups(self) -> Iterator[EntryPoint]:
        """What ``setup()`` declares."""
        for node in ast.walk(self._tree):
            if not (isinstance(node, ast.Call) and self._full_name(node.func) in _SETUP):
                continue
            for argument in node.keywords:
                value = _literal(argument.value)
                if argument.arg == "entry_points":
                    groups = (
                        value
                        if isinstance(value, dict)
                        else dict(_setup_groups(value))
                        if isinstance(value, str)
                        else {}
                    )
                    for group, entries in groups.items():
                        text = "\n".join(map(str, entries)) if isinstance(entries, (list, tuple)) else str(entries)
                        kind = _SCRIPT_KINDS.get(group)
                        for name, target in entry_point_lines(text):
                            line = self._line_of_text(argument.value, name)
                            named = f"{name} = {target}"
                            yield self._point(line, kind or f"plugin of {group}", named, name if kind else "")
                elif argument.arg == "scripts":
                    for path in value if isinstance(value, (list, tuple)) else ():
                        yield self._point(argument.value.lineno, "script", str(path), str(path))

    def _line_of_text(self, value: ast.expr, name: str) -> int:
        """The line of the text in ``value`` that begins with ``name``."""
        for node in ast.walk(value):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for offset, line in enumerate(node.value.split("\n")):
                    if line.strip().startswith(name):
                        return node.lineno + offset
        return value.lineno

    def _full_name(self, node: Optional[ast.AST]) -> str:
        """``click.command`` for ``click.command`` and for ``command`` that was imported from click."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        return ".".join([self._imported.get(node.id, node.id), *parts])


def _imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The names that a file imports, wherever it does, and what they stand for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (
                    alias.asname or alias.name.partition(".")[0],
                    alias.name if alias.asname else alias.name.partition(".")[0],
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _is_main_guard(statement: ast.stmt) -> bool:
    """Whether it is ``if __name__ == "__main__":``, in either order."""
    test = statement.test if isinstance(statement, ast.If) else None
    if not (isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq)):
        return False
    sides = [test.left, *test.comparators]
    names = {side.id for side in sides if isinstance(side, ast.Name)}
    return names == {"__name__"} and any(isinstance(side, ast.Constant) and side.value == "__main__" for side in sides)


def _called(guard: ast.stmt, tree: ast.Module) -> str:
    """The function of the module that a guard calls, perhaps in ``sys.exit(main())``; "" if it calls none."""
    defined = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    calls = [node.func for node in ast.walk(guard) if isinstance(node, ast.Call)]
    return next((call.id for call in calls if isinstance(call, ast.Name) and call.id in defined), "")


def _command_name(decorator: ast.expr, function: Function) -> str:
    """The name of a command: as the decorator says, else the function's, as click and typer write it."""
    if isinstance(decorator, ast.Call):
        given = [*decorator.args[:1], *(word.value for word in decorator.keywords if word.arg == "name")]
        for value in given:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                return value.value
    return function.name.replace("_", "-")


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def _setup_groups(text: str) -> Iterator[tuple[str, str]]:
    """The sections of ``[console_scripts]\\nshop = shop.cli:main``."""
    group, lines = "", list[str]()
    for line in [*text.splitlines(), "[]"]:
        if line.strip().startswith("["):
            if group:
                yield group, "\n".join(lines)
            group, lines = line.strip().strip("[]").strip(), []
        else:
            lines.append(line)


def _dotted_module(path: str, files: Mapping[str, ProjectFile]) -> tuple[str, str]:
    """The folder that is to be on Python's path, and the module's name there: ``lib`` and ``shop.cli`` for
    ``lib/shop/cli.py``, if ``lib/shop/__init__.py`` is there."""
    folder, _, name = path.rpartition("/")
    parts = [] if name == "__main__.py" else [name.rpartition(".")[0]]
    while folder and f"{folder}/__init__.py" in files:
        folder, _, package = folder.rpartition("/")
        parts.insert(0, package)
    return folder, ".".join(parts)
