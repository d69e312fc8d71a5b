"""The table of endpoints: whatever differs by endpoint follows from its row, on both lanes, through real sockets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from metagpt_ollama_rs import AsyncClient, Client, Retry, Timeout, endpoints, errors, stats
from metagpt_ollama_rs.endpoints import ENDPOINTS, PS, TAGS, Endpoint, endpoint_at
from metagpt_ollama_rs.responses import Record
from metagpt_ollama_rs.testing import CLOSE, Reply, ScriptedServer, faults

PATH = "/api/made-up"
QUICK = Retry(retries=2, first=0.001)
BROKEN = Reply.raw(b"", end=CLOSE)
DONE = {"status": "success"}


class FooResponse(Record):
    """The reply of an endpoint that there is not."""

    __slots__ = ()
    foo_count: int | None


@pytest.fixture(params=["direct", "general", "blocking"])
def ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A way to send: over one of the lanes from an event loop, or from a thread that waits."""
    monkeypatch.setenv("METAGPT_OLLAMA_LANE", "direct" if request.param == "direct" else "general")
    return str(request.param)


def add(monkeypatch: pytest.MonkeyPatch, **facts: Any) -> Endpoint:
    """Adds a made-up endpoint: a row of the table, and nothing else."""
    row = Endpoint(PATH, reply=FooResponse, **facts)
    monkeypatch.setitem(ENDPOINTS, PATH, row)
    return row


def whole(way: str, server: ScriptedServer, row: Endpoint, **payload: Any) -> Any:
    """What the clients' methods make of a whole reply."""
    if way == "blocking":
        return Client(server.url, retries=QUICK)._send(row, payload)

    async def work() -> Any:
        async with AsyncClient(server.url, retries=QUICK) as client:
            return await client._send(row, payload)

    return asyncio.run(work())


def streamed(way: str, server: ScriptedServer, row: Endpoint, **payload: Any) -> list[Any]:
    """The items that the clients' methods make of a streamed reply."""
    if way == "blocking":
        return list(Client(server.url, retries=QUICK)._send(row, payload, stream=True))

    async def work() -> list[Any]:
        async with AsyncClient(server.url, retries=QUICK) as client:
            return [item async for item in await client._send(row, payload, stream=True)]

    return asyncio.run(work())


def by_path(way: str, server: ScriptedServer) -> Any:
    """What is sent to a path, as the MetaGPT provider does."""

    async def work() -> Any:
        async with AsyncClient(server.url, retries=QUICK) as client:
            return await client.request_json(PATH, {"model": "m"})

    return whole(way, server, endpoint_at(PATH), model="m") if way == "blocking" else asyncio.run(work())


@pytest.mark.parametrize(("changes", "requests"), [(True, 1), (False, 3), (None, 1)])
def test_what_changes_something_is_not_sent_twice(
    ways: str, ollama_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, changes: bool | None, requests: int
) -> None:
    row = add(monkeypatch, changes=changes, lines="progress")
    ollama_server.on("POST", PATH, BROKEN)
    for ask in (whole, streamed):
        before = len(ollama_server.requests)
        with pytest.raises(errors.ConnectError):
            ask(ways, ollama_server, row, model="m")
        assert len(ollama_server.requests) == before + requests


def test_a_path_gets_the_row_of_the_table(
    ways: str, ollama_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollama_server.on("POST", PATH, BROKEN)
    with pytest.raises(errors.ConnectError):
        by_path(ways, ollama_server)
    assert len(ollama_server.requests) == 1, "what is not in the table may change something"
    add(monkeypatch, changes=False)
    with pytest.raises(errors.ConnectError):
        by_path(ways, ollama_server)
    assert len(ollama_server.requests) == 4


def test_lines_of_progress_end_with_a_success(
    ways: str, ollama_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = add(monkeypatch, lines="progress", when_broken_off="fetch the foo again")
    ollama_server.on("POST", PATH, [Reply.ndjson([{"foo_count": 1}, DONE]), Reply.ndjson([{"foo_count": 1}])])
    assert streamed(ways, ollama_server, row) == [FooResponse(foo_count=1), FooResponse(DONE)]
    with pytest.raises(errors.IncompleteError) as caught:
        streamed(ways, ollama_server, row)
    assert caught.value.hint == "fetch the foo again"


def test_a_whole_reply_of_a_transfer_ends_with_a_success(
    ways: str, ollama_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = add(monkeypatch, lines="progress", when_broken_off="fetch the foo again")
    ollama_server.on("POST", PATH, [Reply.json({**DONE, "foo_count": 2}), Reply.json({"status": "fetching"})])
    reply = whole(ways, ollama_server, row)
    assert (type(reply), reply.foo_count) == (FooResponse, 2)
    with pytest.raises(errors.IncompleteError) as caught:
        whole(ways, ollama_server, row)
    assert (caught.value.hint, caught.value.url) == ("fetch the foo again", ollama_server.url + PATH)


def test_lines_of_an_answer_are_held_to_its_shape(
    ways: str, ollama_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = [{"message": {"role": "assistant", "content": "a"}, "done": False}, {"hello": 1}]
    for lines, refused in (("answer", True), ("any", False)):
        row = add(monkeypatch, lines=lines, fields=("message",))
        ollama_server.on("POST", PATH, Reply.ndjson([*foreign, {**foreign[0], "done": True}]))
        if refused:
            with pytest.raises(errors.ProtocolError):
                streamed(ways, ollama_server, row)
            with pytest.raises(errors.ProtocolError):
                whole(ways, ollama_server, row)
        else:
            assert len(streamed(ways, ollama_server, row)) == 3
            assert whole(ways, ollama_server, row)["done"] is True


def test_only_an_endpoint_with_streams_is_told_whether_to_stream(
    ways: str, ollama_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollama_server.on("POST", PATH, Reply.json({"foo_count": 3}))
    whole(ways, ollama_server, add(monkeypatch, lines="any"), model="m")
    assert ollama_server.last.json() == {"model": "m", "stream": False}
    assert whole(ways, ollama_server, add(monkeypatch), model="m").foo_count == 3
    assert ollama_server.last.json() == {"model": "m"}


def test_a_whole_reply_has_one_of_the_fields(
    ways: str, ollama_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = add(monkeypatch, fields=("foo_count", "foos"))
    ollama_server.on("POST", PATH, [Reply.json({"foos": []}), Reply.json({"bar": 1})])
    assert whole(ways, ollama_server, row).foos == []
    with pytest.raises(errors.ProtocolError, match="has no 'foo_count', only bar"):
        whole(ways, ollama_server, row)


def test_an_empty_reply_may_be_a_success(
    ways: str, ollama_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollama_server.on("POST", PATH, Reply.body(b"", None))
    assert whole(ways, ollama_server, add(monkeypatch, may_be_empty=True)) == FooResponse(DONE)
    with pytest.raises(errors.OllamaError):
        whole(ways, ollama_server, add(monkeypatch))


@pytest.mark.parametrize(
    ("facts", "refusal", "hint"),
    [
        ({"changes": True}, Reply.error("model 'm' not found", 404), "is the name spelled right?"),
        ({"changes": False}, Reply.error("model 'm' not found", 404), "pull it with `ollama pull m`"),
        ({"embeds": True}, Reply.error("input is longer than the context", 400), "split the text that is embedded"),
        ({"embeds": False}, Reply.error("input is longer than the context", 400), "raise context_length"),
        ({"when_broken_off": "again"}, Reply.ndjson([{"error": "registry gone"}]), "the registry's"),
    ],
    ids=["changes", "asks", "embeds", "has a prompt", "transfers"],
)
def test_hints_follow(
    ways: str,
    ollama_server: ScriptedServer,
    monkeypatch: pytest.MonkeyPatch,
    facts: dict[str, Any],
    refusal: Reply,
    hint: str,
) -> None:
    row = add(monkeypatch, lines="progress", **facts)
    ollama_server.on("POST", PATH, refusal)
    for ask in (whole, streamed):
        with pytest.raises(errors.ResponseError) as caught:
            ask(ways, ollama_server, row, model="m")
        assert hint in caught.value.hint


def test_the_method_is_that_of_the_row(
    ways: str, ollama_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for method in ("GET", "POST", "DELETE"):
        ollama_server.on(method, PATH, Reply.json({"foo_count": 4}))
        assert whole(ways, ollama_server, add(monkeypatch, method=method)).foo_count == 4
        assert (ollama_server.last.method, ollama_server.last.path) == (method, PATH)
        assert stats.records()[-1]["endpoint"] == PATH


def test_what_the_core_asks_by_itself_is_in_the_table(ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", PATH, [Reply.error("model 'm' not found", 404), faults.never_answer()])
    client = Client(ollama_server.url, timeout=Timeout(first_token=0.05))
    for row, refusal in ((TAGS, errors.ModelNotFoundError), (PS, errors.RequestTimeout)):
        with pytest.raises(refusal):
            client._send(endpoint_at(PATH), {"model": "m"})
        assert (ollama_server.last.method, ollama_server.last.path) == (row.method, row.path)


def test_every_row_is_found_by_its_path() -> None:
    for path, row in ENDPOINTS.items():
        assert row.path == path
        assert endpoint_at(path, row.method) is row
    exported = [value for value in vars(endpoints).values() if isinstance(value, Endpoint)]
    assert {row.path for row in exported} == {"/v1/systemone", *(path for path in ENDPOINTS if path[:5] == "/api/")}


@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_base_url_may_be_copied_with_an_endpoint(path: str) -> None:
    """A path that is none of them is a proxy's prefix."""
    assert Client(f"http://host:1/prefix{path}").base_url == "http://host:1/prefix"


def test_a_base_url_may_be_copied_with_a_made_up_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Client(f"http://host:1{PATH}").base_url == f"http://host:1{PATH}"
    add(monkeypatch)
    assert Client(f"http://host:1{PATH}").base_url == "http://host:1"


def test_another_method_than_that_of_the_row_is_not_trusted() -> None:
    assert endpoint_at("/api/chat", "DELETE").changes
    assert endpoint_at("/api/tags").changes
    assert not endpoint_at("/api/pull", "GET").changes
    assert endpoint_at("/api/chat?a=b") is not endpoints.CHAT


def test_lines_have_a_known_name() -> None:
    with pytest.raises(ValueError, match="lines must be answer, progress or any"):
        Endpoint(PATH, lines="anything")  # type: ignore[arg-type]
