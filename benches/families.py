"""All families of cases, in the order of the table."""

from __future__ import annotations

from benches import bursts, imports, short, throttled

FAMILIES = {family.TITLE: family for family in (bursts, throttled, short, imports)}
