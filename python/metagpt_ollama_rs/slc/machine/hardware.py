"""The graphics cards, processor and memory of this machine, as far as they say how large a model may be.

    find_graphics_cards()  # GraphicsReport(cards=(GraphicsCard("NVIDIA RTX 4090", total=25757220864, …),), problems=())

NVIDIA's and AMD's cards are asked by the programs of their drivers (`nvidia-smi`, `rocm-smi`), with a time limit; those
of Apple share the machine's memory. Sizes are in bytes.
"""

from __future__ import annotations

import csv
import json
import os
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metagpt_ollama_rs.slc.machine.programs import ProgramError, find_executable, last_line, run_program

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["GraphicsCard", "GraphicsReport", "Machine", "describe_machine", "find_graphics_cards"]

# How long a driver's program may take, in seconds. The first call after a start of the machine takes some.
_PATIENCE = 5.0
_NVIDIA_FIELDS = ("name", "memory.total", "memory.used", "utilization.gpu", "driver_version")
_MIB = 1 << 20


@dataclass(frozen=True)
class GraphicsCard:
    """A graphics card that a model can run on.

    Attributes:
        name: as its driver calls it.
        total: the size of its memory, or None if the driver does not say.
        used: how much of that is in use, or None.
        load: how busy it is, in percent, or None.
        driver: the version of its driver, or None.

    >>> GraphicsCard("NVIDIA GeForce RTX 4090", total=24 << 30, used=1 << 30).name
    'NVIDIA GeForce RTX 4090'
    """

    name: str
    total: int | None = None
    used: int | None = None
    load: int | None = None
    driver: str | None = None


@dataclass(frozen=True)
class GraphicsReport:
    """The graphics cards, and why some may be missing: a driver's program that failed.

    >>> GraphicsReport((), ("nvidia-smi: exit code 9: no driver",)).cards
    ()
    """

    cards: tuple[GraphicsCard, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Machine:
    """The processor and the memory.

    Attributes:
        system: such as "Linux 6.1 x86_64".
        processor: its name, or "" where the system does not say.
        processors: how many this process may use.
        memory: the size of the memory, or None; in a container what that may use, if it is less.
        available: how much of it is free for programs, or None.

    >>> describe_machine().processors >= 1
    True
    """

    system: str
    processor: str
    processors: int
    memory: int | None
    available: int | None


def find_graphics_cards() -> GraphicsReport:
    """Asks the programs of the drivers that are there."""
    cards: list[GraphicsCard] = []
    problems: list[str] = []
    for name, ask in (("nvidia-smi", _ask_nvidia), ("rocm-smi", _ask_rocm)):
        program = find_executable(name)
        if program:
            try:
                cards += ask(program)
            except ProgramError as error:
                problems.append(error.message)
            except (AttributeError, IndexError, TypeError, ValueError) as error:
                problems.append(f"{name} answers with something else: {error}"[:300])
    if sys.platform == "darwin" and platform.machine() == "arm64":
        cards.append(GraphicsCard(_sysctl("machdep.cpu.brand_string") or "Apple silicon", total=_memory_size()))
    return GraphicsReport(tuple(cards), tuple(problems))


def describe_machine() -> Machine:
    """The processor and the memory of this machine."""
    total, available = _memory_size(), _memory_available()
    limit, used = _container_memory()
    if total and limit and limit < total:
        free = max(limit - used, 0)
        total, available = limit, min(available or free, free)
    # What this process is bound to; some systems do not know such a thing.
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return Machine(system, _processor_name(), usable, total, available)


def _ask_nvidia(program: str) -> Iterator[GraphicsCard]:
    answer = _ask_driver([program, f"--query-gpu={','.join(_NVIDIA_FIELDS)}", "--format=csv,noheader,nounits"])
    for row in csv.reader(answer.splitlines(), skipinitialspace=True):
        if row:
            name, total, *further = row
            used, load, driver, *_ = [*further, *[""] * 3]
            yield GraphicsCard(name, _mebibytes(total), _mebibytes(used), _whole_number(load), driver or None)


def _ask_rocm(program: str) -> Iterator[GraphicsCard]:
    answer = _ask_driver(
        [program, "--showproductname", "--showmeminfo", "vram", "--showuse", "--showdriverversion", "--json"]
    )
    # Warnings may stand before it.
    found = json.loads(answer[answer.index("{") :])
    driver = _value(found.get("system", {}), "driver version")
    for key, card in found.items():
        if key.startswith("card"):
            name = _value(card, "card series", "card model", "device name") or key
            total, used = (_whole_number(_value(card, f"vram total {what} (b)")) for what in ("memory", "used memory"))
            yield GraphicsCard(name, total, used, _whole_number(_value(card, "gpu use (%)")), driver)


def _ask_driver(arguments: list[str]) -> str:
    done = run_program(arguments, seconds=_PATIENCE)
    if done.exit_code != 0:
        said = last_line(done.stdout) or last_line(done.stderr) or "it said nothing"
        raise ProgramError(f"{arguments[0]}: exit code {done.exit_code}: {said:.300}", arguments=arguments)
    return done.stdout


def _value(card: dict[str, Any], *names: str) -> str | None:
    """The value of the first of these keys, which releases of the program write in capitals or not."""
    lowered = {str(key).lower(): str(value) for key, value in card.items()}
    return next((lowered[name] for name in names if lowered.get(name)), None)


def _whole_number(text: str | None) -> int | None:
    """A number, or None for "[N/A]" and the like."""
    found = re.fullmatch(r"\s*(\d+)(\.\d+)?\s*", text or "")
    return int(found[1]) if found else None


def _mebibytes(text: str) -> int | None:
    number = _whole_number(text.removesuffix(" MiB"))
    return None if number is None else number * _MIB


def _sysctl(name: str) -> str:
    try:
        return run_program(["/usr/sbin/sysctl", "-n", name], seconds=_PATIENCE).stdout.strip()
    except ProgramError:
        return ""


def _processor_name() -> str:
    if sys.platform == "darwin":
        return _sysctl("machdep.cpu.brand_string")
    found = re.search(r"^(?:model name|Model|Hardware)\s*:\s*(.+)$", _text_of("/proc/cpuinfo"), re.MULTILINE)
    return found[1].strip() if found else platform.processor()


def _memory_size() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _memory_available() -> int | None:
    found = re.search(r"^MemAvailable:\s*(\d+) kB$", _text_of("/proc/meminfo"), re.MULTILINE)
    return int(found[1]) << 10 if found else None


def _container_memory() -> tuple[int | None, int]:
    """The limit of the container's memory, or None, and how much of it is in use (control groups, version 2)."""
    limit, used = (_text_of(f"/sys/fs/cgroup/memory.{name}").strip() for name in ("max", "current"))
    return (int(limit) if limit.isdigit() else None), (int(used) if used.isdigit() else 0)


def _text_of(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
