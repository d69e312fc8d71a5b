"""Images as Ollama takes them: bare standard base64 with padding. No I/O but the reading of a file that is named."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Mapping
from typing import Any

from metagpt_ollama_rs.errors import ConfigurationError

__all__ = ["MAGIC", "data_uri", "image_text", "image_texts", "is_data_uri", "looks_encoded", "one_by_one", "standard"]

# The beginnings of the files that Ollama reads (JPEG, PNG, WebP and WAV, MP3), and of two that it refuses by name.
MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8", b"BM", b"ID3", b"\xff\xfb")

_HINT = "give bytes, a path or base64 text"
_URL_SAFE = str.maketrans("-_", "+/")


def image_texts(images: Any, where: str) -> list[str]:
    """Bare base64 of each of ``images``. Raises ConfigurationError, which names the place below ``where``."""
    return [image_text(image, f"{where}[{index}]") for index, image in enumerate(one_by_one(images, where))]


def one_by_one(images: Any, where: str) -> Iterable[Any]:
    """``images``, if they are a list or something like it. Raises ConfigurationError for a single image."""
    one = isinstance(images, (str, bytes, bytearray, memoryview, os.PathLike, Mapping)) or hasattr(images, "value")
    if one or not isinstance(images, Iterable):
        raise ConfigurationError(
            f"{where} is a {type(images).__name__}, not a list of images", hint=f"write [{'image' if one else '…'}]"
        )
    return images


def image_text(image: Any, where: str) -> str:
    """Bare base64 of an image given as bytes, a path, base64 text, a data URI, or an object with ``value``.

    Base64 may have white space in it, URL-safe letters, and no padding. Raises ConfigurationError, which names
    ``where``, for what is no image, and for text that is neither a file nor base64.
    """
    image = getattr(image, "value", image)
    if isinstance(image, (bytes, bytearray, memoryview)):
        if not len(image):
            raise ConfigurationError(f"{where} is empty", hint=_HINT)
        return base64.b64encode(image).decode()
    if isinstance(image, os.PathLike):
        with open(image, "rb") as file:
            return base64.b64encode(file.read()).decode()
    if not isinstance(image, str):
        raise ConfigurationError(f"{where} is a {type(image).__name__}", hint=_HINT)
    text = image.strip()
    if is_data_uri(text):
        return data_uri(text, where)
    if not looks_encoded(text) and len(text) < 4096 and os.path.isfile(text):
        with open(text, "rb") as file:
            return base64.b64encode(file.read()).decode()
    return standard(text, where)


def looks_encoded(text: str) -> bool:
    """True for base64 of a known kind of file; ``/9j/4AAQ…`` is a JPEG, though it looks like a path."""
    try:
        head = base64.b64decode("".join(text[:32].split()).translate(_URL_SAFE)[:16], validate=True)
    except (binascii.Error, ValueError):
        return False
    return head.startswith(MAGIC)


def is_data_uri(text: str) -> bool:
    return text[:5].lower() == "data:"


def data_uri(text: str, where: str) -> str:
    """The bare base64 in a data URI, with or without a type, parameters and ``;base64``."""
    from urllib.parse import unquote_to_bytes

    head, comma, payload = text.partition(",")
    if not comma:
        raise ConfigurationError(f"{where} is a data URI without a comma: {_short(text)}", hint=_HINT)
    if head.rstrip().lower().endswith(";base64"):
        return standard(unquote_to_bytes(payload).decode("ascii", "replace"), where)
    return base64.b64encode(unquote_to_bytes(payload)).decode("ascii")


def standard(text: str, where: str) -> str:
    """Base64 in any of its spellings as Ollama wants it."""
    bare = "".join(text.split()).translate(_URL_SAFE).rstrip("=")
    padded = bare + "=" * (-len(bare) % 4)
    try:
        decoded = base64.b64decode(padded, validate=True)
    except (binascii.Error, ValueError):
        raise ConfigurationError(f"{where} is neither a file nor base64 text: {_short(text)}", hint=_HINT) from None
    if not decoded:
        raise ConfigurationError(f"{where} is empty", hint=_HINT)
    return padded


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
