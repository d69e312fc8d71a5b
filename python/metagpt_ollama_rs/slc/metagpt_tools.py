"""The tools in MetaGPT's tool registry, from the moment on when MetaGPT has one. MetaGPT is never imported here.

MetaGPT shows its models a schema of each tool. It would make one of the docstrings by itself and write it to a file
below its root, which fails where nothing may be written there; and on Python 3.9 it takes the docstring of the class
`staticmethod` for that of a static method. So the schemas are made here, in MetaGPT's form:

    {"type": "class",
     "description": "Write or generate code for a requirement. …",
     "methods": {"generate_code": {"type": "function",
                                   "description": "Writes a program that meets a requirement.",
                                   "signature": "(requirement: 'str', *, raw: 'bool' = False) -> 'str'",
                                   "parameters": "Args: requirement: what the program is to do. Returns: The code."}},
     "tool_path": "metagpt/tools/libs/slc.py"}

A model imports a tool from its `tool_path`: MetaGPT's own module of tools where `metagpt-ollama install` has made it
(or `metagpt-ollama run` offers it), this package elsewhere.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from metagpt_ollama_rs.import_hooks import when_imported

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

__all__ = ["function_schema", "register_tools", "register_when_loaded", "tool_schema"]

_FOR_PROGRAMS = re.compile(r"^_|^plan_|_report$")
_OWN_PATH = "metagpt_ollama_rs/slc"
_METAGPTS_PATH = "metagpt/tools/libs/slc.py"


def register_when_loaded() -> None:
    """Registers the tools once MetaGPT has its registry: now, or when that is imported, which may be never."""
    when_imported("metagpt.tools.tool_registry", register_tools)


def register_tools(module: ModuleType) -> None:
    """Registers the tools in `module`, MetaGPT's `metagpt.tools.tool_registry`. A name that it has stays what it is."""
    path = _tool_path(module)
    for tool, (purpose, tags) in _tools_with_tags().items():
        name = tool.__name__
        if not module.TOOL_REGISTRY.has_tool(name):
            module.TOOL_REGISTRY.register_tool(
                tool_name=name, tool_path=path, schemas=tool_schema(tool, purpose), tags=["slc", *tags]
            )


def _tools_with_tags() -> dict[Callable[..., Any], tuple[str, tuple[str, ...]]]:
    """The tools, with what each is for and, beside `slc`, the tags by which MetaGPT finds it.

    MetaGPT recalls the tools for a task that have words in common with it, capitals and full stops included, and shows
    a model their descriptions alone to choose among them. So a purpose says all that a tool does, in words of a task.
    """
    from metagpt_ollama_rs.slc.batch_files import BatchFileTool
    from metagpt_ollama_rs.slc.calls import call_ollama
    from metagpt_ollama_rs.slc.code_generation import CodeGenerationTool
    from metagpt_ollama_rs.slc.code_understanding import CodeUnderstandingTool
    from metagpt_ollama_rs.slc.environments import EnvManagerTool
    from metagpt_ollama_rs.slc.multi_language import MultiLanguageTool
    from metagpt_ollama_rs.slc.smart_qa import SmartQATool

    return {
        CodeGenerationTool: (
            "Write or generate code such as a Python program for a requirement. Refactor or change code by an "
            "instruction. Write or generate unit tests for code.",
            ("code generation", "refactoring", "unit tests"),
        ),
        CodeUnderstandingTool: (
            "Explain what code does. Summarize a file or a whole project. Write or generate documentation for code. "
            "Find the entry points of a project.",
            ("code understanding", "documentation", "summarization"),
        ),
        SmartQATool: (
            "Answer a question or questions. Review code and list the problems or bugs in code with their lines.",
            ("question answering", "code review"),
        ),
        MultiLanguageTool: (
            "Detect the programming language of code. Translate code into another programming language. Translate the "
            "comments in code into another language.",
            ("code translation", "language detection"),
        ),
        BatchFileTool: (
            "Find, read, change or edit many files below a folder. Rename files. Replace text in files. Undo changes.",
            ("batch files", "file editing"),
        ),
        EnvManagerTool: (
            "Describe this machine. List or check the packages of a Python environment. Create a virtual environment. "
            "Install packages into an environment.",
            ("environment management",),
        ),
        call_ollama: ("Ask a local model with a prompt of your own.", ("llm",)),
    }


def tool_schema(tool: Callable[..., Any], purpose: str) -> dict[str, Any]:
    """The schema of a class or a function.

    Its description is ``purpose``, in the place of the docstring's first paragraph, and what the docstring says below,
    up to its arguments and its first example. The arguments of a class are those of its ``__init__`` unless that has a
    docstring. Methods that return an object to go on with in a program (``…_report``, ``plan_…``) are left out, because
    each has a twin that returns its text.

    >>> class Greeter:
    ...     '''Greets people.
    ...
    ...     It is polite.
    ...
    ...     >>> Greeter.greet("Ada")
    ...     'Hello, Ada'
    ...     '''
    ...
    ...     @staticmethod
    ...     def greet(name: str) -> str:
    ...         '''Greets by name.
    ...
    ...         Args:
    ...             name: whom to greet.
    ...         '''
    ...         return f"Hello, {name}"
    >>> schema = tool_schema(Greeter, "Greet or welcome people.")
    >>> schema["description"], schema["methods"]["greet"]["parameters"]
    ('Greet or welcome people. It is polite.', 'Args: name: whom to greet.')
    """
    import inspect

    below = (inspect.getdoc(tool) or "").partition("\n\n")[2].partition(">>>")[0]
    docstring = f"{purpose}\n\n{below}"
    if not inspect.isclass(tool):
        return function_schema(tool, docstring)
    methods = {
        name: function_schema(function)
        for name, function in inspect.getmembers(tool, inspect.isfunction)
        if name == "__init__" or not _FOR_PROGRAMS.search(name)
    }
    description, args, parameters = docstring.partition("Args:")
    constructor = vars(tool).get("__init__")
    if constructor is not None and constructor.__doc__ is None:
        methods["__init__"] = function_schema(constructor, args + parameters)
    return {"type": "class", "description": _without_breaks(description), "methods": methods}


def function_schema(function: Callable[..., Any], docstring: Optional[str] = None) -> dict[str, Any]:
    """The schema of a function or a method: its docstring, cut where its arguments begin, and its signature."""
    import inspect

    text = docstring if docstring is not None else inspect.getdoc(function) or ""
    description, args, parameters = _without_breaks(text).partition("Args:")
    return {
        "type": "async_function" if inspect.iscoroutinefunction(function) else "function",
        "description": description,
        "signature": str(inspect.signature(function)),
        "parameters": args + parameters,
    }


def _without_breaks(text: str) -> str:
    return " ".join(text.split())


def _tool_path(module: ModuleType) -> str:
    """From where a program of MetaGPT's imports the tools."""
    from metagpt_ollama_rs.switch.edits import is_slc_module
    from metagpt_ollama_rs.switch.environment import RUN_VARIABLE

    slc = Path(module.__file__ or "").with_name("libs") / "slc.py"
    try:
        offered = is_slc_module(slc.read_text(encoding="utf-8"))
    except FileNotFoundError:
        offered = RUN_VARIABLE in os.environ
    except (OSError, ValueError):
        offered = False
    return _METAGPTS_PATH if offered else _OWN_PATH
