"""Refuses wheels that name folders of the machine that built them: `check_wheel.py WHEEL...`."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path


def private() -> list[str]:
    """Folders that are nobody else's business. One as short as `/` says nothing."""
    home = Path.home()
    folders = [Path.cwd(), home, Path(os.environ.get("CARGO_HOME", home / ".cargo"))]
    return sorted({str(folder) for folder in folders if len(folder.parts) > 1})


def main() -> int:
    found = [
        f"{wheel}: {name} contains {folder}"
        for wheel in sys.argv[1:]
        for name, data in contents(wheel)
        for folder in private()
        if f"{folder}{os.sep}".encode() in data
    ]
    print(*found, sep="\n", end="\n" if found else "", file=sys.stderr)
    return bool(found)


def contents(wheel: str) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(wheel) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


if __name__ == "__main__":
    sys.exit(main())
