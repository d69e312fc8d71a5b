"""Files that are changed as one batch, and changed back: each step is one rename, announced in the journal.

    changes = [FileChange("a.txt", before=b"1", after=b"2"), FileChange("b.txt", b"", b"", new_path="c.txt")]
    done = apply_changes(folder, journal, "replace", changes)
    undo_batch(folder, journal, journal.newest(), force=False)

A batch is written so::

    1. what the files have in them is compared with ``before``, and copied into the journal's folder
    2. the plan is written
    3. what they are to have is written beside them under temporary names, with their owner, mode and attributes
    4. for each file: the step is announced, the file is compared once more, and the new one renamed over it

A file that is not as it was is left alone and named. If the disk is full, in 1 to 3 nothing was changed yet, and in 4
what was changed is changed back. A killed process leaves a batch without its last line; from the files themselves is
seen how far it came: a step that was written has either the old or the new text in its file, and a file that was
renamed has either its old or its new name.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional

from metagpt_ollama_rs.errors import OllamaError
from metagpt_ollama_rs.slc.files.file_journal import BatchError
from metagpt_ollama_rs.slc.files.rooted_folder import (
    STATE_FOLDER,
    PathRefusedError,
    are_two_names,
    check_target,
    check_writable,
    move_at,
    open_regular,
    path_parts,
    shown_path,
    sync_folder,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from metagpt_ollama_rs.slc.files.file_journal import BatchLog, FileJournal
    from metagpt_ollama_rs.slc.files.rooted_folder import RootedFolder

__all__ = [
    "AppliedBatch",
    "FileChange",
    "FileProblem",
    "UndoneBatch",
    "apply_changes",
    "left_alone",
    "ordered_moves",
    "reason_of",
    "undo_batch",
]

# What is wrong with the disk or with this process is wrong for all files.
_FOR_ALL = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EROFS}


@dataclass(frozen=True)
class FileChange:
    """What is to become of one file.

    Attributes:
        path: below the root.
        before, after: what it has in it, and what it is to have; both empty for a file that is only renamed.
        new_path: its new name, if it is renamed.
        diff: the change as a unified diff, for people.

    >>> FileChange("a.txt", b"old", b"new")
    FileChange(path='a.txt', new_path=None)
    """

    path: str
    before: bytes = field(default=b"", repr=False)
    after: bytes = field(default=b"", repr=False)
    new_path: Optional[str] = None
    diff: str = field(default="", repr=False)


@dataclass(frozen=True)
class FileProblem:
    """A file that is left alone, and why.

    >>> print(FileProblem("a.bin", "it is binary"))
    a.bin: it is binary
    """

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{shown_path(self.path)}: {self.reason}"


@dataclass(frozen=True)
class AppliedBatch:
    """What a batch or its undoing has done. ``number`` is that of the batch, None if no file was changed."""

    number: Optional[int]
    changed: tuple[FileChange, ...]
    problems: tuple[FileProblem, ...]


def reason_of(path: str, error: BaseException) -> str:
    """What an exception says, without the path with which some begin."""
    if isinstance(error, OllamaError):
        text = error.message
    else:
        text = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    return text.removeprefix(f"{shown_path(path)}: ")


def apply_changes(
    folder: RootedFolder, journal: FileJournal, action: str, changes: Sequence[FileChange]
) -> AppliedBatch:
    """Makes the changes, in their order. Waits while another batch is written.

    A file that is not as it was, or that cannot be written, is among the problems. Raises BatchError, with all files as
    they were, where no file can be written, and where an earlier batch was interrupted and not undone.
    """
    if not changes:
        return AppliedBatch(None, (), ())
    with _named_failures("nothing was written"), journal.lock():
        newest = journal.newest()
        if newest is not None and newest.is_interrupted:
            raise BatchError(
                f"nothing was written: batch {newest.number} ({newest.action}) was interrupted",
                hint="undo() puts the files back as they were before it",
            )
        log = journal.new_batch()
        writer = _Writer(folder, log, action, changes)
        try:
            writer.prepare()
        except BaseException:
            writer.discard(journal)
            raise
        if not writer.has_work():
            writer.discard(journal)
            return AppliedBatch(None, (), tuple(writer.problems))
        try:
            writer.write()
        except BaseException as error:
            # Whatever came, Ctrl-C too: the files are put back.
            _roll_back(folder, journal, log, error)
            raise
        if not writer.changed:
            writer.discard(journal)
            return AppliedBatch(None, (), tuple(writer.problems))
        return AppliedBatch(log.number, tuple(writer.changed), tuple(writer.problems))


def _roll_back(folder: RootedFolder, journal: FileJournal, log: BatchLog, error: BaseException) -> None:
    try:
        left = undo_locked(folder, journal, log, force=False).problems
    except OSError as again:
        raise BatchError(
            f"batch {log.number} was interrupted: {error}, and then {again}",
            hint="undo() puts the files back as they were before it",
        ) from error
    if left:
        raise BatchError(f"batch {log.number} was interrupted: {error}; left as they are: {'; '.join(map(str, left))}")


class _Writer:
    """One batch on its way to the disk."""

    def __init__(self, folder: RootedFolder, log: BatchLog, action: str, changes: Sequence[FileChange]) -> None:
        self._folder = folder
        self._log = log
        self._action = action
        self._changes = changes
        # By their index, which is the number of the step; None is one that is left out.
        self._waiting: list[Optional[FileChange]] = list(changes)
        self.changed: list[FileChange] = []
        self.problems: list[FileProblem] = []

    def prepare(self) -> None:
        plan = []
        for step, change in enumerate(self._changes):
            entry: dict[str, Any] = {"path": change.path}
            with self._noted(step):
                if change.new_path is None:
                    status = self._check(change)
                    with self._folder.parent(self._log.copy_path(step)) as (parent, name):
                        self._folder.create_at(parent, name, change.before)
                    entry.update(before=digest(change.before), after=digest(change.after))
                    entry.update(mode=stat.S_IMODE(status.st_mode))
                else:
                    entry.update(new_path=change.new_path)
            plan.append(entry)
        if self.has_work():
            self._log.begin(self._action, plan)
            for step, waiting in enumerate(self._waiting):
                if waiting is not None and waiting.new_path is None:
                    with self._noted(step):
                        stage(self._folder, self._log, step, waiting.path, waiting.after)

    def has_work(self) -> bool:
        """Whether anything is left to be done."""
        return any(change is not None for change in self._waiting)

    def write(self) -> None:
        for step, change in enumerate(self._waiting):
            if change is None:
                continue
            self._log.note("step", step)
            if change.new_path is not None:
                self._move(change.path, change.new_path)
                self.changed.append(change)
                continue
            with self._noted(step):
                self._check(change)
                rename_over(self._folder, self._log, step, change.path)
                self.changed.append(change)
            if self._waiting[step] is None:
                self._log.note("skip", step)
        remove_temporaries(self._folder, self._log)
        self._log.note("done")

    def _move(self, path: str, new_path: str) -> None:
        """Renames a file. Files get each other's names, so all are renamed or none."""
        try:
            move(self._folder, path, new_path)
        except OSError as error:
            raise BatchError(
                f"nothing was written: {shown_path(path)} cannot become {shown_path(new_path)}: "
                f"{reason_of(path, error)}"
            ) from error

    def discard(self, journal: FileJournal) -> None:
        """Deletes what was written of a batch of which no step was done."""
        with contextlib.suppress(OSError):
            remove_temporaries(self._folder, self._log)
            journal.forget(self._log)

    def _check(self, change: FileChange) -> os.stat_result:
        """The status of the file, if it is to be written and is as it was."""
        status = self._folder.status(change.path)
        has_its_size = status is None or status.st_size == len(change.before) or not stat.S_ISREG(status.st_mode)
        found = self._folder.read(change.path, limit=len(change.before)) if has_its_size else None
        if found is None or found.data != change.before:
            raise PathRefusedError(f"{shown_path(change.path)}: it was changed after it was read")
        check_writable(change.path, found.status)
        return found.status

    @contextlib.contextmanager
    def _noted(self, step: int) -> Iterator[None]:
        """Leaves the step out if it fails for its own file, and notes why."""
        change = self._changes[step]
        try:
            yield
        except OSError as error:
            if error.errno in _FOR_ALL or isinstance(error, BatchError):
                raise
            self.problems.append(FileProblem(change.path, reason_of(change.path, error)))
            self._waiting[step] = None


@dataclass(frozen=True)
class UndoneBatch:
    """What became of the files of a batch that was undone.

    Attributes:
        number, action: those of the batch; None and "" if there was none.
        restored: the paths that the files have again.
        problems: the files that are left as they are, because they were changed after the batch.

    >>> print(UndoneBatch(3, "replace", ("a.txt",), (FileProblem("b.txt", "it was changed after the batch"),)))
    Batch 3 (replace) is undone in part: 1 file is as before.
    left alone, it was changed after the batch: b.txt
    undo(force=True) puts changed files back, too; undo(2) goes on with the batch before.
    """

    number: Optional[int]
    action: str
    restored: tuple[str, ...]
    problems: tuple[FileProblem, ...]

    def __str__(self) -> str:
        if self.number is None:
            return "There is no batch to undo."
        count = f"{len(self.restored)} file{' is' if len(self.restored) == 1 else 's are'} as before"
        if not self.problems:
            return f"Batch {self.number} ({self.action}) is undone: {count}."
        before = f"; undo({self.number - 1}) goes on with the batch before" if self.number > 1 else ""
        return "\n".join(
            [
                f"Batch {self.number} ({self.action}) is undone in part: {count}.",
                *left_alone(self.problems),
                f"undo(force=True) puts changed files back, too{before}.",
            ]
        )


def left_alone(problems: Sequence[FileProblem]) -> list[str]:
    """One line for each reason, with the files."""
    by_reason: dict[str, list[str]] = {}
    for problem in problems:
        by_reason.setdefault(problem.reason, []).append(shown_path(problem.path))
    return [f"left alone, {reason}: {', '.join(paths)}" for reason, paths in by_reason.items()]


def undo_batch(folder: RootedFolder, journal: FileJournal, number: Optional[int], *, force: bool) -> UndoneBatch:
    """Undoes the batch of this number, or the newest; see `undo_locked`. Raises BatchError if there is none of it."""
    with _named_failures("not all could be undone"):
        if number is None and folder.status(STATE_FOLDER) is None:
            return UndoneBatch(None, "", (), ())
        with journal.lock():
            log = journal.newest() if number is None else journal.batch(number)
            if log is not None:
                return undo_locked(folder, journal, log, force=force)
    if number is not None:
        raise BatchError(f"nothing was undone: there is no batch {number} that can be undone")
    return UndoneBatch(None, "", (), ())


def undo_locked(folder: RootedFolder, journal: FileJournal, log: BatchLog, *, force: bool) -> UndoneBatch:
    """Puts the files back as they were before the batch, the last step first, and forgets the batch.

    A file that was changed after the batch is left alone, unless ``force`` is set, and so is one whose old name is
    taken. The batch then stays.
    """
    undoer = _Undoer(folder, log, force)
    for step in reversed(list(log.steps)):
        undoer.undo(step)
    remove_temporaries(folder, log)
    if undoer.problems:
        log.note("done")
    else:
        log.note("undone")
        journal.forget(log)
    return UndoneBatch(log.number, log.action, tuple(sorted(undoer.restored)), tuple(undoer.problems))


class _Undoer:
    """One batch on its way back."""

    def __init__(self, folder: RootedFolder, log: BatchLog, force: bool) -> None:
        self._folder = folder
        self._log = log
        self._force = force
        # The steps of which a crash has left open whether they were done, and undone.
        self._perhaps_done = log.steps[-1] if log.steps and not log.done else None
        self._perhaps_undone = log.last_undo
        self.restored: list[str] = []
        self.problems: list[FileProblem] = []

    def undo(self, step: int) -> None:
        if step in self._log.undoing and step != self._perhaps_undone:
            return
        plan = self._log.plan[step]
        path = plan["path"]
        self._log.note("undo", step)
        try:
            # The journal is a file as any other, which somebody may have put there.
            check_target(path)
            was_done = self._unmove(step, path, plan["new_path"]) if "new_path" in plan else self._restore(step, plan)
        except OSError as error:
            if error.errno in _FOR_ALL or isinstance(error, BatchError):
                raise
            self.problems.append(FileProblem(path, reason_of(path, error)))
            self._log.note("keep", step)
            return
        if was_done and not path_parts(path)[-1].startswith(STATE_FOLDER):
            self.restored.append(path)
        if not was_done and step == self._perhaps_done:
            self._log.note("skip", step)

    def _restore(self, step: int, plan: dict[str, Any]) -> bool:
        path = plan["path"]
        try:
            now: Optional[str] = self._folder.digest(path)
        except FileNotFoundError:
            now = None
        if now == plan["before"]:
            return step != self._perhaps_done
        if now != plan["after"] and not self._force:
            what = "it is no longer there" if now is None else "it was changed after the batch"
            raise PathRefusedError(f"{shown_path(path)}: {what}")
        before = self._folder.read(self._log.copy_path(step), limit=1 << 40).data
        if digest(before) != plan["before"]:
            raise PathRefusedError(f"{shown_path(path)}: its copy {self._log.copy_path(step)} is damaged")
        # Whoever wrote the journal, no file comes back with the rights of its owner for those who run it.
        stage(self._folder, self._log, step, path, before, plan["mode"] & 0o777)
        rename_over(self._folder, self._log, step, path)
        return True

    def _unmove(self, step: int, path: str, new_path: str) -> bool:
        check_target(new_path)
        old, new = self._folder.status(path), self._folder.status(new_path)
        if old is not None and new is not None and are_two_names(old, new):
            # A process was killed between the making of a name and the deletion of the other.
            self._folder.remove(new_path)
            return True
        if old is not None and step == self._perhaps_undone and new is None:
            return True
        if step == self._perhaps_done and (old is not None or new is None):
            return False
        if new is None:
            raise PathRefusedError(f"{shown_path(new_path)}: it is no longer there")
        if old is not None and (old.st_dev, old.st_ino) != (new.st_dev, new.st_ino):
            raise PathRefusedError(f"{shown_path(path)}: another file has this name")
        move(self._folder, new_path, path)
        return True


def ordered_moves(names: dict[str, str], temporary: str) -> list[tuple[str, str]]:
    """The order in which files get new names, so that none gets one that another still has. In a cycle one file gets a
    temporary name first: ``temporary`` and a number, in its own folder.

    >>> ordered_moves({"a": "b", "b": "c"}, "~")
    [('b', 'c'), ('a', 'b')]
    >>> ordered_moves({"a": "b", "b": "a"}, "~")
    [('a', '~0'), ('b', 'a'), ('~0', 'b')]
    """
    waiting, moves, cycles = dict(names), [], 0
    # Who waits for a name: the file that is to get it.
    wanted = {new: old for old, new in names.items()}
    free = [old for old, new in names.items() if new not in waiting]
    while waiting:
        if not free:
            old = next(iter(waiting))
            new = waiting.pop(old)
            aside = "/".join([*old.split("/")[:-1], f"{temporary}{cycles}"])
            cycles += 1
            moves.append((old, aside))
            waiting[aside], wanted[new] = new, aside
            if old in wanted:
                free.append(wanted[old])
            continue
        old = free.pop()
        moves.append((old, waiting.pop(old)))
        if old in wanted:
            free.append(wanted[old])
    return moves


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def stage(folder: RootedFolder, log: BatchLog, step: int, path: str, data: bytes, mode: int = 0o600) -> None:
    """Writes ``data`` beside the file at ``path`` under a temporary name, with the file's owner, mode and attributes; a
    file that is not there would have had ``mode``."""
    with folder.parent(path) as (parent, name):
        try:
            with open_regular(parent, name, shown_path(path)) as descriptor:
                folder.create_at(parent, log.temporary_name(step), data, like=descriptor)
        except FileNotFoundError:
            folder.create_at(parent, log.temporary_name(step), data, mode=mode)


def rename_over(folder: RootedFolder, log: BatchLog, step: int, path: str) -> None:
    """Renames what `stage` wrote over the file at ``path``."""
    with folder.parent(path) as (parent, name):
        os.rename(log.temporary_name(step), name, src_dir_fd=parent, dst_dir_fd=parent)
        try:
            sync_folder(parent)
        except OSError as error:
            # The file has its new text: this is no failure of the step alone, which could be left out.
            raise BatchError(f"nothing was written: {shown_path(path)}: {error.strerror}") from error


def move(folder: RootedFolder, path: str, new_path: str) -> None:
    """Renames a file, which has no other name; see `move_at`."""
    status = folder.status(path)
    if status is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    check_writable(path, status)
    check_target(new_path)
    with folder.parent(path) as (parent, name), folder.parent(new_path) as (new_parent, new_name):
        move_at(parent, name, new_parent, new_name)


def remove_temporaries(folder: RootedFolder, log: BatchLog) -> None:
    """Deletes the files that are not in their place, if there are any."""
    for step, plan in enumerate(log.plan):
        if "new_path" not in plan:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, PathRefusedError):
                folder.remove("/".join([*path_parts(plan["path"])[:-1], log.temporary_name(step)]))


@contextlib.contextmanager
def _named_failures(what: str) -> Iterator[None]:
    """Makes a BatchError of what the operating system says of the disk or of the journal."""
    try:
        yield
    except (BatchError, PathRefusedError):
        raise
    except OSError as error:
        where = f"{error.filename}: " if isinstance(error.filename, str) else ""
        raise BatchError(f"{what}: {where}{error.strerror or error}") from error
