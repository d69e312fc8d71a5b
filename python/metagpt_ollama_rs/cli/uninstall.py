"""`metagpt-ollama uninstall`: MetaGPT's own files come back, byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import switching
from .command import DONE

if TYPE_CHECKING:
    import argparse

NAME = "uninstall"
SUMMARY = "Restore MetaGPT's own files, as they were before 'install'."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    switching.add_python(parser)


def run(arguments: argparse.Namespace) -> int:
    """Restores the originals and removes the backups; running it again changes nothing."""
    from ..switch import files

    installation = switching.find(arguments)
    with switching.refusals():
        changes = files.uninstall(installation.folder)
    switching.tell(installation, changes)
    return DONE
