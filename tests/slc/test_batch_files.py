"""What `BatchFileTool` finds, shows and writes: patterns, diffs that programs take, encodings, line ends."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from metagpt_ollama_rs import ConfigurationError
from metagpt_ollama_rs.slc import BatchFileTool
from metagpt_ollama_rs.slc.batch_files import BatchPlan
from metagpt_ollama_rs.slc.files.file_diffs import content_diff
from metagpt_ollama_rs.slc.files.file_texts import NotTextError, read_text

STATE = ".metagpt-ollama"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


def write(root: Path, files: dict[str, str | bytes]) -> BatchFileTool:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return BatchFileTool(root)


def tree(root: Path) -> dict[str, bytes]:
    """What is in the files below ``root``, apart from the journal's and git's."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not {STATE, ".git"} & set(path.relative_to(root).parts)
    }


# --- find and read ---


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.py", ["a.py", "b.py"]),
        ("**/*.py", ["a.py", "b.py", "lib/c.py", "lib/deep/d.py"]),
        ("lib/*.py", ["lib/c.py"]),
        ("lib/**", ["lib/c.py", "lib/deep/d.py", "lib/x.txt"]),
        ("**/deep/**/*.py", ["lib/deep/d.py"]),
        ("**/**/d.py", ["lib/deep/d.py"]),
        ("l?b/[cx].*", ["lib/c.py", "lib/x.txt"]),
        ("[!a].py", ["b.py"]),
        ("*.{py,txt}", []),
        ("./lib//c.py", ["lib/c.py"]),
        ("lib", []),
        ("*", ["[1].md", "a.py", "b.py"]),
        ("[[]1].md", ["[1].md"]),
        ("[1].md", ["[1].md"]),
        (".ci/*", [".ci/run.py"]),
        ("**/.hidden.py", [".hidden.py"]),
        ("A.py", []),
    ],
)
def test_patterns(root, pattern, found):
    names = ["a.py", "b.py", "lib/c.py", "lib/deep/d.py", "lib/x.txt", "[1].md", ".hidden.py", ".ci/run.py"]
    assert write(root, dict.fromkeys(names, "")).find(pattern) == found


def test_hidden_files_are_found_when_asked_for_and_gits_never(root):
    write(root, {".a.py": "", ".ci/b.py": "", ".git/c.py": "", "lib/.git/d.py": "", f"{STATE}/e.py": ""})
    assert BatchFileTool(root).find("**/*") == []
    assert BatchFileTool(root, hidden=True).find("**/*") == [".a.py", ".ci/b.py"]
    assert BatchFileTool(root).find(".git/*") == []
    assert BatchFileTool(root).find(f"{STATE}/*") == []


def test_what_gitignore_names_is_left_out(root):
    tool = write(
        root,
        {
            ".gitignore": "*.log\n/build/\nlib/*.tmp\n",
            "lib/.gitignore": "!keep.log\n",
            "a.log": "", "a.py": "", "build/b.py": "", "lib/build/c.py": "", "lib/keep.log": "", "lib/x.tmp": "",
            "lib/deep/keep.log": "", "lib/deep/.gitignore": "*.py\n", "lib/deep/d.py": "",
        },
    )  # fmt: skip
    assert tool.find("**/*") == ["a.py", "lib/build/c.py", "lib/deep/keep.log", "lib/keep.log"]
    subprocess.run(["git", "init", "-q", root], check=True)
    listed = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard"], cwd=root, capture_output=True, text=True, check=True
    )
    assert sorted(name for name in listed.stdout.split() if ".gitignore" not in name) == tool.find("**/*")
    assert "a.log" in BatchFileTool(root, ignored=True).find("**/*")


def test_the_gitignore_of_a_folder_above_counts_within_its_repository(tmp_path):
    write(tmp_path, {".gitignore": "*.log\n", "root/a.log": "", "root/b.txt": ""})
    assert BatchFileTool(tmp_path / "root").find("**/*") == ["a.log", "b.txt"]
    (tmp_path / ".git").mkdir()
    assert BatchFileTool(tmp_path / "root").find("**/*") == ["b.txt"]


@pytest.mark.parametrize("kind", ["fifo", "folder", "link", "large"])
def test_a_gitignore_that_is_no_file_says_nothing(root, tmp_path, kind):
    tool = write(root, {"a.txt": ""})
    path = root / ".gitignore"
    (tmp_path / "rules").write_text("a.txt\n")
    make = {
        "fifo": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "link": lambda: path.symlink_to(tmp_path / "rules"),
        "large": lambda: path.write_text("a.txt\n" * 300_000),
    }
    make[kind]()
    assert tool.find("*.txt") == ["a.txt"]


def test_names_of_any_kind(root):
    names = ["空 格.txt", 'quo"te.txt', "new\nline.txt", os.fsdecode(b"\xff.txt"), "back\\slash.txt", "-dash.txt"]
    tool = write(root, dict.fromkeys(names, "old\n"))
    assert tool.find("*.txt") == sorted(names)
    assert tool.read(os.fsdecode(b"\xff.txt")) == "old\n"
    plan = tool.plan_replace("*.txt", "old", "new")
    str(plan).encode()
    subprocess.run(["git", "apply", "-"], input=plan.diff.encode(), cwd=root, check=True)
    assert set(tree(root).values()) == {b"new\n"}


def test_reading(root):
    tool = write(root, {"a.txt": "一\r\n二", "g.txt": "中文".encode("gbk"), "b.bin": b"\0\1"})
    assert tool.read("a.txt") == "一\r\n二"
    assert tool.read("./g.txt") == "中文"
    with pytest.raises(NotTextError, match=r"b\.bin: it is binary"):
        tool.read("b.bin")
    with pytest.raises(FileNotFoundError):
        tool.read("no.txt")
    with pytest.raises(PermissionError, match="it has more than 3 bytes"):
        BatchFileTool(root, max_bytes=3).read("a.txt")


# --- replace ---


def test_a_dry_run_writes_nothing_and_shows_a_diff(root):
    tool = write(root, {"a.py": "import old\nold()\n", "b.py": "x\n"})
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert tool.replace("**/*.py", "old", "new") == (
        "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n"
        "-import old\n-old()\n+import new\n+new()\n\n"
        "1 file would be changed (+2 -2 lines). This is a dry run: nothing was written; apply=True writes it."
    )
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_applying_shows_the_same_diff_and_writes_it(root):
    tool = write(root, {"a.py": "import old\nold()\n", "b.py": "x\n"})
    plan = tool.plan_replace("**/*.py", "old", "new")
    text = tool.replace("**/*.py", "old", "new", apply=True)
    assert text == plan.diff + "\n1 file was changed (+2 -2 lines), as batch 1; undo() puts them back."
    assert tree(root) == {"a.py": b"import new\nnew()\n", "b.py": b"x\n"}
    assert tool.replace("**/*.py", "old", "new", apply=True) == "Nothing is changed in 2 files."
    assert tool.replace("*.rs", "old", "new", apply=True) == "No file matches the pattern."


@pytest.mark.parametrize("edited", ["OLD", "", "older", "old" * 1000])
def test_a_file_that_changes_after_it_was_shown_is_left_alone_and_named(root, edited):
    tool = write(root, {"a.txt": "old", "b.txt": "old"})
    plan = tool.plan_replace("*.txt", "old", "new")
    (root / "a.txt").write_text(edited)
    report = plan.apply()
    assert tree(root) == {"a.txt": edited.encode(), "b.txt": b"new"}
    assert [change.path for change in report.changes] == ["b.txt"]
    assert str(report).endswith("left alone, it was changed after it was read: a.txt")
    assert tool.undo() == "Batch 1 (replace) is undone: 1 file is as before."


@pytest.mark.parametrize("change", ["deleted", "folder", "link"])
def test_a_file_that_is_no_file_any_more_is_left_alone_and_named(root, change):
    plan = write(root, {"a.txt": "old"}).plan_replace("*.txt", "old", "new")
    (root / "a.txt").unlink()
    if change == "folder":
        (root / "a.txt").mkdir()
    if change == "link":
        (root / "a.txt").symlink_to("elsewhere")
    report = plan.apply()
    assert (report.number, report.changes) == (None, ())
    assert [problem.path for problem in report.problems] == ["a.txt"]
    assert not (root / STATE).exists()


DIFFS = {
    "plain": (b"a\nold\nb\n", b"a\nnew\nb\n"),
    "no final newline": (b"a\nold", b"a\nnew"),
    "final newline added": (b"a\nold", b"a\nnew\n"),
    "final newline gone": (b"a\nold\n", b"a\nnew"),
    "emptied": (b"old\n", b""),
    "filled": (b"", b"new\nand more"),
    "CRLF": (b"a\r\nold\r\nb\r\n", b"a\r\nnew\r\nb\r\n"),
    "mixed": (b"a\nold\r\nb\rc\nold", b"a\nnew\r\nb\rc\nnew"),
    "form feed": (b"a\x0cold\x0bb\x1c\n\xc2\x85old\n", b"a\x0cnew\x0bb\x1c\n\xc2\x85new\n"),
    "looks like a diff": (b"--- a/x\n+++ old\n@@ -1 +1 @@\n", b"--- a/x\n+++ new\n@@ -1 +1 @@\n"),
    "far apart": (b"old\n" + b"x\n" * 50 + b"old\n", b"new\n" + b"x\n" * 50 + b"new\n"),
    "GBK": ("中文\nold\n".encode("gbk"), "中文\nnew\n".encode("gbk")),
    "UTF-16": ("中\nold\n".encode("utf-16"), "中\nnew\n".encode("utf-16")),
    "BOM": (b"\xef\xbb\xbfold\n", b"\xef\xbb\xbfnew\n"),
}


@pytest.mark.parametrize("program", [["git", "apply", "-"], ["patch", "-p1", "--binary", "-s"]], ids=["git", "patch"])
@pytest.mark.parametrize("case", DIFFS)
def test_real_programs_take_the_patch(root, tmp_path, program, case):
    if shutil.which(program[0]) is None:
        pytest.skip(f"{program[0]} is not installed")
    before, after = DIFFS[case]
    write(root, {"lib/a b.txt": before})

    patch = content_diff("lib/a b.txt", before, after)
    subprocess.run(program, input=patch, cwd=root, check=True, capture_output=True)
    assert tree(root).get("lib/a b.txt", b"") == after


def test_the_whole_text_of_a_dry_run_is_a_patch_of_many_files(root):
    tool = write(root, {"a.txt": "old\n", "b b.txt": "x\r\nold", "lib/c.py": "old = '中文'\n", "d.txt": "none"})
    text = tool.replace("**/*", "old", "new")
    copy = root.with_name("copy")
    shutil.copytree(root, copy)
    subprocess.run(["git", "apply", "-"], input=text.encode(), cwd=root, check=True)
    subprocess.run(["patch", "-p1", "--binary", "-s"], input=text.encode(), cwd=copy, check=True)
    assert tree(root) == tree(copy)
    assert tree(root)["lib/c.py"] == "new = '中文'\n".encode()


def test_the_patch_of_files_in_other_encodings_is_of_bytes(root):
    tool = write(root, {"g.txt": "中文 old".encode("gbk"), "u.txt": "中文 old".encode("utf-16")})
    plan = tool.plan_replace("*", "old", "new")
    assert plan.diff.count("+中文 new") == 2
    subprocess.run(["git", "apply", "-"], input=plan.patch, cwd=root, check=True)
    assert tree(root) == {"g.txt": "中文 new".encode("gbk"), "u.txt": "中文 new".encode("utf-16")}


ENCODED = {
    "utf-8": "中文 old\r\nold".encode(),
    "utf-8 with a mark": b"\xef\xbb\xbf" + "中文 old".encode(),
    "utf-16-le": b"\xff\xfe" + "中文 old 😀".encode("utf-16-le"),
    "utf-16-be": b"\xfe\xff" + "中文 old\r\n".encode("utf-16-be"),
    "utf-32": "中文 old".encode("utf-32"),
    "gbk": "中文 old\r\n".encode("gbk"),
    "gb18030": "中文字 old 😀".encode("gb18030"),
}


@pytest.mark.parametrize("name", ENCODED)
def test_the_encoding_is_kept(root, name):
    data = ENCODED[name]
    tool = write(root, {"a.txt": data})
    tool.replace("a.txt", "old", "新new", apply=True)
    found = read_text(data)
    assert tree(root)["a.txt"] == found.mark + found.text.replace("old", "新new").encode(found.encoding)
    tool.undo()
    assert tree(root) == {"a.txt": data}


def test_the_encoding_that_a_python_file_names_is_kept(root):
    data = "# -*- coding: latin-1 -*-\nx = 'é old'\n".encode("latin-1")
    tool = write(root, {"a.py": data, "b.py": b"# coding: rot13\n\xff old\n"})
    text = tool.replace("*.py", "é old", "è", apply=True)
    assert tree(root)["a.py"] == "# -*- coding: latin-1 -*-\nx = 'è'\n".encode("latin-1")
    assert text.endswith("left alone, its encoding is not known: b.py")


LEFT_ALONE = {
    "it is binary": b"old\0",
    "its encoding is not known": "été old à la".encode("latin-1"),
}


@pytest.mark.parametrize("reason", LEFT_ALONE)
def test_a_file_that_is_no_text_is_left_alone_and_named(root, reason):
    tool = write(root, {"a.txt": LEFT_ALONE[reason], "b.txt": "old"})
    text = tool.replace("*", "old", "new", apply=True)
    assert text.endswith(f"left alone, {reason}: a.txt")
    assert tree(root) == {"a.txt": LEFT_ALONE[reason], "b.txt": b"new"}


def test_an_encoding_that_the_user_says(root):
    write(root, {"a.txt": "été old".encode("cp1252"), "b.txt": "été old"})
    tool = BatchFileTool(root, encoding="cp1252")
    tool.replace("*", "été", "hiver…", apply=True)
    assert tree(root) == {"a.txt": "hiver… old".encode("cp1252"), "b.txt": "hiver… old".encode()}
    with pytest.raises(ConfigurationError, match="Python has none of the name 'no-such'"):
        BatchFileTool(root, encoding="no-such")
    with pytest.raises(ConfigurationError, match="Python has none of the name 'rot13'"):
        BatchFileTool(root, encoding="rot13")


def test_what_the_encoding_does_not_have_is_not_written(root):
    data = "中文 old".encode("gbk")
    text = write(root, {"a.txt": data}).replace("*", "old", "😀", apply=True)
    assert text.endswith("left alone, its encoding gbk has no '😀': a.txt")
    assert tree(root) == {"a.txt": data}


@pytest.mark.parametrize(
    ("before", "old", "new", "after"),
    [
        (b"a\r\nold\r\nb", "old", "x\ny", b"a\r\nx\r\ny\r\nb"),
        (b"a\r\nold\nb\r\n", "old\nb", "new\nb", b"a\r\nnew\nb\r\n"),
        (b"a\nold\r\nb\n", "a\nold", "new", b"new\r\nb\n"),
        (b"a\rold\rb", "a\nold", "x\ny", b"x\ry\rb"),
        (b"a\r\nb\r\n", "\r\n", "\n", b"a\nb\n"),
        (b"a\nb\n", "\n", "\r\n", b"a\r\nb\r\n"),
        (b"a\r\nb\n", "a\r\n", "c\r\n", b"c\r\nb\n"),
        (b"old\n\n\nold", "old", "", b"\n\n\n"),
    ],
)
def test_line_ends_are_kept(root, before, old, new, after):
    tool = write(root, {"a.txt": before})
    tool.replace("a.txt", old, new, apply=True)
    assert tree(root)["a.txt"] == after
    tool.undo()
    assert tree(root)["a.txt"] == before


@pytest.mark.parametrize("mode", [0o600, 0o755, 0o640, 0o666, 0o4755])
def test_mode_owner_and_attributes_are_kept(root, mode):
    tool = write(root, {"a.sh": "old"})
    path = root / "a.sh"
    if os.geteuid() == 0:
        os.chown(path, 12345, 54321)
    path.chmod(mode)
    attributes = {}
    if hasattr(os, "setxattr"):
        try:
            os.setxattr(path, "user.note", b"kept")
            attributes = {"user.note": b"kept"}
        except OSError:
            pass  # a file system without attributes
    before = path.stat()
    for change in (lambda: tool.replace("a.sh", "old", "new", apply=True), tool.undo):
        change()
        now = path.stat()
        assert (now.st_mode, now.st_uid, now.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
        assert attributes == {name: os.getxattr(path, name) for name in attributes}


def test_a_read_only_file_is_left_alone_and_named(root):
    tool = write(root, {"a.txt": "old"})
    (root / "a.txt").chmod(0o444)
    assert "left alone, it is read-only: a.txt" in tool.replace("*", "old", "new", apply=True)
    assert tree(root) == {"a.txt": b"old"}


def test_a_large_file_is_left_alone_and_named(root):
    write(root, {"a.txt": "old" * 10, "b.txt": "old"})
    text = BatchFileTool(root, max_bytes=10).replace("*", "old", "new")
    assert text.endswith("left alone, it has more than 10 bytes: a.txt")


def test_literal_text_is_literal(root):
    tool = write(root, {"a.txt": "a.b $1 (x) \\1\n"})
    tool.replace("a.txt", "a.b $1 (x)", r"\1 $2 {0}", apply=True)
    assert tree(root) == {"a.txt": b"\\1 $2 {0} \\1\n"}


# --- regular expressions ---


@pytest.mark.parametrize(
    ("before", "pattern", "new", "after"),
    [
        ("get_x get_y", r"get_(\w)", r"\1_of", "x_of y_of"),
        ("a-b", r"(?P<l>\w)-(?P<r>\w)", r"\g<r>-\g<l>", "b-a"),
        ("one\ntwo\n", r"^(\w+)$", r"<\1>", "<one>\n<two>\n"),
        ("one\r\ntwo\r\n", r"$", ";", "one;\r\ntwo;\r\n;"),
        ("one\r\ntwo\r\n", r"(\w+)\n(\w+)", r"\2\n\1", "two\r\none\r\n"),
        ("a  \nb\t\r\n", r"[ \t]+$", "", "a\nb\r\n"),
        ("a\r\nb\n", r"\r\n", r"\n", "a\nb\n"),
        ("OLD old", r"(?i)old", "new", "new new"),
        ("a1", r"(\d)", r"\g<1>0", "a10"),
    ],
)
def test_regular_expressions(root, before, pattern, new, after):
    tool = write(root, {"a.txt": before})
    tool.replace("a.txt", pattern, new, regex=True, apply=True)
    assert tree(root)["a.txt"] == after.encode()


@pytest.mark.parametrize(
    ("pattern", "new", "message"),
    [
        ("(a", "", r"the regular expression \(a is not valid: .*position 0"),
        ("*", "", "the regular expression .* is not valid: nothing to repeat"),
        ("a", r"\1", "the replacement .* is not valid: invalid group reference 1"),
        ("(a)", r"\g<b>", "the replacement .* is not valid: unknown group name 'b'"),
        ("a", r"\q", "the replacement .* is not valid: bad escape"),
        ("", "x", "the text to replace is empty"),
    ],
)
def test_a_wrong_regular_expression_is_a_clear_error(root, pattern, new, message):
    tool = write(root, {"a.txt": "nothing that would match: z"})
    with pytest.raises(ConfigurationError, match=message):
        tool.replace("*", pattern, new, regex=True, apply=True)


def test_dollar_is_no_group(root):
    text = write(root, {"a.txt": "old"}).replace("*", "(old)", "$1", regex=True)
    assert "+$1" in text
    assert r"note: $ is written as it stands; \1 is a group" in text
    assert "note:" not in BatchFileTool(root).replace("*", "old", "$1")


def test_a_pattern_that_takes_for_ever_is_stopped_and_the_file_named(root):
    write(root, {"a.txt": "fine\n", "b.txt": "a" * 60 + "b"})
    with pytest.raises(
        ConfigurationError, match=r"b\.txt: the regular expression .* took longer than 0\.5 seconds"
    ) as error:
        BatchFileTool(root, regex_seconds=0.5).replace("*", r"(a+)+$", "x", regex=True, apply=True)
    assert isinstance(error.value, TimeoutError)
    assert tree(root)["a.txt"] == b"fine\n"


def test_ctrl_c_stops_a_pattern_that_takes_for_ever(root):
    write(root, {"b.txt": "a" * 60 + "b"})
    program = (
        "import sys; from metagpt_ollama_rs.slc import BatchFileTool\n"
        "tool = BatchFileTool(sys.argv[1], regex_seconds=50)\n"
        "print('ready', flush=True)\n"
        "try: tool.replace('*', '(a+)+$', 'x', regex=True)\n"
        "except KeyboardInterrupt: print('interrupted', flush=True)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(root)],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    # It is in its system call when it has a child.
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while children.exists() and not children.read_text().strip():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[0] == "interrupted\n"


# --- rename ---


@pytest.mark.parametrize(
    ("pattern", "arguments", "names"),
    [
        ("a.txt", ("z.txt",), ["b.txt", "lib/c.txt", "z.txt"]),
        ("lib/c.txt", ("z.txt",), ["a.txt", "b.txt", "lib/z.txt"]),
        ("lib/c.txt", ("lib/z.txt",), ["a.txt", "b.txt", "lib/z.txt"]),
        ("a.txt", ("lib/{name}",), ["b.txt", "lib/a.txt", "lib/c.txt"]),
        ("**/*.txt", ("{stem}.md",), ["a.md", "b.md", "lib/c.md"]),
        ("**/*.txt", ("{folder}/x-{name}",), ["lib/x-c.txt", "x-a.txt", "x-b.txt"]),
        ("*.txt", ("{number:03}{suffix}",), ["001.txt", "002.txt", "lib/c.txt"]),
        ("**/*.txt", (".txt", ".rst"), ["a.rst", "b.rst", "lib/c.rst"]),
        ("a.txt", ("A.txt",), ["A.txt", "b.txt", "lib/c.txt"]),
        ("*.txt", ("{{{stem}}}{suffix}",), ["lib/c.txt", "{a}.txt", "{b}.txt"]),
    ],
)
def test_renaming(root, pattern, arguments, names):
    files = {"a.txt": "a", "b.txt": "b", "lib/c.txt": "c"}
    tool = write(root, files)
    before = tree(root)
    plan = tool.plan_rename(pattern, *arguments)
    assert isinstance(plan, BatchPlan)
    text = tool.rename(pattern, *arguments)
    assert text.startswith("diff --git ")
    assert "This is a dry run" in text
    assert tree(root) == before
    assert tool.rename(pattern, *arguments, apply=True).startswith(plan.diff)
    assert sorted(tree(root)) == names
    tool.undo()
    assert tree(root) == before
    subprocess.run(["git", "apply", "-"], input=text.encode(), cwd=root, check=True)
    assert sorted(tree(root)) == names


def test_renaming_by_a_regular_expression(root):
    tool = write(root, {"IMG_1.jpg": b"\0\1", "IMG_22.jpg": b"\0\2"})
    tool.rename("*.jpg", r"^IMG_(\d+)", r"photo-\1", regex=True, apply=True)
    assert tree(root) == {"photo-1.jpg": b"\0\1", "photo-22.jpg": b"\0\2"}


def test_chains_and_cycles_of_names(root):
    """10.txt gets the name of 2.txt, that one the name of 4.txt, … and 8.txt the name of 10.txt."""
    tool = write(root, {f"{number}.txt": str(number) for number in range(1, 12)})
    before = tree(root)
    text = tool.rename("*.txt", "{number}.txt", apply=True)
    wanted = {f"{number}.txt": name.removesuffix(".txt").encode() for number, name in enumerate(sorted(before), 1)}
    assert tree(root) == wanted
    assert "10 files were renamed" in text
    tool.undo()
    assert tree(root) == before
    subprocess.run(["git", "apply", "-"], input=text.encode(), cwd=root, check=True)
    assert tree(root) == wanted


@pytest.mark.parametrize(
    ("pattern", "arguments", "reason"),
    [
        ("a.txt", ("b.txt",), "b.txt is there already: a.txt"),
        ("[ab].txt", ("z.txt",), "2 files would get the name z.txt: a.txt, b.txt"),
        ("a.txt", ("a", ""), ""),
        ("a.txt", ("no/such/{name}",), "there is no folder no/such: a.txt"),
        ("a.txt", ("link",), "link is there already: a.txt"),
        ("a.txt", ("lib",), "lib is there already: a.txt"),
        ("a.txt", ("../x",), "it leads out of the root: a.txt"),
        ("a.txt", ("x" * 300,), "File name too long: a.txt"),
    ],
)
def test_no_file_is_replaced_by_another(root, pattern, arguments, reason):
    tool = write(root, {"a.txt": "a", "b.txt": "b", "lib/c.txt": "c"})
    (root / "link").symlink_to("nowhere")
    before = tree(root)
    text = tool.rename(pattern, *arguments, apply=True)
    if reason:
        assert text.endswith(f"left alone, {reason}")
        assert tree(root) == before
    else:
        assert sorted(tree(root)) == [".txt", "b.txt", "lib/c.txt"]


def test_a_name_that_stays_taken_holds_up_those_that_wait_for_it(root):
    tool = write(root, {"a.txt": "1", "aa.txt": "2", "aaa.txt": "3", "aaaa.txt": "4"})
    (root / "aaa.txt").chmod(0o444)
    text = tool.rename("*.txt", "^a", "aa", regex=True, apply=True)
    assert sorted(tree(root)) == ["a.txt", "aa.txt", "aaa.txt", "aaaaa.txt"]
    assert "left alone, it is read-only: aaa.txt" in text
    assert "left alone, aaa.txt is there already: aa.txt" in text
    assert "left alone, aa.txt is there already: a.txt" in text


def test_a_name_that_is_taken_after_it_was_shown_is_not_overwritten(root):
    tool = write(root, {"a.txt": "a", "b.txt": "b"})
    plan = tool.plan_rename("*.txt", "{stem}.md")
    (root / "b.md").write_text("mine")
    with pytest.raises(OSError, match=r"nothing was written: b\.txt cannot become b\.md: File exists"):
        plan.apply()
    assert tree(root) == {"a.txt": b"a", "b.txt": b"b", "b.md": b"mine"}


def test_a_file_system_without_links(root, monkeypatch):
    def no_links(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    tool = write(root, {"a.txt": "a", "b.txt": "b"})
    plan = tool.plan_rename("a.txt", "c.txt")
    plan.apply()
    assert tree(root) == {"c.txt": b"a", "b.txt": b"b"}
    plan = tool.plan_rename("c.txt", "d.txt")
    (root / "d.txt").write_text("mine")
    with pytest.raises(OSError, match="nothing was written"):
        plan.apply()
    assert tree(root) == {"b.txt": b"b", "c.txt": b"a", "d.txt": b"mine"}


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{nme}.txt", "has the field 'nme'"),
        ("{}.txt", "has the field ''"),
        ("{stem.__class__}", "has the field 'stem.__class__'"),
        ("{stem", "is not valid: expected '}'"),
        ("{number:q}", "is not valid: Unknown format code 'q'"),
    ],
)
def test_a_wrong_template_is_a_clear_error(root, template, message):
    tool = write(root, {"a.txt": "a"})
    with pytest.raises(ConfigurationError, match=message) as error:
        tool.rename("*", template)
    assert "{name}, {stem}" in error.value.hint


def test_the_structured_form(root):
    tool = write(root, {"a.txt": "old\n", "b.bin": b"\0"})
    plan = tool.plan_replace("*", "old", "new")
    assert [(change.path, change.before, change.after) for change in plan.changes] == [("a.txt", b"old\n", b"new\n")]
    assert [(problem.path, problem.reason) for problem in plan.problems] == [("b.bin", "it is binary")]
    assert (plan.action, plan.number, plan.looked_at) == ("replace", None, 2)
    report = plan.apply()
    assert (report.number, report.diff, report.patch) == (1, plan.diff, plan.diff.encode())
    again = plan.apply()
    assert (again.number, [problem.reason for problem in again.problems][-1]) == (
        None,
        "it was changed after it was read",
    )


def test_line_ends_of_random_texts_are_kept(root):
    """What is replaced has no line ends here, so each line end of the file must be what it was."""
    draw = random.Random(3)
    for _ in range(200):
        before = "".join(draw.choice(["old", "x", "a b", "\n", "\r\n", "\r", ""]) for _ in range(draw.randrange(12)))
        after = re.sub(r"old", "n", before)
        assert read_text(before.encode()).encode(read_text(after.encode()).lines) == after.encode(), before


def test_a_diff_of_large_files_takes_no_time_that_grows_with_its_square(root):
    before = b"".join(b"line %d of old\nsame\n" % number for number in range(6_000))
    write(root, {"same_count.txt": before, "other_count.txt": before})
    tool = BatchFileTool(root)
    copy = root.with_name("copy")
    shutil.copytree(root, copy)
    for name, new in (("same_count.txt", "new"), ("other_count.txt", "new\nline")):
        plan = tool.plan_replace(name, "old", new)
        subprocess.run(["git", "apply", "-"], input=plan.patch, cwd=copy, check=True)
        plan.apply()
    assert tree(root) == tree(copy)


def test_diffs_of_random_texts_lead_from_one_to_the_other(root, monkeypatch):
    """With all three ways to compare lines; the diffs are read by a program that others wrote."""
    draw = random.Random(5)
    pairs = [
        tuple(
            "".join(draw.choice(["a\n", "b\n", "c\n", "d\r\n", "e"]) for _ in range(draw.randrange(14))) for _ in "12"
        )
        for _ in range(60)
    ]
    for most in (4_000_000, 0):
        monkeypatch.setattr("metagpt_ollama_rs.slc.files.file_diffs._MOST_PAIRS", most)
        write(root, {f"{index}.txt": old for index, (old, _) in enumerate(pairs)})
        diffs = [content_diff(f"{index}.txt", old.encode(), new.encode()) for index, (old, new) in enumerate(pairs)]
        subprocess.run(["git", "apply", "-"], input=b"".join(diffs), cwd=root, check=True)
        for index, (_, new) in enumerate(pairs):
            assert tree(root).get(f"{index}.txt", b"") == new.encode()


def test_without_pathspec_only_a_gitignore_is_an_error(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "pathspec", None)
    tool = write(root, {"a.txt": "old"})
    assert tool.find("*") == ["a.txt"]
    write(root, {".gitignore": "*.log\n"})
    with pytest.raises(ImportError, match="This needs the library pathspec") as error:
        tool.replace("*", "old", "new", apply=True)
    assert error.value.hint == "pip install 'metagpt-ollama-rs[slc]'"
    assert BatchFileTool(root, ignored=True).find("*") == ["a.txt"]
