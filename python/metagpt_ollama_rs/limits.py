"""How long the clients wait, and how often they ask again: the settings, and what the core takes them as."""

from __future__ import annotations

import operator
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from metagpt_ollama_rs._core import DEFAULT_LIMITS, DEFAULT_RETRIES
from metagpt_ollama_rs.errors import ConfigurationError
from metagpt_ollama_rs.payloads import header_pairs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta
    from typing import Optional, Protocol, Union

    Limits = tuple[Optional[float], Optional[float], Optional[float], Optional[float]]
    Retries = tuple[int, float, float, float]
    CallSettings = tuple[Optional[Limits], Optional[Retries], Optional[list[tuple[str, str]]]]

    class HttpxTimeout(Protocol):
        """The four limits of ``httpx.Timeout``."""

        connect: float | None
        read: float | None
        write: float | None
        pool: float | None

    TimeoutLike = Union[float, timedelta, "Timeout", HttpxTimeout, tuple[Optional[float], ...], None]


# What holds unless somebody says otherwise stands in ``src/http/policy.rs``, once.
_CONNECT, _FIRST_TOKEN, _IDLE, _TOTAL = DEFAULT_LIMITS
_RETRIES, _FIRST_WAIT, _BUDGET, _RETRY_AFTER = DEFAULT_RETRIES


class Timeout(NamedTuple):
    """Four limits in seconds; None is no limit.

    ``connect`` bounds the making of a connection; ``first_token`` the wait from then on to the first byte of the
    reply, while the server queues, loads the model and reads the prompt; ``idle`` each later pause; ``total``
    everything together. What only keeps a connection open (blank lines, comments of event streams) is no reply.

    >>> Timeout(idle=30)
    Timeout(connect=5.0, first_token=600.0, idle=30, total=None)
    """

    connect: float | None = _CONNECT
    first_token: float | None = _FIRST_TOKEN
    idle: float | None = _IDLE
    total: float | None = _TOTAL


class Retry(NamedTuple):
    """When a request is sent again: the server refused or dropped the connection before it replied, or answered 502,
    503, 504 or 429. Only before the first byte of an answer, never after a time limit ran out.

    ``retries`` is the number of tries after the first one; ``first`` the first wait in seconds, give or take a
    quarter (the next waits grow fourfold, up to a second); no retry begins later than ``budget`` seconds after the
    request. A server that names a time (``Retry-After``) gets its way, beyond the budget, if it is at most
    ``retry_after`` seconds; if it is longer there is no retry. The ``total`` time limit bounds all of it.

    A server that is down so costs about one second. MetaGPT tries three times itself.

    Apart from this, a kept connection that turns out to be dead is replaced at once, for requests that may be sent
    twice. Those that change something (create, copy, delete) are never sent again once the server may have got them.

    A pull or push that breaks off goes on: its request is sent again ``retries`` times, counted anew whenever it has
    come further, and five times ``first`` is the first wait (the next ones grow fivefold, up to 30 seconds). It has no
    ``budget``.

    >>> Retry(retries=5)
    Retry(retries=5, first=0.2, budget=3.0, retry_after=10.0)
    """

    retries: int = _RETRIES
    first: float = _FIRST_WAIT
    budget: float = _BUDGET
    retry_after: float = _RETRY_AFTER


def read_timeout(timeout: TimeoutLike) -> Limits | None:
    """The argument ``timeout`` of a client or a call as the core takes it: connecting, first token, pause, total.

    A single number bounds the wait for the first token and each pause, never a healthy stream as a whole.

    >>> read_timeout(30)
    (5.0, 30.0, 30.0, None)
    """
    if timeout is None:
        return None
    if isinstance(timeout, Timeout):
        connect, first_token, idle, total = (
            _seconds(value, f"timeout.{name}") for name, value in zip(Timeout._fields, timeout)
        )
        return (connect, first_token, idle, total)
    if isinstance(timeout, tuple) and len(timeout) in (2, 3, 4):
        # As httpx takes it: connecting, reading, writing, waiting for a place in its pool.
        connect, read = (_seconds(value, f"timeout[{index}]") for index, value in enumerate(timeout[:2]))
        return (connect, read, read, None)
    if all(hasattr(timeout, name) for name in ("connect", "read", "write", "pool")):
        # What httpx calls reading is the wait for each piece of a reply. Requests here wait for no place in a pool.
        read = _seconds(timeout.read, "timeout.read")  # type: ignore[union-attr]
        return (_seconds(timeout.connect, "timeout.connect"), read, read, None)  # type: ignore[union-attr]
    seconds = cast("float", _seconds(timeout, "timeout"))
    connect = seconds if _CONNECT is None else min(seconds, _CONNECT)
    return (connect, seconds, seconds, None)


def _seconds(value: Any, where: str) -> float | None:
    from datetime import timedelta

    if value is None:
        return None
    given = value.total_seconds() if isinstance(value, timedelta) else value
    try:
        # A text has no __float__, and True is a number to Python.
        seconds = float(given) if hasattr(given, "__float__") and given is not True else 0.0
    except (OverflowError, TypeError, ValueError):
        seconds = 0.0
    if not 0 < seconds < _LONGEST:
        raise ConfigurationError(
            f"{where} must be a positive number of seconds, and is {value!r:.60}",
            hint="give a number, a timedelta or a Timeout; in a Timeout, None is no limit",
        )
    return seconds


def read_settings(
    timeout: TimeoutLike = None, retries: int | Retry | None = None, headers: Mapping[str, str] | None = None
) -> CallSettings | None:
    """The arguments ``timeout``, ``retries`` and ``headers`` of a call as the core takes them; None if none is given.

    The first two replace those of the client. Headers are sent beside the client's, in the place of those of the same
    names.

    >>> read_settings(30, 0, {"X-Team": "a"})
    ((5.0, 30.0, 30.0, None), (0, 0.2, 3.0, 10.0), [('X-Team', 'a')])
    >>> read_settings(None, headers={})
    """
    if timeout is None and retries is None and not headers:
        return None
    return (read_timeout(timeout), read_retries(retries), header_pairs(headers) if headers else None)


def read_retries(retries: int | Retry | None) -> Retries | None:
    """The argument ``retries`` of a client as the core takes it: a number, and three numbers of seconds.

    >>> read_retries(5)
    (5, 0.2, 3.0, 10.0)
    """
    if retries is None:
        return None
    policy = retries if isinstance(retries, Retry) else Retry(retries)
    count = whole_number("retries", policy.retries, 0)
    waits = (policy.first, policy.budget, policy.retry_after)
    for name, seconds in zip(Retry._fields[1:], waits):
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds >= 0:
            raise ConfigurationError(f"{name} of the retries must be a number of seconds, and is {seconds!r:.60}")
    first, budget, retry_after = (min(float(min(seconds, _LONGEST)), _LONGEST) for seconds in waits)
    return (min(count, 2**32 - 1), first, budget, retry_after)


def read_size(name: str, value: Any) -> int | None:
    """The argument ``name``, a number of bytes, as the core takes it; one that is beyond all memory is no limit."""
    return None if value is None else min(whole_number(name, value, 1), sys.maxsize)


# As many seconds as the core can count, and more than anybody waits.
_LONGEST = 1e19


def whole_number(name: str, value: Any, least: int) -> int:
    """``value``, if it is a whole number from ``least`` on; raises ConfigurationError otherwise.

    >>> whole_number("max_line", 1024, 1)
    1024
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least or isinstance(value, bool):
        raise ConfigurationError(f"{name} must be a whole number from {least} on, and is {value!r:.60}")
    return number


__all__ = ["Retry", "Timeout", "read_retries", "read_settings", "read_size", "read_timeout", "whole_number"]
