"""Imports: what `import` adds to a bare interpreter. Measured by the coordinator itself, on processes of its own."""

from __future__ import annotations

import resource
import subprocess
import sys
import time

from benches.cases import Case, Entrant, Figure, Sample, Size

TITLE = "import"
UNIT = "process"
COLUMNS = ("cpu_ms", "over_ms")
FIGURES = (Figure("import", "CPU of a process that imports", ("cpu_us",)),)
BARE = "bare interpreter"
STATEMENTS = {
    BARE: "pass",
    "metagpt_ollama_rs": "import metagpt_ollama_rs",
    "metagpt_ollama_rs, both clients": "from metagpt_ollama_rs import AsyncClient, Client",
    "aiohttp + orjson": "import aiohttp, orjson",
    "ollama-python": "import ollama",
}


def cases(size: Size) -> list[Case]:
    processes = {Size.FULL: 5, Size.QUICK: 1, Size.SMOKE: 1}[size]
    entrants = tuple(Entrant(name, "", {"statement": statement}) for name, statement in STATEMENTS.items())
    rounds = 2 if size is Size.QUICK else None
    return [
        Case("in a process started for it", {"processes": processes}, entrants=entrants, baseline=BARE, rounds=rounds)
    ]


def run_here(*, statement: str, processes: int) -> Sample:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    for _ in range(processes):
        subprocess.run([sys.executable, "-c", statement], check=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Sample(units=processes, cpu=cpu, wall=wall)
