"""The process that holds one peer. Reads a case per line from standard input, answers with a sample per line.

`python -m benches.worker PEER ADDRESS`. The event loop lives as long as the process, as in a service; the garbage is
collected before each run, and answers are checked after it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import json
import os
import resource
import sys
import time
import warnings
from types import ModuleType
from typing import Any

from benches.cases import Sample
from benches.families import FAMILIES
from benches.peers import PEERS, Peer


async def measure(family: ModuleType, peer: Peer, parameters: dict[str, Any]) -> Sample:
    gc.collect()
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    work = await family.run(peer, **parameters)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    work.check()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Sample(units=work.units, cpu=cpu, wall=wall)


def main() -> None:
    # Samples leave through a descriptor that nothing else writes to: MetaGPT prints.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    name, address = sys.argv[1:]
    peer = PEERS[name](address)
    with asyncio.Runner() as runner:
        # The first request brings the lazy imports and connections.
        runner.run(peer.stream("burst-1"))
        runner.run(peer.once("short-1"))
        print("ready", file=answers, flush=True)
        for line in sys.stdin:
            order = json.loads(line)
            sample = runner.run(measure(FAMILIES[order["family"]], peer, order["parameters"]))
            print(json.dumps(dataclasses.asdict(sample)), file=answers, flush=True)


if __name__ == "__main__":
    main()
