"""Many calls to a model, so many at once, with a progress bar where a person sees it.

    texts = run_all(paths, summarize, at_once=4, title="Summaries")      # async def summarize(path): ...
    # ["A parser of …", NotFoundError("…"), "The tests of …"]: in the order of the paths, each a value or its error

The calls are coroutines on one event loop, which runs in a thread of its own for as long as they take. So `run_all` is
an ordinary function that can be called anywhere, inside a running event loop or in a notebook, too, and Ctrl-C cancels
what is under way: requests close their connections at once, and the thread has ended before ``KeyboardInterrupt``
comes out.

The bar is drawn by rich, on stderr, if that is a terminal and rich is installed. There is none otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, Callable, TypeVar, Union

from metagpt_ollama_rs.errors import AuthenticationError, ConfigurationError, ModelNotFoundError, SubscriptionError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Iterator, Sequence

__all__ = ["gather_bounded", "progress_bar", "run_all", "run_to_end"]

Item = TypeVar("Item")
Result = TypeVar("Result")
Outcome = Union[Result, Exception]

# Errors that do not depend on what is asked: no server, no such model, no permission.
_HOPELESS = (ConnectionError, ModelNotFoundError, AuthenticationError, SubscriptionError)
# How often, in seconds, a waiting thread looks for an interrupt. On Windows a wait without a limit hears none.
_LOOK = 0.1


def run_all(
    work: Sequence[Item], call: Callable[[Item], Awaitable[Result]], *, at_once: int = 4, title: str
) -> list[Outcome[Result]]:
    """Calls ``call`` with each item of ``work``, ``at_once`` of them at the same time, and waits for all.

    The calls are made in the order of ``work``. A call that fails does not end the others. But when ``at_once`` calls
    one after the other fail because the server cannot be reached, does not have the model or refuses the key, then the
    calls that were not begun are not made: the last of these errors stands in their place, too.

    Args:
        call: an async function. What it does without awaiting holds up the other calls.
        title: what the progress bar is about, such as "Summaries".

    Returns:
        For each item, in the order of ``work``, what ``call`` returned or the exception that it raised.

    Raises:
        ConfigurationError: ``at_once`` is no positive number.
        KeyboardInterrupt: Ctrl-C. What was under way is cancelled, what waited is not begun, and no thread is left.

    >>> async def double(number):
    ...     return 2 * number
    >>> run_all([1, 2, "x", None], double, title="Numbers")
    [2, 4, 'xx', TypeError("unsupported operand type(s) for *: 'int' and 'NoneType'")]
    """
    if isinstance(at_once, bool) or not isinstance(at_once, int) or at_once < 1:
        raise ConfigurationError(f"at_once must be a positive whole number, and is {at_once!r:.60}")
    with progress_bar(title, len(work)) as advance:
        return run_to_end(gather_bounded(work, call, at_once=at_once, on_done=advance))


async def gather_bounded(
    work: Sequence[Item],
    call: Callable[[Item], Awaitable[Result]],
    *,
    at_once: int,
    on_done: Callable[[], object] = lambda: None,
) -> list[Outcome[Result]]:
    """What `run_all` does, on the event loop that runs. ``on_done`` is called after each item."""
    outcomes: list[Any] = [None] * len(work)
    waiting = iter(range(len(work)))
    hopeless: list[Exception] = []

    async def call_in_order() -> None:
        for index in waiting:
            if len(hopeless) < at_once:
                try:
                    outcomes[index] = await call(work[index])
                    hopeless.clear()
                except _HOPELESS as error:
                    outcomes[index] = error
                    hopeless.append(error)
                except Exception as error:
                    outcomes[index] = error
                    hopeless.clear()
            else:
                outcomes[index] = hopeless[-1]
            on_done()

    await asyncio.gather(*(call_in_order() for _ in range(min(at_once, len(work)))))
    return outcomes


def run_to_end(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Runs ``coroutine`` on an event loop in a thread of its own, waits for it and returns what it returns.

    A loop that runs in the calling thread stands still meanwhile. What the coroutine raises comes out. After Ctrl-C or
    any other exception of a signal handler the coroutine is cancelled, and its thread has ended when that comes out.

    >>> async def answer():
    ...     return 42
    >>> run_to_end(answer())
    42
    """
    loop = asyncio.new_event_loop()
    # It takes the context variables of the caller along.
    task = loop.create_task(coroutine)
    ended, exits = threading.Event(), list[BaseException]()
    thread = threading.Thread(target=_run_loop, args=(loop, task, ended, exits), name="slc", daemon=True)
    try:
        thread.start()
        with _noted_interrupts() as interrupted:
            while not ended.wait(_LOOK):
                if interrupted.is_set():
                    raise KeyboardInterrupt
    finally:
        # The loop is closed if the coroutine has ended.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(task.cancel)
        if thread.is_alive():
            thread.join()
    if exits:
        raise exits[0]
    return task.result()


def _run_loop(
    loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any], ended: threading.Event, exits: list[BaseException]
) -> None:
    """Runs ``task`` to its end, then ends what it has left behind. A `SystemExit`, with which a task ends the whole
    loop, goes to ``exits``."""
    try:
        try:
            loop.run_until_complete(task)
        except BaseException as error:
            if not task.done():
                exits.append(error)
        loop.run_until_complete(_end_what_is_left(loop))
    finally:
        loop.close()
        ended.set()


async def _end_what_is_left(loop: asyncio.AbstractEventLoop) -> None:
    left = asyncio.all_tasks(loop) - {asyncio.current_task(loop)}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()


@contextlib.contextmanager
def _noted_interrupts() -> Iterator[threading.Event]:
    """Gives an event that Ctrl-C sets where asyncio would only note it.

    From Python 3.11 on, `asyncio.run` takes the first Ctrl-C for a request to cancel its main task. A function that
    keeps the loop waiting would not hear of it.
    """
    interrupted = threading.Event()
    in_main_thread = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if in_main_thread else None
    if not callable(handler) or getattr(getattr(handler, "func", None), "__module__", "") != "asyncio.runners":
        yield interrupted
        return

    def note(*arguments: Any) -> None:
        interrupted.set()
        handler(*arguments)

    signal.signal(signal.SIGINT, note)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, handler)


@contextlib.contextmanager
def progress_bar(title: str, total: int) -> Iterator[Callable[[], object]]:
    """Shows how many of ``total`` calls have ended, on a terminal. Gives a function that counts one more."""
    if not total or sys.stderr is None or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield lambda: None
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    except ImportError:
        yield lambda: None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # What others print to stdout meanwhile is data, which rich would move to its own console.
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
        shown = bar.add_task(title, total=total)
        yield lambda: bar.advance(shown)
