"""What the provider adds to the records of ``metagpt_ollama_rs.stats``: its own errors, and its repairs of answers.

The core makes a record of each call that it carries out, such as ``{"model": "llama3.2", "error": "connect", …}``. It
knows nothing of a request that the provider refuses to send (a wrong setting, an image for a model without vision), and
a reply that is complete is no error to it, though the provider may find no answer in it. Those records are made here.
An error that the client has raised is marked as recorded, so that it gets no second record.

The record of a call is made when its reply ends, before the provider looks for JSON in the answer. What it repairs then
is added to the record afterwards, by the id of the call, which ``aask`` collects with `collect_call_ids`::

    {"id": "71-1787331605104512000", "model": "llama3.2", "error": None, "repaired": "prose, trailing comma", …}
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, Optional, TypeVar, cast

from metagpt.logs import logger

from .. import _core
from ..errors import ConfigurationError, OllamaError
from ..failures import kind_of
from ..payloads import plain_text
from ..switch.reporting import report_error

__all__ = [
    "collect_call_ids",
    "is_recorded",
    "mark_recorded",
    "note_call_id",
    "record_error",
    "record_repairs",
    "recorded_by_client",
    "records_errors",
]

_F = TypeVar("_F", bound=Callable[..., Awaitable[Any]])
_MARK = "_recorded"
_call_ids: ContextVar[Optional[list[str]]] = ContextVar("metagpt_ollama_rs_call_ids", default=None)


@contextlib.contextmanager
def recorded_by_client() -> Iterator[None]:
    """Marks what the client raises in this block as recorded. Every call of the client is made in such a block."""
    try:
        yield
    except OllamaError as error:
        mark_recorded(error)
        raise


@contextlib.contextmanager
def collect_call_ids() -> Iterator[list[str]]:
    """The list of the ids of the calls that are made in this block, by this task and those that it starts.

    Other tasks have blocks of their own. The last id is that of the call that gave the answer, after those that failed
    and were made again; a call that a requestor of the user's carries out has none.
    """
    call_ids: list[str] = []
    token = _call_ids.set(call_ids)
    try:
        yield call_ids
    finally:
        _call_ids.reset(token)


def note_call_id(call_id: str) -> None:
    """Adds the id of a call to the list of the block that it is made in, if it is made in one."""
    call_ids = _call_ids.get()
    if call_ids is not None:
        call_ids.append(call_id)


def record_repairs(
    call_ids: Sequence[str], repairs: Sequence[str], *, model: Optional[str] = None, what: str = "JSON"
) -> None:
    """Adds ``repairs`` to the record of the last of the calls, and says so in the log: an answer that was cut is a
    warning, because its end is missing. Without repairs nothing happens.

    ``call_ids`` are those of `collect_call_ids`, ``repairs`` those of ``json_answers.recover_json`` or, where ``what``
    is ``program``, of ``program_text.find_program_text``.
    """
    if not repairs:
        return
    words = ", ".join(repairs)
    if call_ids:
        _core.stats_repaired(call_ids[-1], words)
    log = logger.warning if "cut" in repairs else logger.info
    log(f"the {what} in the answer of {model or 'the model'} was repaired: {words}")


def mark_recorded(error: OllamaError) -> None:
    """Says that the failure behind ``error`` has a record."""
    setattr(error, _MARK, True)


def is_recorded(error: OllamaError) -> bool:
    """Whether the failure behind ``error`` has a record."""
    return getattr(error, _MARK, False)


def record_error(llm: Any, error: OllamaError, *, streamed: bool, replied: bool) -> None:
    """Makes the record of ``error``, unless it has one.

    ``llm`` is the provider's object, whose constructor may have failed half-way. ``streamed`` says that a stream was
    asked for, ``replied`` that the client was to send the request, so that its own record says that all went well.
    """
    if is_recorded(error):
        return
    mark_recorded(error)
    host = ""
    with contextlib.suppress(OllamaError):
        host = llm._client().base_url
    _core.stats_fail(
        kind_of(error),
        model=plain_text(str(llm.model or ""), "model"),
        host=host,
        endpoint=llm._llama_api_inuse.endpoint.path,
        streamed=streamed,
        status=error.status,
        rejected=replied and not isinstance(error, ConfigurationError),
    )


def records_errors(*, streamed: bool) -> Callable[[_F], _F]:
    """A decorator for the provider's methods that ask the server: makes the record of what they raise."""

    def wrap(method: _F) -> _F:
        @functools.wraps(method)
        async def call(llm: Any, *arguments: Any, **keywords: Any) -> Any:
            try:
                return await method(llm, *arguments, **keywords)
            except OllamaError as error:
                llm._record(error, streamed=streamed)
                report_error(error)
                raise

        return cast("_F", call)

    return wrap
