"""Nothing outside of the root: each way there, tried with the tool and with what it is built upon."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from metagpt_ollama_rs.slc import BatchFileTool
from metagpt_ollama_rs.slc.files.rooted_folder import PathRefusedError, RootedFolder, path_parts, shown_path

SECRET = "old secret"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the root with a file that must be neither read nor changed."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "a.txt").write_text(SECRET)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.txt").write_text("old text")
    return folder


@pytest.fixture(autouse=True)
def untouched(outside: Path):
    yield
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"a.txt": SECRET}


def calls(tool: BatchFileTool, path: str) -> list[Callable[[], object]]:
    """Everything that takes a path or a pattern."""
    return [
        lambda: tool.find(path),
        lambda: tool.read(path),
        lambda: tool.replace(path, "old", "new", apply=True),
        lambda: tool.rename(path, "x.txt", apply=True),
        lambda: tool.apply_prompt(path, "Change it.", apply=True),
        lambda: RootedFolder(tool._folder.path).read(path, limit=100),
    ]


def paths_out(outside: Path) -> list[str]:
    return [
        "../outside/a.txt",
        "sub/../../outside/a.txt",
        "sub/../sub/a.txt",
        "..",
        "",
        ".",
        "/",
        "a\0b",
        str(outside / "a.txt"),
        f"/{outside}/a.txt",
    ]


def test_paths_that_lead_out_are_refused(root, outside):
    for path in paths_out(outside):
        for call in calls(BatchFileTool(root), path):
            with pytest.raises(PathRefusedError):
                call()


def test_the_refusal_is_an_error_of_each_expected_kind():
    with pytest.raises(PermissionError):
        path_parts("../a")
    with pytest.raises(ValueError, match="leads out"):
        path_parts("/a")
    with pytest.raises(PathRefusedError, match="a path is a text"):
        path_parts(b"a")


@pytest.mark.parametrize("target", ["../../outside/x.txt", "../x.txt", "/tmp/x.txt", "..", ".", "", "sub/", "x/../y"])
def test_a_new_name_does_not_lead_out(root, target):
    tool = BatchFileTool(root)
    text = tool.rename("sub/a.txt", target, apply=True)
    assert "left alone" in text
    assert (root / "sub" / "a.txt").exists()
    if target:
        tool.rename("sub/a.txt", "a.txt", target, apply=True)
        assert (root / "sub" / "a.txt").exists()


def test_a_link_to_a_file_is_not_followed(root, outside):
    (root / "link.txt").symlink_to(outside / "a.txt")
    (root / "inner.txt").symlink_to("sub/a.txt")
    tool = BatchFileTool(root)
    assert tool.find("**/*") == ["sub/a.txt"]
    for name in ("link.txt", "inner.txt"):
        with pytest.raises(PathRefusedError, match=f"{name}: it is a symbolic link"):
            tool.read(name)
        assert tool.replace(name, "old", "new", apply=True) == "No file matches the pattern."


def test_a_link_to_a_folder_is_not_followed(root, outside):
    (root / "link").symlink_to(outside)
    (root / "sub" / "deep").symlink_to(outside, target_is_directory=True)
    tool = BatchFileTool(root)
    assert tool.find("**/*") == ["sub/a.txt"]
    for path in ("link/a.txt", "sub/deep/a.txt"):
        with pytest.raises(PathRefusedError, match="it is a symbolic link"):
            tool.read(path)
        assert tool.replace(path, "old", "new", apply=True) == "No file matches the pattern."
    assert "it is a symbolic link" in tool.rename("sub/a.txt", "link/b.txt", apply=True)


def test_the_root_may_be_a_link_itself(root, tmp_path):
    (tmp_path / "link").symlink_to(root)
    tool = BatchFileTool(tmp_path / "link")
    assert "1 file was changed" in tool.replace("**/*.txt", "old", "new", apply=True)
    assert (root / "sub" / "a.txt").read_text() == "new text"


def test_a_root_that_another_folder_took_the_place_of_is_refused(root, outside, tmp_path):
    tool = BatchFileTool(root)
    plan = tool.plan_replace("**/*.txt", "old", "new")
    root.rename(tmp_path / "moved")
    (tmp_path / "root").symlink_to(outside)
    for call in (lambda: tool.find("**/*"), lambda: tool.read("a.txt"), plan.apply, tool.undo):
        with pytest.raises(OSError):  # noqa: PT011
            call()
    (tmp_path / "root").unlink()
    outside.rename(tmp_path / "root")
    try:
        for call in (lambda: tool.find("**/*"), lambda: tool.read("a.txt"), plan.apply, tool.undo):
            with pytest.raises(PathRefusedError, match="another folder has taken the place"):
                call()
    finally:
        (tmp_path / "root").rename(outside)


@pytest.mark.parametrize("make", ["file", "none"])
def test_a_root_that_is_no_folder_is_an_error(tmp_path, make):
    if make == "file":
        (tmp_path / "x").write_text("")
    with pytest.raises(OSError, match="x"):
        BatchFileTool(tmp_path / "x")


def test_a_file_with_another_name_is_read_and_not_written(root, outside, tmp_path):
    os.link(outside / "a.txt", root / "b.txt")
    tool = BatchFileTool(root)
    assert tool.read("b.txt") == SECRET
    for text in (
        tool.replace("*.txt", "old", "new"),
        tool.replace("*.txt", "old", "new", apply=True),
        tool.rename("*.txt", "c.txt", apply=True),
    ):
        assert "left alone, it has another name (a hard link), which may be outside of the root: b.txt" in text
    assert (root / "b.txt").stat().st_nlink == 2


def test_a_link_that_is_made_between_reading_and_writing_is_seen(root, outside, tmp_path):
    plan = BatchFileTool(root).plan_replace("**/*.txt", "old", "new")
    os.link(root / "sub" / "a.txt", tmp_path / "second")
    report = plan.apply()
    assert (report.changes, report.number) == ((), None)
    assert "hard link" in str(report)
    assert (tmp_path / "second").read_text() == "old text"


def test_special_files_are_never_opened(root):
    os.mkfifo(root / "fifo.txt")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(root)
        try:
            listener.bind("socket.txt")
        finally:
            os.chdir(here)
    tool = BatchFileTool(root)
    assert tool.find("**/*") == ["sub/a.txt"]
    for name in ("fifo.txt", "socket.txt"):
        with pytest.raises(PathRefusedError, match="it is no regular file"):
            tool.read(name)
    with pytest.raises(PathRefusedError, match="it is a folder"):
        tool.read("sub")
    (root / "null.txt").symlink_to("/dev/null")
    with pytest.raises(PathRefusedError, match="it is a symbolic link"):
        tool.read("null.txt")


def test_what_takes_the_place_of_a_file_while_it_is_opened_is_refused(root, monkeypatch):
    """A file is looked at before it is opened; then a FIFO stands there, on which opening would wait for ever."""
    real = os.open

    def swapping(path, flags, *arguments, **keywords):
        if path == "a.txt":
            monkeypatch.setattr(os, "open", real)
            (root / "sub" / "a.txt").unlink()
            os.mkfifo(root / "sub" / "a.txt")
        return real(path, flags, *arguments, **keywords)

    tool = BatchFileTool(root)
    monkeypatch.setattr(os, "open", swapping)
    with pytest.raises(PathRefusedError, match=r"sub/a\.txt: it is no regular file"):
        tool.read("sub/a.txt")


def test_a_folder_that_becomes_a_link_at_any_step_leads_nowhere(root, outside, tmp_path, monkeypatch):
    """Before each call that opens something, once, ``sub`` is replaced by a link to the folder outside."""
    real, swapped_at = os.open, 0
    for at in range(1, 400):
        count = 0

        def swapping(path, flags, *arguments, **keywords):
            nonlocal count
            count += 1
            if count == at:  # noqa: B023
                (root / "sub").rename(tmp_path / "aside")
                (root / "sub").symlink_to(outside)
            return real(path, flags, *arguments, **keywords)

        tool = BatchFileTool(root)
        monkeypatch.setattr(os, "open", swapping)
        try:
            text = tool.replace("**/*.txt", "old", "new", apply=True)
        except (OSError, PathRefusedError) as error:
            text = str(error)
        monkeypatch.setattr(os, "open", real)
        assert [path.name for path in outside.iterdir()] == ["a.txt"], at
        assert (outside / "a.txt").read_text() == SECRET, at
        if not (root / "sub").is_symlink():
            break
        swapped_at += 1
        (root / "sub").unlink()
        (tmp_path / "aside").rename(root / "sub")
        # As somebody does whose folder is back.
        while tool.undo_report(force=True).number is not None:
            pass
        assert (root / "sub" / "a.txt").read_text() == "old text", (at, text)
        left = [path.name for path in (root / "sub").iterdir() if path.name != "a.txt"]
        # Nobody knows where a folder is that was moved away: a temporary file in it stays, and no pattern finds it.
        assert set(left) <= {".metagpt-ollama-000001-0"}, (at, text)
        assert tool.find("**/*") == ["sub/a.txt"]
        for name in left:
            (root / "sub" / name).unlink()
    assert swapped_at > 30
    assert (root / "sub" / "a.txt").read_text() == "new text"


def test_a_folder_that_becomes_a_link_again_and_again_leads_nowhere(root, outside, tmp_path):
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            (root / "sub").rename(root / "real")
            (root / "sub").symlink_to(outside)
            (root / "sub").unlink()
            (root / "real").rename(root / "sub")

    thread = threading.Thread(target=swap)
    thread.start()
    tool = BatchFileTool(root)
    outcomes = set()
    try:
        for _ in range(150):
            try:
                outcomes.add(tool.read("sub/a.txt"))
                tool.replace("sub/*.txt", "old", "new", apply=True)
                tool.undo(force=True)
            except OSError as error:
                outcomes.add(type(error).__name__)
            assert (outside / "a.txt").read_text() == SECRET
            assert [path.name for path in outside.iterdir()] == ["a.txt"]
    finally:
        stop.set()
        thread.join()
    assert SECRET not in outcomes


def test_a_system_without_descriptors_of_folders_is_refused(root, monkeypatch):
    monkeypatch.setattr("metagpt_ollama_rs.slc.files.rooted_folder._HAS_FOLDER_DESCRIPTORS", False)
    with pytest.raises(PathRefusedError, match="this system cannot open files relative to a folder") as error:
        BatchFileTool(root)
    assert "WSL" in error.value.hint


def test_no_descriptor_stays_open(root, outside):
    (root / "link").symlink_to(outside)
    tool = BatchFileTool(root)

    def everything() -> None:
        for path in ("sub/a.txt", "no/such", "link/a.txt", "../a"):
            with contextlib.suppress(OSError):
                tool.read(path)
        tool.replace("**/*", "old", "new", apply=True)
        tool.undo()

    everything()
    before = len(os.listdir("/dev/fd"))
    for _ in range(5):
        everything()
    assert len(os.listdir("/dev/fd")) == before


@pytest.mark.parametrize("target", [".git/hooks/x", ".GIT/x", ".metagpt-ollama/x"])
def test_nothing_is_put_where_it_would_be_run(root, target):
    (root / target).parent.mkdir(parents=True)
    tool = BatchFileTool(root, hidden=True)
    assert "nothing is changed in" in tool.rename("sub/a.txt", target, apply=True)
    (root / target).write_text("old")
    assert target not in tool.find("**/*") or target.startswith(".GIT")
    assert tool.find(target) == []


def test_half_of_a_pair_of_surrogates_is_no_path(tmp_path):
    """An escape in a model's JSON can leave one; no file has such a name."""
    for path in ("\ud83d", "a/\ude00.txt"):
        with pytest.raises(PathRefusedError, match="no path of a file"):
            RootedFolder(tmp_path).read(path, limit=1)
        assert shown_path(path).isascii()
