"""Records of the errors that the provider raises by itself, so that none is missing in ``metagpt_ollama_rs.stats``.

The core makes a record of each call that it carries out. It knows nothing of a request that the provider refuses to
send (a setting, an image for a model without vision), and takes a reply for good that the provider doesn't take for an
answer. An error that comes out of the client is marked, so that it isn't recorded twice.
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

__all__ = ["is_recorded", "mark_recorded", "record_error", "recorded_by_client", "records_errors"]

_F = TypeVar("_F", bound=Callable[..., Awaitable[Any]])
_MARK = "_recorded"


@contextlib.contextmanager
def recorded_by_client() -> Iterator[None]:
    """To be around whatever the client does: its errors have a record."""
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
    """Makes the record of ``error`` unless it has one. ``replied``: the client's call itself went well, if it was made.

    ``llm`` may be half made. Nothing is raised but what a log of warnings may raise.
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
    """For a provider's method that asks the server: what it raises has a record."""

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
