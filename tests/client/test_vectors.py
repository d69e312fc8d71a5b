"""Embeddings: the block of floats, the lists, the check of their number, and the input that spoils a batch."""

from __future__ import annotations

import array
import asyncio
import json
import pickle
import random
import struct
from pathlib import Path
from typing import Any, Callable

import pytest

from metagpt_ollama_rs import AsyncClient, Client, Vectors, errors
from metagpt_ollama_rs.testing import Reply, ScriptedServer

RECORDED = Path(__file__).parents[1] / "transcripts" / "scripted"
REAL = RECORDED.parent / "smollm2"

Embed = Callable[..., Any]


def embed_async(server: ScriptedServer, method: str, *arguments: Any, **fields: Any) -> Any:
    async def main() -> Any:
        async with AsyncClient(server.url) as client:
            return await getattr(client, method)("m", *arguments, **fields)

    return asyncio.run(main())


def embed_blocking(server: ScriptedServer, method: str, *arguments: Any, **fields: Any) -> Any:
    with Client(server.url) as client:
        return getattr(client, method)("m", *arguments, **fields)


both_clients = pytest.mark.parametrize("embed", [embed_async, embed_blocking])
both_methods = pytest.mark.parametrize("method", ["embed", "embed_array"])


def f32(number: float) -> float:
    return float(struct.unpack("f", struct.pack("f", number))[0])


def body_of(reply: Reply) -> bytes:
    """The JSON text of a recorded reply, its chunks put together."""
    data = reply.data
    return data[data.index(b"{") : data.rindex(b"}") + 1]


@both_clients
def test_a_block_of_floats(ollama_server: ScriptedServer, embed: Embed) -> None:
    ollama_server.on(
        "POST",
        "/api/embed",
        Reply.json(
            b'{"model":"m:1","embeddings":[[0.1,-0,1E5],[-3.2e-7,2,7]],"total_duration":9,"load_duration":25e8}'
        ),
    )
    vectors = embed(ollama_server, "embed_array", ["a", "b"])
    assert isinstance(vectors, Vectors)
    assert ollama_server.last.json() == {"model": "m", "input": ["a", "b"]}
    assert vectors.shape == vectors.view.shape == (2, 3)
    assert (vectors.view.format, vectors.view.itemsize, vectors.view.c_contiguous) == ("f", 4, True)
    expected = [[f32(0.1), -0.0, 1e5], [f32(-3.2e-7), 2.0, 7.0]]
    assert vectors.tolist() == vectors.view.tolist() == [row.tolist() for row in vectors] == expected
    assert str(vectors.tolist()[0][1]) == "-0.0"
    assert len(vectors) == 2
    assert vectors[1].tolist() == vectors[-1].tolist() == expected[1]
    for row in (2, -3):
        with pytest.raises(IndexError, match=f"row {row} of 2"):
            vectors[row]
    assert (vectors.model, vectors.total_duration, vectors.prompt_tokens) == ("m:1", 9, None)
    assert (vectors.load_duration, vectors.load_seconds) == (None, None)
    assert repr(vectors) == "Vectors(shape=(2, 3), model='m:1')"
    copy = pickle.loads(pickle.dumps(vectors))
    assert (copy.shape, copy.tolist(), copy.model) == (vectors.shape, expected, "m:1")


def test_rows_share_the_memory(ollama_server: ScriptedServer) -> None:
    ollama_server.on("POST", "/api/embed", Reply.embed([[1.0, 2.0], [3.0, 4.0]]))
    vectors = Client(ollama_server.url).embed_array("m", ["a", "b"])
    vectors[1][0] = 5.0
    assert vectors.view[1, 0] == 5.0
    assert array.array("f", vectors.view.tobytes()).tolist() == [1.0, 2.0, 5.0, 4.0]


def test_numpy_takes_the_memory_as_it_is(ollama_server: ScriptedServer) -> None:
    numpy = pytest.importorskip("numpy")
    ollama_server.on("POST", "/api/embed", Reply.embed([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    vectors = Client(ollama_server.url).embed_array("m", ["a", "b", "c"])
    taken = numpy.asarray(vectors)
    assert (taken.shape, taken.dtype) == ((3, 2), numpy.float32)
    taken[1, 1] = 40.0
    assert vectors[1].tolist() == [3.0, 40.0]
    assert numpy.shares_memory(taken, numpy.asarray(vectors.view))
    del vectors
    assert taken.tolist() == [[1.0, 2.0], [3.0, 40.0], [5.0, 6.0]]
    ollama_server.on("POST", "/api/embed", Reply.embed([]))
    nothing = Client(ollama_server.url).embed_array("m", [])
    assert numpy.asarray(nothing).shape == (0, 0)


@both_clients
@pytest.mark.parametrize("body", [b'{"model":"m","embeddings":[]}', b"{}", b'{"embeddings":null}'])
@pytest.mark.parametrize("texts", ["", []])
def test_no_vectors(ollama_server: ScriptedServer, embed: Embed, body: bytes, texts: Any) -> None:
    ollama_server.on("POST", "/api/embed", Reply.json(body))
    vectors = embed(ollama_server, "embed_array", texts)
    assert (vectors.shape, len(vectors), vectors.tolist(), list(vectors)) == ((0, 0), 0, [], [])
    assert (vectors.view.format, vectors.view.nbytes) == ("f", 0)
    assert not embed(ollama_server, "embed", texts).embeddings


@pytest.mark.parametrize(
    ("folder", "name", "texts"),
    [
        (RECORDED, "embed-batch", ["alpha", "beta", "gamma delta", "\u6587\u5b57", " "]),
        (RECORDED, "embed-one", "hello world"),
        (RECORDED, "embed-dimensions", "hello"),
        (RECORDED, "embed-empty-list", []),
        (RECORDED, "embed-empty-string", ""),
        (REAL, "embed-batch", ["alpha", "beta", "a longer sentence about embeddings"]),
    ],
)
def test_recorded_replies(ollama_server: ScriptedServer, folder: Path, name: str, texts: Any) -> None:
    ollama_server.on("POST", "/api/embed", Reply.transcript(folder, name))
    client = Client(ollama_server.url)
    vectors, lists = client.embed_array("m", texts), client.embed("m", texts)
    assert [[f32(number) for number in row] for row in lists.embeddings] == vectors.tolist()
    assert (vectors.model, vectors.total_duration) == (lists.model, lists.total_duration)
    assert vectors.prompt_tokens == lists.prompt_tokens == lists.prompt_eval_count
    assert vectors.load_seconds == lists.load_seconds


def test_lists_are_what_json_says(ollama_server: ScriptedServer) -> None:
    chance = random.Random(8)
    numbers = [struct.unpack("d", chance.randbytes(8))[0] for _ in range(20_000)]
    texts = [repr(number) for number in numbers if number - number == 0]
    texts += ["0", "-0", "-0.0", "1E5", "1e-400", "12345678901234567890123", "0.30000000000000004", "7"]
    texts += [f"{chance.randrange(10**19)}e{chance.randrange(-40, 40)}" for _ in range(20_000)]
    body = '{"embeddings":[[' + ",".join(texts) + "]]}"
    ollama_server.on("POST", "/api/embed", Reply.json(body.encode()))
    (row,) = Client(ollama_server.url).embed("m", "a").embeddings
    expected = json.loads(body)["embeddings"][0]
    assert list(map(repr, row)) == list(map(repr, expected))


@both_clients
@both_methods
@pytest.mark.parametrize(
    ("found", "texts"), [(1, ["a", "b"]), (3, ["a", "b"]), (0, ["a"]), (2, "a"), (0, "a"), (1, [])]
)
def test_each_input_has_a_vector(
    ollama_server: ScriptedServer, embed: Embed, method: str, found: int, texts: Any
) -> None:
    ollama_server.on("POST", "/api/embed", Reply.embed([[1.0, 2.0]] * found))
    wanted = 1 if isinstance(texts, str) else len(texts)
    with pytest.raises(errors.ProtocolError, match=f"{found} vectors for {wanted} inputs"):
        embed(ollama_server, method, texts)


WRONG = {
    "cut": (b'{"embeddings":[[1,2],[3,', "ends in the middle, after 24 bytes"),
    "no JSON": (b'{"embeddings":[[1,2],[3,4]]]', "no JSON"),
}


@both_clients
@pytest.mark.parametrize(("body", "words"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_reply_is_named(ollama_server: ScriptedServer, embed: Embed, body: bytes, words: str) -> None:
    ollama_server.on("POST", "/api/embed", Reply.json(body))
    with pytest.raises(errors.DecodeError, match=words) as caught:
        embed(ollama_server, "embed_array", ["a", "b"])
    assert (caught.value.model, caught.value.status) == ("m", 200)
    assert caught.value.url == f"{ollama_server.url}/api/embed"


UNUSABLE = {
    b"[[]]": "vector 0 is empty",
    b"[[1,2],[]]": "vector 1 is empty",
    b"[null]": "vector 0 is no list",
    b"[[1],null]": "vector 1 is no list",
    b"[[null]]": "number 0 of vector 0 is not a number",
    b"[[1,2],[3,null]]": "number 1 of vector 1 is not a number",
    b"[[1,NaN]]": "number 1 of vector 0 ",
    b"[[1,2],[-Infinity,2]]": "number 0 of vector 1 ",
    b"[[1e999]]": "number 0 of vector 0 ",
    b"[[1" + b"0" * 400 + b"]]": "number 0 of vector 0 ",
    b'[["1"]]': "number 0 of vector 0 is not a number",
    b'["1"]': "vector 0 is no list",
    b"[[true]]": "number 0 of vector 0 is not a number",
    b"[[[1]]]": "number 0 of vector 0 is not a number",
    b"[1,2]": "vector 0 is no list",
    b"[{}]": "vector 0 is no list",
    b"[[1,2],[3]]": "vector 1 has 1 numbers, and those before it have 2",
    b"[[1],[3,4]]": "vector 1 has 2 numbers, and those before it have 1",
    b"[]": "0 vectors for",
    b"null": "0 vectors for",
    b"{}": "no array|no list",
    b'{"0":[1]}': "no array|no list",
    b'"x"': "no array|no list",
    b"7": "no array|no list",
}


@both_clients
@both_methods
@pytest.mark.parametrize("texts", [["a"], ["a", "b"]], ids=["one", "two"])
@pytest.mark.parametrize(("vectors", "words"), UNUSABLE.items())
def test_vectors_that_are_none_are_refused(
    ollama_server: ScriptedServer, embed: Embed, method: str, texts: list[str], vectors: bytes, words: str
) -> None:
    ollama_server.on("POST", "/api/embed", Reply.json(b'{"model":"m","embeddings":' + vectors + b"}"))
    with pytest.raises(errors.ProtocolError, match=words) as caught:
        embed(ollama_server, method, texts)
    assert caught.value.model == "m"
    assert "whatever answers in its place" in str(caught.value.hint)


@both_clients
@both_methods
def test_a_reply_without_vectors_is_refused(ollama_server: ScriptedServer, embed: Embed, method: str) -> None:
    for body in (b"{}", b"[]", b"[[1]]"):
        ollama_server.on("POST", "/api/embed", Reply.json(body))
        with pytest.raises(errors.ProtocolError):
            embed(ollama_server, method, ["a"])


@both_clients
def test_an_int_or_a_huge_double_is_a_number(ollama_server: ScriptedServer, embed: Embed) -> None:
    ollama_server.on("POST", "/api/embed", Reply.json(b'{"embeddings":[[1,-0,1e300,0.5],[1,2,3,4]]}'))
    assert embed(ollama_server, "embed", ["a", "b"]).embeddings == [[1, 0, 1e300, 0.5], [1, 2, 3, 4]]


LEGACY = {
    b'{"embedding":null}': "is no list of numbers: it is null",
    b'{"embedding":[]}': "is empty",
    b'{"embedding":{}}': "is no list",
    b'{"embedding":"x"}': "is no list",
    b'{"embedding":[null]}': "number 0 .* is not a number",
    b'{"embedding":[1,NaN]}': "number 1 ",
    b'{"embedding":[[1]]}': "number 0 ",
    b'{"embedding":7}': "is no list",
    b'{"embeddings":[[1]]}': "no 'embedding'",
    b"{}": "no 'embedding'",
    b"[]": "no object",
    b'"x"': "no object",
}


@both_clients
@pytest.mark.parametrize(("body", "words"), LEGACY.items())
def test_the_older_endpoint_is_held_to_the_same(
    ollama_server: ScriptedServer, embed: Embed, body: bytes, words: str
) -> None:
    ollama_server.on("POST", "/api/embeddings", Reply.json(body))
    with pytest.raises(errors.ProtocolError, match=words):
        embed(ollama_server, "embeddings", "a")


@both_clients
def test_an_empty_prompt_has_no_vector(ollama_server: ScriptedServer, embed: Embed) -> None:
    ollama_server.on("POST", "/api/embeddings", Reply.json(b'{"embedding":[]}'))
    assert embed(ollama_server, "embeddings", "").embedding == []
    assert embed(ollama_server, "embeddings").embedding == []


@both_clients
@both_methods
def test_an_error_under_status_200(ollama_server: ScriptedServer, embed: Embed, method: str) -> None:
    ollama_server.on("POST", "/api/embed", Reply.json({"error": "out of luck"}))
    with pytest.raises(errors.MidStreamError, match="out of luck"):
        embed(ollama_server, method, ["a"])


def picky(refusal: Reply, is_bad: Callable[[str], bool]) -> Callable[[Any], Reply]:
    def answer(request: Any) -> Reply:
        given = request.json()["input"]
        texts = [given] if isinstance(given, str) else given
        return refusal if any(map(is_bad, texts)) else Reply.embed([[1.0]] * len(texts))

    return answer


POISON = Reply.transcript(RECORDED, "embed-poison")
TOO_LONG = Reply.transcript(REAL, "embed-too-long-notruncate")
SPOILERS = {
    "poison": (POISON, "poison", "failed to compute embedding: NaN"),
    "too long": (TOO_LONG, "word " * 5000, "exceeds the context length"),
    "too long for truncation": (Reply.transcript(RECORDED, "embed-truncated"), "w" * 9999, "cannot be truncated"),
    "an old server": (Reply.json({"error": {}}, 500), "poison", ""),
}


@both_clients
@both_methods
@pytest.mark.parametrize(("refusal", "bad", "words"), SPOILERS.values(), ids=SPOILERS.keys())
def test_the_input_that_spoils_a_batch_is_named(
    ollama_server: ScriptedServer, embed: Embed, method: str, refusal: Reply, bad: str, words: str
) -> None:
    ollama_server.on("POST", "/api/embed", picky(refusal, lambda text: text == bad))
    texts = [f"good {index}" for index in range(100)]
    for index in (0, 37, 50, 99):
        before = len(ollama_server.requests)
        with pytest.raises(errors.BadInputError, match=f"input {index} of 100") as caught:
            embed(ollama_server, method, [*texts[:index], bad, *texts[index + 1 :]], truncate=False)
        error = caught.value
        assert (error.index, error.length) == (index, len(bad))
        assert words in error.error
        assert words in str(error)
        assert (error.status, error.model) == (error.__cause__.status, "m")
        assert error.url == f"{ollama_server.url}/api/embed"
        assert isinstance(error.__cause__, errors.ResponseError)
        assert isinstance(error, ValueError)
        assert bad[:20] not in str(error) or bad == "poison"
        assert len(ollama_server.requests) - before <= 1 + 7 + 2
        assert all(request.json()["truncate"] is False for request in ollama_server.requests)
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.index, copy.length) == (error.index, error.length)


@both_clients
def test_a_batch_of_one(ollama_server: ScriptedServer, embed: Embed) -> None:
    ollama_server.on("POST", "/api/embed", picky(POISON, lambda text: text == "poison"))
    with pytest.raises(errors.BadInputError, match="input 0 of 1") as caught:
        embed(ollama_server, "embed", ["poison"])
    assert caught.value.index == 0
    before = len(ollama_server.requests)
    with pytest.raises(errors.ServerError):
        embed(ollama_server, "embed", "poison")
    assert len(ollama_server.requests) == before + 1


@both_clients
def test_one_of_several_bad_inputs_is_named(ollama_server: ScriptedServer, embed: Embed) -> None:
    ollama_server.on("POST", "/api/embed", picky(POISON, lambda text: text == "poison"))
    with pytest.raises(errors.BadInputError) as caught:
        embed(ollama_server, "embed", ["a", "poison", "b", "poison", "poison"])
    assert caught.value.index in (1, 3, 4)


@both_clients
@pytest.mark.parametrize("status", [401, 403, 404, 405, 429, 501, 503])
def test_other_refusals_start_no_search(ollama_server: ScriptedServer, embed: Embed, status: int) -> None:
    ollama_server.on("POST", "/api/embed", Reply.error("no", status))
    with pytest.raises(errors.ResponseError) as caught:
        embed(ollama_server, "embed_array", ["a", "b"])
    assert caught.value.status == status
    assert not isinstance(caught.value, errors.BadInputError)
    assert {request.json()["input"][0] for request in ollama_server.requests if request.body} == {"a"}
    assert all(request.json()["input"] == ["a", "b"] for request in ollama_server.requests if request.body)


@both_clients
def test_a_server_that_refuses_everything(ollama_server: ScriptedServer, embed: Embed) -> None:
    ollama_server.on("POST", "/api/embed", Reply.error("the runner crashed", 500))
    with pytest.raises(errors.ServerError, match="the runner crashed") as caught:
        embed(ollama_server, "embed", ["x", "y", "z"])
    assert type(caught.value) is errors.ServerError
    assert len(ollama_server.requests) == 2


@both_clients
def test_a_batch_that_fails_for_its_size(ollama_server: ScriptedServer, embed: Embed) -> None:
    def answer(request: Any) -> Reply:
        texts = request.json()["input"]
        return Reply.error("out of memory", 500) if len(texts) > 4 else Reply.embed([[1.0]] * len(texts))

    ollama_server.on("POST", "/api/embed", answer)
    with pytest.raises(errors.ServerError, match="out of memory"):
        embed(ollama_server, "embed", ["x"] * 5)


@both_clients
def test_a_search_that_fails_ends_with_the_first_refusal(ollama_server: ScriptedServer, embed: Embed) -> None:
    def answer(request: Any) -> Reply:
        texts = request.json()["input"]
        if len(texts) == 4:
            return Reply.error("NaN", 500)
        return Reply.embed([[1.0]]) if len(texts) == 1 else Reply.error("busy", 503)

    ollama_server.on("POST", "/api/embed", answer)
    with pytest.raises(errors.ServerError, match="NaN"):
        embed(ollama_server, "embed", ["x"] * 4)
