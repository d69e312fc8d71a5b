"""The environment variables through which `metagpt-ollama run` reaches the processes below it. Nothing else is here, so
that every module, with MetaGPT or without, can import it.

`switch/child/sitecustomize.py` loads nothing of this package and so spells two of them itself; a test compares.
"""

from __future__ import annotations

__all__ = ["RUN_VARIABLE", "STATS_VARIABLE", "STRUCTURED_VARIABLE", "TRACEBACK_VARIABLE", "UNPATCHED_VARIABLE"]

# The folder of the run, into which its processes write what the command reports at the end (see `running`).
RUN_VARIABLE = "METAGPT_OLLAMA_RUN"

# The file to which the core appends one line of JSON for each call (see `metagpt_ollama_rs.stats`).
STATS_VARIABLE = "METAGPT_OLLAMA_STATS"

# "true" asks for structured answers where the configuration does not say (`metagpt-ollama run --structured`).
STRUCTURED_VARIABLE = "METAGPT_OLLAMA_STRUCTURED"

# Any value shows tracebacks where a person would rather not see them (`metagpt-ollama run --traceback`).
TRACEBACK_VARIABLE = "METAGPT_OLLAMA_TRACEBACK"

# Names of patches of MetaGPT that are not to act, or "all" (`metagpt-ollama patches` lists them).
UNPATCHED_VARIABLE = "METAGPT_OLLAMA_UNPATCHED"
