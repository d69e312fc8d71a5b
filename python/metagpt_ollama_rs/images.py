"""Images as Ollama takes them: bare standard base64 with padding. No I/O but the reading of a file that is named.

A text may name a file, so a stranger's text must not become an image; bytes may. What is read is a regular file of at
most 20 MiB that begins as an image or a sound does. Bytes and base64 are passed on, and judged by the server.

Reading and encoding take their time, so a payload is made with the images as they were given (`UnreadImage`), and
`encode_images` puts what is sent in their place: in a thread, where there is an event loop to keep going.
"""

from __future__ import annotations

import base64
import binascii
import errno
import os
import stat
from collections.abc import Iterable, Mapping
from typing import Any

from metagpt_ollama_rs._core import excerpt, running_loop
from metagpt_ollama_rs.errors import ConfigurationError

__all__ = [
    "BYTES",
    "IMAGE_BYTES",
    "KNOWN",
    "UnreadImage",
    "checked_images",
    "encode_images",
    "encode_images_in_thread",
    "image_lists",
    "image_text",
    "is_known",
    "lenient_image_text",
    "looks_encoded",
    "shortened",
    "unread_images",
]

# The largest file that is read, and the largest image that is fetched.
IMAGE_BYTES = 20 << 20

# The longest text that may be a path.
_PATH = 4096
BYTES = (bytes, bytearray, memoryview)
_HINT = "give bytes, a path or base64 text"
KNOWN = "Ollama takes JPEG, PNG and WebP (WAV and MP3 where the model hears): convert it to one of them"
_URL_SAFE = str.maketrans("-_", "+/")
# How looking for a file fails where there is none, or the text is no path but base64.
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL)
_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
# The sizes of the headers of BMP in all their versions.
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)


class UnreadImage:
    """An image of a payload that is still to be read, and its place in the arguments, which messages name.

    >>> payload = {"prompt": "What is this?", "images": unread_images([b"GIF89a..."], "images")}
    >>> encode_images(payload)["images"]
    ['R0lGODlhLi4u']
    """

    __slots__ = ("image", "where")

    def __init__(self, image: Any, where: str) -> None:
        image = getattr(image, "value", image)
        # A copy, because whoever gave the bytes may change them while they are being encoded.
        self.image = bytes(image) if isinstance(image, BYTES) else image
        self.where = where


def unread_images(images: Any, where: str) -> list[UnreadImage]:
    """``images`` for a payload. Raises ConfigurationError for what is no list of them."""
    return [UnreadImage(image, f"{where}[{index}]") for index, image in enumerate(checked_images(images, where))]


def checked_images(images: Any, where: str) -> Iterable[Any]:
    """``images``, if they are a list or something like it. Raises ConfigurationError for a single image."""
    one = isinstance(images, (str, *BYTES, os.PathLike, Mapping)) or hasattr(images, "value")
    if one or not isinstance(images, Iterable):
        raise ConfigurationError(
            f"{where} is a {type(images).__name__}, not a list of images", hint=f"write [{'image' if one else '…'}]"
        )
    return images


def image_lists(payload: Mapping[str, Any]) -> list[list[Any]]:
    """The lists of images in a request's body: of each message, or of the prompt."""
    holders = [holder for holder in payload.get("messages") or () if isinstance(holder, dict)]
    found = [holder["images"] for holder in holders if holder.get("images")]
    if payload.get("images"):
        found.append(payload["images"])
    return found


def encode_images(payload: dict[str, Any]) -> dict[str, Any]:
    """``payload`` with all its images read. Raises ConfigurationError, which names the place, for what is none."""
    return _encode_images(payload, image_lists(payload))


async def encode_images_in_thread(payload: dict[str, Any]) -> dict[str, Any]:
    """As `encode_images`, while the event loop goes on."""
    lists = image_lists(payload)
    if not any(isinstance(image, UnreadImage) for images in lists for image in images):
        return payload
    encoded: dict[str, Any] = await running_loop().run_in_executor(None, _encode_images, payload, lists)
    return encoded


def _encode_images(payload: dict[str, Any], lists: list[list[Any]]) -> dict[str, Any]:
    for images in lists:
        images[:] = [image_text(item.image, item.where) if isinstance(item, UnreadImage) else item for item in images]
    return payload


def image_text(image: Any, where: str) -> str:
    """Bare base64 of an image given as bytes, a path, a ``file:`` URL, base64 text, a data URI, or an object with
    ``value``.

    Base64 may have white space in it, URL-safe letters, and no padding. Raises ConfigurationError, which names
    ``where``, for what is no image, and for text that is neither a file nor base64.

    >>> image_text(b"GIF89a...", "images[0]")
    'R0lGODlhLi4u'
    >>> image_text("data:image/gif;base64,R0lGODlhLi4u", "images[0]")
    'R0lGODlhLi4u'
    """
    image = getattr(image, "value", image)
    if isinstance(image, BYTES):
        if not len(image):
            raise ConfigurationError(f"{where} is empty", hint=_HINT)
        return base64.b64encode(image).decode()
    if isinstance(image, os.PathLike):
        return _file(os.fspath(image), where)
    if not isinstance(image, str):
        raise ConfigurationError(f"{where} is a {type(image).__name__}", hint=_HINT)
    text = image.strip()
    scheme = text[:8].lower()
    if scheme.startswith("data:"):
        return _data_uri(text, where)
    if scheme.startswith("file:"):
        return _file(_path_of(text, where), where)
    if scheme.startswith(("http://", "https://")):
        raise ConfigurationError(
            f"{where} is a URL: {shortened(text)}",
            hint="neither the clients nor Ollama fetch it: give the image's bytes",
        )
    if _is_there(text) or _must_be_path(text):
        return _file(text, where)
    return _standard(text, where)


def lenient_image_text(image: Any) -> str:
    """Base64 of an `Image` as ollama-python dumps it: bytes and files are encoded, whatever is in them, and a text is
    passed on if Python's lenient decoder takes it. Raises ValueError for a text that names a file which is not there,
    and for one that is no base64.

    >>> lenient_image_text(b"GIF89a...")
    'R0lGODlhLi4u'
    """
    from pathlib import Path

    if isinstance(image, bytes):
        return base64.b64encode(image).decode()
    try:
        is_file = os.path.exists(image)
    except ValueError:
        is_file = False
    if is_file or not isinstance(image, str):
        return base64.b64encode(Path(image).read_bytes()).decode()
    if image.rpartition(".")[2].lower() in ("png", "jpg", "jpeg", "webp"):
        raise ValueError(f"the file {shortened(image)} does not exist")
    try:
        base64.b64decode(image)
    except ValueError:
        raise ValueError(f"{shortened(image)} is neither a file nor base64 text") from None
    return image


def looks_encoded(text: str) -> bool:
    """True for base64 of a known kind of file; ``/9j/4AAQ…`` is a JPEG, though it looks like a path."""
    bare = "".join(text[:48].split()).translate(_URL_SAFE)[:24]
    try:
        return is_known(base64.b64decode(bare[: len(bare) // 4 * 4], validate=True))
    except (binascii.Error, ValueError):
        return False


def is_known(data: bytes) -> bool:
    """Whether ``data`` begins as a file that Ollama reads (JPEG, PNG, WebP; WAV, MP3) or refuses by name (GIF, BMP)."""
    if data.startswith((b"\xff\xd8\xff", b"\x89PNG", b"GIF87a", b"GIF89a", b"ID3")):
        return True
    if data.startswith(b"RIFF"):
        return data[8:12] in (b"WEBP", b"WAVE")
    if data.startswith(b"BM"):
        return int.from_bytes(data[14:18], "little") in _BMP_HEADERS
    # The first frame of an MP3: eleven bits, layer III of a version that there is, and no impossible rate.
    return (
        len(data) > 3
        and data[0] == 0xFF
        and data[1] & 0xE6 == 0xE2
        and data[1] & 0x18 != 0x08
        and data[2] & 0xF0 != 0xF0
        and data[2] & 0x0C != 0x0C
    )


def shortened(text: str) -> str:
    """For messages. The query of a URL may hold a token; logins are left out by the messages themselves."""
    if text[:4].lower() == "http":
        text = text.split("?", 1)[0]
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _file(path: str | bytes, where: str) -> str:
    named = f"{where}: the file {excerpt(repr(os.fsdecode(path)), 300)}"
    try:
        data = _read_image_file(os.path.expanduser(path), named)
    except ConfigurationError:
        raise
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigurationError(
            f"{named} cannot be read: {why}",
            hint="is the path right, and may this program read the file?",
        ) from error
    return base64.b64encode(data).decode()


def _read_image_file(path: str | bytes, named: str) -> bytes:
    """The contents of an image file. Nothing else is opened, and nothing is waited for."""
    _check(os.stat(path), named)
    # Between the look and the opening another file may have come: a FIFO must not stop us then.
    at_once = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | at_once)) as file:
        _check(os.fstat(file.fileno()), named)
        data: bytes = file.read(IMAGE_BYTES + 1) or b""
    if len(data) > IMAGE_BYTES:
        raise _too_large(named)
    if not data:
        raise ConfigurationError(f"{named} is empty", hint="was it written to its end?")
    if not is_known(data):
        # Not a word of what is in it: it may be a secret.
        raise ConfigurationError(f"{named} is no image", hint=KNOWN)
    return data


def _check(status: os.stat_result, named: str) -> None:
    kind = next((kind for is_one, kind in _KINDS if is_one(status.st_mode)), None)
    if kind is None and not stat.S_ISREG(status.st_mode):
        kind = "no regular file"
    if kind is None and any(os.path.ismount(at) and os.stat(at).st_dev == status.st_dev for at in ("/proc", "/sys")):
        kind = "a file of the kernel's"
    if kind:
        raise ConfigurationError(f"{named} is {kind}, not an image", hint="give the path of an image file")
    if status.st_size > IMAGE_BYTES:
        raise _too_large(named)


def _too_large(named: str) -> ConfigurationError:
    limit = f"{IMAGE_BYTES >> 20} MiB"
    return ConfigurationError(f"{named} is larger than {limit}", hint="scale it down: models see fewer pixels")


def _path_of(url: str, where: str) -> str:
    """The path in a ``file:`` URL."""
    from urllib.parse import unquote

    rest = url[len("file:") :]
    if rest.startswith("//"):
        host, slash, rest = rest[2:].partition("/")
        if host.lower() not in ("", "localhost"):
            raise ConfigurationError(
                f"{where} is a file of another machine: {shortened(url)}", hint="write file:/// and an absolute path"
            )
        rest = slash + rest
    return unquote(rest, errors="surrogateescape")


def _is_there(text: str) -> bool:
    """Whether something is at the path ``text``; a link that leads nowhere counts, and what may not be looked at."""
    if len(text) > _PATH:
        return False
    try:
        os.lstat(os.path.expanduser(text))
    except OSError as error:
        return error.errno not in _NOT_THERE
    except ValueError:
        return False
    return True


def _must_be_path(text: str) -> bool:
    """Whether ``text`` names a file that is not there, and is not base64 by chance, as ``/srv/cat`` is."""
    return len(text) <= _PATH and text.startswith(("/", "./", "../", "~")) and not looks_encoded(text)


def _data_uri(text: str, where: str) -> str:
    """The bare base64 in a data URI, with or without a type, parameters and ``;base64``."""
    from urllib.parse import unquote_to_bytes

    head, comma, payload = text.partition(",")
    if not comma:
        raise ConfigurationError(f"{where} is a data URI without a comma: {shortened(text)}", hint=_HINT)
    data = unquote_to_bytes(payload.encode("utf-8", "replace"))
    if head.rstrip().lower().endswith(";base64"):
        return _standard(data.decode("ascii", "replace"), where)
    if not data:
        raise ConfigurationError(f"{where} is empty", hint=_HINT)
    return base64.b64encode(data).decode("ascii")


def _standard(text: str, where: str) -> str:
    """Base64 in any of its spellings as Ollama wants it. ``my_picture`` is none: the URL-safe spelling has to be an
    image's."""
    given = "".join(text.split())
    bare = given.translate(_URL_SAFE).rstrip("=")
    padded = bare + "=" * (-len(bare) % 4)
    try:
        decoded = base64.b64decode(padded, validate=True)
    except (binascii.Error, ValueError):
        decoded = None
    if decoded is None or (bare != given.rstrip("=") and not is_known(decoded)):
        raise ConfigurationError(f"{where} is neither a file nor base64 text: {shortened(text)}", hint=_HINT)
    if not decoded:
        raise ConfigurationError(f"{where} is empty", hint=_HINT)
    return padded
