"""A model behind Ollama costs nothing, its tokens are counted, and what other providers cost is left as it is."""

from __future__ import annotations

import asyncio

import pytest
from metagpt.actions import Action
from metagpt.configs.llm_config import LLMConfig, LLMType
from metagpt.context import Context
from metagpt.provider import ollama_api as original
from metagpt.provider.base_llm import BaseLLM
from metagpt.provider.llm_provider_registry import LLM_REGISTRY
from metagpt.roles import Role
from metagpt.team import Team
from metagpt.utils.common import NoMoneyException
from metagpt.utils.cost_manager import CostManager, FireworksCostManager, TokenCostManager
from metagpt.utils.token_counter import TOKEN_COSTS

import metagpt_ollama_rs.provider as ours
from metagpt_ollama_rs.testing import Reply

COUNTS = {"prompt_eval_count": 30, "eval_count": 4}
PRICED = "gpt-4o"


class Ask(Action):
    name: str = "Ask"

    async def run(self, _history):
        return await self._aask("Say yes.")


class Paid(BaseLLM):
    """A provider of another kind, as far as costs go."""

    def __init__(self, config):
        self.config = config
        self.model = PRICED

    async def aask(self, *_args, **_kwargs):
        self._update_costs({"prompt_tokens": 1000, "completion_tokens": 0})
        return "Yes."

    async def acompletion(self, messages, timeout=0):
        raise NotImplementedError

    _achat_completion = _achat_completion_stream = acompletion


@pytest.fixture
def make_context(make_config, monkeypatch, answers):
    """A context whose Ollama provider is the one named, on a server that counts 30 and 4 tokens a call."""
    answers("Yes.", counts=COUNTS)

    def make(who, **fields):
        module = {"original": original, "ours": ours}[who]
        monkeypatch.setitem(LLM_REGISTRY.providers, LLMType.OLLAMA, module.OllamaLLM)
        monkeypatch.setitem(LLM_REGISTRY.providers, LLMType.OLLAMA_EMBED, module.OllamaEmbed)
        made = Context()
        made.config.llm = make_config(**fields)
        return made

    return make


def run_role(context):
    role = Role(name="R", profile="P", actions=[Ask(context=context)], context=context)
    asyncio.run(role.run("hello"))
    return role


def counted(manager):
    return tuple(manager.get_costs()[:3])


def test_a_role_is_not_warned_of_a_price(make_context, warned):
    theirs = make_context("original", model="llama3.2")
    run_role(theirs)
    assert [line.strip() for line in warned] == ["Model llama3.2 not found in TOKEN_COSTS."]
    warned.clear()
    context = make_context("ours", model="llama3.2")
    run_role(context)
    assert warned == []
    assert counted(context.cost_manager) == counted(theirs.cost_manager) == (30, 4, 0)


def test_a_local_model_with_the_name_of_a_paid_one(make_context):
    theirs = make_context("original", model=PRICED)
    run_role(theirs)
    assert theirs.cost_manager.total_cost > 0
    context = make_context("ours", model=PRICED)
    role = run_role(context)
    assert role.llm.cost_manager is context.cost_manager
    assert counted(context.cost_manager) == (30, 4, 0)


def test_switched_off_it_is_metagpts_own(make_context, warned):
    off = {"extra_fields": {"unpatched": "costs"}}
    context = make_context("ours", model=PRICED, **off)
    run_role(context)
    assert context.cost_manager.total_cost > 0
    assert type(context.llm().cost_manager) is TokenCostManager
    run_role(make_context("ours", model="llama3.2", **off))
    assert "not found in TOKEN_COSTS" in warned[0]


def test_a_context_has_the_sums_of_all_its_llm_objects(make_context):
    theirs = make_context("original")
    asyncio.run(theirs.llm().aask("hi", stream=True))
    assert counted(theirs.cost_manager) == (0, 0, 0)
    context = make_context("ours")
    first, second = context.llm(), context.llm_with_cost_manager_from_llm_config(context.config.llm)
    asyncio.run(first.aask("hi"))
    asyncio.run(second.aask("hi", stream=False))
    run_role(context)
    assert counted(context.cost_manager) == counted(first.cost_manager) == (90, 12, 0)


def test_an_llm_object_without_a_context_counts_for_itself(ask, answers):
    answers("Yes.", counts=COUNTS)
    outcome = ask("ours", lambda llm: llm.aask("hi"), model=PRICED)
    assert outcome.llm.get_costs() == (30, 4, 0, 0)


def test_embeddings_are_counted(make_context, server):
    server.on("POST", "/api/embed", Reply.json({"embeddings": [[1.0]], "prompt_eval_count": 7}))
    context = make_context("ours", api_type="ollama.embed")
    asyncio.run(context.llm().acompletion([{"role": "user", "content": "a text"}]))
    assert counted(context.cost_manager) == (7, 0, 0)


@pytest.mark.parametrize("stream", [True, False])
def test_what_the_server_does_not_say_is_not_counted(make_context, answers, stream):
    context = make_context("ours")
    answers("Yes.", counts={"eval_count": 4, "prompt_eval_count": None})
    asyncio.run(context.llm().aask("hi", stream=stream))
    assert counted(context.cost_manager) == (0, 4, 0)


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_that_is_refused_has_used_its_tokens(make_context, answers, stream):
    context = make_context("ours")
    answers("", counts=COUNTS, done_reason="length")
    with pytest.raises(Exception, match="used up its tokens"):
        asyncio.run(context.llm().aask("hi", stream=stream))
    assert counted(context.cost_manager) == (30, 4, 0)


def test_a_stream_that_broke_off_is_not_counted(make_context, server):
    context = make_context("ours")
    server.on("POST", "/api/chat", Reply.ndjson([{"message": {"content": "Ye"}, "done": False}]))
    with pytest.raises(Exception, match="without a last line"):
        asyncio.run(context.llm().aask("hi"))
    assert counted(context.cost_manager) == (0, 0, 0)


def test_no_counting_where_the_configuration_says_so(make_context):
    context = make_context("ours", calc_usage=False)
    run_role(context)
    assert counted(context.cost_manager) == (0, 0, 0)


def test_another_provider_with_the_same_manager_pays(make_context, warned):
    context = make_context("ours", model=PRICED)
    run_role(context)
    paid = Paid(context.config.llm)
    paid.cost_manager = context.cost_manager
    asyncio.run(paid.aask("hi"))
    assert context.cost_manager.total_cost == pytest.approx(TOKEN_COSTS[PRICED]["prompt"])
    assert counted(context.cost_manager)[:2] == (1030, 4)
    paid.model = "unknown"
    asyncio.run(paid.aask("hi"))
    assert "Model unknown not found" in warned[0]


def test_a_price_of_the_users_own_is_charged(make_context):
    context = make_context("ours", model="rented")
    context.cost_manager.token_costs["rented"] = {"prompt": 1.0, "completion": 0.0}
    run_role(context)
    assert context.cost_manager.total_cost == pytest.approx(0.03)


def test_a_manager_of_the_users_own_decides(make_context):
    class Electricity(CostManager):
        def update_cost(self, prompt_tokens, completion_tokens, model):
            self.total_cost += completion_tokens

    context = make_context("ours", model=PRICED)
    context.cost_manager = Electricity()
    run_role(context)
    assert counted(context.cost_manager) == (0, 0, 4)


def test_metagpts_other_managers_charge_nothing_either(ask, answers):
    answers("Yes.", counts=COUNTS)

    async def call(llm):
        llm.cost_manager = FireworksCostManager()
        return await llm.aask("hi")

    assert ask("ours", call).llm.get_costs() == (30, 4, 0, 0)


def test_counting_that_users_have_replaced(make_context, monkeypatch):
    seen = []
    monkeypatch.setattr(BaseLLM, "_update_costs", lambda self, usage, *_args, **_kwargs: seen.append(usage))
    run_role(make_context("ours"))
    assert seen == [{"prompt_tokens": 30, "completion_tokens": 4}]


def team_of(context):
    team = Team(context=context)
    team.hire([Role(name="R", profile="P", actions=[Ask(context=context)], context=context)])
    team.invest(0)
    return team


def test_a_budget_of_nothing_is_enough_for_local_models(make_context):
    with pytest.raises(NoMoneyException):
        team_of(make_context("original"))._check_balance()
    team = team_of(make_context("ours"))
    team._check_balance()
    team.run_project("hello")
    assert "P: Yes." in asyncio.run(team.run(n_round=1))
    with pytest.raises(NoMoneyException):
        team_of(make_context("ours", extra_fields={"unpatched": "costs"}))._check_balance()


def test_a_budget_of_nothing_is_not_enough_for_others(make_context):
    team = team_of(make_context("ours"))
    (role,) = team.env.roles.values()
    role.actions[0].llm = Paid(LLMConfig(api_type="ollama", api_key="x"))
    with pytest.raises(NoMoneyException):
        team._check_balance()
