"""The module of tools and the list that names it, switched over and back beside the provider's two files."""

from __future__ import annotations

import ast
import errno
import os
import signal
import stat
import sys

import pytest

from metagpt_ollama_rs.cli.commands import status
from metagpt_ollama_rs.switch import edits, files
from metagpt_ollama_rs.switch.edits import BACKUP_SUFFIX, SLC_MODULE
from metagpt_ollama_rs.switch.files import RefusedError, State
from metagpt_ollama_rs.switch.installation import Installation
from metagpt_ollama_rs.switch.releases import FILES, PROVIDER, SLC, TOOL_FILES, TOOL_LIST

USERS_OWN = "class CodeGenerationTool:\n    pass\n"
BY_HAND = "from metagpt_ollama_rs.slc import *\n"


def states(copy):
    """Of the module of tools and of the list."""
    return tuple(file.state for file in files.read(copy.folder)[2:])


def done_with(changes):
    return {change.relative: change.done for change in changes}


def test_the_module_is_one_line_which_says_how_to_undo_it():
    (line,) = SLC_MODULE.splitlines()
    assert ast.unparse(ast.parse(line)) == "from metagpt_ollama_rs.slc import *"
    assert line.endswith(" - `metagpt-ollama uninstall` deletes this file")


def test_the_module_is_made_and_listed_and_both_are_undone(skeleton):
    copy = skeleton("0.8.2")
    before, text = copy.state(), copy.path(TOOL_LIST).read_text()
    copy.path(TOOL_LIST).chmod(0o640)
    os.utime(copy.path(TOOL_LIST), (1_000_000_000, 1_000_000_000))
    inode = copy.path(TOOL_LIST).stat().st_ino
    assert states(copy) == (State.MISSING, State.ORIGINAL)
    files.install(copy.folder)
    assert states(copy) == (State.SWITCHED, State.SWITCHED)
    assert copy.path(SLC).read_text() == SLC_MODULE
    listed = copy.path(TOOL_LIST).read_text()
    assert listed.startswith(text)
    assert "    from metagpt.tools.libs import slc  # noqa: F401\n" in listed[len(text) :]
    assert [stat.S_IMODE(copy.path(relative).stat().st_mode) for relative in TOOL_FILES] == [0o640] * 2
    assert copy.path(SLC).stat().st_nlink == 1
    files.uninstall(copy.folder)
    assert copy.state() == before
    restored = copy.path(TOOL_LIST).stat()
    assert (stat.S_IMODE(restored.st_mode), restored.st_mtime, restored.st_ino) == (0o640, 1_000_000_000, inode)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"from metagpt.tools.libs import web_scraping", id="no line end at the end"),
        pytest.param(b"from . import web_scraping\r\n", id="windows"),
        pytest.param(b"from . import web_scraping\r\nimport mine\n", id="mixed"),
        pytest.param(b"# -*- coding: latin-1 -*-\n# f\xfcr mich\nfrom . import mine\n\n\n", id="edited, not UTF-8"),
        pytest.param(b"def (:\n", id="broken"),
    ],
)
def test_whatever_the_list_says_it_comes_back_byte_for_byte(skeleton, data):
    copy = skeleton("0.8.2")
    copy.path(TOOL_LIST).write_bytes(data)
    before = copy.state()
    files.install(copy.folder)
    assert states(copy) == (State.SWITCHED, State.SWITCHED)
    listed = copy.path(TOOL_LIST).read_bytes()
    assert listed.startswith(data)
    added = listed[len(data) :]
    assert added.count(b"\n") == (added.count(b"\r\n") if b"\r\n" in data else added.count(b"\n")) > 5
    copy.path(TOOL_LIST + BACKUP_SUFFIX).unlink()
    files.uninstall(copy.folder)
    assert copy.state() == before


def test_an_edit_of_the_list_after_the_installation_is_kept(skeleton):
    copy = skeleton("0.8.2")
    text = copy.path(TOOL_LIST).read_text()
    files.install(copy.folder)
    with copy.path(TOOL_LIST).open("a") as file:
        file.write("from metagpt.tools.libs import mine\n")
    assert done_with(files.install(copy.folder))[TOOL_LIST] == "switched over already"
    assert done_with(files.uninstall(copy.folder))[TOOL_LIST] == "restored"
    assert copy.path(TOOL_LIST).read_text() == text + "from metagpt.tools.libs import mine\n"
    assert set(copy.state()) == {*FILES, TOOL_LIST}


@pytest.mark.parametrize("made", ["file", "link to nothing", "folder", "package"])
def test_a_module_of_the_users_is_left_alone_and_does_not_stand_in_the_way(skeleton, made):
    copy = skeleton("0.8.2")
    path = copy.path(SLC)
    if made == "file":
        path.write_text(USERS_OWN)
    elif made == "link to nothing":
        path.symlink_to("nowhere.py")
    elif made == "folder":
        path.mkdir()
    else:
        path.with_suffix("").mkdir()
        (path.with_suffix("") / "__init__.py").write_text(USERS_OWN)
    before = copy.state()
    assert states(copy) == (State.OTHER, State.ORIGINAL)
    told = done_with(files.install(copy.folder))
    assert told[SLC] == "not this package's: left as it is; the tools are in metagpt_ollama_rs.slc"
    assert told[TOOL_LIST] == "left as it is, without the tools"
    assert [file.state for file in files.read(copy.folder)[:2]] == [State.SWITCHED] * 2
    assert {relative: copy.state().get(relative) for relative in TOOL_FILES} == {
        relative: before.get(relative) for relative in TOOL_FILES
    }
    files.uninstall(copy.folder)
    assert copy.state() == before


def test_an_edit_of_the_module_after_the_installation_is_not_lost(skeleton):
    copy = skeleton("0.8.2")
    text = copy.path(TOOL_LIST).read_text()
    files.install(copy.folder)
    with copy.path(SLC).open("a") as file:
        file.write("ollama_config.model = 'mine'\n")
    edited = copy.path(SLC).read_text()
    files.install(copy.folder)
    assert done_with(files.uninstall(copy.folder))[SLC] == "not this package's: left as it is"
    assert copy.path(SLC).read_text() == edited
    assert copy.path(TOOL_LIST).read_text() == text


def test_what_is_written_by_hand_is_left_alone(skeleton):
    copy = skeleton("0.8.2")
    copy.path(SLC).write_text(BY_HAND)
    with copy.path(TOOL_LIST).open("a") as file:
        file.write("from . import slc\n")
    before = copy.state()
    assert states(copy) == (State.BY_HAND, State.BY_HAND)
    told = done_with(files.install(copy.folder))
    assert told[SLC] == "switched over already, by hand: left as it is"
    assert told[TOOL_LIST] == "lists slc already, by hand: left as it is"
    told = done_with(files.uninstall(copy.folder))
    assert told[SLC] == "imports metagpt_ollama_rs, but not by `metagpt-ollama install`: left as it is"
    assert told[TOOL_LIST] == "lists slc, but not by `metagpt-ollama install`: left as it is"
    assert copy.state() == before


def test_a_module_by_hand_is_listed_and_only_that_is_undone(skeleton):
    copy = skeleton("0.8.2")
    copy.path(SLC).write_text(BY_HAND)
    before = copy.state()
    files.install(copy.folder)
    assert states(copy) == (State.BY_HAND, State.SWITCHED)
    files.uninstall(copy.folder)
    assert copy.state() == before


def test_a_module_that_a_line_by_hand_imports_is_made_and_stays(skeleton):
    copy = skeleton("0.8.2")
    with copy.path(TOOL_LIST).open("a") as file:
        file.write("from metagpt.tools.libs.slc import CodeGenerationTool\n")
    before = copy.state()
    files.install(copy.folder)
    assert states(copy) == (State.SWITCHED, State.BY_HAND)
    told = done_with(files.uninstall(copy.folder))[SLC]
    assert told == f"left as it is, because {TOOL_LIST} lists it, but not by `metagpt-ollama install`"
    assert {name: digest for name, digest in copy.state().items() if name != SLC} == before


def test_a_metagpt_without_a_list_of_tools_gets_the_provider_alone(skeleton):
    copy = skeleton("0.8.2")
    copy.path(TOOL_LIST).unlink()
    copy.path(TOOL_LIST).parent.rmdir()
    told = done_with(files.install(copy.folder))
    assert told[SLC] == told[TOOL_LIST] == "left as it is, without the tools"
    assert [file.state for file in files.read(copy.folder)[:2]] == [State.SWITCHED] * 2
    told = done_with(files.uninstall(copy.folder))
    assert told[SLC] == told[TOOL_LIST] == "not there"


def test_an_installation_of_this_package_before_it_had_tools_is_completed(skeleton):
    copy = skeleton("0.8.2")
    before = copy.state()
    files.install(copy.folder)
    copy.path(SLC).unlink()
    os.replace(copy.path(TOOL_LIST + BACKUP_SUFFIX), copy.path(TOOL_LIST))
    earlier = copy.state()
    told = done_with(files.install(copy.folder))
    assert told[PROVIDER] == "switched over already"
    assert states(copy) == (State.SWITCHED, State.SWITCHED)
    assert set(copy.state()) - set(earlier) == {SLC, TOOL_LIST + BACKUP_SUFFIX}
    files.uninstall(copy.folder)
    assert copy.state() == before


def test_an_upgrade_of_metagpt_is_made_good_and_its_list_is_what_comes_back(skeleton):
    copy = skeleton("0.8.2")
    files.install(copy.folder)
    # pip removes the files that it knows by name, and writes those of the new version.
    copy.path(TOOL_LIST).unlink()
    copy.path(TOOL_LIST).write_text("from . import web_scraping, newer\n")
    (of_list,) = (file for file in files.read(copy.folder) if file.relative == TOOL_LIST)
    assert files.is_overwritten(of_list)
    files.install(copy.folder)
    assert states(copy) == (State.SWITCHED, State.SWITCHED)
    files.uninstall(copy.folder)
    assert copy.path(TOOL_LIST).read_text() == "from . import web_scraping, newer\n"
    assert set(copy.state()) == {*FILES, TOOL_LIST}


def test_after_an_upgrade_uninstall_takes_the_module_and_the_backup_away(skeleton):
    copy = skeleton("0.8.2")
    files.install(copy.folder)
    copy.path(TOOL_LIST).write_text("from . import web_scraping, newer\n")
    told = done_with(files.uninstall(copy.folder))
    assert (told[SLC], told[TOOL_LIST]) == ("deleted", "MetaGPT's own already; a backup was removed")
    assert copy.path(TOOL_LIST).read_text() == "from . import web_scraping, newer\n"
    assert set(copy.state()) == {*FILES, TOOL_LIST}


def test_a_cache_that_the_list_is_linked_to_stays_clean(skeleton, tmp_path):
    copy = skeleton("0.8.2")
    cached = tmp_path / "cached.py"
    os.link(copy.path(TOOL_LIST), cached)
    before = cached.read_bytes()
    files.install(copy.folder)
    assert cached.read_bytes() == before
    files.uninstall(copy.folder)
    assert (cached.read_bytes(), copy.path(TOOL_LIST).read_bytes()) == (before, before)
    assert copy.path(TOOL_LIST).stat().st_nlink == 2


def test_where_links_cannot_be_made_the_module_is_moved_to_its_place(skeleton, monkeypatch):
    def refuse(*_arguments, **_options):
        raise OSError(errno.EPERM, "Operation not permitted")

    copy = skeleton("0.8.2")
    before = copy.state()
    monkeypatch.setattr(os, "link", refuse)
    files.install(copy.folder)
    assert states(copy) == (State.SWITCHED, State.SWITCHED)
    files.uninstall(copy.folder)
    assert copy.state() == before


def test_a_module_that_somebody_makes_at_that_moment_is_not_overwritten(skeleton, monkeypatch):
    copy = skeleton("0.8.2")
    before = copy.state()
    place = files._move_to_free_name

    def late(new, path):
        path.write_text(USERS_OWN)
        place(new, path)

    monkeypatch.setattr(files, "_move_to_free_name", late)
    with pytest.raises(RefusedError, match=r"slc\.py was made by someone else just now"):
        files.install(copy.folder)
    assert copy.path(SLC).read_text() == USERS_OWN
    copy.path(SLC).unlink()
    assert copy.state() == before


@pytest.fixture
def no_writing_for(monkeypatch):
    """Lets a function of `os` or `tempfile` fail for one path, as in a folder that cannot be written to: a real one
    does not stop root."""

    def refuse(owner, call, path):
        real = getattr(owner, call)

        def stand_in(*arguments, **options):
            places = [*arguments, options.get("dir", "")]
            if path in places:
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return real(*arguments, **options)

        monkeypatch.setattr(owner, call, stand_in)

    return refuse


@pytest.mark.parametrize(("call", "relative"), [("mkstemp", "tools/libs"), ("link", SLC), ("replace", TOOL_LIST)])
def test_what_cannot_be_written_leaves_everything_as_it_was(skeleton, monkeypatch, no_writing_for, call, relative):
    copy = skeleton("0.8.2")
    before = copy.state()
    if call == "link":
        no_writing_for(os, "rename", copy.path(relative))
    no_writing_for(files.tempfile if call == "mkstemp" else os, call, copy.path(relative))
    with pytest.raises(PermissionError):
        files.install(copy.folder)
    monkeypatch.undo()
    assert copy.state() == before


@pytest.mark.parametrize("relative", [TOOL_LIST, SLC, PROVIDER])
def test_what_cannot_be_restored_leaves_everything_switched_over(skeleton, monkeypatch, no_writing_for, relative):
    copy = skeleton("0.8.2")
    files.install(copy.folder)
    before = copy.state()
    if relative == SLC:
        no_writing_for(files.Path, "unlink", copy.path(relative))
    no_writing_for(os, "replace", copy.path(relative))
    with pytest.raises(PermissionError):
        files.uninstall(copy.folder)
    monkeypatch.undo()
    assert copy.state() == before


def in_a_process_that_ends_at(number, step, folder):
    """How a process ends that is killed before its call ``number`` that changes a name in a folder."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = [number]

    def counted(call):
        def replacement(*arguments, **options):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)

        return replacement

    try:
        for name in ("link", "replace", "rename", "unlink"):
            setattr(os, name, counted(getattr(os, name)))
        step(folder)
        os._exit(0)
    finally:
        os._exit(1)


@pytest.mark.parametrize("then", ["install", "uninstall"])
@pytest.mark.parametrize("step", ["install", "uninstall"])
def test_a_process_that_is_killed_anywhere_leaves_what_can_be_undone(skeleton, step, then):
    copy = skeleton("0.8.2")
    before = copy.state()
    for number in range(1, 100):
        if step == "uninstall":
            files.install(copy.folder)
        ended = in_a_process_that_ends_at(number, getattr(files, step), copy.folder)
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
        # Whatever is there can be imported.
        for relative in TOOL_FILES:
            if copy.path(relative).exists():
                ast.parse(copy.path(relative).read_text())
        if then == "install":
            files.install(copy.folder)
            assert states(copy) == (State.SWITCHED, State.SWITCHED)
        files.uninstall(copy.folder)
        assert copy.state() == before, number
    assert number > 8


IMPORT_TOOLS = """
    import sys

    {first}
    import metagpt.tools.libs as libs

    print(hasattr(libs, "web_scraping"), hasattr(libs, "slc"))
    from metagpt.tools.libs.slc import CodeGenerationTool
"""


def test_metagpt_imports_the_module_from_its_list(importable):
    files.install(importable.folder)
    done = importable.python(IMPORT_TOOLS.format(first=""))
    assert (done.code, done.out, done.err) == (0, "True True\n", "")


@pytest.mark.parametrize(
    ("first", "error"),
    [
        pytest.param('sys.modules["metagpt_ollama_rs"] = None', "No module named 'metagpt_ollama_rs", id="gone"),
        pytest.param('sys.modules["metagpt_ollama_rs.slc"] = None', "import of metagpt_ollama_rs.slc halted", id="old"),
    ],
)
def test_without_this_package_metagpt_has_its_other_tools_and_says_why(importable, first, error):
    files.install(importable.folder)
    done = importable.python(IMPORT_TOOLS.format(first=first))
    assert (done.code, done.out) == (1, "True False\n")
    warning, *rest = done.err.splitlines()
    assert "WARNING" in warning
    assert f"The tools of metagpt_ollama_rs cannot be imported ({error}" in warning
    assert warning.endswith(
        "so MetaGPT does without them. Run `pip install metagpt-ollama-rs`, "
        f"or take the import of slc out of {importable.path(TOOL_LIST)}"
    )
    assert rest[-1].startswith("ModuleNotFoundError: ")


def test_without_the_module_metagpt_has_its_other_tools(importable):
    files.install(importable.folder)
    importable.path(SLC).unlink()
    done = importable.python(IMPORT_TOOLS.format(first=""))
    assert done.out == "True False\n"
    assert "The tools of metagpt_ollama_rs cannot be imported (cannot import name 'slc'" in done.err


def test_compiled_modules_are_taken_away(skeleton):
    copy = skeleton("0.8.2")
    cache = copy.path(SLC).parent / "__pycache__"
    cache.mkdir()
    files.install(copy.folder)
    stale = cache / f"slc.{sys.implementation.cache_tag}.pyc"
    stale.write_bytes(b"unchecked")
    files.uninstall(copy.folder)
    assert not stale.exists()


@pytest.mark.parametrize(
    ("text", "imported"),
    [
        ("from metagpt.tools.libs import web_scraping, slc\n", True),
        ("from . import slc as tools\n", True),
        ("from .slc import CodeGenerationTool\n", True),
        ("import metagpt.tools.libs.slc\n", True),
        ("from metagpt_ollama_rs.slc import *\n", True),
        ("# from . import slc\nfrom . import slc_engine\n", False),
        ("def (:", False),
        ("\0", False),
    ],
)
def test_a_list_that_imports_the_module_is_told(text, imported):
    assert edits.imports_slc(text) is imported


def test_a_run_lists_the_module_in_any_text_once():
    text, warning = edits.edited_for_run(TOOL_LIST, "from . import mine")
    assert (text.splitlines()[0], warning) == ("from . import mine", "")
    assert edits.imports_slc(text)
    assert edits.edited_for_run(TOOL_LIST, text) == (text, "")


PROBED = {"error": None, "ours": True, "tools": ["CodeGenerationTool"], "tools_error": None}


def diagnosed(copy, **probed):
    """The state that `status` tells, what is wrong with it, and what to do."""
    found = Installation(sys.executable, copy.folder, "0.8.2")
    return status._diagnose_files(files.read(copy.folder), {**PROBED, **probed}, found)


def test_status_tells_that_tools_are_missing_and_that_only_they_are_there(skeleton):
    copy = skeleton("0.8.2")
    assert diagnosed(copy, ours=False, tools=[]) == ("original", None, None)
    files.install(copy.folder)
    assert diagnosed(copy) == ("switched", None, None)
    copy.path(SLC).unlink()
    assert diagnosed(copy) == (
        "partly switched",
        "the provider is switched over, but MetaGPT does not list the tools",
        "metagpt-ollama install",
    )
    files.install(copy.folder)
    for relative in FILES:
        os.replace(copy.path(relative + BACKUP_SUFFIX), copy.path(relative))
    assert diagnosed(copy, ours=False) == (
        "partly switched",
        "only the tools are switched over",
        "metagpt-ollama install, or metagpt-ollama uninstall",
    )


def test_status_is_content_with_tools_of_the_users(skeleton):
    copy = skeleton("0.8.2")
    copy.path(SLC).write_text(USERS_OWN)
    assert diagnosed(copy, ours=False, tools=[]) == ("original", None, None)
    files.install(copy.folder)
    assert diagnosed(copy, tools=[]) == ("switched", None, None)


def test_status_tells_tools_that_are_listed_and_not_there(skeleton):
    copy = skeleton("0.8.2")
    files.install(copy.folder)
    state, wrong, hint = diagnosed(copy, tools=[])
    assert (state, wrong) == ("broken", "MetaGPT lists the tools, but registers none: their import fails")
    assert hint == f'{sys.executable} -c "import metagpt.tools.libs.slc" shows where'
    _, wrong, _ = diagnosed(copy, tools=[], tools_error="ModuleNotFoundError: No module named 'playwright'")
    assert wrong.endswith("registers none: ModuleNotFoundError: No module named 'playwright'")
