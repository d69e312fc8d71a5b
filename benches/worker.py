"""The process that holds one peer: receives a family and parameters, answers with a `Sample`, until the pipe ends.

The event loop lives as long as the process, as in a service; the garbage is collected before each run, and answers are
checked when the clocks have stopped.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
import warnings
from multiprocessing.connection import Connection
from types import ModuleType
from typing import Any

from benches.cases import Sample
from benches.families import FAMILIES
from benches.peers import PEERS, Peer


async def measure(family: ModuleType, peer: Peer, parameters: dict[str, Any]) -> Sample:
    await family.prepare(peer, **parameters)
    gc.collect()
    # The CPU time of the process: user and system, all threads.
    before, began = time.process_time(), time.perf_counter()
    work = await family.run(peer, **parameters)
    wall, after = time.perf_counter() - began, time.process_time()
    latencies = sorted(work.verify())
    measures = dict(work.measures)
    for share in (50, 99) if latencies else ():
        measures[f"p{share}_us"] = 1e6 * latencies[min(len(latencies) * share // 100, len(latencies) - 1)]
    return Sample(units=work.units, cpu=after - before - work.aside, wall=wall, measures=measures)


def serve(name: str, address: str, pipe: Connection) -> None:
    # MetaGPT prints to standard output, which is the coordinator's report, so it is sent to standard error.
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    kind = PEERS[name]
    os.environ.update(kind.environment)
    peer = kind(address)
    with asyncio.Runner() as runner:
        runner.run(peer.warm_up())
        pipe.send("ready")
        while True:
            try:
                family, parameters = pipe.recv()
            except EOFError:
                break
            pipe.send(runner.run(measure(FAMILIES[family], peer, parameters)))
        runner.run(peer.close())
