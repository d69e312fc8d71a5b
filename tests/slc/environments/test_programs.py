"""Programs are run with a time limit and without a shell, and are ended with all that they started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from metagpt_ollama_rs.slc.machine.programs import ProgramError, find_executable, run_program


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_for(condition) -> None:
    while not condition():
        time.sleep(0.01)


def test_output_and_exit_code(script):
    program = script("program", 'printf "%s|" "$@"; echo "héllo" >&2; exit 3')
    done = run_program([str(program), "a b", "$(id)", "; ls"], seconds=10)
    assert (done.exit_code, done.stdout, done.stderr) == (3, "a b|$(id)|; ls|", "héllo\n")


def test_the_output_is_told_as_it_comes(script, tmp_path):
    pieces = []
    seen = tmp_path / "seen"

    def tell(text: str) -> None:
        pieces.append(text)
        seen.touch()

    # A letter of two bytes arrives in two pieces.
    wait = f"until [ -e {seen} ]; do sleep 0.01; done"
    program = script("program", rf"printf 'h\303'; {wait}; printf '\251llo'; echo done >&2")
    done = run_program([str(program)], seconds=20, on_text=tell)
    assert pieces[0] == "h"
    assert sorted(pieces[1:]) == ["done\n", "éllo"]
    assert (done.stdout, done.stderr) == ("héllo", "done\n")


def test_a_program_that_is_not_there():
    with pytest.raises(ProgramError, match="cannot be run: No such file") as caught:
        run_program(["/no/such/program"], seconds=10)
    assert caught.value.arguments == ["/no/such/program"]
    assert caught.value.exit_code is None


def test_a_program_gets_no_input_and_no_terminal(script):
    program = script(
        "program", "import os, sys\nprint(sys.stdin.read() == '', os.getsid(0) == os.getpid())", sys.executable
    )
    assert run_program([str(program)], seconds=10).stdout == "True True\n"


def test_a_program_that_takes_too_long_ends_with_what_it_started(script, tmp_path):
    noted = tmp_path / "pids"
    # The child ignores what asks it to end.
    program = script("program", f"trap '' INT; sleep 100 & echo $! $$ > {noted}; echo so far; wait; wait")
    with pytest.raises(ProgramError, match=r"did not end within 2 seconds") as caught:
        run_program([str(program)], seconds=2, grace=0.1)
    assert caught.value.output == "so far"
    for pid in noted.read_text(encoding="utf-8").split():
        wait_for(lambda pid=pid: not is_alive(int(pid)))


def test_what_a_program_leaves_behind_does_not_hold_up_its_answer(script):
    program = script("program", "sleep 20 & echo $!; exit 0")
    done = run_program([str(program)], seconds=15)
    os.kill(int(done.stdout), signal.SIGKILL)


def test_a_program_that_writes_without_end(script):
    with pytest.raises(ProgramError, match="writes without end"):
        run_program([str(script("program", "exec cat /dev/zero"))], seconds=50, grace=0.1)


def test_an_error_shows_the_end_of_the_output_without_escape_sequences():
    error = ProgramError("it failed", hint="mend it", output="x" * 5000 + "\n\x1b[31mERROR\x1b[0m: no\x07\r\n")
    assert str(error).splitlines()[-2:] == ["ERROR: no", "hint: mend it"]
    assert str(error).startswith("it failed\n…xxx")
    assert len(str(error)) < 4100


def test_ctrl_c_ends_the_program_which_may_clean_up(script, tmp_path):
    noted, cleaned = tmp_path / "pid", tmp_path / "cleaned"
    program = script("program", f"trap 'touch {cleaned}; exit 1' INT; echo $$ > {noted}; sleep 60 & wait")
    code = (
        "from metagpt_ollama_rs.slc.machine.programs import run_program; "
        f"run_program([{str(program)!r}], seconds=60, grace=10)"
    )
    caller = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, start_new_session=True)
    wait_for(lambda: noted.exists() and noted.read_text(encoding="utf-8"))
    caller.send_signal(signal.SIGINT)
    _, stderr = caller.communicate(timeout=30)
    assert stderr.rstrip().endswith(b"KeyboardInterrupt")
    assert cleaned.exists()
    assert not is_alive(int(noted.read_text(encoding="utf-8")))


def test_a_program_in_the_working_folder_is_not_found_by_its_name(bare_machine, monkeypatch, script):
    for folder in ("", ".", "../bin"):
        monkeypatch.setenv("PATH", folder)
        program = script("a-program", "true")
        (bare_machine / "a-program").write_bytes(program.read_bytes())
        (bare_machine / "a-program").chmod(0o755)
        assert find_executable("a-program") is None
    monkeypatch.setenv("PATH", str(program.parent))
    assert find_executable("a-program") == str(program)
