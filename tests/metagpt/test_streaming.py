"""How deltas reach MetaGPT: one by one, in order, while the server still writes, to whichever function is patched."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import types

import pytest
from metagpt.provider import ollama_api as original

import metagpt_ollama_rs.provider as ours
from metagpt_ollama_rs.testing import Reply

QUESTION = [{"role": "user", "content": "Why is the sky blue?"}]


def arrives(deltas, count):
    async def wait():
        for _ in range(2000):
            if len(deltas) >= count:
                return
            await asyncio.sleep(0.005)
        raise AssertionError(f"{len(deltas)} of {count} deltas came: {deltas}")

    return wait()


@pytest.mark.parametrize("who", ["original", "ours"])
@pytest.mark.parametrize("kind", ["OllamaLLM", "OllamaGenerate"])
def test_each_delta_is_logged_before_the_next_one_is_sent(who, kind, ask, server, monkeypatch):
    make = Reply.chat if kind == "OllamaLLM" else Reply.generate
    reply = make(["a", "b", "c", "d"]).gated(free=0)
    server.on("POST", "/api/chat", reply)
    server.on("POST", "/api/generate", reply)
    seen = []

    async def step_by_step(llm):
        monkeypatch.setattr(original, "log_llm_stream", seen.append)
        task = asyncio.ensure_future(llm.acompletion_text(QUESTION, stream=True))
        for count in range(1, 5):
            reply.gate.open()
            await arrives(seen, count)
            assert seen == ["a", "b", "c", "d"][:count]
            assert not task.done()
        reply.gate.open_all()
        return await task

    outcome = ask(who, step_by_step, kind=kind)
    assert outcome.error is None
    assert outcome.value == "abcd"
    assert seen == ["a", "b", "c", "d", "\n"]


def test_deltas_of_two_answers_at_once_keep_apart(ask, server):
    replies = {name: Reply.chat([name + str(n) for n in range(20)]) for name in ("a", "b")}
    server.on("POST", "/api/chat", lambda r: replies[r.json()["messages"][-1]["content"]])

    async def both(llm):
        return await asyncio.gather(*(llm.acompletion_text([{"role": "user", "content": n}], True) for n in "ab"))

    outcome = ask("ours", both)
    assert outcome.value == ["".join(f"{name}{n}" for n in range(20)) for name in "ab"]
    for name in "ab":
        assert [d for d in outcome.deltas if d.startswith(name)] == [f"{name}{n}" for n in range(20)]


def test_the_log_function_runs_in_the_context_of_the_caller(ask, answers, monkeypatch):
    answers(["a", "b"])
    variable = contextvars.ContextVar("variable", default="nobody")
    seen = []

    async def two_callers(llm):
        monkeypatch.setattr(original, "log_llm_stream", lambda text: seen.append((variable.get(), text)))

        async def caller(name):
            variable.set(name)
            await llm.acompletion_text(QUESTION, stream=True)

        await asyncio.gather(caller("one"), caller("two"))

    assert ask("ours", two_callers).error is None
    for name in ("one", "two"):
        assert [text for who, text in seen if who == name] == ["a", "b", "\n"]


def drop_in():
    """The module that ``from metagpt_ollama_rs.provider import *`` makes of ``ollama_api.py``."""
    module = types.ModuleType("metagpt.provider.ollama_api")
    exec("from metagpt_ollama_rs.provider import *", vars(module))
    return module


@pytest.mark.parametrize("place", ["drop-in", "package", "metagpt's module"])
def test_a_patched_log_function_is_found_wherever_the_name_lives(place, server, make_config, answers, monkeypatch):
    answers(["a", "b"])
    module = {"drop-in": drop_in, "package": lambda: ours, "metagpt's module": lambda: original}[place]()
    if place == "drop-in":
        monkeypatch.setitem(sys.modules, "metagpt.provider.ollama_api", module)
    seen = []
    monkeypatch.setattr(module, "log_llm_stream", seen.append)
    answer = asyncio.run(ours.OllamaLLM(make_config()).acompletion_text(QUESTION, stream=True))
    assert (answer, seen) == ("ab", ["a", "b", "\n"])


def test_unpatched_metagpts_own_sink_gets_the_deltas(make_config, answers, monkeypatch):
    from metagpt import logs

    answers(["a", "b"])
    seen = []
    monkeypatch.setattr(logs, "_llm_stream_log", seen.append)
    asyncio.run(ours.OllamaLLM(make_config()).acompletion_text(QUESTION, stream=True))
    assert seen == ["a", "b", "\n"]


def test_a_log_function_that_fails_ends_the_call(ask, server, monkeypatch):
    server.on("POST", "/api/chat", Reply.chat("Hello world"))

    class Full(Exception):
        pass

    def fails(_text):
        raise Full

    async def call(llm):
        monkeypatch.setattr(original, "log_llm_stream", fails)
        await llm.acompletion_text(QUESTION, stream=True)

    assert ask("original", call).failure == ask("ours", call).failure == "Full"
