"""Threads and event loops that make calls at random and check what comes back.

A `Plan` is one call: its kind, its order, how it is made (`Manner`) and by which client. Whoever makes it notes what it
has got in a `Result`, and `fault_of` says what is wrong with that, if something is.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Union

from benches.soak.faults import FAULTS
from benches.soak.kinds import KINDS, Kind
from benches.soak.orders import Order
from metagpt_ollama_rs import AsyncClient, Client, Retry, errors

AnyClient = Union[AsyncClient, Client]

# How a call is made, and how often: read to its end; left by `break`; forgotten half-read, in a cycle; given up by a
# time limit of ours; on event loops also read in batches, and given up by asyncio's cancellation or time limit.
BLOCKING_MANNERS = {"whole": 8, "stream": 8, "break": 2, "forget": 2, "timeout": 1}
ASYNC_MANNERS = {**BLOCKING_MANNERS, "batches": 4, "cancel": 2, "wait_for": 1}
GIVEN_UP = ("timeout", "cancel", "wait_for")
LEFT = ("break", "forget")
LANES = ("direct", "general")
# So long a call may take that is given up by a time limit, in seconds.
LIMIT = 0.03


@dataclass(frozen=True)
class Plan:
    kind: Kind
    order: Order
    manner: str
    # After so many pieces the stream is left.
    leave_after: int = 0

    @property
    def is_streamed(self) -> bool:
        return self.kind.piece is not None and (self.manner != "whole" or self.kind.is_right is None)

    def arguments(self) -> dict[str, Any]:
        arguments = self.kind.arguments(self.order)
        if self.is_streamed and self.kind.is_right is not None:
            arguments["stream"] = True
        if self.manner == "timeout":
            arguments["timeout"] = LIMIT
        if self.order.fault == "flaky":
            arguments["retries"] = Retry(2, first=0.001)
        return arguments

    def __str__(self) -> str:
        return f"{self.kind.method} ({self.manner}) of {self.order.model}"


@dataclass
class Result:
    pieces: list[str] = field(default_factory=list)
    reply: Any = None
    error: BaseException | None = None


@dataclass
class Tally:
    """What the callers have done: counts by name, and what was wrong."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, plan: Plan, result: Result, lane: str) -> None:
        complaint, fault = fault_of(plan, result), plan.order.fault
        with self.lock:
            if complaint is not None:
                self.wrong.append(f"{plan} over the {lane} lane: {complaint}")
            self.counts["calls"] += 1
            self.counts["answers checked"] += result.error is None
            self.counts["given up"] += plan.manner in GIVEN_UP or plan.manner in LEFT
            self.counts[f"kind {plan.kind.method}"] += 1
            if fault not in ("none", "hang"):
                self.counts["faults"] += 1
                self.counts[f"fault {fault}"] += 1


def fault_of(plan: Plan, result: Result) -> str | None:
    """What is wrong with a result; None if nothing is."""
    expected = plan.kind.pieces(plan.order)
    # The replies that no client may take have texts of their own.
    has_own_text = plan.order.fault == "any-malformed"
    if plan.is_streamed and not has_own_text and result.pieces != expected[: len(result.pieces)]:
        return f"pieces {result.pieces!r} instead of {expected!r}"
    error = result.error
    if plan.manner in GIVEN_UP:
        wanted: tuple[type[BaseException], ...] = {
            "timeout": (errors.RequestTimeout,),
            "cancel": (asyncio.CancelledError,),
            "wait_for": (asyncio.TimeoutError,),
        }[plan.manner]
        return None if isinstance(error, wanted) else f"{error!r} instead of {wanted}"
    if plan.kind.changes and isinstance(error, errors.ConnectError):
        return None
    raises = FAULTS[plan.order.fault].raises
    if raises:
        if not isinstance(error, raises):
            return f"{error!r} instead of {raises}"
        partial = getattr(error, "partial", "")
        read = "".join(result.pieces)
        if plan.is_streamed and partial and not partial.startswith(read):
            return f"the error's partial text {partial!r} does not begin with what was read, {read!r}"
        return None
    if error is not None:
        return f"{error!r} instead of an answer"
    if plan.is_streamed:
        count = plan.leave_after if plan.manner in LEFT else len(expected)
        return None if len(result.pieces) == count else f"{len(result.pieces)} pieces instead of {count}"
    if plan.kind.is_right is not None and not plan.kind.is_right(result.reply, plan.order):
        return f"{result.reply!r}"
    return None


class Planner:
    """Makes plans at random. The numbers of its orders are its own: `first`, `first + step`, …"""

    def __init__(self, seed: str, first: int, step: int) -> None:
        self.random = random.Random(seed)
        self._numbers: Iterator[int] = itertools.count(first, step)

    def plan(self, manners: dict[str, int]) -> Plan:
        choose = self.random
        kind = choose.choice(KINDS)
        manner = choose.choices([*manners], [*manners.values()])[0]
        if manner in (*GIVEN_UP, *LEFT, "batches") and kind.method not in ("chat", "generate"):
            manner = "stream"
        words = choose.choice((1, 2, 5, 12, 40))
        # Now and then a line that many reads of the socket bring.
        filler = choose.choices((0, 300, 3_000, 150_000 // words), (20, 3, 1, 1))[0]
        number = next(self._numbers)
        if manner in GIVEN_UP:
            return Plan(kind, Order(number, "hang", words), manner)
        if manner in LEFT:
            fault = choose.choice(("none", "slow", "split"))
            return Plan(kind, Order(number, fault, words, filler), manner, choose.randint(1, words))
        plan = Plan(kind, Order(number, "none", words, filler), manner)
        faults = kind.stream_faults if plan.is_streamed else kind.faults
        if choose.random() < 0.5 and kind.has_order:
            fault = choose.choice(faults)
            if kind.method in ("chat", "generate") and choose.random() < 0.05:
                fault = "flaky"
            # What is cut into small pieces, or broken in the middle, need not be long for that.
            plan = Plan(kind, Order(number, fault, words), manner)
        return plan


def call_blocking(client: Client, plan: Plan) -> Result:
    result = Result()
    method = getattr(client, plan.kind.method)
    try:
        if plan.kind.method == "stream_text":
            result.reply = method(**plan.arguments(), on_text=result.pieces.append)
        elif plan.is_streamed:
            stream = method(**plan.arguments())
            for item in stream:
                result.pieces.append(plan.kind.piece(item))
                if len(result.pieces) == plan.leave_after:
                    forget(stream, plan)
                    break
        else:
            result.reply = method(**plan.arguments())
    except Exception as error:
        result.error = error
    return result


async def call(client: AsyncClient, plan: Plan, choose: random.Random) -> Result:
    result = Result()
    task = asyncio.ensure_future(run(client, plan, result))
    try:
        if plan.manner == "cancel":
            await asyncio.sleep(choose.choice((0, 0, 0.001, 0.005, 0.02)))
            task.cancel()
        if plan.manner == "wait_for":
            await asyncio.wait_for(task, LIMIT)
        else:
            await task
    except (Exception, asyncio.CancelledError) as error:
        result.error = error
    return result


async def run(client: AsyncClient, plan: Plan, result: Result) -> None:
    method, piece = getattr(client, plan.kind.method), plan.kind.piece
    if plan.kind.method == "stream_text":
        result.reply = await method(**plan.arguments(), on_text=result.pieces.append)
    elif plan.kind.method == "stream_lines":
        async for line in method(**plan.arguments()):
            result.pieces.append(piece(line))
    elif plan.manner == "batches":
        async for batch in (await method(**plan.arguments())).batches():
            result.pieces.extend(map(piece, batch))
    elif plan.is_streamed:
        stream = await method(**plan.arguments())
        async for item in stream:
            result.pieces.append(piece(item))
            if len(result.pieces) == plan.leave_after:
                forget(stream, plan)
                break
    else:
        result.reply = await method(**plan.arguments())


def forget(stream: Any, plan: Plan) -> None:
    """Leaves a stream to the collector of cycles, if the plan says so."""
    if plan.manner == "forget":
        cycle = [stream]
        cycle.append(cycle)


def make_client(kind: type[AnyClient], url: str, lane: str) -> Any:
    """A client whose requests take this lane, and which sends nothing a second time."""
    os.environ["METAGPT_OLLAMA_LANE"] = lane
    return kind(url, retries=0)


class ThreadCaller:
    """Makes calls one after the other, in whichever thread runs it. Two of them share each client."""

    def __init__(self, client: Client, planner: Planner) -> None:
        self.client, self.planner = client, planner

    def work(self, until: float, tally: Tally) -> None:
        while time.monotonic() < until and not tally.wrong:
            plan = self.planner.plan(BLOCKING_MANNERS)
            tally.note(plan, call_blocking(self.client, plan), "general")


class LoopCaller:
    """Makes several calls at once on an event loop that lives as long as the soak."""

    def __init__(self, client: AsyncClient, lane: str, planner: Planner, at_once: int) -> None:
        self.client, self.lane, self.planner, self.at_once = client, lane, planner, at_once

    async def work(self, until: float, tally: Tally) -> None:
        await asyncio.gather(*(self._work(until, tally) for _ in range(self.at_once)))

    async def _work(self, until: float, tally: Tally) -> None:
        while time.monotonic() < until and not tally.wrong:
            plan = self.planner.plan(ASYNC_MANNERS)
            tally.note(plan, await call(self.client, plan, self.planner.random), self.lane)


class ShortLoopCaller:
    """Runs an event loop for each call, every fifth time with a client that is made for it."""

    def __init__(self, url: str, clients: dict[str, AsyncClient], planner: Planner) -> None:
        self.url, self.clients, self.planner = url, clients, planner

    def work(self, until: float, tally: Tally) -> None:
        while time.monotonic() < until and not tally.wrong:
            plan = self.planner.plan(ASYNC_MANNERS)
            lane = self.planner.random.choice(LANES)
            tally.note(plan, asyncio.run(self._call(plan, lane)), lane)

    async def _call(self, plan: Plan, lane: str) -> Result:
        if plan.order.number % 5:
            return await call(self.clients[lane], plan, self.planner.random)
        async with make_client(AsyncClient, self.url, lane) as client:
            return await call(client, plan, self.planner.random)


class RefusedCaller:
    """Asks a port on which nobody listens, now and then, and collects garbage beside the others."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def work(self, until: float, tally: Tally) -> None:
        while time.monotonic() < until and not tally.wrong:
            try:
                self.client.version()
                tally.wrong.append("an answer from a port on which nobody listens")
            except errors.ConnectError:
                with tally.lock:
                    tally.counts.update(("calls", "faults", "fault refused"))
            gc.collect()
            time.sleep(0.2)
