"""The messages of MetaGPT's own that docs/troubleshooting.md quotes are those that MetaGPT and tiktoken have."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "docs"
SOURCES = {
    "metagpt": ("schema.py", "utils/cost_manager.py", "configs/llm_config.py"),
    "tiktoken_ext": ("openai_public.py",),
}


def folder_of(package):
    spec = importlib.util.find_spec(package)
    return Path(next(iter(spec.submodule_search_locations)))


@pytest.mark.parametrize("name", ["troubleshooting.md", "troubleshooting.zh.md"])
def test_texts_of_metagpts_own_exist(name):
    _, section = (PAGES / name).read_text(encoding="utf-8").split("\n## ")
    messages = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    # A class's name, such as `AssertionError`, is no text of MetaGPT's.
    quoted = [text for message in messages for text in re.findall(r"`([^`]+ [^`]+|[^`]+\.net)`", message)]
    sources = "".join(
        (folder_of(package) / file).read_text(encoding="utf-8") for package, files in SOURCES.items() for file in files
    )
    assert len(quoted) == 4
    assert [text for text in quoted if text not in sources] == []
