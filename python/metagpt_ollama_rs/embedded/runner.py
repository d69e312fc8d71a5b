"""The other process: one model in xllamacpp's server, on a loopback port of its own.

Started by `engine` as `python -m metagpt_ollama_rs.embedded.runner SETTINGS`. It writes one line of JSON, an `address`
or an `error`, and lives until its standard input ends, so that it never outlives its parent. A process rather than an
object because xllamacpp's server can hang when it is torn down, because memory is then surely given back, and because a
crash of the model stays a failed request.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any


def main(settings: dict[str, Any]) -> None:
    """Loads the model, announces the address, waits."""
    # Ctrl-C in a terminal reaches this process too; its parent decides when it ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        announcement = {"address": _start(settings)}
    except Exception as error:  # whatever it is, the parent has to tell its client
        announcement = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(announcement), flush=True)
    sys.stdin.buffer.read()
    os._exit(0)


def _start(settings: dict[str, Any]) -> str:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = settings["path"]
    params.n_ctx = settings["context_length"]
    params.n_parallel = 1
    params.verbosity = -1
    params.ctx_shift = settings["shift"]
    params.ui = False
    params.fit_params = False
    if settings["threads"]:
        params.cpuparams.n_threads = settings["threads"]
        params.cpuparams_batch.n_threads = settings["threads"]
    if settings["batch"]:
        params.n_batch = settings["batch"]
    if settings["gpu_layers"] is not None:
        params.n_gpu_layers = settings["gpu_layers"]
    if settings["embeds"]:
        params.embedding = True
        # An input is pooled in one go.
        params.n_batch = params.n_ubatch = settings["context_length"]
        if not settings["pooled"]:
            params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    global _server
    _server = xllamacpp.Server(params)
    return str(_server.listening_address)


_server: Any = None

if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
