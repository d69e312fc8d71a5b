"""Runs a command whose Python processes use this provider, without a file of MetaGPT being touched.

The environment does it: PYTHONPATH begins with a folder whose `sitecustomize` (see `child`) replaces the modules
when they are imported. So it reaches every Python process below the command, whichever interpreter starts it, except
where Python is told not to look (`-I`, `-E`, `-S`) or the environment is dropped on the way (`sudo`, `env -i`).

The command keeps stdin, stdout, stderr, its terminal and every inherited descriptor. Signals sent to this process are
sent on to it. Ctrl-C and Ctrl-\\ in a terminal reach all processes of the foreground group by themselves, so they are
sent on only where this process is not in that group.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from .environment import RUN_VARIABLE, STATS_VARIABLE
from .releases import PROVIDER, module_of
from .reporting import ERRORS, TRACEBACKS
from .summary import read_calls, read_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["RunResult", "find_program", "run"]

_HOOK = Path(__file__).parent / "child"
_FORWARDED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
_FROM_TERMINAL = ("SIGINT", "SIGQUIT")


@dataclass
class RunResult:
    """How the command ended.

    `status` is its exit status as a shell reports it (128 plus the signal's number after a signal). `switched` says
    that a process of it has imported MetaGPT's Ollama provider, `stood_in` that one has imported `ollama` and got this
    package. `calls` are the records of its model calls; None when
    the user has them sent to a socket. `errors` are those that `reporting` has written, in their order, and
    `tracebacks` is the file with their tracebacks, or None.
    """

    status: int
    switched: bool
    stood_in: bool
    calls: Optional[list[dict[str, Any]]]
    errors: list[dict[str, Any]]
    tracebacks: Optional[Path]


def find_program(name: str) -> Optional[str]:
    """The path of a program: from PATH, else beside this interpreter, whose environment may not be activated."""
    return shutil.which(name) or shutil.which(name, path=os.path.dirname(sys.executable))


def run(command: Sequence[str], extra_environment: Optional[Mapping[str, str]] = None) -> RunResult:
    """Runs `command`, whose first item is a path, with the switch in force, and `extra_environment` in its environment.

    Raises OSError when it cannot be started.
    """
    scratch = tempfile.mkdtemp(prefix="metagpt-ollama-run-")
    try:
        environment = {**os.environ, **(extra_environment or {}), RUN_VARIABLE: scratch}
        environment["PYTHONPATH"] = _path_with_hook(environment.get("PYTHONPATH"))
        # The command `metagpt` is made with Typer, which otherwise prints tracebacks in its own way.
        environment.setdefault("_TYPER_STANDARD_TRACEBACK", "1")
        # The user may collect records in a file of their own. Those of this run are then what is added to it.
        wanted = environment.get(STATS_VARIABLE) or os.path.join(scratch, "calls.jsonl")
        stats = None if wanted.startswith("unix:") else Path(wanted).absolute()
        environment[STATS_VARIABLE] = wanted if stats is None else str(stats)
        before = stats.stat().st_size if stats is not None and stats.exists() else 0
        status = _wait_for(command, environment)
        return RunResult(
            status,
            switched=Path(scratch, module_of(PROVIDER)).exists(),
            stood_in=Path(scratch, "ollama").exists(),
            calls=None if stats is None else read_calls(stats, before),
            errors=read_lines(Path(scratch, ERRORS)),
            tracebacks=_move_tracebacks(Path(scratch, TRACEBACKS)),
        )
    finally:
        # A process that the command has left running may still write here.
        shutil.rmtree(scratch, ignore_errors=True)


def _move_tracebacks(tracebacks: Path) -> Optional[Path]:
    """Moves the file out of the folder of the run, and returns its new path; None if there is no such file."""
    if not tracebacks.exists():
        return None
    handle, kept = tempfile.mkstemp(prefix="metagpt-ollama-run-", suffix=".txt")
    os.close(handle)
    shutil.move(tracebacks, kept)
    return Path(kept)


def _path_with_hook(path: Optional[str]) -> str:
    hook = str(_HOOK)
    return os.pathsep.join([hook, *(entry for entry in (path or "").split(os.pathsep) if entry and entry != hook)])


def _wait_for(command: Sequence[str], environment: Mapping[str, str]) -> int:
    started: list[subprocess.Popen[bytes]] = []
    with _signals_forwarded(started) as pending:
        process = subprocess.Popen(command, env=environment, close_fds=False)
        started.append(process)
        for number in pending:
            _send(process, number)
        status = process.wait()
    return status if status >= 0 else 128 - status


@contextlib.contextmanager
def _signals_forwarded(started: list[subprocess.Popen[bytes]]) -> Iterator[list[int]]:
    """Sends signals on to the process in `started`. Gives the list of those that arrive before it is started."""
    pending: list[int] = []

    def forward(number: int, _frame: object) -> None:
        if not started:
            pending.append(number)
        elif not (signal.Signals(number).name in _FROM_TERMINAL and _in_foreground()):
            _send(started[0], number)

    before: dict[int, Any] = {}
    for name in _FORWARDED:
        number = getattr(signal, name, None)
        # A signal that is ignored here (by `nohup`) is ignored by the command, too.
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, forward)
    try:
        yield pending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _send(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


def _in_foreground() -> bool:
    """Whether this process, and so the command, is in the group that Ctrl-C in its terminal reaches."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
