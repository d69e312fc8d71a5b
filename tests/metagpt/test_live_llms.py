"""The LLM objects of this package are found by the name of their model, copies and unpickled ones included."""

from __future__ import annotations

import copy
import gc
import tracemalloc

from metagpt.provider.ollama_api import OllamaLLM as OriginalLLM

from metagpt_ollama_rs.provider import OllamaGenerate, OllamaLLM
from metagpt_ollama_rs.provider.live_llms import LiveLLM, llm_of_model


def test_the_one_made_last_is_found_and_not_kept_alive(make_config):
    first, second = OllamaLLM(make_config(model="found")), OllamaGenerate(make_config(model="found"))
    assert llm_of_model("found") is second
    del second
    gc.collect()
    assert llm_of_model("found") is first
    del first
    gc.collect()
    assert llm_of_model("found") is None


def test_a_copy_counts_and_the_model_of_this_moment_does(make_config):
    made = OllamaLLM(make_config(model="copied"))
    copied = copy.copy(made)
    assert llm_of_model("copied") is copied
    copied.model = "renamed"
    assert llm_of_model("copied") is made
    assert llm_of_model("renamed") is copied


def test_an_object_that_is_only_half_made_is_no_error(make_config):
    unfinished = OllamaLLM.__new__(OllamaLLM)
    assert llm_of_model("unfinished") is None
    assert llm_of_model(None) is None
    assert llm_of_model("") is None
    del unfinished


def test_objects_of_other_providers_are_not_found(make_config):
    other = OriginalLLM(make_config(model="of-another"))
    assert other.model == "of-another"
    assert llm_of_model("of-another") is None


def test_finding_one_of_many_copies_nothing():
    class Many(LiveLLM):
        model = "one of many"

    many = [Many() for _ in range(2000)]
    assert llm_of_model("one of many") is many[-1]
    tracemalloc.start()
    try:
        llm_of_model("one of many")
        llm_of_model("none of them")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4000


def test_objects_may_be_deleted_while_one_is_looked_for():
    class Deleting(LiveLLM):
        others: list = []

        @property
        def model(self):
            self.others.clear()
            return "deleting"

    Deleting.others.extend(Deleting() for _ in range(3))
    last = Deleting()
    assert llm_of_model("not there") is None
    assert llm_of_model("deleting") is last
