"""One answer of 1,000, 100,000 and 1,000,000 tokens. In a long answer a token must not cost more."""

from __future__ import annotations

from benches import bursts
from benches.cases import Case, Figure, Size, Work, entrants
from benches.peers import BASELINE, CLIENT, MINIMAL, OURS, Peer

TITLE = "long answers"
UNIT = "token"
COLUMNS = ("cpu", "rate", "ratio")
FIGURES = (Figure("long", "CPU per token by the length of the answer", ("cpu_us",)),)


def cases(size: Size) -> list[Case]:
    lengths = {
        Size.FULL: [1_000, 100_000, 1_000_000],
        Size.QUICK: [1_000, 50_000],
        Size.SMOKE: [1_000, 2_000],
    }[size]
    return [
        Case(
            name=f"{lines:,} tokens",
            parameters={"streams": 1, "lines": lines, "repeats": max(1, 20_000 // lines)},
            entrants=entrants(BASELINE, OURS, MINIMAL, CLIENT),
            rounds=1 if size is Size.QUICK else None,
        )
        for lines in lengths
    ]


prepare = bursts.prepare


async def run(peer: Peer, *, streams: int, lines: int, repeats: int) -> Work:
    return await bursts.run(peer, streams=streams, lines=lines, repeats=repeats)
