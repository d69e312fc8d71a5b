"""Batches that are undone: after a kill at each step, after edits, one after the other, by several at once, on a full
disk."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from metagpt_ollama_rs import OllamaError
from metagpt_ollama_rs.slc import BatchFileTool
from metagpt_ollama_rs.slc.files.file_journal import KEPT_BATCHES, BatchError, FileJournal
from metagpt_ollama_rs.slc.files.file_steps import ordered_moves
from metagpt_ollama_rs.slc.files.rooted_folder import RootedFolder

PROGRAM = Path(__file__).with_name("killed_batches.py")
STATE = ".metagpt-ollama"


@pytest.fixture
def tool(tmp_path: Path) -> BatchFileTool:
    for name in ("a.txt", "b.txt", "sub/c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"old in " + name.encode())
    return BatchFileTool(tmp_path)


def texts(root: Path) -> dict[str, str]:
    """What is in all files below ``root``, the journal's included."""
    return {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()}


def journal_of(root: Path, number: int = 1) -> Path:
    return root / STATE / "batches" / f"{number:06}" / "journal"


@pytest.mark.parametrize("case", ["replace", "rename", "undo", "undo-rename", "twice"])
def test_a_new_process_undoes_what_a_killed_one_has_left(case):
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        done = subprocess.run(
            [sys.executable, str(PROGRAM), case, folder], capture_output=True, text=True, timeout=50, check=False
        )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["wrong"] == []
    assert result["kills"] > 40


def test_undo_restores_byte_for_byte_and_leaves_no_trace(tool, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfold\r\nold\n\xe4\xb8\xad")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    tool.replace("**/*", "old", "new", apply=True)
    assert (tmp_path / STATE / ".gitignore").read_text() == "*\n"
    assert "as before" in tool.undo()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert tool.undo() == "There is no batch to undo."
    assert not (tmp_path / STATE).exists()


def test_batches_are_undone_one_after_the_other_the_newest_first(tool, tmp_path):
    for number in range(3):
        tool.replace("a.txt", "old", f"old {number}", apply=True)
    tool.rename("a.txt", "z.txt", apply=True)
    assert (tmp_path / "z.txt").read_text() == "old 2 1 0 in a.txt"
    undone = []
    while (report := tool.undo_report()).number is not None:
        undone.append((report.number, texts(tmp_path)["a.txt"]))
    assert undone == [(4, "old 2 1 0 in a.txt"), (3, "old 1 0 in a.txt"), (2, "old 0 in a.txt"), (1, "old in a.txt")]


def test_another_tool_undoes_it(tool, tmp_path):
    tool.replace("**/*", "old", "new", apply=True)
    assert BatchFileTool(tmp_path).undo() == "Batch 1 (replace) is undone: 3 files are as before."


def test_a_file_that_was_edited_after_the_batch_is_left_alone_and_named(tool, tmp_path):
    tool.replace("**/*", "old", "new", apply=True)
    (tmp_path / "b.txt").write_text("mine")
    assert tool.undo() == (
        "Batch 1 (replace) is undone in part: 2 files are as before.\n"
        "left alone, it was changed after the batch: b.txt\n"
        "undo(force=True) puts changed files back, too."
    )
    assert (tmp_path / "a.txt").read_text() == "old in a.txt"
    assert (tmp_path / "b.txt").read_text() == "mine"
    assert tool.undo(force=True) == "Batch 1 (replace) is undone: 1 file is as before."
    assert texts(tmp_path) == {name: f"old in {name}" for name in ("a.txt", "b.txt", "sub/c.txt")}


def test_a_batch_by_its_number_passes_over_newer_ones(tool, tmp_path):
    tool.replace("a.txt", "old", "new", apply=True)
    tool.replace("b.txt", "old", "new", apply=True)
    (tmp_path / "b.txt").write_text("mine")
    assert "undo(1) goes on with the batch before" in tool.undo()
    assert tool.undo(1) == "Batch 1 (replace) is undone: 1 file is as before."
    with pytest.raises(BatchError, match="there is no batch 1"):
        tool.undo(1)
    assert texts(tmp_path)["b.txt"] == "mine"


def test_a_file_that_was_deleted_after_the_batch_comes_back_by_force(tool, tmp_path):
    (tmp_path / "a.txt").chmod(0o600)
    tool.replace("a.txt", "old", "new", apply=True)
    (tmp_path / "a.txt").unlink()
    assert "left alone, it is no longer there: a.txt" in tool.undo()
    tool.undo(force=True)
    assert (tmp_path / "a.txt").read_text() == "old in a.txt"
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o600


def test_a_link_in_the_place_of_a_file_is_not_followed_by_undo(tool, tmp_path, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "secret.txt"
    outside.write_text("new in a.txt")
    tool.replace("a.txt", "old", "new", apply=True)
    (tmp_path / "a.txt").unlink()
    (tmp_path / "a.txt").symlink_to(outside)
    for force in (False, True):
        assert "left alone, it is a symbolic link: a.txt" in tool.undo(force=force)
    assert outside.read_text() == "new in a.txt"


def test_a_rename_is_undone_around_an_edit_and_not_over_another_file(tool, tmp_path):
    tool.rename("a.txt", "z.txt", apply=True)
    (tmp_path / "z.txt").write_text("edited")
    (tmp_path / "a.txt").write_text("mine")
    assert "left alone, another file has this name: a.txt" in tool.undo(force=True)
    (tmp_path / "a.txt").unlink()
    assert tool.undo() == "Batch 1 (rename) is undone: 1 file is as before."
    assert texts(tmp_path)["a.txt"] == "edited"


def interrupted(tool: BatchFileTool, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Lets a batch end at the rename of this number as if the process were killed there."""
    real, count = os.rename, 0

    def rename(*arguments, **keywords):
        nonlocal count
        count += 1
        if count == at:
            os._exit(9)
        return real(*arguments, **keywords)

    process = os.fork()
    if process == 0:
        os.rename = rename
        tool.replace("**/*", "old", "new", apply=True)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 9


def test_an_interrupted_batch_is_undone_before_the_next_one(tool, tmp_path, monkeypatch):
    interrupted(tool, monkeypatch, at=2)
    assert sorted(text[:3] for name, text in texts(tmp_path).items() if STATE not in name) == ["new", "old", "old"]
    with pytest.raises(BatchError, match=r"batch 1 \(replace\) was interrupted") as error:
        tool.replace("**/*", "old", "new", apply=True)
    assert "undo()" in error.value.hint
    # The files that were not in their place yet are found by nobody, and do not stay.
    assert tool.find("**/*") == ["a.txt", "b.txt", "sub/c.txt"]
    tool.undo()
    assert texts(tmp_path) == {name: f"old in {name}" for name in ("a.txt", "b.txt", "sub/c.txt")}


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_the_last_line_of_a_journal_may_be_torn(tool, tmp_path, monkeypatch, cut):
    interrupted(tool, monkeypatch, at=3)
    data = journal_of(tmp_path).read_bytes()
    assert data.count(b"\n") == 4
    start = data.rindex(b"\n", 0, -1) + 1
    # The step of the last line was not begun, as the line was not on the disk.
    journal_of(tmp_path).write_bytes(data[: start + cut])
    (tmp_path / "b.txt").write_text("mine")
    assert "left alone, it was changed after the batch: b.txt" in tool.undo()
    tool.undo(force=True)
    assert texts(tmp_path) == {name: f"old in {name}" for name in ("a.txt", "b.txt", "sub/c.txt")}


def test_a_torn_plan_means_that_nothing_was_done(tool, tmp_path, monkeypatch):
    interrupted(tool, monkeypatch, at=1)
    journal_of(tmp_path).write_bytes(journal_of(tmp_path).read_bytes()[:100])
    for left in tmp_path.rglob(f"{STATE}-*"):
        left.unlink()
    assert tool.undo() == "There is no batch to undo."
    assert texts(tmp_path) == {name: f"old in {name}" for name in ("a.txt", "b.txt", "sub/c.txt")}


@pytest.mark.parametrize("line", [0, 1, 2])
def test_a_damaged_journal_is_an_error_that_says_where_the_files_are(tool, tmp_path, line):
    tool.replace("**/*", "old", "new", apply=True)
    lines = journal_of(tmp_path).read_bytes().split(b"\n")
    lines[line] = lines[line].replace(b'"', b"'", 1)
    journal_of(tmp_path).write_bytes(b"\n".join(lines))
    for call in (tool.undo, lambda: tool.replace("**/*", "new", "newer", apply=True)):
        with pytest.raises(BatchError, match=f"line {line + 1} of .*/000001/journal is damaged") as error:
            call()
    assert "files with numbers" in error.value.hint
    assert texts(tmp_path)["a.txt"] == "new in a.txt"


def test_a_damaged_copy_is_not_written_back(tool, tmp_path):
    tool.replace("a.txt", "old", "new", apply=True)
    (journal_of(tmp_path).parent / "0").write_text("garbage")
    assert "is damaged: a.txt" in tool.undo(force=True)
    assert texts(tmp_path)["a.txt"] == "new in a.txt"


@pytest.mark.parametrize(
    "entry",
    [
        {"path": "../outside.txt", "before": "", "after": "", "mode": 420},
        {"path": "/outside.txt", "new_path": "a.txt"},
        {"path": ".git/hooks/pre-commit", "new_path": "a.txt"},
        {"path": "z.txt", "new_path": "../outside.txt"},
    ],
)
def test_a_journal_that_came_with_the_files_does_not_lead_outside(tool, tmp_path, entry):
    (tmp_path / ".git" / "hooks").mkdir(parents=True)
    (tmp_path.parent / "outside.txt").write_text("mine")
    journal = FileJournal(RootedFolder(tmp_path))
    with journal.lock():
        log = journal.new_batch()
        log.begin("replace", [entry])
        log.note("step", 0)
        log.note("done")
    report = tool.undo_report(force=True)
    assert (report.restored, len(report.problems)) == ((), 1)
    assert (tmp_path.parent / "outside.txt").read_text() == "mine"
    assert not list((tmp_path / ".git" / "hooks").iterdir())


def test_batches_of_many_at_once_wait_for_each_other(tmp_path):
    for number in range(8):
        (tmp_path / f"{number}.txt").write_text("old")
    program = (
        "import sys; from metagpt_ollama_rs.slc import BatchFileTool; "
        "print(BatchFileTool(sys.argv[1]).replace(sys.argv[2], 'old', 'new', apply=True))"
    )
    processes = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path), f"{i}.txt"]) for i in range(2)]
    outcomes: list[object] = []

    def work(number: int) -> None:
        outcomes.append(BatchFileTool(tmp_path).plan_replace(f"{number}.txt", "old", "new").apply().number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait(30) for process in processes] == [0, 0]
    assert len(set(outcomes)) == 6
    assert {text for name, text in texts(tmp_path).items() if "/" not in name} == {"new"}
    threads = [threading.Thread(target=lambda: outcomes.append(BatchFileTool(tmp_path).undo())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts(tmp_path) == {f"{number}.txt": "old" for number in range(8)}


def failing(name: str, at: int, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the call of this number of a function of `os` fail; -1 lets all fail."""
    real, count = getattr(os, name), 0

    def call(*arguments, **keywords):
        nonlocal count
        count += 1
        if at in (count, -1):
            raise OSError(code, os.strerror(code))
        return real(*arguments, **keywords)

    monkeypatch.setattr(os, name, call)


def test_on_a_full_disk_nothing_is_changed_wherever_it_is_full(tool, tmp_path, monkeypatch):
    before = texts(tmp_path)
    # Three copies, the plan, three new files, three steps, the end; and the file for git.
    for at in range(1, 13):
        with pytest.MonkeyPatch.context() as patched:
            failing("write", at, errno.ENOSPC, patched)
            with pytest.raises(BatchError, match="No space left on device"):
                tool.replace("**/*", "old", "new", apply=True)
        assert texts(tmp_path) == before
    failing("write", 13, errno.ENOSPC, monkeypatch)
    tool.replace("**/*", "old", "new", apply=True)
    assert texts(tmp_path)["a.txt"] == "new in a.txt"


def test_ctrl_c_in_the_middle_puts_everything_back(tool, tmp_path, monkeypatch):
    before, real, count = texts(tmp_path), os.rename, 0

    def rename(*arguments, **keywords):
        nonlocal count
        count += 1
        if count == 2:
            raise KeyboardInterrupt
        return real(*arguments, **keywords)

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(KeyboardInterrupt):
        tool.replace("**/*", "old", "new", apply=True)
    assert texts(tmp_path) == before


def test_when_a_folder_cannot_be_brought_to_the_disk_everything_is_put_back(tool, tmp_path, monkeypatch):
    before, real, renamed = texts(tmp_path), os.rename, []

    def rename(*arguments, **keywords):
        real(*arguments, **keywords)
        renamed.append(arguments[1])

    def fsync(_: int) -> None:
        if len(renamed) == 2:
            monkeypatch.undo()
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "rename", rename)
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(BatchError, match="nothing was written"):
        tool.replace("**/*", "old", "new", apply=True)
    assert texts(tmp_path) == before


def test_a_rename_that_fails_in_the_middle_is_undone(tool, tmp_path, monkeypatch):
    before = texts(tmp_path)
    failing("link", 2, errno.EACCES, monkeypatch)
    failing("rename", -1, errno.EACCES, monkeypatch)
    with pytest.raises(BatchError, match=r"nothing was written: \S+ cannot become \S+: Permission denied"):
        tool.rename("**/*.txt", "{stem}.md", apply=True)
    assert texts(tmp_path) == before


def test_a_folder_that_cannot_be_written_to_leaves_its_file_alone(tool, tmp_path, monkeypatch):
    real = os.open

    def refuse(path, flags, *arguments, **keywords):
        if flags & os.O_CREAT and str(path).endswith("-2"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, flags, *arguments, **keywords)

    monkeypatch.setattr(os, "open", refuse)
    text = tool.replace("**/*", "old", "new", apply=True)
    assert "2 files were changed" in text
    assert text.endswith("left alone, Permission denied: sub/c.txt")
    monkeypatch.undo()
    assert tool.undo() == "Batch 1 (replace) is undone: 2 files are as before."


def as_an_ordinary_user(work: Callable[[], None]) -> None:
    """Runs ``work`` in a process that may not write everywhere, as root may."""
    process = os.fork()
    if process == 0:
        try:
            if os.geteuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            work()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0


def test_folders_that_may_not_be_written_to():
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o777)
        # What it imports when it is first used may lie where others cannot read.
        BatchFileTool(folder).undo()
        BatchFileTool(folder).replace("*", "a", "b", apply=True)

        def work() -> None:
            (folder / "sub").mkdir()
            for name in ("a.txt", "sub/b.txt"):
                (folder / name).write_text("old")
            tool = BatchFileTool(folder)
            (folder / "sub").chmod(0o555)
            assert tool.replace("**/*", "old", "new", apply=True).endswith("left alone, Permission denied: sub/b.txt")
            assert tool.undo() == "Batch 1 (replace) is undone: 1 file is as before."
            (folder / "sub").chmod(0o755)
            tool.replace("**/*", "old", "new", apply=True)
            (folder / "sub").chmod(0o555)
            assert "left alone, Permission denied: sub/b.txt" in tool.undo()
            (folder / "sub").chmod(0o755)
            tool.undo()
            (folder / "a.txt").chmod(0o200)
            assert "left alone, Permission denied: a.txt" in tool.replace("**/*", "old", "new")
            (folder / "a.txt").chmod(0o600)
            for mode in (0o755, 0o555):
                (folder / "sub").chmod(mode)
            with pytest.raises(BatchError, match=r"nothing was written: \.metagpt-ollama: Permission denied"):
                BatchFileTool(folder / "sub").replace("*", "old", "new", apply=True)
            (folder / "sub").chmod(0o755)
            assert texts(folder) == {"a.txt": "old", "sub/b.txt": "old"}

        as_an_ordinary_user(work)
    finally:
        shutil.rmtree(folder)


def test_who_reads_a_file_meanwhile_sees_the_old_or_the_new_text(tool, tmp_path):
    old, new = "old" * 100_000, "new" * 100_000
    (tmp_path / "a.txt").write_text(old)
    seen, stop = set(), threading.Event()

    def look() -> None:
        while not stop.is_set():
            seen.add((tmp_path / "a.txt").read_text())

    thread = threading.Thread(target=look)
    thread.start()
    for _ in range(5):
        tool.replace("a.txt", "old", "new", apply=True)
        tool.undo()
    stop.set()
    thread.join()
    assert seen <= {old, new}


def test_the_errors_of_batches_are_errors_of_this_package():
    assert issubclass(BatchError, (OllamaError, OSError))


def test_a_journal_that_is_a_link_is_refused(tool, tmp_path, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (tmp_path / STATE).symlink_to(outside)
    for call in (tool.undo, lambda: tool.replace("**/*", "old", "new", apply=True)):
        with pytest.raises(PermissionError, match="symbolic link"):
            call()
    assert not list(outside.iterdir())


def test_old_batches_are_forgotten(tmp_path):
    journal = FileJournal(RootedFolder(tmp_path))
    with journal.lock():
        for number in range(KEPT_BATCHES + 2):
            log = journal.new_batch()
            if number == 1:
                # That one of the oldest is damaged keeps nobody from going on.
                journal_of(tmp_path).write_bytes(b"damaged\n\n")
            log.begin("replace", [{"path": "a", "new_path": "b"}])
            log.note("done")
        assert [log.number for log in journal.batches()] == list(range(KEPT_BATCHES + 2, 2, -1))


def test_moves_are_ordered_so_that_no_name_is_taken():
    names = {"a": "b", "b": "c", "d": "e", "e": "d", "x/f": "x/g", "x/g": "x/h", "x/h": "x/f", "k": "l"}
    there = dict.fromkeys(names)
    there = {name: name for name in there}
    for old, new in ordered_moves(names, "~"):
        assert new not in there
        there[new] = there.pop(old)
    assert there == {new: old for old, new in names.items()}


def plant(root: Path, *entries: dict, copy: bytes = b"planted") -> None:
    """A journal as a foreign repository may bring it along."""
    texts = [json.dumps(entry).encode() for entry in entries]
    journal_of(root).parent.mkdir(parents=True)
    journal_of(root).write_bytes(b"".join(b"%08x %s\n" % (zlib.crc32(text), text) for text in texts))
    journal_of(root).with_name("0").write_bytes(copy)


def planned(path: str, mode: int = 0o644) -> dict:
    before, after = (hashlib.sha256(data).hexdigest() for data in (b"planted", b"old"))
    return {"plan": [{"path": path, "before": before, "after": after, "mode": mode}], "action": "replace"}


@pytest.mark.parametrize(
    "path", ["../outside", "/etc/hostname", ".git/config", "sub/.GIT/config", "\ud800", "a\0b", ""]
)
def test_a_planted_journal_changes_nothing_outside_of_the_root_and_nothing_of_git(tool, tmp_path, path):
    plant(tmp_path, planned(path), {"event": "step", "step": 0}, {"event": "done"})
    before = texts(tmp_path)
    for force in (False, True):
        report = tool.undo_report(force=force)
        assert [problem.path for problem in report.problems] == [path]
        str(report).encode()
    assert {name: text for name, text in texts(tmp_path).items() if STATE not in name} == {
        name: text for name, text in before.items() if STATE not in name
    }
    assert not (tmp_path.parent / "outside").exists()


@pytest.mark.parametrize("mode", [0o4755, 0o2755, -1, 1 << 70])
def test_a_planted_journal_gives_no_file_the_rights_of_its_owner(tool, tmp_path, mode):
    plant(tmp_path, planned("gone.txt", mode), {"event": "step", "step": 0}, {"event": "done"})
    tool.undo(force=True)
    assert (tmp_path / "gone.txt").stat().st_mode & 0o7777 == mode & 0o777


@pytest.mark.parametrize(
    "entries",
    [
        [planned("a.txt"), {"plan": [], "action": "replace"}],
        [{**planned("a.txt"), "action": "\x1b[2J"}],
        [{**planned("a.txt"), "action": 7}],
    ],
)
def test_a_journal_that_no_batch_writes_is_damaged(tool, tmp_path, entries):
    plant(tmp_path, *entries)
    with pytest.raises(BatchError, match=f"line {len(entries)} of .* is damaged"):
        tool.undo()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of another user")
def test_the_journal_of_another_user_is_not_used(tool, tmp_path):
    tool.replace("a.txt", "old", "new", apply=True)
    os.chown(tmp_path / STATE, 12345, -1)
    for call in (tool.undo, lambda: tool.replace("b.txt", "old", "new", apply=True)):
        with pytest.raises(BatchError, match="belongs to another user"):
            call()
    # All of the root is theirs.
    os.chown(tmp_path, 12345, -1)
    assert "as before" in tool.undo()


def test_undo_does_not_read_a_file_that_has_grown_into_memory(tool, tmp_path):
    tool.replace("a.txt", "old", "new", apply=True)
    os.truncate(tmp_path / "a.txt", 1 << 29)
    tracemalloc.start()
    try:
        assert "it was changed after the batch: a.txt" in tool.undo()
        assert tracemalloc.get_traced_memory()[1] < 1 << 26
    finally:
        tracemalloc.stop()


def test_no_file_gets_the_name_of_a_temporary_one(tool, tmp_path):
    text = tool.rename("a.txt", f"{STATE}-000002-0", apply=True)
    assert f"left alone, names that begin with {STATE} are those of temporary files: a.txt" in text
    assert (tmp_path / "a.txt").exists()
