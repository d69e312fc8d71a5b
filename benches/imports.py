"""Imports: what `import` adds to a bare interpreter. Measured by the coordinator itself, on processes of its own."""

from __future__ import annotations

import resource
import subprocess
import sys
import time

from benches.cases import Case, Sample, Size

TITLE = "import"
UNIT = "process"
BARE = "bare interpreter"
STATEMENTS = {BARE: "pass", "metagpt_ollama_rs": "import metagpt_ollama_rs", "ollama-python": "import ollama"}


def cases(size: Size) -> list[Case]:
    processes = {Size.FULL: 20, Size.QUICK: 2, Size.SMOKE: 1}[size]
    return [Case(name="import", peers=tuple(STATEMENTS), baseline=BARE, parameters={"processes": processes})]


def run_here(peer: str, *, processes: int) -> Sample:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    for _ in range(processes):
        subprocess.run([sys.executable, "-c", STATEMENTS[peer]], check=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Sample(units=processes, cpu=cpu, wall=wall)
