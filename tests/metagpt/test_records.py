"""Every error that comes out of the provider has one record, also where the server's reply itself was in order."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest
from metagpt.logs import logger

from metagpt_ollama_rs import stats
from metagpt_ollama_rs.errors import ConfigurationError, EmptyAnswerError, OllamaError
from metagpt_ollama_rs.failures import kind_of
from metagpt_ollama_rs.provider import OllamaLLM, OllamaMessageBase
from metagpt_ollama_rs.provider.stats_records import collect_call_ids, record_repairs
from metagpt_ollama_rs.testing import Reply, faults

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(40))).decode()
EMPTY = {"content": "", "done_reason": "length"}


@pytest.fixture(autouse=True)
def no_records():
    stats.clear()


def records(model="scripted"):
    """The records of one model, without those of questions about it."""
    return [record for record in stats.records() if record["model"] == model and record["endpoint"] != "/api/show"]


@pytest.mark.parametrize("stream", [True, False])
def test_an_empty_answer(ask, answers, server, stream):
    answers(**EMPTY)
    outcome = ask("ours", lambda llm: llm.aask("hi", stream=stream))
    assert outcome.failure == "EmptyAnswerError"
    reply, verdict = records()
    assert (reply["error"], reply["rejected"], reply["truncated"]) == (None, False, True)
    assert verdict["error"] == "empty_answer"
    assert verdict["rejected"] is True
    assert (verdict["host"], verdict["endpoint"], verdict["streamed"]) == (server.url, "/api/chat", stream)
    assert verdict["started"] >= reply["started"]
    summary = stats.summary()["scripted"]
    assert (summary["calls"], summary["errors"]) == (1, 1)


def test_a_model_without_vision(ask, answers, server):
    answers("A picture.")
    server.on("POST", "/api/show", Reply.json({"capabilities": ["completion"]}))
    outcome = ask("ours", lambda llm: llm.aask("What?", images=[PNG]), model="blind-here")
    assert outcome.failure == "ConfigurationError"
    (record,) = records("blind-here")
    assert (record["error"], record["rejected"], record["host"]) == ("config", False, server.url)


def test_a_model_with_half_a_character_in_its_name(ask, answers):
    answers(**EMPTY)
    outcome = ask("ours", lambda llm: llm.with_model("m\ud83d").aask("hi"))
    assert outcome.failure == "EmptyAnswerError"
    assert [record["error"] for record in records("m\ufffd")] == [None, "empty_answer"]


def test_an_image_that_cannot_be_fetched(ask, server):
    server.on("POST", "/api/show", Reply.json({"capabilities": ["completion", "vision"]}))
    outcome = ask("ours", lambda llm: llm.aask("What?", images=["http://127.0.0.1:1/a.png"]), model="seeing")
    assert outcome.failure == "ConfigurationError"
    # The one of the request for the image, which knows no model.
    assert records("seeing") == []
    (record,) = records(None)
    assert (record["error"], record["host"]) == ("connect", "http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("call", "config", "kind"),
    [
        (lambda llm: llm.aask("hi"), {"extra_fields": {"num_gpus": "1"}}, "OllamaLLM"),
        (lambda llm: llm.aask("hi"), {"base_url": "http://exa mple"}, "OllamaLLM"),
        (lambda llm: llm.aask("hi", images=["no image!"]), {}, "OllamaGenerate"),
        (lambda llm: llm.aask("hi", images=[PNG]), {}, "OllamaEmbed"),
    ],
)
def test_what_is_never_sent(ask, server, call, config, kind):
    outcome = ask("ours", call, kind=kind, **config)
    assert isinstance(outcome.error, ConfigurationError), outcome
    assert outcome.requests == []
    (record,) = records()
    assert (record["error"], record["rejected"], record["prompt_tokens"]) == ("config", False, None)
    assert record["endpoint"] == {"OllamaLLM": "/api/chat", "OllamaGenerate": "/api/generate"}.get(kind, "/api/embed")


def test_a_reply_that_is_no_answer(ask, server):
    server.on("POST", "/api/chat", Reply.json({"done": True, "something": "else"}))
    server.on("POST", "/api/embed", Reply.json({"done": True}))
    for kind, call in (
        ("OllamaLLM", lambda llm: llm.aask("hi", stream=False)),
        ("OllamaEmbed", lambda llm: llm.aask("hi")),
    ):
        stats.clear()
        assert ask("ours", call, kind=kind).failure == "ProtocolError"
        assert [(record["error"], record["rejected"]) for record in records()] == [(None, False), ("protocol", True)]


@pytest.mark.parametrize("stream", [True, False])
def test_an_error_that_the_core_has_recorded_is_not_recorded_twice(ask, server, stream):
    server.on("POST", "/api/chat", Reply.error("no such thing", 400))
    assert ask("ours", lambda llm: llm.aask("hi", stream=stream)).failure == "BadRequestError"
    assert [(record["error"], record["status"]) for record in records()] == [("status", 400)]


def test_errors_of_the_slower_road(ask, answers, server, monkeypatch):
    real = OllamaMessageBase.decode
    monkeypatch.setattr(OllamaMessageBase, "decode", lambda self, response: real(self, response))
    answers(**EMPTY)
    assert ask("ours", lambda llm: llm.aask("hi", stream=False)).failure == "EmptyAnswerError"
    assert [record["error"] for record in records()] == [None, "empty_answer"]
    stats.clear()
    server.on("POST", "/api/chat", faults.close_after_pieces(Reply.chat(["one", " two", " three"]), 2))
    assert ask("ours", lambda llm: llm.aask("hi")).failure in ("InterruptedStreamError", "IncompleteError")
    assert len(records()) == 1
    assert records()[0]["error"] in ("interrupted", "incomplete")


@pytest.mark.parametrize("stream", [True, False])
def test_an_error_that_is_answered_as_text_has_its_record(ask, answers, stream):
    answers(**EMPTY)
    outcome = ask("ours", lambda llm: llm.aask("hi", stream=stream), extra_fields={"on_error": "text"})
    assert "used up its tokens" in outcome.value
    assert [record["error"] for record in records()] == [None, "empty_answer"]


def test_other_processes_get_them(ask, answers, tmp_path, monkeypatch):
    file = tmp_path / "calls.jsonl"
    monkeypatch.setenv("METAGPT_OLLAMA_STATS", str(file))
    answers(**EMPTY)
    # A client of its own: the variable is read when one is made.
    ask("ours", lambda llm: llm.aask("hi"), extra_fields={"headers": '{"x-own": "1"}'})
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    begun, *ended = lines
    assert begun["state"] == "begun"
    assert [line["error"] for line in ended] == [None, "empty_answer"]
    assert ended == stats.records()
    assert begun["id"] == ended[0]["id"] != ended[1]["id"]


def test_a_place_that_cannot_be_written_to_fails_no_call(ask, monkeypatch):
    monkeypatch.setenv("METAGPT_OLLAMA_STATS", "/nowhere/calls.jsonl")
    outcome = ask("ours", lambda llm: llm.aask("hi"), extra_fields={"num_gpus": "1"})
    assert outcome.failure == "ConfigurationError"


def test_every_class_has_a_kind():
    classes = [OllamaError]
    for cls in classes:
        classes.extend(cls.__subclasses__())
        assert kind_of(cls("m"))
    assert kind_of(EmptyAnswerError("m")) == "empty_answer"


def test_repairs_go_to_the_record_of_the_answer(make_config, server):
    """Each task has its own list of calls, also where the user's code puts another task around the call."""
    server.on(
        "POST",
        "/api/chat",
        lambda request: Reply.chat(request.json()["messages"][-1]["content"], stream=request.json()["stream"]),
    )

    async def one(number):
        llm = OllamaLLM(make_config(model=f"repaired-{number}"))
        with collect_call_ids() as call_ids:
            answer = await asyncio.wait_for(asyncio.ensure_future(llm.aask(f"q{number}", stream=number % 2 == 0)), 30)
        record_repairs(call_ids, ("prose", f"w{number}") if number else ())
        return answer, len(call_ids)

    async def main():
        return await asyncio.gather(*(one(number) for number in range(12)))

    assert asyncio.run(main()) == [(f"q{number}", 1) for number in range(12)]
    found = {record["model"]: record["repaired"] for record in stats.records() if record["endpoint"] == "/api/chat"}
    assert found == {f"repaired-{number}": f"prose, w{number}" if number else None for number in range(12)}


def test_a_call_that_is_made_again_gets_the_repairs_at_its_last_try(make_config, server):
    server.queue(*[faults.close_at_once() for _ in range(4)], path="/api/chat")
    server.on("POST", "/api/chat", Reply.chat("late", stream=False))

    async def main():
        llm = OllamaLLM(make_config())
        with collect_call_ids() as call_ids:
            answer = await llm.aask("hi", stream=False)
        record_repairs(call_ids, ["fence"])
        return answer

    assert asyncio.run(main()) == "late"
    found = [(record["error"] is None, record["repaired"]) for record in stats.records() if record["model"]]
    assert len(found) > 1
    assert found[-1] == (True, "fence")
    assert {repaired for _, repaired in found[:-1]} <= {None}


@pytest.mark.parametrize(("repairs", "level"), [(("prose", "cut"), "WARNING"), (("prose",), "INFO"), ((), None)])
def test_repairs_are_logged(repairs, level):
    logged = []
    sink = logger.add(lambda line: logged.append((line.record["level"].name, line.record["message"])))
    try:
        record_repairs([], repairs, model="m")
    finally:
        logger.remove(sink)
    assert stats.records() == []
    words = f"the JSON in the answer of m was repaired: {', '.join(repairs)}"
    assert logged == ([(level, words)] if level else [])
