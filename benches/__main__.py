"""The coordinator: runs the entrants of each case in turn, prints a table per case, writes all numbers to a file.

`make bench` runs it, from the project's folder: `python -m benches` and the options of `main`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benches import bursts
from benches.cases import Case, Sample, Size
from benches.families import FAMILIES
from benches.peers import BASELINE, FLOOR, PEERS
from benches.processes import Workers, workers
from benches.results import Result, Row, write
from benches.tables import table


def measure(title: str, case: Case, peers: set[str], pool: Workers, rounds: int) -> Result:
    family = FAMILIES[title]
    entrants = [entrant for entrant in case.entrants if not entrant.peer or entrant.peer in peers]
    fresh = getattr(family, "FRESH", False)
    if not fresh:
        pool.start([entrant.peer for entrant in entrants if entrant.peer])
    samples: dict[str, list[Sample]] = {entrant.name: [] for entrant in entrants}
    for turn in range(rounds):
        first = turn % len(entrants)
        for entrant in entrants[first:] + entrants[:first]:
            parameters = {**case.parameters, **entrant.parameters}
            if not entrant.peer:
                sample = family.run_here(**parameters)
            elif fresh:
                with pool.fresh(entrant.peer) as worker:
                    sample = worker.run(title, parameters)
            else:
                sample = pool.kept[entrant.peer].run(title, parameters)
            samples[entrant.name].append(sample)
    return Result(family=title, unit=family.UNIT, case=case, samples=samples)


def server_limit_warning(rows: list[Row]) -> str | None:
    """A warning, or None. If the bare socket, which does nothing with the bytes, is hardly faster than the fastest
    client, the speed of the server was measured and not that of the clients."""
    rates = {row["peer"]: row["per_second"]["median"] for row in rows}
    floor = rates.pop(FLOOR, None)
    if rows[0]["family"] != bursts.TITLE or floor is None or floor > 1.3 * max(rates.values()):
        return None
    return f"{rows[0]['case']}: the rates may be the replay server's, which sends {floor:,.0f} a second at most"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benches", description=__doc__)
    parser.add_argument("--quick", dest="size", action="store_const", const=Size.QUICK, default=Size.FULL)
    parser.add_argument("--smoke", dest="size", action="store_const", const=Size.SMOKE)
    parser.add_argument("--only", action="append", choices=FAMILIES, help="a family of cases; repeatable")
    parser.add_argument("--peer", dest="peers", action="append", choices=PEERS, help="beside the baseline; repeatable")
    parser.add_argument("--results", type=Path, help="file for all numbers, as JSON")
    options = parser.parse_args()
    peers = {BASELINE, *options.peers} if options.peers else set(PEERS)
    results = []
    with workers() as pool:
        for title in options.only or FAMILIES:
            for case in FAMILIES[title].cases(options.size):
                if options.peers and not {case.baseline} <= {
                    entrant.name for entrant in case.entrants if not entrant.peer or entrant.peer in peers
                }:
                    continue
                result = measure(title, case, peers, pool, case.rounds or options.size.value)
                results.append(result)
                rows = list(result.rows())
                print(f"{title}, {case.name}\n\n{table(rows)}\n", flush=True)
                if warning := server_limit_warning(rows):
                    print(warning, file=sys.stderr)
    if options.results:
        write(options.results, results, options.size.name.lower())
        print(f"All numbers: {options.results}", file=sys.stderr)


if __name__ == "__main__":
    main()
