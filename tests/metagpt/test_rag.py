"""The embedding class for LlamaIndex, with the release that MetaGPT 0.8.2 pins, and its place in MetaGPT's factory.

LlamaIndex's core is in a folder of its own (``make test-metagpt`` fills it). MetaGPT's factory also imports the
packages for four services, which are not installed: modules with nothing but the class's name stand in for them.
"""

from __future__ import annotations

import asyncio
import doctest
import importlib
import importlib.util
import os
import pickle
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from types import ModuleType

import pytest
from metagpt.config2 import config as metagpt_config
from metagpt.configs.embedding_config import EmbeddingConfig
from metagpt.logs import logger

from metagpt_ollama_rs import Client
from metagpt_ollama_rs.errors import BadInputError, ConfigurationError, ModelNotFoundError, ProtocolError, ServerError
from metagpt_ollama_rs.patch_names import ENVIRONMENT_ONLY
from metagpt_ollama_rs.testing import Reply

LLAMA_INDEX = Path(__file__).parents[2] / "target" / "llama-index"
if not LLAMA_INDEX.is_dir():
    pytest.skip("LlamaIndex is not there: `make target/llama-index/.done` fetches it", allow_module_level=True)
# At the end: what MetaGPT's environment has comes first.
sys.path.append(str(LLAMA_INDEX))

from llama_index.core.schema import TextNode  # noqa: E402

from metagpt_ollama_rs.rag import OllamaEmbedding  # noqa: E402

MODEL = "scripted"


def vector(text):
    return [float(len(text)), 0.5, -1.0]


def embed(request):
    return Reply.embed([vector(text) for text in request.json()["input"]])


@pytest.fixture
def make(server):
    server.on("POST", "/api/embed", embed)

    def made(**fields):
        return OllamaEmbedding(MODEL, **{"base_url": server.url, **fields})

    return made


def inputs(server):
    return [request.json()["input"] for request in server.requests]


def test_a_batch_is_one_request(make, server):
    texts = ["a" * size for size in range(1, 6)]
    embedding = make(embed_batch_size=2)
    assert embedding.get_text_embedding_batch(texts) == [vector(text) for text in texts]
    assert inputs(server) == [texts[:2], texts[2:4], texts[4:]]
    assert asyncio.run(embedding.aget_text_embedding_batch(texts)) == [vector(text) for text in texts]
    assert sorted(inputs(server)[3:]) == [texts[:2], texts[2:4], texts[4:]]


@pytest.mark.parametrize(
    ("text", "sent"), [("cut \ud83d", "cut \ufffd"), ("\ud83d\ude00", "\U0001f600"), (b"abc", "abc")]
)
def test_half_surrogates_and_bytes(make, server, text, sent):
    embedding = make()
    embedding.get_text_embedding(text)
    embedding.get_query_embedding(text)
    asyncio.run(embedding.aget_text_embedding_batch([text]))
    assert inputs(server) == [[sent]] * 3


@pytest.mark.parametrize(("given", "sent"), [("-1", -1), ("300", 300), ("1.5", 1.5), ("10m", "10m")])
def test_keep_alive_as_text(make, server, given, sent):
    embedding = make(keep_alive=given)
    embedding.get_text_embedding("a")
    asyncio.run(embedding.aget_text_embedding("a"))
    assert [request.json()["keep_alive"] for request in server.requests] == [sent, sent]


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"keep_alive": "for ever"}, "keep_alive must be"), ({"ollama_additional_kwargs": {"num_ctxx": 1}}, "num_ctx")],
)
def test_what_the_server_would_refuse_or_ignore_is_named(make, server, fields, words):
    with pytest.raises(ConfigurationError, match=words):
        make(**fields).get_text_embedding("a")
    assert server.requests == []


def test_texts_and_queries_one_by_one(make, server):
    embedding = make(keep_alive="30m", ollama_additional_kwargs={"num_ctx": 8192})
    assert embedding.get_query_embedding("abc") == embedding.get_text_embedding("abc") == vector("abc")

    async def ask():
        return await embedding.aget_query_embedding("abc"), await embedding.aget_text_embedding("abc")

    assert asyncio.run(ask()) == (vector("abc"), vector("abc"))
    sent = {"model": MODEL, "input": ["abc"], "truncate": False, "options": {"num_ctx": 8192}, "keep_alive": "30m"}
    assert [request.json() for request in server.requests] == [sent] * 4


def test_nodes_get_their_vectors(make):
    nodes = make()([TextNode(text="a"), TextNode(text="bb")])
    assert [node.embedding for node in nodes] == [vector("a"), vector("bb")]


def test_instructions_are_put_before_queries_and_texts(make, server):
    embedding = make(query_instruction="search_query: ", text_instruction="search_document:", embed_batch_size=2)
    assert embedding.get_query_embedding(" abc ") == vector("search_query: abc")
    assert embedding.get_text_embedding("abc") == vector("search_document: abc")
    assert embedding.get_agg_embedding_from_queries(["a", "b"])[0] == len("search_query: a")
    embedding.get_text_embedding_batch(["a", "b", "c"])

    async def ask():
        await embedding.aget_query_embedding("abc")
        await embedding.aget_text_embedding("abc")
        await embedding.aget_text_embedding_batch(["a", "b"])

    asyncio.run(ask())
    assert inputs(server) == [
        ["search_query: abc"],
        ["search_document: abc"],
        ["search_query: a"],
        ["search_query: b"],
        ["search_document: a", "search_document: b"],
        ["search_document: c"],
        ["search_query: abc"],
        ["search_document: abc"],
        ["search_document: a", "search_document: b"],
    ]
    copy = OllamaEmbedding.from_dict(pickle.loads(pickle.dumps(embedding)).to_dict())
    assert copy.get_query_embedding("abc") == vector("search_query: abc")
    make(query_instruction="  ").get_query_embedding(" abc ")
    assert inputs(server)[-1] == [" abc "]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"query_instructions": "x"}, "query_instruction'"),
        ({"embed_batchsize": 4}, "embed_batch_size"),
        ({"modelname": "x"}, "model_name"),
        ({"nonsense": 1}, "it takes .*query_instruction"),
        ({"client_kwargs": {"header": {}}}, "headers"),
        ({"client_kwargs": {"timeout": 3}, "timeout": 4}, "timeout is also in client_kwargs"),
        ({"model": "other"}, "give one of them"),
    ],
)
def test_an_unknown_argument_is_refused(make, fields, words):
    with pytest.raises(ConfigurationError, match=words) as caught:
        make(**fields)
    assert next(iter(fields)) in str(caught.value)


def test_what_llama_index_and_its_own_class_take(make, server):
    from llama_index.core.callbacks import CallbackManager

    manager = CallbackManager([])
    embedding = make(
        callback_manager=manager,
        keep_alive=300,
        ollama_additional_kwargs={"num_ctx": 512},
        client_kwargs={"headers": {"X-Mark": "1"}, "timeout": 30},
    )
    assert embedding.callback_manager is manager
    embedding.get_text_embedding("a")
    assert server.last.header("X-Mark") == "1"
    assert server.last.json()["options"] == {"num_ctx": 512}


def test_the_model_has_two_names(server):
    assert OllamaEmbedding(model=MODEL, base_url=server.url).model_name == MODEL
    assert OllamaEmbedding(model=MODEL, model_name=MODEL, base_url=server.url).model_name == MODEL
    for fields in ({}, {"model": ""}):
        with pytest.raises(ConfigurationError, match="model_name is missing"):
            OllamaEmbedding(base_url=server.url, **fields)


@pytest.mark.parametrize("vectors", ["[[]]", "[null]", "[[null]]", "[[NaN]]", "[]", "null", "[[1],[2]]"])
def test_vectors_that_are_none_are_refused(make, server, vectors):
    embedding = make()
    server.on("POST", "/api/embed", Reply.json(f'{{"embeddings":{vectors}}}'.encode()))
    for ask in (embedding.get_text_embedding, embedding.get_query_embedding):
        with pytest.raises(ProtocolError):
            ask("a")
    with pytest.raises(ProtocolError):
        asyncio.run(embedding.aget_text_embedding_batch(["a"]))


@pytest.fixture
def released(make, server):
    """Set, it lets the server answer; until then its requests for vectors wait."""
    event = threading.Event()

    def slow(request):
        event.wait(20)
        return embed(request)

    server.on("POST", "/api/embed", slow)  # in the place of what `make` has scripted
    return event


def test_the_event_loop_is_free_while_the_server_works(make, server, released):
    async def ask():
        waiting = asyncio.ensure_future(make().aget_text_embedding("a"))
        await asyncio.to_thread(server.wait_for_request, 1)
        released.set()
        return await waiting

    assert asyncio.run(ask()) == vector("a")


def test_only_some_batches_are_asked_for_at_once(make, server, released):
    embedding = make(embed_batch_size=1, requests_at_once=2)

    async def ask():
        waiting = asyncio.ensure_future(embedding.aget_text_embedding_batch(["a"] * 6))
        await asyncio.to_thread(server.wait_for_request, 2)
        # A third request would have every chance to arrive before these.
        with Client(server.url) as client:
            for _ in range(20):
                client.version()
                await asyncio.sleep(0)
        asked = sum(request.path == "/api/embed" for request in server.requests)
        released.set()
        return asked, await waiting

    asked, vectors = asyncio.run(ask())
    assert asked == 2
    assert len(vectors) == 6
    # A second event loop has turns of its own.
    assert len(asyncio.run(embedding.aget_text_embedding_batch(["a"] * 3))) == 3


def test_batches_keep_their_order_whichever_is_answered_first(make, server):
    second = threading.Event()

    def late(request):
        if request.json()["input"] == ["a"]:
            second.wait(20)
        else:
            second.set()
        return embed(request)

    server.on("POST", "/api/embed", late)
    embedding = make(embed_batch_size=1)
    found = asyncio.run(embedding.aget_text_embedding_batch(["a", "bb"], show_progress=True))
    assert found == [vector("a"), vector("bb")]


def test_the_dimension_is_known(make, server):
    embedding = make()
    assert embedding.dimension is None
    embedding.get_text_embedding("a")
    assert embedding.dimension == embedding.get_dimension() == 3
    assert len(server.requests) == 1
    assert make().get_dimension() == asyncio.run(make().aget_dimension()) == 3


def test_other_dimensions_than_expected_say_what_to_write(make):
    embedding = make(dimensions=4096)
    words = "embedding.dimensions is 4096, but scripted makes vectors of 3 numbers(.|\n)*write `dimensions: 3`"
    with pytest.raises(ConfigurationError, match=words):
        embedding.get_text_embedding("a")
    with pytest.raises(ConfigurationError, match=words):
        asyncio.run(embedding.aget_text_embedding_batch(["a"]))
    assert make(dimensions=3).get_text_embedding("a") == vector("a")


def refuse_long(request):
    asked = request.json()
    if asked["truncate"] is False and max(map(len, asked["input"])) > 10:
        return Reply.error("the input length exceeds the context length", 400)
    return embed(request)


def test_a_text_that_is_too_long_is_cut_with_a_warning(make, server, caplog):
    server.on("POST", "/api/embed", refuse_long)
    texts = ["a", "b" * 20, "c"]
    assert make().get_text_embedding_batch(texts) == [vector(text) for text in texts]
    assert "a text of 20 characters is longer than the context of scripted" in caplog.text
    caplog.clear()
    assert asyncio.run(make().aget_text_embedding_batch(texts)) == [vector(text) for text in texts]
    assert "a text of 20 characters" in caplog.text


def test_or_refused_or_cut_in_silence_as_one_likes(make, server, caplog):
    server.on("POST", "/api/embed", refuse_long)
    with pytest.raises(BadInputError) as caught:
        make(truncate=False).get_text_embedding_batch(["a", "b" * 20, "c"])
    assert caught.value.index == 1
    assert make(truncate=True).get_text_embedding("b" * 20) == vector("b" * 20)
    assert caplog.text == ""


def test_a_text_that_breaks_the_model_is_not_asked_for_again(make, server):
    def broken(request):
        return Reply.error("failed to compute embedding", 500) if "x" in request.json()["input"] else embed(request)

    server.on("POST", "/api/embed", broken)
    with pytest.raises(BadInputError, match="input 1 of 2"):
        make().get_text_embedding_batch(["a", "x"])
    assert all(request.json()["truncate"] is False for request in server.requests)


def test_errors_are_the_clients(make, server):
    server.on("POST", "/api/embed", Reply.error('model "scripted" not found, try pulling it first', 404))
    with pytest.raises(ModelNotFoundError, match="ollama pull scripted"):
        make().get_text_embedding("a")
    server.on("POST", "/api/embed", Reply.error("out of memory", 500))
    with pytest.raises(ServerError):
        asyncio.run(make().aget_text_embedding("a"))


@pytest.mark.parametrize("size", [0, -1, 2049])
def test_a_batch_size_that_is_none(make, size):
    with pytest.raises(ConfigurationError, match="embed_batch_size must be from 1 to 2048"):
        make(embed_batch_size=size)


def test_it_is_stored_without_the_key(make):
    embedding = make(api_key="secret", dimensions=3)
    stored = embedding.to_dict()
    assert stored["class_name"] == "OllamaEmbedding"
    assert stored["model_name"] == MODEL
    assert "secret" not in repr(stored)
    assert OllamaEmbedding.from_dict(stored).get_text_embedding("a") == vector("a")


def test_it_pickles(make):
    embedding = make(dimensions=3, embed_batch_size=7)
    embedding.get_text_embedding("a")
    again = pickle.loads(pickle.dumps(embedding))
    assert (again.embed_batch_size, again.dimensions) == (7, 3)
    assert again.get_text_embedding("bb") == vector("bb")
    assert asyncio.run(again.aget_text_embedding("bb")) == vector("bb")


NESTED = """
    import asyncio, sys
    import nest_asyncio

    nest_asyncio.apply()
    from metagpt_ollama_rs.rag import OllamaEmbedding

    embedding = OllamaEmbedding("scripted", base_url=sys.argv[1], embed_batch_size=1, requests_at_once=2)

    def blocking(texts):
        return asyncio.run(embedding.aget_text_embedding_batch(texts))

    async def main():
        inner = blocking(["a", "bb", "ccc"])
        inside, outside = await asyncio.gather(nested(), embedding.aget_text_embedding_batch(["a", "bb", "ccc"]))
        assert inner == inside == outside == embedding.get_text_embedding_batch(["a", "bb", "ccc"])
        print([vector[0] for vector in inner])

    async def nested():
        await asyncio.sleep(0)
        return asyncio.get_event_loop().run_until_complete(embedding.aget_text_embedding_batch(["a", "bb", "ccc"]))

    asyncio.run(main())
"""


def test_inside_of_a_running_loop_through_nest_asyncio(make, server):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(NESTED), server.url],
        env={**os.environ, "PYTHONPATH": str(LLAMA_INDEX)},
        capture_output=True,
        text=True,
        timeout=55,
    )
    assert done.stdout == "[1.0, 2.0, 3.0]\n", done.stderr


@pytest.fixture
def stand_ins(monkeypatch):
    """MetaGPT's factory can be imported, and is not yet; afterwards all is as it was."""
    services = {
        "azure_openai": "AzureOpenAIEmbedding",
        "gemini": "GeminiEmbedding",
        "ollama": "OllamaEmbedding",
        "openai": "OpenAIEmbedding",
    }
    parent = ModuleType("llama_index.embeddings")
    parent.__path__ = []
    monkeypatch.setitem(sys.modules, "llama_index.embeddings", parent)
    for name, exported in services.items():
        module = ModuleType(f"llama_index.embeddings.{name}")
        setattr(module, exported, type(exported, (), {}))
        monkeypatch.setitem(sys.modules, module.__name__, module)
    # The package imports every factory, with FAISS and Chroma in them; the module is wanted alone.
    import metagpt.rag

    package = ModuleType("metagpt.rag.factories")
    package.__path__ = [os.path.join(next(iter(metagpt.rag.__path__)), "factories")]
    monkeypatch.setitem(sys.modules, package.__name__, package)
    monkeypatch.setitem(sys.modules, "metagpt.rag.factories.base", None)
    monkeypatch.delitem(sys.modules, "metagpt.rag.factories.base")
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    yield
    sys.modules.pop("metagpt.rag.factories.embedding", None)


@pytest.fixture
def configured(make, server, monkeypatch):
    def configure(**fields):
        section = EmbeddingConfig(**{"api_type": "ollama", "base_url": server.url, "model": MODEL, **fields})
        monkeypatch.setattr(metagpt_config, "embedding", section)

    return configure


def test_metagpts_rag_gets_it(stand_ins, configured):
    configured(dimensions=3, embed_batch_size=5)
    factory = importlib.import_module("metagpt.rag.factories.embedding")
    embedding = factory.get_rag_embedding()
    assert isinstance(embedding, OllamaEmbedding)
    assert (embedding.model_name, embedding.embed_batch_size, embedding.dimensions) == (MODEL, 5, 3)
    assert embedding.get_text_embedding("a") == vector("a")
    assert isinstance(factory.RAGEmbeddingFactory().get_rag_embedding(), OllamaEmbedding)
    assert type(factory.__loader__).__module__.startswith("_frozen_importlib")


def test_also_where_rag_was_imported_first(stand_ins, configured, monkeypatch):
    from metagpt_ollama_rs import import_hooks
    from metagpt_ollama_rs.provider.patches.table import apply_patches

    configured()
    finders = [finder for finder in sys.meta_path if not isinstance(finder, import_hooks._Finder)]
    monkeypatch.setattr(sys, "meta_path", finders)
    factory = importlib.import_module("metagpt.rag.factories.embedding")
    assert factory.RAGEmbeddingFactory._create_ollama.__code__.co_filename == factory.__file__
    apply_patches()
    assert isinstance(factory.get_rag_embedding(), OllamaEmbedding)
    apply_patches()
    assert isinstance(factory.get_rag_embedding(), OllamaEmbedding)


def test_a_users_own_creator_stays(stand_ins, configured, monkeypatch):
    from metagpt.configs.embedding_config import EmbeddingType

    from metagpt_ollama_rs import import_hooks
    from metagpt_ollama_rs.provider.patches.table import apply_patches

    configured()
    finders = [finder for finder in sys.meta_path if not isinstance(finder, import_hooks._Finder)]
    monkeypatch.setattr(sys, "meta_path", finders)
    factory = importlib.import_module("metagpt.rag.factories.embedding")
    factory.get_rag_embedding.__self__._creators[EmbeddingType.OLLAMA] = lambda: "mine"
    apply_patches()
    assert factory.get_rag_embedding() == "mine"


def test_switched_off_metagpts_own_class_is_made(stand_ins, configured, monkeypatch):
    configured()
    monkeypatch.setenv("METAGPT_OLLAMA_UNPATCHED", "rag_embedding")
    factory = importlib.import_module("metagpt.rag.factories.embedding")
    monkeypatch.setattr(factory, "OllamaEmbedding", dict)
    assert factory.get_rag_embedding()["model_name"] == MODEL


def test_what_an_llm_s_configuration_says_does_not_reach_the_embedding(stand_ins, configured, monkeypatch):
    configured()
    monkeypatch.setattr(metagpt_config.llm, "extra_fields", {"unpatched": "all"}, raising=False)
    assert "rag_embedding" in ENVIRONMENT_ONLY
    factory = importlib.import_module("metagpt.rag.factories.embedding")
    assert isinstance(factory.get_rag_embedding(), OllamaEmbedding)


def test_the_main_branchs_factory_has_the_configuration_in_itself(configured):
    from metagpt_ollama_rs.provider.patches.rag import replace_create_ollama

    configured(dimensions=3)
    module = ModuleType("metagpt.rag.factories.embedding")
    module.__file__ = "embedding.py"
    source = """
class RAGEmbeddingFactory:
    def __init__(self, config):
        self.config = config
    def _create_ollama(self):
        return "stock"

def get_rag_embedding(key=None, config=None):
    return RAGEmbeddingFactory(config)._create_ollama()
"""
    exec(compile(source, module.__file__, "exec"), vars(module))
    replace_create_ollama(module)
    assert module.get_rag_embedding(config=metagpt_config).dimensions == 3


def test_dimensions_that_metagpt_would_guess_are_warned_of_once(stand_ins, configured):
    configured()
    embedding = importlib.import_module("metagpt.rag.factories.embedding").get_rag_embedding()
    said = []
    sink = logger.add(said.append, level="WARNING")
    try:
        embedding.get_text_embedding("a")
        embedding.get_text_embedding("a")
    finally:
        logger.remove(sink)
    assert len(said) == 1
    assert "stores then expect 4096, and scripted makes 3" in said[0]
    assert "write `dimensions: 3` under `embedding:`" in said[0]


def test_no_model_in_the_configuration(stand_ins, configured):
    configured(model=None)
    factory = importlib.import_module("metagpt.rag.factories.embedding")
    with pytest.raises(ConfigurationError, match=r"embedding\.model is not set"):
        factory.get_rag_embedding()


def test_the_public_class_has_an_example():
    rag = importlib.import_module("metagpt_ollama_rs.rag")
    assert rag.__all__ == ["OllamaEmbedding"]
    assert ">>> " in rag.OllamaEmbedding.__doc__


@pytest.mark.parametrize("name", ["rag", "provider.rag_embedding"])
def test_the_examples_in_its_docstrings_show_what_comes_out(name):
    module = importlib.import_module(f"metagpt_ollama_rs.{name}")
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0
