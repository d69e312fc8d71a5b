"""`CodeGenerationTool`: code from a requirement, changed code, and unit tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from metagpt_ollama_rs.slc.calls import ToolOptions, ask
from metagpt_ollama_rs.slc.code_answers import code_from_answer, python_fault

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
        answer = ask("generate_code", {"requirement": requirement}, options)
        return answer if raw else code_from_answer(answer, options)

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
        answer = ask("refactor_code", {"code": code, "instruction": instruction}, options)
        return answer if raw else code_from_answer(answer, options, _language_of_code(code))

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
        answer = ask("generate_tests", {"code": code}, options)
        return answer if raw else code_from_answer(answer, options, _language_of_code(code))


def _language_of_code(code: str) -> Optional[str]:
    return "python" if python_fault(code) is None else None
