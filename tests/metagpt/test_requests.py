"""What is sent, row by row of the table in docs/compatibility.md: the original's request and ours for the same call."""

from __future__ import annotations

import asyncio
import json

import pytest

from metagpt_ollama_rs.errors import ModelNotFoundError, ServerBusyError
from metagpt_ollama_rs.testing import Reply

QUESTION = [{"role": "user", "content": "Why is the sky blue?"}]
HISTORY = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "One?"},
    {"role": "assistant", "content": "One."},
    {"role": "user", "content": "Two?"},
]


@pytest.mark.parametrize("form", ["{url}", "{url}/", "{url}/v1", "{url}/v1/", "{url}/api/", "{url}/api/chat"])
def test_row_1_forms_of_the_base_url(form, duel, answers, server):
    answers("Hello world")
    outcome = duel(lambda llm: llm.aask("hi"), base_url=form.format(url=server.url))
    assert outcome.original.failure == "JSONDecodeError"
    assert "Extra data: line 1 column 5" in str(outcome.original.error)
    assert outcome.ours.value == "Hello world"
    assert [r.path for r in outcome.ours.requests] == ["/api/chat"]


def test_row_1_the_documented_form_serves_both(duel, answers):
    answers("Hello world")
    outcome = duel(lambda llm: llm.aask("hi"))
    assert outcome.original.value == outcome.ours.value == "Hello world"
    assert [r.path for r in outcome.original.requests] == [r.path for r in outcome.ours.requests] == ["/api/chat"]


def test_row_1_a_prefix_of_a_reverse_proxy_is_kept(duel, server):
    server.on("POST", "/ollama/api/chat", Reply.chat("Hello world"))
    outcome = duel(lambda llm: llm.aask("hi"), base_url=f"{server.url}/ollama")
    assert outcome.original.failure == "JSONDecodeError"
    assert outcome.ours.value == "Hello world"


def test_base_url_unset_means_the_server_of_ollama_host_and_never_openai(ask, answers, server, monkeypatch):
    from metagpt.configs.llm_config import LLMConfig

    import metagpt_ollama_rs.provider as ours

    answers("Hello world")
    monkeypatch.setenv("OLLAMA_HOST", server.url)
    llm = ours.OllamaLLM(LLMConfig(api_type="ollama", model="scripted"))
    assert asyncio.run(llm.acompletion_text(QUESTION, stream=True)) == "Hello world"


@pytest.mark.parametrize(
    ("reply", "words", "expected"),
    [
        (Reply.error("model 'scripted' not found", 404), "model 'scripted' not found", ModelNotFoundError),
        (Reply.error("server busy, please try again.", 503), "server busy", ServerBusyError),
    ],
)
def test_row_2_a_refusal_is_a_typed_error(reply, words, expected, duel, server):
    server.on("POST", "/api/chat", reply)
    streamed = duel(lambda llm: llm.acompletion_text(QUESTION, stream=True))
    assert words in streamed.original.value["error"], "the original returns the error as the answer"
    assert isinstance(streamed.ours.error, expected)
    assert words in str(streamed.ours.error)
    whole = duel(lambda llm: llm.acompletion_text(QUESTION, stream=False))
    assert whole.original.failure == "KeyError"
    assert isinstance(whole.ours.error, expected)


def test_row_3_not_streamed_while_the_configuration_streams(duel, answers):
    answers("Hello world")
    outcome = duel(lambda llm: llm.aask("hi", stream=False), stream=True)
    assert outcome.original.sent["stream"] is True
    assert outcome.original.failure == "JSONDecodeError"
    assert "Extra data: line 2 column 1" in str(outcome.original.error)
    assert outcome.ours.sent["stream"] is False
    assert outcome.ours.value == "Hello world"
    assert outcome.ours.deltas == []


def test_row_3_aask_batch(duel, answers):
    answers("Hello world")
    outcome = duel(lambda llm: llm.aask_batch(["one", "two"]), stream=True)
    assert outcome.original.failure == "JSONDecodeError"
    assert outcome.ours.value == "Hello world\nHello world"


def test_row_3_a_body_streamed_against_the_request_is_put_together(duel, server):
    server.on("POST", "/api/chat", Reply.chat("Hello world", stream=True))
    outcome = duel(lambda llm: llm.acompletion_text(QUESTION, stream=False), stream=True)
    assert outcome.original.failure == "JSONDecodeError"
    assert outcome.ours.value == "Hello world"


def test_row_4_streamed_while_the_configuration_does_not(duel, answers):
    answers("Hello world")
    outcome = duel(lambda llm: llm.aask("hi", stream=True), stream=False)
    assert outcome.original.sent["stream"] is False
    assert outcome.original.value["message"]["content"] == "Hello world"
    assert outcome.ours.sent["stream"] is True
    assert outcome.ours.value == "Hello world"
    assert outcome.ours.deltas == ["Hello", " world", "\n"]


def test_row_5_chat_sends_every_message_and_role(duel, answers):
    answers()
    outcome = duel(lambda llm: llm.acompletion_text(HISTORY, stream=True))
    assert outcome.original.sent["messages"] == [{"role": "user", "content": "Be brief."}]
    assert outcome.ours.sent["messages"] == HISTORY


def test_row_5_the_system_prompt_of_aask(duel, answers):
    answers()
    outcome = duel(lambda llm: llm.aask("hi", system_msgs=["Be brief."]))
    assert outcome.original.sent["messages"] == [{"role": "user", "content": "hi"}]
    assert outcome.ours.sent["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
    ]


def test_row_5_a_history_before_the_instruction(duel, answers):
    answers()
    memory = [{"role": "user", "content": "memory"}, {"role": "assistant", "content": "noted"}]
    outcome = duel(lambda llm: llm.aask("instruction", format_msgs=memory, system_msgs=["system"]))
    assert [m["content"] for m in outcome.original.sent["messages"]] == ["memory"]
    assert [m["content"] for m in outcome.ours.sent["messages"]] == ["system", "memory", "noted", "instruction"]


def test_row_5_the_configuration_can_switch_the_system_prompt_off(duel, answers):
    answers()
    outcome = duel(lambda llm: llm.aask("hi"), use_system_prompt=False)
    assert outcome.original.sent["messages"] == outcome.ours.sent["messages"] == [{"role": "user", "content": "hi"}]


def test_row_5_generate_sends_system_and_history(duel, answers):
    answers()
    outcome = duel(lambda llm: llm.acompletion_text(HISTORY, stream=True), kind="OllamaGenerate")
    assert (outcome.original.sent["prompt"], outcome.original.sent.get("system")) == ("Be brief.", None)
    assert outcome.ours.sent["system"] == "Be brief."
    assert outcome.ours.sent["prompt"] == "user: One?\n\nassistant: One.\n\nuser: Two?\n\nassistant:"
    assert outcome.ours.value == "Hello world"


def test_row_5_generate_sends_a_single_question_as_it_stands(duel, answers):
    answers()
    outcome = duel(lambda llm: llm.acompletion_text(QUESTION, stream=True), kind="OllamaGenerate")
    assert outcome.original.sent["prompt"] == outcome.ours.sent["prompt"] == QUESTION[0]["content"]
    assert outcome.original.value == outcome.ours.value == "Hello world"


def test_row_5_generate_with_nothing_but_a_system_text_still_asks(ask, answers):
    answers()
    outcome = ask("ours", lambda llm: llm.acompletion_text(HISTORY[:1], stream=True), kind="OllamaGenerate")
    assert outcome.sent["prompt"] == "Be brief."
    assert "system" not in outcome.sent


def test_row_5_parts_of_one_message_stay_one_message(duel, answers):
    answers()
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    outcome = duel(lambda llm: llm.acompletion_text([{"role": "user", "content": parts}], stream=True))
    assert [m["content"] for m in outcome.original.sent["messages"]] == ["one", "two"]
    assert outcome.ours.sent["messages"] == [{"role": "user", "content": "one\ntwo"}]


def test_row_5_tool_calls_and_their_results_are_kept(ask, answers):
    answers()
    call = {"id": "call_1", "function": {"name": "get_time", "arguments": '{"zone": "Europe/Oslo"}'}}
    messages = [
        {"role": "user", "content": "What time is it?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "12:00", "tool_name": "get_time", "tool_call_id": "call_1"},
    ]
    sent = ask("ours", lambda llm: llm.acompletion_text(messages, stream=True)).sent["messages"]
    assert sent[1]["content"] == ""
    assert sent[1]["tool_calls"][0]["function"]["arguments"] == {"zone": "Europe/Oslo"}
    assert sent[2] == messages[2]


@pytest.mark.parametrize(("arguments", "wanted"), [("", {}), (None, {}), ("null", {}), (b'{"a": 1}', {"a": 1})])
def test_row_5_arguments_of_a_tool_call_are_sent_as_an_object(arguments, wanted, ask, answers):
    answers()
    calls = [{"function": {"name": "f", "arguments": arguments}}, {"function": {"name": "g"}}]
    messages = [{"role": "assistant", "content": "", "tool_calls": calls}, *QUESTION]
    sent = ask("ours", lambda llm: llm.acompletion_text(messages, stream=True)).sent["messages"][0]["tool_calls"]
    assert [call["function"]["arguments"] for call in sent] == [wanted, {}]


def test_row_5_arguments_of_a_tool_call_that_are_no_object_are_named(ask, server):
    messages = [*QUESTION, {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[1]"}}]}]
    outcome = ask("ours", lambda llm: llm.acompletion_text(messages, stream=True))
    assert outcome.failure == "ConfigurationError"
    assert "messages[1].tool_calls[0].function.arguments" in str(outcome.error)
    assert server.requests == []


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("kind", ["OllamaLLM", "OllamaGenerate", "OllamaEmbed", "OllamaEmbeddings"])
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("cut \ud83d", "cut \ufffd"),
        ("\ud83d\ude00", "\U0001f600"),
        ([{"role": "user", "content": b"caf\xc3\xa9"}], "caf\u00e9"),
        ([{"role": "user", "content": [{"type": "text", "text": "\udcff"}]}], "\ufffd"),
        ([b"hello"], "hello"),
        (b"caf\xc3\xa9", "caf\u00e9"),
    ],
)
def test_half_surrogates_and_bytes(text, wanted, kind, stream, ask, answers, server):
    answers()
    server.on("POST", "/api/embed", Reply.json({"embeddings": [[1.0]]}))
    server.on("POST", "/api/embeddings", Reply.json({"embedding": [1.0]}))
    outcome = ask("ours", lambda llm: llm.aask(text, stream=stream), kind=kind)
    assert outcome.error is None
    sent = outcome.sent
    found = sent["messages"][-1]["content"] if "messages" in sent else sent.get("prompt") or sent["input"][-1]
    assert found == wanted


def test_row_6_what_the_user_set_is_sent(duel, answers):
    answers()
    outcome = duel(
        lambda llm: llm.aask("hi"),
        temperature=0.0,
        top_p=0.5,
        top_k=0,
        seed=7,
        max_token=99,
        stop="###",
        presence_penalty=0.1,
        frequency_penalty=0.2,
        repetition_penalty=1.0,
        context_length=8192,
    )
    assert outcome.original.sent["options"] == {"temperature": 0.3}
    assert outcome.ours.sent["options"] == {
        "temperature": 0.0,
        "top_p": 0.5,
        "top_k": 0,
        "seed": 7,
        "num_predict": 99,
        "stop": ["###"],
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "repeat_penalty": 1.0,
        "num_ctx": 8192,
    }


@pytest.mark.parametrize("kind", ["OllamaLLM", "OllamaGenerate"])
def test_row_6_what_the_user_left_alone_is_left_to_the_server(kind, duel, answers):
    answers()
    outcome = duel(lambda llm: llm.acompletion_text(QUESTION, stream=True), kind=kind)
    assert outcome.original.sent["options"] == outcome.ours.sent["options"] == {"temperature": 0.3}
    assert set(outcome.ours.sent) - set(outcome.original.sent) == {"truncate", "shift"}


def test_row_6_a_setting_changed_between_two_calls_counts(duel, answers):
    answers()

    async def twice(llm):
        await llm.aask("one")
        llm.config.temperature = 0.9
        await llm.aask("two")

    outcome = duel(twice)
    assert [r.json()["options"]["temperature"] for r in outcome.original.requests] == [0.3, 0.3]
    assert [r.json()["options"]["temperature"] for r in outcome.ours.requests] == [0.3, 0.9]


def test_row_7_with_model(duel, answers):
    answers()
    outcome = duel(lambda llm: llm.with_model("other").aask("hi"))
    assert outcome.original.sent["model"] == "scripted"
    assert outcome.ours.sent["model"] == "other"
    assert outcome.ours.llm.model == "other"


def test_row_7_the_model_that_was_set_last_wins(ask, answers):
    answers()

    async def in_turn(llm):
        await llm.aask("the configuration's")
        llm.config.model = "configured"
        await llm.aask("the configuration's new one")
        llm.model = "own"
        await llm.aask("the object's")
        llm.config.model = "configured again"
        await llm.aask("the configuration's again")

    sent = [r.json()["model"] for r in ask("ours", in_turn).requests]
    assert sent == ["scripted", "configured", "own", "configured again"]


@pytest.mark.parametrize("key", ["sk-", "ollama"])
def test_row_9_a_placeholder_is_no_key_and_nothing_tells_of_the_machine(key, duel, answers):
    answers()
    outcome = duel(lambda llm: llm.aask("hi"), api_key=key)
    theirs, sent = outcome.original.requests[0].header_map(), outcome.ours.requests[0].header_map()
    assert json.loads(theirs["x-llm-client-user-agent"])["uname"]
    assert "authorization" not in sent
    assert not [name for name in sent if "user-agent" in name and name != "user-agent"]


def test_row_9_a_key_is_sent(ask, answers):
    answers()
    outcome = ask("ours", lambda llm: llm.aask("hi"), api_key="a-real-key")
    assert outcome.requests[0].header("Authorization") == "Bearer a-real-key"


def test_row_21_the_server_must_not_cut_the_prompt_in_silence(duel, answers):
    answers()
    chat = duel(lambda llm: llm.aask("hi"))
    generate = duel(lambda llm: llm.aask("hi"), kind="OllamaGenerate")
    assert "truncate" not in chat.original.sent
    assert "truncate" not in generate.original.sent
    assert chat.ours.sent["truncate"] is generate.ours.sent["truncate"] is False


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("kind", ["OllamaLLM", "OllamaGenerate"])
def test_row_27_the_server_must_not_shift_the_context_in_silence(kind, stream, duel, answers):
    answers()

    def call(llm):
        return llm.acompletion_text(QUESTION, stream=stream)

    outcome = duel(call, kind=kind, stream=stream)
    assert "shift" not in outcome.original.sent
    assert outcome.ours.sent["shift"] is False
    assert duel(call, kind=kind, extra_fields={"shift": "false"}).ours.sent["shift"] is False
    # The server's own default differs by model: nothing is sent for it.
    assert "shift" not in duel(call, kind=kind, extra_fields={"shift": "true"}).ours.sent


@pytest.mark.parametrize("kind", ["OllamaEmbed", "OllamaEmbeddings"])
def test_row_27_embeddings_have_no_context_to_shift(kind, ask, server):
    outcome = ask("ours", lambda llm: llm.aask("hi"), kind=kind)
    assert "shift" not in outcome.sent
