"""`metagpt-ollama serve`: a GGUF file behind Ollama's API, where no Ollama runs."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...serving.ollama import DEFAULT_CONTEXT_LENGTH, DEFAULT_MODEL
from ..console import DONE, CliError, print_message

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "serve"
SUMMARY = "Serve a GGUF file with Ollama's API (needs the extra 'embedded')."
POSITION = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the model file, the address and the context length."""
    parser.add_argument("--gguf", type=Path, required=True, metavar="FILE", help="the model file")
    parser.add_argument("--name", default=DEFAULT_MODEL, help="the name clients ask for (default: %(default)s)")
    parser.add_argument(
        "--embeddings",
        action="store_true",
        help="serve the file for embeddings too (NAME:TAG as NAME-embed:TAG)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=11434, help="0 takes any free port (default: %(default)s)")
    parser.add_argument("--port-file", type=Path, metavar="PATH", help="write the port here once the server listens")
    parser.add_argument(
        "--ctx",
        type=_context,
        default=DEFAULT_CONTEXT_LENGTH,
        metavar="N",
        help="context length in tokens (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serves until SIGINT or SIGTERM. Prints the base URL on stdout as soon as the server listens."""
    for package in ("xllamacpp", "h11"):
        if importlib.util.find_spec(package) is None:
            raise CliError(f"{package} is not installed", hint='pip install "metagpt-ollama-rs[embedded]"')
    from ...embedded import EmbeddedServer
    from ...embedded.gguf import NotGgufError

    try:
        server = EmbeddedServer(
            arguments.gguf,
            name=arguments.name,
            embeddings=arguments.embeddings,
            host=arguments.host,
            port=arguments.port,
            context_length=arguments.ctx,
        )
    except NotGgufError as error:
        raise CliError(str(error), hint="a model file in GGUF format is needed, as llama.cpp reads it") from error
    except OSError as error:
        raise CliError(f"{arguments.gguf} cannot be read: {error.strerror}", hint="check --gguf") from error
    with _stop_signals() as stop:
        try:
            server.start()
        except OSError as error:
            raise CliError(
                f"cannot listen on {arguments.host}:{arguments.port}: {error.strerror}",
                hint="another server may use that port: choose one with --port, or 0 for any",
            ) from error
        with contextlib.ExitStack() as cleanup:
            cleanup.callback(server.stop)
            if arguments.port_file is not None:
                _write_atomically(arguments.port_file, f"{server.port}\n")
                cleanup.callback(_delete, arguments.port_file)
            print(server.url, flush=True)
            names = ", ".join(model.name for model in server.models)
            print_message(f"Serving {names} from {arguments.gguf.name}; Ctrl-C stops.")
            stop.wait()
    return DONE


@contextlib.contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """Gives an event that SIGINT and SIGTERM set; restores their handlers at the end."""
    stop = threading.Event()

    def on_signal(*_: Any) -> None:
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _write_atomically(path: Path, text: str) -> None:
    """Writes the file so that another process never reads half of it."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise CliError(f"{path} cannot be written: {error.strerror}", hint="check --port-file") from error


def _delete(path: Path) -> None:
    path.unlink(missing_ok=True)


def _port(text: str) -> int:
    return _int_in_range(text, 0, 65535)


def _context(text: str) -> int:
    return _int_in_range(text, 4, 1 << 31)


def _int_in_range(text: str, least: int, most: int) -> int:
    if text.isdecimal() and least <= int(text) <= most:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} to {most}")
