"""`SmartQATool`: answers to questions, and reviews of code.

Code that does not fit into the model's context together with the answer is reviewed in parts: the server says that it
is too long (nothing is cut in silence), and then each half is reviewed by itself, with the numbers that its lines have.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Callable, TypeVar

from metagpt_ollama_rs.errors import ConfigurationError, UnusableAnswerError
from metagpt_ollama_rs.slc.calls import ToolOptions, ask, check_tool_options
from metagpt_ollama_rs.slc.findings import FINDINGS_SCHEMA, Findings, code_lines, numbered_lines, read_findings
from metagpt_ollama_rs.slc.halves import in_halves

if TYPE_CHECKING:
    from typing_extensions import Unpack

    Result = TypeVar("Result")

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

    @staticmethod
    def code_review(code: str, **options: Unpack[ToolOptions]) -> str:
        """Reviews code: bugs, security, and what makes it hard to maintain.

        Args:
            code: the code to review, in any programming language.

        Returns:
            The review as text. Of code that was reviewed in parts it has one section for each.

        Raises:
            OllamaError: the model could not be asked, or its answer was cut.
        """
        check_tool_options("code_review", options)
        lines = code_lines(code)
        if not code.strip():
            raise ConfigurationError("there is no code to review")

        def review(part: range) -> str:
            is_whole = len(part) == len(lines)
            shown = code if is_whole else "\n".join(numbered_lines(lines[part.start - 1 : part.stop - 1], part.start))
            answer = ask("code_review", {"code": shown}, options)
            return answer if is_whole else f"## {part.start}-{part.stop - 1}\n\n{answer}"

        return "\n\n".join(_in_parts(lines, review, options))

    @staticmethod
    def code_review_findings(code: str, **options: Unpack[ToolOptions]) -> Findings:
        """Reviews code and returns what is wrong with it as a list, one finding for each problem.

        Args:
            code: the code to review, in any programming language.

        Returns:
            The findings, sorted by line. Each has line (from 1), severity (error, warning or info) and text. What the
            model said of no line that exists is left out, and counted in the list's attribute dropped.

        Raises:
            UnusableAnswerError: the answer is not a list of findings.
            OllamaError: the model could not be asked, or its answer was cut.
        """
        check_tool_options("code_review_findings", options)
        lines = code_lines(code)
        if not code.strip():
            return Findings()

        def review(part: range) -> Findings:
            shown = "\n".join(numbered_lines(lines[part.start - 1 : part.stop - 1], part.start))
            answer = ask("code_review_findings", {"code": shown}, options, format=FINDINGS_SCHEMA)
            findings = read_findings(answer, part)
            if findings is None:
                raise UnusableAnswerError(
                    "the answer is not a list of findings", hint="ask again, or another model", partial=answer
                )
            return findings

        parts = list(_in_parts(lines, review, options))
        return Findings((finding for part in parts for finding in part), dropped=sum(part.dropped for part in parts))


def _in_parts(lines: list[str], review: Callable[[range], Result], options: ToolOptions) -> Iterator[Result]:
    """The reviews of all ``lines``, by their numbers from 1, at once or in parts."""
    whole = range(1, len(lines) + 1)
    return in_halves(whole, review, options, lambda part: _between_blocks(lines, part))


def _between_blocks(lines: list[str], part: range) -> int:
    """The number of a line about the middle of ``part`` that begins something: one after a blank line, if there is one,
    with the least indentation."""
    middle, reach = (part.start + part.stop) // 2, len(part) // 4

    def unfitness(number: int) -> tuple[bool, int, int]:
        line = lines[number - 1]
        return bool(lines[number - 2].strip()) or not line.strip(), len(line) - len(line.lstrip()), abs(number - middle)

    return min(range(max(part.start + 1, middle - reach), min(part.stop, middle + reach + 1)), key=unfitness)
