"""Other programs (`nvidia-smi`, `uv`, another environment's Python), run with an argument list, never by a shell.

A program gets no input and no terminal, so that it asks nothing, and it has a time limit. When that runs out, or the
wait ends by an exception (Ctrl-C), the program and what it started are ended::

    run_program(["nvidia-smi", "-L"], seconds=5)  # Finished(exit_code=0, stdout="GPU 0: …", stderr="")

For POSIX systems. Standard library and this package's `errors` only.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from metagpt_ollama_rs.errors import OllamaError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Finished",
    "ProgramError",
    "find_executable",
    "hide_passwords",
    "last_line",
    "run_program",
    "shown_arguments",
]

# More output than that, in bytes, is no answer of the programs that are asked here.
_LONGEST_OUTPUT = 64 << 20
# So many characters of it, the last ones, are kept in an error.
_KEPT_OUTPUT = 1 << 20
# So many characters of a program's output are shown in an error.
_SHOWN_OUTPUT = 4000
# Colours and other escape sequences of terminals, and control characters but line feeds and tabs.
_UNPRINTABLE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[^\S\n\t ]|[\x00-\x08\x0e-\x1f\x7f-\x9f]")


class Finished(NamedTuple):
    """What a program that ended has said, decoded as UTF-8.

    >>> Finished(0, "GPU 0", "").stdout
    'GPU 0'
    """

    exit_code: int
    stdout: str
    stderr: str


class ProgramError(OllamaError):
    """A program could not be started, failed, or did not end in time.

    Attributes:
        arguments: the program and its arguments.
        exit_code: its exit code (negative: the number of a signal), or None if it did not start or not end.
        output: the end of what it wrote (at most a million characters), without the escape sequences of terminals. The
            end of that is part of ``str(error)``.

    >>> error = ProgramError("pip failed", arguments=["pip"], exit_code=1, output="ERROR: no such package")
    >>> print(error)
    pip failed
    ERROR: no such package
    """

    def __init__(
        self,
        message: str = "",
        *,
        arguments: Sequence[str] = (),
        exit_code: int | None = None,
        output: str = "",
        **attributes: Any,
    ) -> None:
        super().__init__(message, **attributes)
        self.arguments = list(arguments)
        self.exit_code = exit_code
        self.output = _UNPRINTABLE.sub("", re.sub(r"\r\n?", "\n", output[-_KEPT_OUTPUT:])).strip()

    def __str__(self) -> str:
        if not self.output:
            return super().__str__()
        first, *hint = super().__str__().split("\n", 1)
        end = self.output[-_SHOWN_OUTPUT:]
        return "\n".join([first, end if len(end) == len(self.output) else f"…{end}", *hint])


def find_executable(name: str) -> str | None:
    """The path of the program of this name, or None: in the folders of PATH, then beside this interpreter.

    Relative folders of PATH are left out, because what lies in the working folder is not to be run by its name alone.

    >>> find_executable("no-such-program") is None
    True
    """
    folders = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if os.path.isabs(folder)]
    if sys.executable:
        folders.append(os.path.dirname(sys.executable))
    return shutil.which(name, path=os.pathsep.join(folders))


def run_program(
    arguments: Sequence[str],
    *,
    seconds: float,
    grace: float = 1.0,
    on_text: Callable[[str], object] | None = None,
    folder: str | None = None,
) -> Finished:
    """Runs a program to its end and returns what it wrote.

    Args:
        arguments: the program and its arguments.
        seconds: how long it may take.
        grace: how many seconds it gets to clean up when it has to end early; then it is killed.
        on_text: is called with each piece of what it writes, as it comes.
        folder: its working folder, if that is not the one of this process.

    Raises:
        ProgramError: it cannot be started, takes longer, or writes more than 64 MiB. An exit code other than 0 is none.
    """
    try:
        # In a session of its own it has no terminal to ask on, and can be ended with all that it started.
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ProgramError(f"{arguments[0]} cannot be run: {reason}", arguments=arguments) from error
    written: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
    try:
        problem = _read_to_end(process, written, time.monotonic() + seconds, on_text)
        if problem:
            _end_group(process, grace)
    except BaseException:
        _end_group(process, grace)
        raise
    finally:
        for pipe in (process.stdout, process.stderr):
            if pipe:
                pipe.close()
    texts = [bytes(data).decode("utf-8", "replace") for data in written.values()]
    if problem:
        message = f"{arguments[0]} {problem.format(seconds=seconds)}"
        raise ProgramError(message, arguments=arguments, output="\n".join(filter(None, texts)))
    return Finished(process.returncode, *texts)


def _read_to_end(
    process: subprocess.Popen[bytes],
    written: dict[str, bytearray],
    deadline: float,
    on_text: Callable[[str], object] | None,
) -> str:
    """Reads both pipes until the process has ended; returns what went wrong, or ""."""
    decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in written}
    with selectors.DefaultSelector() as selector:
        for name in written:
            selector.register(getattr(process, name), selectors.EVENT_READ, name)
        while True:
            # What it started may hold the pipes open when it has ended itself.
            ended = process.poll() is not None
            ready = selector.select(0 if ended else 0.05) if selector.get_map() else []
            for key, _ in ready:
                data = os.read(key.fd, 1 << 16)
                written[key.data] += data
                text = decoders[key.data].decode(data, final=not data) if on_text else ""
                if on_text and text:
                    on_text(text)
                if not data:
                    selector.unregister(key.fileobj)
            if ended and not ready:
                return ""
            if sum(map(len, written.values())) > _LONGEST_OUTPUT:
                return "writes without end"
            if time.monotonic() > deadline:
                return "did not end within {seconds:g} seconds"
            if not selector.get_map() and not ended:
                time.sleep(0.005)


def _end_group(process: subprocess.Popen[bytes], grace: float) -> None:
    """Ends the process and its group: asked first, so that an installer can clean up, then killed."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        pass
    finally:
        # Also after a second Ctrl-C during the wait.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def last_line(text: str) -> str:
    """The last line with something in it: where Python's tracebacks have the reason.

    >>> last_line("Traceback …\\n  File …\\nImportError: no\\n\\n")
    'ImportError: no'
    """
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def shown_arguments(arguments: Sequence[str]) -> str:
    """An argument list as people read it, unambiguous also where an argument has spaces; passwords in URLs are hidden.

    >>> shown_arguments(["pip", "a b", "--index-url=https://me:secret@example.org"])
    '["pip", "a b", "--index-url=https://***@example.org"]'
    """
    return hide_passwords(json.dumps(list(arguments), ensure_ascii=False))


def hide_passwords(text: str) -> str:
    """The text without the users and passwords of the URLs in it.

    >>> hide_passwords("six @ git+https://me:secret@example.org/six")
    'six @ git+https://***@example.org/six'
    """
    return re.sub(r"://[^/@\s\"']+@", "://***@", text)
