"""The records of calls: what is in them, that all calls leave one, and the file that processes share."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import metagpt_ollama_rs
from metagpt_ollama_rs import AsyncClient, Client, Timeout, errors, stats
from metagpt_ollama_rs.endpoints import endpoint_at
from metagpt_ollama_rs.testing import Reply, ScriptedServer, faults

# The numbers of a record that `summary` does not add up: they are no amounts, or say what another number says.
NOT_SUMMED = {"started", "process", "status", "first_token_seconds", "prompt_seconds", "tokens_per_second"}
BEGUN = ("id", "state", "started", "process", "model", "host", "endpoint", "streamed")
MESSAGES = [{"role": "user", "content": "hi"}]
COUNTERS = {
    "load_duration": 500_000_000,
    "prompt_eval_count": 7,
    "prompt_eval_cached_count": 5,
    "prompt_eval_duration": 250_000_000,
    "eval_count": 3,
    "eval_duration": 500_000_000,
}


@pytest.fixture(autouse=True)
def _no_records() -> Iterator[None]:
    stats.clear()
    yield
    stats.resize(1000)


def counted(stream: bool, **fields: Any) -> Reply:
    last = {"model": "m", "message": {"role": "assistant", "content": "Hello"}, "done": True, "done_reason": "stop"}
    last = {**last, **COUNTERS, **fields}
    return Reply.ndjson([{**last, "done": False}, last]) if stream else Reply.json(last)


async def _consume(client: AsyncClient, consumer: str) -> None:
    payload = {"model": "m", "messages": MESSAGES}
    if consumer == "items":
        async for _ in await client.chat("m", MESSAGES, stream=True):
            pass
    elif consumer == "callback":
        await client.stream_text("/api/chat", payload, lambda text: None)
    elif consumer == "lines":
        async for _ in client.stream_lines("/api/chat", payload):
            pass
    elif consumer == "whole":
        await client.chat("m", MESSAGES)
    elif consumer == "bytes":
        await client.request_bytes("/api/chat", {**payload, "stream": False})


@pytest.mark.parametrize("consumer", ["items", "callback", "lines", "whole", "bytes", "sync", "sync stream"])
def test_a_call_leaves_a_record(ollama_server: ScriptedServer, consumer: str) -> None:
    streamed = consumer in ("items", "callback", "lines", "sync stream")
    ollama_server.on("POST", "/api/chat", counted(streamed))
    before = time.time()
    if consumer.startswith("sync"):
        reply: Any = Client(ollama_server.url).chat("m", MESSAGES, stream=streamed)
        list(reply)
    else:
        asyncio.run(_consume(AsyncClient(ollama_server.url), consumer))
    (record,) = stats.records()
    assert before - 1 <= record.pop("started") <= time.time()
    assert record.pop("id").startswith(f"{os.getpid()}-")
    seconds, first = record.pop("seconds"), record.pop("first_token_seconds")
    assert (first is not None) == streamed
    assert 0 <= (first or 0) <= seconds <= time.time() - before + 1
    assert record == {
        "state": "ended",
        "process": os.getpid(),
        "model": "m",
        "host": ollama_server.url,
        "endpoint": "/api/chat",
        "streamed": streamed,
        "prompt_tokens": 7,
        "answer_tokens": 3,
        "cached_tokens": 5,
        "load_seconds": 0.5,
        "prompt_seconds": 0.25,
        "answer_seconds": 0.5,
        "tokens_per_second": 6.0,
        "retries": 0,
        "truncated": False,
        "error": None,
        "phase": None,
        "status": None,
        "rejected": False,
        "repaired": None,
    }


def test_the_keys_of_a_record_are_documented_and_its_amounts_added_up(ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/api/chat", counted(True))
    list(Client(ollama_server.url).chat("m", MESSAGES, stream=True))
    (record,) = stats.records()
    documented = set(re.findall(r"``(\w+)``", stats.records.__doc__ or ""))
    assert set(record) <= documented
    amounts = {key for key, value in record.items() if type(value) in (int, float)} - NOT_SUMMED
    assert amounts <= set(stats.summary()["m"])


def test_an_error_of_a_kind_that_there_is_not_has_no_record() -> None:
    with pytest.raises(ValueError, match="is no kind of error"):
        metagpt_ollama_rs._core.stats_fail(
            "odd", model="m", host="", endpoint="", streamed=False, status=None, rejected=False
        )
    assert stats.records() == []


@pytest.mark.parametrize("consumer", ["callback", "lines", "whole", "bytes"])
def test_a_call_tells_the_id_of_its_record(ollama_server: ScriptedServer, consumer: str) -> None:
    ollama_server.on("POST", "/api/chat", counted(consumer in ("callback", "lines")))
    told: list[str] = []

    async def main() -> None:
        client, payload = AsyncClient(ollama_server.url), {"model": "m", "messages": MESSAGES}
        if consumer == "callback":
            await client.stream_text("/api/chat", payload, print, on_call=told.append)
        elif consumer == "lines":
            async for _ in client.stream_lines("/api/chat", payload, on_call=told.append):
                pass
        elif consumer == "whole":
            await client.request_json("/api/chat", {**payload, "stream": False}, on_call=told.append)
        else:
            await client.request_bytes("/api/chat", {**payload, "stream": False}, on_call=told.append)

    asyncio.run(main())
    assert told == [record["id"] for record in stats.records()]


def test_repairs_go_to_the_call_of_their_id(ollama_server: ScriptedServer, tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "calls.jsonl"
    monkeypatch.setenv("METAGPT_OLLAMA_STATS", str(path))
    ollama_server.on("POST", "/api/chat", counted(False))
    told: dict[str, str] = {}

    async def ask(client: AsyncClient, model: str) -> None:
        ids: list[str] = []
        await client.request_json("/api/chat", {"model": model, "stream": False}, on_call=ids.append)
        told[model] = ids[-1]
        metagpt_ollama_rs._core.stats_repaired(ids[-1], f"words of {model}")

    async def main() -> None:
        client = AsyncClient(ollama_server.url)
        await asyncio.gather(*(ask(client, f"m{number}") for number in range(20)))

    asyncio.run(main())
    records = stats.records()
    assert len(records) == 20
    assert {record["model"]: record["id"] for record in records} == told
    assert {record["repaired"] for record in records} == {f"words of {model}" for model in told}
    assert all(record["repaired"] == f"words of {record['model']}" for record in records)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [line["state"] for line in lines].count("repaired") == 20
    for place, line in enumerate(lines):
        if line["state"] == "repaired":
            assert list(line) == ["id", "state", "repaired"]
            (ended,) = (one for one in lines[:place] if one["state"] == "ended" and one["id"] == line["id"])
            assert line["repaired"] == f"words of {ended['model']}"
    assert stats.summary()["m0"]["repairs"] == 1


def test_repairs_of_a_call_without_a_record_harm_nothing(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("METAGPT_OLLAMA_STATS", str(tmp_path / "none" / "calls.jsonl"))
    metagpt_ollama_rs._core.stats_repaired("7-1", "prose")
    assert stats.records() == []


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_at_its_limit_is_truncated(ollama_server: ScriptedServer, stream: bool) -> None:
    ollama_server.on("POST", "/api/chat", counted(stream, done_reason="length"))
    list(Client(ollama_server.url).chat("m", MESSAGES, stream=stream))
    assert stats.records()[0]["truncated"] is True


def test_counts_of_other_endpoints(ollama_server: ScriptedServer) -> None:
    ollama_server.answer("Hello")
    client = Client(ollama_server.url)
    client.embed("e", ["one two", "three"])
    assert client.version()
    usage = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}
    ollama_server.on("POST", "/v1/chat/completions", Reply.json({"model": "o", "choices": [], "usage": usage}))
    client._native.call_blocking(endpoint_at("/v1/chat/completions"), {"model": "o"}, "answer", None)
    embed, version, chat = stats.records()
    assert (embed["model"], embed["endpoint"], embed["prompt_tokens"]) == ("e", "/api/embed", 3)
    assert (version["model"], version["endpoint"], version["prompt_tokens"]) == (None, "/api/version", None)
    assert (chat["prompt_tokens"], chat["answer_tokens"], chat["tokens_per_second"]) == (4, 2, None)


FAILURES: dict[str, tuple[Any, str, int | None, str | None]] = {
    "refused": (Reply.error("no", 500), "status", 500, None),
    "mid-stream": (Reply.ndjson([{"error": "no"}]), "mid_stream", 200, None),
    "incomplete": (Reply.json({"message": {"content": "a"}, "done": False}), "incomplete", 200, None),
    "web page": (faults.html(), "protocol", 200, None),
    "silent": (faults.never_answer(), "timeout", None, "first_token"),
    "closed": (faults.close_at_once(), "connect", None, None),
}


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("stream", [False, True])
def test_a_failed_call_leaves_a_record(ollama_server: ScriptedServer, name: str, stream: bool) -> None:
    reply, kind, status, phase = FAILURES[name]
    ollama_server.on("POST", "/api/chat", reply)
    with pytest.raises(errors.OllamaError):
        list(Client(ollama_server.url, retries=0, timeout=Timeout(first_token=0.05)).chat("m", MESSAGES, stream=stream))
    (record,) = stats.records()
    assert (record["error"], record["status"], record["phase"]) == (kind, status, phase)


@pytest.mark.parametrize("consumer", ["items", "whole"])
def test_a_call_that_nobody_waits_for_leaves_a_record(ollama_server: ScriptedServer, consumer: str) -> None:
    ollama_server.queue(Reply.chat("Hello world").gated(1 if consumer == "items" else 0))
    client = AsyncClient(ollama_server.url)

    async def leave() -> None:
        task = asyncio.ensure_future(_consume(client, consumer))
        await asyncio.get_running_loop().run_in_executor(None, ollama_server.wait_for_request)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(leave())
    deadline = time.monotonic() + 20
    while not stats.records() and time.monotonic() < deadline:
        time.sleep(0.005)
    (record,) = stats.records()
    assert record["error"] == "closed"


def test_the_ring_is_bounded(ollama_server: ScriptedServer) -> None:
    client = Client(ollama_server.url)
    for _ in range(5):
        client.version()
    client.list()
    stats.resize(3)
    assert [record["endpoint"] for record in stats.records()] == ["/api/version", "/api/version", "/api/tags"]
    client.ps()
    assert [record["endpoint"] for record in stats.records()] == ["/api/version", "/api/tags", "/api/ps"]
    stats.resize(0)
    client.ps()
    assert stats.records() == []
    stats.resize(2**70)
    client.ps()
    assert len(stats.records()) == 1
    for capacity in (-1, 0.5, "3", True):
        with pytest.raises(errors.ConfigurationError, match="capacity must be a whole number from 0 on"):
            stats.resize(capacity)  # type: ignore[arg-type]


def test_the_sums_of_a_model(ollama_server: ScriptedServer) -> None:
    client = Client(ollama_server.url, retries=metagpt_ollama_rs.Retry(2, first=0.001))
    chat = [counted(False), counted(False, done_reason="length", load_duration=5_000_000, eval_duration=1_000_000_000)]
    ollama_server.queue(*chat, Reply.error("no", 503), Reply.error("no", 400))
    for _ in range(2):
        client.chat("m", MESSAGES)
    with pytest.raises(errors.BadRequestError):
        client.chat("n", MESSAGES)
    client.version()
    sums = stats.summary()
    assert list(sums) == ["m", "n", None]
    m, n = sums["m"], sums["n"]
    assert (m["calls"], m["loads"], m["truncations"], m["errors"], m["retries"]) == (2, 1, 1, 0, 0)
    assert (m["prompt_tokens"], m["answer_tokens"], m["cached_tokens"]) == (14, 6, 10)
    assert (m["answer_seconds"], m["tokens_per_second"]) == (1.5, 4.0)
    assert m["seconds"] == sum(record["seconds"] for record in stats.records()[:2])
    assert (n["calls"], n["errors"], n["retries"], n["tokens_per_second"]) == (1, 1, 1, None)
    assert sums[None]["calls"] == 1
    stats.clear()
    assert stats.summary() == {}


def test_records_of_many_threads(ollama_server: ScriptedServer) -> None:
    client = Client(ollama_server.url)

    def work() -> None:
        for _ in range(20):
            client.version()
            assert stats.records()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(stats.records()) == 160


CHILD = """
import os, sys
from metagpt_ollama_rs import Client, stats
client = Client(sys.argv[1])
client.version()
child = os.fork() if sys.argv[2] == "fork" else None
if child == 0:
    before = stats.records()
    client.version()
    os._exit(0 if not before and [r["process"] for r in stats.records()] == [os.getpid()] else 1)
if child:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
for _ in range(20):
    client.chat("m" * 200, [])
assert len(stats.records()) == 21
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_starts_empty(ollama_server: ScriptedServer) -> None:
    ollama_server.answer("Hello")
    subprocess.run([sys.executable, "-c", CHILD, ollama_server.url, "fork"], check=True, timeout=60)


def test_processes_share_a_file(ollama_server: ScriptedServer, tmp_path: Path) -> None:
    ollama_server.answer("Hello")
    path = tmp_path / "stats.jsonl"
    environment = {**os.environ, "METAGPT_OLLAMA_STATS": str(path)}
    command = [sys.executable, "-c", CHILD, ollama_server.url, "alone"]
    processes = [subprocess.Popen(command, env=environment) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    begun, ended = ([line for line in lines if line["state"] == state] for state in ("begun", "ended"))
    assert len(begun) == len(ended) == 4 * 21
    assert len({line["id"] for line in begun}) == 4 * 21
    assert {line["id"] for line in begun} == {line["id"] for line in ended}
    assert len({line["process"] for line in ended}) == 4


def test_a_file_has_what_records_have(
    ollama_server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "stats.jsonl"
    path.write_text('{"from": "before"}\n')
    monkeypatch.setenv("METAGPT_OLLAMA_STATS", str(path))
    ollama_server.on("POST", "/api/chat", counted(True))
    list(Client(ollama_server.url).chat("m", MESSAGES, stream=True))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    (record,) = stats.records()
    begun = {name: record[name] for name in BEGUN} | {"state": "begun"}
    assert lines == [{"from": "before"}, begun, record]


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no Unix sockets")
def test_a_socket_gets_the_records(
    ollama_server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "monitor"
    monkeypatch.setenv("METAGPT_OLLAMA_STATS", f"unix:{path}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as monitor:
        monitor.bind(str(path))
        monitor.settimeout(20)
        Client(ollama_server.url).version()
        begun, ended = (json.loads(monitor.recv(1 << 16)) for _ in range(2))
        assert [ended] == stats.records()
        assert (begun["state"], begun["id"]) == ("begun", ended["id"])


@pytest.mark.skipif(os.name != "posix", reason="this system has no modes")
@pytest.mark.parametrize("before", [None, 0o644])
def test_a_new_file_is_for_its_user_alone(
    ollama_server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int | None
) -> None:
    path = tmp_path / "stats.jsonl"
    if before:
        path.touch()
        path.chmod(before)
    monkeypatch.setenv("METAGPT_OLLAMA_STATS", str(path))
    Client(ollama_server.url).version()
    assert path.stat().st_mode & 0o777 == (before or 0o600)


KILLED = """
import asyncio, sys
from metagpt_ollama_rs import AsyncClient, Client
url, consumer = sys.argv[1:]

async def ask():
    client = AsyncClient(url)
    if consumer == "async stream":
        async for part in await client.chat("m", [], stream=True):
            print("begun", flush=True)
    else:
        await client.generate("m", "hi")

if consumer.startswith("async"):
    asyncio.run(ask())
else:
    for part in Client(url).chat("m", [], stream=consumer == "stream"):
        print("begun", flush=True)
"""


@pytest.mark.parametrize("consumer", ["async stream", "async whole", "stream", "whole"])
@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_a_process_that_is_killed_leaves_what_it_had_begun(
    ollama_server: ScriptedServer, tmp_path: Path, consumer: str, how: str
) -> None:
    path = tmp_path / "stats.jsonl"
    ollama_server.queue(Reply.chat("Hello world").gated(1 if "stream" in consumer else 0))
    environment = {**os.environ, "METAGPT_OLLAMA_STATS": str(path)}
    command = [sys.executable, "-c", KILLED, ollama_server.url, consumer]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        ollama_server.wait_for_request()
        if "stream" in consumer:
            assert process.stdout is not None
            process.stdout.readline()
        getattr(process, how)()
    (begun,) = (json.loads(line) for line in path.read_text().splitlines())
    assert begun.pop("id").startswith(f"{process.pid}-")
    assert abs(begun.pop("started") - time.time()) < 60
    assert begun == {
        "state": "begun",
        "process": process.pid,
        "model": "m",
        "host": ollama_server.url,
        "endpoint": "/api/generate" if consumer == "async whole" else "/api/chat",
        "streamed": "stream" in consumer,
    }


@pytest.mark.parametrize("stream", [False, True])
def test_calls_under_way_are_known(ollama_server: ScriptedServer, stream: bool) -> None:
    reply = Reply.chat("Hello world", stream=stream).gated(1 if stream else 0)
    ollama_server.queue(reply)

    async def look() -> None:
        client = AsyncClient(ollama_server.url)
        asked = asyncio.ensure_future(_consume(client, "items" if stream else "whole"))
        await asyncio.get_running_loop().run_in_executor(None, ollama_server.wait_for_request)
        (begun,) = stats.pending()
        assert (begun["state"], begun["streamed"], stats.records()) == ("begun", stream, [])
        assert reply.gate is not None
        reply.gate.open_all()
        await asked
        (record,) = stats.records()
        assert begun == {name: record[name] for name in BEGUN} | {"state": "begun"}

    asyncio.run(look())
    assert stats.pending() == []


@pytest.mark.parametrize("name", FAILURES)
def test_a_call_that_failed_is_not_under_way(ollama_server: ScriptedServer, name: str) -> None:
    ollama_server.on("POST", "/api/chat", FAILURES[name][0])
    with pytest.raises(errors.OllamaError):
        Client(ollama_server.url, retries=0, timeout=Timeout(first_token=0.05)).chat("m", MESSAGES)
    assert stats.pending() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_has_nothing_under_way(ollama_server: ScriptedServer, tmp_path: Path) -> None:
    ollama_server.queue(Reply.chat("Hello world").gated(1))
    path = tmp_path / "stats.jsonl"
    environment = {**os.environ, "METAGPT_OLLAMA_STATS": str(path)}
    subprocess.run([sys.executable, "-c", FORKED, ollama_server.url], env=environment, check=True, timeout=60)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["state"], line["endpoint"]) for line in lines] == [
        ("begun", "/api/chat"),
        ("begun", "/api/version"),
        ("ended", "/api/version"),
        ("ended", "/api/chat"),
    ]


FORKED = """
import os, sys
from metagpt_ollama_rs import Client, stats
client = Client(sys.argv[1])
parts = client.chat("m", [], stream=True)
next(parts)
child = os.fork()
if not child:
    clean = not stats.pending()
    client.version()
    del parts
    os._exit(0 if clean and not stats.pending() else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
(begun,) = stats.pending()
parts.close()
del parts
while stats.pending():
    pass
"""


def _places(folder: Path) -> dict[str, str]:
    os.mkfifo(folder / "pipe")
    return {
        "no folder": str(folder / "none" / "stats"),
        "a folder": str(folder),
        "a pipe without reader": str(folder / "pipe"),
        "no monitor": f"unix:{folder / 'monitor'}",
    }


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("place", ["no folder", "a folder", "a pipe without reader", "no monitor"])
def test_a_place_that_cannot_be_written_to_is_logged_once(
    ollama_server: ScriptedServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    place: str,
) -> None:
    monkeypatch.delitem(sys.modules, "metagpt.logs", raising=False)
    monkeypatch.setenv("METAGPT_OLLAMA_STATS", _places(tmp_path)[place])
    ollama_server.answer("Hello")
    client = Client(ollama_server.url)
    with caplog.at_level(logging.WARNING):
        for stream in (True, False, True):
            list(client.chat("m", MESSAGES, stream=stream))
    assert len(stats.records()) == 3
    assert len(caplog.records) == 1
    assert caplog.records[0].getMessage().startswith("METAGPT_OLLAMA_STATS cannot be written to: ")


def test_importing_the_package_does_not_load_it() -> None:
    program = "import sys, metagpt_ollama_rs as m; assert m.__name__ + '.stats' not in sys.modules; m.stats.records()"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
