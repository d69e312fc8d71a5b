"""Regular expressions with a time limit: a pattern such as ``(a+)+$`` can take longer than anybody lives.

    substitute_all(r"(\\w+)_old", r"\\1_new", ["x_old = 1", "y"], seconds=10)     # [("x_new = 1", 1), ("y", 0)]

Python's `re` cannot be stopped from another thread. So it runs in another process, of the same interpreter with nothing
of this package in it, which is killed when its time is over or when Ctrl-C comes.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from metagpt_ollama_rs.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["RegexTimeoutError", "check_regex", "substitute_all"]

# ``^`` and ``$`` are the ends of lines, as in other programs that replace text in files.
FLAGS = re.MULTILINE

_PROGRAM = f"""\
import json, re, signal, sys
work = json.load(sys.stdin)
# Ends this process where nobody is left to kill it.
signal.setitimer(signal.ITIMER_REAL, work["seconds"] + 1)
pattern = re.compile(work["pattern"], {int(FLAGS)})
for text in work["texts"]:
    print(json.dumps(pattern.subn(work["replacement"], text)), flush=True)
"""


class RegexTimeoutError(ConfigurationError, TimeoutError):
    """The time was over. ``index`` is that of the text that was searched then.

    >>> RegexTimeoutError("the pattern takes too long").index
    0
    """

    index: int = 0


def check_regex(pattern: str, replacement: str) -> None:
    """Raises ConfigurationError for a pattern or a replacement that `re` does not take, and says where.

    >>> try:
    ...     check_regex("(a", "")
    ... except ConfigurationError as error:
    ...     print(error)
    the regular expression (a is not valid: missing ), unterminated subpattern at position 0
    """
    try:
        compiled = re.compile(pattern, FLAGS)
    except (re.error, RecursionError, OverflowError) as error:
        raise ConfigurationError(f"the regular expression {pattern} is not valid: {error}") from error
    try:
        _check_template(compiled, replacement)
    except (re.error, IndexError) as error:
        raise ConfigurationError(
            f"the replacement {replacement} is not valid: {error}", hint=r"a group is \1 or \g<name>, a backslash \\"
        ) from error


def _check_template(pattern: re.Pattern[str], replacement: str) -> None:
    """Has `re` read the replacement, which it does when something matches: a pattern of as many empty groups."""
    names = {number: name for name, number in pattern.groupindex.items()}
    groups = "".join(f"(?P<{names[number]}>)" if number in names else "()" for number in range(1, pattern.groups + 1))
    re.sub(groups or "(?:)", replacement, "", count=1)


def substitute_all(pattern: str, replacement: str, texts: Sequence[str], *, seconds: float) -> list[tuple[str, int]]:
    """Of each text what becomes of it, and how many matches were replaced.

    Raises RegexTimeoutError, and ConfigurationError (see `check_regex`).
    """
    check_regex(pattern, replacement)
    if not texts:
        return []
    work = json.dumps({"pattern": pattern, "replacement": replacement, "texts": list(texts), "seconds": seconds})
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _PROGRAM],
            input=work.encode(),
            capture_output=True,
            timeout=seconds,
            check=True,
        )
    except subprocess.TimeoutExpired as expired:
        error = RegexTimeoutError(
            f"the regular expression {pattern} took longer than {seconds:g} seconds",
            hint="repetitions in repetitions, such as (a+)+, try every way to divide a text",
        )
        error.index = (expired.output or b"").count(b"\n")
        raise error from None
    except subprocess.CalledProcessError as failed:
        last = failed.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise ConfigurationError(f"the regular expression {pattern} cannot be used on these files: {last}") from failed
    return [(text, count) for text, count in map(json.loads, done.stdout.splitlines())]
