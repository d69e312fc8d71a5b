"""The tools in MetaGPT's tool registry: names, tags, schemas, paths, and what finds them there."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import re
import subprocess
import sys
import textwrap
import types
from pathlib import Path

import pytest
from metagpt import const
from metagpt.schema import Plan, Task
from metagpt.tools import tool_registry
from metagpt.tools.tool_convert import convert_code_to_tool_schema
from metagpt.tools.tool_recommend import BM25ToolRecommender, ToolRecommender
from metagpt.tools.tool_registry import TOOL_REGISTRY, ToolRegistry, validate_tool_names

from metagpt_ollama_rs import slc
from metagpt_ollama_rs.slc import metagpt_tools
from metagpt_ollama_rs.switch.edits import SLC_MODULE
from metagpt_ollama_rs.switch.environment import RUN_VARIABLE

NAMES = sorted({"call_ollama", *(name for name in slc.__all__ if name.endswith("Tool"))})


def registry_module(file):
    """Stands for MetaGPT's module of the registry, with an empty one."""
    module = types.ModuleType("tool_registry")
    module.__file__, module.TOOL_REGISTRY = file, ToolRegistry()
    return module


def test_each_tool_is_there_under_its_name_and_the_tag_of_all():
    assert {"CodeGenerationTool", "SmartQATool", "call_ollama"} <= set(NAMES)
    assert sorted(TOOL_REGISTRY.get_tools_by_tag("slc")) == NAMES
    for name in NAMES:
        tool = TOOL_REGISTRY.get_tool(name)
        assert (tool.name, tool.path, tool.tags[0]) == (name, "metagpt_ollama_rs/slc", "slc")
        assert tool.schemas["tool_path"] == tool.path
        for tag in tool.tags:
            assert TOOL_REGISTRY.has_tool_tag(tag)
            assert name in validate_tool_names([tag])
            assert TOOL_REGISTRY.get_tools_by_tag(tag)[name] is tool


@pytest.mark.parametrize(
    ("tag", "name"),
    [("code generation", "CodeGenerationTool"), ("unit tests", "CodeGenerationTool"), ("code review", "SmartQATool")],
)
def test_a_tag_finds_its_tool(tag, name):
    assert list(validate_tool_names([tag])) == [name]


@pytest.mark.parametrize("page", ["tools.md", "tools.zh.md"])
def test_the_guide_has_all_names_and_tags(page):
    text = (Path(__file__).parents[2] / "docs" / page).read_text(encoding="utf-8")
    (section,) = re.findall(r"^## [^\n]* MetaGPT.*?^## ", text, re.MULTILINE | re.DOTALL)
    rows = [re.findall(r"`([^`]+)`", row) for row in section.splitlines() if row.startswith("| `")]
    assert {name: ["slc", *tags] for name, *tags in rows} == {name: TOOL_REGISTRY.get_tool(name).tags for name in NAMES}


def test_names_and_tags_are_valid_where_metagpt_takes_them():
    assert list(validate_tool_names(NAMES)) == NAMES
    assert sorted(validate_tool_names(["slc"])) == NAMES
    assert sorted(ToolRecommender(tools=["slc"]).tools) == NAMES
    assert set(NAMES) <= set(ToolRecommender(tools=["<all>"]).tools)


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_as_metagpt_itself_makes_it(name):
    tool = getattr(slc, name)
    expected = convert_code_to_tool_schema(tool)
    schema = {key: value for key, value in TOOL_REGISTRY.get_tool(name).schemas.items() if key != "tool_path"}
    # What the tool is for is said in words of its own.
    expected["description"] = schema["description"]
    if inspect.isclass(tool):
        expected["methods"] = {called: expected["methods"][called] for called in schema["methods"]}
        if "__init__" in expected["methods"]:
            # MetaGPT takes the docstring of `object`'s for that of one without.
            made = schema["methods"]["__init__"]
            assert made["signature"] == expected["methods"]["__init__"]["signature"]
            expected["methods"]["__init__"] = made
    assert schema == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_says_what_a_model_has_to_know(name):
    schema = TOOL_REGISTRY.get_tool(name).schemas
    assert ">>>" not in schema["description"]
    functions = schema["methods"] if schema["type"] == "class" else {name: schema}
    assert functions
    for called, function in functions.items():
        assert function["type"] == "function", called
        assert len(function["description"]) > 10 or called == "__init__", called
        arguments = [
            argument.name
            for argument in inspect.signature(getattr(getattr(slc, name), called, slc.call_ollama)).parameters.values()
            if argument.name != "self" and argument.kind is not argument.VAR_KEYWORD
        ]
        assert function["signature"].startswith("("), called
        if arguments:
            assert function["parameters"].startswith("Args: "), called
            told = function["parameters"]
            assert [argument for argument in arguments if not re.search(rf" {argument}( \(.*?\))?: ", told)] == [], (
                called
            )


class StaticMethodOf39(staticmethod):
    """As Python 3.9 has it: without the docstring of the function."""

    @property
    def __doc__(self):
        return staticmethod.__doc__

    @__doc__.setter
    def __doc__(self, value):
        pass


def test_the_docstring_is_the_functions_on_python_3_9_too():
    def greet(name: str) -> str:
        """Greets by name.

        Args:
            name: whom to greet.
        """

    tool = type("Greeter", (), {"__doc__": "Greets.", "greet": StaticMethodOf39(greet)})
    assert convert_code_to_tool_schema(tool)["methods"]["greet"]["description"].startswith("staticmethod(function)")
    assert metagpt_tools.tool_schema(tool, "Greet.")["methods"]["greet"] == {
        "type": "function",
        "description": "Greets by name. ",
        "signature": "(name: 'str') -> 'str'",
        "parameters": "Args: name: whom to greet.",
    }


def test_a_model_is_shown_the_methods_that_return_text():
    methods = TOOL_REGISTRY.get_tool("EnvManagerTool").schemas["methods"]
    assert set(methods) == {"describe", "list_packages", "check", "create", "install"}
    methods = TOOL_REGISTRY.get_tool("BatchFileTool").schemas["methods"]
    assert set(methods) == {"__init__", "find", "read", "replace", "rename", "apply_prompt", "undo"}
    assert methods["__init__"]["parameters"].startswith("Args: root: ")


def test_registering_writes_no_file(monkeypatch):
    def refuse(*_arguments):
        raise AssertionError("MetaGPT would write a file")

    monkeypatch.setattr(tool_registry, "make_schema", refuse)
    module = registry_module("/nowhere/tool_registry.py")
    metagpt_tools.register_tools(module)
    assert sorted(module.TOOL_REGISTRY.tools) == NAMES
    assert not [file for file in const.TOOL_SCHEMA_PATH.glob("*.yml") if file.stem in NAMES]


def test_a_tool_is_registered_once_and_one_of_the_users_stays():
    before = {name: TOOL_REGISTRY.get_tool(name) for name in NAMES}
    importlib.reload(metagpt_tools)
    importlib.reload(slc)
    assert all(TOOL_REGISTRY.get_tool(name) is tool for name, tool in before.items())
    assert sorted(TOOL_REGISTRY.get_tools_by_tag("slc")) == NAMES

    module = registry_module("/nowhere/tool_registry.py")
    module.TOOL_REGISTRY.register_tool("SmartQATool", "mine.py", schemas={"description": "mine"}, tags=["mine"])
    metagpt_tools.register_tools(module)
    assert module.TOOL_REGISTRY.get_tool("SmartQATool").path == "mine.py"
    assert sorted(module.TOOL_REGISTRY.get_tools_by_tag("slc")) == [name for name in NAMES if name != "SmartQATool"]


@pytest.mark.parametrize(
    ("text", "in_run", "path"),
    [
        pytest.param(None, False, "metagpt_ollama_rs/slc", id="MetaGPT as it is published"),
        pytest.param(None, True, "metagpt/tools/libs/slc.py", id="metagpt-ollama run"),
        pytest.param(SLC_MODULE, False, "metagpt/tools/libs/slc.py", id="metagpt-ollama install"),
        pytest.param("from metagpt_ollama_rs.slc import *", False, "metagpt/tools/libs/slc.py", id="by hand"),
        pytest.param("class SmartQATool: ...", True, "metagpt_ollama_rs/slc", id="the user's own"),
        pytest.param("\xff", False, "metagpt_ollama_rs/slc", id="not UTF-8"),
    ],
)
def test_the_path_is_that_from_which_a_program_can_import_the_tools(tmp_path, monkeypatch, text, in_run, path):
    monkeypatch.delenv(RUN_VARIABLE, raising=False)
    if in_run:
        monkeypatch.setenv(RUN_VARIABLE, "x")
    (tmp_path / "libs").mkdir()
    if text is not None:
        (tmp_path / "libs" / "slc.py").write_text(text, encoding="latin-1")
    module = registry_module(str(tmp_path / "tool_registry.py"))
    metagpt_tools.register_tools(module)
    assert {tool.schemas["tool_path"] for tool in module.TOOL_REGISTRY.tools.values()} == {path}


@pytest.mark.timeout(330)
def test_metagpt_may_come_after_the_tools_which_never_load_it():
    program = """
        import sys
        from metagpt_ollama_rs.slc import *
        import metagpt_ollama_rs.slc
        assert "metagpt" not in sys.modules
        import metagpt.tools.libs.web_scraping
        from metagpt.tools.tool_registry import TOOL_REGISTRY
        print(*sorted(TOOL_REGISTRY.get_tools_by_tag("slc")))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=300, env=os.environ
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1].split() == NAMES


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("Write a Python program that parses CSV files", "CodeGenerationTool"),
        ("Generate Python code for a web server", "CodeGenerationTool"),
        ("Write unit tests for parser.py", "CodeGenerationTool"),
        ("Refactor this code", "CodeGenerationTool"),
        ("Review the code of main.py and list the problems", "SmartQATool"),
        ("Answer the question what a monad is", "SmartQATool"),
        ("Explain what this code does", "CodeUnderstandingTool"),
        ("Summarize the project in the folder app", "CodeUnderstandingTool"),
        ("Write documentation for the code", "CodeUnderstandingTool"),
        ("Translate the code to Rust", "MultiLanguageTool"),
        ("Translate the comments into English", "MultiLanguageTool"),
        ("Replace foo by bar in many files below src", "BatchFileTool"),
        ("Rename all files in the folder", "BatchFileTool"),
        ("Create a virtual environment and install requests", "EnvManagerTool"),
        ("List the packages of the environment", "EnvManagerTool"),
        ("Ask a model with this prompt", "call_ollama"),
    ],
)
def test_metagpts_recommender_recalls_the_tool_for_a_task(task, name):
    recommender = BM25ToolRecommender(tools=["<all>"])
    plan = Plan(goal="")
    plan.add_tasks([Task(task_id="1", instruction=task)])
    for arguments in ({"context": task}, {"plan": plan}):
        recalled = asyncio.run(recommender.recall_tools(topk=3, **arguments))
        assert name in [tool.name for tool in recalled]
