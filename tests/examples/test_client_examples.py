"""The examples that need this package only: images.py and embeddings.py, and what all say when something is missing."""

from __future__ import annotations

import base64
import socket
from pathlib import Path

import pytest

from metagpt_ollama_rs.testing import Reply

EXAMPLES = Path(__file__).parents[2] / "examples"
ARGUMENTS = {
    "role": [],
    "team": [],
    "images": ["dot.png"],
    "embeddings": [],
    "batch": ["."],
    "review": ["code.py"],
    "document": ["."],
    "streaming_api": ["--port", "0"],
}


@pytest.fixture
def example(run_python):
    """Runs an example by its name."""
    return lambda name, *arguments, **variables: run_python(str(EXAMPLES / f"{name}.py"), *arguments, **variables)


def can(server, *capabilities):
    server.on("POST", "/api/show", Reply.json({"capabilities": list(capabilities)}))


@pytest.mark.parametrize("name", ARGUMENTS)
def test_an_unreachable_server_is_said_in_one_message(name, example):
    with socket.socket() as taken:
        # Bound and not listening: nothing answers there, and nobody else can take the port.
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        done = example(name, *ARGUMENTS[name], OLLAMA_HOST=address)
    assert done.returncode == 1
    assert address in done.stderr
    assert "ollama serve" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_server_without_a_fitting_model_is_told(name, example, ollama_server):
    can(ollama_server, "dancing")
    done = example(name, *ARGUMENTS[name], OLLAMA_HOST=ollama_server.url)
    assert done.returncode == 1
    assert "ollama pull" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["images", "embeddings", "batch", "streaming_api"])
def test_a_model_that_is_not_there_is_named(name, example, ollama_server):
    missing = Reply.error("model 'mistral' not found", 404)
    for path in ("/api/show", "/api/embed"):
        ollama_server.on("POST", path, missing)
    done = example(name, *ARGUMENTS[name], "--model", "mistral", OLLAMA_HOST=ollama_server.url)
    assert done.returncode == 1
    assert "ollama pull mistral" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_picture_is_sent_with_the_question(example, ollama_server, tmp_path):
    can(ollama_server, "completion", "vision")
    ollama_server.answer("A dot.")
    (tmp_path / "dot.png").write_bytes(b"\x89PNG and more")
    done = example("images", "dot.png", "--question", "What?", OLLAMA_HOST=ollama_server.url)
    assert (done.returncode, done.stdout) == (0, "A dot.\n"), done.stderr
    message = ollama_server.last.json()["messages"][0]
    assert message["content"] == "What?"
    assert base64.b64decode(message["images"][0]) == b"\x89PNG and more"


def test_a_blind_model_and_a_missing_picture_are_told(example, ollama_server):
    done = example("images", "dot.png", "--model", "scripted", OLLAMA_HOST=ollama_server.url)
    assert done.returncode == 1
    assert "cannot see" in done.stderr
    can(ollama_server, "completion", "vision")
    done = example("images", "dot.png", OLLAMA_HOST=ollama_server.url)
    assert done.returncode == 1
    assert "dot.png" in done.stderr
    assert "Traceback" not in done.stderr


def embed(request):
    """Vectors of length 1 that are near each other where texts share their first letter."""
    angles = {"q": [1.0, 0.0], "r": [0.8, 0.6], "s": [0.0, 1.0], "t": [-1.0, 0.0]}
    return Reply.embed([angles[text[0]] for text in request.json()["input"]])


def test_the_nearest_texts_come_first(example, ollama_server, tmp_path):
    can(ollama_server, "embedding")
    ollama_server.on("POST", "/api/embed", embed)
    (tmp_path / "one.txt").write_text("t far\n\nr near\n", encoding="utf-8")
    (tmp_path / "two.txt").write_text("s aside\nq same\n", encoding="utf-8")
    arguments = ("q question", "one.txt", "two.txt", "--top", "3")
    done = example("embeddings", *arguments, OLLAMA_HOST=ollama_server.url)
    assert done.returncode == 0, done.stderr
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["1.000", "q", "same"],
        ["0.800", "r", "near"],
        ["0.000", "s", "aside"],
    ]


def test_many_texts_go_in_several_requests(example, ollama_server, tmp_path):
    can(ollama_server, "embedding")
    ollama_server.on("POST", "/api/embed", embed)
    (tmp_path / "many.txt").write_text("t far\n" * 300 + "r near\n", encoding="utf-8")
    done = example("embeddings", "q", "many.txt", "--top", "1", OLLAMA_HOST=ollama_server.url)
    assert done.stdout.split() == ["0.800", "r", "near"], done.stderr
    sizes = [len(request.json()["input"]) for request in ollama_server.requests if request.path == "/api/embed"]
    assert sum(sizes) == 302
    assert len(sizes) == 2


def test_a_vector_array_shares_its_memory(ollama_server):
    """What embeddings.py promises."""
    import numpy

    from metagpt_ollama_rs import Client

    ollama_server.answer()
    vectors = Client(ollama_server.url).embed_array("smollm2", ["a", "b"])
    assert numpy.shares_memory(numpy.asarray(vectors, numpy.float32), numpy.asarray(vectors.view))
