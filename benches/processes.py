"""The processes of a bench: the replay server, and workers that hold one peer each. They end with the coordinator."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from benches import worker
from benches.cases import Sample
from benches.peers import PEERS

# Seconds that a sample may take before its worker is given up.
# Seconds that a worker may take for one case, and to start.
REPLY_SECONDS = 300
ROOT = Path(__file__).parents[1]


class Worker:
    """A process that runs cases for one peer. A peer that needs MetaGPT runs in a fork of a process that has imported
    it, any other in a new interpreter."""

    def __init__(self, peer: str, address: str) -> None:
        context: Any = multiprocessing.get_context("forkserver" if PEERS[peer].metagpt else "spawn")
        if PEERS[peer].metagpt:
            context.set_forkserver_preload(["benches.metagpt_preload"])
        self.pipe, worker_end = context.Pipe()
        self.process = context.Process(target=worker.serve, args=(peer, address, worker_end), name=peer, daemon=True)
        self.process.start()
        worker_end.close()

    def receive(self) -> Any:
        if not self.pipe.poll(REPLY_SECONDS):
            raise SystemExit(f"{self.process.name} has said nothing for {REPLY_SECONDS} seconds")
        try:
            return self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            status = self.process.exitcode
            raise SystemExit(f"{self.process.name} ended with status {status}; its message stands above") from None

    def run(self, family: str, parameters: dict[str, Any]) -> Sample:
        self.pipe.send((family, parameters))
        return cast("Sample", self.receive())

    def stop(self) -> None:
        self.pipe.close()
        self.process.join(20)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()


class Workers:
    """The workers of a run, by their peer. Each is started when it is first needed, and used for all later cases."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.kept: dict[str, Worker] = {}

    def start(self, peers: list[str]) -> None:
        """Starts the workers of those `peers` that have none yet, all at the same time."""
        new = {peer: Worker(peer, self.address) for peer in dict.fromkeys(peers) if peer not in self.kept}
        self.kept.update(new)
        for started in new.values():
            started.receive()

    @contextlib.contextmanager
    def fresh(self, peer: str) -> Iterator[Worker]:
        """A new worker for one sample, which ends with the block."""
        started = Worker(peer, self.address)
        try:
            started.receive()
            yield started
        finally:
            started.stop()

    def stop(self) -> None:
        for kept in self.kept.values():
            kept.stop()


@contextlib.contextmanager
def replay_server() -> Iterator[str]:
    """The address of a replay server of one's own, which ends with the block."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "benches.replay"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        )
        # The server ends with its standard input, for which Popen's exit would otherwise wait when the coordinator
        # fails.
        stack.callback(cast("Any", server.stdin).close)
        yield f"http://127.0.0.1:{int(cast('Any', server.stdout).readline())}"


@contextlib.contextmanager
def workers() -> Iterator[Workers]:
    """The replay server, and workers that talk to it."""
    with tempfile.TemporaryDirectory(prefix="metagpt-ollama-bench-") as scratch, contextlib.ExitStack() as stack:
        # MetaGPT writes logs into METAGPT_PROJECT_ROOT and reads the configuration in HOME. The workers inherit the
        # environment, METAGPT_OLLAMA_LANE included.
        os.environ.update({"HOME": scratch, "METAGPT_PROJECT_ROOT": scratch})
        pool = Workers(stack.enter_context(replay_server()))
        stack.callback(pool.stop)
        yield pool
