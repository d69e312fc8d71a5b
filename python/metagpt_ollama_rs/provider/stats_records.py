"""Records of the errors that the provider raises by itself, so that none is missing in ``metagpt_ollama_rs.stats``.

The core makes a record of each call that it carries out, such as ``{"model": "llama3.2", "error": "connect", …}``. It
knows nothing of a request that the provider refuses to send (a wrong setting, an image for a model without vision), and
a reply that is complete is no error to it, though the provider may find no answer in it. Those records are made here.
An error that the client has raised is marked as recorded, so that it gets no second record.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar, cast

from .. import _core
from ..errors import ConfigurationError, OllamaError
from ..failures import kind_of
from ..payloads import plain_text
from ..switch.reporting import report_error

__all__ = ["is_recorded", "mark_recorded", "record_error", "record_repairs", "recorded_by_client", "records_errors"]

_F = TypeVar("_F", bound=Callable[..., Awaitable[Any]])
_MARK = "_recorded"


@contextlib.contextmanager
def recorded_by_client() -> Iterator[None]:
    """Marks what the client raises in this block as recorded. Every call of the client is made in such a block."""
    try:
        yield
    except OllamaError as error:
        mark_recorded(error)
        raise


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


def record_repairs(llm: Any, repairs: tuple[str, ...]) -> None:
    """Adds what was repaired in the answer of a call to its record."""
