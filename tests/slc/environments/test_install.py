"""`EnvManagerTool.install` shows what it would do, installs when it is told to, and lets nothing else through."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from metagpt_ollama_rs import ConfigurationError
from metagpt_ollama_rs.slc import EnvManagerTool
from metagpt_ollama_rs.slc.machine import installers
from metagpt_ollama_rs.slc.machine.programs import ProgramError

# A small package of PyPI without dependencies (6 kB), and an older release of it.
PACKAGE, OLDER = "iniconfig==2.0.0", "iniconfig==1.1.1"


def packages(env: Path) -> dict[str, str]:
    found = EnvManagerTool.list_packages_report(env).environment.packages
    return {package.name: package.version for package in found}


def command(report) -> list[str]:
    """The command that a dry run shows."""
    [line] = [line for line in str(report).splitlines() if line.startswith("command: ")]
    return json.loads(line.removeprefix("command: "))


def test_a_package_of_pypi_by_uv(environment):
    text = EnvManagerTool.install(environment, [PACKAGE])
    assert command(text)[1:3] == ["pip", "install"]
    assert command(text)[-4:] == ["--python", f"{environment}/bin/python", "--", PACKAGE]
    assert text.splitlines()[1] == "dry run: nothing was changed, apply=True runs it"
    assert text.splitlines()[-2:] == ["would change:", "  iniconfig 2.0.0"]
    assert packages(environment) == {}

    text = EnvManagerTool.install(environment, [PACKAGE], apply=True)
    assert text.splitlines()[-2:] == ["changed:", "  iniconfig 2.0.0"]
    assert packages(environment) == {"iniconfig": "2.0.0"}
    subprocess.run([environment / "bin" / "python", "-I", "-c", "import iniconfig"], check=True)

    report = EnvManagerTool.install_report(environment, OLDER)
    assert [str(change) for change in report.changes] == ["iniconfig 2.0.0 -> 1.1.1"]
    again = EnvManagerTool.install(environment, f"{PACKAGE}  # as before\n", apply=True)
    assert again.splitlines()[-1] == "no package changed"


def test_a_package_of_pypi_by_pip(pip_environment):
    before = packages(pip_environment)
    text = EnvManagerTool.install(pip_environment, [PACKAGE], installer="pip")
    assert command(text)[:5] == [f"{pip_environment}/bin/python", "-I", "-m", "pip", "install"]
    assert command(text)[-2:] == ["--", PACKAGE]
    assert text.splitlines()[-2:] == ["would change:", "  iniconfig 2.0.0"]
    assert packages(pip_environment) == before
    EnvManagerTool.install(pip_environment, [PACKAGE], apply=True, installer="pip")
    assert packages(pip_environment) == {**before, "iniconfig": "2.0.0"}


def test_the_working_folder_does_not_say_which_index_is_asked(environment, script, bare_machine, tmp_path):
    """uv takes one from the `uv.toml` there; a value of an allowed option may be relative to it."""
    script("uv", f"pwd > {tmp_path}/folder")
    for requirements, apply, folder in [
        (["six"], False, "/"),
        (["six"], True, "/"),
        (["six", "-r more.txt"], True, str(bare_machine)),
        (["./six"], True, str(bare_machine)),
    ]:
        EnvManagerTool.install(environment, requirements, apply, allow_options=["-r"], allow_urls=True)
        assert (tmp_path / "folder").read_text(encoding="utf-8") == f"{folder}\n"


def test_what_cannot_be_resolved(environment):
    wanted = "no-such-package-of-anybody-0"
    report = EnvManagerTool.install_report(environment, wanted)
    assert "uv ended with exit code 1" in report.problem
    assert f"{wanted} was not found" in str(report)
    assert command(report)[-1] == wanted
    with pytest.raises(ProgramError, match="uv ended with exit code 1") as caught:
        EnvManagerTool.install(environment, wanted, apply=True)
    assert caught.value.exit_code == 1
    assert f"{wanted} was not found" in caught.value.output
    assert caught.value.hint == "check the name and the versions"
    assert str(caught.value).endswith(f"hint: {caught.value.hint}")


def make_wheel(folder: Path, name: str, version: str, *requires: str) -> Path:
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    fields = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(f"{info}/METADATA", "\n".join([*fields, *(f"Requires-Dist: {each}" for each in requires), ""]))
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def test_paths_urls_and_options_are_let_through_where_they_are_allowed(environment, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_wheel(tmp_path, "first", "1.0")
    second = make_wheel(tmp_path, "second", "2.0", "third")
    make_wheel(tmp_path, "third", "3.0a1")
    wanted = [
        "./first-1.0-py3-none-any.whl",
        f"second @ {second.as_uri()}",
        "--no-index",
        f"--find-links={tmp_path}",
        "--pre",
    ]
    with pytest.raises(ConfigurationError, match=r"requirements\[0\]: a URL or path"):
        EnvManagerTool.install(environment, wanted, allow_options=True)
    with pytest.raises(ConfigurationError, match=r"requirements\[4\]: an option.*--pre"):
        EnvManagerTool.install(environment, wanted, allow_urls=True, allow_options=["--no-index", "--find-links"])
    allowed = {"allow_urls": True, "allow_options": ["--no-index", "--find-links", "--pre"]}
    report = EnvManagerTool.install_report(environment, wanted, **allowed)
    assert {change.name for change in report.changes} == {"first", "second", "third"}
    arguments = command(report)
    assert arguments[arguments.index("--") + 1 :] == wanted[:2]
    assert arguments[-6:-3] == ["--no-index", f"--find-links={tmp_path}", "--pre"]
    EnvManagerTool.install(environment, wanted, apply=True, **allowed)
    assert packages(environment) == {"first": "1.0", "second": "2.0", "third": "3.0a1"}


def test_a_requirements_file_may_be_given_by_an_option(environment, tmp_path):
    make_wheel(tmp_path, "first", "1.0")
    (tmp_path / "requirements.txt").write_text("first\n", encoding="utf-8")
    text = f"-r '{tmp_path}/requirements.txt'\n--no-index\n--find-links {tmp_path}"
    allowed = ["-r", "--no-index", "--find-links"]
    EnvManagerTool.install(environment, text, apply=True, allow_options=allowed)
    assert packages(environment) == {"first": "1.0"}


INJECTIONS = [
    "six; touch was-run",
    "six && touch was-run",
    "six | touch was-run",
    "six\ntouch was-run",
    "$(touch was-run)",
    "`touch was-run`",
    "six $(touch was-run)",
    "six>=1; $(touch was-run)",
    "six\n--index-url=https://example.org",
    "six\r--pre",
    "six\x0b--pre",
    "six\x85--pre",
    "six\u2028--pre",
    "six\x00--pre",
    "six --pre",
    "six --index-url=https://example.org",
    "six -r requirements.txt",
    "six #--pre\n--pre",
    "--index-url=https://example.org",
    "--index-url https://example.org",
    "--ind=https://example.org",
    "-i https://example.org",
    "-r requirements.txt",
    "-rrequirements.txt",
    "--requirement=requirements.txt",
    "-c limits.txt",
    "-e .",
    "-e.",
    "--editable=.",
    "--target=/tmp",
    "--pre",
    "-U",
    "--",
    "-",
    "\u2010-pre",
    "six @ https://example.org/six.whl",
    "six@file:///six.whl",
    "six[x] @ git+https://example.org/six",
    "https://example.org/six.whl",
    "git+https://example.org/six",
    "git+ssh://git@example.org/six",
    "file:six",
    ".",
    "..",
    "./six",
    "../six",
    "/six",
    "~/six",
    "six/",
    ".[extra]",
    "six.whl",
    "six.tar.gz",
    "six.zip",
    "requirements.txt",
    "pyproject.toml",
    "setup.py",
    "six, tomli",
    "six tomli",
    "six==1.0 tomli",
]


def test_an_injection_is_refused_before_anything_is_run(bare_machine, script):
    """As the element of a list, and as a text."""
    (bare_machine / "requirements.txt").write_text("six", encoding="utf-8")
    script("uv", f"touch {bare_machine}/was-run")
    for injection in INJECTIONS:
        for requirements in ([injection], ["six", injection], injection, f"six\n{injection}"):
            with pytest.raises(ConfigurationError):
                EnvManagerTool.install(None, requirements, apply=True, allow_current=True)
    assert not (bare_machine / "was-run").exists()


def test_an_option_is_allowed_by_its_whole_name():
    for options, allowed in [
        (["--pre"], ["--index-url"]),
        (["--index-url-x=y"], ["--index-url"]),
        (["--ind=https://example.org"], ["--index-url"]),
        (["-rx"], ["-x"]),
        # What stands behind an allowed option is its value, and no requirement and no other option.
        (["--pre=x git+https://example.org/six"], ["--pre"]),
        (["--pre a git+https://example.org/six"], ["--pre"]),
        (["-U ./six"], ["-U"]),
        (["-Ue./six"], ["-U"]),
        (["-U", "-Ue./six"], True),
        (["-r"], ["-r"]),
        (["-r --pre"], ["-r"]),
        (["-r one.txt two.txt"], ["-r"]),
        (["--"], True),
        (["--", "./six"], True),
        (["-"], True),
        (["--pre --target=/tmp"], ["--pre"]),
        (["six --pre"], ["--pre"]),
        (["--pre"], []),
        (["--pre"], None),
        (["--pre"], "--pre"),
        (["--pre"], 1),
    ]:
        with pytest.raises(ConfigurationError):
            EnvManagerTool.install(None, ["six", *options], allow_options=allowed)


def test_a_value_is_joined_to_its_option(environment, pip_environment):
    """So that an installer refuses it where the option has none, and does not take it for a requirement."""
    for installer, env in (("uv", environment), ("pip", pip_environment)):
        report = EnvManagerTool.install_report(
            env, ["--pre git+https://example.org/six"], allow_options=["--pre"], installer=installer
        )
        assert report.arguments[-1] == "--pre=git+https://example.org/six"
        assert "exit code 2" in report.problem
    report = EnvManagerTool.install_report(
        environment, ["-rone.txt", "-c two.txt", "--extra-index-url 'https://example.org/a b'"], allow_options=True
    )
    assert report.arguments[-5:] == ("-r", "one.txt", "-c", "two.txt", "--extra-index-url=https://example.org/a b")


def test_requirements_reach_the_installer_as_arguments_of_their_own(environment, script, bare_machine, tmp_path):
    script("uv", f'for each; do printf "%s\\n" "$each"; done >> {tmp_path}/arguments')
    EnvManagerTool.install(environment, ["Six >= 1.0 , < 2", "tomli; python_version < '3'"], apply=True)
    arguments = (tmp_path / "arguments").read_text(encoding="utf-8").splitlines()
    assert arguments[:2] == ["pip", "install"]
    assert arguments[arguments.index("--") + 1 :] == ["Six<2,>=1.0", 'tomli; python_version < "3"']


def test_what_is_still_not_met_is_said(environment, script, bare_machine):
    script("uv", "exit 0")
    report = EnvManagerTool.install_report(environment, ["six", "tomli; python_version < '3'"], apply=True)
    assert report.unmet == ("six",)
    assert str(report).splitlines()[-2:] == ["no package changed", "still not met: six"]


def test_nothing_is_installed_where_nothing_is_required(environment):
    for requirements in ([], "", "# a comment\n", ["", "  # another"]):
        assert EnvManagerTool.install(environment, requirements, apply=True).endswith("so there is nothing to install")


def test_the_environment_that_runs_this_program_is_changed_when_that_is_allowed(script, bare_machine, tmp_path):
    script("uv", f"echo run >> {tmp_path}/runs")
    assert "apply=True would be refused" in EnvManagerTool.install(None, "six")
    (tmp_path / "runs").unlink()
    for env in (None, sys.prefix, sys.executable):
        with pytest.raises(ConfigurationError, match="is the environment that runs this program") as caught:
            EnvManagerTool.install(env, "six", apply=True)
        assert "EnvManagerTool.create" in caught.value.hint
    assert not (tmp_path / "runs").exists()
    EnvManagerTool.install(None, "iniconfig", apply=True, allow_current=True)
    assert (tmp_path / "runs").read_text(encoding="utf-8") == "run\n"


@pytest.fixture
def system_python(environment, monkeypatch):
    """The environment, which says that a package manager owns it, as the Python of a distribution does."""
    real = installers.ask_environment

    def ask(env):
        import dataclasses

        return dataclasses.replace(real(env), externally_managed="[externally-managed]\nError=Use apt.")

    monkeypatch.setattr("metagpt_ollama_rs.slc.environments.ask_environment", ask)
    return environment


def test_an_externally_managed_environment_is_refused(system_python, script, bare_machine, tmp_path):
    script("uv", f"echo run >> {tmp_path}/runs")
    with pytest.raises(ConfigurationError, match=r"belongs to the system's package manager \(PEP 668\)") as caught:
        EnvManagerTool.install(system_python, "six", apply=True)
    assert "EnvManagerTool.create" in caught.value.hint
    assert not (tmp_path / "runs").exists()
    EnvManagerTool.install(
        system_python, ["six", "--break-system-packages"], apply=True, allow_options=["--break-system-packages"]
    )
    assert (tmp_path / "runs").exists()


def test_a_real_externally_managed_environment_says_so():
    """Of the interpreters of this machine, if one is such; the Python of Debian is."""
    marked = [
        path for path in Path("/usr/lib").glob("python3*/EXTERNALLY-MANAGED") if Path("/usr/bin/python3").exists()
    ]
    if not marked:
        pytest.skip("no Python here is externally managed")
    environment = installers.ask_environment("/usr/bin/python3")
    assert environment.externally_managed.startswith("[externally-managed]")


def test_a_folder_that_this_user_may_not_write_to_is_refused(environment, monkeypatch, script, bare_machine):
    import dataclasses

    real = installers.ask_environment
    ask = "metagpt_ollama_rs.slc.environments.ask_environment"
    monkeypatch.setattr(ask, lambda env: dataclasses.replace(real(env), writable=False))
    script("uv", "exit 0")
    with pytest.raises(ConfigurationError, match="this user may not write to"):
        EnvManagerTool.install(environment, "six", apply=True)


def test_a_flag_that_is_no_flag_is_refused():
    for flag in ("apply", "allow_urls", "allow_current"):
        for value in ("false", "no", 0, 1, None):
            with pytest.raises(ConfigurationError, match=f"{flag} must be True or False"):
                EnvManagerTool.install(None, "six", **{flag: value})


def test_an_old_pip_shows_the_command_alone(environment, put_package, monkeypatch):
    put_package("pip", "21.3.1")
    report = EnvManagerTool.install_report(environment, "six", installer="pip")
    assert report.problem == "pip 21.3 cannot do a dry run (22.2 and later can)"
    assert command(report)[-2:] == ["--", "six"]


def test_without_an_installer(environment, bare_machine, monkeypatch):
    monkeypatch.setattr(installers, "find_executable", lambda name: None)
    with pytest.raises(ConfigurationError, match=f"there is no uv for {environment}"):
        EnvManagerTool.install(environment, "six", installer="uv")
    with pytest.raises(ConfigurationError, match="installer must be uv or pip, and is 'conda'"):
        EnvManagerTool.install(environment, "six", installer="conda")
    monkeypatch.setattr(installers, "_version_of", lambda name, env: ())
    with pytest.raises(ConfigurationError, match="there is no uv, and no pip") as caught:
        EnvManagerTool.install(environment, "six")
    assert "ensurepip" in caught.value.hint


def test_an_installer_that_takes_too_long(environment, script, bare_machine):
    script("uv", "echo downloading; exec sleep 60")
    with pytest.raises(ProgramError, match="did not end within 2 seconds") as caught:
        EnvManagerTool.install(environment, "six", apply=True, timeout=2)
    assert caught.value.output == "downloading"
    report = EnvManagerTool.install_report(environment, "six", timeout=0.5)
    assert "did not end within" in report.problem


def test_ctrl_c_ends_the_installer(environment, script, bare_machine, tmp_path):
    script("uv", f"echo $$ > {tmp_path}/pid; exec sleep 60")
    code = f"from metagpt_ollama_rs.slc import EnvManagerTool as E; E.install({str(environment)!r}, 'six', apply=True)"
    caller = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text(encoding="utf-8").strip()):
        time.sleep(0.01)
    caller.send_signal(signal.SIGINT)
    _, stderr = caller.communicate(timeout=30)
    assert stderr.rstrip().endswith(b"KeyboardInterrupt")
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text(encoding="utf-8")), 0)


def test_the_users_own_settings_reach_the_installer(environment, script, bare_machine, monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_INDEX_URL", "https://example.org/simple")
    script("uv", f'echo "$PIP_INDEX_URL" > {tmp_path}/index')
    EnvManagerTool.install(environment, "six", apply=True)
    assert (tmp_path / "index").read_text(encoding="utf-8") == "https://example.org/simple\n"


def test_a_dry_run_that_is_not_understood_does_not_say_that_nothing_changes(environment, script, bare_machine):
    script("uv", "echo 'Would put six into place' >&2")
    report = EnvManagerTool.install_report(environment, "six")
    assert report.problem == "uv does not say it: Would put six into place"
    assert "no package would change" not in str(report)


def test_a_time_limit_that_is_none_is_refused(environment):
    for timeout in (0, -1, "10", None, True, float("nan")):
        with pytest.raises(ConfigurationError, match="timeout must be a positive number of seconds"):
            EnvManagerTool.install(environment, "six", timeout=timeout)
        with pytest.raises(ConfigurationError, match="timeout must be a positive number of seconds"):
            EnvManagerTool.create("made", timeout=timeout)


def test_what_the_installer_writes_is_told_as_it_comes(environment, script, bare_machine):
    pieces = []
    script("uv", "echo Resolved; echo Installed >&2")
    EnvManagerTool.install(environment, "six", on_text=pieces.append)
    assert pieces == []
    EnvManagerTool.install(environment, "six", apply=True, on_text=pieces.append)
    assert sorted("".join(pieces).split()) == ["Installed", "Resolved"]


def test_a_failure_that_nobody_knows_shows_the_command(environment, script, bare_machine):
    script("uv", "exit 77")
    with pytest.raises(ProgramError, match=r"uv ended with exit code 77: it said nothing\nhint: the command was \["):
        EnvManagerTool.install(environment, "six", apply=True)


def test_passwords_in_the_command_are_not_shown(environment, script, bare_machine):
    script("uv", "exit 0")
    report = EnvManagerTool.install_report(
        environment, ["six", "--index-url https://me:secret@example.org"], allow_options=["--index-url"]
    )
    assert "secret" not in str(report)
    for refused in ("six @ https://me:secret@example.org/six.whl", "https://me:secret@example.org/six.whl x"):
        with pytest.raises(ConfigurationError) as caught:
            EnvManagerTool.install(environment, refused)
        assert "secret" not in str(caught.value)
    assert "--index-url=https://me:secret@example.org" in report.arguments
