"""The memory of a soak as a picture: `python -m benches.soak.figure target/soak.json docs/figures/soak.svg`.

A point for each round, of the process that calls and of the scripted server, from 0 to the largest value; the grey part
is the warm-up, in which growth does not count.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benches.figures import STYLE
from benches.soak.growth import WARM_UP

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 300, 70, 150, 48, 40
LINES = (("memory", "ours", "both clients"), ("server's memory", "peer", "scripted server"))


def draw(samples: list[dict[str, float]], title: str) -> str:
    minutes = [sample["seconds"] / 60 for sample in samples]
    most = max(sample[name] for sample in samples for name, _, _ in LINES) / 1e6
    step = next(step for step in (5, 10, 20, 50, 100, 200) if most / step <= 6)

    def x(minute: float) -> float:
        return LEFT + minute / minutes[-1] * (WIDTH - LEFT - RIGHT)

    def y(megabytes: float) -> float:
        return HEIGHT - BOTTOM - megabytes / (most * 1.1) * (HEIGHT - TOP - BOTTOM)

    warm = x(minutes[int(len(minutes) * WARM_UP)]) - LEFT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">',
        f"<style>{STYLE}.curve {{ fill: none; stroke-width: 2; }}</style>",
        f'<rect class="page" x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="6"/>',
        f'<rect class="peer" opacity="0.15" x="{LEFT}" y="{TOP}" width="{warm:.1f}" height="{HEIGHT - TOP - BOTTOM}"/>',
        f'<text class="title" x="16" y="28">{title}</text>',
    ]
    for tick in range(0, int(most * 1.1) + 1, step):
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(f'<text class="tick" text-anchor="end" x="{LEFT - 8}" y="{y(tick) + 4:.1f}">{tick} MB</text>')
    below = HEIGHT - BOTTOM + 18
    for minute in range(int(minutes[-1] + 0.5) + 1):
        parts.append(f'<text class="tick" text-anchor="middle" x="{x(minute):.1f}" y="{below}">{minute} min</text>')
    for name, kind, words in LINES:
        points = " ".join(f"{x(minute):.1f},{y(sample[name] / 1e6):.1f}" for minute, sample in zip(minutes, samples))
        parts.append(f'<polyline class="{kind} curve" points="{points}" style="fill: none"/>')
        last = y(samples[-1][name] / 1e6)
        parts.append(f'<text class="number" x="{WIDTH - RIGHT + 10}" y="{last + 4:.1f}">{words}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def main(results: str, picture: str) -> None:
    content = json.loads(Path(results).read_text())
    calls = content["counts"]["calls"]
    title = f"Resident memory over {calls:,} calls (seed {content['seed']})"
    Path(picture).write_text(draw(content["samples"], title))


if __name__ == "__main__":
    main(*sys.argv[1:])
