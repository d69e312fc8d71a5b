"""What git ignores is ignored: compared with git itself, on trees and patterns made by chance and by hand."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from metagpt_ollama_rs.slc.files.git_ignores import GitIgnores

from .tool_requests import plant

pytest.importorskip("pathspec")
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="compares with git")

NAMES = ["a", "b", "c.py", "d.log", "build", "keep.log", "x y"]
PATTERNS = [
    "*.log",
    "!keep.log",
    "build/",
    "/build",
    "build",
    "a/*",
    "!a/b/",
    "!a/c.py",
    "/a/b",
    "**/b",
    "a/**/c.py",
    "*",
    "!*/",
    "!*.py",
    "[ab]",
    "x\\ y",
    "# nothing",
    "!",
    "  ",
    "d.log  ",
    "a/**",
    "!/a",
    "?",
]


def git(root: Path, *arguments: str) -> str:
    command = ["git", "-c", "core.excludesFile=", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def seen_by_us(root: Path) -> set[str]:
    """The files below `root` that are not ignored, as whoever walks asks for them."""
    rules, found, pending = GitIgnores(root), set(), [()]
    while pending:
        parts = pending.pop()
        rules.enter(parts)
        for path in root.joinpath(*parts).iterdir():
            inner = (*parts, path.name)
            if path.name != ".git" and not rules.ignores(inner, is_folder=path.is_dir()):
                if path.is_dir():
                    pending.append(inner)
                else:
                    found.add("/".join(inner))
    return found


def seen_by_git(root: Path) -> set[str]:
    return set(git(root, "ls-files", "-z", "--others", "--exclude-standard").split("\0")) - {""}


@needs_git
@pytest.mark.parametrize("seed", range(40))
def test_trees_made_by_chance_are_read_as_git_reads_them(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    git(tmp_path, "init", "--quiet")
    folders = ["", "a", "b", "a/b", "build", "a/build", "a/b/a", "x y"]
    files = {f"{folder}/{name}".lstrip("/"): "" for folder in folders for name in NAMES}
    # A name is a file or a folder.
    files = {path: "" for path in files if not any(other.startswith(f"{path}/") for other in files)}
    for folder in chance.sample(folders, 3):
        lines = chance.choices(PATTERNS, k=chance.randrange(1, 6))
        files[f"{folder}/.gitignore".lstrip("/")] = chance.choice(["\n", "\r\n"]).join(lines) + "\n"
    plant(tmp_path, files)
    plant(tmp_path, {".git/info/exclude": "\n".join(chance.choices(PATTERNS, k=2))})
    assert seen_by_us(tmp_path) == seen_by_git(tmp_path)


@needs_git
def test_what_stands_above_the_root_and_in_the_repository_counts(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    plant(
        tmp_path,
        {
            ".gitignore": "*.log\n/sub/top.py\n",
            ".git/info/exclude": "secret.py\n",
            "sub/.gitignore": "!keep.log\n",
            **{f"sub/{name}": "" for name in ("top.py", "secret.py", "keep.log", "other.log", "main.py", "in/top.py")},
        },
    )
    assert seen_by_us(tmp_path / "sub") == {".gitignore", "keep.log", "main.py", "in/top.py"}


@needs_git
def test_a_worktree_has_the_exclude_file_of_its_repository(tmp_path: Path) -> None:
    main = tmp_path / "main"
    main.mkdir()
    git(main, "init", "--quiet")
    git(main, "-c", "user.name=n", "-c", "user.email=e@e", "commit", "--quiet", "--allow-empty", "-m", "m")
    git(main, "worktree", "add", "--quiet", str(tmp_path / "tree"))
    plant(main, {".git/info/exclude": "*.log\n"})
    plant(tmp_path / "tree", {"a.log": "", "a.py": ""})
    assert seen_by_us(tmp_path / "tree") == {"a.py"}


def test_outside_of_a_repository_the_files_below_the_root_count_alone(tmp_path: Path) -> None:
    plant(tmp_path, {".gitignore": "*\n", "root/.gitignore": "*.log\n", "root/a.py": "", "root/a.log": ""})
    assert seen_by_us(tmp_path / "root") == {".gitignore", "a.py"}


def test_a_folder_that_is_ignored_can_be_asked_for(tmp_path: Path) -> None:
    plant(
        tmp_path, {".git/HEAD": "", ".gitignore": "out/\n*.log\n", "out/a.log": "", "out/a.py": "", "out/in/b.py": ""}
    )
    assert seen_by_us(tmp_path / "out") == {"a.log", "a.py", "in/b.py"}


@pytest.mark.parametrize("git_file", ["gitdir: nowhere", "no such line", "\xff"])
def test_a_git_file_that_leads_nowhere_has_no_rules(tmp_path: Path, git_file: str) -> None:
    plant(tmp_path, {"a.py": ""})
    (tmp_path / ".git").write_bytes(git_file.encode("latin-1"))
    assert seen_by_us(tmp_path) == {"a.py"}


def test_a_gitignore_that_is_a_link_or_a_folder_is_passed_over(tmp_path: Path) -> None:
    plant(tmp_path, {"patterns": "*.py\n", "a.py": "", "sub/.gitignore/x": "", "sub/a.py": ""})
    (tmp_path / ".gitignore").symlink_to("patterns")
    assert {"a.py", "sub/a.py"} <= seen_by_us(tmp_path)
