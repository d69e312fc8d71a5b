"""Work that is too long for a model's context, done in halves, and these in halves if need be.

The server says that a prompt is too long (nothing is cut in silence), or that an answer ended for want of room; until
then nobody has to know how many tokens a text has. No I/O of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Callable, Optional, TypeVar

from metagpt_ollama_rs.errors import ContextOverflowError, IncompleteError

__all__ = ["in_halves"]

Result = TypeVar("Result")


def in_halves(
    part: range,
    call: Callable[[range], Result],
    middle_of: Optional[Callable[[range], int]] = None,
    *,
    has_own_limit: bool = False,
) -> Iterator[Result]:
    """What ``call`` returns for ``part``, the numbers of some things, or for each half of them if they are too many for
    the model at once, and so on. ``middle_of`` chooses the number with which the second half begins. ``has_own_limit``
    says that the caller has limited the answers: one that was cut then says nothing of the context.

    >>> def call(part):
    ...     if len(part) > 2:
    ...         raise ContextOverflowError("too long")
    ...     return list(part)
    >>> list(in_halves(range(1, 6), call))
    [[1, 2], [3], [4, 5]]
    """
    try:
        result = call(part)
    except (ContextOverflowError, IncompleteError) as error:
        if len(part) < 2 or (isinstance(error, IncompleteError) and (error.repeated or has_own_limit)):
            raise
    else:
        yield result
        return
    middle = middle_of(part) if middle_of else (part.start + part.stop) // 2
    for half in (range(part.start, middle), range(middle, part.stop)):
        yield from in_halves(half, call, middle_of, has_own_limit=has_own_limit)
