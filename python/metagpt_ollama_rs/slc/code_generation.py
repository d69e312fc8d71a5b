"""`CodeGenerationTool`: code from a requirement, changed code, and unit tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metagpt_ollama_rs.slc.calls import ToolOptions, ask, asked_language
from metagpt_ollama_rs.slc.code_answers import code_from_answer, python_fault
from metagpt_ollama_rs.slc.extras import optional_module

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["CodeGenerationTool"]


class CodeGenerationTool:
    """Writes code with the configured model: new code, changed code, and unit tests for code.

    >>> from metagpt_ollama_rs.slc import ollama_config
    >>> from metagpt_ollama_rs.testing import ScriptedServer
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     ollama_config.base_url = server.url
    ...     server.answer("```python\\nprint(1)\\n```")
    ...     CodeGenerationTool.generate_code("Print the number 1.")
    'print(1)'
    """

    @staticmethod
    def generate_code(requirement: str, *, raw: bool = False, **options: Unpack[ToolOptions]) -> str:
        """Writes a program that meets a requirement.

        Args:
            requirement: what the program is to do; Python, unless it names another programming language.
            raw: True for the whole answer of the model as it came.

        Returns:
            The code alone, without a fence or text around it.

        Raises:
            OllamaError: the model could not be asked, or its answer was cut.
        """
        return _ask_for_code("generate_code", {"requirement": requirement}, options, raw)

    @staticmethod
    def refactor_code(code: str, instruction: str, *, raw: bool = False, **options: Unpack[ToolOptions]) -> str:
        """Changes code as an instruction says.

        Args:
            code: the code to change.
            instruction: what to change.
            raw: True for the whole answer of the model as it came.

        Returns:
            The whole changed code, without a fence or text around it.

        Raises:
            OllamaError: the model could not be asked, or its answer was cut.
        """
        return _ask_for_code("refactor_code", {"code": code, "instruction": instruction}, options, raw)

    @staticmethod
    def generate_tests(code: str, *, raw: bool = False, **options: Unpack[ToolOptions]) -> str:
        """Writes unit tests for code, with pytest where it is Python.

        Args:
            code: the code to test.
            raw: True for the whole answer of the model as it came.

        Returns:
            The code of the tests, without a fence or text around it.

        Raises:
            OllamaError: the model could not be asked, or its answer was cut.
        """
        return _ask_for_code("generate_tests", {"code": code}, options, raw)


def _ask_for_code(prompt_name: str, fields: dict[str, str], options: ToolOptions, raw: bool) -> str:
    if raw:
        return ask(prompt_name, fields, options)
    # A library that is missing is told before the model has worked for nothing.
    optional_module("markdown_it")
    answer = ask(prompt_name, fields, options)
    # Code that is changed or tested stays in its language; what is written anew may be in any.
    is_python = "code" in fields and python_fault(fields["code"]) is None
    # The prompt that asks for a correction has none of the user's words by which to choose its language.
    again: ToolOptions = {**options, "language": asked_language(fields, options)}
    return code_from_answer(answer, again, "python" if is_python else None)
