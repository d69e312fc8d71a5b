"""One client's connection. h11 knows HTTP's grammar and what may follow what; the socket, clocks and limits are here.

What no request may be (two lengths, a Host that is none, a head without end) is a `Refusal` under HTTP's own status.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from typing import NamedTuple, Union

import h11

from ..serving.format import REASONS
from ..serving.requests import Request
from .checks import Refusal

# A name, an IPv4 address or an IPv6 address in brackets; then a port, or none.
_HOST = re.compile(r"(?:(?P<name>[a-z0-9._-]*)|\[(?P<address>[0-9a-f:.]+)\])(?::\d{0,5})?", re.IGNORECASE)

# How long a refused client may take to read why, in seconds.
_LINGER = 3.0

_Event = Union[h11.Event, type[h11.NEED_DATA], type[h11.PAUSED]]


class Limits(NamedTuple):
    """What a client may take of the server: bytes, connections, seconds."""

    head: int = 1 << 16
    body: int = 1 << 25
    connections: int = 256
    # Until the next request begins; until all of it is here; until the client takes some more of the reply.
    idle: float = 60.0
    arrival: float = 20.0
    write: float = 30.0


class ClientLeftError(Exception):
    """The client hung up, or stopped reading: nobody waits for the rest."""


class Connection:
    """Reads requests off `sock` and writes replies to it. Whatever sends raises ClientLeftError when nobody reads.

    `waiting_since` is the time since when no request has been answered on it, None while one is.
    """

    def __init__(self, sock: socket.socket, limits: Limits) -> None:
        self._sock = sock
        self._limits = limits
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.head)
        self._deadline = 0.0
        self._begun = False
        self._without_body = False
        self.waiting_since: float | None = time.monotonic()

    def fileno(self) -> int:
        """Of the socket, for selectors."""
        return self._sock.fileno()

    def own_address(self) -> str:
        """The address that the client connected to."""
        return str(self._sock.getsockname()[0])

    def gone(self) -> bool:
        """Whether the client hung up; asked when the socket is readable."""
        try:
            return self._sock.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            return True

    def next(self) -> Request | None:
        """The next request, None when there will be none. Raises Refusal; nothing but `reply` may follow that."""
        http = self._http
        if http.our_state is h11.DONE and http.their_state is h11.DONE:
            http.start_next_cycle()
        if http.our_state is not h11.IDLE:
            return None
        self._without_body = False
        self._begun = bool(http.trailing_data[0])
        self.waiting_since = time.monotonic()
        self._deadline = self.waiting_since + (self._limits.arrival if self._begun else self._limits.idle)
        try:
            head = self._event()
            if not isinstance(head, h11.Request):
                return None
            request = self._accepted(head)
            body = bytearray()
            while isinstance(part := self._event(), h11.Data):
                body += part.data
                self._refuse_above(len(body))
        except h11.RemoteProtocolError as error:
            raise Refusal(error.error_status_hint, str(error)) from None
        except socket.timeout:
            if not self._begun:
                return None
            raise Refusal(408, "the request took too long to arrive") from None
        request.body = bytes(body)
        self.waiting_since = None
        return request

    def reply(self, status: int, fields: list[tuple[str, str]], body: bytes) -> None:
        """Sends a whole reply."""
        self._send(_head(status, fields), *self._data(body), h11.EndOfMessage())

    def begin(self, status: int, fields: list[tuple[str, str]], first: bytes) -> None:
        """Sends the head of a reply and the first piece of its body."""
        self._send(_head(status, fields), *self._data(first))

    def more(self, piece: bytes) -> None:
        """Sends the next piece, a chunk of its own."""
        self._send(*self._data(piece))

    def end(self) -> None:
        """Ends the reply."""
        self._send(h11.EndOfMessage())

    def linger(self) -> None:
        """Gives the client time to read the last reply: closing on what it still sends would reset the connection."""
        end = time.monotonic() + _LINGER
        self.waiting_since = time.monotonic()
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
            while (left := end - time.monotonic()) > 0:
                self._sock.settimeout(left)
                if not self._sock.recv(1 << 16):
                    break

    def shut(self) -> None:
        """Ends the connection from another thread: the one that serves it finds the client gone."""
        self.waiting_since = None
        # It may not be connected any more.
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def _event(self) -> _Event:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                self._send(h11.InformationalResponse(status_code=100, headers=[], reason=REASONS[100]))
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise socket.timeout
            self._sock.settimeout(left)
            data = self._sock.recv(1 << 16)
            if not self._begun:
                self._begun = True
                self._deadline = time.monotonic() + self._limits.arrival
            self._http.receive_data(data)
        return event

    def _accepted(self, head: h11.Request) -> Request:
        """What h11 lets pass, and the reading of which two servers might not agree on, is refused."""
        request = Request(
            0,
            head.method.decode("ascii"),
            head.target.decode("ascii"),
            [(name.decode("ascii"), value.decode("latin-1")) for name, value in head.headers.raw_items()],
            b"",
        )
        self._without_body = request.method == "HEAD"
        if not head.http_version.startswith(b"1."):
            raise Refusal(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
        coding, length = request.header("Transfer-Encoding"), request.header("Content-Length")
        if coding is not None and (length is not None or head.http_version == b"1.0"):
            raise Refusal(400, "Transfer-Encoding beside Content-Length, or in HTTP/1.0")
        if _HOST.fullmatch(request.header("Host") or "") is None:
            raise Refusal(400, "malformed Host header")
        self._refuse_above(int(length or 0))
        return request

    def _refuse_above(self, size: int) -> None:
        if size > self._limits.body:
            raise Refusal(413, f"the request body is larger than {self._limits.body} bytes")

    def _data(self, piece: bytes) -> list[h11.Event]:
        return [] if self._without_body or not piece else [h11.Data(data=piece)]

    def _send(self, *events: h11.Event) -> None:
        view = memoryview(b"".join(self._http.send(event) or b"" for event in events))
        self._sock.settimeout(self._limits.write)
        try:
            while view:
                view = view[self._sock.send(view) :]
        except OSError as error:
            raise ClientLeftError from error


def host_name(header: str) -> str:
    """The name or address in a Host header, in lower case and without brackets."""
    found = _HOST.fullmatch(header)
    return "" if found is None else (found["name"] or found["address"] or "").lower()


def _head(status: int, fields: list[tuple[str, str]]) -> h11.Response:
    return h11.Response(status_code=status, headers=fields, reason=REASONS.get(status, f"status code {status}"))
