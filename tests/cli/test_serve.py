"""`metagpt-ollama serve`: what it says, what it refuses, how it begins and ends."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.request

import pytest

from metagpt_ollama_rs.cli import main


@pytest.fixture
def model(tmp_path):
    """A GGUF file without weights: enough to be served, not to be loaded."""
    path = tmp_path / "tiny.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 0))
    return path


@pytest.fixture
def with_xllamacpp():
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("xllamacpp is not installed")


@pytest.mark.usefixtures("with_xllamacpp")
def test_a_missing_file_can_be_put_right(run, tmp_path):
    code, out, err = run("serve", "--gguf", tmp_path / "absent.gguf")
    assert (code, out) == (1, "")
    assert err == f"error: {tmp_path}/absent.gguf cannot be read: No such file or directory\nhint: check --gguf\n"


@pytest.mark.usefixtures("with_xllamacpp")
def test_another_kind_of_file_is_told_apart(run, tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(b"PK\x03\x04")
    code, out, err = run("serve", "--gguf", path)
    assert (code, out) == (1, "")
    assert err.startswith(f"error: {path} is not a GGUF file\nhint: ")


@pytest.mark.usefixtures("with_xllamacpp")
def test_a_pipe_is_not_waited_for(run, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    code, out, err = run("serve", "--gguf", tmp_path / "pipe")
    assert (code, out) == (1, "")
    assert err.startswith(f"error: {tmp_path}/pipe is not a regular file\nhint: ")


@pytest.mark.parametrize(
    ("option", "value", "range_"), [("--port", "65536", "0 to 65535"), ("--port", "x", "0 to"), ("--ctx", "3", "4 to")]
)
def test_numbers_have_bounds(run, model, option, value, range_):
    code, out, err = run("serve", "--gguf", model, option, value)
    assert (code, out) == (2, "")
    assert f"error: argument {option}: '{value}' is no whole number from {range_}" in err


def test_gguf_is_required(run):
    code, out, err = run("serve")
    assert (code, out) == (2, "")
    assert err.splitlines()[0] == "error: the following arguments are required: --gguf"
    assert err.splitlines()[1] == "hint: metagpt-ollama serve --help"


@pytest.mark.parametrize("missing", ["xllamacpp", "h11"])
def test_where_a_package_is_missing_the_extra_is_named(model, monkeypatch, capsys, missing):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else object())
    assert main(["serve", "--gguf", str(model), "--port", "0"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f'error: {missing} is not installed\nhint: pip install "metagpt-ollama-rs[embedded]"\n'


@pytest.mark.usefixtures("with_xllamacpp")
def test_a_port_in_use_can_be_put_right(run, model):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, out, err = run("serve", "--gguf", model, "--port", port)
    assert (code, out) == (1, "")
    assert err.startswith(f"error: cannot listen on 127.0.0.1:{port}: Address already in use\nhint: ")


@pytest.mark.usefixtures("with_xllamacpp")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_told_to_stop(model, tmp_path, number):
    port_file = tmp_path / "port"
    arguments = ["serve", "--gguf", str(model), "--name", "tiny", "--port", "0", "--port-file", str(port_file)]
    process = subprocess.Popen(
        [sys.executable, "-m", "metagpt_ollama_rs.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        url = process.stdout.readline().strip()
        end = time.monotonic() + 20
        while not port_file.exists():
            assert time.monotonic() < end
            time.sleep(0.02)
        assert url == f"http://127.0.0.1:{int(port_file.read_text())}"
        with urllib.request.urlopen(url, timeout=20) as response:
            assert response.read() == b"Ollama is running"
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, out) == (0, "")
    assert err == "Serving tiny:latest from tiny.gguf; Ctrl-C stops.\n"
    assert not port_file.exists()
