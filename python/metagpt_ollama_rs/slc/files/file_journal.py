r"""The journal of batches of changed files: written ahead of every change, so that all can be undone after a crash.

It is in the folder ``.metagpt-ollama`` of the root itself, so that it is found by whoever opens the root, moves with
it, and is on the same disk. A ``.gitignore`` in it hides it from git::

    .metagpt-ollama/lock                    held while files are changed
    .metagpt-ollama/batches/000001/0        what the file of step 0 had in it before
    .metagpt-ollama/batches/000001/journal

Each line of a journal has the CRC-32 of its JSON, so that a line that was cut by a crash is known, and is on the disk
before what it announces is done::

    5d8ae4f1 {"plan": [{"path": "a.txt", "before": "…", "after": "…", "mode": 420}], "action": "replace"}
    8c3d2a10 {"event": "step", "step": 0}
    0be1f7aa {"event": "done"}

The events: ``step``, a step begins; ``skip``, it was left out; ``undo``, a step begins to be undone; ``keep``, it was
not undone; ``done``, all that was begun has ended; ``undone``, the batch is no more. A batch without ``done`` was
interrupted: the last ``step`` may have been done or not, which is seen from the files (see `file_steps`).
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional

from metagpt_ollama_rs.errors import OllamaError
from metagpt_ollama_rs.slc.files.rooted_folder import STATE_FOLDER, RootedFolder, path_parts, sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["BatchError", "BatchLog", "FileJournal"]

_BATCHES = f"{STATE_FOLDER}/batches"
_GITIGNORE = f"{STATE_FOLDER}/.gitignore"
_LOCK = f"{STATE_FOLDER}/lock"
# So many batches can be undone; older ones are forgotten.
KEPT_BATCHES = 100
# No journal is longer, in bytes.
_LONGEST = 1 << 30


class BatchError(OllamaError, OSError):
    """A batch that could not be written or undone. The message says what became of the files.

    >>> error = BatchError("nothing was written: the disk is full")
    >>> isinstance(error, OSError)
    True
    """


@dataclass
class BatchLog:
    """The journal of one batch, as far as it was read and written.

    Attributes:
        number: of the batch, from 1.
        action: what the batch is, such as ``replace``; "" if its journal has no whole line, so that nothing was done.
        plan: its steps, as JSON objects.
        steps: those that were begun and not left out, in their order.
        done: whether all ended.
        undoing: the steps that were undone; the undoing of ``last_undo`` may not have ended.
        undone: whether all were.
    """

    number: int
    folder: RootedFolder
    action: str = ""
    plan: list[dict[str, Any]] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    done: bool = False
    undoing: set[int] = field(default_factory=set)
    last_undo: Optional[int] = None
    undone: bool = False

    @property
    def path(self) -> str:
        """The folder of the batch, below the root."""
        return f"{_BATCHES}/{self.number:06}"

    @property
    def is_interrupted(self) -> bool:
        """Whether a process ended in the middle of the batch."""
        return not (self.done or self.undone)

    def copy_path(self, step: int) -> str:
        """The file with what was there before the step."""
        return f"{self.path}/{step}"

    def temporary_name(self, step: int) -> str:
        """The name that the new file of a step has until it takes the place of the old one, in the same folder."""
        return f"{STATE_FOLDER}-{self.number:06}-{step}"

    def begin(self, action: str, plan: Sequence[dict[str, Any]]) -> None:
        """Writes the plan. From here on the batch can be undone."""
        self.append({"plan": list(plan), "action": action})

    def note(self, event: str, step: Optional[int] = None) -> None:
        """Writes one event; on the disk when this returns."""
        self.append({"event": event} if step is None else {"event": event, "step": step})

    def append(self, entry: dict[str, Any]) -> None:
        text = json.dumps(entry).encode()
        line = b"%08x %s\n" % (zlib.crc32(text), text)
        with self.folder.folder(path_parts(self.path)) as parent:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open("journal", flags, 0o600, dir_fd=parent)
            try:
                # After a crash a line without an end may stand there, which must not join this one.
                if self._torn(parent):
                    line = b"\n" + line
                while line:
                    line = line[os.write(descriptor, line) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if "plan" in entry:
                sync_folder(parent)
        self._take(entry)

    def _torn(self, parent: int) -> bool:
        descriptor = os.open("journal", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            size = os.fstat(descriptor).st_size
            return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        finally:
            os.close(descriptor)

    def read(self) -> BatchLog:
        """Reads the journal, and returns this object.

        Raises BatchError for a line that is neither whole nor cut by a crash.
        """
        try:
            lines = self.folder.read(f"{self.path}/journal", limit=_LONGEST).data.split(b"\n")
        except FileNotFoundError:
            return self
        for number, line in enumerate(lines, 1):
            entry = _entry(line)
            if entry is not None:
                try:
                    self._take(entry)
                    continue
                except (AttributeError, KeyError, TypeError, ValueError):
                    pass
            # A crash cuts the last line. When the batch is undone later, others may follow it.
            elif not line or number == len(lines) or (self.plan and _is_cut(line)):
                continue
            raise BatchError(
                f"line {number} of {self.path}/journal is damaged",
                hint=f"what the files had in them before is in the files with numbers in {self.path}",
            )
        return self

    def _take(self, entry: dict[str, Any]) -> None:
        if "plan" in entry:
            paths = [step["path"] for step in entry["plan"]]
            # Each journal has one plan.
            if self.action or not entry["action"].isidentifier() or not all(isinstance(path, str) for path in paths):
                raise ValueError(entry)
            self.plan, self.action = entry["plan"], entry["action"]
            return
        event, step = entry["event"], entry.get("step", 0)
        if "step" in entry and step not in range(len(self.plan)):
            raise ValueError(entry)
        if event == "step":
            if not _can_be_undone(self.plan[step]):
                raise ValueError(entry)
            self.steps.append(step)
        elif event == "skip":
            self.steps.remove(step)
        elif event == "undo":
            self.undoing.add(step)
            self.last_undo = step
        elif event == "keep":
            self.undoing.discard(step)
            self.last_undo = None
        elif event == "done":
            self.done = True
            self.last_undo = None
        elif event == "undone":
            self.undone = True
        else:
            raise ValueError(event)


def _can_be_undone(entry: dict[str, Any]) -> bool:
    """Whether a step of the plan has what its undoing needs. One that was left out has a path only."""
    kinds = {"new_path": str} if "new_path" in entry else {"before": str, "after": str, "mode": int}
    return all(isinstance(entry[name], kind) for name, kind in kinds.items())


def _entry(line: bytes) -> Optional[dict[str, Any]]:
    """The JSON object of a whole line, else None."""
    with contextlib.suppress(ValueError):
        if int(line[:8], 16) == zlib.crc32(line[9:]):
            found = json.loads(line[9:])
            return found if isinstance(found, dict) else None
    return None


def _is_cut(line: bytes) -> bool:
    """Whether ``line`` may be the beginning of an event's: those are short, and end with a brace."""
    return len(line) < 64 and not line.endswith(b"}")


class FileJournal:
    """The batches of one root.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as root:
    ...     journal = FileJournal(RootedFolder(root))
    ...     with journal.lock():
    ...         log = journal.new_batch()
    ...         log.begin("replace", [])
    ...         log.note("done")
    ...     [(log.number, log.action, log.done) for log in journal.batches()]
    [(1, 'replace', True)]
    """

    def __init__(self, folder: RootedFolder) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Makes the journal's folder, and holds its lock: other threads and processes that want it wait. A folder
        without batches is deleted again at the end."""
        descriptor = None
        while descriptor is None:
            descriptor = self._lock_file()
        try:
            self._folder.make_folder(_BATCHES)
            if self._folder.status(_GITIGNORE) is None:
                with self._folder.parent(_GITIGNORE) as (parent, name):
                    self._folder.create_at(parent, name, b"*\n", mode=0o644)
            self._forget_ended()
            yield
        finally:
            with contextlib.suppress(OSError):
                self._delete_if_empty()
            os.close(descriptor)

    def _lock_file(self) -> Optional[int]:
        """A descriptor of the locked file, or None if its last owner has deleted the file meanwhile."""
        import fcntl

        self._folder.make_folder(STATE_FOLDER)
        with self._folder.folder(()) as root, self._folder.folder((STATE_FOLDER,)) as state:
            # Who owns the root can replace all that is in it anyway. Of a mounted disk all files may have one owner.
            if os.fstat(state).st_uid not in (os.geteuid(), os.fstat(root).st_uid):
                raise BatchError(
                    f"{STATE_FOLDER} belongs to another user, who can have written anything into its journal",
                    hint="delete it, unless that user can undo the batches in it",
                )
        try:
            with self._folder.parent(_LOCK) as (parent, name):
                descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=parent)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            mine, there = os.fstat(descriptor), self._folder.status(_LOCK)
            if there is not None and (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def _forget_ended(self) -> None:
        """Forgets batches at whose end a process was killed, or before their plan was written."""
        for number in self._numbers():
            log = self._read(number)
            if log.plan and not log.undone:
                break
            self.forget(log)

    def _delete_if_empty(self) -> None:
        if not self._numbers():
            self._remove_folder(_BATCHES)
            self._folder.remove(_GITIGNORE)
            self._folder.remove(_LOCK)
            self._remove_folder(STATE_FOLDER)

    def _remove_folder(self, path: str) -> None:
        with self._folder.parent(path) as (parent, name):
            os.rmdir(name, dir_fd=parent)

    def batches(self) -> list[BatchLog]:
        """The journals of the batches that are there, the newest first. One that is damaged raises BatchError."""
        return [BatchLog(number, self._folder).read() for number in self._numbers()]

    def newest(self) -> Optional[BatchLog]:
        """The newest batch of which something can be undone, or None."""
        return next((log for log in map(self._read, self._numbers()) if log.plan and not log.undone), None)

    def batch(self, number: int) -> Optional[BatchLog]:
        """The batch of this number, if something of it can be undone."""
        log = self._read(number) if number in self._numbers() else None
        return log if log is not None and log.plan and not log.undone else None

    def new_batch(self) -> BatchLog:
        """A batch after the newest one, with a folder of its own and no journal yet. Forgets the oldest."""
        numbers = self._numbers()
        for number in numbers[KEPT_BATCHES - 1 :]:
            self.forget(BatchLog(number, self._folder))
        log = BatchLog(numbers[0] + 1 if numbers else 1, self._folder)
        self._folder.make_folder(log.path)
        return log

    def forget(self, log: BatchLog) -> None:
        """Deletes the folder of a batch. The journal goes last, so that a batch that is undone stays so."""
        with contextlib.suppress(FileNotFoundError):
            with self._folder.folder(path_parts(log.path)) as parent:
                for name in sorted(os.listdir(parent), key="journal".__eq__):
                    os.unlink(name, dir_fd=parent)
            self._remove_folder(log.path)

    def _read(self, number: int) -> BatchLog:
        return BatchLog(number, self._folder).read()

    def _numbers(self) -> list[int]:
        try:
            with self._folder.folder(path_parts(_BATCHES)) as parent:
                names = os.listdir(parent)
        except FileNotFoundError:
            return []
        return sorted((int(name) for name in names if name.isdecimal() and name.isascii()), reverse=True)
