"""What becomes of the text of MetaGPT's files. No I/O.

For example, the line `from pydantic import field_validator` of `configs/llm_config.py` becomes
`from pydantic import field_validator, model_validator`, and `provider/ollama_api.py` as a whole becomes `DROP_IN`.
`tools/libs/slc.py`, which MetaGPT does not have, is `SLC_MODULE`, and `tools/libs/__init__.py` gets a block that
imports it.

The processes of `metagpt-ollama run` load this module when they import MetaGPT, so it imports as little as it can.

About the empty key: `LLMConfig` checks `api_key` before it reads `api_type`, so that check cannot know that the key is
Ollama's. So a validator is added that runs before all fields. For the four Ollama types it drops an empty key and the
placeholder of MetaGPT's example, and the field's default (`sk-`, which is never sent) takes its place. All other types
are checked as before. The section `embedding:` has no such check.
"""

from __future__ import annotations

import ast
from typing import Optional

from .releases import PROVIDER, TOOL_LIST, release_of

__all__ = [
    "BACKUP_SUFFIX",
    "DROP_IN",
    "OLLAMA_TYPES",
    "SLC_MODULE",
    "EditError",
    "accept_empty_key",
    "edited",
    "edited_for_run",
    "imports_slc",
    "is_drop_in",
    "is_slc_module",
    "unedited",
    "with_slc",
    "without_slc",
]

BACKUP_SUFFIX = ".metagpt-ollama.bak"

# The text of the drop-in module. Where this package is not installed any more, it executes MetaGPT's own provider from
# the backup in its place.
DROP_IN = f"""\
# Written by `metagpt-ollama install`: metagpt_ollama_rs in the place of MetaGPT's own Ollama provider.
# To undo it: metagpt-ollama uninstall
# Or, without that command: move ollama_api.py{BACKUP_SUFFIX}, beside this file, back over it.
try:
    from metagpt_ollama_rs.provider import *  # noqa: F403
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "metagpt_ollama_rs":
        raise
    from pathlib import Path

    from loguru import logger

    original = Path(__file__ + "{BACKUP_SUFFIX}")
    if not original.exists():
        raise ModuleNotFoundError(
            f"metagpt_ollama_rs cannot be imported ({{error}}), and {{original}}, MetaGPT's own provider, is missing: "
            "run `pip install metagpt-ollama-rs`, or install MetaGPT again",
            name=error.name,
        ) from None
    logger.warning(
        f"metagpt_ollama_rs cannot be imported ({{error}}), so MetaGPT's own Ollama provider is used. "
        f"Run `pip install metagpt-ollama-rs`, or move {{original}} back over {{__file__}}"
    )
    exec(compile(original.read_bytes(), str(original), "exec"))
"""

# The text of the module of tools.
SLC_MODULE = "from metagpt_ollama_rs.slc import *  # noqa: F403 - `metagpt-ollama uninstall` deletes this file\n"

# What lists that module. Where it cannot be imported, MetaGPT has all its other tools.
_LISTING = f"""\
# Written by `metagpt-ollama install`: the tools of metagpt_ollama_rs, which slc.py beside this file imports.
# To undo it: metagpt-ollama uninstall
# Or, without that command: move __init__.py{BACKUP_SUFFIX}, beside this file, back over it, and delete slc.py.
try:
    from metagpt.tools.libs import slc  # noqa: F401
except ImportError as error:
    from loguru import logger

    logger.warning(
        f"The tools of metagpt_ollama_rs cannot be imported ({{error}}), so MetaGPT does without them. "
        f"Run `pip install metagpt-ollama-rs`, or take the import of slc out of {{__file__}}"
    )
"""

# The values of `api_type` that mean Ollama.
OLLAMA_TYPES = ("ollama", "ollama.generate", "ollama.embeddings", "ollama.embed")
_TYPES = ", ".join(f'"{kind}"' for kind in OLLAMA_TYPES)

_IMPORT = "from pydantic import field_validator\n"
_BOTH_IMPORTS = "from pydantic import field_validator, model_validator\n"
_CHECK = '    @field_validator("api_key")\n    @classmethod\n    def check_llm_key(cls, v):\n'
_NO_KEY = f"""\
    # Written by `metagpt-ollama install`: Ollama needs no key, so an empty one is as good as none.
    # To undo it: metagpt-ollama uninstall
    # Or, without that command: move llm_config.py{BACKUP_SUFFIX}, beside this file, back over it.
    @model_validator(mode="before")
    @classmethod
    def ollama_needs_no_key(cls, data):
        if isinstance(data, dict) and data.get("api_key", "") in ("", None, "YOUR_API_KEY"):
            kind = data.get("api_type")
            if getattr(kind, "value", kind) in ({_TYPES}):
                return {{name: value for name, value in data.items() if name != "api_key"}}
        return data

"""


class EditError(ValueError):
    """The text is not the one that the edit is made for."""


def edited(relative: str, source: str) -> str:
    """The text that `install` writes in the place of `source`, the original text of the file `relative`.

    Raises `EditError` for a text that the edit does not fit.
    """
    return DROP_IN if relative == PROVIDER else accept_empty_key(source)


def unedited(relative: str, text: str) -> Optional[str]:
    """The original text of which `edited` made `text`; None if it made none of this, or if nothing of it is left."""
    if relative == PROVIDER:
        return None
    source = text.replace(_NO_KEY, "").replace(_BOTH_IMPORTS, _IMPORT)
    try:
        return source if source != text and accept_empty_key(source) == text else None
    except EditError:
        return None


def accept_empty_key(source: str) -> str:
    """`llm_config.py` with an empty key accepted for Ollama. Raises `EditError` where its check is not found once."""
    if _NO_KEY in source:
        return source
    if source.count(_IMPORT) != 1 or source.count(_CHECK) != 1:
        raise EditError("LLMConfig's check of api_key is not where it is expected")
    with_import = source.replace(_IMPORT, _BOTH_IMPORTS)
    return with_import.replace(_CHECK, _NO_KEY + _CHECK)


def with_slc(data: bytes) -> bytes:
    """The bytes that `install` writes in the place of `data`, those of the list of tools: one block more at the end.

    >>> without_slc(with_slc(b"from metagpt.tools.libs import web_scraping"))
    b'from metagpt.tools.libs import web_scraping'
    """
    return data + _listing(b"\r\n" if b"\r\n" in data else b"\n")


def without_slc(data: bytes) -> Optional[bytes]:
    """The bytes of which `with_slc` made `data`, which may have been edited elsewhere since; None if it did not."""
    for end in (b"\r\n", b"\n"):
        if data.count(_listing(end)) == 1:
            return data.replace(_listing(end), b"")
    return None


def _listing(end: bytes) -> bytes:
    # The first line end is that of the line before, which may have none, or an empty line.
    return ("\n" + _LISTING).encode().replace(b"\n", end)


def imports_slc(source: str) -> bool:
    """Whether the list of tools imports the module of tools, in whatever way.

    >>> imports_slc("from metagpt.tools.libs import (web_scraping, slc)"), imports_slc("from . import web_scraping")
    (True, False)
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    imports = [item for item in ast.walk(tree) if isinstance(item, (ast.Import, ast.ImportFrom))]
    paths = [f"{getattr(item, 'module', None) or ''}.{name.name}" for item in imports for name in item.names]
    return any("slc" in path.split(".") for path in paths)


def is_slc_module(source: str) -> bool:
    """Whether a module does nothing but import this package's tools, by `install` or written by hand."""
    return _only_imports_all_of("metagpt_ollama_rs.slc", source)


def is_drop_in(source: str) -> bool:
    """Whether a module does nothing but import this package's provider, by `install` or written by hand.

    >>> is_drop_in("from metagpt_ollama_rs.provider import *"), is_drop_in("import metagpt_ollama_rs.provider")
    (True, False)
    """
    return source == DROP_IN or _only_imports_all_of("metagpt_ollama_rs.provider", source)


def _only_imports_all_of(package: str, source: str) -> bool:
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError):
        return False
    if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    imports = [item for item in body if isinstance(item, ast.ImportFrom) and item.module != "__future__"]
    return (
        all(isinstance(item, ast.ImportFrom) for item in body)
        and len(imports) == 1
        and (imports[0].module, imports[0].level) == (package, 0)
        and [name.name for name in imports[0].names] == ["*"]
    )


def edited_for_run(relative: str, source: str) -> tuple[str, str]:
    """The text that `run` executes in the place of `source`, which has LF as line end, and a warning for the user, or
    "".

    No file is changed by this, so a file of an unknown release is edited as well if the edit fits.
    """
    if relative == PROVIDER:
        if is_drop_in(source):
            return source, ""
        known = release_of(relative, source) is not None
        return DROP_IN, "" if known else f"MetaGPT's {relative} is not the one of a known release; it is not in force"
    if relative == TOOL_LIST:
        return source if imports_slc(source) else source + _listing(b"\n").decode(), ""
    try:
        return accept_empty_key(source), ""
    except EditError as error:
        return source, f"MetaGPT's {relative} stays as it is ({error}): set llm.api_key, any text will do"
