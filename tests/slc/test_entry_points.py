"""Where programs are started: each manifest and each language that is looked at, and what is no entry point."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from metagpt_ollama_rs.slc import CodeUnderstandingTool

from .tool_requests import plant

pytest.importorskip("pathspec")


def found(root: Path, files: dict[str, str]) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return [str(point) for point in CodeUnderstandingTool.list_entry_points(plant(root, files))]


GUARD = 'def main(): ...\n\n\nif __name__ == "__main__":\n    main()\n'
DOCKER = "docker build -f Dockerfile -t image . && docker run image"
CASES: dict[str, tuple[dict[str, str], list[str]]] = {
    "main guard": ({"app/run.py": GUARD}, ["app/run.py:4: main guard: main (python app/run.py)"]),
    "main guard the other way round": (
        {"a.py": "import sys\ndef go(): ...\nif '__main__' == __name__: sys.exit(go())\n"},
        ["a.py:3: main guard: go (python a.py)"],
    ),
    "main guard of a module in a package": (
        {"src/shop/__init__.py": "", "src/shop/cli.py": GUARD},
        ["src/shop/cli.py:4: main guard: main (cd src && python -m shop.cli)"],
    ),
    "a name that a shell would read": ({"a b.py": GUARD}, ["a b.py:4: main guard: main (python 'a b.py')"]),
    "package main": (
        {"shop/__init__.py": "", "shop/__main__.py": "from shop import run\n\nrun()\n"},
        ["shop/__main__.py:1: package main: shop (python -m shop)"],
    ),
    "folder main": ({"tool/__main__.py": "print(1)\n"}, ["tool/__main__.py:1: package main: . (python tool)"]),
    "pyproject": (
        {
            "pyproject.toml": """\
[project]
name = "shop"

[project.scripts]
shop = "shop.cli:main"

[project.gui-scripts]
"shop-gui" = "shop.gui:main"

[project.entry-points."shop.plugins"]
json = "shop.json"
"""
        },
        [
            "pyproject.toml:5: console script: shop = shop.cli:main (shop)",
            "pyproject.toml:8: gui script: shop-gui = shop.gui:main (shop-gui)",
            "pyproject.toml:11: plugin of shop.plugins: json = shop.json",
        ],
    ),
    "poetry": (
        {
            "pyproject.toml": """\
[tool.poetry.scripts]
shop = "shop.cli:main"
other = { reference = "shop.other:main", type = "console" }
"""
        },
        [
            "pyproject.toml:2: console script: shop = shop.cli:main (shop)",
            "pyproject.toml:3: console script: other = shop.other:main (other)",
        ],
    ),
    "setup.cfg": (
        {
            "setup.cfg": """\
[options]
scripts = bin/tool
[options.entry_points]
console_scripts =
    shop = shop.cli:main
shop.plugins =
    json = shop.json
"""
        },
        [
            "setup.cfg:2: script: bin/tool (bin/tool)",
            "setup.cfg:5: console script: shop = shop.cli:main (shop)",
            "setup.cfg:7: plugin of shop.plugins: json = shop.json",
        ],
    ),
    "setup.py": (
        {
            "setup.py": """\
from setuptools import setup

setup(
    name="shop",
    scripts=["bin/tool"],
    entry_points={
        "console_scripts": [
            "shop = shop.cli:main",
        ],
    },
)
"""
        },
        ["setup.py:5: script: bin/tool (bin/tool)", "setup.py:8: console script: shop = shop.cli:main (shop)"],
    ),
    "setup.py with a text": (
        {"setup.py": 'import setuptools\nsetuptools.setup(entry_points="""\n[gui_scripts]\nshop=shop:main\n""")\n'},
        ["setup.py:4: gui script: shop = shop:main (shop)"],
    ),
    "package.json": (
        {
            "package.json": """\
{
  "name": "@me/shop",
  "main": "dist/index.js",
  "bin": {
    "shop": "bin/shop.js"
  },
  "exports": {".": {"import": "./dist/index.mjs", "require": "./dist/index.js"}, "./x": "./dist/x.js"},
  "scripts": {
    "test": "jest",
    "start": "node server.js"
  }
}
"""
        },
        [
            "package.json:3: node main: dist/index.js (node dist/index.js)",
            "package.json:5: node command: shop = bin/shop.js (npx shop)",
            "package.json:7: node export: @me/shop = ./dist/index.js",
            "package.json:7: node export: @me/shop = ./dist/index.mjs",
            "package.json:10: npm script: start = node server.js (npm start)",
        ],
    ),
    "package.json with one command": (
        {"web/package.json": '{"name": "@me/shop", "bin": "cli.js"}'},
        ["web/package.json:1: node command: shop = cli.js (cd web && npx @me/shop)"],
    ),
    "Cargo.toml": (
        {
            "Cargo.toml": '[package]\nname = "shop"\n\n[[bin]]\nname = "extra"\npath = "src/extra.rs"\n',
            "src/main.rs": "// The shop.\nfn main() {}\n",
            "src/extra.rs": "fn main() {}\n",
            "src/bin/tool.rs": "fn main() {}\n",
            "src/bin/other/main.rs": "\n#[tokio::main]\nasync fn main() {}\n",
            "src/lib.rs": "pub fn main() {}\n",
        },
        [
            "Cargo.toml:5: cargo binary: extra (cargo run --bin extra)",
            "src/bin/other/main.rs:3: cargo binary: other (cargo run --bin other)",
            "src/bin/tool.rs:1: cargo binary: tool (cargo run --bin tool)",
            "src/main.rs:2: cargo binary: shop (cargo run --bin shop)",
        ],
    ),
    "a member of a workspace": (
        {"Cargo.toml": "[workspace]\n", "a/Cargo.toml": '[package]\nname = "a"\n', "a/src/main.rs": "fn main() {}\n"},
        ["a/src/main.rs:1: cargo binary: a (cargo run --manifest-path a/Cargo.toml --bin a)"],
    ),
    "go": (
        {
            "cmd/shop/main.go": "// package main\npackage main\n\nfunc main() {\n}\n",
            "lib/lib.go": "package lib\n\nfunc main() {}\n",
            "cmd/shop/x_test.go": "package main\n\nfunc main() {}\n",
        },
        ["cmd/shop/main.go:4: go main: shop (go run ./cmd/shop)"],
    ),
    "java": (
        {
            "src/App.java": "class App {\n  public static void main(String[] args) {}\n}\n",
            "src/Comment.java": "class Comment {\n  // public static void main(String[] args)\n}\n",
            "src/Text.java": 'class Text {\n  String a = "public static void main(String[] args)";\n}\n',
        },
        ["src/App.java:2: java main: App (java src/App.java)"],
    ),
    "c": (
        {
            "main.c": "#include <stdio.h>\n/*\nint main(void) {\n*/\nint main(int argc, char **argv)\n{\n}\n",
            "main.h": "int main(void);\n",
            "other.cpp": "int main(int, char**);\nint domain() { return 1; }\n",
        },
        ["main.c:5: c main: main"],
    ),
    "kotlin, c#, swift, dart": (
        {
            "Main.kt": "fun main() {}\n",
            "Program.cs": "class P {\n  static async Task Main(string[] args) {}\n}\n",
            "App.swift": "@main\nstruct App {}\n",
            "bin2/a.dart": "void main() {}\n",
        },
        [
            "App.swift:1: swift main: main (swift run)",
            "Main.kt:1: kotlin main: main",
            "Program.cs:2: c# main: main (dotnet run)",
            "bin2/a.dart:1: dart main: bin2 (dart run bin2/a.dart)",
        ],
    ),
    "Dockerfile": (
        {
            "Dockerfile": """\
FROM python AS build
CMD ["python", "build.py"]
FROM python
ENTRYPOINT ["python", "-m"]
CMD old
CMD shop \\
    --port 80
"""
        },
        [
            f"Dockerfile:4: dockerfile entrypoint: python -m ({DOCKER})",
            f"Dockerfile:6: dockerfile cmd: shop --port 80 ({DOCKER})",
        ],
    ),
    "Procfile and Makefile": (
        {"Procfile": "web: gunicorn shop:app\n", "Makefile": "run: build\n\t./shop\n\nbuild:\n\tcc\n\nrun := x\n"},
        ["Makefile:1: make target: run (make run)", "Procfile:1: procfile: web (gunicorn shop:app)"],
    ),
    "scripts": (
        {"bin2/start": "#!/usr/bin/env bash\necho\n", "x.sh": "#!/bin/sh\n", "lib.sh": "echo\n", "a.md": "#!/bin/sh\n"},
        ["bin2/start:1: script: start (bash bin2/start)", "x.sh:1: script: x.sh (sh x.sh)"],
    ),
    "a script in Python": (
        {"a.py": f"#!/usr/bin/env python3\n{GUARD}", "b.py": "#!/usr/bin/env python3\nprint(1)\n"},
        ["a.py:5: main guard: main (python a.py)", "b.py:1: script: b.py (python3 b.py)"],
    ),
    "web applications": (
        {
            "api/web.py": "from fastapi import FastAPI\n\napp: FastAPI = FastAPI()\n",
            "flask_app.py": "import flask\n\napp = flask.Flask(__name__)\nother = Flask()\n",
            "site2/wsgi.py": "from django.core.wsgi import get_wsgi_application as g\napplication = g()\n",
            "factory.py": "def create_app():\n    from flask import Flask\n\n    return Flask(__name__)\n",
        },
        [
            "api/web.py:3: asgi app: app (cd api && uvicorn web:app)",
            "factory.py:1: wsgi app factory: create_app (flask --app factory:create_app run)",
            "flask_app.py:3: wsgi app: app (flask --app flask_app:app run)",
            "site2/wsgi.py:2: wsgi app: application (cd site2 && gunicorn wsgi:application)",
        ],
    ),
    "click": (
        {
            "cli.py": """\
import click

@click.group()
def cli(): ...

@cli.command("add-item")
def add(): ...

@cli.command()
def list_items(): ...

if __name__ == "__main__":
    cli()
"""
        },
        [
            "cli.py:4: click command: cli (python cli.py)",
            "cli.py:7: click command: add-item (python cli.py add-item)",
            "cli.py:10: click command: list-items (python cli.py list-items)",
            "cli.py:12: main guard: cli (python cli.py)",
        ],
    ),
    "typer": (
        {"cli.py": "import typer\napp = typer.Typer()\n\n@app.command()\ndef add(): ...\n"},
        ["cli.py:2: typer app: app", "cli.py:5: typer command: add"],
    ),
    "none": (
        {"a.py": "def main(): ...\n", "b.js": "x()\n", "c.rs": "fn main() {}\n", "d.py": "if __name__ == 1: x()\n"},
        [],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_entry_points_are_found_where_they_are(tmp_path: Path, name: str) -> None:
    files, expected = CASES[name]
    assert found(tmp_path, files) == expected


def test_what_cannot_be_parsed_is_said_and_the_rest_is_found(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": "[project\n",
        "setup.cfg": "no section\n",
        "package.json": "{,}",
        "x/package.json": "[]",
        "Cargo.toml": "= 1",
        "broken.py": "def (:\n",
        "null.py": "a = 1 \\",
        "nested.py": "(" * 5000 + ")" * 5000,
        "main.py": GUARD,
    }
    result = CodeUnderstandingTool.find_entry_points(plant(tmp_path, files))
    assert result.startswith(
        "main.py:4: main guard: main (python main.py)\n\n---\n\nLeft out: 8 with faults of syntax ("
    )


def test_manifests_of_strange_shapes_do_no_harm(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": "project = 1\ntool = []\n",
        "a/pyproject.toml": "[project]\nscripts = 1\nentry-points = {x = 1, y = {z = 1}}\n",
        "package.json": '{"bin": 1, "main": [], "scripts": 3, "exports": [null, {"import": null}]}',
        "Cargo.toml": 'bin = [1, {name = 2}]\n[package]\nname = "x"\n',
        "setup.py": "from setuptools import setup\nsetup(entry_points=f(), scripts=[*a])\nsetup(entry_points=1)\n",
    }
    assert found(tmp_path, files) == ["a/pyproject.toml:1: plugin of y: z = 1"]


def test_names_from_files_stay_on_one_line(tmp_path: Path) -> None:
    files = {"package.json": '{"scripts": {"start": "a\\n\\u001b[31mb"}}'}
    (line,) = found(tmp_path, files)
    assert "\n" not in line
    assert "\x1b" not in line


def test_the_result_is_the_same_each_time(tmp_path: Path) -> None:
    for number, (files, _) in enumerate(CASES.values()):
        plant(tmp_path / f"case{number:02}", files)
    first = CodeUnderstandingTool.find_entry_points(tmp_path)
    assert first == CodeUnderstandingTool.find_entry_points(tmp_path)
    assert len(first.split("\n")) > 50
