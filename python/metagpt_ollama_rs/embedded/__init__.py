"""A small model server with Ollama's native API, for places where no Ollama runs: the demo, the tests, a quick try.

It answers as Ollama does, byte for byte where that is possible, and lets llama.cpp run the model (the PyPI package
xllamacpp, an extra of this one), in a process of its own, as Ollama's runner does.

Each file imports only files that stand below it:

    server.py      accepts connections, a thread for each; refuses requests of web pages
    api.py         what each endpoint does
    exchange.py    one request and its answer: Ollama's headers, a chunk per line
    engine.py      loads and unloads models; runner.py is the other process, the only one that imports xllamacpp
    connection.py  one client's connection: HTTP by h11, limits on bytes and seconds, clients that hang up
    options.py     Ollama's options, their types and llama.cpp's names
    models.py      the models of a GGUF file, as `/api/tags` and `/api/show` describe them
    gguf.py        reads the head of a GGUF file
    checks.py      what a request may contain, and how the rest is refused

    with EmbeddedServer("SmolLM2-135M-Instruct.Q4_1.gguf", name="smollm2:135m") as server:
        ...  # ask server.url
"""

from __future__ import annotations

from .connection import Limits
from .engine import Engine
from .models import Model, open_models
from .server import EmbeddedServer

__all__ = ["EmbeddedServer", "Engine", "Limits", "Model", "open_models"]
