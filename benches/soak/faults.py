"""What the server does to a good answer, and what the client must say of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from benches.soak.orders import Order
from metagpt_ollama_rs import errors
from metagpt_ollama_rs.testing import Reply, faults

BROKEN = (errors.StreamError, errors.ProtocolError, errors.ConnectError)


@dataclass(frozen=True)
class Fault:
    """`change` makes the faulty reply of a good one. The call must raise one of `raises`, or succeed if it is empty.

    `needs` is what a reply must have for it: "lines" (a stream), "body" (any content), or nothing.
    """

    change: Callable[[Reply, Order], Reply]
    raises: tuple[type[Exception], ...] = ()
    needs: str = ""


def middle(reply: Reply) -> int:
    """An offset in the middle of the body."""
    return reply.head_length + (len(reply.data) - reply.head_length) // 2


def with_line(reply: Reply, line: bytes) -> Reply:
    """The reply with `line` as a chunk in the place of its middle one, and nothing after it but the end."""
    kept = reply.pieces[: max(1, len(reply.pieces) // 2)]
    return replace(reply, pieces=(*kept, b"%x\r\n%s\r\n" % (len(line), line), b"0\r\n\r\n"))


FAULTS: dict[str, Fault] = {
    "none": Fault(lambda reply, order: reply),
    # At odd bytes: in the middle of lines, of characters and of chunk sizes.
    "split": Fault(lambda reply, order: reply.every(3 + 2 * (order.number % 40))),
    "slow": Fault(lambda reply, order: reply.slowly(0.001 + order.number % 5 / 1000, pause=order.number % 7 / 1000)),
    "close": Fault(lambda reply, order: reply.then("close")),
    # To the same path with a query, where the good answer is.
    "redirect": Fault(lambda reply, order: reply),
    "cut": Fault(lambda reply, order: faults.close_after(reply, middle(reply)), BROKEN, "body"),
    "cut-head": Fault(lambda reply, order: faults.close_after(reply, reply.head_length // 2), BROKEN, "body"),
    "reset": Fault(lambda reply, order: faults.reset_after(reply, middle(reply)), BROKEN, "body"),
    # 503 for the first time, then the good answer, in the server.
    "flaky": Fault(lambda reply, order: reply),
    "drop": Fault(lambda reply, order: faults.close_at_once(), BROKEN),
    "malformed": Fault(
        lambda reply, order: with_line(reply, b'{"message": nonsense}\n'), (errors.DecodeError,), "lines"
    ),
    "error-line": Fault(
        lambda reply, order: with_line(reply, b'{"error":"out of memory"}\n'), (errors.MidStreamError,), "lines"
    ),
    "unfinished": Fault(lambda reply, order: with_line(reply, b"\n"), (errors.IncompleteError,), "lines"),
    "400": Fault(lambda reply, order: Reply.error("bad option", 400), (errors.BadRequestError,)),
    "404": Fault(lambda reply, order: Reply.error("model 'm' not found", 404), (errors.ModelNotFoundError,)),
    "429": Fault(lambda reply, order: Reply.error("slow down", 429), (errors.RateLimitError,)),
    "500": Fault(lambda reply, order: Reply.error("out of luck", 500), (errors.ServerError,)),
    "503": Fault(lambda reply, order: Reply.error("server busy", 503), (errors.ServerBusyError,)),
    # One after the other, whatever no client may take for an answer.
    "any-malformed": Fault(
        lambda reply, order: list(faults.MALFORMED.values())[order.number % len(faults.MALFORMED)](),
        (errors.OllamaError,),
        "body",
    ),
    # A few pieces, or none, and then silence: for calls that are given up.
    "hang": Fault(lambda reply, order: faults.hang_after(reply, middle(reply) if order.number % 2 else 0)),
}
