"""What clients do to a server: bytes that are no request, requests that never end, too many of them, and leaving."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from metagpt_ollama_rs.embedded import EmbeddedServer, Limits


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A model file without weights: enough to be served, not to be loaded."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 0))
    return path


@pytest.fixture(scope="module")
def plain(tiny):
    with EmbeddedServer(tiny, name="tiny") as running:
        yield running


def connect(address):
    return socket.create_connection(address, timeout=30)


def connected(server):
    return connect((server.host, server.port))


def rest(sock):
    """What comes until the server ends the connection; a reset is an end too."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while data := sock.recv(1 << 16):
            received += data
    return received


def answered(server, request):
    """The status and body of the answer to raw bytes, on a connection that the server has to end."""
    with connected(server) as sock:
        sock.sendall(request)
        head, _, body = rest(sock).partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), body


def version(server):
    """Whether the server is there for others."""
    return answered(server, b"GET /api/version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")[0] == 200


def wait_for(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["POST /api/show HTTP/1.1", "Host: x", "Content-Length: -28"], 400),
        (["POST /api/show HTTP/1.1", "Host: x", "Content-Length: +1_3"], 400),
        (["POST /api/show HTTP/1.1", "Host: x", "Content-Length: 0x2"], 400),
        (["POST /api/show HTTP/1.1", "Host: x", "Content-Length: 2", "Content-Length: 3"], 400),
        (["POST /api/show HTTP/1.1", "Host: x", "Content-Length: 2", "Transfer-Encoding: chunked"], 400),
        (["POST /api/show HTTP/1.1", "Host: x", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], 501),
        (["POST /api/show HTTP/1.1", "Host: x", "Transfer-Encoding: gzip, chunked"], 501),
        (["POST /api/show HTTP/1.0", "Host: x", "Transfer-Encoding: chunked"], 400),
        (["GET / HTTP/1.1", "Host: localhost", "Host: localhost"], 400),
        (["GET / HTTP/1.1"], 400),
        (["GET / HTTP/1.1", "Host: [::1]evil.example"], 400),
        (["GET / HTTP/1.1", "Host: [::1"], 400),
        (["GET / HTTP/1.1", "Host: [localhost]"], 400),
        (["GET / HTTP/1.1", "Host: localhost:80:80"], 400),
        (["GET / HTTP/1.1", "Host: localhost:x"], 400),
        (["GET / HTTP/1.1", "Host: evil.example@localhost"], 400),
        (["GET / HTTP/1.1", "Host: localhost, evil.example"], 400),
        (["GET / HTTP/1.1", "Host : localhost"], 400),
        (["GET / HTTP/1.1", " Host: localhost"], 400),
        (["GET / HTTP/1.1", "Host: localhost", "X: a\rb"], 400),
        (["GET / HTTP/1.1", "Host: localhost", "X: a\0b"], 400),
        (["GET / HTTP/1.1", "Host: localhost", ": x"], 400),
        (["GET / HTTP/1.1", "Host: localhost", "X"], 400),
        (["GET / HTTP/2.0", "Host: localhost"], 505),
        (["GET /", "Host: localhost"], 400),
        (["GET  / HTTP/1.1", "Host: localhost"], 400),
        (["GET /a b HTTP/1.1", "Host: localhost"], 400),
        (["G\u00e9T / HTTP/1.1", "Host: localhost"], 400),
        (["GET / HTTP/1.1", "Host: localhost", "X: " + "x" * 200_000], 431),
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused_and_ends_the_connection(plain, lines, status):
    request = "\r\n".join([*lines, "", "{}"]).encode("latin-1")
    code, body = answered(plain, request)
    assert code == status
    assert json.loads(body)["error"]


@pytest.mark.parametrize("size", [b"-1", b"+2", b"0x2", b" 2", b"2_0", b"", b"2" * 40, b"g"])
def test_a_chunk_needs_a_size(plain, size):
    head = b"POST /api/show HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert answered(plain, head + size + b"\r\n{}\r\n0\r\n\r\n")[0] == 400


def test_a_chunked_body_is_read(plain):
    head = b"POST /api/show HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    code, body = answered(plain, head + b'8;x=y\r\n{"model"\r\n7\r\n:"tiny"\r\n1\r\n}\r\n0\r\nX: y\r\n\r\n')
    assert code == 200
    assert b'"capabilities"' in body


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "8.8.8.8", "[2001:4860::1]", "local"])
def test_names_and_addresses_of_others_are_refused(plain, host):
    request = f"GET / HTTP/1.1\r\nHost: {host}:11434\r\nConnection: close\r\n\r\n"
    assert answered(plain, request.encode()) == (403, b"")


@pytest.mark.parametrize(
    "host", ["LOCALHOST", "127.0.0.1:1", "127.9.9.9", "[::1]:1", "0.0.0.0", "192.168.1.2", "my.localhost", "a.internal"]
)
def test_names_and_addresses_of_this_machine_are_welcome(plain, host):
    request = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    assert answered(plain, request.encode()) == (200, b"Ollama is running")


def test_http_1_0_has_an_answer_that_it_can_read(plain):
    assert answered(plain, b"GET / HTTP/1.0\r\n\r\n") == (200, b"Ollama is running")
    # Longer than what goes out with a length: of chunks HTTP/1.0 knows nothing.
    body = json.dumps({"model": "x" * 3000})
    request = f"POST /api/show HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    code, answer = answered(plain, request.encode())
    assert code == 404
    assert json.loads(answer)["error"].endswith("not found")


def test_a_model_file_that_is_gone_is_an_error_with_its_name(tmp_path, tiny):
    path = tmp_path / "gone.gguf"
    path.write_bytes(tiny.read_bytes())
    with EmbeddedServer(path, name="tiny") as server:
        path.unlink()
        code, body = answered(server, b"GET /api/tags HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert code == 500
    assert "gone.gguf" in json.loads(body)["error"]


def test_requests_may_follow_each_other_before_their_answers(plain):
    one = b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connected(plain) as sock:
        sock.sendall(one * 3 + one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert rest(sock).count(b'{"version"') == 4


def test_a_client_that_waits_for_leave_to_send_its_body_gets_it(plain):
    with connected(plain) as sock:
        sock.sendall(
            b"POST /api/show HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 16\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert sock.recv(1 << 16).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        sock.sendall(b'{"model":"tiny"}')
        assert rest(sock).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("further", ["", "\r\nExpect: 100-continue"])
def test_a_body_has_a_limit(plain, further):
    head = f"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: {Limits().body + 1}{further}\r\n\r\n"
    code, body = answered(plain, head.encode())
    assert code == 413
    assert json.loads(body)["error"]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_that_sends_too_much_reads_why_it_is_refused(tiny, chunked):
    data = b"x" * (1 << 20)
    with EmbeddedServer(tiny, name="tiny", limits=Limits(body=1 << 20)) as server, connected(server) as sock:
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {8 << 20}"
        sock.sendall(f"POST /api/chat HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n".encode())
        for _ in range(8):
            sock.sendall(b"100000\r\n" + data + b"\r\n" if chunked else data)
        received = rest(sock)
    assert received.startswith(b"HTTP/1.1 413 Request Entity Too Large\r\n")
    assert received.endswith(b'{"error":"the request body is larger than 1048576 bytes"}')


@pytest.mark.parametrize(
    "begun", [b"", b"GET / HT", b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"]
)
def test_a_request_has_its_time_to_arrive(tiny, begun):
    with EmbeddedServer(tiny, name="tiny", limits=Limits(idle=0.1, arrival=0.1)) as server, connected(server) as sock:
        sock.sendall(begun)
        received = rest(sock)
    assert received.startswith(b"HTTP/1.1 408 Request Timeout\r\n" if begun else b"")
    assert bool(received) == bool(begun)


def test_bytes_that_trickle_in_do_not_lengthen_it(tiny):
    with EmbeddedServer(tiny, name="tiny", limits=Limits(arrival=0.3)) as server, connected(server) as sock:
        sock.settimeout(0.02)
        received = b""
        end = time.monotonic() + 30
        while not received:
            assert time.monotonic() < end
            try:
                sock.sendall(b"X")
                received = sock.recv(1 << 16)
            except socket.timeout:
                pass
    assert received.startswith(b"HTTP/1.1 408")


def ask_without_reading(sock):
    request = b"GET /api/tags HTTP/1.1\r\nHost: localhost\r\n\r\n"
    while True:
        sock.sendall(request * 1000)


def test_a_client_that_does_not_read_is_left(tiny):
    with EmbeddedServer(tiny, name="tiny", limits=Limits(write=0.1)) as server, connected(server) as sock:
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            ask_without_reading(sock)
        assert version(server)
        wait_for(lambda: not server._connections)


def test_idle_clients_make_room_for_others(tiny):
    with EmbeddedServer(tiny, name="tiny", limits=Limits(connections=4)) as server:
        idle = [connected(server) for _ in range(20)]
        assert all(version(server) for _ in range(5))
        wait_for(lambda: len(server._connections) <= 5)
        for sock in idle:
            sock.close()


def test_a_request_too_many_is_told_so(tiny):
    gate = threading.Event()
    with EmbeddedServer(tiny, name="tiny", limits=Limits(connections=2)) as server:
        # Two requests that the server is at work on.
        server._api.routes["/api/ps"]["GET"] = lambda exchange: (gate.wait(30), exchange.json({}))
        busy = [connected(server) for _ in range(2)]
        for sock in busy:
            sock.sendall(b"GET /api/ps HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        wait_for(lambda: sum(one.waiting_since is None for one in list(server._connections)) == 2)
        code, body = answered(server, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (code, json.loads(body)["error"]) == (
            503,
            "server busy, please try again.  maximum pending requests exceeded",
        )
        gate.set()
        for sock in busy:
            assert rest(sock).startswith(b"HTTP/1.1 200 OK\r\n")
            sock.close()
        assert version(server)


OUT_OF_DESCRIPTORS = """
    import os, resource, sys
    from SERVER import NAME

    with NAME(ARGUMENTS) as server:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        held = []
        try:
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            print(server.port, flush=True)
        sys.stdin.readline()
        for number in held:
            os.close(number)
        sys.stdin.readline()
"""


@pytest.mark.parametrize("kind", ["embedded", "scripted"])
def test_a_server_out_of_descriptors_recovers(tiny, kind):
    names = {
        "embedded": ("metagpt_ollama_rs.embedded", "EmbeddedServer", f"{str(tiny)!r}, name='tiny'"),
        "scripted": ("metagpt_ollama_rs.testing", "ScriptedServer", ""),
    }
    script = textwrap.dedent(OUT_OF_DESCRIPTORS)
    for word, value in zip(("SERVER", "NAME", "ARGUMENTS"), names[kind]):
        script = script.replace(word, value)
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        address = ("127.0.0.1", int(process.stdout.readline()))
        request = b"GET /api/version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        # One may be let in with a descriptor that the server was given before, one for another that had to go.
        with connect(address), connect(address), connect(address) as waiting:
            waiting.sendall(request)
            waiting.settimeout(0.3)
            with contextlib.suppress(socket.timeout):
                waiting.recv(1)
        process.stdin.write("release\n")
        process.stdin.flush()
        with connect(address) as served:
            served.sendall(request)
            assert served.recv(1 << 16).startswith(b"HTTP/1.1 200 OK\r\n")
        _, err = process.communicate("end\n", timeout=30)
        assert (process.returncode, err) == (0, "")
    finally:
        process.kill()
        process.communicate()
