"""The two embedding providers: the values that the original returns, for every text instead of the first message."""

from __future__ import annotations

import pytest

from metagpt_ollama_rs.errors import ConfigurationError, ModelNotFoundError, ProtocolError, ResponseError
from metagpt_ollama_rs.provider import OpenAIResponse
from metagpt_ollama_rs.testing import Reply

ONE = [{"role": "user", "content": "one"}]
TWO = [{"role": "user", "content": "one"}, {"role": "user", "content": "two"}]


@pytest.mark.parametrize("stream", [True, False])
def test_one_text_gives_the_same_as_the_original(stream, duel, server):
    server.answer(dimensions=4)
    legacy = duel(lambda llm: llm.acompletion_text(ONE, stream=stream), kind="OllamaEmbeddings")
    sent = {"model": "scripted", "prompt": "one", "options": {"temperature": 0.3}}
    assert legacy.original.sent == legacy.ours.sent == sent
    assert legacy.original.value == legacy.ours.value
    assert len(legacy.ours.value) == 4
    batch = duel(lambda llm: llm.acompletion_text(ONE, stream=stream), kind="OllamaEmbed")
    sent = {"model": "scripted", "input": ["one"], "options": {"temperature": 0.3}}
    assert batch.original.sent == batch.ours.sent == sent
    assert batch.original.value == batch.ours.value
    assert type(batch.ours.value) is type(batch.ours.value[0]) is list


def test_aask_embeds_the_text_and_no_system_prompt(duel, server):
    server.answer()
    legacy = duel(lambda llm: llm.aask("one"), kind="OllamaEmbeddings")
    assert legacy.original.sent["prompt"] == legacy.ours.sent["prompt"] == "one"
    batch = duel(lambda llm: llm.aask("one"), kind="OllamaEmbed")
    assert batch.original.sent["input"] == batch.ours.sent["input"] == ["one"]
    assert batch.original.value == batch.ours.value


def test_row_23_several_messages_are_one_batch_in_order(duel, server):
    server.answer()
    outcome = duel(lambda llm: llm.acompletion_text(TWO), kind="OllamaEmbed")
    assert outcome.original.sent["input"] == ["one"]
    assert outcome.ours.sent["input"] == ["one", "two"]
    assert len(outcome.ours.requests) == 1
    assert outcome.ours.value[0] == outcome.original.value[0]
    assert len(outcome.ours.value) == 2
    assert outcome.ours.value[0] != outcome.ours.value[1]


def test_row_23_parts_of_a_message(duel, server):
    server.answer()
    content = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    messages = [{"role": "user", "content": content}]
    batch = duel(lambda llm: llm.acompletion_text(messages), kind="OllamaEmbed")
    assert batch.original.sent["input"] == batch.ours.sent["input"] == ["one", "two"]
    legacy = duel(lambda llm: llm.acompletion_text(messages), kind="OllamaEmbeddings")
    assert legacy.original.sent["prompt"] == legacy.ours.sent["prompt"] == "one\ntwo"


def test_an_image_is_refused_and_not_lost(duel, server):
    server.answer()
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "one"}, image]}]
    outcome = duel(lambda llm: llm.acompletion_text(messages), kind="OllamaEmbed")
    assert outcome.original.sent["input"] == ["one"]
    assert isinstance(outcome.ours.error, ConfigurationError)
    assert outcome.ours.requests == []


@pytest.mark.parametrize(("kind", "path"), [("OllamaEmbeddings", "/api/embeddings"), ("OllamaEmbed", "/api/embed")])
def test_a_refusal_is_a_typed_error(kind, path, duel, server):
    server.on("POST", path, Reply.error('model "scripted" not found, try pulling it first', 404))
    outcome = duel(lambda llm: llm.acompletion_text(ONE), kind=kind)
    assert outcome.original.failure == "KeyError"
    assert isinstance(outcome.ours.error, ModelNotFoundError)


UNUSABLE = ["[[]]", "[null]", "[[null]]", "[[NaN]]", "[[1e999]]", "[[1],[2]]", "[]", "null", "{}", '"x"', "[[1],[]]"]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("vectors", UNUSABLE)
def test_vectors_that_are_none_are_refused(vectors, stream, duel, server):
    server.on("POST", "/api/embed", Reply.json(f'{{"embeddings":{vectors}}}'.encode()))
    server.on("POST", "/api/embeddings", Reply.json(f'{{"embedding":{vectors}}}'.encode()))
    for kind in ("OllamaEmbed", "OllamaEmbeddings"):
        outcome = duel(lambda llm: llm.acompletion_text(ONE, stream=stream), kind=kind)
        assert isinstance(outcome.ours.error, ProtocolError), kind


@pytest.mark.parametrize(("kind", "key"), [("OllamaEmbeddings", "embedding"), ("OllamaEmbed", "embeddings")])
def test_patches_take_effect(kind, key, duel, server):
    server.answer()

    async def decode(llm):
        llm.ollama_message.decode = lambda response: {key: len(response.data) > 10}
        return await llm.acompletion_text(ONE)

    async def arequest(llm):
        async def instead(**_kwargs):
            return OpenAIResponse(b'{"embedding": [1.0], "embeddings": [[1.0]]}', {}), None, None

        llm.client.arequest = instead
        return await llm.acompletion_text(ONE)

    async def refused(llm):
        async def instead(**_kwargs):
            return OpenAIResponse(b'{"error": "busy"}', {}), None, None

        llm.client.arequest = instead
        return await llm.acompletion_text(ONE)

    assert duel(decode, kind=kind).ours.value is True
    patched = duel(arequest, kind=kind)
    assert patched.original.value == patched.ours.value
    assert isinstance(duel(refused, kind=kind).ours.error, ResponseError)


def test_the_models_tokens_are_counted(ask, server):
    server.answer()

    async def counted(llm):
        await llm.acompletion_text(TWO)
        return llm.get_costs().total_prompt_tokens

    assert ask("ours", counted, kind="OllamaEmbed").value == 2
