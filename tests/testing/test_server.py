"""The scripted server: what it sends, what it remembers, what it notices."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from pathlib import Path

import pytest

from metagpt_ollama_rs.testing import HANG, Reply, ScriptedServer, faults, lines, transcripts

SCRIPTED = Path(__file__).parent.parent / "transcripts" / "scripted"


def call(server, method, path, body=None):
    connection = http.client.HTTPConnection(server.host, server.port, timeout=20)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


@pytest.mark.parametrize("name", transcripts.names(SCRIPTED))
def test_a_transcript_is_replayed_byte_by_byte(server, connect, name):
    recorded = transcripts.load(SCRIPTED, name)
    server.on(recorded.method, recorded.path, Reply.transcript(recorded))
    client = connect()
    client.socket.sendall(recorded.request)
    assert client.read(len(recorded.response)) == recorded.response
    assert server.last.body == recorded.request_body


@pytest.mark.parametrize("cut", ["cuts", "every"])
def test_cuts_change_the_sends_and_not_the_bytes(server, connect, cut):
    reply = Reply.transcript(SCRIPTED / "chat-stream-unicode")
    shaped = reply.cut(1, 50, 300, 301) if cut == "cuts" else reply.every(1)
    assert [len(piece) for piece in shaped.pieces[:3]] == ([1, 49, 250] if cut == "cuts" else [1, 1, 1])
    assert shaped.data == reply.data
    server.queue(shaped)
    assert connect().ask("POST", "/api/chat", {}, reply.data) == reply.data


def test_a_gated_reply_waits_for_each_piece(server, connect):
    reply = Reply.chat("one two").gated()
    server.queue(reply)
    client = connect()
    first = client.ask("POST", "/api/chat", {}, reply.pieces[0])
    assert first == reply.pieces[0]
    assert reply.gate.sent == 1
    client.socket.settimeout(0.05)
    with pytest.raises(socket.timeout):
        client.socket.recv(1)
    client.socket.settimeout(20)
    reply.gate.open()
    assert client.read(len(reply.pieces[1])) == reply.pieces[1]
    assert reply.gate.sent == 2
    reply.gate.open_all()
    assert client.read(len(b"".join(reply.pieces[2:]))) == b"".join(reply.pieces[2:])
    server.last.wait_answered()


def test_a_client_that_leaves_a_gated_reply_is_noticed(server, connect):
    server.queue(Reply.chat("one two").gated())
    client = connect()
    client.send("POST", "/api/chat", {})
    request = server.wait_for_request()
    assert not request.hung_up.is_set()
    client.close()
    assert server.wait_for_hangup() is request
    server.wait_for_open_connections(0)
    assert not request.answered.is_set()


def test_a_client_that_closes_its_half_counts_as_gone(server, connect):
    server.queue(faults.never_answer())
    client = connect()
    client.send("POST", "/api/chat", {})
    server.wait_for_request()
    client.socket.shutdown(socket.SHUT_WR)
    server.wait_for_hangup()


def test_a_client_that_leaves_between_slow_pieces_is_noticed(server, connect):
    server.queue(Reply.chat("one two").slowly(600))
    client = connect()
    client.send("POST", "/api/chat", {})
    client.read(10)
    client.close()
    server.wait_for_hangup()


def test_leaving_after_the_reply_is_no_hangup(server, connect):
    reply = Reply.chat("one")
    server.queue(reply)
    client = connect()
    client.ask("POST", "/api/chat", {}, reply.data)
    client.close()
    server.wait_for_open_connections(0)
    assert server.last.answered.is_set()
    assert not server.last.hung_up.is_set()


def test_requests_are_remembered_as_they_came(server, connect):
    client = connect()
    client.send("POST", "/api/nowhere?a=1", b'{"x": 1}', "X-Twice: a", "x-twice: b")
    client.read(20)
    request = server.last
    assert (request.method, request.path, request.query) == ("POST", "/api/nowhere", "a=1")
    assert request.headers == [("Host", "test"), ("X-Twice", "a"), ("x-twice", "b"), ("Content-Length", "8")]
    assert request.header("x-TWICE") == "a"
    assert request.header("absent") is None
    assert request.json() == {"x": 1}
    assert request.body == b'{"x": 1}'


def test_a_chunked_request_body_is_put_together(server, connect):
    client = connect()
    client.socket.sendall(
        b'POST /api/chat HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n4\r\n":1}\r\n0\r\n\r\n'
    )
    assert server.wait_for_request().body == b'{"a":1}'


def test_connections_are_kept_and_counted(server, connect):
    server.answer("Hi")
    first, second = connect(), connect()
    for client in (first, first, second):
        client.ask("GET", "/", None, Reply.text("Ollama is running", content_type="text/plain; charset=utf-8").data)
    assert [request.connection for request in server.requests] == [1, 1, 2]
    assert server.connections == 2


def test_idle_connections_can_be_closed_under_the_client(server, connect):
    client = connect()
    client.send("GET", "/api/version")
    head = client.read(1)
    server.close_idle()
    assert head + client.read_to_end() == Reply.json({"version": "0.33.0"}).data
    server.wait_for_open_connections(0)


def test_a_thing_nobody_scripted_is_not_found(server):
    status, headers, body = call(server, "POST", "/api/chat", {})
    assert (status, headers["Content-Type"], body) == (404, "text/plain", b"404 page not found")


def test_small_endpoints_answer_by_themselves(server):
    assert call(server, "GET", "/")[2] == b"Ollama is running"
    assert call(server, "HEAD", "/")[1]["Content-Length"] == "17"
    assert call(server, "HEAD", "/")[2] == b""
    assert json.loads(call(server, "GET", "/api/version")[2]) == {"version": "0.33.0"}
    assert [model["name"] for model in json.loads(call(server, "GET", "/api/tags")[2])["models"]] == ["scripted:latest"]
    assert json.loads(call(server, "GET", "/api/ps")[2]) == {"models": []}
    assert json.loads(call(server, "POST", "/api/show", {"model": "scripted"})[2])["capabilities"][0] == "completion"
    status, _, body = call(server, "POST", "/api/show", {"model": "nope"})
    assert (status, json.loads(body)) == (404, {"error": "model 'nope:latest' not found"})


def test_the_queue_comes_first_then_routes(server):
    server.on("POST", "/api/chat", Reply.json({"from": "route"}))
    server.queue(Reply.json({"from": "queue"}))
    assert json.loads(call(server, "GET", "/api/version")[2]) == {"version": "0.33.0"}
    assert [json.loads(call(server, "POST", "/api/chat", {})[2])["from"] for _ in range(2)] == ["queue", "route"]
    server.queue(Reply.json({"version": "9"}), path="/api/version")
    assert json.loads(call(server, "GET", "/api/version")[2]) == {"version": "9"}


def test_a_sequence_repeats_its_last_reply(server):
    server.script({"POST /api/chat": [Reply.error("busy", 503), Reply.json({"ok": True})]})
    assert [call(server, "POST", "/api/chat", {})[0] for _ in range(3)] == [503, 200, 200]


def test_a_failing_function_of_the_script_reaches_the_client(server):
    server.on("POST", "/api/chat", lambda request: request.json()["absent"])
    status, _, body = call(server, "POST", "/api/chat", {})
    assert status == 500
    assert "the script failed: KeyError('absent')" in json.loads(body)["error"]


def test_answer_gives_what_each_request_asks_for(server):
    server.answer("Hello world", thinking="Hm")
    streamed = call(server, "POST", "/api/chat", {"model": "m", "messages": []})[2].splitlines()
    assert [json.loads(line)["message"].get("content") for line in streamed] == ["", "Hello", " world", ""]
    whole = json.loads(call(server, "POST", "/api/chat", {"model": "m", "stream": False})[2])
    assert (whole["model"], whole["message"]) == (
        "m",
        {"role": "assistant", "content": "Hello world", "thinking": "Hm"},
    )
    assert json.loads(call(server, "POST", "/api/generate", {"model": "m", "stream": False})[2])["response"] == (
        "Hello world"
    )
    embedded = json.loads(call(server, "POST", "/api/embed", {"model": "m", "input": ["a", "b", "a"]})[2])
    first, second, third = embedded["embeddings"]
    assert first == third != second
    assert len(json.loads(call(server, "POST", "/api/embeddings", {"model": "m", "prompt": "a"})[2])["embedding"]) == 8


def test_several_connections_are_served_at_once(server, connect):
    reply_pairs = [Reply.chat(f"{number}").gated(free=0) for number in range(8)]
    server.queue(*reply_pairs)
    clients = [connect() for _ in reply_pairs]
    for client in clients:
        client.send("POST", "/api/chat", {})
    server.wait_for_request(8)
    assert server.most_at_once == 8
    for reply in reply_pairs:
        reply.gate.open_all()
    answers = sorted(client.read(len(reply_pairs[0].data)) for client in clients)
    assert answers == sorted(reply.data for reply in reply_pairs)


def test_no_threads_and_no_sockets_stay_behind(connect, server):
    before = {thread for thread in threading.enumerate() if "scripted" in thread.name}
    with ScriptedServer() as other:
        other.queue(faults.never_answer(), Reply.chat("x").gated(free=0), Reply.chat("x").slowly(pause=600))
        for number in range(3):
            sock = socket.create_connection((other.host, other.port))
            sock.sendall(b"POST /api/chat HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
            other.wait_for_request(number + 1)
            sock.close()
    assert other.open_connections == 0
    assert {thread for thread in threading.enumerate() if "scripted" in thread.name} == before


def test_a_stopped_server_can_come_back_on_its_port():
    server = ScriptedServer().start()
    port = server.port
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, port))
    with server:
        assert server.port == port
        assert call(server, "GET", "/")[0] == 200


def test_stopping_is_no_hangup_of_the_client():
    with ScriptedServer() as server:
        server.queue(faults.never_answer())
        with socket.create_connection((server.host, server.port)) as sock:
            sock.sendall(b"POST /api/chat HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
            server.wait_for_request()
            server.stop()
    assert not server.last.hung_up.is_set()


def test_waiting_in_vain_says_for_what(server):
    with pytest.raises(TimeoutError, match=r"request 1 did not come within 0\.01 s"):
        server.wait_for_request(timeout=0.01)
    with pytest.raises(TimeoutError, match="no client hung up"):
        server.wait_for_hangup(timeout=0.01)


@pytest.mark.parametrize("request_bytes", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n"])
def test_what_is_no_request_gets_400(server, connect, request_bytes):
    client = connect()
    client.socket.sendall(request_bytes)
    assert client.read_to_end().startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert server.requests == []


def test_reset_forgets_script_and_requests(server):
    server.answer("x")
    call(server, "POST", "/api/chat", {"model": "m"})
    server.reset()
    assert server.requests == []
    assert call(server, "POST", "/api/chat", {"model": "m"})[0] == 404


def test_a_reply_without_an_end_hangs_until_the_client_leaves(server, connect):
    reply = Reply.chat("x").then(HANG)
    server.queue(reply)
    client = connect()
    assert client.ask("POST", "/api/chat", {}, reply.data) == reply.data
    client.close()
    server.wait_for_hangup()


def test_lines_are_ollamas_own():
    recorded = transcripts.load(SCRIPTED, "chat-stream-plain")
    pieces = [json.loads(line)["message"]["content"] for line in recorded.lines[:-1]]
    ours = lines.chat_lines(pieces, model="scripted-plain")
    assert [list(json.loads(line)) for line in ours] == [list(json.loads(line)) for line in recorded.lines]
    assert [json.loads(line)["message"] for line in ours] == [json.loads(line)["message"] for line in recorded.lines]
