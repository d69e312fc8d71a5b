"""Embeddings: a reply of `/api/embed` end to end, to lists of floats or to a NumPy array of 32-bit floats, and the
decoding of its body to such an array alone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from benches import script
from benches.cases import Case, Entrant, Figure, Size, Work, equal
from benches.peers import BASELINE, CLIENT, DECODERS, FLOOR, MINIMAL, OLLAMA_PYTHON, OURS, BareSocket, Peer

TITLE = "embeddings"
UNIT = "request"
COLUMNS = ("cpu_ms", "rate", "ratio")
FIGURES = (Figure("embeddings", "CPU per request to /api/embed", ("cpu_us",)),)
SMALLEST = "embed-1-1"
LISTS = {"reading": "lists"}
ARRAY = {"reading": "array"}
END_TO_END = (
    Entrant(BASELINE, BASELINE, LISTS),
    Entrant(OURS, OURS, LISTS),
    Entrant(OLLAMA_PYTHON, OLLAMA_PYTHON, LISTS),
    Entrant(f"{MINIMAL}, lists", MINIMAL, LISTS),
    Entrant(f"{MINIMAL} + NumPy, array", MINIMAL, ARRAY),
    Entrant(f"{CLIENT}, lists", CLIENT, LISTS),
    Entrant(f"{CLIENT}, array", CLIENT, ARRAY),
    Entrant(FLOOR, FLOOR, {"reading": "nothing"}),
)
NUMPY = "orjson + NumPy"
DECODING = (
    Entrant("json + NumPy", DECODERS, {"reading": "json"}),
    Entrant(NUMPY, DECODERS, {"reading": "orjson"}),
    # The package has no function for a body alone, so this is a whole call minus the cost of receiving the bytes.
    Entrant(f"{CLIENT}, array, less the receipt", CLIENT, {"reading": "less receipt"}),
)


def cases(size: Size) -> list[Case]:
    plan = {
        Size.FULL: [(256, 768, 10), (1024, 1024, 2)],
        Size.QUICK: [(256, 768, 2), (1024, 1024, 1)],
        Size.SMOKE: [(4, 8, 1)],
    }[size]
    return [
        Case(
            name=f"{rows:,} x {width:,}, {what}",
            parameters={"model": f"embed-{rows}-{width}", "repeats": repeats},
            entrants=entrants,
            baseline=baseline,
            rounds=1 if size is Size.QUICK else None,
        )
        for rows, width, repeats in plan
        for what, entrants, baseline in (("end to end", END_TO_END, BASELINE), ("the body alone", DECODING, NUMPY))
    ]


async def prepare(peer: Peer, *, model: str, reading: str, **_: Any) -> None:
    script.whole(model)
    # The first call imports and connects, which is not measured.
    await run(peer, model=SMALLEST, repeats=1, reading=reading)


async def run(peer: Peer, *, model: str, repeats: int, reading: str) -> Work:
    results: list[Any] = []
    aside = 0.0
    if reading in ("json", "orjson"):
        results = [decoder(reading)(script.vectors(model)) for _ in range(repeats)]
    elif reading == "less receipt":
        bare = BareSocket(peer.address)
        await bare.fetch(model, {"input": []})
        began = time.process_time()
        for _ in range(repeats):
            await bare.fetch(model, {"input": []})
        # Received twice: once as a part of this run, and once as a part of what is measured below.
        aside = 2 * (time.process_time() - began)
        results = [await peer.embed_buffer(model) for _ in range(repeats)]
    elif reading == "nothing" and isinstance(peer, BareSocket):
        for _ in range(repeats):
            await peer.fetch(model, {"input": []})
    else:
        embed = peer.embed if reading == "lists" else peer.embed_buffer
        results = [await embed(model) for _ in range(repeats)]
    return Work(units=repeats, verify=lambda: check(results, model), aside=aside)


def check(results: list[Any], model: str) -> list[float]:
    import numpy

    expected = json.loads(script.vectors(model))["embeddings"]
    block = numpy.array(expected, dtype=numpy.float32)
    for result in results:
        if isinstance(result, numpy.ndarray):
            if result.dtype != numpy.float32 or not numpy.array_equal(result, block):
                raise AssertionError(f"an array of {result.dtype} {result.shape} is not what {model} sent")
        else:
            equal([[list(row) for row in result]], expected)
    return []


def decoder(name: str) -> Callable[[bytes], Any]:
    import numpy
    import orjson

    loads = json.loads if name == "json" else orjson.loads
    return lambda body: numpy.array(loads(body)["embeddings"], dtype=numpy.float32)
