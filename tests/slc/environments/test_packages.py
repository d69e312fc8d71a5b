"""What `EnvManagerTool.list_packages` says of an environment, and which paths are one."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from metagpt_ollama_rs import ConfigurationError
from metagpt_ollama_rs.slc import EnvManagerTool
from metagpt_ollama_rs.slc.machine.python_environments import ask_environment, is_current

VERSION = ".".join(map(str, sys.version_info[:3]))


def lines(env: Path) -> list[str]:
    return EnvManagerTool.list_packages(str(env)).splitlines()


def test_an_environment_without_packages_and_without_pip(environment):
    assert lines(environment) == [f"{environment}: CPython {VERSION}, 0 packages"]


def test_names_are_normalized_and_sorted(environment, put_package):
    put_package("Zope.Interface", "5.0")
    put_package("typing_extensions", "4.12.2")
    put_package("b", "1!2.0rc1+local.1")
    assert lines(environment) == [
        f"{environment}: CPython {VERSION}, 3 packages",
        "b                  1!2.0rc1+local.1",
        "typing-extensions  4.12.2",
        "zope-interface     5.0",
    ]


def test_where_a_package_is_that_is_not_where_packages_usually_are(environment, put_package, tmp_path):
    editable = put_package("mine", "0.1")
    direct = {"url": "file:///src/mine", "dir_info": {"editable": True}}
    (editable / "direct_url.json").write_text(json.dumps(direct), encoding="utf-8")
    fetched = put_package("fetched", "0.2")
    (fetched / "direct_url.json").write_text('{"url": "https://example.org/fetched.whl"}', encoding="utf-8")
    put_package("broken-origin", "0.3").joinpath("direct_url.json").write_text("{", encoding="utf-8")
    elsewhere = tmp_path / "elsewhere"
    put_package("added", "0.4", folder=elsewhere)
    editable.parent.joinpath("added.pth").write_text(f"{elsewhere}\n", encoding="utf-8")
    assert lines(environment)[1:] == [
        f"added          0.4  in {elsewhere}",
        "broken-origin  0.3",
        "fetched        0.2  from https://example.org/fetched.whl",
        "mine           0.1  editable: file:///src/mine",
    ]


def test_a_package_that_is_there_twice(environment, put_package, tmp_path):
    first = put_package("twice", "1.0")
    elsewhere = tmp_path / "elsewhere"
    put_package("Twice", "2.0", folder=elsewhere)
    first.parent.joinpath("added.pth").write_text(f"{elsewhere}\n", encoding="utf-8")
    assert lines(environment)[1:] == ["twice  1.0  hides 2.0"]
    report = EnvManagerTool.list_packages_report(environment)
    assert [(each.name, each.version, each.shadowed) for each in report.environment.packages] == [
        ("twice", "1.0", ("2.0",))
    ]


def test_a_package_without_name_or_version_is_said_to_be_broken(environment, put_package):
    info = put_package("broken", "1.0")
    (info / "METADATA").unlink()
    assert lines(environment)[1:] == [f"broken, without a name or version: {info}"]


def test_the_current_environment(monkeypatch):
    report = EnvManagerTool.list_packages_report()
    assert is_current(report.environment)
    assert "metagpt-ollama-rs" in [package.name for package in report.environment.packages]


def test_an_environment_by_its_interpreter_by_a_relative_path_and_by_a_link(environment, monkeypatch, tmp_path):
    (tmp_path / "link").symlink_to(environment)
    monkeypatch.chdir(tmp_path)
    for env in (
        environment / "bin" / "python",
        "environment",
        Path("environment/bin/python3"),
        "link",
        "link/bin/python",
    ):
        assert ask_environment(env).path in (str(environment), str(tmp_path / "link"))


def test_the_surroundings_of_this_program_do_not_reach_the_environment(environment, monkeypatch, tmp_path, put_package):
    put_package("seen-by-mistake", "1.0", folder=tmp_path / "extra")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "extra"))
    monkeypatch.setenv("PYTHONHOME", "/no/such/folder")
    monkeypatch.chdir(tmp_path / "extra")
    (tmp_path / "extra" / "json.py").write_text("raise SystemExit('not this one')", encoding="utf-8")
    assert "0 packages" in lines(environment)[0]


def test_packages_of_the_user_count_where_there_is_no_virtual_environment(no_configuration, put_package, monkeypatch):
    base = sys.base_prefix
    major, minor = sys.version_info[:2]
    folder = no_configuration / ".local" / "lib" / f"python{major}.{minor}" / "site-packages"
    put_package("of-the-user", "1.0", folder=folder)
    names = [package.name for package in ask_environment(base).packages]
    assert "of-the-user" in names
    monkeypatch.setenv("PYTHONNOUSERSITE", "1")
    assert "of-the-user" not in [package.name for package in ask_environment(base).packages]


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ("", "env must be a path, and is ''"),
        ("  ", "env must be a path"),
        ("a\nb", "env must be a path"),
        ("a\x00b", "env must be a path"),
        (7, "env must be a path, and is 7"),
        (b"bytes", "env must be a path"),
        ("missing", "missing does not exist"),
        ("empty", "empty is no Python environment and no interpreter"),
        ("file", "file is no Python environment and no interpreter"),
        ("no-interpreter", "no-interpreter has no Python"),
        ("/bin/sh", "/bin/sh is no Python environment and no interpreter"),
        ("python-not-executable/python", "is no Python environment and no interpreter"),
        ("gone", "gone was made of is gone: /no/such/python does not exist"),
        ("gone/bin/python", "leads to /no/such/python, which does not exist"),
        ("silent", "does not describe its environment: exit code 3 (it said nothing)"),
        ("borrowed", "is no Python environment and no interpreter: its Python belongs to"),
    ],
)
def test_what_is_no_environment_is_refused(tmp_path, monkeypatch, env, said):
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "no-interpreter", "python-not-executable", "gone/bin", "silent/bin", "borrowed/bin"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("no-interpreter", "gone", "silent"):
        (tmp_path / name / "pyvenv.cfg").write_text("version = 3.11\n", encoding="utf-8")
    (tmp_path / "file").write_text("text", encoding="utf-8")
    (tmp_path / "python-not-executable" / "python").write_text("text", encoding="utf-8")
    (tmp_path / "gone" / "bin" / "python").symlink_to("/no/such/python")
    (tmp_path / "silent" / "bin" / "python").write_text("#!/bin/sh\nexit 3\n", encoding="utf-8")
    (tmp_path / "silent" / "bin" / "python").chmod(0o755)
    (tmp_path / "borrowed" / "bin" / "python").symlink_to(os.path.realpath(sys.executable))
    with pytest.raises(ConfigurationError) as caught:
        EnvManagerTool.list_packages(env)
    assert said in caught.value.message
    assert caught.value.hint or "must be a path" in said


def test_the_folder_of_a_project_is_not_its_environment_but_that_is_named(environment):
    environment.rename(environment.parent / ".venv")
    with pytest.raises(ConfigurationError, match=rf"did you mean {environment.parent}/\.venv\?"):
        EnvManagerTool.list_packages(str(environment.parent))


def test_what_an_environment_prints_by_itself_is_passed_over(environment, put_package):
    site = put_package("one", "1.0").parent
    text = "import atexit; print('hello'); atexit.register(print, 'goodbye')"
    (site / "sitecustomize.py").write_text(text, encoding="utf-8")
    assert lines(environment)[1:] == ["one  1.0"]


def test_an_interpreter_that_answers_with_nonsense(environment):
    python = environment / "bin" / "python"
    python.unlink()
    for text in ("echo '{\"python\": 1}'", "printf '{\"python\": '; printf '%0200000d' 0 | tr 0 '['"):
        python.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        python.chmod(0o755)
        with pytest.raises(ConfigurationError, match="does not describe its environment"):
            lines(environment)


def test_a_program_with_another_name_is_not_started(tmp_path):
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/was-run\n", encoding="utf-8")
    program.chmod(0o755)
    with pytest.raises(ConfigurationError):
        EnvManagerTool.list_packages(str(program))
    assert not (tmp_path / "was-run").exists()
