"""MetaGPT's files on disk: which state they are in, how they are switched over and restored.

The two files of the provider are replaced only if they are those of a known release (see `releases`), byte for byte
apart from their line ends, and they are restored only if they are what `install` has written. All files are checked,
and all new files are written under other names, before the first one is renamed to its place.

The two files of the tools never stand in the way of the provider. `slc.py` is made where there is none, and the list of
tools gets a block at its end, whatever else it says. Both stay as they are where `slc.py` is the user's.

A package manager may have linked the files to its cache or to other environments, so an existing file is never written
to. The new file is renamed over the old one, and the old one itself, its inode, becomes the backup
`ollama_api.py.metagpt-ollama.bak` where the file system has links.
"""

from __future__ import annotations

import contextlib
import difflib
import enum
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from .edits import (
    BACKUP_SUFFIX,
    DROP_IN,
    SLC_MODULE,
    edited,
    imports_slc,
    is_drop_in,
    is_slc_module,
    unedited,
    with_slc,
    without_slc,
)
from .releases import CONFIG, FILES, PROVIDER, RELEASES, SLC, TOOL_FILES, TOOL_LIST, originals, release_of, sum_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "Change",
    "File",
    "RefusedError",
    "State",
    "install",
    "is_overwritten",
    "read",
    "uninstall",
    "upgrade_warning",
    "waiting_for_install",
    "waiting_for_uninstall",
]

# Stands in the name of a temporary file between the name of the file and the id of the process that has made it.
_SCRATCH = ".metagpt-ollama-"

# A diff of more lines only shows that the file is of another version, and is cut.
_MAX_DIFF_LINES = 200


class State(enum.Enum):
    """Which text a file has."""

    ORIGINAL = "original"  # that of a known release; for the list of tools, any text that does not import slc
    SWITCHED = "switched"  # that which `install` writes
    BY_HAND = "by hand"  # the import of this package's provider or tools, written by the user
    OTHER = "other"  # any other text
    MISSING = "missing"  # there is no file


class RefusedError(Exception):
    """A file has another text than expected; no file was changed. `diff` shows it or is ""; `hint` says what to do."""

    def __init__(self, message: str, hint: str, diff: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.diff = diff


@dataclass(frozen=True)
class File:
    """One of the files, as it was read. `relative` is its path below MetaGPT's package, `backup` what is in its backup,
    or None.

    `release` is a key of `releases.RELEASES`: the release of the file, or for a switched file that of its original, or
    None where neither is known, as of the files of the tools.

    >>> path = Path("metagpt/provider/ollama_api.py")
    >>> file = File("provider/ollama_api.py", path, State.ORIGINAL, b"", release="0.8.2", backup=None)
    >>> file.backup_path.name
    'ollama_api.py.metagpt-ollama.bak'
    """

    relative: str
    path: Path
    state: State
    data: bytes
    release: Optional[str]
    backup: Optional[bytes]

    @property
    def backup_path(self) -> Path:
        """Where the backup is, or would be: beside the file."""
        return self.path.with_name(self.path.name + BACKUP_SUFFIX)


@dataclass(frozen=True)
class Change:
    """What was done with a file, in words for the user."""

    relative: str
    done: str


def read(folder: Path) -> list[File]:
    """The files below MetaGPT's package `folder`: the two of the provider, then the two of the tools.

    Raises OSError for one that cannot be read.
    """
    return [*(_read_with_backup(folder, relative) for relative in FILES), _read_slc(folder), _read_tool_list(folder)]


def install(folder: Path) -> list[Change]:
    """Switches the installation over. Running it again changes nothing.

    Raises `RefusedError` for a file that is not the one of a known release, OSError where files cannot be written; the
    files are then as they were.
    """
    files = read(folder)
    _delete_stale_scratch_files(files)
    _refuse_unknown(files, "installed")
    waiting = waiting_for_install(files)
    with contextlib.ExitStack() as cleanup:
        staged = [(file, _stage(file, _switched_text(file), cleanup)) for file in waiting]
        undo = cleanup.enter_context(contextlib.ExitStack())
        for file, new in staged:
            if file.state is State.MISSING:
                _move_to_free_name(new, file.path)
                undo.callback(file.path.unlink)
                continue
            _make_backup(file, undo)
            os.replace(new, file.path)
            undo.callback(os.replace, file.backup_path, file.path)
        undo.pop_all()
    for file in waiting:
        _delete_bytecode(file.path)
    return [Change(file.relative, _describe_install(file, file in waiting)) for file in files]


def uninstall(folder: Path) -> list[Change]:
    """Restores the originals byte for byte and removes the backups. Running it again changes nothing.

    Raises `RefusedError` for a file of the provider that was edited after `install` or has no backup, OSError where
    files cannot be written; the files are then as they were.
    """
    files = read(folder)
    _delete_stale_scratch_files(files)
    _refuse_unknown(files, "restored")
    waiting = waiting_for_uninstall(files)
    for file in waiting:
        if file.relative in FILES:
            _refuse_without_backup(file, files)
    with contextlib.ExitStack() as cleanup:
        staged = [(file, _link_aside(file, cleanup), _original(file, cleanup)) for file in waiting]
        undo = cleanup.enter_context(contextlib.ExitStack())
        # The list of tools comes before the module that it lists.
        for file, switched, original in reversed(staged):
            if original is None:
                file.path.unlink()
            else:
                os.replace(original, file.path)
            # In the reverse order: the original goes back to its place first.
            undo.callback(os.replace, switched, file.path)
            if original == file.backup_path:
                undo.callback(os.replace, file.path, file.backup_path)
        undo.pop_all()
    for file in files:
        if file.backup is not None and not _is_list_by_hand(file):
            file.backup_path.unlink(missing_ok=True)
        if file.backup is not None or file in waiting:
            _delete_bytecode(file.path)
    return [Change(file.relative, _describe_uninstall(file, file in waiting)) for file in files]


def waiting_for_install(files: Sequence[File]) -> list[File]:
    """Those of the files that `install` would write.

    The two of the tools are written only where `slc.py` is not the user's and MetaGPT has a list of tools.
    """
    states = {file.relative: file.state for file in files}
    waiting = [file for file in files if file.relative in FILES and file.state is State.ORIGINAL]
    if states[SLC] is not State.OTHER and states[TOOL_LIST] is not State.MISSING:
        not_yet = {SLC: State.MISSING, TOOL_LIST: State.ORIGINAL}
        waiting += [file for file in files if file.state is not_yet.get(file.relative)]
    return waiting


def waiting_for_uninstall(files: Sequence[File]) -> list[File]:
    """Those of the files that `uninstall` would restore or delete.

    `slc.py` stays where a line of the user's own lists it.
    """
    waiting = [
        file
        for file in files
        if file.relative in FILES
        and (file.state is State.SWITCHED or (file.backup is not None and file.state is State.BY_HAND))
    ]
    if not any(_is_list_by_hand(file) for file in files):
        waiting += [file for file in files if file.relative in TOOL_FILES and file.state is State.SWITCHED]
    return waiting


def is_overwritten(file: File) -> bool:
    """Whether something, such as an upgrade of MetaGPT, has replaced the file after `install` has switched it over."""
    return file.backup is not None and file.state in (State.ORIGINAL, State.OTHER, State.MISSING)


def upgrade_warning(folder: Path) -> Optional[str]:
    """The warning for a program that uses this package while MetaGPT below `folder` is overwritten, or None."""
    with contextlib.suppress(OSError):
        if any(is_overwritten(file) for file in read(folder) if file.relative in FILES):
            return (
                "MetaGPT was upgraded or installed anew after `metagpt-ollama install`, which undid it: "
                "only programs that import metagpt_ollama_rs.provider, as this one does, still use this provider. "
                "Run `metagpt-ollama install` again, or `metagpt-ollama uninstall` to forget it"
            )
    return None


def _read_with_backup(folder: Path, relative: str) -> File:
    path = folder / relative
    data, backup = _bytes_of(path), _bytes_of(path.with_name(path.name + BACKUP_SUFFIX))
    if data is None:
        return File(relative, path, State.MISSING, b"", None, backup)
    text = _text(data)
    release = release_of(relative, text)
    if release is not None:
        return File(relative, path, State.ORIGINAL, data, release, backup)
    of_backup = release_of(relative, _text(backup)) if backup is not None else None
    if relative == PROVIDER and text == DROP_IN:
        return File(relative, path, State.SWITCHED, data, of_backup, backup)
    source = unedited(relative, text)
    release = release_of(relative, source) if source is not None else None
    if release is not None:
        return File(relative, path, State.SWITCHED, data, release, backup)
    state = State.BY_HAND if relative == PROVIDER and is_drop_in(text) else State.OTHER
    return File(relative, path, state, data, None, backup)


def _read_tool_list(folder: Path) -> File:
    path = folder / TOOL_LIST
    data, backup = _bytes_of(path), _bytes_of(path.with_name(path.name + BACKUP_SUFFIX))
    state = State.ORIGINAL
    if data is None:
        state = State.MISSING
    elif without_slc(data) is not None:
        state = State.SWITCHED
    elif imports_slc(_text(data)):
        state = State.BY_HAND
    return File(TOOL_LIST, path, state, data or b"", None, backup)


def _read_slc(folder: Path) -> File:
    path = folder / SLC
    try:
        data = _bytes_of(path)
    except OSError:
        # A folder of this name, or a file that only its owner may read, is the user's as well.
        return File(SLC, path, State.OTHER, b"", None, None)
    if data is None:
        # Python prefers a package of the same name. A link that leads nowhere has no bytes.
        taken = path.is_symlink() or path.with_suffix("").joinpath("__init__.py").exists()
        return File(SLC, path, State.OTHER if taken else State.MISSING, b"", None, None)
    text = _text(data)
    state = State.BY_HAND if is_slc_module(text) else State.OTHER
    return File(SLC, path, State.SWITCHED if text == SLC_MODULE else state, data, None, None)


def _bytes_of(path: Path) -> Optional[bytes]:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _is_list_by_hand(file: File) -> bool:
    return file.relative == TOOL_LIST and file.state is State.BY_HAND


def _switched_text(file: File) -> bytes:
    """What `install` writes, with the line ends of the file that was there."""
    if file.relative == SLC:
        return SLC_MODULE.encode()
    if file.relative == TOOL_LIST:
        return with_slc(file.data)
    text = edited(file.relative, _text(file.data))
    return (text.replace("\n", "\r\n") if b"\r\n" in file.data else text).encode("utf-8")


def _original(file: File, cleanup: contextlib.ExitStack) -> Optional[Path]:
    """Where the original of a switched file is, until `cleanup` at least; None where there was no file."""
    if file.relative == SLC:
        return None
    if file.relative == TOOL_LIST:
        data = without_slc(file.data)
        if data is not None and data != file.backup:
            # It was edited after `install`, elsewhere: that is kept.
            return _stage(file, data, cleanup)
    return file.backup_path


def _text(data: bytes) -> str:
    # A file that is not UTF-8 is of no known release, so any replacement for its bytes will do.
    return data.decode("utf-8", "backslashreplace").replace("\r\n", "\n")


def _scratch_name(path: Path) -> str:
    """The name of a temporary file of this process beside `path`."""
    return f".{path.name}{_SCRATCH}{os.getpid()}"


def _delete_stale_scratch_files(files: Sequence[File]) -> None:
    """Deletes the temporary files of processes that were killed."""
    for file in files:
        for left in file.path.parent.glob(f".{file.path.name}*{_SCRATCH}*"):
            number = left.name.rpartition(_SCRATCH)[2].partition("-")[0]
            if number.isdecimal() and not _is_running(int(number)):
                with contextlib.suppress(OSError):
                    left.unlink()


def _is_running(process: int) -> bool:
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return process != os.getpid()


def _stage(file: File, data: bytes, cleanup: contextlib.ExitStack) -> Path:
    """Writes the new file under a temporary name beside the old one, with the old one's mode and owner; where there is
    no old one, with those of the `__init__.py` beside it."""
    handle, name = tempfile.mkstemp(prefix=f"{_scratch_name(file.path)}-", dir=file.path.parent)
    new = Path(name)
    cleanup.callback(new.unlink, missing_ok=True)
    with open(handle, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    before = (file.path if file.state is not State.MISSING else file.path.with_name("__init__.py")).stat()
    new.chmod(stat.S_IMODE(before.st_mode))
    if hasattr(os, "chown") and (before.st_uid, before.st_gid) != (new.stat().st_uid, new.stat().st_gid):
        with contextlib.suppress(PermissionError):
            os.chown(new, before.st_uid, before.st_gid)
    return new


def _move_to_free_name(new: Path, path: Path) -> None:
    """Gives the file `new` the name `path`, which no other file has. Raises `RefusedError` if one has got it now."""
    try:
        os.link(new, path)
    except FileExistsError:
        raise RefusedError(f"{path} was made by someone else just now", "run the command again") from None
    except (OSError, NotImplementedError):
        # A file system without links.
        os.rename(new, path)


def _make_backup(file: File, undo: contextlib.ExitStack) -> None:
    """Makes the backup; one of an earlier version of MetaGPT is replaced."""
    if file.backup == file.data:
        return
    new = file.backup_path.with_name(_scratch_name(file.backup_path))
    new.unlink(missing_ok=True)
    try:
        _link_or_copy(file.path, new)
        if new.read_bytes() != file.data:
            raise RefusedError(f"{file.path} was changed by someone else just now", "run the command again")
        os.replace(new, file.backup_path)
    finally:
        new.unlink(missing_ok=True)
    if file.backup is None:
        undo.callback(file.backup_path.unlink, missing_ok=True)


def _link_or_copy(source: Path, new: Path) -> None:
    """Makes `new` a hard link to `source`, or a copy where the file system has no links."""
    try:
        os.link(source, new, follow_symlinks=False)
    except (OSError, NotImplementedError):
        shutil.copy2(source, new)


def _link_aside(file: File, cleanup: contextlib.ExitStack) -> Path:
    """Links the file to a temporary name, until `cleanup`."""
    aside = file.path.with_name(_scratch_name(file.path))
    aside.unlink(missing_ok=True)
    cleanup.callback(aside.unlink, missing_ok=True)
    _link_or_copy(file.path, aside)
    return aside


def _delete_bytecode(path: Path) -> None:
    """Deletes the bytecode of the file that was replaced.

    Python itself finds out by the file's time and size, but not for bytecode that was compiled with `unchecked-hash`.
    """
    with contextlib.suppress(OSError):
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            compiled.unlink()


def _refuse_unknown(files: Sequence[File], purpose: str) -> None:
    for file in files:
        if file.relative not in FILES:
            continue
        if file.state is State.MISSING:
            raise RefusedError(
                f"{file.path} is missing: this is no complete MetaGPT",
                "install MetaGPT anew (pip install --force-reinstall)",
            )
        if file.state is State.OTHER:
            raise _unknown_file_error(file, files, purpose)


def _unknown_file_error(file: File, files: Sequence[File], purpose: str) -> RefusedError:
    """The error for a file of no known release: it shows the difference to the nearest text that is known."""
    texts = _known_texts(file)
    shown, diff = _nearest_text(file, texts)
    expected = _expected_release(file, files)
    known = ", ".join(release.title for release in RELEASES.values())
    message = f"nothing was {purpose}: {file.path} is not the file of a known release ({known})"
    hint = "put the original back, or leave the files alone and use `metagpt-ollama run`"
    if expected is None or RELEASES[expected].title in texts:
        return RefusedError(
            f"{message}; it differs from {shown}, as shown",
            f"another version of MetaGPT, or edited by hand: {hint}",
            diff,
        )
    release = RELEASES[expected]
    return RefusedError(
        f"{message}; the other file is that of {release.title}, whose {file.relative} has the SHA-256 "
        f"{release.sums[file.relative]}, while this one has {sum_of(_text(file.data))}. "
        f"No copy of it is at hand; this one differs from {shown}, as shown",
        f"in a clone of MetaGPT, `{release.compare} -- metagpt/{file.relative}` shows what was edited: {hint}",
        diff,
    )


def _expected_release(file: File, files: Sequence[File]) -> Optional[str]:
    """The release that the file should be of, which is that of the other file; None where it is not known."""
    return next((other.release for other in files if other is not file and other.release is not None), None)


def _refuse_without_backup(file: File, files: Sequence[File]) -> None:
    if file.backup is None:
        raise RefusedError(
            f"nothing was restored: {file.backup_path} is missing",
            "get the original from MetaGPT itself: pip install --force-reinstall --no-deps metagpt==VERSION",
        )
    found, expected = release_of(file.relative, _text(file.backup)), _expected_release(file, files)
    if found is None:
        raise RefusedError(
            f"nothing was restored: {file.backup_path} is not the file of a known release of MetaGPT",
            "compare it with what you expect, and move it back by hand",
        )
    if expected is not None and found != expected:
        raise RefusedError(
            f"nothing was restored: {file.backup_path} is of {RELEASES[found].title}, and the other file of this "
            f"MetaGPT is of {RELEASES[expected].title}",
            f"delete that backup, and get {file.relative} from MetaGPT itself",
        )


def _known_texts(file: File) -> dict[str, str]:
    """The known texts that the file may be an edited copy of, by their names. Its backup may be one of them."""
    known = originals(file.relative)
    of_backup = _text(file.backup) if file.backup is not None else ""
    release = release_of(file.relative, of_backup)
    if release is not None:
        known[release] = of_backup
    texts: dict[str, str] = {}
    for release, original in known.items():
        texts[f"{RELEASES[release].title}, switched over"] = edited(file.relative, original)
        texts[RELEASES[release].title] = original
    return texts


def _nearest_text(file: File, texts: dict[str, str]) -> tuple[str, str]:
    """The name of the text that is most like the file, and the diff from that text to the file."""
    found = _text(file.data).splitlines(keepends=True)
    diffs = {name: list(_diff(name, text, file, found)) for name, text in texts.items()}
    name = min(diffs, key=lambda one: (len(diffs[one]), -list(diffs).index(one)))
    lines = diffs[name]
    left = len(lines) - _MAX_DIFF_LINES
    return name, "".join(lines[:_MAX_DIFF_LINES]) + (f"… and {left} more lines\n" if left > 0 else "")


def _diff(name: str, text: str, file: File, found: Sequence[str]) -> Iterator[str]:
    lines = difflib.unified_diff(text.splitlines(keepends=True), found, f"{file.relative} ({name})", str(file.path))
    for line in lines:
        yield line if line.endswith("\n") else f"{line}\n\\ no newline at the end\n"


# What a file does once it is switched over.
_DOES = {
    PROVIDER: "imports metagpt_ollama_rs now",
    CONFIG: "accepts an empty key for Ollama now",
    SLC: "imports the tools of metagpt_ollama_rs now",
    TOOL_LIST: "lists slc now",
}


def _describe_install(file: File, written: bool) -> str:
    if file.state is State.SWITCHED:
        return "switched over already"
    if file.state is State.BY_HAND:
        what = "lists slc" if file.relative == TOOL_LIST else "switched over"
        return f"{what} already, by hand: left as it is"
    if file.state is State.OTHER:
        return "not this package's: left as it is; the tools are in metagpt_ollama_rs.slc"
    if not written:
        return "left as it is, without the tools"
    if file.state is State.MISSING:
        return _DOES[file.relative]
    return f"{_DOES[file.relative]}; the original is kept beside it, as {file.backup_path.name}"


def _describe_uninstall(file: File, restored: bool) -> str:
    if restored:
        return "deleted" if file.relative == SLC else "restored"
    if file.state is State.MISSING:
        return "not there"
    if file.state is State.OTHER:
        return "not this package's: left as it is"
    if file.state is State.SWITCHED:
        return f"left as it is, because {TOOL_LIST} lists it, but not by `metagpt-ollama install`"
    if file.state is State.BY_HAND:
        what = "lists slc" if file.relative == TOOL_LIST else "imports metagpt_ollama_rs"
        return f"{what}, but not by `metagpt-ollama install`: left as it is"
    return "MetaGPT's own already; a backup was removed" if file.backup is not None else "MetaGPT's own already"
