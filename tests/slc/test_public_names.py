"""What `metagpt_ollama_rs.slc` passes on: the guide's names, loaded when they are used, and methods that are plain."""

from __future__ import annotations

import inspect

import pytest

from metagpt_ollama_rs import slc

TOOLS = [getattr(slc, name) for name in slc.__all__ if name.endswith("Tool")]


def methods(tool: type) -> dict[str, object]:
    return {
        name: value for name, value in vars(tool).items() if not name.startswith("_") and callable(getattr(tool, name))
    }


# Those of the guide.
GUIDE = [
    "BatchFileTool",
    "CodeGenerationTool",
    "CodeUnderstandingTool",
    "EnvManagerTool",
    "MultiLanguageTool",
    "OllamaConfig",
    "SmartQATool",
    "call_ollama",
    "ollama_config",
]


def test_every_public_name_is_there():
    assert set(GUIDE) <= set(slc.__all__)
    assert sorted(slc.__all__) == slc.__all__
    assert set(slc._MODULE_OF) == set(slc.__all__)
    names: dict[str, object] = {}
    exec("from metagpt_ollama_rs.slc import *", names)
    for name in slc.__all__:
        assert names[name] is getattr(slc, name)
        assert name in dir(slc)
    with pytest.raises(AttributeError, match="no_such_name"):
        slc.no_such_name  # noqa: B018


@pytest.mark.parametrize("tool", TOOLS, ids=[tool.__name__ for tool in TOOLS])
def test_a_method_says_all_that_metagpt_shows_to_a_model(tool):
    assert methods(tool)
    for name, value in methods(tool).items():
        function = value.__func__ if isinstance(value, staticmethod) else value
        assert inspect.isfunction(function), name
        if inspect.signature(function).return_annotation != "str":
            continue
        text = inspect.getdoc(function)
        assert text.count("Returns:") == 1, name
        assert text.count("Args:") == (1 if set(inspect.signature(function).parameters) - {"self", "options"} else 0), (
            name
        )
        # MetaGPT takes what stands before the sections for the description.
        assert not text.startswith(("Args:", "Returns:")), name
