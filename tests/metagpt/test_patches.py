"""Code that adapts MetaGPT's provider by replacing parts of it: each replacement takes effect with ours as well."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle

import pytest
from metagpt.provider import ollama_api as original
from metagpt.provider.general_api_requestor import GeneralAPIRequestor

import metagpt_ollama_rs.provider as ours
from metagpt_ollama_rs.errors import IncompleteError, MidStreamError, OllamaError
from metagpt_ollama_rs.provider import OpenAIResponse
from metagpt_ollama_rs.testing import Reply, faults, lines

QUESTION = [{"role": "user", "content": "Why is the sky blue?"}]
CHAT = [
    b'{"message": {"role": "assistant", "content": "Hello"}, "done": false}',
    b'{"message": {"role": "assistant", "content": " you"}, "done": false}',
    b'{"prompt_eval_count": 20, "eval_count": 20, "done": true}',
]
WHOLE = b'{"message": {"role": "assistant", "content": "Hello you"}, "prompt_eval_count": 20, "eval_count": 20}'


def streamed(llm):
    return llm.acompletion_text(QUESTION, stream=True)


def whole(llm):
    return llm.acompletion_text(QUESTION, stream=False)


@pytest.fixture
def requestor():
    """A stand-in for ``arequest`` that remembers what it was asked and sends nothing."""
    asked = []

    async def arequest(self=None, stream=False, **kwargs):
        asked.append({"stream": stream, **kwargs})
        if not stream:
            return OpenAIResponse(WHOLE, {}), None, None

        async def chunks():
            for line in CHAT:
                yield OpenAIResponse(line, {})

        return chunks(), None, None

    arequest.asked = asked
    return arequest


@pytest.mark.parametrize("place", ["class", "object"])
@pytest.mark.parametrize("call", [streamed, whole])
def test_arequest_replaced(call, place, duel, server, requestor, monkeypatch):
    if place == "class":
        monkeypatch.setattr(GeneralAPIRequestor, "arequest", requestor)

    async def patched(llm):
        if place == "object":
            llm.client.arequest = requestor
        return await call(llm)

    outcome = duel(patched, stream=call is streamed)
    assert outcome.original.value == outcome.ours.value == "Hello you"
    assert outcome.original.deltas == outcome.ours.deltas == (["Hello", " you", "\n"] if call is streamed else [])
    assert server.requests == []
    for asked in requestor.asked:
        assert asked["stream"] is (call is streamed)
        assert (asked["method"], asked["url"], asked["request_timeout"]) == ("post", "/chat", 600)
        assert asked["params"]["messages"] == QUESTION


def test_the_requestor_replaced_as_a_whole(duel, server, requestor):
    class Requestor:
        arequest = staticmethod(requestor)

    async def replaced(llm):
        llm.client = Requestor()
        return await streamed(llm)

    outcome = duel(replaced)
    assert outcome.original.value == outcome.ours.value == "Hello you"


def test_arequest_wrapped_around_the_original_reaches_the_server(duel, answers, monkeypatch):
    answers("Hello world")
    genuine = GeneralAPIRequestor.arequest
    seen = []

    async def logged(self, *args, **kwargs):
        seen.append(kwargs["url"])
        return await genuine(self, *args, **kwargs)

    monkeypatch.setattr(GeneralAPIRequestor, "arequest", logged)
    outcome = duel(streamed)
    assert outcome.original.value == outcome.ours.value == "Hello world"
    assert seen == ["/chat", "/chat"]
    # That road is aiohttp's, with MetaGPT's header; the short one has none.
    assert outcome.ours.requests[0].header("X-LLM-Client-User-Agent")


def test_a_stand_in_that_never_says_done_is_not_held_to_it(duel, monkeypatch):
    async def arequest(self, **_kwargs):
        async def chunks():
            yield OpenAIResponse(CHAT[0], {})

        return chunks(), None, None

    monkeypatch.setattr(GeneralAPIRequestor, "arequest", arequest)
    outcome = duel(streamed)
    assert outcome.original.value == outcome.ours.value == "Hello"


def shouting_decode(_self, response):
    return json.loads(response.data.decode("utf-8").replace("Hello", "HELLO"))


def shouting_get_choice(_self, chunk):
    return chunk["message"]["content"].upper()


@pytest.mark.parametrize("place", ["class", "object"])
@pytest.mark.parametrize("call", [streamed, whole])
@pytest.mark.parametrize(
    ("owner", "method", "shouting", "answer"),
    [
        ("OllamaMessageBase", "decode", shouting_decode, "HELLO world"),
        ("OllamaMessageChat", "get_choice", shouting_get_choice, "HELLO WORLD"),
    ],
)
def test_a_method_of_the_message_replaced(owner, method, shouting, answer, call, place, duel, answers, monkeypatch):
    answers("Hello world")
    for module in (original, ours):
        if place == "class":
            monkeypatch.setattr(getattr(module, owner), method, shouting)

    async def patched(llm):
        if place == "object":
            setattr(llm.ollama_message, method, lambda value: shouting(None, value))
        return await call(llm)

    outcome = duel(patched, stream=call is streamed)
    assert outcome.original.value == outcome.ours.value == answer
    assert outcome.original.deltas == outcome.ours.deltas


@pytest.mark.parametrize("place", ["class", "object"])
def test_apply_replaced(place, duel, answers, monkeypatch):
    answers()

    def instead(self, messages):
        return {"model": "another", "messages": messages[-1:], "stream": True, "options": {"seed": 1}}

    for module in (original, ours):
        if place == "class":
            monkeypatch.setattr(module.OllamaMessageChat, "apply", instead)

    async def patched(llm):
        if place == "object":
            llm.ollama_message.apply = lambda messages: instead(None, messages)
        return await streamed(llm)

    outcome = duel(patched)
    assert outcome.original.sent == instead(None, QUESTION)
    assert outcome.ours.sent == {**instead(None, QUESTION), "truncate": False, "shift": False}


@pytest.mark.parametrize("place", ["class", "object"])
@pytest.mark.parametrize("call", [streamed, whole])
def test_get_usage_replaced(call, place, duel, answers, monkeypatch):
    answers()

    def usage(_self, _reply):
        return {"prompt_tokens": 1000, "completion_tokens": 2000}

    for module in (original, ours):
        if place == "class":
            monkeypatch.setattr(module.OllamaLLM, "get_usage", usage)

    async def patched(llm):
        if place == "object":
            llm.get_usage = lambda reply: usage(None, reply)
        await call(llm)
        return llm.get_costs()[:2]

    outcome = duel(patched, stream=call is streamed)
    assert outcome.original.value == outcome.ours.value == (1000, 2000)


@pytest.mark.parametrize(
    ("hook", "call"),
    [("_processing_openai_response", whole), ("_processing_openai_response_async_generator", streamed)],
)
def test_a_processing_hook_overridden_in_a_subclass(hook, call, duel, answers, monkeypatch):
    answers("Hello world")
    for module in (original, ours):
        before = getattr(module.OllamaLLM, hook)
        if call is whole:

            def after(self, response, before=before):
                reply = before(self, response)
                reply["message"]["content"] += "!"
                return reply
        else:

            async def after(self, chunks, before=before):
                return await before(self, chunks) + "!"

        monkeypatch.setattr(module, "OllamaLLM", type("Mine", (module.OllamaLLM,), {hook: after}))
    outcome = duel(call, stream=call is streamed)
    assert outcome.original.value == outcome.ours.value == "Hello world!"


def test_the_request_hooks_overridden_in_a_subclass(duel, answers, monkeypatch):
    answers()
    for module in (original, ours):
        members = {
            "_llama_api_kwargs": property(lambda self: {"options": {"num_ctx": 99}, "stream": self.config.stream}),
            "_llama_api_inuse": property(lambda self, module=module: module.OllamaMessageAPI.GENERATE),
        }
        monkeypatch.setattr(module, "OllamaLLM", type("Mine", (module.OllamaLLM,), members))
    outcome = duel(streamed)
    assert outcome.original.requests[0].path == outcome.ours.requests[0].path == "/api/generate"
    assert outcome.original.sent["options"] == outcome.ours.sent["options"] == {"num_ctx": 99}


def test_ollama_message_replaced_by_one_of_a_users_class(ask, answers):
    answers("Hello world")

    class Polite(ours.OllamaMessageChat):
        def apply(self, messages):
            return super().apply([*messages, {"role": "user", "content": "Please."}])

    async def replaced(llm):
        llm.ollama_message = Polite(model="another", options={"seed": 1})
        return await streamed(llm)

    outcome = ask("ours", replaced)
    assert outcome.value == "Hello world"
    assert [m["content"] for m in outcome.sent["messages"]] == ["Why is the sky blue?", "Please."]
    assert (outcome.sent["model"], outcome.sent["options"]) == ("another", {"seed": 1})


def test_a_users_subclass_registers_over_nothing():
    before = dict(ours.OllamaMessageMeta.registed_message)

    class Plain(ours.OllamaMessageChat):
        pass

    class Named(ours.OllamaMessageChat, metaclass=ours.OllamaMessageMeta):
        api_type = ours.OllamaMessageAPI.CHAT

    assert ours.OllamaMessageMeta.registed_message == before
    assert ours.OllamaMessageMeta.get_message(ours.OllamaMessageAPI.CHAT) is ours.OllamaMessageChat
    assert Plain(model="m").apply(QUESTION) == Named(model="m").apply(QUESTION)
    # The original refuses both.
    with pytest.raises(KeyError):
        type(original.OllamaMessageChat)("Plain", (original.OllamaMessageChat,), {})
    with pytest.raises(AssertionError):
        type(original.OllamaMessageChat)(
            "Named", (original.OllamaMessageChat,), {"api_type": original.OllamaMessageAPI.CHAT}
        )


def test_a_message_of_the_original_provider_works_in_ours(ask, answers):
    answers("Hello world")

    async def replaced(llm):
        llm.ollama_message = original.OllamaMessageChat(model="scripted", options={"seed": 1})
        return await streamed(llm), await whole(llm)

    assert ask("ours", replaced).value == ("Hello world", "Hello world")


def test_edits_of_the_message_object_stay_in_force(ask, answers):
    answers()

    async def edited(llm):
        llm.ollama_message.additional_kwargs["options"]["num_ctx"] = 99
        llm.ollama_message.additional_kwargs["keep_alive"] = 5
        await streamed(llm)
        llm.config.seed = 7
        await streamed(llm)

    first, second = (r.json() for r in ask("ours", edited).requests)
    assert (first["options"], first["keep_alive"]) == ({"temperature": 0.3, "num_ctx": 99}, 5)
    assert (second["options"], second["keep_alive"]) == ({"temperature": 0.3, "num_ctx": 99, "seed": 7}, 5)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply.chat("Once upon", done_reason=None), IncompleteError),
        (Reply.ndjson([*lines.chat_lines("Once upon", done_reason=None), lines.error_line("crash")]), MidStreamError),
    ],
)
def test_a_patched_decode_does_not_hide_what_a_server_did_wrong(reply, expected, ask, server):
    server.on("POST", "/api/chat", reply)

    async def patched(llm):
        llm.ollama_message.decode = lambda response: json.loads(response.data)
        return await streamed(llm)

    outcome = ask("ours", patched)
    assert isinstance(outcome.error, expected)
    assert outcome.error.partial == "Once upon"


def test_a_patched_decode_sees_every_line_and_no_blank_one(ask, server):
    server.on("POST", "/api/chat", Reply.ndjson(b"\n" + line for line in lines.chat_lines("Hello world")))
    seen = []

    async def patched(llm):
        llm.ollama_message.decode = lambda response: seen.append(response.data) or json.loads(response.data)
        return await streamed(llm)

    assert ask("ours", patched).value == "Hello world"
    assert [json.loads(line)["done"] for line in seen] == [False, False, True]


def test_a_web_page_is_no_answer_on_any_road(ask, server):
    server.on("POST", "/api/chat", faults.html())

    async def patched(llm):
        llm.ollama_message.decode = type(llm.ollama_message).decode.__get__(llm.ollama_message)
        llm.ollama_message.get_choice = lambda chunk: chunk["message"]["content"]
        return await streamed(llm)

    assert isinstance(ask("ours", streamed).error, OllamaError)
    assert isinstance(ask("ours", patched).error, OllamaError)


def test_the_guides_functions_stand_behind_the_methods():
    message = ours.OllamaMessageChat(model="m")
    assert message.decode(OpenAIResponse(b'{"a": 1}\n{"b": 2}\n', {})) == {"b": 2}
    assert message.get_choice({"error": "busy", "raw_data": "x"}) == "[Ollama Error] busy | Raw: x"
    assert message.get_choice({"message": {"role": "assistant", "content": "hi"}}) == "hi"
    generate = ours.OllamaMessageGenerate(model="m")
    assert generate.get_choice({"response": "hi"}) == "hi"
    assert generate.get_choice({"error": "busy"}) == "[Ollama Error] busy | Raw: "


def test_the_names_that_code_relies_on_are_there(make_config):
    llm = ours.OllamaLLM(make_config())
    assert isinstance(llm.client, GeneralAPIRequestor)
    assert llm.http_method == "post"
    assert set(ours.OllamaMessageMeta.registed_message) == set(ours.OllamaMessageAPI)
    assert llm.pricing_plan == llm.model == "scripted"


def test_a_copy_of_an_llm_object_goes_its_own_way(make_config, answers, server):
    answers()
    llm = ours.OllamaLLM(make_config())
    for copied in (copy.deepcopy(llm), pickle.loads(pickle.dumps(llm))):
        copied.with_model("copied")
        asyncio.run(streamed(copied))
        asyncio.run(streamed(llm))
        assert [r.json()["model"] for r in server.requests[-2:]] == ["copied", "scripted"]


def test_an_address_that_is_none_is_refused_at_the_call_and_not_before(make_config):
    llm = ours.OllamaLLM(make_config(base_url="mock base url"))
    with pytest.raises(ValueError, match="mock base url"):
        asyncio.run(streamed(llm))
