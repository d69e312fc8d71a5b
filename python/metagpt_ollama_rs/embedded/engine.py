"""Loads models into runner processes and talks to them. One model per `Engine`; the settings decide on a reload."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from .checks import BUSY, FOREVER, Refusal
from .connection import ClientLeftError

if TYPE_CHECKING:
    from .connection import Connection
    from .models import Model

# Ollama's default for a model that no request said anything about, in seconds.
DEFAULT_KEEP_ALIVE = 300.0

CRASHED = (
    "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, "
    "check ollama server logs for details"
)


class Settings(NamedTuple):
    """What a loaded model was loaded with; another value in a request means loading it again."""

    context_length: int
    shift: bool = True
    threads: int = 0
    batch: int = 0
    gpu_layers: int | None = None


class RunnerRefusedError(Exception):
    """llama.cpp's answer to a request it does not take: `status` and its JSON `body`."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(body)
        self.status = status
        self.body = body

    @property
    def message(self) -> str:
        """The text inside the body."""
        try:
            return str(json.loads(self.body)["error"]["message"])
        except (ValueError, KeyError, TypeError):
            return self.body


class RunnerDiedError(Exception):
    """The runner process is gone, or does not speak."""


class Runner:
    """One runner process with one model."""

    def __init__(self, model: Model, settings: Settings) -> None:
        """Starts it and waits until the model is loaded. Raises Refusal (500) when it cannot be."""
        asked = {
            **settings._asdict(),
            "path": str(model.path),
            "embeds": model.embeds,
            "pooled": model.file.of_architecture("pooling_type") is not None,
        }
        self.settings = settings
        # Schemas that were tried, as JSON, and whether they were.
        self.obeyed: dict[str, bool] = {}
        try:
            # A folder that nobody else may enter. A socket's name has about a hundred bytes, and TMPDIR may be long.
            parent = tempfile.gettempdir()
            self._folder = tempfile.mkdtemp(prefix="runner-", dir=parent if len(os.fsencode(parent)) < 70 else "/tmp")
        except OSError as error:
            raise _not_started(error) from error
        self._address = asked["socket"] = os.path.join(self._folder, "runner.sock")
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "metagpt_ollama_rs.embedded.runner", json.dumps(asked)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # A runner that aborts would call a debugger to print where it was.
                env={**os.environ, "GGML_NO_BACKTRACE": "1"},
            )
        except OSError as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise _not_started(error) from error
        assert self._process.stdout is not None
        announcement = self._process.stdout.readline()
        try:
            said = json.loads(announcement)
        except ValueError:
            said = {"error": f"exit status {self._process.wait()}"}
        if "error" in said:
            self.stop()
            raise Refusal(500, f"llama-server process has terminated: {said['error']}")

    @property
    def alive(self) -> bool:
        """The process runs."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def stop(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                # What was not written yet has nobody to go to.
                with contextlib.suppress(OSError):
                    pipe.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def call(self, path: str, payload: Any) -> Any:
        """POSTs `payload` and gives the JSON answer. Raises RunnerRefusedError or RunnerDiedError."""
        connection = http.client.HTTPConnection("runner")
        connection.sock = self._connected()
        try:
            connection.request("POST", path, json.dumps(payload), {"Content-Type": "application/json"})
            response = connection.getresponse()
            body = response.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            raise self._dead(str(error)) from error
        finally:
            connection.close()
        if response.status != 200:
            raise RunnerRefusedError(response.status, body)
        return json.loads(body)

    def events(self, path: str, payload: Any, client: Connection) -> Iterator[dict[str, Any]]:
        """POSTs `payload` and yields the events of the stream that answers.

        Watches `client` meanwhile; when it hangs up the request is dropped, which stops the generation, and
        ClientLeftError raised. Also raises RunnerRefusedError and RunnerDiedError.
        """
        # This selector needs no descriptor of its own.
        with self._connected() as runner, selectors.PollSelector() as selector:
            selector.register(runner, selectors.EVENT_READ)
            selector.register(client, selectors.EVENT_READ)
            body = json.dumps(payload).encode()
            head = f"POST {path} HTTP/1.1\r\nHost: runner\r\nContent-Type: application/json\r\n"
            decoder = _StreamDecoder()
            try:
                runner.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                while not decoder.ended:
                    ready = {key.fileobj for key, _ in selector.select()}
                    if client in ready:
                        if client.gone():
                            raise ClientLeftError
                        # The next request is here already: from now on only a failing send tells.
                        selector.unregister(client)
                    if runner in ready:
                        data = runner.recv(1 << 16)
                        if not data:
                            raise self._dead("unexpected EOF")
                        yield from decoder.feed(data)
            except OSError as error:
                raise self._dead(str(error)) from error

    def _connected(self) -> socket.socket:
        try:
            sock = socket.socket(socket.AF_UNIX)
        except OSError as error:
            raise Refusal(503, BUSY) from error
        try:
            sock.connect(self._address)
        except OSError as error:
            sock.close()
            raise self._dead(str(error)) from error
        return sock

    def _dead(self, reason: str) -> RunnerDiedError:
        """Makes sure of it: a process that is ending may still look alive when its connections are gone already."""
        self._process.kill()
        self._process.wait()
        return RunnerDiedError(reason)


def _not_started(error: OSError) -> Refusal:
    return Refusal(500, f"error starting llama-server: {error.strerror}")


class _StreamDecoder:
    """llama.cpp's streamed answer, from bytes to events: head, HTTP chunks, SSE frames."""

    def __init__(self) -> None:
        self.ended = False
        self._bytes = b""
        self._text = b""
        self._status = 0
        self._length: int | None = None

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """The events that `data` completes."""
        self._bytes += data
        if not self._status and not self._take_head():
            return
        if self._length is not None:
            if len(self._bytes) < self._length:
                return
            self.ended = True
            self._text = self._bytes
        else:
            self._take_chunks()
        if self._status != 200:
            if self.ended:
                raise RunnerRefusedError(self._status, self._text.decode("utf-8", "replace"))
            return
        *frames, self._text = self._text.split(b"\n\n")
        for frame in frames:
            name, _, value = frame.strip().partition(b":")
            if name == b"data" and value.strip() != b"[DONE]":
                event = json.loads(value)
                if "error" in event:
                    raise RunnerRefusedError(500, value.strip().decode("utf-8", "replace"))
                yield event
            elif name == b"error":
                raise RunnerRefusedError(500, '{"error":' + value.strip().decode("utf-8", "replace") + "}")

    def _take_head(self) -> bool:
        head, end, rest = self._bytes.partition(b"\r\n\r\n")
        if not end:
            return False
        lines = head.decode("latin-1").split("\r\n")
        self._status = int(lines[0].split(" ")[1])
        for line in lines[1:]:
            name, _, value = line.partition(":")
            if name.lower() == "content-length":
                self._length = int(value)
        self._bytes = rest
        return True

    def _take_chunks(self) -> None:
        while True:
            line, end, rest = self._bytes.partition(b"\r\n")
            if not end:
                return
            size = int(line, 16)
            if len(rest) < size + 2:
                return
            self._text += rest[:size]
            self._bytes = rest[size + 2 :]
            if size == 0:
                self.ended = True
                return


class Engine:
    """Loads one model on demand, again when a request needs other settings, and unloads it when its time is over."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._changed = threading.Condition()
        self._runner: Runner | None = None
        self._loading = False
        self._users = 0
        self._keep_alive = DEFAULT_KEEP_ALIVE
        self._expires = FOREVER
        self._closed = False
        self._watch = threading.Thread(target=self._unload_in_time, name="embedded-unload", daemon=True)
        self._watch.start()

    @contextlib.contextmanager
    def use(self, settings: Settings, keep_alive: float | None) -> Iterator[Runner]:
        """A runner with `settings`, loaded if need be; it stays until the block ends, and `keep_alive` seconds more."""
        runner = self._acquire(settings)
        try:
            yield runner
        finally:
            with self._changed:
                self._users -= 1
                if keep_alive is not None:
                    self._keep_alive = keep_alive
                self._expires = time.monotonic() + self._keep_alive
                self._changed.notify_all()

    def unload(self) -> None:
        """Unloads as soon as nobody uses the model; returns at once."""
        with self._changed:
            # Kept for those who use it now: when the last of them is done, its time is over.
            self._keep_alive = 0.0
            self._expires = 0.0
            self._changed.notify_all()

    def close(self) -> None:
        """Ends the runner, also one in use."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: not self._loading)
            self._drop()
            self._changed.notify_all()
        self._watch.join()

    def loaded(self) -> tuple[Settings, float] | None:
        """The settings of the loaded model and the seconds it has left (`FOREVER` while none are counted)."""
        with self._changed:
            if self._runner is None or not self._runner.alive:
                return None
            return self._runner.settings, self._expires - time.monotonic()

    def _acquire(self, settings: Settings) -> Runner:
        with self._changed:
            while True:
                runner = self._runner
                if self._closed:
                    raise Refusal(503, "the server is stopping")
                if runner is not None and runner.settings == settings and runner.alive and not self._loading:
                    self._users += 1
                    return runner
                if not self._loading and (self._users == 0 or runner is None or not runner.alive):
                    break
                self._changed.wait()
            self._loading = True
            self._drop()
        runner = None
        try:
            runner = Runner(self.model, settings)
        finally:
            with self._changed:
                self._loading = False
                self._runner = runner
                self._keep_alive = DEFAULT_KEEP_ALIVE
                self._expires = FOREVER
                if runner is not None:
                    self._users += 1
                self._changed.notify_all()
        return runner

    def _drop(self) -> None:
        if self._runner is not None:
            self._runner.stop()
            self._runner = None

    def _unload_in_time(self) -> None:
        with self._changed:
            while not self._closed:
                left = self._expires - time.monotonic()
                if self._runner is None or self._users or self._loading or left == FOREVER:
                    self._changed.wait()
                elif left > 0:
                    self._changed.wait(min(left, threading.TIMEOUT_MAX))
                else:
                    self._drop()
                    self._expires = FOREVER
