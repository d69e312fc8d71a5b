"""The frame of all commands: version, help, exit codes, where what is written."""

from __future__ import annotations

import importlib

import pytest

from metagpt_ollama_rs import __version__
from metagpt_ollama_rs.cli import main as entry
from metagpt_ollama_rs.cli.console import DONE, FIXABLE, UNEXPECTED, CliError
from metagpt_ollama_rs.cli.main import COMMANDS

frame = importlib.import_module("metagpt_ollama_rs.cli.main")


def test_the_version_is_data(run):
    assert run("--version") == (0, f"metagpt-ollama {__version__}\n", "")


def test_help_lists_every_command(run):
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    for name in COMMANDS:
        assert f"    {name} " in out


def test_without_a_command_help_goes_to_stderr(run):
    code, out, err = run()
    assert (code, out) == (2, "")
    assert err.startswith("usage: metagpt-ollama")


def test_a_wrong_command_is_an_error_with_a_hint(run):
    code, out, err = run("sevre")
    assert (code, out) == (2, "")
    first, second = err.splitlines()
    assert first.startswith("error: argument COMMAND: invalid choice: 'sevre'")
    assert second == "hint: metagpt-ollama --help"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_a_module_with_the_agreed_names(name):
    command = importlib.import_module(f"metagpt_ollama_rs.cli.commands.{name}")
    assert name == command.NAME
    assert command.SUMMARY.endswith(".")


class Failing:
    NAME = SUMMARY = "serve"
    POSITION = 0

    def __init__(self, error):
        self.error = error

    def add_arguments(self, parser):
        pass

    def run(self, arguments):
        raise self.error


def outcome(monkeypatch, capsys, error):
    monkeypatch.setattr(frame, "_command", lambda name: Failing(error))
    code = entry(["serve"])
    return code, *capsys.readouterr()


def test_what_the_user_can_put_right_exits_1(monkeypatch, capsys):
    error = CliError("no such file", hint="check the path")
    assert outcome(monkeypatch, capsys, error) == (FIXABLE, "", "error: no such file\nhint: check the path\n")
    assert outcome(monkeypatch, capsys, CliError("no such file")) == (FIXABLE, "", "error: no such file\n")


def test_what_nobody_expected_exits_2(monkeypatch, capsys):
    monkeypatch.delenv("METAGPT_OLLAMA_TRACEBACK", raising=False)
    code, out, err = outcome(monkeypatch, capsys, RuntimeError("boom"))
    assert (code, out) == (UNEXPECTED, "")
    assert err.splitlines()[0] == "error: unexpected: RuntimeError: boom"


def test_the_place_of_an_unexpected_error_can_be_had(monkeypatch, capsys):
    monkeypatch.setenv("METAGPT_OLLAMA_TRACEBACK", "1")
    with pytest.raises(RuntimeError, match="boom"):
        outcome(monkeypatch, capsys, RuntimeError("boom"))


def test_ctrl_c_exits_as_shells_expect(monkeypatch, capsys):
    assert outcome(monkeypatch, capsys, KeyboardInterrupt()) == (130, "", "")


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colour_is_for_terminals_that_want_it(monkeypatch, capsys, environment, coloured):
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    _, _, err = outcome(monkeypatch, capsys, CliError("x"))
    assert ("\033[" in err) == coloured


def test_exit_codes_are_the_documented_ones():
    assert (DONE, FIXABLE, UNEXPECTED) == (0, 1, 2)
