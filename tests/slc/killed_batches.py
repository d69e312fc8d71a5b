"""Runs batches in processes of their own, kills each process at another system call, and has new processes undo them.

    python tests/slc/killed_batches.py {replace|rename|undo|undo-rename|twice} FOLDER    # prints a line of JSON

Each process is a fork of this one, so that hundreds of them cost little. What is counted is every call that changes
something on the disk; a write can also be cut in the middle of its bytes.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from metagpt_ollama_rs.slc import BatchFileTool
from metagpt_ollama_rs.slc.files.file_journal import FileJournal
from metagpt_ollama_rs.slc.files.file_steps import FileChange, apply_changes, ordered_moves
from metagpt_ollama_rs.slc.files.rooted_folder import RootedFolder

FILES = {
    "a.txt": b"old a\r\nline\n",
    "b.txt": b"old b",
    "c.txt": b"nothing of it\n",
    "sub/a.py": "old = '中文'\n".encode("gbk"),
}
CHANGING = ("write", "link", "unlink", "rename", "mkdir", "rmdir", "fsync", "fchmod", "fchown", "open")
Work = Callable[[Path], object]


def replace(root: Path) -> None:
    BatchFileTool(root).replace("**/*", "old", "newer", apply=True)


def rename(root: Path) -> None:
    """a.txt and b.txt swap their names; sub/a.py takes that of c.txt, which moves to sub."""
    names = {"a.txt": "b.txt", "b.txt": "a.txt", "c.txt": "sub/c.txt", "sub/a.py": "c.txt"}
    moves = [FileChange(old, new_path=new) for old, new in ordered_moves(names, ".metagpt-ollama-move-")]
    assert len(moves) == 5
    folder = RootedFolder(root)
    apply_changes(folder, FileJournal(folder), "rename", moves)


def undo(root: Path) -> None:
    for _ in range(3):
        BatchFileTool(root).undo_report()


def make_tree(root: Path) -> None:
    shutil.rmtree(root, ignore_errors=True)
    for name, data in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
        (root / name).chmod(0o640)


def tree(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else b""
        for path in sorted(root.rglob("*"))
        if path.is_file() or ".metagpt" in path.name
    }


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def install(last: int, *, in_writes: bool) -> None:
    """Lets the process die at the changing call of this number, or in the middle of the write of this number."""
    count = 0

    def counted(name: str) -> Callable[..., object]:
        real = getattr(os, name)

        def call(*arguments: object, **keywords: object) -> object:
            nonlocal count
            changes = name != "open" or bool(arguments[1] & os.O_CREAT)
            if changes and (not in_writes or name == "write"):
                if count == last:
                    if in_writes:
                        real(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                    die()
                count += 1
            # A killed process leaves nothing in the memory of the system, so nothing has to wait for the disk.
            return None if name == "fsync" else real(*arguments, **keywords)

        return call

    for name in CHANGING:
        setattr(os, name, counted(name))


def forked(work: Work, root: Path, last: int = -1, *, in_writes: bool = False) -> bool:
    """Whether ``work`` came to its end before the process died."""
    process = os.fork()
    if process == 0:
        try:
            install(last, in_writes=in_writes)
            work(root)
            os._exit(0)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
    status = os.waitpid(process, 0)[1]
    assert status in (0, signal.SIGKILL), status
    return status == 0


def kill_everywhere(root: Path, work: Work, prepare: Work | None = None) -> dict[str, object]:
    """Kills ``work`` at each of its calls; after each, a new process undoes everything."""
    make_tree(root)
    before = tree(root)
    assert prepare is None or forked(prepare, root)
    start = root.with_name(f"{root.name}-start")
    shutil.copytree(root, start)
    kills, wrong = 0, []
    for in_writes in (False, True):
        for last in range(1000):
            shutil.rmtree(root)
            shutil.copytree(start, root)
            ended = forked(work, root, last, in_writes=in_writes)
            assert forked(undo, root)
            if tree(root) != before:
                wrong.append([in_writes, last, sorted(set(tree(root)) ^ set(before))])
            if ended:
                break
            kills += 1
    return {"kills": kills, "wrong": wrong}


def kill_twice(root: Path, pairs: int = 60) -> dict[str, object]:
    """Kills a batch and then its undoing, at calls drawn by chance."""
    make_tree(root)
    before, wrong, kills = tree(root), [], 0
    draw = random.Random(7)
    for _ in range(pairs):
        work, first, second = draw.choice([replace, rename]), draw.randrange(20, 75), draw.randrange(40)
        make_tree(root)
        kills += not forked(work, root, first)
        kills += not forked(undo, root, second, in_writes=draw.random() < 0.3)
        assert forked(undo, root)
        if tree(root) != before:
            wrong.append([work.__name__, first, second, sorted(set(tree(root)) ^ set(before))])
    return {"kills": kills, "wrong": wrong}


def main(case: str, folder: str) -> None:
    root = Path(folder, "root")
    results = {
        "replace": lambda: kill_everywhere(root, replace),
        "rename": lambda: kill_everywhere(root, rename),
        "undo": lambda: kill_everywhere(root, undo, prepare=replace),
        "undo-rename": lambda: kill_everywhere(root, undo, prepare=rename),
        "twice": lambda: kill_twice(root),
    }
    print(json.dumps(results[case]()))


if __name__ == "__main__":
    main(*sys.argv[1:])
