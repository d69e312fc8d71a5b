"""A server that gives the answers that a test has scripted, and keeps the requests for the test to look at.

Standard library only: a thread accepts, each connection has a thread of its own, nothing is shared but this object's
lock. The server listens on a loopback port of its own and leaves neither threads nor sockets behind.

    with ScriptedServer() as server:
        server.on("POST", "/api/chat", Reply.chat("Hello world"))
        ...  # ask server.url
        assert server.requests[0].json()["model"] == "smollm2"
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Callable, Union

from ..serving import ollama
from ..serving.format import TEXT_UTF8
from ..serving.ollama import full_name
from ..serving.requests import MalformedRequestError, Request, RequestReader
from . import lines
from .replies import CLOSE, HANG, KEEP, RESET, Reply

Answer = Union[Reply, Sequence[Reply], Callable[[Request], Reply]]

# Seconds after which a waiting thread looks again whether the server was stopped or the client has hung up.
_POLL_SECONDS = 0.02

_DETAILS = {
    "parent_model": "",
    "format": "gguf",
    "family": "llama",
    "families": ["llama"],
    "parameter_size": "134.52M",
    "quantization_level": "Q4_1",
}
_DIGEST = "849a5ddf83cb0af64576ff3d7b7ca83fe8eb275263581ab023b6952d86a6a5c8"


class ScriptedServer:
    """A scripted stand-in for Ollama on `host`, port `port` (0: any free one). Also a context manager.

    `models` are what `/api/tags` and `/api/show` know. The answer to a request is looked for in this order: the queue,
    `on`, the small endpoints that answer by themselves (`/`, `/api/version`, `/api/tags`, `/api/ps`, `/api/show`),
    and 404 `404 page not found`.

    >>> from metagpt_ollama_rs import Client, ModelNotFoundError
    >>> with ScriptedServer() as server:
    ...     server.answer("Hello world")
    ...     server.queue(Reply.error("model 'smollm2' not found", 404))
    ...     client = Client(server.url)
    ...     try:
    ...         client.generate("smollm2", "Hi")
    ...     except ModelNotFoundError as error:
    ...         print(error.status)
    ...     print(client.generate("smollm2", "Hi").response)
    ...     print(server.last.path, server.last.json()["prompt"])
    404
    Hello world
    /api/generate Hi
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0, *, models: Sequence[str] = (lines.MODEL,)) -> None:
        self.host = host
        self.port = port
        self.models = list(models)
        self._changed = threading.Condition()
        self._requests: list[Request] = []
        self._queued: list[tuple[str | None, Reply | Callable[[Request], Reply]]] = []
        self._routes: dict[tuple[str, str], Answer] = {}
        self._positions: dict[tuple[str, str], int] = {}
        self._connections = 0
        self._open: dict[int, socket.socket] = {}
        self._idle: set[int] = set()
        self._finishing: set[int] = set()
        self._busy = 0
        self._most_busy = 0
        self._threads: set[threading.Thread] = set()
        self._acceptor: threading.Thread | None = None
        self._listener: socket.socket | None = None
        self._stopping = threading.Event()

    def __enter__(self) -> ScriptedServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> ScriptedServer:
        """Begins to listen; `port` then holds the real port. May be called again after `stop`: the port stays."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.host, self.port))
            listener.listen(1024)
        except OSError:
            listener.close()
            raise
        self._stopping.clear()
        self._listener = listener
        self.port = listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, args=(listener,), name="scripted-server", daemon=True)
        self._acceptor.start()
        return self

    def stop(self) -> None:
        """Closes every connection and waits for the threads."""
        self._stopping.set()
        listener, self._listener = self._listener, None
        if listener is not None:
            _shut_down(listener)
            listener.close()
        acceptor, self._acceptor = self._acceptor, None
        if acceptor is not None:
            acceptor.join()
        with self._changed:
            for sock in self._open.values():
                _shut_down(sock)
            threads = list(self._threads)
        for thread in threads:
            thread.join()

    @property
    def url(self) -> str:
        """`http://HOST:PORT`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def on(self, method: str, path: str, answer: Answer) -> None:
        """Answers every `method path` with `answer`: a reply; a sequence, of which the last repeats; or a function of
        the request. A second call for the same route replaces the first."""
        with self._changed:
            self._routes[method.upper(), path] = answer
            self._positions.pop((method.upper(), path), None)

    def script(self, routes: Mapping[str, Answer]) -> None:
        """Calls `on` for each item of `routes`, whose keys are such as `"POST /api/chat"`."""
        for route, answer in routes.items():
            method, _, path = route.partition(" ")
            self.on(method, path, answer)

    def queue(self, *answers: Reply | Callable[[Request], Reply], path: str | None = None) -> None:
        """Answers the next requests with these, one each, in order, before anything else is looked at.

        With `path` only requests for that path; without, only requests that the server would not answer by itself.
        """
        with self._changed:
            self._queued.extend((path, answer) for answer in answers)

    def answer(
        self,
        content: str | Iterable[str] = "Hello world",
        *,
        thinking: str | Iterable[str] = "",
        dimensions: int = 8,
    ) -> None:
        """Answers chat, generate, embed and embeddings as Ollama would, streamed or whole as each request asks.

        Replies carry the model name of the request; each text has a made-up vector of `dimensions` values.
        """
        content = lines.tokens(content)
        thinking = lines.tokens(thinking)

        def chat(request: Request) -> Reply:
            body = request.json()
            return Reply.chat(content, stream=body.get("stream", True), model=body["model"], thinking=thinking)

        def generate(request: Request) -> Reply:
            body = request.json()
            return Reply.generate(content, stream=body.get("stream", True), model=body["model"], thinking=thinking)

        def embed(request: Request) -> Reply:
            body = request.json()
            texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
            vectors = [lines.vector(text, dimensions) for text in texts]
            return Reply.embed(vectors, model=body["model"], prompt_eval_count=sum(len(t.split()) for t in texts))

        def embeddings(request: Request) -> Reply:
            return Reply.json(lines.embeddings_object(lines.vector(request.json()["prompt"], dimensions)))

        self.on("POST", ollama.CHAT, chat)
        self.on("POST", ollama.GENERATE, generate)
        self.on("POST", ollama.EMBED, embed)
        self.on("POST", ollama.EMBEDDINGS, embeddings)

    def reset(self) -> None:
        """Forgets all answers and all requests; connections stay open."""
        with self._changed:
            self._requests.clear()
            self._queued.clear()
            self._routes.clear()
            self._positions.clear()
            self._most_busy = self._busy

    def forget_requests(self) -> int:
        """Forgets all requests, how many they were is the result; answers and connections stay."""
        with self._changed:
            count = len(self._requests)
            self._requests.clear()
            return count

    @property
    def under_way(self) -> int:
        """How many requests are being answered now."""
        with self._changed:
            return self._busy

    @property
    def requests(self) -> list[Request]:
        """The requests so far, in order of arrival; a copy."""
        with self._changed:
            return list(self._requests)

    @property
    def last(self) -> Request:
        """The latest request; raises IndexError when there was none."""
        return self.requests[-1]

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        with self._changed:
            return self._connections

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        with self._changed:
            return len(self._open)

    @property
    def most_at_once(self) -> int:
        """The greatest number of requests that were being answered at the same time."""
        with self._changed:
            return self._most_busy

    def wait_for_request(self, number: int = 1, timeout: float = 10.0) -> Request:
        """The request `number`, counted from 1, once it is here; raises TimeoutError after `timeout` seconds."""
        self.wait_until(lambda: len(self._requests) >= number, f"request {number} did not come", timeout)
        return self.requests[number - 1]

    def wait_for_hangup(self, timeout: float = 10.0) -> Request:
        """The first request whose client left before it was answered; raises TimeoutError after `timeout` seconds."""
        self.wait_until(lambda: any(r.hung_up.is_set() for r in self._requests), "no client hung up", timeout)
        return next(request for request in self.requests if request.hung_up.is_set())

    def wait_for_open_connections(self, number: int, timeout: float = 10.0) -> None:
        """Returns once exactly `number` connections are open; raises TimeoutError after `timeout` seconds."""
        self.wait_until(lambda: len(self._open) == number, f"there were not {number} open connections", timeout)

    def wait_until(self, condition: Callable[[], bool], complaint: str, timeout: float = 10.0) -> None:
        """Waits until `condition` is true, which is asked with the server's lock held whenever something has changed.

        Raises TimeoutError, whose text begins with `complaint`, after `timeout` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                raise TimeoutError(f"{complaint} within {timeout} s; {len(self._requests)} requests so far")

    def close_idle(self) -> None:
        """Closes the connections on which no request is being answered, as a server does after its keep-alive time."""
        with self._changed:
            # A client may have read a reply to its end before the thread that sent it gets back to its connection.
            self._changed.wait_for(lambda: not self._finishing, 10.0)
            for number in self._idle:
                _shut_down(self._open[number])

    def _accept(self, listener: socket.socket) -> None:
        while not self._stopping.is_set():
            try:
                sock, _ = listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                # The client has hung up already, or no file descriptor is left; one may become free.
                self._stopping.wait(_POLL_SECONDS)
                continue
            with self._changed:
                self._connections += 1
                number = self._connections
                self._open[number] = sock
                thread = threading.Thread(
                    target=self._serve, args=(sock, number), name=f"scripted-server-{number}", daemon=True
                )
                self._threads.add(thread)
                self._changed.notify_all()
            thread.start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        # Unlike epoll, poll needs no file descriptor of its own.
        selector = selectors.PollSelector()
        selector.register(sock, selectors.EVENT_READ)
        try:
            reader = RequestReader(sock, number)
            while not self._stopping.is_set():
                self._set_idle(number, True)
                request = reader.next()
                self._set_idle(number, False)
                if request is None or not self._respond(sock, selector, request, reader):
                    return
        except MalformedRequestError as error:
            _send_quietly(sock, Reply.text(f"400 Bad Request: {error}", 400).data)
        except OSError:
            # The client closed or reset its connection between two requests, as it may.
            pass
        finally:
            selector.close()
            with self._changed:
                self._idle.discard(number)
                self._finishing.discard(number)
                self._threads.discard(threading.current_thread())
                del self._open[number]
                sock.close()
                self._changed.notify_all()

    def _set_idle(self, number: int, idle: bool) -> None:
        with self._changed:
            self._finishing.discard(number)
            (self._idle.add if idle else self._idle.discard)(number)
            self._changed.notify_all()

    def _set_finishing(self, number: int) -> None:
        with self._changed:
            self._finishing.add(number)

    def _respond(
        self, sock: socket.socket, selector: selectors.BaseSelector, request: Request, reader: RequestReader
    ) -> bool:
        """Sends the reply to `request`; True when the connection may carry another request."""
        with self._changed:
            self._requests.append(request)
            self._busy += 1
            self._most_busy = max(self._most_busy, self._busy)
            self._changed.notify_all()
        try:
            reply = self._reply_to(request)
            if request.method == "HEAD":
                reply = reply.without_body()
            sending = _ReplySender(
                sock,
                selector,
                request,
                self._stopping,
                watch=not reader.pending,
                before_last=lambda: self._set_finishing(request.connection),
            )
            finished = sending.run(reply)
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()
        if not finished:
            return False
        return reply.end == KEEP and (request.header("Connection") or "").lower() != "close"

    def _reply_to(self, request: Request) -> Reply:
        with self._changed:
            answer = self._take_queued(request)
            key = (request.method, request.path)
            if answer is None:
                answer = self._routes.get(key)
            if isinstance(answer, Sequence):
                position = self._positions.get(key, 0)
                self._positions[key] = position + 1
                answer = answer[min(position, len(answer) - 1)]
        if answer is None:
            answer = self._built_in_reply(request) or Reply.text("404 page not found", 404)
        if isinstance(answer, Reply):
            return answer
        try:
            return answer(request)
        except Exception as error:  # an error in a test's function must reach the test instead of ending the thread
            return Reply.error(f"the script failed: {error!r}", 500)

    def _take_queued(self, request: Request) -> Answer | None:
        for position, (path, answer) in enumerate(self._queued):
            if path == request.path or (path is None and self._built_in_reply(request) is None):
                del self._queued[position]
                return answer
        return None

    def _built_in_reply(self, request: Request) -> Reply | None:
        """What the server answers without a script: None for all but a few endpoints that name no model or one."""
        route = ("GET" if request.method == "HEAD" else request.method, request.path)
        if route == ("GET", ollama.ROOT):
            return Reply.text(ollama.ROOT_TEXT, content_type=TEXT_UTF8)
        if route == ("GET", ollama.VERSION_PATH):
            return Reply.json({"version": ollama.VERSION})
        if route == ("GET", ollama.TAGS):
            return Reply.json({"models": [self._tags_entry(name) for name in self.models]})
        if route == ("GET", ollama.PS):
            return Reply.json({"models": []})
        if route == ("POST", ollama.SHOW):
            return self._show_reply(request)
        return None

    def _tags_entry(self, name: str) -> dict[str, Any]:
        full = full_name(name)
        return {
            "name": full,
            "model": full,
            "modified_at": "2026-08-20T11:02:43.118203977Z",
            "size": 91733536,
            "digest": _DIGEST,
            "details": {**_DETAILS, "context_length": 8192, "embedding_length": 576},
            "capabilities": ["completion", "tools"],
        }

    def _show_reply(self, request: Request) -> Reply:
        try:
            body = request.json()
            name = full_name(body.get("model") or body.get("name") or "")
        except (ValueError, AttributeError):
            return Reply.error("unexpected EOF", 400)
        if name not in map(full_name, self.models):
            return Reply.error(f"model '{name}' not found", 404)
        return Reply.json(
            {
                "modelfile": f'# Modelfile generated by "ollama show"\n# FROM {name}\n',
                "template": "{{ .Prompt }}",
                "details": _DETAILS,
                "model_info": {
                    "general.architecture": "llama",
                    "llama.context_length": 8192,
                    "llama.embedding_length": 576,
                },
                "capabilities": ["completion", "tools"],
                "modified_at": "2026-08-20T11:02:43.118203977Z",
            }
        )


class _ReplySender:
    """Sends one reply piece by piece, with the waits between them, and notices when the client hangs up."""

    def __init__(
        self,
        sock: socket.socket,
        selector: selectors.BaseSelector,
        request: Request,
        stopping: threading.Event,
        *,
        watch: bool,
        before_last: Callable[[], None],
    ) -> None:
        self._sock = sock
        self._selector = selector
        self._request = request
        self._stopping = stopping
        # A socket is readable when the client has hung up, and also when its next request is there already. In the
        # second case only a failing send shows that the client has hung up, and the socket is not looked at.
        self._watch = watch
        self._before_last = before_last

    def run(self, reply: Reply) -> bool:
        """Sends `reply`; False if the connection ends: the client hung up, the server stops, or the reply says so."""
        if not self._sleep(reply.pause):
            return False
        for position, piece in enumerate(reply.pieces):
            if position and not self._sleep(reply.delay):
                return False
            if reply.gate is not None and not self._wait_for_permit(reply):
                return False
            if position == len(reply.pieces) - 1:
                self._before_last()
            if reply.gate is not None:
                # Counted before it is sent, so that a test whose client has read the piece finds it counted.
                reply.gate.count()
            try:
                self._sock.sendall(piece)
            except OSError:
                return self._mark_hung_up()
        if reply.end == HANG:
            while self._sleep(_POLL_SECONDS):
                pass
            return False
        if reply.end == RESET:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._request.answered.set()
        return reply.end not in (CLOSE, RESET)

    def _wait_for_permit(self, reply: Reply) -> bool:
        """Waits until the reply's gate lets a piece pass; False when the client hung up or the server stops."""
        assert reply.gate is not None
        if not self._sleep(0.0):
            return False
        while not reply.gate.take(_POLL_SECONDS / 4):
            if not self._sleep(0.0):
                return False
        return True

    def _sleep(self, seconds: float) -> bool:
        """Waits `seconds`; False as soon as the client hangs up or the server stops."""
        end = time.monotonic() + seconds
        while True:
            if self._stopping.is_set():
                return False
            left = max(0.0, end - time.monotonic())
            step = min(left, _POLL_SECONDS)
            if self._watch:
                if self._selector.select(step) and self._client_hung_up():
                    return self._mark_hung_up()
            elif step:
                time.sleep(step)
            if left <= step:
                return True

    def _client_hung_up(self) -> bool:
        """Whether a readable socket means that the client hung up; if not, the socket is not looked at again."""
        try:
            if self._sock.recv(1, socket.MSG_PEEK) == b"":
                return True
        except OSError:
            return True
        self._watch = False
        return False

    def _mark_hung_up(self) -> bool:
        """Notes on the request that its client hung up, unless the server itself stops. Returns False."""
        if not self._stopping.is_set():
            self._request.hung_up.set()
        return False


def _shut_down(sock: socket.socket) -> None:
    # Shutting down a socket that is not connected any more is an error.
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _send_quietly(sock: socket.socket, data: bytes) -> None:
    # A client that sends no HTTP may have closed its connection already.
    with contextlib.suppress(OSError):
        sock.sendall(data)
