"""Instructions per decoded line, compared with a committed baseline: a guard that needs no quiet machine.

`make instructions` fails when a case costs more than 5 % over `baseline.json`; `make instructions-baseline` renews that
file. Each case is run twice under valgrind with different numbers of lines, and the difference is divided, so that
start-up cancels out. The count depends on the compiler and on the processor's vector instructions: where these differ
from the baseline's, or valgrind is missing, the check is skipped, and says so.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BASELINE = HERE / "baseline.json"
TOLERANCE = 0.05

# Units in the shorter and in the longer run; a unit of `floats` is a vector.
FEW, MANY = 200, 2200
CASES = {
    **dict.fromkeys(
        ("plain", "escaped", "chinese", "two hundred characters", "thinking", "openai", "fold", "last"), (FEW, MANY)
    ),
    # Long enough for many looks of the guard.
    **dict.fromkeys(("prose", "guarded"), (2_000, 42_000)),
    "floats": (5, 45),
}


class Failed(Exception):
    """The check could not be made; the text says why."""


def output(*command: str, error: bool = False) -> str:
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    except FileNotFoundError:
        raise Failed(f"{command[0]} is missing") from None
    if done.returncode:
        raise Failed(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stderr.strip()}")
    return (done.stderr if error else done.stdout).strip()


def build() -> str:
    """The program's path. The release profile, because that is what is published."""
    messages = output(
        "cargo", "build", "--locked", "--quiet", "--release", "--package", "instructions", "--message-format", "json"
    )
    for message in map(json.loads, messages.splitlines()):
        if message.get("reason") == "compiler-artifact" and message.get("executable"):
            return str(message["executable"])
    raise Failed("cargo built no program named instructions")


def valgrind(program: str, *arguments: str) -> tuple[str, ...]:
    return ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, *arguments)


def count(program: str, case: str, units: int) -> int:
    report = output(*valgrind(program, case, str(units)), error=True)
    found = re.search(r"Collected\s*:\s*(\d+)", report)
    if found is None:
        raise Failed(f"valgrind told no number of instructions:\n{report}")
    return int(found[1])


def measure(program: str) -> dict[str, float]:
    costs = {}
    for case, (few, many) in CASES.items():
        costs[case] = round((count(program, case, many) - count(program, case, few)) / (many - few), 1)
    return costs


def compare(costs: dict[str, float], baseline: dict[str, float]) -> list[str]:
    """Prints a row per case; the complaints."""
    complaints = []
    for case, cost in costs.items():
        before = baseline.get(case)
        if before is None:
            complaints.append(f"{case}: not in the baseline")
            continue
        change = cost / before - 1
        print(f"{case:<24}{cost:>12,.1f} instructions, {change:+.1%}")
        if change > TOLERANCE:
            complaints.append(f"{case}: {cost:,.1f} instructions, {change:.1%} more than {before:,.1f}")
        elif change < -TOLERANCE:
            print(f"{case} costs less than the baseline says; hint: make instructions-baseline", file=sys.stderr)
    return complaints


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--renew", action="store_true", help="write the baseline instead of comparing with it")
    parser.add_argument("--baseline", type=Path, default=BASELINE)
    options = parser.parse_args()
    if not shutil.which("valgrind"):
        if options.renew:
            raise Failed("valgrind is missing; hint: apt-get install valgrind")
        print("SKIPPED: instructions per line (valgrind is missing; hint: apt-get install valgrind)", file=sys.stderr)
        return 0
    rustc = output("rustc", "--version")
    program = build()
    conditions = {"rustc": rustc, "machine": output(*valgrind(program, "--machine"))}
    if options.renew:
        content: dict[str, Any] = {**conditions, "instructions": measure(program)}
        options.baseline.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        print(f"Wrote {options.baseline}")
        return 0
    baseline = json.loads(options.baseline.read_text(encoding="utf-8"))
    for name, value in conditions.items():
        if baseline[name] != value:
            print(
                f"SKIPPED: instructions per line (the baseline is of {baseline[name]}, here is {value}; "
                "hint: make instructions-baseline)",
                file=sys.stderr,
            )
            return 0
    complaints = compare(measure(program), baseline["instructions"])
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    if complaints:
        print("hint: make it cheaper again, or accept the cost with make instructions-baseline", file=sys.stderr)
    return bool(complaints)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failure:
        print(f"instructions per line: {failure}", file=sys.stderr)
        sys.exit(2)
