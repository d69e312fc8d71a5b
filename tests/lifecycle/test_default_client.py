"""The functions of the module, and the client behind them: made at the first call, shared, let go in silence."""

from __future__ import annotations

import os

import pytest

from metagpt_ollama_rs.testing import ScriptedServer

from .conftest import Outcome, Run


def test_the_environment_is_read_at_the_first_call(run: Run, ollama_server: ScriptedServer) -> None:
    ollama_server.answer("Hello")
    script = """
        import metagpt_ollama_rs as ollama
        from metagpt_ollama_rs import chat
        os.environ["OLLAMA_HOST"] = "127.0.0.1:1"
        held = ollama.generate, chat
        os.environ["OLLAMA_HOST"] = URL
        print(held[0]("m", "hi").response, held[1]("m", MESSAGES).message.content)
    """
    assert run(script) == Outcome(0, "Hello Hello\n")


def test_another_server_for_all_who_hold_a_function(run: Run, ollama_server: ScriptedServer) -> None:
    ollama_server.answer("Hello")
    script = """
        import pickle
        import metagpt_ollama_rs as ollama
        from metagpt_ollama_rs import chat
        os.environ["OLLAMA_HOST"] = "127.0.0.1:1"
        try:
            chat("m", MESSAGES, retries=0)
        except errors.ConnectError as error:
            print("refused")
        ollama.configure(URL, headers={"X-Team": "a"})
        print(chat("m", MESSAGES).message.content)
        print(pickle.loads(pickle.dumps(chat))("m", MESSAGES).message.content)
        try:
            ollama.configure(URL, retries=-1)
        except ValueError:
            print(chat("m", MESSAGES).message.content)
        os.environ["OLLAMA_HOST"] = URL + "/prefix"
        ollama.configure()
        print(repr(chat.__self__).replace(URL, "URL"))
    """
    said = "refused\nHello\nHello\nHello\nDefaultClient('URL/prefix')\n"
    assert run(script) == Outcome(0, said)
    assert {request.header("X-Team") for request in ollama_server.requests} == {"a"}


def test_many_threads_call_first(run: Run, ollama_server: ScriptedServer) -> None:
    ollama_server.answer("Hello")
    script = """
        import metagpt_ollama_rs as ollama
        os.environ["OLLAMA_HOST"] = URL
        sys.setswitchinterval(1e-6)
        barrier, answers = threading.Barrier(8), []
        def work():
            barrier.wait()
            for _ in range(5):
                answers.append(ollama.chat("m", MESSAGES).message.content)
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(len(answers), set(answers))
    """
    assert run(script) == Outcome(0, "40 {'Hello'}\n")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("used", [True, False])
def test_a_fork_before_and_after_the_first_call(run: Run, ollama_server: ScriptedServer, used: bool) -> None:
    ollama_server.answer("Hello")
    script = f"""
        import metagpt_ollama_rs as ollama
        os.environ["OLLAMA_HOST"] = URL
        if {used}:
            ollama.chat("m", MESSAGES)
        child = os.fork()
        said = ollama.chat("m", MESSAGES).message.content
        if child:
            _, status = os.waitpid(child, 0)
            print(said, status)
        else:
            os._exit(said != "Hello")
    """
    assert run(script) == Outcome(0, "Hello 0\n")


def test_the_end_of_the_interpreter_is_quiet(run: Run, ollama_server: ScriptedServer) -> None:
    ollama_server.answer(["a", "b", "c"])
    script = """
        import metagpt_ollama_rs as ollama
        os.environ["OLLAMA_HOST"] = URL
        stream = ollama.chat("m", MESSAGES, stream=True)
        print(next(stream).message.content)
    """
    assert run(script) == Outcome(0, "a\n")


def test_an_import_of_everything_shadows_no_builtin(run: Run) -> None:
    script = """
        import builtins
        before = dict(vars(builtins))
        from metagpt_ollama_rs import *
        import metagpt_ollama_rs
        assert not set(before) & set(metagpt_ollama_rs.__all__), set(before) & set(metagpt_ollama_rs.__all__)
        print(list is builtins.list, "chat" in globals(), metagpt_ollama_rs.list is builtins.list)
    """
    assert run(script) == Outcome(0, "True False False\n")


def test_a_function_that_is_not_there_is_said_so(run: Run) -> None:
    script = """
        import metagpt_ollama_rs as ollama
        for get in (lambda: ollama.chta, lambda: ollama.chat.__self__.chta):
            try:
                get()
            except AttributeError as error:
                print(error)
    """
    said = "module 'metagpt_ollama_rs' has no attribute 'chta'\n'DefaultClient' object has no attribute 'chta'\n"
    assert run(script) == Outcome(0, said)
