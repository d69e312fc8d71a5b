r"""Recorded exchanges: raw bytes that a client and an Ollama server once sent each other.

A recording is two files, `NAME.request` and `NAME.response`, HTTP framing included; a folder of them may carry an
`index.json` that says how each response ended. They are given by path: this package brings none of its own.

`NAME.response` has the bytes of the connection, such as ``HTTP/1.1 200 OK\r\n…\r\n\r\n5d\r\n{"model":…}\n\r\n…``.
An entry of `index.json` may say ``{"name": "chat", "end": "closed", "arrivals_ms": [[93, 12.5], [186, 31.0]]}``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

from ..serving.format import chunk_data, split_response

AnyPath = Union[str, "os.PathLike[str]"]


@dataclass(frozen=True)
class Transcript:
    r"""One recorded exchange.

    `ended` is `complete`, or `closed` where the server cut the connection. `arrivals_ms` pairs the bytes received so
    far with the milliseconds since the request; empty where the recording does not say.

    >>> answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}\n"
    >>> recorded = Transcript("version", b"GET /api/version HTTP/1.1\r\n\r\n", answer)
    >>> recorded.path, recorded.status, recorded.lines
    ('/api/version', 200, [b'{}'])
    """

    name: str
    request: bytes
    response: bytes
    ended: str = "complete"
    arrivals_ms: tuple[tuple[int, float], ...] = ()
    note: str = ""

    @property
    def method(self) -> str:
        """The request's method."""
        return self.request.split(b" ", 1)[0].decode("latin-1")

    @property
    def path(self) -> str:
        """The request's path, as sent."""
        return self.request.split(b" ", 2)[1].decode("latin-1")

    @property
    def request_body(self) -> bytes:
        """What follows the blank line of the request."""
        return self.request.partition(b"\r\n\r\n")[2]

    @property
    def status(self) -> int:
        """The response's status code."""
        return int(self.response.split(b" ", 2)[1])

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The response's headers, in order."""
        head, _ = split_response(self.response)
        fields = (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:] if line)
        return [(name, value.strip()) for name, _, value in fields]

    @property
    def chunks(self) -> list[bytes]:
        """The data of each HTTP chunk, the empty last one left out; a body of known length is one piece."""
        head, pieces = split_response(self.response)
        if b"transfer-encoding: chunked" not in head.lower():
            return pieces
        return [data for data in map(chunk_data, pieces) if data]

    @property
    def body(self) -> bytes:
        """The body without HTTP framing."""
        return b"".join(self.chunks)

    @property
    def lines(self) -> list[bytes]:
        """The body cut at each 0x0A, the newline left out, and blank lines too."""
        return [line for line in self.body.split(b"\n") if line]


def load(path: AnyPath, name: str | None = None) -> Transcript:
    """Reads the recording `name` in the folder `path`, or the one at `path` (with or without `.response`).

    Raises FileNotFoundError when there is no such recording.
    """
    place = Path(path) if name is None else Path(path) / name
    if place.suffix in (".response", ".request"):
        place = place.with_suffix("")
    entry = _index(place.parent).get(place.name, {})
    request = Path(f"{place}.request")
    return Transcript(
        name=place.name,
        request=request.read_bytes() if request.exists() else b"",
        response=Path(f"{place}.response").read_bytes(),
        ended=entry.get("end", "complete"),
        arrivals_ms=tuple((int(size), float(when)) for size, when in entry.get("arrivals_ms", ())),
        note=entry.get("note", ""),
    )


def names(folder: AnyPath) -> list[str]:
    """The names of the recordings in `folder`, sorted."""
    return sorted(file.name[: -len(".response")] for file in Path(folder).glob("*.response"))


def load_all(folder: AnyPath) -> Iterator[Transcript]:
    """Every recording in `folder`, by name."""
    for name in names(folder):
        yield load(folder, name)


def _index(folder: Path) -> dict[str, dict[str, Any]]:
    file = folder / "index.json"
    if not file.exists():
        return {}
    return {entry["name"]: entry for entry in json.loads(file.read_text(encoding="utf-8"))}
