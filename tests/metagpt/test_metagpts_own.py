"""What MetaGPT's own test of its provider asks (``tests/metagpt/provider/test_ollama_api.py`` there), of ours."""

from __future__ import annotations

import asyncio
import json

import pytest
from metagpt.configs.llm_config import LLMConfig
from metagpt.provider import ollama_api as original

import metagpt_ollama_rs.provider as ours

PROMPT = "who are you?"
MESSAGES = [{"role": "user", "content": PROMPT}]
ANSWER = "I'm ollama"
WHOLE = {"message": {"role": "assistant", "content": ANSWER}, "prompt_eval_count": 20, "eval_count": 20}
STREAM = [
    b'{"message": {"role": "assistant", "content": "I\'m ollama"}, "done": false}',
    b'{"prompt_eval_count": 20, "eval_count": 20, "done": true}',
]
# No scheme, no host that could answer, a type that is none: the mock configuration of MetaGPT's tests.
CONFIG = {
    "llm_type": "mock",
    "api_key": "mock_api_key",
    "base_url": "mock_base_url",
    "app_id": "mock_app_id",
    "api_secret": "mock_api_secret",
    "domain": "mock_domain",
    "model": "mock_model",
}


@pytest.mark.parametrize("module", [original, ours], ids=["original", "ours"])
def test_chat_with_a_requestor_that_is_mocked(module, monkeypatch):
    async def arequest(self, stream=False, **_kwargs):
        if not stream:
            return module.OpenAIResponse(json.dumps(WHOLE).encode(), {}), None, None

        async def events():
            for event in STREAM:
                yield module.OpenAIResponse(event, {})

        return events(), None, None

    monkeypatch.setattr("metagpt.provider.general_api_requestor.GeneralAPIRequestor.arequest", arequest)

    async def chat():
        llm = module.OllamaLLM(LLMConfig(**CONFIG))
        reply = await llm.acompletion(MESSAGES)
        assert reply["message"]["content"] == ANSWER
        assert await llm.aask(PROMPT, stream=False) == ANSWER
        assert await llm.aask(PROMPT) == ANSWER
        assert await llm.acompletion_text(MESSAGES, stream=False) == ANSWER
        assert await llm.acompletion_text(MESSAGES, stream=True) == ANSWER
        return llm.get_costs()

    costs = asyncio.run(chat())
    assert (costs.total_prompt_tokens, costs.total_completion_tokens) == (100, 100)
