"""What the embedded server answers: text, counts, options, loading and unloading, vectors, refusals."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import stat
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from metagpt_ollama_rs.embedded import EmbeddedServer


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def loaded(ask):
    return [model["name"] for model in ask("GET", "/api/ps").json["models"]]


def test_streamed_and_whole_answers_have_the_same_text(chat):
    streamed = chat("What is the capital of France?")
    whole = chat("What is the capital of France?", stream=False).json
    assert "".join(line["message"]["content"] for line in streamed.lines) == whole["message"]["content"]
    assert whole["message"]["content"]
    assert streamed.lines[-1]["eval_count"] == whole["eval_count"] == 4
    assert streamed.lines[-1]["done_reason"] == whole["done_reason"] == "length"


def test_a_stream_over_http_1_0_has_no_chunks(server):
    body = json.dumps({"model": "smollm2", "prompt": "hi", "options": {"num_thread": 1, "num_predict": 2}})
    with socket.create_connection((server.host, server.port), timeout=55) as sock:
        sock.sendall(f"POST /api/generate HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        received = b""
        while data := sock.recv(1 << 16):
            received += data
    head, _, lines = received.partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert json.loads(lines.splitlines()[-1])["done"] is True


def test_counts_are_those_of_the_prompt_in_the_models_template(chat):
    short = chat("hi", stream=False).json["prompt_eval_count"]
    assert chat("hi hi hi", stream=False).json["prompt_eval_count"] == short + 2
    # Nine tokens of the message's own frame and twenty-two of the default system prompt.
    assert short > 20


def test_stop_ends_the_text_before_the_word(chat):
    message = [{"role": "user", "content": "x"}]
    free = chat(messages=message, options={"num_predict": 12}, stream=False).json["message"]["content"]
    word = free.split()[1]
    cut = chat(messages=message, options={"num_predict": 12, "stop": [word]}, stream=False).json
    assert cut["message"]["content"] == free[: free.index(word)]
    assert cut["done_reason"] == "stop"


def test_the_same_seed_gives_the_same_text(chat):
    def text(seed):
        asked = {"temperature": 2.0, "seed": seed, "num_predict": 8}
        return chat("Tell me something.", options=asked, stream=False).json["message"]["content"]

    assert text(5) == text(5)
    assert len({text(seed) for seed in range(4)}) > 1


@pytest.mark.parametrize(
    "wanted",
    ["json", {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}],
    ids=["json", "schema"],
)
def test_format_gives_json(chat, wanted):
    # The model may not come to an end by itself: what there is must be the beginning of an object.
    asked = chat("Ada Lovelace as JSON.", format=wanted, options={"num_predict": 60}, stream=False).json
    text = asked["message"]["content"]
    assert text.startswith("{")
    if asked["done_reason"] == "stop":
        value = json.loads(text)
        assert isinstance(value, dict)
        if wanted != "json":
            assert list(value) == ["name"]


def test_an_overlong_prompt_is_cut_unless_told_not_to(chat):
    words = "word " * 600
    answer = chat(words, stream=False).json
    # The first four tokens and half of what else fits into 256.
    assert answer["prompt_eval_count"] == 4 + (256 - 4) // 2
    for stream in (True, False):
        refused = chat(words, truncate=False, stream=stream)
        assert refused.status == 400
        inner = json.loads(refused.json["error"])["error"]
        assert (inner["type"], inner["n_ctx"]) == ("exceed_context_size_error", 256)
        framing = ("Transfer-Encoding", "chunked") in refused.headers
        assert framing == stream


def test_old_messages_are_dropped_before_anything_is_cut(chat):
    turns = [{"role": "system", "content": "Be brief."}]
    turns += [{"role": "user", "content": "word " * 90}, {"role": "assistant", "content": "word " * 90}] * 2
    turns.append({"role": "user", "content": "word " * 90})
    count = chat(messages=turns, stream=False).json["prompt_eval_count"]
    # The system message, one answer and the last question fit.
    assert 190 < count <= 256


def test_a_model_is_loaded_listed_and_unloaded(ask):
    model = {"model": "smollm2"}
    load = ask("POST", "/api/chat", {**model, "messages": [], "keep_alive": "10m"})
    assert load.json["done_reason"] == "load"
    assert "smollm2:latest" in loaded(ask)
    unload = ask("POST", "/api/generate", {**model, "keep_alive": 0})
    assert unload.json["done_reason"] == "unload"
    wait_for(lambda: "smollm2:latest" not in loaded(ask))


def test_a_model_leaves_when_its_time_is_over(ask):
    ask("POST", "/api/generate", {"model": "smollm2", "keep_alive": "100ms"})
    wait_for(lambda: "smollm2:latest" not in loaded(ask))


def test_another_context_length_loads_the_model_again(ask, chat):
    chat(options={"num_ctx": 128})
    lengths = {model["name"]: model["context_length"] for model in ask("GET", "/api/ps").json["models"]}
    assert lengths["smollm2:latest"] == 128


def test_generate_gives_context_and_takes_it_back(ask):
    options = {"num_thread": 1, "num_predict": 3, "temperature": 0}
    first = ask("POST", "/api/generate", {"model": "smollm2", "prompt": "hi", "stream": False, "options": options}).json
    assert first["prompt_eval_count"] < len(first["context"])
    again = {"model": "smollm2", "prompt": "hi", "stream": False, "options": options, "context": first["context"]}
    second = ask("POST", "/api/generate", again).json
    assert second["prompt_eval_count"] == first["prompt_eval_count"] + len(first["context"])


def test_vectors_have_unit_length_and_belong_to_their_inputs(ask):
    both = ask("POST", "/api/embed", {"model": "smollm2-embed", "input": ["alpha", "beta gamma"]}).json
    assert [len(vector) for vector in both["embeddings"]] == [576, 576]
    for vector in both["embeddings"]:
        assert sum(value * value for value in vector) == pytest.approx(1, abs=1e-4)
    single = ask("POST", "/api/embed", {"model": "smollm2-embed", "input": "beta gamma"}).json
    assert single["embeddings"][0] == pytest.approx(both["embeddings"][1], abs=1e-3)
    short = ask("POST", "/api/embed", {"model": "smollm2-embed", "input": "alpha", "dimensions": 3}).json
    assert sum(value * value for value in short["embeddings"][0]) == pytest.approx(1, abs=1e-4)
    assert len(short["embeddings"][0]) == 3


def test_overlong_inputs_are_cut_or_refused(ask):
    long = {"model": "smollm2-embed", "input": ["short", "word " * 600]}
    assert ask("POST", "/api/embed", long).json["prompt_eval_count"] == 255 + 1
    refused = ask("POST", "/api/embed", {**long, "truncate": False})
    assert (refused.status, refused.json["error"]) == (400, "the input length exceeds the context length")
    legacy = ask("POST", "/api/embeddings", {"model": "smollm2-embed", "prompt": "word " * 600})
    assert (legacy.status, legacy.json["error"]) == (500, "the input length exceeds the context length")


@pytest.mark.parametrize("nothing", ["", [], None])
def test_nothing_to_embed_gives_nothing(ask, nothing):
    answer = ask("POST", "/api/embed", {"model": "smollm2-embed", "input": nothing})
    assert answer.body == b'{"model":"smollm2-embed","embeddings":[]}'


def test_tags_and_show_describe_the_file(ask):
    names = [model["name"] for model in ask("GET", "/api/tags").json["models"]]
    assert names == ["smollm2:latest", "smollm2-embed:latest"]
    shown = ask("POST", "/api/show", {"model": "smollm2"}).json
    assert shown["capabilities"] == ["completion"]
    assert shown["details"]["parameter_size"] == "134.52M"
    assert shown["details"]["quantization_level"] == "Q4_1"
    assert shown["model_info"]["llama.context_length"] == 8192
    assert shown["model_info"]["tokenizer.ggml.tokens"] is None
    assert ask("POST", "/api/show", {"model": "smollm2-embed"}).json["capabilities"] == ["embedding"]


def runner_of(server):
    return server._api._engines["smollm2:latest"]._runner


def test_a_runner_that_dies_ends_the_stream_with_an_error_and_the_next_request_has_a_new_one(server, chat):
    chat(options={"num_ctx": 512})
    killed = runner_of(server)
    connection = http.client.HTTPConnection(server.host, server.port, timeout=55)
    body = {
        "model": "smollm2",
        "messages": [{"role": "user", "content": "Tell a long story."}],
        "options": {"num_thread": 1, "num_predict": 100000, "num_ctx": 512, "temperature": 0},
    }
    connection.request("POST", "/api/chat", json.dumps(body))
    response = connection.getresponse()
    response.readline()
    os.kill(killed.pid, signal.SIGKILL)
    last = json.loads(response.read().splitlines()[-1])
    connection.close()
    assert last["error"].startswith("an error was encountered while running the model: ")
    assert chat("hi", options={"num_ctx": 512}, stream=False).json["done"] is True
    assert runner_of(server) is not killed


def test_unloading_waits_for_those_who_use_the_model(server, ask, chat):
    connection = http.client.HTTPConnection(server.host, server.port, timeout=55)
    body = {
        "model": "smollm2",
        "messages": [{"role": "user", "content": "Tell a story."}],
        "options": {"num_thread": 1, "num_predict": 40, "temperature": 0},
    }
    connection.request("POST", "/api/chat", json.dumps(body))
    response = connection.getresponse()
    response.readline()
    assert ask("POST", "/api/generate", {"model": "smollm2", "keep_alive": 0}).json["done_reason"] == "unload"
    assert json.loads(response.read().splitlines()[-1])["done"] is True
    connection.close()
    wait_for(lambda: "smollm2:latest" not in loaded(ask))


def test_several_clients_take_turns(chat):
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda number: chat(f"Say {number}.", stream=False).json, range(4)))
    assert [answer["done_reason"] for answer in answers] == ["length"] * 4


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors are listed in /proc")
def test_the_runner_is_reached_by_this_user_only(server, chat):
    chat()
    runner = runner_of(server)
    files = f"/proc/{runner.pid}/fd"
    opened = {os.readlink(os.path.join(files, number)) for number in os.listdir(files)}
    for table in ("tcp", "tcp6"):
        with open(f"/proc/net/{table}", encoding="ascii") as lines:
            listening = {f"socket:[{line.split()[9]}]" for line in list(lines)[1:] if line.split()[3] == "0A"}
        assert not opened & listening
    folder = os.path.dirname(runner._address)
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700


def test_a_file_that_cannot_be_loaded_is_a_500(tmp_path):
    path = tmp_path / "tiny.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 0))
    pytest.importorskip("xllamacpp")
    with EmbeddedServer(path, name="tiny") as other:
        connection = http.client.HTTPConnection(other.host, other.port, timeout=55)
        connection.request("POST", "/api/chat", json.dumps({"model": "tiny:latest", "messages": []}))
        response = connection.getresponse()
        assert response.status == 500
        assert json.loads(response.read())["error"].startswith("llama-server process has terminated: ")
        connection.close()


def test_no_process_and_no_thread_stay_behind(gguf):
    pytest.importorskip("xllamacpp")
    before = set(threading.enumerate())
    with EmbeddedServer(gguf, name="smollm2", context_length=64) as other:
        connection = http.client.HTTPConnection(other.host, other.port, timeout=55)
        connection.request("POST", "/api/chat", json.dumps({"model": "smollm2", "messages": []}))
        assert json.loads(connection.getresponse().read())["done_reason"] == "load"
        runner = runner_of(other)
        assert runner.alive
        connection.close()
    assert not runner.alive
    assert not os.path.exists(os.path.dirname(runner._address))
    assert set(threading.enumerate()) <= before


def test_a_client_that_leaves_stops_the_generation(server, chat):
    connection = http.client.HTTPConnection(server.host, server.port, timeout=55)
    body = {
        "model": "smollm2",
        "messages": [{"role": "user", "content": "Tell a long story."}],
        # Far more than fits into the time limit of a test.
        "options": {"num_thread": 1, "num_predict": 100000, "num_ctx": 8192, "temperature": 0, "stop": []},
    }
    connection.request("POST", "/api/chat", json.dumps(body))
    response = connection.getresponse()
    assert response.readline().startswith(b'{"model":"smollm2"')
    response.close()
    connection.close()
    # The same settings, so that the model is not loaded anew: the next answer comes only when the slot is free.
    assert chat("hi", options={"num_ctx": 8192}, stream=False).json["done"] is True
