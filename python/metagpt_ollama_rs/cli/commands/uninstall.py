"""`metagpt-ollama uninstall`: MetaGPT's own files come back, byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import installations
from ..console import DONE

if TYPE_CHECKING:
    import argparse

NAME = "uninstall"
SUMMARY = "Restore MetaGPT's own files, as they were before 'install'."
POSITION = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares `--python`."""
    installations.add_python_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Restores the originals and removes the backups; running it again changes nothing."""
    from ...switch import files

    installation = installations.find_installation(arguments)
    with installations.refusals_as_errors():
        changes = files.uninstall(installation.folder)
    installations.print_changes(installation, changes)
    return DONE
