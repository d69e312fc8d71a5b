"""What the tools of `metagpt-ollama tool` read: files and stdin, as text whatever their encoding, within bounds.

    read_file("main.py", encoding=None)      InputText(name="main.py", text="import os\\n…")
    read_file("-", encoding=None)            InputText(name="<stdin>", text=…)

A folder, a file that is not there, binary data and an empty text are each a `CliError` that says so.
"""

from __future__ import annotations

import codecs
import locale
import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from .console import CliError, UsageError, print_message
from .tool_arguments import as_arguments

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["InputText", "decode_input", "read_file", "read_words"]

# No model's context holds so many bytes of text. It is also where the reading of an endless stream ends.
_MOST = 16 << 20
_STDIN = "<stdin>"


class InputText(NamedTuple):
    """A text that was read, and the name under which messages speak of it.

    >>> InputText("main.py", "import os\\n").name
    'main.py'
    """

    name: str
    text: str

    @property
    def file_name(self) -> str | None:
        """The name of the file, without its folders; None for stdin."""
        return None if self.name == _STDIN else os.path.basename(self.name)


def read_file(path: str | None, encoding: str | None) -> InputText:
    """The text of a file, or of stdin, which "-" stands for, and None where stdin is no terminal.

    Raises `CliError` for what cannot be read as text, or has none.
    """
    if path is None or path == "-":
        name, data = _STDIN, _stdin_data(asked=path == "-")
    else:
        name, data = path, _file_data(path)
    if len(data) > _MOST:
        raise CliError(f"{name} has more than {_MOST >> 20} MiB", hint="give the part of it that matters")
    text = decode_input(data, encoding, name)
    if not text.strip():
        raise CliError(f"{name} is empty", hint="give it as an argument, or pipe it in" if path is None else None)
    return InputText(name, text)


def read_words(words: Sequence[str], encoding: str | None, about: str, file: str | None = None) -> str:
    """A text that was given as `words` on the command line; stdin's where they are "-" or nothing. What is in `file`
    stands below it in a fence, or is the text where there are no words.

    Raises `CliError` for a text of nothing. `about` is what it is, for the message.
    """
    if file is not None:
        further = read_file(file, encoding).text
        if not words:
            return further
        from ..slc.prompts import fenced

        return f"{read_words(words, encoding, about)}\n\n{fenced(further)}"
    if not words or list(words) == ["-"]:
        return read_file("-" if words else None, encoding).text
    text = " ".join(words)
    if not text.strip():
        raise CliError(f"the {about} is empty")
    try:
        text.encode()
    except UnicodeEncodeError:
        # Bytes that are not of the locale's encoding are surrogates among Python's arguments.
        return decode_input(os.fsencode(text), encoding, f"the {about}")
    return text


def decode_input(data: bytes, encoding: str | None, name: str) -> str:
    """The text that `data` is, in `encoding` or, where that is None, in the one that fits.

    >>> decode_input("\ufeff变量".encode(), None, "a.py"), decode_input("# 变量".encode("gbk"), None, "a.py")
    ('变量', '# 变量')
    """
    from ..slc.files.file_texts import NotTextError, read_text

    if encoding is not None:
        try:
            return data.decode(encoding).removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            raise CliError(f"{name} is not {encoding}: {error.reason} at byte {error.start}") from error
    usual = sys.stdin.encoding if name == _STDIN else locale.getpreferredencoding(False)
    try:
        # What comes by stdin may be Python with a line that says its encoding.
        file = "stdin.py" if name == _STDIN else name
        return read_text(data, file, None if codecs.lookup(usual).name == "utf-8" else usual).text
    except NotTextError as error:
        raise CliError(f"{name}: {error.message}", hint=as_arguments(error.hint) or None) from error


def _stdin_data(*, asked: bool) -> bytes:
    stdin = sys.stdin
    if stdin is None:
        raise CliError("there is no stdin to read")
    if stdin.isatty():
        if not asked:
            raise UsageError("nothing to read: stdin is a terminal", hint="name a file, or give - to type the text")
        print_message("Reading from the terminal; Ctrl-D ends the text.")
    return stdin.buffer.read(_MOST + 1)


def _file_data(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_MOST + 1)
    except IsADirectoryError as error:
        raise CliError(f"{path} is a folder", hint="name a file in it; `summarize` takes a folder, too") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CliError(f"{path} cannot be read: {reason}") from error
