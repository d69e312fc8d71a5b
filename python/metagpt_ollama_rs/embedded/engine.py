"""Loads models into runner processes and sends them requests.

An `Engine` has one model and at most one `Runner`, a process that has loaded the model with certain `LoadSettings`. A
request that needs other settings loads the model again. A streamed answer of the runner, for example::

    HTTP/1.1 200 OK
    Transfer-Encoding: chunked

    2a
    data: {"content": " Hi", "stop": false}

    …

becomes the dicts ``{"content": " Hi", "stop": False}``, ….
"""

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

# Seconds that Ollama keeps a model in memory when no request says how long.
DEFAULT_KEEP_ALIVE = 300.0

CRASHED = (
    "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, "
    "check ollama server logs for details"
)


class LoadSettings(NamedTuple):
    """What a model is loaded with. A request with other values makes the engine load it again.

    `context_length` and `batch` are tokens. 0 for `threads` or `batch` and None for `gpu_layers` let llama.cpp choose.
    `shift` lets an answer that outgrows the context go on without its beginning.

    >>> LoadSettings(4096) == LoadSettings(4096, shift=True), LoadSettings(4096).gpu_layers
    (True, None)
    """

    context_length: int
    shift: bool = True
    threads: int = 0
    batch: int = 0
    gpu_layers: int | None = None


class RunnerRefusedError(Exception):
    """llama.cpp refused a request: `status` is that of its HTTP response, `body` the JSON text in it."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(body)
        self.status = status
        self.body = body

    @property
    def message(self) -> str:
        """The error's text inside the body, or the whole body if it has none."""
        try:
            return str(json.loads(self.body)["error"]["message"])
        except (ValueError, KeyError, TypeError):
            return self.body


class RunnerDiedError(Exception):
    """The runner process has ended, or its connection broke."""


class Runner:
    """One runner process with one model."""

    def __init__(self, model: Model, settings: LoadSettings) -> None:
        """Starts the process and waits until the model is loaded. Raises `Refusal` (status 500) when it cannot be."""
        settings_sent = {
            **settings._asdict(),
            "path": str(model.path),
            "embeds": model.embeds,
            "pooled": model.file.architecture_value("pooling_type") is not None,
        }
        self.settings = settings
        # By the JSON text of a schema: whether llama.cpp can make a grammar of it.
        self.grammar_cache: dict[str, bool] = {}
        try:
            # A folder that no other user may enter. The path of a Unix socket may have about a hundred bytes, so a
            # long TMPDIR is not used.
            parent = tempfile.gettempdir()
            self._folder = tempfile.mkdtemp(prefix="runner-", dir=parent if len(os.fsencode(parent)) < 70 else "/tmp")
        except OSError as error:
            raise _start_refusal(error) from error
        self._address = settings_sent["socket"] = os.path.join(self._folder, "runner.sock")
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "metagpt_ollama_rs.embedded.runner", json.dumps(settings_sent)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # Without this, a runner that aborts starts a debugger to print a backtrace.
                env={**os.environ, "GGML_NO_BACKTRACE": "1"},
            )
        except OSError as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise _start_refusal(error) from error
        assert self._process.stdout is not None
        announcement = self._process.stdout.readline()
        try:
            announced = json.loads(announcement)
        except ValueError:
            announced = {"error": f"exit status {self._process.wait()}"}
        if "error" in announced:
            self.stop()
            raise Refusal(500, f"llama-server process has terminated: {announced['error']}")

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
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
                # Closing writes what is still buffered, and the process that would read it has ended.
                with contextlib.suppress(OSError):
                    pipe.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def call(self, path: str, payload: Any) -> Any:
        """POSTs `payload` as JSON and returns the JSON answer. Raises RunnerRefusedError or RunnerDiedError."""
        connection = http.client.HTTPConnection("runner")
        connection.sock = self._connect()
        try:
            connection.request("POST", path, json.dumps(payload), {"Content-Type": "application/json"})
            response = connection.getresponse()
            body = response.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            raise self._died(str(error)) from error
        finally:
            connection.close()
        if response.status != 200:
            raise RunnerRefusedError(response.status, body)
        return json.loads(body)

    def events(self, path: str, payload: Any, client: Connection) -> Iterator[dict[str, Any]]:
        """POSTs `payload` as JSON and yields the events of the streamed answer.

        When `client` hangs up meanwhile, the runner's connection is closed, which stops the generation, and
        ClientLeftError is raised. Also raises RunnerRefusedError and RunnerDiedError.
        """
        # Unlike epoll, poll needs no file descriptor of its own.
        with self._connect() as runner, selectors.PollSelector() as selector:
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
                        if client.hung_up():
                            raise ClientLeftError
                        # The client has sent its next request already. From now on its socket is always readable, and
                        # only a failing send shows that it hangs up.
                        selector.unregister(client)
                    if runner in ready:
                        data = runner.recv(1 << 16)
                        if not data:
                            raise self._died("unexpected EOF")
                        yield from decoder.feed(data)
            except OSError as error:
                raise self._died(str(error)) from error

    def _connect(self) -> socket.socket:
        try:
            sock = socket.socket(socket.AF_UNIX)
        except OSError as error:
            raise Refusal(503, BUSY) from error
        try:
            sock.connect(self._address)
        except OSError as error:
            sock.close()
            raise self._died(str(error)) from error
        return sock

    def _died(self, reason: str) -> RunnerDiedError:
        """Ends the process and returns the error to raise.

        A process that is ending may still count as running when its connections are closed already.
        """
        self._process.kill()
        self._process.wait()
        return RunnerDiedError(reason)


def _start_refusal(error: OSError) -> Refusal:
    return Refusal(500, f"error starting llama-server: {error.strerror}")


class _StreamDecoder:
    """Decodes llama.cpp's streamed answer: the HTTP head, the chunks, and in them events as `data: {…}` lines."""

    def __init__(self) -> None:
        self.ended = False
        self._bytes = b""
        self._text = b""
        self._status = 0
        self._length: int | None = None

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """The events that `data` completes. Raises RunnerRefusedError for an error in their place."""
        self._bytes += data
        if not self._status and not self._parse_head():
            return
        if self._length is not None:
            if len(self._bytes) < self._length:
                return
            self.ended = True
            self._text = self._bytes
        else:
            self._parse_chunks()
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

    def _parse_head(self) -> bool:
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

    def _parse_chunks(self) -> None:
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
    """Loads one model when a request needs it, again when one needs other settings, and unloads it after a time.

    Thread-safe. A thread of its own unloads the model.

    >>> from pathlib import Path
    >>> from metagpt_ollama_rs.embedded.gguf import Gguf
    >>> from metagpt_ollama_rs.embedded.models import Model
    >>> engine = Engine(Model("smollm2:135m", Path("smollm2.gguf"), Gguf({}, ()), embeds=False))
    >>> engine.loaded() is None  # until a request comes: `with engine.use(LoadSettings(4096), None) as runner`
    True
    >>> engine.close()
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._changed = threading.Condition()
        self._runner: Runner | None = None
        self._loading = False
        self._users = 0
        self._keep_alive = DEFAULT_KEEP_ALIVE
        self._expires = FOREVER
        self._closed = False
        self._unloader = threading.Thread(target=self._unload_when_expired, name="embedded-unload", daemon=True)
        self._unloader.start()

    @contextlib.contextmanager
    def use(self, settings: LoadSettings, keep_alive: float | None) -> Iterator[Runner]:
        """A runner with `settings`, which stays loaded until the block ends and `keep_alive` seconds after it.

        None leaves the time as the last request set it. Raises `Refusal` when the model cannot be loaded.
        """
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
        """Unloads the model as soon as no request uses it. Returns at once."""
        with self._changed:
            # For the requests that use it now: when the last of them ends, the time is over at once.
            self._keep_alive = 0.0
            self._expires = 0.0
            self._changed.notify_all()

    def close(self) -> None:
        """Ends the runner, even while a request uses it."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: not self._loading)
            self._stop_runner()
            self._changed.notify_all()
        self._unloader.join()

    def loaded(self) -> tuple[LoadSettings, float] | None:
        """The settings of the loaded model and the seconds until it is unloaded; None if it is not loaded.

        The seconds are `FOREVER` while a request loads it, or where it is to stay for ever.
        """
        with self._changed:
            if self._runner is None or not self._runner.alive:
                return None
            return self._runner.settings, self._expires - time.monotonic()

    def _acquire(self, settings: LoadSettings) -> Runner:
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
            self._stop_runner()
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

    def _stop_runner(self) -> None:
        if self._runner is not None:
            self._runner.stop()
            self._runner = None

    def _unload_when_expired(self) -> None:
        with self._changed:
            while not self._closed:
                left = self._expires - time.monotonic()
                if self._runner is None or self._users or self._loading or left == FOREVER:
                    self._changed.wait()
                elif left > 0:
                    self._changed.wait(min(left, threading.TIMEOUT_MAX))
                else:
                    self._stop_runner()
                    self._expires = FOREVER
