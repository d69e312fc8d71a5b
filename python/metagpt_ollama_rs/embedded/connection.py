"""One client's connection. h11 has HTTP's grammar and its state machine; the socket, time limits and sizes are here.

A request that breaks HTTP's rules (two lengths, a malformed Host, a head without an end) raises `Refusal` with the
status that HTTP has for it.
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

# The value of a Host header: a name, an IPv4 address or an IPv6 address in brackets; then a port, or none.
_HOST = re.compile(r"(?:(?P<name>[a-z0-9._-]*)|\[(?P<address>[0-9a-f:.]+)\])(?::\d{0,5})?", re.IGNORECASE)

# Seconds that a refused client gets to read the refusal before the connection is closed.
_CLOSE_WAIT_SECONDS = 3.0

_Event = Union[h11.Event, type[h11.NEED_DATA], type[h11.PAUSED]]


class Limits(NamedTuple):
    """How much one client may use: bytes of a head and of a body, connections of all clients together, seconds.

    >>> Limits(idle=5.0).body
    33554432
    """

    head: int = 1 << 16
    body: int = 1 << 25
    connections: int = 256
    # Seconds until the next request begins, until all of it has arrived, until a write to the client makes progress.
    idle: float = 60.0
    arrival: float = 20.0
    write: float = 30.0


class ClientLeftError(Exception):
    """The client hung up, or stopped reading, so that the rest of the reply cannot be sent."""


class Connection:
    """Reads requests from `sock` and writes replies to it. Every method that sends raises `ClientLeftError`.

    `waiting_since` is the monotonic time at which the wait for the next request began; None while one is answered.
    """

    def __init__(self, sock: socket.socket, limits: Limits) -> None:
        self._sock = sock
        self._limits = limits
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.head)
        self._deadline = 0.0
        self._request_begun = False
        self._without_body = False
        self.waiting_since: float | None = time.monotonic()

    def fileno(self) -> int:
        """The socket's file descriptor, so that a selector can watch the connection."""
        return self._sock.fileno()

    def own_address(self) -> str:
        """The address that the client connected to."""
        return str(self._sock.getsockname()[0])

    def hung_up(self) -> bool:
        """Whether the client hung up. To be asked when the socket is readable, else the answer would be waited for."""
        try:
            return self._sock.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            return True

    def next(self) -> Request | None:
        """The next request; None when the connection is at its end.

        Raises `Refusal` for one that cannot be accepted: then `reply` may still be called, and nothing else.
        """
        http = self._http
        if http.our_state is h11.DONE and http.their_state is h11.DONE:
            http.start_next_cycle()
        if http.our_state is not h11.IDLE:
            return None
        self._without_body = False
        self._request_begun = bool(http.trailing_data[0])
        self.waiting_since = time.monotonic()
        self._deadline = self.waiting_since + (self._limits.arrival if self._request_begun else self._limits.idle)
        try:
            head = self._next_event()
            if not isinstance(head, h11.Request):
                return None
            request = self._checked_request(head)
            body = bytearray()
            while isinstance(part := self._next_event(), h11.Data):
                body += part.data
                self._refuse_larger_body(len(body))
        except h11.RemoteProtocolError as error:
            raise Refusal(error.error_status_hint, str(error)) from None
        except socket.timeout:
            if not self._request_begun:
                return None
            raise Refusal(408, "the request took too long to arrive") from None
        request.body = bytes(body)
        self.waiting_since = None
        return request

    def reply(self, status: int, fields: list[tuple[str, str]], body: bytes) -> None:
        """Sends a whole reply."""
        self._send(_head(status, fields), *self._data(body), h11.EndOfMessage())

    def start_reply(self, status: int, fields: list[tuple[str, str]], first: bytes) -> None:
        """Sends the head of a reply and the first piece of its body."""
        self._send(_head(status, fields), *self._data(first))

    def send_piece(self, piece: bytes) -> None:
        """Sends the next piece of the body, as one chunk."""
        self._send(*self._data(piece))

    def end_reply(self) -> None:
        """Ends the reply."""
        self._send(h11.EndOfMessage())

    def wait_for_close(self) -> None:
        """Waits, for a few seconds at most, until the client closes the connection.

        To close it while the client still sends would reset it, and the client might lose the last reply.
        """
        deadline = time.monotonic() + _CLOSE_WAIT_SECONDS
        self.waiting_since = time.monotonic()
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
            while (seconds_left := deadline - time.monotonic()) > 0:
                self._sock.settimeout(seconds_left)
                if not self._sock.recv(1 << 16):
                    break

    def shut_down(self) -> None:
        """Ends the connection from another thread: the thread that serves it then sees it as closed by the client."""
        self.waiting_since = None
        # Shutting down a socket that is not connected any more is an error.
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def _next_event(self) -> _Event:
        """The next part of a request. Raises `socket.timeout` when it does not come in time."""
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                self._send(h11.InformationalResponse(status_code=100, headers=[], reason=REASONS[100]))
            seconds_left = self._deadline - time.monotonic()
            if seconds_left <= 0:
                raise socket.timeout
            self._sock.settimeout(seconds_left)
            data = self._sock.recv(1 << 16)
            if not self._request_begun:
                self._request_begun = True
                self._deadline = time.monotonic() + self._limits.arrival
            self._http.receive_data(data)
        return event

    def _checked_request(self, head: h11.Request) -> Request:
        """The request with this head. Refuses heads that h11 accepts but two servers might read differently."""
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
        self._refuse_larger_body(int(length or 0))
        return request

    def _refuse_larger_body(self, size: int) -> None:
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
    """The name or address in a Host header, in lower case and without brackets; "" where it has none.

    >>> host_name("LocalHost:11434"), host_name("[::1]:80")
    ('localhost', '::1')
    """
    found = _HOST.fullmatch(header)
    return "" if found is None else (found["name"] or found["address"] or "").lower()


def _head(status: int, fields: list[tuple[str, str]]) -> h11.Response:
    return h11.Response(status_code=status, headers=fields, reason=REASONS.get(status, f"status code {status}"))
