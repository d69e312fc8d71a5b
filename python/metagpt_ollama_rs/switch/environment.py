"""The environment variables through which `metagpt-ollama run` reaches the processes below it. Nothing else is here, so
that every module, with MetaGPT or without, can import it.

`switch/child/sitecustomize.py` loads nothing of this package and so spells three of them itself; a test compares.
"""

from __future__ import annotations

__all__ = [
    "AS_OLLAMA_VARIABLE",
    "RUN_VARIABLE",
    "STATS_VARIABLE",
    "STRUCTURED_VARIABLE",
    "TRACEBACK_VARIABLE",
    "UNPATCHED_VARIABLE",
]

# The folder of the run, into which its processes write what the command reports at the end (see `running`).
RUN_VARIABLE = "METAGPT_OLLAMA_RUN"

# Any value puts `metagpt_ollama_rs.ollama_compat` in the place of ``ollama`` (`metagpt-ollama run --as-ollama`).
AS_OLLAMA_VARIABLE = "METAGPT_OLLAMA_AS_OLLAMA"

# The file to which the core appends one line of JSON for each call (see `metagpt_ollama_rs.stats`).
STATS_VARIABLE = "METAGPT_OLLAMA_STATS"

# "true" asks for structured answers where the configuration does not say (`metagpt-ollama run --structured`).
STRUCTURED_VARIABLE = "METAGPT_OLLAMA_STRUCTURED"

# Any value shows tracebacks where a person would rather not see them (`metagpt-ollama run --traceback`).
TRACEBACK_VARIABLE = "METAGPT_OLLAMA_TRACEBACK"

# Names of patches of MetaGPT that are not to act, or "all" (`metagpt-ollama patches` lists them).
UNPATCHED_VARIABLE = "METAGPT_OLLAMA_UNPATCHED"
