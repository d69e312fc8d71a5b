"""Files of this machine in the place of digests: which of ``files`` and ``adapters`` of ``create`` are such.

A server makes a model of files that it names by their digests::

    {"model": "mine", "files": {"model.gguf": "sha256:8fa2…"}}

A path there is a `LocalFile` until `blobs` has sent it. No file is read here.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from metagpt_ollama_rs.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Union

    AnyPath = Union[str, os.PathLike[str]]

__all__ = ["LocalFile", "check_file", "file_table", "unsent_files"]

# How a digest begins. Whether it is one is judged by the server.
_DIGEST = ("sha256:", "sha256-")


class LocalFile(NamedTuple):
    """A file in the place of a digest, in a payload that is not ready yet.

    >>> payload = {"files": {"model.gguf": LocalFile(__file__)}}
    >>> [name for _, name, _ in unsent_files(payload)]
    ['model.gguf']
    """

    path: str


def file_table(given: Any, where: str) -> dict[str, str | LocalFile]:
    """What ``files`` or ``adapters`` of ``create`` name. Raises ConfigurationError for what is no digest and no file.

    >>> digest = "sha256:" + 64 * "0"
    >>> file_table({"model.gguf": digest}, "files") == {"model.gguf": digest}
    True
    """
    if not isinstance(given, Mapping):
        raise ConfigurationError(
            f"{where} is a {type(given).__name__}", hint='write {"model.gguf": "/path/of/model.gguf"}, or its digest'
        )
    return {name: _digest_or_file(value, f"{where}[{name!r:.60}]") for name, value in given.items()}


def _digest_or_file(value: Any, where: str) -> str | LocalFile:
    if isinstance(value, str) and value.startswith(_DIGEST):
        return value
    if isinstance(value, (str, os.PathLike)):
        try:
            return LocalFile(check_file(value))
        except ConfigurationError:
            raise
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
    else:
        why = f"a {type(value).__name__}"
    raise ConfigurationError(
        f"{where} is neither a digest nor a file: {value!r:.200} ({why})",
        hint="give a path, or what create_blob returned (sha256:…)",
    )


def check_file(path: AnyPath) -> str:
    """``path``, with ``~`` expanded. Raises OSError for what is not there, ConfigurationError for what is no file."""
    found = os.path.expanduser(os.fsdecode(path))
    if not stat.S_ISREG(os.stat(found).st_mode):
        folder = os.path.isdir(found)
        hint = "give each of its files by itself" if folder else "give a file"
        raise ConfigurationError(f"{found!r:.200} is {'a folder' if folder else 'no file'}", hint=hint)
    return found


def unsent_files(payload: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Of each local file in the payload of ``create``: the table that has it, its name there, and its path."""
    for where in ("files", "adapters"):
        table = payload.get(where) or {}
        for name, value in list(table.items()):
            if isinstance(value, LocalFile):
                yield table, name, value.path
