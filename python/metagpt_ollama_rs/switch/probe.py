"""Finds out which provider an installation of MetaGPT uses, by importing it. Standard library only.

The text of this module is run in a new process of the installation's interpreter (`python -c TEXT RESULT`), because an
import of MetaGPT takes seconds, writes logs and cannot be undone. The answer is written to the file RESULT, because
MetaGPT and its dependencies print on stdout:

    {"provider": "metagpt_ollama_rs.provider.llms.OllamaLLM", "ours": true, "version": "0.1.0", "empty_key": true,
     "error": null, "tools": ["BatchFileTool", …], "tools_error": null}
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any

__all__ = ["NOTHING", "probe"]

NOTHING: dict[str, Any] = {
    "provider": None,
    "ours": False,
    "version": None,
    "empty_key": None,
    "error": None,
    "tools": [],
    "tools_error": None,
}


def probe() -> dict[str, Any]:
    """`provider`: module and name of the class that MetaGPT makes for `api_type: ollama`; `ours`: whether it is this
    package's, and `version` that of this package; `empty_key`: whether `api_key: ""` passes; `error`: why nothing can
    be said, or None. `tools`: the names of this package's tools in MetaGPT's registry; `tools_error`: why that is not
    known, or None."""
    found = {**NOTHING}
    try:
        # In the order of MetaGPT's own programs, which import all providers first.
        importlib.import_module("metagpt.provider")
        config = importlib.import_module("metagpt.configs.llm_config")
        registry = importlib.import_module("metagpt.provider.llm_provider_registry")
        provider_class = registry.LLM_REGISTRY.get_provider(config.LLMType("ollama"))
        found["provider"] = f"{provider_class.__module__}.{provider_class.__qualname__}"
        found["ours"] = provider_class.__module__.startswith("metagpt_ollama_rs.")
        if found["ours"]:
            found["version"] = importlib.import_module("metagpt_ollama_rs").__version__
        try:
            config.LLMConfig(api_type="ollama", api_key="", model="any", base_url="http://127.0.0.1:11434")
            found["empty_key"] = True
        except ValueError:
            found["empty_key"] = False
    except BaseException as error:
        found["error"] = f"{type(error).__name__}: {error}"
        return found
    try:
        found["tools"] = _registered_tools()
    except BaseException as error:
        found["tools_error"] = f"{type(error).__name__}: {error}"
    return found


def _registered_tools() -> list[str]:
    # Importing the registry imports all tools of MetaGPT, which takes seconds: only where there may be one of ours.
    (folder, *_) = importlib.import_module("metagpt").__path__
    if not os.path.exists(os.path.join(folder, "tools", "libs", "slc.py")):
        return []
    registry = importlib.import_module("metagpt.tools.tool_registry").TOOL_REGISTRY
    return sorted(registry.get_tools_by_tag("slc"))


def _main() -> None:
    sys.path[:] = [entry for entry in sys.path if entry]
    answer = probe()
    with open(sys.argv[1], "w", encoding="utf-8") as result:
        json.dump(answer, result)


if __name__ == "__main__":
    _main()
