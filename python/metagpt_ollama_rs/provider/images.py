"""Turns what MetaGPT calls an image into what Ollama takes: bare standard base64 with padding.

MetaGPT puts ``data:image/jpeg;base64,`` before everything that is not an http(s) URL: base64 of any type of image, a
data URI that was complete already, a path. All of these are unwrapped; a local file is read as the clients read one.
An http(s) URL stays one until the call, when ``fetch_images`` puts the image in its place: Ollama fetches nothing.

>>> image_base64("data:image/jpeg;base64,https://example.org/cat.png")
'https://example.org/cat.png'
>>> image_base64("data:image/jpeg;base64,iVBORw0KGgoAAAANSUhEUgAA")
'iVBORw0KGgoAAAANSUhEUgAA'
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, Optional
from urllib.parse import urlsplit

from .. import AsyncClient
from ..errors import ConfigurationError, OllamaError, ProtocolError
from ..images import IMAGE_BYTES, KNOWN, UnreadImage, image_lists, image_text, is_known, looks_encoded, shortened
from .stats_records import mark_recorded

__all__ = ["METAGPT_PREFIX", "fetch_images", "image_base64", "leave_images_unread"]

# Seconds that the server of an image may take until it begins to answer, and between two pieces of it.
FETCH_SECONDS = 30.0

# How many redirects to another host are followed for one image.
FETCH_REDIRECTS = 5

METAGPT_PREFIX = "data:image/jpeg;base64,"

_unread: ContextVar[bool] = ContextVar("metagpt_ollama_rs_unread", default=False)


@contextlib.contextmanager
def leave_images_unread() -> Iterator[None]:
    """In this block `image_base64` reads and decodes nothing, and returns an ``UnreadImage`` for most images.

    ``encode_images_in_thread`` (of ``..images``) then reads them off the event loop.
    """
    token = _unread.set(True)
    try:
        yield
    finally:
        _unread.reset(token)


def image_base64(image: Any, where: str = "the image") -> Any:
    """The bare base64 of an image given as base64, data URI, local path, ``file://`` URL, with MetaGPT's prefix or not,
    or as the clients take it (bytes, for one).

    An http(s) URL comes back as it is. Raises ``ConfigurationError`` for a file that cannot be read and a text that is
    none of these.
    """
    if isinstance(image, str):
        image = image.strip()
        while image.startswith(METAGPT_PREFIX) and not looks_encoded(image[len(METAGPT_PREFIX) :]):
            image = image[len(METAGPT_PREFIX) :].strip()
        if _is_url(image):
            return image
    return UnreadImage(image, where) if _unread.get() else image_text(image, where)


async def fetch_images(payload: dict[str, Any], proxy: Optional[str], verify: bool | str = True) -> None:
    """Puts the images themselves in the place of the http(s) URLs in a request's body; order and number stay.

    Raises ``ConfigurationError``, which names the URL, for one that answers no image, or one of over 20 MiB.
    """
    places = [(images, at) for images in image_lists(payload) for at, image in enumerate(images) if _is_url(image)]
    fetched = await asyncio.gather(*(_fetch_one(images[at], proxy, verify) for images, at in places))
    for (images, at), image in zip(places, fetched):
        images[at] = image


async def _fetch_one(url: str, proxy: Optional[str], verify: bool | str) -> str:
    at = url
    for left in reversed(range(FETCH_REDIRECTS + 1)):
        parts = urlsplit(at)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        try:
            # A client of its own, so that no key and no header meant for the Ollama server reaches another one.
            async with AsyncClient(
                f"{parts.scheme}://{parts.netloc}",
                proxy=proxy,
                verify=verify,
                timeout=FETCH_SECONDS,
                max_body=IMAGE_BYTES,
            ) as client:
                data, content_type = await client.request_bytes(path or "/", method="GET")
            break
        except OllamaError as error:
            # The client follows redirects on one host only, and images are often redirected to another.
            to = error.location if isinstance(error, ProtocolError) else None
            cause = error.message
            if to and urlsplit(to).hostname != parts.hostname:
                why = _redirect_refusal(error.url or at, to)
                if left and not why:
                    at = to
                    continue
                cause = f"it is redirected to {shortened(to.split('?')[0])}, {why or 'one time too many'}"
            failure = ConfigurationError(
                f"the image {shortened(url)} cannot be fetched: {cause}",
                hint="download it and pass the path of the file, or its base64",
            )
            # The client has made a record of its error already, with the address of the image's server.
            mark_recorded(failure)
            raise failure from error
    # The Content-Type that a server sends proves nothing, so the first bytes decide.
    if not is_known(data):
        raise ConfigurationError(
            f"the URL {shortened(url)} answers {content_type or 'something'}, and no image that is known", hint=KNOWN
        )
    return (await asyncio.to_thread(base64.b64encode, data)).decode("ascii")


def _redirect_refusal(at: str, to: str) -> str:
    """Why a redirect from ``at`` to ``to`` is not followed, or ""."""
    if not _is_url(to):
        return "which is neither http nor https"
    if at[:6].lower() == "https:" and to[:6].lower() != "https:":
        return "which gives up TLS"
    if _is_local_only(urlsplit(to).hostname) and not _is_local_only(urlsplit(at).hostname):
        return "which is this machine or its network's own services"
    return ""


def _is_local_only(host: Optional[str]) -> bool:
    """Whether ``host`` is an address that only this machine can reach. No other server may redirect a request there."""
    name = (host or "").rstrip(".").lower()
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_link_local or address.is_unspecified


def _is_url(text: str) -> bool:
    return text[:7].lower() == "http://" or text[:8].lower() == "https://"
