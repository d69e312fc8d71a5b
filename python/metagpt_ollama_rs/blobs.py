"""Files sent to a server, for a model that is made of them; what it has already is not sent again.

A blob is known by its digest: ``HEAD /api/blobs/sha256:8fa2…`` asks whether it is there, and ``POST`` sends it, also
where something between here and the server refuses the question. A file is read here once for the digest, in a thread
where there is an event loop, and a second time by the core, which sends it in pieces.
"""

from __future__ import annotations

import hashlib
import os
import threading
from typing import TYPE_CHECKING, Any

from metagpt_ollama_rs._core import running_loop
from metagpt_ollama_rs.endpoints import Endpoint
from metagpt_ollama_rs.errors import ResponseError
from metagpt_ollama_rs.model_files import check_file
from metagpt_ollama_rs.progress import report_progress, report_progress_blocking
from metagpt_ollama_rs.responses import ProgressResponse

if TYPE_CHECKING:
    from metagpt_ollama_rs import _core
    from metagpt_ollama_rs.limits import CallSettings
    from metagpt_ollama_rs.model_files import AnyPath
    from metagpt_ollama_rs.progress import OnProgress

__all__ = ["send_blob", "send_blob_blocking"]

_PIECE = 1 << 20
# A smaller file is sent without asking whether it is there: that costs less than the question.
_WORTH_ASKING = 1 << 20


def send_blob_blocking(
    native: _core.NativeClient, path: AnyPath, settings: CallSettings | None, on_progress: OnProgress | None
) -> str:
    """Sends a file unless the server has it, and returns its digest."""
    file = check_file(path)
    digest = _digest_of(file)
    if _is_worth_asking(file):
        try:
            native.call_blocking(_blob(digest, "HEAD"), None, "status", settings)
        except ResponseError:
            pass
        else:
            return digest
    reports = native.upload_blocking(_blob(digest), file, ProgressResponse, settings)
    report_progress_blocking(reports, _with_digest(on_progress, digest))
    return digest


async def send_blob(
    native: _core.NativeClient, path: AnyPath, settings: CallSettings | None, on_progress: OnProgress | None
) -> str:
    """As `send_blob_blocking`, while the event loop goes on."""
    in_thread = running_loop().run_in_executor
    file = await in_thread(None, check_file, path)
    cancelled = threading.Event()
    try:
        digest = await in_thread(None, _digest_of, file, cancelled)
    finally:
        cancelled.set()
    if _is_worth_asking(file):
        try:
            await native.call(_blob(digest, "HEAD"), None, "status", settings)
        except ResponseError:
            pass
        else:
            return digest
    reports = native.upload(_blob(digest), file, ProgressResponse, settings)
    await report_progress(reports, _with_digest(on_progress, digest))
    return digest


def _blob(digest: str, method: str = "POST") -> Endpoint:
    # The digest says what comes to be there, so that a request may be sent twice.
    return Endpoint(f"/api/blobs/{digest}", method, lines="progress", changes=False, reply=ProgressResponse)


def _digest_of(file: str, cancelled: threading.Event | None = None) -> str:
    """The digest of a file. Other threads run meanwhile: reading and hashing so much at once lets go of the GIL."""
    found = hashlib.sha256()
    with open(file, "rb", buffering=0) as source:
        while piece := source.read(_PIECE):
            found.update(piece)
            if cancelled is not None and cancelled.is_set():
                break
    return f"sha256:{found.hexdigest()}"


def _is_worth_asking(file: str) -> bool:
    return os.path.getsize(file) >= _WORTH_ASKING


def _with_digest(on_progress: OnProgress | None, digest: str) -> OnProgress:
    """``on_progress``, which gets reports that name the file, as those of a pull name the layer."""

    def report(progress: ProgressResponse) -> Any:
        progress["digest"] = digest
        return None if on_progress is None else on_progress(progress)

    return report
