r"""The text in a file's bytes: its encoding, its line ends, and the way back, byte for byte.

    found = read_text(b"\xef\xbb\xbfa\r\nb\n")
    found.encoding, found.mark, found.text      # "utf-8", b"\xef\xbb\xbf", "a\r\nb\n"
    found.lines                                 # "a\nb\n": what is searched, and what a model sees
    found.encode("a\nc\n")                      # b"\xef\xbb\xbfa\r\nc\n": each line keeps its end

A file is a text if its bytes decode strictly and encode to the same bytes again. A guess is only made between UTF-8 and
GBK: all else needs a byte order mark, the line that Python files have for it, or the user's word.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import re
import tokenize
from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional

from metagpt_ollama_rs.errors import ConfigurationError
from metagpt_ollama_rs.slc.files.file_diffs import line_opcodes

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FileText", "NotTextError", "check_encoding", "read_text"]

# UTF-32 stands first: its mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LINE_END = re.compile(r"\r\n|\n|\r")
# Two bytes that stand for one character in GBK, and those of them that are in the much smaller GB 2312.
_GBK_PAIR = re.compile(rb"[\x81-\xfe][\x40-\x7e\x80-\xfe]")
_GB2312_PAIR = re.compile(rb"[\xa1-\xf7][\xa1-\xfe]")


class NotTextError(ConfigurationError):
    """Bytes that are no text which could be written back byte for byte. The message says why.

    >>> try:
    ...     read_text(bytes(4))
    ... except NotTextError as error:
    ...     print(error)
    it is binary
    """


@dataclass(frozen=True)
class FileText:
    r"""A file's text.

    Attributes:
        text: as the file has it, line ends included, without a byte order mark.
        encoding: by Python's name.
        mark: the byte order mark, or b"".

    >>> found = read_text("第一\r\n第二\n第三".encode("gbk"))
    >>> found.encoding, found.lines
    ('gbk', '第一\n第二\n第三')
    >>> found.encode("第一\n新\n第三\n第四").decode("gbk")
    '第一\r\n新\n第三\n第四'
    """

    text: str
    encoding: str
    mark: bytes = b""

    @property
    def lines(self) -> str:
        """The text with ``\\n`` at the end of each line, whatever the file has there."""
        return self.text.replace("\r\n", "\n").replace("\r", "\n")

    def encode(self, lines: str) -> bytes:
        """The bytes of the file with ``lines`` in the place of its own.

        A line that stays keeps its line end, so does a line that takes the place of another one; new lines get the end
        that most lines have. Raises UnicodeEncodeError for a character that the encoding does not have.
        """
        return self.encode_exactly(_with_line_ends_of(self.text, lines))

    def encode_exactly(self, text: str) -> bytes:
        """The bytes of the file with ``text`` in the place of its own, whose line ends are written as they are."""
        return self.mark + text.encode(self.encoding)


def read_text(data: bytes, name: str = "", encoding: Optional[str] = None) -> FileText:
    """The text in ``data``.

    Args:
        name: the file's name; a Python file says its encoding itself.
        encoding: that of files without a byte order mark that are not UTF-8, if the user knows it.

    Raises NotTextError.
    """
    for mark, marked in _MARKS:
        if data.startswith(mark):
            found = _exact_text(data[len(mark) :], marked, mark)
            if found is not None:
                return found
    if b"\0" in data:
        raise NotTextError("it is binary")
    for candidate in _possible_encodings(data, name, encoding):
        found = _exact_text(data, candidate)
        if found is not None:
            return found
    raise NotTextError("its encoding is not known", hint="say encoding=…, if you know it")


def check_encoding(encoding: str) -> str:
    """``encoding``. Raises ConfigurationError if Python does not know it, or if it is none of texts.

    >>> check_encoding("cp1252")
    'cp1252'
    """
    try:
        "".encode(encoding)
    except (LookupError, TypeError) as error:
        raise ConfigurationError(f"encoding: Python has none of the name {encoding!r:.60}") from error
    return encoding


def _possible_encodings(data: bytes, name: str, encoding: Optional[str]) -> Iterator[str]:
    yield "utf-8"
    if encoding is not None:
        yield encoding
        return
    if name.endswith((".py", ".pyi", ".pyw")):
        # It may say none, or one that there is not.
        with contextlib.suppress(SyntaxError):
            yield tokenize.detect_encoding(io.BytesIO(data).readline)[0]
    # Any two bytes of a text in Latin-1 or Shift-JIS may be a character of GBK, but hardly ever a common one.
    pairs = _GBK_PAIR.findall(data)
    if 2 * sum(bool(_GB2312_PAIR.fullmatch(pair)) for pair in pairs) > len(pairs):
        yield from ("gbk", "gb18030")


def _exact_text(data: bytes, encoding: str, mark: bytes = b"") -> Optional[FileText]:
    try:
        text = data.decode(encoding)
        return FileText(text, encoding, mark) if text.encode(encoding) == data else None
    except (UnicodeError, LookupError):
        return None


def _with_line_ends_of(original: str, lines: str) -> str:
    """``lines`` with the line ends of ``original``.

    >>> _with_line_ends_of("a\\r\\nb\\r\\nc\\n", "a\\nB\\nc\\nd\\n")
    'a\\r\\nB\\r\\nc\\nd\\r\\n'
    """
    ends = _LINE_END.findall(original)
    if not set(ends) - {"\n"}:
        return lines
    usual = max(("\n", "\r\n", "\r"), key=ends.count)
    if len(set(ends)) == 1:
        return lines.replace("\n", usual)
    old, new = _LINE_END.split(original), lines.split("\n")
    kept = [usual] * len(new)
    for _, start, end, new_start, new_end in line_opcodes(old, new):
        # From the last line on: what follows a changed text is the end of its last line.
        for index, new_index in zip(reversed(range(start, end)), reversed(range(new_start, new_end))):
            kept[new_index] = ends[index] if index < len(ends) else usual
    kept[-1] = ""
    return "".join(line + end for line, end in zip(new, kept))
