"""What becomes of each call, told to a function while it happens: for logs, metrics and traces.

::

    def on_event(event):
        if event.name == "end":
            print(event.attributes["gen_ai.operation.name"], event.outcome, f"{event.seconds:.2f} s")

    client = Client(on_event=on_event)

A hook is an ordinary function of one `CallEvent`. It is given to a client (``on_event=``), or with `add_hook` to every
client of the process, also those that somebody else makes (MetaGPT's provider, for one). `telemetry` makes
OpenTelemetry's spans and metrics of the same events. The events of a call, in their order:

``begin``
    The request is about to be sent. What the hook puts into ``event.headers`` is sent with it.
``retry``
    The request is sent again; ``event.text`` says why. It is told where the caller is reached next: with the first
    item of a stream, or at the end of a whole reply; of a streamed pull or push that goes on, at once. ``event.time``
    is when it was decided.
``first_token``
    A stream has brought its first item. ``event.seconds`` is when its first byte arrived.
``end``
    It is over; each call that has begun has one end. ``event.outcome`` is ``ok``, ``failed`` (``event.error`` is
    the exception that the caller gets) or ``closed``: the task was cancelled, the stream closed, left or dropped before
    its end. ``event.record`` is the record of `stats.records`.

Hooks run in the thread of the caller, never on the I/O thread, so a slow one delays its own call; a stream that is
dropped tells its end in the thread that drops it. All events of a call run in one copy of the context
(``contextvars``) of the code that made the call: hooks see the caller's variables, and what one sets at ``begin`` is
there at ``end``, and nowhere else. What a hook raises is logged, once for each hook, and spoils no call; only what is
no ``Exception``, a KeyboardInterrupt for one, comes out at the caller.

A call that is refused before a request is made (a wrong argument) has no events, and neither has one over an httpx
client of the caller's (``transport=``). One call of a method may be several
requests, each with events of its own: `Client.embed` searches a text that the server refuses. What is under way when
the interpreter exits has no end, and neither has what a forked child inherits. Without hooks a call costs one look at a
flag.

No event has anything of a prompt or an answer, but for ``event.error``, which is the caller's own exception (the
``partial`` of a stream that broke off, for one). ``event.attributes`` has the names of OpenTelemetry
(`event_attributes`).
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from metagpt_ollama_rs import _core
from metagpt_ollama_rs.errors import ClosedError, ConfigurationError
from metagpt_ollama_rs.event_attributes import request_attributes, result_attributes

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal, Optional

    from metagpt_ollama_rs.endpoints import Endpoint

    EventHook = Callable[["CallEvent"], object]
    Outcome = Literal["ok", "failed", "closed"]
    # What the core keeps of a call that somebody wants to be told of, and the headers that its request gets.
    BegunCall = Optional[tuple["CallObserver", list[tuple[str, str]]]]

__all__ = ["CallEvent", "add_hook", "begin_call", "check_hook", "remove_hook"]


class CallEvent:
    """Something that happened in a call.

    Attributes:
        name: ``begin``, ``retry``, ``first_token`` or ``end``.
        call_id: the ``id`` of the call's record in `stats.records`; the same in all events of the call.
        endpoint: the path that was asked, such as ``/api/chat``.
        time: when it happened, in Unix time.
        seconds: the same, since the call began.
        attributes: what is known of the call, by OpenTelemetry's names; at the end with the numbers of tokens.
        outcome: at the end ``ok``, ``failed`` or ``closed``; None before.
        error: at the end of a call that has failed, the exception that its caller gets.
        text: of a retry, its reason in words; it may name the server, and nothing of the prompt.
        record: at the end, the record of `stats.records`.
        headers: at the beginning, an empty dict: what a hook puts there is sent with the request, in the place of
            the client's headers of the same names; the caller's own for this call come before it.

    >>> CallEvent("first_token", "71-1787331605104512000", "/api/chat", time=1787331605.5, seconds=0.42, attributes={})
    <CallEvent first_token of /api/chat after 0.420 s>
    """

    __slots__ = (
        "attributes",
        "call_id",
        "endpoint",
        "error",
        "headers",
        "name",
        "outcome",
        "record",
        "seconds",
        "text",
        "time",
    )

    def __init__(
        self,
        name: str,
        call_id: str,
        endpoint: str,
        time: float,
        seconds: float,
        attributes: dict[str, Any],
        *,
        outcome: Outcome | None = None,
        error: BaseException | None = None,
        text: str = "",
        record: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.name = name
        self.call_id = call_id
        self.endpoint = endpoint
        self.time = time
        self.seconds = seconds
        self.attributes = attributes
        self.outcome = outcome
        self.error = error
        self.text = text
        self.record = record
        self.headers = {} if headers is None else headers

    def __repr__(self) -> str:
        outcome = f" {self.outcome}" if self.outcome else ""
        return f"<CallEvent {self.name}{outcome} of {self.endpoint} after {self.seconds:.3f} s>"


_lock = threading.Lock()
_hooks: tuple[EventHook, ...] = ()
_complained: set[str] = set()


def check_hook(name: str, hook: object) -> None:
    """Raises ConfigurationError for an argument ``name`` that is no ordinary function: nothing awaits a coroutine.

    >>> check_hook("hook", print)
    """
    import inspect

    if not callable(hook):
        raise ConfigurationError(f"{name} must be a function of one event, and is {hook!r:.60}")
    if inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(getattr(hook, "__call__", None)):  # noqa: B004
        raise ConfigurationError(
            f"{name} must be an ordinary function, and {hook!r:.60} is a coroutine function",
            hint="nothing awaits it: let an ordinary function put the event into a queue, or make a task of it",
        )


def add_hook(hook: EventHook) -> None:
    """Tells ``hook`` of every call of this process that begins from now on, of any client. One that was added already
    is not told twice. Raises ConfigurationError for what is no ordinary function.

    >>> from metagpt_ollama_rs import Client
    >>> from metagpt_ollama_rs.testing import ScriptedServer
    >>> def hook(event):
    ...     print(event.name, event.attributes["gen_ai.operation.name"])
    >>> add_hook(hook)
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     server.answer("Hello")
    ...     reply = Client(server.url).chat("llama3.2", [{"role": "user", "content": "Say hello."}])
    begin chat
    end chat
    >>> remove_hook(hook)
    """
    global _hooks
    check_hook("hook", hook)
    with _lock:
        if hook not in _hooks:
            _hooks = (*_hooks, hook)
        _core.observe_all_calls(True)


def remove_hook(hook: EventHook) -> None:
    """Tells ``hook`` of no more calls; of those that are under way it is told to their end. One that was never added is
    no error."""
    global _hooks
    with _lock:
        _hooks = tuple(known for known in _hooks if known != hook)
        _core.observe_all_calls(bool(_hooks))


class CallObserver:
    """Tells hooks what becomes of one call. The core calls its methods."""

    __slots__ = ("_attributes", "_call_id", "_context", "_endpoint", "_hooks", "_started")

    def __init__(self, hooks: tuple[EventHook, ...], call_id: str, endpoint: str, attributes: dict[str, Any]) -> None:
        self._hooks = hooks
        self._call_id = call_id
        self._endpoint = endpoint
        self._attributes = attributes
        self._started = time.time()
        self._context = contextvars.copy_context()

    def begin(self) -> dict[str, str]:
        """Tells that the call begins; gives the headers that its request gets."""
        event = self._event("begin", 0.0)
        self._tell(event)
        return event.headers

    def first_token(self, seconds: float) -> None:
        """Tells that the first item of a stream is there."""
        self._tell(self._event("first_token", seconds))

    def retry(self, seconds: float, text: str) -> None:
        """Tells that the request is sent again, for the reason ``text``."""
        self._tell(self._event("retry", seconds, text=text))

    def end(
        self, record: dict[str, Any], done_reason: str | None, model: str | None, error: BaseException | None
    ) -> None:
        """Tells the end of the call."""
        outcome: Outcome = "ok"
        # A callback may have raised the error, and that has closed the stream.
        if record["error"] == "closed" and (error is None or not _is_failure(error)):
            outcome = "closed"
        elif record["error"] is not None or error is not None:
            outcome = "failed"
        event = self._event("end", record["seconds"], outcome=outcome, error=error, record=record)
        event.attributes.update(result_attributes(record, done_reason, model))
        if outcome != "ok":
            failure = error and type(error).__name__
            event.attributes["error.type"] = (outcome == "failed" and failure) or record["error"]
        self._tell(event)

    def _event(self, name: str, seconds: float, **details: Any) -> CallEvent:
        attributes = dict(self._attributes)
        return CallEvent(name, self._call_id, self._endpoint, self._started + seconds, seconds, attributes, **details)

    def _tell(self, event: CallEvent) -> None:
        try:
            self._context.run(_tell_all, self._hooks, event)
        except RuntimeError:
            # A hook that ends its own call is in that context already, which nobody can enter a second time. No hook
            # raises this: what hooks raise does not come out.
            self._context.copy().run(_tell_all, self._hooks, event)


def _is_failure(error: BaseException) -> bool:
    """Whether ``error`` is more than the news that the call was cancelled, interrupted or closed."""
    return isinstance(error, Exception) and not isinstance(error, ClosedError)


def _tell_all(hooks: tuple[EventHook, ...], event: CallEvent) -> None:
    for hook in hooks:
        try:
            hook(event)
        except Exception:
            _complain(hook)


def _complain(hook: object) -> None:
    """Logs the exception that is being handled, the first time that ``hook`` has raised one."""
    # Of a functools.partial the function has a name.
    hook = getattr(hook, "func", hook)
    name = f"{getattr(hook, '__module__', '')}.{getattr(hook, '__qualname__', type(hook).__qualname__)}"
    if name in _complained:
        return
    _complained.add(name)
    logging.getLogger("metagpt_ollama_rs").warning(
        "The hook %s has raised an exception, which is told once and spoils no call", name, exc_info=True
    )


def begin_call(
    hook: EventHook | None,
    call_id: str,
    host: str,
    model: str,
    endpoint: Endpoint,
    payload: Any,
    streamed: bool,
) -> BegunCall:
    """What the core asks at the beginning of a call, if its client has a hook or `add_hook` was called."""
    hooks = _hooks if hook is None or hook in _hooks else (*_hooks, hook)
    if not hooks:
        return None
    try:
        attributes = request_attributes(endpoint, payload, host, model, streamed)
    except Exception:
        # A payload may hold objects of any kind, and what those do when they are asked is not known.
        _complain(request_attributes)
        attributes = {}
    observer = CallObserver(hooks, call_id, endpoint.path.split("?")[0], attributes)
    return observer, [(str(name), str(value)) for name, value in observer.begin().items()]
