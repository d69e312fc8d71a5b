"""The files of MetaGPT that are changed, and the versions of it in which those of the provider are known: by their
SHA-256, and those of 0.8.2 by their text as well.

The SHA-256 is enough to recognize a file, so that most versions need no copy of it in this package. The texts are there
to show how another file differs. No I/O but reading them.

The processes of `metagpt-ollama run` load this module when they import MetaGPT, so it imports as little as it can.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Optional

__all__ = [
    "CONFIG",
    "FILES",
    "PROVIDER",
    "RELEASES",
    "SLC",
    "TOOL_FILES",
    "TOOL_LIST",
    "Release",
    "module_of",
    "originals",
    "release_of",
    "sum_of",
]

# The paths of the two files of the provider below MetaGPT's package.
PROVIDER = "provider/ollama_api.py"
CONFIG = "configs/llm_config.py"
FILES = (PROVIDER, CONFIG)

# Those of the tools: a module that MetaGPT does not have, and the list of the modules that register tools. Its text may
# be any, because one block is added to it.
SLC = "tools/libs/slc.py"
TOOL_LIST = "tools/libs/__init__.py"
TOOL_FILES = (SLC, TOOL_LIST)


class Release(NamedTuple):
    """A version of MetaGPT: its name for people, the SHA-256 of each of the two files with LF as line end, and the
    command that shows how a file in a clone of MetaGPT differs from it.

    >>> RELEASES["0.8.2"].title, sorted(RELEASES["0.8.2"].sums)
    ('MetaGPT 0.8.2', ['configs/llm_config.py', 'provider/ollama_api.py'])
    """

    title: str
    sums: dict[str, str]
    compare: str


RELEASES = {
    "0.8.2": Release(
        "MetaGPT 0.8.2",
        {
            PROVIDER: "f014e26d29aaae03bbd233e17c0ee11614848b45b54f0c44a1a1f89e20216641",
            CONFIG: "52e446e97abf4f1e548c023aa9aad04d3428dfb98ec2f92ad6f95457158868b3",
        },
        "git diff v0.8.2",
    ),
    "main": Release(
        "MetaGPT main at commit 1dfce07",
        {
            PROVIDER: "4f1706c30303a509ac838c221cb446eca641c6fff1af69a3ed48ab17c1d77ba9",
            CONFIG: "2b3f4c8ff46ea04a4e1bfcb393c66d60931821a3c586a729be65a2455bffaa8c",
        },
        "git diff 1dfce07",
    ),
}


def module_of(relative: str) -> str:
    """The name of the module in the file `relative`.

    >>> module_of(PROVIDER)
    'metagpt.provider.ollama_api'
    """
    return "metagpt." + relative[: -len(".py")].replace("/", ".")


def sum_of(text: str) -> str:
    """The SHA-256 of a file's text, in hexadecimal digits.

    >>> sum_of("")[:8]
    'e3b0c442'
    """
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def release_of(relative: str, text: str) -> Optional[str]:
    """The key in `RELEASES` of the version that ships `text`, with LF as line end, as its file `relative`, or None."""
    found = sum_of(text)
    return next((name for name, release in RELEASES.items() if release.sums.get(relative) == found), None)


def originals(relative: str) -> dict[str, str]:
    """The text of the file `relative` in each version whose text is in this package, by the key in `RELEASES`."""
    folder = Path(__file__).parent / "originals"
    files = {name: folder / name / f"{Path(relative).stem}.txt" for name in RELEASES}
    return {name: file.read_text(encoding="utf-8") for name, file in files.items() if file.exists()}
