"""Switching files over and back: states, backups, refusals, rights. On the files alone; nothing is imported."""

from __future__ import annotations

import errno
import os
import signal
import stat
import sys

import pytest

from metagpt_ollama_rs.switch import files
from metagpt_ollama_rs.switch.edits import BACKUP_SUFFIX, DROP_IN
from metagpt_ollama_rs.switch.files import RefusedError, State
from metagpt_ollama_rs.switch.releases import CONFIG, FILES, PROVIDER, SLC, TOOL_LIST, originals, sum_of

BACKUPS = {relative + BACKUP_SUFFIX for relative in (*FILES, TOOL_LIST)}


def states(copy):
    """Of the provider's two files."""
    return [file.state for file in files.read(copy.folder)[:2]]


def leftovers(copy):
    """Files besides those that are changed and their backups."""
    return set(copy.state()) - {*FILES, SLC, TOOL_LIST} - BACKUPS


@pytest.mark.parametrize("release", ["0.8.2", "made-up"])
def test_there_and_back_byte_for_byte(skeleton, release, made_up):
    copy = skeleton(release)
    before = copy.state()
    files.install(copy.folder)
    assert states(copy) == [State.SWITCHED] * 2
    assert copy.path(PROVIDER).read_text() == DROP_IN
    switched = copy.state()
    assert set(switched) == {*before, *BACKUPS, SLC}
    assert [file.release for file in files.read(copy.folder)] == [release, release, None, None]
    assert {name: switched[name + BACKUP_SUFFIX] for name in before} == before
    files.uninstall(copy.folder)
    assert copy.state() == before


@pytest.mark.parametrize("release", ["0.8.2", "made-up"])
def test_twice_changes_nothing(skeleton, release, made_up):
    copy = skeleton(release)
    files.install(copy.folder)
    changed = (*FILES, SLC, TOOL_LIST)
    once = {relative: (copy.path(relative).stat().st_ino, copy.path(relative).read_bytes()) for relative in changed}
    assert {change.done for change in files.install(copy.folder)} == {"switched over already"}
    assert once == {rel: (copy.path(rel).stat().st_ino, copy.path(rel).read_bytes()) for rel in changed}
    files.uninstall(copy.folder)
    before = copy.state()
    assert {change.done for change in files.uninstall(copy.folder)} == {"MetaGPT's own already", "not there"}
    assert copy.state() == before


def test_mode_and_time_of_the_original_come_back(skeleton):
    copy = skeleton("0.8.2")
    path = copy.path(PROVIDER)
    path.chmod(0o640)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    files.install(copy.folder)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    files.uninstall(copy.folder)
    assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_mtime) == (0o640, 1_000_000_000)


def test_a_cache_that_the_files_are_linked_to_stays_clean(skeleton, tmp_path):
    """uv links packages from its cache: writing into the file would change every other environment."""
    copy = skeleton("0.8.2")
    cached = tmp_path / "cached.py"
    os.link(copy.path(PROVIDER), cached)
    linked = tmp_path / "linked.py"
    copy.path(CONFIG).rename(linked)
    copy.path(CONFIG).symlink_to(linked)
    before = cached.read_bytes(), linked.read_bytes()
    files.install(copy.folder)
    assert states(copy) == [State.SWITCHED] * 2
    assert (cached.read_bytes(), linked.read_bytes()) == before
    files.uninstall(copy.folder)
    assert states(copy) == [State.ORIGINAL] * 2
    assert (cached.read_bytes(), linked.read_bytes()) == before
    assert copy.path(CONFIG).is_symlink()


def test_where_links_cannot_be_made_the_backup_is_a_copy(skeleton, monkeypatch):
    def refuse(*_arguments, **_options):
        raise OSError(errno.EPERM, "Operation not permitted")

    copy = skeleton("0.8.2")
    before = copy.state()
    monkeypatch.setattr(os, "link", refuse)
    files.install(copy.folder)
    assert states(copy) == [State.SWITCHED] * 2
    files.uninstall(copy.folder)
    assert copy.state() == before


def test_line_ends_of_a_windows_checkout_are_kept(skeleton):
    copy = skeleton("0.8.2")
    for relative in (*FILES, TOOL_LIST):
        text = copy.path(relative).read_bytes()
        copy.path(relative).write_bytes(text.replace(b"\n", b"\r\n"))
    before = copy.state()
    files.install(copy.folder)
    assert states(copy) == [State.SWITCHED] * 2
    for relative in (*FILES, TOOL_LIST):
        data = copy.path(relative).read_bytes()
        assert data.count(b"\n") == data.count(b"\r\n") > 3
    files.uninstall(copy.folder)
    assert copy.state() == before


def test_compiled_files_are_not_left_to_win_over_the_new_ones(skeleton):
    copy = skeleton("0.8.2")
    cache = copy.path(PROVIDER).parent / "__pycache__"
    cache.mkdir()
    stale = cache / f"ollama_api.{sys.implementation.cache_tag}.pyc"
    other = cache / f"openai_api.{sys.implementation.cache_tag}.pyc"
    for step in (files.install, files.uninstall):
        stale.write_bytes(b"unchecked")
        other.write_bytes(b"another module's")
        step(copy.folder)
        assert not stale.exists()
        assert other.exists()


@pytest.mark.parametrize("relative", FILES)
@pytest.mark.parametrize("release", originals(PROVIDER))
def test_an_edited_original_is_refused_with_the_edit(skeleton, release, relative):
    copy = skeleton(release)
    with copy.path(relative).open("a") as file:
        file.write("MINE = 1\n")
    before = copy.state()
    with pytest.raises(RefusedError, match=f"{relative} is not the file of a known release") as caught:
        files.install(copy.folder)
    assert copy.state() == before
    changed = [line for line in caught.value.diff.splitlines() if line.startswith(("+", "-"))]
    assert changed[0].startswith(f"--- {relative} (")
    assert changed[1:] == [f"+++ {copy.path(relative)}", "+MINE = 1"]
    assert "metagpt-ollama run" in caught.value.hint


@pytest.mark.parametrize("relative", FILES)
def test_an_edit_of_a_release_without_a_copy_is_refused_with_what_is_known(skeleton, made_up, relative):
    copy = skeleton("made-up")
    with copy.path(relative).open("a") as file:
        file.write("MINE = 1\n")
    before = copy.state()
    with pytest.raises(RefusedError, match=f"{relative} is not the file of a known release") as caught:
        files.install(copy.folder)
    assert copy.state() == before
    told = str(caught.value)
    assert "(MetaGPT 0.8.2, MetaGPT main at commit 1dfce07, MetaGPT made-up); the other file" in told
    assert f"that of MetaGPT made-up, whose {relative} has the SHA-256 {sum_of(made_up[relative])}" in told
    assert f"this one has {sum_of(copy.path(relative).read_text())}" in told
    assert "No copy of it is at hand; this one differs from MetaGPT 0.8.2, as shown" in told
    # All that can be shown: the edit, and what the releases differ by.
    assert "+MINE = 1\n" in caught.value.diff
    assert caught.value.diff.count("\n+") == 3
    assert caught.value.hint.startswith(f"in a clone of MetaGPT, `git diff made-up -- metagpt/{relative}` shows")


@pytest.mark.parametrize("relative", FILES)
def test_a_backup_serves_as_the_copy_that_is_missing(skeleton, made_up, relative):
    copy = skeleton("made-up")
    files.install(copy.folder)
    with copy.path(relative).open("a") as file:
        file.write("MINE = 1\n")
    for step in (files.install, files.uninstall):
        with pytest.raises(RefusedError, match="it differs from MetaGPT made-up, switched over, as shown") as caught:
            step(copy.folder)
        assert [line for line in caught.value.diff.splitlines()[2:] if line[0] in "+-"] == ["+MINE = 1"]


def test_an_upgrade_to_a_release_without_a_copy_replaces_the_backups(skeleton, made_up):
    copy = skeleton("0.8.2")
    files.install(copy.folder)
    for relative, text in made_up.items():
        copy.path(relative).write_text(text)
    assert [files.is_overwritten(file) for file in files.read(copy.folder)[:2]] == [True, True]
    upgraded = {relative: copy.state()[relative] for relative in FILES}
    files.install(copy.folder)
    files.uninstall(copy.folder)
    assert {relative: copy.state()[relative] for relative in FILES} == upgraded
    assert not leftovers(copy)


def test_an_edit_after_the_installation_is_not_lost(skeleton):
    copy = skeleton("0.8.2")
    files.install(copy.folder)
    with copy.path(PROVIDER).open("a") as file:
        file.write("OllamaLLM.timeout = 3\n")
    before = copy.state()
    for step in (files.install, files.uninstall):
        with pytest.raises(RefusedError, match="switched over, as shown") as caught:
            step(copy.folder)
        assert "+OllamaLLM.timeout = 3\n" in caught.value.diff
        assert copy.state() == before


def test_another_file_altogether_is_not_shown_in_full(skeleton):
    copy = skeleton("0.8.2")
    copy.path(PROVIDER).write_bytes(b"\xff\xfe not a line of it\n" * 1000)
    with pytest.raises(RefusedError) as caught:
        files.install(copy.folder)
    assert caught.value.diff.endswith(" more lines\n")
    assert caught.value.diff.count("\n") < 210


def test_a_missing_file_is_told(skeleton):
    copy = skeleton("0.8.2")
    copy.path(CONFIG).unlink()
    before = copy.state()
    with pytest.raises(RefusedError, match="is missing: this is no complete MetaGPT"):
        files.install(copy.folder)
    assert copy.state() == before


def test_our_line_written_by_hand_is_left_alone(skeleton):
    copy = skeleton("0.8.2")
    copy.path(PROVIDER).write_text("from metagpt_ollama_rs.provider import *\n")
    before = copy.state()
    first, second, *_ = files.install(copy.folder)
    assert first.done == "switched over already, by hand: left as it is"
    assert second.done.startswith("accepts an empty key for Ollama now")
    assert states(copy) == [State.BY_HAND, State.SWITCHED]
    first, second, *_ = files.uninstall(copy.folder)
    assert first.done.endswith("left as it is")
    assert second.done == "restored"
    assert copy.state() == before


def test_an_upgrade_of_metagpt_is_noticed_and_made_good(skeleton):
    copy = skeleton("0.8.2")
    files.install(copy.folder)
    assert files.upgrade_warning(copy.folder) is None
    # pip removes the files that it knows by name, and writes those of the new version.
    for relative in FILES:
        copy.path(relative).unlink()
        copy.path(relative).write_text(originals(relative)["0.8.2"])
    assert [files.is_overwritten(file) for file in files.read(copy.folder)[:2]] == [True, True]
    assert "Run `metagpt-ollama install` again" in files.upgrade_warning(copy.folder)
    upgraded = {relative: copy.state()[relative] for relative in FILES}
    files.install(copy.folder)
    assert files.upgrade_warning(copy.folder) is None
    files.uninstall(copy.folder)
    assert {relative: copy.state()[relative] for relative in FILES} == upgraded


def test_backups_of_an_upgraded_metagpt_are_not_put_back(skeleton):
    copy = skeleton("0.8.2")
    files.install(copy.folder)
    for relative in FILES:
        copy.path(relative).write_text(originals(relative)["0.8.2"])
    assert {change.done for change in files.uninstall(copy.folder)[:2]} == {
        "MetaGPT's own already; a backup was removed"
    }
    assert {rel: copy.path(rel).read_text() for rel in FILES} == {rel: originals(rel)["0.8.2"] for rel in FILES}
    assert leftovers(copy) == set()
    assert files.upgrade_warning(copy.folder) is None


@pytest.mark.parametrize("damage", ["removed", "edited"])
def test_without_a_good_backup_nothing_is_restored(skeleton, damage):
    copy = skeleton("0.8.2")
    files.install(copy.folder)
    backup = copy.path(CONFIG + BACKUP_SUFFIX)
    backup.unlink()
    if damage == "edited":
        backup.write_text("pass\n")
    before = copy.state()
    with pytest.raises(RefusedError, match=r"nothing was restored: .*llm_config\.py"):
        files.uninstall(copy.folder)
    assert copy.state() == before


@pytest.fixture
def fail_for_configuration(monkeypatch):
    """Lets a function fail for the second of the two files, as in a folder that cannot be written to: a real one does
    not stop root. `owner.call` is replaced; its last argument, or `dir`, is where it writes."""

    def replace(owner, call):
        real = getattr(owner, call)

        def stand_in(*arguments, **options):
            place = str(options.get("dir", arguments[-1] if arguments else ""))
            if "llm_config.py" in place or place.endswith("configs"):
                raise PermissionError(errno.EACCES, "Permission denied", place)
            return real(*arguments, **options)

        monkeypatch.setattr(owner, call, stand_in)

    return replace


@pytest.mark.parametrize(("owner", "call"), [(files.tempfile, "mkstemp"), (os, "replace")])
def test_what_cannot_be_written_leaves_everything_as_it_was(skeleton, monkeypatch, fail_for_configuration, owner, call):
    copy = skeleton("0.8.2")
    before = copy.state()
    fail_for_configuration(owner, call)
    with pytest.raises(PermissionError):
        files.install(copy.folder)
    monkeypatch.undo()
    assert copy.state() == before


def test_what_cannot_be_restored_leaves_everything_switched_over(skeleton, monkeypatch, fail_for_configuration):
    copy = skeleton("0.8.2")
    files.install(copy.folder)
    before = copy.state()
    fail_for_configuration(os, "replace")
    with pytest.raises(PermissionError):
        files.uninstall(copy.folder)
    monkeypatch.undo()
    assert copy.state() == before


def test_a_backup_of_another_release_is_not_put_back(skeleton, made_up):
    copy = skeleton("0.8.2")
    files.install(copy.folder)
    # The configuration is the upgraded MetaGPT's; the provider was switched by hand, its backup is from before.
    copy.path(PROVIDER).write_text("from metagpt_ollama_rs.provider import *  # by hand\n")
    copy.path(CONFIG).write_text(made_up[CONFIG])
    files.install(copy.folder)
    before = copy.state()
    with pytest.raises(RefusedError, match=r"is of MetaGPT 0\.8\.2, and the other file .* is of MetaGPT made-up"):
        files.uninstall(copy.folder)
    assert copy.state() == before


KILLED = """
import os, signal, sys
from pathlib import Path
from metagpt_ollama_rs.switch import files

def killed(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(files, sys.argv[2], killed)
files.install(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("at", ["_make_backup", "_link_or_copy"])
def test_what_a_killed_install_leaves_behind_is_swept_up(skeleton, at):
    copy = skeleton("0.8.2")
    before = copy.state()
    done = copy.run(sys.executable, "-c", KILLED, copy.folder, at)
    assert done.code == -signal.SIGKILL
    assert leftovers(copy)
    files.install(copy.folder)
    assert not leftovers(copy)
    files.uninstall(copy.folder)
    assert copy.state() == before


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_waits_until_the_files_are_whole(skeleton, name):
    copy = skeleton("0.8.2")
    program = f"""
        import os, signal, sys
        from metagpt_ollama_rs.cli import main

        replace = os.replace
        def told(*arguments):
            os.replace = replace
            replace(*arguments)
            os.kill(os.getpid(), signal.{name})
        os.replace = told
        sys.exit(main(["install"]))
    """
    ended = copy.python(program).code
    assert ended == (130 if name == "SIGINT" else -getattr(signal, name))
    assert states(copy) == [State.SWITCHED] * 2
    assert not leftovers(copy)
