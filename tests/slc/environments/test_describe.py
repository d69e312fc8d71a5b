"""What `EnvManagerTool.describe` says of a machine: its interpreters, environments, graphics cards and Ollama."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from metagpt_ollama_rs import ConfigurationError
from metagpt_ollama_rs.slc import EnvManagerTool, ollama_config
from metagpt_ollama_rs.slc.machine import hardware
from metagpt_ollama_rs.slc.machine.hardware import GraphicsCard, describe_machine, find_graphics_cards
from metagpt_ollama_rs.slc.machine.interpreters import choose_interpreter, find_interpreters
from metagpt_ollama_rs.slc.machine.ollama_status import describe_ollama
from metagpt_ollama_rs.slc.machine.python_environments import find_environments
from metagpt_ollama_rs.testing import Reply, faults

BASE = os.path.realpath(sys.executable)
VERSION = ".".join(map(str, sys.version_info[:3]))
# The last one is of a driver that says less.
NVIDIA = """\
NVIDIA GeForce RTX 4090, 24564, 512, 37, 550.54.14
NVIDIA GB10, [N/A], [N/A], [Not Supported], 580.95
Tesla K80, 11441 MiB
"""
ROCM = """\
WARNING: AMD GPU device(s) is/are in a low-power state. Check power control/runtime_status

{"card0": {"Card Series": "Radeon RX 7900 XTX", "VRAM Total Memory (B)": "25753026560",
           "VRAM Total Used Memory (B)": "28221440", "GPU use (%)": "3"}, "system": {"Driver version": "6.3.6"}}
"""


def section(title: str) -> str:
    """The lines of a section of the description, without its title."""
    text = EnvManagerTool.describe()
    return text.partition(f"{title}\n")[2].partition("\n\n")[0]


def test_all_sections_are_there_on_a_bare_machine(bare_machine, monkeypatch):
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    titles = [line for line in EnvManagerTool.describe().splitlines() if line and not line.startswith(" ")]
    assert titles == ["Python interpreters", "Virtual environments", "Graphics cards", "Processor and memory", "Ollama"]
    assert section("Virtual environments") == "  none near here"
    assert section("Graphics cards").startswith("  none found: there is no nvidia-smi")


# --- interpreters


def test_the_running_interpreter_is_there_with_its_version(bare_machine):
    [found] = find_interpreters()
    assert (os.path.realpath(found.path), found.version, found.sources) == (BASE, VERSION, ("running",))


def test_one_file_is_listed_once_with_all_ways_to_it(bare_machine, no_configuration):
    for name in ("python3", "python", "python3-config", "pythonista"):
        (bare_machine.parent / "bin" / name).symlink_to(BASE)
    version = no_configuration / ".pyenv" / "versions" / VERSION / "bin"
    version.mkdir(parents=True)
    (version / "python").symlink_to(BASE)
    managed = no_configuration / ".local" / "share" / "uv" / "python" / "cpython-3" / "bin"
    managed.mkdir(parents=True)
    (managed / "python3.11").symlink_to(BASE)
    [found] = find_interpreters()
    assert found.sources == ("running", "PATH", "pyenv", "uv")


def test_an_interpreter_that_is_a_launcher_of_another_one_is_listed_once(bare_machine, script):
    script("python3", f'exec {sys.executable} "$@"')
    [found] = find_interpreters()
    assert os.path.realpath(found.path) == BASE


def test_interpreters_that_do_not_answer_are_listed_with_the_reason(bare_machine, script, monkeypatch):
    script("python3.1", "echo 'command not found: python3.1' >&2; exit 127")
    script("python3.3", "echo hello")
    script("python3.6", "echo 7")
    script("python3.7", "printf '%0200000d' 0 | tr 0 '['")
    (bare_machine.parent / "bin" / "python3.4").symlink_to("/no/such/file")
    (bare_machine.parent / "bin" / "python3.5").write_text("not executable", encoding="utf-8")
    found = {Path(each.path).name: each.problem for each in find_interpreters() if "running" not in each.sources}
    assert found == {
        "python3.1": "exit code 127: command not found: python3.1",
        **{f"python3.{minor}": "exit code 0: it does not say its version" for minor in (3, 6, 7)},
        "python3.4": f"{bare_machine.parent / 'bin' / 'python3.4'} cannot be run: No such file or directory",
    }
    assert "command not found: python3.1" in section("Python interpreters")


def test_an_interpreter_that_never_answers_does_not_hold_up_the_others(bare_machine, script, monkeypatch):
    monkeypatch.setattr("metagpt_ollama_rs.slc.machine.interpreters._PATIENCE", 0.5)
    path = script("python3", "sleep 60")
    assert [each.problem for each in find_interpreters() if each.path == str(path)] == [
        f"{path} did not end within 0.5 seconds"
    ]


def test_pyenvs_shims_and_relative_folders_are_left_out(bare_machine, no_configuration, monkeypatch, script):
    shims = no_configuration / ".pyenv" / "shims"
    shims.mkdir(parents=True)
    marker = bare_machine / "was-run"
    for folder in (shims, bare_machine):
        (folder / "python3").write_text(f"#!/bin/sh\ntouch {marker}\n", encoding="utf-8")
        (folder / "python3").chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(shims), "", ".", "../work"]))
    assert [each.sources for each in find_interpreters()] == [("running",)]
    assert not marker.exists()


def test_an_interpreter_is_chosen_by_version_name_or_path(bare_machine):
    (bare_machine.parent / "bin" / "python3").symlink_to(BASE)
    major, minor = VERSION.split(".")[:2]
    for wanted in (
        None,
        major,
        f"{major}.{minor}",
        VERSION,
        "python3",
        BASE,
        str(bare_machine.parent / "bin" / "python3"),
    ):
        assert os.path.realpath(choose_interpreter(wanted)) == BASE
    with pytest.raises(ValueError, match=r'python must be a text, such as "3\.11", and is 3\.1'):
        choose_interpreter(3.10)
    for wanted in ("3.99", f"{major}.{minor[0]}" if len(minor) > 1 else "9", "python4", "/bin/sh", "/", ""):
        with pytest.raises(ValueError, match="no Python"):
            choose_interpreter(wanted)


def test_the_name_of_a_launcher_stands_for_its_version(bare_machine, script):
    major, minor = sys.version_info[:2]
    script(f"python{major}.{minor}", "echo 'pyenv: command not found' >&2; exit 127")
    assert os.path.realpath(choose_interpreter(f"python{major}.{minor}")) == BASE


# --- environments


def make_environment(path: Path, version: str = "3.11.7", python: str = BASE) -> Path:
    (path / "bin").mkdir(parents=True)
    (path / "bin" / "python").symlink_to(python)
    (path / "pyvenv.cfg").write_text(f"home = /usr/bin\nversion = {version}\n", encoding="utf-8")
    return path


def make_conda(path: Path, version: str = "3.12.1") -> Path:
    make_environment(path)
    (path / "pyvenv.cfg").unlink()
    (path / "conda-meta").mkdir()
    (path / "conda-meta" / f"python-{version}-h1234_0_cpython.json").write_text("{}", encoding="utf-8")
    return path


def test_environments_near_the_working_folder(bare_machine, no_configuration, monkeypatch):
    inner = make_environment(bare_machine / ".venv")
    other = make_environment(bare_machine / "env39", "3.9.1")
    above = make_environment(bare_machine.parent / "venv")
    make_environment(bare_machine.parent / "unrelated")
    active = make_environment(no_configuration / "active")
    monkeypatch.setenv("VIRTUAL_ENV", str(active))
    (bare_machine / "no-environment").mkdir()
    found = {each.path: each for each in find_environments()}
    assert set(found) - {sys.prefix} == {str(path) for path in (inner, other, above, active)}
    assert found[str(other)].version == "3.9.1"
    assert [found[str(path)].current for path in (active, inner)] == [True, False]
    assert found[sys.prefix].current


def test_an_environment_of_the_project_is_not_run_and_its_name_forges_no_lines(bare_machine):
    path = make_environment(bare_machine / "env\n  3.99.9\x1b[2J")
    (path / "bin" / "python").unlink()
    (path / "bin" / "python").write_text(f"#!/bin/sh\ntouch {bare_machine}/was-run\n", encoding="utf-8")
    (path / "bin" / "python").chmod(0o755)
    assert rf"{bare_machine}/env\n  3.99.9\x1b[2J" in section("Virtual environments")
    assert not (bare_machine / "was-run").exists()


def test_a_working_folder_in_an_environment_and_one_that_is_gone(bare_machine, monkeypatch):
    path = make_environment(bare_machine / "around")
    (path / "lib" / "deep").mkdir(parents=True)
    monkeypatch.chdir(path / "lib" / "deep")
    assert str(path) in [each.path for each in find_environments()]
    (path / "lib" / "deep").rmdir()
    assert [each.path for each in find_environments()] == [sys.prefix]
    assert EnvManagerTool.check(None, "metagpt-ollama-rs")


def test_a_user_without_a_home(bare_machine, monkeypatch):
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    assert EnvManagerTool.describe()


def test_environments_of_conda(bare_machine, no_configuration, monkeypatch):
    root = make_conda(no_configuration / "miniconda3")
    named = make_conda(root / "envs" / "science", "3.10.2")
    elsewhere = make_conda(no_configuration / "elsewhere")
    empty = no_configuration / "empty"
    (empty / "conda-meta").mkdir(parents=True)
    noted = no_configuration / ".conda" / "environments.txt"
    noted.parent.mkdir()
    noted.write_text(f"{root}\n{elsewhere}\n{empty}\n/no/longer/there\nrelative\n", encoding="utf-8")
    monkeypatch.setenv("CONDA_EXE", str(root / "bin" / "conda"))
    monkeypatch.setenv("CONDA_PREFIX", str(named))
    found = {each.path: each for each in find_environments() if each.kind == "conda"}
    assert set(found) == {str(path) for path in (root, named, elsewhere, empty)}
    assert (found[str(named)].version, found[str(named)].current) == ("3.10.2", True)
    assert found[str(empty)].problem == f"{empty} has no Python"


def test_a_broken_environment_is_said_to_be_broken(bare_machine):
    make_environment(bare_machine / ".venv", python="/no/such/python")
    assert "broken: the interpreter that" in section("Virtual environments")
    assert "/no/such/python does not exist" in section("Virtual environments")


def test_what_lies_in_the_working_folder_is_not_run(bare_machine):
    folder = make_environment(bare_machine / ".venv")
    marker = bare_machine / "was-run"
    (folder / "bin" / "python").unlink()
    (folder / "bin" / "python").write_text(f"#!/bin/sh\ntouch {marker}\n", encoding="utf-8")
    (folder / "bin" / "python").chmod(0o755)
    assert str(folder) in EnvManagerTool.describe()
    assert not marker.exists()


# --- graphics cards, processor and memory


def test_cards_of_nvidia(bare_machine, script, tmp_path):
    script("nvidia-smi", f'echo "$*" > {tmp_path}/arguments; printf "{NVIDIA}"')
    report = find_graphics_cards()
    assert report.cards == (
        GraphicsCard("NVIDIA GeForce RTX 4090", 24564 << 20, 512 << 20, 37, "550.54.14"),
        GraphicsCard("NVIDIA GB10", None, None, None, "580.95"),
        GraphicsCard("Tesla K80", 11441 << 20),
    )
    arguments = (tmp_path / "arguments").read_text(encoding="utf-8").split()
    assert arguments[0] == "--query-gpu=name,memory.total,memory.used,utilization.gpu,driver_version"
    assert arguments[1] == "--format=csv,noheader,nounits"
    assert section("Graphics cards").splitlines() == [
        "  NVIDIA GeForce RTX 4090: 512.0 MiB of 24.0 GiB in use, 37 % busy, driver 550.54.14",
        "  NVIDIA GB10: driver 580.95",
        "  Tesla K80: 11.2 GiB",
    ]


def test_cards_of_amd(bare_machine, script):
    script("rocm-smi", f"cat <<'END'\n{ROCM}\nEND")
    report = find_graphics_cards()
    assert report.cards == (GraphicsCard("Radeon RX 7900 XTX", 25753026560, 28221440, 3, "6.3.6"),)
    assert report.problems == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("echo 'NVIDIA-SMI has failed: no driver'; exit 9", "exit code 9: NVIDIA-SMI has failed: no driver"),
        ("sleep 60", "did not end within 0.5 seconds"),
        ("echo No devices were found", "answers with something else"),
        ("exec /no/such/interpreter", "exit code 127"),
        ("kill -9 $$", "exit code -9: it said nothing"),
    ],
)
def test_a_driver_that_fails_is_said_to_fail(bare_machine, script, monkeypatch, text, problem):
    monkeypatch.setattr(hardware, "_PATIENCE", 0.5 if "sleep" in text else 20)
    script("nvidia-smi", text)
    script("rocm-smi", "echo no JSON")
    report = find_graphics_cards()
    assert report.cards == ()
    assert problem in report.problems[0]
    assert "sleep" in text or "rocm-smi answers with something else" in report.problems[1]
    assert problem in section("Graphics cards")


def test_apple_silicon_shares_the_machines_memory(bare_machine, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    [card] = find_graphics_cards().cards
    assert (card.name, card.total) == ("Apple silicon", describe_machine().memory)


def test_processor_and_memory():
    machine = describe_machine()
    assert machine.processors >= 1
    assert machine.memory > machine.available > 0
    assert f"{machine.processors} processor" in section("Processor and memory")


def test_a_containers_limit_counts_where_it_is_less(monkeypatch):
    files = {"/sys/fs/cgroup/memory.max": "1073741824\n", "/sys/fs/cgroup/memory.current": "73741824\n"}
    monkeypatch.setattr(hardware, "_text_of", lambda path: files.get(path, ""))
    machine = describe_machine()
    assert (machine.memory, machine.available) == (1 << 30, 1_000_000_000)
    files["/sys/fs/cgroup/memory.max"] = "max\n"
    assert describe_machine().memory > 1 << 30


# --- Ollama

MODELS = [
    {"name": "qwen2.5:7b", "model": "qwen2.5:7b", "size": 4_683_087_332,
     "details": {"parameter_size": "7.6B", "quantization_level": "Q4_K_M"}},
    {"name": "gpt-oss:120b-cloud", "model": "gpt-oss:120b-cloud", "size": 384, "remote_host": "https://ollama.com"},
]  # fmt: skip
LOADED = [
    {"name": "qwen2.5:7b", "model": "qwen2.5:7b", "size": 6 << 30, "size_vram": 3 << 30, "context_length": 4096,
     "expires_at": "2126-05-04T17:37:44.706015Z"},
]  # fmt: skip


def test_a_server_with_models(tool_server):
    tool_server.on("GET", "/api/version", Reply.json({"version": "0.12.3"}))
    tool_server.on("GET", "/api/tags", Reply.json({"models": MODELS}))
    tool_server.on("GET", "/api/ps", Reply.json({"models": LOADED}))
    assert section("Ollama").splitlines() == [
        f"  {tool_server.url}: version 0.12.3",
        "  configured model: qwen2.5:7b",
        "  installed:",
        "    qwen2.5:7b          4.4 GiB  7.6B  Q4_K_M",
        "    gpt-oss:120b-cloud  cloud",
        "  in memory:",
        "    qwen2.5:7b: 6.0 GiB, 50 % on the GPU, context 4096, until 2126-05-04 17:37:44 UTC",
    ]
    assert not [request for request in tool_server.requests if request.method != "GET"]


def test_a_server_without_models(tool_server):
    tool_server.on("GET", "/api/tags", Reply.json({"models": []}))
    tool_server.on("GET", "/api/ps", Reply.json({"models": []}))
    lines = section("Ollama").splitlines()
    assert lines[1:] == [
        "  configured model: qwen2.5:7b (not installed: ollama pull qwen2.5:7b)",
        "  no models installed",
        "  no model in memory",
    ]


def test_a_name_without_a_tag_is_the_latest(tool_server, monkeypatch):
    tool_server.on(
        "GET", "/api/tags", Reply.json({"models": [{"name": "Llama3.2:latest", "model": "Llama3.2:latest"}]})
    )
    monkeypatch.setattr(ollama_config, "model", "llama3.2")
    assert describe_ollama().has_model
    monkeypatch.setattr(ollama_config, "model", "llama3.2:1b")
    assert not describe_ollama().has_model


def test_a_server_that_is_not_there(tool_server, monkeypatch):
    monkeypatch.setattr(ollama_config, "base_url", "http://127.0.0.1:1")
    lines = section("Ollama").splitlines()
    assert lines[0] == "  http://127.0.0.1:1: not reachable"
    assert "nothing listens there" in lines[1]
    assert lines[2].startswith("  hint: is Ollama running there?")


@pytest.mark.parametrize(("path", "patience"), [("/api/version", 0.5), ("/api/ps", 1.0)])
def test_a_server_that_does_not_answer_does_not_hold_up_the_description(tool_server, monkeypatch, path, patience):
    monkeypatch.setattr("metagpt_ollama_rs.slc.machine.ollama_status._PATIENCE", patience)
    tool_server.on("GET", path, faults.never_answer())
    status = describe_ollama()
    assert "within" in status.problem
    assert (status.version is None) == (path == "/api/version")


@pytest.mark.parametrize(
    "reply", [Reply.json({"models": 7}), Reply.json([]), Reply.json({"models": [{"size": "big"}]})]
)
def test_a_server_that_answers_with_something_else(tool_server, reply):
    tool_server.on("GET", "/api/tags", reply)
    status = describe_ollama()
    assert status.version
    assert status.problem
    assert status.problem in EnvManagerTool.describe()


def test_the_user_and_password_of_the_address_are_not_shown(tool_server, monkeypatch):
    monkeypatch.setattr(ollama_config, "base_url", tool_server.url.replace("://", "://me:secret@"))
    assert "secret" not in section("Ollama")


def test_a_broken_configuration_is_part_of_the_description(monkeypatch):
    def read(*_):
        raise ConfigurationError("config2.yaml, line 3: llm.timeout must be a number", hint="correct it")

    monkeypatch.setattr("metagpt_ollama_rs.slc.calls.blocking_client", read)
    assert section("Ollama").splitlines() == [
        "  no address: not reachable",
        "  config2.yaml, line 3: llm.timeout must be a number",
        "  hint: correct it",
    ]
