"""The other process: one model in xllamacpp's server, behind a Unix socket.

`engine` starts it as `python -m metagpt_ollama_rs.embedded.runner SETTINGS`. When the model is loaded it writes one
line of JSON, `{}` or `{"error": "…"}`, and it runs until its standard input ends, so that it never outlives its parent.

It listens on a socket in a folder that only its user may enter, and not on a port: llama.cpp's server has no guard
against web pages, and would answer any of them and any user of the machine. It is a process of its own because
xllamacpp's server can hang when it is destroyed, because memory is then surely freed, and because a crash of the model
then is one failed request.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from typing import Any


def main(settings: dict[str, Any]) -> None:
    """Loads the model, writes the line that says so, and waits for the end of standard input."""
    # Ctrl-C in a terminal reaches this process too; its parent decides when it ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    announcement = {}
    try:
        _start(settings)
    except Exception as error:  # whatever it is, the parent reports it to its client
        announcement = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(announcement), flush=True)
    sys.stdin.buffer.read()
    # The parent deletes this folder, too, unless it was killed.
    shutil.rmtree(os.path.dirname(settings["socket"]), ignore_errors=True)
    os._exit(0)


def _start(settings: dict[str, Any]) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    # llama.cpp takes a host name that ends in `.sock` for the path of a Unix socket.
    params.hostnames = [settings["socket"]]
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
        # An input is pooled as one batch, which so has to hold the whole context.
        params.n_batch = params.n_ubatch = settings["context_length"]
        if not settings["pooled"]:
            params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    global _server
    _server = xllamacpp.Server(params)


_server: Any = None

if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
