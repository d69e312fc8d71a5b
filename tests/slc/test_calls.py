"""`call_ollama` and `acall_ollama`: what is sent, what failures become, event loops, threads and forks."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from metagpt_ollama_rs import (
    AuthenticationError,
    ConfigurationError,
    ConnectError,
    ContextOverflowError,
    DecodeError,
    EmptyAnswerError,
    IncompleteError,
    InterruptedStreamError,
    MidStreamError,
    ModelNotFoundError,
    OllamaError,
    ProtocolError,
    RequestTimeout,
    ServerBusyError,
    ServerError,
    slc,
)
from metagpt_ollama_rs.slc import OllamaConfig, SmartQATool, acall_ollama, call_ollama, ollama_config
from metagpt_ollama_rs.slc.calls import aask, ask
from metagpt_ollama_rs.testing import CLOSE, HANG, Reply


def by_both(*arguments, **named):
    """The outcomes of `call_ollama` and of `acall_ollama`, which are the same."""

    def outcome(call):
        try:
            return call()
        except OllamaError as error:
            return error

    blocking = outcome(lambda: call_ollama(*arguments, **named))
    awaited = outcome(lambda: asyncio.run(acall_ollama(*arguments, **named)))
    assert type(blocking) is type(awaited)
    assert str(blocking) == str(awaited)
    return blocking


def test_the_body_is_that_of_generate(tool_server):
    tool_server.answer("Hello world")
    assert by_both("Say hello.") == "Hello world"
    body = {
        "model": "qwen2.5:7b",
        "prompt": "Say hello.",
        "options": {"temperature": 0.1},
        "truncate": False,
        "shift": False,
        "stream": False,
    }
    assert [request.json() for request in tool_server.requests] == [body, body]
    assert {(request.method, request.path) for request in tool_server.requests} == {("POST", "/api/generate")}


def test_what_a_call_says_is_in_the_body(tool_server, monkeypatch):
    monkeypatch.setattr(ollama_config, "api_key", "secret")
    tool_server.answer('{"a": 1}')
    schema = {"type": "object"}
    assert by_both("Say.", 0.7, "llama3.2", 30, system="Be brief.", format=schema) == '{"a": 1}'
    body = {
        "model": "llama3.2",
        "prompt": "Say.",
        "system": "Be brief.",
        "format": schema,
        "options": {"temperature": 0.7},
        "truncate": False,
        "shift": False,
        "stream": False,
    }
    assert [request.json() for request in tool_server.requests] == [body, body]
    assert tool_server.last.header("authorization") == "Bearer secret"


def test_all_calls_share_the_connections(tool_server):
    tool_server.answer("1")
    for _ in range(5):
        call_ollama("1")
    SmartQATool.smart_qa("1")
    assert tool_server.connections == 1


@pytest.mark.parametrize("reply", [
    Reply.generate("<think>Hm, a `b`.</think>\n\nFour.", stream=False),
    Reply.generate("\n\nFour.", thinking="Hm, a `b`.", stream=False),
    Reply.generate("Hm.\n</think>\n\nFour.", stream=False),
])  # fmt: skip
def test_the_thinking_is_no_part_of_the_answer(tool_server, reply):
    tool_server.on("POST", "/api/generate", reply)
    assert by_both("2 + 2?").strip() == "Four."


def test_the_thinking_is_not_shown_either(tool_server):
    for reply in (
        Reply.generate(["<thi", "nk>Hm.</think>", "Fo", "ur."]),
        Reply.generate(["Fo", "ur."], thinking="Hm."),
    ):
        tool_server.on("POST", "/api/generate", reply)
        for call in (ask, lambda *rest: asyncio.run(aask(*rest))):
            texts: list[str] = []
            assert call("smart_qa", {"question": "2 + 2?"}, {"on_text": texts.append}) == "Four."
            assert "".join(texts) == "Four."


def test_what_stays_held_back_is_shown_at_the_end(tool_server):
    tool_server.on("POST", "/api/generate", Reply.generate(["<thi"]))
    texts: list[str] = []
    assert ask("smart_qa", {"question": "?"}, {"on_text": texts.append}) == "<thi"
    assert texts == ["<thi"]


def test_what_is_raised_while_showing_ends_the_request(tool_server):
    tool_server.on("POST", "/api/generate", Reply.generate(["a", "b"]).gated())

    def stop(text: str) -> None:
        raise KeyError(text)

    with pytest.raises(KeyError):
        ask("smart_qa", {"question": "?"}, {"on_text": stop})
    with pytest.raises(ConfigurationError, match="on_text is a str, not a function"):
        ask("smart_qa", {"question": "?"}, {"on_text": "print"})


ERROR = "API 调用异常: "
# What the server does, the exception, and the guide's text.
FAILURES = [
    (Reply.error("model 'qwen2.5:7b' not found", 404), ModelNotFoundError, "API 调用失败: 404"),
    (Reply.error("no memory", 500), ServerError, "API 调用失败: 500"),
    (Reply.error("busy", 503), ServerBusyError, "API 调用失败: 503"),
    (Reply.error("unauthorized", 401), AuthenticationError, "API 调用失败: 401"),
    (Reply.text("<html>", 404, content_type="text/html"), OllamaError, "API 调用失败: 404"),
    (Reply.error("the input length exceeds the context length", 400), ContextOverflowError, "API 调用失败: 400"),
    (Reply.ndjson([{"response": "Hel", "done": False}, {"error": "no memory"}]), MidStreamError, ERROR),
    (Reply.text("Hello"), DecodeError, ERROR),
    (Reply.json({"models": []}), ProtocolError, ERROR),
    (Reply.json({"response": 1, "done": True}), ProtocolError, ERROR),
    (Reply.json({"response": "Hel", "done": False}), IncompleteError, ERROR),
    (Reply.generate("Hello", done_reason="length", stream=False), IncompleteError, ERROR),
    (Reply.generate("", stream=False), EmptyAnswerError, ERROR + "the answer is empty"),
    (Reply.generate(" \n", stream=False), EmptyAnswerError, ERROR + "the answer is empty: white space only"),
    (Reply.generate("<think>Hm.</think>", stream=False), EmptyAnswerError, ERROR + "the model stopped"),
    (Reply.generate("", thinking="Hm.", stream=False, done_reason="length"), EmptyAnswerError, ERROR + "the model"),
    (Reply.generate("again " * 4000, stream=False), IncompleteError, ERROR),
    (Reply.raw(Reply.generate("Hello", stream=False).data[:-9], end=CLOSE), OllamaError, ERROR),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "error", "text"), FAILURES)
def test_a_failure_is_a_typed_error_or_the_guide_s_text(tool_server, monkeypatch, reply, error, text):
    tool_server.on("POST", "/api/generate", reply)
    raised = by_both("Hi")
    assert isinstance(raised, error)
    shown = by_both("Hi", on_error="text")
    assert shown.startswith(text)
    if text == ERROR:
        assert shown == ERROR + str(raised)
    elif "失败" in text:
        assert shown == text


def test_a_cut_answer_has_its_text(tool_server):
    tool_server.on(
        "POST", "/api/generate", Reply.generate("<think>Hm.</think>Hello", done_reason="length", stream=False)
    )
    error = by_both("Hi")
    assert (error.partial, error.partial_thinking, error.model) == ("Hello", "Hm.", "qwen2.5:7b")


def test_a_stream_that_breaks_off_has_its_text(tool_server):
    tool_server.on("POST", "/api/generate", Reply.ndjson([{"response": "Hel", "done": False}]).then(CLOSE))
    texts: list[str] = []
    with pytest.raises((IncompleteError, InterruptedStreamError)) as caught:
        ask("smart_qa", {"question": "?"}, {"on_text": texts.append})
    assert (caught.value.partial, texts) == ("Hel", ["Hel"])


def test_a_server_that_is_down(tool_server):
    tool_server.stop()
    assert isinstance(by_both("Hi"), ConnectError)
    assert by_both("Hi", on_error="text").startswith("API 调用异常: The server cannot be reached")


def test_a_time_limit(tool_server, monkeypatch):
    tool_server.on("POST", "/api/generate", Reply.raw(b"", end=HANG))
    assert isinstance(by_both("Hi", timeout=0.05), RequestTimeout)
    monkeypatch.setattr(ollama_config, "timeout", 0.05)
    assert isinstance(by_both("Hi"), RequestTimeout)
    assert by_both("Hi", on_error="text").startswith("API 调用异常: ")


def test_a_server_that_cuts_the_prompt_all_the_same_is_told_in_the_log(tool_server, caplog):
    tool_server.on("POST", "/api/generate", Reply.generate("Hi", counts={"prompt_eval_count": 300}, stream=False))
    assert call_ollama("word " * 2000) == "Hi"
    assert "it seems to have cut the prompt" in caplog.text


def test_a_request_is_sent_again_while_no_answer_has_begun(tool_server):
    tool_server.answer("Hello")
    tool_server.queue(Reply.error("busy", 503))
    assert call_ollama("Hi") == "Hello"
    assert len(tool_server.requests) == 2


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": 1}, "prompt is a int, not a text"),
        ({"prompt": "Hi", "on_error": "ignore"}, "on_error must be raise or text, and is 'ignore'"),
        ({"prompt": "Hi", "timeout": -1}, "timeout must be a positive number of seconds"),
        ({"prompt": "Hi", "model": 1}, "model is a int, not a text"),
    ],
)
def test_what_cannot_be_sent_is_refused(tool_server, named, message):
    tool_server.answer("Hi")
    error = by_both(**named)
    assert isinstance(error, ConfigurationError)
    assert message in str(error)
    assert tool_server.requests == []


def test_it_works_within_a_running_loop(tool_server):
    tool_server.answer("Hello")

    async def tool() -> str:
        return call_ollama("Hi")

    async def nested() -> list[str]:
        task = asyncio.create_task(tool())
        return [await task, *await asyncio.gather(tool(), asyncio.to_thread(call_ollama, "Hi"), acall_ollama("Hi"))]

    assert asyncio.run(nested()) == ["Hello"] * 4


def test_in_a_running_loop_its_tasks_wait_and_other_threads_go_on(tool_server):
    reply = Reply.generate("Hello", stream=False).gated(free=0)
    tool_server.on("POST", "/api/generate", reply)
    ticks: list[str] = []

    async def tick(until: threading.Event) -> None:
        while not until.is_set():
            ticks.append("loop")
            await asyncio.sleep(0)

    async def main() -> str:
        done = threading.Event()
        task = asyncio.create_task(tick(done))
        await asyncio.sleep(0)
        del ticks[:]

        def release() -> None:
            tool_server.wait_for_request()
            ticks.append("thread")
            reply.gate.open_all()

        thread = threading.Thread(target=release)
        thread.start()
        answer = call_ollama("Hi")
        during = list(ticks)
        done.set()
        await task
        thread.join()
        assert during == ["thread"]
        return answer

    assert asyncio.run(main()) == "Hello"


def test_awaited_other_tasks_go_on(tool_server):
    reply = Reply.generate("Hello", stream=False).gated(free=0)
    tool_server.on("POST", "/api/generate", reply)

    async def main() -> str:
        call = asyncio.create_task(acall_ollama("Hi"))
        await asyncio.to_thread(tool_server.wait_for_request)
        assert not call.done()
        reply.gate.open_all()
        return await call

    assert asyncio.run(main()) == "Hello"


def test_cancelling_ends_the_request(tool_server):
    tool_server.on("POST", "/api/generate", Reply.raw(b"", end=HANG))

    async def main() -> None:
        call = asyncio.create_task(acall_ollama("Hi"))
        await asyncio.to_thread(tool_server.wait_for_request)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(main())
    tool_server.wait_for_hangup()


def test_it_works_on_uvloop(tool_server):
    uvloop = pytest.importorskip("uvloop")
    tool_server.answer("Hello")

    async def main() -> list[str]:
        return [call_ollama("Hi"), await acall_ollama("Hi")]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(main()) == ["Hello", "Hello"]


def test_it_works_where_cells_run_within_a_running_loop(tool_server):
    """As in a notebook: the loop runs for ever, and each cell is a callback or a coroutine of it."""
    tool_server.answer("Hello")
    loop = asyncio.new_event_loop()
    answers: list[str] = []
    tasks: list[asyncio.Task[None]] = []

    async def cell() -> None:
        answers.append(await acall_ollama("Hi"))
        loop.stop()

    def first_cell() -> None:
        answers.append(call_ollama("Hi"))
        answers.append(SmartQATool.smart_qa("Hi"))
        tasks.append(loop.create_task(cell()))

    loop.call_soon(first_cell)
    loop.run_forever()
    loop.close()
    assert answers == ["Hello"] * 3


def test_it_works_from_many_threads(tool_server):
    tool_server.on("POST", "/api/generate", lambda request: Reply.generate(request.json()["prompt"], stream=False))
    answers: dict[int, str] = {}
    threads = [
        threading.Thread(target=lambda number=number: answers.update({number: call_ollama(str(number))}))
        for number in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: str(number) for number in range(16)}


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system has no fork")
def test_it_works_in_a_forked_child(tool_server):
    tool_server.answer("Hello")
    assert call_ollama("Hi") == "Hello"
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(sending, call_ollama("Hi").encode() + asyncio.run(acall_ollama("Hi")).encode())
        finally:
            os._exit(0)
    os.close(sending)
    os.waitpid(child, 0)
    with os.fdopen(receiving, "rb") as pipe:
        assert pipe.read() == b"HelloHello"
    assert call_ollama("Hi") == "Hello"


def test_ctrl_c_ends_the_wait(tool_server):
    tool_server.on("POST", "/api/generate", Reply.raw(b"", end=HANG))
    program = "from metagpt_ollama_rs.slc import call_ollama; call_ollama('Hi')"
    environment = {**os.environ, "METAGPT_OLLAMA_BASE_URL": tool_server.url}
    process = subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    tool_server.wait_for_request()
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=20)[1]


def test_another_server_gets_another_client(tool_server, monkeypatch):
    tool_server.answer("Hello")
    assert call_ollama("Hi") == "Hello"
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    monkeypatch.setattr(ollama_config, "base_url", f"http://127.0.0.1:{port}")
    with pytest.raises(ConnectError):
        call_ollama("Hi")


def test_a_configuration_that_is_assigned_to_the_package_is_used(ollama_server, monkeypatch):
    ollama_server.answer("hello")
    monkeypatch.setattr(slc, "ollama_config", OllamaConfig("llama3.2", ollama_server.url, temperature=0.7))
    assert by_both("Hi") == "hello"
    assert SmartQATool.smart_qa("Hi") == "hello"
    for request in ollama_server.requests:
        assert (request.json()["model"], request.json()["options"]) == ("llama3.2", {"temperature": 0.7})
