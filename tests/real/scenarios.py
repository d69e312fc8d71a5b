"""MetaGPT's roles and teams on scripted servers. Run by `test_switched.py` in a process that is switched over.

Nothing here imports this package's provider: what MetaGPT makes of its own configuration must be it.
"""

from __future__ import annotations

import asyncio
import base64
import contextvars
import json
import os
from pathlib import Path

import pytest
from metagpt import logs
from metagpt.actions import Action, UserRequirement
from metagpt.configs.llm_config import LLMConfig
from metagpt.context import Context
from metagpt.provider.base_llm import BaseLLM
from metagpt.roles import Role
from metagpt.schema import Message
from metagpt.team import Team

from metagpt_ollama_rs import stats
from metagpt_ollama_rs.errors import InterruptedStreamError, ModelNotFoundError, StreamError
from metagpt_ollama_rs.testing import Reply, ScriptedServer, faults

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(40))).decode()


class Write(Action):
    name: str = "Write"

    async def run(self, history):
        return await self._aask(f"Write about: {history[-1].content}")


class Review(Action):
    name: str = "Review"

    async def run(self, history):
        return await self._aask(f"Review this: {history[-1].content}")


class Writer(Role):
    name: str = "Wilma"
    profile: str = "Writer"
    goal: str = "write short texts"

    def __init__(self, **fields):
        super().__init__(**fields)
        self.set_actions([Write])
        self._watch([UserRequirement])


class Reviewer(Role):
    name: str = "Ronald"
    profile: str = "Reviewer"
    goal: str = "find mistakes"

    def __init__(self, **fields):
        super().__init__(**fields)
        self.set_actions([Review])
        self._watch([Write])


@pytest.fixture
def server():
    with ScriptedServer(models=["writes", "reviews"]) as running:
        yield running


@pytest.fixture
def echo(server):
    """Answers with what was asked, in small pieces."""

    def chat(request):
        body = request.json()
        text = f"<{body['model']}: {body['messages'][-1]['content']}>"
        return Reply.chat([text[at : at + 3] for at in range(0, len(text), 3)], stream=body["stream"])

    server.on("POST", "/api/chat", chat)
    return server


def context(server, **fields):
    """A context as MetaGPT makes it of a configuration."""
    made = Context()
    made.config.llm = LLMConfig(api_type="ollama", base_url=server.url, api_key="", model="writes", **fields)
    return made


def contents(request):
    return [message["content"] for message in request.json()["messages"]]


class Shown(list):
    """What is streamed to the terminal, piece by piece."""

    def __init__(self):
        super().__init__()
        self.wanted = None

    def __call__(self, piece):
        self.append(piece)
        if self.wanted is not None and str(self) == self.wanted[0]:
            self.wanted[1].set()

    def __str__(self):
        return "".join(self)

    async def until(self, text):
        """Returns when `text` is what was shown; to be awaited before that is so."""
        self.wanted = (text, asyncio.Event())
        await self.wanted[1].wait()


@pytest.fixture
def shown():
    pieces = Shown()
    before = logs._llm_stream_log
    logs.set_llm_stream_logfunc(pieces)
    yield pieces
    logs.set_llm_stream_logfunc(before)


@pytest.fixture
def meanwhile(monkeypatch):
    """Does something in the place of MetaGPT's waiting before it asks again, which may take a minute."""
    done = []

    def arrange(deed):
        async def wait(_seconds):
            done.append(deed())

        monkeypatch.setattr(BaseLLM.acompletion_text.retry, "sleep", wait)
        return done

    return arrange


def test_metagpt_makes_this_provider_of_its_configuration(echo):
    made = context(echo).llm()
    assert type(made).__module__ == "metagpt_ollama_rs.provider.llms"


def test_a_role_with_an_action(echo, shown):
    role = Writer(context=context(echo, temperature=0.7, max_token=99))
    answer = asyncio.run(role.run("the sea"))
    assert answer.content == "<writes: Write about: the sea>"
    assert str(shown) == answer.content + "\n"
    assert len(shown) > 5
    (request,) = echo.requests
    system, question = request.json()["messages"]
    assert system["role"] == "system"
    assert system["content"].startswith("You are a Writer, named Wilma, your goal is write short texts.")
    assert question == {"role": "user", "content": "Write about: the sea"}
    assert (request.json()["options"]["temperature"], request.json()["options"]["num_predict"]) == (0.7, 99)


def test_a_team_of_two_over_two_rounds(echo):
    async def main():
        made = context(echo)
        team = Team(context=made)
        team.hire([Writer(context=made), Reviewer(context=made)])
        team.invest(3.0)
        team.run_project("the sea")
        return await team.run(n_round=2)

    history = asyncio.run(main())
    assert [contents(request)[-1] for request in echo.requests] == [
        "Write about: the sea",
        "Review this: <writes: Write about: the sea>",
    ]
    assert "Reviewer: <writes: Review this: <writes: Write about: the sea>>" in str(history)
    # One pool for all of MetaGPT's LLM objects.
    assert echo.connections == 1


def test_a_team_counts_its_tokens(server):
    server.on("POST", "/api/chat", Reply.chat("Yes.", counts={"prompt_eval_count": 30, "eval_count": 4}))

    async def main():
        made = context(server)
        team = Team(context=made)
        team.hire([Writer(context=made), Reviewer(context=made)])
        team.run_project("the sea")
        await team.run(n_round=2)
        return [role.llm.cost_manager for role in team.env.roles.values()]

    managers = {id(manager): manager for manager in asyncio.run(main())}
    assert sum(manager.total_prompt_tokens for manager in managers.values()) == 60
    assert sum(manager.total_completion_tokens for manager in managers.values()) == 8


def test_a_batch_is_a_conversation(echo):
    llm = context(echo).llm()
    answer = asyncio.run(llm.aask_batch(["one", "two"]))
    assert answer == "<writes: one>\n<writes: two>"
    assert [contents(request) for request in echo.requests] == [["one"], ["one", "<writes: one>", "two"]]
    assert [request.json()["stream"] for request in echo.requests] == [False, False]


def test_images_arrive(echo, tmp_path):
    echo.on("POST", "/api/show", Reply.json({"capabilities": ["completion", "vision"]}))
    file = tmp_path / "image.png"
    file.write_bytes(base64.b64decode(PNG))
    llm = context(echo).llm()
    asyncio.run(llm.aask("What is this?", images=[PNG, str(file), f"data:image/png;base64,{PNG}"]))
    assert echo.last.json()["messages"][-1]["images"] == [PNG] * 3


def test_each_action_may_have_its_model_on_its_host(echo):
    """`models:` of config2.yaml, of which an action names one, beside `llm:`."""
    with ScriptedServer(models=["reviews"]) as other:
        other.on("POST", "/api/generate", Reply.generate("Fine."))
        file = Path(os.environ["METAGPT_PROJECT_ROOT"]) / "config" / "config2.yaml"
        before = file.read_text(encoding="utf-8")
        sections = {
            "writes": {"api_type": "ollama", "base_url": f"{echo.url}/api", "api_key": "", "temperature": 0.9},
            "reviewer": {"api_type": "ollama.generate", "base_url": other.url, "api_key": "", "model": "reviews"},
        }
        file.write_text(before + "models: " + json.dumps(sections) + "\n", encoding="utf-8")
        try:

            async def main():
                team = Team(context=context(echo, temperature=0.1))
                writer, reviewer = Writer(), Reviewer()
                writer.set_actions([Write(llm_name_or_type="writes")])
                reviewer.set_actions([Review(llm_name_or_type="reviewer")])
                team.hire([writer, reviewer])
                team.run_project("the sea")
                return await team.run(n_round=2)

            history = asyncio.run(main())
        finally:
            file.write_text(before, encoding="utf-8")
    (written,) = echo.requests
    assert (written.json()["model"], written.json()["options"]["temperature"]) == ("writes", 0.9)
    (reviewed,) = other.requests
    assert (reviewed.path, reviewed.json()["model"]) == ("/api/generate", "reviews")
    assert reviewed.json()["prompt"] == "Review this: <writes: Write about: the sea>"
    assert reviewed.json()["system"].startswith("You are a Reviewer")
    assert "Fine." in str(history)


def test_with_model_asks_the_other_model(echo):
    llm = context(echo).llm()
    asyncio.run(llm.aask("one"))
    assert asyncio.run(llm.with_model("reviews").aask("two")) == "<reviews: two>"
    assert [request.json()["model"] for request in echo.requests] == ["writes", "reviews"]


def test_a_missing_model_is_told_with_those_that_are_there(server):
    server.on("POST", "/api/chat", Reply.error("model 'writes' not found", 404))
    with pytest.raises(Exception, match="ollama pull writes") as caught:
        asyncio.run(Writer(context=context(server)).run("the sea"))
    cause = caught.value.__context__
    assert isinstance(cause, ModelNotFoundError)
    assert cause.available == ["writes:latest", "reviews:latest"]


def test_a_server_that_dies_in_the_middle_and_comes_back(server, shown):
    """The half is no answer and is not asked for again; the next question is answered over a new connection."""
    reply = Reply.chat(["one", " two", " three", " four"]).gated(2)
    server.on("POST", "/api/chat", reply)
    made = context(server)

    async def main():
        task = asyncio.ensure_future(Writer(context=made).run("the sea"))
        await shown.until("one two")
        await asyncio.to_thread(server.stop)
        return await asyncio.gather(task, return_exceptions=True)

    (error,) = asyncio.run(main())
    cause = error.__context__
    assert isinstance(cause, InterruptedStreamError)
    assert cause.partial == "one two"
    assert len(server.requests) == 1

    server.start()
    server.answer("Back again.")
    assert asyncio.run(Writer(context=made).run("the sea")).content == "Back again."


def test_metagpt_asks_again_until_the_server_is_there(server, meanwhile):
    server.answer("There.")
    server.stop()
    waits = meanwhile(server.start)
    assert asyncio.run(Writer(context=context(server)).run("the sea")).content == "There."
    assert len(waits) == 1


def test_a_team_goes_on_after_a_broken_answer(server):
    """MetaGPT logs what a role met and returns; the team can be run again."""
    server.queue(faults.reset_after_pieces(Reply.chat(["one", " two", " three"]), 2), path="/api/chat")
    server.answer("All of it.")
    made = context(server)

    async def run():
        team = Team(context=made)
        team.hire([Writer(context=made)])
        team.run_project("the sea")
        return await team.run(n_round=1)

    stats.clear()
    assert asyncio.run(run()) is None
    assert [record["error"] for record in stats.records()][:1] == ["interrupted"]
    assert "All of it." in str(asyncio.run(run()))


def test_roles_that_stream_at_once_get_their_own_tokens(server):
    """As MetaGPT's main branch tells them apart: each role's context has a queue, found when a token is logged."""
    words = {"writes": ["a", "b", "c", "d"], "reviews": ["w", "x", "y", "z"]}
    replies = {model: Reply.chat(pieces).gated() for model, pieces in words.items()}
    server.on("POST", "/api/chat", lambda request: replies[request.json()["model"]])
    own = contextvars.ContextVar("own")
    before = logs._llm_stream_log
    logs.set_llm_stream_logfunc(lambda text: own.get().append(text))

    async def one(role):
        heard = []
        own.set(heard)
        answer = await role.run(Message(content="the sea", cause_by=UserRequirement))
        return heard, answer.content

    async def main():
        roles = []
        for model in words:
            made = context(server)
            made.config.llm.model = model
            roles.append(Writer(context=made))
        tasks = [asyncio.ensure_future(one(role)) for role in roles]
        await asyncio.to_thread(server.wait_for_request, 2)
        # In turns, one token each.
        for sent in range(2, 7):
            for reply in replies.values():
                reply.gate.open()
                await asyncio.to_thread(reply.gate.wait_sent, min(sent, len(reply.pieces)))
        return await asyncio.gather(*tasks)

    try:
        outcomes = asyncio.run(main())
    finally:
        logs.set_llm_stream_logfunc(before)
    assert outcomes == [([*pieces, "\n"], "".join(pieces)) for pieces in words.values()]
    assert server.most_at_once == 2


def test_many_roles_at_once(echo):
    async def main():
        roles = [Writer(context=context(echo)) for _ in range(8)]
        return await asyncio.gather(*(role.run(f"sea {number}") for number, role in enumerate(roles)))

    answers = [answer.content for answer in asyncio.run(main())]
    assert answers == [f"<writes: Write about: sea {number}>" for number in range(8)]


def test_a_role_that_is_cancelled_stops_the_model(server, shown):
    server.on("POST", "/api/chat", Reply.chat(["one", " two", " three"]).gated(2))

    async def main():
        task = asyncio.ensure_future(Writer(context=context(server)).run("the sea"))
        await shown.until("one two")
        task.cancel()
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        return outcome

    outcome = asyncio.run(main())
    assert not isinstance(outcome, StreamError)
    assert server.requests[0].hung_up.wait(10)
