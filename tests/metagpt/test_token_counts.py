"""Token counts without the network: MetaGPT's functions with tiktoken's download, and with this package's estimates.

``tools/libs/editor.py`` and ``index_repo.py`` are of MetaGPT's main branch only: modules of the same shape stand in.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from types import ModuleType, SimpleNamespace

import pytest
import tiktoken
from metagpt.actions import Action, research
from metagpt.config2 import config as metagpt_config
from metagpt.configs.llm_config import LLMConfig, LLMType
from metagpt.provider.llm_provider_registry import LLM_REGISTRY
from metagpt.provider.ollama_api import OllamaLLM as OriginalLLM
from metagpt.roles import Role
from metagpt.schema import Message
from metagpt.utils import token_counter

import metagpt_ollama_rs.provider as ours
from metagpt_ollama_rs import token_estimates
from metagpt_ollama_rs.provider.patches import token_counts
from metagpt_ollama_rs.testing import Reply
from metagpt_ollama_rs.token_estimates import TokenEstimator, estimator_of, note_counts

ENGLISH = "The quick brown fox jumps over the lazy dog, and nobody in the village minds. " * 20
CHINESE = "敏捷的棕色狐狸跳过了懒狗，村里没有人介意这件事。" * 20
CODE = "def area(width: int, height: int) -> int:\n    return width * height  # 42\n\n" * 20

COUNT_MESSAGES = getattr(token_counter, "count_message_tokens", None) or token_counter.count_input_tokens

# What MetaGPT's main branch has in `tools/libs/editor.py` and, in the same form, in `index_repo.py`.
EDITOR = """
import tiktoken

DEFAULT_MIN_TOKEN_COUNT = 10000


class Editor:
    @staticmethod
    def is_large_file(content: str, mix_token_count: int = 0) -> bool:
        encoding = tiktoken.get_encoding("cl100k_base")
        token_count = len(encoding.encode(content))
        mix_token_count = mix_token_count or DEFAULT_MIN_TOKEN_COUNT
        return token_count >= mix_token_count
"""


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    """Nothing but the loopback interface can be reached, and no file of tiktoken's is there."""
    connect = socket.socket.connect

    def connect_here(self, address):
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1"):
            raise OSError(f"no network: {address}")
        return connect(self, address)

    def resolve(host, *_arguments, **_keywords):
        raise socket.gaierror(f"no network: {host}")

    monkeypatch.setattr(socket.socket, "connect", connect_here)
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(tiktoken.registry, "ENCODINGS", {})
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def editor(monkeypatch):
    """A module of the shape of the editor's, patched as at its import."""
    made = ModuleType("metagpt.tools.libs.editor")
    exec(compile(EDITOR, "editor.py", "exec"), vars(made))
    monkeypatch.setitem(sys.modules, made.__name__, made)
    for _ in range(2):
        token_counts.replace_tiktoken(made)
    return made


@pytest.fixture
def llm(make_config):
    return ours.OllamaLLM(make_config(model="counted"))


def test_metagpts_own_count_downloads_a_file_and_ours_needs_none(llm, monkeypatch):
    assert 300 < token_counter.count_output_tokens(ENGLISH, "counted") < 700
    monkeypatch.setenv("METAGPT_OLLAMA_UNPATCHED", "token_counts")
    with pytest.raises(OSError, match="no network"):
        token_counter.count_output_tokens(ENGLISH, "counted")


def test_messages_are_counted_which_metagpt_cannot_do_for_models_it_does_not_know(llm, monkeypatch):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": ENGLISH}]
    assert COUNT_MESSAGES(messages, "counted") > token_counter.count_output_tokens(ENGLISH, "counted")
    assert COUNT_MESSAGES(messages, model="counted") == llm.count_tokens(messages)
    monkeypatch.setattr(tiktoken, "get_encoding", lambda name: tiktoken.Encoding(
        name, pat_str=".", mergeable_ranks={bytes([byte]): byte for byte in range(256)}, special_tokens={}
    ))  # fmt: skip
    monkeypatch.setenv("METAGPT_OLLAMA_UNPATCHED", "token_counts")
    with pytest.raises(NotImplementedError, match="not implemented for model counted"):
        COUNT_MESSAGES(messages, "counted")


@pytest.mark.parametrize("model", ["gpt-4o", "a-model-of-nobody", ""])
def test_models_of_others_are_counted_by_metagpt(llm, model):
    with pytest.raises(OSError, match="no network"):
        token_counter.count_output_tokens(ENGLISH, model)


def test_a_model_of_another_provider_in_the_process_is_counted_by_metagpt(make_config):
    other = OriginalLLM(make_config(model="of-the-original"))
    with pytest.raises(OSError, match="no network"):
        token_counter.count_output_tokens(ENGLISH, other.model)


class Counter(OriginalLLM):
    """Counts by itself, as MetaGPT's providers of clouds do."""

    def count(self):
        return token_counter.count_output_tokens(ENGLISH, self.model)


class Asker(Role):
    """Counts for the model of its LLM object."""

    async def _act(self):
        return Message(content=str(token_counter.count_output_tokens(ENGLISH, self.llm.model)))


def test_a_model_of_the_same_name_is_counted_by_metagpt_for_another_providers_object(llm, make_config):
    other = Counter(make_config(model="counted"))
    assert token_counter.count_output_tokens(ENGLISH, "counted") > 0
    with pytest.raises(OSError, match="no network"):
        other.count()


@pytest.mark.parametrize("is_ours", [True, False])
def test_the_role_that_acts_says_which_model_of_the_name_is_meant(llm, make_config, is_ours):
    role = Asker(actions=[Action()])
    role.llm = llm if is_ours else OriginalLLM(make_config(model="counted"))
    if is_ours:
        assert int(asyncio.run(role.react()).content) > 0
    else:
        with pytest.raises(OSError, match="no network"):
            asyncio.run(role.react())


def test_a_model_of_the_same_name_in_the_default_configuration_is_counted_by_metagpt(llm, monkeypatch):
    other = LLMConfig(api_type=LLMType.OPENAI, api_key="k", model="counted")
    monkeypatch.setattr(metagpt_config, "llm", other)
    with pytest.raises(OSError, match="no network"):
        token_counter.count_output_tokens(ENGLISH, "counted")
    monkeypatch.setattr(metagpt_config, "llm", other.model_copy(update={"model": "another"}))
    assert token_counter.count_output_tokens(ENGLISH, "counted") > 0


def test_the_default_model_needs_no_llm_object():
    assert token_counter.count_output_tokens(ENGLISH, metagpt_config.llm.model) > 0


def test_one_configuration_switches_it_off_for_its_model(make_config):
    llm = ours.OllamaLLM(make_config(model="unpatched-one", extra_fields={"unpatched": "token_counts"}))
    with pytest.raises(OSError, match="no network"):
        token_counter.count_output_tokens(ENGLISH, llm.model)


@pytest.mark.parametrize("text", ["", "<|endoftext|>", "\ud83d half", "\x00", "😀" * 5])
def test_texts_that_tiktoken_may_refuse_are_counted(llm, text):
    count = token_counter.count_output_tokens(text, "counted")
    assert (count > 0) is bool(text)


def test_the_editor_asks_tiktoken_by_itself_and_gets_an_estimate(editor, monkeypatch):
    assert editor.Editor.is_large_file("word " * 50_000) is True
    assert editor.Editor.is_large_file("word " * 500) is False
    assert editor.tiktoken.Encoding is tiktoken.Encoding
    monkeypatch.setenv("METAGPT_OLLAMA_UNPATCHED", "token_counts")
    with pytest.raises(OSError, match="no network"):
        editor.Editor.is_large_file("word " * 500)


def test_the_editor_counts_by_itself_where_the_default_model_is_not_ollamas(editor, monkeypatch):
    monkeypatch.setattr(metagpt_config, "llm", LLMConfig(api_type="openai", api_key="k", model="gpt-4o"))
    with pytest.raises(OSError, match="no network"):
        editor.Editor.is_large_file("word " * 500)
    with pytest.raises(OSError, match="no network"):
        editor.tiktoken.encoding_for_model("gpt-4o")


def test_the_editor_counts_by_itself_where_user_code_has_registered_another_provider(editor, monkeypatch):
    monkeypatch.setitem(LLM_REGISTRY.providers, LLMType.OLLAMA, OriginalLLM)
    with pytest.raises(OSError, match="no network"):
        editor.Editor.is_large_file("word " * 500)


def test_a_default_configuration_that_no_client_can_be_made_of_changes_nothing(editor, monkeypatch):
    broken = LLMConfig(api_type="ollama", model="m", base_url="ftp://nowhere", api_key="k")
    monkeypatch.setattr(metagpt_config, "llm", broken)
    with pytest.raises(OSError, match="no network"):
        editor.Editor.is_large_file("word " * 500)


def test_a_module_in_which_user_code_has_put_another_tiktoken_stays(monkeypatch):
    module = ModuleType("metagpt.tools.libs.index_repo")
    module.tiktoken = mine = object()
    token_counts.replace_tiktoken(module)
    assert module.tiktoken is mine


def answers_with(counts):
    def answer(request):
        body = request.json()
        text = body["messages"][-1]["content"]
        read = round(len(text.encode()) * counts) + 13
        return Reply.chat("Yes.", stream=body["stream"], counts={"prompt_eval_count": read, "eval_count": 3})

    return answer


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("text", "rate"), [(ENGLISH, 0.22), (CHINESE, 0.3), (CODE, 0.26)], ids=["english", "chinese", "code"]
)
def test_estimates_follow_what_the_server_has_counted(ask, server, text, rate, stream):
    server.on("POST", "/api/chat", answers_with(rate))
    model = f"learned-{rate}-{stream}"

    async def call(llm):
        for _ in range(3):
            await llm.aask(text, stream=stream)
        return llm.token_estimator

    before = TokenEstimator().tokens(text)
    outcome = ask("ours", call, model=model)
    assert outcome.error is None
    estimator = outcome.value
    right = len(text.encode()) * rate
    assert abs(estimator.tokens(text) - right) < 0.1 * right
    assert abs(before - right) > 0.1 * right
    assert estimator.has_learned
    made = estimator_of(server.url, model)
    assert made.tokens(text) == estimator.tokens(text) != before


def test_what_is_not_text_is_not_learned_from():
    long = {"role": "user", "content": ENGLISH}
    call = {"function": {"name": "add", "arguments": {"a": 1}}}
    for number, payload in enumerate(
        (
            {"messages": [long], "tools": [{"type": "function"}]},
            {"messages": [{**long, "images": ["aGk="]}]},
            {"messages": [{**long, "tool_calls": [call]}]},
            {"prompt": ENGLISH, "context": [1, 2, 3]},
            {"prompt": ENGLISH, "images": ["aGk="]},
            {"messages": [{"role": "user", "content": "short"}]},
        )
    ):
        model = f"untaught-{number}"
        note_counts("http://127.0.0.1:9", {"model": model, **payload}, {"prompt_eval_count": 400})
        assert not estimator_of("http://127.0.0.1:9", model).has_learned
    note_counts(
        "http://127.0.0.1:9",
        {"model": "calls", "messages": []},
        {"message": {"content": ENGLISH, "tool_calls": [call]}, "eval_count": 400},
    )
    assert not estimator_of("http://127.0.0.1:9", "calls").has_learned


@pytest.mark.parametrize("count", [None, 0, 3, 10**9, True, "400"])
def test_counts_that_cannot_be_right_change_nothing(count):
    payload = {"model": "odd", "messages": [{"role": "user", "content": ENGLISH}]}
    note_counts("http://127.0.0.1:9", payload, {"prompt_eval_count": count, "eval_count": count, "response": ENGLISH})
    assert estimator_of("http://127.0.0.1:9", "odd").tokens(ENGLISH) == TokenEstimator().tokens(ENGLISH)


def test_a_count_of_what_was_not_cached_is_recognised_once_more_is_known():
    estimator = TokenEstimator()
    for _ in range(10):
        estimator.learn([ENGLISH], 350)
    known = estimator.tokens(ENGLISH)
    estimator.learn([ENGLISH], 210, may_be_partial=True)
    assert estimator.tokens(ENGLISH) == known
    estimator.learn([ENGLISH], 330, may_be_partial=True)
    assert estimator.tokens(ENGLISH) != known


def test_the_last_calls_are_kept_without_images_until_an_estimate_is_asked_for():
    server, long = "http://127.0.0.1:9", {"role": "user", "content": ENGLISH}
    for number in range(100):
        message = {**long, "images": ["x" * 1000]} if number % 2 else long
        note_counts(server, {"model": "kept", "messages": [message]}, {"prompt_eval_count": 350, "message": {}})
    (kept,) = (calls for key, calls in token_estimates._noted.items() if key == (server, "kept"))
    assert len(kept) == token_estimates._MOST_NOTED
    assert "x" * 1000 not in str(kept)
    estimator = estimator_of(server, "kept")
    assert not kept
    assert estimator.learned_tokens > 2 * 300
    assert estimator_of(server, "kept").learned_tokens == estimator.learned_tokens


def test_what_the_caller_changes_afterwards_is_not_learned():
    messages, reply = [{"role": "user", "content": ENGLISH}], {"message": {"content": "a"}, "prompt_eval_count": 350}
    note_counts("http://127.0.0.1:9", {"model": "changed", "messages": messages}, reply)
    messages.clear()
    reply.clear()
    assert estimator_of("http://127.0.0.1:9", "changed").has_learned


def test_thinking_counts_with_the_answer():
    payload = {"model": "thinks", "messages": []}
    reply = {"message": {"content": "Yes.", "thinking": ENGLISH}, "eval_count": 350}
    for _ in range(5):
        note_counts("http://127.0.0.1:9", payload, reply)
    assert abs(estimator_of("http://127.0.0.1:9", "thinks").tokens(ENGLISH) - 350) < 30


def test_another_tokenizer_under_the_same_name_is_learned():
    estimator = TokenEstimator()
    for _ in range(200):
        estimator.learn([ENGLISH], 350)
    for _ in range(60):
        estimator.learn([ENGLISH], 600)
    assert abs(estimator.tokens(ENGLISH) - 600) < 60


def test_threads_learn_and_count_at_the_same_time():
    estimator, errors = TokenEstimator(), []

    def work(text, tokens):
        try:
            for _ in range(200):
                estimator.learn([text], tokens)
                assert estimator.tokens(text) > 0
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=pair) for pair in ((ENGLISH, 350), (CHINESE, 500), (CODE, 400))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert abs(estimator.tokens(ENGLISH) - 350) < 60


def test_images_and_parts_of_a_message_are_counted(llm):
    parts = [{"type": "text", "text": ENGLISH}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    plain = llm.count_tokens([{"role": "user", "content": ENGLISH}])
    assert llm.count_tokens([{"role": "user", "content": parts}]) == plain + 768
    assert llm.count_tokens([{"role": "user", "content": ENGLISH, "images": ["a", "b"]}]) == plain + 2 * 768
    assert llm.count_tokens([{"role": "assistant", "content": None, "tool_calls": [{"function": {}}]}]) > 8


def test_a_role_that_uses_the_editor_and_researches_needs_no_network(editor, server, make_config):
    page = "The harbour was quiet that morning. " * 300
    model = "offline-role"
    llm = ours.OllamaLLM(make_config(model=model, context_length=2048))
    server.answer("A summary.")

    async def browse(url, *_urls, **_options):
        return SimpleNamespace(inner_text=page, url=url)

    class ReadAndResearch(Action):
        async def run(self, *_messages):
            assert not editor.Editor.is_large_file(page)
            browsing = research.WebBrowseAndSummarize()
            browsing.web_browser_engine = SimpleNamespace(run=browse)
            browsing.llm = self.llm
            summaries = await browsing.run("http://harbour.example", query="What of the storm?")
            return Message(content=str(list(summaries.values())))

    async def work():
        role = Role(name="Reader", profile="Reader")
        role.llm = llm
        role.set_actions([ReadAndResearch])
        return await role.run("Read the file.")

    answer = asyncio.run(work())
    assert answer.content == "['A summary.']"
    assert sum(request.path == "/api/chat" for request in server.requests) > 2
    assert token_counter.count_output_tokens(page, model) > 0
