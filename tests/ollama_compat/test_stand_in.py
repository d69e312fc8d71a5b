"""`ollama_compat` in the place of the real package: for one process, and for all below a command.

Each test runs programs of its own. ollama-python is installed here, so that there is something to take the place of.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from metagpt_ollama_rs.ollama_compat import API_VERSION
from metagpt_ollama_rs.testing import Reply, ScriptedServer

from .cases import answer

OURS = "metagpt_ollama_rs.ollama_compat"


def run(program: str, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    arguments = [*(command or [sys.executable]), "-c", textwrap.dedent(program)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OLLAMA", "METAGPT"))}
    return subprocess.run(
        arguments, capture_output=True, text=True, timeout=60, check=False, env={**inherited, **environment}
    )


def said(program: str, *command: str, **environment: str) -> list[str]:
    done = run(program, *command, **environment)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.splitlines()


def test_later_imports_get_ours():
    assert said("""
        import sys
        from metagpt_ollama_rs import ollama_compat
        ollama_compat.install()
        ollama_compat.install()
        import ollama, ollama._types, ollama._client, ollama._utils
        from ollama import Client, chat, ResponseError
        from ollama._client import AsyncClient
        from ollama._types import Message, SubscriptableBaseModel
        print(ollama is ollama_compat, Client.__module__, chat.__self__ is ollama._client)
        print(sys.modules["ollama._client"].__name__, type(ollama._client).__name__)
    """) == [f"True {OURS}._client True", f"{OURS}._client Client"]


def test_the_version_is_that_of_the_api():
    lines = said("""
        from importlib import metadata
        from metagpt_ollama_rs import ollama_compat
        real = metadata.version("ollama")
        ollama_compat.install()
        print(metadata.version("ollama") == ollama_compat.API_VERSION == real, metadata.version("pip") > "")
        print(len([1 for found in metadata.distributions() if found.metadata["Name"] == "ollama"]))
    """)
    assert lines == ["True True", "1"]


def test_nothing_else_is_imported():
    assert said("""
        import sys
        from metagpt_ollama_rs import ollama_compat
        ollama_compat.install()
        import ollama
        print([name for name in ("httpx", "pydantic", "asyncio", "anyio", "logging") if name in sys.modules])
    """) == ["[]"]


def test_a_module_that_has_the_real_one_is_named():
    lines = said("""
        import types, sys
        user = types.ModuleType("user_of_it")
        exec("from ollama import Client", vars(user))
        sys.modules["user_of_it"] = user
        from metagpt_ollama_rs import ollama_compat
        try:
            ollama_compat.install()
        except ollama_compat.ConfigurationError as error:
            print(error.message)
        import ollama
        print(ollama is ollama_compat)
        ollama_compat.install(replace=True)
        import ollama, ollama._types
        print(ollama is ollama_compat, ollama._types.Message.__module__, user.Client is ollama.Client)
        ollama_compat.uninstall()
        import ollama, ollama._types
        print(ollama is ollama_compat, ollama._types.Message.__module__, user.Client is ollama.Client)
    """)
    assert lines[0].startswith("ollama has been imported already, by ")
    assert "user_of_it" in lines[0]
    assert lines[1:] == ["False", "True metagpt_ollama_rs.responses False", "False ollama._types True"]


def test_it_can_be_undone():
    assert said("""
        from importlib import metadata
        import sys
        from metagpt_ollama_rs import ollama_compat
        ollama_compat.install()
        import ollama._types
        ollama_compat.uninstall()
        ollama_compat.uninstall()
        import ollama
        print(ollama.Client.__module__, sys.modules["ollama._types"].__name__)
    """) == ["ollama._client ollama._types"]


COMMAND = (os.path.join(os.path.dirname(sys.executable), "metagpt-ollama"), "run", "--as-ollama", "--", sys.executable)


def test_a_command_gets_ours_in_all_its_processes(ollama_server: ScriptedServer):
    ollama_server.on("POST", "/api/chat", Reply.json(answer()))
    done = run(
        """
        import multiprocessing, subprocess, sys
        from importlib import metadata, util
        print(util.find_spec("ollama").name, "metagpt_ollama_rs.client" in sys.modules, metadata.version("ollama"))
        import ollama
        from ollama._types import Message
        print(ollama.Client.__module__, ollama.__spec__.name, ollama.chat("m", [Message(role="user")]).message.content)
        print(multiprocessing.get_context("spawn").Pool(1).apply(eval, ("__import__('ollama').Client.__module__",)))
        code = "import ollama; print(ollama.Client.__module__)"
        print(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip())
        """,
        *COMMAND,
        OLLAMA_HOST=ollama_server.url,
    )
    ours = f"{OURS}._client"
    assert done.stdout.splitlines() == [f"ollama False {API_VERSION}", f"{ours} {OURS} Because.", ours, ours]
    assert done.returncode == 0
    assert [line.split()[:2] for line in done.stderr.splitlines()[1:]] == [["m", "1"]]


@pytest.mark.parametrize(
    ("program", "said"), [("import ollama", "no call was made to Ollama"), ("1", "neither ollama")]
)
def test_the_end_of_a_command_says_what_came_of_it(program, said):
    done = run(program, *COMMAND)
    assert done.returncode == 0
    assert said in done.stderr


def test_a_command_that_catches_an_error_keeps_its_status(ollama_server: ScriptedServer):
    ollama_server.on("GET", "/api/tags", Reply.error("model is busy", 500))
    done = run(
        """
        import ollama
        try:
            ollama.list()
        except ollama.ResponseError as error:
            print(error.status_code)
        """,
        *COMMAND,
        OLLAMA_HOST=ollama_server.url,
    )
    assert (done.returncode, done.stdout) == (0, "500\n")
    assert done.stderr == "metagpt-ollama: no call to Ollama named a model\n"


@pytest.mark.parametrize("status", [404, None])
def test_a_command_that_an_error_ends_shows_its_traceback(ollama_server: ScriptedServer, status: int | None):
    ollama_server.on("POST", "/api/show", Reply.error("no such model", 404))
    program = (
        "import ollama\nollama.show('m')" if status else "import ollama\nollama.chat('m', options={'num_ctxx': 1})"
    )
    done = run(program, *COMMAND, OLLAMA_HOST=ollama_server.url)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert "the run went on" not in done.stderr
    assert "the tracebacks are in" not in done.stderr


def test_without_the_option_a_command_keeps_the_real_one():
    command = [part for part in COMMAND if part != "--as-ollama"]
    assert run("import ollama; print(ollama.Client.__module__)", *command).stdout == "ollama._client\n"
