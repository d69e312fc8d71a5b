"""Turns what MetaGPT calls an image into what Ollama takes: bare standard base64 with padding.

MetaGPT puts ``data:image/jpeg;base64,`` before everything that is not an http(s) URL: base64 of any type of image, a
data URI that was complete already, a path. All of these are unwrapped; a local file is read. An http(s) URL stays one
until the call, when ``fetch_images`` puts the image in its place: Ollama itself fetches nothing.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from pathlib import Path
from typing import Any, Optional
from urllib.parse import unquote_to_bytes, urlsplit

from .. import AsyncClient
from ..errors import ConfigurationError, OllamaError
from .records import mark

__all__ = ["METAGPT_PREFIX", "fetch_images", "image_base64", "image_lists"]

# The largest image that is fetched, in bytes, and how long a server may take to begin, and to go on, in seconds.
FETCH_BYTES = 20 << 20
FETCH_SECONDS = 30.0

METAGPT_PREFIX = "data:image/jpeg;base64,"

# The beginnings of the files that Ollama reads (JPEG, PNG, WebP and WAV, MP3), and of two that it refuses by name.
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8", b"BM", b"ID3", b"\xff\xfb")


def image_base64(text: str) -> str:
    """The bare base64 of an image given as base64, data URI, local path, ``file://`` URL, with MetaGPT's prefix or not.

    An http(s) URL comes back as it is. Raises ``ConfigurationError`` for a file that cannot be read and a text that is
    none of these.
    """
    text = text.strip()
    while text.startswith(METAGPT_PREFIX) and not _looks_encoded(text[len(METAGPT_PREFIX) :]):
        text = text[len(METAGPT_PREFIX) :].strip()
    if _is_url(text):
        return text
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


def image_lists(payload: dict[str, Any]) -> list[list[str]]:
    """The lists of images in a request's body: of each message, or of the prompt."""
    holders = [payload, *(payload.get("messages") or ())]
    return [holder["images"] for holder in holders if isinstance(holder, dict) and holder.get("images")]


async def fetch_images(payload: dict[str, Any], proxy: Optional[str]) -> None:
    """Puts the images themselves in the place of the http(s) URLs in a request's body; order and number stay.

    Raises ``ConfigurationError``, which names the URL, for one that answers no image, or one of over 20 MiB.
    """
    places = [(images, at) for images in image_lists(payload) for at, image in enumerate(images) if _is_url(image)]
    fetched = await asyncio.gather(*(_fetched(images[at], proxy) for images, at in places))
    for (images, at), image in zip(places, fetched):
        images[at] = image


async def _fetched(url: str, proxy: Optional[str]) -> str:
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    try:
        # A client of its own: nothing meant for the Ollama server, no key and no header, may reach another one.
        async with AsyncClient(
            f"{parts.scheme}://{parts.netloc}", proxy=proxy, timeout=FETCH_SECONDS, max_body=FETCH_BYTES
        ) as client:
            data, content_type = await client.request_bytes(path or "/", method="GET")
    except OllamaError as error:
        failure = ConfigurationError(
            f"the image {_short(url)} cannot be fetched: {error.message}",
            hint="download it and pass the path of the file, or its base64",
        )
        # The client has made the record, which names the image's server.
        mark(failure)
        raise failure from error
    if not content_type.lower().startswith("image/") and not data.startswith(_MAGIC):
        raise ConfigurationError(f"the URL {_short(url)} answers {content_type or 'something'}, and no image")
    return base64.b64encode(data).decode("ascii")


def _is_url(text: str) -> bool:
    return text[:7].lower() == "http://" or text[:8].lower() == "https://"


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
    """For messages, which leave the login of a URL out themselves; its query may hold a token."""
    if _is_url(text):
        text = text.split("?", 1)[0]
    return repr(text if len(text) <= 60 else text[:57] + "...")
