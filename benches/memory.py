"""Memory: what 256 streams at once add at the peak, and what stays allocated after many more tokens. Each sample has a
process of its own, because a process keeps memory that it has used once."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

from benches import script
from benches.cases import ONE_LANE, Case, Figure, Size, Work, equal
from benches.peers import Peer

TITLE = "memory"
UNIT = "stream"
COLUMNS = ("added", "growth")
FIGURES = (Figure("memory", "Memory added by 256 streams of 1,000 lines", ("added_mib",), "MiB"),)
# Each sample gets a new worker.
FRESH = True
AT_ONCE = 16
MIB = 1 << 20


def cases(size: Size) -> list[Case]:
    streams, lines, tokens = {
        Size.FULL: (256, 1000, 1_000_000), Size.QUICK: (256, 1000, 32_000), Size.SMOKE: (8, 20, 640),
    }[size]  # fmt: skip
    return [
        Case(
            name=f"{streams} streams of {lines:,} lines, then {tokens:,} tokens",
            parameters={"streams": streams, "lines": lines, "tokens": tokens},
            entrants=ONE_LANE,
            rounds=1 if size is Size.QUICK else None,
        )
    ]


async def prepare(peer: Peer, *, lines: int, **_: int) -> None:
    script.answer(f"burst-{lines}")
    peer.prepare(f"burst-{lines}")


async def run(peer: Peer, *, streams: int, lines: int, tokens: int) -> Work:
    model = f"burst-{lines}"
    before = reset_peak()
    texts = list(await asyncio.gather(*(peer.stream(model) for _ in range(streams))))
    peak = status("VmHWM")
    equal(texts, script.answer(model))
    texts.clear()
    gc.collect()
    held = status("VmRSS")
    for _ in range(tokens // (AT_ONCE * lines)):
        equal(await asyncio.gather(*(peer.stream(model) for _ in range(AT_ONCE))), script.answer(model))
    gc.collect()
    growth = status("VmRSS") - held
    return Work(
        units=streams, verify=list, measures={"added_mib": (peak - before) / MIB, "growth_mib": max(0, growth) / MIB}
    )


def reset_peak() -> int:
    """Resets the kernel's peak of this process, and returns the bytes that it holds now."""
    gc.collect()
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError as error:
        raise RuntimeError(f"the peak of memory cannot be reset here ({error}); hint: leave out this family") from None
    return status("VmRSS")


def status(field: str) -> int:
    """The value of a field of /proc/self/status in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}")
