"""`metagpt-ollama install`: an installed MetaGPT uses this provider from now on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import switching
from .command import DONE, CliError, say

if TYPE_CHECKING:
    import argparse

NAME = "install"
SUMMARY = "Switch an installed MetaGPT over to this provider (the originals are kept)."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    switching.add_python(parser)


def run(arguments: argparse.Namespace) -> int:
    """Replaces MetaGPT's provider and lets it accept an empty key; running it again changes nothing."""
    from ..switch import files

    installation = switching.find(arguments)
    if installation.package_error is not None:
        raise CliError(
            f"{installation.python} cannot import metagpt_ollama_rs, and so MetaGPT could not either: "
            f"{installation.package_error}",
            hint=f"{installation.python} -m pip install metagpt-ollama-rs",
        )
    with switching.refusals():
        changes = files.install(installation.folder)
    switching.tell(installation, changes)
    say("`metagpt-ollama status` proves it; `metagpt-ollama uninstall` undoes it.")
    return DONE
