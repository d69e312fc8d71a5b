"""`metagpt-ollama run`: the switch in the child, the child's streams, status and signals, the summary at the end."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest

from metagpt_ollama_rs.switch import files, running
from metagpt_ollama_rs.switch.releases import SLC, TOOL_LIST
from metagpt_ollama_rs.testing import Reply

ASK = """
import asyncio, sys
from metagpt.config2 import Config
from metagpt.context import Context
import metagpt.provider.ollama_api as module

llm = Context(config=Config.default()).llm()
answer = asyncio.run(llm.aask("Say hello."))
print()
print(type(llm).__module__, module.OllamaLLM is type(llm), "|", answer)
"""

# As users write it: MetaGPT logs the error of a call and ends with 0.
TEAM = """
import asyncio
from metagpt.actions import Action
from metagpt.roles import Role
from metagpt.team import Team

class Greet(Action):
    name: str = "Greet"

    async def run(self, messages):
        return await self._aask("Say hello.")

class Greeter(Role):
    name: str = "Greta"
    profile: str = "Greeter"

    def __init__(self, **fields):
        super().__init__(**fields)
        self.set_actions([Greet])

async def main():
    team = Team()
    team.hire([Greeter()])
    team.invest(1.0)
    team.run_project("Greet the user.")
    await team.run(n_round=1)

asyncio.run(main())
"""

RUN = [sys.executable, "-m", "metagpt_ollama_rs.cli", "run", "--"]

# Stands for the provider: writes down what a test says that it called.
WRITE_CALLS = "import os, sys; open(os.environ['METAGPT_OLLAMA_STATS'], 'a').write(sys.argv[1])"


def ours(copy, *arguments, **changes):
    return copy.command("run", "--", *arguments, **changes)


def lines(*calls):
    return "".join(json.dumps(call) + "\n" for call in calls)


@pytest.mark.timeout(330)
def test_the_guides_config_works_and_no_file_is_touched(copy, guides_config, ollama_server):
    ollama_server.answer("Hello from the script")
    copy.configure(guides_config)
    before = copy.state()
    done = ours(copy, sys.executable, "-c", ASK)
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == "metagpt_ollama_rs.provider.llms True | Hello from the script"
    assert ollama_server.last.path == "/api/chat"
    assert copy.state() == before
    row = done.err.splitlines()[-1].split()
    assert (row[0], row[1], row[-3:]) == ("smollm2", "1", ["0", "0", "0"])
    # Nor is the edited text cached: without `run` MetaGPT is as it was.
    assert "Please set your API key" in copy.python(ASK).err


USE_TOOLS = """
import metagpt.tools.libs as libs

print(hasattr(libs, "web_scraping"), hasattr(libs, "slc"))
from metagpt.tools.libs.slc import CodeGenerationTool
from metagpt.tools.tool_registry import TOOL_REGISTRY

print(CodeGenerationTool.__module__, TOOL_REGISTRY.paths.get("CodeGenerationTool"))
"""


def test_metagpts_list_of_tools_has_ours_in_a_run_and_no_file_is_touched(importable):
    before = importable.state()
    done = ours(importable, sys.executable, "-c", USE_TOOLS)
    assert done.code == 0, done.err
    assert done.out.splitlines() == [
        "True True",
        "metagpt_ollama_rs.slc.code_generation metagpt/tools/libs/slc.py",
    ]
    assert importable.state() == before
    # Nor does it last.
    assert "No module named 'metagpt.tools.libs.slc'" in importable.python(USE_TOOLS).err


def test_a_module_of_tools_of_the_users_wins_over_the_one_of_a_run(importable):
    importable.path(SLC).write_text("class CodeGenerationTool: ...\n")
    done = ours(importable, sys.executable, "-c", USE_TOOLS)
    assert done.code == 0, done.err
    assert done.out.splitlines() == ["True False", "metagpt.tools.libs.slc None"]


@pytest.mark.parametrize("by", ["install", "hand"])
def test_installed_tools_are_no_hindrance_for_a_run(importable, by):
    if by == "install":
        files.install(importable.folder)
    else:
        importable.path(SLC).write_text("from metagpt_ollama_rs.slc import *\n")
        with importable.path(TOOL_LIST).open("a") as file:
            file.write("from . import slc\n")
    done = ours(importable, sys.executable, "-c", USE_TOOLS)
    assert done.code == 0, done.err
    assert done.out.splitlines() == [
        "True True",
        "metagpt_ollama_rs.slc.code_generation metagpt/tools/libs/slc.py",
    ]


@pytest.mark.timeout(330)
def test_an_installed_drop_in_is_no_hindrance(copy, guides_config, ollama_server):
    ollama_server.answer("Hello from the script")
    copy.configure(guides_config)
    copy.command("install")
    done = ours(copy, sys.executable, "-c", ASK)
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == "metagpt_ollama_rs.provider.llms True | Hello from the script"


@pytest.mark.timeout(330)
def test_processes_of_processes_and_console_scripts_are_reached(copy, guides_config, ollama_server, tmp_path):
    ollama_server.answer("Hello from the script")
    copy.configure(guides_config)
    script = tmp_path / "agent"
    script.write_text(f"#!{sys.executable}\n{ASK}")
    script.chmod(0o755)
    done = ours(copy, "sh", "-c", f"cd / && {script}")
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == "metagpt_ollama_rs.provider.llms True | Hello from the script"


@pytest.mark.timeout(330)
def test_an_edited_file_is_replaced_with_a_warning(copy, guides_config, ollama_server):
    ollama_server.answer("Hello from the script")
    copy.configure(guides_config)
    with copy.path("provider/ollama_api.py").open("a") as file:
        file.write("# mine\n")
    done = ours(copy, sys.executable, "-c", ASK)
    assert done.code == 0, done.err
    assert "metagpt-ollama: MetaGPT's provider/ollama_api.py is not the one of a known release" in done.err


@pytest.mark.timeout(330)
def test_a_team_that_a_provider_error_ended_is_a_failure(copy, guides_config, ollama_server):
    ollama_server.on("POST", "/api/chat", Reply.error("model 'smollm2' not found", 404))
    copy.configure(guides_config)
    done = ours(copy, sys.executable, "-c", TEAM)
    assert done.code == 1, done.err
    error, hint = done.err.splitlines()[-2:]
    assert error == (
        f"error: {sys.executable} exited with 0, but a provider error ended its run: ModelNotFoundError: "
        f"The server answered 404 Not Found: model 'smollm2' not found [{ollama_server.url}/api/chat]"
    )
    assert hint.startswith("hint: pull it with `ollama pull smollm2`; the server has ")
    assert done.err.count("ollama pull") == 1
    assert "Traceback" not in done.err

    # The server is content, the provider is not.
    ollama_server.on("POST", "/api/chat", Reply.chat("", done_reason="length"))
    done = ours(copy, sys.executable, "-c", TEAM)
    assert done.code == 1, done.err
    assert "ended its run: EmptyAnswerError: the model used up its tokens without answering" in done.err
    row = done.err.splitlines()[-4].split()
    assert (row[0], row[1], row[-1]) == ("smollm2", "1", "1")

    ollama_server.reset()
    ollama_server.answer("Hello from the script")
    done = ours(copy, sys.executable, "-c", TEAM)
    assert done.code == 0, done.err
    assert "Hello from the script" in done.out


# A role by itself, which nothing catches the error of.
ROLE = TEAM[: TEAM.index("async def main")] + "asyncio.run(Greeter().run('Greet the user.'))\n"


@pytest.mark.timeout(330)
def test_the_last_lines_of_a_run_are_the_error_and_its_hint(copy, tmp_path, unused_tcp_port):
    url = f"http://127.0.0.1:{unused_tcp_port}"
    copy.configure(f"llm:\n  api_type: ollama\n  base_url: {url}\n  api_key: x\n  model: m\n")
    done = ours(copy, sys.executable, "-c", ROLE, TMPDIR=str(tmp_path))
    assert (done.code, done.out) == (1, "")
    where, error, hint = done.err.splitlines()[-3:]
    assert error == (
        "error: ConnectError: The server cannot be reached: nothing listens there (connection refused). "
        f"Tried 3 times. [{url}/api/chat]"
    )
    assert (
        hint == "hint: is Ollama running there? Start it with `ollama serve`, or correct base_url (host, OLLAMA_HOST)"
    )
    assert done.err.count("hint:") == 1
    assert "Traceback" not in done.err
    (kept,) = tmp_path.glob("metagpt-ollama-run-*.txt")
    assert where == f"metagpt-ollama: the tracebacks are in {kept}"
    assert kept.stat().st_mode & 0o077 == 0
    assert "Traceback (most recent call last):" in kept.read_text()
    assert "metagpt_ollama_rs.errors.ConnectError" in kept.read_text()

    done = copy.command("run", "--traceback", "--", sys.executable, "-c", ROLE, TMPDIR=str(tmp_path / "none"))
    assert done.code == 1
    assert "Traceback (most recent call last):" in done.err
    assert done.err.splitlines()[-2:] == [error, hint]
    assert "the tracebacks are in" not in done.err


@pytest.mark.timeout(330)
@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_a_call_that_was_under_way_is_counted(copy, guides_config, ollama_server, name):
    gated = Reply.chat(["Once upon a time ", "there was", " a role"]).gated(2)
    ollama_server.on("POST", "/api/chat", gated)
    copy.configure(guides_config)
    process = subprocess.Popen(
        [*RUN, sys.executable, "-uc", ROLE],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=copy.environment(),
    )
    try:
        seen = ""
        while "Once upon a time" not in seen:
            piece = process.stdout.read(1)
            assert piece, process.stderr.read()
            seen += piece
        if name == "SIGTERM":
            process.send_signal(signal.SIGTERM)
        else:
            # Of the command itself; the summary is made all the same.
            (child,) = psutil.Process(process.pid).children()
            child.kill()
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 128 + getattr(signal, name)
    head, row = (line.split() for line in err.splitlines()[-2:])
    assert (head[-1], row[:2], row[-1]) == ("unfinished", ["smollm2", "1"], "1")


def test_tracebacks_of_others_are_shown_as_ever(skeleton):
    program = "import metagpt_ollama_rs.errors; raise LookupError('theirs')"
    done = ours(skeleton("0.8.2"), sys.executable, "-c", program)
    assert done.code == 1
    assert done.err.startswith("Traceback (most recent call last):\n")
    assert "LookupError: theirs\n" in done.err


# Stands for a process of MetaGPT's: a call that failed, and one after it that did not.
GO_ON = """
import json, os, sys, time
from metagpt_ollama_rs.failures import from_core
from metagpt_ollama_rs.switch.reporting import report_error

error = from_core("connect", message="nothing listens there", url="http://127.0.0.1:1/api/chat")
report_error(error)
report_error(error)
calls = [{"model": "m", "started": 1.0, "error": "connect"}, {"model": "m", "started": 2.0}]
with open(os.environ["METAGPT_OLLAMA_STATS"], "a") as file:
    file.writelines(json.dumps(call) + "\\n" for call in calls)
"""


def test_an_error_that_the_run_outlived_is_told_as_such(skeleton):
    done = ours(skeleton("0.8.2"), sys.executable, "-c", GO_ON)
    assert done.code == 0
    assert done.err.splitlines()[2:] == [
        "metagpt-ollama: the run went on after its last error: "
        "ConnectError: nothing listens there [http://127.0.0.1:1/api/chat]"
    ]


def test_an_error_before_any_call_that_ended_the_run_is_told_as_such(skeleton):
    program = "from metagpt_ollama_rs import Client; Client('127.0.0.1:1').chat('m', options={'num_ctxx': 1})"
    done = ours(skeleton("0.8.2"), sys.executable, "-c", program)
    assert done.code == 1
    assert "error: ConfigurationError: options.num_ctxx is not an option" in done.err
    assert "hint: " in done.err
    assert "the run went on" not in done.err


def test_streams_and_arguments_go_through_untouched(skeleton):
    copy = skeleton("0.8.2")
    program = "import sys; data = sys.stdin.buffer.read(); sys.stdout.buffer.write(data[::-1]); print(sys.argv[1:])"
    command = [*RUN, sys.executable, "-c", program, "--", "-x", "a b"]
    done = subprocess.run(
        command, input=b"\x00\xff\n", capture_output=True, env=copy.environment(), timeout=50, check=False
    )
    assert (done.returncode, done.stdout) == (0, b"\n\xff\x00['--', '-x', 'a b']\n")
    told = b"metagpt-ollama: nothing was switched over: the command did not import MetaGPT's providers\n"
    assert done.stderr == told


@pytest.mark.parametrize("status", [0, 1, 3, 255])
def test_the_commands_status_is_ours(skeleton, status):
    assert ours(skeleton("0.8.2"), sys.executable, "-c", f"raise SystemExit({status})").code == status


def test_a_command_killed_by_a_signal_ends_as_in_a_shell(skeleton):
    assert ours(skeleton("0.8.2"), "sh", "-c", "kill -9 $$").code == 128 + signal.SIGKILL


def test_what_cannot_be_run_is_told(skeleton, tmp_path):
    copy = skeleton("0.8.2")
    absent = ours(copy, "no-such-program")
    assert (absent.code, absent.out) == (1, "")
    assert absent.err.splitlines()[0] == "error: no-such-program: no such program"
    nothing = copy.command("run", "--")
    assert nothing.code == 2
    assert nothing.err == "error: no command to run\nhint: metagpt-ollama run --help\n"
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF nothing")
    broken.chmod(0o755)
    assert ours(copy, broken).err.splitlines()[0] == f"error: {broken} cannot be started: Exec format error"


def test_programs_beside_the_interpreter_need_no_activation(monkeypatch, tmp_path):
    scripts = tmp_path / "bin"
    scripts.mkdir()
    program = scripts / "metagpt"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "executable", str(scripts / "python"))
    assert running.find_program("metagpt") == str(program)
    assert running.find_program("absent") is None


def test_the_summary_and_the_error_that_ended_the_run(skeleton):
    copy = skeleton("0.8.2")
    good = {"started": 1.0, "model": "qwen3", "seconds": 3.0, "prompt_tokens": 9, "answer_tokens": 10}
    good["answer_seconds"] = 2.0
    bad = {"started": 5.0, "model": "qwen3", "seconds": 1.0, "retries": 2, "error": "status", "status": 503}
    done = ours(copy, sys.executable, "-c", WRITE_CALLS, lines(good))
    assert (done.code, done.out) == (0, "")
    head, row = done.err.splitlines()
    assert head.split()[-4:] == ["loads", "retries", "truncated", "errors"]
    assert row.split() == ["qwen3", "1", "9", "10", "$0.00", "3.0", "5.0", "0", "0", "0", "0"]
    done = ours(copy, sys.executable, "-c", WRITE_CALLS, lines(good, bad))
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines()[1].split() == ["qwen3", "2", "9", "10", "$0.00", "4.0", "5.0", "0", "2", "0", "1"]
    assert done.err.splitlines()[2:] == [
        f"error: {sys.executable} exited with 0, but a provider error ended its run: "
        "the server answered 503 (model qwen3)",
        "hint: what MetaGPT printed above has the details",
    ]
    # The run went on after the error; and a status of the command's own is not overruled.
    assert ours(copy, sys.executable, "-c", WRITE_CALLS, lines(bad, {**good, "started": 6.5})).code == 0
    failing = ours(copy, sys.executable, "-c", WRITE_CALLS + "; sys.exit(7)", lines(bad))
    assert failing.code == 7
    assert "provider error ended" not in failing.err


def test_statistics_that_the_user_collects_are_kept_and_not_counted_again(skeleton, tmp_path):
    copy = skeleton("0.8.2")
    file = tmp_path / "mine.jsonl"
    file.write_text(lines({"model": "before", "error": "old"}))
    done = ours(copy, sys.executable, "-c", WRITE_CALLS, lines({"model": "now"}), METAGPT_OLLAMA_STATS=str(file))
    assert done.code == 0
    assert [line.split()[:2] for line in done.err.splitlines()[1:]] == [["now", "1"]]
    assert [json.loads(line)["model"] for line in file.read_text().splitlines()] == ["before", "now"]


def test_a_socket_of_the_users_gets_the_calls_and_there_is_no_summary(skeleton):
    program = "import os; print(os.environ['METAGPT_OLLAMA_STATS'])"
    done = ours(skeleton("0.8.2"), sys.executable, "-c", program, METAGPT_OLLAMA_STATS="unix:/nowhere")
    assert (done.code, done.out) == (0, "unix:/nowhere\n")
    assert done.err == "metagpt-ollama: no summary, since METAGPT_OLLAMA_STATS sends the calls to a socket\n"


def test_nothing_is_left_behind(skeleton, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    program = "import os; print(os.environ['METAGPT_OLLAMA_RUN'])"
    done = ours(skeleton("0.8.2"), sys.executable, "-c", program, TMPDIR=str(scratch))
    assert done.out.startswith(str(scratch))
    assert list(scratch.iterdir()) == []


def test_structured_is_passed_on_in_the_environment(skeleton):
    program = "import os; print(os.environ.get('METAGPT_OLLAMA_STRUCTURED'))"
    copy = skeleton("0.8.2")
    assert copy.command("run", "--structured", "--", sys.executable, "-c", program).out == "true\n"
    assert ours(copy, sys.executable, "-c", program).out == "None\n"


def test_the_environments_own_sitecustomize_runs_as_well(skeleton):
    copy = skeleton("0.8.2")
    (copy.root / "sitecustomize.py").write_text("import builtins\nbuiltins.WHO = __name__ + ' ' + __file__\n")
    program = """
        import sitecustomize, sys
        print(WHO)
        print(sitecustomize.__file__)
        print([p for p in sys.path if p.endswith("child")])
    """
    done = ours(copy, sys.executable, "-c", textwrap.dedent(program))
    own = copy.root / "sitecustomize.py"
    assert done.out.splitlines() == [f"sitecustomize {own}", str(own), "[]"]


def test_a_broken_sitecustomize_is_reported_as_python_does(skeleton):
    copy = skeleton("0.8.2")
    (copy.root / "sitecustomize.py").write_text("raise RuntimeError('theirs')\n")
    done = ours(copy, sys.executable, "-c", "print('went on')")
    assert done.out == "went on\n"
    assert "Error in sitecustomize" in done.err
    assert "RuntimeError: theirs" in done.err


def test_other_programs_load_nothing_of_this_package(skeleton):
    program = "import sys; print([name for name in sys.modules if name.startswith('metagpt')])"
    assert ours(skeleton("0.8.2"), sys.executable, "-c", program).out == "[]\n"


def test_an_interpreter_without_this_package_gets_it_when_it_asks(skeleton, tmp_path):
    other = tmp_path / "other"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", other], check=True, timeout=50)
    program = "from metagpt_ollama_rs import StreamDecoder; print(StreamDecoder.__name__)"
    copy = skeleton("0.8.2")
    assert "ModuleNotFoundError" in copy.run(other / "bin" / "python", "-c", program).err
    done = ours(copy, other / "bin" / "python", "-c", program)
    assert (done.code, done.out) == (0, "StreamDecoder\n")


def test_a_switched_run_without_a_call_points_to_status(skeleton):
    # What a process of the run leaves behind when it imports the provider.
    program = "import os; open(os.path.join(os.environ['METAGPT_OLLAMA_RUN'], 'metagpt.provider.ollama_api'), 'w')"
    done = ours(skeleton("0.8.2"), sys.executable, "-W", "ignore", "-c", program)
    assert done.err.splitlines() == [
        "metagpt-ollama: no call was made to Ollama (`metagpt-ollama status` says which configuration is read)"
    ]


def test_isolated_pythons_are_not_reached_and_it_is_said(skeleton):
    done = ours(skeleton("0.8.2"), sys.executable, "-I", "-c", "import sys; print(len(sys.meta_path) > 0)")
    assert (done.code, done.out) == (0, "True\n")
    assert "nothing was switched over" in done.err


WAIT = """
import os, signal, sys, time
def heard(number, frame):
    print("heard", signal.Signals(number).name, flush=True)
    sys.exit(5)
for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"):
    signal.signal(getattr(signal, name), heard)
print("ready", flush=True)
while True:
    time.sleep(0.05)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"])
def test_signals_are_passed_on(skeleton, name):
    process = subprocess.Popen(
        [*RUN, sys.executable, "-c", WAIT],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=skeleton("0.8.2").environment(),
        start_new_session=True,
    )
    try:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(getattr(signal, name))
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, out) == (5, f"heard {name}\n")
    assert "Traceback" not in err


def test_ctrl_c_in_a_terminal_reaches_the_command_once(skeleton):
    """The terminal tells the whole group: a signal passed on besides would be a second one."""
    program = WAIT.replace("sys.exit(5)", "heard.count = getattr(heard, 'count', 0) + 1")
    # A second one would come within this time.
    program = program.replace("while True", "end = time.monotonic() + 1.5\nwhile time.monotonic() < end")
    program += "print('times', heard.count, flush=True)\n"
    environment = skeleton("0.8.2").environment()
    command = [*RUN, sys.executable, "-c", program]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(command[0], command, environment)
    seen = b""
    try:
        end = time.monotonic() + 40
        typed = False
        while time.monotonic() < end:
            try:
                seen += os.read(terminal, 4096)
            except OSError:
                break
            if b"ready" in seen and not typed:
                typed = True
                os.write(terminal, b"\x03")
        _, status = os.waitpid(pid, 0)
    finally:
        os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0, seen
    assert seen.count(b"heard SIGINT") == 1
    assert b"times 1" in seen
