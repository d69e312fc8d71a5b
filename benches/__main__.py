"""The coordinator: starts the replay server and a worker per peer, lets the peers take turns, reports.

`make bench` runs it, from the project's folder: `python -m benches` and the options of `main`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from benches.cases import Case, Sample, Size
from benches.families import FAMILIES
from benches.peers import BASELINE, PEERS
from benches.report import Result, table, write


class Process:
    """A child of the bench that talks in lines and ends when its standard input does."""

    def __init__(self, *arguments: str, environment: dict[str, str]) -> None:
        self.name = " ".join(arguments)
        self.process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            encoding="utf-8",
        )

    def read(self) -> str:
        line = cast("Any", self.process.stdout).readline()
        if not line:
            raise SystemExit(f"{self.name} ended with status {self.process.wait()}; its message stands above")
        return str(line).strip()

    def ask(self, order: dict[str, Any]) -> Any:
        pipe = cast("Any", self.process.stdin)
        pipe.write(json.dumps(order) + "\n")
        pipe.flush()
        return json.loads(self.read())

    def stop(self) -> None:
        cast("Any", self.process.stdin).close()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        cast("Any", self.process.stdout).close()


@contextlib.contextmanager
def processes(peers: list[str]) -> Iterator[dict[str, Process]]:
    """The replay server, and a ready worker for each of `peers`."""
    with tempfile.TemporaryDirectory(prefix="metagpt-ollama-bench-") as scratch, contextlib.ExitStack() as stack:
        # MetaGPT writes logs where it believes its project to be, and reads the configuration of whoever runs it.
        environment = {**os.environ, "HOME": scratch, "METAGPT_PROJECT_ROOT": scratch}
        server = Process("benches.replay", environment=environment)
        stack.callback(server.stop)
        address = f"http://127.0.0.1:{int(server.read())}"
        workers = {}
        for peer in peers:
            workers[peer] = Process("benches.worker", peer, address, environment=environment)
            stack.callback(workers[peer].stop)
        for worker in workers.values():
            worker.read()
        yield workers


def measure(title: str, case: Case, workers: dict[str, Process], rounds: int) -> Result:
    family = FAMILIES[title]
    here = hasattr(family, "run_here")
    peers = [peer for peer in case.peers if here or peer in workers]
    samples: dict[str, list[Sample]] = {peer: [] for peer in peers}
    for turn in range(rounds):
        first = turn % len(peers)
        for peer in peers[first:] + peers[:first]:
            if here:
                sample = family.run_here(peer, **case.parameters)
            else:
                sample = Sample(**workers[peer].ask({"family": title, "parameters": case.parameters}))
            samples[peer].append(sample)
    return Result(family=title, unit=family.UNIT, case=case, samples=samples)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benches", description=__doc__)
    parser.add_argument("--quick", dest="size", action="store_const", const=Size.QUICK, default=Size.FULL)
    parser.add_argument("--smoke", dest="size", action="store_const", const=Size.SMOKE)
    parser.add_argument("--only", choices=FAMILIES, help="one family of cases")
    parser.add_argument("--peer", dest="peers", action="append", choices=PEERS, help="beside the original; repeatable")
    parser.add_argument("--results", type=Path, help="file for all numbers, as JSON")
    options = parser.parse_args()
    results = []
    with processes([BASELINE, *(options.peers or [peer for peer in PEERS if peer != BASELINE])]) as workers:
        for title in [options.only] if options.only else FAMILIES:
            for case in FAMILIES[title].cases(options.size):
                result = measure(title, case, workers, options.size.rounds)
                print(table(result), end="\n\n", flush=True)
                results.append(result)
    if options.results:
        write(options.results, results, options.size.name.lower())
        print(f"All numbers: {options.results}", file=sys.stderr)


if __name__ == "__main__":
    main()
