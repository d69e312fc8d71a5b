"""Transfers: pull, push and create with callbacks for their progress, and pulls and pushes that broke off and go on."""

from __future__ import annotations

import asyncio
import inspect
import logging
import subprocess
import sys
from typing import Any, Callable

import pytest

import metagpt_ollama_rs
from metagpt_ollama_rs import AsyncClient, Client, Retry, Timeout, errors, stats
from metagpt_ollama_rs.events import CallEvent
from metagpt_ollama_rs.progress import ProgressTotal
from metagpt_ollama_rs.testing import Reply, ScriptedServer, faults

QUICK = Retry(retries=2, first=0.0001)
DIGEST = "sha256:" + "a1" * 32
TRANSFERS = ("pull", "push")
transfers = pytest.mark.parametrize("transfer", TRANSFERS)
everywhere = pytest.mark.parametrize("way", ["sync", "async"])


def report(completed: int, total: int = 100) -> dict[str, Any]:
    return {"status": "pulling a1", "digest": DIGEST, "total": total, "completed": completed}


def lines(*completed: int) -> list[dict[str, Any]]:
    return [{"status": "pulling manifest"}, *(report(bytes) for bytes in completed)]


def good(*completed: int) -> Reply:
    return Reply.ndjson([*lines(*completed), {"status": "success"}])


def cut(*completed: int, fault: Callable[..., Reply] = faults.close_after_pieces) -> Reply:
    """A transfer whose connection breaks off after these reports."""
    reply = Reply.ndjson([*lines(*completed), {"status": "never seen"}])
    return fault(reply, len(completed) + 1)


def read(way: str, url: str, transfer: str, **arguments: Any) -> list[Any]:
    """The reports of a streamed transfer, by either client."""
    options = {key: arguments.pop(key) for key in ("retries", "on_event") if key in arguments}
    options.setdefault("retries", QUICK)

    async def main() -> list[Any]:
        async with AsyncClient(url, **options) as client:
            return [part async for part in await getattr(client, transfer)("m", stream=True, **arguments)]

    if way == "async":
        return asyncio.run(main())
    with Client(url, **options) as client:
        return list(getattr(client, transfer)("m", stream=True, **arguments))


def call(way: str, url: str, transfer: str, **arguments: Any) -> Any:
    """What a transfer returns as a whole, by either client."""
    options = {key: arguments.pop(key) for key in ("retries", "on_event") if key in arguments}
    options.setdefault("retries", QUICK)

    async def main() -> Any:
        async with AsyncClient(url, **options) as client:
            return await getattr(client, transfer)("m", **arguments)

    if way == "async":
        return asyncio.run(main())
    with Client(url, **options) as client:
        return getattr(client, transfer)("m", **arguments)


# --- Going on ---------------------------------------------------------------------------------------------------------


@everywhere
@transfers
@pytest.mark.parametrize("fault", [faults.close_after_pieces, faults.reset_after_pieces])
def test_a_transfer_that_broke_off_goes_on(
    ollama_server: ScriptedServer, way: str, transfer: str, fault: Any, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[CallEvent] = []
    ollama_server.on("POST", f"/api/{transfer}", [cut(20, 40, fault=fault), good(40, 100)])
    reports = read(way, ollama_server.url, transfer, on_event=told.append)
    assert [part.get("completed") for part in reports][-4:] == [None, 40, 100, None]
    assert reports[-1].status == "success"
    assert [request.json()["model"] for request in ollama_server.requests] == ["m", "m"]
    (retry,) = [event for event in told if event.name == "retry"]
    assert retry.text.startswith(f"retry 1 of 2 of {ollama_server.url}/api/{transfer} after 0.0 s, which goes on where")
    assert [entry.getMessage() for entry in caplog.records if entry.levelno == logging.WARNING] == [retry.text]
    record = stats.records()[-1]
    assert (record["retries"], record["error"]) == (1, None)
    assert told[-1].outcome == "ok"


@everywhere
def test_retries_count_anew_while_a_transfer_gets_on(ollama_server: ScriptedServer, way: str) -> None:
    replies = [cut(10 * count) for count in range(1, 8)]
    # After the first retry nothing has come, and the second is the last.
    ollama_server.on("POST", "/api/pull", [*replies, cut(70), good(100)])
    assert read(way, ollama_server.url, "pull")[-1].status == "success"
    assert len(ollama_server.requests) == 9


@everywhere
def test_a_transfer_that_gets_no_further_fails(ollama_server: ScriptedServer, way: str) -> None:
    ollama_server.on("POST", "/api/pull", [cut(50), cut(50), cut(40), cut(50), good(100)])
    with pytest.raises(errors.StreamError, match=r"Tried 3 times\.") as raised:
        read(way, ollama_server.url, "pull")
    assert raised.value.hint is not None
    assert "it goes on where it stopped" in raised.value.hint
    assert len(ollama_server.requests) == 3


@everywhere
@pytest.mark.parametrize("retries", [0, Retry(retries=0, first=0.0001)])
def test_without_retries_nothing_goes_on(ollama_server: ScriptedServer, way: str, retries: Any) -> None:
    ollama_server.on("POST", "/api/pull", [cut(50), good(100)])
    with pytest.raises(errors.InterruptedStreamError):
        read(way, ollama_server.url, "pull", retries=retries)
    ollama_server.on("POST", "/api/pull", [cut(50), good(100)])
    client = Client(ollama_server.url, retries=QUICK)
    with pytest.raises(errors.InterruptedStreamError):
        client.pull("m", retries=retries, on_progress=lambda part: None)
    assert len(ollama_server.requests) == 2


@everywhere
@transfers
def test_a_whole_transfer_goes_on(ollama_server: ScriptedServer, way: str, transfer: str) -> None:
    success = Reply.json({"status": "success"})
    ollama_server.on("POST", f"/api/{transfer}", [faults.wrong_length(success, 10), faults.close_at_once(), success])
    assert call(way, ollama_server.url, transfer).status == "success"
    assert len(ollama_server.requests) == 3


@everywhere
def test_a_server_that_is_restarted_is_waited_for(ollama_server: ScriptedServer, way: str) -> None:
    server, restarted = ScriptedServer().start(), ScriptedServer()
    server.on("POST", "/api/pull", Reply.ndjson([*lines(30), {"status": "held back"}]).gated(2))
    restarted.port = server.port
    restarted.on("POST", "/api/pull", good(30, 100))
    told: list[str] = []

    def on_progress(part: Any) -> None:
        if part.completed == 30 and told == ["pulling manifest"]:
            server.stop()
            restarted.start()
        told.append(part.status)

    try:
        last = call(way, server.url, "pull", on_progress=on_progress, retries=Retry(retries=8, first=0.002))
    finally:
        server.stop()
        restarted.stop()
    assert last.status == "success"
    assert told.count("pulling manifest") == 2


@everywhere
@pytest.mark.parametrize(
    "text",
    [
        "max retries exceeded: EOF",
        "max retries exceeded: unexpected EOF",
        'pull model manifest: Get "https://registry.ollama.ai/v2/": dial tcp 1.2.3.4:443: i/o timeout',
        "read tcp 10.0.0.2:51234->1.2.3.4:443: read: connection reset by peer",
    ],
)
def test_a_server_that_lost_the_registry_is_asked_again(ollama_server: ScriptedServer, way: str, text: str) -> None:
    broken = Reply.ndjson([*lines(50), {"error": text}])
    ollama_server.on("POST", "/api/pull", [broken, good(50, 100)])
    assert read(way, ollama_server.url, "pull")[-1].status == "success"
    ollama_server.on("POST", "/api/pull", [Reply.error(text, 500), Reply.json({"status": "success"})])
    assert call(way, ollama_server.url, "pull").status == "success"


@everywhere
@pytest.mark.parametrize(
    "text",
    [
        "pull model manifest: file does not exist",
        "max retries exceeded: write /models/blobs/a1: no space left on device",
        "digest mismatch, file must be downloaded again: want sha256:a, got sha256:b",
        "unauthorized",
    ],
)
def test_what_the_server_reports_is_no_break(ollama_server: ScriptedServer, way: str, text: str) -> None:
    ollama_server.on("POST", "/api/pull", [Reply.ndjson([*lines(50), {"error": text}]), good(100)])
    with pytest.raises(errors.MidStreamError):
        read(way, ollama_server.url, "pull")
    ollama_server.on("POST", "/api/pull", [Reply.error(text, 500), good(100)])
    with pytest.raises(errors.ResponseError):
        call(way, ollama_server.url, "pull")
    assert len(ollama_server.requests) == 2


def test_a_stalled_transfer_goes_on_where_a_pause_is_bounded(ollama_server: ScriptedServer) -> None:
    stalled = cut(50, fault=lambda reply, pieces: faults.close_after_pieces(reply, pieces).then("hang"))
    ollama_server.on("POST", "/api/pull", [stalled, good(100)])
    reports = read("sync", ollama_server.url, "pull", timeout=Timeout(idle=0.2))
    assert reports[-1].status == "success"
    ollama_server.on("POST", "/api/pull", [stalled, good(100)])
    with pytest.raises(errors.RequestTimeout) as raised:
        read("sync", ollama_server.url, "pull", timeout=Timeout(total=0.2))
    assert raised.value.phase == "total"


def test_a_line_that_ends_with_the_connection_is_a_break(ollama_server: ScriptedServer) -> None:
    half = b'HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n{"status":"pulling manifest"}\n{"status":"pul'
    ollama_server.on("POST", "/api/pull", [Reply.raw(half, end="close"), good(100)])
    assert [part.status for part in read("sync", ollama_server.url, "pull")][-1] == "success"


@everywhere
@pytest.mark.parametrize("transfer", ["pull", "create"])
@pytest.mark.parametrize("fault", [faults.close_after_pieces, faults.reset_after_pieces])
def test_what_breaks_off_after_success_has_succeeded(
    ollama_server: ScriptedServer, way: str, transfer: str, fault: Any
) -> None:
    """Nothing but the end of the body is missing."""
    whole = Reply.ndjson([*lines(100), {"status": "success"}, {"status": "never seen"}])
    ollama_server.on("POST", f"/api/{transfer}", [fault(whole, 3), good(100)])
    reports = read(way, ollama_server.url, transfer)
    assert [part.status for part in reports] == ["pulling manifest", "pulling a1", "success"]
    assert len(ollama_server.requests) == 1


def test_other_requests_that_change_something_are_not_sent_again(ollama_server: ScriptedServer) -> None:
    client = Client(ollama_server.url, retries=QUICK)
    ollama_server.on("POST", "/api/create", [cut(10), good(100)])
    with pytest.raises(errors.InterruptedStreamError):
        list(client.create("m", from_="n", stream=True))
    ollama_server.on("POST", "/api/copy", [faults.close_at_once(), Reply.json({})])
    with pytest.raises(errors.ConnectError):
        client.copy("m", "n")
    assert len(ollama_server.requests) == 2


def test_raw_lines_of_a_transfer_end_where_it_breaks_off(ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/api/pull", [cut(10), good(100)])

    async def main() -> None:
        client = AsyncClient(ollama_server.url, retries=QUICK)
        async for _ in client.stream_lines("/api/pull", {"model": "m"}):
            pass

    with pytest.raises(errors.InterruptedStreamError):
        asyncio.run(main())


def test_cancelling_ends_the_wait_of_a_transfer(ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/api/pull", [cut(10), good(100)])
    never = Retry(retries=9, first=3600)

    async def main() -> None:
        waiting = asyncio.Event()
        # The retry is told when the wait begins.
        client = AsyncClient(
            ollama_server.url, retries=never, on_event=lambda event: event.name == "retry" and waiting.set()
        )
        stream = await client.pull("m", stream=True)
        reader = asyncio.ensure_future(_all(stream))
        await waiting.wait()
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader

    async def _all(stream: Any) -> None:
        async for _ in stream:
            pass

    asyncio.run(main())
    assert len(ollama_server.requests) == 1


def test_closing_ends_the_wait_of_a_transfer(ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/api/pull", [cut(10), good(100)])

    def hook(event: CallEvent) -> None:
        if event.name == "retry":
            stream.close()

    stream = Client(ollama_server.url, retries=Retry(retries=9, first=3600), on_event=hook).pull("m", stream=True)
    with pytest.raises(errors.ClosedError):
        list(stream)
    assert len(ollama_server.requests) == 1


# --- Callbacks --------------------------------------------------------------------------------------------------------


@everywhere
@pytest.mark.parametrize("transfer", ["pull", "push", "create"])
def test_on_progress_gets_each_report(ollama_server: ScriptedServer, way: str, transfer: str) -> None:
    ollama_server.on("POST", f"/api/{transfer}", good(0, 50, 100))
    seen: list[Any] = []
    last = call(way, ollama_server.url, transfer, on_progress=seen.append)
    assert [(part.status, part.completed, part.total) for part in seen] == [
        ("pulling manifest", None, None),
        ("pulling a1", 0, 100),
        ("pulling a1", 50, 100),
        ("pulling a1", 100, 100),
        ("success", None, None),
    ]
    assert last is seen[-1]
    assert ollama_server.last.json()["stream"] is True


@everywhere
def test_what_on_progress_raises_ends_the_transfer(ollama_server: ScriptedServer, way: str) -> None:
    ollama_server.on("POST", "/api/pull", good(0, 50, 100).gated(2))

    def on_progress(part: Any) -> None:
        if part.total:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        call(way, ollama_server.url, "pull", on_progress=on_progress)
    ollama_server.wait_for_hangup()
    assert len(ollama_server.requests) == 1


def test_a_coroutine_function_is_awaited_where_that_is_possible(ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/api/pull", good(100))
    seen: list[str] = []

    async def on_progress(part: Any) -> None:
        await asyncio.sleep(0)
        seen.append(part.status)

    call("async", ollama_server.url, "pull", on_progress=on_progress)
    assert seen == ["pulling manifest", "pulling a1", "success"]
    with pytest.raises(errors.ConfigurationError, match="AsyncClient awaits others"):
        call("sync", ollama_server.url, "pull", on_progress=on_progress)


@everywhere
def test_callbacks_that_cannot_be_used_are_refused_before_anything_is_sent(
    ollama_server: ScriptedServer, way: str
) -> None:
    with pytest.raises(errors.ConfigurationError, match="two ways to read"):
        call(way, ollama_server.url, "pull", stream=True, on_progress=print)
    with pytest.raises(errors.ConfigurationError, match="must be a function"):
        call(way, ollama_server.url, "push", on_progress="print")
    assert ollama_server.requests == []


def test_an_error_comes_out_of_a_transfer_with_a_callback(ollama_server: ScriptedServer) -> None:
    ollama_server.on(
        "POST", "/api/pull", Reply.ndjson([*lines(), {"error": "pull model manifest: file does not exist"}])
    )
    with pytest.raises(errors.MidStreamError, match="file does not exist"):
        call("sync", ollama_server.url, "pull", on_progress=print)


@pytest.mark.parametrize("transfer", ["pull", "push", "create"])
def test_both_clients_and_the_module_have_the_argument(transfer: str) -> None:
    for owner in (Client, AsyncClient, metagpt_ollama_rs):
        parameter = inspect.signature(getattr(owner, transfer)).parameters["on_progress"]
        assert (parameter.kind, parameter.default) == (inspect.Parameter.KEYWORD_ONLY, None)


# --- Totals -----------------------------------------------------------------------------------------------------------


def layer(digest: str, completed: int | None, total: int = 1000) -> dict[str, Any]:
    return {"status": f"pulling {digest}", "digest": digest, "total": total, "completed": completed}


def test_a_total_adds_up_the_layers() -> None:
    now = [0.0]
    total = ProgressTotal(clock=lambda: now[0])
    assert (total.completed, total.total, total.fraction, total.bytes_per_second) == (0, 0, None, None)
    assert str(total.add({"status": "pulling manifest"})) == "pulling manifest"
    # What is on the disk already is there at once, and says nothing of the speed.
    total.add(layer("a", 1000))
    assert (total.fraction, total.bytes_per_second, total.seconds_left) == (1.0, None, None)
    for seconds, completed in enumerate((None, 100, 200, 300), 1):
        now[0] = seconds
        total.add(layer("b", completed, 3000))
    assert (total.completed, total.total, total.fraction) == (1300, 4000, 0.325)
    assert total.bytes_per_second == 300 / 4
    assert total.seconds_left == 2700 / 75
    assert str(total) == "pulling b: 32 %, 1.3 kB of 4.0 kB, 75 B/s, 36 s left"
    assert str(total.add({"status": "success"})) == "success: 32 %, 1.3 kB of 4.0 kB, 75 B/s, 36 s left"


def test_a_total_never_goes_back_and_forgets_old_speeds() -> None:
    now = [0.0]
    total = ProgressTotal(clock=lambda: now[0])
    for seconds, completed in ((0, 0), (1, 900), (2, 100), (50, 900), (100, 910), (105, 960)):
        now[0] = seconds
        total.add(layer("a", completed))
        assert total.completed == max(completed, 900 if seconds else 0)
    # Of the last ten seconds, and of what lies before the first report in them.
    assert total.bytes_per_second == 60 / 55


def test_importing_the_clients_imports_no_asyncio() -> None:
    code = "import sys, metagpt_ollama_rs.client; sys.exit('asyncio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
