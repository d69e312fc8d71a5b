"""The command: `python -m benches.soak --minutes 10 --seed 1 [--results FILE]`; exit code 1 if an answer was wrong or
something has grown.

A round is some seconds of calls by all callers at once; then all of them stop, and what both processes hold is
measured.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benches.soak.callers import (
    LANES,
    LoopCaller,
    Planner,
    RefusedCaller,
    ShortLoopCaller,
    Tally,
    ThreadCaller,
    make_client,
)
from benches.soak.growth import (
    MEASURES,
    accepted,
    complaints,
    descriptors,
    growth,
    resident,
    shown,
    sockets,
    thread_names,
    threads,
)
from metagpt_ollama_rs import AsyncClient, Client

# Rounds of a run, of which each lasts between so many seconds; fewer than the second number show nothing.
ROUNDS, LEAST_ROUNDS, SHORTEST, LONGEST = 48, 8, 0.25, 12.0
# Seconds within which requests that were given up must have ended on both sides.
PATIENCE = 20.0


class Server:
    """The process of the scripted server."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "benches.soak.server"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._questions, self._answers = self._process.stdin, self._process.stdout
        self.url = self._answers.readline().strip()

    def state(self) -> dict[str, int]:
        self._questions.write("\n")
        self._questions.flush()
        state: dict[str, int] = json.loads(self._answers.readline())
        return state

    def stop(self) -> None:
        self._questions.close()
        self._process.wait(PATIENCE)
        self._answers.close()


class Loop:
    """An event loop in a thread of its own, for the whole soak."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        # One thread for files, which is there from the beginning: the number of threads stays comparable.
        self._loop.set_default_executor(ThreadPoolExecutor(1))
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def submit(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def stop(self) -> None:
        self.submit(self._loop.shutdown_asyncgens()).result(PATIENCE)
        self.submit(self._loop.shutdown_default_executor()).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Soak:
    """The callers with their clients, loops and threads."""

    def __init__(self, url: str, seed: int) -> None:
        self.loops = [Loop() for _ in LANES]
        self.clients: list[Client] = [make_client(Client, url, "general") for _ in range(2)]
        self.async_clients = {lane: make_client(AsyncClient, url, lane) for lane in LANES}
        planners = [Planner(f"{seed}-{number}", number, 8) for number in range(8)]
        self.loop_callers = [LoopCaller(self.async_clients[lane], lane, planners.pop(), at_once=4) for lane in LANES]
        with socket.create_server(("127.0.0.1", 0)) as taken:
            nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
        self.refused = make_client(Client, nobody, "general")
        self.thread_callers = [
            *(ThreadCaller(client, planners.pop()) for client in self.clients for _ in range(2)),
            ShortLoopCaller(url, self.async_clients, planners.pop()),
            RefusedCaller(self.refused),
        ]
        self.pool = ThreadPoolExecutor(len(self.thread_callers))

    def round(self, seconds: float, tally: Tally) -> None:
        until = time.monotonic() + seconds
        working = [loop.submit(caller.work(until, tally)) for loop, caller in zip(self.loops, self.loop_callers)]
        working += [self.pool.submit(caller.work, until, tally) for caller in self.thread_callers]
        for work in working:
            work.result(seconds + 60)

    def stop(self) -> None:
        for loop, client in zip(self.loops, self.async_clients.values()):
            loop.submit(client.close()).result(PATIENCE)
            loop.stop()
        for client in (*self.clients, self.refused):
            client.close()
        self.pool.shutdown()


def settle(server: Server, wanted: Callable[[dict[str, int]], bool]) -> dict[str, int]:
    """The server's state as soon as it is as wanted, or after `PATIENCE`: what was given up ends a moment later."""
    gc.collect()
    deadline = time.monotonic() + PATIENCE
    while True:
        state = server.state()
        if wanted(state) or time.monotonic() > deadline:
            return state
        time.sleep(0.02)


def left_over(descriptors_before: int, threads_before: int) -> list[str]:
    """A complaint where more descriptors or threads than at the beginning are there, and don't go within `PATIENCE`.

    The I/O thread lives as long as the process, with the three descriptors that it waits on; the thread that sets the
    results of `AsyncClient.close` ends after ten idle seconds. A thread that was joined may stay in the system's list a
    moment longer.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        left = descriptors() - descriptors_before, threads() - threads_before
        if left[0] <= 3 and left[1] <= 2:
            return []
        if time.monotonic() > deadline:
            names = ", ".join(thread_names())
            return [f"{left[0]} descriptors and {left[1]} threads are left when all clients are closed, of: {names}"]
        time.sleep(0.02)


def sample(server: Server, tally: Tally) -> dict[str, float]:
    """What both processes hold between two rounds."""
    state = settle(server, lambda state: not state["under_way"])
    if state["under_way"]:
        tally.wrong.append(f"the server answers {state['under_way']} requests that nobody waits for any more")
    return {
        "memory": resident(),
        "threads": threads(),
        "descriptors": descriptors(),
        "connections": sockets(),
        "server's connections": state["connections"],
        "server's threads": state["threads"],
        "server's descriptors": state["descriptors"],
        "server's memory": state["rss"],
    }


def table(samples: list[dict[str, float]], tally: Tally, seconds: float) -> str:
    """What was done and what it held, as Markdown."""
    counts = tally.counts
    kinds, faults = (sum(name.startswith(word) for name in counts) for word in ("kind ", "fault "))
    lines = [
        "| | |",
        "|---|---|",
        f"| duration | {seconds:,.0f} s, {len(samples)} rounds |",
        f"| calls | {counts['calls']:,} ({counts['calls'] / seconds:,.0f} a second), of {kinds} kinds |",
        f"| whole answers and streams that were checked | {counts['answers checked']:,} |",
        f"| faults of the server | {counts['faults']:,}, of {faults} kinds |",
        f"| calls given up (cancelled, timed out, broken out of, forgotten) | {counts['given up']:,} |",
        f"| wrong answers, wrong errors | {len(tally.wrong)} |",
        "",
        "| | first round | last round | largest | growth after the warm-up | accepted |",
        "|---|---|---|---|---|---|",
    ]
    for measure in MEASURES:
        values = [sample[measure.name] for sample in samples]
        cells = (values[0], values[-1], max(values), growth(values), accepted(measure, values, seconds))
        lines.append(f"| {measure.name} | {' | '.join(shown(measure, value) for value in cells)} |")
    return "\n".join(lines)


def soak(seconds: float, seed: int, results: Path | None = None, leak: Callable[[], object] = lambda: None) -> int:
    """Runs a soak and prints its report. `leak` is called in each round: a test loses something there."""
    print(f"seed {seed}", flush=True)
    # Retries are logged, and wanted here.
    logging.getLogger("metagpt_ollama_rs").addHandler(logging.NullHandler())
    server, tally, samples = Server(), Tally(), []
    begun = descriptors(), threads()
    work = Soak(server.url, seed)
    length = min(max(seconds / ROUNDS, SHORTEST), LONGEST)
    start = time.monotonic()
    try:
        while (time.monotonic() - start < seconds or len(samples) < LEAST_ROUNDS) and not tally.wrong:
            work.round(length, tally)
            leak()
            now = sample(server, tally)
            samples.append({"seconds": time.monotonic() - start, **now})
            held = ", ".join(f"{measure.name} {shown(measure, now[measure.name])}" for measure in MEASURES[:5])
            print(f"{time.monotonic() - start:.0f} s: {tally.counts['calls']:,} calls, {held}", flush=True)
        lasted = time.monotonic() - start
    finally:
        work.stop()
    # What belongs to a loop goes with it.
    del work
    state = settle(server, lambda state: not state["connections"])
    found = complaints(samples, lasted)
    if state["connections"]:
        found.append(f"{state['connections']} connections are left when all clients are closed")
    found += left_over(*begun)
    server.stop()
    print(f"\n{table(samples, tally, lasted)}\n")
    if results is not None:
        results.write_text(json.dumps({"seed": seed, "samples": samples, "counts": tally.counts}))
    for complaint in (*tally.wrong[:10], *found):
        print(complaint)
    print("failed" if tally.wrong or found else "passed: every answer was right, and nothing grew")
    return 1 if tally.wrong or found else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benches.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default: 10)")
    parser.add_argument("--seed", type=int, default=None, help="the seed of an earlier run")
    parser.add_argument("--results", type=Path, help="a JSON file for what was measured")
    options = parser.parse_args()
    seed = random.randrange(10**6) if options.seed is None else options.seed
    return soak(options.minutes * 60, seed, options.results)


if __name__ == "__main__":
    sys.exit(main())
