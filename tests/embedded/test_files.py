"""GGUF files and the models they give."""

from __future__ import annotations

import struct

import pytest

from metagpt_ollama_rs import model_options
from metagpt_ollama_rs.embedded import gguf as reader
from metagpt_ollama_rs.embedded import options
from metagpt_ollama_rs.embedded.models import open_models
from metagpt_ollama_rs.serving.ollama import full_name


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def tiny(tmp_path, *entries, version=3):
    """A file with no weights: metadata of `entries`, each a key and its written value, and one tensor."""
    head = b"GGUF" + struct.pack("<IQQ", version, 1, len(entries))
    body = b"".join(text(key) + value for key, value in entries)
    tensor = text("w") + struct.pack("<I", 2) + struct.pack("<QQ", 64, 8) + struct.pack("<IQ", 3, 0)
    path = tmp_path / "tiny.gguf"
    path.write_bytes(head + body + tensor)
    return path


ARCHITECTURE = ("general.architecture", struct.pack("<I", 8) + text("bert"))
POOLING = ("bert.pooling_type", struct.pack("<II", 4, 1))


def test_metadata_and_tensors_are_read(tmp_path):
    long = struct.pack("<IIQ", 9, 8, 6) + b"".join(text(word) for word in "abcdef")
    short = struct.pack("<IIQ", 9, 4, 2) + struct.pack("<II", 7, 8)
    number = struct.pack("<If", 6, 1e-5)
    path = tiny(tmp_path, ARCHITECTURE, ("long", long), ("short", short), ("number", number))
    file = reader.read(path)
    assert file.architecture == "bert"
    assert file.metadata["long"] is None
    assert file.metadata["short"] == [7, 8]
    assert file.metadata["number"] == pytest.approx(1e-5)
    assert file.tensors == (("w", "Q4_1", (64, 8)),)
    assert file.parameters == 512


def test_a_declared_pooling_makes_an_embedding_model(tmp_path):
    models = open_models(tiny(tmp_path, ARCHITECTURE, POOLING), "mini", embeddings=True)
    assert [(model.name, model.embeds) for model in models] == [("mini:latest", True)]
    assert models[0].details()["parameter_size"] == "512"


def test_a_text_model_may_embed_under_a_second_name(tmp_path):
    path = tiny(tmp_path, ARCHITECTURE)
    assert [model.name for model in open_models(path, "a:1b")] == ["a:1b"]
    assert [model.name for model in open_models(path, "a:1b", embeddings=True)] == ["a:1b", "a-embed:1b"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"GGUF", b"GGUF" + struct.pack("<IQQ", 3, 0, 1)])
def test_what_is_no_gguf_file_is_refused(tmp_path, content):
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    with pytest.raises(reader.NotGgufError, match=r"bad\.gguf is"):
        reader.read(path)


NUMBER = 1 << 60


@pytest.mark.parametrize(
    "value",
    [
        struct.pack("<IQ", 8, NUMBER),
        struct.pack("<IIQ", 9, 4, NUMBER),
        struct.pack("<IIQQ", 9, 8, NUMBER, NUMBER),
        struct.pack("<IIQ", 9, 9, NUMBER),
        struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 5000,
        struct.pack("<I", 99),
    ],
    ids=["text", "numbers", "texts", "arrays", "depth", "kind"],
)
def test_no_length_in_a_damaged_file_is_believed(tmp_path, value):
    with pytest.raises(reader.NotGgufError, match="damaged"):
        reader.read(tiny(tmp_path, ("key", value)))


def test_a_tensor_of_endless_dimensions_is_refused(tmp_path):
    path = tmp_path / "bad.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + text("w") + struct.pack("<I", 0xFFFFFFFF))
    with pytest.raises(reader.NotGgufError, match="damaged"):
        reader.read(path)


def test_metadata_of_other_types_than_theirs_is_no_failure(tmp_path):
    listed = struct.pack("<IIQI", 9, 4, 1, 3)
    entries = [
        ("general.file_type", listed),
        ("bert.context_length", listed),
        ("nan", struct.pack("<If", 6, float("nan"))),
    ]
    [model] = open_models(tiny(tmp_path, ARCHITECTURE, *entries), "odd")
    assert (model.trained_context, model.details()["quantization_level"]) == (2048, "unknown")
    assert model.show_body()["model_info"]["nan"] is None


def test_an_unknown_version_is_named(tmp_path):
    with pytest.raises(reader.NotGgufError, match="version 9"):
        reader.read(tiny(tmp_path, version=9))


@pytest.mark.parametrize(
    ("given", "full"),
    [
        ("smollm2", "smollm2:latest"),
        ("smollm2:135m", "smollm2:135m"),
        ("registry.ollama.ai/library/a:1b", "a:1b"),
        ("host:5000/a", "host:5000/a:latest"),
    ],
)
def test_names_have_a_tag(given, full):
    assert full_name(given) == full


def test_the_real_file(gguf):
    file = reader.read(gguf)
    assert (file.architecture, file.parameters, file.quantization) == ("llama", 134515008, "Q4_1")
    assert file.architecture_value("context_length") == 8192


def test_the_table_of_options_has_those_that_the_client_knows():
    assert set(options.parse({})) == set(model_options.OPTIONS)
