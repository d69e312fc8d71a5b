"""All families of cases, in the order of the report."""

from __future__ import annotations

from types import ModuleType

from benches import bursts, busy, decode, embeddings, imports, long_answers, memory, short, throttled

FAMILIES: dict[str, ModuleType] = {
    family.TITLE: family
    for family in (bursts, throttled, short, busy, long_answers, memory, embeddings, decode, imports)
}  # fmt: skip
