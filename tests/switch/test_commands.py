"""`install`, `uninstall` and `status` on a private copy of MetaGPT, and MetaGPT itself after each of them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from metagpt_ollama_rs import __version__
from metagpt_ollama_rs.cli import main as entry
from metagpt_ollama_rs.switch import files
from metagpt_ollama_rs.switch.edits import BACKUP_SUFFIX
from metagpt_ollama_rs.switch.releases import CONFIG, FILES, PROVIDER, SLC, TOOL_LIST, originals

ASK = """
import asyncio
from metagpt.config2 import Config
from metagpt.context import Context

config = Config.default()
assert config.embedding.api_key == "" and config.embedding.model == "nomic-embed-text"
llm = Context(config=config).llm()
answer = asyncio.run(llm.aask("Say hello."))
print()
print(type(llm).__module__, "|", answer)
"""


@pytest.mark.timeout(330)
def test_the_guides_config_works_as_it_stands(copy, guides_config, ollama_server):
    ollama_server.answer("Hello from the script")
    copy.configure(guides_config)
    refused = copy.python(ASK)
    assert refused.code == 1
    assert "Please set your API key" in refused.err

    installed = copy.command("install")
    assert (installed.code, installed.out) == (0, "")
    done = copy.python(ASK)
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == "metagpt_ollama_rs.provider.llms | Hello from the script"
    request = ollama_server.last
    assert request.path == "/api/chat"
    assert "authorization" not in {name.lower() for name, _ in request.headers}
    assert request.json()["options"]["temperature"] == 0.3

    assert copy.command("uninstall").code == 0
    refused = copy.python(ASK)
    assert "Please set your API key" in refused.err


def test_install_and_uninstall_say_what_they_do(skeleton):
    copy = skeleton("0.8.2")
    done = copy.command("install")
    assert (done.code, done.out) == (0, "")
    assert done.err.splitlines() == [
        f"MetaGPT (version unknown) in {copy.folder}",
        f"  {PROVIDER}: imports metagpt_ollama_rs now; the original is kept beside it, as ollama_api.py{BACKUP_SUFFIX}",
        f"  {CONFIG}: accepts an empty key for Ollama now; the original is kept beside it, "
        f"as llm_config.py{BACKUP_SUFFIX}",
        f"  {SLC}: imports the tools of metagpt_ollama_rs now",
        f"  {TOOL_LIST}: lists slc now; the original is kept beside it, as __init__.py{BACKUP_SUFFIX}",
        "`metagpt-ollama status` proves it; `metagpt-ollama uninstall` undoes it.",
    ]
    assert copy.command("install").err.splitlines()[1:5] == [
        f"  {relative}: switched over already" for relative in (PROVIDER, CONFIG, SLC, TOOL_LIST)
    ]
    done = copy.command("uninstall")
    assert (done.code, done.out) == (0, "")
    assert done.err.splitlines()[1:] == [
        f"  {PROVIDER}: restored",
        f"  {CONFIG}: restored",
        f"  {SLC}: deleted",
        f"  {TOOL_LIST}: restored",
    ]


def test_a_refusal_shows_the_diff_and_a_hint(skeleton):
    copy = skeleton("0.8.2")
    text = copy.path(PROVIDER).read_text().replace('{"temperature": 0.3}', '{"temperature": 0.9}', 1)
    copy.path(PROVIDER).write_text(text)
    before = copy.state()
    done = copy.command("install")
    assert (done.code, done.out) == (1, "")
    assert '+        return {"options": {"temperature": 0.9}, "stream": self.config.stream}\n' in done.err
    error, hint = done.err.splitlines()[-2:]
    assert error.startswith(f"error: nothing was installed: {copy.path(PROVIDER)} is not the file of a known release")
    assert hint.startswith("hint: another version of MetaGPT, or edited by hand")
    assert copy.state() == before


def test_a_read_only_installation_is_told(skeleton, monkeypatch, capsys):
    copy = skeleton("0.8.2")
    before = copy.state()

    def refuse(**options):
        raise PermissionError(13, "Permission denied", f"{options['dir']}/new")

    monkeypatch.setattr(files.tempfile, "mkstemp", refuse)
    monkeypatch.setattr("metagpt_ollama_rs.switch.find.find", lambda: {
        "python": sys.executable, "folder": str(copy.folder), "version": "0.8.2", "leftover": None
    })  # fmt: skip
    assert entry(["install"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f"error: nothing was changed: {copy.path(PROVIDER).parent}/new: Permission denied",
        "hint: run this as the owner of that MetaGPT, or leave its files alone and use `metagpt-ollama run`",
    ]
    assert copy.state() == before


def test_metagpt_is_found_without_being_imported(skeleton):
    # The skeleton's __init__ raises when it is imported.
    copy = skeleton("0.8.2")
    assert copy.command("install").code == 0
    assert copy.command("uninstall", "--python", sys.executable).code == 0


@pytest.fixture
def other_python(tmp_path):
    """An interpreter that has no packages at all."""
    folder = tmp_path / "other"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=50)
    return folder / "bin" / "python"


def test_another_interpreter_is_asked(skeleton, other_python):
    copy, python = skeleton("0.8.2"), other_python
    absent = copy.command("install", "--python", python)
    assert absent.code == 1
    assert "cannot import metagpt_ollama_rs, and so MetaGPT could not either: ModuleNotFoundError" in absent.err
    assert f"hint: {python} -m pip install metagpt-ollama-rs" in absent.err
    none = copy.command("install", "--python", python, PYTHONPATH="")
    assert (none.code, none.out) == (1, "")
    assert none.err.splitlines()[0] == f"error: MetaGPT is not installed for {python}"
    assert none.err.splitlines()[1].startswith("hint: name the interpreter that has it with --python PATH")


@pytest.mark.parametrize(
    ("python", "message"),
    [
        ("/nowhere/python", "error: /nowhere/python cannot be started: No such file or directory"),
        ("/bin/echo", "error: /bin/echo is not a Python of version 3.9 or newer"),
    ],
)
def test_what_is_no_interpreter_is_told(skeleton, python, message):
    done = skeleton("0.8.2").command("status", "--python", python)
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines() == [message, "hint: check --python"]


def test_what_an_uninstalled_metagpt_leaves_behind_is_told(skeleton, other_python):
    copy = skeleton("0.8.2")
    copy.command("install")
    # As pip does, which knows nothing of the backups.
    for file in ("__init__.py", *FILES):
        copy.path(file).unlink()
    done = copy.command("status", "--python", other_python)
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines() == [
        f"error: MetaGPT is not installed any more: only a remainder is left in {copy.folder}",
        "hint: delete that folder, backups included, or install MetaGPT again",
    ]


OLLAMA_CONFIG = "llm:\n  api_type: ollama\n  base_url: http://u:secret@host:1\n  api_key: x\n  model: m\n"


@pytest.mark.timeout(330)
def test_status_proves_what_is_in_force(copy):
    copy.configure(OLLAMA_CONFIG)
    before = copy.command("status", "--json")
    told = json.loads(before.out)
    assert (before.code, before.err) == (0, "")
    assert told["state"] == "original"
    assert told["metagpt"] == {"version": None, "folder": str(copy.folder), "python": sys.executable}
    assert told["files"] == [
        {"file": relative, "state": "missing" if relative == SLC else "original", "backup": False}
        for relative in (*FILES, SLC, TOOL_LIST)
    ]
    assert told["tools"] == {"registered": [], "error": None}
    assert told["provider"]["provider"] == "metagpt.provider.ollama_api.OllamaLLM"
    assert (told["provider"]["ours"], told["provider"]["empty_key"]) == (False, False)

    copy.command("install")
    after = copy.command("status", "--json")
    told = json.loads(after.out)
    assert (after.code, after.err) == (0, "")
    assert told["state"] == "switched"
    assert told["files"] == [
        {"file": relative, "state": "switched", "backup": relative != SLC} for relative in (*FILES, SLC, TOOL_LIST)
    ]
    assert told["tools"]["error"] is None
    assert {"CodeGenerationTool", "SmartQATool", "call_ollama"} <= set(told["tools"]["registered"])
    assert told["provider"] == {
        "provider": "metagpt_ollama_rs.provider.llms.OllamaLLM",
        "ours": True,
        "version": __version__,
        "empty_key": True,
        "error": None,
    }
    assert (told["wrong"], told["hint"]) == (None, None)


@pytest.mark.timeout(330)
def test_status_notices_an_upgrade_and_so_does_the_providers_log(copy, installed):
    copy.command("install")
    for relative in FILES:
        copy.path(relative).unlink()
        copy.path(relative).write_bytes((installed / relative).read_bytes())
    done = copy.command("status")
    assert done.code == 1
    assert "provider when imported  MetaGPT's own (metagpt.provider.ollama_api.OllamaLLM)\n" in done.out
    assert done.err.splitlines() == [
        "wrong: MetaGPT was upgraded or installed anew after `metagpt-ollama install`, which undid it",
        "hint: metagpt-ollama install, or metagpt-ollama uninstall to forget it",
    ]
    copy.configure("llm:\n  api_type: ollama\n  api_key: x\n  model: m\n")
    imported = copy.python("import metagpt_ollama_rs.provider")
    assert imported.code == 0
    assert "WARNING" in imported.err
    assert "MetaGPT was upgraded or installed anew after `metagpt-ollama install`" in imported.err


@pytest.mark.timeout(330)
def test_status_tells_half_a_switch_and_a_broken_one(copy):
    copy.path(PROVIDER).write_text("from metagpt_ollama_rs.provider import *\n")
    half = copy.command("status")
    assert half.code == 1
    assert "wrong: only one of the two files is switched over\nhint: metagpt-ollama install\n" in half.err
    assert "provider/ollama_api.py  switched over, by hand\n" in half.out
    assert 'api_key: ""             refused by MetaGPT\n' in half.out

    copy.command("install")
    # A module of that name that hides the package stands for one that is gone.
    (copy.root / "metagpt_ollama_rs.py").write_text("")
    found = {"python": sys.executable, "folder": str(copy.folder), "version": None, "leftover": None}
    told = copy.python(
        f"""
        import sys
        sys.path.remove({str(copy.root)!r})
        import metagpt_ollama_rs.switch.find as find
        find.find = lambda: {found!r}
        from metagpt_ollama_rs.cli import main
        sys.exit(main(["status"]))
        """
    )
    assert told.code == 1
    assert "wrong: MetaGPT cannot be imported: ModuleNotFoundError" in told.err
    assert "provider when imported  none: the import fails\n" in told.out
    # A process that has the package can still restore the files.
    (copy.root / "metagpt_ollama_rs.py").unlink()
    assert copy.command("uninstall").code == 0


def test_status_of_an_unknown_release_names_the_way_to_the_diff(skeleton):
    copy = skeleton("0.8.2")
    copy.path("__init__.py").write_text("")
    copy.path(CONFIG).write_text(originals(CONFIG)["0.8.2"] + "# newer\n")
    done = copy.command("status", "--json")
    told = json.loads(done.out)
    assert (done.code, done.err) == (1, "")
    assert (told["state"], told["wrong"]) == ("unknown", "a file is not the one of a known release")
    assert told["hint"] == "metagpt-ollama install shows how it differs"
    assert told["provider"]["error"].startswith("ModuleNotFoundError: ")


@pytest.mark.timeout(330)
def test_status_says_which_configuration_metagpt_would_read(copy):
    project, home = copy.home / "config" / "config2.yaml", copy.home / ".metagpt" / "config2.yaml"
    none = copy.command("status")
    assert none.code == 1
    assert f"configuration           none: neither {project} nor {home} is there\n" in none.out
    assert (
        none.err.splitlines()[0] == f"wrong: MetaGPT has no configuration here: neither {project} nor {home} is there"
    )

    copy.configure(OLLAMA_CONFIG)
    done = copy.command("status")
    assert (done.code, done.err) == (0, "")
    assert f"configuration           {project}\n" in done.out
    assert "its llm:                Ollama's; api_type ollama, model m, http://host:1\n" in done.out

    # The one in the home folder comes second, and its sections take the place of the first one's.
    home.parent.mkdir()
    home.write_text("llm:\n  api_type: openai\n  model: gpt\n")
    done = copy.command("status")
    assert done.code == 0
    assert f"configuration           {project}, then {home}\n" in done.out
    assert (
        f"its llm:                not Ollama's: no Ollama provider is asked; api_type openai, model gpt ({home})\n"
        in (done.out)
    )
    told = json.loads(copy.command("status", "--json").out)["configuration"]
    assert (told["ollama"], told["read"], told["error"]) == (False, [str(project), str(home)], None)

    home.write_text("llm: [\n")
    broken = copy.command("status")
    assert broken.code == 1
    assert broken.err.startswith(f"wrong: MetaGPT cannot read its configuration: {home}: while parsing")
    home.write_text("llm:\n  model: m\n")
    assert "no api_type, which means openai" in copy.command("status").out
    home.unlink()
    project.write_text("embedding: {}\n")
    assert "says nothing about llm:" in copy.command("status").err


@pytest.mark.timeout(330)
def test_without_the_package_metagpt_falls_back_to_its_own_provider(copy):
    copy.configure(OLLAMA_CONFIG)
    copy.command("install")
    program = """
        import sys
        sys.modules["metagpt_ollama_rs"] = None
        import metagpt.provider.ollama_api as module
        from metagpt.provider.llm_provider_registry import LLM_REGISTRY
        from metagpt.configs.llm_config import LLMType
        print(LLM_REGISTRY.get_provider(LLMType.OLLAMA) is module.OllamaLLM, module.OllamaMessageChat.__module__)
    """
    done = copy.python(program)
    assert done.code == 0, done.err
    assert done.out == "True metagpt.provider.ollama_api\n"
    assert "WARNING" in done.err
    assert "so MetaGPT's own Ollama provider is used. Run `pip install metagpt-ollama-rs`, or move " in done.err

    copy.path(PROVIDER + BACKUP_SUFFIX).unlink()
    lost = copy.python(program)
    assert lost.code == 1
    assert "MetaGPT's own provider, is missing: run `pip install metagpt-ollama-rs`" in lost.err
