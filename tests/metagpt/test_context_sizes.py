"""The size of a model's context: where it comes from, and the functions of MetaGPT that fit prompts to it.

``compress_messages`` and the RAG of MetaGPT's main branch are not in 0.8.2: functions of the same shape stand in.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import random
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from metagpt.actions import research
from metagpt.config2 import config as metagpt_config
from metagpt.provider.base_llm import BaseLLM
from metagpt.provider.ollama_api import OllamaLLM as OriginalLLM
from metagpt.utils import text as metagpt_text

import metagpt_ollama_rs.provider as ours
from metagpt_ollama_rs.context_facts import ContextSize
from metagpt_ollama_rs.errors import ContextOverflowError
from metagpt_ollama_rs.provider import warnings_once
from metagpt_ollama_rs.provider.context_sizes import ask_again_when_loaded, ask_server, context_size
from metagpt_ollama_rs.provider.patches.rag_context import replace_rag_sizes
from metagpt_ollama_rs.testing import Reply

WORDS = "The harbour was quiet that morning. Two boats lay at the pier, and nobody spoke of the storm. "
LONG = WORDS * 400
NUMBERS = itertools.count()


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(warnings_once, "_warned_topics", set())


@pytest.fixture
def make(make_config):
    """LLM objects, each of a model that no other test has asked for."""

    def made(**fields):
        return ours.OllamaLLM(make_config(**{"model": f"sized-{next(NUMBERS)}", **fields}))

    return made


def shown(*, trained=8192, parameters="", **fields):
    info = {"general.architecture": "llama", "clip.vision.context_length": 77}
    if trained:
        info["llama.context_length"] = trained
    return Reply.json({"model_info": info, "parameters": parameters, **fields})


def loaded(model, size):
    return Reply.json({"models": [{"name": "other:latest", "context_length": 1}, {"name": model, **size}]})


STOP = 'stop                           "[INST]"'


@pytest.mark.parametrize(
    ("fields", "show", "ps", "size"),
    [
        ({"context_length": 2048}, {}, {"context_length": 8192}, ContextSize(2048, True)),
        ({"extra_fields": {"num_ctx": "3000"}}, {}, {}, ContextSize(3000, True)),
        # The server lowers num_ctx to what the model was trained for.
        ({"context_length": 32768}, {}, {}, ContextSize(8192, True)),
        ({"context_length": 32768}, {"trained": None}, {}, ContextSize(32768, True)),
        ({}, {"parameters": f"{STOP}\nnum_ctx                        6000"}, {}, ContextSize(6000, True)),
        ({}, {"parameters": "num_ctx 64000"}, {}, ContextSize(8192, True)),
        ({}, {"parameters": STOP}, {"context_length": 8000}, ContextSize(8000, True)),
        # Not loaded, or a server that is too old to tell: the careful number, and never the trained one.
        ({}, {}, {}, ContextSize(4096, False)),
        ({}, {"trained": 2048}, {}, ContextSize(2048, False)),
        ({}, {"trained": 131072, "remote_host": "https://ollama.com"}, {}, ContextSize(131072, True)),
    ],
)
def test_what_is_in_force_counts(make, server, fields, show, ps, size):
    llm = make(**fields)
    server.on("POST", "/api/show", shown(**show))
    server.on("GET", "/api/ps", loaded(f"{llm.model}:latest", ps))
    asyncio.run(ask_server(llm))
    assert context_size(llm) == size


@pytest.mark.parametrize(
    "reply",
    [
        Reply.text("404 page not found", 404),
        Reply.error("model not found", 404),
        Reply.error("broken", 500),
        Reply.json([1, 2]),
        Reply.json({"models": "none", "model_info": [1], "parameters": 7}),
        Reply.json({"models": [None, {"name": 5}], "model_info": {"llama.context_length": "many", "x": None}}),
        Reply.text("<html>", 200),
    ],
)
def test_a_server_that_does_not_tell_leaves_the_size_assumed_and_the_call_alone(make, server, reply):
    llm = make()
    context_size(llm)
    server.on("POST", "/api/show", reply)
    server.on("GET", "/api/ps", reply)
    server.answer("Hello")
    assert asyncio.run(llm.aask("Hi", stream=False)) == "Hello"
    assert context_size(llm) == ContextSize(4096, False)


def test_nobody_is_asked_for_what_nobody_needs(make, server):
    server.answer("Hello")
    llm = make()
    asyncio.run(llm.aask("Hi", stream=False))
    assert [request.path for request in server.requests] == ["/api/chat"]


def test_a_size_that_was_wanted_is_asked_for_before_the_next_call_and_once_more_when_the_model_is_loaded(make, server):
    llm = make()
    sizes = iter([None, 5000])

    def ps(_request):
        size = next(sizes)
        return loaded(f"{llm.model}:latest", {"context_length": size}) if size else Reply.json({"models": []})

    server.on("POST", "/api/show", shown())
    server.on("GET", "/api/ps", ps)
    server.answer("Hello")
    assert context_size(llm) == ContextSize(4096, False)

    async def twice():
        await llm.aask("Hi", stream=False)
        await llm.aask("Hi", stream=False)

    asyncio.run(twice())
    assert context_size(llm) == ContextSize(5000, True)
    assert [r.path for r in server.requests] == ["/api/show", "/api/ps", "/api/chat", "/api/ps", "/api/chat"]


def test_settings_that_decide_the_size_need_no_question_about_loaded_models(make, server):
    llm = make(context_length=2048)
    server.on("POST", "/api/show", shown())
    asyncio.run(ask_server(llm))
    asyncio.run(ask_again_when_loaded(llm))
    assert [request.path for request in server.requests] == ["/api/show"]


def test_the_number_in_a_refusal_is_remembered_for_the_same_settings(make, server):
    text = "request (9000 tokens) exceeds the available context size (1234 tokens), try increasing it"
    server.on("POST", "/api/chat", Reply.error(text, 400))
    llm = make(context_length=4000)
    with pytest.raises(ContextOverflowError):
        asyncio.run(llm.aask("Hi", stream=False))
    assert context_size(llm) == ContextSize(1234, True)
    llm.config.context_length = 3000
    assert context_size(llm).tokens == 3000


# --- compress_messages --------------------------------------------------------------------------------------------


def conversation():
    return [
        {"role": "system", "content": "You are brief."},
        *({"role": "user", "content": f"{number}. {WORDS * 10}"} for number in range(40)),
        {"role": "user", "content": "The last question?"},
    ]


def tokens(llm, messages):
    return sum(llm.token_estimator.message_weight(message) for message in messages)


@pytest.mark.parametrize("kind", ["post_cut_by_msg", "post_cut_by_token", "pre_cut_by_msg", "pre_cut_by_token"])
def test_what_is_kept_fits_and_the_warning_says_what_is_missing(make, warned, kind):
    llm, messages = make(context_length=2000), conversation()
    kept = llm.compress_messages(messages, kind)
    limit = 2000 * 0.8
    assert 0.5 * limit < tokens(llm, kept) <= limit
    assert kept[0] is messages[0]
    assert (kept[-1] is messages[-1]) is kind.startswith("post")
    assert (kept[1] is messages[1]) is kind.startswith("pre")
    shortened = [message for message in kept if message not in messages]
    assert len(shortened) == (1 if kind.endswith("token") else 0)
    for message in shortened:
        whole = messages[len(kept) - 1] if kind.startswith("pre") else messages[-len(kept) + 1]
        assert message["role"] == "user"
        cut = whole["content"].startswith if kind.startswith("pre") else whole["content"].endswith
        assert cut(message["content"])
    (line,) = warned
    assert f"of {len(messages)} messages {len(messages) - len(kept)} were left out" in line
    assert kind in line


def test_what_fits_is_left_as_it_is_and_nobody_is_warned(make, warned):
    llm, messages = make(context_length=8000), conversation()[:3]
    for kind in ("post_cut_by_token", "", None):
        assert llm.compress_messages(messages, kind) is messages
    assert warned == []


def test_the_room_for_the_answer_is_what_the_request_allows_it(make, server):
    server.on("POST", "/api/show", shown(trained=100000))
    messages = conversation()
    sizes = [
        tokens(llm, llm.compress_messages(messages, "post_cut_by_token"))
        for llm in (make(context_length=2000, max_token=limit) for limit in (100, 900))
    ]
    assert 1700 < sizes[0] <= 1900
    assert 900 < sizes[1] <= 1100


@pytest.mark.parametrize("kind", ["post_cut_by_token", "pre_cut_by_msg"])
def test_a_conversation_of_system_messages_is_left_as_it_is(make, warned, kind):
    llm = make(context_length=500)
    short = [{"role": "system", "content": "You are brief."}]
    assert llm.compress_messages(short, kind) is short
    assert warned == []
    full = [{"role": "system", "content": LONG}, {"role": "user", "content": "Why?"}]
    assert llm.compress_messages(full, kind) is full
    assert "cannot be shortened" in warned[0]
    assert llm.compress_messages([], kind) == []


def test_images_stay_with_the_shortened_text_of_their_message(make):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    llm = make(context_length=2000)
    (kept,) = llm.compress_messages(
        [{"role": "user", "content": [{"type": "text", "text": LONG}, image]}], "post_cut_by_msg"
    )
    assert kept["content"][1] == image
    assert LONG.endswith(kept["content"][0]["text"])
    assert tokens(llm, [kept]) <= 1600


def of_metagpt(source, name):
    """A function as MetaGPT's own module would define it."""
    names = {"__name__": "metagpt.provider.base_llm"}
    exec(source, names)
    return names[name]


# What MetaGPT's main branch does where a message does not fit: it cuts as many characters as tokens are left.
STUB = """
def compress_messages(self, messages, compress_type="", max_token=128000, threshold=0.8):
    keep_token = int(max_token * threshold)
    for i, msg in enumerate(messages):
        if msg["role"] != "system":
            user_assistant_msgs = messages[i:]
            break
    return [{"role": m["role"], "content": m["content"][-keep_token:]} for m in user_assistant_msgs]
"""


def test_metagpts_own_way_beside_ours_and_back(make, monkeypatch):
    monkeypatch.setattr(BaseLLM, "compress_messages", of_metagpt(STUB, "compress_messages"), raising=False)
    only_system = [{"role": "system", "content": "You are brief."}]
    assert make(context_length=2000).compress_messages(only_system, "post_cut_by_token") is only_system
    unpatched = make(context_length=2000, extra_fields={"unpatched": "message_compression"})
    with pytest.raises(UnboundLocalError):
        unpatched.compress_messages(only_system, "post_cut_by_token")
    # 128,000 tokens are assumed.
    messages = [{"role": "user", "content": LONG}]
    assert unpatched.compress_messages(messages, "post_cut_by_token") == messages
    monkeypatch.setattr(BaseLLM, "compress_messages", lambda self, messages, *_: ["the user's own"])
    assert make().compress_messages(messages, "post_cut_by_token") == ["the user's own"]


def test_a_configuration_that_shortens_lets_the_server_be_asked_first(make, server, monkeypatch):
    monkeypatch.setattr(BaseLLM, "compress_messages", of_metagpt(STUB, "compress_messages"), raising=False)
    llm = make()
    object.__setattr__(llm.config, "compress_type", SimpleNamespace(value="post_cut_by_token"))
    server.on("POST", "/api/show", shown())
    server.on("GET", "/api/ps", loaded(f"{llm.model}:latest", {"context_length": 3000}))
    server.answer("Hello")
    asyncio.run(llm.aask("Hi", stream=False))
    assert context_size(llm) == ContextSize(3000, True)
    paths = [request.path for request in server.requests]
    assert paths.index("/api/show") < paths.index("/api/chat")


# --- reduce_message_length, generate_prompt_chunk -----------------------------------------------------------------


class TooManySteps(Exception):
    pass


def test_metagpts_chunks_never_end_and_ours_do(make, monkeypatch):
    llm = make(context_length=4096)
    steps = itertools.count()
    split = metagpt_text.split_paragraph

    def counted(paragraph, *arguments):
        if next(steps) > 10_000:
            raise TooManySteps
        return split(paragraph, *arguments)

    monkeypatch.setattr(metagpt_text, "split_paragraph", counted)
    arguments = ("A short text.", "Summarize: {}", llm.model, "Be brief.", 4096)
    assert list(metagpt_text.generate_prompt_chunk(*arguments)) == ["Summarize: A short text."]
    monkeypatch.setenv("METAGPT_OLLAMA_UNPATCHED", "prompt_sizes")
    with pytest.raises(TooManySteps):
        next(metagpt_text.generate_prompt_chunk(*arguments))


def sample(seed):
    pieces = [
        "word ",
        "Ein Satz. ",
        "是的，我们走吧。",
        "😀",
        "👩‍💻",
        "é",
        "\r\n",
        "\n\n",
        "x" * 700,
        "12345 ",
        "{}",
        "\ud83d\ude00",
    ]
    chooser = random.Random(seed)
    return "".join(chooser.choice(pieces) for _ in range(chooser.randrange(400)))


@pytest.mark.parametrize("seed", range(30))
def test_chunks_lose_nothing_and_fit(make, seed):
    llm, text = make(context_length=600), sample(seed)
    prompts = list(metagpt_text.generate_prompt_chunk(text, "Read: {}", llm.model, "Be brief.", 100))
    chunks = [prompt[len("Read: ") :] for prompt in prompts]
    assert "".join(chunks) == text
    for chunk in chunks:
        assert llm.token_estimator.tokens(chunk) <= 500
        assert not chunk.startswith(("\u200d", "\udd00", "\ude00", "\u0301"))
        assert not chunk.endswith("\u200d")


def test_warnings_with_other_numbers_are_not_repeated(make, warned):
    llm, unknown = make(context_length=600), make()
    for count in range(20):
        prompt = "word " * (375 + count)
        list(metagpt_text.generate_prompt_chunk("A text.", f"{prompt}{{}}", llm.model, "", 200))
        metagpt_text.reduce_message_length([prompt * 20], unknown.model, "", 0)
        metagpt_text.reduce_message_length(["short"], llm.model, "", 400 + count)
    assert len(warned) == 3


def test_lines_that_fit_stay_together(make):
    llm = make(context_length=600)
    lines = [f"{number}. {WORDS}\n" for number in range(100)]
    chunks = list(metagpt_text.generate_prompt_chunk("".join(lines), "{}", llm.model, "", 0))
    assert len(chunks) > 3
    assert [line for chunk in chunks for line in chunk.splitlines(keepends=True)] == lines


def test_a_long_line_is_cut_after_sentences(make):
    llm = make(context_length=600)
    chunks = list(metagpt_text.generate_prompt_chunk(LONG, "{}", llm.model, "", 0))
    assert all(chunk.rstrip().endswith(".") for chunk in chunks)


def test_a_reserve_beyond_the_context_is_reduced_with_a_warning(make, warned):
    llm = make(context_length=2048)
    for _ in range(2):
        assert list(metagpt_text.generate_prompt_chunk(WORDS, "{}", llm.model, "", 4096)) == [WORDS]
    (line,) = warned
    assert "4096 tokens are to be kept for the answer, of a context of 2048: 512" in line


def test_a_template_that_fills_the_context_is_an_error_with_both_numbers(make):
    llm = make(context_length=500)
    with pytest.raises(RuntimeError, match=r"about \d+ tokens, and the context has 500"):
        next(metagpt_text.generate_prompt_chunk("A text.", f"{LONG}{{}}", llm.model, "", 0))
    assert list(metagpt_text.generate_prompt_chunk("", "{}", llm.model, "", 0)) == []


def shorter_and_shorter():
    for words in (300, 100, 30, 10):
        yield WORDS * words


def test_the_longest_message_that_fits_is_taken_where_metagpt_takes_the_first(make, monkeypatch):
    llm = make(context_length=1500)
    arguments = (llm.model, "Be brief.", 300)
    assert metagpt_text.reduce_message_length(shorter_and_shorter(), *arguments) == WORDS * 30
    monkeypatch.setenv("METAGPT_OLLAMA_UNPATCHED", "prompt_sizes")
    assert metagpt_text.reduce_message_length(shorter_and_shorter(), *arguments) == WORDS * 300


def test_a_message_that_never_fits_is_an_error_with_both_numbers(make):
    llm = make(context_length=200)
    with pytest.raises(RuntimeError, match=r"has about \d+ tokens, and \d+ are free in a context of 200"):
        metagpt_text.reduce_message_length(shorter_and_shorter(), llm.model, "", 50)
    with pytest.raises(RuntimeError, match="there is no message"):
        metagpt_text.reduce_message_length(iter(()), llm.model, "", 50)


def test_where_the_size_is_only_assumed_the_shortest_message_is_taken_with_a_warning(make, warned):
    llm = make()
    messages = [LONG * 3, LONG, LONG * 2]
    assert metagpt_text.reduce_message_length(iter(messages), llm.model, "", 50) == LONG
    assert "context of 4096, which is assumed" in warned[0]


def test_other_models_keep_metagpts_own_way(make_config, monkeypatch):
    other = OriginalLLM(make_config(model="original-sized"))
    assert research.generate_prompt_chunk is metagpt_text.generate_prompt_chunk
    monkeypatch.setattr(metagpt_text, "count_output_tokens", lambda text, _model: len(text))
    arguments = (other.model, "", 0)
    assert metagpt_text.reduce_message_length(iter([LONG, WORDS]), *arguments) == LONG
    assert list(metagpt_text.generate_prompt_chunk(LONG[:3000], "{}", *arguments)) != [LONG[:3000]]


def test_research_reads_a_long_page_in_parts_that_fit(make, server):
    server.on("POST", "/api/show", shown())
    server.answer("A summary.")
    llm = make(context_length=2048)
    server.on("GET", "/api/ps", loaded(f"{llm.model}:latest", {"context_length": 2048}))

    async def browse(url, *_urls, **_options):
        return SimpleNamespace(inner_text=LONG[:20_000], url=url)

    action = research.WebBrowseAndSummarize()
    action.web_browser_engine = SimpleNamespace(run=browse)
    action.llm = llm
    summaries = asyncio.run(action.run("http://harbour.example", query="What of the storm?"))
    assert list(summaries.values()) == ["A summary."]
    prompts = [r.json()["messages"][-1]["content"] for r in server.requests if r.path == "/api/chat"]
    assert len(prompts) > 3
    assert all(llm.token_estimator.tokens(prompt) < 1700 for prompt in prompts)
    assert server.requests[0].path == "/api/show"


# --- RAG ----------------------------------------------------------------------------------------------------------

LLAMA_INDEX = Path(__file__).parents[2] / "target" / "llama-index"


@pytest.fixture
def rag(monkeypatch):
    """``metagpt.rag.factories.llm``, without the packages for services that its neighbours import."""
    if not LLAMA_INDEX.is_dir():
        pytest.skip("LlamaIndex is not there: `make target/llama-index/.done` fetches it")
    if str(LLAMA_INDEX) not in sys.path:
        sys.path.append(str(LLAMA_INDEX))
    import metagpt.rag

    package = ModuleType("metagpt.rag.factories")
    package.__path__ = [str(Path(next(iter(metagpt.rag.__path__))) / "factories")]
    monkeypatch.setitem(sys.modules, package.__name__, package)
    yield importlib.import_module("metagpt.rag.factories.llm")
    sys.modules.pop("metagpt.rag.factories.llm", None)


def test_rag_has_room_where_metagpts_own_is_negative(rag, make, monkeypatch):
    helper = importlib.import_module("llama_index.core.indices.prompt_helper")
    prompt = importlib.import_module("llama_index.core.prompts").PromptTemplate("Answer: {text}")
    llm = make(context_length=6000)
    made = rag.RAGLLM(model_infer=llm)
    assert (made.metadata.context_window, made.metadata.num_output) == (6000, 1200)
    answering = rag.RAGLLM(model_infer=make(context_length=6000, max_token=500))
    assert answering.metadata.num_output == 500
    fitted = helper.PromptHelper.from_llm_metadata(made.metadata)
    assert "".join(fitted.repack(prompt, [WORDS])).strip() == WORDS.strip()
    for _ in range(2):
        replace_rag_sizes(rag)
    monkeypatch.setenv("METAGPT_OLLAMA_UNPATCHED", "rag_context")
    assert made.metadata.num_output == metagpt_config.llm.max_token >= made.metadata.context_window
    with pytest.raises(ValueError, match="was not non-negative"):
        helper.PromptHelper.from_llm_metadata(made.metadata).repack(prompt, [WORDS])


def test_sizes_that_the_user_gave_to_rag_stay_and_so_do_other_providers(rag, make, make_config):
    made = rag.RAGLLM(model_infer=make(context_length=6000), context_window=3000, num_output=100)
    assert (made.metadata.context_window, made.metadata.num_output) == (3000, 100)
    other = rag.RAGLLM(model_infer=OriginalLLM(make_config()))
    assert other.metadata.num_output == metagpt_config.llm.max_token
