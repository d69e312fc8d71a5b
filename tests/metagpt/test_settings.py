"""The table of settings: what a configuration becomes in a request, and what is refused before anything is sent."""

from __future__ import annotations

import asyncio

import pytest

import metagpt_ollama_rs.provider as ours
from metagpt_ollama_rs import Timeout
from metagpt_ollama_rs.errors import ConfigurationError
from metagpt_ollama_rs.provider.settings import SETTINGS, overlay, read_provider_settings

QUESTION = [{"role": "user", "content": "Why is the sky blue?"}]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("num_ctx", "29", 29),
        ("num_gpu", "-1", -1),
        ("min_p", "0.05", 0.05),
        ("temperature", "0.9", 0.9),
        ("use_mmap", "true", True),
        ("use_mmap", "False", False),
        ("stop", "###", ["###"]),
        ("stop", '["a", "b"]', ["a", "b"]),
        ("stop", "[INST]", ["[INST]"]),
    ],
)
def test_an_option_is_typed_by_the_table(name, text, value, make_config):
    settings = read_provider_settings(make_config(extra_fields={name: text}), "chat")
    assert settings.options[name] == value
    assert type(settings.options[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("keep_alive", "300", 300),
        ("keep_alive", "-1", -1),
        ("keep_alive", "42.5", 42.5),
        ("keep_alive", "1h30m", "1h30m"),
        ("keep_alive", "-1m", "-1m"),
        ("format", "json", "json"),
        ("format", '{"type": "object"}', {"type": "object"}),
        ("think", "true", True),
        ("think", "high", "high"),
        ("logprobs", "true", True),
        ("top_logprobs", "20", 20),
    ],
)
def test_a_field_of_the_request_is_typed_by_the_table(name, text, value, duel, answers):
    answers()
    outcome = duel(lambda llm: llm.aask("hi"), extra_fields={name: text})
    assert name not in outcome.original.sent
    assert outcome.ours.sent[name] == value
    assert type(outcome.ours.sent[name]) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("False", False), ("/etc/ssl/ours.pem", "/etc/ssl/ours.pem"), (" ~/ca.pem ", "~/ca.pem")],
)
def test_whose_certificates_count(text, value, make_config):
    assert read_provider_settings(make_config(extra_fields={"verify": text}), "chat").client.verify == value
    assert read_provider_settings(make_config(), "chat").client.verify is True
    with pytest.raises(ConfigurationError, match="the path of a file or folder of CA certificates"):
        read_provider_settings(make_config(extra_fields={"verify": " "}), "chat")


@pytest.mark.parametrize(
    ("value", "paths"),
    [
        ("/a/me.pem", ("/a/me.pem",)),
        ('["/a/me.pem", "/a/me.key"]', ("/a/me.pem", "/a/me.key")),
    ],
)
def test_cert_is_a_path_or_two(value, paths, make_config):
    assert read_provider_settings(make_config(extra_fields={"cert": value}), "chat").client.cert == paths


@pytest.mark.parametrize("value", ["", "[]", "[1]", '["a"', '["a", 3]', '["a", "b", "c"]'])
def test_what_is_no_path_of_a_certificate_is_refused(value, make_config):
    with pytest.raises(ConfigurationError, match="cert"):
        read_provider_settings(make_config(extra_fields={"cert": value}), "chat")


def test_fields_of_the_text_endpoints_stay_out_of_embeddings(make_config):
    config = make_config(logprobs=True, extra_fields={"format": "json", "keep_alive": "5m", "dimensions": "64"})
    assert read_provider_settings(config, "embed").request == {"keep_alive": "5m", "dimensions": 64}
    assert read_provider_settings(config, "embeddings").request == {"keep_alive": "5m"}
    assert read_provider_settings(config, "chat").request == {"format": "json", "keep_alive": "5m", "logprobs": True}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("num_ctx", "many", "whole number"),
        ("num_ctx", "1.5", "whole number"),
        ("min_p", "nan", "finite"),
        ("use_mmap", "1", "true or false"),
        ("keep_alive", "soon", "duration"),
        ("keep_alive", "10 m", "duration"),
        ("format", "yaml", "JSON schema"),
        ("think", "a lot", "true, false, low"),
        ("top_logprobs", "21", "from 0 to 20"),
        ("stop", "[1, 2]", "JSON list of texts"),
        ("idle_timeout", "0", "above zero"),
        ("on_error", "ignore", "raise or text"),
        ("shift", "no", "true or false"),
        ("headers", "[]", "JSON object"),
    ],
)
def test_a_wrong_type_is_refused_before_anything_is_sent(name, text, words, ask, server):
    outcome = ask("ours", lambda llm: llm.aask("hi"), extra_fields={name: text})
    assert isinstance(outcome.error, ConfigurationError)
    assert isinstance(outcome.error, ValueError)
    assert f"llm.extra_fields.{name}" in str(outcome.error)
    assert words in str(outcome.error)
    assert outcome.requests == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("num_ctxt", "did you mean num_ctx?"),
        ("keep-alive", "did you mean keep_alive?"),
        ("max_token", "llm.max_token"),
        ("truncate", "in silence"),
        ("shfit", "did you mean shift?"),
        ("zzz", "known names: "),
    ],
)
def test_an_unknown_name_is_refused_with_a_way_out(name, words, ask):
    outcome = ask("ours", lambda llm: llm.aask("hi"), extra_fields={name: "1"})
    assert isinstance(outcome.error, ConfigurationError)
    assert words in str(outcome.error)
    assert outcome.requests == []


def test_secrets_stay_out_of_messages(make_config):
    with pytest.raises(ConfigurationError) as caught:
        ours.OllamaLLM(make_config(extra_fields={"headers": "Authorization: Basic c2VjcmV0"}))
    assert "c2VjcmV0" not in str(caught.value)


def test_a_mistake_made_later_is_refused_at_the_call(make_config, server):
    llm = ours.OllamaLLM(make_config())
    llm.config.extra_fields = {"num_ctxt": "1"}
    with pytest.raises(ConfigurationError, match="num_ctxt"):
        asyncio.run(llm.acompletion_text(QUESTION, stream=True))
    assert server.requests == []


def test_extra_fields_win_over_the_fields_of_the_configuration(make_config):
    config = make_config(context_length=4096, temperature=0.1, extra_fields={"num_ctx": "8192"})
    assert read_provider_settings(config, "chat").options == {"num_ctx": 8192, "temperature": 0.1}


def test_a_value_that_is_nothing_is_not_sent(make_config):
    config = make_config(stop="", seed=None, context_length=None, extra_fields={"stop": "[]"})
    assert read_provider_settings(config, "chat").options == {"temperature": 0.3}


def test_the_table_names_fields_that_metagpt_has(make_config):
    known = set(type(make_config()).model_fields)
    only_on_main = {"reasoning"}
    fields = {setting.config_field for setting in SETTINGS if setting.config_field}
    assert fields - known <= only_on_main


def test_reasoning_of_metagpts_main_branch_becomes_think():
    class Config:
        model_fields_set = frozenset({"reasoning"})
        reasoning = True

    assert read_provider_settings(Config(), "chat").request == {"think": True}
    assert read_provider_settings(Config(), "embed").request == {}


def test_the_four_limits_of_a_call(make_config):
    limits = ours.OllamaLLM(make_config(timeout=77))._timeout_limits(0)
    assert (limits.connect, limits.first_token, limits.idle, limits.total) == (5.0, 77.0, 77.0, None)
    assert ours.OllamaLLM(make_config(timeout=77))._timeout_limits(9).idle == 9.0
    extra = {"connect_timeout": "1", "first_token_timeout": "2", "idle_timeout": "3.5", "total_timeout": "4"}
    limits = ours.OllamaLLM(make_config(extra_fields=extra))._timeout_limits(0)
    assert (limits.connect, limits.first_token, limits.idle, limits.total) == (1.0, 2.0, 3.5, 4.0)


def test_headers_reach_the_server(ask, answers):
    answers()
    outcome = ask("ours", lambda llm: llm.aask("hi"), extra_fields={"headers": '{"X-Team": "blue"}'})
    assert outcome.requests[0].header("X-Team") == "blue"


def test_overlay_keeps_both_kinds_of_change():
    before = {"options": {"a": 1, "b": 2}, "stream": True}
    by_hand = {"options": {"a": 1, "b": 3, "c": 4}}
    fresh = {"options": {"a": 9, "b": 2}, "stream": True, "think": True}
    assert overlay(fresh, before, by_hand) == {"options": {"a": 9, "b": 3, "c": 4}, "think": True}
    assert overlay(fresh, before, before) == fresh


def test_each_limit_of_timeout_is_a_setting(make_config):
    extra = {f"{limit}_timeout": str(number) for number, limit in enumerate(Timeout._fields, start=1)}
    timeouts = read_provider_settings(make_config(extra_fields=extra), "chat").client.timeouts
    assert timeouts == {limit: float(number) for number, limit in enumerate(Timeout._fields, start=1)}
