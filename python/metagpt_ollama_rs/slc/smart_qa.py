"""`SmartQATool`: answers to questions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metagpt_ollama_rs.slc.calls import ToolOptions, ask

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["SmartQATool"]


class SmartQATool:
    """Answers questions with the configured model.

    >>> from metagpt_ollama_rs.slc import ollama_config
    >>> from metagpt_ollama_rs.testing import ScriptedServer
    >>> with ScriptedServer() as server:  # stands in for Ollama
    ...     ollama_config.base_url = server.url
    ...     server.answer("Hello world")
    ...     SmartQATool.smart_qa("What does every first program print?")
    'Hello world'
    """

    @staticmethod
    def smart_qa(question: str, **options: Unpack[ToolOptions]) -> str:
        """Answers a question.

        Args:
            question: the question, in any language.

        Returns:
            The answer of the model.

        Raises:
            OllamaError: the model could not be asked, or its answer was cut.
        """
        return ask("smart_qa", {"question": question}, options, temperature=None)
