"""`metagpt-ollama tool batch` and `env`: of each action the exit code, stdout, stderr, and what becomes of files."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from metagpt_ollama_rs.testing import Reply


@pytest.fixture
def folder(tmp_path):
    """A folder with a text, one in GBK, and a binary file."""
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "a.txt").write_text("one two\n")
    (root / "sub" / "b.txt").write_bytes("变量 two\r\n".encode("gbk"))
    (root / "c.bin").write_bytes(b"two\0")
    return root


def contents(root):
    return {file.name: file.read_bytes() for file in root.rglob("*.*") if file.is_file()}


def test_batch_find(tool, folder):
    assert tool("batch", "find", folder) == (0, "a.txt\nc.bin\nsub/b.txt\n", "")
    assert tool("batch", "find", folder, "*.md") == (0, "", "")
    found = json.loads(tool("batch", "find", folder, "**/*.txt", "--json")[1])
    assert found == {"tool": "batch", "action": "find", "files": ["a.txt", "sub/b.txt"]}


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux alone")
def test_names_that_are_not_in_the_encoding_of_the_system_can_be_piped(folder):
    name = "变量.txt".encode("gbk")
    with open(os.path.join(os.fsencode(folder), name), "w") as file:
        file.write("中 two\n")
    command = [sys.executable, "-m", "metagpt_ollama_rs.cli", "tool", "batch"]
    for encoding, text in (("utf-8", "中".encode()), ("ascii", b"\\u4e2d")):
        variables = {**os.environ, "PYTHONIOENCODING": encoding}
        done = subprocess.run([*command, "find", folder, "*.txt"], env=variables, capture_output=True, check=True)
        assert sorted(done.stdout.splitlines()) == [b"a.txt", name]
        read = subprocess.run([*command, "read", folder, name], env=variables, capture_output=True, check=True)
        assert read.stdout == text + b" two\n"


def test_batch_read(tool, folder):
    assert tool("batch", "read", folder, "a.txt") == (0, "one two\n", "")
    assert tool("batch", "read", folder, "a.txt", "sub/b.txt")[1] == "== a.txt\none two\n\n== sub/b.txt\n变量 two\r\n"
    assert json.loads(tool("batch", "read", folder, "a.txt", "--json")[1])["files"] == [
        {"path": "a.txt", "text": "one two\n"}
    ]
    assert tool.failure("batch", "read", folder, "c.bin")["message"] == "c.bin: it is binary"
    assert tool("batch", "read", folder, "../a.txt")[0] == 1


def test_batch_replace_and_undo(tool, folder):
    before = contents(folder)
    code, out, err = tool("batch", "replace", folder, "*.txt", "two", "2")
    assert (code, contents(folder)) == (0, before)
    assert out.endswith("-one two\n+one 2\n")
    assert err == "1 file would be changed (+1 -1 lines). This is a dry run: nothing was written; --apply writes it.\n"
    code, _, err = tool("batch", "replace", folder, "[ac].*", "two", "2", "--apply")
    assert (code, contents(folder)["a.txt"]) == (0, b"one 2\n")
    assert err.splitlines()[0].endswith("`batch undo` puts them back.")
    assert err.splitlines()[1] == "left alone, it is binary: c.bin"
    assert tool("batch", "undo", folder)[0] == 0
    assert contents(folder) == before


def test_batch_diffs_have_colours_on_a_terminal(tool, folder, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    _, out, _ = tool("batch", "replace", folder, "*.txt", "two", "\x1b[2J")
    assert "\x1b[31m-one two\x1b[0m\n\x1b[32m+one \\x1b[2J\x1b[0m\n" in out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in tool("batch", "replace", folder, "*.txt", "two", "2")[1]


def test_batch_replace_as_json(tool, folder):
    report = json.loads(tool("batch", "replace", folder, "**/*", "t.o", "2", "--regex", "--json")[1])
    assert (report["applied"], report["batch"], report["looked_at"]) == (False, None, 3)
    assert [change["path"] for change in report["changes"]] == ["a.txt", "sub/b.txt"]
    assert report["problems"] == [{"path": "c.bin", "reason": "it is binary"}]
    report = json.loads(tool("batch", "replace", folder, "*.txt", "two", "2", "--apply", "--json")[1])
    assert (report["applied"], report["batch"]) == (True, 1)
    undone = json.loads(tool("batch", "undo", folder, "--json")[1])
    assert (undone["number"], undone["restored"]) == (1, ["a.txt"])


def test_batch_diffs_have_the_files_own_bytes(folder):
    command = [
        sys.executable,
        "-m",
        "metagpt_ollama_rs.cli",
        "tool",
        "batch",
        "replace",
        folder,
        "**/b.txt",
        "two",
        "2",
    ]
    done = subprocess.run(command, capture_output=True, timeout=50, check=True)
    assert "-变量 two\r\n+变量 2\r\n".encode("gbk") in done.stdout


def test_batch_undo_leaves_what_was_changed_later(tool, folder):
    tool("batch", "replace", folder, "*.txt", "two", "2", "--apply")
    (folder / "a.txt").write_text("later\n")
    code, out, _ = tool("batch", "undo", folder, "--batch", "1")
    assert code == 1
    assert "a.txt" in out
    assert (folder / "a.txt").read_text() == "later\n"
    assert tool("batch", "undo", folder, "--batch", "1", "--force")[0] == 0
    assert (folder / "a.txt").read_text() == "one two\n"


def test_batch_rename(tool, folder):
    code, out, err = tool("batch", "rename", folder, "*.txt", "{stem}.md", "--apply")
    assert code == 0
    assert "rename to a.md\n" in out
    assert "was renamed" in err
    assert (folder / "a.md").read_text() == "one two\n"
    assert tool("batch", "rename", folder, "*.md", "md", "txt", "--apply")[0] == 0
    (folder / "d.txt").write_text("")
    code, _, err = tool("batch", "rename", folder, "*.txt", "same.txt")
    assert code == 1
    assert "left alone" in err


def test_batch_apply(tool, folder, ollama_server):
    ollama_server.answer("```\none 2\n```")
    before = contents(folder)
    code, out, _ = tool("batch", "apply", folder, "*.txt", "write numbers as digits", "--option", "seed=1")
    assert (code, contents(folder)) == (0, before)
    assert out.endswith("-one two\n+one 2\n")
    body = tool.asked()
    assert "write numbers as digits" in body["prompt"]
    assert body["options"]["seed"] == 1
    assert tool("batch", "apply", folder, "*.txt", "write numbers as digits", "--apply")[0] == 0
    assert (folder / "a.txt").read_text() == "one 2\n"


def test_batch_apply_of_which_some_fail(tool, folder, ollama_server):
    (folder / "e.txt").write_text("other two\n")

    def answer(request):
        text = "" if "other two" in request.json()["prompt"] else "```\none 2\n```"
        return Reply.generate(text, stream=False)

    ollama_server.on("POST", "/api/generate", answer)
    code, out, err = tool("batch", "apply", folder, "*.txt", "write numbers as digits", "--apply")
    assert code == 1
    assert "+one 2" in out
    assert "e.txt" in err
    assert (folder / "e.txt").read_text() == "other two\n"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["find", "absent"], 1),
        (["find", ".", "../*"], 1),
        (["replace", ".", "*", "(", "x", "--regex"], 1),
        (["replace", ".", "*", "", "x"], 1),
        (["replace", ".", "*"], 2),
        (["rename", ".", "*", "{nothing}"], 1),
        (["undo", ".", "--batch", "0"], 2),
        (["replace", ".", "*", "a", "b", "--app"], 2),
        ([], 2),
    ],
)
def test_batch_refuses(tool, folder, monkeypatch, arguments, code):
    monkeypatch.chdir(folder)
    outcome = tool("batch", *arguments)
    assert (outcome[0], outcome[1]) == (code, "")
    assert tool.failure("batch", *arguments)["exit_code"] == code
    assert "a.txt" in contents(folder)


def test_env_describe(tool, ollama_server):
    loaded = {"name": "m:latest", "model": "m:latest", "size": 7, "size_vram": 7, "expires_at": "2030-01-02T03:04:05Z"}
    ollama_server.on("GET", "/api/ps", Reply.json({"models": [loaded]}))
    code, out, err = tool("env", "describe", "--host", ollama_server.url)
    assert (code, err) == (0, "")
    assert "Python interpreters\n" in out
    assert ollama_server.url in out
    report = json.loads(tool("env", "describe", "--json")[1])
    assert (report["tool"], report["action"]) == ("env", "describe")
    assert report["ollama"]["loaded"][0]["expires_at"].startswith("2030-01-02")
    assert any("running" in each["sources"] for each in report["interpreters"])


def test_env_list_and_check(tool):
    code, out, err = tool("env", "list")
    assert (code, err) == (0, "")
    assert "metagpt-ollama-rs" in out
    assert json.loads(tool("env", "list", "current", "--json")[1])["environment"]["packages"]
    code, out, _ = tool("env", "check", "current", "metagpt-ollama-rs>999")
    assert code == 1
    assert "too old" in out
    report = json.loads(tool("env", "check", "current", "metagpt-ollama-rs>999", "--json")[1])
    assert (report["ok"], report["requirements"][0]["status"]) == (False, "too old")


def test_env_reads_a_file_of_requirements(tool, tmp_path):
    file = tmp_path / "needs.txt"
    file.write_text("metagpt-ollama-rs>999  # comment\n")
    assert "too old" in tool("env", "check", "current", "-r", file)[1]
    assert tool("env", "check", "current")[0] == 2
    assert tool("env", "check", "current", "six", "-r", file)[0] == 2
    assert tool.failure("env", "check", "current", "-r", tmp_path / "absent")["exit_code"] == 1


def test_env_create_and_install(tool, tmp_path):
    folder = tmp_path / "made"
    code, out, err = tool("env", "create", folder)
    assert (code, err) == (0, "")
    assert str(folder) in out
    assert (folder / "pyvenv.cfg").is_file()
    # Nothing is asked of a package index for these.
    error = tool.failure("env", "install", folder, "six @ https://example.com/six.whl")
    assert (error["exit_code"], error["hint"]) == (1, "--allow-urls allows it")
    assert tool("env", "install", folder, "--index-url=https://example.com", "--apply")[0] == 2
    file = tmp_path / "needs.txt"
    file.write_text("--pre\n")
    assert tool.failure("env", "install", folder, "-r", file)["hint"] == "--allow-option=--pre allows it"
    outcome = tool("env", "install", "current", "metagpt-ollama-rs", "--apply")
    assert (outcome[0], outcome[1]) == (1, "")
    assert "--allow-current" in outcome[2]


def test_env_of_what_is_none(tool, tmp_path):
    assert tool.failure("env", "list", tmp_path / "absent")["exit_code"] == 1
    assert tool("env", "create", tmp_path)[0] in (0, 1)
    assert tool("env")[0] == 2
