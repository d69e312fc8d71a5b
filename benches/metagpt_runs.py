"""How far MetaGPT's own programs get with MetaGPT's provider and with this package's.

    make bench-metagpt                                  the scripted model, every scenario, every wrong shape
    make bench-metagpt ARGUMENTS="--only 'react role' --shapes 3"
    make bench-metagpt ARGUMENTS="--model smollm2"      a real model, the small one of the tests

`metagpt_scenarios` says what is run and which answers are right, `metagpt_models` how the scripted model writes them,
`wrong_shapes` which mistakes small models make, `metagpt_worker` runs one scenario in MetaGPT. MetaGPT 0.8.2 is the one
of this environment. A checkout of main takes part where METAGPT_MAIN names it and METAGPT_MAIN_PYTHON an interpreter
with its requirements; without them main is left out, and the bench says so.

A run is done when its product is right: the files are there, the program counts right, the number is the right one.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Optional

from metagpt_ollama_rs.embedded import EmbeddedServer
from metagpt_ollama_rs.testing import ScriptedServer

from .metagpt_examples import EXAMPLES, scenario_of
from .metagpt_models import CODE_SHAPES, JSON_SHAPES, MAX_CALLS, ScriptedModel
from .metagpt_scenarios import MAIN, RELEASE, SCENARIOS, Scenario
from .structured import model_file

ROOT = Path(__file__).parents[1]
RIGHT = "right"
MODEL = "model-of-the-run"
# What bounds the real model: one thread, because two wait for each other on a busy machine.
OPTIONS = {"num_predict": 500, "num_thread": 1, "seed": 1}
REAL_SECONDS = 100.0


class Way(NamedTuple):
    """One way to run MetaGPT: whose provider, what the configuration adds, what the environment adds."""

    provider: str
    llm: dict[str, Any]
    config: dict[str, Any]
    environment: dict[str, str]


FORMER = {"METAGPT_OLLAMA_UNPATCHED": "all"}
WAYS: dict[str, Way] = {
    "original": Way("original", {}, {}, {}),
    "original, repair_llm_output": Way("original", {}, {"repair_llm_output": True}, {}),
    "ours before": Way("ours", {"extra_fields": {"structured": "false"}}, {}, FORMER),
    "ours now, no format": Way("ours", {"extra_fields": {"structured": "false"}}, {}, {}),
    "ours now": Way("ours", {}, {}, {}),
}


class Worker:
    """A process of `metagpt_worker` for one way and one release, and the server that it asks."""

    def __init__(
        self, folder: Path, way: Way, release: str, url: str, options: Optional[dict[str, Any]] = None
    ) -> None:
        folder.mkdir()
        llm = {"api_type": "ollama", "base_url": f"{url}/api", "model": MODEL, "api_key": "ollama", **way.llm}
        (folder / "config").mkdir()
        (folder / "config" / "config2.yaml").write_text(json.dumps({"llm": llm, **way.config}), encoding="utf-8")
        kept = {
            name: value for name, value in os.environ.items() if not name.lower().endswith(("_proxy", "pythonpath"))
        }
        environment = {**kept, "HOME": str(folder), "METAGPT_PROJECT_ROOT": str(folder), **way.environment}
        environment["METAGPT_RUNS_OPTIONS"] = json.dumps(options or {})
        environment.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", PYTHONWARNINGS="ignore")
        python = sys.executable
        path = [str(ROOT)]
        if "METAGPT_MAIN" in os.environ:
            environment["METAGPT_EXAMPLES"] = str(Path(os.environ["METAGPT_MAIN"]) / "examples")
        if release == MAIN:
            python = os.environ["METAGPT_MAIN_PYTHON"]
            path += [os.environ["METAGPT_MAIN"], str(_site_of_this_package(folder.parent))]
        environment["PYTHONPATH"] = os.pathsep.join(path)
        self.folder = folder
        self._errors = (folder.parent / f"{folder.name}.log").open("w")
        self._process = subprocess.Popen(
            [python, "-m", "benches.metagpt_worker", way.provider, release],
            env=environment,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._read()

    def run(self, scenario: Scenario, *, kernel: bool) -> dict[str, Any]:
        """Runs it once. `kernel`: programs run in Jupyter's kernel, as ever, and not in the process of the run."""
        assert self._process.stdin is not None
        asked = {"scenario": scenario.name, "seconds": scenario.seconds, "kernel": kernel}
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        outcome: dict[str, Any] = json.loads(self._read())
        return outcome

    def log(self) -> str:
        file = self.folder / "run.log"
        return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.flush()
            raise SystemExit(f"the worker has ended:\n{Path(self._errors.name).read_text()[-3000:]}")
        return line


def _site_of_this_package(scratch: Path) -> Path:
    """A folder that has this package and nothing else of this environment."""
    site = scratch / "site"
    spec = importlib.util.find_spec("metagpt_ollama_rs")
    assert spec is not None
    assert spec.submodule_search_locations
    if not site.exists():
        site.mkdir()
        (site / "metagpt_ollama_rs").symlink_to(spec.submodule_search_locations[0])
    return site


@contextmanager
def working(name: str, release: str) -> Iterator[tuple[Worker, ScriptedServer]]:
    """A worker for one way and one release."""
    with tempfile.TemporaryDirectory(prefix="metagpt-ollama-bench-") as scratch, ScriptedServer() as server:
        worker = Worker(Path(scratch) / "root", WAYS[name], release, server.url)
        try:
            yield worker, server
        finally:
            worker.stop()


def scripted_runs(name: str, release: str, scenarios: list[str], shapes: list[str], log: bool) -> list[dict[str, Any]]:
    """A row for each scenario and each shape that an answer of it can be written in."""
    rows = []
    with working(name, release) as (worker, server):
        for title in scenarios:
            scenario = SCENARIOS.get((title, release)) or scenario_of(title.partition("examples/")[2])
            for shape in shapes if (title, release) in SCENARIOS else [RIGHT]:
                if shape in CODE_SHAPES and not scenario.writes_programs:
                    continue
                model = ScriptedModel(scenario, shape)
                server.on("POST", "/api/chat", model)
                outcome = worker.run(scenario, kernel=shape == RIGHT)
                row = {
                    "scenario": title,
                    "release": release,
                    "way": name,
                    "shape": shape,
                    "done": scenario.stages[-1] in outcome["stages"],
                    **outcome,
                    **({"error": f"not over after {MAX_CALLS} calls"} if model.calls > MAX_CALLS else {}),
                    "calls": model.calls,
                    "structured": model.structured,
                    "suited": model.suited,
                    "unknown": model.unknown[:3],
                }
                rows.append(row)
                print(
                    f"{'+' if row['done'] else '-'} {name:28} {release:6} {title:30} {shape:40} {row['stages']} "
                    f"{row['calls']} calls, {row['seconds']} s {row['error'][:100]} {row['unknown'][:1]}",
                    file=sys.stderr,
                    flush=True,
                )
                if log and not row["done"]:
                    print(worker.log()[-6000:], file=sys.stderr)
    return rows


def real_runs(name: str, release: str, scenarios: list[str], log: bool) -> list[dict[str, Any]]:
    """A row for each scenario, of which the small model of the tests answers what it can within a bound."""
    rows = []
    with (
        tempfile.TemporaryDirectory(prefix="metagpt-ollama-bench-") as scratch,
        EmbeddedServer(model_file(), name=MODEL, context_length=4096) as server,
    ):
        worker = Worker(Path(scratch) / "root", WAYS[name], release, server.url, OPTIONS)
        try:
            for title in scenarios:
                scenario = replace(SCENARIOS[title, release], seconds=REAL_SECONDS)
                outcome = worker.run(scenario, kernel=True)
                row = {
                    "scenario": title,
                    "release": release,
                    "way": name,
                    "shape": "smollm2",
                    "done": scenario.stages[-1] in outcome["stages"],
                    **outcome,
                }
                rows.append(row)
                print(f"{name:28} {release:6} {title:30} {row['stages']} {row['seconds']} s {row['error'][:100]}",
                          file=sys.stderr, flush=True)  # fmt: skip
                if log:
                    print(worker.log()[-6000:], file=sys.stderr)
        finally:
            worker.stop()
    return rows


def _is_of(title: str, release: str) -> bool:
    file = title.partition("examples/")[2]
    return release in EXAMPLES[file].releases if file else (title, release) in SCENARIOS


def main() -> None:
    parser = argparse.ArgumentParser(description="Runs MetaGPT's own programs with each provider.")
    titles = list(dict.fromkeys(title for title, _ in SCENARIOS))
    examples = [f"examples/{file}" for file in EXAMPLES]
    parser.add_argument("--only", nargs="+", choices=titles + examples, metavar="SCENARIO")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS), metavar="WAY")
    parser.add_argument("--shapes", nargs="+", default=None, metavar="SHAPE")
    parser.add_argument("--model", choices=("scripted", "smollm2"), default="scripted")
    parser.add_argument("--release", choices=(RELEASE, MAIN))
    parser.add_argument("--at-once", type=int, default=2, help="how many processes with MetaGPT (default: 2)")
    parser.add_argument("--log", action="store_true", help="show what a run that is not done has written")
    parser.add_argument("--results", type=Path, help="file for all rows, as JSON")
    options = parser.parse_args()
    releases = [options.release] if options.release else [RELEASE, MAIN]
    if MAIN in releases and not {"METAGPT_MAIN", "METAGPT_MAIN_PYTHON"} <= os.environ.keys():
        print("main is left out: METAGPT_MAIN and METAGPT_MAIN_PYTHON are not set", file=sys.stderr)
        releases.remove(MAIN)
    if options.only is None:
        options.only = titles + (examples if "METAGPT_MAIN" in os.environ else [])
    shapes = options.shapes or [RIGHT, *JSON_SHAPES, *CODE_SHAPES]

    def runs(pair: tuple[str, str]) -> list[dict[str, Any]]:
        release, name = pair
        scenarios = [title for title in options.only if _is_of(title, release)]
        if options.model == "smollm2":
            return real_runs(name, release, [title for title in scenarios if title in titles], options.log)
        return scripted_runs(name, release, scenarios, shapes, options.log) if scenarios else []

    with ThreadPoolExecutor(options.at_once) as pool:
        pairs = [(release, name) for release in releases for name in options.ways]
        rows = [row for part in pool.map(runs, pairs) for row in part]
    if options.results:
        options.results.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
