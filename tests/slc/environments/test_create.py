"""`EnvManagerTool.create` makes virtual environments, and leaves nothing behind that is not one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from metagpt_ollama_rs import ConfigurationError
from metagpt_ollama_rs.slc import EnvManagerTool
from metagpt_ollama_rs.slc.machine import installers
from metagpt_ollama_rs.slc.machine.programs import ProgramError
from metagpt_ollama_rs.slc.machine.python_environments import ask_environment

BASE = os.path.realpath(sys.executable)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_environment_is_made_by_uv(tmp_path):
    path = tmp_path / "with a blank" / "deep" / "-r"
    text = EnvManagerTool.create(str(path))
    environment = ask_environment(path)
    assert environment.path == str(path)
    assert os.path.realpath(environment.python) == BASE
    first, second = text.splitlines()
    assert first == f"{path}: {environment.implementation} {environment.version}"
    assert second.startswith('made by ["')
    assert "/uv" in second


def test_an_environment_is_made_by_venv_where_there_is_no_uv(tmp_path, monkeypatch, script):
    monkeypatch.setattr(installers, "find_executable", lambda name: None)
    # To install pip takes seconds.
    python = script("python3", f'[ "$*" = "-I -m venv -- $5" ] && exec {BASE} -I -m venv --without-pip -- "$5"')
    report = EnvManagerTool.create_report(str(tmp_path / "made"), python=str(python))
    assert report.created
    assert report.arguments == (str(python), "-I", "-m", "venv", "--", str(tmp_path / "made"))
    assert ask_environment(tmp_path / "made").path == str(tmp_path / "made")


def test_the_interpreter_may_be_chosen(tmp_path):
    minor = ".".join(map(str, sys.version_info[:2]))
    for number, python in enumerate([BASE, minor]):
        EnvManagerTool.create(str(tmp_path / str(number)), python=python)
        assert ask_environment(tmp_path / str(number)).version.startswith(minor)
    with pytest.raises(ConfigurationError, match=r"there is no Python 3\.99 here") as caught:
        EnvManagerTool.create(str(tmp_path / "none"), python="3.99")
    assert minor in caught.value.hint
    assert not (tmp_path / "none").exists()


def test_an_environment_that_is_there_is_left_as_it_is(environment):
    (environment / "mine").write_text("kept", encoding="utf-8")
    before = names(environment)
    report = EnvManagerTool.create_report(str(environment))
    assert not report.created
    assert str(report).endswith("it exists already, and is left as it is")
    assert names(environment) == before


def test_a_broken_environment_is_said_to_be_broken_and_left(environment):
    python = environment / "bin" / "python"
    python.unlink()
    python.symlink_to("/no/such/python")
    with pytest.raises(ConfigurationError, match="was made of is gone"):
        EnvManagerTool.create(str(environment))
    assert python.is_symlink()


def test_an_empty_folder_is_used(tmp_path):
    (tmp_path / "empty").mkdir()
    assert EnvManagerTool.create_report(str(tmp_path / "empty")).created


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("full", "full has files in it and is no environment"),
        ("file", "file is no folder"),
        ("dangling", "dangling is no folder"),
        ("file/below", "file cannot be made: File exists"),
        ("a:b", "which PATH cannot have"),
        ("", "env must be a path"),
        ("a\nb", "env must be a path"),
        (None, "env must be a path, and is None"),
    ],
)
def test_what_cannot_become_an_environment_is_refused(tmp_path, monkeypatch, name, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("kept", encoding="utf-8")
    (tmp_path / "file").write_text("kept", encoding="utf-8")
    (tmp_path / "dangling").symlink_to("/no/such/folder")
    before = names(tmp_path)
    with pytest.raises(ConfigurationError, match=said):
        EnvManagerTool.create(name)
    assert names(tmp_path) == before
    assert (tmp_path / "full" / "mine").read_text(encoding="utf-8") == "kept"


# Makes a part of an environment and fails.
FAILING = 'for folder; do :; done; mkdir -p "$folder/lib"; ln -s lib "$folder/lib64"; echo half >"$folder/pyvenv.cfg"; '


def test_what_there_is_of_it_after_a_failure_is_removed(bare_machine, script, tmp_path):
    script("uv", FAILING + "echo 'error: No space left' >&2; exit 2")
    with pytest.raises(ProgramError, match=r"uv ended with exit code 2: error: No space left") as caught:
        EnvManagerTool.create("deep/er/environment")
    assert caught.value.exit_code == 2
    assert caught.value.arguments[-1] == str(bare_machine / "deep/er/environment")
    assert names(bare_machine) == []
    # A folder that was there stays, and is empty again.
    (bare_machine / "empty").mkdir()
    with pytest.raises(ProgramError):
        EnvManagerTool.create("empty")
    assert names(bare_machine) == ["empty"]
    assert names(bare_machine / "empty") == []


def test_an_environment_that_does_not_work_is_removed(bare_machine, script):
    script("uv", FAILING)
    with pytest.raises(ConfigurationError, match="has no Python"):
        EnvManagerTool.create("made")
    assert names(bare_machine) == []


def test_a_command_that_takes_too_long_is_ended_and_its_work_removed(bare_machine, script):
    script("uv", FAILING + "exec sleep 60")
    with pytest.raises(ProgramError, match=r"did not end within 0\.5 seconds"):
        EnvManagerTool.create("made", timeout=0.5)
    assert names(bare_machine) == []


def test_ctrl_c_removes_what_there_is(bare_machine, script):
    script("uv", FAILING + "exec sleep 60")
    code = "from metagpt_ollama_rs.slc import EnvManagerTool; EnvManagerTool.create('made')"
    caller = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    while not (bare_machine / "made" / "pyvenv.cfg").exists():
        time.sleep(0.01)
    caller.send_signal(signal.SIGINT)
    _, stderr = caller.communicate(timeout=30)
    assert stderr.rstrip().endswith(b"KeyboardInterrupt")
    assert names(bare_machine) == []


def test_of_two_that_make_the_same_one_the_second_fails_and_removes_nothing(bare_machine, script, monkeypatch):
    """The folder appears between the look at it and the making of it."""
    script("uv", "exit 1")
    mine = bare_machine / "made" / "mine"

    def appear(_: object) -> str:
        mine.parent.mkdir()
        mine.write_text("kept", encoding="utf-8")
        return BASE

    monkeypatch.setattr(installers, "choose_interpreter", appear)
    with pytest.raises(ConfigurationError, match="cannot be made: File exists"):
        EnvManagerTool.create("made")
    assert mine.read_text(encoding="utf-8") == "kept"


def test_a_folder_that_this_user_may_not_make(tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / "made"))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ConfigurationError, match="made cannot be made: Permission denied"):
        EnvManagerTool.create(str(tmp_path / "made"))
