"""Embeddings as one block of 32-bit floats, and how a batch of inputs is asked for.

`Vectors` lends its memory to NumPy and to everything else that reads ``__array_interface__`` or a memoryview; nothing
here imports NumPy. The rest is what both clients share: the check that each input has its vector, and the search for
the one input for which the server refused a whole batch.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from metagpt_ollama_rs import _core
from metagpt_ollama_rs._core import excerpt
from metagpt_ollama_rs.errors import BadInputError, ModelNotFoundError, OllamaError, ProtocolError, ResponseError
from metagpt_ollama_rs.failures import UNUSABLE_VECTORS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    Payload = Mapping[str, Any]

# An input that every embedding model takes.
_HARMLESS = "a"


class Vectors:
    """``n`` vectors of ``d`` 32-bit floats, row after row in one block of memory, in the order of the inputs.

    Each float is the one nearest to the decimal number of the reply. ``numpy.asarray(vectors)`` is an (n, d) array
    over the same memory, without a copy and writable. ``vectors[i]`` is row ``i``, a memoryview over that memory.

    Attributes:
        shape: ``(n, d)``; ``(0, 0)`` if there are no vectors.

    >>> from metagpt_ollama_rs import Client
    >>> from metagpt_ollama_rs.testing import ScriptedServer
    >>> with ScriptedServer() as server:
    ...     server.answer(dimensions=3)
    ...     vectors = Client(server.url).embed_array("nomic-embed-text", ["one text", "another"])
    >>> vectors.shape, len(vectors[0]), vectors.model
    ((2, 3), 3, 'nomic-embed-text')
    """

    __slots__ = ("_floats", "_record", "shape")
    shape: tuple[int, int]

    def __init__(self, data: bytearray, rows: int, width: int, record: dict[str, Any]) -> None:
        # The views of a bytearray keep it from being resized, and so every pointer into it valid.
        self._floats = memoryview(data).cast("f")
        self.shape = (rows, width)
        self._record = record

    @property
    def view(self) -> memoryview[float]:
        """The memory as a two-dimensional memoryview of format ``f``. One-dimensional if it is empty, because
        memoryviews know no dimension of 0."""
        return self._floats.cast("B").cast("f", self.shape) if self._floats else self._floats

    @property
    def __array_interface__(self) -> dict[str, Any]:
        order = "<" if sys.byteorder == "little" else ">"
        return {"version": 3, "shape": self.shape, "typestr": f"{order}f4", "data": self._floats.cast("B")}

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, row: int) -> memoryview[float]:
        rows, width = self.shape
        at = row + rows if row < 0 else row
        if not 0 <= at < rows:
            raise IndexError(f"row {row} of {rows}")
        return self._floats[at * width : (at + 1) * width]

    def __iter__(self) -> Iterator[memoryview[float]]:
        return (self[row] for row in range(len(self)))

    def tolist(self) -> list[list[float]]:
        """A list of lists of Python floats, each exactly the 32-bit float."""
        rows: list[Any] = [row.tolist() for row in self]
        return rows

    @property
    def model(self) -> str | None:
        """The model that made the vectors, as the server names it."""
        return self._record.get("model")

    @property
    def prompt_tokens(self) -> int | None:
        """Tokens of all inputs together; None if the server did not say."""
        return self._record.get("prompt_eval_count")

    @property
    def total_duration(self) -> int | None:
        """Nanoseconds for everything; None if the server did not say."""
        return self._record.get("total_duration")

    @property
    def load_duration(self) -> int | None:
        """Nanoseconds for loading the model; None if the server did not say."""
        return self._record.get("load_duration")

    @property
    def load_seconds(self) -> float | None:
        """`load_duration` in seconds."""
        return None if self.load_duration is None else self.load_duration / 1e9

    def __repr__(self) -> str:
        return f"Vectors(shape={self.shape}, model={self.model!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (bytearray(self._floats), *self.shape, self._record))


def check_count(found: int, payload: Payload) -> None:
    """Raises ProtocolError unless there are ``found`` inputs in ``payload``."""
    texts = payload.get("input", "")
    # The empty text only loads the model.
    wanted = min(found, 1) if texts == "" else 1 if isinstance(texts, str) else len(texts)
    if found != wanted:
        raise ProtocolError(
            f"the server sent {found} vectors for {wanted} inputs",
            hint="update Ollama, or whatever answers in its place; no vector can be told from another now",
            model=payload.get("model"),
        )


def make_vectors(found: tuple[bytearray, int, int, dict[str, Any]], payload: Payload) -> Vectors:
    """The vectors of a reply to ``payload`` as the core gives them; raises ProtocolError unless each input has one."""
    vectors = Vectors(*found)
    check_count(len(vectors), payload)
    return vectors


def check_embeddings(reply: Any, payload: Payload) -> None:
    """Raises ProtocolError for a whole reply of either endpoint that has not the vectors that were asked for."""
    if "input" in payload:
        check_vectors(reply.embeddings, payload)
    else:
        check_vector(reply, payload)


def check_vectors(vectors: Any, payload: Payload) -> None:
    """Raises ProtocolError unless ``vectors`` are lists of finite numbers, all as long, one for each input."""
    _check_numbers([] if vectors is None else vectors, payload)
    check_count(len(vectors or ()), payload)


def check_vector(reply: Any, payload: Payload) -> None:
    """Raises ProtocolError unless a reply of ``/api/embeddings`` has one vector; none for an empty prompt."""
    if "embedding" not in reply:
        raise ProtocolError("the server's reply has no 'embedding'", hint=UNUSABLE_VECTORS, model=payload.get("model"))
    vector = reply["embedding"]
    if payload.get("prompt") or not (vector is None or vector == []):
        _check_numbers([vector], payload)


def _check_numbers(vectors: Any, payload: Payload) -> None:
    fault = _core.vectors_fault(vectors)
    if fault:
        raise ProtocolError(
            f"the server sent no usable vectors: {fault}", hint=UNUSABLE_VECTORS, model=payload.get("model"), status=200
        )


async def send_batch(send: Callable[[Payload], Awaitable[Any]], payload: Payload) -> Any:
    """What ``send(payload)`` gives; raises BadInputError where one input of the list made the server refuse all."""
    try:
        return await send(payload)
    except ResponseError as refusal:
        if not _may_concern_an_input(refusal, payload):
            raise
        blamed = await _find_bad_input(send, refusal, payload)
        if blamed is refusal:
            raise
        raise blamed from refusal


def send_batch_blocking(send: Callable[[Payload], Any], payload: Payload) -> Any:
    """As `send_batch`, for a thread that waits in ``send``."""

    async def send_and_wait(attempt: Payload) -> Any:
        return send(attempt)

    sending = send_batch(send_and_wait, payload)
    try:
        sending.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("a coroutine that awaits nothing has awaited something")


def _may_concern_an_input(error: OllamaError | None, payload: Payload) -> bool:
    """Text that is too long is a 400, text that breaks the runner a 500 (docs/wire.md#9-embeddings)."""
    return (
        isinstance(error, ResponseError)
        and not isinstance(error, ModelNotFoundError)
        and error.status in (400, 500)
        and isinstance(payload["input"], list)
        and bool(payload["input"])
    )


async def _find_bad_input(
    send: Callable[[Payload], Awaitable[Any]], refusal: ResponseError, payload: Payload
) -> OllamaError:
    """Searches for the input for which the server refused all of them, and returns what to raise.

    That is a BadInputError if one input alone is refused while a harmless one is not, and else ``refusal`` itself.
    Takes at most ``log2(n) + 2`` tries. Of several bad inputs it finds the first or another one of them.
    """

    async def failure_of(inputs: list[Any]) -> OllamaError | None:
        try:
            await send({**payload, "input": inputs})
        except OllamaError as error:
            return error
        return None

    if await failure_of([_HARMLESS]) is not None:
        return refusal
    texts = payload["input"]
    low, high = 0, len(texts)
    alone = high == 1
    blamed: OllamaError = refusal
    while not alone:
        # One input is tried again, because the batch may have failed for being a batch.
        middle = (low + high) // 2 if high - low > 1 else high
        failure = await failure_of(texts[low:middle])
        if failure is not None and not _may_concern_an_input(failure, payload):
            return refusal
        alone = failure is not None and middle - low == 1
        if failure is not None:
            high, blamed = middle, failure
        elif middle == high:
            return refusal
        else:
            low = middle
    text = texts[low]
    length = len(text) if isinstance(text, str) else None
    size = "" if length is None else f" ({length:,} characters)"
    words = blamed.error if isinstance(blamed, ResponseError) and blamed.error else blamed.message
    error = BadInputError(
        f"input {low} of {len(texts)}{size} cannot be embedded: {excerpt(words, 600)}",
        hint="leave this input out or change it, and send the others again"
        if "context length" not in words
        else "cut this input into shorter pieces, or leave truncate unset so that the server cuts it",
        url=blamed.url,
        model=blamed.model,
        status=blamed.status,
    )
    error.index, error.length = low, length
    error.error, error.body = words, getattr(blamed, "body", b"")
    return error


__all__ = ["Vectors"]
