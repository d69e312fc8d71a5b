"""Files below one folder, and never outside of it, whatever their paths say and whoever moves things about meanwhile.

    folder = RootedFolder("project")
    folder.read("lib/a.py", limit=1 << 20).data     # b"..."
    folder.read("../secret", limit=1 << 20)         # PathRefusedError

A path is a text relative to the root, with ``/`` between its parts. It is opened part by part, each relative to the
descriptor of the folder before (``openat``) and without following symbolic links, so that a folder that somebody turns
into a link between two steps leads nowhere. What is opened is a regular file: a FIFO or a device is refused before it
is opened, and what was opened is compared with what was looked at.

This needs descriptors of folders, which Windows does not have: there, making a `RootedFolder` is refused.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Union

from metagpt_ollama_rs.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    AnyPath = Union[str, os.PathLike[str]]

__all__ = ["STATE_FOLDER", "FileBytes", "PathRefusedError", "RootedFolder", "move_at", "path_parts", "shown_path"]

# Where the journal of the batches is, below the root. No tool reads or writes files there, and files with names that
# begin like it are temporary ones.
STATE_FOLDER = ".metagpt-ollama"
# What is in these folders decides what programs run, so nothing is renamed into them and nothing is written there.
_UNTOUCHABLE = (".git", STATE_FOLDER)

# Windows has none of these; what uses them is refused there.
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_HAS_FOLDER_DESCRIPTORS = bool(_NOFOLLOW) and os.supports_dir_fd >= {
    os.link,
    os.mkdir,
    os.open,
    os.rename,
    os.rmdir,
    os.stat,
    os.unlink,
}
_AS_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _NOFOLLOW | getattr(os, "O_CLOEXEC", 0)
_AS_FILE = (
    os.O_RDONLY | _NOFOLLOW | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
)
_AS_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW | getattr(os, "O_CLOEXEC", 0)


class PathRefusedError(ConfigurationError, PermissionError):
    """A path that leads out of the root, or to what is no file of its own: a link, a device, a file with two names.

    >>> try:
    ...     path_parts("../secret")
    ... except PermissionError as error:
    ...     print(error)
    ../secret: it leads out of the root
    """


class FileBytes(NamedTuple):
    """What a file had in it, and its status (`os.stat_result`) at that moment."""

    data: bytes
    status: os.stat_result


def path_parts(path: AnyPath) -> tuple[str, ...]:
    """The parts of a path below the root.

    Raises PathRefusedError for an absolute path, one with ``..``, and an empty one.

    >>> path_parts("lib//./a.py")
    ('lib', 'a.py')
    """
    text: Any = os.fspath(path)
    if not isinstance(text, str):
        raise PathRefusedError(f"{text!r:.80}: a path is a text")
    parts = tuple(part for part in text.split("/") if part not in ("", "."))
    if text.startswith("/") or os.path.isabs(text) or ".." in parts:
        raise PathRefusedError(f"{shown_path(text)}: it leads out of the root")
    if not parts or "\0" in text:
        raise PathRefusedError(f"{shown_path(text)!r}: it is no path of a file")
    try:
        os.fsencode(text)
    except UnicodeEncodeError as error:
        # Half of a pair of surrogates, which an escape in JSON can leave.
        raise PathRefusedError(f"{text!a}: it is no path of a file") from error
    return parts


def shown_path(path: str) -> str:
    """``path`` for people and for patches, as git writes it: quoted where it has control characters, quotes,
    backslashes or what is not UTF-8.

    >>> print(shown_path("文件 1.txt"), shown_path("a\\nb"), shown_path("\\udcff"))
    文件 1.txt "a\\nb" "\\377"
    """
    if path.isprintable() and not set('"\\') & set(path):
        return path
    try:
        encoded = os.fsencode(path)
    except UnicodeEncodeError:
        encoded = path.encode("utf-8", "backslashreplace")
    escapes = {0x22: '\\"', 0x5C: "\\\\", 0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r"}
    return '"{}"'.format(
        "".join(escapes.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03o}") for byte in encoded)
    )


@dataclass(frozen=True)
class RootedFolder:
    """The files below ``root``, which may be reached through links itself.

    Args:
        root: a folder that exists. If another one takes its place later, everything is refused.

    Raises:
        OSError: the folder does not exist or is none.
        PathRefusedError: this system has no descriptors of folders.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as root:
    ...     folder = RootedFolder(root)
    ...     with folder.parent("a.txt") as (parent, name):
    ...         folder.create_at(parent, name, b"text")
    ...     print(folder.read("a.txt", limit=100).data)
    b'text'
    """

    root: AnyPath
    path: str = field(init=False)
    _identity: tuple[int, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not _HAS_FOLDER_DESCRIPTORS:
            raise PathRefusedError(
                "this system cannot open files relative to a folder, without which nothing keeps a path below its root",
                hint="use it on Linux or macOS, or in WSL",
            )
        object.__setattr__(self, "path", os.path.realpath(os.fspath(self.root)))
        descriptor = os.open(self.path, _AS_FOLDER)
        try:
            object.__setattr__(self, "_identity", _identity(os.fstat(descriptor)))
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def folder(self, parts: Sequence[str]) -> Iterator[int]:
        """A descriptor of the folder of these parts; of the root for none."""
        descriptor = os.open(self.path, _AS_FOLDER)
        try:
            if _identity(os.fstat(descriptor)) != self._identity:
                raise PathRefusedError(f"another folder has taken the place of {shown_path(self.path)}")
            for index, part in enumerate(parts):
                try:
                    child = os.open(part, _AS_FOLDER, dir_fd=descriptor)
                except OSError as error:
                    shown = shown_path("/".join(parts[: index + 1]))
                    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK) and _is_link(descriptor, part):
                        raise PathRefusedError(f"{shown}: it is a symbolic link") from error
                    error.filename = shown
                    raise
                os.close(descriptor)
                descriptor = child
            yield descriptor
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def parent(self, path: AnyPath) -> Iterator[tuple[int, str]]:
        """A descriptor of the folder that ``path`` is in, and the name there."""
        *folders, name = path_parts(path)
        with self.folder(folders) as descriptor:
            yield descriptor, name

    def read(self, path: AnyPath, *, limit: int) -> FileBytes:
        """What is in the regular file at ``path``.

        Raises PathRefusedError for what is no regular file and for more than ``limit`` bytes, OSError.
        """
        shown = shown_path("/".join(path_parts(path)))
        with self.parent(path) as (parent, name), open_regular(parent, name, shown) as descriptor:
            data, status = bytearray(), os.fstat(descriptor)
            while len(data) <= limit and (piece := os.read(descriptor, 1 << 20)):
                data += piece
            if len(data) > limit:
                raise PathRefusedError(f"{shown}: it has more than {limit} bytes")
            return FileBytes(bytes(data), status)

    def digest(self, path: AnyPath) -> str:
        """The SHA-256 of the regular file at ``path``, whatever its size. Raises as `read`."""
        found = hashlib.sha256()
        shown = shown_path("/".join(path_parts(path)))
        with self.parent(path) as (parent, name), open_regular(parent, name, shown) as descriptor:
            while piece := os.read(descriptor, 1 << 20):
                found.update(piece)
        return found.hexdigest()

    def status(self, path: AnyPath) -> Optional[os.stat_result]:
        """The status of what is at ``path``, of a link itself; None where nothing is."""
        try:
            with self.parent(path) as (parent, name):
                return os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def create_at(self, parent: int, name: str, data: bytes, like: Optional[int] = None, mode: int = 0o600) -> None:
        """Writes a new file ``name`` in the open folder ``parent``, down to the disk. A file of this name is replaced:
        the name must be one that only this package uses.

        ``like`` is the descriptor of a file whose owner, extended attributes and mode it gets, as far as this process
        may give them. Without it the file has ``mode``.
        """
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=parent)
        descriptor = os.open(name, _AS_NEW, 0o600, dir_fd=parent)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            if like is None:
                os.fchmod(descriptor, mode)
            else:
                _copy_metadata(like, descriptor)
            os.fsync(descriptor)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=parent)
            raise
        finally:
            os.close(descriptor)

    def remove(self, path: AnyPath) -> None:
        """Deletes the file at ``path``, if it is there."""
        with contextlib.suppress(FileNotFoundError), self.parent(path) as (parent, name):
            os.unlink(name, dir_fd=parent)

    def make_folder(self, path: AnyPath) -> None:
        """Makes the folder at ``path``, for this user only, unless it is there."""
        with self.parent(path) as (parent, name), contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=parent)
            sync_folder(parent)

    def walk(self, enters: Callable[[tuple[str, ...], int], bool]) -> Iterator[tuple[str, ...]]:
        """The parts of the path of each regular file, in the order of their names, folder by folder.

        ``enters`` is told the parts of a folder and its descriptor, and decides whether it is looked into. Folders
        that cannot be opened and links are left out.
        """
        pending: list[tuple[str, ...]] = [()]
        while pending:
            parts = pending.pop()
            try:
                with self.folder(parts) as descriptor:
                    if not enters(parts, descriptor):
                        continue
                    with os.scandir(descriptor) as entries:
                        found = sorted((entry.name, _kind(entry)) for entry in entries)
            except OSError:
                if not parts:
                    raise
                continue
            yield from ((*parts, name) for name, kind in found if kind == "file")
            pending += [(*parts, name) for name, kind in reversed(found) if kind == "folder"]


@contextlib.contextmanager
def open_regular(parent: int, name: str, shown: str) -> Iterator[int]:
    """A descriptor to read the regular file ``name`` in the open folder ``parent``. Nothing else is ever opened."""
    before = os.stat(name, dir_fd=parent, follow_symlinks=False)
    check_regular(before, shown)
    descriptor = os.open(name, _AS_FILE, dir_fd=parent)
    try:
        # The number of a file that was deleted is given to the next one.
        check_regular(os.fstat(descriptor), shown)
        if _identity(os.fstat(descriptor)) != _identity(before):
            raise PathRefusedError(f"{shown}: another file has taken its place just now")
        yield descriptor
    finally:
        os.close(descriptor)


def check_regular(status: os.stat_result, shown: str) -> None:
    """Raises PathRefusedError for what is no regular file."""
    if stat.S_ISLNK(status.st_mode):
        raise PathRefusedError(f"{shown}: it is a symbolic link")
    if stat.S_ISDIR(status.st_mode):
        raise PathRefusedError(f"{shown}: it is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise PathRefusedError(f"{shown}: it is no regular file")


def check_writable(path: str, status: os.stat_result) -> None:
    """Raises PathRefusedError for a file that is not to be replaced or renamed."""
    shown = shown_path(path)
    check_target(path)
    check_regular(status, shown)
    if status.st_nlink > 1:
        raise PathRefusedError(f"{shown}: it has another name (a hard link), which may be outside of the root")
    if not status.st_mode & 0o222:
        raise PathRefusedError(f"{shown}: it is read-only")


def check_target(path: str) -> None:
    """Raises PathRefusedError for a path at which nothing is to be put."""
    for part in path_parts(path):
        if part.casefold() in _UNTOUCHABLE:
            raise PathRefusedError(f"{shown_path(path)}: nothing is changed in {shown_path(part)}")


def move_at(parent: int, name: str, new_parent: int, new_name: str) -> None:
    """Gives a file a new name, and never replaces another file.

    Raises FileExistsError if the new name is taken, OSError.
    """
    here = {"src_dir_fd": parent, "dst_dir_fd": new_parent}
    try:
        # A link fails where the name is taken; renaming would replace the file there.
        os.link(name, new_name, follow_symlinks=False, **here)
    except OSError as error:
        new = _status_at(new_parent, new_name)
        same = new is not None and _identity(new) == _identity(os.stat(name, dir_fd=parent, follow_symlinks=False))
        if error.errno == errno.EXDEV or (new is not None and not same):
            raise
        # The file system has no links, or both are names of one file because it does not tell cases apart.
        os.rename(name, new_name, **here)
    else:
        os.unlink(name, dir_fd=parent)
    sync_folder(new_parent)
    sync_folder(parent)


def are_two_names(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether these are two names of one file, of which one can be deleted."""
    return _identity(one) == _identity(other) and one.st_nlink > 1


def sync_folder(descriptor: int) -> None:
    """Waits until new and changed names in the folder are on the disk, where the file system can do that."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _status_at(parent: int, name: str) -> Optional[os.stat_result]:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _is_link(parent: int, name: str) -> bool:
    status = _status_at(parent, name)
    return status is not None and stat.S_ISLNK(status.st_mode)


def _kind(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return "link"
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    return "file" if entry.is_file(follow_symlinks=False) else "other"


def _copy_metadata(old: int, new: int) -> None:
    """Owner first, because changing it clears bits of the mode; attributes next, because an access list changes it."""
    before, now = os.fstat(old), os.fstat(new)
    if (before.st_uid, before.st_gid) != (now.st_uid, now.st_gid):
        # A group of its own a user may give, another owner only root.
        for owner in ((before.st_uid, before.st_gid), (-1, before.st_gid)):
            with contextlib.suppress(PermissionError):
                os.fchown(new, *owner)
                break
    if hasattr(os, "listxattr"):
        with contextlib.suppress(OSError):
            for attribute in os.listxattr(old):
                with contextlib.suppress(OSError):
                    os.setxattr(new, attribute, os.getxattr(old, attribute))
    os.fchmod(new, stat.S_IMODE(before.st_mode))
