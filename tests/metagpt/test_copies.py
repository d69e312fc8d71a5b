"""Copies, deep copies and pickles of LLM objects, and of what MetaGPT has with one inside, at any moment of a run."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
import types

import pytest
from metagpt.actions import Action
from metagpt.actions.action_node import ActionNode
from metagpt.configs.llm_config import LLMType
from metagpt.context import Context
from metagpt.provider import ollama_api as original
from metagpt.provider.llm_provider_registry import LLM_REGISTRY
from metagpt.roles import Role

import metagpt_ollama_rs.provider as ours
from metagpt_ollama_rs import AsyncClient, Client, errors
from metagpt_ollama_rs.failures import kind_of
from metagpt_ollama_rs.provider.live_llms import llm_of_model
from metagpt_ollama_rs.testing import Reply

COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "oldest pickle": lambda value: pickle.loads(pickle.dumps(value, 0)),
}
PHASES = ("before the first call", "under way", "after a call", "after an error", "after cancellation")
MESSAGES = [{"role": "user", "content": "hi"}]


def reply(path, text="Yes."):
    counts = {"prompt_eval_count": 30, "eval_count": 4}
    if path == "/api/embed":
        return Reply.json({"embeddings": [[1.0]], "prompt_eval_count": 7})
    if path == "/api/embeddings":
        return Reply.json({"embedding": [1.0]})
    return (Reply.chat if path == "/api/chat" else Reply.generate)(text, counts=counts)


PATHS = {
    "OllamaLLM": "/api/chat",
    "OllamaGenerate": "/api/generate",
    "OllamaEmbed": "/api/embed",
    "OllamaEmbeddings": "/api/embeddings",
}
VALUES = {"OllamaEmbed": [[1.0]], "OllamaEmbeddings": [1.0]}


def question(llm):
    """A call of the object as MetaGPT makes it: of a text, or of vectors."""
    return llm.acompletion_text(MESSAGES, stream="Embed" not in type(llm).__name__)


async def reach(phase, llm, server, path):
    """Brings `llm` to the phase of its life. Returns the call that is under way and the gate of its reply, or None."""
    if phase == "after a call":
        server.on("POST", path, reply(path))
        await question(llm)
    elif phase == "after an error":
        server.on("POST", path, Reply.error("no such thing", 400))
        with pytest.raises(errors.BadRequestError):
            await question(llm)
    elif phase in ("under way", "after cancellation"):
        held = reply(path, ["one", " two"]).gated(0 if "embed" in path else 1)
        server.on("POST", path, held)
        task = asyncio.ensure_future(question(llm))
        await asyncio.to_thread(server.wait_for_request)
        if phase == "under way":
            return task, held.gate
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return None


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("kind", PATHS)
def test_a_copy_works_at_any_moment(ask, server, kind, phase, how):
    path = PATHS[kind]

    async def call(llm):
        held = await reach(phase, llm, server, path)
        made = COPIES[how](llm)
        server.on("POST", path, reply(path))
        value = await question(made)
        if held is not None:
            task, gate = held
            assert not task.done()
            gate.open_all()
            assert await task == VALUES.get(kind, "one two")
        assert (made.config is llm.config, made.cost_manager is llm.cost_manager) == (how == "copy", how == "copy")
        assert (made.model, made.on_error, made.use_system_prompt) == (llm.model, llm.on_error, llm.use_system_prompt)
        made.with_model("another")
        await question(made)
        assert server.last.json()["model"] == "another"
        assert made.ollama_message is not llm.ollama_message
        if how != "copy":
            await question(llm)
            assert server.last.json()["model"] == "scripted"
        return value

    outcome = ask("ours", call, kind=kind)
    assert outcome.error is None, outcome.error
    assert outcome.value == VALUES.get(kind, "Yes.")
    assert outcome.complaints == []


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("who", ["original", "ours"])
def test_a_copy_shares_what_a_copy_of_metagpts_own_shares(ask, answers, who, how):
    answers("Yes.")

    async def call(llm):
        llm.system_prompt = "You are a tester."
        await llm.acompletion_text(MESSAGES, stream=True)
        made = COPIES[how](llm)
        names = ("config", "cost_manager")
        assert made.system_prompt == "You are a tester."
        assert await made.acompletion_text(MESSAGES, stream=True) == "Yes."
        return [getattr(made, name) is getattr(llm, name) for name in names]

    outcome = ask(who, call)
    assert outcome.value == [how == "copy"] * 2


def test_a_deep_copy_keeps_together_what_is_one(ask):
    async def call(llm):
        llm, manager, again = copy.deepcopy([llm, llm.cost_manager, llm])
        assert again is llm
        assert llm.cost_manager is manager
        assert llm.ollama_message is llm._own_message.message

    assert ask("ours", call).error is None


def test_a_copy_is_among_the_living_objects(ask):
    async def call(llm):
        for make in COPIES.values():
            made = make(llm)
            assert llm_of_model("scripted") is made

    assert ask("ours", call).error is None


def ours_decode(self, _response):
    return {"message": {"role": "assistant", "content": "decoded"}, "done": True}


def test_changes_of_user_code_survive(ask, answers, warned):
    answers("Yes.")

    async def call(llm):
        llm.ollama_message.decode = types.MethodType(ours_decode, llm.ollama_message)
        llm.get_choice_text = types.MethodType(lambda self, reply: "chosen", llm)
        return {how: await make(llm).acompletion_text(MESSAGES, stream=False) for how, make in COPIES.items()}

    outcome = ask("ours", call)
    # A lambda cannot be pickled; the message's method, a function of this module, can.
    assert outcome.value == dict(zip(COPIES, ("chosen", "chosen", "decoded", "decoded")))
    lost = "a pickle of OllamaLLM is without its get_choice_text, which cannot be pickled"
    assert {line.strip() for line in warned} == {lost}


def test_what_belongs_to_a_process_or_a_loop_stays_there(ask, answers, warned):
    answers("Yes.")

    async def call(llm):
        llm.lock, llm.event = threading.Lock(), asyncio.Event()
        llm.task = asyncio.current_task()
        llm.client.session = threading.Lock()
        llm.ollama_message.lock = threading.Lock()
        llm.back = [llm]
        deep = copy.deepcopy(llm)
        assert (deep.lock, deep.event, deep.task, deep.client) == (llm.lock, llm.event, llm.task, llm.client)
        assert deep.back[0] is deep
        loaded = pickle.loads(pickle.dumps(llm))
        assert not hasattr(loaded, "lock")
        assert not hasattr(loaded, "task")
        assert loaded.back[0] is loaded
        assert type(loaded.client) is type(llm.client)
        assert await deep.acompletion_text(MESSAGES, stream=True) == "Yes."
        return await loaded.acompletion_text(MESSAGES, stream=True)

    outcome = ask("ours", call)
    assert outcome.error is None
    assert outcome.value == "Yes."
    lost = {line.split("without its ")[1].split(",")[0] for line in warned}
    assert lost == {"lock", "event", "task", "client"}


class Answer(Action):
    name: str = "Answer"

    async def run(self, history):
        return await self._aask(history[-1].content)


@pytest.fixture
def make_role(make_config, monkeypatch, answers):
    answers("Yes.", counts={"prompt_eval_count": 30, "eval_count": 4})

    def make(who):
        module = {"original": original, "ours": ours}[who]
        monkeypatch.setitem(LLM_REGISTRY.providers, LLMType.OLLAMA, module.OllamaLLM)
        context = Context()
        context.config.llm = make_config()
        return Role(name="R", profile="P", actions=[Answer(context=context)], context=context)

    return make


@pytest.mark.parametrize("how", ["copy", "deepcopy", "pickle", "model_copy", "deep model_copy"])
@pytest.mark.parametrize("who", ["original", "ours"])
def test_roles_actions_and_contexts(make_role, who, how):
    more = {
        "model_copy": lambda value: value.model_copy(),
        "deep model_copy": lambda value: value.model_copy(deep=True),
    }
    make, shallow = {**COPIES, **more}[how], how in ("copy", "model_copy")
    role = make_role(who)
    asyncio.run(role.run("one"))
    role.context.llm()
    made = make(role)
    assert (made.llm is role.llm, made.context is role.context) == (shallow, shallow)
    assert made.llm is made.actions[0].llm
    assert made.llm.cost_manager is made.context.cost_manager
    assert asyncio.run(made.run("two")).content == "Yes."
    assert made.context.cost_manager.total_prompt_tokens == 60
    assert role.context.cost_manager.total_prompt_tokens == (60 if shallow else 30)
    action = make(role.actions[0])
    assert (action.llm is role.llm) == shallow
    assert asyncio.run(action.run(role.rc.history)) == "Yes."
    context = make(role.context)
    assert context.config.llm == role.context.config.llm
    assert asyncio.run(context.llm().acompletion_text(MESSAGES, stream=True)) == "Yes."


def test_a_role_of_its_own_dump(make_role, monkeypatch):
    role = make_role("ours")
    asyncio.run(role.run("one"))
    data = role.model_dump()
    made = Role(**data, context=role.context)
    assert made.llm is not role.llm
    assert made.rc.memory == role.rc.memory
    assert asyncio.run(made.run("two")).content == "Yes."
    assert role.context.cost_manager.total_prompt_tokens == 60


@pytest.mark.parametrize("how", ["copy", "deepcopy"])
def test_nodes_with_a_structured_answer(ask, answers, how):
    answers('{"Mood": "glad"}')
    node = ActionNode.from_children("Note", [ActionNode("Mood", str, "How they feel.", "glad")])

    async def call(llm):
        filled = await node.fill("A letter.", llm=llm)
        made = COPIES[how](filled)
        assert made.instruct_content == filled.instruct_content
        assert (made.llm is llm) == (how == "copy")
        again = await made.fill("A letter.", llm=made.llm)
        return again.instruct_content.model_dump()

    assert ask("ours", call, extra_fields={"structured": "true"}).value == {"Mood": "glad"}


@pytest.mark.parametrize("how", COPIES)
def test_clients(server, how):
    for cls in (Client, AsyncClient):
        made = COPIES[how](cls(server.url, api_key="k", headers={"x-own": "1"}, timeout=3, retries=1))
        assert repr(made) == f"{cls.__name__}({server.url!r})"
    server.answer("Yes.")
    client = COPIES[how](Client(server.url, headers={"x-own": "1"}))
    assert client.chat("scripted", [{"role": "user", "content": "hi"}])["message"]["content"] == "Yes."
    assert server.last.header("x-own") == "1"


def every_error():
    found = [errors.OllamaError]
    for cls in found:
        found.extend(each for each in cls.__subclasses__() if each.__module__ == errors.__name__)
    return found


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("cls", every_error(), ids=lambda cls: cls.__name__)
def test_errors_keep_their_fields(cls, how):
    fields = {
        "hint": "do this",
        "url": "http://a",
        "model": "m",
        "status": 500,
        "partial": "a",
        "partial_thinking": "b",
    }
    if cls is errors.ValidationError:
        error = cls("Message", [(("role",), "missing", "Field required", {"content": "a"})])
        vars(error).update(fields)
    else:
        error = cls("it failed", **fields)
    for name, value in vars(cls).items():
        if (
            not name.startswith("_")
            and name not in ("message", "hint")
            and not hasattr(value, "fget")
            and not callable(value)
        ):
            setattr(error, name, value if value is not None else 3)
    error.phase, error.error, error.body = "idle", "their words", b"{}"
    made = COPIES[how](error)
    assert type(made) is cls
    assert vars(made) == vars(error)
    assert (made.args, str(made), kind_of(made)) == (error.args, str(error), kind_of(error))
