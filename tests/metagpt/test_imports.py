"""Either order of import, with MetaGPT's file as it is and with our one line in its place, each in a fresh process.

The line is put in place by a finder that answers for ``metagpt.provider.ollama_api`` with a source of its own, so the
installed MetaGPT stays as it is.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

DROP_IN = """
import importlib.abc, importlib.machinery, importlib.util, sys

class DropIn(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    def find_spec(self, name, path=None, target=None):
        if name == "metagpt.provider.ollama_api":
            return importlib.machinery.ModuleSpec(name, self)
    def get_source(self, name):
        return "from metagpt_ollama_rs.provider import *\\n"
    def is_package(self, name):
        return False

sys.meta_path.insert(0, DropIn())
"""
IMPORTS = {
    "ours first": "import metagpt_ollama_rs.provider",
    "registry first": "import metagpt.provider.llm_provider_registry",
    "drop-in first": "import metagpt.provider.ollama_api",
    "roles first": "import metagpt.roles",
}
CHECK = """
import sys
import metagpt.provider
import metagpt.provider.ollama_api as module
import metagpt_ollama_rs.provider as ours
from metagpt.configs.llm_config import LLMConfig, LLMType
from metagpt.provider.llm_provider_registry import LLM_REGISTRY, create_llm_instance

expected = {
    LLMType.OLLAMA: ours.OllamaLLM,
    LLMType.OLLAMA_GENERATE: ours.OllamaGenerate,
    LLMType.OLLAMA_EMBEDDINGS: ours.OllamaEmbeddings,
    LLMType.OLLAMA_EMBED: ours.OllamaEmbed,
}
assert {kind: LLM_REGISTRY.get_provider(kind) for kind in expected} == expected
assert {cls.__module__ for cls in expected.values()} == {
    f"metagpt_ollama_rs.provider.{name}" for name in ("llms", "embeddings")
}
config = LLMConfig(api_type="ollama", model="m", api_key="ollama", base_url="http://127.0.0.1:1/api")
assert type(create_llm_instance(config)) is ours.OllamaLLM
assert all(name in vars(ours) for name in ours.__all__)
# What a program does not use costs it nothing.
assert "metagpt_ollama_rs.slc" not in sys.modules
"""
CHECK_DROP_IN = """
assert all(getattr(module, name) is getattr(ours, name) for name in ours.__all__)
assert metagpt.provider.OllamaLLM is ours.OllamaLLM
"""
CHECK_ORIGINAL = """
public = {name for name in vars(module) if not name.startswith("_")}
assert public <= set(ours.__all__), public - set(ours.__all__)
assert module.OllamaLLM is not ours.OllamaLLM
"""


def run(code):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        cwd=os.environ["METAGPT_PROJECT_ROOT"],
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.timeout(330)
@pytest.mark.parametrize("order", ["ours first", "drop-in first", "roles first"])
def test_with_our_line_in_place(order):
    done = run(DROP_IN + IMPORTS[order] + CHECK + CHECK_DROP_IN)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.timeout(330)
@pytest.mark.parametrize("order", ["ours first", "registry first"])
def test_with_metagpts_own_file_in_place(order):
    done = run(IMPORTS[order] + CHECK + CHECK_ORIGINAL)
    assert done.returncode == 0, done.stderr[-2000:]


def test_an_unknown_name_is_an_attribute_error():
    import metagpt_ollama_rs.provider as ours

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ours.nothing  # noqa: B018
