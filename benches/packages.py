"""What a token costs other people's packages with PyPI's `ollama` under them, and what it costs them with this one.

    make bench-packages
    make bench-packages ARGUMENTS="--into docs/compatibility.md docs/compatibility.zh.md"

Each package runs in two processes (`packages_worker`), one for each client, with the package's folder below
target/packages on its path. The two take turns within each round; ratios are taken within a round. `ollama` is the
client alone: what a package costs beyond it is the package's own. With `--into` the table is written into pages,
between two comments.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from benches.packages_worker import WAYS
from benches.processes import ROOT, replay_server
from benches.tables import number

FOLDERS = ROOT / "target" / "packages"
CLIENTS = ("real", "ours")
QUIET = {"HAYSTACK_TELEMETRY_ENABLED": "False", "AGNO_TELEMETRY": "false", "LANGSMITH_TRACING": "false"}
LEFT_OUT = ("OLLAMA_HOST", "OLLAMA_API_KEY", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")

# What is received in one sample: the model of `script`, streams at once, repeats, and the tokens that all these are.
# 16 paced streams are a server that sends 50 tokens a second to each of 16 users.
CASES = {"burst": ("burst-1000", 1, 5, 5000), "paced": ("paced-40-50", 16, 1, 640)}
QUICK = {"burst": ("burst-1000", 1, 1, 1000)}
# The paced streams are at once, which a blocking call is not.
ASYNCHRONOUS = ("AsyncClient.chat", "astream", "run_async", "create_stream", "arun")

# The comments between which the table stands, on the English page and on the Chinese one, and its head.
PLACES = {
    ("<!-- packages: written by benches.packages -->", "<!-- end of packages -->"): (
        "package", "what was run", "stream", "`ollama`, µs", "ours, µs", "ours relative to `ollama`",
    ),
    ("<!-- 软件包，由 benches.packages 写入 -->", "<!-- 软件包到此为止 -->"): (
        "软件包", "运行的内容", "流", "`ollama`，µs", "我们的，µs", "我们的相对于 `ollama`",
    ),
}  # fmt: skip


class Worker:
    """A process of `packages_worker`."""

    def __init__(self, name: str, client: str, address: str, home: str) -> None:
        kept = {key: value for key, value in os.environ.items() if key not in LEFT_OUT}
        folder = FOLDERS / ("langchain" if name == "ollama" else name)
        path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benches.packages_worker", name, client, address],
            cwd=ROOT,
            env={**kept, **QUIET, "HOME": home, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.version = self.read()

    def read(self) -> Any:
        line = cast("Any", self.process.stdout).readline()
        if not line:
            raise SystemExit(f"a worker ended with status {self.process.wait()}; its message stands above")
        return json.loads(line)

    def cost(self, way: str, model: str, streams: int, repeats: int) -> dict[str, float]:
        question = [way, {"model": model, "streams": streams, "repeats": repeats}]
        pipe = cast("Any", self.process.stdin)
        pipe.write(json.dumps(question) + "\n")
        pipe.flush()
        return cast("dict[str, float]", self.read())

    def stop(self) -> None:
        cast("Any", self.process.stdin).close()
        self.process.wait(20)


def measure(name: str, cases: dict[str, Any], rounds: int) -> Iterator[dict[str, Any]]:
    """A row for each way to call the package and each case."""
    with contextlib.ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="metagpt-ollama-bench-"))
        address = stack.enter_context(replay_server())
        workers = {client: Worker(name, client, address, home) for client in CLIENTS}
        for worker in workers.values():
            stack.callback(worker.stop)
        distribution, ways = WAYS[name]
        for way in ways:
            for case, (model, streams, repeats, tokens) in cases.items():
                if streams > 1 and not any(name in way for name in ASYNCHRONOUS):
                    continue
                costs: dict[str, list[float]] = {client: [] for client in CLIENTS}
                for worker in workers.values():
                    worker.cost(way, model, streams, 1)
                for turn in range(rounds):
                    for client in CLIENTS if turn % 2 else CLIENTS[::-1]:
                        cost = workers[client].cost(way, model, streams, repeats)
                        costs[client].append(1e6 * cost["cpu"] / tokens)
                yield {"package": distribution, "version": workers["real"].version, "way": way, "case": case, **costs}


def table(rows: list[dict[str, Any]], heads: tuple[str, ...]) -> str:
    """Microseconds of CPU for each token, medians, and the ratio with its spread over the rounds."""
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in rows:
        ratios = [ours / real for real, ours in zip(row["real"], row["ours"])]
        middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
        cells = [
            f"`{row['package']}` {row['version']}",
            f"`{row['way']}`",
            f"`{row['case']}`",
            number(statistics.median(row["real"])),
            number(statistics.median(row["ours"])),
            f"{middle:.2f} ({low:.2f}–{high:.2f})",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def write_into(page: Path, rows: list[dict[str, Any]]) -> None:
    """Puts the table in its place on a page."""
    text = page.read_text(encoding="utf-8")
    place = next((place for place in PLACES if place[0] in text and place[1] in text), None)
    if place is None:
        first, last = next(iter(PLACES))
        raise SystemExit(f"{page} has no place for the table\nhint: two lines, {first} and {last}")
    before, _, rest = text.partition(place[0])
    after = rest.partition(place[1])[2]
    page.write_text(f"{before}{place[0]}\n\n{table(rows, PLACES[place])}\n\n{place[1]}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benches.packages", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three rounds of short bursts, to see that it works")
    parser.add_argument("--only", action="append", choices=WAYS, help="a package; repeatable")
    parser.add_argument("--results", type=Path, help="file for all numbers, as JSON")
    parser.add_argument("--into", nargs="+", type=Path, default=[], help="pages that get the table")
    options = parser.parse_args()
    rows = []
    for name in options.only or WAYS:
        if name != "ollama" and not (FOLDERS / name / ".done").exists():
            raise SystemExit(f"{name} is not there\nhint: make target/packages/{name}/.done")
        rows += measure(name, QUICK if options.quick else CASES, 3 if options.quick else 7)
    print(table(rows, next(iter(PLACES.values()))))
    if options.results:
        options.results.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    for page in options.into:
        write_into(page, rows)


if __name__ == "__main__":
    main()
