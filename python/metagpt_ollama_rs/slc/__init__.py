"""The SLC tool set: code, questions, files and environments, with a model on Ollama. Usable with and without MetaGPT.

    from metagpt_ollama_rs.slc import CodeGenerationTool, call_ollama

    print(CodeGenerationTool.generate_code("Read a CSV file and print the sum of each column."))
    print(call_ollama("What is a monad?"))

Every tool is a class of static methods that return text. Which model answers says `ollama_config`, which is read from
MetaGPT's ``config2.yaml`` when a tool is first used. Importing this package reads no file and loads no tool; the
libraries that some of them need come with ``pip install 'metagpt-ollama-rs[slc]'``.

MetaGPT's roles find the tools in its registry, by their names or by the tag ``slc``, whether MetaGPT is loaded before
this package or after it; by this package it is never loaded.
"""

from __future__ import annotations

from metagpt_ollama_rs.slc import metagpt_tools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from metagpt_ollama_rs.slc.batch_files import BatchFileTool
    from metagpt_ollama_rs.slc.calls import ToolOptions, acall_ollama, call_ollama
    from metagpt_ollama_rs.slc.code_answers import extract_code
    from metagpt_ollama_rs.slc.code_generation import CodeGenerationTool
    from metagpt_ollama_rs.slc.code_understanding import CodeUnderstandingTool
    from metagpt_ollama_rs.slc.config import OllamaConfig, ollama_config
    from metagpt_ollama_rs.slc.environments import EnvManagerTool
    from metagpt_ollama_rs.slc.multi_language import MultiLanguageTool
    from metagpt_ollama_rs.slc.smart_qa import SmartQATool

# The public names, by the module that they come from.
_MODULE_OF = {
    "BatchFileTool": "batch_files",
    "CodeGenerationTool": "code_generation",
    "CodeUnderstandingTool": "code_understanding",
    "EnvManagerTool": "environments",
    "MultiLanguageTool": "multi_language",
    "OllamaConfig": "config",
    "SmartQATool": "smart_qa",
    "ToolOptions": "calls",
    "acall_ollama": "calls",
    "call_ollama": "calls",
    "extract_code": "code_answers",
    "ollama_config": "config",
}

__all__ = [
    "BatchFileTool",
    "CodeGenerationTool",
    "CodeUnderstandingTool",
    "EnvManagerTool",
    "MultiLanguageTool",
    "OllamaConfig",
    "SmartQATool",
    "ToolOptions",
    "acall_ollama",
    "call_ollama",
    "extract_code",
    "ollama_config",
]


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value: Any = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


metagpt_tools.register_when_loaded()
