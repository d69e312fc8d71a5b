"""Turns what MetaGPT calls an image into what Ollama takes: bare standard base64 with padding.

MetaGPT puts ``data:image/jpeg;base64,`` before everything that is not an http(s) URL: base64 of any type of image, a
data URI that was complete already, a path. All of these are unwrapped; a local file is read. An http(s) URL is refused
with a clear error: Ollama fetches nothing, and an image must not be lost in silence.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from ..errors import ConfigurationError

__all__ = ["METAGPT_PREFIX", "image_base64"]

METAGPT_PREFIX = "data:image/jpeg;base64,"

# The beginnings of the files that Ollama reads (JPEG, PNG, WebP and WAV, MP3), and of two that it refuses by name.
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8", b"BM", b"ID3", b"\xff\xfb")


def image_base64(text: str) -> str:
    """The bare base64 of an image given as base64, data URI, local path, ``file://`` URL, with MetaGPT's prefix or not.

    Raises ``ConfigurationError`` for an http(s) URL, a file that cannot be read and a text that is none of these.
    """
    text = text.strip()
    while text.startswith(METAGPT_PREFIX) and not _looks_encoded(text[len(METAGPT_PREFIX) :]):
        text = text[len(METAGPT_PREFIX) :].strip()
    if text[:7].lower() == "http://" or text[:8].lower() == "https://":
        raise ConfigurationError(
            f"the image {_short(text)} is a URL, and Ollama does not fetch images",
            hint="download it and pass the path of the file, or its base64",
        )
    if text[:5].lower() == "data:":
        return _data_uri(text)
    if text[:7].lower() == "file://":
        return _file(Path(unquote_to_bytes(urlsplit(text).path).decode("utf-8", "surrogateescape")))
    if _looks_encoded(text):
        return _standard(text)
    path = _existing(text)
    if path is not None:
        return _file(path)
    return _standard(text)


def _looks_encoded(text: str) -> bool:
    """True for base64 of a known kind of file; ``/9j/4AAQ…`` is a JPEG, though it looks like a path."""
    try:
        head = base64.b64decode("".join(text[:32].split()).translate(_URL_SAFE)[:16], validate=True)
    except (binascii.Error, ValueError):
        return False
    return head.startswith(_MAGIC)


_URL_SAFE = str.maketrans("-_", "+/")


def _data_uri(text: str) -> str:
    head, comma, payload = text.partition(",")
    if not comma:
        raise ConfigurationError(f"the image {_short(text)} is a data URI without a comma")
    if head.lower().endswith(";base64"):
        return _standard(unquote_to_bytes(payload).decode("ascii", "replace"))
    return base64.b64encode(unquote_to_bytes(payload)).decode("ascii")


def _standard(text: str) -> str:
    bare = "".join(text.split()).translate(_URL_SAFE).rstrip("=")
    padded = bare + "=" * (-len(bare) % 4)
    try:
        if not base64.b64decode(padded, validate=True):
            raise ConfigurationError("an image is empty")
    except (binascii.Error, ValueError):
        raise ConfigurationError(
            f"the image {_short(text)} is neither base64, nor a data URI, nor a file that exists"
        ) from None
    return padded


def _existing(text: str) -> Path | None:
    if len(text) > 4096 or "\0" in text:
        return None
    try:
        path = Path(text).expanduser()
        return path if path.is_file() else None
    except (OSError, RuntimeError, ValueError):
        return None


def _file(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"the image file {path} cannot be read: {error.strerror or error}") from error
    if not data:
        raise ConfigurationError(f"the image file {path} is empty")
    return base64.b64encode(data).decode("ascii")


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
