"""A scripted Ollama server for tests: yours and this package's.

    from metagpt_ollama_rs.testing import Reply, ScriptedServer

    with ScriptedServer() as server:
        server.answer("Hello world")                                   # chat, generate, embed: as Ollama would
        server.queue(Reply.error("model is busy", 503))                # once, before that
        ...

With pytest the fixture `ollama_server` (see `metagpt_ollama_rs.testing.plugin`) gives a running one. What can be
answered stands in `replies` (cuts, delays, gates), `lines` (Ollama's own words), `faults` (everything that can go
wrong) and `transcripts` (recorded exchanges). Standard library only.
"""

from __future__ import annotations

from ..serving.requests import Request
from . import faults, lines, transcripts
from .replies import CLOSE, HANG, KEEP, RESET, Gate, Reply
from .server import ScriptedServer
from .transcripts import Transcript

__all__ = [
    "CLOSE",
    "HANG",
    "KEEP",
    "RESET",
    "Gate",
    "Reply",
    "Request",
    "ScriptedServer",
    "Transcript",
    "faults",
    "lines",
    "transcripts",
]
