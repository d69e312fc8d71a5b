"""Work that is too long for a model's context, done in halves, and these in halves if need be.

The server says that a prompt is too long (nothing is cut in silence), or that an answer ended for want of room; until
then nobody has to know how many tokens a text has. No I/O of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Callable, Optional, TypeVar

from metagpt_ollama_rs.errors import ContextOverflowError, IncompleteError

if TYPE_CHECKING:
    from metagpt_ollama_rs.slc.calls import ToolOptions

__all__ = ["in_halves"]

Result = TypeVar("Result")


def in_halves(
    part: range,
    call: Callable[[range], Result],
    options: ToolOptions,
    middle_of: Optional[Callable[[range], int]] = None,
) -> Iterator[Result]:
    """What ``call`` returns for ``part``, the numbers of some things, or for each half of them if they are too many for
    the model at once, and so on. ``middle_of`` chooses the number with which the second half begins. Where ``options``,
    with which ``call`` asks, limit the answers (``num_predict``), one that was cut says nothing of the context.

    >>> def call(part):
    ...     if len(part) > 2:
    ...         raise ContextOverflowError("too long")
    ...     return list(part)
    >>> list(in_halves(range(1, 6), call, {}))
    [[1, 2], [3], [4, 5]]
    """
    limits_answers = "num_predict" in (options.get("options") or {})
    try:
        result = call(part)
    except (ContextOverflowError, IncompleteError) as error:
        if len(part) < 2 or (isinstance(error, IncompleteError) and (error.repeated or limits_answers)):
            raise
    else:
        yield result
        return
    middle = middle_of(part) if middle_of else (part.start + part.stop) // 2
    for half in (range(part.start, middle), range(middle, part.stop)):
        yield from in_halves(half, call, options, middle_of)
