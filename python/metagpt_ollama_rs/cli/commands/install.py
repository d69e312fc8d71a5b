"""`metagpt-ollama install`: an installed MetaGPT uses this provider from now on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import installations
from ..console import DONE, CliError, print_message

if TYPE_CHECKING:
    import argparse

NAME = "install"
SUMMARY = "Switch an installed MetaGPT over to this provider and its tools (the originals are kept)."
POSITION = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares `--python`."""
    installations.add_python_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Replaces MetaGPT's provider, lets it accept an empty key, and lists the tools; a second run changes nothing."""
    from ...switch import files

    installation = installations.find_installation(arguments)
    if installation.package_error is not None:
        raise CliError(
            f"{installation.python} cannot import metagpt_ollama_rs, and so MetaGPT could not either: "
            f"{installation.package_error}",
            hint=f"{installation.python} -m pip install metagpt-ollama-rs",
        )
    with installations.refusals_as_errors():
        changes = files.install(installation.folder)
    installations.print_changes(installation, changes)
    print_message("`metagpt-ollama status` proves it; `metagpt-ollama uninstall` undoes it.")
    return DONE
